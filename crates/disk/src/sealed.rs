//! How is a large file written once so that damage is noticed by whoever touches it, and opening costs nothing?
//!
//! A header of [`HEADER_LEN`] bytes, the payload, a checksum for every [`PAGE`] of it, and a trailer. All
//! integers little endian.
//!
//! | header | what | | trailer | what |
//! |---|---|---|---|---|
//! | 8 | magic | | 8 | length of the payload |
//! | 4 | version | | 4 | CRC-32 of the checksums |
//! | 4 | CRC-32 of the 12 bytes before | | 8 | magic |
//! | 48 | zero | | 4 | CRC-32 of the 20 bytes before |
//!
//! Opening checks header, trailer and the checksums' own checksum; a page is checked when it is first asked
//! for. A checksum also covers the number of its page, so no page passes for another.

use crate::atomic::{SHARED, replace};
use crate::checked::{check_kind, u32_at};
use crate::{Error, Map, Result};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keeps the payload aligned to a cache line.
const HEADER_LEN: usize = 64;
const TRAILER_LEN: usize = 24;
/// Bytes under one checksum.
const PAGE: usize = 64 << 10;

/// A file that [`write_sealed`] wrote, mapped. Pages are verified when they are first read.
#[derive(Debug)]
pub struct Sealed {
    map: Map,
    length: usize,
    /// One bit a page: whether it has been verified.
    verified: Box<[AtomicU64]>,
}

/// Atomically writes `path` as magic, version, what `write` wrote, and its checksums.
///
/// # Errors
/// As [`write_atomic`](crate::write_atomic).
pub fn write_sealed(
    path: &Path,
    magic: [u8; 8],
    version: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    replace(path, SHARED, |file| {
        file.write_all(&header(magic, version))?;
        let mut pages = Pages::new(BufWriter::with_capacity(PAGE, file));
        write(&mut pages)?;
        pages.finish(magic)
    })
}

impl Sealed {
    /// Maps `path`. Costs the checksums of its pages (4 bytes per 64 KiB), not its length.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Version`], or [`Error::Damaged`] if header, trailer or the list of
    /// checksums is not what was written, or the file is cut or extended.
    pub fn open(path: &Path, magic: [u8; 8], version: u32) -> Result<Self> {
        let map = Map::open(path)?;
        let damaged = |offset: usize, what: &str| Error::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            what: what.to_owned(),
        };
        let header = map.get(..HEADER_LEN).ok_or_else(|| damaged(map.len(), "it ends inside its header"))?;
        check_kind(path, header, magic)?;
        if crc32fast::hash(&header[..12]) != u32_at(header, 12) || header[16..].iter().any(|&byte| byte != 0)
        {
            return Err(damaged(0, "its header does not match its checksum"));
        }
        let found = u32_at(header, 8);
        if found != version {
            return Err(Error::Version { path: path.to_owned(), found, supported: version });
        }
        let cut = || damaged(map.len(), "it ends without its trailer: it was cut, or never finished");
        let at = map.len().checked_sub(TRAILER_LEN).filter(|at| *at >= HEADER_LEN).ok_or_else(cut)?;
        let trailer = &map[at..];
        if crc32fast::hash(&trailer[..20]) != u32_at(trailer, 20) || trailer[12..20] != magic {
            return Err(cut());
        }
        let length = u64::from(u32_at(trailer, 0)) | u64::from(u32_at(trailer, 4)) << 32;
        let fits = usize::try_from(length).ok().filter(|length| {
            length.checked_add(HEADER_LEN + TRAILER_LEN + length.div_ceil(PAGE) * 4) == Some(map.len())
        });
        let length = fits.ok_or_else(|| damaged(at, "its length is not what its trailer says"))?;
        if crc32fast::hash(&map[HEADER_LEN + length..at]) != u32_at(trailer, 8) {
            return Err(damaged(HEADER_LEN + length, "its list of checksums is damaged"));
        }
        let verified = (0..length.div_ceil(PAGE).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { map, length, verified })
    }

    /// Length of the payload.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Lets go of the memory that its pages take; they are read again when needed, and stay verified.
    pub fn release(&self) {
        self.map.release(0..self.map.len());
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Path it was opened by.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Part of the payload, each of its pages verified now or before. The payload starts on a cache line.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the part lies outside the payload or a page differs from what was written.
    #[inline]
    pub fn bytes(&self, part: Range<usize>) -> Result<&[u8]> {
        if part.start > part.end || part.end > self.length {
            return Err(self.damaged(part.start, "something in it points outside of it"));
        }
        if part.is_empty() {
            return Ok(&[]);
        }
        for page in part.start / PAGE..=(part.end - 1) / PAGE {
            if self.verified[page / 64].load(Ordering::Acquire) & 1 << (page % 64) == 0 {
                self.verify(page)?;
            }
        }
        Ok(&self.map[HEADER_LEN + part.start..HEADER_LEN + part.end])
    }

    /// Verifies every page.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the offset of the first page that differs.
    pub fn verify_all(&self) -> Result<()> {
        (0..self.length.div_ceil(PAGE)).try_for_each(|page| self.verify(page))
    }

    /// An [`Error::Damaged`] at `offset` of the payload, for readers that check what the bytes mean.
    pub fn damaged(&self, offset: usize, what: impl Into<String>) -> Error {
        let offset = HEADER_LEN.saturating_add(offset) as u64;
        Error::Damaged { path: self.path().to_owned(), offset, what: what.into() }
    }

    #[cold]
    fn verify(&self, page: usize) -> Result<()> {
        let start = page * PAGE;
        let bytes = &self.map[HEADER_LEN + start..HEADER_LEN + self.length.min(start + PAGE)];
        if checksum(page, bytes) != u32_at(&self.map, HEADER_LEN + self.length + page * 4) {
            return Err(self.damaged(start, "a page of it does not match its checksum"));
        }
        self.verified[page / 64].fetch_or(1 << (page % 64), Ordering::Release);
        Ok(())
    }
}

