//! How many are let in at once, how many wait, and when is the next told to come back?

use crate::hub::lock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded line before work of one kind.
#[derive(Debug)]
pub(crate) struct Turnstile {
    permits: Arc<Semaphore>,
    at_once: usize,
    most_waiting: usize,
    waiting: AtomicUsize,
    /// Seconds that the work took, of the latest more than of those before.
    seconds: Mutex<f64>,
}

/// Nobody more may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) waiting: usize,
    /// After how many seconds it is worth asking again.
    pub(crate) seconds: u32,
}

/// Who is in, until dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    turnstile: Arc<Turnstile>,
    begun: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Counts one who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Turnstile {
    /// `seconds_each` is about how long the work takes, before any was measured.
    pub(crate) fn new(at_once: usize, most_waiting: usize, seconds_each: f64) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(at_once)),
            at_once,
            most_waiting,
            waiting: AtomicUsize::new(0),
            seconds: Mutex::new(seconds_each),
        })
    }

    /// Waits to be let in, first come first served. Who stops waiting is no longer counted.
    ///
    /// # Errors
    /// [`Full`] at once, where as many wait as may.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Inside, Full> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _counted = Waiting(&self.waiting);
                if waiting >= self.most_waiting {
                    return Err(self.full());
                }
                // It is never closed.
                Arc::clone(&self.permits).acquire_owned().await.map_err(|_| self.full())?
            }
        };
        Ok(Inside { turnstile: Arc::clone(self), begun: Instant::now(), _permit: permit })
    }

    /// What one is told who cannot wait.
    pub(crate) fn full(&self) -> Full {
        let waiting = self.waiting().min(self.most_waiting);
        let each = *lock(&self.seconds) / self.at_once as f64;
        let seconds = (each * waiting.max(1) as f64).ceil().clamp(1.0, 60.0);
        Full { waiting, seconds: seconds as u32 }
    }

    /// Who is in.
    pub(crate) fn inside(&self) -> usize {
        self.at_once.saturating_sub(self.permits.available_permits())
    }

    /// Who waits.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut seconds = lock(&self.turnstile.seconds);
        *seconds += (self.begun.elapsed().as_secs_f64() - *seconds) / 8.0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn so_many_are_in_so_many_wait_and_one_more_is_turned_away() {
        let turnstile = Turnstile::new(1, 2, 8.0);
        let inside = turnstile.enter().await.unwrap();
        let wait = || {
            tokio::spawn({
                let turnstile = Arc::clone(&turnstile);
                async move { turnstile.enter().await.map(drop) }
            })
        };
        let (first, second) = (wait(), wait());
        while turnstile.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(turnstile.enter().await.err(), Some(Full { waiting: 2, seconds: 16 }));
        second.abort();
        assert!(second.await.is_err());
        assert_eq!(turnstile.waiting(), 1);
        drop(inside);
        assert!(first.await.unwrap().is_ok());
        assert_eq!(turnstile.waiting(), 0);
    }
}
