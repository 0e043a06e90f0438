//! Events for the tests of this crate.

use crate::relate::Relation;
use crate::render;
use crate::report::Evidence;
use casemate_event::{Class, Event, EventId, Fields, Format, Stored, TemplateId, TimeQuality};
use jiff::Timestamp;

/// 2024-05-14 14:02:11 UTC.
pub(crate) const NOON: i64 = 1_715_695_331;

/// An event at [`NOON`] with these normalised fields.
pub(crate) fn event(class: Class, fields: &[(&str, &str)]) -> Event {
    Event {
        time: Timestamp::from_second(NOON).unwrap(),
        time_quality: TimeQuality::Stated,
        format: Format::WindowsJson,
        class,
        source: "never-shown.json".to_owned(),
        position: 1,
        message: "message".to_owned(),
        fields: fields.iter().copied().collect(),
        native: Fields::default(),
        raw: Vec::new(),
        template: TemplateId(1),
        template_text: String::new(),
    }
}

/// The same as stored, `seconds` after [`NOON`].
pub(crate) fn stored(id: u64, seconds: i64, class: Class, fields: &[(&str, &str)]) -> Stored {
    let mut event = event(class, fields);
    event.time = Timestamp::from_second(NOON + seconds).unwrap();
    event.template = TemplateId(id);
    Stored { id: EventId(id), event }
}

/// A line of evidence for an event of the alert that stands for `count` of them.
pub(crate) fn evidence(stored: &Stored, count: u64) -> Evidence {
    Evidence {
        label: format!("E{}", stored.id),
        event: stored.id,
        time: stored.event.time,
        host: String::new(),
        line: render::line(&stored.event),
        why: String::new(),
        relation: Relation::Alert,
        count,
        structural: String::new(),
        folded: Vec::new(),
    }
}
