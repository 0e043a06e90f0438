//! How are frames found and verified? Through a memory map that is renewed as the log grows.

use super::HEADER_LEN;
use crate::checked::u32_at;
use crate::{Error, Map, Result};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

const MARKER: [u8; 4] = *b"CMfr";

/// Where a frame starts in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameOffset(pub u64);

impl FrameOffset {
    /// Offset of the first frame of any log.
    pub const FIRST: Self = Self(HEADER_LEN);
}

/// Reads frames of a log while another thread appends; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogReader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    identity: u64,
    end: AtomicU64,
    map: RwLock<Arc<Map>>,
}

/// Payload of one frame.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    header: FrameHeader,
}

/// Where the payload of a frame is.
#[derive(Debug, Clone)]
enum Bytes {
    /// In the log, mapped by the process that writes it.
    Mapped(Arc<Map>),
    /// In memory, read from the log at this path.
    Read(Arc<PathBuf>, Arc<[u8]>),
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map.get(self.header.payload()).unwrap_or_default(),
            Bytes::Read(_, payload) => payload,
        }
    }
}

impl Frame {
    /// The frame behind `header`, if its payload is the one that was written.
    fn mapped(map: Arc<Map>, header: FrameHeader) -> Option<Self> {
        Self { bytes: Bytes::Mapped(map), header }.checked()
    }

    /// The frame of this payload, if it is the one that was written.
    pub(super) fn read(path: Arc<PathBuf>, payload: Vec<u8>, header: FrameHeader) -> Option<Self> {
        Self { bytes: Bytes::Read(path, payload.into()), header }.checked()
    }

    fn checked(self) -> Option<Self> {
        (crc32fast::hash(&self) == self.header.payload_crc).then_some(self)
    }

    /// Where the frame starts.
    pub fn offset(&self) -> FrameOffset {
        FrameOffset(self.header.offset)
    }

    /// Where the next one starts.
    pub fn next(&self) -> FrameOffset {
        FrameOffset(self.header.end())
    }

    /// An [`Error::Damaged`] at `offset` of the payload, for readers that check what the bytes mean.
    pub fn damaged(&self, offset: usize, what: impl Into<String>) -> Error {
        let offset = self.header.payload().start as u64 + offset as u64;
        let path = match &self.bytes {
            Bytes::Mapped(map) => map.path(),
            Bytes::Read(path, _) => path,
        };
        Error::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}

impl LogReader {
    pub(super) fn new(path: &Path, identity: u64, end: u64) -> Result<Self> {
        let map = RwLock::new(Arc::new(Map::open(path)?));
        Ok(Self(Arc::new(Shared { path: path.to_owned(), identity, end: AtomicU64::new(end), map })))
    }

    /// Path of the log.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where the next frame will be.
    pub(super) fn end(&self) -> FrameOffset {
        FrameOffset(self.0.end.load(Ordering::Acquire))
    }

    /// Payload of the frame at `offset`, verified.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is no whole and unchanged frame at `offset`.
    pub(super) fn read(&self, offset: FrameOffset) -> Result<Frame> {
        let damaged = || Error::Damaged {
            path: self.0.path.clone(),
            offset: offset.0,
            what: "there is no frame here".to_owned(),
        };
        let end = self.end().0;
        if offset.0 >= end {
            return Err(damaged());
        }
        let map = self.map_up_to(end)?;
        let header = FrameHeader::read(&map, offset.0, self.0.identity).ok_or_else(damaged)?;
        let unlike = || Error::Damaged {
            path: self.0.path.clone(),
            offset: header.payload().start as u64,
            what: "the frame does not match its checksum".to_owned(),
        };
        Frame::mapped(map, header).ok_or_else(unlike)
    }

    /// Verified frames from `offset` up to the end as it is when it is reached. Ends after an error.
    pub(super) fn frames(&self, from: FrameOffset) -> Frames {
        Frames { reader: self.clone(), next: Some(from) }
    }

    pub(super) fn identity(&self) -> u64 {
        self.0.identity
    }

    pub(super) fn set_end(&self, end: u64) {
        self.0.end.store(end, Ordering::Release);
    }

