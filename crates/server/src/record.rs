//! How often was a rule right at this site? The cheap first guess at an alert, before anything is read.
//!
//! What people decided counts both ways. What an investigation concluded counts only where it raises: a model
//! makes no alert wait longer.

use crate::headline::Headlines;
use casemate_event::{Alert, AlertOrigin, Disposition};
use casemate_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Most decisions looked at.
const MOST_CLOSED: usize = 10_000;

/// Attacks and alerts of each origin.
#[derive(Debug, Default)]
pub(crate) struct Record(BTreeMap<String, (u32, u32)>);

impl Record {
    /// Reads what was decided and concluded so far.
    pub(crate) fn load(store: &Store, headlines: &Headlines) -> casemate_store::Result<Self> {
        let mut record = Self::default();
        let mut decided = BTreeSet::new();
        for closed in store.closed_alerts(MOST_CLOSED)? {
            record.note(&closed.alert, closed.closing.verdict == Disposition::Malicious);
            decided.insert(closed.alert.id);
        }
        for alert in store.alerts()?.iter().filter(|alert| !decided.contains(&alert.id)) {
            if let Some(headline) = headlines.get(alert.id) {
                record.learn(alert, &headline.verdict);
            }
        }
        Ok(record)
    }

    /// Takes in how an investigation ended.
    pub(crate) fn learn(&mut self, alert: &Alert, verdict: &str) {
        if matches!(verdict, "malicious" | "suspicious") {
            self.note(alert, true);
        }
    }

    fn note(&mut self, alert: &Alert, attack: bool) {
        let (attacks, all) = self.0.entry(origin(alert)).or_default();
        *attacks += u32::from(attack);
        *all += 1;
    }

    /// Share of attacks among the alerts of this origin, drawn towards one half where there are few.
    pub(crate) fn probability(&self, alert: &Alert) -> f64 {
        let (attacks, all) = self.0.get(&origin(alert)).copied().unwrap_or_default();
        (f64::from(attacks) + 1.0) / (f64::from(all) + 2.0)
    }
}

fn origin(alert: &Alert) -> String {
    match &alert.origin {
        AlertOrigin::Rule(id) => format!("rule:{id}"),
        AlertOrigin::Product(name) => format!("product:{name}:{}", alert.title),
    }
}
