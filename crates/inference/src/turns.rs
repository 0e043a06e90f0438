//! Whose turn is it to compute?
//!
//! One pass at a time uses all cores. Between passes whoever waits takes a turn: an analyst who waits at
//! the page before the backlog, but never more than a few times in a row; within each, first come first
//! served. So nobody waits longer than a few passes of others, however long their texts are.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Turns that interactive work may take in a row while the backlog waits.
const IN_A_ROW: u32 = 4;
/// How often a waiting thread looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// How urgent a session's work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// A person waits for it.
    Interactive,
    /// The alert backlog.
    #[default]
    Backlog,
}

/// Ends the work of the sessions that carry it, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Every operation under this ends with [`Error::Cancelled`] before its next pass.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a session may ask of the model: how urgently, until when, and who can end it.
#[derive(Clone, Debug, Default)]
pub struct Ticket {
    /// Before whom its passes come.
    pub priority: Priority,
    /// When it ends with [`Error::Deadline`].
    pub deadline: Option<Instant>,
    /// Ends it with [`Error::Cancelled`].
    pub cancel: Cancel,
}

#[derive(Default)]
struct Line {
    /// Whether a pass runs.
    busy: bool,
    /// Waiting tickets' numbers, interactive and backlog.
    waiting: [VecDeque<u64>; 2],
    next: u64,
    /// Turns of interactive work since the backlog last had one.
    in_a_row: u32,
}

/// A value that is used by turns.
pub(crate) struct Turns<T> {
    line: Mutex<Line>,
    changed: Condvar,
    value: Mutex<T>,
    limit: usize,
}

impl<T> Turns<T> {
    /// At most `limit` threads may wait; one more is turned away.
    pub(crate) fn new(value: T, limit: usize) -> Self {
        Self { line: Mutex::default(), changed: Condvar::new(), value: Mutex::new(value), limit }
    }

    /// Waits for a turn.
    pub(crate) fn take(&self, ticket: &Ticket) -> Result<Turn<'_, T>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.waiting.iter().map(VecDeque::len).sum::<usize>() >= self.limit {
            return Err(Error::Busy { waiting: self.limit });
        }
        let kind = ticket.priority as usize;
        let number = line.next;
        line.next += 1;
        line.waiting[kind].push_back(number);
        loop {
            let ended = if ticket.cancel.is_cancelled() {
                Some(Error::Cancelled)
            } else if ticket.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                Some(Error::Deadline)
            } else {
                None
            };
            if let Some(error) = ended {
                line.waiting[kind].retain(|waiting| *waiting != number);
                self.changed.notify_all();
                return Err(error);
            }
            if !line.busy && line.first() == Some(number) {
                line.waiting[kind].pop_front();
                line.busy = true;
                line.in_a_row = if ticket.priority == Priority::Interactive { line.in_a_row + 1 } else { 0 };
                drop(line);
                return Ok(Turn { turns: self, value: self.lock() });
            }
            line = self.changed.wait_timeout(line, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The value, out of turn: for what takes no time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whose turn is next.
    fn first(&self) -> Option<u64> {
        let [interactive, backlog] = &self.waiting;
        match (interactive.front(), backlog.front()) {
            (Some(_), Some(backlog)) if self.in_a_row >= IN_A_ROW => Some(*backlog),
            (Some(interactive), _) => Some(*interactive),
            (None, backlog) => backlog.copied(),
        }
    }
}

/// The value, until dropped.
pub(crate) struct Turn<'a, T> {
    turns: &'a Turns<T>,
    value: MutexGuard<'a, T>,
}

impl<T> std::ops::Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> std::ops::DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.turns.line.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interactive_work_goes_first_but_not_for_ever() {
        let turns = Turns::new(Vec::new(), 100);
        let of = |priority| Ticket { priority, ..Ticket::default() };
        let held = turns.take(&of(Priority::Backlog)).unwrap();
        std::thread::scope(|scope| {
            for (count, priority) in [(3, Priority::Backlog), (9, Priority::Interactive)] {
                for _ in 0..count {
                    scope.spawn({
                        let (turns, of) = (&turns, &of);
                        move || turns.take(&of(priority)).unwrap().push(priority)
                    });
                }
            }
            let waiting = || turns.line.lock().unwrap().waiting.iter().map(VecDeque::len).sum::<usize>();
            while waiting() < 12 {
                std::thread::yield_now();
            }
            drop(held);
        });
        let order = turns.lock();
        assert_eq!(order.len(), 12);
        let (i, b) = (Priority::Interactive, Priority::Backlog);
        assert_eq!(order[..], [i, i, i, i, b, i, i, i, i, b, i, b]);
    }

    #[test]
    fn full_lines_cancellation_and_deadlines_are_errors() {
        let turns = Turns::new((), 1);
        let held = turns.take(&Ticket::default()).unwrap();
        let cancel = Cancel::default();
        let waits = Ticket { cancel: cancel.clone(), ..Ticket::default() };
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| turns.take(&waits).err());
            while turns.line.lock().unwrap().waiting[1].is_empty() {
                std::thread::yield_now();
            }
            assert!(matches!(turns.take(&Ticket::default()), Err(Error::Busy { waiting: 1 })));
            cancel.cancel();
            assert!(matches!(waiter.join().unwrap(), Some(Error::Cancelled)));
        });
        let late = Ticket { deadline: Some(Instant::now()), ..Ticket::default() };
        assert!(matches!(turns.take(&late), Err(Error::Deadline)));
        drop(held);
        assert!(turns.take(&Ticket::default()).is_ok());
    }
}
