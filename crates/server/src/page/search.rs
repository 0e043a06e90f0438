//! `GET /search`: which events match, by words or by meaning?

use super::parts::{EventRow, event_row, shorten};
use super::render;
use crate::api::events::{Found, find};
use crate::params::{Mode, Params, SearchParams};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use casemate_store::Order;
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
}

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

fn is_explained(problem: &Problem) -> bool {
    problem.status == StatusCode::NOT_IMPLEMENTED
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
    render(&SearchPage {
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
