//! What is shown as a proof, and why is somebody not let in?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::time::Duration;

/// Longest `Authorization` header that is looked at, in bytes.
const MAX_HEADER: usize = 24 << 10;

/// What somebody shows to prove who they are.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// A token of ours, or one that the identity provider signed: the text after `Bearer`, or what
    /// [`token_of`] found.
    Token(&'a str),
    /// A name and a password, from the login form.
    Password {
        /// Name of the user.
        user: &'a str,
        /// Password as typed.
        password: &'a str,
    },
    /// DER of the certificate that the other end of a TLS connection showed and proved to hold.
    Certificate(&'a [u8]),
    /// The process at the other end of a Unix socket, as the kernel names it.
    Peer {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its further groups.
        groups: &'a [u32],
    },
}

impl Credential<'_> {
    /// Whom it is about, for the record: a user's name, a token's id, `uid:1000`. Says nothing secret and is short
    /// and printable, whatever was sent.
    pub fn claims(&self) -> String {
        let clean = |text: &str| text.chars().filter(char::is_ascii_graphic).take(64).collect::<String>();
        match self {
            Self::Token(text) => match crate::token::id_of(text) {
                Some(id) => format!("token:{id}"),
                None => "token:?".to_owned(),
            },
            Self::Password { user, .. } => format!("user:{}", clean(user)),
            Self::Certificate(der) => {
                format!("certificate:{}", crate::secret::hex(&crate::secret::sha256(der)))
            }
            Self::Peer { uid, .. } => format!("peer:uid:{uid}"),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.claims())
    }
}

/// The token in the value of an `Authorization` header: `Bearer TOKEN`, `Splunk TOKEN` (collectors that speak to
/// Splunk's HTTP Event Collector), `ApiKey` (Elastic's shippers: the key of an id and key), or `Basic`, where it is the
/// password, or the user name with no password.
///
/// None if the header is of another kind, too long or malformed.
pub fn token_of(authorization: &str) -> Option<String> {
    if authorization.len() > MAX_HEADER {
        return None;
    }
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    let rest = rest.trim();
    let token = if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("splunk") {
        rest.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(rest).ok()?;
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        if password.is_empty() { user.to_owned() } else { password.to_owned() }
    } else if scheme.eq_ignore_ascii_case("apikey") {
        let decoded = STANDARD.decode(rest).ok()?;
        std::str::from_utf8(&decoded).ok()?.split_once(':')?.1.to_owned()
    } else {
        return None;
    };
    (!token.is_empty()).then_some(token)
}

/// Why somebody was not let in. For the log and the audit record; the client is told [`Denied::answer`] alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// No user of that name, or one that is disabled, or another password.
    #[error("{0}")]
    Password(PasswordDenied),
    /// The token is not let in.
    #[error("{0}")]
    Token(TokenDenied),
    /// No entry has the certificate's hash.
    #[error("no entry for a certificate with SHA-256 {0}")]
    Certificate(String),
    /// No entry has the user or a group of the process.
    #[error("no entry for uid {0} or its groups")]
    Peer(u32),
    /// The identity provider's token is not let in.
    #[error("identity provider's token: {0}")]
    Oidc(String),
    /// Too many failures from this address or for this account.
    #[error("too many failures; {} s to wait", retry_after.as_secs())]
    Throttled {
        /// How long nothing will be looked at.
        retry_after: Duration,
    },
    /// Who may do what cannot be told just now: nobody is let in.
    #[error("nobody is let in: {0}")]
    Unavailable(String),
}

/// What is wrong with a name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordDenied {
    /// There is no user of that name.
    #[error("no such user")]
    NoSuchUser,
    /// It is not the password.
    #[error("wrong password")]
    Wrong,
    /// The password is right, and the user disabled.
    #[error("the user is disabled")]
    Disabled,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenDenied {
    /// Not the form of a token, or mistyped.
    #[error("not a token")]
    Malformed,
    /// No such token, or a revoked one.
    #[error("unknown or revoked token")]
    Unknown,
    /// The id exists, with another secret.
    #[error("wrong secret for this token id")]
    Wrong,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// What the client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 401, for every reason that has to do with who asked.
    Unauthenticated,
    /// 429 with `Retry-After`.
    Throttled {
        /// How long nothing will be looked at.
        retry_after: Duration,
    },
    /// 503.
    Unavailable,
}

impl Denied {
    /// What the client may know.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Throttled { retry_after } => Answer::Throttled { retry_after: *retry_after },
            Self::Unavailable(_) => Answer::Unavailable,
            Self::Password(_) | Self::Token(_) | Self::Certificate(_) | Self::Peer(_) | Self::Oidc(_) => {
                Answer::Unauthenticated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_in_headers() {
        fn check(header: &str, expected: Option<&str>) {
            assert_eq!(token_of(header).as_deref(), expected, "{header}");
        }
        check("Bearer abc", Some("abc"));
        check("bearer   abc ", Some("abc"));
        check("Splunk abc", Some("abc"));
        check(&format!("Basic {}", STANDARD.encode("splunk:abc")), Some("abc"));
        check(&format!("Basic {}", STANDARD.encode("abc:")), Some("abc"));
        check(&format!("ApiKey {}", STANDARD.encode("id:abc")), Some("abc"));
        check(&format!("ApiKey {}", STANDARD.encode("abc")), None);
        check(&format!("Basic {}", STANDARD.encode("abc")), None);
        check("Basic !!!", None);
        check("Digest abc", None);
        check("Bearer ", None);
        check("abc", None);
        check(&format!("Bearer {}", "a".repeat(MAX_HEADER)), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let (id, token) = crate::token::make().unwrap();
        let shown = format!("{:?}", Credential::Token(&token));
        assert_eq!(shown, format!("Credential(token:{id})"));
        let shown = format!("{:?}", Credential::Password { user: "ann\n\u{1b}[31m", password: "hidden" });
        assert_eq!(shown, "Credential(user:ann[31m)");
        assert_eq!(format!("{:?}", Credential::Token("hidden")), "Credential(token:?)");
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "(Bearer|Basic|Splunk|)[ ]?.{0,100}") {
            let token = token_of(&header);
            prop_assert!(token.is_none_or(|token| !token.is_empty()));
        }
    }
}
