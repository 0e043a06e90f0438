//! `GET /cases` and `/cases/{id}`: which alerts are one thing, and what was decided? And the forms that decide.

use super::evidence::{SavedRow, saved_rows};
use super::feedback::{FeedbackView, asks_name};
use super::parts::{Badge, When, severity, verdict, when};
use super::render;
use crate::api::cases::{Close, Gist, Reopen, case, gist};
use crate::params::{Params, form_body, number};
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, Redirect};
use casemate_access::Principal;
use casemate_event::{Alert, AlertId, CaseId, Subject};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE_SIZE: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    /// Only cases with smaller numbers: the next page.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "cases.html")]
struct CasesPage {
    rows: Vec<Row>,
    total: usize,
    open: usize,
    next: Option<u64>,
}

struct Row {
    id: u64,
    alerts: usize,
    last: When,
    severity: Badge,
    title: String,
    verdict: Option<Badge>,
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
    members: Vec<MemberRow>,
    feedback: FeedbackView,
    case_id: u64,
    evidence: Vec<SavedRow>,
    asks_name: bool,
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
        let store = app.pipeline.store();
        let alerts: BTreeMap<AlertId, Alert> =
            store.alerts()?.into_iter().map(|alert| (alert.id, alert)).collect();
        let cases = store.cases()?;
        let (total, open) = (cases.len(), cases.iter().filter(|case| case.closed.is_none()).count());
        let mut older =
            cases.into_iter().rev().filter(|case| filter.before.is_none_or(|before| case.id.0 < before));
        let mut rows = Vec::new();
        for case in older.by_ref().take(PAGE_SIZE) {
            let members: Vec<Alert> =
                case.alerts.iter().filter_map(|member| alerts.get(&member.alert).cloned()).collect();
            let Some(gist) = gist(app, &members) else { continue };
            rows.push(Row {
                id: case.id.0,
                alerts: case.alerts.len(),
                last: when(gist.last_time),
                severity: severity(gist.severity),
                title: gist.title,
                verdict: gist.verdict.as_deref().map(verdict),
                closed: case.closed.map(|closing| verdict(closing.verdict.name())),
            });
        }
        let next = older.next().and(rows.last()).map(|row| row.id);
        render(&CasesPage { rows, total, open, next })
    })
    .await
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
