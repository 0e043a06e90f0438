//! `casemate eval --gate CANDIDATE`: may a model, a head or a directory of playbooks take the place of what is
//! active?

use super::contender::Contender;
use super::{cases, tools};
use crate::cli::{EvalArgs, Global};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Bar};
use casemate_audit::Entry;
use casemate_eval::gate::{self, Decision};
use casemate_eval::metrics::Judged;
use casemate_eval::run::{self, Bench};
use casemate_eval::{Scenario, Tools, closed};
use casemate_pipeline::Pipeline;
use casemate_store::{Gate, Limits};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Most closed alerts judged, the latest first.
const MAX_CLOSED: usize = 100;
/// Closed alerts of each kind from which a model may act by itself, if it missed no attack among them.
const MIN_CLOSED: usize = 10;

#[derive(Debug, Serialize)]
struct Said {
    candidate: String,
    #[serde(flatten)]
    decision: Decision,
    /// Whether a person overruled the refusal.
    forced: bool,
    /// Whether the model may close alerts and lower severities by itself.
    may_act: bool,
    /// Why it may not.
    may_act_why: String,
    closed: usize,
}

pub(crate) fn run(global: &Global, args: &EvalArgs, candidate: &str) -> Outcome {
    let started = Instant::now();
    let (scenarios, root) = cases(global, args)?;
    let tools = tools(global)?;
    let pipeline = Pipeline::open_shared(
        &global.data_dir,
        Arc::clone(&tools.rules),
        tools.embedder.clone(),
        Limits::default(),
    )?;
    let pipeline = Arc::new(pipeline);
    let field = Field { scenarios, root: &root, tools, pipeline: Some(Arc::clone(&pipeline)), args };
    let path = Path::new(candidate);
    let (kind, challenger) = if path.is_dir() {
        (Kind::Playbooks, Contender::with_playbooks(global, &args.model, path)?)
    } else if path.extension().is_some_and(|ending| ending == "json") {
        (Kind::Head, Contender::with_head(global, &args.model, path)?)
    } else {
        (Kind::Model, Contender::with_model(global, &args.model, candidate)?)
    };
    let ours = field.judge("candidate", &challenger)?;
    let active = field.judge("active", &Contender::active(global, &args.model)?)?;
    let decision = gate::compare(&active, &ours, args.seed);
    let may_act_why = may_not_act(&ours).unwrap_or_default();
    let said = Said {
        candidate: name(&challenger, kind),
        forced: args.force && !decision.allowed,
        may_act: decision.allowed && may_act_why.is_empty(),
        closed: ours.iter().filter(|case| case.source == "site").count(),
        may_act_why,
        decision,
    };
    note(&pipeline, args, &challenger, kind, &said)?;
    if global.json {
        output::json(&said, started)?;
    } else {
        print(&said)?;
    }
    Ok(if said.decision.allowed || said.forced { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// How a release that a bundle brought was judged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judgement {
    /// Beside what is active.
    Compared(Decision),
    /// By itself: nothing was active.
    Alone { cases: usize },
    /// Not at all.
    Nothing { why: String },
}

/// The options of `eval` as they are without any.
#[derive(clap::Parser)]
struct Plain {
    #[command(flatten)]
    args: EvalArgs,
}

/// Judges the cases of the suite with what `candidate` has and with what `active` has, `model` answering.
pub(crate) fn judge_release(active: &Global, candidate: &Global, model: &str) -> Outcome<Judgement> {
    let plain =
        <Plain as clap::Parser>::try_parse_from(["eval", "--model", model]).map_err(Failure::input)?;
    let args = &plain.args;
    for needed in ["playbooks", "rules", "suite"] {
        if !candidate.config_part(needed).is_dir() {
            return Ok(Judgement::Nothing { why: format!("neither bundle nor --config has {needed}") });
        }
    }
    // The cases are those that the site has; without any, those that came.
    let has_cases = active.config_part("suite").is_dir();
    let (scenarios, root) = cases(if has_cases { active } else { candidate }, args)?;
    let judge = |who, global: &Global, scenarios| {
        let field = Field { scenarios, root: &root, tools: tools(global)?, pipeline: None, args };
        field.judge(who, &Contender::active(global, &args.model)?)
    };
    let ours = judge("candidate", candidate, scenarios.clone())?;
    let is_whole = ["playbooks", "rules"].iter().all(|needed| active.config_part(needed).is_dir());
    if !is_whole {
        return Ok(Judgement::Alone { cases: ours.len() });
    }
    let theirs = judge("active", active, scenarios)?;
    Ok(Judgement::Compared(gate::compare(&theirs, &ours, args.seed)))
}

/// The cases both judge.
struct Field<'a> {
    scenarios: Vec<Scenario>,
    root: &'a Path,
    tools: Tools,
    /// Where alerts were closed by people, if they are judged too.
    pipeline: Option<Arc<Pipeline>>,
    args: &'a EvalArgs,
}

impl Field<'_> {
    fn judge(&self, who: &'static str, contender: &Contender) -> Outcome<Vec<Judged>> {
        let make = |pipeline| Ok(contender.investigator(pipeline));
        let bench = Bench {
            tools: &self.tools,
            make: &make,
            model: None,
            cache: None,
            jobs: if contender.computes() { 1 } else { self.args.jobs },
            canaries: self.args.canaries,
            free_form: 0,
            seed: self.args.seed,
        };
        let bar = Bar::counting(who, self.scenarios.len() as u64);
        let (run, _) = run::run(&self.scenarios, self.root, &bench, &|done| bar.inc(done as u64))?;
        for problem in &run.problems {
            tracing::warn!("left out: {problem}");
        }
        let closed = match &self.pipeline {
            Some(pipeline) => closed::judge(pipeline, MAX_CLOSED, &bench, &mut || bar.tick())?,
            None => Vec::new(),
        };
        bar.finish_and_clear();
        Ok(run.outcomes.iter().chain(&closed).map(Judged::from).collect())
    }
}

