//! What changed lately? For whoever keeps a view of the alerts and does not want to read them all again.
//!
//! In memory only, the latest changes; who has missed some is told so and reads anew.

use casemate_event::AlertId;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Changes remembered.
const KEPT: usize = 16_384;

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Raised,
    /// It took in more events.
    Grown,
    /// Its investigation was stored.
    Investigated,
    /// Somebody closed it, opened it again, said something of its verdict, or gave it to somebody.
    Decided,
}

/// Something that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which alert it is about.
    pub alert: AlertId,
    /// What happened to it.
    pub what: What,
}

/// Changes since some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What to ask with next.
    pub next: u64,
    /// In order.
    pub changes: Vec<Change>,
    /// Whether there were others before these, which are not remembered any more.
    pub missed: bool,
}

/// The latest changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    /// Number of the next change.
    next: u64,
    latest: VecDeque<Change>,
}

impl Changes {
    /// Notes what was committed.
    pub(super) fn note(&self, changes: impl IntoIterator<Item = Change>) {
        let mut kept = lock(&self.kept);
        let before = kept.next;
        for change in changes {
            if kept.latest.len() == KEPT {
                kept.latest.pop_front();
            }
            kept.latest.push_back(change);
            kept.next += 1;
        }
        if kept.next > before {
            self.more.notify_all();
        }
    }

    /// What changed from change number `from` on, waiting for at most `patience` if nothing has yet.
    pub(crate) fn since(&self, from: u64, patience: Duration) -> Changed {
        let kept = lock(&self.kept);
        let waited = self.more.wait_timeout_while(kept, patience, |kept| kept.next <= from);
        let (kept, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let oldest = kept.next - kept.latest.len() as u64;
        let skip = usize::try_from(from.max(oldest) - oldest).unwrap_or(usize::MAX);
        Changed {
            next: kept.next,
            changes: kept.latest.iter().skip(skip).copied().collect(),
            missed: from < oldest,
        }
    }

    /// The number of the next change.
    pub(crate) fn now(&self) -> u64 {
        lock(&self.kept).next
    }
}

/// A panic while the lock is held leaves a list at worst one entry short: go on.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(alert: u64) -> Change {
        Change { alert: AlertId(alert), what: What::Raised }
    }

    #[test]
    fn what_changed_is_told_from_any_number_on() {
        let changes = Changes::default();
        assert_eq!(changes.since(0, Duration::ZERO), Changed::default());
        changes.note([change(1), change(2)]);
        assert_eq!(
            changes.since(1, Duration::ZERO),
            Changed { next: 2, changes: vec![change(2)], missed: false }
        );
        assert!(changes.since(2, Duration::ZERO).changes.is_empty());
    }

    #[test]
    fn who_comes_too_late_is_told_so() {
        let changes = Changes::default();
        changes.note((0..=KEPT as u64).map(change));
        let late = changes.since(0, Duration::ZERO);
        assert!(late.missed && late.changes.len() == KEPT && late.next == KEPT as u64 + 1);
        assert!(!changes.since(1, Duration::ZERO).missed);
    }

    #[test]
    fn whoever_waits_is_woken() {
        let changes = std::sync::Arc::new(Changes::default());
        let waiting = std::thread::spawn({
            let changes = std::sync::Arc::clone(&changes);
            move || changes.since(0, Duration::from_secs(60))
        });
        changes.note([change(7)]);
        assert_eq!(waiting.join().unwrap().changes, [change(7)]);
    }
}
