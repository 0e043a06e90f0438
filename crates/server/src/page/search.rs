//! `GET /search`: which events match, by words or by meaning?

use super::parts::{EventRow, event_row, shorten, url_encode};
use super::render;
use crate::api::events::{Found, find};
use crate::params::{Mode, Params, SearchParams};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use casemate_event::EntityKind;
use casemate_store::{Facet, Order};
use std::sync::Arc;

const TEMPLATE_CHARS: usize = 160;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    params: SearchParams,
    is_semantic: bool,
    is_hybrid: bool,
    can_semantic: bool,
    asked: bool,
    problem: Option<String>,
    total: u64,
    rows: Vec<EventRow>,
    templates: Vec<TemplateRow>,
    facets: Vec<FacetView>,
}

/// The most frequent values of a kind among all events that match.
struct FacetView {
    name: &'static str,
    values: Vec<FacetValue>,
}

struct FacetValue {
    value: String,
    count: u64,
    /// The search narrowed to it.
    href: String,
}

/// What a search by words is counted by on the page, and the values shown of each.
const FACETS: [EntityKind; 4] = [EntityKind::Host, EntityKind::User, EntityKind::Ip, EntityKind::Process];
const FACET_VALUES: usize = 6;
/// Events that are counted while a page is waited for.
const MAX_COUNTED: u64 = 2_000_000;

struct TemplateRow {
    similarity: String,
    text: String,
    count: u64,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Params(params): Params<SearchParams>,
) -> Result<Response> {
    blocking(&app, move |app| {
        let asked = !params.q.trim().is_empty() || !params.entity.trim().is_empty();
        let (status, found, problem) = match asked.then(|| find(app, &params, Order::NewestFirst)) {
            None => (StatusCode::OK, None, None),
            Some(Ok(found)) => (StatusCode::OK, Some(found), None),
            Some(Err(problem)) if problem.status.is_server_error() && !is_explained(&problem) => {
                return Err(problem);
            }
            // What was typed stays in the form, next to what is wrong with it.
            Some(Err(problem)) => (problem.status, None, Some(problem.detail)),
        };
        Ok((status, view(app, params, asked, found, problem)?).into_response())
    })
    .await
}

fn facets(app: &App, params: &SearchParams) -> Result<Vec<FacetView>> {
    let query = params.to_query(params.q.trim(), Order::NewestFirst)?;
    let asked: Vec<Facet> = FACETS.into_iter().map(Facet::Entity).collect();
    let found = app.pipeline.store().aggregate(&query, &asked, FACET_VALUES, 0)?;
    let view = |(kind, values): (EntityKind, Vec<(String, u64)>)| {
        let value =
            |(value, count): (String, u64)| FacetValue { href: narrowed(params, kind, &value), value, count };
        FacetView { name: kind.name(), values: values.into_iter().map(value).collect() }
    };
    let views = FACETS.into_iter().zip(found.facets).map(view);
    Ok(views.filter(|facet: &FacetView| !facet.values.is_empty()).collect())
}

/// The same search, of events about this entity only.
fn narrowed(params: &SearchParams, kind: EntityKind, value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    let q = match params.q.trim() {
        "" => format!("{}:\"{quoted}\"", kind.name()),
        q => format!("({q}) AND {}:\"{quoted}\"", kind.name()),
    };
    let query = [
        ("q", q.as_str()),
        ("entity", params.entity.as_str()),
        ("after", params.after.as_str()),
        ("before", params.before.as_str()),
    ];
    let pairs = query.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", url_encode(value))).collect();
    format!("/search?{}", pairs.join("&"))
}

fn is_explained(problem: &Problem) -> bool {
    problem.status == StatusCode::CONFLICT
}

fn view(
    app: &App,
    params: SearchParams,
    asked: bool,
    found: Option<Found>,
    problem: Option<String>,
) -> Result<Html<String>> {
    let found = found.unwrap_or_default();
    let templates = found.templates.iter().map(|template| TemplateRow {
        similarity: format!("{:.2}", template.similarity),
        text: shorten(&template.text, TEMPLATE_CHARS),
        count: template.count,
    });
    let mut rows: Vec<EventRow> = found.events.iter().map(event_row).collect();
    for (row, by) in rows.iter_mut().zip(&found.by) {
        row.found_by = by.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    let few_enough = (1..=MAX_COUNTED).contains(&found.total);
    let facets = if params.mode == Mode::Text && asked && problem.is_none() && few_enough {
        facets(app, &params)?
    } else {
        Vec::new()
    };
    render(&SearchPage {
        facets,
        is_semantic: params.mode == Mode::Semantic,
        is_hybrid: params.mode == Mode::Hybrid,
        can_semantic: app.pipeline.has_embedder(),
        asked,
        problem,
        total: found.total,
        rows,
        templates: templates.collect(),
        params,
    })
}
