//! How long does an alert take on this machine? Alerts of the site, or of the sample that comes with the program,
//! through the pipeline that investigates them, with the model that would.

use crate::cli::{Global, ModelArgs};
use crate::failure::Outcome;
use crate::setup::{self, Desk};
use anyhow::anyhow;
use casemate_event::{Alert, AlertOrigin};
use casemate_investigate::{Investigation, Investigator};
use casemate_pipeline::Pipeline;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A few hosts' logs of the sample incident (`tests/data/incident`).
const SAMPLE: &[u8] = include_bytes!("../../../../../tests/data/incident/logs/windows-estate.json.gz");
/// Alerts looked at for what to measure.
const MOST_LOOKED_AT: usize = 2000;
/// Alerts measured at most: more would not change the figure much.
const MOST_MEASURED: usize = 24;
/// Investigations whose reuse is counted.
const MOST_COUNTED: usize = 1000;

/// What is measured on.
pub(crate) struct Bench {
    pub(crate) desk: Desk,
    /// One alert of each rule first.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) is_sample: bool,
    /// Holds the sample's data directory.
    _dir: Option<TempDir>,
}

/// Opens the site's data directory if it holds alerts, and the sample otherwise.
pub(crate) fn open(global: &Global, args: &ModelArgs, sample: bool) -> Outcome<Bench> {
    if !sample && global.data_dir.is_dir() {
        let desk = setup::desk(global, args, casemate_store::Limits::default())?;
        let alerts = choose(&desk.pipeline)?;
        if !alerts.is_empty() {
            return Ok(Bench { desk, alerts, is_sample: false, _dir: None });
        }
    }
    let dir = tempfile::tempdir()?;
    let logs = dir.path().join("sample.json.gz");
    fs_err::write(&logs, SAMPLE)?;
    let global = Global { data_dir: dir.path().join("data"), ..global.clone() };
    let desk = setup::desk(&global, args, casemate_store::Limits::default())?;
    desk.pipeline.ingest_file(&logs, false, &mut |_, _, _| {})?;
    desk.pipeline.catch_up(&mut |_, _, _| {})?;
    let alerts = choose(&desk.pipeline)?;
    if alerts.is_empty() {
        return Err(anyhow!("the rules find nothing in the sample incident: give --config the rules").into());
    }
    Ok(Bench { desk, alerts, is_sample: true, _dir: Some(dir) })
}

/// The newest alerts whose events are there: first one of each rule, then the others.
fn choose(pipeline: &Pipeline) -> Outcome<Vec<Alert>> {
    let store = pipeline.store();
    let mut alerts = Vec::new();
    for alert in store.alerts()?.into_iter().rev().take(MOST_LOOKED_AT) {
        if let Some(first) = alert.events.first()
            && store.get(*first)?.is_some()
        {
            alerts.push(alert);
        }
    }
    let mut seen = BTreeSet::new();
    let (mut first, others): (Vec<Alert>, Vec<Alert>) =
        alerts.into_iter().partition(|alert| seen.insert(origin(&alert.origin)));
    first.extend(others);
    Ok(first)
}

fn origin(origin: &AlertOrigin) -> String {
    match origin {
        AlertOrigin::Rule(id) | AlertOrigin::Product(id) => id.clone(),
    }
}

/// Seconds of some alerts.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    /// Of each alert.
    pub(crate) seconds: Vec<f64>,
    /// Mean of each stage.
    pub(crate) stages: BTreeMap<String, f64>,
    /// How many alerts the model was asked about, by how their verdicts were reached.
    pub(crate) methods: BTreeMap<String, usize>,
}

impl Measured {
    pub(crate) fn mean(&self) -> f64 {
        self.seconds.iter().sum::<f64>() / self.seconds.len().max(1) as f64
    }

    /// Mean of what no model computes: all that is done where a verdict is used again.
    pub(crate) fn without_model(&self) -> f64 {
        ["retrieve", "facts"].iter().filter_map(|stage| self.stages.get(*stage)).sum()
    }
}

/// Investigates alerts until `within` has passed, at least one; nothing of it is stored.
pub(crate) fn measure(
    investigator: &mut Investigator,
    alerts: &[Alert],
    within: Duration,
) -> Outcome<Measured> {
    let begun = Instant::now();
    let mut measured = Measured::default();
    for alert in alerts.iter().take(MOST_MEASURED) {
        let started = Instant::now();
        let case = investigator.investigate(alert, &mut |_| {})?;
        let took = started.elapsed();
        measured.seconds.push(took.as_secs_f64());
        measured.add(&case);
        // The next may take as long.
        if begun.elapsed() + took > within {
            break;
        }
    }
    let n = measured.seconds.len().max(1) as f64;
    measured.stages.values_mut().for_each(|seconds| *seconds /= n);
    Ok(measured)
}

impl Measured {
    fn add(&mut self, case: &Investigation) {
        for (stage, seconds) in case.seconds.iter().filter(|(stage, _)| stage.as_str() != "total") {
            *self.stages.entry(stage.clone()).or_default() += seconds;
        }
        let method = serde_json::to_value(&case.method).ok().map_or_else(String::new, |method| {
            let name = method.as_object().and_then(|object| object.keys().next().cloned());
            name.or_else(|| method.as_str().map(str::to_owned)).unwrap_or_default()
        });
        *self.methods.entry(method).or_default() += 1;
    }
}

/// How much of the work repeats at this site.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Repeats {
    /// Investigations looked at.
    pub(crate) investigations: usize,
    /// Share of them whose verdict was used again.
    pub(crate) reused: f64,
    /// Matches of rules for each alert: what folding spares.
    pub(crate) matches_per_alert: f64,
}

/// Counts what repeats.
pub(crate) fn repeats(pipeline: &Arc<Pipeline>) -> Outcome<Repeats> {
    let store = pipeline.store();
    let mut found = Repeats::default();
    let mut reused = 0_usize;
    for id in store.investigations()?.into_iter().rev().take(MOST_COUNTED) {
        let Some(json) = store.investigation(id)? else { continue };
        let Ok(case) = serde_json::from_slice::<serde_json::Value>(&json) else { continue };
        found.investigations += 1;
        reused += usize::from(case.get("reused_from").is_some_and(|from| !from.is_null()));
    }
    found.reused = reused as f64 / found.investigations.max(1) as f64;
    let alerts = store.alerts()?;
    let matches: u64 = alerts.iter().map(|alert| alert.event_count).sum();
    found.matches_per_alert = matches as f64 / alerts.len().max(1) as f64;
    Ok(found)
}