/// Why a model may not close alerts or lower severities by itself; `None` if it may.
fn may_not_act(judged: &[Judged]) -> Option<String> {
    let site = || judged.iter().filter(|case| case.source == "site");
    let attacks = site().filter(|case| case.attack).count();
    let others = site().count() - attacks;
    if attacks < MIN_CLOSED || others < MIN_CLOSED {
        return Some(format!(
            "this site has closed {attacks} alerts as attacks and {others} as benign; {MIN_CLOSED} of each are needed"
        ));
    }
    let missed =
        judged.iter().filter(|case| case.attack && case.class == casemate_eval::metrics::Class::Benign);
    let missed: Vec<&str> = missed.map(|case| case.id.as_str()).collect();
    (!missed.is_empty()).then(|| format!("it calls attacks benign: {}", missed.join(", ")))
}

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Head,
    Playbooks,
}

fn name(contender: &Contender, kind: Kind) -> String {
    match (kind, &contender.model, contender.head_sha256()) {
        (Kind::Playbooks, ..) => format!("playbooks {}", contender.sha256()),
        (Kind::Head, _, Some(sha256)) => format!("head {sha256}"),
        (_, Some(loaded), _) => format!("model {}", loaded.sha256),
        _ => "no model".to_owned(),
    }
}

/// Puts the decision on record.
fn note(pipeline: &Pipeline, args: &EvalArgs, contender: &Contender, kind: Kind, said: &Said) -> Outcome<()> {
    let at = jiff::Timestamp::now();
    let figures = json!(said);
    if said.forced {
        tracing::warn!(candidate = said.candidate, by = args.by, "accepted although the gate refused");
    }
    match &contender.model {
        Some(loaded) if kind == Kind::Model => pipeline.store().put_gate(&Gate {
            model: loaded.sha256.clone(),
            at,
            by: args.by.clone(),
            allowed: said.may_act,
            figures,
        })?,
        _ => pipeline.store().record(&Entry::new(&args.by, "gate", said.candidate.as_str(), figures))?,
    }
    Ok(())
}

fn print(said: &Said) -> std::io::Result<()> {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    output::line(&format!(
        "{} on {} cases ({} attacks, {} closed at this site)\n",
        said.candidate, said.decision.cases, said.decision.attacks, said.closed
    ))?;
    output::line(&format!("{:<22} {:>8} {:>9} {:>11}", "", "active", "candidate", "difference"))?;
    for figure in &said.decision.figures {
        let ci =
            figure.difference_ci.map_or_else(String::new, |[low, high]| format!("({low:.3} to {high:.3})"));
        let line = format!(
            "{:<22} {:>8} {:>9} {:>11} {ci}",
            figure.name,
            number(figure.active),
            number(figure.candidate),
            number(figure.difference)
        );
        output::line(line.trim_end())?;
    }
    let verdict = match (said.decision.allowed, said.forced) {
        (true, _) => "accepted".to_owned(),
        (false, true) => format!("accepted by force, although {}", said.decision.reasons.join("; ")),
        (false, false) => format!("refused: {}", said.decision.reasons.join("; ")),
    };
    output::line(&format!("\n{verdict}"))?;
    if !said.may_act {
        output::line(&format!(
            "it may not close alerts or lower severities by itself: {}",
            said.may_act_why
        ))?;
    }
    Ok(())
}
