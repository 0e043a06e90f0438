//! What has been appended to a log since the last look? For another process than the one that writes it.

use super::reader::{Frame, FrameHeader, FrameOffset};
use super::{HEADER_LEN, read_header};
use crate::{Map, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the frames of a log that somebody else may be writing; takes no lock and changes nothing.
///
/// What it gives may not be on the device yet.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    identity: u64,
    next: u64,
}

impl LogFollower {
    /// Follows the log at `path` from its first frame.
    ///
    /// # Errors
    /// As [`Log::open`](crate::Log::open), for the header alone; nothing is made if nothing is there.
    pub fn open(path: &Path, magic: [u8; 8], version: u32) -> Result<Self> {
        let map = Map::open(path)?;
        let identity = read_header(path, &map, magic, version)?;
        Ok(Self { path: path.to_owned(), identity, next: HEADER_LEN })
    }

    /// Passes over what is there already.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn skip(&mut self) -> Result<()> {
        let map = Map::open(&self.path)?;
        while let Some(header) = FrameHeader::read(&map, self.next, self.identity) {
            self.next = header.end();
        }
        Ok(())
    }

    /// The next frame, if it is there as a whole.
    ///
    /// # Errors
    /// The system's refusal, such as a log that is gone.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        let map = Arc::new(Map::open(&self.path)?);
        let Some(header) = FrameHeader::read(&map, self.next, self.identity) else { return Ok(None) };
        // Its header may be written, and its payload not yet.
        let Some(frame) = Frame::checked(map, header) else { return Ok(None) };
        self.next = frame.next().0;
        Ok(Some(frame))
    }

    /// Where the next frame is looked for.
    pub fn position(&self) -> FrameOffset {
        FrameOffset(self.next)
    }
}
