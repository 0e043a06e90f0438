//! Is this usual here? What the site's own logs from before the alert say of each thing the alert is about.
//!
//! Nothing is kept: every figure is counted from the index of the store, in hours before and after the alert, by a
//! bounded number of queries. What happened in the hour before the alert belongs to what has to be explained and is
//! not part of what is usual. Each figure carries its support, the days and hours of comparable logs from before: a
//! thing never seen in two hours of logs is not rare.

mod aspect;
mod features;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;

pub(crate) use aspect::Aspect;

use crate::Error;
use crate::view::View;
use aspect::{Ask, Scope};
use casemate_event::{Alert, Class, Entity, EntityKind, Stored, field};
use casemate_store::{Query, Recurrence, Spread, Store};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far back it is looked.
pub(crate) const HISTORY_DAYS: i64 = 30;
/// An alert that has gone on for longer than this is judged by its last day; what it did before is its history.
const EPISODE_HOURS: i64 = 24;
/// Most queries for one alert, and most different values asked about of one aspect.
const MAX_QUERIES: usize = 48;
const MAX_VALUES: usize = 3;
/// Most templates of a window whose first appearance is looked up.
const MAX_KINDS: usize = 256;
/// Earlier days whose windows, at the same time of day, are compared by kinds.
const KIND_DAYS: i64 = 3;
/// Distinct days and hours of comparable logs from which "never seen" says something.
const MIN_DAYS: u64 = 2;
const MIN_HOURS: u64 = 6;
/// Hours of comparable logs from which rates can be compared.
const MIN_RATE_HOURS: u64 = 12;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What is usual about an alert, as far as it could be counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Logs of the alert's kinds from before it, on its host.
    pub(crate) host: Support,
    /// The same of the whole site.
    pub(crate) site: Support,
    /// What was looked up, in order of aspect and value.
    pub(crate) usual: Vec<Usual>,
    /// Whether everything the alert is about was looked up; else the budget was used up.
    pub(crate) complete: bool,
    pub(crate) kinds: Kinds,
    pub(crate) hours: Option<Hours>,
    /// Queries it took.
    pub(crate) queries: usize,
}

/// How much there is to compare with: logs from before the alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Support {
    pub(crate) events: u64,
    /// Distinct days, and hours, that have any.
    pub(crate) days: u64,
    pub(crate) hours: u64,
    /// Events in the busiest hour before, and in the busiest hour of the alert.
    pub(crate) busiest: u64,
    pub(crate) now: u64,
}

/// How usual one thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usual {
    pub(crate) aspect: Aspect,
    /// What it is, as logged.
    pub(crate) value: String,
    /// Whether the figures are of its host alone.
    pub(crate) on_host: bool,
    /// Comparable logs.
    pub(crate) support: Support,
    /// Events before, the distinct days and hours they fall in, and on how many hosts at least they were recorded; 0 if
    /// that was not asked.
    pub(crate) events: u64,
    pub(crate) days: u64,
    pub(crate) hours: u64,
    pub(crate) hosts: u64,
    /// Whether each event is known to be about it; if not, figures are the most they can be.
    pub(crate) counted: bool,
    /// Events in its busiest hour before, and in the median of the hours that had any.
    pub(crate) busiest: u64,
    pub(crate) typical: u64,
    /// Events in the busiest hour of the alert.
    pub(crate) now: u64,
}

/// How many kinds of events there are around the alert. A kind is a masked message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kinds {
    /// Findings of other products on the whole site.
    pub(crate) findings: Counted,
    /// All events of the alert's host.
    pub(crate) host: Counted,
    /// Most kinds of findings in the same hours of one of the days before; `None` without such logs.
    pub(crate) findings_before: Option<u64>,
}

/// Kinds within an hour of the alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) kinds: u64,
    /// Those of them never seen before.
    pub(crate) new: u64,
}

/// When the account of the alert is usually active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hours {
    pub(crate) account: String,
    /// Distinct days and hours it was seen in before.
    pub(crate) days: u64,
    pub(crate) hours: u64,
    /// Days on which it was seen at this time of day, an hour more or less.
    pub(crate) days_at_this_hour: u64,
}

