//! Who computes which piece? A pool of threads that wake within microseconds.
//!
//! A decoder step is some two hundred short parallel regions, so workers spin for a while before they
//! sleep. Which thread takes which piece is left to chance; what a piece computes is fixed by the data's
//! shape, so results do not depend on the number of threads.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long an idle worker looks for work before it sleeps: longer than the serial stretches of a pass.
const SPIN: Duration = Duration::from_micros(200);
/// Looks between two glances at the clock.
const LOOKS: usize = 64;

/// A region's work; called once on every thread, with the thread's number.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

/// Threads that run the same closure together with the caller.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held while a region runs: regions of several callers take turns.
    region: Mutex<()>,
    /// Whether it rests when asked to.
    rests: bool,
}

struct Worker {
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

struct Shared {
    /// Counts regions; a change tells the workers that there is work.
    generation: AtomicUsize,
    /// Workers that have not finished the current region.
    running: AtomicUsize,
    /// The current region's closure, as a pair of pointers; see [`Pool::run`].
    work: Mutex<Option<Work<'static>>>,
    asleep: Vec<AtomicBool>,
    panicked: AtomicBool,
    stop: AtomicBool,
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// A pool of `threads` in all, the caller's included.
    pub(crate) fn new(threads: usize) -> Self {
        let count = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            work: Mutex::new(None),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut workers = Vec::with_capacity(count);
        for index in 0..count {
            let of_thread = Arc::clone(&shared);
            let spawned = std::thread::Builder::new()
                .name("inference".to_owned())
                .spawn(move || of_thread.serve(index));
            // With fewer threads than wanted everything is computed all the same.
            let Ok(handle) = spawned else { break };
            workers.push(Worker { thread: handle.thread().clone(), handle: Some(handle) });
        }
        Self { shared, workers, region: Mutex::new(()), rests: false }
    }

    /// It [rests](crate::rest()) between regions when asked to.
    pub(crate) fn that_rests(mut self) -> Self {
        self.rests = true;
        self
    }

    /// Number of threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` on every thread at once and returns when all are done.
    pub(crate) fn run(&self, work: Work<'_>) {
        if self.rests && !INSIDE.get() {
            crate::rest::wait();
        }
        if self.workers.is_empty() || INSIDE.get() {
            work(0);
            return;
        }
        let _region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the closure outlives its use: this function returns (or unwinds) only after every worker
        // has left the closure, which the wait on `running` below guarantees even if `work` panics here.
        let lasting = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        *self.shared.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(lasting);
        self.shared.running.store(self.workers.len(), Ordering::Relaxed);
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&self.shared.asleep) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread.unpark();
            }
        }
        INSIDE.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self.workers.len())));
        INSIDE.set(false);
        let mut looks = 0usize;
        while self.shared.running.load(Ordering::Acquire) > 0 {
            looks += 1;
            if looks.is_multiple_of(1 << 14) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
        let elsewhere = self.shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        if elsewhere {
            resume_unwind(Box::new("a computing thread failed"));
        }
    }

    /// Calls `work` once for every index below `count`, on all threads, in chunks of `chunk` indices.
    pub(crate) fn for_each(&self, count: usize, chunk: usize, work: impl Fn(usize) + Sync) {
        if count == 0 {
            return;
        }
        let chunk = chunk.max(1);
        if count <= chunk {
            (0..count).for_each(work);
            return;
        }
        let next = AtomicUsize::new(0);
        self.run(&|_| {
            loop {
                let start = next.fetch_add(chunk, Ordering::Relaxed);
                if start >= count {
                    break;
                }
                (start..count.min(start + chunk)).for_each(&work);
            }
        });
    }

    /// Calls `work(index, piece)` for every piece of `size` values (the last may be shorter).
    pub(crate) fn for_each_piece<T: Send>(
        &self,
        values: &mut [T],
        size: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let pieces: Vec<_> = values.chunks_mut(size.max(1)).map(|piece| Mutex::new(Some(piece))).collect();
        self.for_each(pieces.len(), 1, |index| {
            // Each index is handed out once, so the lock is never contended and the piece always there.
            let piece = pieces.get(index).and_then(|slot| slot.lock().ok()?.take());
            if let Some(piece) = piece {
                work(index, piece);
            }
        });
    }
}

impl Shared {
    fn serve(&self, index: usize) {
        INSIDE.set(true);
        let mut seen = 0;
        while let Some(generation) = self.wait(index, seen) {
            seen = generation;
            let work = *self.work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(work) = work
                && catch_unwind(AssertUnwindSafe(|| work(index))).is_err()
            {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }

    /// The next generation after `seen`; `None` when the pool ends.
    fn wait(&self, index: usize, seen: usize) -> Option<usize> {
        let started = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let generation = self.generation.load(Ordering::Acquire);
                if self.stop.load(Ordering::Relaxed) {
                    return None;
                }
                if generation != seen {
                    return Some(generation);
                }
                std::hint::spin_loop();
            }
            if started.elapsed() < SPIN {
                continue;
            }
            let asleep = &self.asleep[index];
            asleep.store(true, Ordering::SeqCst);
            // Looked at once more after saying so: a region begun in between would not wake this thread.
            while self.generation.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_visited_once() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads);
            for length in [0, 1, 7, 64, 10_000] {
                let mut values = vec![0usize; length];
                pool.for_each_piece(&mut values, 7, |index, piece| {
                    piece.iter_mut().for_each(|value| *value += index + 1);
                });
                assert!(values.iter().enumerate().all(|(i, value)| *value == i / 7 + 1));
            }
        }
    }

    #[test]
    fn sleepers_wake_and_panics_surface() {
        let pool = Pool::new(3);
        for _ in 0..3 {
            let count = AtomicUsize::new(0);
            pool.for_each(100, 1, |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 100);
            std::thread::park_timeout(SPIN * 10);
        }
        let failed = catch_unwind(AssertUnwindSafe(|| pool.for_each(100, 1, |i| assert!(i < 50))));
        assert!(failed.is_err());
        pool.for_each(10, 1, |_| {});
    }
}
