//! What do all request handlers share?

use crate::admit::Denials;
use crate::api::about::About;
use crate::api::once::Taking;
use crate::board::Board;
use crate::headline::Headlines;
use crate::hub::Hub;
use crate::knowledge::Knowledge;
use crate::listen::Front;
use crate::live::Live;
use crate::metrics::Requests;
use crate::model::SharedModel;
use crate::problem::{Problem, Result};
use crate::rates::Rates;
use crate::redact::Redaction;
use crate::streams::Streams;
use crate::turnstile::Turnstile;
use crate::worker::Queue;
use casemate_access::{Access, Sessions};
use casemate_investigate::Prompts;
use casemate_investigate::ask::Asker;
use casemate_pipeline::Pipeline;
use casemate_receive::{Intake, Tls};
use jiff::Timestamp;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// Ingest bodies held in memory at once.
pub(crate) const INGEST_AT_ONCE: usize = 4;
/// Proofs verified at once: each may cost a core for a while, and memory.
pub(crate) const VERIFIED_AT_ONCE: usize = 2;

/// Everything request handlers share.
pub(crate) struct App {
    pub(crate) pipeline: Arc<Pipeline>,
    /// Counters by source, and the way in for framed records.
    pub(crate) intake: Arc<Intake>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) queue: Queue,
    pub(crate) headlines: Arc<Headlines>,
    /// The model that investigates, for whoever else asks it; `None` where [`Queue::held`] or `--model none` says why.
    pub(crate) model: Option<Arc<SharedModel>>,
    /// The line before the embedder, of those who ask for embeddings.
    pub(crate) embedding: Arc<Turnstile>,
    /// When the server started.
    pub(crate) since: Timestamp,
    /// What lists say of alerts and cases.
    pub(crate) board: Arc<Board>,
    /// What has just happened, for whoever follows.
    pub(crate) live: Arc<Live>,
    /// Makes again what models were given.
    pub(crate) prompts: Prompts,
    pub(crate) requests: Requests,
    /// Playbooks, rules and models in use, and what is tried beside them.
    pub(crate) knowledge: Knowledge,
    /// Answers questions, and how many at once.
    pub(crate) asker: Asker,
    pub(crate) asking: Arc<Semaphore>,
    /// How fast sources send.
    pub(crate) rates: Rates,
    /// What the program around this server says of itself.
    pub(crate) about: About,
    /// What `/v1/models` lists.
    pub(crate) models: Vec<Value>,
    /// Directory in which backups are made.
    pub(crate) backup_dir: Option<PathBuf>,
    /// By which way requests come in.
    pub(crate) front: Front,
    /// What shows the certificate, where one is shown.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Who is let in; anybody, if no proof is asked for.
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) sessions: Sessions,
    pub(crate) denials: Denials,
    /// Answers that are sent as things happen.
    pub(crate) streams: Arc<Streams>,
    /// Verifications of what somebody shows, at once.
    pub(crate) verifying: Arc<Semaphore>,
    /// What is masked for those who may not see everything.
    pub(crate) redaction: Arc<Redaction>,
    /// Entries that the audit record could not take.
    pub(crate) unrecorded: AtomicU64,
    /// Turns true when the server is to end.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) ingest_permits: Arc<Semaphore>,
    /// Held while a body is taken in, so that the event ids of one request are one range.
    pub(crate) ingest_turn: Mutex<()>,
    /// Those who follow new events.
    pub(crate) followers: Arc<Semaphore>,
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
