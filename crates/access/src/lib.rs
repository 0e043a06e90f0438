//! Who is this, and what may they do?
//!
//! One file, `access.json`, says who is let in: users with a password, tokens, certificates, users of this machine, and
//! the site's identity provider. [`Access`] reads it, changes it, and answers [`Access::authenticate`]; the command line
//! may change it while a server runs, which follows within a second. [`Sessions`] holds who is logged in by browser.
//!
//! Knows nothing of HTTP. Everything here blocks: a password costs some 20 ms and 19 MiB each time, a token the first
//! time it is seen, microseconds from then on. How many run at once is the caller's to bound; attempts are slowed per
//! address and account here ([`Throttle`]).

mod access;
mod denied;
mod entries;
mod error;
mod file;
mod oidc;
mod principal;
mod scope;
mod secret;
mod sessions;
mod throttle;
mod token;
mod tokens;
mod users;

pub use access::{Access, FILE_NAME};
pub use denied::{Answer, Credential, Denied, PasswordDenied, TokenDenied, token_of};
pub use error::{Error, Result};
pub use file::{CertificateEntry, PeerEntry, PeerId, check_name};
pub use oidc::Oidc;
pub use principal::{Kind, Principal};
pub use scope::{Role, Scope, Scopes, UnknownName};
pub use secret::MIN_PASSWORD;
pub use sessions::{SESSION_ABSOLUTE, SESSION_IDLE, Sessions};
pub use throttle::Throttle;
pub use tokens::{NewToken, Token};
pub use users::User;
