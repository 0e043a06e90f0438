//! Which events did people keep as evidence of a case? Each with what it said, so that it is there when retention has
//! deleted the event. Saving and removing leave their rows in the record.

use super::cases::{add_audit, as_value, case_exists, case_of};
use super::changes::Change;
use super::{Findings, Raise, Taken, from_json, to_json};
use crate::Result;
use crate::table::copy_table;
use casemate_audit::Entry;
use casemate_event::{CaseId, EventId};
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

/// Case and event to what was saved, as JSON.
const EVIDENCE: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("saved_evidence");

/// An event that a person saved as evidence of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEvidence {
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// What it was recognised as, by name.
    pub format: String,
    /// Where its record came from.
    pub source: String,
    /// Its line for a person.
    pub message: String,
    /// The record as received, up to [`SavedEvidence::MAX_RAW`] bytes; bytes that are no text are replaced.
    pub raw: String,
    /// Why it was saved; may be empty.
    pub note: String,
    /// Who saved it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl SavedEvidence {
    /// Most bytes of a record that are kept with it.
    pub const MAX_RAW: usize = 64 << 10;
    /// Most events saved for one case.
    pub const MAX_PER_CASE: usize = 500;
}

/// What became of saving an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saving {
    /// It is saved, in place of an earlier note if there was one.
    Saved,
    /// There is no such case.
    NoCase,
    /// The case has [`SavedEvidence::MAX_PER_CASE`] already.
    Full,
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(EVIDENCE)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, EVIDENCE)
}

impl Findings {
    pub(crate) fn save_evidence(&self, case: CaseId, saved: &SavedEvidence) -> Result<Saving> {
        self.write(|write| save(write, case, saved))
    }

    /// Raises an alert by hand and saves an event for the case that it is then part of: both, with their rows in the
    /// record, or neither.
    pub(crate) fn open_case(&self, one: Raise, saved: &SavedEvidence) -> Result<(CaseId, Saving)> {
        let (case, saving, change) = self.write_if(|write| {
            let Taken { alert, what, .. } = super::raise(write, one)?;
            let case = case_of(write, alert.id)?;
            if what.is_some() {
                let said =
                    serde_json::json!({ "alert": alert.id, "event": saved.event, "title": alert.title });
                let row = Entry::new(&saved.by, "open case", format!("case {case}"), serde_json::Value::Null);
                add_audit(write, &Entry { at: saved.at, now: said, ..row })?;
            }
            let saving = save(write, case, saved)?;
            let change = what.map(|what| Change { alert: alert.id, what });
            Ok(((case, saving, change), saving == Saving::Saved))
        })?;
        if saving == Saving::Saved {
            self.changes.note(change);
        }
        Ok((case, saving))
    }

    /// Whether there was something to remove.
    pub(crate) fn remove_evidence(
        &self,
        case: CaseId,
        event: EventId,
        by: &str,
        at: Timestamp,
    ) -> Result<bool> {
        self.write(|write| {
            let mut table = write.open_table(EVIDENCE)?;
            let removed: Option<SavedEvidence> =
                table.remove((case.0, event.0))?.map(|value| from_json(value.value())).transpose()?;
            drop(table);
            let Some(removed) = removed else { return Ok(false) };
            let row = entry(case, event, "remove evidence", by, at);
            add_audit(write, &Entry { previous: as_value(&removed.note)?, ..row })?;
            Ok(true)
        })
    }

    /// One of them.
    pub(crate) fn saved_event(&self, case: CaseId, event: EventId) -> Result<Option<SavedEvidence>> {
        self.read(|read| {
            let table = read.open_table(EVIDENCE)?;
            table.get((case.0, event.0))?.map(|value| from_json(value.value())).transpose()
        })
    }

    /// In order of time.
    pub(crate) fn saved_evidence(&self, case: CaseId) -> Result<Vec<SavedEvidence>> {
        self.read(|read| {
            let table = read.open_table(EVIDENCE)?;
            let rows = table.range((case.0, 0)..=(case.0, u64::MAX))?;
            let mut saved: Vec<SavedEvidence> =
                rows.map(|row| from_json(row?.1.value())).collect::<Result<_, redb::Error>>()?;
            saved.sort_by_key(|saved| (saved.time, saved.event));
            Ok(saved)
        })
    }
}

fn save(write: &WriteTransaction, case: CaseId, saved: &SavedEvidence) -> Result<Saving, redb::Error> {
    if !case_exists(write, case)? {
        return Ok(Saving::NoCase);
    }
    let mut table = write.open_table(EVIDENCE)?;
    let key = (case.0, saved.event.0);
    let before: Option<SavedEvidence> = table.get(key)?.map(|value| from_json(value.value())).transpose()?;
    let others = table.range((case.0, 0)..=(case.0, u64::MAX))?.take(SavedEvidence::MAX_PER_CASE).count();
    if before.is_none() && others >= SavedEvidence::MAX_PER_CASE {
        return Ok(Saving::Full);
    }
    table.insert(key, to_json(saved)?.as_slice())?;
    drop(table);
    let row = entry(case, saved.event, "save evidence", &saved.by, saved.at);
    let row =
        Entry { previous: as_value(&before.map(|before| before.note))?, now: as_value(&saved.note)?, ..row };
    add_audit(write, &row)?;
    Ok(Saving::Saved)
}

fn entry(case: CaseId, event: EventId, action: &str, by: &str, at: Timestamp) -> Entry {
    let subject = format!("event {event} of case {case}");
    Entry { at, ..Entry::new(by, action, subject, serde_json::Value::Null) }
}
