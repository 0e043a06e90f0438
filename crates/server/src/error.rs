//! Why could the server not start or go on? Faults of single requests are [`Problem`](crate::problem)s.

use crate::listen::Address;
use std::io;
use std::net::SocketAddr;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listen address can be reached from other machines.
    #[error(
        "will not listen on {listen} without TLS: it can be reached from other machines; add --tls, or listen on \
         127.0.0.1:{} or [::1]:{}",
        listen.port(), listen.port()
    )]
    NotLoopback {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// Others could do everything.
    #[error("will not serve {url} to whoever connects: without authentication only loopback is served")]
    Unguarded {
        /// Where it would be.
        url: String,
    },
    /// Something else listens on that port.
    #[error(
        "port {} is in use on {}: another casemate or another program listens there; stop it (`ss -ltnp \
         'sport = :{}'` names it) or choose another port with --listen {}:PORT",
        listen.port(), listen.ip(), listen.port(), listen.ip()
    )]
    PortInUse {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// The address could not be listened on for another reason.
    #[error(
        "cannot listen on {listen}: {source}; check that the address is this machine's and the port above 1023, or that the directory of the socket is there"
    )]
    Listen {
        /// The address asked for.
        listen: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The store could not be read at start.
    #[error("cannot read alerts and investigations at start: {0}")]
    Store(#[from] casemate_store::Error),
    /// A thread or task could not be started or ended abnormally.
    #[error("{what} failed: {source}")]
    Task {
        /// Which one.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
