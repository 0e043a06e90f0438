//! What does the file say now, and is this who they say they are?

use crate::file::{self, Contents, Stamp};
use crate::oidc::Keys;
use crate::secret::Verifications;
use crate::tokens::Verified;
use crate::{Credential, Denied, Error, Principal, Result, Throttle};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Name of the file in the data directory.
pub const FILE_NAME: &str = "access.json";
/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a change waits for another process that changes the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Who is let in, as the file says now.
#[derive(Debug)]
pub struct Access {
    path: PathBuf,
    state: RwLock<State>,
    looked: Mutex<Instant>,
    /// Held while the file is read, so that what was read earlier never takes the place of what was read later.
    reading: Mutex<()>,
    throttle: Throttle,
    verified: Mutex<Verified>,
    pub(crate) token_turn: Mutex<()>,
    pub(crate) verifications: Verifications,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    /// Why the file as it is now cannot be used; nobody is let in meanwhile.
    failed: Option<String>,
}

/// One state of the file, and of the keys it names.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) contents: Contents,
    stamp: Option<Stamp>,
    settled: bool,
    keys: Option<Result<Keys, String>>,
}

impl Access {
    /// Reads `path`, or begins with nobody let in if there is no such file; nothing is written until something changes.
    ///
    /// # Errors
    /// [`Error::Exposed`] or [`Error::Owner`] if others can read it or own it, [`Error::Damaged`], [`Error::Newer`],
    /// [`Error::Read`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let loaded = Arc::new(Loaded::read(&path)?);
        Ok(Self {
            path,
            state: RwLock::new(State { loaded, failed: None }),
            looked: Mutex::new(Instant::now()),
            reading: Mutex::default(),
            throttle: Throttle::default(),
            verified: Mutex::default(),
            token_turn: Mutex::default(),
            verifications: Verifications::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody at all can be let in.
    pub fn is_empty(&self) -> bool {
        let Contents { users, tokens, certificates, peers, oidc, .. } = &self.loaded().contents;
        users.is_empty() && tokens.is_empty() && certificates.is_empty() && peers.is_empty() && oidc.is_none()
    }

    /// Looks whether the file has changed and reads it if so; does nothing if it was looked at within half a second.
    /// [`Access::authenticate`] and [`crate::Sessions::find`] do this by themselves.
    ///
    /// While the file cannot be read nobody is let in: what it last said may have been revoked.
    ///
    /// # Errors
    /// As [`Access::open`], and [`Error::Gone`] if there was a file and there is none now.
    pub fn refresh(&self) -> Result<()> {
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.elapsed() < LOOK_EVERY {
                return Ok(());
            }
            *looked = Instant::now();
        }
        self.reload()
    }

    /// As [`Access::refresh`], at once.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub fn reload(&self) -> Result<()> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.loaded();
        let read = before.is_current(&self.path).and_then(|current| {
            if current {
                return Ok(None);
            }
            let now = Loaded::read(&self.path)?;
            if before.stamp.is_some() && now.stamp.is_none() {
                return Err(Error::Gone { path: self.path.clone() });
            }
            Ok(Some(now))
        });
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(None) => state.failed = None,
            Ok(Some(now)) => *state = State { loaded: Arc::new(now), failed: None },
            Err(e) => {
                state.failed = Some(e.to_string());
                return Err(e);
            }
        }
        drop(state);
        self.forget_stale_tokens();
        Ok(())
    }

    /// What an administrator should know: why the file or the identity provider's keys cannot be used.
    pub fn problems(&self) -> Vec<String> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let keys = state.loaded.keys.as_ref().and_then(|keys| keys.as_ref().err());
        state.failed.iter().chain(keys).cloned().collect()
    }

    /// How many hashes were verified since the start, each some 20 ms and 19 MiB; for a metric.
    pub fn verifications(&self) -> u64 {
        self.verifications.count()
    }

    /// Who this is. `source` is the address of the other end, or a word for the Unix socket.
    ///
    /// Failures are slowed per address and account, except for tokens that were let in before, which nobody else's
    /// failures can keep out. Users that do not exist take as long as those that do.
    ///
    /// # Errors
    /// Why not, for the record; tell the client [`Denied::answer`] alone.
    pub fn authenticate(
        &self,
        credential: Credential<'_>,
        source: &str,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        let loaded = self.current()?;
        match credential {
            Credential::Token(text) => self.by_token(&loaded, text, source, now),
            Credential::Password { user, password } => self.by_password(&loaded, user, password, source, now),
            Credential::Certificate(der) => loaded.by_certificate(der),
            Credential::Peer { uid, gid, groups } => loaded.by_peer(uid, gid, groups),
        }
    }

    /// SHA-256 over the entry that let `principal` in; none once it lets them in no more. It changes with the password,
    /// the role and every other right.
    pub(crate) fn standing(&self, principal: &Principal, now: Timestamp) -> Result<Option<[u8; 32]>, Denied> {
        let loaded = self.current()?;
        let is_over = principal.until.is_some_and(|until| until <= now);
        Ok(if is_over { None } else { loaded.standing(principal) })
    }

    /// Runs `look`, which verifies a hash, unless there were too many failures.
    pub(crate) fn throttled<T>(
        &self,
        source: &str,
        account: Option<&str>,
        now: Timestamp,
        look: impl FnOnce() -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        self.throttle
            .attempt(source, account, now)
            .map_err(|retry_after| Denied::Throttled { retry_after })?;
        let found = look();
        if found.is_ok() {
            self.throttle.succeeded(source, account);
        }
        found
    }

    /// What the file said when it was last read.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).loaded)
    }

    /// What the file says now.
    fn current(&self) -> Result<Arc<Loaded>, Denied> {
        if let Err(e) = self.refresh() {
            return Err(Denied::Unavailable(e.to_string()));
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &state.failed {
            Some(why) => Err(Denied::Unavailable(why.clone())),
            None => Ok(Arc::clone(&state.loaded)),
        }
    }

    /// Changes the file: locked against other processes, read anew, changed, checked, written, in use.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        let lock_path = self.path.with_extension("lock");
        let lock = casemate_disk::open_private(&lock_path)?;
        wait_for(&lock, &lock_path, LOCK_WAIT)?;
        let mut contents = match file::load(&self.path)? {
            Some((contents, _)) => contents,
            None if self.loaded().stamp.is_some() => return Err(Error::Gone { path: self.path.clone() }),
            None => Contents::default(),
        };
        let changed = change(&mut contents)?;
        contents.sort();
        contents.check()?;
        file::store(&self.path, &contents)?;
        drop(lock);
        self.reload()?;
        Ok(changed)
    }

    pub(crate) fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lock, or says that another process has it for too long.
