//! Which events does one immutable file hold, and where in it?
//!
//! A sealed file (see `casemate_disk`): packed chunks of events, then sections derived from them or kept
//! beside them, then the directory of both, then the directory's length (8 bytes). Chunks are compressed
//! with zstandard one by one; everything else is read only when asked for.

mod write;

pub(crate) use write::{Contents, PackedChunk, write};

use crate::cache::ChunkCache;
use crate::chunk::Chunk;
use crate::manifest::SegmentEntry;
use crate::pack::unpack;
use crate::quarantine::{QuarantineId, StoredQuarantined};
use crate::stats::Stats;
use crate::terms::{Dictionary, SealedTerms, TermSource};
use crate::times::{Span, Times, zones_of};
use crate::{Error, Result};
use casemate_disk::Sealed;
use casemate_event::{Quarantined, Stored};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(crate) const MAGIC: [u8; 8] = *b"CMSEGMNT";
pub(crate) const VERSION: u32 = 2;

/// Where everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Directory {
    first_id: u64,
    first_quarantined: u64,
    quarantined_count: u64,
    /// First row, offset, packed and unpacked length of each chunk.
    chunks: Vec<ChunkEntry>,
    events: u32,
    /// What `stats` counts, without its templates and sources.
    counters: Section,
    stats: Section,
    quarantined: Section,
    /// Time of each row: nanoseconds since 1970, eight bytes, least first.
    times: Section,
    dictionary: Section,
    postings: Section,
    /// Identity of the template at each place, eight bytes, least first.
    templates: Section,
    /// Place of the template of each row, four bytes, least first.
    places: Section,
    /// Earliest and latest time, in nanoseconds since 1970.
    first_time: i64,
    last_time: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct ChunkEntry {
    row: u32,
    offset: u64,
    packed: u32,
    unpacked: u32,
}

/// Part of the payload, compressed, and its length when unpacked.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Section {
    offset: u64,
    packed: u64,
    unpacked: u64,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) entry: SegmentEntry,
    file: Sealed,
    directory: Directory,
    /// What each zone of its times spans, once it was asked for.
    zones: OnceLock<Vec<Span>>,
}

impl Segment {
    /// Lets go of the memory that its pages take.
    pub(crate) fn release(&self) {
        self.file.release();
    }

    /// Opens the segment in `path`; reads its directory only.
    ///
    /// # Errors
    /// Damage, or the system's refusal.
    pub(crate) fn open(path: &Path, number: u64) -> Result<Self> {
        let file = Sealed::open(path, MAGIC, VERSION)?;
        let damaged = |what: &str| Error::from(file.damaged(file.len(), what));
        let tail = file.len().checked_sub(8).ok_or_else(|| damaged("it is too short"))?;
        let length =
            file.bytes(tail..file.len())?.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let start = usize::try_from(length).ok().and_then(|length| tail.checked_sub(length));
        let start = start.ok_or_else(|| damaged("its directory does not fit"))?;
        let directory: Directory = postcard::from_bytes(file.bytes(start..tail)?)
            .map_err(|error| damaged(&format!("its directory does not decode ({error})")))?;
        if !directory.is_sound(start as u64) {
            return Err(damaged("its directory contradicts itself"));
        }
        let sealed_at = fs_err::metadata(path).ok().and_then(|metadata| metadata.modified().ok());
        let entry = SegmentEntry {
            number,
            first_id: directory.first_id,
            events: directory.events,
            first_quarantined: directory.first_quarantined,
            quarantined: directory.quarantined_count,
            bytes: fs_err::metadata(path).map_or(0, |metadata| metadata.len()),
            sealed_at: sealed_at
                .map_or(0, |time| jiff::Timestamp::try_from(time).map_or(0, |time| time.as_second())),
        };
        Ok(Self { entry, file, directory, zones: OnceLock::new() })
    }

    /// The event in row `row`.
    pub(crate) fn event(&self, row: u32, cache: &ChunkCache) -> Result<Stored> {
        let mut events = self.rows(row..row + 1, cache)?;
        events.pop().ok_or_else(|| self.damaged(0, "an event is missing"))
    }

    /// Events in `rows`, which lie within the segment.
    pub(crate) fn rows(&self, rows: Range<u32>, cache: &ChunkCache) -> Result<Vec<Stored>> {
        let mut events = Vec::with_capacity(rows.len());
        let mut next = rows.start;
        while next < rows.end {
            let index = self.directory.chunks.partition_point(|chunk| chunk.row <= next).saturating_sub(1);
            let Some(entry) = self.directory.chunks.get(index) else {
                return Err(self.damaged(0, "it has no chunk for an event"));
            };
            let bytes = self.chunk(entry, cache)?;
            let damaged = || self.damaged(entry.offset as usize, "a chunk in it does not decode");
            let first_id = self.directory.first_id + u64::from(entry.row);
            let chunk = Chunk::open(&bytes, first_id).ok_or_else(damaged)?;
            let start = (next - entry.row) as usize;
            let end = chunk.len().min((rows.end - entry.row) as usize);
            if start >= end {
                return Err(damaged());
            }
            events.extend(chunk.events(start..end).ok_or_else(damaged)?);
            next = entry.row + end as u32;
        }
        Ok(events)
    }

