//! Which events did people save as evidence of a case, and how is one saved or taken back?

use crate::admit::signature;
use crate::api::events::event;
use crate::page::parts::shorten;
use crate::params::{json_body, number};
use crate::problem::{Problem, Result};
use crate::redact::cut::CUT;
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use casemate_event::{Alert, AlertId, AlertOrigin, CaseId, EventId, Severity, Stored};
use casemate_store::{Raise, SavedEvidence, Saving};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const MAX_NOTE_CHARS: usize = 2000;
const MAX_NAME_CHARS: usize = 100;
const MAX_TITLE_CHARS: usize = 200;
/// Characters of a record, and of its line, in a list; the event alone is told whole.
const EXCERPT_CHARS: usize = 400;

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

/// `GET /v1/cases/{id}/evidence/{event}`
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path((id, event)): Path<(String, String)>,
) -> Result<Json<SavedEvidence>> {
    let (id, event) = (CaseId(number(&id, "case")?), EventId(number(&event, "event")?));
    let found = blocking(&app, move |app| {
        app.pipeline.store().saved_event(id, event)?.ok_or_else(|| not_saved(id, event))
    });
    found.await.map(Json)
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
        keep(app, id, &evidence(&stored, &save.note, &name(&who, &save.by)?)?)?;
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
    let evidence: Vec<Value> =
        store.saved_evidence(id)?.iter().map(|saved| excerpt(id, saved)).collect::<Result<_>>()?;
    Ok(json!({ "case": id, "total": evidence.len(), "evidence": evidence }))
}

/// A saved event as lists have it, with the address of the whole.
fn excerpt(case: CaseId, saved: &SavedEvidence) -> Result<Value> {
    let mut json =
        serde_json::to_value(saved).map_err(|error| Problem::internal("telling saved evidence", &error))?;
    json["message"] = json!(shorten(&saved.message, EXCERPT_CHARS));
    json["raw"] = json!(shorten(&saved.raw, EXCERPT_CHARS));
    json["href"] = json!(format!("/v1/cases/{case}/evidence/{}", saved.event));
    Ok(json)
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

/// An event as it is saved, if what is said of it can be.
pub(crate) fn evidence(stored: &Stored, note: &str, by: &str) -> Result<SavedEvidence> {
    let note = note.trim();
    let chars = note.chars().count();
    if chars > MAX_NOTE_CHARS {
        let detail = format!("the note has {chars} characters; it can have {MAX_NOTE_CHARS}");
        return Err(Problem::unprocessable(detail));
    }
    let event = &stored.event;
    let mut raw =
        String::from_utf8_lossy(&event.raw[..event.raw.len().min(SavedEvidence::MAX_RAW)]).into_owned();
    if event.raw.len() > SavedEvidence::MAX_RAW {
        raw.push(CUT);
    }
    Ok(SavedEvidence {
        event: stored.id,
        time: event.time,
        format: event.format.name().to_owned(),
        source: event.source.clone(),
        message: event.message.clone(),
        raw,
        note: note.to_owned(),
        by: by.to_owned(),
        at: Timestamp::now(),
    })
}

/// Saves an event as evidence of a case.
pub(crate) fn keep(app: &App, case: CaseId, saved: &SavedEvidence) -> Result<()> {
    kept(case, app.pipeline.store().save_evidence(case, saved)?)
}

fn kept(case: CaseId, saving: Saving) -> Result<()> {
    match saving {
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
    Err(not_saved(case, event))
}

fn not_saved(case: CaseId, event: EventId) -> Problem {
    let detail =
        format!("event {event} is not saved for case {case}; /v1/cases/{case}/evidence lists what is");
    Problem::not_found(detail)
}

/// Opens a case by hand with an event as its evidence: an alert on this event in a person's name, whose case it is. It
/// joins a case that there is if the usual rules say that the two are one thing.
pub(crate) fn open_case(app: &App, stored: &Stored, saved: &SavedEvidence) -> Result<CaseId> {
    let event = &stored.event;
    let title = if saved.note.is_empty() { &event.message } else { &saved.note };
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product("analyst".to_owned()),
        title: shorten(title, MAX_TITLE_CHARS),
        severity: Severity::Medium,
        techniques: Vec::new(),
        first_time: event.time,
        last_time: event.time,
        events: vec![stored.id],
        event_count: 1,
        entities: event.entities(),
    };
    let fold_key = format!("analyst:{}", stored.id);
    let raise = Raise { alert, fold_key, window: SignedDuration::ZERO, kind: 0, same: None };
    let (case, saving) = app.pipeline.store().open_case(raise, saved)?;
    kept(case, saving).map(|()| case)
}
