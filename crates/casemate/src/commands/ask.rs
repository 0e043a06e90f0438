//! `casemate ask`: a question in plain words, answered with its evidence while it is written; and how well that goes.

use crate::cli::{AskArgs, Global, ModelArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Bar};
use crate::{machine, models, setup};
use anyhow::anyhow;
use casemate_eval::ask::{self, Grade, Report};
use casemate_event::{AlertId, CaseId};
use casemate_investigate::ask::{About, Answer, Asker, Priority, Progress, Question, Ticket};
use casemate_pipeline::Pipeline;
use jiff::Timestamp;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Longest line of evidence on a terminal, in characters.
const LINE_CHARS: usize = 160;

pub(crate) fn run(global: &Global, args: &AskArgs) -> Outcome {
    let started = Instant::now();
    let pipeline = Arc::new(setup::pipeline(global)?);
    let asker = asker(global, &args.model, &pipeline)?;
    if let Some(file) = &args.eval {
        return eval(global, file, &asker, &pipeline);
    }
    let about =
        args.case.map(|id| About::Case(CaseId(id))).or(args.alert.map(|id| About::Alert(AlertId(id))));
    let question = Question {
        text: args.question.clone().unwrap_or_default(),
        about,
        after: args.after,
        before: args.before,
        now: Timestamp::now(),
        ticket: Ticket { priority: Priority::Interactive, ..Ticket::default() },
    };
    let mut printed = Ok(());
    let mut tell = |progress: Progress| {
        if let (Progress::Sentence(told), false) = (progress, global.json) {
            let cited = if told.citations.is_empty() {
                String::new()
            } else {
                format!(" [{}]", told.citations.join(", "))
            };
            let line = output::line(&format!("{}{cited}", told.text));
            printed = std::mem::replace(&mut printed, Ok(())).and(line);
        }
    };
    let answer = asker.ask(&question, &mut tell).map_err(|error| match error {
        casemate_investigate::Error::Question { .. } => Failure::input(anyhow!(error.to_string())),
        error => error.into(),
    })?;
    printed?;
    casemate_store::record_beside(&global.data_dir, &answer.entry(&machine::operator()))?;
    if global.json {
        output::json(&answer, started)?;
    } else {
        print(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn asker(global: &Global, args: &ModelArgs, pipeline: &Arc<Pipeline>) -> Outcome<Asker> {
    let model = models::load_investigator(&args.model, &global.model_dirs())?;
    Ok(Asker::new(Arc::clone(pipeline), model))
}

/// What stands below the sentences.
fn print(answer: &Answer) -> std::io::Result<()> {
    if !answer.known {
        output::line(&answer.answer)?;
    }
    let cited = answer.cited();
    for line in answer.evidence.iter().filter(|line| cited.contains(&line.event)) {
        let shown: String = line.line.chars().take(LINE_CHARS).collect();
        output::line(&format!("  [{}] event {}  {shown}", line.label, line.event))?;
    }
    if let Some(query) = &answer.query {
        output::line(&format!("  searched: {query}"))?;
    }
    for item in &answer.looked_for {
        output::line(&format!("  looked for: {item}"))?;
    }
    for item in &answer.missing {
        output::line(&format!("  needed: {item}"))?;
    }
    Ok(())
}

fn eval(global: &Global, file: &Path, asker: &Asker, pipeline: &Pipeline) -> Outcome {
    let started = Instant::now();
    let cases = ask::load(file).map_err(Failure::input)?;
    let bar = Bar::counting("ask", cases.len() as u64);
    let report = ask::run(asker, pipeline.store(), &cases, Timestamp::now(), &mut |_| bar.inc(1))?;
    bar.finish_and_clear();
    if global.json {
        output::json(&report, started)?;
    } else {
        figures(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn figures(report: &Report) -> std::io::Result<()> {
    for row in report.rows.iter().filter(|row| matches!(row.grade, Grade::Wrong | Grade::Missed)) {
        let grade = if row.grade == Grade::Wrong { "WRONG " } else { "missed" };
        let answerable = row.answerable.map(|p| format!(" ({p:.2})")).unwrap_or_default();
        output::line(&format!(
            "{grade} {:<8} {}\n         {}{answerable}",
            row.sort, row.question, row.answer
        ))?;
    }
    output::line("sort           n  right  rightly unknown  wrong  missed")?;
    for (sort, f) in &report.by_sort {
        output::line(&format!(
            "{sort:<10} {:>5}  {:>5}  {:>15}  {:>5}  {:>6}",
            f.n, f.right, f.rightly_unknown, f.wrong, f.missed
        ))?;
    }
    output::line(&format!(
        "citations {}, exist {}, borne out {}; sentences left out {}; reworded questions that differ: {}",
        report.citations,
        report.citations_exist,
        report.citations_support,
        report.removed,
        if report.differing.is_empty() { "none".to_owned() } else { report.differing.join(", ") }
    ))?;
    output::line(&format!("{:.1} s", report.seconds))
}
