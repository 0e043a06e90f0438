//! `casemate cases`: which alerts are one thing, and what people decided about them.

use crate::cli::{CasesArgs, CasesCommand, Global, WhichArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Style, printable};
use anyhow::anyhow;
use casemate_event::{Alert, AlertId, Case, CaseId, Closing, Entity, EntityKind, Subject};
use casemate_store::Store;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

/// Cases listed for people, if nothing else is asked for.
const USUAL_ROWS: usize = 50;

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
    let mut left_out = 0;
    let shown = match &args.command {
        None => {
            let mut cases = store.cases()?;
            cases.retain(|case| !args.open || case.closed.is_none());
            let usual = if global.json { usize::MAX } else { USUAL_ROWS };
            let most = args.limit.map_or(usual, |limit| limit as usize);
            left_out = cases.len().saturating_sub(most);
            let newest = cases.into_iter().rev().take(most);
            newest.map(|case| show(&store, case)).collect::<Outcome<Vec<Shown>>>()?
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
    let style = Style::of_stdout();
    for case in &shown {
        match args.command {
            None => print_short(&store, case, style)?,
            Some(_) => print_whole(&store, case, style)?,
        }
    }
    if left_out > 0 {
        output::line(&format!("{left_out} older cases are left out; --limit says how many are listed"))?;
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

/// What is read of a stored report.
#[derive(Debug, Deserialize)]
struct Concluded {
    verdict: String,
    #[serde(default)]
    confidence: f64,
    #[serde(default)]
    summary: String,
}

fn concluded(store: &Store, alert: AlertId) -> Outcome<Option<Concluded>> {
    let json = store.investigation(alert)?;
    Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
}

/// The gravest verdict on the alerts of a case.
fn gravest(store: &Store, shown: &Shown) -> Outcome<Option<String>> {
    let mut found = BTreeSet::new();
    for member in &shown.members {
        found.extend(concluded(store, member.alert.id)?.map(|concluded| concluded.verdict));
    }
    Ok(["malicious", "suspicious", "inconclusive", "benign"]
        .into_iter()
        .find(|name| found.contains(*name))
        .map(str::to_owned))
}

/// What is known of a case in two or three lines.
fn print_short(store: &Store, shown: &Shown, style: Style) -> Outcome<()> {
    let Some(worst) = shown
        .members
        .iter()
        .map(|member| &member.alert)
        .max_by_key(|alert| (alert.severity, Reverse(alert.id)))
    else {
        return Ok(());
    };
    let severity = worst.severity.name();
    let state = match &shown.case.closed {
        None => "open".to_owned(),
        Some(closing) => format!("closed as {} by {}", closing.verdict, printable(&closing.by)),
    };
    let verdict = match gravest(store, shown)? {
        None => "not investigated".to_owned(),
        Some(verdict) => style.verdict(&verdict, &verdict),
    };
    let count = match shown.members.len() {
        1 => "1 alert".to_owned(),
        count => format!("{count} alerts"),
    };
    let from = shown.members.iter().map(|member| member.alert.first_time).min().unwrap_or(worst.first_time);
    let to = shown.members.iter().map(|member| member.alert.last_time).max().unwrap_or(worst.last_time);
    let severity = style.severity(severity, &format!("{severity:<8}"));
    output::line(&format!("case {:>4}  {severity}  {verdict}, {state}, {count}", shown.case.id))?;
    output::line(&format!("           {}", style.bold(&printable(&worst.title))))?;
    let about = about(shown);
    let about = if about.is_empty() { about } else { format!(", {about}") };
    output::line(&format!("           {}{about}", output::span(from, to)))?;
    Ok(())
}

/// The hosts and accounts of a case, the most frequent first.
fn about(shown: &Shown) -> String {
    const MOST: usize = 4;
    let mut counts: BTreeMap<&Entity, usize> = BTreeMap::new();
    let entities = shown.members.iter().flat_map(|member| &member.alert.entities);
    for entity in entities.filter(|entity| matches!(entity.kind, EntityKind::Host | EntityKind::User)) {
        *counts.entry(entity).or_default() += 1;
    }
    let mut counts: Vec<(&Entity, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let names: Vec<String> =
        counts.iter().take(MOST).map(|(entity, _)| printable(&entity.to_string())).collect();
    match counts.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// A case with each of its alerts, why it is part of it, what was concluded and what was decided.
fn print_whole(store: &Store, shown: &Shown, style: Style) -> Outcome<()> {
    print_short(store, shown, style)?;
    if let Some(Closing { verdict, by, at, reason, .. }) = &shown.case.closed {
        let said = format!("closed as {verdict} by {} at {} UTC", printable(by), output::time(*at));
        output::line(&format!("           {said}: {}", printable(reason)))?;
    }
    if !shown.case.related.is_empty() {
        let related: Vec<String> = shown.case.related.iter().map(ToString::to_string).collect();
        output::line(&format!("           shares something with case {}", related.join(", ")))?;
    }
    let mut waiting = Vec::new();
    for (member, joined) in shown.members.iter().zip(&shown.case.alerts) {
        let Member { alert, closed } = member;
        let severity = alert.severity.name();
        output::line("")?;
        let title = style.bold(&printable(&alert.title));
        output::line(&format!("alert {:>4}  {}  {title}", alert.id, style.severity(severity, severity)))?;
        let why = if joined.joined.is_empty() {
            "the first of the case".to_owned()
        } else {
            printable(&joined.joined)
        };
        let (span, count) = (output::span(alert.first_time, alert.last_time), alert.event_count);
        output::line(&format!("            {span}, {count} events"))?;
        output::line(&format!("            {}", style.dim(&format!("here because: {why}"))))?;
        match concluded(store, alert.id)? {
            Some(Concluded { verdict, confidence, summary }) => {
                let verdict = style.verdict(&verdict, &verdict);
                output::line(&format!("            {verdict} ({confidence:.2}): {}", printable(&summary)))?;
            }
            None => waiting.push(alert.id.to_string()),
        }
        if let Some(closing) = closed.as_ref().filter(|closed| Some(*closed) != shown.case.closed.as_ref()) {
            let Closing { verdict, by, reason, .. } = closing;
            let said = format!("closed as {verdict} by {}: {}", printable(by), printable(reason));
            output::line(&format!("            {said}"))?;
        }
    }
    if !waiting.is_empty() && shown.case.closed.is_none() {
        output::line("")?;
        output::line(&format!("Next: casemate investigate {}", waiting.join(" ")))?;
    }
    Ok(())
}
