//! Whose is an alert, and what do people think of its verdict? Beside how it was closed, which is [`cases`](super::cases)'s.
//!
//! What a person says is an example for later alerts as a closing is: the later of the two counts. Agreeing with a
//! verdict that decides nothing says nothing, and is no example.

use super::cases::{add_audit, as_value, case_in, case_table, closed_table, closing_in, decide, put_case};
use super::changes::What;
use super::work::raised_table;
use super::{ALERTS, Findings, from_json, get_alert, to_json};
use crate::Result;
use crate::table::copy_table;
use casemate_audit::Entry;
use casemate_event::{Alert, AlertId, Assigned, CaseId, Closing, Feedback, Subject};
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// Alert id to what a person thinks of its verdict, as JSON.
pub(super) const FEEDBACK: TableDefinition<u64, &[u8]> = TableDefinition::new("feedback");
/// Alert id to whose it is, as JSON.
const ASSIGNED: TableDefinition<u64, &[u8]> = TableDefinition::new("assigned");

/// What a person does about an alert or a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Closes it.
    Close(Closing),
    /// Opens it again.
    Reopen,
    /// Gives it to somebody, or to nobody. A case is given with its alerts.
    Assign(Option<Assigned>),
    /// Says what they think of its verdict, or takes that back. Of an alert; whoever disagrees with what a machine
    /// closed opens it again.
    Say(Option<Feedback>),
}

/// What is known of an alert beside its investigation.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertState {
    /// The alert.
    pub alert: Alert,
    /// When the store took it in; unknown for those of old versions.
    pub raised: Option<Timestamp>,
    /// Its case.
    pub case: Option<CaseId>,
    /// How it was closed, if it is.
    pub closing: Option<Closing>,
    /// Whose it is.
    pub assigned: Option<Assigned>,
    /// What a person thinks of its verdict.
    pub feedback: Option<Feedback>,
}

impl AlertState {
    /// What a person decided last, by closing it or by what they said of its verdict.
    pub fn decided(&self) -> Option<Closing> {
        decided(self.closing.clone(), self.feedback.clone())
    }
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(FEEDBACK)?;
    write.open_table(ASSIGNED)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, FEEDBACK)?;
    copy_table(read, write, ASSIGNED)
}

/// What a person decided last of an alert that was closed like this, and of whose verdict this was said.
pub(super) fn decided(closing: Option<Closing>, said: Option<Feedback>) -> Option<Closing> {
    let closing = closing.filter(|closing| !closing.by_machine);
    let said = said.and_then(|said| {
        let reason = match said.reason.is_empty() {
            true => format!("agreed that it was {}", said.of),
            false => said.reason,
        };
        Some(Closing { verdict: said.truth?, reason, by: said.by, at: said.at, by_machine: false })
    });
    match (closing, said) {
        (Some(closing), Some(said)) => Some(if said.at > closing.at { said } else { closing }),
        (closing, said) => closing.or(said),
    }
}

/// Gives an alert to somebody, within a write.
pub(super) fn assign(
    write: &WriteTransaction,
    alert: AlertId,
    assigned: Option<&Assigned>,
) -> Result<Option<Assigned>, redb::Error> {
    let mut table = write.open_table(ASSIGNED)?;
    let previous = match assigned {
        Some(assigned) => table.insert(alert.0, to_json(assigned)?.as_slice())?,
        None => table.remove(alert.0)?,
    };
    previous.map(|value| from_json(value.value())).transpose()
}

impl Findings {
    /// Does all of it, each with its row in the record, or nothing. Returns which of `acts` are about no case or
    /// alert that there is.
    pub(crate) fn act(&self, acts: &[(Subject, Act)], by: &str, at: Timestamp) -> Result<Vec<Subject>> {
        self.changing(What::Decided, |write, changed| {
            let mut missing = Vec::new();
            for (subject, act) in acts {
                if !one(write, *subject, act, (by, at), changed)? {
                    missing.push(*subject);
                }
            }
            Ok(missing)
        })
    }

    /// The alerts of these numbers that there are.
    pub(crate) fn states(&self, ids: &[AlertId]) -> Result<Vec<AlertState>> {
        self.read(|read| {
            let tables = StateTables::open(read)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                if tables.alerts.get(id.0)?.is_some() {
                    found.push(tables.state(id.0)?);
                }
            }
            Ok(found)
        })
    }

    /// Alerts numbered above `after`, in order, at most `most`.
    pub(crate) fn states_after(&self, after: AlertId, most: usize) -> Result<Vec<AlertState>> {
        self.read(|read| {
            let tables = StateTables::open(read)?;
            let rows = tables.alerts.range(after.0.saturating_add(1)..)?.take(most);
            rows.map(|row| tables.state(row?.0.value())).collect()
        })
    }
}

