//! How much does a store hold?

use casemate_event::{Format, QuarantineReason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Events by format.
    pub by_format: BTreeMap<Format, u64>,
    /// Quarantined records by reason, without those that events have taken the place of.
    pub quarantined: BTreeMap<QuarantineReason, u64>,
    /// Distinct templates.
    pub templates: u64,
    /// Alerts.
    pub alerts: u64,
    /// Investigations.
    pub investigations: u64,
    /// Bytes of all files.
    pub bytes_on_disk: u64,
    /// Bytes of all records as received.
    pub raw_bytes: u64,
    /// Time of the earliest event.
    pub first_time: Option<Timestamp>,
    /// Time of the latest event.
    pub last_time: Option<Timestamp>,
}

/// Bytes of all files under `dir`; what cannot be read counts as nothing.
pub(crate) fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(dir) else { return 0 };
    let size = |entry: fs_err::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
