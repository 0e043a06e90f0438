//! What can go wrong with files, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the path.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The device is full, or a quota or limit on file sizes is reached. What was there before is untouched.
    #[error("no space left to write {}; free some and try again: {source}", path.display())]
    Full {
        /// File that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory or file cannot be written.
    #[error("{} cannot be written; check its owner and permissions, or whether it is mounted read-only: {source}", path.display())]
    ReadOnly {
        /// File or directory that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not what was once written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// Damaged file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The file is of another kind.
    #[error("{} is not a {expected} file (it starts with {found:?}); was another file put there?", path.display())]
    Foreign {
        /// File of another kind.
        path: PathBuf,
        /// Magic that was expected, as text.
        expected: String,
        /// First bytes found, as text.
        found: String,
    },
    /// The file was written by another version of the program.
    #[error("{} has format version {found}, this program reads version {supported}; use the program version that wrote it", path.display())]
    Version {
        /// File of another version.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// Version this program reads.
        supported: u32,
    },
    /// Another process holds the directory.
    #[error("{} is in use by process {}; stop it or choose another directory", path.display(), holder(*pid))]
    Locked {
        /// Locked directory.
        path: PathBuf,
        /// Process that holds it, if it could be read.
        pid: Option<u32>,
    },
    /// A frame larger than the log takes.
    #[error("{} bytes are too many for one frame of {}, the limit is {limit}; split them", length, path.display())]
    TooLarge {
        /// The log.
        path: PathBuf,
        /// Length asked for.
        length: u64,
        /// Largest length.
        limit: u64,
    },
    /// An earlier write failed in a way that leaves the end of the log unknown.
    #[error("{} takes no more writes since one failed ({why}); reopen it once the cause is gone", path.display())]
    Closed {
        /// The log.
        path: PathBuf,
        /// The failure.
        why: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
}

impl Error {
    /// Wraps a failed write to `path`, telling a full disk and a read-only place apart.
    pub(crate) fn write(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path: path.into(), source },
            PermissionDenied | ReadOnlyFilesystem => Self::ReadOnly { path: path.into(), source },
            _ => Self::Io { action, source },
        }
    }

    /// Wraps a failed read; `fs_err` already named the path.
    pub(crate) fn read(action: &'static str, source: io::Error) -> Self {
        Self::Io { action, source }
    }

    /// Whether the bytes are wrong (damage, other kind, other version), as opposed to the system refusing.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Foreign { .. } | Self::Version { .. })
    }
}
