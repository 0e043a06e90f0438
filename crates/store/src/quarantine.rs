//! What could not be understood, by number.

use casemate_event::{QuarantineReason, Quarantined};
use serde::{Deserialize, Serialize};

/// Number of a quarantined record in its store: dense, ascending from 1, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuarantineId(pub u64);

/// A quarantined record together with the number its store gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredQuarantined {
    /// Number in the store.
    pub id: QuarantineId,
    /// The record.
    #[serde(flatten)]
    pub record: Quarantined,
}

/// A quarantined record that events take the place of, and why it had been quarantined.
pub type Resolved = (QuarantineId, QuarantineReason);