fn checksum(page: usize, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes);
    hasher.update(&(page as u64).to_le_bytes());
    hasher.finalize()
}

fn header(magic: [u8; 8], version: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&magic);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    let own = crc32fast::hash(&header[..12]);
    header[12..16].copy_from_slice(&own.to_le_bytes());
    header
}

/// Passes bytes on and notes the checksum of each page.
struct Pages<W> {
    inner: W,
    hasher: crc32fast::Hasher,
    checksums: Vec<u8>,
    length: u64,
}

impl<W: Write> Pages<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: crc32fast::Hasher::new(), checksums: Vec::new(), length: 0 }
    }

    fn close_page(&mut self) {
        let page = self.checksums.len() as u64 / 4;
        self.hasher.update(&page.to_le_bytes());
        let checksum = std::mem::take(&mut self.hasher).finalize();
        self.checksums.extend(checksum.to_le_bytes());
    }

    fn finish(mut self, magic: [u8; 8]) -> io::Result<()> {
        if !self.length.is_multiple_of(PAGE as u64) {
            self.close_page();
        }
        let mut trailer = Vec::with_capacity(TRAILER_LEN);
        trailer.extend(self.length.to_le_bytes());
        trailer.extend(crc32fast::hash(&self.checksums).to_le_bytes());
        trailer.extend(magic);
        trailer.extend(crc32fast::hash(&trailer).to_le_bytes());
        self.inner.write_all(&self.checksums)?;
        self.inner.write_all(&trailer)?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Pages<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PAGE - (self.length % PAGE as u64) as usize;
        let count = self.inner.write(&bytes[..bytes.len().min(room)])?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        if count == room {
            self.close_page();
        }
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
        write_sealed(&path, MAGIC, 3, |out| out.write_all(payload)).unwrap();
        (dir, path)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 31 % 251) as u8).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 17] {
            let payload = bytes(length);
            let (_dir, path) = written(&payload);
            let sealed = Sealed::open(&path, MAGIC, 3).unwrap();
            assert_eq!(sealed.len(), length);
            assert_eq!(sealed.bytes(0..length).unwrap(), payload);
            assert_eq!(sealed.bytes(length / 2..length).unwrap(), &payload[length / 2..]);
            assert!(sealed.bytes(0..length + 1).unwrap_err().is_damage());
            sealed.verify_all().unwrap();
        }
    }

    #[test]
    fn a_flip_is_noticed_when_its_page_is_read() {
        let (_dir, path) = written(&bytes(2 * PAGE + 40));
        let good = fs_err::read(&path).unwrap();
        for at in (0..good.len()).step_by(977).chain(0..HEADER_LEN).chain(good.len() - 64..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs_err::write(&path, &bad).unwrap();
            let read = Sealed::open(&path, MAGIC, 3).and_then(|sealed| sealed.verify_all());
            assert!(read.unwrap_err().is_damage(), "byte {at}");
        }
    }

    #[test]
    fn a_flip_elsewhere_does_no_harm() {
        let (_dir, path) = written(&bytes(3 * PAGE));
        let mut file = fs_err::read(&path).unwrap();
        file[HEADER_LEN + 2 * PAGE + 5] ^= 1;
        fs_err::write(&path, &file).unwrap();
        let sealed = Sealed::open(&path, MAGIC, 3).unwrap();
        assert_eq!(sealed.bytes(0..2 * PAGE).unwrap(), bytes(2 * PAGE));
        let error = sealed.bytes(2 * PAGE - 1..2 * PAGE + 1).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }

    #[test]
    fn every_cut_is_noticed() {
        let (_dir, path) = written(&bytes(PAGE + 9));
        let good = fs_err::read(&path).unwrap();
        for length in (0..good.len()).step_by(991).chain(good.len() - 40..good.len()) {
            fs_err::write(&path, &good[..length]).unwrap();
            assert!(Sealed::open(&path, MAGIC, 3).unwrap_err().is_damage(), "cut to {length}");
        }
        fs_err::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(Sealed::open(&path, MAGIC, 3).unwrap_err().is_damage());
    }

    #[test]
    fn pages_do_not_pass_for_each_other() {
        let (_dir, path) = written(&[bytes(PAGE), vec![1; PAGE]].concat());
        let mut file = fs_err::read(&path).unwrap();
        let (first, second) = file[HEADER_LEN..].split_at_mut(PAGE);
        first.swap_with_slice(&mut second[..PAGE]);
        let sums = HEADER_LEN + 2 * PAGE;
        let swapped = [&file[sums + 4..sums + 8], &file[sums..sums + 4]].concat();
        file[sums..sums + 8].copy_from_slice(&swapped);
        fs_err::write(&path, &file).unwrap();
        assert!(Sealed::open(&path, MAGIC, 3).is_err());
    }
}
