//! How long are events kept? Whole segments are deleted, the oldest first.
//!
//! A clock that leaps ahead makes all of them old at once. So nothing is deleted by age for a day after the clock is
//! seen to be further than the time that has passed: somebody can set it right, or it was right.

use crate::manifest::segment_path;
use crate::stats::Stats;
use crate::store::{Inner, Store, lock};
use crate::view::Slot;
use crate::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// A clock that is further ahead than this has leapt, or nobody had the store open for so long.
const LEAP: SignedDuration = SignedDuration::from_hours(24);
/// How long nothing is deleted by age then.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

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

/// Compares the clock with the time that passes.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    /// What the clock said when it was last looked at, and when that was.
    said: Timestamp,
    at: Instant,
    /// Until when it is not believed.
    doubted_until: Option<Instant>,
}

impl ClockWatch {
    /// A watch over a store that was last known to be open when the clock said `said`, as of now (`at`).
    pub(crate) fn new(said: Timestamp, at: Instant) -> Self {
        Self { said, at, doubted_until: None }
    }

    /// Whether events can be deleted by what the clock says now.
    pub(crate) fn believes(&mut self, says: Timestamp, now: Instant) -> bool {
        let passed = SignedDuration::try_from(now.duration_since(self.at)).unwrap_or(SignedDuration::MAX);
        let ahead = says.duration_since(self.said).saturating_sub(passed);
        if ahead > LEAP {
            tracing::warn!(
                "the clock is {} h ahead of the time that has passed, or nothing ran for so long: nothing is deleted by age \
                 for a day; set it right if it is wrong",
                ahead.as_hours()
            );
            self.doubted_until = Some(now + PATIENCE);
        }
        (self.said, self.at) = (says, now);
        self.doubted_until.is_none_or(|until| now >= until)
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clock_that_leaps_is_not_believed_for_a_day() {
        let (said, began) = (Timestamp::from_second(1_700_000_000).unwrap(), Instant::now());
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let mut watch = ClockWatch::new(said, began);
        let mut believes =
            |clock: u64, passed: u64| watch.believes(said + hours(clock), began + hours(passed));
        // Off over night; then the clock goes with the time.
        assert!(believes(14, 0));
        assert!(believes(500, 486));
        // A year ahead, and on from there.
        assert!(!believes(500 + 8760, 487));
        assert!(!believes(500 + 8783, 510));
        assert!(believes(500 + 8784, 511));
        // Set back: nothing is old by that.
        assert!(believes(525, 512));
        assert!(!believes(525 + 8760, 513));
    }
}
