//! What would these rules have matched? Over stored events, the newest first.

use super::{Outcome, Tools, Try};
use casemate_detect::{ALERT_LEVEL, Candidate, Correlator, Rule, fold_key};
use casemate_event::{AlertId, Disposition, EventId, Stored};
use casemate_pipeline::FOLD_WINDOW;
use casemate_store::Result;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Events that are looked at where nothing is said, and at most.
pub(crate) const DEFAULT_EVENTS: u64 = 200_000;
pub(crate) const MAX_EVENTS: u64 = 2_000_000;
/// How long that may take.
const TIME: Duration = Duration::from_secs(120);
const CHUNK: u64 = 1000;
/// Matches that are shown, and remembered for how they would fold into alerts.
const SAMPLES: usize = 20;
const REMEMBERED: usize = 100_000;
const LISTED: usize = 50;
const MESSAGE_CHARS: usize = 300;
/// Days whose matches are counted one by one. Events say themselves of which day they are.
const DAYS: usize = 366;

/// What has come out so far.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct RuleOutcome {
    /// Events that are to be looked at, and that were.
    pub(crate) of: u64,
    pub(crate) examined: u64,
    pub(crate) matches: u64,
    /// Matches by day of the event: of the latest days with any.
    pub(crate) days: BTreeMap<String, u64>,
    /// Matches on days before those.
    pub(crate) on_earlier_days: u64,
    /// Matches, the newest first.
    pub(crate) samples: Vec<Sample>,
    /// Alerts that the matches would fold into; none for rules below the level that raises.
    pub(crate) alerts: usize,
    /// Those of them with no event of an alert that these rules raised before.
    pub(crate) new_alerts: usize,
    /// Closed alerts that hold an event that matches.
    pub(crate) closed: Vec<Touched>,
    pub(crate) closed_malicious: usize,
    pub(crate) closed_benign: usize,
    /// Alerts that these rules raised and would no longer: none of their events match.
    pub(crate) no_longer: Vec<Touched>,
    /// Alerts of these rules that were looked at for that.
    pub(crate) raised_before: usize,
    pub(crate) seconds: f64,
    /// Whether it ended before all were looked at, and why.
    pub(crate) cut_short: Option<String>,
}

/// An event that matches.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) event: EventId,
    pub(crate) time: Timestamp,
    pub(crate) rule: String,
    pub(crate) message: String,
}

/// A past alert.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Touched {
    pub(crate) alert: AlertId,
    pub(crate) title: String,
    pub(crate) closed: Option<Disposition>,
}

/// What becomes the outcome.
struct Matching<'c> {
    candidate: &'c Candidate,
    correlator: Correlator,
    outcome: RuleOutcome,
    /// By what folds them, when matches were; and whether an alert held them already.
    folds: HashMap<String, Vec<(Timestamp, bool)>>,
    remembered: usize,
    /// Events of alerts that people closed, and of those these rules raised.
    closed: HashMap<EventId, AlertId>,
    raised: BTreeSet<EventId>,
    touched: BTreeSet<AlertId>,
}

pub(super) fn run(
    tools: &Tools,
    one: &Try,
    candidate: &Candidate,
    events: u64,
    days: Option<u32>,
) -> std::result::Result<(), String> {
    look(tools, one, candidate, events, days).map_err(|error| format!("the store cannot be read: {error}"))
}

fn look(tools: &Tools, one: &Try, candidate: &Candidate, events: u64, days: Option<u32>) -> Result<()> {
    let store = tools.store();
    let started = Instant::now();
    let decisions = store.closed_alerts(crate::knowledge::DECISIONS)?;
    let mut matching = Matching {
        candidate,
        correlator: candidate.rules.correlator(),
        outcome: RuleOutcome::default(),
        folds: HashMap::new(),
        remembered: 0,
        closed: decisions
            .iter()
            .flat_map(|decision| decision.alert.events.iter().map(|event| (*event, decision.alert.id)))
            .collect(),
        raised: BTreeSet::new(),
        touched: BTreeSet::new(),
    };
    matching.raised_before(tools, || one.is_stopped() || started.elapsed() >= TIME)?;
    let last = store.last_id().0;
    let first = last.saturating_sub(events);
    matching.outcome.of = last - first;
    let newest = store.get(EventId(last))?.map(|stored| stored.event.time);
    let since = days
        .zip(newest)
        .and_then(|(days, newest)| newest.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok());
    // Correlations count events as they came; alone each match stands for itself, the newest first.
    let in_order = !matching.correlator.is_idle();
    let chunks = (last - first).div_ceil(CHUNK);
    for number in 0..chunks {
        if one.is_stopped() || started.elapsed() >= TIME {
            let why = if one.is_stopped() { "it was stopped" } else { "its time was over" };
            matching.outcome.cut_short = Some(why.to_owned());
            break;
        }
        let (from, to) = if in_order {
            (first + number * CHUNK + 1, (first + (number + 1) * CHUNK).min(last))
        } else {
            let to = last - number * CHUNK;
            (to.saturating_sub(CHUNK).max(first) + 1, to)
        };
        let mut found = store.scan(EventId(from), (to + 1 - from) as usize)?;
        found.retain(|stored| stored.id.0 <= to);
        if found.is_empty() && !in_order {
            // What is older was deleted.
            break;
        }
        matching.outcome.examined += found.len() as u64;
        found.retain(|stored| since.is_none_or(|since| stored.event.time >= since));
        if !in_order {
            found.reverse();
        }
        found.iter().for_each(|stored| matching.take(stored));
        if number % 20 == 19 {
            let (done, of) = (matching.outcome.examined, matching.outcome.of);
            one.progress(done, of, &format!("{done} of {of} events, {} matches", matching.outcome.matches));
            matching.tell(one, started);
        }
    }
    matching.fold();
    matching.touched(&decisions);
    matching.tell(one, started);
    Ok(())
}

