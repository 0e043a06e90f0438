//! How is a whole file written so that damage is noticed when it is opened?
//!
//! A header of [`HEADER_LEN`] bytes, all integers little endian, then the payload:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic |
//! | 4 | version |
//! | 4 | CRC-32 of the payload |
//! | 8 | length of the payload |
//! | 4 | CRC-32 of the 24 bytes before |
//! | 36 | zero |

use crate::atomic::{SHARED, replace};
use crate::{Error, Map, Result};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::Path;

/// Keeps the payload aligned to a cache line.
const HEADER_LEN: usize = 64;

/// Payload of a file that [`write_checked`] wrote, inside its memory map, aligned to 64 bytes.
#[derive(Debug)]
pub struct Checked(Map);

impl Deref for Checked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.get(HEADER_LEN..).unwrap_or_default()
    }
}

impl Checked {
    /// Path it was opened by.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// An [`Error::Damaged`] at `offset` of the payload, for readers that check what the bytes mean.
    pub fn damaged(&self, offset: usize, what: impl Into<String>) -> Error {
        let offset = (HEADER_LEN + offset) as u64;
        Error::Damaged { path: self.path().to_owned(), offset, what: what.into() }
    }
}

/// Atomically writes `path` with a header that names what it is and checks what `write` wrote.
///
/// # Errors
/// As [`write_atomic`](crate::write_atomic).
pub fn write_checked(
    path: &Path,
    magic: [u8; 8],
    version: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    replace(path, SHARED, |file| {
        file.write_all(&[0; HEADER_LEN])?;
        let buffered = BufWriter::with_capacity(1 << 16, &mut *file);
        let mut payload = Summing { inner: buffered, crc: crc32fast::Hasher::new(), length: 0 };
        write(&mut payload)?;
        payload.flush()?;
        let (crc, length) = (payload.crc.clone().finalize(), payload.length);
        drop(payload);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(magic, version, crc, length))
    })
}

/// Maps a file that [`write_checked`] wrote and verifies all of it.
///
/// # Errors
/// [`Error::Foreign`], [`Error::Version`], or [`Error::Damaged`] if a bit of it differs.
pub fn open_checked(path: &Path, magic: [u8; 8], version: u32) -> Result<Checked> {
    let map = Map::open(path)?;
    let damaged =
        |offset, what: &str| Error::Damaged { path: path.to_owned(), offset, what: what.to_owned() };
    let Some((header, payload)) = map.split_at_checked(HEADER_LEN) else {
        return Err(damaged(map.len() as u64, "it ends inside its header"));
    };
    check_kind(path, header, magic)?;
    let found = u32_at(header, 8);
    if crc32fast::hash(&header[..24]) != u32_at(header, 24) || header[28..].iter().any(|&byte| byte != 0) {
        return Err(damaged(0, "its header does not match its checksum"));
    }
    if found != version {
        return Err(Error::Version { path: path.to_owned(), found, supported: version });
    }
    let length = u64::from(u32_at(header, 16)) | u64::from(u32_at(header, 20)) << 32;
    if length != payload.len() as u64 {
        let what = format!("it holds {} payload bytes where {length} were written", payload.len());
        return Err(damaged(map.len() as u64, &what));
    }
    if crc32fast::hash(payload) != u32_at(header, 12) {
        return Err(damaged(HEADER_LEN as u64, "its content does not match its checksum"));
    }
    Ok(Checked(map))
}

/// Fails with [`Error::Foreign`] unless `bytes` start with `magic`.
pub(crate) fn check_kind(path: &Path, bytes: &[u8], magic: [u8; 8]) -> Result<()> {
    if bytes.starts_with(&magic) {
        return Ok(());
    }
    let found = bytes.get(..8).unwrap_or(bytes);
    Err(Error::Foreign {
        path: path.to_owned(),
        expected: String::from_utf8_lossy(&magic).trim_end_matches('\0').to_owned(),
        found: String::from_utf8_lossy(found).into_owned(),
    })
}

/// Little-endian integer at `offset`; zero past the end.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|tail| tail.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn header(magic: [u8; 8], version: u32, crc: u32, length: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&magic);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header[16..24].copy_from_slice(&length.to_le_bytes());
    let own = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&own.to_le_bytes());
    header
}

struct Summing<W> {
    inner: W,
    crc: crc32fast::Hasher,
    length: u64,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.crc.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"CMTEST\0\0";

    fn written(payload: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_checked(&path, MAGIC, 3, |out| out.write_all(payload)).unwrap();
        (dir, path)
    }

    fn check(payload: &[u8]) {
        let (_dir, path) = written(payload);
        let opened = open_checked(&path, MAGIC, 3).unwrap();
        assert_eq!(&*opened, payload);
        assert_eq!(opened.as_ptr() as usize % 64, 0);
    }

    #[test]
    fn what_was_written_is_read() {
        check(b"");
        check(b"hello");
        check(&vec![7; 200_000]);
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let (_dir, path) = written(b"some payload of a few bytes");
        let good = fs_err::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs_err::write(&path, &bad).unwrap();
            let error = open_checked(&path, MAGIC, 3).unwrap_err();
            assert!(error.is_damage(), "bit {bit}: {error}");
        }
        for length in 0..good.len() {
            fs_err::write(&path, &good[..length]).unwrap();
            assert!(open_checked(&path, MAGIC, 3).unwrap_err().is_damage(), "cut to {length}");
        }
    }

    #[test]
    fn other_kinds_and_versions_are_named() {
        let (_dir, path) = written(b"x");
        assert!(matches!(open_checked(&path, *b"OTHER\0\0\0", 3), Err(Error::Foreign { .. })));
        let error = open_checked(&path, MAGIC, 4).unwrap_err();
        assert!(matches!(error, Error::Version { found: 3, supported: 4, .. }), "{error}");
    }
}
