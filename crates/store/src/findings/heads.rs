//! What do lists say of investigations? A few members of each report, kept beside it: reports are long, and who lists
//! 100,000 of them reads none.

use super::{Findings, INVESTIGATIONS};
use crate::Result;
use crate::table::copy_table;
use casemate_event::AlertId;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Alert id to the head of its investigation, as JSON.
const HEADS: TableDefinition<u64, &[u8]> = TableDefinition::new("heads");

/// Bytes kept of what is no report.
const MOST_OF_NO_REPORT: usize = 256;

/// The members of a report that are kept; what is not there stays away.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergence: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    playbook: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Value>,
}

/// What a report names: a playbook, a model, a head.
#[derive(Serialize, Deserialize)]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Value>,
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(HEADS)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, HEADS)
}

/// Keeps the head of a report.
pub(super) fn put(write: &WriteTransaction, alert: AlertId, report: &[u8]) -> Result<(), redb::Error> {
    write.open_table(HEADS)?.insert(alert.0, head_of(report).as_ref())?;
    Ok(())
}

/// Keeps the heads of all investigations, for a file that has none.
pub(super) fn make_all(write: &WriteTransaction) -> Result<(), redb::Error> {
    let investigations = write.open_table(INVESTIGATIONS)?;
    let mut heads = write.open_table(HEADS)?;
    for row in investigations.iter()? {
        let (alert, report) = row?;
        heads.insert(alert.value(), head_of(report.value()).as_ref())?;
    }
    Ok(())
}

/// The head of a report; of what is none its beginning, so that whoever reads it sees that.
fn head_of(report: &[u8]) -> Cow<'_, [u8]> {
    match serde_json::from_slice::<Head>(report).and_then(|head| serde_json::to_vec(&head)) {
        Ok(head) => Cow::Owned(head),
        Err(_) => Cow::Borrowed(report.get(..MOST_OF_NO_REPORT).unwrap_or(report)),
    }
}

impl Findings {
    /// The head of the investigation of an alert.
    pub(crate) fn head(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.read(|read| Ok(read.open_table(HEADS)?.get(alert.0)?.map(|head| head.value().to_vec())))
    }

    /// The heads of the investigations of alerts numbered above `after`, in order, at most `most`.
    pub(crate) fn heads_after(&self, after: AlertId, most: usize) -> Result<Vec<(AlertId, Vec<u8>)>> {
        self.read(|read| {
            let table = read.open_table(HEADS)?;
            let rows = table.range(after.0.saturating_add(1)..)?.take(most);
            rows.map(|row| {
                let (alert, head) = row?;
                Ok((AlertId(alert.value()), head.value().to_vec()))
            })
            .collect()
        })
    }
}
