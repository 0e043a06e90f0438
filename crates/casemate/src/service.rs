//! What does a service manager say to us, and what do we tell it?
//!
//! systemd's protocols, as `sd_notify(3)` and `sd_listen_fds(3)` describe them: readiness, stopping, signs of life, and
//! sockets that were opened for us. The socket that it listens on is opened before the process gives up connecting.

use listenfd::ListenFd;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager that started this process, if one did.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear of us, at the least.
    watchdog: Option<Duration>,
    /// The socket it opened for API and page.
    listener: Option<TcpListener>,
}

impl Manager {
    /// Takes over what the environment names. What it names and cannot be used is said and left out.
    pub(crate) fn open() -> Self {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|path| match connected(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(path, %error, "the service manager cannot be told how it goes");
                None
            }
        });
        let listener = ListenFd::from_env().take_tcp_listener(0).unwrap_or_else(|error| {
            tracing::warn!(%error, "the socket that was passed is no TCP socket");
            None
        });
        let own = std::env::var("WATCHDOG_PID").ok().is_none_or(|pid| pid == std::process::id().to_string());
        let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self { socket, watchdog: wanted.filter(|_| own).map(Duration::from_micros), listener }
    }

    /// The socket that was opened for API and page.
    pub(crate) fn take_listener(&mut self) -> Option<TcpListener> {
        self.listener.take()
    }

    /// Half of the time after which it takes us for dead.
    pub(crate) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2).filter(|beat| !beat.is_zero())
    }

    /// `READY=1`, `STOPPING=1`, `WATCHDOG=1`; nothing where nobody listens.
    pub(crate) fn say(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::warn!(%error, state, "the service manager was not told");
        }
    }
}

fn connected(path: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
