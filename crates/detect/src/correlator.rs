//! What have the correlation rules seen so far? State over many events, bounded, the same after a restart.
//!
//! A group keeps its matches in the order of time, so that files taken in one after another correlate as if
//! they had arrived together. Events further apart in arrival than [`Correlator::REACH`] never correlate:
//! that bounds memory, and [`Correlator::replay_from`] says from which event on reading again leads to the
//! same state.

use crate::correlation::{Correlation, Entry};
use crate::view::View;
use crate::{Rule, Rules};
use casemate_event::{EventId, Stored};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A correlation rule, and the group that an entry is in.
type Key = (usize, Arc<str>);
/// An entry's place in its group: time, event, rule.
type Place = (Timestamp, EventId, usize);

/// What the correlation rules have seen. Made by [`Rules::correlator`].
#[derive(Debug)]
pub struct Correlator {
    groups: HashMap<Key, BTreeMap<Place, Entry>>,
    /// Every entry in order of arrival.
    arrivals: VecDeque<(EventId, Key, Place)>,
    depth: u64,
    observed: EventId,
}

/// A correlation rule that an event completed, or another event of what it had completed before.
#[derive(Debug)]
pub struct Correlated<'r> {
    /// The correlation rule.
    pub rule: &'r Rule,
    /// Events that no earlier result of this group named, oldest first.
    pub events: Vec<EventId>,
    /// Time of the first of them.
    pub first_time: Timestamp,
    /// Time of the last of them.
    pub last_time: Timestamp,
    /// The group: field names and values, for people and for folding.
    pub group: String,
}

/// What matched one event: a rule, the events it stands for, and its group where it is a correlation.
struct Fired {
    rule: usize,
    events: Vec<EventId>,
    group: Vec<(String, String)>,
}

impl Correlator {
    /// Events further apart in arrival than this never correlate.
    pub const REACH: u64 = 250_000;

    pub(crate) fn new(rules: &Rules) -> Self {
        let mut depths: HashMap<usize, u64> = HashMap::new();
        for correlation in &rules.correlations {
            let below = correlation.references.iter().filter_map(|(rule, _)| depths.get(rule)).max();
            depths.insert(correlation.rule, below.copied().unwrap_or(0) + 1);
        }
        let depth = depths.values().copied().max().unwrap_or(0);
        Self { groups: HashMap::new(), arrivals: VecDeque::new(), depth, observed: EventId(0) }
    }

    /// Whether there are no correlation rules, so that nothing need be observed.
    pub fn is_idle(&self) -> bool {
        self.depth == 0
    }

    /// The last event observed; 0 before the first.
    pub fn observed(&self) -> EventId {
        self.observed
    }

    /// The event from which a new correlator has to observe to be as this one after event `last`.
    pub fn replay_from(&self, last: EventId) -> EventId {
        // One reach for what is in a group, another for what results had named by then.
        EventId(last.0.saturating_sub(Self::REACH * (self.depth + 1)) + 1)
    }

