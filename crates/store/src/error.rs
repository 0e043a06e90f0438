//! What can go wrong in a store. A query that makes no sense is told apart from a store that does not work.

use casemate_event::EventId;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bad input: the query text does not parse.
    #[error("query {text:?} is not understood: {reason}; {hint}")]
    Query {
        /// The query, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// Bad input: a consumer cannot have come further than the events there are.
    #[error("watermark {name:?} cannot be set to event {id}: the last event is {last}")]
    Watermark {
        /// Name of the consumer.
        name: String,
        /// Where it says it is.
        id: EventId,
        /// The last event stored.
        last: EventId,
    },
    /// Nothing of a batch was stored; what was stored before is safe.
    #[error("nothing of the batch was stored: {source}")]
    Append {
        /// Why.
        source: casemate_disk::Error,
    },
    /// A file of the store cannot be read or written, or is damaged.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
    /// A file that cannot be rebuilt is damaged.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Damaged file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// A table cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Table {
        /// What was attempted.
        action: &'static str,
        /// File of the tables.
        path: PathBuf,
        /// What redb said.
        source: Box<redb::Error>,
    },
    /// The text index cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Text {
        /// What was attempted.
        action: &'static str,
        /// Directory of the index.
        path: PathBuf,
        /// What tantivy said.
        source: Box<tantivy::TantivyError>,
    },
    /// A value cannot be encoded.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// Which value.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// Whether the caller sent something wrong, as opposed to the store failing.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::Watermark { .. })
    }
}
