//! `GET /search/tail`: rows of the page for events as they arrive, ready to be put into its table.

use super::rows::{Known, Row};
use crate::api::tail::{Tail, TailParams, start};
use crate::page::render;
use crate::params::Params;
use crate::problem::Result;
use crate::state::App;
use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use casemate_event::Stored;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "search_rows.html")]
struct Rows {
    rows: Vec<Row>,
}

/// `GET /search/tail`
pub(crate) async fn tail(
    State(app): State<Arc<App>>,
    Params(params): Params<TailParams>,
    headers: HeaderMap,
) -> Result<Tail> {
    start(app, params, &headers, "row", write).await
}

fn write(app: &App, stored: &Stored) -> Result<String> {
    let known = Known::of(app.pipeline.store(), std::slice::from_ref(stored))?;
    Ok(render(&Rows { rows: vec![known.row(stored, &[])] })?.0)
}
