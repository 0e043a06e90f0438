//! `GET /`: which alerts are there, and what was found about them?

use super::parts::{Badge, EntityLink, Outcome, When, entity_links, outcome, severity, url_encode, when};
use super::render;
use crate::params::Params;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use casemate_event::{Alert, AlertId, AlertOrigin};
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

const PAGE_SIZE: usize = 100;
const ENTITIES_PER_ROW: usize = 4;
const VERDICTS: [&str; 5] = ["malicious", "suspicious", "inconclusive", "benign", "open"];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    /// A verdict, or `open` for those without one.
    #[serde(default)]
    verdict: String,
    /// Only alerts with smaller numbers: the next page.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    rows: Vec<Row>,
    filters: Vec<FilterLink>,
    total: usize,
    events: u64,
    shown: usize,
    next: Option<String>,
    waiting: usize,
    /// Why nothing is investigated, if that is so.
    held: Option<String>,
    overdue: usize,
    /// Seconds that an investigation takes; none was measured before the first.
    seconds_each: Option<String>,
}

struct FilterLink {
    name: String,
    count: usize,
    href: String,
    is_current: bool,
}

struct Row {
    id: u64,
    time: When,
    severity: Badge,
    title: String,
    origin: String,
    techniques: Vec<String>,
    entities: Vec<EntityLink>,
    more_entities: usize,
    event_count: u64,
    outcome: Outcome,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Params(filter): Params<Filter>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let alerts = app.pipeline.store().alerts()?;
        render(&gather(app, &alerts, &filter))
    })
    .await
}

fn gather(app: &App, alerts: &[Alert], filter: &Filter) -> QueuePage {
    let verdict_of = |alert: &Alert| outcome_of(app, alert.id);
    let kinds: Vec<(&Alert, Outcome)> = alerts.iter().rev().map(|alert| (alert, verdict_of(alert))).collect();
    let count = |name: &str| kinds.iter().filter(|(_, outcome)| is_kind(outcome, name)).count();
    let link = |name: &str, count: usize, href: String, is_current: bool| FilterLink {
        name: name.to_owned(),
        count,
        href,
        is_current,
    };
    let mut filters = vec![link("all", kinds.len(), "/".to_owned(), filter.verdict.is_empty())];
    filters.extend(
        VERDICTS.map(|name| link(name, count(name), format!("/?verdict={name}"), filter.verdict == name)),
    );
    let mut matching = kinds
        .iter()
        .filter(|(_, outcome)| filter.verdict.is_empty() || is_kind(outcome, &filter.verdict))
        .filter(|(alert, _)| filter.before.is_none_or(|before| alert.id.0 < before));
    let rows: Vec<Row> =
        matching.by_ref().take(PAGE_SIZE).map(|(alert, outcome)| row(alert, outcome.clone())).collect();
    let next = match (matching.next(), rows.last()) {
        (Some(_), Some(last)) => {
            Some(format!("/?verdict={}&before={}", url_encode(&filter.verdict), last.id))
        }
        _ => None,
    };
    let times = app.queue.times().seconds_per_alert;
    QueuePage {
        overdue: app.queue.look(|lines| lines.overdue(Timestamp::now())),
        seconds_each: (times.count > 0).then(|| format!("{:.1}", times.mean)),
        filters,
        total: alerts.len(),
        events: app.pipeline.store().event_count(),
        shown: rows.len(),
        rows,
        next,
        waiting: app.queue.waiting(),
        held: app.queue.held().map(str::to_owned),
    }
}

/// What is known about the investigation of an alert.
pub(crate) fn outcome_of(app: &App, id: AlertId) -> Outcome {
    outcome(app.hub.job(id).map(|job| job.status()), app.headlines.get(id))
}

fn is_kind(outcome: &Outcome, name: &str) -> bool {
    match outcome {
        Outcome::Verdict { badge, .. } => badge.word == name,
        Outcome::None | Outcome::Status(_) => name == "open",
    }
}

fn row(alert: &Alert, outcome: Outcome) -> Row {
    Row {
        id: alert.id.0,
        time: when(alert.last_time),
        severity: severity(alert.severity),
        title: alert.title.clone(),
        origin: origin(&alert.origin),
        techniques: alert.techniques.clone(),
        entities: entity_links(alert.entities.iter().take(ENTITIES_PER_ROW)),
        more_entities: alert.entities.len().saturating_sub(ENTITIES_PER_ROW),
        event_count: alert.event_count,
        outcome,
    }
}

pub(crate) fn origin(origin: &AlertOrigin) -> String {
    match origin {
        AlertOrigin::Rule(_) => "Sigma rule".to_owned(),
        AlertOrigin::Product(product) => product.clone(),
    }
}
