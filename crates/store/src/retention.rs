//! How long are events kept? Whole segments are deleted, the oldest first.

use crate::manifest::segment_path;
use crate::stats::Stats;
use crate::store::{Inner, Store, lock};
use crate::view::Slot;
use crate::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError};

/// Bounds on what is kept. What is not bounded is kept for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Longest time since a segment was written. Counted from then, not from the times its events state: a
    /// clock that is wrong neither keeps nor deletes evidence.
    pub max_age: Option<SignedDuration>,
    /// Most bytes of segments.
    pub max_bytes: Option<u64>,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Deleted {
    /// Segments.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Store {
    /// Deletes segments that `retention` does not keep. Events still in the log are never touched; templates
    /// and alerts stay, and an alert's events are then no longer to be found.
    ///
    /// # Errors
    /// The system's refusal; what was deleted until then is deleted.
    pub fn retain(&self, retention: &Retention, now: Timestamp) -> Result<Deleted> {
        self.inner.retain(retention, now)
    }
}

impl Inner {
    /// Counters of all segments anew, after some were deleted.
    fn recount(&self) -> Result<()> {
        let mut sealed = Stats::default();
        for segment in self.view().open_segments() {
            sealed.extend_counters(&segment.counters()?);
        }
        *lock(&self.sealed) = sealed;
        Ok(())
    }

    /// As [`Store::retain`].
    pub(crate) fn retain(&self, retention: &Retention, now: Timestamp) -> Result<Deleted> {
        let mut manifest = self.manifest();
        let mut total: u64 = manifest.segments.iter().map(|entry| entry.bytes).sum();
        let oldest = retention.max_age.map(|age| now.as_second().saturating_sub(age.as_secs()));
        let mut expired = 0;
        for entry in &manifest.segments {
            let too_old = oldest.is_some_and(|oldest| entry.sealed_at < oldest);
            let too_many = retention.max_bytes.is_some_and(|most| total > most);
            if !too_old && !too_many {
                break;
            }
            total -= entry.bytes;
            expired += 1;
        }
        let mut changed = manifest.clone();
        let gone: Vec<_> = changed.segments.drain(..expired).collect();
        if gone.is_empty() {
            return Ok(Deleted::default());
        }
        changed.write(&self.dir)?;
        *manifest = changed;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<Slot> = view.segments.iter().skip(expired).cloned().collect();
        view.segments = Arc::new(kept);
        drop(view);
        self.recount()?;
        let mut deleted = Deleted::default();
        for entry in gone {
            let path = segment_path(&self.dir, entry.number);
            if path.exists() {
                fs_err::remove_file(&path).map_err(|source| Error::Directory { path, source })?;
            }
            deleted.segments += 1;
            deleted.events += u64::from(entry.events);
            deleted.bytes += entry.bytes;
        }
        Ok(deleted)
    }
}
