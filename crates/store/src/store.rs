//! One data directory: logs, segments, what is derived from them, and what was found in them.

use crate::cache::ChunkCache;
use crate::counts::{Counts, bytes_under};
use crate::findings::{Findings, Finished, Raise};
use crate::frame::{Encoded, Side};
use crate::head::{Head, nanoseconds};
use crate::maintain::{Maintenance, Work};
use crate::manifest::{Manifest, log_path};
use crate::merge::damaged_segment;
use crate::meta::{Meta, Template};
use crate::open;
use crate::quarantine::{QuarantineId, Resolved, StoredQuarantined};
use crate::resident::Resident;
use crate::retention::ClockWatch;
use crate::stats::Stats;
use crate::view::{Place, Slot, View};
use crate::{Error, Limits, Result};
use casemate_audit::Chain;
use casemate_disk::{DirLock, FrameOffset};
use casemate_event::{Alert, AlertId, Batch, EventId, Quarantined, SourceProgress, Stored, TemplateId};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// An open data directory. Thread-safe; one process at a time.
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    maintenance: Maintenance,
}

/// A batch encoded and compressed.
#[derive(Debug)]
pub struct Prepared {
    batch: Batch,
    encoded: Encoded,
}

/// What the threads of a store share.
pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) view: RwLock<View>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) meta: Meta,
    pub(crate) findings: Findings,
    pub(crate) resident: Resident,
    /// Who did what.
    pub(crate) audit: Mutex<Chain>,
    pub(crate) cache: ChunkCache,
    /// Counters of all segments together.
    pub(crate) sealed: Mutex<Stats>,
    /// Held for writing while what a head counts moves to the tables, so that no reader counts it twice or not
    /// at all.
    pub(crate) moving: RwLock<()>,
    /// Held while segments are put together or made anew: two at once would do the same ones twice.
    pub(crate) replacing: Mutex<()>,
    /// Whether the clock is to be believed when events are deleted by age.
    pub(crate) clock: Mutex<ClockWatch>,
    /// Held while the manifest is changed.
    pub(crate) manifest: Mutex<Manifest>,
    /// Given back last.
    pub(crate) _lock: DirLock,
}

/// Where the next batch goes.
pub(crate) struct Writer {
    pub(crate) head: Arc<Head>,
    pub(crate) next_id: u64,
    pub(crate) next_quarantined: u64,
    /// Next number for a log or segment.
    pub(crate) next_number: u64,
}

