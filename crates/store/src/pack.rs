//! How are chunks and sections compressed? With zstandard.

use crate::{Error, Result};
use std::cell::RefCell;

/// Three quarters of the size that level 1 gives, at half its speed.
const LEVEL: i32 = 3;

/// Longest that is unpacked: more means damage.
const MAX_UNPACKED: usize = 1 << 30;

/// Compresses.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    thread_local! {
        /// Making one costs more than compressing a chunk with it.
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    let packed = COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        compressor.compress(bytes)
    });
    packed.map_err(|error| Error::Encode { what: "events", reason: error.to_string() })
}

/// What [`pack`] packed; `None` if it is not `length` bytes.
pub(crate) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > MAX_UNPACKED {
        return None;
    }
    let bytes = zstd::bulk::decompress(packed, length).ok()?;
    (bytes.len() == length).then_some(bytes)
}
