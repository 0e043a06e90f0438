//! `GET /cases` and `/cases/{id}`: which alerts are one thing, and what was decided? And the forms that decide.

use super::evidence::{SavedRows, saved_rows};
use super::feedback::{FeedbackView, asks_name};
use super::parts::{Badge, EntityLink, When, entity_link, entity_links, severity, url_encode, verdict, when};
use super::render;
use crate::api::cases::{Close, Gist, Reopen, case, gist};
use crate::board::{CaseRow, Lists, Verdict};
use crate::params::{Params, form_body, number};
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, Redirect};
use casemate_access::Principal;
use casemate_event::{Alert, AlertId, Case, CaseId, Entity, EntityKind, Subject};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

const PAGE_SIZE: usize = 40;

const ENTITIES_PER_ROW: usize = 3;
const ENTITIES_SHOWN: usize = 40;
/// Lines of the record in which decisions are looked for.
const RECORD_LINES: usize = 2000;
const DECISIONS_SHOWN: usize = 100;

/// Which cases.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// `open`, `closed`, or all.
    state: String,
    /// The gravest on its alerts.
    verdict: String,
    /// `priority` (the usual) or `newest`.
    order: String,
    /// How many are left out before the first.
    start: String,
}

#[derive(Template)]
#[template(path = "cases.html")]
struct CasesPage {
    rows: Vec<Row>,
    states: Vec<Choice>,
    verdicts: Vec<Choice>,
    orders: Vec<Choice>,
    total: usize,
    found: usize,
    first: usize,
    last: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// One of several addresses.
struct Choice {
    name: String,
    count: usize,
    href: String,
    is_on: bool,
}

struct Row {
    id: u64,
    alerts: usize,
    /// How many of them are open.
    open: usize,
    last: When,
    severity: Badge,
    title: String,
    entities: Vec<EntityLink>,
    verdict: Option<Badge>,
    assignee: Option<String>,
    closed: Option<Badge>,
}

#[derive(Template)]
#[template(path = "one_case.html")]
struct CasePage {
    id: u64,
    title: String,
    severity: Badge,
    first: When,
    last: When,
    verdict: Option<Badge>,
    related: Vec<u64>,
    entities: Vec<EntityLink>,
    members: Vec<MemberRow>,
    decisions: Vec<DecisionRow>,
    feedback: FeedbackView,
    case_id: u64,
    evidence: SavedRows,
    asks_name: bool,
}

/// What somebody did about the case or one of its alerts.
struct DecisionRow {
    at: When,
    by: String,
    did: String,
    /// Which alert, where it was not the case.
    about: String,
    reason: String,
}

struct MemberRow {
    id: u64,
    time: When,
    severity: Badge,
    title: String,
    joined: String,
    verdict: Option<Badge>,
    closed: Option<Badge>,
}

/// `GET /cases`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(filter): Params<Filter>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let lists = app.board.now(app.pipeline.store(), &app.headlines, &app.live)?;
        render(&CasesPage::new(&lists, &filter, Timestamp::now()))
    })
    .await
}

impl Filter {
    fn state(&self) -> &'static str {
        match self.state.as_str() {
            "open" => "open",
            "closed" => "closed",
            _ => "all",
        }
    }

    fn href(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { start: String::new(), ..self.clone() };
        change(&mut other);
        let parts = [
            ("state", &other.state),
            ("verdict", &other.verdict),
            ("order", &other.order),
            ("start", &other.start),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", url_encode(value)))
            .collect();
        if parts.is_empty() { "/cases".to_owned() } else { format!("/cases?{}", parts.join("&")) }
    }
}

/// A case and what its alerts say of it.
struct Weighed<'a> {
    case: &'a CaseRow,
    gravest: Option<Verdict>,
    /// Of its most urgent open alert; nothing where none is open.
    urgency: f64,
    last: Timestamp,
}

