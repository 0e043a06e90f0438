//! What does a decoder make of a record? An event but for its source, or a reason why there is none.

use crate::formats::Draft;
use crate::template;
use casemate_event::{Event, QuarantineReason, TemplateId, TimeQuality, field};
use jiff::Timestamp;
use std::collections::HashMap;

/// A record that was looked at.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all records are events.
pub(crate) enum Record {
    /// An event, its source and position not set.
    Event(Event),
    /// A record that could not be understood.
    Quarantined { reason: QuarantineReason, detail: String, raw: Vec<u8> },
    /// A line that names the columns of those after it.
    Header,
}

/// Why a record is no event.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) reason: QuarantineReason,
    pub(crate) detail: String,
}

impl Malformed {
    pub(crate) fn new(reason: QuarantineReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The record in quarantine.
    pub(crate) fn keeping(self, raw: &[u8]) -> Record {
        Record::Quarantined { reason: self.reason, detail: self.detail, raw: raw.to_vec() }
    }
}

/// Clocks that differ by less are not worth a note.
const MAX_AHEAD_SECONDS: i64 = 60;
/// Template texts whose identities are kept at hand.
const MAX_KNOWN: usize = 20_000;

/// Makes events of drafts: fills in what every event has.
#[derive(Debug)]
pub(crate) struct Finisher {
    arrival: Timestamp,
    /// Identities of templates seen lately: hashing costs more than looking up.
    known: HashMap<String, TemplateId>,
}

impl Finisher {
    pub(crate) fn new(arrival: Timestamp) -> Self {
        Self { arrival, known: HashMap::new() }
    }

    /// The event that `draft` says, its source and position not set.
    pub(crate) fn event(&mut self, mut draft: Draft, raw: &[u8]) -> Event {
        if draft.message.is_empty() {
            draft.message.push_str("record without text");
        }
        let (time, time_quality) = draft.time.unwrap_or((self.arrival, TimeQuality::Arrival));
        let ahead = time.as_second() - self.arrival.as_second();
        if ahead > MAX_AHEAD_SECONDS {
            draft.fields.set_known(field::CLOCK_AHEAD, &ahead.to_string());
        }
        let template_text = template::mask_after(&draft.message, draft.fixed);
        Event {
            time,
            time_quality,
            format: draft.format,
            class: draft.class,
            source: String::new(),
            position: 0,
            message: draft.message,
            fields: draft.fields,
            native: draft.native,
            raw: raw.to_vec(),
            template: self.template(&template_text),
            template_text,
        }
    }

    fn template(&mut self, text: &str) -> TemplateId {
        if let Some(id) = self.known.get(text) {
            return *id;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let id = template::id(text);
        self.known.insert(text.to_owned(), id);
        id
    }
}
