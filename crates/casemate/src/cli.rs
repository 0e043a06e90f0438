//! What may be typed. Resolution of defaults that depend on the machine happens in [`crate::setup`].

use casemate_access::{Role, Scopes};
use casemate_export::Format;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
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

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: ADDRESS:PORT, or unix:PATH for a socket of this machine. What others can reach needs --tls
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8470")]
    pub(crate) listen: casemate_server::Address,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Investigate alerts only when asked to, instead of every one, the most urgent first
    #[arg(long)]
    pub(crate) only_when_asked: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) receive: ReceiveArgs,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
}

/// Who is let in to API and page, and how connections are protected.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct DoorArgs {
    /// Ask nobody who they are: whoever reaches the loopback address or socket may do everything
    #[arg(long)]
    pub(crate) no_auth: bool,
    /// Serve over TLS: with --tls-cert and --tls-key, or else a certificate made at first start, whose fingerprint is
    /// printed (tls/ in the data directory)
    #[arg(long)]
    pub(crate) tls: bool,
    /// Take certificates of clients signed by one of these, in PEM, as a proof of who they are (`casemate access`)
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) api_client_ca: Option<PathBuf>,
}

/// What `serve` keeps, and where it is copied.
#[derive(Debug, Args)]
#[command(next_help_heading = "Retention and backup")]
pub(crate) struct KeepArgs {
    /// Delete events this many days after they came in. Counted from then, not from the times they state; whole
    /// segments go, at most a day late
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) keep_days: Option<u32>,
    /// Delete the oldest events when segments take more than this many gigabytes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_gb: Option<u32>,
    /// Directory in which `POST /v1/backups` makes a backup while the server runs. A medium has to be mounted there
    /// when the server starts: what comes later is not the server's
    #[arg(long, value_name = "DIR")]
    pub(crate) backup_dir: Option<PathBuf>,
}

impl KeepArgs {
    pub(crate) fn retention(&self) -> casemate_store::Retention {
        casemate_store::Retention {
            max_age: self.keep_days.map(|days| jiff::SignedDuration::from_hours(24 * i64::from(days))),
            max_bytes: self.keep_gb.map(|gigabytes| u64::from(gigabytes) * 1_000_000_000),
        }
    }
}

