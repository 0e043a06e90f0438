//! `casemate ingest`: files and directories in, alerts out.

use crate::cli::{Global, IngestArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Bar};
use crate::setup;
use casemate_event::{Alert, AlertId, Format, QuarantineReason, Severity};
use casemate_pipeline::{CatchUp, FileOutcome, Retried, Stage};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, Default, Serialize)]
struct Report {
    files: u64,
    files_skipped: u64,
    bytes: u64,
    records: u64,
    events: BTreeMap<Format, u64>,
    quarantined: BTreeMap<QuarantineReason, u64>,
    problems: Vec<String>,
    stages: Vec<StageCost>,
    templates: u64,
    templates_embedded: u64,
    rule_matches: u64,
    alerts: Vec<AlertLine>,
    retried: Option<RetriedLine>,
}

/// What became of quarantined records that were tried again.
#[derive(Debug, Serialize)]
struct RetriedLine {
    examined: u64,
    events: u64,
    resolved: BTreeMap<QuarantineReason, u64>,
}

#[derive(Debug, Serialize)]
struct StageCost {
    name: &'static str,
    seconds: f64,
    items: u64,
    unit: &'static str,
}

#[derive(Debug, Serialize)]
struct AlertLine {
    id: AlertId,
    severity: Severity,
    title: String,
    events: u64,
}

pub(crate) fn run(global: &Global, args: &IngestArgs) -> Outcome {
    let started = Instant::now();
    let files = casemate_ingest::expand(&args.paths).map_err(Failure::input)?;
    let pipeline = setup::pipeline(global)?;
    let mut report = Report::default();
    let mut bar = Bar::new();

    let reading = Instant::now();
    for path in &files {
        let name = path.display().to_string();
        let outcome = pipeline.ingest_file(path, args.again, &mut |stage, done, total| {
            bar.show(stage, done, total, &name);
        });
        match outcome {
            Ok(outcome) => report.add(&outcome),
            Err(casemate_pipeline::Error::Ingest(error)) => report.problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if args.retry_quarantine {
        let Retried { examined, events, resolved } = pipeline.retry_quarantine()?;
        report.retried = Some(RetriedLine { examined, events, resolved });
    }
    report.cost("ingest", reading.elapsed(), report.records, "records");

    let catching_up = Instant::now();
    let mut embedding_since = None;
    let caught_up = pipeline.catch_up(&mut |stage, done, total| {
        if stage == Stage::Embed {
            embedding_since.get_or_insert_with(Instant::now);
        }
        bar.show(stage, done, total, "");
    })?;
    bar.finish();
    let embedding = embedding_since.map_or(Duration::ZERO, |since| since.elapsed());
    report.cost("detect", catching_up.elapsed().saturating_sub(embedding), caught_up.examined, "events");
    report.cost("embed", embedding, caught_up.embedded, "templates");
    report.finish(caught_up);

    if global.json {
        output::json(&report, started)?;
    } else {
        report.print(started)?;
    }
    let clean = report.problems.is_empty() && report.quarantined.is_empty();
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Report {
    fn add(&mut self, outcome: &FileOutcome) {
        self.files += 1;
        let Some(summary) = &outcome.summary else {
            self.files_skipped += 1;
            return;
        };
        self.bytes += summary.bytes;
        self.records += summary.records;
        for (format, count) in &summary.events {
            *self.events.entry(*format).or_default() += count;
        }
        for (reason, count) in &summary.quarantined {
            *self.quarantined.entry(*reason).or_default() += count;
        }
        self.problems.extend(summary.problems.iter().cloned());
    }

    fn cost(&mut self, name: &'static str, took: Duration, items: u64, unit: &'static str) {
        let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        self.stages.push(StageCost { name, seconds, items, unit });
    }

    fn finish(&mut self, caught_up: CatchUp) {
        self.templates = caught_up.templates;
        self.templates_embedded = caught_up.embedded;
        self.rule_matches = caught_up.matches;
        self.alerts = caught_up.alerts.into_iter().map(AlertLine::from).collect();
        self.alerts.sort_by_key(|alert| alert.id);
    }

    fn print(&self, started: Instant) -> std::io::Result<()> {
        let events: u64 = self.events.values().sum();
        let quarantined: u64 = self.quarantined.values().sum();
        output::line(&format!(
            "{} files ({} taken in before), {} records: {events} events, {quarantined} quarantined",
            self.files, self.files_skipped, self.records
        ))?;
        for (format, count) in &self.events {
            output::line(&format!("  {count:>9}  {format}"))?;
        }
        for (reason, count) in &self.quarantined {
            output::line(&format!(
                "  {count:>9}  quarantined: {reason} (see `casemate search --quarantine`)"
            ))?;
        }
        if let Some(retried) = &self.retried {
            let resolved: u64 = retried.resolved.values().sum();
            output::line(&format!(
                "{resolved} of {} quarantined records are understood by now: {} events",
                retried.examined, retried.events
            ))?;
        }
        for stage in &self.stages {
            let rate = stage.items as f64 / stage.seconds.max(0.001);
            output::line(&format!(
                "  {:<7} {:>8.2} s  {:>9} {} ({rate:.0}/s)",
                stage.name, stage.seconds, stage.items, stage.unit
            ))?;
        }
        output::line(&format!("{} alerts raised or extended", self.alerts.len()))?;
        for alert in &self.alerts {
            output::line(&format!(
                "  {:>4}  {:<8}  {} ({} events)",
                alert.id.0,
                alert.severity.name(),
                alert.title,
                alert.events
            ))?;
        }
        if !self.alerts.is_empty() {
            output::line(
                "`casemate investigate --all` looks into them; `casemate serve` does so as they come, and shows them",
            )?;
        } else if events > 0 {
            output::line(super::NO_RULE_MATCHED)?;
        }
        for problem in &self.problems {
            eprintln!("casemate: {problem}");
        }
        output::line(&format!("done in {:.1} s", output::seconds(started)))
    }
}

impl From<Alert> for AlertLine {
    fn from(alert: Alert) -> Self {
        Self { id: alert.id, severity: alert.severity, title: alert.title, events: alert.event_count }
    }
}
