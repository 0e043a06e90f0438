//! `casemate eval --fit FILE`: a head, and the figures of its cross-validation.

use super::contender::Contender;
use super::{cases, print, tools};
use crate::cli::{EvalArgs, Global};
use crate::failure::Outcome;
use crate::models;
use crate::output::{self, Bar};
use casemate_eval::fit::Reader;
use casemate_eval::run::{self, Bench};
use casemate_eval::{Cache, page, train};
use casemate_investigate::head::Pooling;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &EvalArgs, path: &Path) -> Outcome {
    let started = Instant::now();
    let (scenarios, root) = cases(global, args)?;
    let tools = tools(global)?;
    let loaded = models::load_investigator(&args.reader, &global.models)?;
    let layer = |layers: usize| args.layer.unwrap_or(layers / 2);
    let read_with = loaded.map(|loaded| {
        let layer = layer(loaded.model.info().layers);
        (loaded, layer)
    });
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
    let mut cases: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| records.remove(&scenario.id).map(|record| (scenario, record)))
        .collect();
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let (mut head, mut run) = train::train(&name, &mut cases, reader.as_ref(), args.shippable, args.seed);
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
