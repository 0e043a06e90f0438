//! How is a segment written? In one pass, to a temporary file that takes its name when it is whole.

use super::{ChunkEntry, Directory, MAGIC, Section, VERSION};
use crate::pack::pack;
use crate::stats::Stats;
use crate::terms::Builder;
use crate::{Error, Result};
use casemate_event::Quarantined;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// A compressed chunk of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedChunk<'a> {
    /// Row of its first event.
    pub(crate) row: u32,
    pub(crate) bytes: &'a [u8],
    /// Length when unpacked.
    pub(crate) unpacked: usize,
}

/// What a segment is made of.
pub(crate) struct Contents<'a> {
    pub(crate) first_id: u64,
    pub(crate) events: u32,
    pub(crate) chunks: Vec<PackedChunk<'a>>,
    pub(crate) times: &'a [i64],
    pub(crate) terms: &'a Builder,
    pub(crate) stats: &'a Stats,
    pub(crate) first_quarantined: u64,
    pub(crate) quarantined: &'a [Quarantined],
}

/// Writes a segment to `path`, whole or not at all.
///
/// # Errors
/// The system's refusal; nothing is at `path` then.
pub(crate) fn write(path: &Path, contents: &Contents<'_>) -> Result<()> {
    let (counters, stats) = (encode(&contents.stats.counters())?, encode(contents.stats)?);
    let quarantined = encode(contents.quarantined)?;
    let (dictionary, postings) = contents.terms.seal();
    let (templates, places) = contents.terms.templates();
    let times: Vec<u8> = contents.times.iter().flat_map(|time| time.to_le_bytes()).collect();
    let templates: Vec<u8> = templates.iter().flat_map(|id| id.to_le_bytes()).collect();
    let places: Vec<u8> = places.iter().flat_map(|place| place.to_le_bytes()).collect();
    // What is searched stays as it is; the rest is compressed.
    let sections = [
        (pack(&counters)?, counters.len()),
        (pack(&stats)?, stats.len()),
        (pack(&quarantined)?, quarantined.len()),
        as_it_is(times),
        as_it_is(dictionary),
        as_it_is(postings),
        as_it_is(templates),
        as_it_is(places),
    ];
    casemate_disk::write_sealed(path, MAGIC, VERSION, |out| {
        let mut out = Counting { inner: out, offset: 0 };
        let mut chunks = Vec::with_capacity(contents.chunks.len());
        for chunk in &contents.chunks {
            let (packed, unpacked) = (chunk.bytes.len() as u32, chunk.unpacked as u32);
            chunks.push(ChunkEntry { row: chunk.row, offset: out.offset, packed, unpacked });
            out.write_all(chunk.bytes)?;
        }
        let mut written = [Section::default(); 8];
        for (section, (packed, unpacked)) in written.iter_mut().zip(&sections) {
            *section =
                Section { offset: out.offset, packed: packed.len() as u64, unpacked: *unpacked as u64 };
            out.write_all(packed)?;
        }
        let [counters, stats, quarantined, times, dictionary, postings, templates, places] = written;
        let directory = Directory {
            first_id: contents.first_id,
            first_quarantined: contents.first_quarantined,
            quarantined_count: contents.quarantined.len() as u64,
            chunks,
            events: contents.events,
            counters,
            stats,
            quarantined,
            times,
            dictionary,
            postings,
            templates,
            places,
            first_time: contents.times.iter().min().copied().unwrap_or(i64::MAX),
            last_time: contents.times.iter().max().copied().unwrap_or(i64::MIN),
        };
        let directory = postcard::to_stdvec(&directory).map_err(io::Error::other)?;
        out.write_all(&directory)?;
        out.write_all(&(directory.len() as u64).to_le_bytes())
    })?;
    Ok(())
}

fn as_it_is(bytes: Vec<u8>) -> (Vec<u8>, usize) {
    let length = bytes.len();
    (bytes, length)
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|error| Error::Encode { what: "segment", reason: error.to_string() })
}

struct Counting<'a> {
    inner: &'a mut dyn Write,
    offset: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.offset += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