type Json = redb::ReadOnlyTable<u64, &'static [u8]>;

struct StateTables {
    alerts: Json,
    raised: redb::ReadOnlyTable<u64, i64>,
    cases: redb::ReadOnlyTable<u64, u64>,
    closed: Json,
    assigned: Json,
    feedback: Json,
}

impl StateTables {
    fn open(read: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            alerts: read.open_table(ALERTS)?,
            raised: raised_table(read)?,
            cases: case_table(read)?,
            closed: closed_table(read)?,
            assigned: read.open_table(ASSIGNED)?,
            feedback: read.open_table(FEEDBACK)?,
        })
    }

    fn state(&self, id: u64) -> Result<AlertState, redb::Error> {
        Ok(AlertState {
            alert: get_alert(&self.alerts, id)?,
            raised: self.raised.get(id)?.and_then(|at| Timestamp::from_millisecond(at.value()).ok()),
            case: self.cases.get(id)?.map(|case| CaseId(case.value())),
            closing: get(&self.closed, id)?,
            assigned: get(&self.assigned, id)?,
            feedback: get(&self.feedback, id)?,
        })
    }
}

fn get<T: serde::de::DeserializeOwned>(table: &Json, id: u64) -> Result<Option<T>, redb::Error> {
    table.get(id)?.map(|value| from_json(value.value())).transpose()
}

/// Does one thing within a write; says whether what it is about is there.
fn one(
    write: &WriteTransaction,
    subject: Subject,
    act: &Act,
    (by, at): (&str, Timestamp),
    changed: &mut Vec<AlertId>,
) -> Result<bool, redb::Error> {
    let row = |action: &str, previous, now| Entry {
        at,
        by: by.to_owned(),
        action: action.to_owned(),
        subject: subject.to_string(),
        previous,
        now,
    };
    match (act, subject) {
        (Act::Close(closing), _) => Ok(decide(write, subject, Some(closing), (by, at), changed)?.is_some()),
        (Act::Reopen, _) => Ok(decide(write, subject, None, (by, at), changed)?.is_some()),
        (Act::Assign(assigned), Subject::Alert(id)) => {
            if write.open_table(ALERTS)?.get(id.0)?.is_none() {
                return Ok(false);
            }
            let previous = assign(write, id, assigned.as_ref())?;
            changed.push(id);
            add_audit(write, &row("assign", as_value(&previous)?, as_value(assigned)?))?;
            Ok(true)
        }
        (Act::Assign(assigned), Subject::Case(id)) => {
            let Some(mut case) = case_in(write, id)? else { return Ok(false) };
            for member in &case.alerts {
                assign(write, member.alert, assigned.as_ref())?;
                changed.push(member.alert);
            }
            let previous = std::mem::replace(&mut case.assigned, assigned.clone());
            put_case(write, &case)?;
            add_audit(write, &row("assign", as_value(&previous)?, as_value(assigned)?))?;
            Ok(true)
        }
        (Act::Say(said), Subject::Alert(id)) => {
            if write.open_table(ALERTS)?.get(id.0)?.is_none() {
                return Ok(false);
            }
            let mut table = write.open_table(FEEDBACK)?;
            let previous = match said {
                Some(said) => table.insert(id.0, to_json(said)?.as_slice())?,
                None => table.remove(id.0)?,
            };
            let previous: Option<Feedback> = previous.map(|value| from_json(value.value())).transpose()?;
            let action = match said {
                Some(said) if said.agrees => "agree",
                Some(_) => "disagree",
                None => "withdraw",
            };
            changed.push(id);
            add_audit(write, &row(action, as_value(&previous)?, as_value(said)?))?;
            let differs = said.as_ref().is_some_and(|said| !said.agrees);
            if differs && closing_in(write, id)?.is_some_and(|closing| closing.by_machine) {
                decide(write, subject, None, (by, at), changed)?;
            }
            Ok(true)
        }
        // What is said of a case is said of its alerts, by whoever knows their verdicts.
        (Act::Say(_), Subject::Case(_)) => Ok(false),
    }
}
