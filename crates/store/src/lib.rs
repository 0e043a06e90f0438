//! Which events? Durable append, and search by time, entity, field and text.
//!
//! A data directory holds, beside `audit/` (see `casemate_audit`), under `store/`:
//!
//! | file | what | if it is lost |
//! |---|---|---|
//! | `NNNNNNNN.log` | write-ahead log: events and quarantined records not in a segment yet | gone |
//! | `NNNNNNNN.segment` | up to some 250,000 events, immutable, with what is needed to find them | its events are gone, the rest stays |
//! | `MANIFEST` | which segments there are | made anew from the segments |
//! | `findings.redb` | alerts, cases, investigations, decisions, how far detection has come | alerts are raised again |
//! | `meta.redb` | templates and sources of all time | rebuilt from the segments |
//!
//! A batch is acknowledged once the log is on the device. A full log becomes a segment in the background.
//! This crate numbers events and alerts and gives them back. It parses no log format, matches no rule and
//! knows nothing of embeddings.

mod audit;
mod backup;
mod cache;
mod chunk;
mod counts;
mod decisions;
mod error;
mod findings;
mod follow;
mod frame;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod guard;
mod head;
mod limits;
mod lineage;
mod maintain;
mod manifest;
mod merge;
mod meta;
mod open;
mod pack;
mod quarantine;
mod query;
mod resident;
mod retention;
mod search;
mod segment;
mod stats;
mod store;
mod table;
mod terms;
mod times;
mod varint;
mod view;

pub use audit::record_beside;
pub use backup::Backup;
pub use counts::Counts;
pub use error::{Error, Result};
pub use findings::{
    Act, AlertState, Change, Changed, ClosedAlert, Finished, Gate, Raise, Said, SavedEvidence, Saving, What,
};
pub use follow::Follow;
pub use limits::Limits;
pub use meta::Template;
pub use quarantine::{QuarantineId, Resolved, StoredQuarantined};
pub use query::{Order, Query, Reading, SearchResult, parse_time, read};
pub use retention::{Deleted, Retention};
pub use search::{
    Aggregation, Budget, Clue, Clues, Facet, Ranked, Recurrence, Seen, Spread, Survey, Surveyed,
};
pub use store::{Prepared, Store};
