//! Why is this bundle refused, or why can it not be put in place? Each with what to do about it.

use crate::key::{KeyId, Sha256};
use crate::metadata::Role;
use jiff::Timestamp;
use std::io;
use std::path::PathBuf;

/// Longest reason shown, in characters.
const MAX_REASON: usize = 300;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a bundle is refused, or what went wrong with the directory that holds releases.
///
/// After any of them the release that was active still is, untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No root is pinned yet.
    #[error("no publisher is trusted here yet; pin the root file of yours with `casemate bundle trust`")]
    NotTrusted,
    /// Another root is pinned.
    #[error(
        "root {version} ({pinned}) is pinned already and is not replaced by {offered}; a new root comes inside a \
         bundle, signed by the old one. To change the publisher, remove {} by hand", dir.display()
    )]
    AlreadyTrusted {
        /// Version of the pinned root.
        version: u64,
        /// SHA-256 of the pinned root.
        pinned: Sha256,
        /// SHA-256 of the root that was offered.
        offered: Sha256,
        /// Directory of the trusted roots.
        dir: PathBuf,
    },

    /// The file is no volume of a bundle, or was changed.
    #[error("{volume}, byte {offset}: {what}; copy the volume again from where it was made")]
    Container {
        /// The volume.
        volume: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The volume ends too early.
    #[error("{volume} ends at byte {offset}, in the middle of {what}; copy it again, it was cut off")]
    Truncated {
        /// The volume.
        volume: String,
        /// Length found.
        offset: u64,
        /// What was being read.
        what: String,
    },
    /// A link, device, directory or extension where only plain files may be.
    #[error(
        "{volume}, byte {offset}: an entry of type {kind:?}, where a bundle holds plain files only; do not use it"
    )]
    NotAFile {
        /// The volume.
        volume: String,
        /// Where in it.
        offset: u64,
        /// The type letter of the entry.
        kind: char,
    },
    /// More than a bundle may hold.
    #[error("{what} has {found}, the limit is {limit}; do not use this bundle")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Size or number found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Volumes of different bundles.
    #[error("{volume} belongs to another bundle than {other}; apply the volumes of one bundle together")]
    OtherBundle {
        /// The volume.
        volume: String,
        /// Volume it was compared with.
        other: String,
    },

    /// Not enough of the role's keys have signed.
    #[error(
        "{what} is signed by {valid} of the {threshold} keys that {by} asks for ({}); do not use this bundle, ask its \
         publisher",
        list(ignored)
    )]
    Signatures {
        /// Which document.
        what: String,
        /// Whose keys were asked.
        by: String,
        /// Valid signatures by different keys of the role.
        valid: usize,
        /// Signatures needed.
        threshold: usize,
        /// Signatures that do not count, with the reason.
        ignored: Vec<String>,
    },
    /// A signed document says what it may not.
    #[error("{what}: {reason}; ask the publisher for a corrected bundle")]
    Metadata {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that a release may not hold.
    #[error("targets.json lists {path:?}: {reason}; ask the publisher for a corrected bundle")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The chain of roots lacks one.
    #[error(
        "the bundle goes from root {have} to root {found}; a bundle must carry every root from yours on, ask for one that does"
    )]
    RootGap {
        /// Last root before the gap.
        have: u64,
        /// Next root found.
        found: u64,
    },
    /// A root that is trusted here differs from the one in the bundle.
    #[error(
        "the bundle carries another root {version} than the one trusted here; do not use it, ask its publisher"
    )]
    RootChanged {
        /// Version of both.
        version: u64,
    },
    /// The bundle was made for another root than the newest that is trusted.
    #[error(
        "the bundle was made under root {found}, the newest trusted here is {trusted}; ask for one made under root {trusted}"
    )]
    RootVersion {
        /// Version that the bundle was made under.
        found: u64,
        /// Newest trusted version.
        trusted: u64,
    },
    /// Older than what was seen before.
    #[error(
        "{role} has version {found}, {seen} was seen here before; an older bundle is refused, use the newest (to go back to the release before, `casemate bundle rollback`)"
    )]
    Rollback {
        /// Which document.
        role: Role,
        /// Version found.
        found: u64,
        /// Highest version seen.
        seen: u64,
    },
    /// Two documents of one version.
    #[error(
        "{role} {version} differs from the {role} {version} seen before; do not use this bundle, ask its publisher"
    )]
    Equivocation {
        /// Which document.
        role: Role,
        /// Version of both.
        version: u64,
    },
    /// `targets.json` is not the one that the snapshot names.
    #[error(
        "targets.json is not the one that snapshot.json names ({what}); the bundle was put together from two, do not use it"
    )]
    MixAndMatch {
        /// What differs.
        what: String,
    },
    /// Past its time.
    #[error(
        "{role} expired at {expires}, and it is {now}; use a newer bundle, or set the clock right, or let an \
         administrator override it (`--override-expiry`, which is audited)"
    )]
    Expired {
        /// Which document.
        role: Role,
        /// When it expired.
        expires: Timestamp,
        /// The time given.
        now: Timestamp,
    },
    /// The clock was set back.
    #[error(
        "the clock says {now}, but {latest} was seen before; set it right, or let an administrator override it \
         (`--override-expiry`, which is audited)"
    )]
    ClockBack {
        /// The time given.
        now: Timestamp,
        /// Latest time seen.
        latest: Timestamp,
    },
    /// Needs another version of the program.
    #[error("the bundle needs casemate {requires} or newer, this is {have}; update the program first")]
    Program {
        /// Oldest version that will do.
        requires: String,
        /// Version that was given.
        have: String,
    },

    /// A part does not have the bytes that were signed.
    #[error("{volume}: part {part} {what}; copy the volume again")]
    Part {
        /// The volume.
        volume: String,
        /// SHA-256 it should have.
        part: Sha256,
        /// What is wrong.
        what: String,
    },
    /// The parts are right and the file they make is not.
    #[error(
        "{path} made of its parts has SHA-256 {found}, targets.json says {expected}; ask the publisher for a corrected bundle"
    )]
    File {
        /// First path of the file.
        path: String,
        /// SHA-256 signed for.
        expected: Sha256,
        /// SHA-256 found.
        found: Sha256,
    },

    /// A file of the active release, which the next one would take over, is not what was staged.
    #[error(
        "{path} of the active release is missing or was changed; apply the bundle that brought {component} again"
    )]
    Damaged {
        /// Path in the release.
        path: String,
        /// Component that it belongs to.
        component: String,
    },
    /// Not enough room; intake needs the same disk.
    #[error("{} has {available} bytes free and {needed} are needed; free some, or move the data directory", dir.display())]
    NoSpace {
        /// The directory.
        dir: PathBuf,
        /// Bytes that parts still missing need, and a reserve.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// There is no such release, or it cannot be activated.
    #[error("release {number} {reason}")]
    Release {
        /// The release.
        number: u64,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// No release before the active one.
    #[error("there is no earlier release to go back to")]
    NoEarlier,
    /// Something written here earlier is not what was written.
    #[error("{}: {reason}; restore the directory from a backup, or remove it and trust the publisher anew", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused; `fs_err` names the path.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Disk full, directory in use, or not writable.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// `reason` may quote what the document says: it is cut, and nothing in it reaches a terminal as a command.
    pub(crate) fn metadata(what: impl Into<String>, reason: impl AsRef<str>) -> Self {
        let shown = reason.as_ref().chars().take(MAX_REASON);
        let reason = shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
        Self::Metadata { what: what.into(), reason }
    }

    /// Whether the bundle is at fault, as opposed to this directory, the system, or how it was called.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::NotTrusted
                | Self::AlreadyTrusted { .. }
                | Self::Damaged { .. }
                | Self::NoSpace { .. }
                | Self::Release { .. }
                | Self::NoEarlier
                | Self::State { .. }
                | Self::Io { .. }
                | Self::Disk(_)
        )
    }
}

fn list(ignored: &[String]) -> String {
    if ignored.is_empty() { "no other signature is there".to_owned() } else { ignored.join("; ") }
}

/// Why one signature does not count.
pub(crate) fn not_counted(key: &KeyId, reason: impl std::fmt::Display) -> String {
    format!("{key}: {reason}")
}
