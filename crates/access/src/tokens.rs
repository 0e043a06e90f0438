//! Tokens that this program makes, for scripts, sensors and the first administrator.

use crate::access::{Access, Loaded};
use crate::file::{Contents, TokenEntry, check_name};
use crate::secret::{Phc, sha256};
use crate::token::{id_of, is_ours, make};
use crate::{Denied, Error, Kind, Principal, Result, Role, Scopes, TokenDenied};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;
use subtle::ConstantTimeEq;

/// How much later than the file says a token must have been used for the file to be written.
const WRITE_USE_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A token, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its public part, 12 hex digits.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub scopes: Scopes,
    /// Whether its holder sees personal data masked.
    pub redacted: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it was last let in, as far as is known; written to the file about once an hour.
    pub last_used: Option<Timestamp>,
}

impl From<&TokenEntry> for Token {
    fn from(entry: &TokenEntry) -> Self {
        Self {
            id: entry.id.clone(),
            name: entry.name.clone(),
            scopes: entry.scopes,
            redacted: entry.redacted,
            created: entry.created,
            expires: entry.expires,
            last_used: entry.last_used,
        }
    }
}

/// A token that was just made; the secret is nowhere else.
#[derive(Clone, Serialize)]
pub struct NewToken {
    /// What is kept of it.
    pub token: Token,
    /// The whole token, to be shown once.
    pub secret: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Tokens that were let in since the start, by id.
#[derive(Debug, Default)]
pub(crate) struct Verified(HashMap<String, Seen>);

struct Seen {
    /// The entry's hash at the time: another one makes this worthless.
    hash: Phc,
    /// SHA-256 of the whole token.
    digest: [u8; 32],
    last_used: Timestamp,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("last_used", &self.last_used).finish_non_exhaustive()
    }
}

impl Access {
    /// Makes a token. Scopes may be a role's ([`Role::scopes`]); `redacted` masks personal data.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Exists`], [`Error::TooMany`], [`Error::Entry`] if it could do nothing or ended in
    /// the past, or the file's.
    pub fn create_token(
        &self,
        name: &str,
        scopes: Scopes,
        expires: Option<Timestamp>,
        redacted: bool,
    ) -> Result<NewToken> {
        let (entry, secret) = new_entry(name, scopes, expires, redacted)?;
        self.change(|contents| {
            let token = Token::from(&entry);
            contents.tokens.push(entry);
            Ok(NewToken { token, secret })
        })
    }

    /// On the first start with no user and no token, makes a token with all rights and returns it to be printed; never
    /// again on the same file.
    ///
    /// # Errors
    /// The file's.
    pub fn bootstrap(&self) -> Result<Option<NewToken>> {
        if self.loaded().contents.started.is_some() {
            return Ok(None);
        }
        let (entry, secret) = new_entry("first-admin", Role::Admin.scopes(), None, false)?;
        self.change(|contents| {
            let first = contents.started.is_none() && contents.users.is_empty() && contents.tokens.is_empty();
            contents.started.get_or_insert(entry.created);
            if !first {
                return Ok(None);
            }
            let token = Token::from(&entry);
            contents.tokens.push(entry);
            Ok(Some(NewToken { token, secret }))
        })
    }