    /// Hands over each chunk, as it lies in the file and unpacked, in order; `None` from `take` stands for damage.
    pub(crate) fn each_chunk<'s>(
        &'s self,
        take: &mut dyn FnMut(PackedChunk<'s>, &Chunk<'_>) -> Option<()>,
    ) -> Result<()> {
        for entry in &self.directory.chunks {
            let start = entry.offset as usize;
            let bytes = self.file.bytes(start..start + entry.packed as usize)?;
            let damaged = || self.damaged(start, "a chunk in it does not decode");
            let unpacked = unpack(bytes, entry.unpacked as usize).ok_or_else(damaged)?;
            let first_id = self.directory.first_id + u64::from(entry.row);
            let chunk = Chunk::open(&unpacked, first_id).ok_or_else(damaged)?;
            let packed = PackedChunk { row: entry.row, bytes, unpacked: unpacked.len() };
            take(packed, &chunk).ok_or_else(damaged)?;
        }
        Ok(())
    }

    /// Time of each row.
    pub(crate) fn times(&self) -> Result<Times<'_>> {
        let column = self.whole(self.directory.times)?.as_chunks().0;
        Ok(Times::written(column, self.zones.get_or_init(|| zones_of(column))))
    }

    /// Earliest and latest time, in nanoseconds since 1970.
    pub(crate) fn time_range(&self) -> (i64, i64) {
        (self.directory.first_time, self.directory.last_time)
    }

    /// Calls `search` with the terms of its events.
    pub(crate) fn with_terms<T>(&self, search: impl FnOnce(&dyn TermSource) -> Result<T>) -> Result<T> {
        let damaged = |what: &str| self.section_damaged(self.directory.dictionary, what);
        let dictionary = Dictionary::open(self.whole(self.directory.dictionary)?);
        let section = self.directory.postings;
        let postings = |range: Range<usize>| {
            if range.start > range.end || range.end > section.packed as usize {
                return Err(damaged("the rows of a term lie outside of it"));
            }
            let start = section.offset as usize;
            Ok(self.file.bytes(start + range.start..start + range.end)?)
        };
        search(&SealedTerms {
            rows: self.directory.events,
            dictionary: dictionary.ok_or_else(|| damaged("its terms do not decode"))?,
            templates: self.whole(self.directory.templates)?,
            postings: &postings,
            places: &|| self.whole(self.directory.places),
            damaged: &damaged,
        })
    }

    /// What its events add to counters.
    pub(crate) fn counters(&self) -> Result<Stats> {
        self.decoded(self.directory.counters)
    }

    /// What its events add to counters, templates and sources.
    pub(crate) fn stats(&self) -> Result<Stats> {
        self.decoded(self.directory.stats)
    }

    /// Its quarantined records, in order.
    pub(crate) fn quarantined(&self) -> Result<Vec<StoredQuarantined>> {
        if self.directory.quarantined_count == 0 {
            return Ok(Vec::new());
        }
        let records: Vec<Quarantined> = self.decoded(self.directory.quarantined)?;
        let ids = self.directory.first_quarantined..;
        Ok(ids.zip(records).map(|(id, record)| StoredQuarantined { id: QuarantineId(id), record }).collect())
    }

    /// Verifies the checksum of every page.
    pub(crate) fn verify(&self) -> Result<()> {
        Ok(self.file.verify_all()?)
    }

    fn chunk(&self, entry: &ChunkEntry, cache: &ChunkCache) -> Result<Arc<[u8]>> {
        cache.get(self.directory.first_id + u64::from(entry.row), || {
            let start = entry.offset as usize;
            let packed = self.file.bytes(start..start + entry.packed as usize)?;
            unpack(packed, entry.unpacked as usize)
                .map(Arc::from)
                .ok_or_else(|| self.damaged(start, "a chunk in it does not unpack"))
        })
    }

    fn decoded<T: serde::de::DeserializeOwned>(&self, section: Section) -> Result<T> {
        postcard::from_bytes(&self.section(section)?)
            .map_err(|error| self.section_damaged(section, &format!("a section does not decode ({error})")))
    }

    /// A section that is not compressed.
    fn whole(&self, section: Section) -> Result<&[u8]> {
        let start = section.offset as usize;
        Ok(self.file.bytes(start..start + section.packed as usize)?)
    }

    fn section(&self, section: Section) -> Result<Vec<u8>> {
        let start = section.offset as usize;
        let packed = self.file.bytes(start..start + section.packed as usize)?;
        unpack(packed, section.unpacked as usize)
            .ok_or_else(|| self.section_damaged(section, "a section does not unpack"))
    }

    fn section_damaged(&self, section: Section, what: &str) -> Error {
        self.damaged(section.offset as usize, what)
    }

    fn damaged(&self, offset: usize, what: &str) -> Error {
        self.file.damaged(offset, what).into()
    }
}

impl Directory {
    /// Whether chunks cover the rows in order, and everything lies before `end`.
    fn is_sound(&self, end: u64) -> bool {
        let within = |offset: u64, packed: u64| offset.checked_add(packed).is_some_and(|last| last <= end);
        let rows = self.chunks.iter().map(|chunk| chunk.row);
        let ordered = rows.clone().zip(rows.skip(1)).all(|(row, next)| row < next);
        let ends = self.chunks.first().is_none_or(|chunk| chunk.row == 0)
            && self.chunks.last().map_or(self.events == 0, |chunk| chunk.row < self.events);
        let chunks = self.chunks.iter().all(|chunk| within(chunk.offset, chunk.packed.into()));
        let sections = [
            self.counters,
            self.stats,
            self.quarantined,
            self.times,
            self.dictionary,
            self.postings,
            self.templates,
            self.places,
        ];
        let sections = sections.iter().all(|section| within(section.offset, section.packed));
        let columns = self.times.packed == u64::from(self.events) * 8
            && self.places.packed == u64::from(self.events) * 4;
        let counted = self.first_id.checked_add(self.events.into()).is_some()
            && self.first_quarantined.checked_add(self.quarantined_count).is_some();
        ordered && ends && chunks && sections && columns && counted
    }
}
