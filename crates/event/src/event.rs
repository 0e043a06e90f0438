use crate::{Entity, Fields, Format, entities};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of an event in its store: dense, ascending from 1, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a masked message template: the first 8 bytes of the SHA-256 of its text, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateId(pub u64);

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// OCSF 1.6 event class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// Not mapped to a class.
    BaseEvent,
    /// 1001
    FileSystemActivity,
    /// 1005
    ModuleActivity,
    /// 1006
    ScheduledJobActivity,
    /// 1007: launch, terminate, open (access), inject
    ProcessActivity,
    /// 1009
    ScriptActivity,
    /// 201001 (Windows extension)
    RegistryKeyActivity,
    /// 201004 (Windows extension)
    WindowsServiceActivity,
    /// 2004: an alert of another product
    DetectionFinding,
    /// 3001
    AccountChange,
    /// 3002
    Authentication,
    /// 4001
    NetworkActivity,
    /// 4002
    HttpActivity,
    /// 4003
    DnsActivity,
    /// 6003
    ApiActivity,
}

impl Class {
    /// OCSF `class_uid`.
    pub fn uid(self) -> u32 {
        match self {
            Self::BaseEvent => 0,
            Self::FileSystemActivity => 1001,
            Self::ModuleActivity => 1005,
            Self::ScheduledJobActivity => 1006,
            Self::ProcessActivity => 1007,
            Self::ScriptActivity => 1009,
            Self::RegistryKeyActivity => 201_001,
            Self::WindowsServiceActivity => 201_004,
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::NetworkActivity => 4001,
            Self::HttpActivity => 4002,
            Self::DnsActivity => 4003,
            Self::ApiActivity => 6003,
        }
    }
}

/// How far the time of an event is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeQuality {
    /// Stated by the source with date, year and zone.
    Stated,
    /// The source gave no year; one was chosen so that the time is not in the future of the file.
    YearAssumed,
    /// The source gave no zone; UTC was taken.
    ZoneAssumed,
    /// The source gave no time; the time of arrival (or of the file) was taken.
    Arrival,
}

/// One record of a log, normalised, with the bytes it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub time: Timestamp,
    /// How far [`time`](Self::time) is to be trusted.
    pub time_quality: TimeQuality,
    /// What the record was recognised as.
    pub format: Format,
    /// OCSF class.
    pub class: Class,
    /// Where the record came from: for the auditor and for re-reading, never shown to a model.
    pub source: String,
    /// Line or record number within [`source`](Self::source), from 1.
    pub position: u64,
    /// One line for a person; free text that an attacker may have written.
    pub message: String,
    /// Normalised fields under the names of [`field`](crate::field).
    pub fields: Fields,
    /// Fields as the vendor named them, nested names joined with dots. What Sigma rules match.
    pub native: Fields,
    /// The record as received.
    pub raw: Vec<u8>,
    /// Template the message was folded to.
    pub template: TemplateId,
    /// Text of [`template`](Self::template). Set by ingest; empty in events read back from a store, which
    /// keeps it once per template.
    #[serde(skip)]
    pub template_text: String,
}

impl Event {
    /// Normalised field `name` (see [`field`](crate::field)).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// Hosts, users, addresses and other things this event is about, without duplicates.
    pub fn entities(&self) -> Vec<Entity> {
        entities(&self.fields)
    }
}

/// An event together with the number its store gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Number in the store.
    pub id: EventId,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}