    fn map_up_to(&self, end: u64) -> Result<Arc<Map>> {
        let current = Arc::clone(&self.0.map.read().unwrap_or_else(PoisonError::into_inner));
        if current.len() as u64 >= end {
            return Ok(current);
        }
        let renewed = Arc::new(Map::open(&self.0.path)?);
        *self.0.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&renewed);
        Ok(renewed)
    }
}

/// Iterator over the frames of a log.
#[derive(Debug)]
pub struct Frames {
    reader: LogReader,
    next: Option<FrameOffset>,
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.next.take().filter(|&offset| offset < self.reader.end())?;
        let frame = self.reader.read(offset);
        self.next = frame.as_ref().ok().map(Frame::next);
        Some(frame)
    }
}

/// The 16 bytes before a payload, and where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) offset: u64,
    length: u32,
    payload_crc: u32,
    pub(super) own_crc: u32,
}

impl FrameHeader {
    pub(super) const LEN: u64 = 16;

    /// Header for `payload`, whose length the caller has checked.
    pub(super) fn new(offset: u64, identity: u64, payload: &[u8]) -> Self {
        let mut header =
            Self { offset, length: payload.len() as u32, payload_crc: crc32fast::hash(payload), own_crc: 0 };
        header.own_crc = header.checksum(identity);
        header
    }

    /// Header at `offset`, if one that belongs there is, and its payload lies within `bytes`.
    pub(super) fn read(bytes: &[u8], offset: u64, identity: u64) -> Option<Self> {
        let header = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk()?;
        Self::parse(header, offset, identity).filter(|found| found.end() <= bytes.len() as u64)
    }

    /// The header that these bytes at `offset` are, if they are one that belongs there.
    pub(super) fn parse(header: &[u8; Self::LEN as usize], offset: u64, identity: u64) -> Option<Self> {
        let found = Self {
            offset,
            length: u32_at(header, 4),
            payload_crc: u32_at(header, 8),
            own_crc: u32_at(header, 12),
        };
        (header.starts_with(&MARKER) && found.own_crc == found.checksum(identity)).then_some(found)
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN as usize] {
        let mut bytes = [0; Self::LEN as usize];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[12..].copy_from_slice(&self.own_crc.to_le_bytes());
        bytes
    }

    /// Where the frame ends.
    pub(super) fn end(&self) -> u64 {
        self.offset + Self::LEN + u64::from(self.length)
    }

    pub(super) fn payload_len(&self) -> usize {
        self.length as usize
    }

    fn payload(&self) -> Range<usize> {
        (self.offset + Self::LEN) as usize..self.end() as usize
    }

    fn checksum(&self, identity: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&MARKER);
        hasher.update(&self.length.to_le_bytes());
        hasher.update(&self.payload_crc.to_le_bytes());
        hasher.update(&self.offset.to_le_bytes());
        hasher.update(&identity.to_le_bytes());
        hasher.finalize()
    }
}

/// A frame boundary and the frame before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) last: Option<FrameHeader>,
}

/// Verifies frames from `start` and returns where the good ones end.
///
/// # Errors
/// [`Error::Damaged`] if a good frame follows a bad one.
pub(super) fn scan(path: &Path, bytes: &[u8], identity: u64, start: Position) -> Result<Position> {
    let mut position = start;
    while position.offset < bytes.len() as u64 {
        let header = FrameHeader::read(bytes, position.offset, identity).filter(|header| {
            bytes.get(header.payload()).is_some_and(|payload| crc32fast::hash(payload) == header.payload_crc)
        });
        match header {
            Some(header) => position = Position { offset: header.end(), last: Some(header) },
            None if frame_follows(bytes, position.offset, identity) => {
                return Err(Error::Damaged {
                    path: path.to_owned(),
                    offset: position.offset,
                    what: "a frame does not match its checksum, and good frames follow; restore the file from a backup".to_owned(),
                });
            }
            None => break,
        }
    }
    Ok(position)
}

/// Whether any frame header stands behind `offset`.
fn frame_follows(bytes: &[u8], offset: u64, identity: u64) -> bool {
    let first = offset as usize + 1;
    let tail = bytes.get(first..).unwrap_or_default();
    tail.windows(MARKER.len())
        .enumerate()
        .filter(|(_, window)| *window == MARKER)
        .any(|(index, _)| FrameHeader::read(bytes, (first + index) as u64, identity).is_some())
}
