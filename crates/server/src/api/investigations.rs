//! What became of an alert, and how is it investigated?

use crate::api::Part;
use crate::api::alerts::alert;
use crate::hub::{Job, Status};
use crate::params::{Params, json_body, number};
use crate::problem::{Problem, Result};
use crate::queue::{ASKED_CAPACITY, Full};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_event::AlertId;
use casemate_investigate::Investigation;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// About how long one investigation takes, before one was measured: what `Retry-After` says when the queue is full.
const SECONDS_EACH: f64 = 30.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvestigation {
    alert: AlertId,
}

/// `GET /v1/investigations`
pub(crate) async fn list(State(app): State<Arc<App>>, Params(part): Params<Part>) -> Result<Json<Value>> {
    let ids: BTreeSet<AlertId> = app
        .headlines
        .all()
        .into_iter()
        .map(|(id, _)| id)
        .chain(app.hub.unfinished().into_iter().map(|(id, _)| id))
        .collect();
    let picked = part.of(ids.into_iter().map(|id| (id.0, true)))?;
    let rows: Vec<Value> = picked.ids.into_iter().filter_map(|id| headline_json(&app, AlertId(id))).collect();
    Ok(Json(json!({ "total": picked.total, "investigations": rows, "below": picked.below })))
}

/// `POST /v1/investigations`
pub(crate) async fn create(State(app): State<Arc<App>>, body: Body) -> Result<Response> {
    let NewInvestigation { alert } = json_body(body).await?;
    start(&app, alert).await?;
    let headline = headline_json(&app, alert).unwrap_or(Value::Null);
    let location = format!("/v1/investigations/{alert}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(headline)).into_response())
}

/// Puts an alert into the queue, unless it is there or running already.
pub(crate) async fn start(app: &Arc<App>, id: AlertId) -> Result<Arc<Job>> {
    blocking(app, move |app| {
        alert(app, &id.to_string())?;
        let store = app.pipeline.store();
        let (job, is_new) = app.hub.start(id, || {
            app.queue.push(id).map_err(|Full| full(app))?;
            // The worker cannot begin before this returns: what is noted here is not finished yet.
            Ok::<_, Problem>(store.put_asked(id)?)
        })?;
        if !is_new {
            // It runs unasked. Should it not come to its end, it is made after all, also when the alert was closed since.
            store.put_asked_while_running(id)?;
        }
        Ok(job)
    })
    .await
}

fn full(app: &App) -> Problem {
    let times = app.queue.times().seconds_per_alert;
    let each = if times.count > 0 { times.mean } else { SECONDS_EACH };
    let detail = format!("{ASKED_CAPACITY} investigations are waiting already; ask again later");
    Problem::too_many(detail, each.ceil().max(1.0) as u32)
}

/// `GET /v1/investigations/{id}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response> {
    let id = AlertId(number(&id, "investigation")?);
    if let Some(job) = app.hub.job(id).filter(|job| !job.status().is_over() || job.status() == Status::Failed)
    {
        let mut headline = json!({ "id": id, "alert": id, "status": job.status() });
        if let (Status::Failed, Some(why)) = (job.status(), failure(&job)) {
            headline["detail"] = json!(why);
        }
        return Ok(Json(headline).into_response());
    }
    let json = blocking(&app, move |app| stored_bytes(app, id)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// A finished investigation as stored.
pub(crate) fn stored_bytes(app: &App, id: AlertId) -> Result<Vec<u8>> {
    app.pipeline.store().investigation(id)?.ok_or_else(|| not_finished(id))
}

pub(crate) fn not_finished(id: AlertId) -> Problem {
    Problem::not_found(format!(
        "there is no finished investigation of alert {id}; POST /v1/investigations {{\"alert\": {id}}} starts one"
    ))
}

/// A finished investigation.
pub(crate) fn stored(app: &App, id: AlertId) -> Result<Investigation> {
    serde_json::from_slice(&stored_bytes(app, id)?)
        .map_err(|error| Problem::internal("reading a stored investigation", &error))
}

/// Status of the investigation of an alert, with its verdict once there is one; nothing if none was asked for.
pub(crate) fn headline_json(app: &App, id: AlertId) -> Option<Value> {
    let status = app.hub.job(id).map(|job| job.status());
    let headline = app.headlines.get(id);
    if status.is_none() && headline.is_none() {
        return None;
    }
    let status = status.unwrap_or(Status::Done);
    let mut json = json!({ "id": id, "alert": id, "status": status });
    if let Some(headline) = headline.filter(|_| status == Status::Done) {
        json["verdict"] = json!(headline.verdict);
        json["confidence"] = json!(headline.confidence);
        json["convergence"] = json!(headline.convergence);
    }
    Some(json)
}

/// Why a failed job failed.
pub(crate) fn failure(job: &Job) -> Option<String> {
    let (steps, _) = job.steps_from(0);
    let last: Value = serde_json::from_str(&steps.last()?.data).ok()?;
    last["detail"].as_str().map(str::to_owned)
}
