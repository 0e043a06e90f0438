//! `casemate-stage demo`: one command from nothing to investigated alerts. It works through the appliance's own
//! command line, in separate processes, and knows nothing of the appliance but what that prints as JSON.

use crate::appliance::{self, Runner};
use crate::cli::{DemoArgs, FetchArgs};
use crate::error::Error;
use crate::fetch;
use crate::progress::{human, own_peak_rss_bytes};
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

const SAMPLE_SITE: &str = "tests/data/incident/site.toml";
/// Its logs. What lies beside them tells the truth about the incident and is for readers only.
const SAMPLE_LOGS: &str = "tests/data/incident/logs";
/// What tells a directory that a demo made from one that somebody needs.
const MARKER: &str = ".casemate-demo";

/// What a stage took.
#[derive(Debug, Serialize)]
struct Stage {
    name: &'static str,
    seconds: f64,
    peak_rss_bytes: Option<u64>,
    /// For the table: how much was done.
    #[serde(skip)]
    work: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    let demo = Demo::prepare(args)?;
    let mut stages = vec![demo.fetch_models()?];
    let runner = Runner::start()?;

    let start = Instant::now();
    let casemate = appliance::locate(&runner, &demo.root)?;
    stages.push(Stage { name: "build", seconds: since(start), peak_rss_bytes: None, work: String::new() });

    claim(&demo.data_dir)?;
    stages.push(demo.ingest(&runner, &casemate)?);
    let (stage, document) = demo.investigate(&runner, &casemate)?;
    stages.push(stage);

    let investigations = document["investigations"].as_array().map_or(&[][..], Vec::as_slice);
    if args.json {
        let summaries: Vec<_> = investigations.iter().map(summary).collect();
        println!("{:#}", json!({ "stages": stages, "investigations": summaries }));
    } else {
        for investigation in investigations {
            println!(
                "{}\n",
                investigation["markdown"].as_str().unwrap_or("(this report has no text)").trim_end()
            );
        }
    }
    print_table(&stages);
    if args.once {
        return Ok(ExitCode::SUCCESS);
    }
    demo.serve(&runner, &casemate)
}

/// Everything resolved and checked before anything slow begins.
struct Demo {
    root: PathBuf,
    data_dir: PathBuf,
    models: PathBuf,
    model: String,
    listen: SocketAddr,
}

impl Demo {
    fn prepare(args: &DemoArgs) -> Result<Self> {
        let usage = |text: String| Err(Error::Usage(text).into());
        let Some(root) = workspace::root() else {
            return usage("no checkout of Casemate above this directory; run the demo from one".into());
        };
        if !root.join(SAMPLE_LOGS).is_dir() {
            return usage(format!(
                "{} is missing; the checkout is incomplete",
                root.join(SAMPLE_LOGS).display()
            ));
        }
        if !args.listen.ip().is_loopback() {
            return usage(format!("{} is not a loopback address; use 127.0.0.1:PORT", args.listen));
        }
        if !args.once {
            ensure_free(args.listen)?;
        }
        let data_dir = args.data_dir.clone().unwrap_or_else(|| root.join("casemate-data/demo"));
        let data_dir = workspace::absolute(&data_dir);
        ensure_ours(&data_dir)?;
        let model = match args.model.as_str() {
            name @ ("default" | "small" | "tiny" | "none") => name.to_owned(),
            path if Path::new(path).is_file() => workspace::absolute(Path::new(path)).display().to_string(),
            other => return usage(format!("{other:?} is neither default, small, tiny, none nor a file")),
        };
        let models = workspace::models_dir(args.models.as_deref());
        Ok(Self { root, data_dir, models, model, listen: args.listen })
    }

