//! What can go wrong with the access file, each with what to do about it.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with the access file or a change of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to read it; the message names the path.
    #[error("cannot read who may do what: {0}")]
    Read(std::io::Error),
    /// The system refused to write it.
    #[error(transparent)]
    Write(#[from] casemate_disk::Error),
    /// Others than the owner may read or write it.
    #[error("{} has mode {mode:03o} and holds secrets; run `chmod 600 {}`, and revoke its tokens if others have read it", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to uid {uid}, who could let anybody in; give it to the user that runs casemate (chown)", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        uid: u32,
    },
    /// Its bytes are not what this program writes.
    #[error("{} is damaged: {why}; put it back from a backup, or remove it to begin anew with one admin token", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// A newer program wrote it.
    #[error("{} has format version {found}, this program reads up to {supported}; use the program version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Newest version this program reads.
        supported: u64,
    },
    /// It was there and is gone.
    #[error("{} is gone, so nobody is let in; put it back from a backup", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Another process is changing it, for long.
    #[error("{} has been locked by another process for {seconds} seconds; end that one, then try again", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// What was asked for cannot be a name.
    #[error(
        "{name:?} cannot be a name: use 1 to 64 of a-z, 0-9, '.', '_', '-' and '@', beginning with a letter or digit"
    )]
    Name {
        /// What was given, cut to 80 characters.
        name: String,
    },
    /// There is one already.
    #[error("there is a {what} {name:?} already; choose another name, or remove that one first")]
    Exists {
        /// Kind of entry.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is none.
    #[error("there is no {what} {name:?}")]
    Unknown {
        /// Kind of entry.
        what: &'static str,
        /// Name that was asked for.
        name: String,
    },
    /// The password is too easy to guess.
    #[error(
        "this password is refused: it {why}; use at least {} characters that nobody would guess",
        crate::MIN_PASSWORD
    )]
    Password {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file would grow past what is read.
    #[error("{} {what}s are the most there can be; remove some", limit)]
    TooMany {
        /// Kind of entry.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An entry makes no sense.
    #[error("{what} {name:?} {why}")]
    Entry {
        /// Kind of entry.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The pinned keys of the identity provider cannot be used.
    #[error("{} cannot be used as pinned keys (a JSON Web Key Set): {why}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The system has no random numbers to give.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The password hash could not be computed.
    #[error("cannot compute a password hash: {0}; is there memory left?")]
    Hash(String),
}
