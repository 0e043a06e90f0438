//! Which case is an alert part of, and what did people decide? Every decision leaves a row in the record, with
//! what was decided before; the record is only added to.

use super::again::Again;
use super::changes::What;
use super::join::{self, MAX_ALERTS, MAX_SPAN};
use super::opinions::{self, FEEDBACK};
use super::{ALERTS, Findings, from_json, get_alert, to_json, within};
use crate::Result;
use crate::table::copy_table;
use casemate_audit::Entry;
use casemate_event::{Alert, AlertId, Case, CaseId, Closing, Feedback, Member, Subject};
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use std::collections::BTreeSet;

/// Case id to case, as JSON.
pub(super) const CASES: TableDefinition<u64, &[u8]> = TableDefinition::new("cases");
/// Alert id to its case.
const CASE_OF: TableDefinition<u64, u64> = TableDefinition::new("case_of");
/// Number of a key to the latest alert with that key.
const KEYS: TableDefinition<u64, u64> = TableDefinition::new("case_keys");
/// Alert id to how it was closed, as JSON: by itself, or with its case.
const CLOSED: TableDefinition<u64, &[u8]> = TableDefinition::new("closed");
/// Ascending number to what was decided, as JSON, until the audit record has taken it over; the latest row stays.
const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
/// How many lines the audit record has, at the least.
const AUDITED: TableDefinition<&str, u64> = TableDefinition::new("audited");
const LINES: &str = "lines";

/// An alert that a person decided about, by closing it or by saying what its verdict should be.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedAlert {
    /// The alert.
    pub alert: Alert,
    /// Its case.
    pub case: CaseId,
    /// What was decided last; of an alert that is open, what was said of its verdict.
    pub closing: Closing,
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(CASES)?;
    write.open_table(CASE_OF)?;
    write.open_table(KEYS)?;
    write.open_table(CLOSED)?;
    write.open_table(AUDIT)?;
    write.open_table(AUDITED)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, CASES)?;
    copy_table(read, write, CASE_OF)?;
    copy_table(read, write, KEYS)?;
    copy_table(read, write, CLOSED)?;
    copy_table(read, write, AUDIT)?;
    copy_table(read, write, AUDITED)
}

/// Puts every alert there is into a case.
pub(super) fn join_all(write: &WriteTransaction) -> Result<(), redb::Error> {
    let alerts = write.open_table(ALERTS)?;
    for row in alerts.iter()? {
        let alert: Alert = from_json(row?.1.value())?;
        join(write, &alerts, &alert, None)?;
    }
    Ok(())
}

/// Whether a person closed `alert` or its case.
pub(super) fn is_closed(write: &WriteTransaction, alert: AlertId) -> Result<bool, redb::Error> {
    Ok(write.open_table(CLOSED)?.get(alert.0)?.is_some())
}

