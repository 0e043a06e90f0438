//! What could not be understood, and can it be by now?

use crate::api::events::hex;
use crate::params::{Params, number};
use crate::problem::{Problem, Result};
use crate::redact::cut::CUT;
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Path, Request, State};
use casemate_event::QuarantineReason;
use casemate_store::{QuarantineId, StoredQuarantined};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Records read at once.
const PAGE: usize = 500;
/// Bytes of a record that a list shows.
const SHOWN_BYTES: usize = 2048;

/// Which records are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QuarantineParams {
    /// Text in the record, its source or what was wrong with it; upper and lower case alike.
    q: String,
    reason: String,
    /// Only records numbered below this.
    below: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/quarantine`: the latest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<QuarantineParams>,
) -> Result<Json<Value>> {
    blocking(&app, move |app| find(app, &params)).await.map(Json)
}

fn find(app: &App, params: &QuarantineParams) -> Result<Value> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; it can be 1 to {MAX_LIMIT}")));
    }
    let store = app.pipeline.store();
    let wanted = params.q.to_lowercase();
    let mut found = Vec::new();
    let mut before = params.below.map(QuarantineId);
    loop {
        let page = store.quarantined(before, PAGE)?;
        let Some(last) = page.last().map(|stored| stored.id) else {
            before = None;
            break;
        };
        before = Some(last);
        for stored in page {
            if found.len() == limit {
                break;
            }
            if is_meant(&stored, &params.reason, &wanted) {
                before = Some(stored.id);
                found.push(to_json(&stored, SHOWN_BYTES));
            }
        }
        if found.len() == limit {
            break;
        }
    }
    let counts = store.counts()?.quarantined;
    Ok(json!({
        "total": counts.values().sum::<u64>(),
        "by_reason": by_name(&counts),
        "quarantined": found,
        "below": before,
    }))
}

fn is_meant(stored: &StoredQuarantined, reason: &str, wanted: &str) -> bool {
    let record = &stored.record;
    let holds = |text: &str| text.to_lowercase().contains(wanted);
    (reason.is_empty() || record.reason.name() == reason)
        && (wanted.is_empty()
            || holds(&record.source)
            || holds(&record.detail)
            || holds(&String::from_utf8_lossy(&record.raw)))
}

/// `GET /v1/quarantine/{id}`: one, whole.
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    let found = blocking(&app, move |app| {
        let id = number(&id, "entry of the quarantine")?;
        let page = app.pipeline.store().quarantined(Some(QuarantineId(id.saturating_add(1))), 1)?;
        let found = page.into_iter().find(|stored| stored.id.0 == id);
        found.ok_or_else(|| {
            Problem::not_found(format!("there is no quarantined record {id}; it may have become an event"))
        })
    });
    Ok(Json(to_json(&found.await?, usize::MAX)))
}

/// `POST /v1/quarantine/retry`: what is understood by now becomes events.
pub(crate) async fn retry(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>> {
    // Nothing is asked for in the body.
    crate::api::ingest::read(request).await?;
    blocking(&app, retry_all).await.map(Json)
}

fn retry_all(app: &App) -> Result<Value> {
    let retried = app.pipeline.retry_quarantine().map_err(|error| match error {
        casemate_pipeline::Error::Store(error) => Problem::not_stored(&error),
        other => Problem::internal("trying quarantined records again", &other),
    })?;
    let alerts = crate::api::ingest::catch_up(app);
    let left = app.pipeline.store().counts()?.quarantined;
    Ok(json!({
        "examined": retried.examined,
        "events": retried.events,
        "resolved": by_name(&retried.resolved),
        "left": by_name(&left),
        "alerts": alerts,
    }))
}

fn by_name(counts: &BTreeMap<QuarantineReason, u64>) -> BTreeMap<&'static str, u64> {
    counts.iter().map(|(reason, count)| (reason.name(), *count)).collect()
}

fn to_json(stored: &StoredQuarantined, most: usize) -> Value {
    let record = &stored.record;
    let mut json = json!({
        "id": stored.id,
        "source": record.source,
        "position": record.position,
        "reason": record.reason.name(),
        "detail": record.detail,
        "bytes": record.raw.len(),
    });
    match std::str::from_utf8(&record.raw) {
        Ok(text) if text.len() > most => {
            json["raw"] = json!(format!("{}{CUT}", &text[..text.floor_char_boundary(most)]));
        }
        Ok(text) => json["raw"] = json!(text),
        Err(_) => json["raw_hex"] = json!(hex(record.raw.get(..most).unwrap_or(&record.raw))),
    }
    json
}
