//! `/drafts/playbook` and `/drafts/rule`: what is wrong with an edited text, and what would it change?

use super::super::render;
use crate::api::tries::{self, NewPlaybook, NewRule};
use crate::api::{playbooks, rules};
use crate::knowledge::draft::{Checked, MAX_BYTES, of_form};
use crate::knowledge::tries::{MAX_LAST, Try};
use crate::params::{Params, long_form_body};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use casemate_access::Principal;
use casemate_event::AlertId;
use serde::Deserialize;
use std::sync::Arc;

/// A form encodes each byte as three at most.
const MAX_FORM_BYTES: usize = 3 * MAX_BYTES + 4096;

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Playbook,
    Rule,
}

/// Of what in use it is to be a new version.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Of {
    #[serde(default)]
    of: String,
}

/// The form.
#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    text: String,
    #[serde(default)]
    of: String,
    /// `check`, `one`, `past` or `download`.
    #[serde(default, rename = "do")]
    action: String,
    /// Numbers as they were typed.
    #[serde(default)]
    alert: String,
    #[serde(default)]
    last: String,
    #[serde(default)]
    events: String,
    #[serde(default)]
    days: String,
}

#[derive(Template)]
#[template(path = "knowledge_draft.html")]
struct DraftPage {
    is_playbook: bool,
    /// Name of what it is to replace; empty for something new.
    of: String,
    title: String,
    text: String,
    checked: Option<Checked>,
    most: usize,
}

/// `GET /drafts/playbook`
pub(crate) async fn playbook(
    State(app): State<Arc<App>>,
    Params(Of { of }): Params<Of>,
) -> Result<Html<String>> {
    let text = match of.as_str() {
        "" => String::new(),
        name => playbooks::named(&app.knowledge, name)?.text.to_string(),
    };
    Kind::Playbook.page(of, text, None)
}

/// `GET /drafts/rule`
pub(crate) async fn rule(State(app): State<Arc<App>>, Params(Of { of }): Params<Of>) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let text = match of.as_str() {
            "" => String::new(),
            id => rules::rule(app, id)?.text.to_string(),
        };
        Kind::Rule.page(of, text, None)
    })
    .await
}

/// `POST /drafts/playbook`
pub(crate) async fn check_playbook(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let form: Form = long_form_body(body, MAX_FORM_BYTES).await?;
    let text = of_form(&form.text);
    let asked = match form.action.as_str() {
        "download" => return Ok(tries::file("playbook.toml", text)),
        "one" => Some((Some(typed("the alert", &form.alert)?), None)),
        "past" => Some((None, Some(typed("the number of investigations", &form.last)?))),
        _ => None,
    };
    let checked = playbooks::check(&app, &who, text.clone()).await?;
    if let Some((alert, last)) = asked.filter(|_| checked.valid) {
        let new = NewPlaybook { text, alert: alert.map(AlertId), last };
        return Ok(to(&tries::try_playbook(&app, &who, new).await?));
    }
    Ok(Kind::Playbook.page(form.of, text, Some(checked))?.into_response())
}

/// `POST /drafts/rule`
pub(crate) async fn check_rule(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let form: Form = long_form_body(body, MAX_FORM_BYTES).await?;
    let text = of_form(&form.text);
    if form.action == "download" {
        return Ok(tries::file("rule.yml", text));
    }
    let checked = rules::check(&app, &who, text.clone()).await?;
    if form.action == "past" && checked.valid {
        let days =
            if form.days.trim().is_empty() { None } else { Some(typed("the number of days", &form.days)?) };
        let new = NewRule { text, events: Some(typed("the number of events", &form.events)?), days };
        return Ok(to(&tries::try_rule(&app, &who, new).await?));
    }
    Ok(Kind::Rule.page(form.of, text, Some(checked))?.into_response())
}

/// A number that was typed.
fn typed<T: std::str::FromStr>(what: &str, text: &str) -> Result<T> {
    let wrong = |_| Problem::unprocessable(format!("{what} is {text:?}; write a number"));
    text.trim().trim_start_matches('#').parse().map_err(wrong)
}

fn to(asked: &Arc<Try>) -> Response {
    Redirect::to(&format!("/tries/{}", asked.id)).into_response()
}

impl Kind {
    fn page(self, of: String, text: String, checked: Option<Checked>) -> Result<Html<String>> {
        let what = if self == Self::Playbook { "playbook" } else { "rule" };
        let title = if of.is_empty() { format!("A new {what}") } else { format!("Edit {what} {of}") };
        render(&DraftPage { is_playbook: self == Self::Playbook, of, title, text, checked, most: MAX_LAST })
    }
}
