//! What can be wrong with vectors, or with the file that holds them.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be written or read, or is damaged.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
    /// The operating system refused; the message names the path.
    #[error("cannot look beside the index: {0}")]
    Io(#[source] std::io::Error),
    /// Vectors or query of the wrong length.
    #[error("{what} has {found} numbers where {expected} are needed")]
    Dimension {
        /// What was given.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it has to be.
        expected: usize,
    },
    /// A vector with a number that is not finite, or without a direction.
    #[error("the vector of {what} is {problem}; cosine similarity needs finite numbers, not all zero")]
    BadVector {
        /// Which vector.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Ids to search among that are not in ascending order.
    #[error("the ids to search among are not in ascending order; sort them first")]
    Unordered,
    /// An id given twice.
    #[error("id {0} is given twice; an id has one vector")]
    DuplicateId(u64),
    /// Parameters or amounts out of range.
    #[error("{name} is {found} and has to be {range}")]
    OutOfRange {
        /// Which one.
        name: &'static str,
        /// What was given.
        found: usize,
        /// What is allowed.
        range: &'static str,
    },
}

impl Error {
    /// Whether the file is not what was written, as opposed to bad input or the system refusing.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_damage())
    }
}
