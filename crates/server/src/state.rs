//! What do all request handlers share?

use crate::api::once::Taking;
use crate::headline::Headlines;
use crate::hub::Hub;
use crate::metrics::Requests;
use crate::problem::{Problem, Result};
use crate::worker::Queue;
use casemate_pipeline::Pipeline;
use casemate_receive::Intake;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// Ingest bodies held in memory at once.
pub(crate) const INGEST_AT_ONCE: usize = 4;

/// Everything request handlers share.
pub(crate) struct App {
    pub(crate) pipeline: Arc<Pipeline>,
    /// Counters by source, and the way in for framed records.
    pub(crate) intake: Arc<Intake>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) queue: Queue,
    pub(crate) headlines: Arc<Headlines>,
    pub(crate) requests: Requests,
    /// What `/v1/models` lists.
    pub(crate) models: Vec<Value>,
    /// Directory in which backups are made.
    pub(crate) backup_dir: Option<PathBuf>,
    /// The address actually listened on.
    pub(crate) local: SocketAddr,
    /// Turns true when the server is to end.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) ingest_permits: Arc<Semaphore>,
    /// Held while a body is taken in, so that the event ids of one request are one range.
    pub(crate) ingest_turn: Mutex<()>,
    /// Requests that are to be taken in once.
    pub(crate) taking: Mutex<Taking>,
}

/// Runs blocking work (the store, the embedder) off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T> + Send + 'static,
) -> Result<T> {
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || work(&app)).await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal("answering the request", &error)),
    }
}
