//! `casemate eval --fit FILE`: a head, and the figures of its cross-validation.

use super::contender::Contender;
use super::{cases, print, tools};
use crate::cli::{EvalArgs, Global};
use crate::failure::Outcome;
use crate::output::{self, Bar};
use crate::{models, setup};
use casemate_eval::fit::{Basis, Reader};
use casemate_eval::run::{self, Bench};
use casemate_eval::{Cache, Record, Scenario, page, train};
use casemate_investigate::head::Pooling;
use casemate_investigate::{LoadedHead, LoadedModel};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// What the fit starts from, and the model that reads for its probe, with the layer.
fn basis(global: &Global, args: &EvalArgs) -> Outcome<(Basis, Option<(LoadedModel, usize)>)> {
    if args.closed {
        let (head, reader) = setup::head(global, &args.model, None)?;
        if let Some(LoadedHead { head, .. }) = head {
            let layer = head.whole.probe.as_ref().map(|probe| probe.layer);
            return Ok((Basis::of(&head), reader.zip(layer)));
        }
    }
    let loaded = models::load_investigator(&args.reader, &global.model_dirs())?;
    let read_with = loaded.map(|loaded| {
        let layer = args.layer.unwrap_or(loaded.model.info().layers / 2);
        (loaded, layer)
    });
    Ok((Basis::analyst(), read_with))
}

/// The alerts that this site has closed, as cases.
fn closed(global: &Global, bench: &Bench<'_>) -> Outcome<Vec<(Scenario, Record)>> {
    let pipeline = Arc::new(setup::pipeline(global)?);
    let bar = Bar::counting("observe closed alerts", MOST_CLOSED as u64);
    let cases = casemate_eval::closed::observe(&pipeline, MOST_CLOSED, bench, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    Ok(cases)
}

/// Most closed alerts fitted on, the latest first.
const MOST_CLOSED: usize = 2000;

pub(crate) fn run(global: &Global, args: &EvalArgs, path: &Path) -> Outcome {
    let started = Instant::now();
    let (scenarios, root) = cases(global, args)?;
    let tools = tools(global)?;
    let (basis, read_with) = basis(global, args)?;
    let reader = read_with.as_ref().map(|(loaded, layer)| Reader {
        model: loaded.sha256.clone(),
        layer: *layer,
        pooling: Pooling::Max,
    });
    let contender = Contender::for_fitting(global, &args.model, read_with)?;
    let cache = match &args.cache {
        Some(dir) => Some(Cache::open(dir, &contender.fingerprint(global, args)?)?),
        None => None,
    };
    let make = |pipeline| Ok(contender.investigator(pipeline));
    let bench = Bench {
        tools: &tools,
        make: &make,
        model: None,
        cache: cache.as_ref(),
        jobs: args.jobs,
        canaries: 0,
        free_form: 0,
        seed: args.seed,
    };
    let bar = Bar::counting("observe", scenarios.len() as u64);
    let (observed, mut records) = run::run(&scenarios, &root, &bench, &|done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    let closed = if args.closed { closed(global, &bench)? } else { Vec::new() };
    let mut cases: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| records.remove(&scenario.id).map(|record| (scenario, record)))
        .collect();
    cases.extend(closed.iter().map(|(scenario, record)| (scenario, record.clone())));
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let (mut head, mut run) =
        train::train(&name, &mut cases, reader.as_ref(), &basis, args.shippable, args.seed);
    run.problems = observed.problems;
    let document = run.document();
    for figure in
        ["auroc", "auroc_within_source", "balanced_accuracy", "missed_attack_rate", "abstention_rate", "ece"]
    {
        if let Some(value) = document[figure].as_f64() {
            head.figures.insert(figure.to_owned(), value);
        }
    }
    casemate_disk::write_atomic(path, |file| Ok(serde_json::to_writer(file, &head)?))?;
    if let Some(dir) = &args.report {
        page::write(&run, dir)?;
    }
    if global.json {
        output::json(&document, started)?;
    } else {
        print(&document, started)?;
    }
    for problem in &run.problems {
        eprintln!("casemate: not run: {problem}");
    }
    Ok(if run.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