impl RuleOutcome {
    /// Counts a match on its day.
    fn count_on(&mut self, time: Timestamp) {
        *self.days.entry(time.strftime("%Y-%m-%d").to_string()).or_default() += 1;
        if self.days.len() > DAYS
            && let Some((_, matches)) = self.days.pop_first()
        {
            self.on_earlier_days += matches;
        }
    }
}

impl Matching<'_> {
    /// Reads the alerts that these rules raised, and which of them they would not raise any more.
    fn raised_before(&mut self, tools: &Tools, is_over: impl Fn() -> bool) -> Result<()> {
        let store = tools.store();
        for id in &self.candidate.own {
            let latest = tools.tally.look(store, |all| all.get(id).map(|raised| raised.latest.clone()))?;
            for alert in latest.into_iter().flatten().rev() {
                if is_over() {
                    return Ok(());
                }
                let Some(alert) = store.alert(alert)? else { continue };
                self.outcome.raised_before += 1;
                self.raised.extend(alert.events.iter().copied());
                let mut still = !self.correlator.is_idle();
                for event in &alert.events {
                    let Some(stored) = store.get(*event)? else { continue };
                    still = still || self.own_matches(&stored).next().is_some();
                }
                if !still && self.outcome.no_longer.len() < LISTED {
                    let closed = store.closing(alert.id)?.map(|closing| closing.verdict);
                    self.outcome.no_longer.push(Touched { alert: alert.id, title: alert.title, closed });
                }
            }
        }
        Ok(())
    }

    fn own_matches<'s>(&'s self, stored: &Stored) -> impl Iterator<Item = &'s Rule> {
        let found = self.candidate.rules.matches(&stored.event).into_iter();
        found.filter(|rule| self.candidate.own.contains(&rule.id))
    }

    fn take(&mut self, stored: &Stored) {
        let candidate = self.candidate;
        let matched = candidate.rules.matches(&stored.event);
        let mut keys: Vec<(&Rule, String)> = matched
            .iter()
            .filter(|rule| candidate.own.contains(&rule.id))
            .map(|rule| (*rule, fold_key(rule, &stored.event)))
            .collect();
        for correlated in self.correlator.observe(&candidate.rules, stored, &matched) {
            if candidate.own.contains(&correlated.rule.id) {
                keys.push((correlated.rule, casemate_detect::correlation_fold_key(&correlated)));
            }
        }
        for (rule, key) in keys {
            self.outcome.matches += 1;
            self.outcome.count_on(stored.event.time);
            if self.outcome.samples.len() < SAMPLES {
                self.outcome.samples.push(Sample {
                    event: stored.id,
                    time: stored.event.time,
                    rule: rule.title.clone(),
                    message: stored.event.message.chars().take(MESSAGE_CHARS).collect(),
                });
            }
            if let Some(alert) = self.closed.get(&stored.id) {
                self.touched.insert(*alert);
            }
            if rule.raises && rule.severity >= ALERT_LEVEL && self.remembered < REMEMBERED {
                self.remembered += 1;
                let known = self.raised.contains(&stored.id);
                self.folds.entry(key).or_default().push((stored.event.time, known));
            }
        }
    }

    /// Counts the alerts that the matches would become.
    fn fold(&mut self) {
        for times in self.folds.values_mut() {
            times.sort_unstable();
            let mut known = false;
            let mut before: Option<Timestamp> = None;
            for (time, is_known) in times.iter() {
                let begins = before.is_none_or(|before| time.duration_since(before) > FOLD_WINDOW);
                if begins {
                    self.outcome.new_alerts += usize::from(before.is_some() && !known);
                    self.outcome.alerts += 1;
                    known = false;
                }
                known = known || *is_known;
                before = Some(*time);
            }
            self.outcome.new_alerts += usize::from(before.is_some() && !known);
        }
    }

    fn touched(&mut self, decisions: &[casemate_store::ClosedAlert]) {
        for decision in decisions.iter().filter(|decision| self.touched.contains(&decision.alert.id)) {
            match decision.closing.verdict {
                Disposition::Malicious => self.outcome.closed_malicious += 1,
                Disposition::Benign => self.outcome.closed_benign += 1,
            }
            if self.outcome.closed.len() < LISTED {
                self.outcome.closed.push(Touched {
                    alert: decision.alert.id,
                    title: decision.alert.title.clone(),
                    closed: Some(decision.closing.verdict),
                });
            }
        }
    }

    /// Shows what has come out so far.
    fn tell(&mut self, one: &Try, started: Instant) {
        self.outcome.seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let so_far = self.outcome.clone();
        one.update(|outcome| *outcome = Outcome::Rule(so_far));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_days_are_counted_one_by_one_and_the_rest_together() {
        let mut outcome = RuleOutcome::default();
        let day = |day: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day);
        // From the end to the beginning and back, as nobody keeps senders to an order.
        let all = 0..DAYS as i64 + 10;
        all.clone().rev().chain(all).for_each(|number| outcome.count_on(day(number)));
        assert_eq!((outcome.days.len(), outcome.on_earlier_days), (DAYS, 20));
        assert_eq!(outcome.days.first_key_value(), Some((&"1970-01-11".to_owned(), &2)));
    }
}
