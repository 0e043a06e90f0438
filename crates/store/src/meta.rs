//! Where is which event, and what has been seen? Derived from the log, rebuilt when lost.

use crate::record::Head;
use crate::table::{OpenError, Tables};
use crate::{Error, Result};
use casemate_disk::{FrameOffset, Mark};
use casemate_event::{
    Entity, EntityKind, Event, Format, QuarantineReason, SourceProgress, TemplateId, field,
};
use jiff::Timestamp;
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// First event of a frame to the offset of the frame.
const FRAMES: TableDefinition<u64, u64> = TableDefinition::new("frames");
/// Offsets of frames that hold quarantined records, to how many.
const QUARANTINE: TableDefinition<u64, u64> = TableDefinition::new("quarantine");
const TEMPLATES: TableDefinition<u64, &[u8]> = TableDefinition::new("templates");
const SOURCES: TableDefinition<&str, &[u8]> = TableDefinition::new("sources");
const STATE: TableDefinition<&str, &[u8]> = TableDefinition::new("state");

/// Frames applied between commits that reach the device. Losing them costs their replay, not data.
const FRAMES_PER_DURABLE_COMMIT: u64 = 256;

/// Raise when a table changes its meaning; older files are then rebuilt.
const VERSION: u32 = 1;

/// A masked message and how it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Identity: hash of the text.
    pub id: TemplateId,
    /// The masked text.
    pub text: String,
    /// Events folded to it.
    pub count: u64,
    /// Time of the earliest event.
    pub first_seen: Timestamp,
    /// Time of the latest event.
    pub last_seen: Timestamp,
    /// Distinct hosts it was recorded on; [`Template::MAX_HOSTS`] stands for that many or more.
    pub hosts: u64,
}

impl Template {
    /// Up to here hosts are counted.
    pub const MAX_HOSTS: u64 = 64;
}

/// A template as kept.
#[derive(Serialize, Deserialize)]
struct TemplateRow {
    text: String,
    count: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// Hashes of host names, sorted.
    hosts: Vec<u64>,
}

impl TemplateRow {
    fn new(time: Timestamp) -> Self {
        Self { text: String::new(), count: 0, first_seen: time, last_seen: time, hosts: Vec::new() }
    }

    fn add(&mut self, event: &Event) {
        self.count += 1;
        self.first_seen = self.first_seen.min(event.time);
        self.last_seen = self.last_seen.max(event.time);
        let Some(host) = event.field(field::DEVICE_HOSTNAME) else { return };
        if (self.hosts.len() as u64) < Template::MAX_HOSTS {
            let hash = fnv1a(&Entity::new(EntityKind::Host, host).value);
            if let Err(place) = self.hosts.binary_search(&hash) {
                self.hosts.insert(place, hash);
            }
        }
    }
}

/// Counters over everything in the log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Totals {
    version: u32,
    pub(crate) events: u64,
    pub(crate) templates: u64,
    pub(crate) by_format: BTreeMap<Format, u64>,
    pub(crate) quarantined: BTreeMap<QuarantineReason, u64>,
    pub(crate) first_time: Option<Timestamp>,
    pub(crate) last_time: Option<Timestamp>,
}

/// One frame of the log, decoded.
pub(crate) struct Applied<'a> {
    pub(crate) offset: FrameOffset,
    /// Place behind the frame.
    pub(crate) mark: Mark,
    pub(crate) head: &'a Head<'a>,
    pub(crate) events: &'a [Event],
}

/// Derived tables.
pub(crate) struct Meta {
    tables: Tables,
    since_durable: AtomicU64,
}

