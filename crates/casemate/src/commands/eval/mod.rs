//! `casemate eval`: labelled cases in, figures out.

mod contender;
mod fit;
pub(crate) mod gate;

use crate::cli::{EvalArgs, Global, OutsideSuite};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Bar};
use crate::{models, setup};
use anyhow::anyhow;
use casemate_eval::run::{self, Bench};
use casemate_eval::{Cache, Scenario, Tools, excytin, page, scenario, train};
use casemate_pipeline::Pipeline;
use contender::Contender;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Figures of the short table on a terminal.
const SHOWN: [&str; 17] = [
    "auroc",
    "auroc_within_source",
    "balanced_accuracy",
    "f1",
    "false_positive_rate",
    "missed_attack_rate",
    "abstention_rate",
    "flip_rate",
    "injection_rate",
    "citation_exists",
    "citation_supported",
    "ece",
    "key_event_recall",
    "technique_top1",
    "technique_top3",
    "seconds_mean",
    "seconds_p95",
];

pub(crate) fn run(global: &Global, args: &EvalArgs) -> Outcome {
    if let Some(candidate) = &args.gate {
        return gate::run(global, args, candidate);
    }
    if let (Some(OutsideSuite::Excytin), Some(root)) = (args.suite, &args.root) {
        return excytin(global, args, root);
    }
    if let Some(path) = &args.fit {
        return fit::run(global, args, path);
    }
    let started = Instant::now();
    let (scenarios, root) = cases(global, args)?;
    let tools = tools(global)?;
    let contender = Contender::active(global, &args.model)?;
    let cache = match &args.cache {
        Some(dir) => Some(Cache::open(dir, &contender.fingerprint(global, args)?)?),
        None => None,
    };
    let make = |pipeline| Ok(contender.investigator(pipeline));
    let bench = Bench {
        tools: &tools,
        make: &make,
        model: contender.model.as_ref().map(|loaded| &*loaded.model),
        cache: cache.as_ref(),
        jobs: if contender.computes() { 1 } else { args.jobs },
        canaries: args.canaries,
        free_form: if contender.model.is_some() { args.free_form } else { 0 },
        seed: args.seed,
    };
    let bar = Bar::counting("evaluate", scenarios.len() as u64);
    let (mut run, mut records) = run::run(&scenarios, &root, &bench, &|done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    let cases: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| records.remove(&scenario.id).map(|record| (scenario, record)))
        .collect();
    run.features_only = train::features_only(&cases);
    if let Some(dir) = &args.report {
        page::write(&run, dir)?;
    }
    let document = run.document();
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

/// The questions of ExCyTIn-Bench that its alert rows answer.
fn excytin(global: &Global, args: &EvalArgs, root: &Path) -> Outcome {
    let started = Instant::now();
    let mut questions = excytin::questions(root).map_err(Failure::input)?;
    questions.truncate(args.limit.unwrap_or(usize::MAX));
    let bar = Bar::counting("answer", questions.len() as u64);
    let loaded = match args.free_form {
        0 => None,
        _ => models::load_investigator(&args.model.model, &global.model_dirs())?,
    };
    let picks = loaded.as_ref().map(|loaded| (&*loaded.model, args.free_form));
    let suite = excytin::run(root, &questions, &tools(global)?, picks, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    if global.json {
        output::json(&json!({ "suite": suite }), started)?;
    } else {
        let all = &suite["retrieval"];
        output::line(&format!(
            "{} questions: {} answered exactly ({} to {}), {} with the answer among the candidates",
            all["n"], all["exact"], all["exact_ci"][0], all["exact_ci"][1], all["among_candidates"]
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The cases asked for, and the directory their paths start from.
fn cases(global: &Global, args: &EvalArgs) -> Outcome<(Vec<Scenario>, PathBuf)> {
    let path = match &args.scenarios {
        Some(path) => path.clone(),
        None => setup::config_dir(global, "suite")?.join("scenarios.jsonl"),
    };
    let beside = || path.parent().map_or_else(PathBuf::new, PathBuf::from);
    let root = args.root.clone().unwrap_or_else(beside);
    let mut scenarios = scenario::read(&path, args.split.as_deref()).map_err(Failure::input)?;
    if !args.only.is_empty() {
        for id in &args.only {
            if !scenarios.iter().any(|scenario| scenario.id == *id) {
                return Err(Failure::input(anyhow!("there is no case {id:?} in {}", path.display())));
            }
        }
        scenarios.retain(|scenario| args.only.contains(&scenario.id));
    }
    if let Some(limit) = args.limit {
        run::sample(&mut scenarios, limit, args.seed);
    }
    if scenarios.is_empty() {
        return Err(Failure::input(anyhow!("{} holds no case that was asked for", path.display())));
    }
    Ok((scenarios, root))
}

fn tools(global: &Global) -> Outcome<Tools> {
    let rules = Pipeline::share(setup::rules(global)?);
    let embedder = models::load_embedder(&global.model_dirs())?.map(Arc::new);
    Ok(Tools { rules, embedder })
}

/// A short table: each figure with its interval, and what the rules alone give.
fn print(document: &Value, started: Instant) -> std::io::Result<()> {
    let number = |value: &Value| value.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    let interval = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => format!("({} to {})", number(low), number(high)),
        _ => String::new(),
    };
    output::line(&format!(
        "{} cases: {} attacks, {} benign; {} alerts\n",
        document["n"], document["n_malicious"], document["n_benign"], document["n_alerts"]
    ))?;
    output::line(&format!("{:<22} {:>7} {:<18} {:>10}", "", "", "95 %", "rules only"))?;
    for name in SHOWN {
        let ci = &document[format!("{name}_ci")];
        let rules = &document["baselines"]["rules_only"][name];
        let line =
            format!("{name:<22} {:>7} {:<18} {:>10}", number(&document[name]), interval(ci), number(rules));
        output::line(line.trim_end())?;
    }
    let gain = &document["gain_over_rules"];
    output::line(&format!(
        "\nAUROC over rules alone: {} {}",
        number(&gain["auroc"]),
        interval(&gain["auroc_ci"])
    ))?;
    output::line(&format!("done in {:.1} s", output::seconds(started)))
}