impl CasesPage {
    fn new(lists: &Lists, filter: &Filter, now: Timestamp) -> Self {
        let wanted_verdict = Verdict::ALL.into_iter().find(|verdict| verdict.name() == filter.verdict);
        let (mut open, mut closed, mut by_verdict) = (0, 0, [0_usize; 4]);
        let mut found = Vec::new();
        for case in lists.cases.values() {
            let gravest = lists.members(case).filter_map(|row| row.judged).map(|judged| judged.verdict).max();
            let in_state = match filter.state() {
                "open" => case.closed.is_none(),
                "closed" => case.closed.is_some(),
                _ => true,
            };
            let has_verdict = wanted_verdict.is_none_or(|wanted| gravest == Some(wanted));
            if has_verdict {
                *if case.closed.is_none() { &mut open } else { &mut closed } += 1;
            }
            if in_state && let Some(at) = Verdict::ALL.iter().position(|verdict| Some(*verdict) == gravest) {
                by_verdict[at] += 1;
            }
            if in_state && has_verdict {
                let still_open = lists.members(case).filter(|row| row.is_open() && case.closed.is_none());
                let urgency = still_open.map(|row| lists.urgency(row, now)).fold(0.0, f64::max);
                let last = lists.members(case).map(|row| row.last_time).max().unwrap_or_default();
                found.push(Weighed { case, gravest, urgency, last });
            }
        }
        let is_newest = filter.order == "newest";
        let before = |a: &Weighed<'_>, b: &Weighed<'_>| {
            let by_urgency =
                if is_newest { std::cmp::Ordering::Equal } else { b.urgency.total_cmp(&a.urgency) };
            by_urgency.then(b.last.cmp(&a.last)).then(b.case.id.cmp(&a.case.id))
        };
        let count = found.len();
        let start = filter.start.parse().unwrap_or(0_usize).min(count);
        // Only what a page shows is put in order.
        let end = (start + PAGE_SIZE).min(count);
        if (1..count).contains(&end) {
            found.select_nth_unstable_by(end - 1, before);
            found.truncate(end);
        }
        found.sort_unstable_by(before);
        let rows: Vec<Row> =
            found.iter().skip(start).take(PAGE_SIZE).filter_map(|weighed| case_row(lists, weighed)).collect();
        let value = |name: &str, count, href, is_on| Choice { name: name.to_owned(), count, href, is_on };
        let at = |start: usize| {
            filter.href(|filter| filter.start = if start == 0 { String::new() } else { start.to_string() })
        };
        Self {
            total: lists.cases.len(),
            states: [("all", open + closed), ("open", open), ("closed", closed)]
                .map(|(name, count)| {
                    let href = filter.href(|filter| {
                        filter.state = if name == "all" { String::new() } else { name.to_owned() }
                    });
                    value(name, count, href, filter.state() == name)
                })
                .into(),
            verdicts: Verdict::ALL
                .iter()
                .zip(by_verdict)
                .map(|(verdict, count)| {
                    let is_on = wanted_verdict == Some(*verdict);
                    let name = if is_on { "" } else { verdict.name() };
                    value(
                        verdict.name(),
                        count,
                        filter.href(|filter| filter.verdict = name.to_owned()),
                        is_on,
                    )
                })
                .collect(),
            orders: [("by priority", ""), ("newest first", "newest")]
                .map(|(name, order)| {
                    value(
                        name,
                        0,
                        filter.href(|filter| filter.order = order.to_owned()),
                        is_newest == (order == "newest"),
                    )
                })
                .into(),
            found: count,
            first: start + 1,
            last: start + rows.len(),
            previous: (start > 0).then(|| at(start.saturating_sub(PAGE_SIZE))),
            next: (start + rows.len() < count).then(|| at(start + rows.len())),
            rows,
        }
    }
}

fn case_row(lists: &Lists, weighed: &Weighed<'_>) -> Option<Row> {
    let case = weighed.case;
    // Of equals the first: its title stays while others join.
    let worst = lists.members(case).max_by_key(|row| (row.severity, std::cmp::Reverse(row.id)))?;
    Some(Row {
        id: case.id.0,
        alerts: case.alerts.len(),
        open: lists.members(case).filter(|row| row.is_open()).count(),
        last: when(weighed.last),
        severity: severity(worst.severity),
        title: lists.names.name(worst.title).to_owned(),
        entities: worst
            .entities
            .iter()
            .take(ENTITIES_PER_ROW)
            .filter_map(|entity| entity_link(lists.names.name(*entity)))
            .collect(),
        verdict: weighed.gravest.map(|found| verdict(found.name())),
        assignee: case.assigned.map(|to| lists.names.name(to).to_owned()),
        closed: case.closed.map(|was| verdict(was.name())),
    })
}