impl Store {
    /// Opens the store in `dir`, or creates it.
    ///
    /// # Errors
    /// A directory in use or not writable, a file of another version, damage that cannot be made good or
    /// left aside; each says which and what to do.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Limits::default())
    }

    /// As [`open`](Self::open), with other limits than the usual.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(dir: &Path, limits: Limits) -> Result<Self> {
        let inner = Arc::new(open::open(&dir.join("store"), limits)?);
        let maintenance = Maintenance::start(Arc::clone(&inner));
        Ok(Self { inner, maintenance })
    }

    /// Stores `batch` and returns the numbers its events got.
    ///
    /// Durable when it returns; many callers at once share one wait for the device.
    ///
    /// # Errors
    /// [`Error::Append`] if nothing of it was stored (a full disk, say); the store stays usable.
    pub fn append(&self, batch: &Batch) -> Result<Range<u64>> {
        let (ids, head, end) = self.write(batch, &[])?;
        head.sync(end).map_err(|source| Error::Append { source })?;
        Ok(ids)
    }

    /// As [`append`](Self::append) without waiting for the device: durable after the next
    /// [`sync`](Self::sync). For sources that can be read again, such as files, whose progress is part of the
    /// same batch.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_unsynced(&self, batch: &Batch) -> Result<Range<u64>> {
        self.write(batch, &[]).map(|(ids, ..)| ids)
    }

    /// Encodes and compresses a batch, for [`append_prepared`](Self::append_prepared): half of the work of an append,
    /// which another thread can do meanwhile.
    ///
    /// # Errors
    /// [`Error::Encode`] if it is too large.
    pub fn prepare(batch: Batch) -> Result<Prepared> {
        let encoded = Encoded::new(&batch, &[])?;
        Ok(Prepared { batch, encoded })
    }

    /// As [`append_unsynced`](Self::append_unsynced), for a batch that is prepared.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_prepared(&self, prepared: Prepared) -> Result<Range<u64>> {
        self.write_encoded(&prepared.batch, &[], prepared.encoded).map(|(ids, ..)| ids)
    }

    /// Stores `batch` in place of quarantined records, which count as resolved from then on: both or nothing.
    /// Durable when it returns.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_resolving(&self, batch: &Batch, resolved: &[Resolved]) -> Result<Range<u64>> {
        let (ids, head, end) = self.write(batch, resolved)?;
        head.sync(end).map_err(|source| Error::Append { source })?;
        Ok(ids)
    }

    /// Waits until everything appended so far is durable.
    ///
    /// # Errors
    /// [`Error::Append`] if that cannot be known: what was not yet durable is gone, and the store takes no
    /// more until it is opened again.
    pub fn sync(&self) -> Result<()> {
        let head = Arc::clone(&self.inner.writer().head);
        let end = head.end();
        head.sync(end).map_err(|source| Error::Append { source })
    }

    /// Makes everything appended so far durable and notes how far that is, so that a log cut short behind
    /// the store's back is noticed.
    ///
    /// # Errors
    /// The system's refusal. No event is lost by that.
    pub fn refresh(&self) -> Result<()> {
        self.sync()?;
        let inner = &self.inner;
        let head = Arc::clone(&inner.writer().head);
        let mark = Some((head.number, head.mark().to_string()));
        let mut manifest = inner.manifest();
        if manifest.mark != mark {
            let changed = Manifest { mark, ..manifest.clone() };
            changed.write(&inner.dir)?;
            *manifest = changed;
        }
        Ok(())
    }

    /// Event `id`, if there is one.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn get(&self, id: EventId) -> Result<Option<Stored>> {
        let inner = &self.inner;
        match inner.view().place(id.0) {
            Place::Segment(segment) => {
                segment.event((id.0 - segment.entry.first_id) as u32, &inner.cache).map(Some)
            }
            Place::Head(head) => Ok(head.scan(id.0..id.0 + 1, &inner.cache)?.pop()),
            Place::Damaged { entry, why } => Err(inner.damaged_segment(&entry, &why)),
            Place::Nowhere => Ok(None),
        }
    }

    /// Up to `limit` events in ascending order of number, beginning with `from`. Numbers are missing where
    /// retention has deleted events or a segment is damaged.
    ///
    /// # Errors
    /// Damage found while reading.
    pub fn scan(&self, from: EventId, limit: usize) -> Result<Vec<Stored>> {
        let inner = &self.inner;
        let view = inner.view();
        let mut events = Vec::new();
        let mut next = from.0.max(1);
        while events.len() < limit {
            let Some(id) = view.next_readable(next) else { break };
            let room = (limit - events.len()) as u64;
            let read = match view.place(id) {
                Place::Segment(segment) => {
                    let first = segment.entry.first_id;
                    let end = segment.entry.end_id().min(id.saturating_add(room));
                    segment.rows((id - first) as u32..(end - first) as u32, &inner.cache)?
                }
                Place::Head(head) => {
                    head.scan(id..head.end_id().min(id.saturating_add(room)), &inner.cache)?
                }
                Place::Damaged { .. } | Place::Nowhere => break,
            };
            next = id + read.len() as u64;
            events.extend(read);
        }
        Ok(events)
    }

    /// Reads all segments and verifies their checksums; returns what is wrong, one line for each.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn verify(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for slot in self.inner.view().segments.iter() {
            match slot {
                Slot::Open(segment) => match segment.verify() {
                    Err(error) if error.is_damage() => problems.push(error.to_string()),
                    outcome => outcome?,
                },
                Slot::Damaged { entry, why } => {
                    problems.push(self.inner.damaged_segment(entry, why).to_string());
                }
            }
        }
        Ok(problems)
    }

    /// Verifies all segments, and makes anew what is damaged in what was derived from their events. Returns what
    /// is still wrong, as [`verify`](Self::verify). Searches have the segments repaired that they find damaged;
    /// this is for those that nobody has asked.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn repair(&self) -> Result<Vec<String>> {
        for segment in self.inner.view().open_segments() {
            match self.inner.repair(segment.entry.number) {
                Err(error) if !error.is_damage() => return Err(error),
                _ => {}
            }
        }
        self.verify()
    }

    /// Deletes what is not to be kept and puts small segments together, now instead of when there is time.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn tidy(&self) -> Result<()> {
        while self.inner.tidy()? {}
        Ok(())
    }

    /// Number of events that can be asked for.
    pub fn event_count(&self) -> u64 {
        let view = self.inner.view();
        let sealed: u64 = view.segments.iter().map(|slot| u64::from(slot.entry().events)).sum();
        sealed + view.heads.iter().map(|head| head.events()).sum::<u64>()
    }

    /// Times of the earliest and the latest event that can be asked for.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let view = self.inner.view();
        let sealed = view.open_segments().map(|segment| segment.time_range());
        let heads = view.heads.iter().filter_map(|head| {
            let index = head.index();
            Some((nanoseconds(index.stats.first_time?), nanoseconds(index.stats.last_time?)))
        });
        let (first, last) = sealed
            .filter(|(first, last)| first <= last)
            .chain(heads)
            .reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))?;
        let at = |time: i64| Timestamp::from_nanosecond(time.into()).unwrap_or_default();
        Some((at(first), at(last)))
    }

    /// Number of the last event; 0 when there has been none.
    pub fn last_id(&self) -> EventId {
        EventId(self.inner.writer().next_id - 1)
    }

    /// What the store holds.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        let inner = &self.inner;
        let _still = inner.still();
        let view = inner.view();
        let mut templates = inner.meta.template_count()?;
        let mut new = BTreeSet::new();
        for id in view
            .heads
            .iter()
            .flat_map(|head| head.index().stats.templates.keys().copied().collect::<Vec<_>>())
        {
            if new.insert(id) && inner.meta.template(TemplateId(id))?.is_none() {
                templates += 1;
            }
        }
        let mut stats = lock(&inner.sealed).clone();
        for head in view.heads.iter() {
            stats.extend_counters(&head.index().stats);
        }
        let (alerts, investigations) = inner.findings.counts()?;
        let mut resolved = inner.meta.resolved(view.first_quarantined())?;
        resolved.extend(view.heads.iter().flat_map(|head| head.index().stats.resolved.clone()));
        for (_, reason) in resolved {
            if let Some(count) = stats.quarantined.get_mut(&reason) {
                *count = count.saturating_sub(1);
            }
        }
        stats.quarantined.retain(|_, count| *count > 0);
        Ok(Counts {
            events: self.event_count(),
            by_format: stats.by_format,
            quarantined: stats.quarantined,
            templates,
            alerts,
            investigations,
            bytes_on_disk: bytes_under(&inner.dir),
            raw_bytes: stats.raw_bytes,
            first_time: stats.first_time,
            last_time: stats.last_time,
        })
    }

    /// The latest quarantined records that are not resolved, up to `limit`, latest first.
    ///
    /// # Errors
    /// Damage to a segment.
    pub fn quarantine(&self, limit: usize) -> Result<Vec<Quarantined>> {
        Ok(self.quarantined(None, limit)?.into_iter().map(|stored| stored.record).collect())
    }

    /// As [`quarantine`](Self::quarantine) with numbers, and only records numbered below `before`.
    ///
    /// # Errors
    /// Damage to a segment.
    pub fn quarantined(&self, before: Option<QuarantineId>, limit: usize) -> Result<Vec<StoredQuarantined>> {
        let inner = &self.inner;
        let _still = inner.still();
        let view = inner.view();
        let before = before.map_or(u64::MAX, |id| id.0);
        let resolved_in_heads: HashSet<QuarantineId> = view
            .heads
            .iter()
            .flat_map(|head| head.index().stats.resolved.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .collect();
        let mut found = Vec::new();
        let heads = view.heads.iter().rev().map(|head| Ok(head.quarantined()));
        let segments = view.open_segments().rev();
        let segments = segments.filter(|segment| segment.entry.first_quarantined < before);
        let segments = segments.map(|segment| segment.quarantined());
        for part in heads.chain(segments) {
            for stored in part?.into_iter().rev() {
                if found.len() >= limit {
                    return Ok(found);
                }
                if stored.id.0 >= before || resolved_in_heads.contains(&stored.id) {
                    continue;
                }
                if !inner.meta.is_resolved(stored.id)? {
                    found.push(stored);
                }
            }
        }
        Ok(found)
    }

    /// How far the source with this key has been taken in.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn source_progress(&self, key: &str) -> Result<Option<SourceProgress>> {
        let _still = self.inner.still();
        let view = self.inner.view();
        let in_heads = view.heads.iter().rev().find_map(|head| head.index().stats.sources.get(key).cloned());
        match in_heads {
            Some(progress) => Ok(Some(progress)),
            None => self.inner.meta.source_progress(key),
        }
    }

    /// Forgets how far the sources with keys in this range have been taken in, as far as that has moved to the
    /// tables. For keys that mean something for a limited time.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn forget_progress(&self, keys: Range<&str>) -> Result<()> {
        self.inner.meta.forget_progress(keys)
    }

    /// Template `id`, if an event was folded to it.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn template(&self, id: TemplateId) -> Result<Option<Template>> {
        let _still = self.inner.still();
        let mut row = self.inner.meta.template(id)?;
        for head in self.inner.view().heads.iter() {
            if let Some(later) = head.index().stats.templates.get(&id.0) {
                match &mut row {
                    Some(row) => row.extend(later),
                    None => row = Some(later.clone()),
                }
            }
        }
        Ok(row.map(|row| row.public(id)))
    }

    /// All templates in order of their ids.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn templates(&self) -> Result<Vec<Template>> {
        let _still = self.inner.still();
        let mut rows: BTreeMap<_, _> = self.inner.meta.templates()?.into_iter().collect();
        for head in self.inner.view().heads.iter() {
            for (id, later) in &head.index().stats.templates {
                rows.entry(*id).and_modify(|row| row.extend(later)).or_insert_with(|| later.clone());
            }
        }
        Ok(rows.into_iter().map(|(id, row)| row.public(TemplateId(id))).collect())
    }

    /// How far a consumer of events has come; 0 at first.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn watermark(&self, name: &str) -> Result<EventId> {
        self.inner.findings.watermark(name)
    }

    /// Records, durably, how far a consumer of events has come.
    ///
    /// # Errors
    /// [`Error::Watermark`] if there is no such event yet; the tables cannot be written.
    pub fn set_watermark(&self, name: &str, id: EventId) -> Result<()> {
        self.check_watermark(name, id)?;
        self.inner.findings.set_watermark(name, id)
    }

    /// Stores an alert. It is absorbed by the latest alert with the same `fold_key` if it lies within
    /// `window` of that one's span, and gets a number of its own if not. Events that an alert with this key
    /// has already taken in are not counted again. Returns the alert as it now is.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn raise(&self, alert: Alert, fold_key: &str, window: SignedDuration) -> Result<Alert> {
        let one = Raise { alert, fold_key: fold_key.to_owned(), window, kind: 0, same: None };
        let mut raised = self.raise_all(vec![one], None)?;
        raised.pop().ok_or_else(|| Error::Damaged {
            path: self.inner.dir.join("findings.redb"),
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
        let (alerts, is_audited) = self.inner.findings.raise(raises, watermark)?;
        // Of each batch of events, hardly any leaves a row.
        if is_audited { self.inner.audited(Ok(alerts)) } else { Ok(alerts) }
    }

    /// Alert `id`, if there is one.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        self.inner.findings.alert(id)
    }

    /// All alerts, newest id last.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        self.inner.findings.alerts()
    }

    /// Alerts numbered above `after`, in order, at most `most`.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alerts_after(&self, after: AlertId, most: usize) -> Result<Vec<Alert>> {
        self.inner.findings.alerts_after(after, most)
    }

    /// Stores the investigation of `alert`, in place of an earlier one.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_investigation(&self, alert: AlertId, json: &[u8]) -> Result<()> {
        self.put_finished(alert, Finished { json, ..Finished::default() })
    }

    /// Investigation of `alert`, if there is one.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigation(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.inner.findings.investigation(alert)
    }

    /// The head of the investigation of `alert`: the members of its JSON that lists show, without the others.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigation_head(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.inner.findings.head(alert)
    }

    /// The heads of the investigations of alerts numbered above `after`, in order, at most `most`.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigation_heads_after(&self, after: AlertId, most: usize) -> Result<Vec<(AlertId, Vec<u8>)>> {
        self.inner.findings.heads_after(after, most)
    }

    /// Alerts that have an investigation.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn investigations(&self) -> Result<Vec<AlertId>> {
        self.inner.findings.investigations()
    }

    /// Has a segment looked at that a search found damaged.
    pub(crate) fn noticing<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && let Some(number) = damaged_segment(error)
        {
            self.maintenance.send(Work::Repair(number));
        }
        outcome
    }

    fn check_watermark(&self, name: &str, id: EventId) -> Result<()> {
        let last = self.last_id();
        if id > last {
            return Err(Error::Watermark { name: name.to_owned(), id, last });
        }
        // A watermark must not outlive the events it speaks of.
        self.sync()
    }

    /// Writes a batch to the log and to what is derived from it in memory. Returns the numbers of its events,
    /// and what has to be synced up to where for it to be durable.
    fn write(&self, batch: &Batch, resolved: &[Resolved]) -> Result<(Range<u64>, Arc<Head>, FrameOffset)> {
        self.write_encoded(batch, resolved, Encoded::new(batch, resolved)?)
    }

    fn write_encoded(
        &self,
        batch: &Batch,
        resolved: &[Resolved],
        mut encoded: Encoded,
    ) -> Result<(Range<u64>, Arc<Head>, FrameOffset)> {
        let mut writer = self.inner.writer();
        self.make_room(&mut writer)?;
        let head = Arc::clone(&writer.head);
        let ids = writer.next_id..writer.next_id + batch.events.len() as u64;
        let empty = batch.events.is_empty() && batch.quarantined.is_empty();
        if empty && batch.progress.is_none() && resolved.is_empty() {
            let end = head.end();
            return Ok((ids, head, end));
        }
        encoded.renumber(ids.start);
        let payload = encoded.payload()?;
        let end = head.write(encoded, &payload).map_err(|source| Error::Append { source })?;
        writer.next_id = ids.end;
        writer.next_quarantined += batch.quarantined.len() as u64;
        // Taken before the writer is given back, so that batches are indexed in the order of their numbers.
        let mut index = head.index_mut();
        drop(writer);
        index.add(&batch.events, &Side::of(batch, resolved));
        drop(index);
        if head.plain_bytes() > self.inner.limits.plain_bytes {
            self.maintenance.send(Work::Pack(Arc::clone(&head)));
        }
        Ok((ids, head, end))
    }

    /// Starts a new log where the current one is full, and has the old one written as a segment.
    fn make_room(&self, writer: &mut Writer) -> Result<()> {
        let (inner, limits) = (&self.inner, &self.inner.limits);
        if writer.head.events() < limits.segment_events && writer.head.written() < limits.segment_bytes {
            return Ok(());
        }
        self.maintenance.wait_for_room()?;
        let old = Arc::clone(&writer.head);
        old.sync(old.end()).map_err(|source| Error::Append { source })?;
        let head = Head::create(&inner.dir, writer.next_number, writer.next_id, writer.next_quarantined);
        let head = Arc::new(
            head.inspect_err(|_| drop(fs_err::remove_file(log_path(&inner.dir, writer.next_number))))?,
        );
        writer.next_number += 1;
        writer.head = Arc::clone(&head);
        let mut view = inner.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut heads = view.heads.to_vec();
        heads.push(head);
        view.heads = Arc::new(heads);
        drop(view);
        self.maintenance.send(Work::Seal(old));
        Ok(())
    }
}

impl Inner {
    /// What there is now.
    pub(crate) fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what heads and tables count where it is until dropped.
    pub(crate) fn still(&self) -> RwLockReadGuard<'_, ()> {
        self.moving.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        lock(&self.manifest)
    }

    pub(crate) fn damaged_segment(&self, entry: &crate::manifest::SegmentEntry, why: &str) -> Error {
        Error::Damaged {
            path: crate::manifest::segment_path(&self.dir, entry.number),
            what: format!(
                "{why}; events {} to {} cannot be read until it is restored from a backup",
                entry.first_id,
                entry.end_id() - 1
            ),
        }
    }
}

/// A panic while holding one of these locks leaves nothing half-changed that matters: go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).field("events", &self.event_count()).finish()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.maintenance.stop();
        // So that the next open has little to replay. Failing costs only that.
        if let Err(error) = self.close() {
            tracing::warn!(%error, "cannot tidy the store on closing; the next open replays the log");
        }
    }
}
