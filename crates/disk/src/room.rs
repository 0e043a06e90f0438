//! How much room does the file system of a directory have?

use crate::{Error, Result};
use std::path::Path;

/// Room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// That is left for whoever is not root.
    pub free: u64,
    /// In all.
    pub all: u64,
}

/// Room of the file system that holds `dir`.
///
/// # Errors
/// The system's refusal.
pub fn room(dir: &Path) -> Result<Room> {
    let found = rustix::fs::statvfs(dir).map_err(|error| Error::Io {
        action: "tell how much room the disk has",
        source: std::io::Error::new(error.kind(), format!("{}: {error}", dir.display())),
    })?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        all: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_some_and_none_of_what_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let found = room(dir.path()).unwrap();
        assert!(found.all >= found.free && found.all > 0);
        assert!(room(&dir.path().join("missing")).is_err());
    }
}