    fn fetch_models(&self) -> Result<Stage> {
        let start = Instant::now();
        let investigator = match self.model.as_str() {
            "default" => Some("investigator"),
            role @ ("small" | "tiny") => Some(role),
            _ => None,
        };
        // The tiny one reads for the probe of the head that ships.
        let mut only: Vec<String> = ["embedder", "tiny"].map(str::to_owned).into();
        only.extend(investigator.filter(|role| *role != "tiny").map(str::to_owned));
        let args = FetchArgs { models: Some(self.models.clone()), only, ..FetchArgs::default() };
        let files = fetch::fetch(&args)?.len();
        let work = format!("{files} files in place");
        Ok(Stage { name: "fetch", seconds: since(start), peak_rss_bytes: own_peak_rss_bytes(), work })
    }

    fn ingest(&self, runner: &Runner, casemate: &Path) -> Result<Stage> {
        let mut command = self.command(casemate, "ingest");
        command.arg("--json").arg(SAMPLE_LOGS);
        let (status, document, seconds) = run_for_json(runner, &mut command)?;
        // Status 1 with a document means that something was quarantined: the rest is in, and that is the point.
        let is_done = status.success() || (status.code() == Some(1) && !document.is_null());
        if !is_done {
            bail!("casemate ingest failed ({status}); it says why above");
        }
        let events = count(&document["events"]);
        let mut work = events.map(|events| format!("{events} events")).into_iter().collect::<Vec<_>>();
        work.extend(document["stages"].as_array().into_iter().flatten().filter_map(rate));
        Ok(stage("ingest", &document, seconds, work.join(", ")))
    }

    fn investigate(&self, runner: &Runner, casemate: &Path) -> Result<(Stage, Value)> {
        let mut command = self.command(casemate, "investigate");
        command.args(["--all", "--json", "--model", &self.model]);
        self.add_site(&mut command);
        let (status, document, seconds) = run_for_json(runner, &mut command)?;
        if !status.success() || document.is_null() {
            bail!("casemate investigate failed ({status}); it says why above");
        }
        let alerts = document["investigations"].as_array().map_or(0, Vec::len);
        let work = format!("{alerts} alerts, {:.1} s each", seconds / alerts.max(1) as f64);
        Ok((stage("investigate", &document, seconds, work), document))
    }

    fn serve(&self, runner: &Runner, casemate: &Path) -> Result<ExitCode> {
        let mut command = self.command(casemate, "serve");
        // The demo is one person at one machine.
        command.arg("--no-auth");
        command.args(["--model", &self.model, "--listen", &self.listen.to_string()]);
        self.add_site(&mut command);
        let status = runner.serve(&mut command)?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// A command of the appliance, run where a person reading README would run it.
    fn command(&self, casemate: &Path, subcommand: &str) -> Command {
        let mut command = Command::new(casemate);
        command.current_dir(&self.root).arg(subcommand);
        command.arg("--data-dir").arg(&self.data_dir).arg("--models").arg(&self.models);
        command
    }

    fn add_site(&self, command: &mut Command) {
        let site = Path::new(SAMPLE_SITE);
        if self.root.join(site).is_file() {
            command.arg("--site").arg(site);
        }
    }
}

/// Runs a command that prints one JSON document; null if it printed none.
fn run_for_json(runner: &Runner, command: &mut Command) -> Result<(ExitStatus, Value, f64)> {
    let start = Instant::now();
    let (status, stdout) = runner.capture(command)?;
    Ok((status, serde_json::from_slice(&stdout).unwrap_or_default(), since(start)))
}

fn stage(name: &'static str, document: &Value, seconds: f64, work: String) -> Stage {
    Stage { name, seconds, peak_rss_bytes: document["peak_rss_bytes"].as_u64(), work }
}

/// What a part of a command did in its time: `embed 120 templates/s`.
fn rate(part: &Value) -> Option<String> {
    let (name, unit) = (part["name"].as_str()?, part["unit"].as_str()?);
    let per_second = part["items"].as_f64()? / part["seconds"].as_f64()?.max(0.001);
    Some(format!("{name} {per_second:.0} {unit}/s"))
}

/// A count, whether printed as one number or by kind.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Object(kinds) => Some(kinds.values().filter_map(Value::as_u64).sum()),
        other => other.as_u64(),
    }
}

