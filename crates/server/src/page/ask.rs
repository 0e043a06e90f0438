//! `GET /ask` and its form: a question in plain words, and the answer with the events that bear it out.

use super::parts::{When, url_encode, when};
use super::render;
use crate::api::ask::{NewQuestion, answer};
use crate::params::{Params, form_body};
use crate::problem::Result;
use crate::state::App;
use askama::Template;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use casemate_access::Principal;
use casemate_event::{AlertId, CaseId};
use casemate_investigate::ask::{Answer, How, MAX_QUESTION_CHARS};
use serde::Deserialize;
use std::sync::Arc;

/// Questions of each sort, for whoever has not asked one yet.
const EXAMPLES: [&str; 6] = [
    "Which hosts had failed logons?",
    "Who added a member to a group?",
    "How many connections went to port 443?",
    "When was the first process started by powershell.exe?",
    "Which alerts are critical?",
    "Was the memory of a process dumped?",
];
/// The same about a case.
const OF_CASE: [&str; 6] = [
    "What happened?",
    "What is the verdict?",
    "Which techniques were used?",
    "Which users started processes?",
    "Which addresses were connected to?",
    "What is missing?",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prefilled {
    #[serde(default)]
    question: String,
    case: Option<CaseId>,
    investigation: Option<AlertId>,
}

/// What the form sends; an empty field is none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    question: String,
    #[serde(default)]
    case: String,
    #[serde(default)]
    investigation: String,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    question: String,
    about: Option<AboutView>,
    examples: Vec<Example>,
    has_model: bool,
    max_chars: usize,
    problem: Option<String>,
    answer: Option<AnswerView>,
}

struct AboutView {
    field: &'static str,
    id: u64,
    href: String,
}

struct Example {
    text: &'static str,
    href: String,
}

struct AnswerView {
    question: String,
    known: bool,
    how: &'static str,
    text: String,
    sentences: Vec<SentenceView>,
    lines: Vec<LineView>,
    query: Option<(String, String)>,
    looked_for: Vec<String>,
    missing: Vec<String>,
    removed: u64,
    seconds: String,
    model: Option<(String, String)>,
    prompt: Option<String>,
}

struct SentenceView {
    text: String,
    citations: Vec<String>,
}

struct LineView {
    label: String,
    event: u64,
    time: When,
    line: String,
}

/// `GET /ask`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Params(given): Params<Prefilled>,
) -> Result<Html<String>> {
    render(&view(&app, given, None, None))
}

/// `POST /ask`
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Response> {
    let form = form_body::<Form>(body).await?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let given = Prefilled {
        question: form.question,
        case: number(&form.case).map(CaseId),
        investigation: number(&form.investigation).map(AlertId),
    };
    let asked = NewQuestion {
        question: given.question.clone(),
        case: given.case,
        investigation: given.investigation,
        ..NewQuestion::default()
    };
    let answered = match asked.checked() {
        Ok(question) => answer(&app, &who, question).await,
        Err(problem) => Err(problem),
    };
    Ok(match answered {
        Ok(answer) => render(&view(&app, given, Some(&answer), None))?.into_response(),
        Err(problem) if problem.status == StatusCode::INTERNAL_SERVER_ERROR => return Err(problem),
        // What was typed stays in the form, next to what is wrong with it.
        Err(problem) => {
            (problem.status, render(&view(&app, given, None, Some(problem.detail)))?).into_response()
        }
    })
}

fn view(app: &App, given: Prefilled, answer: Option<&Answer>, problem: Option<String>) -> AskPage {
    let about = match (given.case, given.investigation) {
        (Some(CaseId(id)), _) => Some(AboutView { field: "case", id, href: format!("/cases/{id}") }),
        (None, Some(AlertId(id))) => {
            Some(AboutView { field: "investigation", id, href: format!("/investigations/{id}") })
        }
        (None, None) => None,
    };
    let examples = if about.is_some() { OF_CASE } else { EXAMPLES };
    let examples = examples.into_iter().map(|text| {
        let about = about.as_ref().map(|about| format!("&{}={}", about.field, about.id)).unwrap_or_default();
        Example { text, href: format!("/ask?question={}{about}", url_encode(text)) }
    });
    AskPage {
        examples: examples.collect(),
        question: given.question,
        about,
        has_model: app.asker.has_model(),
        max_chars: MAX_QUESTION_CHARS,
        problem,
        answer: answer.map(answer_view),
    }
}

fn answer_view(answer: &Answer) -> AnswerView {
    let how = match answer.how {
        How::Counted => "counted in the store, no model took part",
        How::Recorded => "from the record",
        How::Read => "written by the model, each sentence checked against what it cites",
        How::Unanswered => "not known",
    };
    let query =
        answer.query.as_ref().map(|query| (query.clone(), format!("/search?q={}", url_encode(query))));
    AnswerView {
        question: answer.question.clone(),
        known: answer.known,
        how,
        text: answer.answer.clone(),
        sentences: answer
            .sentences
            .iter()
            .map(|told| SentenceView { text: told.text.clone(), citations: told.citations.clone() })
            .collect(),
        lines: answer
            .evidence
            .iter()
            .map(|line| LineView {
                label: line.label.clone(),
                event: line.event.0,
                time: when(line.time),
                line: line.line.clone(),
            })
            .collect(),
        query,
        looked_for: answer.looked_for.clone(),
        missing: answer.missing.clone(),
        removed: answer.removed,
        seconds: format!("{:.2}", answer.seconds.get("total").copied().unwrap_or_default()),
        model: answer.provenance.model.as_ref().map(|model| (model.name.clone(), model.sha256.clone())),
        prompt: answer.provenance.prompt_sha256.clone(),
    }
}
