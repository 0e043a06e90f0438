//! `GET /`: which alerts are there, what was found about them, and which should a person look at next?
//!
//! `GET /alerts/rows` gives single rows anew, for a page that follows what happens.

use super::feedback::asks_name;
use super::filter::{self, Counts, Filter, Found, NONE, SEVERITIES, listed, toggled};
use super::parts::{
    Badge, EntityLink, Outcome, When, age, entity_link, outcome, seconds, severity, verdict, when,
};
use super::render;
use crate::board::{Lists, Row, Verdict};
use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Html;
use casemate_access::Principal;
use casemate_event::{AlertId, AlertOrigin};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one page: with style and script it stays under 150 kB.
const PAGE_SIZE: usize = 30;
const ENTITIES_PER_ROW: usize = 3;
const TECHNIQUES_PER_ROW: usize = 3;
/// Values shown of a facet that has many.
const VALUES: usize = 8;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    filter: Filter,
    /// What the form of words leaves as it is.
    kept: Vec<(&'static str, String)>,
    /// The address of this page, to come back to.
    here: String,
    rows: Vec<RowView>,
    facets: Vec<Facet>,
    chips: Vec<Chip>,
    states: Vec<Value>,
    orders: Vec<Value>,
    /// Alerts that match, and all there are.
    found: usize,
    total: usize,
    events: u64,
    first: usize,
    last: usize,
    previous: Option<String>,
    next: Option<String>,
    waiting: usize,
    /// Why nothing is investigated, if that is so.
    held: Option<String>,
    overdue: usize,
    /// Seconds that an investigation takes; none was measured before the first.
    seconds_each: Option<String>,
    asks_name: bool,
    people: Vec<String>,
}

#[derive(Template)]
#[template(path = "queue_rows.html")]
struct RowsPage {
    rows: Vec<RowView>,
}

/// A kind of filter, with its values.
struct Facet {
    title: &'static str,
    values: Vec<Value>,
}

struct Value {
    name: String,
    badge: Option<Badge>,
    count: usize,
    href: String,
    is_on: bool,
}

/// A filter that is on, and the address without it.
struct Chip {
    name: &'static str,
    value: String,
    href: String,
}

struct RowView {
    id: u64,
    /// The investigation, or the alert while there is none.
    href: String,
    severity: Badge,
    title: String,
    source: String,
    case: Option<u64>,
    techniques: Vec<String>,
    entities: Vec<EntityLink>,
    more_entities: usize,
    event_count: u64,
    outcome: Outcome,
    /// Confidence, for a bar of 40.
    bar: f32,
    last: When,
    /// The same to the minute.
    seen: String,
    age: String,
    raised: When,
    seconds: Option<String>,
    assignee: Option<String>,
    closed: Option<Badge>,
    by_machine: bool,
    /// Whether a person agreed with the verdict.
    agreed: Option<bool>,
    is_critical: bool,
}

/// `GET /`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Params(filter): Params<Filter>,
    Extension(who): Extension<Principal>,
) -> Result<Html<String>> {
    blocking(&app, move |app| render(&gather(app, filter, &who)?)).await
}

/// Which rows.
#[derive(Debug, Deserialize)]
pub(crate) struct Ids {
    /// Numbers, separated by commas.
    #[serde(default)]
    ids: String,
}

/// `GET /alerts/rows`
pub(crate) async fn rows(State(app): State<Arc<App>>, Params(asked): Params<Ids>) -> Result<Html<String>> {
    let ids: Vec<AlertId> =
        listed(&asked.ids).into_iter().filter_map(|id| id.parse().ok()).map(AlertId).collect();
    if ids.len() > PAGE_SIZE {
        return Err(Problem::bad_request(format!("{} rows are asked for; ask for {PAGE_SIZE}", ids.len())));
    }
    blocking(&app, move |app| {
        let lists = app.board.now(app.pipeline.store(), &app.headlines, &app.live)?;
        let now = Timestamp::now();
        let found = ids.iter().filter_map(|id| lists.alerts.get(id));
        render(&RowsPage { rows: found.map(|alert| row(app, &lists, alert, now)).collect() })
    })
    .await
}

