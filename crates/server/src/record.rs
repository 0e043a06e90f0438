//! How often was a rule right at this site? The cheap first guess at an alert, before anything is read.
//!
//! What people decided counts both ways. What an investigation concluded counts only where it raises: a model
//! makes no alert wait longer.

use casemate_event::{Alert, AlertOrigin};
use std::collections::HashMap;

/// Attacks and alerts of each origin.
#[derive(Debug, Default)]
pub(crate) struct Record {
    numbers: HashMap<String, u32>,
    /// Attacks and all, by the number of the origin.
    counts: Vec<(u32, u32)>,
}

impl Record {
    /// The number that an alert's origin goes by here.
    pub(crate) fn origin(&mut self, alert: &Alert) -> u32 {
        let next = self.counts.len() as u32;
        let number = *self.numbers.entry(origin(alert)).or_insert(next);
        if number == next {
            self.counts.push((0, 0));
        }
        number
    }

    /// Counts an alert that was an attack or not, and no longer what was counted of it before.
    pub(crate) fn count(&mut self, origin: u32, before: Option<bool>, now: Option<bool>) {
        let Some((attacks, all)) = self.counts.get_mut(origin as usize) else { return };
        if let Some(attack) = before {
            *attacks = attacks.saturating_sub(u32::from(attack));
            *all = all.saturating_sub(1);
        }
        if let Some(attack) = now {
            *attacks += u32::from(attack);
            *all += 1;
        }
    }

    /// Share of attacks among the alerts of this origin, drawn towards one half where there are few.
    pub(crate) fn probability(&self, origin: u32) -> f64 {
        let (attacks, all) = self.counts.get(origin as usize).copied().unwrap_or_default();
        (f64::from(attacks) + 1.0) / (f64::from(all) + 2.0)
    }

    /// The same for an alert that may be of an origin never seen.
    pub(crate) fn guess(&self, alert: &Alert) -> f64 {
        let number = self.numbers.get(&origin(alert)).copied().unwrap_or(u32::MAX);
        self.probability(number)
    }
}

fn origin(alert: &Alert) -> String {
    match &alert.origin {
        AlertOrigin::Rule(id) => format!("rule:{id}"),
        AlertOrigin::Product(name) => format!("product:{name}:{}", alert.title),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_follow_what_was_counted() {
        let mut record = Record::default();
        record.counts.push((0, 0));
        assert!((record.probability(0) - 0.5).abs() < 1e-9 && (record.probability(9) - 0.5).abs() < 1e-9);
        record.count(0, None, Some(true));
        record.count(0, None, Some(true));
        assert!((record.probability(0) - 0.75).abs() < 1e-9);
        record.count(0, Some(true), Some(false));
        assert!((record.probability(0) - 0.5).abs() < 1e-9);
        record.count(0, Some(false), None);
        assert_eq!(record.counts[0], (1, 1));
    }
}
