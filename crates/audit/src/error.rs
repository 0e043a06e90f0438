//! What can go wrong with the record.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or the directory cannot be read or written.
    #[error("the audit record in {} cannot be read or written: {source}", dir.display())]
    Io {
        /// Directory of the record.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key is no key.
    #[error("{} is no usable key: {why}; move it away, and a new one is made and noted in the record", path.display())]
    Key {
        /// File of the key.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A line cannot be written as JSON.
    #[error("an entry of the audit record cannot be written as JSON: {why}")]
    Encode {
        /// Why not.
        why: String,
    },
    /// A file of the record could not be replaced safely.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
}

impl Error {
    /// Whether the device has no space left.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Disk(error) => matches!(error, casemate_disk::Error::Full { .. }),
            _ => false,
        }
    }
}
