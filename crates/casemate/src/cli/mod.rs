//! What may be typed. Resolution of defaults that depend on the machine happens in [`crate::setup`].
//! The options of each group of commands stand in a file of their own.

mod access;
mod bench;
mod cases;
mod events;
mod judge;
mod keep;
mod serve;

pub(crate) use access::{
    AccessArgs, AccessCommand, AuditArgs, AuditCommand, TokenArgs, TokenCommand, UserArgs, UserCommand,
};
pub(crate) use bench::{
    BenchArgs, BenchCommand, EmbeddingBenchArgs, InferenceBenchArgs, IngestBenchArgs, IngestWork,
    IngestWorkerArgs, PageArgs, SigmaWorkerArgs, SoakArgs, VectorBenchArgs, VectorWorkerArgs, WorkerArgs,
};
pub(crate) use cases::{
    AskArgs, CasesArgs, CasesCommand, ExportArgs, Exported, InvestigateArgs, McpArgs, WhichArgs,
};
pub(crate) use events::{IngestArgs, SearchArgs};
pub(crate) use judge::{EvalArgs, OutsideSuite, PlanArgs, PlaybookArgs, PlaybookCommand, PlaybookTestArgs};
pub(crate) use keep::{
    BundleApplyArgs, BundleArgs, BundleCommand, DoctorArgs, ManualArgs, PlaceArgs, SupportArgs,
};
pub(crate) use serve::{DoorArgs, ReceiveArgs, ServeArgs};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  casemate ingest /var/log/export.zip
  casemate investigate --all --site site.toml
  casemate serve
  casemate search 'user:alice AND process:powershell.exe'
  casemate doctor";

