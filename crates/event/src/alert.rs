use crate::{Entity, EventId, Stored};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of an alert in its store: ascending from 1, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(pub u64);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How bad it would be if true (Sigma's levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Context, no alert by itself.
    Informational,
    /// Rarely worth a look alone.
    Low,
    /// Worth a look.
    Medium,
    /// Look now.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// Name in lower case, as in Sigma.
    pub fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who raised an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertOrigin {
    /// A Sigma rule matched here; the rule's id.
    Rule(String),
    /// Another product sent it or wrote it into its log; the product's name.
    Product(String),
}

/// Something that may be an attack, and the events that say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Number in the store; 0 before it is stored.
    pub id: AlertId,
    /// Who raised it.
    pub origin: AlertOrigin,
    /// What it claims, in one line.
    pub title: String,
    /// How bad it would be if true.
    pub severity: Severity,
    /// ATT&CK technique ids (`T1003.001`) that the origin names.
    pub techniques: Vec<String>,
    /// Time of the first event.
    pub first_time: Timestamp,
    /// Time of the last event.
    pub last_time: Timestamp,
    /// The events, oldest first. Folded alerts keep the first [`Alert::MAX_EVENTS`].
    pub events: Vec<EventId>,
    /// How many events matched, kept or not.
    pub event_count: u64,
    /// What the kept events are about.
    pub entities: Vec<Entity>,
}

impl Alert {
    /// Most event ids an alert keeps; [`event_count`](Self::event_count) still counts the rest.
    pub const MAX_EVENTS: usize = 64;
    /// Most entities, and most techniques, an alert keeps: whoever sends records of one alert must not make it grow for ever.
    pub const MAX_ENTITIES: usize = 1000;
    /// See [`MAX_ENTITIES`](Self::MAX_ENTITIES).
    pub const MAX_TECHNIQUES: usize = 64;

    /// An alert, not stored yet, that `events` are something to look into: times, events and entities are theirs.
    /// `None` without events.
    pub fn about(origin: AlertOrigin, title: String, severity: Severity, events: &[Stored]) -> Option<Self> {
        let times = || events.iter().map(|stored| stored.event.time);
        let mut ids: Vec<EventId> = events.iter().map(|stored| stored.id).collect();
        ids.sort_unstable();
        ids.truncate(Self::MAX_EVENTS);
        let mut entities: Vec<Entity> = events.iter().flat_map(|stored| stored.event.entities()).collect();
        entities.sort();
        entities.dedup();
        entities.truncate(Self::MAX_ENTITIES);
        Some(Self {
            id: AlertId(0),
            origin,
            title,
            severity,
            techniques: Vec::new(),
            first_time: times().min()?,
            last_time: times().max()?,
            events: ids,
            event_count: events.len() as u64,
            entities,
        })
    }

    /// An alert that a person raises about events that no rule made one of; `None` without events.
    ///
    /// Its title names numbers alone: nothing that an attacker wrote is part of it.
    pub fn by_hand(events: &[Stored]) -> Option<Self> {
        const NAMED: usize = 3;
        let mut ids: Vec<EventId> = events.iter().map(|stored| stored.id).collect();
        ids.sort_unstable();
        let ids: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
        let more = events.len().saturating_sub(NAMED);
        let title = match (events.len(), more) {
            (1, _) => format!("Event {} is to be looked into", ids.concat()),
            (_, 0) => format!("Events {} are to be looked into", ids.join(", ")),
            _ => format!("Events {} and {more} more are to be looked into", ids.join(", ")),
        };
        Self::about(AlertOrigin::Product(Self::BY_HAND.to_owned()), title, Severity::Medium, events)
    }

    /// Names the origin of alerts that people raise.
    pub const BY_HAND: &str = "analyst";
}

impl Alert {
    /// Takes in what has become of the same alert: its title is what it says now, and what it was about stays. It never becomes
    /// less severe, as whoever can send a record could play it down.
    pub fn update(&mut self, newer: Self) {
        self.title.clone_from(&newer.title);
        self.absorb(newer);
    }

    /// Takes in another alert about the same thing: more events, a wider span, the worse severity.
    pub fn absorb(&mut self, other: Self) {
        self.first_time = self.first_time.min(other.first_time);
        self.last_time = self.last_time.max(other.last_time);
        self.severity = self.severity.max(other.severity);
        self.event_count += other.event_count;
        self.events.extend(other.events);
        self.events.sort_unstable();
        self.events.dedup();
        self.events.truncate(Self::MAX_EVENTS);
        self.entities.extend(other.entities);
        self.entities.sort();
        self.entities.dedup();
        self.entities.truncate(Self::MAX_ENTITIES);
        self.techniques.extend(other.techniques);
        self.techniques.sort();
        self.techniques.dedup();
        self.techniques.truncate(Self::MAX_TECHNIQUES);
    }
}
