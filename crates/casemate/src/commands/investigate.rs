//! `casemate investigate`: alerts in, reports out.

use crate::cli::{Global, InvestigateArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Bar};
use crate::setup::{self, Desk};
use anyhow::anyhow;
use casemate_event::{Alert, AlertId};
use casemate_investigate::{Investigation, report};
use casemate_pipeline::Pipeline;
use serde::Serialize;
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
    let Desk { pipeline, mut investigator, .. } =
        setup::desk(global, &args.model, casemate_store::Limits::default())?;
    let alerts = if args.all { uninvestigated(&pipeline)? } else { named(&pipeline, &args.alerts)? };
    if alerts.is_empty() && !global.json {
        output::line("no alert waits for an investigation")?;
    }
    investigator.set_reuse(args.all);
    let bar = Bar::counting("investigate", alerts.len() as u64);
    let mut reports = Vec::new();
    for alert in &alerts {
        bar.set_message(alert.title.clone());
        let investigation = investigator.investigate(alert, &mut |_progress| bar.tick())?;
        let json = serde_json::to_vec(&investigation)?;
        pipeline.store().put_finished(alert.id, investigation.finished(&json))?;
        bar.inc(1);
        let markdown = report::markdown(&investigation);
        if global.json {
            reports.push(Report { investigation, markdown });
        } else {
            bar.suspend(|| output::line(&markdown))?;
        }
    }
    bar.finish_and_clear();
    if global.json {
        output::json(&Reports { investigations: reports }, started)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn uninvestigated(pipeline: &Pipeline) -> Outcome<Vec<Alert>> {
    let done = pipeline.store().investigations()?;
    Ok(pipeline.store().alerts()?.into_iter().filter(|alert| !done.contains(&alert.id)).collect())
}

fn named(pipeline: &Pipeline, ids: &[u64]) -> Outcome<Vec<Alert>> {
    let find = |&id: &u64| {
        pipeline.store().alert(AlertId(id))?.ok_or_else(|| {
            Failure::input(anyhow!("there is no alert {id}; `casemate ingest` prints the alerts it raises"))
        })
    };
    ids.iter().map(find).collect()
}
