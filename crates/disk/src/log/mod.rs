//! How are records appended so that what was acknowledged is still there after a crash?
//!
//! A log is a header and then frames, each written once and never changed. All integers little endian.
//!
//! | header | what | | frame | what |
//! |---|---|---|---|---|
//! | 8 | magic | | 4 | marker `CMfr` |
//! | 4 | version | | 4 | length of the payload |
//! | 8 | identity: random, tells logs apart | | 4 | CRC-32 of the payload |
//! | 4 | CRC-32 of the 20 bytes before | | 4 | CRC-32 of the 12 bytes before, offset and identity |
//! | 8 | zero | | … | payload |
//!
//! The checksum of a frame's header covers its own place, so bytes that merely look like a frame (a log
//! stored in a log) are not mistaken for one. A bad frame with a good one after it is damage, an error that
//! names the offset. A bad frame at the very end is a torn write: its bytes are kept beside the log and cut
//! off, unless a [`Mark`] says that they had been acknowledged.

mod follow;
mod mark;
mod reader;

#[cfg(test)]
mod tests;

pub use follow::LogFollower;
pub use mark::Mark;
use reader::LogReader;
pub use reader::{Frame, FrameOffset, Frames};

use crate::atomic::{parent, sync_dir, write_atomic};
use crate::checked::{check_kind, u32_at};
use crate::{Error, Map, Result};
use fs_err::{File, OpenOptions};
use reader::FrameHeader;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER_LEN: u64 = 32;

/// Longest payload. Below 2³² so that a length fits, and small enough to map without thought.
pub const MAX_FRAME: u64 = 1 << 30;

/// An append-only file of checksummed frames, open for writing. One writer at a time: hold a
/// [`DirLock`](crate::DirLock).
#[derive(Debug)]
pub struct Log {
    file: File,
    reader: LogReader,
    /// Up to here frames are written.
    end: u64,
    /// Up to here frames are on the device.
    synced: u64,
    last: Option<FrameHeader>,
    /// Why no more can be written, once that is so.
    closed: Option<String>,
}

/// What opening a log found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// A write that was cut short, if there was one.
    pub torn: Option<Torn>,
    /// Whether the mark given belongs to this log. False without a mark.
    pub mark_fits: bool,
}

/// The remains of a write that never completed and was never acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it began.
    pub offset: u64,
    /// How many bytes were cut off.
    pub length: u64,
    /// File beside the log that keeps them.
    pub kept: PathBuf,
}

/// Frames on their way to the device.
#[derive(Debug)]
pub struct PendingSync {
    file: File,
    end: u64,
}

impl PendingSync {
    /// Where the frames end.
    pub fn end(&self) -> FrameOffset {
        FrameOffset(self.end)
    }

    /// Waits until they are on the device.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn wait(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Log {
    /// Opens the log at `path`, or creates it, and verifies every frame.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Version`], [`Error::Damaged`] with the offset of the first bad frame, or
    /// the system's refusal.
    pub fn open(path: &Path, magic: [u8; 8], version: u32) -> Result<(Self, Recovery)> {
        Self::open_marked(path, magic, version, None)
    }

    /// As [`open`](Self::open), verifying only what comes after `mark`, up to which the caller knows that
    /// the log was acknowledged. A mark of another log is ignored.
    ///
    /// # Errors
    /// As [`open`](Self::open); a log that is shorter or other than the mark says is [`Error::Damaged`].
    pub fn open_marked(
        path: &Path,
        magic: [u8; 8],
        version: u32,
        mark: Option<Mark>,
    ) -> Result<(Self, Recovery)> {
        if !path.try_exists().map_err(|e| Error::read("look for log", e))? {
            create(path, magic, version)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| Error::write(path, "open log", e))?;
        let map = Map::open(path)?;
        let identity = read_header(path, &map, magic, version)?;
        let mark = mark.filter(|mark| mark.identity == identity);
        let start = match &mark {
            Some(mark) => mark.verify(path, &map)?,
            None => reader::Position { offset: HEADER_LEN, last: None },
        };
        let scan = reader::scan(path, &map, identity, start)?;
        let length = map.len() as u64;
        drop(map);
        let torn = if scan.offset < length { Some(cut(path, &file, scan.offset, length)?) } else { None };
        let reader = LogReader::new(path, identity, scan.offset)?;
        let log = Self { file, reader, end: scan.offset, synced: scan.offset, last: scan.last, closed: None };
        Ok((log, Recovery { torn, mark_fits: mark.is_some() }))
    }

    /// Appends one frame. It is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`Error::Full`] and others leave the log as it was and usable; [`Error::Closed`] does not.
    pub fn append(&mut self, payload: &[u8]) -> Result<FrameOffset> {
        self.check_open()?;
        let path = self.reader.path();
        let length = payload.len() as u64;
        if length > MAX_FRAME {
            return Err(Error::TooLarge { path: path.to_owned(), length, limit: MAX_FRAME });
        }
        let offset = self.end;
        let header = FrameHeader::new(offset, self.reader.identity(), payload);
        let file = self.file.file();
        let written = file
            .write_all_at(&header.to_bytes(), offset)
            .and_then(|()| file.write_all_at(payload, offset + FrameHeader::LEN));
        if let Err(e) = written {
            let error = Error::write(path, "append to log", e);
            self.cut_back(offset);
            return Err(error);
        }
        self.end = header.end();
        self.last = Some(header);
        self.reader.set_end(self.end);
        Ok(FrameOffset(offset))
    }

