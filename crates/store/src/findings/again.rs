//! When is an alert that its product calls one and the same, and that was closed here, an alert again?
//!
//! A record that only repeats, or says that the product is done with it, leaves it closed. One that is worse than what was
//! closed raises it anew, beside the closed one, as a hit of a rule of ours does: the decision stays with what it was made
//! about, and what came since is investigated.

use super::cases::{as_value, closing_in};
use super::{Alert, AlertId};
use crate::table::copy_table;
use casemate_audit::Entry;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// Number of a fold key to what its product said last, as [`Said::number`].
const SAID: TableDefinition<u64, u8> = TableDefinition::new("said");
/// Number of a fold key and hash of a record that was taken in under it.
const RECORDS: TableDefinition<(u64, u64), ()> = TableDefinition::new("records");

/// What a product says about the state of its alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing that is known here.
    Nothing,
    /// It is new, or somebody works on it.
    Open,
    /// It was done with, and is open again.
    Reopened,
    /// It is done with: resolved, closed, dismissed.
    Over,
}

impl Said {
    fn number(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Open => 1,
            Self::Reopened => 2,
            Self::Over => 3,
        }
    }
}

/// What a record says that was not known.
pub(super) struct News {
    /// Whether just this was never said.
    is_new: bool,
    /// Whether the product has opened its alert again.
    is_reopened: bool,
}

/// An alert that is raised again.
pub(super) struct Again {
    /// The closed one.
    pub(super) of: AlertId,
    pub(super) why: String,
}

impl Again {
    /// Why it is in a case, for people to read.
    pub(super) fn text(&self) -> String {
        format!("alert {} again, which was closed: {}", self.of, self.why)
    }

    /// What the record says of that.
    pub(super) fn entry(&self, write: &WriteTransaction, alert: AlertId) -> Result<Entry, redb::Error> {
        let closed = as_value(&closing_in(write, self.of)?)?;
        let now = serde_json::json!({ "follows": self.of, "why": self.why });
        Ok(Entry { previous: closed, ..Entry::new("casemate", "raise again", format!("alert {alert}"), now) })
    }
}

pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(SAID)?;
    write.open_table(RECORDS)?;
    Ok(())
}

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, SAID)?;
    copy_table(read, write, RECORDS)
}

/// Notes what a record under this key says, and that its hash is `record`.
pub(super) fn note(
    write: &WriteTransaction,
    fold: u64,
    record: u64,
    said: Said,
) -> Result<News, redb::Error> {
    let is_new = write.open_table(RECORDS)?.insert((fold, record), ())?.is_none();
    let mut table = write.open_table(SAID)?;
    let last = table.get(fold)?.map_or(Said::Nothing.number(), |last| last.value());
    let is_reopened = match said {
        Said::Open => last == Said::Over.number(),
        Said::Reopened => last != Said::Reopened.number(),
        Said::Nothing | Said::Over => false,
    };
    // Sent once more, it says what was the case then.
    if is_new && said != Said::Nothing {
        table.insert(fold, said.number())?;
    }
    Ok(News { is_new, is_reopened })
}

/// Why what comes now is not covered by the closing of `closed`; nothing if it is.
pub(super) fn why(closed: &Alert, now: &Alert, news: &News) -> Option<String> {
    if now.severity > closed.severity {
        let (was, is) = (closed.severity.name(), now.severity.name());
        return Some(format!("its severity was {was} then and is {is} now"));
    }
    if !news.is_new {
        return None;
    }
    if news.is_reopened {
        return Some("its product has opened it again".to_owned());
    }
    // What had no room in the alert then says nothing now.
    let entity = now.entities.iter().find(|entity| !closed.entities.contains(entity));
    if let Some(entity) = entity.filter(|_| closed.entities.len() < Alert::MAX_ENTITIES) {
        return Some(format!("it names {entity} now"));
    }
    let technique = now.techniques.iter().find(|technique| !closed.techniques.contains(technique));
    let technique = technique.filter(|_| closed.techniques.len() < Alert::MAX_TECHNIQUES)?;
    Some(format!("it names technique {technique} now"))
}

/// The alert that follows a closed one: what that was about, with the events that come now.
pub(super) fn following(closed: Alert, now: Alert) -> Alert {
    let mut alert = Alert { events: Vec::new(), event_count: 0, ..closed };
    alert.update(now);
    alert
}
