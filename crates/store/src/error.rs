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
    #[error("query {text:?} is not understood: {reason}, at column {column}; {hint}")]
    Query {
        /// The query, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// Where, in characters from 1.
        column: usize,
        /// What to write instead.
        hint: &'static str,
    },
    /// Bad input: the index cannot decide the query, and to read all events that may match takes too long.
    #[error(
        "the search read {read} events in {seconds} s without an end; narrow it by time (earliest=-24h), or by a \
         word, an entity or a normalised field, which are found without reading"
    )]
    TooLong {
        /// Events read.
        read: u64,
        /// Time that took.
        seconds: u64,
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
    /// Full logs cannot be written as segments, and no more is taken in until they can be.
    #[error("nothing more is taken in until what is in the log can be written as a segment: {why}")]
    Behind {
        /// Why they cannot.
        why: String,
    },
    /// The directory of the store cannot be listed or changed.
    #[error("cannot list or change {}: {source}; check its owner and permissions", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
    /// A file of tables was written by a later version of the program.
    #[error(
        "{} has format version {found}, this program reads versions up to {supported}; use the program version that wrote \
         it, or restore a backup from before it was updated",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The latest version this program reads.
        supported: u64,
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
    /// The audit record cannot be read or written.
    #[error(transparent)]
    Audit(#[from] casemate_audit::Error),
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
    /// Whether bytes on disk are wrong, as opposed to the system refusing.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Disk(error) => error.is_damage(),
            _ => false,
        }
    }

    /// Whether the device has no space left.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Append { source } | Self::Disk(source) => {
                matches!(source, casemate_disk::Error::Full { .. })
            }
            Self::Audit(error) => error.is_full(),
            Self::Table { source, .. } => matches!(
                &**source,
                redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull
            ),
            _ => false,
        }
    }

    /// Whether the caller sent something wrong, as opposed to the store failing.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::TooLong { .. } | Self::Watermark { .. })
    }
}
