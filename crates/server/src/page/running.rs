//! What does a person see while an investigation waits, runs, or after it failed?

use super::render;
use crate::api::investigations::failure;
use crate::hub::{Job, Status};
use crate::problem::Result;
use crate::state::App;
use askama::Template;
use axum::response::Html;
use casemate_event::AlertId;
use serde_json::Value;

#[derive(Template)]
#[template(path = "running.html")]
struct RunningPage {
    id: u64,
    title: String,
    is_queued: bool,
    is_failed: bool,
    failure: String,
    steps: Vec<String>,
    /// Steps the page holds, shown or not: the stream goes on after them.
    seen: usize,
}

/// The page of a job that is not done.
pub(crate) fn page(app: &App, id: AlertId, job: &Job) -> Result<Html<String>> {
    let title = app.pipeline.store().alert(id)?.map(|alert| alert.title).unwrap_or_default();
    let (steps, _) = job.steps_from(0);
    let text = |data: &str| serde_json::from_str::<Value>(data).ok()?["text"].as_str().map(str::to_owned);
    render(&RunningPage {
        id: id.0,
        title,
        is_queued: job.status() == Status::Queued,
        is_failed: job.status() == Status::Failed,
        failure: failure(job).unwrap_or_default(),
        seen: steps.len(),
        steps: steps.iter().filter_map(|step| text(&step.data)).collect(),
    })
}
