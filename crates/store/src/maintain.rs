//! What is done behind the writers' backs? Compressing chunks, and writing full logs as segments.

use crate::head::Head;
use crate::manifest::{Manifest, log_path, segment_path};
use crate::segment::Segment;
use crate::store::{Inner, Store, lock};
use crate::view::Slot;
use crate::{Error, Result};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Full logs that may wait to be written as segments; more stop the intake.
const MAX_WAITING: usize = 2;
/// A full log that could not be written (a full disk, say) is tried again after this long.
const RETRY: Duration = Duration::from_secs(2);
/// Segments that have grown too old are looked for this often.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Something to do.
pub(crate) enum Work {
    Pack(Arc<Head>),
    Seal(Arc<Head>),
    /// The segment with this number was found damaged.
    Repair(u64),
}

/// The thread that does it.
pub(crate) struct Maintenance {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pack: Option<Arc<Head>>,
    seal: VecDeque<Arc<Head>>,
    /// Why the first of `seal` could not be written, and when that was.
    failed: Option<(String, Instant)>,
    /// Damaged segments to look at.
    repair: Vec<u64>,
    /// When segments are to be merged and deleted again.
    tidy_at: Option<Instant>,
    stop: bool,
}

impl Maintenance {
    pub(crate) fn start(inner: Arc<Inner>) -> Self {
        let queue = Arc::new(Queue::default());
        let heads = inner.view().heads;
        let full = heads.split_last().map_or(&[][..], |(_, full)| full);
        {
            let mut state = lock(&queue.state);
            state.seal.extend(full.iter().cloned());
            state.tidy_at = Some(Instant::now());
        }
        let own = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || own.run(&inner));
        let thread = thread
            .inspect_err(|error| tracing::error!(%error, "cannot start the store's own thread; logs will not be written as segments"))
            .ok();
        Self { queue, thread }
    }

    pub(crate) fn send(&self, work: Work) {
        let mut state = lock(&self.queue.state);
        match work {
            Work::Pack(head) => state.pack = Some(head),
            Work::Seal(head) => state.seal.push_back(head),
            Work::Repair(number) if state.repair.contains(&number) => {}
            Work::Repair(number) => state.repair.push(number),
        }
        self.queue.changed.notify_all();
    }

    /// Waits while too many full logs are waiting themselves.
    ///
    /// # Errors
    /// [`Error::Behind`] if they cannot be written.
    pub(crate) fn wait_for_room(&self) -> Result<()> {
        let mut state = lock(&self.queue.state);
        while state.seal.len() >= MAX_WAITING {
            if self.thread.is_none() {
                return Err(Error::Behind { why: "the store's own thread could not be started".to_owned() });
            }
            if let Some((why, _)) = &state.failed {
                return Err(Error::Behind { why: why.clone() });
            }
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Ends the thread after what it is doing.
    pub(crate) fn stop(&mut self) {
        lock(&self.queue.state).stop = true;
        self.queue.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's own thread failed");
        }
    }
}

/// Tells those who wait for the thread should it fail.
struct Failing<'a>(&'a Queue);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the store's own thread failed; open the store again".to_owned();
            lock(&self.0.state).failed = Some((why, Instant::now()));
            self.0.changed.notify_all();
        }
    }
}

impl Queue {
    fn run(&self, inner: &Inner) {
        let _failing = Failing(self);
        loop {
            let due = {
                let mut state = lock(&self.state);
                loop {
                    if state.stop {
                        return;
                    }
                    let due = state.due(Instant::now());
                    if due.is_any() {
                        break due;
                    }
                    let wait = state.next_due(Instant::now());
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .map_or_else(|e| e.into_inner().0, |(state, _)| state);
                }
            };
            if let Some(head) = due.pack
                && let Err(error) = head.pack(false)
            {
                tracing::warn!(%error, "cannot compress events in memory");
            }
            for number in due.repair {
                if let Err(error) = inner.repair(number) {
                    tracing::error!(%error, "a damaged segment cannot be repaired; restore it from a backup");
                }
            }
            if due.tidy {
                match inner.tidy() {
                    Ok(false) => {}
                    // Perhaps there is more; what else is due comes first.
                    Ok(true) => lock(&self.state).tidy_at = Some(Instant::now()),
                    Err(error) => {
                        tracing::warn!(%error, "cannot put segments together or delete old ones; trying again later");
                    }
                }
            }
            let Some(head) = due.seal else { continue };
            let outcome = inner.seal(&head);
            let mut state = lock(&self.state);
            match outcome {
                Ok(()) => {
                    state.seal.pop_front();
                    state.failed = None;
                    state.tidy_at = Some(Instant::now());
                }
                Err(error) => {
                    if state.failed.is_none() {
                        tracing::warn!(%error, "cannot write a full log as a segment; trying again");
                    }
                    state.failed = Some((error.to_string(), Instant::now()));
                }
            }
            self.changed.notify_all();
            // The log was the largest thing in memory, in many small pieces.
            drop((state, head));
            casemate_disk::give_memory_back();
        }
    }
}

