//! What do the events of a head or segment add to counters, templates and sources?

use crate::Template;
use crate::quarantine::Resolved;
use casemate_event::{
    Entity, EntityKind, Event, Format, QuarantineReason, Quarantined, SourceProgress, TemplateId, field,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a run of events adds, so that it can be added to what came before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) templates: BTreeMap<u64, TemplateRow>,
    pub(crate) sources: BTreeMap<String, SourceProgress>,
    pub(crate) resolved: Vec<Resolved>,
    pub(crate) by_format: BTreeMap<Format, u64>,
    pub(crate) quarantined: BTreeMap<QuarantineReason, u64>,
    pub(crate) first_time: Option<Timestamp>,
    pub(crate) last_time: Option<Timestamp>,
    /// Bytes as received.
    pub(crate) raw_bytes: u64,
}

/// A template as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TemplateRow {
    pub(crate) text: String,
    pub(crate) count: u64,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// Hashes of host names, sorted.
    pub(crate) hosts: Vec<u64>,
}

impl Stats {
    /// Counts one event.
    pub(crate) fn event(&mut self, event: &Event) {
        *self.by_format.entry(event.format).or_default() += 1;
        self.first_time = Some(self.first_time.map_or(event.time, |time| time.min(event.time)));
        self.last_time = Some(self.last_time.map_or(event.time, |time| time.max(event.time)));
        self.raw_bytes += event.raw.len() as u64;
        let row = self.templates.entry(event.template.0).or_insert_with(|| TemplateRow::new(event.time));
        row.add(event);
    }

    /// Notes the text of a template that an event was folded to.
    pub(crate) fn template_text(&mut self, id: TemplateId, text: &str) {
        if let Some(row) = self.templates.get_mut(&id.0)
            && row.text.is_empty()
        {
            text.clone_into(&mut row.text);
        }
    }

    /// Counts one quarantined record.
    pub(crate) fn quarantined(&mut self, record: &Quarantined) {
        *self.quarantined.entry(record.reason).or_default() += 1;
        self.raw_bytes += record.raw.len() as u64;
    }

    /// Notes how far a source has come.
    pub(crate) fn progress(&mut self, progress: &SourceProgress) {
        self.sources.insert(progress.sha256.clone(), progress.clone());
    }

    /// Adds everything that came later.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.extend_counters(later);
        for (id, row) in &later.templates {
            let known = self.templates.entry(*id);
            known.and_modify(|known| known.extend(row)).or_insert_with(|| row.clone());
        }
        self.sources.extend(later.sources.iter().map(|(key, progress)| (key.clone(), progress.clone())));
        self.resolved.extend(&later.resolved);
    }

    /// What is counted, without templates and sources.
    pub(crate) fn counters(&self) -> Self {
        let mut counters = Self::default();
        counters.extend_counters(self);
        counters
    }

    /// Adds what is counted, without templates and sources.
    pub(crate) fn extend_counters(&mut self, later: &Self) {
        for (format, count) in &later.by_format {
            *self.by_format.entry(*format).or_default() += count;
        }
        for (reason, count) in &later.quarantined {
            *self.quarantined.entry(*reason).or_default() += count;
        }
        self.first_time = self.first_time.into_iter().chain(later.first_time).min();
        self.last_time = self.last_time.into_iter().chain(later.last_time).max();
        self.raw_bytes += later.raw_bytes;
    }
}

impl TemplateRow {
    fn new(time: Timestamp) -> Self {
        Self { text: String::new(), count: 0, first_seen: time, last_seen: time, hosts: Vec::new() }
    }

    fn add(&mut self, event: &Event) {
        self.count += 1;
        self.first_seen = self.first_seen.min(event.time);
        self.last_seen = self.last_seen.max(event.time);
        if (self.hosts.len() as u64) < Template::MAX_HOSTS
            && let Some(host) = event.field(field::DEVICE_HOSTNAME)
        {
            self.add_host(fnv1a(&Entity::new(EntityKind::Host, host).value));
        }
    }

    fn add_host(&mut self, hash: u64) {
        if let Err(place) = self.hosts.binary_search(&hash) {
            self.hosts.insert(place, hash);
            self.hosts.truncate(Template::MAX_HOSTS as usize);
        }
    }

    /// Adds what came later.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.count += later.count;
        self.first_seen = self.first_seen.min(later.first_seen);
        self.last_seen = self.last_seen.max(later.last_seen);
        if self.text.is_empty() {
            self.text.clone_from(&later.text);
        }
        later.hosts.iter().for_each(|hash| self.add_host(*hash));
    }

    /// The template as others see it.
    pub(crate) fn public(&self, id: TemplateId) -> Template {
        Template {
            id,
            text: self.text.clone(),
            count: self.count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            hosts: self.hosts.len() as u64,
        }
    }
}

/// FNV-1a, 64 bits: a hash that stays the same over versions of the standard library.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