    /// Revokes the token of this id or name, at once here and within a second in other processes.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn revoke_token(&self, id_or_name: &str) -> Result<Token> {
        self.change(|contents| {
            let by_id = contents.tokens.iter().position(|token| token.id == id_or_name);
            let index = by_id.or_else(|| contents.tokens.iter().position(|token| token.name == id_or_name));
            let Some(index) = index else {
                return Err(Error::Unknown { what: "token", name: id_or_name.chars().take(80).collect() });
            };
            Ok(Token::from(&contents.tokens.remove(index)))
        })
    }

    /// All tokens, by id.
    pub fn tokens(&self) -> Vec<Token> {
        let loaded = self.loaded();
        let verified = self.verified();
        let with_use = |entry: &TokenEntry| {
            let seen = verified.0.get(&entry.id).map(|seen| seen.last_used);
            Token { last_used: entry.last_used.max(seen), ..Token::from(entry) }
        };
        loaded.contents.tokens.iter().map(with_use).collect()
    }

    /// Writes when tokens were last used, if that is an hour more than the file says. To be called now and then, and
    /// before the end.
    ///
    /// # Errors
    /// The file's.
    pub fn write_last_used(&self) -> Result<()> {
        let is_late = |token: &Token, entry: &TokenEntry| match (entry.last_used, token.last_used) {
            (Some(written), Some(seen)) => seen.duration_since(written) >= WRITE_USE_AFTER,
            (written, seen) => written.is_none() && seen.is_some(),
        };
        let seen = self.tokens();
        let loaded = self.loaded();
        let late =
            |token: &Token| loaded.contents.token(&token.id).is_some_and(|entry| is_late(token, entry));
        if !seen.iter().any(late) {
            return Ok(());
        }
        self.change(|contents| {
            for token in seen {
                if let Some(entry) = contents.tokens.iter_mut().find(|entry| entry.id == token.id) {
                    entry.last_used = entry.last_used.max(token.last_used);
                }
            }
            Ok(())
        })
    }

    pub(crate) fn by_token(
        &self,
        loaded: &Loaded,
        text: &str,
        source: &str,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        if !is_ours(text) {
            return loaded.by_oidc(text, now);
        }
        let denied = |why| Denied::Token(why);
        let Some(id) = id_of(text) else { return Err(denied(TokenDenied::Malformed)) };
        let Some(entry) = loaded.contents.token(id) else {
            // Nothing to compare with, so this costs nothing; ids are no secret.
            return Err(denied(TokenDenied::Unknown));
        };
        if entry.expires.is_some_and(|expires| expires <= now) {
            return Err(denied(TokenDenied::Expired));
        }
        let digest = sha256(text.as_bytes());
        let seen_before = || {
            // One secret fits an id, so where it is known any other is wrong, and costs nothing.
            let same = self.is_seen(entry, &digest, now)?;
            Some(if same { Ok(entry.principal()) } else { Err(denied(TokenDenied::Wrong)) })
        };
        if let Some(answer) = seen_before() {
            return answer;
        }
        // One at a time: many requests that come with a token at once hash it once.
        let _turn = self.token_turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = seen_before() {
            return answer;
        }
        // By address alone: 256 random bits cannot be guessed, and nobody should be able to keep a sensor out.
        self.throttled(source, None, now, || {
            let fits = entry.hash.matches(text, &self.verifications);
            if !fits.map_err(|e| Denied::Unavailable(e.to_string()))? {
                return Err(denied(TokenDenied::Wrong));
            }
            let seen = Seen { hash: entry.hash.clone(), digest, last_used: now };
            self.verified().0.insert(id.to_owned(), seen);
            Ok(entry.principal())
        })
    }

    /// Whether the token with this digest was let in before for this very entry; none if no token was.
    fn is_seen(&self, entry: &TokenEntry, digest: &[u8; 32], now: Timestamp) -> Option<bool> {
        let mut verified = self.verified();
        let seen = verified.0.get_mut(&entry.id).filter(|seen| seen.hash == entry.hash)?;
        let same: bool = seen.digest.ct_eq(digest).into();
        if same {
            seen.last_used = seen.last_used.max(now);
        }
        Some(same)
    }

    /// Lets go of tokens that the file has no more.
    pub(crate) fn forget_stale_tokens(&self) {
        let loaded = self.loaded();
        self.verified()
            .0
            .retain(|id, seen| loaded.contents.token(id).is_some_and(|entry| entry.hash == seen.hash));
    }
}

fn new_entry(
    name: &str,
    scopes: Scopes,
    expires: Option<Timestamp>,
    redacted: bool,
) -> Result<(TokenEntry, String)> {
    check_name(name)?;
    let created = Timestamp::now();
    let wrong = |why: &str| Error::Entry { what: "token", name: name.to_owned(), why: why.to_owned() };
    if scopes.is_empty() {
        return Err(wrong("could do nothing; name at least one scope or a role"));
    }
    if expires.is_some_and(|expires| expires <= created) {
        return Err(wrong("would have expired already; choose a later moment"));
    }
    let (id, secret) = make()?;
    let hash = Phc::of(&secret)?;
    let name = name.to_owned();
    Ok((TokenEntry { id, name, scopes, redacted, created, expires, last_used: None, hash }, secret))
}

impl TokenEntry {
    fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            kind: Kind::Token,
            scopes: self.scopes,
            redacted: self.redacted,
            until: self.expires,
        }
    }

    /// As [`Access::standing`].
    pub(crate) fn standing(&self) -> [u8; 32] {
        self.hash.fingerprint(&format!("{} {} {:?}", self.scopes, self.redacted, self.expires))
    }
}

impl Contents {
    pub(crate) fn token(&self, id: &str) -> Option<&TokenEntry> {
        self.tokens.binary_search_by(|token| token.id.as_str().cmp(id)).ok().map(|index| &self.tokens[index])
    }
}
