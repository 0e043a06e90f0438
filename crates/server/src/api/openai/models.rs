//! `GET /v1/models` and `GET /v1/models/{model}`: which models are there, in OpenAI's words and in ours?

use super::asked::missing;
use super::error::Result;
use crate::model::SharedModel;
use crate::state::App;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a model is called in requests: its name, as it can stand in an address.
pub(super) fn id_of(model: &SharedModel) -> String {
    slug(&model.model().info().name)
}

pub(super) fn slug(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') => id.push(c.to_ascii_lowercase()),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    let id = id.trim_end_matches('-').to_owned();
    if id.is_empty() { "model".to_owned() } else { id }
}

/// `GET /v1/models`: OpenAI's list in `data`, beside what Casemate says of itself.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "object": "list",
        "data": listed(&app),
        "models": app.models,
        "semantic_search": app.pipeline.has_embedder(),
        "templates_indexed": app.pipeline.indexed_templates(),
    }))
}

/// `GET /v1/models/{model}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(wanted): Path<String>) -> Result<Json<Value>> {
    let found = listed(&app).into_iter().find(|model| model["id"] == wanted.as_str());
    found.map(Json).ok_or_else(|| missing(&wanted, "GET /v1/models lists what there is"))
}

fn listed(app: &App) -> Vec<Value> {
    let mut models = Vec::new();
    if let Some(model) = &app.model {
        models.push(json!({
            "id": id_of(model),
            "object": "model",
            "created": model.since().as_second(),
            "owned_by": "casemate",
            "context_window": model.model().info().context_length,
            "sha256": model.sha256(),
        }));
    }
    if let Some(embedder) = app.pipeline.embedder() {
        models.push(json!({
            "id": slug(embedder.name()),
            "object": "model",
            "created": app.since.as_second(),
            "owned_by": "casemate",
            "dimensions": embedder.dimension(),
        }));
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_can_stand_in_an_address() {
        for (name, id) in [
            ("Qwen2.5 Coder 1.5B Instruct", "qwen2.5-coder-1.5b-instruct"),
            ("all-MiniLM-L6-v2", "all-minilm-l6-v2"),
            (" /a//b/ ", "a-b"),
            ("\u{4e2d}", "model"),
        ] {
            assert_eq!(slug(name), id);
        }
    }
}
