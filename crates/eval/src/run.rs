//! From scenarios to a run: every case observed, or taken from what was kept of an earlier run.

use crate::cache::{self, Cache};
use crate::canary::{self, Make, Planted};
use crate::isolate::Key;
use crate::keys;
use crate::observe::{Observed, Tools, observe};
use crate::record::Record;
use crate::report::Run;
use crate::scenario::{Scenario, Truth};
use crate::{Error, citation, free_form};
use casemate_inference::Model;
use casemate_investigate::Investigation;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a run is made with.
pub struct Bench<'a> {
    /// Rules and embedder.
    pub tools: &'a Tools,
    /// Makes an investigator over a store.
    pub make: &'a Make<'a>,
    /// The model that is also asked in free form.
    pub model: Option<&'a Model>,
    /// Where cases that were run are kept.
    pub cache: Option<&'a Cache>,
    /// Cases run at once. Seconds are only worth reading from one.
    pub jobs: usize,
    /// Canaries planted into each alert of an attack.
    pub canaries: usize,
    /// Cases about which the model is asked in free form.
    pub free_form: usize,
    /// Seed of resampling and of which cases are asked about in free form.
    pub seed: u64,
}

/// The first `limit` cases in an order that depends on their ids and the seed alone, so that a few cases are a
/// fair mix of all; in the order of the file.
pub fn sample(scenarios: &mut Vec<Scenario>, limit: usize, seed: u64) {
    let chosen = chosen(scenarios, limit, seed);
    scenarios.retain(|scenario| chosen.contains(&scenario.id));
}

fn chosen(scenarios: &[Scenario], limit: usize, seed: u64) -> BTreeSet<String> {
    let mut order: Vec<([u8; 8], &str)> = scenarios
        .iter()
        .map(|scenario| {
            let hash = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(&scenario.id).finalize();
            (std::array::from_fn(|index| hash[index]), scenario.id.as_str())
        })
        .collect();
    order.sort_unstable();
    order.into_iter().take(limit).map(|(_, id)| id.to_owned()).collect()
}

/// Runs every case. One that cannot be run is a problem of the run, not its end. `progress` is told how many
/// cases were done since it was told last.
///
/// # Errors
/// If threads cannot be started.
pub fn run(
    scenarios: &[Scenario],
    root: &Path,
    bench: &Bench<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(Run, BTreeMap<String, Record>), Error> {
    let mut grounds: BTreeMap<Key, Vec<Scenario>> = BTreeMap::new();
    for scenario in scenarios {
        grounds.entry(Key::of(scenario)).or_default().push(scenario.clone());
    }
    let asked = chosen(scenarios, bench.free_form, bench.seed);
    let grounds: Vec<Vec<Scenario>> = grounds.into_values().collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(bench.jobs.max(1)).build();
    let pool = pool.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let one = |cases: &Vec<Scenario>| ground(cases, root, bench, &asked, progress);
    let done: Vec<Ground> = pool.install(|| grounds.par_iter().map(one).collect());
    let mut records = BTreeMap::new();
    let mut run = Run { seed: bench.seed, ..Run::default() };
    for ground in done {
        records.extend(ground.records);
        run.problems.extend(ground.problems);
    }
    run.problems.sort();
    for scenario in scenarios {
        let Some(record) = records.get(&scenario.id) else { continue };
        run.outcomes.push(record.outcome(scenario));
        if let Some(conclusion) = record.free_form {
            run.free_form.insert(scenario.id.clone(), conclusion);
        }
    }
    Ok((run, records))
}

#[derive(Default)]
struct Ground {
    records: Vec<(String, Record)>,
    problems: Vec<String>,
}

/// The cases over one store.
fn ground(
    cases: &[Scenario],
    root: &Path,
    bench: &Bench<'_>,
    asked: &BTreeSet<String>,
    progress: &(dyn Fn(usize) + Sync),
) -> Ground {
    let mut done = Ground::default();
    let mut rest = Vec::new();
    for scenario in cases {
        match bench.cache.map(|cache| cache.get(scenario, root)).transpose() {
            Ok(Some(Some(record))) => done.records.push((scenario.id.clone(), record)),
            Ok(_) => rest.push(scenario.clone()),
            Err(error) => done.problems.push(problem(scenario, &error)),
        }
    }
    progress(cases.len() - rest.len());
    if rest.is_empty() {
        return done;
    }
    let mut records = Vec::new();
    let mut take = |observed: Observed<'_>| {
        let scenario = observed.scenario;
        let record = cache::as_kept(&record(&observed, bench, asked.contains(&scenario.id))?)?;
        if let Some(cache) = bench.cache {
            cache.put(scenario, root, &record)?;
        }
        records.push((scenario.id.clone(), record));
        progress(1);
        Ok(())
    };
    let result = observe(&rest, root, bench.tools, &mut |pipeline| (bench.make)(pipeline), &mut take);
    if let Err(error) = result {
        let missing = rest.iter().filter(|scenario| !records.iter().any(|(id, _)| *id == scenario.id));
        done.problems.extend(missing.map(|scenario| problem(scenario, &error)));
    }
    done.records.extend(records);
    done
}

fn problem(scenario: &Scenario, error: &Error) -> String {
    let mut text = format!("{}: {error}", scenario.id);
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// What is kept of an observed case.
pub(crate) fn record(observed: &Observed<'_>, bench: &Bench<'_>, asked: bool) -> Result<Record, Error> {
    let store = observed.pipeline.store();
    let mut record = Record { investigations: observed.investigations.clone(), ..Record::default() };
    for (report, alert) in observed.investigations.iter().zip(&observed.alerts) {
        record.checked.push(citation::check(report, store, &bench.tools.rules)?);
        record.planted.push(if bench.canaries > 0 && observed.scenario.verdict == Truth::Malicious {
            canary::plant(observed.scenario, report, alert, store, bench)?
        } else {
            Planted::default()
        });
    }
    let keys = keys::present(keys::keys(&observed.scenario.key_events), store)?;
    record.key_events = keys.len();
    record.key_events_in_evidence = keys::in_evidence(&keys, &observed.investigations, store)?;
    if let (true, Some(model)) = (asked, bench.model)
        && let Some(report) = record.investigations.first()
    {
        record.free_form = Some(free_form::ask(model, report)?);
    }
    Ok(record)
}

/// The parts of a report that may depend on nothing but the events: everything except seconds.
pub fn without_seconds(report: &Investigation) -> Investigation {
    Investigation { seconds: BTreeMap::new(), ..report.clone() }
}
