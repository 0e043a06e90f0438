//! Who did what? The audit record, as far as it is read here; `casemate audit verify` checks it.

use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Lines in one answer.
const MAX_LINES: usize = 1000;

/// Which lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// Only lines numbered below this one.
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/audit`
pub(crate) async fn list(State(app): State<Arc<App>>, Params(page): Params<Page>) -> Result<Json<Value>> {
    let limit = page.limit.unwrap_or(MAX_LINES);
    if !(1..=MAX_LINES).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; it can be 1 to {MAX_LINES}")));
    }
    let before = page.before.unwrap_or(u64::MAX);
    let lines = blocking(&app, move |app| Ok(app.pipeline.store().audit(before, limit)?)).await?;
    Ok(Json(json!({ "audit": lines })))
}

/// `POST /v1/audit/checkpoint`: signs the record as far as it goes.
pub(crate) async fn checkpoint(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    let head = blocking(&app, |app| Ok(app.pipeline.store().checkpoint()?)).await?;
    Ok(Json(json!({ "checkpoint": head.to_string() })))
}
