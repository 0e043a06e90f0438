//! How are chunks sent? Server-sent events without names, the last of them `[DONE]`.

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Chunks on their way to a client that reads slowly.
const ON_THE_WAY: usize = 64;

/// Where chunks go.
pub(super) struct Events(mpsc::Sender<Result<Event, Infallible>>);

impl Events {
    /// Sends a chunk; whether somebody takes it.
    pub(super) async fn send(&self, chunk: &Value) -> bool {
        self.text(&chunk.to_string()).await
    }

    /// The last chunk of a stream that broke: clients make an exception of it.
    pub(super) async fn fail(&self, error: &Value) {
        if !self.send(error).await {
            tracing::debug!("whoever would hear of the failure is gone");
        }
    }

    /// The end.
    pub(super) async fn done(&self) {
        if !self.text("[DONE]").await {
            tracing::debug!("whoever would hear of the end is gone");
        }
    }

    /// Ready once nobody listens.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }

    async fn text(&self, text: &str) -> bool {
        self.0.send(Ok(Event::default().data(text))).await.is_ok()
    }
}

/// A response whose chunks `write` sends.
pub(super) fn events<F: Future<Output = ()> + Send + 'static>(write: impl FnOnce(Events) -> F) -> Response {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    tokio::spawn(write(Events(sender)));
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
