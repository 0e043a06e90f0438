//! What has been seen over all time? Templates, sources, resolved records: derived from segments as they are
//! sealed, and kept when retention deletes them.

use crate::quarantine::{QuarantineId, Resolved};
use crate::stats::{Stats, TemplateRow};
use crate::table::{OpenError, Tables, copy_table};
use crate::{Error, Result};
use casemate_event::{SourceProgress, TemplateId};
use jiff::Timestamp;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

const TEMPLATES: TableDefinition<u64, &[u8]> = TableDefinition::new("templates");
const SOURCES: TableDefinition<&str, &[u8]> = TableDefinition::new("sources");
/// Quarantined records that events have taken the place of, and why they had been quarantined.
const RESOLVED: TableDefinition<u64, &[u8]> = TableDefinition::new("resolved");
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");

/// Raise when a table changes its meaning; older files are then rebuilt.
const VERSION: u64 = 3;

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

/// Derived tables.
pub(crate) struct Meta {
    tables: Tables,
}

impl Meta {
    /// Opens the tables; what is damaged or of another version is started anew.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match Self::try_open(path) {
            Ok(meta) => Ok(meta),
            Err(OpenError::Failed(error)) => Err(error),
            Err(OpenError::Damaged(why)) => {
                tracing::warn!(path = %path.display(), why, "metadata is damaged; rebuilding it from the segments");
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
        let meta = Self { tables: Tables::open(path)? };
        if meta.tables.is_new(STATE).map_err(OpenError::Failed)? {
            meta.create_tables().map_err(OpenError::Failed)?;
        }
        match meta.state("version") {
            Ok(VERSION) => Ok(meta),
            Ok(version) => Err(OpenError::Damaged(format!("it has version {version}"))),
            Err(error) => Err(OpenError::Damaged(error.to_string())),
        }
    }

    /// Number behind the last event whose segment has been taken in; 1 when none has.
    pub(crate) fn applied(&self) -> Result<u64> {
        Ok(self.state("applied")?.max(1))
    }

    /// Takes in a segment whose events end before `end_id`, durably; once, however often it is called.
    pub(crate) fn apply(&self, stats: &Stats, end_id: u64) -> Result<()> {
        if self.applied()? >= end_id && !stats.templates.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let mut templates = write.open_table(TEMPLATES)?;
            for (id, later) in &stats.templates {
                let known =
                    templates.get(id)?.map(|value| decode::<TemplateRow>(value.value())).transpose()?;
                let row = match known {
                    Some(mut row) => {
                        row.extend(later);
                        encode(&row)?
                    }
                    None => encode(later)?,
                };
                templates.insert(id, row.as_slice())?;
            }
            let mut sources = write.open_table(SOURCES)?;
            for (key, progress) in &stats.sources {
                sources.insert(key.as_str(), encode(progress)?.as_slice())?;
            }
            let mut resolved = write.open_table(RESOLVED)?;
            for (id, reason) in &stats.resolved {
                resolved.insert(id.0, encode(reason)?.as_slice())?;
            }
            write.open_table(STATE)?.insert("applied", end_id)?;
            Ok(())
        })
    }

    pub(crate) fn source_progress(&self, key: &str) -> Result<Option<SourceProgress>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(SOURCES).map_err(self.tables.error("read"))?;
        let value = table.get(key).map_err(self.tables.error("read"))?;
        value.map(|value| self.decode(value.value())).transpose()
    }

    pub(crate) fn forget_progress(&self, keys: Range<&str>) -> Result<()> {
        self.write(|write| {
            write.open_table(SOURCES)?.retain_in(keys, |_, _| false)?;
            Ok(())
        })
    }

    pub(crate) fn is_resolved(&self, id: QuarantineId) -> Result<bool> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(RESOLVED).map_err(self.tables.error("read"))?;
        Ok(table.get(id.0).map_err(self.tables.error("read"))?.is_some())
    }

    /// Resolved records numbered `from` and above.
    pub(crate) fn resolved(&self, from: u64) -> Result<Vec<Resolved>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(RESOLVED).map_err(self.tables.error("read"))?;
        let rows = table.range(from..).map_err(self.tables.error("read"))?;
        rows.map(|row| {
            let (id, reason) = row.map_err(self.tables.error("read"))?;
            Ok((QuarantineId(id.value()), self.decode(reason.value())?))
        })
        .collect()
    }

    pub(crate) fn template(&self, id: TemplateId) -> Result<Option<TemplateRow>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        let value = table.get(id.0).map_err(self.tables.error("read"))?;
        value.map(|value| self.decode(value.value())).transpose()
    }

    /// All templates in order of their ids.
    pub(crate) fn templates(&self) -> Result<Vec<(u64, TemplateRow)>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        let rows = table.iter().map_err(self.tables.error("read"))?;
        rows.map(|row| {
            let (id, value) = row.map_err(self.tables.error("read"))?;
            Ok((id.value(), self.decode(value.value())?))
        })
        .collect()
    }

    /// How many templates there are.
    pub(crate) fn template_count(&self) -> Result<u64> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(TEMPLATES).map_err(self.tables.error("read"))?;
        table.len().map_err(self.tables.error("read"))
    }

    /// Makes a copy at `path`, as of now.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        self.tables.copy_to(path, |read, write| {
            copy_table(read, write, TEMPLATES)?;
            copy_table(read, write, SOURCES)?;
            copy_table(read, write, RESOLVED)?;
            copy_table(read, write, STATE)
        })
    }

    /// When this store was last known to be open; nothing for one that is new or was made anew.
    pub(crate) fn open_at(&self) -> Result<Option<Timestamp>> {
        let seconds = i64::try_from(self.state("open_at")?).unwrap_or_default();
        Ok(Timestamp::from_second(seconds).ok().filter(|_| seconds > 0))
    }

    /// Notes that it is open at `now`, durably.
    pub(crate) fn note_open(&self, now: Timestamp) -> Result<()> {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        self.write(|write| {
            write.open_table(STATE)?.insert("open_at", seconds)?;
            Ok(())
        })
    }

    fn state(&self, name: &str) -> Result<u64> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(STATE).map_err(self.tables.error("read"))?;
        Ok(table.get(name).map_err(self.tables.error("read"))?.map_or(0, |value| value.value()))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        postcard::from_bytes(bytes).map_err(|e| self.tables.damaged(&format!("a row does not decode ({e})")))
    }

    fn create_tables(&self) -> Result<()> {
        self.write(|write| {
            write.open_table(TEMPLATES)?;
            write.open_table(SOURCES)?;
            write.open_table(RESOLVED)?;
            write.open_table(STATE)?.insert("version", VERSION)?;
            Ok(())
        })
    }

    fn write(&self, change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<()> {
        let run = || -> Result<(), redb::Error> {
            let write = self.tables.database.begin_write()?;
            change(&write)?;
            write.commit()?;
            Ok(())
        };
        run().map_err(self.tables.error("write"))
    }
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