/// What `serve` receives besides HTTP.
#[derive(Debug, Args)]
#[command(next_help_heading = "Receivers")]
pub(crate) struct ReceiveArgs {
    /// Receive syslog over UDP on this address and port; may be given several times. UDP can lose records; they
    /// are counted
    #[arg(long, value_name = "ADDR")]
    pub(crate) syslog_udp: Vec<SocketAddr>,
    /// Receive syslog over TCP (octet counting and newlines); may be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) syslog_tcp: Vec<SocketAddr>,
    /// Receive syslog over TLS; may be given several times
    #[arg(long, value_name = "ADDR", requires_all = ["tls_cert", "tls_key"])]
    pub(crate) syslog_tls: Vec<SocketAddr>,
    /// Certificate of this site, in PEM, then those that signed it
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Take syslog over TLS only from senders with a certificate signed by one of these, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Follow this file, or the files in this directory, as they grow; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(crate) watch: Vec<PathBuf>,
    /// Let the syslog receivers listen on addresses other than loopback. Syslog is not authenticated: whoever
    /// reaches the port can send any record, unless it is TLS with --tls-client-ca
    #[arg(long)]
    pub(crate) syslog_from_network: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files and directories
    #[arg(required_unless_present = "retry_quarantine", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Decode quarantined records again, after an update or with a mapping added; those understood become events
    #[arg(long)]
    pub(crate) retry_quarantine: bool,
    /// Take in files again even if the same bytes were taken in before
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words and field:value terms, joined by AND unless OR is written; all events if left out
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// Only events that name one of these, written kind:value (host, user, ip, process, file, hash, domain,
    /// registry, asset, process_id)
    #[arg(long, value_name = "KIND:VALUE")]
    pub(crate) entity: Vec<String>,
    /// Only events at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<jiff::Timestamp>,
    /// Only events before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<jiff::Timestamp>,
    /// Most results to print
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Search message templates by meaning instead of events by words
    #[arg(long, conflicts_with_all = ["entity", "after", "before", "quarantine"], requires = "query")]
    pub(crate) semantic: bool,
    /// Take the query as plain words: find events by words, entities and meaning at once, and say how
    #[arg(long, conflicts_with_all = ["semantic", "quarantine"], requires = "query")]
    pub(crate) hybrid: bool,
    /// With --hybrid: only events that match this query
    #[arg(long, value_name = "QUERY", requires = "hybrid", default_value = "")]
    pub(crate) filter: String,
    /// Print each event as a document of the Elastic Common Schema (8.17), one a line
    #[arg(long, conflicts_with_all = ["semantic", "hybrid", "quarantine"])]
    pub(crate) ecs: bool,
    /// Follow new events that match as they come in, until Ctrl-C; also beside a running server. With --json each is a
    /// document on a line of its own
    #[arg(long, conflicts_with_all = ["semantic", "hybrid", "quarantine", "limit"])]
    pub(crate) tail: bool,
    /// List quarantined records instead; the query is then a text in the record or its source
    #[arg(long, conflicts_with_all = ["entity", "after", "before"])]
    pub(crate) quarantine: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InvestigateArgs {
    /// Numbers of the alerts
    #[arg(required_unless_present_any = ["all", "event"], value_name = "ALERT")]
    pub(crate) alerts: Vec<u64>,
    /// Every alert that has no investigation yet
    #[arg(long, conflicts_with = "alerts")]
    pub(crate) all: bool,
    /// An event that no rule made an alert of: raises one about it and investigates that; several go together
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["alerts", "all"])]
    pub(crate) event: Vec<u64>,
    /// Make these investigations again from what was retrieved for them then, store nothing, and say whether they come
    /// out the same byte for byte; exit status 1 if not
    #[arg(long, conflicts_with_all = ["all", "event"])]
    pub(crate) replay: bool,
    /// Print the reports in Markdown, as tickets take them
    #[arg(long, conflicts_with_all = ["replay", "json"])]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The question
    #[arg(required_unless_present = "eval", value_name = "QUESTION")]
    pub(crate) question: Option<String>,
    /// Number of the case that it is about
    #[arg(long, value_name = "N", conflicts_with = "alert")]
    pub(crate) case: Option<u64>,
    /// Number of the alert, and of its investigation, that it is about
    #[arg(long, value_name = "N")]
    pub(crate) alert: Option<u64>,
    /// Only events not earlier than this (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<jiff::Timestamp>,
    /// Only events not later than this
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<jiff::Timestamp>,
    /// Ask the questions of this file (JSON lines, as tests/data/ask/README.md says), and print how many are answered rightly
    #[arg(long, value_name = "FILE", conflicts_with_all = ["question", "case", "alert", "after", "before"])]
    pub(crate) eval: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) what: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List all
    List,
    /// Add a user, with a password of at least 12 characters
    Add {
        name: String,
        #[arg(long)]
        role: Role,
    },
    /// Set another password; sessions end
    Password { name: String },
    /// Set what a user may do; sessions end
    Role {
        name: String,
        #[arg(long)]
        role: Role,
    },
    /// Mask personal data for a user (`redaction.toml` in --config says what that is)
    Redact {
        name: String,
        /// Mask nothing any more
        #[arg(long)]
        off: bool,
    },
    /// Keep a user out until enabled again; sessions end
    Disable { name: String },
    /// Let a disabled user in again
    Enable { name: String },
    /// Remove a user for good
    Remove { name: String },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) what: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List all, without their secrets, which nobody knows any more
    List,
    /// Make one; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may do, by the name of a role
        #[arg(long, conflicts_with = "scopes")]
        role: Option<Role>,
        /// What it may do: ingest, read, investigate, manage, audit, admin; separated by commas
        #[arg(long)]
        scopes: Option<Scopes>,
        /// Days until it ends by itself
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// Mask personal data for its holder
        #[arg(long)]
        redact: bool,
    },
    /// Let it in no more, from the next second on
    Revoke {
        /// Its id or name
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    pub(crate) what: AccessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List everybody who is let in
    List,
    /// Let in the holder of this certificate
    AddCertificate {
        name: String,
        #[arg(long)]
        role: Role,
        /// Mask personal data for its holder
        #[arg(long)]
        redact: bool,
        /// The certificate, in PEM
        #[arg(long)]
        file: PathBuf,
    },
    /// Let it in no more
    RemoveCertificate { name: String },
    /// Let in a user or group of this machine, by the Unix socket
    AddPeer {
        name: String,
        #[arg(long)]
        role: Role,
        /// Mask personal data for them
        #[arg(long)]
        redact: bool,
        #[arg(long, conflicts_with = "gid")]
        uid: Option<u32>,
        #[arg(long)]
        gid: Option<u32>,
    },
    /// Let them in no more
    RemovePeer { name: String },
    /// Take the word of an identity provider of the site
    SetProvider {
        /// What is known of it, in JSON
        file: PathBuf,
    },
    /// Take its word no more
    RemoveProvider,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    #[command(subcommand)]
    pub(crate) what: BundleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Pin the publisher's root: once, before the first bundle
    Trust {
        /// `N.root.json`, its signatures beside it
        root: PathBuf,
    },
    /// Check every signature, version, date and byte; write nothing
    Verify {
        #[arg(required = true, value_name = "VOLUME")]
        volumes: Vec<PathBuf>,
    },
    /// Verify, stage, judge and activate; volumes on several media one after another
    Apply(BundleApplyArgs),
    /// List releases: active, earlier, staged
    List,
    /// Make the release before the active one active again
    Rollback,
    /// Remove what is staged and not activated
    Discard,
}