/// Investigates security alerts on a local model. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "casemate", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options every subcommand takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Directory that holds events, indexes, alerts and investigations
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "casemate-data",
        env = "CASEMATE_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Directory that holds `rules/` and `playbooks/`
    #[arg(long, global = true, value_name = "DIR", default_value = "config", env = "CASEMATE_CONFIG")]
    pub(crate) config: PathBuf,
    /// Directory that holds the model files
    #[arg(long, global = true, value_name = "DIR", default_value = "models", env = "CASEMATE_MODELS")]
    pub(crate) models: PathBuf,
    /// Further directory of Sigma rules; may be given several times
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) rules: Vec<PathBuf>,
    /// Directory of mapping files (`NAME.toml`) for formats of the site; one of a built-in name takes its place
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) mappings: Option<PathBuf>,
    /// Leave aside what bundles brought; else it takes the place of what is in --config and --models
    #[arg(long, global = true)]
    pub(crate) without_bundle: bool,
    /// Directory of the release that is active.
    #[arg(skip)]
    pub(crate) release: Option<PathBuf>,
    /// Print one JSON document on stdout; everything else goes to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Keep the right to connect and to open any file, for debugging; else the kernel takes both away
    #[arg(long, global = true)]
    pub(crate) unsealed: bool,
    /// How log lines on stderr are written; under a service manager the journal is told how grave each is
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "CASEMATE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Log more on stderr: -v progress, -vv detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve API and page until Ctrl-C
    #[command(
        after_help = "Examples:\n  casemate serve --listen 127.0.0.1:8470 --no-auth --site site.toml\n  casemate serve --listen 0.0.0.0:8470 --tls\n  \
        casemate serve --syslog-udp 127.0.0.1:5514 --syslog-tcp 127.0.0.1:5514 --watch /var/log/remote"
    )]
    Serve(ServeArgs),
    /// Take in log files and directories, then raise alerts
    #[command(
        after_help = "Formats are recognised by content, never by name: Windows event JSON, EVTX, syslog, \
        auditd, Zeek, Suricata EVE, CloudTrail, CEF, LEEF, key=value, CSV, W3C, JSON lines, plain text; .zip and .gz of \
        them. --mappings adds formats of your own.\n\
        Exit status 1 if anything was quarantined or a file was damaged; what could be read is in all the same.\n\n\
        Examples:\n  casemate ingest export.evtx /var/log/remote/\n  casemate ingest --retry-quarantine"
    )]
    Ingest(IngestArgs),
    /// Find events by text, entity and time, or templates by meaning
    #[command(after_help = "Examples:\n  casemate search 'process:rundll32.exe AND comsvcs' --limit 5\n  \
        casemate search --entity user:alice --after 2026-01-01T00:00:00Z\n  \
        casemate search --semantic 'password dump of lsass'\n  \
        casemate search --hybrid 'who dumped lsass on ws5' --filter 'earliest=-7d'\n  casemate search --tail 'user:alice'\n  casemate search --quarantine")]
    Search(SearchArgs),
    /// Investigate alerts and print the reports
    #[command(
        after_help = "What is done is told as it is done, then verdict, why, what happened, evidence and next steps; in colours \
        on a terminal, unless NO_COLOR is set.\n\n\
        Examples:\n  casemate investigate 3\n  casemate investigate --all --model small\n  \
        casemate investigate --replay 3"
    )]
    Investigate(InvestigateArgs),
    /// Speak the Model Context Protocol over standard input and output, for another program's model on this machine
    #[command(
        after_help = "A client starts it and talks to it; nothing listens, and standard output holds the protocol alone. \
        Whoever runs it may see what is in the data directory; what it does is on record. Where a server has the data \
        directory, point the client at its address instead: http://127.0.0.1:8470/mcp, with a token.\n\n\
        Example:\n  casemate mcp --data-dir /var/lib/casemate\n\nIn the configuration of a client:\n  {\"command\": \"casemate\", \"args\": [\"mcp\", \"--data-dir\", \
        \"/var/lib/casemate\"]}"
    )]
    Mcp(McpArgs),
    /// Ask about a case or the logs in plain words; the answer cites events, or says that it is not known
    #[command(
        after_help = "What can be counted is counted in the store; the rest is read by the model from the events found \
        for it.\n\n\
        Examples:\n  casemate ask 'Which hosts had failed logons yesterday?'\n  casemate ask --case 3 'Which techniques were used?'\n  \
        casemate ask --model none --json 'Who ran vssadmin.exe on fs01?'\n  casemate ask --eval tests/data/ask/questions.jsonl"
    )]
    Ask(AskArgs),
    /// Measure how good the verdicts are, on labelled cases, beside baselines; decide whether a change may be used
    #[command(after_help = "Figures have intervals of 95 %, drawn over families of cases. `malicious` and \
        `suspicious` count as attack, `inconclusive` as abstained. Labels, titles, file names and paths reach no \
        prompt and no feature.\n\
        Exit status 1 if a case could not be run, or the gate refused.\n\n\
        Examples:\n  casemate eval --scenarios cases/scenarios.jsonl --root cases --report eval-report/\n  \
        casemate eval --scenarios cases/scenarios.jsonl --root cases --split dev --limit 50 --free-form 10 --json\n  \
        casemate eval --gate new-model.gguf")]
    Eval(EvalArgs),
    /// List cases, and close or reopen them
    #[command(after_help = "Examples:\n  casemate cases --open\n  casemate cases show 3\n  \
        casemate cases close 3 --verdict benign --reason 'the scanner of change 4711' --by mira\n  \
        casemate cases close --alert 7 --verdict malicious --reason 'dumped LSASS' --by mira")]
    Cases(CasesArgs),
    /// Write an investigation or a case as a file: a report, or what another tool takes
    #[command(
        after_help = "Formats: md, html and json for people and programs; stix.json (a STIX 2.1 bundle), \
        navigator.json (a layer of the ATT&CK Navigator), ocsf.json (findings of OCSF 1.6), timeline.csv (also for \
        Timesketch), thehive.json and iris.json (for the API of TheHive and DFIR-IRIS).\n\n\
        Examples:\n  casemate export investigation 3 --format html --out report.html\n  \
        casemate export case 2 --format stix.json,navigator.json,timeline.csv --out case-2/\n  \
        casemate export case 2 --format timeline.csv | less -S"
    )]
    Export(ExportArgs),
    /// Add, change and list users of API and page
    #[command(
        after_help = "The password is asked for, or read from standard input where that is no terminal. Roles: \
        viewer (reads, personal data masked), analyst (and investigates), engineer (and manages), auditor (reads, and the \
        audit record), admin, sensor (only sends in).\n\n\
        Examples:\n  casemate user add mira --role analyst\n  casemate user disable mira\n  casemate user list"
    )]
    User(UserArgs),
    /// Make, revoke and list tokens of programs
    #[command(
        after_help = "A token is shown once, when it is made, and sent as `Authorization: Bearer TOKEN`, or `Splunk \
        TOKEN`, or as the password of basic authentication.\n\n\
        Examples:\n  casemate token create rsyslog-dmz --role sensor\n  \
        casemate token create soar --scopes read,investigate --days 90\n  casemate token revoke rsyslog-dmz"
    )]
    Token(TokenArgs),
    /// Let in holders of certificates, users of this machine, and those an identity provider vouches for
    #[command(
        after_help = "Certificates are those shown over TLS (`serve --tls --api-client-ca`), users of this machine \
        those at the other end of a socket (`serve --listen unix:PATH`). An identity provider is described by a JSON file \
        with issuer, audience, keys (a file with its public keys, a JSON Web Key Set), roles_claim and roles; it is never \
        connected to.\n\n\
        Examples:\n  casemate access add-certificate soar --role analyst --file soar.pem\n  \
        casemate access add-peer collectd --role sensor --uid 998\n  casemate access list"
    )]
    Access(AccessArgs),
    /// Verify, activate and take back what a bundle brings: models, rules, playbooks, heads, mappings
    #[command(
        after_help = "A bundle is made and signed by `casemate-stage bundle` on the connected side, and comes as one \
        or several volumes. Nothing of it is interpreted before its signatures hold. What it brings is judged on the suite \
        of cases beside what is active, and activated only if no figure is worse.\n\
        Exit status 1 if the gate refuses it, 2 if it is no bundle that may be applied here.\n\n\
        Examples:\n  casemate bundle trust /media/usb/1.root.json\n  casemate bundle verify /media/usb/site-7.*.tar\n  \
        casemate bundle apply /media/usb/site-7.1of2.tar\n  casemate bundle rollback"
    )]
    Bundle(BundleArgs),
    /// Show and verify the record of who did what
    #[command(
        after_help = "The record lies in audit/ of the data directory, as JSON lines, each with the SHA-256 of the line \
        before it, and checkpoints signed with a key of the data directory. Keep checkpoints and the key elsewhere: \
        `--checkpoint` and `--key` then show that nothing up to them was changed or cut off.\n\
        Exit status 1 if the record does not hold.\n\n\
        Examples:\n  casemate audit verify --checkpoint 4711:9f86d081884c7d65… --key /mnt/usb/key.pub\n  \
        casemate audit show --limit 50\n  casemate audit checkpoint"
    )]
    Audit(AuditArgs),
    /// Say how many alerts a day this machine can hold, measured on it, and what more would need
    #[command(
        after_help = "Takes about a minute: alerts of the data directory, or of the sample incident where it has \
        none, go through the real pipeline with the real model.\n\nExample:\n  casemate plan --alerts-per-day 1000"
    )]
    Plan(PlanArgs),
    /// Check playbooks, and run the tests that they carry
    #[command(
        after_help = "Examples:\n  casemate playbook check config/playbooks/web.toml\n  casemate playbook test"
    )]
    Playbook(PlaybookArgs),
    /// Measure speed, memory and exactness, against other engines where a Python has them
    #[command(after_help = "Examples:\n  casemate bench inference --json\n  \
        casemate bench inference --peer llama.cpp,openvino --peer-python /opt/peers/bin/python\n  \
        casemate bench inference --quality --peer stock-candle\n  casemate bench embedding --peer stock-candle")]
    Bench(BenchArgs),
    /// Copy events, alerts and investigations to a directory
    #[command(
        after_help = "Segments are linked where the directory is on the same file system: copy it elsewhere.\n\n\
        Example:\n  casemate backup /mnt/usb/casemate-2026-11-25"
    )]
    Backup(PlaceArgs),
    /// Make an empty data directory what it was when a backup was made, and verify it
    #[command(
        after_help = "Example:\n  casemate restore /mnt/usb/casemate-2026-11-25 --data-dir casemate-data"
    )]
    Restore(PlaceArgs),
    /// Write what somebody who helps needs to see: numbers, versions, states, and nothing of what was logged
    #[command(after_help = "Example:\n  casemate support-bundle casemate-support.json")]
    SupportBundle(SupportArgs),
    /// Write manual pages and completions of shells
    #[command(hide = true, after_help = "Example:\n  casemate manual /tmp/casemate")]
    Manual(ManualArgs),
    /// Say whether models, indexes, processor and sealing are as they should be
    #[command(after_help = "Example:\n  casemate doctor --json")]
    Doctor(DoctorArgs),
}

