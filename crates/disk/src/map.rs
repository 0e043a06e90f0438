//! Read-only memory maps: the one place in Casemate that maps memory.
#![allow(unsafe_code)]

use crate::{Error, Result};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

/// Bytes of files that this process has in memory through maps, as the kernel counts them; `None` where it does not say.
pub fn mapped_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    let counts = fs_err::read_to_string("/proc/self/statm").ok()?;
    counts.split(' ').nth(2)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}

/// A file's bytes, mapped read-only. Starts on a page boundary.
#[derive(Debug)]
pub struct Map {
    map: memmap2::Mmap,
    path: PathBuf,
}

impl Map {
    /// Maps the whole of `path` as it is now; bytes appended later are not seen.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened or mapped.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = fs_err::File::open(path).map_err(|e| Error::read("open for mapping", e))?;
        // SAFETY: a mapping is sound while nobody shortens or rewrites the mapped bytes. Casemate's files
        // are either replaced as a whole by rename (the mapped inode lives on) or appended to by the one
        // process that holds the directory's lock; a log shortened on recovery is not mapped at the time.
        // Someone editing files under a running program can still crash it, as with any database.
        let map =
            unsafe { memmap2::Mmap::map(file.file()) }.map_err(|e| Error::read("map into memory", e))?;
        Ok(Self { map, path: path.to_owned() })
    }

    /// Lets go of the memory that a part of the file takes while mapped; it is read again when needed. Only
    /// whole pages inside the part are let go.
    pub fn release(&self, part: Range<usize>) {
        #[cfg(unix)]
        {
            const PAGE: usize = 4096;
            let (start, end) =
                (part.start.next_multiple_of(PAGE), part.end.min(self.map.len()) / PAGE * PAGE);
            if start < end {
                // SAFETY: pages of a file mapped read-only are only dropped from memory; reading them
                // again brings the same bytes.
                let advised = unsafe {
                    self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
                };
                // A hint: where it is refused, the memory stays in use.
                drop(advised);
            }
        }
    }

    /// Path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs_err::write(&path, b"").unwrap();
        assert_eq!(&*Map::open(&path).unwrap(), b"");
        fs_err::write(&path, b"abc").unwrap();
        assert_eq!(&*Map::open(&path).unwrap(), b"abc");
        let message = Map::open(dir.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("none"), "{message}");
    }
}
