//! Which events? By id, by words, time and entity, or by meaning.

use crate::params::{Mode, Params, SearchParams, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Path, State};
use casemate_event::{EventId, Stored, TemplateId};
use casemate_pipeline::{Error as PipelineError, Way};
use casemate_store::Order;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// Templates a semantic search considers; their events are then searched.
const SIMILAR_TEMPLATES: usize = 20;

/// Longest chain of processes told.
const MAX_GENERATIONS: usize = 16;

/// What a search found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) total: u64,
    /// Whether there may be fewer: not every event that may match was read.
    at_most: bool,
    pub(crate) events: Vec<Stored>,
    /// For a semantic search: the templates nearest in meaning, best first.
    pub(crate) templates: Vec<SimilarTemplate>,
    /// For a hybrid search: how each event was found.
    pub(crate) by: Vec<Vec<Way>>,
}

/// A template near in meaning to what was asked.
#[derive(Debug, Serialize)]
pub(crate) struct SimilarTemplate {
    #[serde(serialize_with = "as_text")]
    pub(crate) id: TemplateId,
    pub(crate) similarity: f32,
    pub(crate) text: String,
    pub(crate) count: u64,
}

fn as_text<S: serde::Serializer>(id: &TemplateId, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// `GET /v1/events`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<SearchParams>,
) -> Result<Json<Value>> {
    blocking(&app, move |app| find(app, &params, Order::NewestFirst)).await.map(|found| Json(found.to_json()))
}

/// `GET /v1/search`
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Params(params): Params<SearchParams>,
) -> Result<Json<Value>> {
    if params.q.trim().is_empty() && params.entity.trim().is_empty() {
        return Err(Problem::bad_request("nothing to search for: give q=, entity= or both"));
    }
    blocking(&app, move |app| find(app, &params, Order::Relevance)).await.map(|found| Json(found.to_json()))
}

/// `GET /v1/events/{id}`
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Params(params): Params<FormParams>,
) -> Result<Json<Value>> {
    let stored = blocking(&app, move |app| event(app, &id)).await?;
    Ok(Json(match params.format {
        Form::Casemate => full_json(&stored),
        Form::Ecs => casemate_event::ecs(&stored),
    }))
}

/// What `/v1/events/{id}` takes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormParams {
    #[serde(default)]
    format: Form,
}

/// In which schema an event is told.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    #[default]
    Casemate,
    Ecs,
}

/// `GET /v1/events/{id}/ancestors`
pub(crate) async fn ancestors(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    let starts =
        blocking(&app, move |app| Ok(app.pipeline.store().ancestors(&event(app, &id)?, MAX_GENERATIONS)?));
    let events: Vec<Value> = starts.await?.iter().map(|stored| Value::Object(short_json(stored))).collect();
    Ok(Json(json!({ "events": events })))
}

/// The event whose number is written `id`.
pub(crate) fn event(app: &App, id: &str) -> Result<Stored> {
    let id = EventId(number(id, "event")?);
    let store = app.pipeline.store();
    let missing = || {
        Problem::not_found(format!("there is no event {id}; events are numbered 1 to {}", store.last_id()))
    };
    store.get(id)?.ok_or_else(missing)
}

/// Runs a search of any mode.
pub(crate) fn find(app: &App, params: &SearchParams, default: Order) -> Result<Found> {
    match params.mode {
        Mode::Text => {
            let result = app.pipeline.store().search(&params.to_query(params.q.trim(), default)?)?;
            Ok(Found {
                total: result.total,
                at_most: !result.counted,
                events: result.hits,
                ..Found::default()
            })
        }
        Mode::Semantic => find_similar(app, params),
        Mode::Hybrid => {
            if params.q.trim().is_empty() {
                return Err(Problem::bad_request("a hybrid search needs words in q="));
            }
            let within = params.to_query("", default)?;
            let found = app.pipeline.find(&params.q, &within).map_err(similar_problem)?;
            let total = found.len() as u64;
            let (events, by) = found.into_iter().map(|found| (found.stored, found.by)).unzip();
            Ok(Found { total, events, by, ..Found::default() })
        }
    }
}