fn gather(app: &App, filter: Filter, who: &Principal) -> Result<QueuePage> {
    let store = app.pipeline.store();
    let lists = app.board.now(store, &app.headlines, &app.live)?;
    let now = Timestamp::now();
    let Found { ids, count, counts } = filter::find(&lists, &filter, PAGE_SIZE, now)?;
    let start = filter.start().min(count);
    let shown = ids.iter().skip(start).take(PAGE_SIZE).filter_map(|id| lists.alerts.get(id));
    let rows: Vec<RowView> = shown.map(|alert| row(app, &lists, alert, now)).collect();
    let at = |start: usize| Filter { start: start.to_string(), ..filter.clone() }.href();
    let times = app.queue.times().seconds_per_alert;
    let mut people: Vec<String> =
        counts.assignees.keys().flatten().map(|to| lists.names.name(*to).to_owned()).collect();
    people.sort();
    Ok(QueuePage {
        here: filter.href(),
        facets: facets(&lists, &filter, &counts),
        chips: chips(&filter),
        states: states(&filter, &counts),
        orders: orders(&filter),
        found: count,
        total: lists.alerts.len(),
        events: store.event_count(),
        first: start + 1,
        last: start + rows.len(),
        previous: (start > 0).then(|| match start.saturating_sub(PAGE_SIZE) {
            0 => filter.with(|_| ()).href(),
            before => at(before),
        }),
        next: (start + rows.len() < count).then(|| at(start + rows.len())),
        rows,
        waiting: app.queue.waiting(),
        held: app.queue.held().map(str::to_owned),
        overdue: app.queue.look(|lines| lines.overdue(now)),
        seconds_each: (times.count > 0).then(|| format!("{:.1}", times.mean)),
        asks_name: asks_name(who),
        people,
        kept: [
            ("verdict", &filter.verdict),
            ("severity", &filter.severity),
            ("assignee", &filter.assignee),
            ("source", &filter.source),
            ("technique", &filter.technique),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, value.clone()))
        .collect(),
        filter,
    })
}

/// What is known about the investigation of an alert.
pub(crate) fn outcome_of(app: &App, id: AlertId) -> Outcome {
    outcome(app.hub.job(id).map(|job| job.status()), app.headlines.get(id))
}

fn row(app: &App, lists: &Lists, alert: &Row, now: Timestamp) -> RowView {
    let name = |number: &u32| lists.names.name(*number).to_owned();
    let outcome = outcome_of(app, alert.id);
    RowView {
        id: alert.id.0,
        href: match outcome {
            Outcome::None => format!("/alerts/{}", alert.id),
            _ => format!("/investigations/{}", alert.id),
        },
        outcome,
        severity: severity(alert.severity),
        title: name(&alert.title),
        source: name(&alert.source),
        case: alert.case.map(|case| case.0),
        techniques: alert.techniques.iter().take(TECHNIQUES_PER_ROW).map(name).collect(),
        entities: alert
            .entities
            .iter()
            .take(ENTITIES_PER_ROW)
            .filter_map(|entity| entity_link(lists.names.name(*entity)))
            .collect(),
        more_entities: alert.entities.len().saturating_sub(ENTITIES_PER_ROW),
        event_count: alert.event_count,
        bar: alert.judged.map_or(0.0, |found| (found.confidence.clamp(0.0, 1.0) * 40.0).round()),
        last: when(alert.last_time),
        seen: alert.last_time.strftime("%Y-%m-%d %H:%M").to_string(),
        age: age(now.duration_since(alert.raised)),
        raised: when(alert.raised),
        seconds: alert
            .judged
            .filter(|found| found.seconds > 0.0)
            .map(|found| seconds(f64::from(found.seconds))),
        assignee: alert.assigned.as_ref().map(name),
        closed: alert.closed.map(|closed| verdict(closed.verdict.name())),
        by_machine: alert.closed.is_some_and(|closed| closed.by_machine),
        agreed: alert.said.map(|said| said.agrees),
        is_critical: alert.critical_asset,
    }
}

fn states(filter: &Filter, counts: &Counts) -> Vec<Value> {
    [("open", counts.open), ("closed", counts.closed), ("all", counts.open + counts.closed)]
        .into_iter()
        .map(|(name, count)| Value {
            name: name.to_owned(),
            badge: None,
            count,
            href: filter
                .with(|filter| filter.state = if name == "open" { String::new() } else { name.to_owned() })
                .href(),
            is_on: filter.state() == name,
        })
        .collect()
}

