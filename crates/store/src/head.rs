//! Which events are not in a segment yet? One log on disk, and in memory what is needed to find them.

use crate::cache::ChunkCache;
use crate::chunk::{self, Chunk};
use crate::frame::{self, Bytes, Encoded, FrameChunk, SMALL_CHUNK, Side};
use crate::manifest::log_path;
use crate::pack::pack;
use crate::quarantine::{QuarantineId, StoredQuarantined};
use crate::segment::{self, PackedChunk};
use crate::stats::Stats;
use crate::terms::Builder;
use crate::{Error, Result};
use casemate_disk::{FrameOffset, Log, Mark};
use casemate_event::{Event, Quarantined, Stored};
use hashbrown::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) const MAGIC: [u8; 8] = *b"CMWALOG\0";
pub(crate) const VERSION: u32 = 1;

/// A log and its events in memory.
#[derive(Debug)]
pub(crate) struct Head {
    /// Number of the log.
    pub(crate) number: u64,
    pub(crate) first_id: u64,
    pub(crate) first_quarantined: u64,
    path: PathBuf,
    log: Mutex<Log>,
    /// Up to where the log is on the device; held while waiting for it.
    synced: Mutex<FrameOffset>,
    rows: RwLock<Rows>,
    index: RwLock<Index>,
    packing: Mutex<()>,
}

/// The events as written.
#[derive(Debug)]
struct Rows {
    end_id: u64,
    chunks: Vec<FrameChunk>,
    /// Bytes of chunks not packed yet.
    plain: usize,
    /// Bytes of frames written.
    written: u64,
}

/// What is derived from the events.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) terms: Builder,
    /// Time of each row, in nanoseconds since 1970.
    pub(crate) times: Vec<i64>,
    pub(crate) stats: Stats,
    pub(crate) quarantined: Vec<Quarantined>,
}

impl Head {
    /// Starts a new log in `dir`.
    pub(crate) fn create(dir: &Path, number: u64, first_id: u64, first_quarantined: u64) -> Result<Self> {
        let path = log_path(dir, number);
        let (log, _) = Log::open(&path, MAGIC, VERSION)?;
        Ok(Self::new(path, number, log, first_id, first_quarantined))
    }

    /// Reads a log back. Events below `first_id`, which a segment holds, are left out.
    pub(crate) fn replay(
        dir: &Path,
        number: u64,
        first_id: u64,
        first_quarantined: u64,
        mark: Option<Mark>,
    ) -> Result<Self> {
        let path = log_path(dir, number);
        let (log, recovery) = Log::open_marked(&path, MAGIC, VERSION, mark)?;
        if let Some(torn) = &recovery.torn {
            tracing::warn!(
                offset = torn.offset, bytes = torn.length, kept = %torn.kept.display(),
                "a write to the log was cut short and never acknowledged; its bytes were set aside"
            );
        }
        let frames = log.frames(FrameOffset::FIRST);
        let head = Self::new(path, number, log, first_id, first_quarantined);
        for frame in frames {
            let frame = frame?;
            let (chunks, side) = frame::decode(&frame)?;
            let mut events = Vec::new();
            let held = head.events();
            let empty = chunks.is_empty();
            for chunk in chunks {
                let next = head.end_id();
                if next == first_id && chunk.first_id.saturating_add(chunk.events as u64) <= first_id {
                    continue;
                }
                if chunk.first_id != next {
                    let what = format!("it goes on with event {} where {next} should follow", chunk.first_id);
                    return Err(frame.damaged(0, what).into());
                }
                let read = frame::events(&chunk);
                let read = read.ok_or_else(|| {
                    Error::from(frame.damaged(0, "the events of a chunk in it do not decode"))
                })?;
                events.extend(read);
                head.push(chunk);
            }
            head.rows_mut().written = frame.next().0;
            if empty || head.events() > held {
                head.index_mut().add(&events, &side);
            }
        }
        Ok(head)
    }

    fn new(path: PathBuf, number: u64, log: Log, first_id: u64, first_quarantined: u64) -> Self {
        let synced = Mutex::new(log.end());
        let rows = Rows { end_id: first_id, chunks: Vec::new(), plain: 0, written: 0 };
        Self {
            number,
            first_id,
            first_quarantined,
            path,
            log: Mutex::new(log),
            synced,
            rows: RwLock::new(rows),
            index: RwLock::default(),
            packing: Mutex::new(()),
        }
    }

