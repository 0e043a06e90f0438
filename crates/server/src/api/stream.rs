//! How does an investigation go? Server-sent events: what happened so far, then what happens, then `done`.

use crate::api::investigations::headline_json;
use crate::hub::{Job, Step};
use crate::params::number;
use crate::problem::{Problem, Result};
use crate::serve::is_stopping;
use crate::state::App;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use casemate_event::AlertId;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/investigations/{id}/stream`
///
/// Events are numbered from 1; a client that reconnects with `Last-Event-ID` goes on after it.
pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveSteps>> {
    let id = AlertId(number(&id, "investigation")?);
    if let Some(job) = app.hub.job(id) {
        return Ok(followed(
            &app,
            &headers,
            move |seen, sender| async move { follow(&job, seen, &sender).await },
        ));
    }
    // Finished before the start of this process: its steps are gone, its end is known.
    let headline = headline_json(&app, id).ok_or_else(|| {
        Problem::not_found(format!(
            "alert {id} is not being investigated; POST /v1/investigations {{\"alert\": {id}}} starts it"
        ))
    })?;
    let done = to_event(1, &Step::new("done", &headline));
    Ok(followed(&app, &headers, move |_, sender| async move {
        // Whoever has gone meanwhile need not be told.
        drop(sender.send(Ok(done)).await);
    }))
}

/// `GET /v1/tries/{id}/stream`
pub(crate) async fn of_try(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveSteps>> {
    let one = super::tries::one_of(&app, &id)?;
    Ok(followed(&app, &headers, move |seen, sender| async move { follow(one.job(), seen, &sender).await }))
}

type Sender = mpsc::Sender<std::result::Result<Event, Infallible>>;

/// A stream of what `send` sends, from where the client was, until that ends or the server does.
fn followed<F: Future<Output = ()> + Send + 'static>(
    app: &App,
    headers: &HeaderMap,
    send: impl FnOnce(usize, Sender) -> F,
) -> Sse<KeepAliveSteps> {
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    let (sender, receiver) = mpsc::channel(64);
    let (sending, stopping) = (send(seen, sender), is_stopping(app.stopping.clone()));
    tokio::spawn(async move {
        tokio::select! {
            () = sending => {}
            () = stopping => {}
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

type Steps = ReceiverStream<std::result::Result<Event, Infallible>>;
type KeepAliveSteps = axum::response::sse::KeepAliveStream<Steps>;

/// Sends the steps of `job` after number `seen`, and more as they come, until its last or until nobody listens.
async fn follow(job: &Job, seen: usize, sender: &Sender) {
    let mut changed = job.watch();
    let mut sent = seen;
    loop {
        let (steps, more_to_come) = job.steps_from(sent);
        for step in &steps {
            sent += 1;
            if sender.send(Ok(to_event(sent, step))).await.is_err() {
                return;
            }
        }
        if !more_to_come {
            return;
        }
        tokio::select! {
            change = changed.changed() => if change.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

fn to_event(number: usize, step: &Step) -> Event {
    Event::default().event(step.event).id(number.to_string()).data(&*step.data)
}