/// Puts a new alert into the case that its strongest key leads to, or into one of its own. One that is raised again goes
/// with the one that was closed, if that one's case is open.
pub(super) fn join(
    write: &WriteTransaction,
    alerts: &impl ReadableTable<u64, &'static [u8]>,
    alert: &Alert,
    again: Option<&Again>,
) -> Result<(), redb::Error> {
    let (mut cases, mut case_of) = (write.open_table(CASES)?, write.open_table(CASE_OF)?);
    let mut latest = write.open_table(KEYS)?;
    let mut related = BTreeSet::new();
    let mut joined: Option<(Case, String)> = None;
    if let Some(again) = again
        && let Some(id) = case_of.get(again.of.0)?.map(|id| id.value())
    {
        related.insert(CaseId(id));
        let case: Case = get_case(&cases, id)?;
        if has_room(&case, alerts, alert)? {
            joined = Some((case, again.text()));
        }
    }
    for key in join::keys(alert) {
        if let Some(earlier) = latest.get(key.number())?.map(|id| id.value()) {
            let earlier = get_alert(alerts, earlier)?;
            let shares = within(&earlier, alert, key.window) && join::keys(&earlier).contains(&key);
            let case = if shares { case_of.get(earlier.id.0)?.map(|id| id.value()) } else { None };
            if let Some(id) = case {
                related.insert(CaseId(id));
                if joined.is_none() {
                    let case: Case = get_case(&cases, id)?;
                    if has_room(&case, alerts, alert)? {
                        joined = Some((case, format!("{} (alert {})", key.text, earlier.id)));
                    }
                }
            }
        }
        latest.insert(key.number(), alert.id.0)?;
    }
    let (mut case, why) = match joined {
        Some(found) => found,
        None => {
            let id = CaseId(cases.last()?.map_or(0, |(id, _)| id.value()) + 1);
            (
                Case { id, alerts: Vec::new(), related: Vec::new(), closed: None, assigned: None },
                again.map(Again::text).unwrap_or_default(),
            )
        }
    };
    case.alerts.push(Member { alert: alert.id, joined: why });
    related.extend(case.related.iter().copied());
    related.remove(&case.id);
    case.related = related.into_iter().collect();
    case_of.insert(alert.id.0, case.id.0)?;
    if let Some(assigned) = &case.assigned {
        opinions::assign(write, alert.id, Some(assigned))?;
    }
    cases.insert(case.id.0, to_json(&case)?.as_slice())?;
    Ok(())
}

/// Whether an open case can take `alert` in.
fn has_room(
    case: &Case,
    alerts: &impl ReadableTable<u64, &'static [u8]>,
    alert: &Alert,
) -> Result<bool, redb::Error> {
    if case.closed.is_some() || case.alerts.len() >= MAX_ALERTS {
        return Ok(false);
    }
    let Some(first) = case.alerts.first() else { return Ok(true) };
    let first = get_alert(alerts, first.alert.0)?;
    let span = alert.last_time.max(first.last_time).duration_since(alert.first_time.min(first.first_time));
    Ok(span <= MAX_SPAN)
}

/// The case of an alert that was raised.
pub(super) fn case_of(write: &WriteTransaction, alert: AlertId) -> Result<CaseId, redb::Error> {
    let found = write.open_table(CASE_OF)?.get(alert.0)?.map(|id| CaseId(id.value()));
    found.ok_or_else(|| redb::Error::Corrupted(format!("alert {alert} has no case")))
}

/// Whether there is such a case.
pub(super) fn case_exists(write: &WriteTransaction, id: CaseId) -> Result<bool, redb::Error> {
    Ok(write.open_table(CASES)?.get(id.0)?.is_some())
}

fn get_case(cases: &impl ReadableTable<u64, &'static [u8]>, id: u64) -> Result<Case, redb::Error> {
    let value = cases.get(id)?.ok_or_else(|| redb::Error::Corrupted(format!("case {id} is missing")))?;
    from_json(value.value())
}

impl Findings {
    pub(crate) fn case(&self, id: CaseId) -> Result<Option<Case>> {
        self.read(|read| {
            let value = read.open_table(CASES)?.get(id.0)?;
            value.map(|value| from_json(value.value())).transpose()
        })
    }

    pub(crate) fn cases(&self) -> Result<Vec<Case>> {
        self.read(|read| read.open_table(CASES)?.iter()?.map(|row| from_json(row?.1.value())).collect())
    }

    /// The cases of these numbers that there are.
    pub(crate) fn cases_of(&self, ids: &[CaseId]) -> Result<Vec<Case>> {
        self.read(|read| {
            let cases = read.open_table(CASES)?;
            let found = ids.iter().map(|id| cases.get(id.0)?.map(|case| from_json(case.value())).transpose());
            found.filter_map(Result::transpose).collect()
        })
    }

    /// The latest cases, at most `most`, the newest first.
    pub(crate) fn latest_cases(&self, most: usize) -> Result<Vec<Case>> {
        self.read(|read| {
            let cases = read.open_table(CASES)?;
            cases.iter()?.rev().take(most).map(|row| from_json(row?.1.value())).collect()
        })
    }