/// What is to be done now.
struct Due {
    pack: Option<Arc<Head>>,
    seal: Option<Arc<Head>>,
    repair: Vec<u64>,
    tidy: bool,
}

impl Due {
    fn is_any(&self) -> bool {
        self.pack.is_some() || self.seal.is_some() || !self.repair.is_empty() || self.tidy
    }
}

impl State {
    /// Takes what is due; a full log only once it is not needed any more for trying again.
    fn due(&mut self, now: Instant) -> Due {
        let may_seal = self.failed.as_ref().is_none_or(|(_, at)| now.duration_since(*at) >= RETRY);
        // Taking in goes before tidying.
        let seal = self.seal.front().filter(|_| may_seal).cloned();
        let tidy = seal.is_none() && self.tidy_at.is_some_and(|at| at <= now);
        if tidy {
            self.tidy_at = Some(now + TIDY_EVERY);
        }
        Due { pack: self.pack.take(), seal, repair: std::mem::take(&mut self.repair), tidy }
    }

    /// How long until something may be due.
    fn next_due(&self, now: Instant) -> Duration {
        let tidy = self.tidy_at.map_or(TIDY_EVERY, |at| at.saturating_duration_since(now));
        let retry = self.failed.as_ref().filter(|_| !self.seal.is_empty());
        retry.map_or(tidy, |(_, at)| tidy.min(RETRY.saturating_sub(at.elapsed())))
    }
}

impl Inner {
    /// Deletes what is not to be kept, and puts small segments together once; says whether there were any.
    pub(crate) fn tidy(&self) -> Result<bool> {
        let now = Timestamp::now();
        let mut retention = self.limits.retention;
        if retention.max_age.is_some() && !lock(&self.clock).believes(now, Instant::now()) {
            retention.max_age = None;
        }
        let deleted = self.retain(&retention, now)?;
        // On a full disk there may be room for it next time.
        if let Err(error) = self.meta.note_open(now) {
            tracing::warn!(%error, "cannot note until when the store was open");
        }
        if deleted.segments > 0 {
            tracing::info!(events = deleted.events, bytes = deleted.bytes, "old events deleted");
            self.note_deleted(&deleted)?;
        }
        let more = self.merge()?;
        self.settle_audit()?;
        Ok(more)
    }

    /// Writes a head as a segment, which takes its place, and deletes its log.
    pub(crate) fn seal(&self, head: &Arc<Head>) -> Result<()> {
        let path = segment_path(&self.dir, head.number);
        head.sync(head.end()).map_err(|source| Error::Append { source })?;
        head.seal(&path)?;
        let segment = Arc::new(Segment::open(&path, head.number)?);
        let mut manifest = self.manifest();
        let mut changed = manifest.clone();
        // Not the first attempt, perhaps.
        changed.segments.retain(|entry| entry.number != head.number);
        changed.segments.push(segment.entry.clone());
        changed.first_log = head.number + 1;
        changed.mark = changed.mark.filter(|(number, _)| *number > head.number);
        changed.write(&self.dir)?;
        *manifest = changed;
        let moving = self.moving.write().unwrap_or_else(PoisonError::into_inner);
        let stats = &head.index().stats;
        self.meta.apply(stats, segment.entry.end_id())?;
        lock(&self.sealed).extend_counters(stats);
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut segments = view.segments.to_vec();
        segments.push(Slot::Open(segment));
        view.segments = Arc::new(segments);
        view.heads =
            Arc::new(view.heads.iter().filter(|other| other.number != head.number).cloned().collect());
        drop(view);
        drop(moving);
        // Chunks of the head and of the segment are the same; nothing in the cache changes.
        fs_err::remove_file(log_path(&self.dir, head.number))
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(|source| Error::Directory { path: self.dir.clone(), source })
    }
}

impl Store {
    /// Leaves little to be replayed.
    pub(crate) fn close(&self) -> Result<()> {
        let inner = &self.inner;
        inner.settle_audit()?;
        let heads = inner.view().heads;
        let Some((live, full)) = heads.split_last() else { return Ok(()) };
        full.iter().try_for_each(|head| inner.seal(head))?;
        if live.events() < inner.limits.seal_on_close {
            return self.refresh();
        }
        let mut writer = inner.writer();
        let head = Head::create(&inner.dir, writer.next_number, writer.next_id, writer.next_quarantined)?;
        writer.next_number += 1;
        writer.head = Arc::new(head);
        drop(writer);
        inner.seal(live)?;
        let manifest = inner.manifest();
        Manifest { mark: None, ..manifest.clone() }.write(&inner.dir)
    }
}
