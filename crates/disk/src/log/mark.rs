//! How far was a log known to be good? Kept by whoever derives data from it.

use super::HEADER_LEN;
use super::reader::{FrameHeader, Position};
use crate::{Error, Result};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A place in a log up to which it was acknowledged, with enough of the last frame to recognise it.
///
/// Written and read back as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub(super) identity: u64,
    end: u64,
    /// Offset and header checksum of the last frame; zeros in an empty log.
    last: u64,
    last_crc: u32,
}

impl Mark {
    pub(super) fn new(identity: u64, end: u64, last: Option<FrameHeader>) -> Self {
        let (last, last_crc) = last.map_or((0, 0), |header| (header.offset, header.own_crc));
        Self { identity, end, last, last_crc }
    }

    /// Checks that the log in `bytes` still is what it was here.
    pub(super) fn verify(&self, path: &Path, bytes: &[u8]) -> Result<Position> {
        let damaged = |offset, what: &str| {
            let what = format!(
                "{what}; restore it from a backup, or delete the derived files beside it to go on with what is left"
            );
            Error::Damaged { path: path.to_owned(), offset, what }
        };
        let length = bytes.len() as u64;
        if self.end > length {
            let missing = format!("{} acknowledged bytes are missing from its end", self.end - length);
            return Err(damaged(length, &missing));
        }
        if self.end == HEADER_LEN && self.last == 0 {
            return Ok(Position { offset: HEADER_LEN, last: None });
        }
        match FrameHeader::read(bytes, self.last, self.identity) {
            Some(header) if header.own_crc == self.last_crc && header.end() == self.end => {
                Ok(Position { offset: self.end, last: Some(header) })
            }
            _ => Err(damaged(self.last, "an acknowledged frame has changed")),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}:{}:{:08x}", self.identity, self.end, self.last, self.last_crc)
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut parts = text.split(':');
            let identity = u64::from_str_radix(parts.next()?, 16).ok()?;
            let end = parts.next()?.parse().ok()?;
            let last = parts.next()?.parse().ok()?;
            let last_crc = u32::from_str_radix(parts.next()?, 16).ok()?;
            parts.next().is_none().then_some(Self { identity, end, last, last_crc })
        };
        parse().ok_or_else(|| format!("{text:?} is not a place in a log"))
    }
}
