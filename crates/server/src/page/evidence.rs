//! How does a person save an event as evidence of a case, and what is shown of what was saved?

use super::parts::{When, shorten, when};
use crate::api::cases::gist;
use crate::api::events::event;
use crate::api::evidence::{Remove, evidence, keep, name, open_case, take_back};
use crate::params::{form_body, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::Redirect;
use casemate_access::Principal;
use casemate_event::{Alert, Case, CaseId, EventId};
use serde::Deserialize;
use std::sync::Arc;

/// Cases that a form offers.
const CASES_OFFERED: usize = 30;
/// Cases looked at for those that are open.
const CASES_LOOKED_AT: usize = 200;
const TITLE_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 400;
/// Saved events shown on the page of a case; the API lists all.
const MAX_ROWS: usize = 50;

/// A case that an event may be saved for.
pub(crate) struct Offered {
    pub(crate) id: u64,
    pub(crate) title: String,
}

/// Open cases, the newest first.
pub(crate) fn open_cases(app: &App) -> Result<Vec<Offered>> {
    let store = app.pipeline.store();
    let cases = store.latest_cases(CASES_LOOKED_AT)?;
    let mut offered = Vec::new();
    for case in cases.into_iter().filter(|case| case.closed.is_none()).take(CASES_OFFERED) {
        offered.push(Offered { id: case.id.0, title: title(app, &case)? });
    }
    Ok(offered)
}

fn title(app: &App, case: &Case) -> Result<String> {
    let mut alerts: Vec<Alert> = Vec::new();
    for member in case.alerts.iter().take(10) {
        alerts.extend(app.pipeline.store().alert(member.alert)?);
    }
    Ok(gist(app, &alerts).map(|gist| shorten(&gist.title, TITLE_CHARS)).unwrap_or_default())
}

/// What was saved for a case, as `saved_evidence.html` takes it: as `evidence`, with `case_id`.
pub(crate) struct SavedRows {
    /// The first of them in order of time.
    pub(crate) rows: Vec<SavedRow>,
    pub(crate) total: usize,
}

/// A saved event, ready to print.
pub(crate) struct SavedRow {
    pub(crate) event: u64,
    pub(crate) time: When,
    pub(crate) message: String,
    pub(crate) note: String,
    pub(crate) by: String,
    pub(crate) at: When,
    /// Whether retention has deleted the event itself.
    pub(crate) gone: bool,
}

/// What was saved for a case.
pub(crate) fn saved_rows(app: &App, case: CaseId) -> Result<SavedRows> {
    let store = app.pipeline.store();
    let first_kept = store.scan(EventId(1), 1)?.first().map_or(0, |stored| stored.id.0);
    let saved = store.saved_evidence(case)?;
    let total = saved.len();
    let rows = saved.into_iter().take(MAX_ROWS).map(|saved| SavedRow {
        event: saved.event.0,
        time: when(saved.time),
        message: shorten(&saved.message, MESSAGE_CHARS),
        note: saved.note,
        by: saved.by,
        at: when(saved.at),
        gone: saved.event.0 < first_kept,
    });
    Ok(SavedRows { rows: rows.collect(), total })
}

/// The form on an event's page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveForm {
    /// Number of a case, or `new`.
    case: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    by: String,
}

/// `POST /events/{id}/save`
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let form: SaveForm = form_body(body).await?;
    let case = blocking(&app, move |app| {
        let stored = event(app, &id)?;
        let saved = evidence(&stored, &form.note, &name(&who, &form.by)?)?;
        match form.case.as_str() {
            "" => Err(Problem::unprocessable("choose a case to save the event for")),
            "new" => open_case(app, &stored, &saved),
            case => {
                let case = CaseId(number(case, "case")?);
                keep(app, case, &saved).map(|()| case)
            }
        }
    })
    .await?;
    Ok(Redirect::to(&format!("/cases/{case}#saved")))
}

/// `POST /cases/{id}/evidence/{event}/remove`
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Path((id, event)): Path<(String, String)>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let (id, event) = (CaseId(number(&id, "case")?), EventId(number(&event, "event")?));
    let form: Remove = form_body(body).await?;
    blocking(&app, move |app| take_back(app, id, event, &name(&who, &form.by)?)).await?;
    Ok(Redirect::to(&format!("/cases/{id}#saved")))
}