    /// Writes a numbered batch to the log; its events can be read by number at once. Returns where the log
    /// has to be durable up to for the batch to be.
    pub(crate) fn write(&self, encoded: Encoded, payload: &[u8]) -> casemate_disk::Result<FrameOffset> {
        let mut log = self.log();
        log.append(payload)?;
        let end = log.end();
        drop(log);
        encoded.chunks.into_iter().for_each(|chunk| self.push(chunk));
        self.rows_mut().written = end.0;
        Ok(end)
    }

    /// Waits until the log is durable up to `end`. Many that wait at once share one wait for the device.
    pub(crate) fn sync(&self, end: FrameOffset) -> casemate_disk::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= end {
            return Ok(());
        }
        let pending = self.log().pending()?;
        let outcome = pending.wait();
        self.log().settle(&pending, outcome)?;
        *synced = pending.end();
        Ok(())
    }

    /// What is written, to be recognised when the log is opened again. Only after [`sync`](Self::sync).
    pub(crate) fn mark(&self) -> Mark {
        self.log().mark()
    }

    /// Where the log ends.
    pub(crate) fn end(&self) -> FrameOffset {
        self.log().end()
    }

    /// Number behind the last event.
    pub(crate) fn end_id(&self) -> u64 {
        self.rows().end_id
    }

    /// Number of events.
    pub(crate) fn events(&self) -> u64 {
        self.end_id() - self.first_id
    }

    /// Bytes of its log.
    pub(crate) fn written(&self) -> u64 {
        self.rows().written
    }

    /// Bytes of events held uncompressed.
    pub(crate) fn plain_bytes(&self) -> usize {
        self.rows().plain
    }

    /// Events in `ids`, which lie within the head.
    pub(crate) fn scan(&self, ids: Range<u64>, cache: &ChunkCache) -> Result<Vec<Stored>> {
        let mut events = Vec::new();
        let mut next = ids.start;
        while next < ids.end {
            let (first_id, bytes) = self.chunk(next, cache)?;
            let chunk = Chunk::open(&bytes, first_id).ok_or_else(|| self.damaged())?;
            let start = (next - first_id) as usize;
            let end = chunk.len().min((ids.end - first_id) as usize);
            if start >= end {
                return Err(self.damaged());
            }
            events.extend(chunk.events(start..end).ok_or_else(|| self.damaged())?);
            next = first_id + end as u64;
        }
        Ok(events)
    }

    /// Its quarantined records, in order.
    pub(crate) fn quarantined(&self) -> Vec<StoredQuarantined> {
        let index = self.index();
        let ids = self.first_quarantined..;
        ids.zip(&index.quarantined)
            .map(|(id, record)| StoredQuarantined { id: QuarantineId(id), record: record.clone() })
            .collect()
    }

    /// What is derived from the events.
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`index`](Self::index), to add to it.
    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compresses chunks that are not yet, the small ones put together where `all` or enough of them are
    /// there.
    pub(crate) fn pack(&self, all: bool) -> Result<()> {
        let _turn = self.packing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = 0;
        loop {
            let Some((place, run)) = self.next_run(from, all) else { return Ok(()) };
            let plain: usize = run.iter().map(|chunk| chunk.bytes.len()).sum();
            let merged = if run.len() == 1 { None } else { Some(merge(&run).ok_or_else(|| self.damaged())?) };
            let bytes = merged.as_deref().unwrap_or(&run[0].bytes);
            let packed = Bytes::Packed { bytes: pack(bytes)?.into(), unpacked: bytes.len() };
            let events = run.iter().map(|chunk| chunk.events).sum();
            let chunk = FrameChunk { first_id: run[0].first_id, events, bytes: packed };
            let mut rows = self.rows_mut();
            rows.plain -= plain;
            rows.chunks.splice(place..place + run.len(), [chunk]);
            from = place + 1;
        }
    }

    /// Writes the head as a segment to `path`. Nothing may be written to the head any more.
    pub(crate) fn seal(&self, path: &Path) -> Result<()> {
        self.pack(true)?;
        let rows = self.rows();
        let chunks = rows.chunks.iter().filter_map(|chunk| match &chunk.bytes {
            Bytes::Packed { bytes, unpacked } => {
                Some(PackedChunk { row: (chunk.first_id - self.first_id) as u32, bytes, unpacked: *unpacked })
            }
            Bytes::Plain(_) => None,
        });
        let index = self.index();
        segment::write(
            path,
            &segment::Contents {
                first_id: self.first_id,
                events: (rows.end_id - self.first_id) as u32,
                chunks: chunks.collect(),
                times: &index.times,
                terms: &index.terms,
                stats: &index.stats,
                first_quarantined: self.first_quarantined,
                quarantined: &index.quarantined,
            },
        )
    }

    fn push(&self, chunk: FrameChunk) {
        let mut rows = self.rows_mut();
        if let Bytes::Plain(bytes) = &chunk.bytes {
            rows.plain += bytes.len();
        }
        rows.end_id = chunk.first_id + chunk.events as u64;
        rows.chunks.push(chunk);
    }

    /// The chunk that holds event `id`, unpacked, and the number of its first event.
    fn chunk(&self, id: u64, cache: &ChunkCache) -> Result<(u64, Arc<[u8]>)> {
        let rows = self.rows();
        let index = rows.chunks.partition_point(|chunk| chunk.first_id <= id).saturating_sub(1);
        let chunk = rows.chunks.get(index).cloned().ok_or_else(|| self.damaged())?;
        drop(rows);
        let bytes = match chunk.bytes {
            Bytes::Plain(bytes) => bytes,
            packed @ Bytes::Packed { .. } => {
                cache.get(chunk.first_id, || packed.unpack().ok_or_else(|| self.damaged()))?
            }
        };
        Ok((chunk.first_id, bytes))
    }

    /// The next chunks to pack as one: a large one alone, or as many small ones as make a large one. A few
    /// small ones at the end wait for more unless `all`.
    fn next_run(&self, from: usize, all: bool) -> Option<(usize, Vec<PlainChunk>)> {
        let rows = self.rows();
        let mut run: Vec<PlainChunk> = Vec::new();
        let (mut bytes, mut events) = (0, 0);
        for (place, chunk) in rows.chunks.iter().enumerate().skip(from) {
            let plain = match &chunk.bytes {
                Bytes::Plain(plain) => Some(PlainChunk {
                    first_id: chunk.first_id,
                    events: chunk.events,
                    bytes: Arc::clone(plain),
                }),
                Bytes::Packed { .. } => None,
            };
            match plain {
                Some(plain)
                    if plain.bytes.len() < SMALL_CHUNK
                        && bytes + plain.bytes.len() <= 4 * SMALL_CHUNK
                        && events + plain.events <= chunk::MAX_EVENTS =>
                {
                    bytes += plain.bytes.len();
                    events += plain.events;
                    run.push(plain);
                }
                // A run ends here; what ended it is looked at again.
                _ if !run.is_empty() => return Some((place - run.len(), run)),
                Some(plain) => return Some((place, vec![plain])),
                None => {}
            }
        }
        (!run.is_empty() && (all || bytes >= SMALL_CHUNK)).then(|| (rows.chunks.len() - run.len(), run))
    }

    fn damaged(&self) -> Error {
        Error::Damaged { path: self.path.clone(), what: "events in memory do not decode".to_owned() }
    }

    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows_mut(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Adds the events of one frame and what came with them.
    pub(crate) fn add(&mut self, events: &[Event], side: &Side<'_>) {
        let texts: HashMap<u64, &str> = side.templates.iter().map(|(id, text)| (id.0, &**text)).collect();
        for event in events {
            self.times.push(nanoseconds(event.time));
            self.stats.event(event);
            self.terms.add(event, texts.get(&event.template.0).copied().unwrap_or_default());
        }
        for (id, text) in &side.templates {
            self.stats.template_text(*id, text);
        }
        for record in side.quarantined.iter() {
            self.stats.quarantined(record);
            self.quarantined.push(record.clone());
        }
        if let Some(progress) = &side.progress {
            self.stats.progress(progress);
        }
        self.stats.resolved.extend(side.resolved.iter().copied());
    }
}

/// Nanoseconds since 1970; times before 1677 and after 2262 count as those years' ends.
pub(crate) fn nanoseconds(time: jiff::Timestamp) -> i64 {
    time.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// A chunk that is not packed yet.
struct PlainChunk {
    first_id: u64,
    events: usize,
    bytes: Arc<[u8]>,
}

/// One chunk of the events of several that follow each other.
fn merge(run: &[PlainChunk]) -> Option<Vec<u8>> {
    let mut events = Vec::new();
    for plain in run {
        let chunk = Chunk::open(&plain.bytes, plain.first_id)?;
        events.extend(chunk.events(0..chunk.len())?.into_iter().map(|stored| stored.event));
    }
    let mut merged = Vec::new();
    let count = chunk::encode(&events, &mut merged).ok()?;
    (count == events.len()).then_some(merged)
}
