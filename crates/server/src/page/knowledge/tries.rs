//! `GET /tries/{id}`: what would be different with this text in use?

use super::super::parts::{Badge, When, percent, verdict, when};
use super::super::render;
use super::short;
use crate::api::tries::one_of;
use crate::knowledge::draft::{activate_playbook, activate_rule};
use crate::knowledge::tries::{Case, Line, Outcome, PlaybookOutcome, RuleOutcome, Side, Touched, Turned};
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "knowledge_try.html")]
struct TryPage {
    id: u64,
    is_playbook: bool,
    names: String,
    sha256: String,
    short: String,
    by: String,
    at: When,
    status: &'static str,
    is_over: bool,
    /// Steps the page holds: the stream goes on after them.
    seen: usize,
    done: u64,
    of: u64,
    failure: Option<String>,
    playbook: Option<Playbook>,
    rule: Option<Rule>,
    activate: String,
}

struct Playbook {
    it: PlaybookOutcome,
    gained: String,
    lost: String,
    missed: String,
    cases: Vec<CaseRow>,
    gate: Option<Gate>,
}

/// What the gate says.
struct Gate {
    allowed: bool,
    cases: u64,
    reasons: Vec<String>,
}

struct CaseRow {
    id: u64,
    title: String,
    then: SideShown,
    now: Option<SideShown>,
    problem: Option<String>,
    changed: bool,
    closed: Option<Badge>,
    agreement: Option<&'static str>,
    notes: Vec<String>,
    facts: Vec<Line>,
    answers: Vec<Line>,
    evidence: [usize; 3],
}

struct SideShown {
    badge: Badge,
    confidence: String,
    probability: String,
    playbook: String,
    method: String,
}

struct Rule {
    it: RuleOutcome,
    days: Vec<(String, u64, u64)>,
    /// Matches on days before those.
    earlier: u64,
    samples: Vec<(u64, When, String)>,
    closed: Vec<TouchedRow>,
    no_longer: Vec<TouchedRow>,
}

struct TouchedRow {
    id: u64,
    title: String,
    closed: Option<Badge>,
}

/// `GET /tries/{id}`
pub(crate) async fn page(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let one = one_of(app, &id)?;
        // Read before the outcome: what comes meanwhile is told again, not missed.
        let (steps, _) = one.job().steps_from(0);
        let last = steps.last().and_then(|step| serde_json::from_str::<serde_json::Value>(&step.data).ok());
        let (playbook, rule) = match one.outcome() {
            Outcome::Playbook(it) => (Some(Playbook::new(it)), None),
            Outcome::Rule(it) => (None, Some(Rule::new(it))),
        };
        let (done, of) = match (&playbook, &rule) {
            (Some(playbook), _) => (playbook.it.cases.len() as u64, playbook.it.of as u64),
            (_, Some(rule)) => (rule.it.examined, rule.it.of),
            _ => (0, 0),
        };
        let status = one.status();
        render(&TryPage {
            id: one.id,
            is_playbook: one.is_playbook(),
            names: one.names.join(", "),
            short: short(&one.sha256),
            sha256: one.sha256.clone(),
            by: one.by.clone(),
            at: when(one.at.round(jiff::Unit::Second).unwrap_or(one.at)),
            status: status.name(),
            is_over: status.is_over(),
            seen: steps.len(),
            done,
            of: of.max(1),
            failure: last.and_then(|last| last["detail"].as_str().map(str::to_owned)),
            activate: activation(app, &one),
            playbook,
            rule,
        })
    })
    .await
}

/// `POST /tries/{id}/stop`
pub(crate) async fn stop(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Redirect> {
    let one = one_of(&app, &id)?;
    one.stop();
    Ok(Redirect::to(&format!("/tries/{}", one.id)))
}

fn activation(app: &App, one: &crate::knowledge::tries::Try) -> String {
    let name = one.names.first().map(String::as_str).unwrap_or_default();
    if one.is_playbook() {
        let active = app.knowledge.investigator.playbooks().get(name);
        return activate_playbook(&active.map_or_else(|| format!("{name}.toml"), |own| own.file.clone()));
    }
    let active = app.pipeline.rules().get(name);
    let file = active.map(|own| crate::knowledge::draft::shown_path(&own.path));
    activate_rule(&file.unwrap_or_else(|| "rules/NAME.yml".to_owned()))
}

fn numbers(ids: &[casemate_event::AlertId]) -> String {
    ids.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(", ")
}

impl Playbook {
    fn new(mut it: PlaybookOutcome) -> Self {
        let mut cases = std::mem::take(&mut it.cases);
        it.of = it.of.max(cases.len());
        // What changed is what somebody looks for.
        cases.sort_by_key(|case| (!(case.changed || case.problem.is_some()), std::cmp::Reverse(case.alert)));
        let gate = it.gate.as_ref().map(|gate| Gate {
            allowed: gate["allowed"].as_bool().unwrap_or_default(),
            cases: gate["cases"].as_u64().unwrap_or_default(),
            reasons: gate["reasons"]
                .as_array()
                .map(|all| all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
        });
        Self {
            gained: numbers(&it.summary.gained),
            lost: numbers(&it.summary.lost),
            missed: numbers(&it.summary.newly_missed),
            gate,
            cases: cases.into_iter().map(CaseRow::new).collect(),
            it,
        }
    }
}

impl CaseRow {
    fn new(case: Case) -> Self {
        let mut notes = Vec::new();
        if case.retrieved_anew && case.now.is_some() {
            notes.push("evidence was looked for anew, among the events of now".to_owned());
        }
        notes.extend(case.also_changed.into_iter().map(|what| format!("also: {what}")));
        Self {
            id: case.alert.0,
            title: case.title,
            then: SideShown::of(&case.then),
            now: case.now.as_ref().map(SideShown::of),
            problem: case.problem,
            changed: case.changed,
            closed: case.closed.map(|closed| verdict(closed.name())),
            agreement: case.agreement.map(|turned| match turned {
                Turned::Gained => "gained",
                Turned::Lost => "lost",
            }),
            notes,
            facts: case.facts,
            answers: case.answers,
            evidence: case.evidence,
        }
    }
}

impl SideShown {
    fn of(side: &Side) -> Self {
        Self {
            badge: verdict(side.verdict.name()),
            confidence: percent(side.confidence),
            probability: percent(side.probability),
            playbook: format!("{} version {}", side.playbook, side.version),
            method: side.method.clone(),
        }
    }
}

impl Rule {
    fn new(it: RuleOutcome) -> Self {
        /// Days shown, the latest.
        const DAYS: usize = 30;
        let most = it.days.values().copied().max().unwrap_or(1).max(1);
        let days = it.days.iter().rev().take(DAYS);
        let earlier = it.on_earlier_days + it.days.values().rev().skip(DAYS).sum::<u64>();
        let touched = |all: &[Touched]| -> Vec<TouchedRow> {
            let row = |one: &Touched| TouchedRow {
                id: one.alert.0,
                title: one.title.clone(),
                closed: one.closed.map(|closed| verdict(closed.name())),
            };
            all.iter().map(row).collect()
        };
        Self {
            days: days.map(|(day, count)| (day.clone(), *count, (count * 100).div_ceil(most))).collect(),
            earlier,
            samples: it
                .samples
                .iter()
                .map(|sample| (sample.event.0, when(sample.time), sample.message.clone()))
                .collect(),
            closed: touched(&it.closed),
            no_longer: touched(&it.no_longer),
            it,
        }
    }
}