#[derive(Debug, Args)]
pub(crate) struct BundleApplyArgs {
    #[arg(required = true, value_name = "VOLUME")]
    pub(crate) volumes: Vec<PathBuf>,
    /// Let in what has expired, or what a clock that was set back speaks against; noted with --reason
    #[arg(long, requires = "reason")]
    pub(crate) override_expiry: bool,
    /// Activate although the gate refuses; noted with --reason
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Model that answers while it is judged; answers weigh nothing in the head that ships
    #[arg(long, value_name = "NAME|PATH", default_value = "none")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) what: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every number, hash and signature; works beside a running server
    Verify {
        /// A checkpoint kept elsewhere, written N:HASH; may be given several times
        #[arg(long, value_name = "N:HASH")]
        checkpoint: Vec<casemate_audit::Head>,
        /// Public key kept elsewhere
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Directory of a record, such as one of a backup [default: audit/ of the data directory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the newest lines, newest first
    Show {
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only lines numbered below this one
        #[arg(long, value_name = "N")]
        before: Option<u64>,
    },
    /// Sign the record as far as it goes, and print what is to be kept elsewhere
    Checkpoint,
    /// Have a new key sign from here on; the old one signs it
    RotateKey,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Labelled cases, one JSON object a line; without it, the shipped suite (`suite/` in --config)
    #[arg(long, value_name = "FILE")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Directory that the paths of the cases start from; without it, that of --scenarios
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Only cases of this split
    #[arg(long, value_name = "NAME", requires = "scenarios")]
    pub(crate) split: Option<String>,
    /// Only so many cases, chosen by --seed
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only this case; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Seed of intervals and samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write a report with plots (Markdown, HTML, SVG) into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Keep what was observed here: a second run of the same program over the same cases only scores
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Ask the model once in free form about so many cases, as a baseline; with --suite, let it pick among the
    /// candidates of so many questions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) free_form: usize,
    /// Plant so many texts of an attacker into each alert of an attack, one at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) canaries: usize,
    /// Cases run at once; with a model always one, so that seconds mean something
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Answer the questions of an outside suite instead, from its files under --root
    #[arg(long, value_name = "NAME", requires = "root", conflicts_with_all = ["scenarios", "gate", "fit"])]
    pub(crate) suite: Option<OutsideSuite>,
    /// Fit a head on the cases, write it to this file, and print the figures of its cross-validation: every case
    /// judged by a fit that did not see its family
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gate", "free_form"])]
    pub(crate) fit: Option<PathBuf>,
    /// Fit only on cases whose licence lets the head be shipped (MIT, Apache-2.0, BSD, CC0)
    #[arg(long, requires = "fit")]
    pub(crate) shippable: bool,
    /// Correct the head that judges now by the alerts that this site has closed, beside the cases
    #[arg(long, requires = "fit", conflicts_with_all = ["shippable", "layer"])]
    pub(crate) closed: bool,
    /// Model whose inner states the fitted head's probe reads; `none` for a head without a probe
    #[arg(long, value_name = "NAME|PATH", default_value = "tiny", requires = "fit")]
    pub(crate) reader: String,
    /// Layer after which the states are taken [default: half way up]
    #[arg(long, value_name = "N", requires = "fit")]
    pub(crate) layer: Option<usize>,
    /// Compare this model (name or GGUF file), head (.json) or directory of playbooks with what is active, on the
    /// shipped suite and the cases this site has closed, and refuse a regression
    #[arg(long, value_name = "CANDIDATE", conflicts_with_all = ["report", "free_form", "cache"])]
    pub(crate) gate: Option<String>,
    /// Accept the candidate all the same; noted in the record of decisions
    #[arg(long, requires = "gate")]
    pub(crate) force: bool,
    /// Who decides, for the record
    #[arg(long, value_name = "NAME", requires = "gate", env = "USER", default_value = "operator")]
    pub(crate) by: String,
}

/// A suite that others made.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum OutsideSuite {
    /// ExCyTIn-Bench: questions that the alert rows of its incidents answer
    Excytin,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Alerts on a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) alerts_per_day: u32,
    /// Seconds to measure for; at least one alert is measured
    #[arg(long, value_name = "N", default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) measure_seconds: u32,
    /// Measure on the sample incident even where the site has alerts
    #[arg(long)]
    pub(crate) sample: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CasesArgs {
    /// Only cases that are open
    #[arg(long)]
    pub(crate) open: bool,
    /// Most cases to list, newest first [default: 50; with --json all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    #[command(subcommand)]
    pub(crate) command: Option<CasesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// One case, its alerts, and why each is part of it
    Show {
        /// Number of the case
        id: u64,
    },
    /// Say what a case was. It then helps to judge alerts like it, and no later alert becomes part of it
    Close {
        #[command(flatten)]
        which: WhichArgs,
        /// What it was
        #[arg(long)]
        verdict: ClosedAs,
        /// Why, for colleagues
        #[arg(long)]
        reason: String,
    },
    /// Open a closed case again
    Reopen {
        #[command(flatten)]
        which: WhichArgs,
    },
}

/// Which case or alert, and who says so.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Number of the case, or of the alert with --alert
    pub(crate) id: u64,
    /// The number is that of one alert
    #[arg(long)]
    pub(crate) alert: bool,
    /// Who you are, for the record
    #[arg(long, env = "USER")]
    pub(crate) by: String,
}