impl Meta {
    /// Opens the tables; what is damaged or of another version is started anew.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match Self::try_open(path) {
            Ok(meta) => Ok(meta),
            Err(OpenError::Failed(error)) => Err(error),
            Err(OpenError::Damaged(why)) => {
                tracing::warn!(path = %path.display(), why, "metadata is damaged; rebuilding it from the log");
                Self::create_anew(path)
            }
        }
    }

    /// Removes what is there and starts with empty tables.
    pub(crate) fn create_anew(path: &Path) -> Result<Self> {
        fs_err::remove_file(path).map_err(|e| remove_error(path, e))?;
        Self::try_open(path).map_err(|error| match error {
            OpenError::Failed(error) => error,
            OpenError::Damaged(what) => Error::Damaged { path: path.to_owned(), what },
        })
    }

    fn try_open(path: &Path) -> Result<Self, OpenError> {
        let meta = Self { tables: Tables::open(path)?, since_durable: AtomicU64::new(0) };
        if meta.tables.is_new(STATE).map_err(OpenError::Failed)? {
            meta.create_tables().map_err(OpenError::Failed)?;
        }
        match meta.totals() {
            Ok(totals) if totals.version == VERSION || totals.version == 0 => Ok(meta),
            Ok(totals) => Err(OpenError::Damaged(format!("it has version {}", totals.version))),
            Err(error) => Err(OpenError::Damaged(error.to_string())),
        }
    }

    /// How much of the log is taken in; `None` if nothing is.
    pub(crate) fn mark(&self) -> Result<Option<Mark>> {
        let failed = self.tables.error("read");
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(STATE).map_err(self.tables.error("read"))?;
        let Some(value) = table.get("mark").map_err(failed)? else { return Ok(None) };
        let text = std::str::from_utf8(value.value()).unwrap_or_default();
        text.parse().map(Some).map_err(|_| self.tables.damaged("its place in the log does not decode"))
    }

    /// Takes in one frame. Reaches the device every so often; see [`sync`](Self::sync).
    pub(crate) fn apply(&self, frame: &Applied<'_>) -> Result<()> {
        let durable = self.since_durable.fetch_add(1, Ordering::Relaxed) >= FRAMES_PER_DURABLE_COMMIT;
        self.write(durable, |write| apply(write, frame))
    }

    /// Makes what was applied durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if self.since_durable.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.write(true, |_| Ok(()))
    }

    /// Offset of the frame that holds event `id`, and the first event in it.
    pub(crate) fn locate(&self, id: u64) -> Result<Option<(u64, FrameOffset)>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(FRAMES).map_err(self.tables.error("read"))?;
        let mut before = table.range(..=id).map_err(self.tables.error("read"))?;
        match before.next_back().transpose().map_err(self.tables.error("read"))? {
            Some((first, offset)) => Ok(Some((first.value(), FrameOffset(offset.value())))),
            None => Ok(None),
        }
    }

    /// Frames that hold quarantined records, latest first.
    pub(crate) fn quarantine_frames(&self) -> Result<Vec<FrameOffset>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(QUARANTINE).map_err(self.tables.error("read"))?;
        let rows = table.iter().map_err(self.tables.error("read"))?;
        rows.rev().map(|row| Ok(FrameOffset(row.map_err(self.tables.error("read"))?.0.value()))).collect()
    }

    pub(crate) fn source_progress(&self, sha256: &str) -> Result<Option<SourceProgress>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(SOURCES).map_err(self.tables.error("read"))?;
        let value = table.get(sha256).map_err(self.tables.error("read"))?;
        value.map(|value| self.decode(value.value())).transpose()
    }

    pub(crate) fn template(&self, id: TemplateId) -> Result<Option<Template>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        let value = table.get(id.0).map_err(self.tables.error("read"))?;
        value.map(|value| self.decode_template(id, value.value())).transpose()
    }

    pub(crate) fn templates(&self) -> Result<Vec<Template>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        let rows = table.iter().map_err(self.tables.error("read"))?;
        rows.map(|row| {
            let (id, value) = row.map_err(self.tables.error("read"))?;
            self.decode_template(TemplateId(id.value()), value.value())
        })
        .collect()
    }

    /// Which of `ids` have no text yet.
    pub(crate) fn unknown_templates<'a>(
        &self,
        ids: impl Iterator<Item = (TemplateId, &'a str)>,
    ) -> Result<Vec<(TemplateId, &'a str)>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        let mut unknown = Vec::new();
        for (id, text) in ids {
            let known = match table.get(id.0).map_err(self.tables.error("read"))? {
                Some(value) => !self.decode::<TemplateRow>(value.value())?.text.is_empty(),
                None => false,
            };
            if !known {
                unknown.push((id, text));
            }
        }
        Ok(unknown)
    }

    pub(crate) fn totals(&self) -> Result<Totals> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(STATE).map_err(self.tables.error("read"))?;
        match table.get("totals").map_err(self.tables.error("read"))? {
            Some(value) => self.decode(value.value()),
            None => Ok(Totals::default()),
        }
    }

    fn decode_template(&self, id: TemplateId, bytes: &[u8]) -> Result<Template> {
        let row: TemplateRow = self.decode(bytes)?;
        Ok(Template {
            id,
            text: row.text,
            count: row.count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            hosts: row.hosts.len() as u64,
        })
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        postcard::from_bytes(bytes).map_err(|e| self.tables.damaged(&format!("a row does not decode ({e})")))
    }

    fn create_tables(&self) -> Result<()> {
        self.write(true, |write| {
            write.open_table(FRAMES)?;
            write.open_table(QUARANTINE)?;
            write.open_table(TEMPLATES)?;
            write.open_table(SOURCES)?;
            write.open_table(STATE)?;
            Ok(())
        })
    }

    fn write(
        &self,
        durable: bool,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let run = || -> Result<(), redb::Error> {
            let mut write = self.tables.database.begin_write()?;
            if !durable {
                write.set_durability(Durability::None)?;
            }
            change(&write)?;
            write.commit()?;
            Ok(())
        };
        run().map_err(self.tables.error("write"))?;
        if durable {
            self.since_durable.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn apply(write: &redb::WriteTransaction, frame: &Applied<'_>) -> Result<(), redb::Error> {
    let count = frame.events.len() as u64;
    if count > 0 {
        write.open_table(FRAMES)?.insert(frame.head.first_id, frame.offset.0)?;
    }
    let quarantined = frame.head.quarantined.len() as u64;
    if quarantined > 0 {
        write.open_table(QUARANTINE)?.insert(frame.offset.0, quarantined)?;
    }
    if let Some(progress) = &frame.head.progress {
        write.open_table(SOURCES)?.insert(progress.sha256.as_str(), encode(&**progress)?.as_slice())?;
    }
    let new_templates = apply_templates(write, frame)?;
    let mut state = write.open_table(STATE)?;
    let mut totals: Totals = match state.get("totals")? {
        Some(value) => decode(value.value())?,
        None => Totals::default(),
    };
    totals.version = VERSION;
    totals.events += count;
    totals.templates += new_templates;
    for event in frame.events {
        *totals.by_format.entry(event.format).or_default() += 1;
        totals.first_time = Some(totals.first_time.map_or(event.time, |time| time.min(event.time)));
        totals.last_time = Some(totals.last_time.map_or(event.time, |time| time.max(event.time)));
    }
    for record in frame.head.quarantined.iter() {
        *totals.quarantined.entry(record.reason).or_default() += 1;
    }
    state.insert("totals", encode(&totals)?.as_slice())?;
    state.insert("mark", frame.mark.to_string().as_bytes())?;
    Ok(())
}

/// Counts the events of `frame` by template; returns how many templates are new.
fn apply_templates(write: &redb::WriteTransaction, frame: &Applied<'_>) -> Result<u64, redb::Error> {
    let mut by_template: BTreeMap<TemplateId, Vec<&Event>> = BTreeMap::new();
    for event in frame.events {
        by_template.entry(event.template).or_default().push(event);
    }
    let texts: BTreeMap<TemplateId, &str> =
        frame.head.templates.iter().map(|(id, text)| (*id, text.as_ref())).collect();
    let mut table = write.open_table(TEMPLATES)?;
    let mut new = 0;
    for (id, events) in by_template {
        let Some(first) = events.first() else { continue };
        let found = table.get(id.0)?.map(|value| decode(value.value())).transpose()?;
        new += u64::from(found.is_none());
        let mut row: TemplateRow = found.unwrap_or_else(|| TemplateRow::new(first.time));
        if let Some(text) = texts.get(&id) {
            row.text = (*text).to_owned();
        }
        events.iter().for_each(|event| row.add(event));
        table.insert(id.0, encode(&row)?.as_slice())?;
    }
    Ok(new)
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    postcard::to_stdvec(value).map_err(|e| redb::Error::Corrupted(format!("a row does not encode ({e})")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(bytes).map_err(|e| redb::Error::Corrupted(format!("a row does not decode ({e})")))
}

fn remove_error(path: &Path, error: std::io::Error) -> Error {
    Error::Table { action: "remove damaged", path: path.to_owned(), source: Box::new(error.into()) }
}

/// FNV-1a, 64 bits: a hash that stays the same over versions of the standard library.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