fn wait_for(lock: &fs_err::File, path: &Path, longest: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        match lock.file().try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < longest => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::Busy { path: path.to_owned(), seconds: longest.as_secs() });
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(Error::Read(e)),
        }
    }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self> {
        let Some((contents, stamp)) = file::load(path)? else { return Ok(Self::default()) };
        let keys = contents
            .oidc
            .as_ref()
            .map(|oidc| Keys::load(&keys_path(path, &oidc.keys)).map_err(|e| e.to_string()));
        Ok(Self { contents, stamp: Some(stamp), settled: stamp.is_settled(), keys })
    }

    /// Whether this is still what the files say.
    fn is_current(&self, path: &Path) -> Result<bool> {
        if Stamp::at(path)? != self.stamp || (self.stamp.is_some() && !self.settled) {
            return Ok(false);
        }
        let Some(oidc) = &self.contents.oidc else { return Ok(true) };
        let now = Stamp::at(&keys_path(path, &oidc.keys))?;
        Ok(matches!(&self.keys, Some(Ok(keys)) if now == keys.stamp))
    }

    /// Who an identity provider's token says it is.
    pub(crate) fn by_oidc(&self, token: &str, now: Timestamp) -> Result<Principal, Denied> {
        match (&self.contents.oidc, &self.keys) {
            (Some(oidc), Some(Ok(keys))) => oidc.principal(keys, token, now).map_err(Denied::Oidc),
            (Some(_), Some(Err(why))) => Err(Denied::Unavailable(why.clone())),
            _ => Err(Denied::Token(crate::TokenDenied::Malformed)),
        }
    }
}

/// A relative path counts from the access file's directory.
pub(crate) fn keys_path(access: &Path, keys: &Path) -> PathBuf {
    access.parent().map_or_else(|| keys.to_owned(), |dir| dir.join(keys))
}

#[cfg(test)]
mod tests;
