//! What arrives by itself, and from whom?
//!
//! Syslog over UDP, TCP (RFC 6587) and TLS (RFC 5425), and files and directories followed as they grow. Records
//! are framed here, decoded by `casemate-ingest` and stored by `casemate-pipeline`; a sender is read no faster
//! than its records become durable. UDP cannot wait: what it loses is counted.
//!
//! Nothing here opens a connection: TLS is used as a server only, and clippy refuses its client types.

mod framing;
mod intake;
mod saved;
mod sources;
mod stream;
mod tail;
mod tls;
mod udp;

pub use intake::{Intake, Records};
pub use saved::{Saved, SavedSource};
pub use sources::{Silence, SourceCounts, Sources};
pub use tls::{Clients, Tls, TlsFiles, expires, self_signed};
/// A connection over TLS, accepted.
pub use tokio_rustls::server::TlsStream;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What can go wrong with a receiver, as opposed to with what it receives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot receive syslog over {kind} on {address}: {source}; choose another address or port")]
    Listen {
        /// UDP, TCP or TLS.
        kind: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A followed file or directory cannot be read.
    #[error("cannot follow {}: {source}; check that it exists and may be read", path.display())]
    Follow {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A decoder cannot go on.
    #[error(transparent)]
    Ingest(#[from] casemate_ingest::Error),
    /// Records could not be stored.
    #[error(transparent)]
    Store(#[from] casemate_store::Error),
    /// A task ended by itself.
    #[error("{what} failed: {reason}")]
    Task {
        /// What it did.
        what: &'static str,
        /// Why it ended.
        reason: String,
    },
    /// The receivers end.
    #[error("the receivers are ending")]
    Stopped,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What is to be received.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Addresses for syslog over UDP.
    pub syslog_udp: Vec<SocketAddr>,
    /// Addresses for syslog over TCP.
    pub syslog_tcp: Vec<SocketAddr>,
    /// Addresses for syslog over TLS; they need [`tls`](Self::tls).
    pub syslog_tls: Vec<SocketAddr>,
    /// Certificate and key for TLS.
    pub tls: Option<TlsFiles>,
    /// Files and directories to follow.
    pub watch: Vec<PathBuf>,
}

/// Receivers whose sockets are bound.
pub struct Receivers {
    udp: Vec<UdpSocket>,
    streams: Vec<(TcpListener, Option<Arc<Tls>>)>,
    watch: Vec<PathBuf>,
}

impl Receivers {
    /// Takes the ports (port 0 takes any free one) and reads certificate and key.
    ///
    /// # Errors
    /// An address in use or not allowed, TLS without usable files, a path to follow that does not exist.
    pub fn bind(config: Config) -> Result<Self> {
        let mut streams = Vec::new();
        for address in config.syslog_tcp {
            streams.push((listen(address, "TCP")?, None));
        }
        if !config.syslog_tls.is_empty() {
            let files = config.tls.ok_or_else(|| Error::Tls {
                path: PathBuf::from("--tls-cert"),
                reason: "syslog over TLS needs a certificate and its key, in PEM".to_owned(),
            })?;
            let tls = Arc::new(Tls::open(files, &[])?);
            for address in config.syslog_tls {
                streams.push((listen(address, "TLS")?, Some(Arc::clone(&tls))));
            }
        }
        let udp = config.syslog_udp.into_iter().map(udp::bind).collect::<Result<_>>()?;
        for path in &config.watch {
            fs_err::metadata(path).map_err(|source| Error::Follow { path: path.clone(), source })?;
        }
        Ok(Self { udp, streams, watch: config.watch })
    }

    /// What is received where: `syslog+udp`, `syslog+tcp` or `syslog+tls`, and the address bound.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let udp = self.udp.iter().filter_map(|socket| Some((udp::SCHEME, socket.local_addr().ok()?)));
        let streams = self
            .streams
            .iter()
            .filter_map(|(listener, tls)| Some((stream::scheme(tls.is_some()), listener.local_addr().ok()?)));
        udp.chain(streams).collect()
    }

    /// Receives until `stopping` turns true and what was read is stored.
    ///
    /// # Errors
    /// A socket cannot be handed to the runtime.
    pub async fn run(self, intake: Arc<Intake>, stopping: watch::Receiver<bool>) -> Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        let failed = |error: io::Error| Error::Task { what: "preparing a socket", reason: error.to_string() };
        for (listener, tls) in self.streams {
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            tasks.spawn(stream::serve(listener, tls, Arc::clone(&intake), stopping.clone()));
        }
        for socket in self.udp {
            socket.set_nonblocking(true).map_err(failed)?;
            let socket = tokio::net::UdpSocket::from_std(socket).map_err(failed)?;
            tasks.spawn(udp::serve(socket, Arc::clone(&intake), stopping.clone()));
        }
        if !self.watch.is_empty() {
            tasks.spawn(tail::follow(self.watch, Arc::clone(&intake), stopping.clone()));
        }
        tasks.spawn(Arc::clone(&intake).run(stopping));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a receiver ended by a fault");
            }
        }
        let saving = tokio::task::spawn_blocking(move || intake.save());
        if let Err(error) = saving.await {
            tracing::error!(%error, "saving what is known of sources failed");
        }
        Ok(())
    }
}

fn listen(address: SocketAddr, kind: &'static str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|source| Error::Listen { kind, address, source })
}
