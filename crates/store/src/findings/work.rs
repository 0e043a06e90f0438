//! What does the investigation of alerts remember from one run to the next? What waits, what was verified and may
//! be used again, and what a model may do by itself.

use super::cases::add_audit;
use super::changes::What;
use super::heads;
use super::{ALERTS, Findings, INVESTIGATIONS, from_json, get_alert, to_json};
use crate::Result;
use crate::table::copy_table;
use casemate_audit::Entry;
use casemate_event::{Alert, AlertId};
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

/// Alert id to when the store first took it in, in milliseconds since 1970.
const RAISED: TableDefinition<u64, i64> = TableDefinition::new("raised");
/// Alert id and kind of an event that it took in.
const KINDS: TableDefinition<(u64, u64), ()> = TableDefinition::new("kinds");
/// Alert id to when a person asked for its investigation; gone once that is stored.
const ASKED: TableDefinition<u64, i64> = TableDefinition::new("asked");
/// What a verdict rested on, as a hash, to the alert that was investigated.
const VERIFIED: TableDefinition<&str, u64> = TableDefinition::new("verified");
/// Alert id to the pooled embedding of its evidence, as little-endian floats.
const VECTORS: TableDefinition<u64, &[u8]> = TableDefinition::new("evidence_vectors");
/// Alert id to what was retrieved for its investigation, compressed.
const INPUTS: TableDefinition<u64, &[u8]> = TableDefinition::new("inputs");
/// SHA-256 of a model file to what its gate said, as JSON.
const GATES: TableDefinition<&str, &[u8]> = TableDefinition::new("gate");

/// What the gate said about one model file at this site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// SHA-256 of the model's file, in lower-case hex.
    pub model: String,
    /// When.
    pub at: Timestamp,
    /// Who ran it, or forced it.
    pub by: String,
    /// Whether the model may close alerts and lower severities by itself.
    pub allowed: bool,
    /// The figures it was decided by.
    pub figures: serde_json::Value,
}

/// An investigation on its way into the store.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finished<'a> {
    /// The report.
    pub json: &'a [u8],
    /// Hashes of what the verdict rested on: alerts that rest on the same may use it. None to keep it from that.
    pub rests_on: &'a [String],
    /// Pooled embedding of the evidence; empty without one.
    pub vector: &'a [f32],
    /// What was retrieved for it, from which it can be made again; empty to keep nothing.
    pub inputs: &'a [u8],
    /// What the audit record says of it.
    pub entry: Option<&'a Entry>,
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(RAISED)?;
    write.open_table(KINDS)?;
    write.open_table(ASKED)?;
    write.open_table(VERIFIED)?;
    write.open_table(VECTORS)?;
    write.open_table(GATES)?;
    write.open_table(INPUTS)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, RAISED)?;
    copy_table(read, write, KINDS)?;
    copy_table(read, write, ASKED)?;
    copy_table(read, write, VERIFIED)?;
    copy_table(read, write, VECTORS)?;
    copy_table(read, write, GATES)?;
    copy_table(read, write, INPUTS)
}

/// When alerts were taken in.
pub(super) fn raised_table(read: &ReadTransaction) -> Result<redb::ReadOnlyTable<u64, i64>, redb::Error> {
    Ok(read.open_table(RAISED)?)
}

/// Notes that an alert is new.
pub(super) fn note_raised(write: &WriteTransaction, alert: AlertId) -> Result<(), redb::Error> {
    write.open_table(RAISED)?.insert(alert.0, Timestamp::now().as_millisecond())?;
    Ok(())
}

/// Notes the kind of what an alert took in.
pub(super) fn note_kind(write: &WriteTransaction, alert: AlertId, kind: u64) -> Result<(), redb::Error> {
    let mut kinds = write.open_table(KINDS)?;
    if kinds.get((alert.0, kind))?.is_none() {
        kinds.insert((alert.0, kind), ())?;
    }
    Ok(())
}

/// Whether the alert was investigated before it took in anything of this kind.
pub(super) fn is_unlike(write: &WriteTransaction, alert: AlertId, kind: u64) -> Result<bool, redb::Error> {
    Ok(write.open_table(INVESTIGATIONS)?.get(alert.0)?.is_some()
        && write.open_table(KINDS)?.get((alert.0, kind))?.is_none())
}