fn find_similar(app: &App, params: &SearchParams) -> Result<Found> {
    if params.q.trim().is_empty() {
        return Err(Problem::bad_request("a semantic search needs words in q="));
    }
    let mut query = params.to_query("", Order::NewestFirst)?;
    let store = app.pipeline.store();
    let mut templates = Vec::new();
    for (id, similarity) in app.pipeline.similar(&params.q, SIMILAR_TEMPLATES).map_err(similar_problem)? {
        if let Some(template) = store.template(id)? {
            templates.push(SimilarTemplate { id, similarity, text: template.text, count: template.count });
        }
    }
    if templates.is_empty() {
        return Ok(Found::default());
    }
    query.templates = templates.iter().map(|template| template.id).collect();
    let result = store.search(&query)?;
    let mut events = result.hits;
    // Nearest in meaning first; the store's order (newest first) within one template.
    let rank = |stored: &Stored| query.templates.iter().position(|id| *id == stored.event.template);
    events.sort_by_key(|stored| rank(stored).unwrap_or(usize::MAX));
    Ok(Found { total: result.total, at_most: !result.counted, events, templates, ..Found::default() })
}

fn similar_problem(error: PipelineError) -> Problem {
    match error {
        PipelineError::NoEmbedder => Problem::new(axum::http::StatusCode::CONFLICT, error.to_string()),
        PipelineError::Store(error) => error.into(),
        other => Problem::internal("searching by meaning", &other),
    }
}

impl Found {
    pub(crate) fn to_json(&self) -> Value {
        let mut events: Vec<Value> =
            self.events.iter().map(|stored| Value::Object(short_json(stored))).collect();
        for (event, by) in events.iter_mut().zip(&self.by) {
            event["found_by"] = by.iter().map(way_json).collect();
        }
        let mut found = json!({ "total": self.total, "counted": !self.at_most, "events": events });
        if !self.templates.is_empty() {
            found["templates"] = json!(self.templates);
        }
        found
    }
}

fn way_json(way: &Way) -> Value {
    match way {
        Way::Words { rank, words } => json!({ "way": "words", "rank": rank, "words": words }),
        Way::Entities { rank, entities } => {
            let names: Vec<String> = entities.iter().map(ToString::to_string).collect();
            json!({ "way": "entities", "rank": rank, "entities": names })
        }
        Way::Meaning { rank, template, similarity } => {
            json!({ "way": "meaning", "rank": rank, "template": template.to_string(), "similarity": similarity })
        }
    }
}

/// An event as lists show it.
pub(crate) fn short_json(stored: &Stored) -> Map<String, Value> {
    let event = &stored.event;
    let entities: Vec<String> = event.entities().iter().map(ToString::to_string).collect();
    let rows = [
        ("id", json!(stored.id)),
        ("time", json!(event.time)),
        ("time_quality", json!(event.time_quality)),
        ("format", json!(event.format)),
        ("class", json!(event.class)),
        ("class_uid", json!(event.class.uid())),
        ("source", json!(event.source)),
        ("position", json!(event.position)),
        ("message", json!(event.message)),
        ("fields", json!(event.fields)),
        ("entities", json!(entities)),
        ("template", json!(event.template.to_string())),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An event with all that is known of it.
pub(crate) fn full_json(stored: &Stored) -> Value {
    let mut json = short_json(stored);
    json.insert("native".to_owned(), json!(stored.event.native));
    let raw = &stored.event.raw;
    match std::str::from_utf8(raw) {
        Ok(text) => json.insert("raw".to_owned(), json!(text)),
        Err(_) => json.insert("raw_hex".to_owned(), json!(hex(raw))),
    };
    Value::Object(json)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
