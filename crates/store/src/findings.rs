//! What was found? Alerts, investigations, how far detection has come, and what people decided. Every commit is
//! durable.
//!
//! [`join`] says which alerts are one case, [`cases`] keeps cases and decisions, [`opinions`] whose alerts are and what
//! people say of verdicts, [`evidence`] what people saved for a case, [`work`] what the investigation of alerts has to
//! remember from one run to the next, [`heads`] what lists say of investigations, [`again`] what a product's alert has
//! said; [`changes`] tells whoever keeps a view what changed, and [`format`](mod@format) which version the file has.

mod again;
mod cases;
mod changes;
mod evidence;
mod format;
mod heads;
mod join;
mod opinions;
mod work;

pub use again::Said;
pub use cases::ClosedAlert;
pub use changes::{Change, Changed, What};
pub use evidence::{SavedEvidence, Saving};
pub use opinions::{Act, AlertState};
pub use work::{Finished, Gate};

use crate::table::{OpenError, Tables, copy_table};
use crate::{Error, Result};
use again::Again;
use casemate_event::{Alert, AlertId, EventId};
use jiff::SignedDuration;
use redb::{
    ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use std::path::Path;

/// Alert id to alert, as JSON.
const ALERTS: TableDefinition<u64, &[u8]> = TableDefinition::new("alerts");
/// Fold key to its number.
const FOLDS: TableDefinition<&str, u64> = TableDefinition::new("folds");
/// Number of a fold key to the latest alert with that key.
const LATEST: TableDefinition<u64, u64> = TableDefinition::new("latest");
/// Number of a fold key and event to the alert that took it in.
const TAKEN: TableDefinition<(u64, u64), u64> = TableDefinition::new("taken");
const INVESTIGATIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("investigations");
const WATERMARKS: TableDefinition<&str, u64> = TableDefinition::new("watermarks");

const ADVICE: &str = "restore it from a backup, or move it away: alerts are then raised again from the \
                      events, and investigations have to be run again";

/// An alert on its way into the store.
#[derive(Debug, Clone)]
pub struct Raise {
    /// The alert, its id not yet given.
    pub alert: Alert,
    /// Alerts with the same key may be folded into one.
    pub fold_key: String,
    /// How far apart in time they may be for that.
    pub window: SignedDuration,
    /// What the events say, as a number: an alert that was investigated takes in only kinds it had by then.
    pub kind: u64,
    /// Set where alerts with this key are one and the same, whatever its times and whoever investigated it: what comes
    /// later updates it. Once it is closed, what is worse than that raises it again.
    pub same: Option<Said>,
}

/// Tables of what was found.
pub(crate) struct Findings {
    tables: Tables,
    pub(crate) changes: changes::Changes,
}

impl Findings {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let tables = Tables::open(path).map_err(|error| match error {
            OpenError::Failed(error) => error,
            OpenError::Damaged(what) => {
                Error::Damaged { path: path.to_owned(), what: format!("{what}; {ADVICE}") }
            }
        })?;
        let findings = Self { tables, changes: changes::Changes::default() };
        findings.upgrade()?;
        Ok(findings)
    }

    /// Makes a copy at `path`, as of now.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        self.tables.copy_to(path, |read, write| {
            copy_table(read, write, ALERTS)?;
            copy_table(read, write, FOLDS)?;
            copy_table(read, write, LATEST)?;
            copy_table(read, write, TAKEN)?;
            copy_table(read, write, INVESTIGATIONS)?;
            copy_table(read, write, WATERMARKS)?;
            again::copy_tables(read, write)?;
            format::copy_tables(read, write)?;
            heads::copy_tables(read, write)?;
            cases::copy_tables(read, write)?;
            opinions::copy_tables(read, write)?;
            evidence::copy_tables(read, write)?;
            work::copy_tables(read, write)
        })
    }

    /// Takes in `raises` in order and moves the watermark, all or nothing. Returns the alerts as they now are, and whether
    /// a row of the record came of it.
    pub(crate) fn raise(
        &self,
        raises: Vec<Raise>,
        watermark: Option<(&str, EventId)>,
    ) -> Result<(Vec<Alert>, bool)> {
        let raised: Vec<Taken> = self.write(|write| {
            let raised = raises.into_iter().map(|one| raise(write, one)).collect::<Result<_, _>>()?;
            if let Some((name, id)) = watermark {
                write.open_table(WATERMARKS)?.insert(name, id.0)?;
            }
            Ok(raised)
        })?;
        let change = |taken: &Taken| taken.what.map(|what| Change { alert: taken.alert.id, what });
        self.changes.note(raised.iter().filter_map(change));
        let is_audited = raised.iter().any(|taken| taken.is_audited);
        Ok((raised.into_iter().map(|taken| taken.alert).collect(), is_audited))
    }

    pub(crate) fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(ALERTS).map_err(self.tables.error("read"))?;
        let value = table.get(id.0).map_err(self.tables.error("read"))?;
        value.map(|value| self.decode(value.value())).transpose()
    }

    pub(crate) fn alerts(&self) -> Result<Vec<Alert>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(ALERTS).map_err(self.tables.error("read"))?;
        let rows = table.iter().map_err(self.tables.error("read"))?;
        rows.map(|row| self.decode(row.map_err(self.tables.error("read"))?.1.value())).collect()
    }

    pub(crate) fn alerts_after(&self, after: AlertId, most: usize) -> Result<Vec<Alert>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(ALERTS).map_err(self.tables.error("read"))?;
        let rows = table.range(after.0.saturating_add(1)..).map_err(self.tables.error("read"))?;
        rows.take(most).map(|row| self.decode(row.map_err(self.tables.error("read"))?.1.value())).collect()
    }

    /// The latest alerts, at most `most`, the newest first.
    pub(crate) fn latest_alerts(&self, most: usize) -> Result<Vec<Alert>> {
        self.read(|read| {
            let table = read.open_table(ALERTS)?;
            table.iter()?.rev().take(most).map(|row| from_json(row?.1.value())).collect()
        })
    }

    pub(crate) fn investigation(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(INVESTIGATIONS).map_err(self.tables.error("read"))?;
        let value = table.get(alert.0).map_err(self.tables.error("read"))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    pub(crate) fn investigations(&self) -> Result<Vec<AlertId>> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(INVESTIGATIONS).map_err(self.tables.error("read"))?;
        let rows = table.iter().map_err(self.tables.error("read"))?;
        rows.map(|row| Ok(AlertId(row.map_err(self.tables.error("read"))?.0.value()))).collect()
    }

    /// Numbers of alerts and of investigations.
    pub(crate) fn counts(&self) -> Result<(u64, u64)> {
        let count = || -> Result<(u64, u64), redb::Error> {
            let read = self.tables.database.begin_read()?;
            Ok((read.open_table(ALERTS)?.len()?, read.open_table(INVESTIGATIONS)?.len()?))
        };
        count().map_err(self.tables.error("read"))
    }

    pub(crate) fn watermark(&self, name: &str) -> Result<EventId> {
        let read = self.tables.database.begin_read().map_err(self.tables.error("read"))?;
        let table = read.open_table(WATERMARKS).map_err(self.tables.error("read"))?;
        let value = table.get(name).map_err(self.tables.error("read"))?;
        Ok(EventId(value.map_or(0, |value| value.value())))
    }

    pub(crate) fn set_watermark(&self, name: &str, id: EventId) -> Result<()> {
        self.raise(Vec::new(), Some((name, id))).map(drop)
    }

    /// Fails if anything refers to events after `last`: then the log is not the one these were found in.
    pub(crate) fn check_refers_up_to(&self, last: EventId) -> Result<()> {
        let highest = || -> Result<u64, redb::Error> {
            let table = self.tables.database.begin_read()?.open_table(WATERMARKS)?;
            let mut highest = 0;
            for row in table.iter()? {
                highest = highest.max(row?.1.value());
            }
            Ok(highest)
        };
        let highest = highest().map_err(self.tables.error("read"))?;
        if highest > last.0 {
            let what = format!(
                "it refers to event {highest} and the log ends with event {last}; restore both from the \
                 same backup, or move it away"
            );
            return Err(self.tables.damaged(&what));
        }
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T> {
        let run = || look(&self.tables.database.begin_read()?);
        run().map_err(self.tables.error("read"))
    }

    /// A write that says which alerts it changes, once it is done.
    fn changing<T>(
        &self,
        what: What,
        change: impl FnOnce(&WriteTransaction, &mut Vec<AlertId>) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let mut changed = Vec::new();
        let value = self.write(|write| change(write, &mut changed))?;
        self.changes.note(changed.into_iter().map(|alert| Change { alert, what }));
        Ok(value)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Alert> {
        serde_json::from_slice(bytes)
            .map_err(|e| self.tables.damaged(&format!("an alert does not decode ({e}); {ADVICE}")))
    }

    fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T> {
        self.write_if(|write| Ok((change(write)?, true)))
    }

    /// As [`write`](Self::write), unless `change` says that nothing is to be kept of it.
    fn write_if<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(T, bool), redb::Error>,
    ) -> Result<T> {
        let run = || -> Result<T, redb::Error> {
            let write = self.tables.database.begin_write()?;
            let (value, is_kept) = change(&write)?;
            match is_kept {
                true => write.commit()?,
                false => write.abort()?,
            }
            Ok(value)
        };
        run().map_err(self.tables.error("write"))
    }
}

