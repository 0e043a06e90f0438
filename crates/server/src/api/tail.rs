//! What matches that arrives from now on? Server-sent events, in order of arrival, numbered like the events they tell of.

use crate::api::events::short_json;
use crate::params::{Params, SearchParams};
use crate::problem::{Problem, Result};
use crate::serve::is_stopping;
use crate::state::{App, blocking};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use casemate_event::{EventId, Stored};
use casemate_store::{Order, Query};
use serde::Deserialize;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Followers at once.
pub(crate) const FOLLOWERS: usize = 32;
/// How often it is looked for what is new.
const EVERY: Duration = Duration::from_millis(700);
/// Events told of at once; where more arrived, the latest.
const AT_ONCE: usize = 200;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How an event is told.
pub(crate) type Write = fn(&App, &Stored) -> Result<String>;

/// What is followed.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailParams {
    #[serde(default)]
    q: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    entity: String,
    newer: Option<u64>,
}

/// A stream of what arrives.
pub(crate) type Tail = Sse<KeepAliveStream<ReceiverStream<std::result::Result<Event, Infallible>>>>;

/// `GET /v1/events/tail`
pub(crate) async fn tail(
    State(app): State<Arc<App>>,
    Params(params): Params<TailParams>,
    headers: HeaderMap,
) -> Result<Tail> {
    start(app, params, &headers, "event", |_, stored| Ok(Value::Object(short_json(stored)).to_string())).await
}

/// Starts to tell of events as `write` puts them; an event that told of some that are left out is named `skipped`.
pub(crate) async fn start(
    app: Arc<App>,
    params: TailParams,
    headers: &HeaderMap,
    name: &'static str,
    write: Write,
) -> Result<Tail> {
    let full = || Problem::too_many(format!("{FOLLOWERS} follow new events already; try again later"), 30);
    let permit = Arc::clone(&app.followers).try_acquire_owned().map_err(|_| full())?;
    let search =
        SearchParams { q: params.q, filter: params.filter, entity: params.entity, ..SearchParams::default() };
    let query = Query { limit: AT_ONCE, ..search.to_query(&search.q, Order::NewestFirst)? };
    // What makes no sense is said before anything is sent.
    let check = query.clone();
    let last = blocking(&app, move |app| {
        let store = app.pipeline.store();
        store.search(&Query { limit: 0, ids: vec![EventId(0)], ..check })?;
        Ok(store.last_id())
    })
    .await?;
    let told = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let seen = told.or(params.newer).map_or(last, EventId);
    let (sender, receiver) = mpsc::channel(AT_ONCE);
    let follower = Follower { app, query, name, write, sender, _permit: permit };
    tokio::spawn(follower.run(seen));
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Follower {
    app: Arc<App>,
    query: Query,
    name: &'static str,
    write: Write,
    sender: mpsc::Sender<std::result::Result<Event, Infallible>>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    async fn run(self, seen: EventId) {
        let stopping = is_stopping(self.app.stopping.clone());
        tokio::select! {
            () = stopping => {}
            () = self.follow(seen) => {}
        }
    }

    async fn follow(&self, mut seen: EventId) {
        let mut beat = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = self.sender.closed() => return,
            }
            let last = self.app.pipeline.store().last_id();
            if last <= seen {
                continue;
            }
            let query = Query { newer_than: Some(seen), up_to: Some(last), ..self.query.clone() };
            let write = self.write;
            // What failed is in the log already; whoever follows asks again where the stream ended.
            let Ok((told, skipped)) = blocking(&self.app, move |app| found(app, &query, write)).await else {
                return;
            };
            seen = last;
            if skipped > 0
                && self.send(Event::default().event("skipped").data(skipped.to_string())).await.is_err()
            {
                return;
            }
            for (id, text) in told {
                let event = Event::default().event(self.name).id(id.to_string()).data(text);
                if self.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn send(&self, event: Event) -> std::result::Result<(), ()> {
        self.sender.send(Ok(event)).await.map_err(|_| ())
    }
}

/// What matches, in order and as it is told, and how many more do.
fn found(app: &App, query: &Query, write: Write) -> Result<(Vec<(EventId, String)>, u64)> {
    let mut found = app.pipeline.store().search(query)?;
    found.hits.sort_by_key(|hit| hit.id);
    let told = found.hits.iter().map(|hit| Ok((hit.id, write(app, hit)?))).collect::<Result<Vec<_>>>()?;
    Ok((told, found.total.saturating_sub(found.hits.len() as u64)))
}