    /// Waits until everything appended is on the device.
    ///
    /// # Errors
    /// After a failure nothing is known about the frames since the last success: they are cut off and the
    /// log closes, because a second attempt could succeed without having written them.
    pub fn sync(&mut self) -> Result<()> {
        self.check_open()?;
        if self.synced == self.end {
            return Ok(());
        }
        let pending = self.pending()?;
        let outcome = pending.wait();
        self.settle(&pending, outcome)
    }

    /// What [`sync`](Self::sync) would wait for now, to be waited for while others append. Hand the outcome
    /// to [`settle`](Self::settle).
    ///
    /// # Errors
    /// [`Error::Closed`], or the system's refusal.
    pub fn pending(&self) -> Result<PendingSync> {
        self.check_open()?;
        let file =
            self.file.try_clone().map_err(|e| Error::write(self.reader.path(), "make log durable", e))?;
        Ok(PendingSync { file, end: self.end })
    }

    /// Notes the outcome of a wait.
    ///
    /// # Errors
    /// As [`sync`](Self::sync): after a failure everything not known to be durable is cut off.
    pub fn settle(&mut self, pending: &PendingSync, outcome: io::Result<()>) -> Result<()> {
        self.check_open()?;
        if let Err(e) = outcome {
            let error = Error::write(self.reader.path(), "make log durable", e);
            self.cut_back(self.synced);
            self.closed = Some(error.to_string());
            return Err(error);
        }
        self.synced = self.synced.max(pending.end);
        Ok(())
    }

    /// Payload of the frame at `offset`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is no whole and unchanged frame at `offset`.
    pub fn read(&self, offset: FrameOffset) -> Result<Frame> {
        self.reader.read(offset)
    }

    /// Frames from `offset` on ([`FrameOffset::FIRST`] for all).
    pub fn frames(&self, from: FrameOffset) -> Frames {
        self.reader.frames(from)
    }

    /// Where the next frame will be.
    pub fn end(&self) -> FrameOffset {
        FrameOffset(self.end)
    }

    /// What is written so far, to be handed to [`open_marked`](Self::open_marked) later. Only meaningful
    /// once [`sync`](Self::sync) succeeded.
    pub fn mark(&self) -> Mark {
        Mark::new(self.reader.identity(), self.end, self.last)
    }

    fn check_open(&self) -> Result<()> {
        match &self.closed {
            None => Ok(()),
            Some(why) => Err(Error::Closed { path: self.reader.path().to_owned(), why: why.clone() }),
        }
    }

    /// Removes what lies past `end`; if even that fails, closes the log.
    fn cut_back(&mut self, end: u64) {
        if let Err(e) = self.file.set_len(end) {
            self.closed = Some(format!("the unfinished write could not be removed: {e}"));
        }
        if self.end > end {
            self.end = end;
            self.last = None;
            self.reader.set_end(end);
        }
    }
}

fn create(path: &Path, magic: [u8; 8], version: u32) -> Result<()> {
    use std::hash::{BuildHasher, Hasher};
    // `RandomState` is the standard library's source of random bits.
    let identity = std::hash::RandomState::new().build_hasher().finish();
    let mut header = Vec::with_capacity(HEADER_LEN as usize);
    header.extend(magic);
    header.extend(version.to_le_bytes());
    header.extend(identity.to_le_bytes());
    header.extend(crc32fast::hash(&header).to_le_bytes());
    header.resize(HEADER_LEN as usize, 0);
    write_atomic(path, |out| out.write_all(&header))
}

/// Checks the header of the log and returns its identity.
fn read_header(path: &Path, bytes: &[u8], magic: [u8; 8], version: u32) -> Result<u64> {
    let damaged =
        |offset, what: &str| Error::Damaged { path: path.to_owned(), offset, what: what.to_owned() };
    check_kind(path, bytes, magic)?;
    let Some(header) = bytes.get(..HEADER_LEN as usize) else {
        return Err(damaged(bytes.len() as u64, "it ends inside its header"));
    };
    if crc32fast::hash(&header[..20]) != u32_at(header, 20) || header[24..].iter().any(|&byte| byte != 0) {
        return Err(damaged(0, "its header does not match its checksum"));
    }
    let found = u32_at(header, 8);
    if found != version {
        return Err(Error::Version { path: path.to_owned(), found, supported: version });
    }
    Ok(u64::from(u32_at(header, 12)) | u64::from(u32_at(header, 16)) << 32)
}

/// Keeps the bytes from `offset` on in a file beside the log, then cuts them off.
fn cut(path: &Path, file: &File, offset: u64, length: u64) -> Result<Torn> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".torn-{offset}"));
    let kept = parent(path).join(name);
    let map = Map::open(path)?;
    let tail = map.get(offset as usize..).unwrap_or_default();
    write_atomic(&kept, |out| out.write_all(tail))?;
    drop(map);
    let cut = || -> io::Result<()> {
        file.set_len(offset)?;
        file.sync_all()?;
        sync_dir(parent(path))
    };
    cut().map_err(|e| Error::write(path, "cut torn write off log", e))?;
    Ok(Torn { offset, length: length - offset, kept })
}
