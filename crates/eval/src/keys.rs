//! How many of the events that a source marks as telling reach the evidence?
//!
//! A key event is named by the source in one of three ways: the id a cloud gives the event, the number of a
//! Windows event, or the name of an alert. Several marks of one name are one key: they fold into a line.

use crate::Error;
use casemate_event::{Event, EventId, field};
use casemate_investigate::Investigation;
use casemate_store::Store;
use serde_json::Value;

/// Most events of a store in which keys are looked for.
const MAX_LOOKED: usize = 50_000;

/// What a source says of a telling event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// CloudTrail's `eventID`, and the operation it names.
    Cloud { id: String, operation: String },
    /// A Windows event number.
    Windows(String),
    /// The name of an alert.
    Alert(String),
}

/// The keys of a case, each once; what is none of the three is left out.
pub(crate) fn keys(marks: &[Value]) -> Vec<Key> {
    let mut keys: Vec<Key> = marks.iter().filter_map(key).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn key(mark: &Value) -> Option<Key> {
    let text = |name: &str| match mark.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(id) = text("eventID") {
        return Some(Key::Cloud { id, operation: text("eventName").unwrap_or_default() });
    }
    text("event_id").map(Key::Windows).or_else(|| text("alert").map(Key::Alert))
}

impl Key {
    /// Whether this event is meant.
    pub(crate) fn is(&self, event: &Event) -> bool {
        let native = |name: &str| event.native.get_ignore_case(name);
        match self {
            Self::Cloud { id, .. } => native("eventID") == Some(id),
            Self::Windows(id) => event.field(field::EVENT_CODE) == Some(id),
            Self::Alert(name) => event.field(field::FINDING_TITLE) == Some(name),
        }
    }

    /// Whether a line that stands for `count` events alike, of which this is one, holds it.
    pub(crate) fn is_in_line_of(&self, event: &Event, count: u64) -> bool {
        let folded = match self {
            Self::Cloud { operation, .. } => {
                count > 1 && event.native.get_ignore_case("eventName") == Some(operation)
            }
            Self::Windows(_) | Self::Alert(_) => false,
        };
        folded || self.is(event)
    }
}

/// Keys that an event of the store is; those of alerts are taken to be, as their files list them.
pub(crate) fn present(keys: Vec<Key>, store: &Store) -> Result<Vec<Key>, Error> {
    let (mut present, mut open): (Vec<Key>, Vec<Key>) =
        keys.into_iter().partition(|key| matches!(key, Key::Alert(_)));
    let (mut from, mut looked) = (EventId(1), 0);
    while !open.is_empty() && looked < MAX_LOOKED {
        let events = store.scan(from, 2000)?;
        let Some(last) = events.last().map(|stored| stored.id) else { break };
        let (found, rest) =
            open.into_iter().partition(|key| events.iter().any(|stored| key.is(&stored.event)));
        present.extend::<Vec<Key>>(found);
        (open, from, looked) = (rest, EventId(last.0 + 1), looked + events.len());
    }
    Ok(present)
}

/// Keys that a line of any of these reports holds.
pub(crate) fn in_evidence(keys: &[Key], reports: &[Investigation], store: &Store) -> Result<usize, Error> {
    let mut found = vec![false; keys.len()];
    for item in reports.iter().flat_map(|report| &report.evidence) {
        let stored = store.get(item.event)?.ok_or(Error::Missing(item.event))?;
        for (key, found) in keys.iter().zip(&mut found) {
            *found = *found || key.is_in_line_of(&stored.event, item.count);
        }
    }
    Ok(found.into_iter().filter(|found| *found).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_become_keys_once() {
        let marks = [
            json!({"event_id": "7045", "from": "source file name"}),
            json!({"event_id": 7045}),
            json!({"alert": "Wazuh: IDS event.", "count": 183}),
            json!({"eventID": "6161", "eventName": "GetSecretValue"}),
            json!({"line": 3}),
            json!("text"),
        ];
        let expected = [
            Key::Cloud { id: "6161".to_owned(), operation: "GetSecretValue".to_owned() },
            Key::Windows("7045".to_owned()),
            Key::Alert("Wazuh: IDS event.".to_owned()),
        ];
        assert_eq!(keys(&marks), expected);
    }
}
