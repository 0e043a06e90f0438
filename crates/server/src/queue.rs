//! Which alert is investigated next? What people asked for, in the order of asking; then the most urgent.
//!
//! Each alert has an allowance, the time it should wait at most: by its severity, halved on a host that the site
//! calls critical, halved again where this rule has always been right here, and doubled where people have always
//! closed it as benign. Urgency is the share of the allowance that has passed, and it goes on growing: a critical
//! alert overtakes within seconds, and nothing starves, because whatever waits is some day the most urgent (an
//! accumulating priority queue, Kleinrock 1964). An alert is overdue once the whole allowance has passed.
//!
//! The queue lives in memory and is bounded. What waits is what the store holds without an investigation, so a
//! restart, or an alert that had to make room for a more urgent one, loses nothing: both are read again.

use casemate_event::{AlertId, Severity};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Investigations that people can wait for.
pub(crate) const ASKED_CAPACITY: usize = 64;
/// Alerts held in memory to be investigated by themselves. If there are more, the more urgent half stays.
pub(crate) const BACKLOG_CAPACITY: usize = 20_000;
/// Counted as waited from the start, so that a new critical alert is not behind everything that is old.
const HEAD_START: SignedDuration = SignedDuration::from_mins(5);

/// An alert that waits to be investigated by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Waiting {
    pub(crate) alert: AlertId,
    pub(crate) severity: Severity,
    /// Whether it is about a host that the site calls critical.
    pub(crate) critical_asset: bool,
    /// A cheap first guess at the probability of an attack; 0.5 where nothing is known.
    pub(crate) probability: f64,
    pub(crate) raised: Timestamp,
}

impl Waiting {
    /// How long it should wait at most.
    pub(crate) fn allowance(&self) -> SignedDuration {
        let minutes = match self.severity {
            Severity::Critical => 15.0,
            Severity::High => 60.0,
            Severity::Medium => 4.0 * 60.0,
            Severity::Low => 24.0 * 60.0,
            Severity::Informational => 72.0 * 60.0,
        };
        let asset = if self.critical_asset { 0.5 } else { 1.0 };
        let probability = self.probability.clamp(0.0, 1.0);
        SignedDuration::from_secs_f64(minutes * 60.0 * asset * (1.0 - 2.0 * probability).exp2())
    }

    /// By when it should be begun.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.raised.checked_add(self.allowance()).unwrap_or(Timestamp::MAX)
    }

    /// Share of the allowance that has passed, more than one when overdue.
    pub(crate) fn urgency(&self, now: Timestamp) -> f64 {
        let waited = now.duration_since(self.raised).max(SignedDuration::ZERO) + HEAD_START;
        waited.as_secs_f64() / self.allowance().as_secs_f64()
    }
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    asked: VecDeque<AlertId>,
    backlog: BTreeMap<AlertId, Waiting>,
    /// Whether the store is to be looked through again once there is room: alerts had to make room, or were
    /// opened again.
    pub(crate) read_again: bool,
}

/// The queue takes no more.
#[derive(Debug)]
pub(crate) struct Full;

impl Lines {
    /// Takes in what a person asked for.
    pub(crate) fn ask(&mut self, alert: AlertId) -> Result<(), Full> {
        if self.asked.len() >= ASKED_CAPACITY {
            return Err(Full);
        }
        self.backlog.remove(&alert);
        self.asked.push_back(alert);
        Ok(())
    }

    /// Takes in an alert that is to be investigated by itself; the less urgent half makes room if there is none.
    pub(crate) fn add(&mut self, waiting: Waiting, now: Timestamp) {
        if self.asked.contains(&waiting.alert) {
            return;
        }
        self.backlog.insert(waiting.alert, waiting);
        if self.backlog.len() > BACKLOG_CAPACITY {
            let urgent = self.by_urgency(now).into_iter().take(BACKLOG_CAPACITY / 2);
            self.backlog = urgent.map(|waiting| (waiting.alert, waiting)).collect();
            self.read_again = true;
        }
    }

    /// Takes out what is next, and whether a person asked for it.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Next> {
        if let Some(alert) = self.asked.pop_front() {
            return Some(Next { alert, waiting: None });
        }
        let most = self.backlog.values().max_by(|a, b| compare(a, b, now))?.alert;
        let waiting = self.backlog.remove(&most);
        Some(Next { alert: most, waiting })
    }

    pub(crate) fn forget(&mut self, alert: AlertId) {
        self.backlog.remove(&alert);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.backlog.len()
    }

    pub(crate) fn overdue(&self, now: Timestamp) -> usize {
        self.backlog.values().filter(|waiting| waiting.deadline() < now).count()
    }

    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.backlog.values().map(|waiting| waiting.raised).min()
    }

    /// The backlog, the most urgent first.
    pub(crate) fn by_urgency(&self, now: Timestamp) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = self.backlog.values().copied().collect();
        waiting.sort_by(|a, b| compare(b, a, now));
        waiting
    }
}