/// What became of an alert on its way in.
struct Taken {
    /// As it now is.
    alert: Alert,
    /// What was done to it; nothing where it was known.
    what: Option<What>,
    /// Whether that left a row for the record.
    is_audited: bool,
}

fn raise(write: &WriteTransaction, raise: Raise) -> Result<Taken, redb::Error> {
    let Raise { mut alert, fold_key, window, kind, same } = raise;
    let fold = fold_number(write, &fold_key)?;
    let mut alerts = write.open_table(ALERTS)?;
    let mut taken = write.open_table(TAKEN)?;
    let mut latest = write.open_table(LATEST)?;

    let mut repeated_in = None;
    let mut fresh = Vec::with_capacity(alert.events.len());
    for event in alert.events {
        match taken.get((fold, event.0))? {
            Some(id) => repeated_in = Some(id.value()),
            None => fresh.push(event),
        }
    }
    alert.events = fresh;
    if let Some(id) = repeated_in {
        if alert.events.is_empty() {
            return Ok(Taken { alert: get_alert(&alerts, id)?, what: None, is_audited: false });
        }
        alert.event_count = alert.events.len() as u64;
    }

    let previous = latest.get(fold)?.map(|id| id.value());
    let previous = previous.map(|id| get_alert(&alerts, id)).transpose()?;
    let fresh = alert.events.clone();
    let news = same.map(|said| again::note(write, fold, kind, said)).transpose()?;
    // What a person has closed takes nothing in any more, and what was investigated nothing of another kind: what
    // comes now was not looked at. Of what a product calls one alert, only what is worse than was closed is new.
    let mut again = None;
    let open = match (previous, &news) {
        (None, _) => None,
        (Some(previous), Some(news)) => {
            let is_closed = cases::is_closed(write, previous.id)?;
            match again::why(&previous, &alert, news).filter(|_| is_closed) {
                Some(why) => {
                    again = Some(Again { of: previous.id, why });
                    alert = again::following(previous, alert);
                    None
                }
                None => Some(previous),
            }
        }
        (Some(previous), None) => {
            let folds = within(&previous, &alert, window)
                && !cases::is_closed(write, previous.id)?
                && !work::is_unlike(write, previous.id, kind)?;
            folds.then_some(previous)
        }
    };
    let is_new = open.is_none();
    let alert = match open {
        Some(mut previous) => {
            match same {
                Some(_) => previous.update(alert),
                None => previous.absorb(alert),
            }
            previous
        }
        None => {
            alert.id = AlertId(alerts.last()?.map_or(0, |(id, _)| id.value()) + 1);
            alert.events.truncate(Alert::MAX_EVENTS);
            alert
        }
    };
    // Of events past those an alert keeps, no investigation sees anything.
    let is_kept = fresh.iter().any(|event| alert.events.contains(event));
    for event in fresh {
        taken.insert((fold, event.0), alert.id.0)?;
    }
    let json = to_json(&alert)?;
    alerts.insert(alert.id.0, json.as_slice())?;
    latest.insert(fold, alert.id.0)?;
    if is_kept && same.is_none() {
        work::note_kind(write, alert.id, kind)?;
    }
    if is_new {
        work::note_raised(write, alert.id)?;
        cases::join(write, &alerts, &alert, again.as_ref())?;
    }
    if let Some(again) = &again {
        cases::add_audit(write, &again.entry(write, alert.id)?)?;
    }
    let what = if is_new { What::Raised } else { What::Grown };
    Ok(Taken { alert, what: Some(what), is_audited: again.is_some() })
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn fold_number(write: &WriteTransaction, key: &str) -> Result<u64, redb::Error> {
    let mut folds = write.open_table(FOLDS)?;
    if let Some(number) = folds.get(key)? {
        return Ok(number.value());
    }
    let number = folds.len()? + 1;
    folds.insert(key, number)?;
    Ok(number)
}

fn get_alert(table: &impl ReadableTable<u64, &'static [u8]>, id: u64) -> Result<Alert, redb::Error> {
    let value = table.get(id)?.ok_or_else(|| redb::Error::Corrupted(format!("alert {id} is missing")))?;
    from_json(value.value())
}

/// Whether `alert` lies no further than `window` from the span of `previous`.
fn within(previous: &Alert, alert: &Alert, window: SignedDuration) -> bool {
    let window = window.max(SignedDuration::ZERO);
    let after_start = alert.last_time.duration_since(previous.first_time) >= -window;
    let before_end = alert.first_time.duration_since(previous.last_time) <= window;
    after_start && before_end
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::{AlertOrigin, Severity};
    use jiff::Timestamp;

    fn alert(n: u64) -> Alert {
        Alert {
            id: AlertId(0),
            origin: AlertOrigin::Rule("r".to_owned()),
            title: format!("alert {n}"),
            severity: Severity::High,
            techniques: Vec::new(),
            first_time: Timestamp::UNIX_EPOCH,
            last_time: Timestamp::UNIX_EPOCH,
            events: vec![EventId(n)],
            event_count: 1,
            entities: Vec::new(),
        }
    }

    type Content = (Vec<Alert>, Option<Vec<u8>>, EventId);

    fn content(findings: &Findings) -> Result<Content> {
        Ok((findings.alerts()?, findings.investigation(AlertId(1))?, findings.watermark("detect")?))
    }

    /// Flips bits all over the header and here and there in the pages.
    #[test]
    fn a_flipped_bit_is_noticed_or_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("findings.redb");
        let findings = Findings::open(&path).unwrap();
        for n in 1..=20 {
            let fold_key = format!("key {n}");
            let raise =
                Raise { alert: alert(n), fold_key, window: SignedDuration::ZERO, kind: 0, same: None };
            findings.raise(vec![raise], Some(("detect", EventId(n)))).unwrap();
        }
        findings
            .put_investigation(AlertId(1), Finished { json: &[b'i'; 5000], ..Finished::default() })
            .unwrap();
        let expected = content(&findings).unwrap();
        drop(findings);
        let good = fs_err::read(&path).unwrap();
        let in_use = good.len() - good.iter().rev().take_while(|&&byte| byte == 0).count();
        let bits = (0..320 * 8).step_by(11).chain((320 * 8..in_use * 8).step_by(3061));
        let (mut noticed, mut harmless) = (0, 0);
        for bit in bits {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs_err::write(&path, &bad).unwrap();
            match Findings::open(&path) {
                Err(error) => {
                    noticed += 1;
                    assert!(error.to_string().contains("findings.redb"), "{error}");
                }
                Ok(findings) => {
                    harmless += 1;
                    assert_eq!(content(&findings).unwrap(), expected, "bit {} of byte {}", bit % 8, bit / 8);
                }
            }
        }
        println!("{noticed} noticed, {harmless} harmless");
    }
}
