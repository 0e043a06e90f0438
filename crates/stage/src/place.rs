//! Does this file have the bytes it must have, and how does it get its name? Hashing, the note of what was
//! verified, and the one step that makes a file appear in the models directory.

use crate::catalog::File;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

const NOTE: &str = ".verified.json";

/// Size and hash of bytes that went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Sum {
    /// Why these are not the bytes of `file`, if they are not.
    pub(crate) fn refusal(&self, file: &File) -> Option<String> {
        if self.bytes == file.bytes && self.sha256 == file.sha256 {
            return None;
        }
        Some(format!(
            "wrong bytes, nothing kept: expected SHA-256 {} ({} bytes), got {} ({} bytes)",
            file.sha256, file.bytes, self.sha256, self.bytes
        ))
    }
}

/// Passes bytes on to a writer and sums them.
pub(crate) struct Summing<W> {
    inner: W,
    hasher: Sha256,
    pub(crate) bytes: u64,
}

impl<W: Write> Summing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn finish(mut self) -> io::Result<(W, Sum)> {
        self.inner.flush()?;
        Ok((self.inner, Sum { bytes: self.bytes, sha256: hex(self.hasher) }))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The hash in lower-case hexadecimal.
pub(crate) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Copies until the end of `from`, or until more than `limit` bytes have come.
pub(crate) fn copy_bounded(from: &mut impl Read, to: &mut impl Write, limit: u64) -> io::Result<u64> {
    io::copy(&mut from.take(limit.saturating_add(1)), to)
}

/// Hashes the file at `path`, reporting the bytes read so far.
pub(crate) fn sum_of(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<Sum> {
    let mut from = fs_err::File::open(path)?;
    let mut sums = Summing::new(io::sink());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sums.write_all(&buffer[..read])?;
        progress(sums.bytes);
    }
    sums.finish().map(|(_, sum)| sum)
}

/// Gives a verified file its final name: synced, renamed over whatever was there, and the directory synced, so
/// that the name never stands for half a file.
pub(crate) fn put(verified: &Path, target: &Path) -> io::Result<()> {
    fs_err::OpenOptions::new().write(true).open(verified)?.sync_all()?;
    let folder = target.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    fs_err::rename(verified, target)?;
    fs_err::File::open(folder)?.sync_all()
}

/// What was verified before, so that a gigabyte is not hashed again on every run: path → size, time, hash.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    modified_ns: u128,
    sha256: String,
}

impl Verified {
    /// Reads the note of the models directory; one that is missing or damaged only costs a hash.
    pub(crate) fn load(models: &Path) -> Self {
        let path = models.join(NOTE);
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        Self { path, entries: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Whether `target` is untouched since it was found to be `file`.
    pub(crate) fn knows(&self, file: &File, target: &Path) -> bool {
        let now = entry_of(file, target).ok();
        now.is_some() && self.entries.get(&file.path) == now.as_ref()
    }

    /// Notes that `target` is `file`. A note that cannot be written is no failure: the next run hashes again.
    pub(crate) fn remember(&mut self, file: &File, target: &Path) {
        let Ok(entry) = entry_of(file, target) else { return };
        self.entries.insert(file.path.clone(), entry);
        let Ok(text) = serde_json::to_string_pretty(&self.entries) else { return };
        let temporary = self.path.with_extension("json.new");
        if fs_err::File::create(&temporary).and_then(|mut to| to.write_all(text.as_bytes())).is_ok() {
            let _ = fs_err::rename(&temporary, &self.path);
        }
    }
}

fn entry_of(file: &File, target: &Path) -> io::Result<Entry> {
    let metadata = fs_err::metadata(target)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(Entry { bytes: metadata.len(), modified_ns: modified.as_nanos(), sha256: file.sha256.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn abc() -> File {
        File { path: "a.bin".into(), bytes: 3, sha256: ABC.into(), sources: Vec::new() }
    }

    #[test]
    fn sums_are_sha256() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("x"), "abc").unwrap();
        let sum = sum_of(&dir.path().join("x"), &mut |_| ()).unwrap();
        assert_eq!(sum, Sum { bytes: 3, sha256: ABC.into() });
        assert_eq!(sum.refusal(&abc()), None);
    }

    #[test]
    fn refusal_says_expected_and_got() {
        let text = Sum { bytes: 2, sha256: "00".repeat(32) }.refusal(&abc()).unwrap();
        assert!(
            text.contains(ABC) && text.contains(&"00".repeat(32)) && text.contains("(2 bytes)"),
            "{text}"
        );
    }

    #[test]
    fn copying_stops_after_the_limit() {
        let mut out = Vec::new();
        assert_eq!(copy_bounded(&mut io::repeat(7), &mut out, 10).unwrap(), 11);
    }

    #[test]
    fn a_touched_file_is_no_longer_known() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.bin");
        fs_err::write(&target, "abc").unwrap();
        Verified::load(dir.path()).remember(&abc(), &target);
        assert!(Verified::load(dir.path()).knows(&abc(), &target));
        fs_err::write(&target, "abcd").unwrap();
        assert!(!Verified::load(dir.path()).knows(&abc(), &target));
        fs_err::write(dir.path().join(NOTE), "{ half a no").unwrap();
        assert!(!Verified::load(dir.path()).knows(&abc(), &target));
    }
}
