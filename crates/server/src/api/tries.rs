//! What would come out if this text were in use? Tries are asked for here, and how far they are is told.

use crate::admit::record;
use crate::knowledge::draft::{PlaybookDraft, RuleDraft, sha256_of};
use crate::knowledge::tries::{DEFAULT_EVENTS, MAX_EVENTS, MAX_LAST, New, On, Try, What};
use crate::params::{json_body, number};
use crate::problem::{Problem, Result};
use crate::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use casemate_audit::Entry;
use casemate_event::AlertId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Past investigations that are made again where nothing is said.
const DEFAULT_LAST: usize = 20;
const MAX_DAYS: u32 = 3650;

/// A playbook that is to be tried: on one alert, or on the latest investigations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlaybook {
    pub(crate) text: String,
    pub(crate) alert: Option<AlertId>,
    pub(crate) last: Option<usize>,
}

/// Rules that are to be tried on the latest events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    pub(crate) text: String,
    pub(crate) events: Option<u64>,
    pub(crate) days: Option<u32>,
}

/// `POST /v1/playbooks/try`
pub(crate) async fn playbook(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let new: NewPlaybook = json_body(body).await?;
    Ok(accepted(&try_playbook(&app, &who, new).await?))
}

/// `POST /v1/rules/try`
pub(crate) async fn rule(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let new: NewRule = json_body(body).await?;
    Ok(accepted(&try_rule(&app, &who, new).await?))
}

pub(crate) async fn try_playbook(app: &Arc<App>, who: &Principal, new: NewPlaybook) -> Result<Arc<Try>> {
    let on = match (new.alert, new.last) {
        (Some(_), Some(_)) => {
            return Err(Problem::unprocessable("give \"alert\" or \"last\", not both"));
        }
        (Some(alert), None) => On::Alert(alert),
        (None, last) => On::Last(within("last", last.unwrap_or(DEFAULT_LAST), MAX_LAST)?),
    };
    let by = who.to_string();
    let asked = app
        .knowledge
        .checking(app, move |app| {
            if let On::Alert(alert) = on
                && app.headlines.get(alert).is_none()
            {
                let detail =
                    format!("alert {alert} has no investigation to compare with; investigate it first");
                return Err(Problem::not_found(detail));
            }
            let draft = PlaybookDraft::read(&app.knowledge, &new.text)?;
            let Some((own, all)) = draft.playbook else { return Err(refused(&draft.remarks)) };
            let (sha256, names) = (sha256_of(&new.text), vec![own.name.clone()]);
            let what = What::Playbook { own: Box::new(own), all: Box::new(all), on };
            ask(app, New { what, text: new.text, sha256, names, by })
        })
        .await?;
    note(app, who, "try playbook", &asked, json!(on)).await;
    Ok(asked)
}

pub(crate) async fn try_rule(app: &Arc<App>, who: &Principal, new: NewRule) -> Result<Arc<Try>> {
    let most = usize::try_from(MAX_EVENTS).unwrap_or(usize::MAX);
    let asked = usize::try_from(new.events.unwrap_or(DEFAULT_EVENTS)).unwrap_or(usize::MAX);
    let events = within("events", asked, most)? as u64;
    if let Some(days) = new.days.filter(|days| !(1..=MAX_DAYS).contains(days)) {
        return Err(Problem::unprocessable(format!("days is {days}; it can be 1 to {MAX_DAYS}")));
    }
    let (by, days) = (who.to_string(), new.days);
    let asked = app
        .knowledge
        .checking(app, move |app| {
            let draft = RuleDraft::read(app, &new.text)?;
            if !draft.candidate.is_usable() {
                return Err(refused(&draft.remarks));
            }
            let (sha256, names) = (sha256_of(&new.text), draft.candidate.own.iter().cloned().collect());
            let what = What::Rule { candidate: Box::new(draft.candidate), events, days };
            ask(app, New { what, text: new.text, sha256, names, by })
        })
        .await?;
    note(app, who, "try rule", &asked, json!({ "events": events, "days": days })).await;
    Ok(asked)
}

fn within(name: &str, given: usize, most: usize) -> Result<usize> {
    if (1..=most).contains(&given) {
        return Ok(given);
    }
    Err(Problem::unprocessable(format!("{name} is {given}; it can be 1 to {most}")))
}

fn refused(remarks: &[crate::knowledge::draft::Remark]) -> Problem {
    let said = remarks.iter().filter(|remark| remark.fatal).map(|remark| match remark.line {
        Some(line) => format!("line {line}: {}", remark.text),
        None => remark.text.clone(),
    });
    Problem::unprocessable(format!("the text cannot be used: {}", said.collect::<Vec<_>>().join("; ")))
}

fn ask(app: &App, new: New) -> Result<Arc<Try>> {
    let full = || Problem::too_many("as many tries wait as may; ask again when one is over", 30);
    app.knowledge.tries.ask(new).ok_or_else(full)
}

async fn note(app: &Arc<App>, who: &Principal, action: &str, asked: &Try, on: Value) {
    let said = json!({ "try": asked.id, "names": asked.names, "on": on });
    let entry = Entry::new(&who.to_string(), action, format!("text {}", asked.sha256), said);
    record(app, entry, true).await;
}

fn accepted(asked: &Arc<Try>) -> Response {
    let location = format!("/v1/tries/{}", asked.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(asked.to_json())).into_response()
}

/// The try whose number is written `id`.
pub(crate) fn one_of(app: &App, id: &str) -> Result<Arc<Try>> {
    let id = number(id, "try")?;
    let gone = || {
        Problem::not_found(format!("there is no try {id}: only the latest are kept, until the next start"))
    };
    app.knowledge.tries.get(id).ok_or_else(gone)
}

/// `GET /v1/tries/{id}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(Json(one_of(&app, &id)?.to_json()))
}

/// `POST /v1/tries/{id}/stop`
pub(crate) async fn stop(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    let one = one_of(&app, &id)?;
    one.stop();
    Ok(Json(one.to_json()))
}

/// `GET /v1/tries/{id}/text`
pub(crate) async fn text(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response> {
    let one = one_of(&app, &id)?;
    let name = match (one.is_playbook(), one.names.first()) {
        (true, Some(name)) => format!("{name}.toml"),
        _ => format!("rule-{}.yml", one.sha256.get(..12).unwrap_or_default()),
    };
    Ok(file(&name, one.text.clone()))
}

/// A file that a browser saves.
pub(crate) fn file(name: &str, text: String) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, media), (header::CONTENT_DISPOSITION, disposition)], text).into_response()
}
