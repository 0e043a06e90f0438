//! What do several pages show in the same way? Badges, times, links to entities, rows of events.

use crate::headline::Headline;
use crate::hub::Status;
use crate::redact::cut::CUT;
use casemate_event::{Entity, Severity, Stored};
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;

/// A word with a sign of its own shape, so that nothing is told by colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    /// CSS class for the colour.
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) word: String,
}

impl Badge {
    fn new(class: &'static str, sign: &'static str, word: impl Into<String>) -> Self {
        Self { class, sign, word: word.into() }
    }
}

pub(crate) fn severity(severity: Severity) -> Badge {
    let (class, sign) = match severity {
        Severity::Critical => ("critical", "▲▲"),
        Severity::High => ("high", "▲"),
        Severity::Medium => ("medium", "◆"),
        Severity::Low => ("low", "▽"),
        Severity::Informational => ("info", "○"),
    };
    Badge::new(class, sign, severity.name())
}

pub(crate) fn verdict(name: &str) -> Badge {
    let (class, sign) = match name {
        "malicious" => ("malicious", "✕"),
        "suspicious" => ("suspicious", "!"),
        "benign" => ("benign", "✓"),
        _ => ("inconclusive", "?"),
    };
    Badge::new(class, sign, name)
}

/// What a list says about the investigation of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Never asked for.
    None,
    /// Queued, running or failed.
    Status(&'static str),
    /// Done.
    Verdict { badge: Badge, confidence: String, convergence: String, summary: String },
}

pub(crate) fn outcome(status: Option<Status>, headline: Option<Headline>) -> Outcome {
    match (status, headline) {
        (Some(status @ (Status::Queued | Status::Running | Status::Failed)), _) => {
            Outcome::Status(status.name())
        }
        (_, Some(headline)) => Outcome::Verdict {
            badge: verdict(&headline.verdict),
            confidence: percent(headline.confidence),
            convergence: percent(headline.convergence),
            summary: headline.summary,
        },
        (_, None) => Outcome::None,
    }
}

/// A share of one as a whole percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share.clamp(0.0, 1.0) * 100.0)
}

/// A link to everything about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityLink {
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    pub(crate) href: String,
}

impl From<&Entity> for EntityLink {
    fn from(entity: &Entity) -> Self {
        let href = match entity.value.as_str() {
            // Browsers take these for directories, however they are written.
            "." | ".." => format!("/search?q={}:%22{}%22", entity.kind.name(), entity.value),
            value => format!("/entities/{}/{}", entity.kind.name(), url_encode(value)),
        };
        Self { kind: entity.kind.name(), value: entity.value.clone(), href }
    }
}

pub(crate) fn entity_links<'a>(entities: impl IntoIterator<Item = &'a Entity>) -> Vec<EntityLink> {
    entities.into_iter().map(EntityLink::from).collect()
}

/// A link to everything about an entity written kind:value.
pub(crate) fn entity_link(written: &str) -> Option<EntityLink> {
    Some(EntityLink::from(&written.parse::<Entity>().ok()?))
}

/// How long ago, in short.
pub(crate) fn age(passed: SignedDuration) -> String {
    let seconds = passed.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Seconds of machine time, in short.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// Percent-encodes everything but RFC 3986's unreserved characters and the colon.
pub(crate) fn url_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// A time for people: UTC, to the second, or to the millisecond where there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// RFC 3339, for the `datetime` attribute.
    pub(crate) exact: String,
    pub(crate) shown: String,
}

pub(crate) fn when(time: Timestamp) -> When {
    let pattern = if time.subsec_nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    When { exact: time.to_string(), shown: time.strftime(pattern).to_string() }
}

/// An event as lists show it.
pub(crate) struct EventRow {
    pub(crate) id: u64,
    pub(crate) time: When,
    pub(crate) format: &'static str,
    pub(crate) message: String,
    pub(crate) entities: Vec<EntityLink>,
    /// How a search found it, where that is worth saying.
    pub(crate) found_by: String,
}

/// Entities shown per row; the event's own page shows all.
const ENTITIES_PER_ROW: usize = 6;
const MESSAGE_CHARS: usize = 400;

pub(crate) fn event_row(stored: &Stored) -> EventRow {
    let event = &stored.event;
    EventRow {
        id: stored.id.0,
        time: when(event.time),
        format: event.format.name(),
        message: shorten(&event.message, MESSAGE_CHARS),
        entities: entity_links(event.entities().iter().take(ENTITIES_PER_ROW)),
        found_by: String::new(),
    }
}

/// The first `limit` characters, with an ellipsis if that is not all.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// As much of `text` as `bytes` bytes of HTML hold, with an ellipsis if that is not all.
pub(crate) fn fit(text: &str, bytes: usize) -> String {
    const ESCAPED: usize = "&#34;".len();
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += if "<>&\"'".contains(character) { ESCAPED } else { character.len_utf8() };
        if taken > bytes {
            return format!("{}{CUT}", &text[..at]);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_counted_as_html() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("\"a\"", 10), "\"a…");
        assert_eq!(fit("äß", 3), "ä…");
        assert_eq!(fit("", 0), "");
    }

    fn check_link(kind: casemate_event::EntityKind, value: &str, expected: &str) {
        assert_eq!(EntityLink::from(&Entity::new(kind, value)).href, expected);
    }

    #[test]
    fn entities_link_to_their_events() {
        use casemate_event::EntityKind::{File, Host};
        check_link(File, "..", "/search?q=file:%22..%22");
        check_link(Host, "WS5", "/entities/host/ws5");
        check_link(File, r"C:\a b&c=%.exe", "/entities/file/c:%5Ca%20b%26c%3D%25.exe");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äöü…");
    }

    #[test]
    fn no_two_signs_are_the_same() {
        let verdicts = ["malicious", "suspicious", "benign", "inconclusive"].map(|name| verdict(name).sign);
        for (index, sign) in verdicts.iter().enumerate() {
            assert!(!verdicts[..index].contains(sign));
        }
    }
}
