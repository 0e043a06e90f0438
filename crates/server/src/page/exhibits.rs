//! Which events stand behind an investigation, and what do the rules say of them now?
//!
//! A report holds lines of evidence; drawing processes, logons and connections takes the events themselves. Those that
//! retention has deleted since are left out, and what is drawn says so.

use crate::problem::Result;
use crate::state::App;
use casemate_event::{Class, EventId, Stored, field};
use casemate_investigate::{Investigation, Relation};
use std::collections::BTreeMap;

/// Most events read beside those of the lines themselves: what the lines stand for.
const MAX_FOLDED: usize = 96;
/// Most of them for one line.
const MAX_FOLDED_EACH: usize = 12;
/// Generations of parents looked up in the store, for the alert's first process.
const GENERATIONS: usize = 3;

/// The events behind the evidence.
#[derive(Debug, Default)]
pub(crate) struct Exhibits {
    pub(crate) events: BTreeMap<EventId, Stored>,
    /// Titles of the rules that match each line's own event, as the rules are now.
    pub(crate) rules: BTreeMap<EventId, Vec<String>>,
    /// Starts of the processes before the alert's own, the nearest first.
    pub(crate) ancestors: Vec<Stored>,
    /// Lines whose event is not in the store any more.
    pub(crate) gone: usize,
}

impl Exhibits {
    /// Reads them from the store. Bounded: some hundred events, and three searches for parents.
    pub(crate) fn gather(app: &App, case: &Investigation) -> Result<Self> {
        let store = app.pipeline.store();
        let mut found = Self::default();
        for item in &case.evidence {
            let Some(stored) = store.get(item.event)? else {
                found.gone += 1;
                continue;
            };
            let rules = app.pipeline.rules().matches(&stored.event);
            let titles: Vec<String> = rules.iter().map(|rule| rule.title.clone()).collect();
            if !titles.is_empty() {
                found.rules.insert(item.event, titles);
            }
            found.events.insert(item.event, stored);
        }
        let folded = case.evidence.iter().flat_map(|item| item.folded.iter().take(MAX_FOLDED_EACH));
        for id in folded.take(MAX_FOLDED) {
            if let Some(stored) = store.get(*id)? {
                found.events.insert(*id, stored);
            }
        }
        let own = case.evidence.iter().filter(|item| item.relation == Relation::Alert);
        let mut own = own.filter_map(|item| found.events.get(&item.event));
        if let Some(first) = own.find(|stored| is_of_process(stored)) {
            found.ancestors = store.ancestors(first, GENERATIONS)?;
        }
        Ok(found)
    }
}

/// Whether it says which process did it.
fn is_of_process(stored: &Stored) -> bool {
    let event = &stored.event;
    event.class == Class::ProcessActivity || event.field(field::ACTOR_PROCESS_PID).is_some()
}

/// Who wrote the event, in a word or two: `Sysmon`, `Security`, `zeek_json`.
pub(crate) fn source_of(stored: &Stored) -> String {
    let event = &stored.event;
    let channel = event.native.get_ignore_case("Channel").or_else(|| event.field(field::PRODUCT));
    let Some(channel) = channel else { return event.format.name().to_owned() };
    if channel.to_lowercase().contains("sysmon") {
        return "Sysmon".to_owned();
    }
    let name = channel.split('/').next().unwrap_or(channel);
    name.strip_prefix("Microsoft-Windows-").unwrap_or(name).to_owned()
}