fn orders(filter: &Filter) -> Vec<Value> {
    [("by priority", ""), ("newest first", "newest")]
        .into_iter()
        .map(|(name, order)| Value {
            name: name.to_owned(),
            badge: None,
            count: 0,
            href: filter.with(|filter| filter.order = order.to_owned()).href(),
            is_on: filter.is_newest() == (order == "newest"),
        })
        .collect()
}

fn facets(lists: &Lists, filter: &Filter, counts: &Counts) -> Vec<Facet> {
    let verdicts = Verdict::ALL.iter().map(|found| (found.name(), Some(verdict(found.name()))));
    let verdicts = verdicts.chain([(NONE, None)]).zip(counts.verdicts).map(|((name, badge), count)| {
        let on = listed(&filter.verdict);
        Value {
            name: if name == NONE { "no verdict yet".to_owned() } else { name.to_owned() },
            badge,
            count,
            is_on: on.contains(&name) || (name == NONE && on.contains(&"open")),
            href: filter.with(|filter| filter.verdict = toggled(&filter.verdict, name)).href(),
        }
    });
    let severities = SEVERITIES.iter().zip(counts.severities).map(|(one, count)| Value {
        name: one.name().to_owned(),
        badge: Some(severity(*one)),
        count,
        is_on: listed(&filter.severity).contains(&one.name()),
        href: filter.with(|filter| filter.severity = toggled(&filter.severity, one.name())).href(),
    });
    let named = |counts: &HashMap<u32, usize>| -> Vec<(String, usize)> {
        counts.iter().map(|(number, count)| (lists.names.name(*number).to_owned(), *count)).collect()
    };
    let assignees = counts.assignees.iter().map(|(to, count)| {
        (to.map_or_else(|| NONE.to_owned(), |to| lists.names.name(to).to_owned()), *count)
    });
    let mut all = vec![
        Facet { title: "Verdict", values: verdicts.collect() },
        Facet { title: "Severity", values: severities.collect() },
        Facet {
            title: "Assigned to",
            values: values(assignees.collect(), &filter.assignee, |value| {
                filter.with(|filter| filter.assignee = toggled(&filter.assignee, value)).href()
            }),
        },
        Facet {
            title: "Source",
            values: values(named(&counts.sources), &filter.source, |value| {
                filter.with(|filter| filter.source = toggled(&filter.source, value)).href()
            }),
        },
        Facet {
            title: "Technique",
            values: values(named(&counts.techniques), &filter.technique, |value| {
                filter.with(|filter| filter.technique = toggled(&filter.technique, value)).href()
            }),
        },
    ];
    all.retain(|facet| facet.values.iter().any(|value| value.count > 0 || value.is_on));
    for facet in &mut all {
        facet.values.retain(|value| value.count > 0 || value.is_on);
    }
    all
}

/// The most frequent values, and whatever is on.
fn values(mut counted: Vec<(String, usize)>, on: &str, href: impl Fn(&str) -> String) -> Vec<Value> {
    counted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let on = listed(on);
    let mut shown: Vec<Value> = Vec::new();
    for (name, count) in counted {
        let is_on = on.contains(&name.as_str());
        if shown.len() < VALUES || is_on {
            let href = href(&name);
            let name = if name == NONE { "nobody".to_owned() } else { name };
            shown.push(Value { name, badge: None, count, href, is_on });
        }
    }
    shown
}

fn chips(filter: &Filter) -> Vec<Chip> {
    let chip = |name, value: &str, without: Filter| {
        (!value.is_empty()).then(|| Chip { name, value: value.to_owned(), href: without.href() })
    };
    [
        chip("text", &filter.q, filter.with(|filter| filter.q.clear())),
        chip("verdict", &filter.verdict, filter.with(|filter| filter.verdict.clear())),
        chip("severity", &filter.severity, filter.with(|filter| filter.severity.clear())),
        chip("assigned to", &filter.assignee, filter.with(|filter| filter.assignee.clear())),
        chip("source", &filter.source, filter.with(|filter| filter.source.clear())),
        chip("technique", &filter.technique, filter.with(|filter| filter.technique.clear())),
        chip("about", &filter.entity, filter.with(|filter| filter.entity.clear())),
        chip("since", &filter.after, filter.with(|filter| filter.after.clear())),
        chip("until", &filter.before, filter.with(|filter| filter.before.clear())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) fn origin(origin: &AlertOrigin) -> String {
    match origin {
        AlertOrigin::Rule(_) => "Sigma rule".to_owned(),
        AlertOrigin::Product(product) => product.clone(),
    }
}