/// An investigation in the few figures that others parse.
fn summary(investigation: &Value) -> Value {
    let seconds = match &investigation["seconds"] {
        Value::Object(parts) => parts.get("total").cloned().unwrap_or_default(),
        whole => whole.clone(),
    };
    json!({
        "id": investigation["id"],
        "alert": investigation["alert"]["title"],
        "verdict": investigation["verdict"],
        "confidence": investigation["confidence"],
        "convergence": investigation["convergence"],
        "evidence": investigation["cited"],
        "seconds": seconds,
    })
}

fn print_table(stages: &[Stage]) {
    eprintln!("{:<12} {:>9} {:>12}", "stage", "seconds", "peak memory");
    for stage in stages {
        let memory = stage.peak_rss_bytes.map_or_else(|| "-".to_owned(), human);
        eprintln!("{:<12} {:>9.1} {:>12}  {}", stage.name, stage.seconds, memory, stage.work);
    }
}

fn ensure_free(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!(
            "cannot listen on {listen}; end what uses the port or choose another with --listen 127.0.0.1:PORT"
        )
    })
}

/// Refuses a directory that holds something no demo made.
fn ensure_ours(data_dir: &Path) -> Result<()> {
    let is_empty = match fs_err::read_dir(data_dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error.into()),
    };
    if is_empty || data_dir.join(MARKER).is_file() {
        return Ok(());
    }
    let text =
        format!("{} holds data that no demo made; give the demo a directory of its own", data_dir.display());
    Err(Error::Usage(text).into())
}

/// Empties the demo's directory, if a demo made it, and marks it.
fn claim(data_dir: &Path) -> Result<()> {
    ensure_ours(data_dir)?;
    if data_dir.join(MARKER).is_file() {
        eprintln!("removing the data of an earlier demo in {}", data_dir.display());
        fs_err::remove_dir_all(data_dir)?;
    }
    let advice = || format!("cannot write to {}; choose another place with --data-dir", data_dir.display());
    fs_err::create_dir_all(data_dir).with_context(advice)?;
    fs_err::File::create(data_dir.join(MARKER)).with_context(advice)?;
    Ok(())
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_directory_of_a_demo_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        claim(&data).unwrap();
        fs_err::write(data.join("events"), "x").unwrap();
        claim(&data).unwrap();
        assert!(!data.join("events").exists() && data.join(MARKER).is_file());

        fs_err::remove_file(data.join(MARKER)).unwrap();
        fs_err::write(data.join("thesis"), "x").unwrap();
        let error = claim(&data).unwrap_err();
        assert!(error.to_string().contains("no demo made"), "{error}");
        assert!(data.join("thesis").exists());
    }

    #[test]
    fn a_port_in_use_is_said_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = ensure_free(taken.local_addr().unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("--listen"), "{error:#}");
    }

    #[test]
    fn summary_has_the_keys_others_parse() {
        let investigation = json!({
            "id": 3, "alert": {"id": 3, "title": "T"}, "verdict": "benign", "confidence": 0.9,
            "convergence": 1.0, "cited": [4, 9], "seconds": {"total": 2.5, "read": 1.0}, "summary": "s",
        });
        let expected = json!({
            "id": 3, "alert": "T", "verdict": "benign", "confidence": 0.9, "convergence": 1.0,
            "evidence": [4, 9], "seconds": 2.5,
        });
        assert_eq!(summary(&investigation), expected);
    }

    #[test]
    fn rates_come_from_items_and_seconds() {
        let part = json!({"name": "embed", "seconds": 0.5, "items": 40, "unit": "templates"});
        assert_eq!(rate(&part).as_deref(), Some("embed 80 templates/s"));
        assert_eq!(rate(&json!({"name": "embed"})), None);
    }

    #[test]
    fn counts_are_numbers_or_sums() {
        assert_eq!(count(&json!(7)), Some(7));
        assert_eq!(count(&json!({"syslog": 3, "evtx": 4})), Some(7));
        assert_eq!(count(&Value::Null), None);
    }
}
