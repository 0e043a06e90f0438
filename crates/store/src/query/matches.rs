//! What does a query mean? Written plainly: the index has to agree with this.

use super::expr::{Bound, Expr, Test};
use super::words::words;
use casemate_event::{Class, Entity, Event, EventId};
use std::cmp::Ordering;
use std::net::IpAddr;

impl Expr {
    /// Whether an event is what the query asks for.
    pub(crate) fn matches(&self, event: &Event, id: EventId) -> bool {
        let field = |value: Option<&str>, test: &Test| value.is_some_and(|value| test.holds(value));
        match self {
            Self::All => true,
            Self::And(parts) => parts.iter().all(|part| part.matches(event, id)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(event, id)),
            Self::Not(part) => !part.matches(event, id),
            Self::Phrase(phrase) => {
                has_phrase(&event.message, phrase)
                    || named(event).any(|entity| has_phrase(&entity.value, phrase))
            }
            Self::Pattern(glob) => {
                words(&event.message).iter().any(|word| glob.matches(word))
                    || named(event).any(|entity| Test::Like(glob.clone()).holds(&entity.value))
            }
            Self::MessagePattern(glob) => words(&event.message).iter().any(|word| glob.matches(word)),
            Self::Message(phrase) => has_phrase(&event.message, phrase),
            Self::Entity(kind, test) => {
                event.entities().iter().filter(|entity| entity.kind == *kind).any(|entity| match test {
                    Test::Is(value) => entity.value == Entity::new(*kind, value).value,
                    test => test.holds(&entity.value),
                })
            }
            Self::Field(name, test) => field(event.fields.get(name), test),
            Self::Whole(name, value) => {
                event.fields.get(name).is_some_and(|seen| seen.to_lowercase() == value.to_lowercase())
            }
            Self::Native(name, test) => field(event.native.get_ignore_case(name), test),
            Self::Raw(test) => test.holds(&String::from_utf8_lossy(&event.raw)),
            Self::Source(test) => test.holds(&event.source),
            Self::Format(test) => test.holds(event.format.name()),
            Self::Class(test) => {
                test.holds(&class_name(event.class)) || test.holds(&event.class.uid().to_string())
            }
            Self::Template(template) => event.template == *template,
            Self::Id(test) => test.holds(&id.to_string()),
            Self::Time(from, to) => {
                from.is_none_or(|from| event.time >= from) && to.is_none_or(|to| event.time <= to)
            }
        }
    }
}

impl Test {
    /// Whether a value passes. Words are those of the value in lower case.
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Is(wanted) => {
                let (value, wanted) = (value.to_lowercase(), wanted.to_lowercase());
                let phrase = words(&wanted);
                value == wanted || !phrase.is_empty() && has_phrase(&value, &phrase)
            }
            Self::Like(glob) => {
                let value = value.to_lowercase();
                glob.matches(&value) || words(&value).iter().any(|word| glob.matches(word))
            }
            Self::Between(low, high) => above(low, value) && below(high, value),
            Self::In(base, bits) => value.parse().is_ok_and(|address| within(address, *base, *bits)),
        }
    }
}

/// Entities of an event that words find.
fn named(event: &Event) -> impl Iterator<Item = Entity> {
    event.entities().into_iter().filter(|entity| entity.kind.has_words())
}

/// Whether the words of `text` hold those of `phrase` in a row.
pub(crate) fn has_phrase(text: &str, phrase: &[String]) -> bool {
    words(text).windows(phrase.len().max(1)).any(|run| run == phrase)
}

/// Name of a class as in JSON.
pub(crate) fn class_name(class: Class) -> String {
    match serde_json::to_value(class) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn above(bound: &Bound, value: &str) -> bool {
    match bound {
        Bound::Open => true,
        Bound::Included(low) => compare(value, low).is_some_and(Ordering::is_ge),
        Bound::Excluded(low) => compare(value, low).is_some_and(Ordering::is_gt),
    }
}

fn below(bound: &Bound, value: &str) -> bool {
    match bound {
        Bound::Open => true,
        Bound::Included(high) => compare(value, high).is_some_and(Ordering::is_le),
        Bound::Excluded(high) => compare(value, high).is_some_and(Ordering::is_lt),
    }
}

/// As numbers or addresses where the bound is one (what is none then lies outside), else as text.
fn compare(value: &str, bound: &str) -> Option<Ordering> {
    if let Ok(bound) = bound.parse::<f64>() {
        return value.parse::<f64>().ok()?.partial_cmp(&bound);
    }
    if let Ok(bound) = bound.parse::<IpAddr>() {
        return value
            .parse::<IpAddr>()
            .ok()
            .filter(|value| value.is_ipv4() == bound.is_ipv4())
            .map(|value| value.cmp(&bound));
    }
    Some(value.to_lowercase().cmp(&bound.to_lowercase()))
}

/// Whether `address` lies in the network of `bits` leading bits of `base`.
pub(crate) fn within(address: IpAddr, base: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        let shift = width.saturating_sub(bits.into());
        shift >= width || a >> shift == b >> shift
    };
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}