/// An alert that is next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Next {
    pub(crate) alert: AlertId,
    /// How it waited; `None` if a person asked for it.
    pub(crate) waiting: Option<Waiting>,
}

/// By urgency, and of equals the older first.
fn compare(a: &Waiting, b: &Waiting, now: Timestamp) -> std::cmp::Ordering {
    a.urgency(now).total_cmp(&b.urgency(now)).then(b.alert.cmp(&a.alert))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Severity::{Critical, High, Low, Medium};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + minute * 60).unwrap()
    }

    fn waiting(id: u64, severity: Severity, minute: i64) -> Waiting {
        let (alert, raised) = (AlertId(id), at(minute));
        Waiting { alert, severity, critical_asset: false, probability: 0.5, raised }
    }

    /// Adds all, and checks in which order they are taken at one time.
    #[track_caller]
    fn check(all: &[Waiting], minute: i64, expected: &[u64]) {
        let mut lines = Lines::default();
        for one in all {
            lines.add(*one, at(minute));
        }
        let order: Vec<u64> =
            std::iter::from_fn(|| lines.take(at(minute))).map(|next| next.alert.0).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn the_most_urgent_is_next() {
        check(
            &[waiting(1, Low, 0), waiting(2, High, 0), waiting(3, Critical, 0), waiting(4, High, 0)],
            0,
            &[3, 2, 4, 1],
        );
        // A new critical alert is before a medium one of an hour.
        check(&[waiting(1, Medium, 0), waiting(2, Critical, 60)], 60, &[2, 1]);
        let critical_asset = Waiting { critical_asset: true, ..waiting(2, High, 0) };
        let always_right = Waiting { probability: 0.9, ..waiting(3, High, 0) };
        let never_right = Waiting { probability: 0.1, ..waiting(4, High, 0) };
        check(&[never_right, waiting(1, High, 0), always_right, critical_asset], 0, &[2, 3, 1, 4]);
    }

    /// One critical alert comes with every one that is taken: the low one still gets its turn.
    #[test]
    fn nothing_starves() {
        let mut lines = Lines::default();
        lines.add(waiting(1, Low, 0), at(0));
        let turn = (1..10_000).find(|minute| {
            lines.add(waiting(1 + *minute as u64, Critical, *minute), at(*minute));
            lines.take(at(*minute)).unwrap().alert == AlertId(1)
        });
        // A fresh critical alert has a third of its allowance at once: eight hours of a low one.
        assert_eq!(turn, Some(475));
    }

    #[test]
    fn what_people_ask_for_comes_first_and_is_bounded() {
        let mut lines = Lines::default();
        lines.add(waiting(1, Critical, 0), at(0));
        lines.add(waiting(500, Low, 0), at(0));
        for id in 500..564 {
            lines.ask(AlertId(id)).unwrap();
        }
        assert!(lines.ask(AlertId(564)).is_err());
        assert_eq!((lines.asked(), lines.backlog()), (64, 1));
        assert_eq!(lines.take(at(0)), Some(Next { alert: AlertId(500), waiting: None }));
    }

    #[test]
    fn the_less_urgent_make_room() {
        let mut lines = Lines::default();
        for id in 1..=BACKLOG_CAPACITY as u64 {
            lines.add(waiting(id, if id == 7 { Low } else { Medium }, 0), at(0));
        }
        assert!(!lines.read_again);
        lines.add(waiting(50_000, Critical, 0), at(0));
        assert!(lines.read_again && lines.backlog() == BACKLOG_CAPACITY / 2);
        assert!(lines.by_urgency(at(0)).iter().all(|waiting| waiting.alert != AlertId(7)));
        assert_eq!(lines.take(at(0)).unwrap().alert, AlertId(50_000));
    }

    #[test]
    fn deadlines_are_when_the_allowance_ends() {
        let one = waiting(1, High, 0);
        assert_eq!(one.deadline(), at(60));
        let mut lines = Lines::default();
        lines.add(one, at(0));
        assert_eq!((lines.overdue(at(60)), lines.overdue(at(61))), (0, 1));
    }
}
