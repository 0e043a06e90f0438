//! How does the server start and end?

use crate::admit::Denials;
use crate::api::about::About;
use crate::api::ask::ASKED_AT_ONCE;
use crate::api::tail::FOLLOWERS;
use crate::board::Board;
use crate::error::{Error, Result};
use crate::headline::Headlines;
use crate::hub::Hub;
use crate::knowledge::Knowledge;
use crate::knowledge::tries::Judge;
use crate::listen::{Front, Listener};
use crate::live::{self, Live};
use crate::metrics::Requests;
use crate::model::SharedModel;
use crate::rates::Rates;
use crate::redact::Redaction;
use crate::state::{App, INGEST_AT_ONCE, VERIFIED_AT_ONCE};
use crate::turnstile::Turnstile;
use crate::worker::{self, Tools, Worker};
use casemate_access::{Access, Sessions};
use casemate_investigate::Investigator;
use casemate_investigate::ask::Asker;
use casemate_pipeline::Pipeline;
use casemate_receive::{Intake, Tls};
use jiff::Timestamp;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Requests for embeddings computed at once and waiting, and about how long one takes before one was measured.
const EMBEDDED_AT_ONCE: usize = 2;
const MAX_EMBEDDINGS_WAITING: usize = 32;
const SECONDS_EACH_EMBEDDING: f64 = 0.5;

/// How the server is to run.
#[derive(Clone)]
pub struct Config {
    /// How long open requests and the running investigation may take to end at shutdown.
    pub grace: Duration,
    /// What `/v1/models` lists: one JSON object with at least `role`, `name` and `sha256` per loaded model.
    pub models: Vec<Value>,
    /// What receivers beside this server take in, for the counters by source; `None` without any.
    pub intake: Option<Arc<Intake>>,
    /// Directory in which backups are made when asked for; `None` for none.
    pub backup_dir: Option<PathBuf>,
    /// Who is let in. `None` asks for no proof: whoever connects may do everything, which is for a loopback address
    /// alone.
    pub access: Option<Arc<Access>>,
    /// What is masked for those who may not see everything.
    pub redaction: Arc<Redaction>,
    /// Why nothing is investigated for now, though alerts wait for it: the model that should is not to be had, say.
    pub held: Option<String>,
    /// What judges whether an edited playbook may take the place of one in use, over alerts that people closed.
    pub judge: Option<Judge>,
    /// What the page *System* says of the program around the server.
    pub about: About,
    /// Whether every alert is investigated by itself, the most urgent first, or only those asked for.
    pub backlog: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            models: Vec::new(),
            intake: None,
            backup_dir: None,
            access: None,
            held: None,
            redaction: Arc::default(),
            judge: None,
            about: About::default(),
            backlog: false,
        }
    }
}

/// [`serve_with`] the default [`Config`].
///
/// # Errors
/// As [`serve_with`].
pub async fn serve(
    listener: Listener,
    pipeline: Arc<Pipeline>,
    investigator: Investigator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    serve_with(Config::default(), listener, pipeline, investigator, shutdown).await
}

/// Answers requests on `listener` until `shutdown` is ready, then ends what runs, within [`Config::grace`].
///
/// # Errors
/// If the listener is not on loopback, the stored investigations cannot be read, or the worker thread cannot be
/// started.
pub async fn serve_with(
    config: Config,
    listener: Listener,
    pipeline: Arc<Pipeline>,
    investigator: Investigator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let way = (listener.front(), listener.tls().cloned());
    if config.access.is_none() && !matches!(way.0, Front::Loopback(_) | Front::Unix) {
        return Err(Error::Unguarded { url: listener.url() });
    }
    let (stop, stopping) = watch::channel(false);
    let grace = config.grace;
    let (app, worker) = assemble(config, way, stopping.clone(), pipeline, investigator).await?;
    let tries = Arc::clone(&app.knowledge.tries);
    let router = crate::router::router(Arc::clone(&app));
    let following = live::follow(app)?;
    tokio::spawn(async move {
        shutdown.await;
        stop.send_replace(true);
    });
    tracing::info!("listening on {}", listener.url());
    let served = listener.serve(router, stopping, grace).await;
    tries.end().await;
    worker.end(grace).await;
    following.ended().await;
    served.map_err(|source| Error::Task { what: "accepting connections", source })
}

pub(crate) async fn assemble(
    config: Config,
    (front, tls): (Front, Option<Arc<Tls>>),
    stopping: watch::Receiver<bool>,
    pipeline: Arc<Pipeline>,
    investigator: Investigator,
) -> Result<(Arc<App>, Worker)> {
    let store = Arc::clone(pipeline.store());
    let loading = tokio::task::spawn_blocking({
        let store = Arc::clone(&store);
        let site = investigator.site().clone();
        move || {
            let headlines = Headlines::load(&store)?;
            let board = Board::load(&store, &headlines, site)?;
            Ok::<_, casemate_store::Error>((headlines, board))
        }
    });
    let (headlines, board) = loading.await.map_err(|error| Error::Task {
        what: "reading the stored investigations",
        source: io::Error::other(error),
    })??;
    let live = Arc::new(Live::default());
    let hub = Arc::new(Hub::new(Arc::clone(&live)));
    let (headlines, board) = (Arc::new(headlines), Arc::new(board));
    let backlog = config.backlog;
    let model = investigator.model().cloned().map(|loaded| SharedModel::new(loaded, stopping.clone()));
    let knowledge = Knowledge::start(investigator.clone(), Arc::clone(&headlines), config.judge)?;
    let asker = Asker::new(Arc::clone(&pipeline), investigator.model().cloned());
    let prompts = investigator.prompts();
    let tools = Tools {
        store,
        investigator,
        hub: Arc::clone(&hub),
        headlines: Arc::clone(&headlines),
        board: Arc::clone(&board),
        backlog,
    };
    let (queue, worker) = worker::start(tools, config.held.clone())?;
    let intake = config.intake.unwrap_or_else(|| {
        let own = Arc::new(Intake::new(Arc::clone(&pipeline)));
        tokio::spawn(Arc::clone(&own).run(stopping.clone()));
        own
    });
    let models = config.models;
    let app = App {
        pipeline,
        intake,
        hub,
        queue,
        headlines,
        model: model.map(Arc::new),
        embedding: Turnstile::new(EMBEDDED_AT_ONCE, MAX_EMBEDDINGS_WAITING, SECONDS_EACH_EMBEDDING),
        since: Timestamp::now(),
        board,
        live,
        prompts,
        requests: Requests::default(),
        knowledge,
        asker,
        asking: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
        rates: Rates::default(),
        about: config.about,
        models,
        backup_dir: config.backup_dir,
        front,
        tls,
        access: config.access,
        sessions: Sessions::default(),
        denials: Denials::default(),
        streams: Arc::default(),
        verifying: Arc::new(Semaphore::new(VERIFIED_AT_ONCE)),
        redaction: config.redaction,
        unrecorded: AtomicU64::new(0),
        stopping,
        ingest_permits: Arc::new(Semaphore::new(INGEST_AT_ONCE)),
        ingest_turn: Mutex::new(()),
        followers: Arc::new(Semaphore::new(FOLLOWERS)),
        taking: Mutex::default(),
    };
    Ok((Arc::new(app), worker))
}

/// Ready once the server is to end.
pub(crate) async fn is_stopping(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}