    /// Takes in one event, with what [`Rules::matches`] found, and says which correlation rules it completes.
    ///
    /// Events are to be given in the order of their ids, each once.
    pub fn observe<'r>(
        &mut self,
        rules: &'r Rules,
        stored: &Stored,
        matched: &[&'r Rule],
    ) -> Vec<Correlated<'r>> {
        self.observed = stored.id;
        self.forget(stored.id);
        if matched.is_empty() || self.is_idle() {
            return Vec::new();
        }
        let view = View::new(&stored.event, rules.log_source(stored.event.format));
        let indexes = matched.iter().filter_map(|rule| rules.by_id.get(&rule.id).copied());
        let mut fired: Vec<Fired> =
            indexes.map(|rule| Fired { rule, events: vec![stored.id], group: Vec::new() }).collect();
        let mut results = Vec::new();
        for (number, correlation) in rules.correlations.iter().enumerate() {
            let mut completed: Vec<Fired> = Vec::new();
            for (place, (referred, name)) in correlation.references.iter().enumerate() {
                for one in fired.iter().filter(|one| one.rule == *referred) {
                    let Some(value) = correlation.value(&view, name) else { continue };
                    let group = correlation.group(&view, name, &one.group);
                    let label: Vec<String> =
                        group.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    let key = (number, Arc::from(label.join(", ")));
                    let entry = Entry {
                        time: stored.event.time,
                        id: stored.id,
                        reference: place,
                        value,
                        events: one.events.clone(),
                        is_cited: false,
                    };
                    let Some((events, first_time, last_time)) = self.add(correlation, &key, entry) else {
                        continue;
                    };
                    let Some(rule) = rules.rules.get(correlation.rule) else { continue };
                    completed.push(Fired { rule: correlation.rule, events: events.clone(), group });
                    results.push(Correlated {
                        rule,
                        events,
                        first_time,
                        last_time,
                        group: key.1.to_string(),
                    });
                }
            }
            fired.extend(completed);
        }
        results
    }

    /// Adds an entry to its group; the events of the windows it completes that were not named before.
    fn add(
        &mut self,
        correlation: &Correlation,
        key: &Key,
        entry: Entry,
    ) -> Option<(Vec<EventId>, Timestamp, Timestamp)> {
        let (time, place) = (entry.time, (entry.time, entry.id, entry.reference));
        let group = self.groups.entry(key.clone()).or_default();
        if group.insert(place, entry).is_none() {
            self.arrivals.push_back((place.1, key.clone(), place));
        }
        if group.len() > correlation.capacity && group.pop_first().is_some_and(|(oldest, _)| oldest == place)
        {
            return None;
        }
        let earliest = time.saturating_sub(correlation.timespan).unwrap_or(Timestamp::MIN);
        let latest = time.saturating_add(correlation.timespan).unwrap_or(Timestamp::MAX);
        let near: Vec<&Entry> = group
            .range((earliest, EventId(0), 0)..=(latest, EventId(u64::MAX), usize::MAX))
            .map(|(_, entry)| entry)
            .collect();
        // Windows end with an entry at or after the new one; in the order of time there is one such.
        let own = near.partition_point(|other| (other.time, other.id, other.reference) < place);
        let mut places: Vec<Place> = Vec::new();
        for end in own..near.len().min(own + MAX_WINDOWS) {
            let Some(last) = near.get(end) else { break };
            let begin = last.time.saturating_sub(correlation.timespan).unwrap_or(Timestamp::MIN);
            let start = near.partition_point(|other| other.time < begin);
            let window = near.get(start..=end).unwrap_or_default();
            if start <= own && correlation.is_met(window) {
                places.extend(
                    window
                        .iter()
                        .filter(|entry| !entry.is_cited)
                        .map(|entry| (entry.time, entry.id, entry.reference)),
                );
            }
        }
        places.sort_unstable();
        places.dedup();
        let (first, last) = (places.first()?.0, places.last()?.0);
        let mut events = Vec::new();
        for place in places {
            if let Some(entry) = group.get_mut(&place) {
                entry.is_cited = true;
                events.extend(entry.events.iter().copied());
            }
        }
        let mut seen = std::collections::HashSet::new();
        events.retain(|id| seen.insert(*id));
        Some((events, first, last))
    }

    /// Drops entries out of reach of event `now`.
    fn forget(&mut self, now: EventId) {
        while let Some((id, _, _)) = self.arrivals.front()
            && id.0 + Self::REACH <= now.0
            && let Some((_, key, place)) = self.arrivals.pop_front()
        {
            if let Some(group) = self.groups.get_mut(&key) {
                group.remove(&place);
                if group.is_empty() {
                    self.groups.remove(&key);
                }
            }
        }
    }
}

/// Most windows looked at for one event that arrives out of order.
const MAX_WINDOWS: usize = 64;
