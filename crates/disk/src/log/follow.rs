//! What has been appended to a log since the last look? For another process than the one that writes it.
//!
//! Read, not mapped: the writer may shorten the log after a failure, and whoever touches a mapped page that is gone dies.

use super::reader::{Frame, FrameHeader, FrameOffset};
use super::{HEADER_LEN, MAX_FRAME, read_header};
use crate::{Error, Result};
use fs_err::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the frames of a log that somebody else may be writing; takes no lock and changes nothing. The rest of a log that
/// is deleted meanwhile can still be read.
///
/// What it gives may not be on the device yet.
#[derive(Debug)]
pub struct LogFollower {
    path: Arc<PathBuf>,
    file: File,
    identity: u64,
    next: u64,
    /// The frame before `next`, once one was passed.
    last: Option<FrameHeader>,
}

impl LogFollower {
    /// Follows the log at `path` from its first frame.
    ///
    /// # Errors
    /// As [`Log::open`](crate::Log::open), for the header alone; nothing is made if nothing is there.
    pub fn open(path: &Path, magic: [u8; 8], version: u32) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::read("open log", e))?;
        let mut header = [0; HEADER_LEN as usize];
        let length = read_up_to(&file, &mut header, 0)?;
        let identity = read_header(path, &header[..length], magic, version)?;
        Ok(Self { path: Arc::new(path.to_owned()), file, identity, next: HEADER_LEN, last: None })
    }

    /// Passes over what is there already.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn skip(&mut self) -> Result<()> {
        while let Some(header) = self.header_at(self.next)? {
            self.pass(header);
        }
        Ok(())
    }

    /// The next frame, if it is there as a whole.
    ///
    /// Where the writer has taken frames back that were given already, what it writes behind where they began is given.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        let Some(header) = self.header_at(self.next)? else {
            self.step_back()?;
            return Ok(None);
        };
        let mut payload = vec![0; header.payload_len()];
        let length = read_up_to(&self.file, &mut payload, header.offset + FrameHeader::LEN)?;
        payload.truncate(length);
        // Its header may be written, and its payload not yet.
        let Some(frame) = Frame::read(Arc::clone(&self.path), payload, header) else { return Ok(None) };
        self.pass(header);
        Ok(Some(frame))
    }

    /// Where the next frame is looked for.
    pub fn position(&self) -> FrameOffset {
        FrameOffset(self.next)
    }

    fn pass(&mut self, header: FrameHeader) {
        self.next = header.end();
        self.last = Some(header);
    }

    /// The header at `offset`, if one that belongs there is, and its payload fits into the file.
    fn header_at(&self, offset: u64) -> Result<Option<FrameHeader>> {
        let mut bytes = [0; FrameHeader::LEN as usize];
        if read_up_to(&self.file, &mut bytes, offset)? < bytes.len() {
            return Ok(None);
        }
        let Some(header) = FrameHeader::parse(&bytes, offset, self.identity) else { return Ok(None) };
        let end = self.file.metadata().map_err(|e| Error::read("look at log", e))?.len();
        Ok((header.payload_len() as u64 <= MAX_FRAME && header.end() <= end).then_some(header))
    }

    /// Goes back to where frames begin that are there, if the one that was passed last is not there any more.
    fn step_back(&mut self) -> Result<()> {
        let Some(last) = self.last else { return Ok(()) };
        if self.header_at(last.offset)? == Some(last) {
            return Ok(());
        }
        (self.next, self.last) = (HEADER_LEN, None);
        while self.next < last.offset
            && let Some(header) = self.header_at(self.next)?
        {
            self.pass(header);
        }
        Ok(())
    }
}

/// Reads what there is at `offset`, as far as it fits.
fn read_up_to(file: &File, into: &mut [u8], offset: u64) -> Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match file.file().read_at(&mut into[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let error = io::Error::new(error.kind(), format!("{}: {error}", file.path().display()));
                return Err(Error::read("read log", error));
            }
        }
    }
    Ok(length)
}