impl Global {
    /// A part of the configuration, such as `rules`: what a bundle brought, else what is in `--config`.
    pub(crate) fn config_part(&self, name: &str) -> PathBuf {
        let brought = self.release.as_ref().map(|release| release.join("config").join(name));
        brought.filter(|path| path.exists()).unwrap_or_else(|| self.config.join(name))
    }

    /// Where models are looked for, in this order.
    pub(crate) fn model_dirs(&self) -> Vec<PathBuf> {
        let brought = self.release.as_ref().map(|release| release.join("models"));
        brought.into_iter().chain([self.models.clone()]).collect()
    }
}

/// Which model investigates, and what the site says of itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// Model that reads the evidence: `default`, `small`, `tiny`, the path of a GGUF file, or `none` for a
    /// report from rules and facts alone
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
    /// Learned head that turns evidence into a probability; `none` for the table of weights that reports name
    /// [default: heads/default.json in --config, where it is]
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// What the site says of itself: assets, administrators, approved tools, tickets, maintenance (a directory of TOML
    /// and CSV files, or one TOML file; `site/` in the configuration if not given)
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) site: Option<PathBuf>,
    /// Most seconds of machine time for one alert; past them the report is made of rules and facts, and says so
    #[arg(long, value_name = "N")]
    pub(crate) budget_seconds: Option<u32>,
    /// Most tokens that the model reads and writes for one alert; likewise
    #[arg(long, value_name = "N")]
    pub(crate) budget_tokens: Option<u64>,
}

impl ModelArgs {
    pub(crate) fn budget(&self) -> casemate_investigate::Budget {
        casemate_investigate::Budget { seconds: self.budget_seconds, tokens: self.budget_tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("casemate "), "{} has no example", command.get_name());
        }
    }
}
