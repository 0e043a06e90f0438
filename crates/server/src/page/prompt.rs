//! `GET /investigations/{id}/prompt`: what exactly was the model given, and is that certain?

use super::parts::shorten;
use super::render;
use crate::api::prompt::made_again;
use crate::params::{Params, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use casemate_event::AlertId;
use casemate_investigate::{Check, Given, Prompt, Task};
use serde::Deserialize;
use std::sync::Arc;

/// Which of the prompts, as the query string has it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Place in the list of tasks, from 1.
    #[serde(default)]
    task: Option<usize>,
    /// Which reading of the evidence, from 1: by time, then by blocks from the last.
    #[serde(default)]
    reading: Option<usize>,
}

#[derive(Template)]
#[template(path = "prompt.html")]
struct PromptPage {
    id: u64,
    title: String,
    model: Option<(String, String)>,
    /// Why no model was asked, or why its prompt is lost.
    without: Option<(&'static str, String)>,
    reused_from: Option<u64>,
    shown: Option<Shown>,
}

/// One prompt, and the choice of others.
struct Shown {
    verified: &'static str,
    note: String,
    sha256: String,
    system: String,
    user: String,
    lead: String,
    answers: String,
    choices: Vec<Choice>,
    prompts: usize,
}

struct Choice {
    name: String,
    task: usize,
    orders: Vec<(usize, bool)>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Params(which): Params<Which>,
) -> Result<Html<String>> {
    let id = AlertId(number(&id, "investigation")?);
    blocking(&app, move |app| {
        let (case, prompt) = made_again(app, id)?;
        let mut page = PromptPage {
            id: id.0,
            title: case.alert.title.clone(),
            model: case.model.map(|model| (model.name, model.sha256)),
            without: None,
            reused_from: None,
            shown: None,
        };
        match prompt {
            Prompt::No { why, reused_from } => {
                page.without = Some(("No model was asked", why));
                page.reused_from = reused_from.map(|id| id.0);
            }
            Prompt::Lost { why } => page.without = Some(("The prompt cannot be made again", why)),
            Prompt::Yes(given) => page.shown = Some(shown(&given, &which)?),
        }
        render(&page)
    })
    .await
}

fn shown(given: &Given, which: &Which) -> Result<Shown> {
    let (task, order) = (which.task.unwrap_or(1), which.reading.unwrap_or(1));
    let picked = task.checked_sub(1).and_then(|place| given.tasks.get(place));
    let picked = picked.ok_or_else(|| {
        Problem::not_found(format!("there is no task {task}; there are {} of them", given.tasks.len()))
    })?;
    let asked = order.checked_sub(1).filter(|order| picked.orders.contains(order));
    let shared = asked.and_then(|order| given.shared.get(order)).ok_or_else(|| {
        Problem::not_found(format!("that was not asked over order {order} of the evidence"))
    })?;
    let (verified, note) = match &given.check {
        Check::Same => {
            ("same", "Its tokens have the SHA-256 that the report names: this is what was read.".to_owned())
        }
        Check::Different { why } => {
            ("different", format!("Its tokens do not have the SHA-256 that the report names; {why}."))
        }
        Check::Unverified { why } => ("unverified", format!("Not verified: {why}.")),
    };
    let choice = |(place, other): (usize, &Task)| Choice {
        name: match other.answers.as_slice() {
            [] => "The story".to_owned(),
            _ => format!("{}, wording {}", other.id.replace('_', " "), other.wording + 1),
        },
        task: place + 1,
        orders: other.orders.iter().map(|at| (at + 1, (place + 1, at + 1) == (task, order))).collect(),
    };
    Ok(Shown {
        verified,
        note,
        sha256: given.sha256.clone().unwrap_or_default(),
        system: given.system.clone(),
        user: format!("{shared}{}", picked.text),
        lead: picked.lead.clone(),
        answers: shorten(&picked.answers.join(", "), 400),
        choices: given.tasks.iter().enumerate().map(choice).collect(),
        prompts: given.tasks.iter().map(|task| task.orders.len()).sum(),
    })
}