    pub(crate) fn case_of(&self, alert: AlertId) -> Result<Option<CaseId>> {
        self.read(|read| Ok(read.open_table(CASE_OF)?.get(alert.0)?.map(|id| CaseId(id.value()))))
    }

    pub(crate) fn closing(&self, alert: AlertId) -> Result<Option<Closing>> {
        self.read(|read| {
            let value = read.open_table(CLOSED)?.get(alert.0)?;
            value.map(|value| from_json(value.value())).transpose()
        })
    }

    /// Closes, or opens again with `None`. Returns what was there before, and `None` if there is no such case
    /// or alert.
    pub(crate) fn decide(
        &self,
        subject: Subject,
        closing: Option<&Closing>,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<Option<Closing>>> {
        self.changing(What::Decided, |write, changed| decide(write, subject, closing, (by, at), changed))
    }

    /// Up to `most` rows numbered above `after`, for the audit record to take over.
    pub(crate) fn audit_rows(&self, after: u64, most: usize) -> Result<Vec<(u64, Entry)>> {
        self.read(|read| {
            let rows = read.open_table(AUDIT)?;
            let rows = rows.range(after.saturating_add(1)..)?.take(most);
            rows.map(|row| {
                row.map_err(Into::into).and_then(|(n, row)| Ok((n.value(), from_json(row.value())?)))
            })
            .collect()
        })
    }

    /// Notes that the audit record has so many lines and took over the rows up to `row`.
    pub(crate) fn settle_audit(&self, row: u64, lines: u64) -> Result<()> {
        self.write(|write| {
            // The latest row stays: the next one is numbered after it.
            write.open_table(AUDIT)?.retain_in(..row, |_, _| false)?;
            write.open_table(AUDITED)?.insert(LINES, lines)?;
            Ok(())
        })
    }

    /// How many lines the audit record had when that was last noted.
    pub(crate) fn audited(&self) -> Result<u64> {
        self.read(|read| Ok(read.open_table(AUDITED)?.get(LINES)?.map_or(0, |lines| lines.value())))
    }

    /// Alerts that people decided about, the highest number first.
    pub(crate) fn closed_alerts(&self, most: usize) -> Result<Vec<ClosedAlert>> {
        self.read(|read| {
            let (alerts, case_of) = (read.open_table(ALERTS)?, read.open_table(CASE_OF)?);
            let (closed, feedback) = (read.open_table(CLOSED)?, read.open_table(FEEDBACK)?);
            let (mut by_closing, mut by_feedback) =
                (closed.iter()?.rev().peekable(), feedback.iter()?.rev().peekable());
            let mut found = Vec::new();
            while found.len() < most {
                let next_closed = number_of(by_closing.peek());
                let next_said = number_of(by_feedback.peek());
                let Some(id) = next_closed.max(next_said) else { break };
                let closing = by_closing.next_if(|_| next_closed == Some(id)).transpose()?;
                let closing = closing.map(|(_, value)| from_json::<Closing>(value.value())).transpose()?;
                let said = by_feedback.next_if(|_| next_said == Some(id)).transpose()?;
                let said = said.map(|(_, value)| from_json::<Feedback>(value.value())).transpose()?;
                let Some(closing) = opinions::decided(closing, said) else { continue };
                found.push(ClosedAlert {
                    alert: get_alert(&alerts, id)?,
                    case: CaseId(case_of.get(id)?.map_or(0, |case| case.value())),
                    closing,
                });
            }
            Ok(found)
        })
    }
}

/// A row of a table by alert, or why it cannot be read.
type Row<'a> = Result<(redb::AccessGuard<'a, u64>, redb::AccessGuard<'a, &'static [u8]>), redb::StorageError>;

/// Which alert the next row is about; a row that cannot be read is the next one too, so that its error is seen.
fn number_of(row: Option<&Row<'_>>) -> Option<u64> {
    row.map(|row| row.as_ref().map_or(u64::MAX, |(id, _)| id.value()))
}

