//! What happens, as it happens? Server-sent events for the page and for other programs.
//!
//! | event | when | data |
//! |---|---|---|
//! | `hello` | first, with where the stream begins | depth of the queue |
//! | `gap` | events were missed: read the lists again | how many, where that is known |
//! | `alert` | one is raised, grows, is investigated or decided | its row in short, and `what` |
//! | `case` | something of its alerts changed | its number |
//! | `investigation` | one is queued, running, done or failed | alert and status |
//! | `queue` | its depth changed | how much waits, what runs |
//!
//! A client that reconnects with `Last-Event-ID` goes on after that event, or is told of a gap. A stream ends when the server
//! does, and as [`streams`](crate::streams) says.

use crate::hub::Step;
use crate::problem::{Problem, Result};
use crate::serve::is_stopping;
use crate::state::App;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events under way to one follower.
const BUFFERED: usize = 32;

type Sent = std::result::Result<Event, Infallible>;

/// `GET /v1/stream`
pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveStream<ReceiverStream<Sent>>>> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let full = || Problem::busy("as many follow as may; ask for /v1/queue and /v1/alerts now and then", 60);
    let place = app.live.place().ok_or_else(full)?;
    let (sender, receiver) = mpsc::channel(BUFFERED);
    let stopping = is_stopping(app.stopping.clone());
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = follow(&app, last, &sender) => {}
            () = stopping => {}
        }
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Sends what happened after event `last`, and more as it comes, until nobody listens.
async fn follow(app: &App, last: Option<String>, sender: &mpsc::Sender<Sent>) {
    let mut changed = app.live.watch();
    let resumed = last.as_deref().and_then(|id| app.live.after(id));
    let mut from = resumed.unwrap_or_else(|| app.live.next());
    // Numbered as the event before the first, so that a client that sees no other comes back to the same place.
    let id = from.checked_sub(1).map(|number| app.live.id(number));
    if last.is_some() && resumed.is_none() {
        let gap = json!({ "detail": "what happened before is not kept any more; read the lists again" });
        if sender.send(Ok(event(id.clone(), &Step::new("gap", &gap)))).await.is_err() {
            return;
        }
    }
    if sender.send(Ok(event(id, &Step::new("hello", &depth(app))))).await.is_err() {
        return;
    }
    loop {
        let since = app.live.since(from, BUFFERED);
        if since.missed > 0 {
            let gap = json!({ "missed": since.missed, "detail": "too slow for them; read the lists again" });
            if sender.send(Ok(event(None, &Step::new("gap", &gap)))).await.is_err() {
                return;
            }
        }
        from = since.first;
        if since.steps.is_empty() {
            tokio::select! {
                change = changed.changed() => if change.is_err() { return },
                () = sender.closed() => return,
            }
        }
        for step in &since.steps {
            if sender.send(Ok(event(Some(app.live.id(from)), step))).await.is_err() {
                return;
            }
            from += 1;
        }
    }
}

fn event(id: Option<String>, step: &Step) -> Event {
    let event = Event::default().event(step.event).data(&*step.data);
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

/// How much waits, and what runs.
pub(crate) fn depth(app: &App) -> Value {
    crate::live::depth(&app.queue)
}
