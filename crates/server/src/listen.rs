//! Who connects, and over what? TCP on loopback, TLS on any address, or a Unix socket.
//!
//! A connection has so long to say what it wants (a slow one is closed, and holds up nobody), and there is a bound on
//! how many there are. Who is at the other end, as far as the connection itself tells, goes with each of its requests.

use crate::error::{Error, Result};
use crate::serve::is_stopping;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use casemate_receive::Tls;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Connections open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request line and its headers may take, and how long a connection may say nothing between requests.
const HEADERS: Duration = Duration::from_secs(30);
/// Longest request line with headers.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Where to listen: `127.0.0.1:8470`, or `unix:/run/casemate/api.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: is followed by the path of a socket".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|error| format!("{error}; give ADDRESS:PORT, or unix:PATH")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that is listened on.
pub struct Listener {
    socket: Socket,
    tls: Option<Arc<Tls>>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// What requests are held to, as they come in by this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Plain HTTP on this loopback address: other web pages are kept out by name.
    Loopback(SocketAddr),
    /// TLS: names are the certificate's matter.
    Tls,
    /// A socket of this machine, which no browser speaks to.
    Unix,
}

impl Listener {
    /// Takes the port (0 takes any free one), or makes the socket.
    ///
    /// Bind before loading models: a port in use is then known at once.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] for what others can reach without TLS; [`Error::PortInUse`] or [`Error::Listen`].
    pub fn bind(address: &Address, tls: Option<Tls>) -> Result<Self> {
        let failed = |source| Error::Listen { listen: address.clone(), source };
        let socket = match address {
            Address::Tcp(listen) if !listen.ip().is_loopback() && tls.is_none() => {
                return Err(Error::NotLoopback { listen: *listen });
            }
            Address::Tcp(listen) => {
                Socket::Tcp(TcpListener::bind(listen).map_err(|source| match source.kind() {
                    io::ErrorKind::AddrInUse => Error::PortInUse { listen: *listen },
                    _ => failed(source),
                })?)
            }
            Address::Unix(path) => Socket::Unix(bind_unix(path).map_err(failed)?, path.clone()),
        };
        Ok(Self { socket, tls: tls.map(Arc::new) })
    }

    /// A socket that is listening already, opened by a service manager.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] or [`Error::Listen`].
    pub fn adopt(listener: TcpListener, tls: Option<Tls>) -> Result<Self> {
        let nowhere = Address::Tcp(SocketAddr::from(([0, 0, 0, 0], 0)));
        let listen = listener.local_addr().map_err(|source| Error::Listen { listen: nowhere, source })?;
        if !listen.ip().is_loopback() && tls.is_none() {
            return Err(Error::NotLoopback { listen });
        }
        Ok(Self { socket: Socket::Tcp(listener), tls: tls.map(Arc::new) })
    }

    /// Lets any user of this machine connect to a socket: who they are is asked of the kernel.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn let_everybody_knock(&self) -> Result<()> {
        let Socket::Unix(_, path) = &self.socket else { return Ok(()) };
        let listen = Address::Unix(path.clone());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs_err::set_permissions(path, mode).map_err(|source| Error::Listen { listen, source })
    }

    /// The address of a TCP socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        match (&self.socket, self.local_addr()) {
            (Socket::Unix(_, path), _) => format!("unix://{}", path.display()),
            (_, Some(address)) if self.tls.is_some() => format!("https://{address}/"),
            (_, Some(address)) => format!("http://{address}/"),
            (_, None) => "nowhere".to_owned(),
        }
    }

    /// What shows the certificate, where one is shown.
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    pub(crate) fn front(&self) -> Front {
        match self.local_addr() {
            _ if self.tls.is_some() => Front::Tls,
            Some(address) => Front::Loopback(address),
            None => Front::Unix,
        }
    }

    /// Answers connections by `router` until `stopping`, then lets requests that are open end, within `grace`.
    pub(crate) async fn serve(
        self,
        router: Router,
        stopping: watch::Receiver<bool>,
        grace: Duration,
    ) -> io::Result<()> {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let serving = Serving { router, stopping: stopping.clone(), tls: self.tls };
        match self.socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let accept = || async {
                    let (stream, address) = listener.accept().await?;
                    // An answer is not to wait for the next one.
                    stream.set_nodelay(true)?;
                    Ok((stream, Peer { source: address.ip().to_canonical().to_string(), ..Peer::default() }))
                };
                serving.accept(accept, &permits, &mut connections).await;
            }
            Socket::Unix(listener, path) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                let accept = || async {
                    let (stream, _) = listener.accept().await?;
                    let process = stream.peer_cred().ok().map(|cred| (cred.uid(), cred.gid()));
                    Ok((stream, Peer { source: "unix".to_owned(), process, ..Peer::default() }))
                };
                serving.accept(accept, &permits, &mut connections).await;
                // Whoever comes next makes it anew.
                drop(fs_err::remove_file(path));
            }
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!("requests still open after {grace:?} are dropped");
        }
        Ok(())
    }
}

/// Makes a socket, in place of one that a process which is gone has left behind.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    match UnixListener::bind(path) {
        // The data directory has one owner at a time: nobody else listens there.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_socket => {
            fs_err::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

/// Who is at the other end, as far as the connection tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// Address, or `unix`.
    pub(crate) source: String,
    /// DER of the certificate that it showed and proved to hold.
    pub(crate) certificate: Option<Arc<[u8]>>,
    /// User and group of the process.
    pub(crate) process: Option<(u32, u32)>,
}

/// What connections are served with.
#[derive(Clone)]
struct Serving {
    router: Router,
    stopping: watch::Receiver<bool>,
    tls: Option<Arc<Tls>>,
}

impl Serving {
    /// Takes connections, one task each, until the server is to end.
    async fn accept<S, F>(
        &self,
        accept: impl Fn() -> F,
        permits: &Arc<Semaphore>,
        connections: &mut JoinSet<()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<(S, Peer)>>,
    {
        let mut stop = pin!(is_stopping(self.stopping.clone()));
        loop {
            let permit = tokio::select! {
                () = &mut stop => return,
                permit = Arc::clone(permits).acquire_owned() => permit,
            };
            let Ok(permit) = permit else { return };
            let accepted = loop {
                tokio::select! {
                    () = &mut stop => return,
                    _ = connections.join_next(), if !connections.is_empty() => {}
                    accepted = accept() => break accepted,
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(self.clone().connection(stream, peer, permit));
                }
                Err(error) => {
                    // Out of descriptors, say: others end meanwhile.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection<S>(self, stream: S, mut peer: Peer, _permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = &self.tls else { return self.http(stream, peer).await };
        match tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                peer.certificate = shown.map(|der| Arc::from(der.as_ref()));
                self.http(stream, peer).await;
            }
            Ok(Err(error)) => tracing::debug!(from = peer.source, %error, "no TLS connection came about"),
            Err(_) => tracing::debug!(from = peer.source, "a TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = TowerToHyperService::new(self.router.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request.map(Body::new))
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEADER_BYTES);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = is_stopping(self.stopping.clone()) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
