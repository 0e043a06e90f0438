//! How often did each rule raise an alert, and did people agree with what was said of it?

use crate::hub::lock;
use casemate_event::{AlertId, AlertOrigin, Disposition};
use casemate_store::{Result, Store};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// Alerts read from the store at once.
const READ_AT_ONCE: usize = 1000;
/// Latest alerts of a rule that are remembered by number.
const LATEST: usize = 200;

/// What each rule raised, in memory: an alert is counted once, however much it takes in later.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    /// The last alert that was counted.
    seen: Option<AlertId>,
    by_rule: BTreeMap<String, Raised>,
}

/// Alerts of one rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raised {
    pub(crate) alerts: u64,
    /// The latest of them, oldest first.
    pub(crate) latest: VecDeque<AlertId>,
}

impl Tally {
    /// Counts what was raised since the last time, then looks.
    pub(crate) fn look<T>(
        &self,
        store: &Store,
        look: impl FnOnce(&BTreeMap<String, Raised>) -> T,
    ) -> Result<T> {
        let mut counted = lock(&self.0);
        loop {
            let alerts = store.alerts_after(counted.seen.unwrap_or(AlertId(0)), READ_AT_ONCE)?;
            for alert in &alerts {
                counted.seen = Some(alert.id);
                let AlertOrigin::Rule(rule) = &alert.origin else { continue };
                let raised = counted.by_rule.entry(rule.clone()).or_default();
                raised.alerts += 1;
                raised.latest.push_back(alert.id);
                if raised.latest.len() > LATEST {
                    raised.latest.pop_front();
                }
            }
            if alerts.len() < READ_AT_ONCE {
                return Ok(look(&counted.by_rule));
            }
        }
    }
}

/// How verdicts compare with what people said when they closed the alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Agreement {
    /// The person said the same.
    pub(crate) agreed: usize,
    /// The person said the opposite.
    pub(crate) disagreed: usize,
    /// The verdict was inconclusive.
    pub(crate) undecided: usize,
}

impl Agreement {
    pub(crate) fn add(&mut self, verdict: &str, closed: Disposition) {
        match agrees(verdict, closed) {
            Some(true) => self.agreed += 1,
            Some(false) => self.disagreed += 1,
            None => self.undecided += 1,
        }
    }
}

/// Whether a verdict says what the person said; `None` where it says neither.
pub(crate) fn agrees(verdict: &str, closed: Disposition) -> Option<bool> {
    match verdict {
        "malicious" | "suspicious" => Some(closed == Disposition::Malicious),
        "benign" => Some(closed == Disposition::Benign),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inconclusive_is_neither_right_nor_wrong() {
        let mut all = Agreement::default();
        for (verdict, closed) in [
            ("malicious", Disposition::Malicious),
            ("suspicious", Disposition::Malicious),
            ("benign", Disposition::Malicious),
            ("inconclusive", Disposition::Benign),
        ] {
            all.add(verdict, closed);
        }
        assert_eq!(all, Agreement { agreed: 2, disagreed: 1, undecided: 1 });
    }
}
