//! Which alerts are one case, and how does a person close or reopen a case or an alert?

use super::Part;
use super::feedback::bounded;
use crate::admit::signature;
use crate::board::Verdict;
use crate::params::{Params, json_body, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use casemate_access::Principal;
use casemate_event::{Alert, AlertId, Case, CaseId, Closing, Disposition, Severity, Subject};
use casemate_store::AlertState;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX_REASON_CHARS: usize = 2000;
const MAX_NAME_CHARS: usize = 100;

/// What is said to close something.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    verdict: Disposition,
    reason: String,
    /// Who decides; whoever is known by name need not say.
    #[serde(default)]
    by: String,
}

/// What is said to open something again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reopen {
    #[serde(default)]
    by: String,
}

/// `GET /v1/cases`
pub(crate) async fn list(State(app): State<Arc<App>>, Params(part): Params<Part>) -> Result<Json<Value>> {
    blocking(&app, move |app| page(app, part)).await.map(Json)
}

/// At most `most` cases, newest first; all, or those that are open.
pub(crate) fn listed(app: &App, most: usize, open: bool) -> Result<Value> {
    page(app, Part::newest(most, open))
}

/// Which cases there are, and what their alerts say, is known in memory; only those that are shown are read.
fn page(app: &App, part: Part) -> Result<Value> {
    let store = app.pipeline.store();
    let lists = app.board.now(store, &app.headlines, &app.live)?;
    let picked = part.of(lists.cases.values().map(|case| (case.id.0, case.closed.is_none())))?;
    let ids: Vec<CaseId> = picked.ids.into_iter().map(CaseId).collect();
    let gists: BTreeMap<CaseId, Gist> = ids
        .iter()
        .filter_map(|id| {
            let told = lists.members(lists.cases.get(id)?).map(|row| Told {
                id: row.id,
                severity: row.severity,
                title: lists.names.name(row.title),
                first_time: row.first_time,
                last_time: row.last_time,
                verdict: row.judged.map(|found| found.verdict),
            });
            Some((*id, Gist::of(told)?))
        })
        .collect();
    drop(lists);
    let cases = store.cases_of(&ids)?;
    let rows: Vec<Value> = cases.iter().map(|case| summary(case, gists.get(&case.id))).collect();
    Ok(json!({ "total": picked.total, "cases": rows, "below": picked.below }))
}

/// `GET /v1/cases/{id}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    blocking(&app, move |app| whole(app, CaseId(number(&id, "case")?))).await.map(Json)
}

/// `POST /v1/cases/{id}/close`
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = CaseId(number(&id, "case")?);
    let close: Close = json_body(body).await?;
    blocking(&app, move |app| {
        close.apply(app, &who, Subject::Case(id))?;
        whole(app, id)
    })
    .await
    .map(Json)
}

/// `POST /v1/cases/{id}/reopen`
pub(crate) async fn reopen(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = CaseId(number(&id, "case")?);
    let reopen: Reopen = json_body(body).await?;
    blocking(&app, move |app| {
        reopen.apply(app, &who, Subject::Case(id))?;
        whole(app, id)
    })
    .await
    .map(Json)
}

/// `POST /v1/alerts/{id}/close`
pub(crate) async fn close_alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = AlertId(number(&id, "alert")?);
    let close: Close = json_body(body).await?;
    let closing = blocking(&app, move |app| close.apply(app, &who, Subject::Alert(id))).await?;
    Ok(Json(json!({ "alert": id, "closed": closing })))
}

/// `POST /v1/alerts/{id}/reopen`
pub(crate) async fn reopen_alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = AlertId(number(&id, "alert")?);
    let reopen: Reopen = json_body(body).await?;
    blocking(&app, move |app| reopen.apply(app, &who, Subject::Alert(id))).await?;
    Ok(Json(json!({ "alert": id, "closed": null })))
}

impl Close {
    /// Closes, now.
    pub(crate) fn apply(self, app: &App, who: &Principal, subject: Subject) -> Result<Closing> {
        let reason = bounded("the reason", &self.reason, MAX_REASON_CHARS)?;
        let by = bounded("the name in \"by\"", &signature(who, self.by.trim())?, MAX_NAME_CHARS)?;
        let closing = Closing { verdict: self.verdict, reason, by, at: Timestamp::now(), by_machine: false };
        let store = app.pipeline.store();
        store.conclude(subject, &closing)?.ok_or_else(|| missing(subject))?;
        match subject {
            Subject::Alert(alert) => app.queue.forget(alert),
            Subject::Case(id) => {
                for member in store.case(id)?.into_iter().flat_map(|case| case.alerts) {
                    app.queue.forget(member.alert);
                }
            }
        }
        Ok(closing)
    }
}