/// As [`Findings::decide`], within a write; `changed` gets the alerts that it is about.
pub(super) fn decide(
    write: &WriteTransaction,
    subject: Subject,
    closing: Option<&Closing>,
    (by, at): (&str, Timestamp),
    changed: &mut Vec<AlertId>,
) -> Result<Option<Option<Closing>>, redb::Error> {
    let mut cases = write.open_table(CASES)?;
    let mut closed = write.open_table(CLOSED)?;
    let previous: Option<Closing> = match subject {
        Subject::Case(id) => {
            let found = cases.get(id.0)?.map(|value| from_json::<Case>(value.value())).transpose()?;
            let Some(mut case) = found else { return Ok(None) };
            let previous = std::mem::replace(&mut case.closed, closing.cloned());
            for member in &case.alerts {
                let own = closed.get(member.alert.0)?.map(|value| from_json(value.value())).transpose()?;
                // What was decided about one alert alone stays.
                if own == previous {
                    set(&mut closed, member.alert, closing)?;
                }
                changed.push(member.alert);
            }
            cases.insert(id.0, to_json(&case)?.as_slice())?;
            previous
        }
        Subject::Alert(id) => {
            if write.open_table(ALERTS)?.get(id.0)?.is_none() {
                return Ok(None);
            }
            let previous = closed.get(id.0)?.map(|value| from_json(value.value())).transpose()?;
            set(&mut closed, id, closing)?;
            changed.push(id);
            previous
        }
    };
    let action = if closing.is_some() { "close" } else { "reopen" };
    let row = Entry {
        at,
        by: by.to_owned(),
        action: action.to_owned(),
        subject: subject.to_string(),
        previous: as_value(&previous)?,
        now: as_value(&closing)?,
    };
    add_audit(write, &row)?;
    Ok(Some(previous))
}

/// How an alert is closed, within a write.
pub(super) fn closing_in(write: &WriteTransaction, id: AlertId) -> Result<Option<Closing>, redb::Error> {
    let closed = write.open_table(CLOSED)?;
    let value = closed.get(id.0)?;
    value.map(|value| from_json(value.value())).transpose()
}

/// A case, within a write.
pub(super) fn case_in(write: &WriteTransaction, id: CaseId) -> Result<Option<Case>, redb::Error> {
    let cases = write.open_table(CASES)?;
    let value = cases.get(id.0)?;
    value.map(|value| from_json(value.value())).transpose()
}

/// Puts a changed case back, within a write.
pub(super) fn put_case(write: &WriteTransaction, case: &Case) -> Result<(), redb::Error> {
    write.open_table(CASES)?.insert(case.id.0, to_json(case)?.as_slice())?;
    Ok(())
}

/// Which case each alert is part of.
pub(super) fn case_table(read: &ReadTransaction) -> Result<redb::ReadOnlyTable<u64, u64>, redb::Error> {
    Ok(read.open_table(CASE_OF)?)
}

/// How alerts were closed.
pub(super) fn closed_table(
    read: &ReadTransaction,
) -> Result<redb::ReadOnlyTable<u64, &'static [u8]>, redb::Error> {
    Ok(read.open_table(CLOSED)?)
}

pub(super) fn add_audit(write: &WriteTransaction, row: &Entry) -> Result<(), redb::Error> {
    let mut audit = write.open_table(AUDIT)?;
    let number = audit.last()?.map_or(0, |(number, _)| number.value()) + 1;
    audit.insert(number, to_json(row)?.as_slice())?;
    Ok(())
}

fn set(
    closed: &mut redb::Table<'_, u64, &'static [u8]>,
    alert: AlertId,
    closing: Option<&Closing>,
) -> Result<(), redb::Error> {
    match closing {
        Some(closing) => closed.insert(alert.0, to_json(closing)?.as_slice())?,
        None => closed.remove(alert.0)?,
    };
    Ok(())
}

pub(super) fn as_value(value: &impl Serialize) -> Result<serde_json::Value, redb::Error> {
    serde_json::to_value(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
