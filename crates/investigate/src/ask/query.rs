//! How is what was understood said in the query language? What is searched is what is shown.

use super::kinds::Slot;
use super::time::Span;
use jiff::Timestamp;

/// A value in double quotes of the language.
pub(super) fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// That one of the parts holds the value.
pub(super) fn plays(slots: &[Slot], value: &str) -> String {
    let fields = slots.iter().flat_map(|slot| slot.fields());
    any(fields.map(|field| format!("fields.{field}:{}", quote(value))).collect())
}

pub(super) fn any(mut parts: Vec<String>) -> String {
    parts.dedup();
    match parts.as_slice() {
        [one] => one.clone(),
        parts => format!("({})", parts.join(" OR ")),
    }
}

pub(super) fn all(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join(" AND ")
}

/// The bounds of a time.
pub(super) fn within(span: Span) -> String {
    let bound = |name: &str, time: Option<Timestamp>| time.map(|time| format!("{name}={time}"));
    let bounds = [bound("earliest", span.from), bound("latest", span.to)];
    bounds.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
