//! Which events did people save as evidence of a case, and how is one saved or taken back?

use crate::admit::signature;
use crate::api::events::event;
use crate::params::{json_body, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use casemate_event::{Alert, AlertId, AlertOrigin, CaseId, EventId, Severity, Stored};
use casemate_store::{SavedEvidence, Saving};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const MAX_NOTE_CHARS: usize = 2000;
const MAX_NAME_CHARS: usize = 100;

/// What is said to save an event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Save {
    event: u64,
    #[serde(default)]
    note: String,
    /// Who saves it; whoever is known by name need not say.
    #[serde(default)]
    by: String,
}

/// What is said to take one back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remove {
    #[serde(default)]
    pub(crate) by: String,
}

/// `GET /v1/cases/{id}/evidence`
pub(crate) async fn list(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    blocking(&app, move |app| saved(app, CaseId(number(&id, "case")?))).await.map(Json)
}

/// `POST /v1/cases/{id}/evidence`
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let id = CaseId(number(&id, "case")?);
    let save: Save = json_body(body).await?;
    let list = blocking(&app, move |app| {
        let stored = event(app, &save.event.to_string())?;
        keep(app, id, &stored, &save.note, &name(&who, &save.by)?)?;
        saved(app, id)
    });
    Ok((StatusCode::CREATED, Json(list.await?)).into_response())
}

/// `POST /v1/cases/{id}/evidence/{event}/remove`
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Path((id, event)): Path<(String, String)>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let (id, event) = (CaseId(number(&id, "case")?), EventId(number(&event, "event")?));
    let remove: Remove = json_body(body).await?;
    blocking(&app, move |app| {
        take_back(app, id, event, &name(&who, &remove.by)?)?;
        saved(app, id)
    })
    .await
    .map(Json)
}

fn saved(app: &App, id: CaseId) -> Result<Value> {
    let store = app.pipeline.store();
    store.case(id)?.ok_or_else(|| no_case(id))?;
    let evidence = store.saved_evidence(id)?;
    Ok(json!({ "case": id, "total": evidence.len(), "evidence": evidence }))
}

fn no_case(id: CaseId) -> Problem {
    Problem::not_found(format!("there is no case {id}; /v1/cases lists them"))
}

/// Who saves or takes back, as it is written down.
pub(crate) fn name(who: &Principal, given: &str) -> Result<String> {
    let name = signature(who, given.trim())?;
    let chars = name.chars().count();
    if chars > MAX_NAME_CHARS {
        let detail = format!("the name in \"by\" has {chars} characters; it can have {MAX_NAME_CHARS}");
        return Err(Problem::unprocessable(detail));
    }
    Ok(name)
}

/// Saves an event as evidence of a case.
pub(crate) fn keep(app: &App, case: CaseId, stored: &Stored, note: &str, by: &str) -> Result<()> {
    let note = note.trim();
    let chars = note.chars().count();
    if chars > MAX_NOTE_CHARS {
        let detail = format!("the note has {chars} characters; it can have {MAX_NOTE_CHARS}");
        return Err(Problem::unprocessable(detail));
    }
    let event = &stored.event;
    let raw = &event.raw[..event.raw.len().min(SavedEvidence::MAX_RAW)];
    let saved = SavedEvidence {
        event: stored.id,
        time: event.time,
        format: event.format.name().to_owned(),
        source: event.source.clone(),
        message: event.message.clone(),
        raw: String::from_utf8_lossy(raw).into_owned(),
        note: note.to_owned(),
        by: by.to_owned(),
        at: Timestamp::now(),
    };
    match app.pipeline.store().save_evidence(case, &saved)? {
        Saving::Saved => Ok(()),
        Saving::NoCase => Err(no_case(case)),
        Saving::Full => Err(Problem::unprocessable(format!(
            "case {case} has {} saved events, which is the most; remove some first",
            SavedEvidence::MAX_PER_CASE
        ))),
    }
}

/// Takes a saved event back.
pub(crate) fn take_back(app: &App, case: CaseId, event: EventId, by: &str) -> Result<()> {
    if app.pipeline.store().remove_evidence(case, event, by, Timestamp::now())? {
        return Ok(());
    }
    let detail =
        format!("event {event} is not saved for case {case}; /v1/cases/{case}/evidence lists what is");
    Err(Problem::not_found(detail))
}

/// Opens a case by hand: an alert on this event in a person's name, whose case it is. It joins a case that there is if
/// the usual rules say that the two are one thing.
pub(crate) fn open_case(app: &App, stored: &Stored, title: &str) -> Result<CaseId> {
    const MAX_TITLE_CHARS: usize = 200;
    let event = &stored.event;
    let title = Some(title.trim()).filter(|title| !title.is_empty()).unwrap_or(&event.message);
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product("analyst".to_owned()),
        title: title.chars().take(MAX_TITLE_CHARS).collect(),
        severity: Severity::Medium,
        techniques: Vec::new(),
        first_time: event.time,
        last_time: event.time,
        events: vec![stored.id],
        event_count: 1,
        entities: event.entities(),
    };
    let store = app.pipeline.store();
    let raised = store.raise(alert, &format!("analyst:{}", stored.id), SignedDuration::ZERO)?;
    let case = store.case_of(raised.id)?;
    case.ok_or_else(|| Problem::internal("opening a case", &format!("alert {} has none", raised.id)))
}
