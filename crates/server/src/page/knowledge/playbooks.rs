//! `GET /playbooks` and `/playbooks/{name}`: what is asked about which alerts, and how did that fare?

use super::super::render;
use super::{agreement, short};
use crate::api::playbooks::{self, Row, Whole};
use crate::knowledge::DECISIONS;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use std::sync::Arc;

/// Latest investigations that are linked.
const LINKED: usize = 10;

#[derive(Template)]
#[template(path = "knowledge_playbooks.html")]
struct ListPage {
    rows: Vec<(Row, Option<String>)>,
    decisions: usize,
}

#[derive(Template)]
#[template(path = "knowledge_playbook.html")]
struct OnePage {
    it: Whole,
    short: String,
    agreement: Option<String>,
    latest: Vec<u64>,
}

/// `GET /playbooks`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Html<String>> {
    blocking(&app, |app| {
        let with_words = |row: Row| {
            let words = agreement(row.closed);
            (row, words)
        };
        let rows = playbooks::rows(app)?.into_iter().map(with_words).collect();
        render(&ListPage { rows, decisions: DECISIONS })
    })
    .await
}

/// `GET /playbooks/{name}`
pub(crate) async fn page(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let it = playbooks::whole(app, &name)?;
        let latest = app.headlines.of_playbook(&name, LINKED).into_iter().map(|id| id.0).collect();
        let (short, agreement) = (short(&it.row.sha256), agreement(it.row.closed));
        render(&OnePage { short, agreement, latest, it })
    })
    .await
}
