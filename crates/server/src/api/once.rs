//! Has this very request been taken in already? Asked where the sender names it with `Idempotency-Key`.
//!
//! A sender that did not hear an answer cannot know whether its records were stored, and sends them again. With
//! a key of its own choice for each request, the same for each try, they are stored once: the key is committed
//! in the same append as the records. The body counts too, so a key used for something else loses nothing.
//! Keys are kept for at least [`KEPT_DAYS`] days.

use crate::hub::lock;
use crate::problem::{Problem, Result};
use crate::state::App;
use axum::http::HeaderMap;
use casemate_event::SourceProgress;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use sha2::{Digest, Sha256};

const HEADER: &str = "idempotency-key";
const MAX_KEY_BYTES: usize = 255;
/// Whole days for which a key is remembered.
pub(crate) const KEPT_DAYS: i32 = 7;

/// The key that the sender gave.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "the header Idempotency-Key is to be 1 to {MAX_KEY_BYTES} printable ASCII characters"
        ))),
    }
}

/// One request while it is taken in; nobody else takes it in meanwhile.
pub(crate) struct Once<'a> {
    app: &'a App,
    /// Under which its progress is stored.
    pub(crate) key: String,
    /// What of it is stored already.
    pub(crate) known: Option<SourceProgress>,
}

impl<'a> Once<'a> {
    /// Looks up the request that `key` and `body` make.
    pub(crate) fn begin(app: &'a App, key: &str, body: &[u8]) -> Result<Self> {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let hash = hash(key, body);
        if !lock(&app.taking).keys.insert(hash.clone()) {
            let detail = "a request with this Idempotency-Key is being taken in; send it again to hear of it";
            return Err(Problem::busy(detail, 1));
        }
        // From here on the drop of this gives the place back.
        let mut once = Self { app, key: name(today, &hash), known: None };
        let store = app.pipeline.store();
        for days in 0..=KEPT_DAYS {
            let day = today.saturating_sub(days.days());
            if let Some(known) = store.source_progress(&name(day, &hash))? {
                (once.key, once.known) = (name(day, &hash), Some(known));
                break;
            }
        }
        let forgotten = today.saturating_sub((KEPT_DAYS + 1).days());
        if lock(&app.taking).forgotten.replace(forgotten) != Some(forgotten) {
            store.forget_progress(PREFIX..name(forgotten, "").as_str())?;
        }
        Ok(once)
    }

    /// Whether all of it is stored.
    pub(crate) fn is_done(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.complete)
    }
}

impl Drop for Once<'_> {
    fn drop(&mut self) {
        if let Some((_, hash)) = self.key.rsplit_once(':') {
            lock(&self.app.taking).keys.remove(hash);
        }
    }
}

/// Requests that are being taken in.
#[derive(Default)]
pub(crate) struct Taking {
    keys: std::collections::HashSet<String>,
    /// Keys before this day have been forgotten.
    forgotten: Option<jiff::civil::Date>,
}

const PREFIX: &str = "key:";

fn name(day: jiff::civil::Date, hash: &str) -> String {
    format!("{PREFIX}{day}:{hash}")
}

fn hash(key: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