/// `GET /cases/{id}`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let (case, alerts) = case(app, CaseId(number(&id, "case")?))?;
        let mut members = Vec::with_capacity(alerts.len());
        for (member, alert) in case.alerts.iter().zip(&alerts) {
            let closing = app.pipeline.store().closing(alert.id)?;
            members.push(MemberRow {
                id: alert.id.0,
                time: when(alert.last_time),
                severity: severity(alert.severity),
                title: alert.title.clone(),
                joined: member.joined.clone(),
                verdict: app.headlines.get(alert.id).map(|found| verdict(&found.verdict)),
                closed: closing.map(|closing| verdict(closing.verdict.name())),
            });
        }
        let Some(Gist { title, severity: worst, first_time, last_time, verdict: gravest }) =
            gist(app, &alerts)
        else {
            return Err(crate::problem::Problem::not_found("the case has no alerts"));
        };
        render(&CasePage {
            id: case.id.0,
            title,
            severity: severity(worst),
            first: when(first_time),
            last: when(last_time),
            verdict: gravest.as_deref().map(verdict),
            entities: entities(&alerts),
            decisions: decisions(app, &case)?,
            related: case.related.iter().map(|id| id.0).collect(),
            members,
            feedback: FeedbackView::of_case(&case, gravest.as_deref(), &who),
            case_id: case.id.0,
            evidence: saved_rows(app, case.id)?,
            asks_name: asks_name(&who),
        })
    })
    .await
}

/// What the alerts are about, each once.
fn entities(alerts: &[Alert]) -> Vec<EntityLink> {
    let all: BTreeSet<&Entity> = alerts
        .iter()
        .flat_map(|alert| &alert.entities)
        .filter(|entity| entity.kind != EntityKind::ProcessId)
        .collect();
    entity_links(all.into_iter().take(ENTITIES_SHOWN))
}

/// What people did about a case and its alerts, newest first, from the latest lines of the record.
fn decisions(app: &App, case: &Case) -> Result<Vec<DecisionRow>> {
    let own = Subject::Case(case.id).to_string();
    let alerts: BTreeSet<String> =
        case.alerts.iter().map(|member| Subject::Alert(member.alert).to_string()).collect();
    let lines = app.pipeline.store().audit(u64::MAX, RECORD_LINES)?;
    let about_it = lines.into_iter().filter(|line| line.subject == own || alerts.contains(&line.subject));
    let decided = about_it.filter_map(|line| {
        let text = |name: &str| line.now[name].as_str().unwrap_or_default().to_owned();
        let did = match line.action.as_str() {
            "close" => format!("closed it as {}", text("verdict")),
            "reopen" => "opened it again".to_owned(),
            "assign" if line.now.is_null() => "gave it to nobody".to_owned(),
            "assign" => format!("gave it to {}", text("to")),
            "agree" => format!("agreed with {}", text("of")),
            "disagree" => format!("disagreed with {}: it was {}", text("of"), text("truth")),
            "withdraw" => "took back what was said".to_owned(),
            _ => return None,
        };
        Some(DecisionRow {
            at: when(line.at),
            did,
            about: if line.subject == own { String::new() } else { line.subject.clone() },
            reason: text("reason"),
            by: line.by,
        })
    });
    Ok(decided.take(DECISIONS_SHOWN).collect())
}

/// `POST /cases/{id}/close`
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let (id, close) = (CaseId(number(&id, "case")?), form_body::<Close>(body).await?);
    blocking(&app, move |app| close.apply(app, &who, Subject::Case(id))).await?;
    Ok(Redirect::to(&format!("/cases/{id}")))
}

/// `POST /cases/{id}/reopen`
pub(crate) async fn reopen(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let (id, reopen) = (CaseId(number(&id, "case")?), form_body::<Reopen>(body).await?);
    blocking(&app, move |app| reopen.apply(app, &who, Subject::Case(id))).await?;
    Ok(Redirect::to(&format!("/cases/{id}")))
}

/// `POST /alerts/{id}/close`
pub(crate) async fn close_alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let (id, close) = (AlertId(number(&id, "alert")?), form_body::<Close>(body).await?);
    blocking(&app, move |app| close.apply(app, &who, Subject::Alert(id))).await?;
    Ok(Redirect::to(&format!("/alerts/{id}")))
}

/// `POST /alerts/{id}/reopen`
pub(crate) async fn reopen_alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let (id, reopen) = (AlertId(number(&id, "alert")?), form_body::<Reopen>(body).await?);
    blocking(&app, move |app| reopen.apply(app, &who, Subject::Alert(id))).await?;
    Ok(Redirect::to(&format!("/alerts/{id}")))
}
