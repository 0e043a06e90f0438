//! Do verdicts still hold here? What was said against what people decided, and how decided it is from week to week.

use crate::{Error, Investigation, Verdict};
use casemate_event::{AlertId, Disposition};
use casemate_store::Store;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most investigations looked at, the latest.
const MOST: usize = 2000;
/// Fewest closed alerts, and investigations of a week, that say anything.
const ENOUGH: usize = 20;
/// Share of closed attacks that may have been called benign.
const MISSED: f64 = 0.03;
/// How far the mean probability may lie from the share of attacks among what was closed.
const GAP: f64 = 0.25;
/// How much more of a week may be left open than of the weeks before it.
const MORE_OPEN: f64 = 0.15;

/// How verdicts fare.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Drift {
    /// Investigated alerts that people closed.
    pub closed: usize,
    /// Of these, the attacks.
    pub attacks: usize,
    /// Mean probability of an attack that was given to them.
    pub mean_probability: f64,
    /// Closed attacks that were called benign.
    pub missed: usize,
    /// Closed false alarms that were called malicious.
    pub false_alarms: usize,
    /// By the week of the alerts, oldest first.
    pub weeks: Vec<Week>,
    /// What should be looked at, and how.
    pub warnings: Vec<String>,
}

/// An investigation, as far as drift goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// When the alert's first event was.
    pub first_time: Timestamp,
    /// The verdict's name.
    pub verdict: &'static str,
    /// Of an attack.
    pub probability: f64,
    /// Share of re-runs that reach the verdict.
    pub convergence: f64,
    /// What people decided that it was.
    pub truth: Option<Disposition>,
}

/// The investigations of alerts of one week.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Week {
    /// Its Monday.
    pub from: String,
    /// Alerts investigated.
    pub investigations: usize,
    /// Share left inconclusive.
    pub abstained: f64,
    /// Mean convergence.
    pub convergence: f64,
}

impl Drift {
    /// Looks at the latest investigations of a store.
    ///
    /// # Errors
    /// [`Error::Store`] if it cannot be read.
    pub fn of(store: &Store) -> Result<Self, Error> {
        let mut closed: BTreeMap<AlertId, Disposition> = BTreeMap::new();
        for one in store.closed_alerts(MOST)? {
            closed.insert(one.alert.id, one.closing.verdict);
        }
        let mut judged = Vec::new();
        for id in store.investigations()?.into_iter().rev().take(MOST) {
            // What another version wrote and this one cannot read says nothing of this one's verdicts.
            let Some(case) = store.investigation(id)?.and_then(|json| serde_json::from_slice(&json).ok())
            else {
                continue;
            };
            let case: Investigation = case;
            judged.push(Judged {
                first_time: case.alert.first_time,
                verdict: case.verdict.name(),
                probability: case.probability,
                convergence: case.convergence,
                truth: closed.get(&id).copied(),
            });
        }
        Ok(Self::over(judged))
    }

    /// Looks at these investigations.
    pub fn over(judged: impl IntoIterator<Item = Judged>) -> Self {
        let mut drift = Self::default();
        let mut weeks: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
        for case in judged {
            if let Some(truth) = case.truth {
                drift.count(truth, &case);
            }
            weeks.entry(monday(case.first_time)).or_default().push(case);
        }
        drift.mean_probability /= drift.closed.max(1) as f64;
        drift.weeks = weeks.into_iter().map(|(from, cases)| Week::of(from, &cases)).collect();
        drift.warnings = drift.warn();
        drift
    }

    fn count(&mut self, truth: Disposition, case: &Judged) {
        self.closed += 1;
        self.mean_probability += case.probability;
        match truth {
            Disposition::Malicious => {
                self.attacks += 1;
                self.missed += usize::from(case.verdict == Verdict::Benign.name());
            }
            Disposition::Benign => {
                self.false_alarms += usize::from(case.verdict == Verdict::Malicious.name());
            }
        }
    }

    fn warn(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let refit = "correct the head by what was closed (`casemate eval --fit FILE --closed`) and try it \
                     (`casemate eval --gate FILE`)";
        if self.attacks > 0 && self.missed as f64 / self.attacks as f64 > MISSED {
            warnings.push(format!(
                "{} of {} alerts closed as attacks were called benign: look at why, then {refit}",
                self.missed, self.attacks
            ));
        }
        let share = self.attacks as f64 / self.closed.max(1) as f64;
        if self.closed >= ENOUGH && (self.mean_probability - share).abs() > GAP {
            warnings.push(format!(
                "the probabilities of {} closed alerts average {:.2}, and {share:.2} of them were attacks: {refit}",
                self.closed, self.mean_probability
            ));
        }
        if let Some((last, before)) = self.weeks.split_last() {
            let of = |weeks: &[Week]| weeks.iter().map(|week| week.investigations).sum::<usize>();
            let open: f64 = before.iter().map(|week| week.abstained * week.investigations as f64).sum();
            let usual = open / of(before).max(1) as f64;
            if of(before) >= ENOUGH && last.investigations >= ENOUGH && last.abstained > usual + MORE_OPEN {
                warnings.push(format!(
                    "{:.0} % of the alerts of the week of {} were left inconclusive, {:.0} % before it: is a source \
                     silent or new (`casemate doctor`, missing evidence in the reports)?",
                    last.abstained * 100.0,
                    last.from,
                    usual * 100.0
                ));
            }
        }
        warnings
    }
}

impl Week {
    fn of(from: String, cases: &[Judged]) -> Self {
        let n = cases.len().max(1) as f64;
        let open = cases.iter().filter(|case| case.verdict == Verdict::Inconclusive.name()).count();
        let convergence = cases.iter().map(|case| case.convergence).sum::<f64>() / n;
        Self { from, investigations: cases.len(), abstained: open as f64 / n, convergence }
    }
}

/// The Monday of a time's week in UTC, as `2024-05-13`.
fn monday(time: Timestamp) -> String {
    let day = time.to_zoned(TimeZone::UTC).date();
    let since = i32::from(day.weekday().to_monday_zero_offset());
    day.checked_sub(jiff::Span::new().days(since)).unwrap_or(day).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(from: &str, investigations: usize, abstained: f64) -> Week {
        Week { from: from.to_owned(), investigations, abstained, convergence: 1.0 }
    }

    #[test]
    fn what_people_decided_otherwise_is_said() {
        let drift = Drift { closed: 30, attacks: 3, missed: 1, mean_probability: 0.7, ..Drift::default() };
        let warnings = drift.warn();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("1 of 3 alerts closed as attacks were called benign"));
        assert!(warnings[1].contains("average 0.70, and 0.10 of them"));
        let few = Drift { closed: 5, mean_probability: 0.7, ..Drift::default() };
        assert!(few.warn().is_empty(), "five closed alerts say little");
    }

    #[test]
    fn a_week_that_is_left_open_more_is_said() {
        let weeks = |last| Drift { weeks: vec![week("a", 40, 0.1), week("b", 40, last)], ..Drift::default() };
        assert!(weeks(0.2).warn().is_empty());
        assert!(weeks(0.4).warn()[0].starts_with("40 % of the alerts of the week of b"));
    }

    #[test]
    fn weeks_begin_on_mondays() {
        let time: Timestamp = "2024-05-19T23:00:00Z".parse().unwrap();
        assert_eq!(monday(time), "2024-05-13");
    }
}
