//! One data directory: the log, what is derived from it, and what was found in it.

use crate::counts::{Counts, bytes_under};
use crate::findings::{Findings, Raise};
use crate::meta::{Applied, Meta, Template};
use crate::query::{Query, SearchResult};
use crate::text::TextIndex;
use crate::{Error, Result, record};
use casemate_disk::{DirLock, Frame, FrameOffset, Log, LogReader, Mark};
use casemate_event::{
    Alert, AlertId, Batch, Event, EventId, Quarantined, SourceProgress, Stored, TemplateId,
};
use jiff::SignedDuration;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const LOG_MAGIC: [u8; 8] = *b"CMEVENTS";
const LOG_VERSION: u32 = 1;
/// What is derived is committed at least this often, which bounds the replay after a crash.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// An open data directory. Thread-safe; one process at a time.
pub struct Store {
    dir: PathBuf,
    reader: LogReader,
    writer: Mutex<Writer>,
    next_id: AtomicU64,
    /// Set when something derived failed to take in what is in the log.
    behind: AtomicBool,
    meta: Meta,
    text: TextIndex,
    findings: Findings,
    /// Given back last.
    _lock: DirLock,
}

struct Writer {
    log: Log,
    checkpoint: u64,
}

impl Store {
    /// Opens the store in `dir`, or creates it, and brings what is derived up to the log.
    ///
    /// # Errors
    /// A directory in use or not writable, a file of another version, damage to a file that cannot be
    /// rebuilt; each says which and what to do.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.join("store");
        let lock = DirLock::acquire(&dir)?;
        let mut meta = Meta::open(&dir.join("meta.redb"))?;
        let mut text = TextIndex::open(&dir.join("text"))?;
        let findings = Findings::open(&dir.join("findings.redb"))?;
        let mark = furthest(meta.mark()?, text.mark());
        refuse_missing_log(&dir, mark)?;
        let (log, recovery) = Log::open_marked(&dir.join("events.log"), LOG_MAGIC, LOG_VERSION, mark)?;
        if let Some(torn) = &recovery.torn {
            tracing::warn!(
                offset = torn.offset, bytes = torn.length, kept = %torn.kept.display(),
                "a write to the event log was cut short and never acknowledged; its bytes were set aside"
            );
        }
        let of_this_log = |mark: Option<Mark>| mark.is_none_or(|mark| mark.same_log(&log.mark()));
        if !of_this_log(meta.mark()?) {
            drop(meta);
            meta = Meta::create_anew(&dir.join("meta.redb"))?;
        }
        if !of_this_log(text.mark()) {
            drop(text);
            text = TextIndex::create_anew(&dir.join("text"))?;
        }
        let checkpoint = log.end().0;
        let store = Self {
            reader: log.reader(),
            writer: Mutex::new(Writer { log, checkpoint }),
            next_id: AtomicU64::new(1),
            behind: AtomicBool::new(true),
            meta,
            text,
            findings,
            dir,
            _lock: lock,
        };
        store.catch_up(&store.writer())?;
        store.refresh()?;
        store.check_counts()?;
        Ok(store)
    }

    /// Stores `batch` and returns the numbers its events got.
    ///
    /// Durable when it returns; visible to [`get`](Self::get) at once and to [`search`](Self::search) after
    /// [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::Append`] if nothing of it was stored (a full disk, say); the store stays usable.
    pub fn append(&self, batch: &Batch) -> Result<Range<u64>> {
        let mut writer = self.writer();
        if self.behind.load(Ordering::Acquire) {
            self.catch_up(&writer)?;
        }
        let first_id = self.next_id.load(Ordering::Acquire);
        let ids = first_id..first_id + batch.events.len() as u64;
        if batch.events.is_empty() && batch.quarantined.is_empty() && batch.progress.is_none() {
            return Ok(ids);
        }
        let templates = self.new_templates(batch)?;
        let payload = record::encode(first_id, batch, templates)?;
        let offset = append_durably(&mut writer.log, &payload).map_err(|source| Error::Append { source })?;
        self.next_id.store(ids.end, Ordering::Release);

        // From here on the batch is stored. A failure to derive from it is made good later, and must not
        // make the caller send it again.
        if let Err(error) = self.derive(&writer.log, offset, batch) {
            tracing::warn!(%error, "cannot index a stored batch yet; trying again with the next one");
            self.behind.store(true, Ordering::Release);
        } else if writer.log.end().0 - writer.checkpoint >= CHECKPOINT_BYTES {
            if let Err(error) = self.commit_derived() {
                tracing::warn!(%error, "cannot commit what is derived from the log; trying again later");
            }
            writer.checkpoint = writer.log.end().0;
        }
        Ok(ids)
    }

    /// Makes everything appended so far visible to [`search`](Self::search).
    ///
    /// # Errors
    /// The text index or the tables cannot be written. No event is lost by that.
    pub fn refresh(&self) -> Result<()> {
        let mut writer = self.writer();
        if self.behind.load(Ordering::Acquire) {
            self.catch_up(&writer)?;
        }
        self.commit_derived()?;
        writer.checkpoint = writer.log.end().0;
        Ok(())
    }

    /// Event `id`, if there is one.
    ///
    /// # Errors
    /// Damage to the log, naming file and offset.
    pub fn get(&self, id: EventId) -> Result<Option<Stored>> {
        if id.0 == 0 || id > self.last_id() {
            return Ok(None);
        }
        self.make_good()?;
        let (first_id, frame) = self.frame_of(id)?;
        let index = usize::try_from(id.0 - first_id).unwrap_or(usize::MAX);
        record::event(&frame, first_id, index).map(Some)
    }

    /// Up to `limit` events in ascending order of number, beginning with `from`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn scan(&self, from: EventId, limit: usize) -> Result<Vec<Stored>> {
        let last = self.last_id();
        let mut next = from.0.max(1);
        let mut events = Vec::new();
        if next > last.0 {
            return Ok(events);
        }
        self.make_good()?;
        while events.len() < limit && next <= last.0 {
            let (first_id, frame) = self.frame_of(EventId(next))?;
            let count = record::count(&frame)?;
            let start = usize::try_from(next - first_id).unwrap_or(usize::MAX);
            let end = count.min(start.saturating_add(limit - events.len()));
            if start >= end {
                return Err(frame.damaged(0, format!("event {next} is missing")).into());
            }
            for index in start..end {
                events.push(record::event(&frame, first_id, index)?);
            }
            next = first_id + end as u64;
        }
        Ok(events)
    }

    /// Number of events stored.
    pub fn event_count(&self) -> u64 {
        self.last_id().0
    }

    /// Number of the last event; 0 when there is none.
    pub fn last_id(&self) -> EventId {
        EventId(self.next_id.load(Ordering::Acquire) - 1)
    }

    /// What the store holds.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        self.make_good()?;
        let totals = self.meta.totals()?;
        let (alerts, investigations) = self.findings.counts()?;
        Ok(Counts {
            events: totals.events,
            by_format: totals.by_format,
            quarantined: totals.quarantined,
            templates: totals.templates,
            alerts,
            investigations,
            bytes_on_disk: bytes_under(&self.dir),
            first_time: totals.first_time,
            last_time: totals.last_time,
        })
    }

    /// Events that match `query`, as of the last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::Query`] if its text does not parse.
    pub fn search(&self, query: &Query) -> Result<SearchResult> {
        let (total, ids) = self.text.search(query)?;
        let mut hits = Vec::with_capacity(ids.len());
        for id in ids {
            hits.push(self.get(EventId(id))?.ok_or_else(|| Error::Damaged {
                path: self.dir.join("text"),
                what: format!(
                    "it lists event {id}, which the log does not hold; delete it to have it rebuilt"
                ),
            })?);
        }
        Ok(SearchResult { total, hits })
    }

    /// The latest quarantined records, up to `limit`, latest batch first.
    ///
    /// # Errors
    /// Damage to the log.
    pub fn quarantine(&self, limit: usize) -> Result<Vec<Quarantined>> {
        self.make_good()?;
        let mut records = Vec::new();
        for offset in self.meta.quarantine_frames()? {
            if records.len() >= limit {
                break;
            }
            let frame = self.reader.read(offset)?;
            let head = record::head(&frame)?;
            records.extend(head.quarantined.iter().take(limit - records.len()).cloned());
        }
        Ok(records)
    }

    /// How far the source with this SHA-256 has been taken in.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn source_progress(&self, sha256: &str) -> Result<Option<SourceProgress>> {
        self.make_good()?;
        self.meta.source_progress(sha256)
    }

    /// Template `id`, if an event was folded to it.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn template(&self, id: TemplateId) -> Result<Option<Template>> {
        self.make_good()?;
        self.meta.template(id)
    }

    /// All templates in order of their ids.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn templates(&self) -> Result<Vec<Template>> {
        self.make_good()?;
        self.meta.templates()
    }

    /// How far a consumer of events has come; 0 at first.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn watermark(&self, name: &str) -> Result<EventId> {
        self.findings.watermark(name)
    }

    /// Records, durably, how far a consumer of events has come.
    ///
    /// # Errors
    /// [`Error::Watermark`] if there is no such event yet; the tables cannot be written.
    pub fn set_watermark(&self, name: &str, id: EventId) -> Result<()> {
        self.check_watermark(name, id)?;
        self.findings.set_watermark(name, id)
    }

    /// Stores an alert. It is absorbed by the latest alert with the same `fold_key` if it lies within
    /// `window` of that one's span, and gets a number of its own if not. Events that an alert with this key
    /// has already taken in are not counted again. Returns the alert as it now is.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn raise(&self, alert: Alert, fold_key: &str, window: SignedDuration) -> Result<Alert> {
        let one = Raise { alert, fold_key: fold_key.to_owned(), window };
        let mut raised = self.findings.raise(vec![one], None)?;
        raised.pop().ok_or_else(|| Error::Damaged {
            path: self.dir.join("findings.redb"),
            what: "an alert just raised is missing".to_owned(),
        })
    }

    /// Stores alerts in order as [`raise`](Self::raise) does and moves a watermark, all in one durable
    /// commit: either all of it happens or nothing.
    ///
    /// # Errors
    /// [`Error::Watermark`] if there is no such event yet; the tables cannot be written.
    pub fn raise_all(&self, raises: Vec<Raise>, watermark: Option<(&str, EventId)>) -> Result<Vec<Alert>> {
        if let Some((name, id)) = watermark {
            self.check_watermark(name, id)?;
        }
        self.findings.raise(raises, watermark)
    }

    /// Alert `id`, if there is one.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        self.findings.alert(id)
    }

    /// All alerts, newest id last.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        self.findings.alerts()
    }

    /// Stores the investigation of `alert`, in place of an earlier one.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_investigation(&self, alert: AlertId, json: &[u8]) -> Result<()> {
        self.findings.put_investigation(alert, json)
    }

    /// Investigation of `alert`, if there is one.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigation(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.findings.investigation(alert)
    }

    /// Alerts that have an investigation.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigations(&self) -> Result<Vec<AlertId>> {
        self.findings.investigations()
    }

    fn check_watermark(&self, name: &str, id: EventId) -> Result<()> {
        let last = self.last_id();
        if id > last {
            return Err(Error::Watermark { name: name.to_owned(), id, last });
        }
        Ok(())
    }

    /// The frame that holds event `id`, its payload not verified as a whole, and its first event.
    fn frame_of(&self, id: EventId) -> Result<(u64, Frame)> {
        let (first_id, offset) = self.meta.locate(id.0)?.ok_or_else(|| Error::Damaged {
            path: self.dir.join("meta.redb"),
            what: format!("it does not list event {id}; delete it to have it rebuilt"),
        })?;
        Ok((first_id, self.reader.peek(offset)?))
    }

    fn new_templates<'a>(&self, batch: &'a Batch) -> Result<Vec<(TemplateId, Cow<'a, str>)>> {
        let mut seen = BTreeSet::new();
        let named = batch.events.iter().filter(|event| !event.template_text.is_empty());
        let distinct = named
            .filter(|event| seen.insert(event.template))
            .map(|event| (event.template, event.template_text.as_str()));
        let unknown = self.meta.unknown_templates(distinct)?;
        Ok(unknown.into_iter().map(|(id, text)| (id, Cow::Borrowed(text))).collect())
    }

    /// Takes the frame just written into what is derived.
    fn derive(&self, log: &Log, offset: FrameOffset, batch: &Batch) -> Result<()> {
        let frame = self.reader.peek(offset)?;
        let head = record::head(&frame)?;
        let mark = log.mark();
        self.meta.apply(&Applied { offset, mark, head: &head, events: &batch.events })?;
        self.text.add(head.first_id, &batch.events, mark)
    }

    fn make_good(&self) -> Result<()> {
        if self.behind.load(Ordering::Acquire) { self.catch_up(&self.writer()) } else { Ok(()) }
    }

    /// Replays the part of the log that something derived has not taken in.
    fn catch_up(&self, writer: &Writer) -> Result<()> {
        let meta_end = self.meta.mark()?.map_or(FrameOffset::FIRST, |mark| mark.end());
        let text_end = self.text.mark().map_or(FrameOffset::FIRST, |mark| mark.end());
        let from = meta_end.min(text_end);
        let mut replayed = 0_u64;
        for frame in writer.log.frames(from) {
            let frame = frame?;
            let head = record::head(&frame)?;
            let events = (0..record::count(&frame)?)
                .map(|index| record::event(&frame, head.first_id, index).map(|stored| stored.event))
                .collect::<Result<Vec<Event>>>()?;
            let mark = Mark::after(&frame);
            if frame.offset() >= meta_end {
                let offset = frame.offset();
                self.meta.apply(&Applied { offset, mark, head: &head, events: &events })?;
            }
            if frame.offset() >= text_end {
                self.text.add(head.first_id, &events, mark)?;
            }
            replayed += events.len() as u64;
        }
        if replayed > 0 {
            tracing::info!(events = replayed, "replayed the end of the event log");
        }
        self.next_id.store(self.meta.totals()?.events + 1, Ordering::Release);
        self.behind.store(false, Ordering::Release);
        Ok(())
    }

    fn commit_derived(&self) -> Result<()> {
        self.text.commit().inspect_err(|_| self.behind.store(true, Ordering::Release))?;
        self.meta.sync()
    }

    /// Checks that everything derived speaks of the same events.
    fn check_counts(&self) -> Result<()> {
        let (stored, searchable) = (self.event_count(), self.text.committed_events());
        if stored != searchable {
            let what = format!(
                "it holds {searchable} events where the log has {stored}; delete it to have it rebuilt"
            );
            return Err(Error::Damaged { path: self.dir.join("text"), what });
        }
        self.findings.check_refers_up_to(self.last_id())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).field("events", &self.event_count()).finish()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // So that the next open has nothing to replay. Failing costs only that.
        if let Err(error) = self.refresh() {
            tracing::warn!(%error, "cannot commit what is derived from the log; it is replayed on the next open");
        }
    }
}

/// A log that data was derived from and that is gone was lost, not never there.
fn refuse_missing_log(dir: &Path, mark: Option<Mark>) -> Result<()> {
    let path = dir.join("events.log");
    if mark.is_none() || path.exists() {
        return Ok(());
    }
    let what =
        "it is missing, with all events; restore it from a backup, or remove the directory to start anew";
    Err(Error::Damaged { path, what: what.to_owned() })
}

fn append_durably(log: &mut Log, payload: &[u8]) -> casemate_disk::Result<FrameOffset> {
    let offset = log.append(payload)?;
    log.sync()?;
    Ok(offset)
}

/// The mark that covers more. Marks of different logs do not compare: the first then decides.
fn furthest(first: Option<Mark>, second: Option<Mark>) -> Option<Mark> {
    match (first, second) {
        (Some(a), Some(b)) if a.same_log(&b) && b.end() > a.end() => Some(b),
        (Some(a), _) => Some(a),
        (None, second) => second,
    }
}