/// What a closed case was.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ClosedAs {
    /// An attack
    Malicious,
    /// No attack
    Benign,
}

impl From<ClosedAs> for casemate_event::Disposition {
    fn from(verdict: ClosedAs) -> Self {
        match verdict {
            ClosedAs::Malicious => Self::Malicious,
            ClosedAs::Benign => Self::Benign,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PlaybookArgs {
    #[command(subcommand)]
    pub(crate) command: PlaybookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookCommand {
    /// Say whether playbooks are valid; a mistake is named with file, line, column, key and what to do
    #[command(
        after_help = "Exit status 2 if one is not.\n\nExample:\n  casemate playbook check config/playbooks/web.toml"
    )]
    Check {
        /// Files, and directories of them; those of --config if left out
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Run the tests written in playbooks: which playbook is chosen, what facts hold and what they answer
    #[command(after_help = "Exit status 1 if a test fails, 2 if a playbook is not valid.\n\n\
        Examples:\n  casemate playbook test\n  casemate playbook test my-playbook.toml --model small")]
    Test(PlaybookTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlaybookTestArgs {
    /// Files, and directories of them; those of --config if left out
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Model whose answers are compared too: `default`, `small`, `tiny` or the path of a GGUF file
    #[arg(long, value_name = "NAME|PATH", default_value = "none")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The decoder: tokens per second, memory, load; with --quality its distance from exact arithmetic
    #[command(after_help = "Example:\n  casemate bench inference --rows prefill_2048,decode_512 --isa avx2")]
    Inference(InferenceBenchArgs),
    /// The embedder: texts per second, and its distance from exact arithmetic
    #[command(after_help = "Example:\n  casemate bench embedding --peer stock-candle --json")]
    Embedding(EmbeddingBenchArgs),
    /// Intake: records per second parsed, and made durable and searchable; disk and memory
    #[command(after_help = "Example:\n  casemate bench ingest --data logs/ --peer tantivy --json")]
    Ingest(IngestBenchArgs),
    /// The vector index: queries per second at a recall of 0.95, opening, memory and disk
    #[command(
        after_help = "Example:\n  casemate bench vector --data logs/ --peer usearch --peer-python /opt/peers/bin/python"
    )]
    Vector(VectorBenchArgs),
    /// The pages: how long until their first byte, and until they can be used, beside many events and an investigation
    #[command(
        after_help = "Example:\n  casemate bench page --keep /var/tmp/site --browser node_modules/.. --json"
    )]
    Page(PageArgs),
    /// The whole server for a time: events, alerts and readers at once; how long reads wait, whether memory grows
    #[command(
        after_help = "Example:\n  casemate bench soak --minutes 30 --events-per-second 5000 --alerts-per-day 3000"
    )]
    Soak(SoakArgs),
    /// Our side of `bench vector`, in a process of its own
    #[command(hide = true)]
    VectorWorker(VectorWorkerArgs),
    /// A measurement of `bench ingest`, in a process of its own
    #[command(hide = true)]
    IngestWorker(IngestWorkerArgs),
    /// Our side of the row `sigma_evtx`, in a process of its own
    #[command(hide = true)]
    SigmaWorker(SigmaWorkerArgs),
    /// Our side of `bench inference`, in a process of its own
    #[command(hide = true)]
    Worker(WorkerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Events in the store
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) events: u64,
    /// Intrusions among them, each of which raises alerts
    #[arg(long, default_value_t = 1000)]
    pub(crate) intrusions: u64,
    /// Times each page is asked for
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: usize,
    /// Keep the store here, and go on with the one that is here
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Folder whose `node_modules` hold playwright-core: pages are opened in Chromium too
    #[arg(long, value_name = "DIR")]
    pub(crate) browser: Option<PathBuf>,
    /// Model that investigates meanwhile: `default`, `small`, `tiny`, the path of a GGUF file, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// Minutes measured
    #[arg(long, default_value_t = 30)]
    pub(crate) minutes: u64,
    /// Minutes before that: until the model keeps as many read prompts as it may, memory grows
    #[arg(long, default_value_t = 10)]
    pub(crate) warm_up: u64,
    #[arg(long, default_value_t = 5000)]
    pub(crate) events_per_second: u64,
    #[arg(long, default_value_t = 3000)]
    pub(crate) alerts_per_day: u32,
    /// Model that investigates: `default`, `small`, `tiny`, the path of a GGUF file, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct InferenceBenchArgs {
    /// Model measured: `default`, `small`, `tiny` or the path of a GGUF file
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
    /// Model of the row `prefill_2048_tiny` and of the second pair of quality rows, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "tiny")]
    pub(crate) tiny: String,
    /// Engines measured beside ours: llama.cpp, openvino; with --quality also stock-candle
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Python in which the peers are installed (llama-cpp-python, openvino-genai)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "quality")]
    pub(crate) rows: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Instruction set of our kernels instead of the best: portable, neon, avx2, avx512-vnni, amx
    #[arg(long, value_name = "NAME")]
    pub(crate) isa: Option<casemate_inference::Isa>,
    /// Threads instead of one per core
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Compare next-token distributions with those of exact arithmetic instead
    #[arg(long)]
    pub(crate) quality: bool,
    /// Directory of log files whose text --quality is measured on
    #[arg(long, value_name = "DIR", default_value = "tests/data")]
    pub(crate) text: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EmbeddingBenchArgs {
    /// Engine measured beside ours: stock-candle
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Directory of log files whose lines are embedded
    #[arg(long, value_name = "DIR", default_value = "tests/data")]
    pub(crate) text: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VectorBenchArgs {
    /// Directory of real logs whose templates and lines are embedded
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub(crate) data: PathBuf,
    /// Vectors in the index; those beyond the real ones are real ones with small changes
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) vectors: usize,
    /// Texts embedded at most
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) real: usize,
    /// Lines held out as queries
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Measure opening an index of so many, too: made from the others by small changes, and built in minutes and 6 GB
    /// of memory per million
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) open_vectors: usize,
    /// Links of a point on the upper layers, half of those on the lowest
    #[arg(long, value_name = "N", default_value_t = casemate_vector::Params::default().m)]
    pub(crate) m: usize,
    /// Engine measured beside ours: usearch
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Python in which the peer is installed (usearch, numpy)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Directory for what is written while measuring; the embeddings are kept there for the next run
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VectorWorkerArgs {
    /// Directory of vectors and queries
    pub(crate) scratch: PathBuf,
    pub(crate) dimension: usize,
    pub(crate) k: usize,
    #[arg(long)]
    pub(crate) m: usize,
}

