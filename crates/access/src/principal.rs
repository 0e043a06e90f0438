//! Who is asking, as the server and the audit record see them?

use crate::Scopes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A name and a password.
    User,
    /// A token that this program made.
    Token,
    /// A certificate on a TLS connection.
    Certificate,
    /// The process at the other end of a Unix socket.
    Peer,
    /// A token that the site's identity provider signed.
    Oidc,
    /// Nothing: the command line itself, or a server whose configuration asks for no proof.
    Local,
}

impl Kind {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Peer => "peer",
            Self::Oidc => "oidc",
            Self::Local => "local",
        }
    }
}

/// Somebody who showed who they are, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Name of the entry that let them in; unique within `kind`.
    pub name: String,
    /// How they showed it.
    pub kind: Kind,
    /// What they may do.
    pub scopes: Scopes,
    /// Whether they see personal data masked.
    pub redacted: bool,
    /// When what they showed ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Principal {
    /// Who acts where no proof is asked for: all rights, nothing masked.
    pub fn local(name: impl Into<String>) -> Self {
        let scopes = crate::Role::Admin.scopes();
        Self { name: name.into(), kind: Kind::Local, scopes, redacted: false, until: None }
    }
}

impl fmt::Display for Principal {
    /// `token:backup-job`, as records and logs name them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.name)
    }
}
