//! `POST /v1/ask`: what does the evidence say about this question? As JSON, or as it comes (server-sent events).
//!
//! A few questions are answered at once, before the backlog; whoever goes away ends theirs. What was asked, and which
//! events answered it, stands in the audit record.

use crate::admit;
use crate::params::{json_body, time};
use crate::problem::{Problem, Result};
use crate::serve::is_stopping;
use crate::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use casemate_audit::Entry;
use casemate_event::{AlertId, CaseId};
use casemate_investigate::Error;
use casemate_investigate::ask::{
    About, Answer, Cancel, MAX_QUESTION_CHARS, Priority, Progress, Question, Ticket,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Questions that are answered at once; the model takes them by turns.
pub(crate) const ASKED_AT_ONCE: usize = 4;
/// Longest that one may take.
const LONGEST: Duration = Duration::from_secs(120);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Steps that wait for a slow listener.
const AHEAD: usize = 64;

/// A question as it is sent.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewQuestion {
    pub(crate) question: String,
    pub(crate) case: Option<CaseId>,
    /// An alert, by the number of its investigation, which is its own.
    pub(crate) investigation: Option<AlertId>,
    #[serde(default)]
    pub(crate) after: String,
    #[serde(default)]
    pub(crate) before: String,
}

impl NewQuestion {
    /// The question, checked, to be answered for a person who waits.
    pub(crate) fn checked(&self) -> Result<Question> {
        let chars = self.question.trim().chars().count();
        if !(1..=MAX_QUESTION_CHARS).contains(&chars) {
            let detail = format!("a question has 1 to {MAX_QUESTION_CHARS} characters; this one has {chars}");
            return Err(Problem::unprocessable(detail));
        }
        let about = match (self.case, self.investigation) {
            (Some(_), Some(_)) => {
                return Err(Problem::unprocessable("ask about a case or about an investigation, not both"));
            }
            (Some(case), None) => Some(About::Case(case)),
            (None, Some(alert)) => Some(About::Alert(alert)),
            (None, None) => None,
        };
        let ticket = Ticket {
            priority: Priority::Interactive,
            deadline: Instant::now().checked_add(LONGEST),
            cancel: Cancel::default(),
        };
        Ok(Question {
            text: self.question.clone(),
            about,
            after: time("after", &self.after)?,
            before: time("before", &self.before)?,
            now: Timestamp::now(),
            ticket,
        })
    }
}

/// `POST /v1/ask`
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let question = json_body::<NewQuestion>(body).await?.checked()?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/event-stream") {
        return Ok(Json(answer(&app, &who, question).await?).into_response());
    }
    let permit = permit(&app)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(stream(app, who, question, permit, sender));
    Ok(Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

/// Answers a question, and puts it on record. Dropped, the model ends; the entry is written all the same.
pub(crate) async fn answer(app: &Arc<App>, who: &Principal, question: Question) -> Result<Answer> {
    let permit = permit(app)?;
    let leash = Leash(question.ticket.cancel.clone());
    let answered = tokio::spawn(answered(Arc::clone(app), who.clone(), question, permit));
    let answered = tokio::select! {
        answered = answered => answered,
        () = is_stopping(app.stopping.clone()) => {
            return Err(Problem::busy("casemate is ending; ask again after its restart", 10));
        }
    };
    // It ended by itself, or with an error: nothing is left to end.
    drop(leash);
    answered.unwrap_or_else(|error| Err(Problem::internal("answering a question", &error)))
}

/// Ends a question when it is dropped.
struct Leash(Cancel);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn answered(
    app: Arc<App>,
    who: Principal,
    question: Question,
    permit: OwnedSemaphorePermit,
) -> Result<Answer> {
    let (asker, asked) = (app.asker.clone(), question.text.clone());
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        asker.ask(&question, &mut |_| {})
    });
    let failed = match work.await {
        Ok(Ok(answer)) => {
            admit::record(&app, answer.entry(&who.to_string()), false).await;
            return Ok(answer);
        }
        Ok(Err(error)) => problem(&error),
        Err(error) => Problem::internal("answering a question", &error),
    };
    admit::record(&app, unanswered(&who, asked, &failed), false).await;
    Err(failed)
}

/// What the record says of a question that has no whole answer, although its evidence may have been sent.
fn unanswered(who: &Principal, question: String, why: &Problem) -> Entry {
    Entry::new(&who.to_string(), "ask", question, json!({ "answered": false, "status": why.status.as_u16() }))
}

fn permit(app: &App) -> Result<OwnedSemaphorePermit> {
    Arc::clone(&app.asking).try_acquire_owned().map_err(|_| {
        Problem::too_many(
            format!("{ASKED_AT_ONCE} questions are being answered already; ask again later"),
            10,
        )
    })
}

/// What whoever asked is told of a question that was not answered.
fn problem(error: &Error) -> Problem {
    match error {
        Error::Question { reason } if reason.starts_with("there is no") => Problem::not_found(reason.clone()),
        Error::Question { reason } => Problem::unprocessable(reason.clone()),
        busy if busy.is_busy() => Problem::busy(
            "the model could not answer in time; ask again later, or for something that can be counted",
            10,
        ),
        other => Problem::internal("answering a question", other),
    }
}

type Sender = mpsc::Sender<std::result::Result<Event, Infallible>>;

/// Answers a question while telling of it; ends when nobody listens any more.
async fn stream(
    app: Arc<App>,
    who: Principal,
    question: Question,
    permit: OwnedSemaphorePermit,
    sender: Sender,
) {
    let cancel = question.ticket.cancel.clone();
    let (asker, to_told, asked) = (app.asker.clone(), sender.clone(), question.text.clone());
    // A mask may stand over several tokens: who sees masked text sees whole sentences.
    let tokens = !who.redacted;
    let mut work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut number = 0_u64;
        let cancel = question.ticket.cancel.clone();
        asker.ask(&question, &mut |progress| {
            let name = match &progress {
                Progress::Evidence { .. } => "evidence",
                Progress::Token { .. } if !tokens => return,
                Progress::Token { .. } => "token",
                Progress::Sentence(_) => "sentence",
            };
            number += 1;
            if to_told.blocking_send(Ok(event(name, number, &json!(progress)))).is_err() {
                cancel.cancel();
            }
        })
    });
    let answered = tokio::select! {
        answered = &mut work => answered,
        () = sender.closed() => {
            cancel.cancel();
            work.await
        }
        () = is_stopping(app.stopping.clone()) => {
            cancel.cancel();
            work.await
        }
    };
    let last = match answered {
        Ok(Ok(answer)) => {
            admit::record(&app, answer.entry(&who.to_string()), false).await;
            event("done", 0, &json!(answer))
        }
        Ok(Err(error)) => not_answered(&app, &who, asked, problem(&error)).await,
        Err(error) => {
            not_answered(&app, &who, asked, Problem::internal("answering a question", &error)).await
        }
    };
    if sender.send(Ok(last)).await.is_err() {
        tracing::debug!("whoever asked has gone away");
    }
}

async fn not_answered(app: &Arc<App>, who: &Principal, question: String, why: Problem) -> Event {
    admit::record(app, unanswered(who, question, &why), false).await;
    failed(&why)
}

fn failed(problem: &Problem) -> Event {
    let said =
        json!({ "title": problem.title(), "status": problem.status.as_u16(), "detail": problem.detail });
    event("failed", 0, &said)
}

fn event(name: &str, number: u64, data: &serde_json::Value) -> Event {
    let event = Event::default().event(name).data(data.to_string());
    if number == 0 { event } else { event.id(number.to_string()) }
}