#[derive(Debug, Args)]
pub(crate) struct IngestBenchArgs {
    /// Directory of real logs that is measured on: linux/, vendor-syslog/, loghub/, windows-json/, zeek/,
    /// evtx/, sigma/
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub(crate) data: PathBuf,
    /// Records of each measurement
    #[arg(long, value_name = "N", default_value_t = 400_000)]
    pub(crate) events: u64,
    /// Engines beside ours: tantivy; in the row `sigma_evtx` rsigma, and pysigma, with which hits are compared
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// The `rsigma` command (0.23) that the peer rsigma is
    #[arg(long, value_name = "PATH", default_value = "rsigma")]
    pub(crate) rsigma: PathBuf,
    /// Python in which the peer pysigma is installed (pysigma-backend-sqlite, pysigma-pipeline-sysmon,
    /// pysigma-pipeline-windows, evtx)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Directory for what is written while measuring
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Fill a data directory with so many events, open it and ask it, instead of the usual rows
    #[arg(long, value_name = "N")]
    pub(crate) scale: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestWorkerArgs {
    pub(crate) work: IngestWork,
    pub(crate) files: Vec<PathBuf>,
    /// Directory written to
    #[arg(long)]
    pub(crate) into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum IngestWork {
    Parse,
    Durable,
    Tantivy,
    Search,
    Hybrid,
}

impl IngestWork {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Durable => "durable",
            Self::Tantivy => "tantivy",
            Self::Search => "search",
            Self::Hybrid => "hybrid",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SigmaWorkerArgs {
    /// Event logs
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Rules
    #[arg(long, value_name = "DIR")]
    pub(crate) sigma: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// GGUF file
    pub(crate) model: PathBuf,
    #[arg(long)]
    pub(crate) isa: Option<casemate_inference::Isa>,
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Directory of the backup
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What is written
    pub(crate) what: Exported,
    /// Number of the alert that was investigated, or of the case
    pub(crate) id: u64,
    /// In which formats, separated by commas
    #[arg(long, value_name = "FORMAT", required = true, value_delimiter = ',', value_parser = format_parser())]
    pub(crate) format: Vec<Format>,
    /// File, or a directory for files named after what they are; several formats need a directory [default: standard
    /// output]
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Exported {
    /// The investigation of one alert
    Investigation,
    /// A case with all its investigations
    Case,
}

/// Formats by their extensions.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::extension)).try_map(|extension| {
        Format::of_extension(&extension).ok_or_else(|| format!("there is no format {extension}"))
    })
}

#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    /// File written, in JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// Directory for man/ and completions/
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Skip hashing the model files and reading all segments
    #[arg(long)]
    pub(crate) quick: bool,
    /// Hash what is active again, files that bundles brought among it, and verify the audit record
    #[arg(long, conflicts_with = "quick")]
    pub(crate) verify: bool,
    /// Make anew what is damaged in segments but the events themselves
    #[arg(long, conflicts_with = "quick")]
    pub(crate) repair: bool,
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