impl Support {
    /// Whether "never seen" says something.
    pub(crate) fn is_enough(self) -> bool {
        self.days >= MIN_DAYS && self.hours >= MIN_HOURS
    }
}

impl Hours {
    /// Whether the account was seen often enough to have hours.
    pub(crate) fn is_enough(&self) -> bool {
        self.days >= 5 && self.hours >= 20
    }
}

impl Usual {
    /// Whether it was never seen before, in logs that would show it.
    pub(crate) fn is_new(&self) -> bool {
        self.events == 0 && self.support.is_enough()
    }

    /// Whether rates can be compared.
    pub(crate) fn has_rate(&self) -> bool {
        self.counted && self.support.hours >= MIN_RATE_HOURS
    }
}

impl Baseline {
    /// Counts what is usual about an alert with these own events.
    pub(crate) fn learn(store: &Store, alert: &Alert, subjects: &[Stored]) -> Result<Self, Error> {
        let Some(first) = subjects.first() else { return Ok(Self::default()) };
        let mut learner = Learner::new(store, alert);
        let mut baseline = Self { complete: true, ..Self::default() };
        let classes = aspect::classes(subjects);
        baseline.host = learner.support(&classes, aspect::host_of(first))?;
        baseline.site = learner.support(&classes, None)?;
        baseline.kinds = learner.kinds(first)?;
        baseline.hours = learner.hours(first)?;
        for (aspect, asks) in aspect::asks(subjects) {
            baseline.complete &= asks.len() <= MAX_VALUES;
            for ask in asks.into_iter().take(MAX_VALUES) {
                if learner.queries >= MAX_QUERIES {
                    baseline.complete = false;
                    break;
                }
                let support = if ask.scope == Scope::Host { baseline.host } else { baseline.site };
                baseline.usual.push(learner.usual(aspect, ask, support)?);
            }
        }
        baseline.queries = learner.queries;
        Ok(baseline)
    }

    /// What was looked up of one aspect.
    pub(crate) fn of(&self, aspect: Aspect) -> impl Iterator<Item = &Usual> {
        self.usual.iter().filter(move |usual| usual.aspect == aspect)
    }
}

/// Asks the store, and counts how often.
struct Learner<'a> {
    store: &'a Store,
    /// Where the hours are counted from: the beginning of what is judged.
    origin: Timestamp,
    /// Number of the last hour that is judged.
    last_hour: i64,
    queries: usize,
}

impl<'a> Learner<'a> {
    fn new(store: &'a Store, alert: &Alert) -> Self {
        let day = SignedDuration::from_hours(EPISODE_HOURS);
        let episode = alert.last_time.checked_sub(day).unwrap_or(alert.first_time);
        let origin = alert.first_time.max(episode);
        let last_hour = alert.last_time.duration_since(origin).as_hours().clamp(0, EPISODE_HOURS);
        Self { store, origin, last_hour, queries: 0 }
    }

    /// A time so many hours after the beginning.
    fn hour(&self, hours: i64) -> Timestamp {
        self.origin.checked_add(SignedDuration::from_hours(hours)).unwrap_or(self.origin)
    }

    /// Counts, with the hosts before if `hosts`.
    fn count(&mut self, query: Query, hosts: bool) -> Result<Recurrence, Error> {
        self.queries += 1;
        let query = Query {
            after: Some(self.hour(-24 * HISTORY_DAYS)),
            before: self.hour(self.last_hour + 1).checked_sub(SignedDuration::from_nanos(1)).ok(),
            ..query
        };
        let spread = Spread { field: field::DEVICE_HOSTNAME, before: self.hour(-1) };
        Ok(self.store.recurrence(&query, self.origin, HOUR, hosts.then_some(spread))?)
    }

    fn support(&mut self, classes: &[Class], host: Option<Entity>) -> Result<Support, Error> {
        let query =
            Query { entities: host.into_iter().collect(), classes: classes.to_vec(), ..Query::default() };
        let intervals = self.count(query, false)?.intervals;
        let (events, days, hours) = before(&intervals);
        let busiest = earlier(&intervals).map(|(_, count)| count).max().unwrap_or_default();
        Ok(Support { events, days, hours, busiest, now: busiest_now(&intervals) })
    }

