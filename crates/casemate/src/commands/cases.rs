//! `casemate cases`: which alerts are one thing, and what people decided about them.

use crate::cli::{CasesArgs, CasesCommand, Global, WhichArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use casemate_event::{Alert, AlertId, Case, CaseId, Closing, Subject};
use casemate_store::Store;
use jiff::Timestamp;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Listed {
    cases: Vec<Shown>,
}

/// A case with its alerts.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    case: Case,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    #[serde(flatten)]
    alert: Alert,
    closed: Option<Closing>,
}

pub(crate) fn run(global: &Global, args: &CasesArgs) -> Outcome {
    let started = Instant::now();
    if !global.data_dir.is_dir() {
        return Err(Failure::input(anyhow!(
            "there is no data directory at {}; give it with --data-dir",
            global.data_dir.display()
        )));
    }
    let store = Store::open(&global.data_dir)?;
    let shown = match &args.command {
        None => {
            let cases = store.cases()?.into_iter().rev();
            let open = cases.filter(|case| !args.open || case.closed.is_none());
            open.map(|case| show(&store, case)).collect::<Outcome<Vec<Shown>>>()?
        }
        Some(CasesCommand::Show { id }) => vec![find(&store, CaseId(*id))?],
        Some(CasesCommand::Close { which, verdict, reason }) => {
            let closing = Closing {
                verdict: (*verdict).into(),
                reason: reason.trim().to_owned(),
                by: which.by.trim().to_owned(),
                at: Timestamp::now(),
                by_machine: false,
            };
            if closing.reason.is_empty() || closing.by.is_empty() {
                return Err(Failure::input(anyhow!("say why with --reason and who you are with --by")));
            }
            let subject = subject(which);
            store.conclude(subject, &closing)?.ok_or_else(|| missing(subject))?;
            vec![find(&store, case_of(&store, subject)?)?]
        }
        Some(CasesCommand::Reopen { which }) => {
            let subject = subject(which);
            store.reopen(subject, which.by.trim(), Timestamp::now())?.ok_or_else(|| missing(subject))?;
            vec![find(&store, case_of(&store, subject)?)?]
        }
    };
    if global.json {
        output::json(&Listed { cases: shown }, started)?;
        return Ok(ExitCode::SUCCESS);
    }
    if shown.is_empty() {
        output::line("no cases")?;
    }
    for case in &shown {
        print(case, args.command.is_some())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn subject(which: &WhichArgs) -> Subject {
    if which.alert { Subject::Alert(AlertId(which.id)) } else { Subject::Case(CaseId(which.id)) }
}

fn missing(subject: Subject) -> Failure {
    Failure::input(anyhow!("there is no {subject}; `casemate cases` lists cases and their alerts"))
}

fn case_of(store: &Store, subject: Subject) -> Outcome<CaseId> {
    match subject {
        Subject::Case(id) => Ok(id),
        Subject::Alert(id) => store.case_of(id)?.ok_or_else(|| missing(subject)),
    }
}

fn find(store: &Store, id: CaseId) -> Outcome<Shown> {
    show(store, store.case(id)?.ok_or_else(|| missing(Subject::Case(id)))?)
}

fn show(store: &Store, case: Case) -> Outcome<Shown> {
    let mut members = Vec::with_capacity(case.alerts.len());
    for member in &case.alerts {
        if let Some(alert) = store.alert(member.alert)? {
            members.push(Member { alert, closed: store.closing(member.alert)? });
        }
    }
    Ok(Shown { case, members })
}

fn print(shown: &Shown, whole: bool) -> std::io::Result<()> {
    let Some(first) = shown.members.first() else { return Ok(()) };
    let worst = shown.members.iter().map(|member| member.alert.severity).max();
    let severity = worst.map_or("", |severity| severity.name());
    let state = shown.case.closed.as_ref().map_or_else(
        || "open".to_owned(),
        |closing| format!("closed as {} by {}: {}", closing.verdict, closing.by, closing.reason),
    );
    let count = shown.members.len();
    output::line(&format!("case {:>4}  {severity:<8}  {count:>3} alerts  {state}", shown.case.id))?;
    if !whole {
        return output::line(&format!("           {}", first.alert.title));
    }
    for (member, joined) in shown.members.iter().zip(&shown.case.alerts) {
        let Member { alert, closed } = member;
        let why = if joined.joined.is_empty() { "the first" } else { &joined.joined };
        output::line(&format!("  alert {:>4}  {}  {}  ({why})", alert.id, alert.last_time, alert.title))?;
        if let Some(closing) = closed.as_ref().filter(|closed| Some(*closed) != shown.case.closed.as_ref()) {
            let Closing { verdict, by, reason, .. } = closing;
            output::line(&format!("              closed as {verdict} by {by}: {reason}"))?;
        }
    }
    Ok(())
}
