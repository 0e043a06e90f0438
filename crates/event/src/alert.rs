use crate::{Entity, EventId};
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