    fn usual(&mut self, aspect: Aspect, ask: Ask, support: Support) -> Result<Usual, Error> {
        let found = self.count(ask.query, ask.scope == Scope::Site)?;
        let (events, days, hours) = before(&found.intervals);
        let mut rates: Vec<u64> = earlier(&found.intervals).map(|(_, count)| count).collect();
        rates.sort_unstable();
        Ok(Usual {
            aspect,
            value: ask.value,
            on_host: ask.scope == Scope::Host,
            support,
            events,
            days,
            hours,
            hosts: found.spread,
            counted: found.counted,
            busiest: rates.last().copied().unwrap_or_default(),
            typical: rates.get(rates.len() / 2).copied().unwrap_or_default(),
            now: busiest_now(&found.intervals),
        })
    }

    /// Templates within an hour of the beginning, and which of them were never seen before.
    fn kinds(&mut self, first: &Stored) -> Result<Kinds, Error> {
        let findings = Query { classes: vec![Class::DetectionFinding], ..Query::default() };
        let mut before = None;
        for day in 1..=KIND_DAYS {
            let kinds = self.templates(&findings, -24 * day)?;
            if !kinds.is_empty() {
                before = before.max(Some(kinds.len() as u64));
            }
        }
        let host = match aspect::host_of(first) {
            Some(host) => self.counted(&Query { entities: vec![host], ..Query::default() })?,
            None => Counted::default(),
        };
        Ok(Kinds { findings: self.counted(&findings)?, host, findings_before: before })
    }

    fn counted(&mut self, query: &Query) -> Result<Counted, Error> {
        let since = self.hour(-1);
        let templates = self.templates(query, 0)?;
        let mut new = 0;
        for template in templates.keys().take(MAX_KINDS) {
            let known = self.store.template(*template)?;
            new += u64::from(known.is_some_and(|template| template.first_seen >= since));
        }
        Ok(Counted { kinds: templates.len() as u64, new })
    }

    fn templates(
        &mut self,
        query: &Query,
        hour: i64,
    ) -> Result<BTreeMap<casemate_event::TemplateId, u64>, Error> {
        self.queries += 1;
        let (after, before) = (Some(self.hour(hour - 1)), Some(self.hour(hour + 1)));
        Ok(self.store.templates_of(&Query { after, before, ..query.clone() })?)
    }

    fn hours(&mut self, first: &Stored) -> Result<Option<Hours>, Error> {
        let Some(account) = View(&first.event).person() else { return Ok(None) };
        let entities = vec![Entity::new(EntityKind::User, &account)];
        let found = self.count(Query { entities, ..Query::default() }, false)?;
        let (_, days, hours) = before(&found.intervals);
        let mut at_this_hour: Vec<i64> = earlier(&found.intervals)
            .filter(|(hour, _)| matches!(hour.rem_euclid(24), 0 | 1 | 23))
            // The hour before midnight belongs to the night that follows it.
            .map(|(hour, _)| (hour + 1).div_euclid(24))
            .collect();
        at_this_hour.dedup();
        Ok(Some(Hours { account, days, hours, days_at_this_hour: at_this_hour.len() as u64 }))
    }
}

/// Hours that lie more than an hour before the beginning.
fn earlier(intervals: &BTreeMap<i64, u64>) -> impl Iterator<Item = (i64, u64)> {
    intervals.range(..-1).map(|(hour, count)| (*hour, *count))
}

/// Events in the busiest hour from the one before the beginning on.
fn busiest_now(intervals: &BTreeMap<i64, u64>) -> u64 {
    intervals.range(-1..).map(|(_, count)| *count).max().unwrap_or_default()
}

/// Events, distinct days and distinct hours before.
fn before(intervals: &BTreeMap<i64, u64>) -> (u64, u64, u64) {
    let mut days: Vec<i64> = earlier(intervals).map(|(hour, _)| hour.div_euclid(24)).collect();
    let hours = days.len() as u64;
    days.dedup();
    (earlier(intervals).map(|(_, count)| count).sum(), days.len() as u64, hours)
}
