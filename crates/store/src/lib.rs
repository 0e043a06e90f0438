//! Which events? Durable append, and search by time, entity, field and text.
//!
//! A data directory holds, under `store/`:
//!
//! | file | what | if it is lost |
//! |---|---|---|
//! | `events.log` | every event and quarantined record, one checksummed frame per batch: the truth | gone |
//! | `findings.redb` | alerts, investigations, how far detection has come | alerts are raised again |
//! | `meta.redb` | where events are, templates, sources, counters | rebuilt from the log on open |
//! | `text/` | tantivy index | rebuilt from the log on open |
//!
//! What is derived remembers how much of the log it has taken in, and only the rest is replayed on open.
//! This crate numbers events and alerts and gives them back. It parses no log format, matches no rule and
//! knows nothing of embeddings.

mod counts;
mod directory;
mod error;
mod findings;
mod guard;
mod meta;
mod query;
mod record;
mod store;
mod table;
mod text;

pub use counts::Counts;
pub use error::{Error, Result};
pub use findings::Raise;
pub use meta::Template;
pub use query::{Order, Query, SearchResult};
pub use store::Store;
