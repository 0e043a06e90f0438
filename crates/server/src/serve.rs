//! How does the server start and end?

use crate::error::{Error, Result};
use crate::headline::Headlines;
use crate::hub::Hub;
use crate::metrics::Requests;
use crate::state::{App, INGEST_AT_ONCE};
use crate::worker::{self, Tools, Worker};
use casemate_investigate::Investigator;
use casemate_pipeline::Pipeline;
use casemate_receive::Intake;
use serde_json::Value;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

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
            backlog: false,
        }
    }
}

/// Takes the port; port 0 takes any free one.
///
/// Bind before loading models: a port in use is then known at once.
///
/// # Errors
/// [`Error::NotLoopback`], [`Error::PortInUse`] or [`Error::Listen`].
pub fn bind(listen: SocketAddr) -> Result<TcpListener> {
    if !listen.ip().is_loopback() {
        return Err(Error::NotLoopback { listen });
    }
    TcpListener::bind(listen).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { listen },
        _ => Error::Listen { listen, source },
    })
}

/// A socket that is listening already, opened by a service manager.
///
/// # Errors
/// [`Error::NotLoopback`] or [`Error::Listen`].
pub fn adopt(listener: TcpListener) -> Result<TcpListener> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let listen = listener.local_addr().map_err(|source| Error::Listen { listen: nowhere, source })?;
    if !listen.ip().is_loopback() {
        return Err(Error::NotLoopback { listen });
    }
    Ok(listener)
}

/// [`serve_with`] the default [`Config`].
///
/// # Errors
/// As [`serve_with`].
pub async fn serve(
    listener: TcpListener,
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
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    investigator: Investigator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (listener, local) = into_async(listener)?;
    let (stop, stopping) = watch::channel(false);
    let (app, worker) = assemble(config.clone(), local, stopping.clone(), pipeline, investigator).await?;
    let router = crate::router::router(app);
    tokio::spawn(async move {
        shutdown.await;
        stop.send_replace(true);
    });
    tracing::info!("listening on http://{local}");
    let answering = axum::serve(listener, router).with_graceful_shutdown(is_stopping(stopping.clone()));
    let served = tokio::select! {
        served = answering.into_future() => served,
        () = after(is_stopping(stopping), config.grace) => {
            tracing::warn!("requests still open after {:?} are dropped", config.grace);
            Ok(())
        }
    };
    worker.end(config.grace).await;
    served.map_err(|source| Error::Task { what: "accepting connections", source })
}

fn into_async(listener: TcpListener) -> Result<(tokio::net::TcpListener, SocketAddr)> {
    let failed = |source| Error::Task { what: "preparing the listening socket", source };
    let local = listener.local_addr().map_err(failed)?;
    if !local.ip().is_loopback() {
        return Err(Error::NotLoopback { listen: local });
    }
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((tokio::net::TcpListener::from_std(listener).map_err(failed)?, local))
}

async fn assemble(
    config: Config,
    local: SocketAddr,
    stopping: watch::Receiver<bool>,
    pipeline: Arc<Pipeline>,
    investigator: Investigator,
) -> Result<(Arc<App>, Worker)> {
    let store = Arc::clone(pipeline.store());
    let loading = tokio::task::spawn_blocking({
        let store = Arc::clone(&store);
        move || Headlines::load(&store)
    });
    let headlines = loading.await.map_err(|error| Error::Task {
        what: "reading the stored investigations",
        source: io::Error::other(error),
    })??;
    let (hub, headlines) = (Arc::new(Hub::default()), Arc::new(headlines));
    let backlog = config.backlog;
    let tools =
        Tools { store, investigator, hub: Arc::clone(&hub), headlines: Arc::clone(&headlines), backlog };
    let (queue, worker) = worker::start(tools)?;
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
        requests: Requests::default(),
        models,
        backup_dir: config.backup_dir,
        local,
        stopping,
        ingest_permits: Arc::new(Semaphore::new(INGEST_AT_ONCE)),
        ingest_turn: Mutex::new(()),
        taking: Mutex::default(),
    };
    Ok((Arc::new(app), worker))
}

/// Ready once the server is to end.
pub(crate) async fn is_stopping(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn after(event: impl Future<Output = ()>, wait: Duration) {
    event.await;
    tokio::time::sleep(wait).await;
}