impl Reopen {
    /// Opens again; what has no investigation waits for one again.
    pub(crate) fn apply(self, app: &App, who: &Principal, subject: Subject) -> Result<()> {
        let by = bounded("the name in \"by\"", &signature(who, self.by.trim())?, MAX_NAME_CHARS)?;
        let store = app.pipeline.store();
        store.reopen(subject, &by, Timestamp::now())?.ok_or_else(|| missing(subject))?;
        app.queue.read_again();
        Ok(())
    }
}

pub(crate) fn missing(subject: Subject) -> Problem {
    let list = match subject {
        Subject::Case(_) => "/v1/cases",
        Subject::Alert(_) => "/v1/alerts",
    };
    Problem::not_found(format!("there is no {subject}; {list} lists them"))
}

/// The case with this number, and its alerts.
pub(crate) fn case(app: &App, id: CaseId) -> Result<(Case, Vec<Alert>)> {
    let (case, states) = with_states(app, id)?;
    Ok((case, states.into_iter().map(|state| state.alert).collect()))
}

/// The case with this number, and what is known of its alerts.
fn with_states(app: &App, id: CaseId) -> Result<(Case, Vec<AlertState>)> {
    let store = app.pipeline.store();
    let case = store.case(id)?.ok_or_else(|| missing(Subject::Case(id)))?;
    let members: Vec<AlertId> = case.alerts.iter().map(|member| member.alert).collect();
    let states = store.alert_states(&members)?;
    Ok((case, states))
}

/// What a list says of a case.
#[derive(Debug, Clone)]
pub(crate) struct Gist {
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    /// The gravest verdict on its alerts.
    pub(crate) verdict: Option<String>,
}

/// What an alert adds to the gist of its case.
struct Told<'a> {
    id: AlertId,
    severity: Severity,
    title: &'a str,
    first_time: Timestamp,
    last_time: Timestamp,
    verdict: Option<Verdict>,
}

impl Gist {
    /// The gist of a case of these alerts; nothing if there are none.
    fn of<'a>(alerts: impl Iterator<Item = Told<'a>>) -> Option<Self> {
        let alerts: Vec<Told<'_>> = alerts.collect();
        // Of equals the first: its title stays while others join.
        let worst = alerts.iter().max_by_key(|alert| (alert.severity, std::cmp::Reverse(alert.id)))?;
        Some(Self {
            title: worst.title.to_owned(),
            severity: worst.severity,
            first_time: alerts.iter().map(|alert| alert.first_time).min()?,
            last_time: alerts.iter().map(|alert| alert.last_time).max()?,
            verdict: alerts
                .iter()
                .filter_map(|alert| alert.verdict)
                .max()
                .map(|found| found.name().to_owned()),
        })
    }
}

/// The gist of a case of these alerts; nothing if there are none.
pub(crate) fn gist(app: &App, alerts: &[Alert]) -> Option<Gist> {
    Gist::of(alerts.iter().map(|alert| Told {
        id: alert.id,
        severity: alert.severity,
        title: &alert.title,
        first_time: alert.first_time,
        last_time: alert.last_time,
        verdict: app.headlines.get(alert.id).map(|found| Verdict::of(&found.verdict)),
    }))
}

fn summary(case: &Case, gist: Option<&Gist>) -> Value {
    let mut json = json!({
        "id": case.id,
        "alerts": case.alerts.iter().map(|member| member.alert).collect::<Vec<_>>(),
        "related": case.related,
        "closed": case.closed,
        "assigned": case.assigned,
    });
    if let Some(gist) = gist {
        json["title"] = json!(gist.title);
        json["severity"] = json!(gist.severity);
        json["first_time"] = json!(gist.first_time);
        json["last_time"] = json!(gist.last_time);
        json["verdict"] = json!(gist.verdict);
    }
    json
}

pub(crate) fn whole(app: &App, id: CaseId) -> Result<Value> {
    let (case, states) = with_states(app, id)?;
    let joined: BTreeMap<AlertId, &str> =
        case.alerts.iter().map(|member| (member.alert, member.joined.as_str())).collect();
    let rows = states.iter().map(|AlertState { alert, closing, .. }| {
        json!({
            "id": alert.id,
            "title": alert.title,
            "severity": alert.severity,
            "first_time": alert.first_time,
            "last_time": alert.last_time,
            "joined": joined.get(&alert.id),
            "verdict": app.headlines.get(alert.id).map(|found| found.verdict),
            "closed": closing,
        })
    });
    let rows: Vec<Value> = rows.collect();
    let alerts: Vec<Alert> = states.into_iter().map(|state| state.alert).collect();
    let mut json = summary(&case, gist(app, &alerts).as_ref());
    json["alerts"] = Value::Array(rows);
    Ok(json)
}
