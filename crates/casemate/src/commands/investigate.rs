//! `casemate investigate`: alerts in, reports out.

use crate::cli::{Global, InvestigateArgs};
use crate::failure::{Failure, Outcome};
use crate::machine;
use crate::output;
use crate::setup::{self, Desk};
use crate::story::{Pace, Story};
use anyhow::anyhow;
use casemate_event::{Alert, AlertId, EventId, Stored};
use casemate_export::markdown;
use casemate_investigate::{Investigation, Investigator};
use casemate_pipeline::Pipeline;
use casemate_store::Finished;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Reports {
    investigations: Vec<Report>,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    investigation: Investigation,
    markdown: String,
}

pub(crate) fn run(global: &Global, args: &InvestigateArgs) -> Outcome {
    let started = Instant::now();
    let Desk { pipeline, mut investigator, models } =
        setup::desk(global, &args.model, casemate_store::Limits::default())?;
    if args.replay {
        return replay(global, &args.alerts, &mut investigator);
    }
    let alerts = if args.all {
        uninvestigated(&pipeline)?
    } else if args.event.is_empty() {
        named(&pipeline, &args.alerts)?
    } else {
        vec![by_hand(&pipeline, &args.event)?]
    };
    if alerts.is_empty() && !global.json {
        output::line(&nothing_waits(&pipeline)?)?;
    }
    investigator.set_reuse(args.all);
    let operator = machine::operator();
    let is_told = !global.json && !args.markdown;
    let mut story = Story::new(alerts.len(), Pace::load(pipeline.store(), !models.is_empty())?);
    let mut reports = Vec::new();
    for alert in &alerts {
        if is_told {
            story.begin(alert)?;
        }
        let mut said = Ok(());
        let investigation = investigator.investigate(alert, &mut |progress| {
            if is_told && said.is_ok() {
                said = story.step(&progress);
            }
        })?;
        said?;
        let json = serde_json::to_vec(&investigation)?;
        let entry = investigation.entry(&operator);
        let finished = Finished { entry: Some(&entry), ..investigation.finished(&json) };
        pipeline.store().put_finished(alert.id, finished)?;
        if is_told {
            story.end(&investigation)?;
            continue;
        }
        let markdown = markdown(&investigation);
        if args.markdown {
            output::line(&markdown)?;
        } else {
            reports.push(Report { investigation, markdown });
        }
    }
    story.finish();
    if global.json {
        output::json(&Reports { investigations: reports }, started)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Members named that differ, at most.
const MOST_NAMED: usize = 20;

fn replay(global: &Global, alerts: &[u64], investigator: &mut Investigator) -> Outcome {
    let started = Instant::now();
    let mut all_same = true;
    let mut rows = Vec::new();
    for alert in alerts {
        let replayed = investigator.replay(AlertId(*alert), &mut |_progress| {})?;
        let (same, changed, differ) =
            (replayed.is_same(), replayed.changed(), replayed.differences(MOST_NAMED));
        all_same &= same;
        if global.json {
            let sha256 = [replayed.stored.sha256(), replayed.now.sha256()];
            rows.push(json!({
                "id": alert, "same": same, "report_sha256": sha256[0], "replayed_sha256": sha256[1],
                "verdict": replayed.stored.verdict, "replayed_verdict": replayed.now.verdict,
                "changed": changed, "differ": differ,
            }));
            continue;
        }
        let verdict = replayed.now.verdict;
        if same {
            let sha256 = replayed.now.sha256();
            output::line(&format!("alert {alert}: {verdict}, the same byte for byte (SHA-256 {sha256})"))?;
        } else {
            output::line(&format!(
                "alert {alert}: {verdict}, was {}; NOT the same",
                replayed.stored.verdict
            ))?;
            for line in changed.iter().chain(&differ) {
                output::line(&format!("  {line}"))?;
            }
        }
    }
    if global.json {
        output::json(&json!({ "replayed": rows }), started)?;
    }
    Ok(if all_same { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn uninvestigated(pipeline: &Pipeline) -> Outcome<Vec<Alert>> {
    let done = pipeline.store().investigations()?;
    Ok(pipeline.store().alerts()?.into_iter().filter(|alert| !done.contains(&alert.id)).collect())
}

/// Why there is nothing to investigate, and what to do about it.
fn nothing_waits(pipeline: &Pipeline) -> Outcome<String> {
    let (alerts, events) = (pipeline.store().alerts()?.len(), pipeline.store().event_count());
    Ok(match (alerts, events) {
        (0, 0) => "there are no events yet: `casemate ingest FILE` takes them in".to_owned(),
        (0, _) => format!("no alert waits for an investigation: {}", super::NO_RULE_MATCHED),
        _ => "no alert waits for an investigation".to_owned(),
    })
}

/// The alert that these events are to be looked into, stored; the one there is, if they were before.
fn by_hand(pipeline: &Pipeline, ids: &[u64]) -> Outcome<Alert> {
    let find = |&id: &u64| {
        let missing = || {
            Failure::input(anyhow!("there is no event {id}; `casemate search` prints the numbers of events"))
        };
        pipeline.store().get(EventId(id))?.ok_or_else(missing)
    };
    let events: Vec<Stored> = ids.iter().map(find).collect::<Outcome<_>>()?;
    let raised = pipeline.store().raise_by_hand(&events)?;
    raised.ok_or_else(|| Failure::input(anyhow!("no event was named")))
}

fn named(pipeline: &Pipeline, ids: &[u64]) -> Outcome<Vec<Alert>> {
    let find = |&id: &u64| {
        pipeline.store().alert(AlertId(id))?.ok_or_else(|| {
            Failure::input(anyhow!("there is no alert {id}; `casemate ingest` prints the alerts it raises"))
        })
    };
    ids.iter().map(find).collect()
}
