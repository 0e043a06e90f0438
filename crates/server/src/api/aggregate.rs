//! What are the events that match made of, and how often was something seen?

use crate::params::{Params, SearchParams};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Path, State};
use casemate_event::{Entity, EntityKind, field};
use casemate_store::{Facet, Order, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Facets of one request.
const MAX_FACETS: usize = 16;

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AggregateParams {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    entity: String,
    #[serde(default)]
    by: String,
    most: Option<usize>,
    buckets: Option<usize>,
}

/// `GET /v1/aggregate`
pub(crate) async fn aggregate(
    State(app): State<Arc<App>>,
    Params(params): Params<AggregateParams>,
) -> Result<Json<Value>> {
    let names: Vec<String> =
        params.by.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_FACETS {
        return Err(Problem::bad_request(format!(
            "by names {} things; count by {MAX_FACETS} at most",
            names.len()
        )));
    }
    let facets = names.iter().map(|name| facet(name)).collect::<Result<Vec<Facet>>>()?;
    let most = within("most", params.most.unwrap_or(10), 1)?;
    let buckets = within("buckets", params.buckets.unwrap_or(50), 0)?;
    let search = SearchParams {
        q: params.q,
        after: params.after,
        before: params.before,
        entity: params.entity,
        ..SearchParams::default()
    };
    let query = search.to_query(search.q.trim(), Order::NewestFirst)?;
    let found =
        blocking(&app, move |app| Ok(app.pipeline.store().aggregate(&query, &facets, most, buckets)?))
            .await?;
    let pair = |(value, count): (String, u64)| json!({ "value": value, "events": count });
    let by: Map<String, Value> = names
        .into_iter()
        .zip(found.facets)
        .map(|(name, values)| (name, values.into_iter().map(pair).collect()))
        .collect();
    let over_time: Vec<Value> =
        found.histogram.into_iter().map(|(from, count)| json!({ "from": from, "events": count })).collect();
    Ok(Json(json!({ "total": found.total, "counted": found.counted, "by": by, "over_time": over_time })))
}

/// `GET /v1/entities/{entity}`: how often was it seen, first and last?
pub(crate) async fn entity(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>> {
    let entity: Entity = name.parse().map_err(|why: String| Problem::bad_request(why))?;
    let asked = entity.clone();
    let seen = blocking(&app, move |app| Ok(app.pipeline.store().seen(&asked)?)).await?;
    let seen = seen.ok_or_else(|| Problem::not_found(format!("no event that is kept names {entity}")))?;
    Ok(Json(json!({
        "entity": entity.to_string(), "events": seen.events, "first_seen": seen.first, "last_seen": seen.last,
    })))
}

/// What is known of an entity: when it was seen, how rare it is, and what it is seen with.
pub(crate) fn about(app: &App, name: &str) -> Result<Value> {
    /// Values told of each kind.
    const MOST: usize = 8;
    /// Intervals of time told.
    const BUCKETS: usize = 24;
    let entity: Entity = name.parse().map_err(|why: String| Problem::bad_request(why))?;
    let store = app.pipeline.store();
    let missing = || Problem::not_found(format!("no event that is kept names {entity}"));
    let seen = store.seen(&entity)?.ok_or_else(missing)?;
    let mut facets = vec![Facet::Class, Facet::Format];
    facets.extend(EntityKind::ALL.map(Facet::Entity));
    let query = Query { entities: vec![entity.clone()], limit: 1, ..Query::default() };
    let found = store.aggregate(&query, &facets, MOST + 1, BUCKETS)?;
    let pair = |(value, count): (String, u64)| json!({ "value": value, "events": count });
    let mut counted = found.facets.into_iter();
    let classes: Vec<Value> = counted.next().into_iter().flatten().map(pair).collect();
    let formats: Vec<Value> = counted.next().into_iter().flatten().map(pair).collect();
    let mut with = Map::new();
    for (kind, values) in EntityKind::ALL.into_iter().zip(counted) {
        let others = values.into_iter().filter(|(value, _)| kind != entity.kind || *value != entity.value);
        let others: Vec<Value> = others.take(MOST).map(pair).collect();
        if !others.is_empty() {
            with.insert(kind.name().to_owned(), json!(others));
        }
    }
    let of_events = store.event_count();
    let share = if of_events == 0 { 0.0 } else { seen.events as f64 / of_events as f64 };
    let over_time: Vec<Value> =
        found.histogram.into_iter().map(|(from, count)| json!({ "from": from, "events": count })).collect();
    Ok(json!({
        "entity": entity.to_string(), "events": seen.events, "first_seen": seen.first, "last_seen": seen.last,
        "rarity": { "share": share, "of_events": of_events },
        "classes": classes, "formats": formats, "seen_with": with, "over_time": over_time,
    }))
}

fn within(name: &str, value: usize, least: usize) -> Result<usize> {
    if (least..=1000).contains(&value) {
        return Ok(value);
    }
    Err(Problem::bad_request(format!("{name} is {value}; it can be {least} to 1000")))
}

/// What to count by, as written in a request.
fn facet(name: &str) -> Result<Facet> {
    if let Some(kind) = EntityKind::ALL.into_iter().find(|kind| kind.name() == name) {
        return Ok(Facet::Entity(kind));
    }
    match name {
        "class" => Ok(Facet::Class),
        "format" => Ok(Facet::Format),
        "source" => Ok(Facet::Source),
        "template" => Ok(Facet::Template),
        name if field::known(name).is_some() => Ok(Facet::Field(name.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "events are not counted by {name:?}; use a kind of entity (host, user, ip, process …), class, format, source, \
             template or the name of a normalised field (metadata.event_code)"
        ))),
    }
}
