//! `casemate playbook`: are playbooks valid, and does what they promise come out?
//!
//! `test` runs each `[[test]]` of a playbook through intake, store and investigation, in a store of its own that
//! is gone afterwards. Exit status 1 if a test fails, 2 if a file is not a valid playbook.

use crate::cli::{Global, PlaybookArgs, PlaybookCommand, PlaybookTestArgs};
use crate::failure::{Failure, Outcome};
use crate::{models, output, setup};
use anyhow::{Context, anyhow};
use casemate_detect::Rules;
use casemate_investigate::playbook::{Playbook, Trial};
use casemate_investigate::{Investigation, LoadedModel, Playbooks};
use casemate_pipeline::Pipeline;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Checked {
    playbooks: Vec<PlaybookLine>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PlaybookLine {
    path: PathBuf,
    name: String,
    version: u32,
    sha256: String,
    /// Questions for the model.
    questions: usize,
    /// Questions that facts answer.
    predicates: usize,
    tests: usize,
}

#[derive(Debug, Serialize)]
struct Tested {
    tests: Vec<TestLine>,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct TestLine {
    playbook: String,
    test: String,
    passed: bool,
    /// What came out otherwise than expected.
    wrong: Vec<String>,
    facts: Vec<String>,
}

pub(crate) fn run(global: &Global, args: &PlaybookArgs) -> Outcome {
    match &args.command {
        PlaybookCommand::Check { paths } => check(global, paths),
        PlaybookCommand::Test(args) => test(global, args),
    }
}

fn check(global: &Global, paths: &[PathBuf]) -> Outcome {
    let started = Instant::now();
    let (mut playbooks, mut problems) = (Vec::new(), Vec::new());
    let (files, whole) = files(global, paths)?;
    for path in files {
        match Playbooks::read(&path) {
            Ok(playbook) => playbooks.push((path, playbook)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    // Only of all of them together can be said whether names are unique and one takes the rest.
    if whole && problems.is_empty() {
        let all = playbooks.iter().map(|(_, playbook)| playbook.clone()).collect();
        problems.extend(Playbooks::new(all).err());
    }
    let playbooks = playbooks.into_iter().map(|(path, playbook)| PlaybookLine::of(path, &playbook)).collect();
    let checked = Checked { playbooks, problems };
    if global.json {
        output::json(&checked, started)?;
    } else {
        for line in &checked.playbooks {
            output::line(&format!(
                "{}: version {}, {} questions for the model, {} answered by facts, {} tests",
                line.name, line.version, line.questions, line.predicates, line.tests
            ))?;
        }
        checked.problems.iter().try_for_each(|problem| output::line(problem))?;
    }
    Ok(if checked.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

impl PlaybookLine {
    fn of(path: PathBuf, playbook: &Playbook) -> Self {
        Self {
            path,
            name: playbook.name.clone(),
            version: playbook.version,
            sha256: playbook.sha256.clone(),
            questions: playbook.questions.len(),
            predicates: playbook.decided.len(),
            tests: playbook.trials.len(),
        }
    }
}

/// Playbook files that are meant, and whether they are all there are: those of the configuration if none are named.
fn files(global: &Global, paths: &[PathBuf]) -> Outcome<(Vec<PathBuf>, bool)> {
    let whole = paths.is_empty();
    let paths = if whole { vec![setup::config_dir(global, "playbooks")?] } else { paths.to_vec() };
    let mut files = BTreeSet::new();
    for path in &paths {
        if !path.is_dir() {
            files.insert(path.clone());
            continue;
        }
        for entry in fs_err::read_dir(path).map_err(Failure::input)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.insert(path);
            }
        }
    }
    if files.is_empty() {
        return Err(Failure::input(anyhow!(
            "no playbook (*.toml) there; name a file or a directory of them"
        )));
    }
    Ok((files.into_iter().collect(), whole))
}

fn test(global: &Global, args: &PlaybookTestArgs) -> Outcome {
    let started = Instant::now();
    let (files, whole) = files(global, &args.paths)?;
    let mut tested: Vec<Playbook> =
        files.iter().map(|path| Playbooks::read(path)).collect::<Result<_, _>>().map_err(Failure::input)?;
    tested.sort_by(|a, b| a.name.cmp(&b.name));
    // A playbook named apart is chosen among those in use, and takes the place of its namesake.
    let playbooks = if whole {
        Playbooks::new(tested.clone())
    } else {
        let in_use = Playbooks::load(&setup::config_dir(global, "playbooks")?).map_err(Failure::input)?;
        in_use.with(tested.clone())
    };
    let playbooks = playbooks.map_err(|reason| Failure::input(anyhow!(reason)))?;
    let mut lines = Vec::new();
    for playbook in &tested {
        for trial in &playbook.trials {
            let model = models::load_investigator(&args.model, &global.model_dirs())?;
            let with_model = model.is_some();
            let case = investigate(trial, &playbooks, model)
                .with_context(|| format!("playbook {}, test {:?}", playbook.name, trial.name))
                .map_err(Failure::input)?;
            let wrong = trial.wrong(playbook, &case, with_model);
            let facts = case.facts.iter().map(|fact| fact.name.clone()).collect();
            let line = TestLine {
                playbook: playbook.name.clone(),
                test: trial.name.clone(),
                passed: wrong.is_empty(),
                wrong,
                facts,
            };
            if !global.json {
                let mark = if line.passed { "ok    " } else { "FAILED" };
                output::line(&format!("{mark} {}: {}", line.playbook, line.test))?;
                line.wrong.iter().try_for_each(|wrong| output::line(&format!("       {wrong}")))?;
            }
            lines.push(line);
        }
    }
    let failed = lines.iter().filter(|line| !line.passed).count();
    if global.json {
        output::json(&Tested { tests: lines, failed }, started)?;
    } else {
        output::line(&format!("{} tests, {failed} failed", lines.len()))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Investigates the trial's alert in a store of its own.
fn investigate(
    trial: &Trial,
    playbooks: &Playbooks,
    model: Option<LoadedModel>,
) -> anyhow::Result<Investigation> {
    let dir = tempfile::tempdir()?;
    let pipeline = Arc::new(Pipeline::open(dir.path(), Rules::default(), None)?);
    Ok(trial.run(pipeline, playbooks, model)?)
}