impl Findings {
    pub(crate) fn put_investigation(&self, alert: AlertId, finished: Finished<'_>) -> Result<()> {
        self.changing(What::Investigated, |write, changed| {
            changed.push(alert);
            write.open_table(INVESTIGATIONS)?.insert(alert.0, finished.json)?;
            heads::put(write, alert, finished.json)?;
            write.open_table(ASKED)?.remove(alert.0)?;
            let mut verified = write.open_table(VERIFIED)?;
            for hash in finished.rests_on {
                verified.insert(hash.as_str(), alert.0)?;
            }
            if !finished.vector.is_empty() {
                let bytes: Vec<u8> = finished.vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                write.open_table(VECTORS)?.insert(alert.0, bytes.as_slice())?;
            }
            let mut inputs = write.open_table(INPUTS)?;
            if finished.inputs.is_empty() {
                inputs.remove(alert.0)?;
            } else {
                let packed = zstd::bulk::compress(finished.inputs, 3).map_err(redb::Error::Io)?;
                inputs.insert(alert.0, packed.as_slice())?;
            }
            finished.entry.map_or(Ok(()), |entry| add_audit(write, entry))
        })
    }

    pub(crate) fn verified(&self, hash: &str) -> Result<Option<AlertId>> {
        self.read(|read| Ok(read.open_table(VERIFIED)?.get(hash)?.map(|id| AlertId(id.value()))))
    }

    pub(crate) fn evidence_vector(&self, alert: AlertId) -> Result<Option<Vec<f32>>> {
        self.read(|read| {
            let value = read.open_table(VECTORS)?.get(alert.0)?;
            Ok(value.map(|value| {
                let floats = value.value().chunks_exact(4);
                floats.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
            }))
        })
    }

    pub(crate) fn inputs(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.read(|read| {
            let value = read.open_table(INPUTS)?.get(alert.0)?;
            let unpacked = value
                .map(|value| zstd::stream::decode_all(value.value()))
                .transpose()
                .map_err(redb::Error::Io)?;
            Ok(unpacked)
        })
    }

    pub(crate) fn put_asked(&self, alert: AlertId) -> Result<()> {
        self.write(|write| {
            write.open_table(ASKED)?.insert(alert.0, Timestamp::now().as_millisecond())?;
            Ok(())
        })
    }

    pub(crate) fn put_asked_while_running(&self, alert: AlertId) -> Result<()> {
        self.write(|write| {
            if write.open_table(INVESTIGATIONS)?.get(alert.0)?.is_none() {
                write.open_table(ASKED)?.insert(alert.0, Timestamp::now().as_millisecond())?;
            }
            Ok(())
        })
    }

    pub(crate) fn asked(&self) -> Result<Vec<AlertId>> {
        self.read(|read| {
            let mut asked = Vec::new();
            for row in read.open_table(ASKED)?.iter()? {
                let (id, at) = row?;
                asked.push((at.value(), AlertId(id.value())));
            }
            asked.sort_unstable();
            Ok(asked.into_iter().map(|(_, id)| id).collect())
        })
    }

    /// Alerts numbered above `after` that have no investigation and were not closed, with when they were raised.
    pub(crate) fn uninvestigated(
        &self,
        after: AlertId,
        most: usize,
    ) -> Result<Vec<(Alert, Option<Timestamp>)>> {
        self.read(|read| {
            let (alerts, raised) = (read.open_table(ALERTS)?, read.open_table(RAISED)?);
            let investigations = read.open_table(INVESTIGATIONS)?;
            let closed = super::cases::closed_table(read)?;
            let mut found = Vec::new();
            for row in alerts.range(after.0.saturating_add(1)..)? {
                if found.len() >= most {
                    break;
                }
                let id = row?.0.value();
                if investigations.get(id)?.is_some() || closed.get(id)?.is_some() {
                    continue;
                }
                let at = raised.get(id)?.and_then(|at| Timestamp::from_millisecond(at.value()).ok());
                found.push((get_alert(&alerts, id)?, at));
            }
            Ok(found)
        })
    }

    pub(crate) fn put_gate(&self, gate: &Gate) -> Result<()> {
        self.write(|write| {
            let mut gates = write.open_table(GATES)?;
            let previous = gates
                .insert(gate.model.as_str(), to_json(gate)?.as_slice())?
                .map(|value| from_json(value.value()))
                .transpose()?;
            let now =
                serde_json::to_value(gate).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            let row = Entry {
                at: gate.at,
                by: gate.by.clone(),
                action: "gate".to_owned(),
                subject: format!("model {}", gate.model),
                previous: previous.unwrap_or_default(),
                now,
            };
            add_audit(write, &row)
        })
    }

    pub(crate) fn gate(&self, model: &str) -> Result<Option<Gate>> {
        self.read(|read| {
            let value = read.open_table(GATES)?.get(model)?;
            value.map(|value| from_json(value.value())).transpose()
        })
    }
}
