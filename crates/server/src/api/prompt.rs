//! What exactly was the model given? Made again from what was kept, and checked against the hash that the report names.

use crate::api::investigations::stored;
use crate::params::number;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Path, State};
use casemate_event::AlertId;
use casemate_investigate::{Investigation, Prompt};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /v1/investigations/{id}/prompt`
pub(crate) async fn prompt(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    let id = AlertId(number(&id, "investigation")?);
    let (case, prompt) = blocking(&app, move |app| made_again(app, id)).await?;
    let mut json = json!(prompt);
    json["id"] = json!(case.id);
    json["model"] = json!(case.model);
    Ok(Json(json))
}

/// An investigation, and what its model was given.
pub(crate) fn made_again(app: &App, id: AlertId) -> Result<(Investigation, Prompt)> {
    let case = stored(app, id)?;
    let prompt =
        app.prompts.of(&case).map_err(|error| Problem::internal("making the prompt again", &error))?;
    Ok((case, prompt))
}
