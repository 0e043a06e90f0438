//! Who is logged in by browser?
//!
//! In memory alone: a restart logs everybody out. A session ends when what let its holder in changes in any way.

use crate::secret::{hex, random, sha256};
use crate::{Access, Denied, Principal, Result};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;

/// A session ends so long after its last request.
pub const SESSION_IDLE: SignedDuration = SignedDuration::from_mins(30);
/// A session ends so long after it began, used or not.
pub const SESSION_ABSOLUTE: SignedDuration = SignedDuration::from_hours(12);
/// Most sessions; past it the longest unused goes.
const MAX_SESSIONS: usize = 4096;
/// Most sessions of one principal, so that nobody can push the others out.
const MAX_OF_ONE: usize = 16;

/// Sessions by the SHA-256 of their cookie, so that neither a dump of the table nor the time a look-up takes tells one.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug)]
struct Session {
    principal: Principal,
    standing: [u8; 32],
    begun: Timestamp,
    used: Timestamp,
}

impl Session {
    /// A clock set back by more than the idle limit ends it too: nothing tells how old it is.
    fn is_over(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.begun);
        let idle = now.duration_since(self.used);
        idle >= SESSION_IDLE || age >= SESSION_ABSOLUTE || idle.min(age) <= -SESSION_IDLE
    }
}

impl Sessions {
    /// Begins a session for whom [`Access::authenticate`] just let in; returns the value of its cookie (64 hex digits, 256
    /// random bits). Always a new one, so that a cookie from before the login is worth nothing.
    ///
    /// # Errors
    /// [`Denied::Unavailable`] if they are let in no more, or the system has no random numbers.
    pub fn begin(&self, access: &Access, principal: &Principal, now: Timestamp) -> Result<String, Denied> {
        let Some(standing) = access.standing(principal, now)? else {
            return Err(Denied::Unavailable("the entry changed while it logged in; log in again".to_owned()));
        };
        let cookie = random::<32>().map_err(|e| Denied::Unavailable(e.to_string()))?;
        let cookie = hex(&cookie);
        let mut table = self.lock();
        table.retain(|_, session| !session.is_over(now));
        let is_own = |session: &Session| {
            session.principal.kind == principal.kind && session.principal.name == principal.name
        };
        if table.values().filter(|session| is_own(session)).count() >= MAX_OF_ONE {
            remove_oldest(&mut table, is_own);
        }
        if table.len() >= MAX_SESSIONS {
            remove_oldest(&mut table, |_| true);
        }
        let session = Session { principal: principal.clone(), standing, begun: now, used: now };
        table.insert(sha256(cookie.as_bytes()), session);
        Ok(cookie)
    }

    /// Whose session this is, if it goes on; this is a request of it. Costs microseconds.
    pub fn find(&self, access: &Access, cookie: &str, now: Timestamp) -> Option<Principal> {
        self.session_of(access, cookie, now, true)
    }

    /// As [`find`](Self::find), where nobody asked for anything: the session ends no later for that.
    pub fn look(&self, access: &Access, cookie: &str, now: Timestamp) -> Option<Principal> {
        self.session_of(access, cookie, now, false)
    }

    fn session_of(&self, access: &Access, cookie: &str, now: Timestamp, used: bool) -> Option<Principal> {
        let key = sha256(cookie.as_bytes());
        let mut table = self.lock();
        let session = table.get_mut(&key)?;
        // While the file cannot be read nobody is let in, and nobody logged out.
        let stands = access.standing(&session.principal, now).ok()?;
        if session.is_over(now) || !stands.is_some_and(|standing| standing.ct_eq(&session.standing).into()) {
            table.remove(&key);
            return None;
        }
        if used {
            session.used = session.used.max(now);
        }
        Some(session.principal.clone())
    }

    /// Ends a session; says whose it was.
    pub fn end(&self, cookie: &str) -> Option<Principal> {
        self.lock().remove(&sha256(cookie.as_bytes())).map(|session| session.principal)
    }

    /// How many there are, those that ended unnoticed included.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_oldest(table: &mut HashMap<[u8; 32], Session>, which: impl Fn(&Session) -> bool) {
    let oldest = table.iter().filter(|(_, session)| which(session)).min_by_key(|(_, session)| session.used);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        table.remove(&key);
    }
}

#[cfg(test)]
mod tests;
