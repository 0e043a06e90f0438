//! What are the events that match made of? A histogram whose bars are links, and facets to narrow or exclude by.

use super::asked::PageParams;
use crate::page::parts::{shorten, when};
use casemate_event::{Alert, EntityKind};
use casemate_store::{Facet, Surveyed, Template};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What a search is counted by: facet, name in the query language, name on the page.
type Counted = (Facet, &'static str, &'static str);
pub(super) const FACETS: [Counted; 7] = [
    (Facet::Entity(EntityKind::Host), "host", "host"),
    (Facet::Entity(EntityKind::User), "user", "user"),
    (Facet::Entity(EntityKind::Ip), "ip", "address"),
    (Facet::Entity(EntityKind::Process), "process", "process"),
    (Facet::Format, "format", "format"),
    (Facet::Source, "source", "source"),
    (Facet::Template, "template", "message"),
];
/// Values shown of each.
pub(super) const VALUES: usize = 6;
/// Intervals of the histogram: so few that each bar is wide enough to be hit (24 px).
pub(crate) const BUCKETS: usize = 40;
const VALUE_CHARS: usize = 48;
const TEMPLATE_CHARS: usize = 70;

/// Size of the histogram in its own units.
const WIDTH: u64 = 960;
const HEIGHT: u64 = 72;
/// Least height of a bar that stands for something.
const LEAST: u64 = 2;

/// The histogram laid out.
#[derive(Default)]
pub(crate) struct Histogram {
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) bars: Vec<Bar>,
    pub(crate) from: String,
    pub(crate) to: String,
    /// How long each bar is, in words.
    pub(crate) each: String,
    pub(crate) most: u64,
}

/// One interval of time.
pub(crate) struct Bar {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// What it stands for, in words.
    pub(crate) title: String,
    /// The search narrowed to it; empty where links are left out.
    pub(crate) href: String,
    /// Its ends, for a script that spans several.
    pub(crate) from: String,
    pub(crate) until: String,
}

/// Lays out counts over time, in intervals of `width` seconds. `link` gives the address of an interval by its ends.
pub(crate) fn histogram(
    counts: &[(Timestamp, u64)],
    width: i64,
    link: impl Fn(&str, &str) -> String,
) -> Option<Histogram> {
    let most = counts.iter().map(|(_, count)| *count).max().filter(|most| *most > 0)?;
    let slot = (WIDTH / counts.len() as u64).max(1);
    let mut bars = Vec::with_capacity(counts.len());
    for (place, (start, count)) in (0_u64..).zip(counts) {
        let until = end_of(*start, width);
        let height = if *count == 0 { 0 } else { (count * HEIGHT / most).max(LEAST) };
        let (from, until) = (start.to_string(), until.to_string());
        bars.push(Bar {
            x: place * slot,
            y: HEIGHT - height,
            width: slot.saturating_sub(2).max(1),
            height,
            title: format!("{}: {count} event{}", when(*start).shown, if *count == 1 { "" } else { "s" }),
            href: if *count == 0 { String::new() } else { link(&from, &until) },
            from,
            until,
        });
    }
    let (first, last) = (counts.first()?.0, counts.last()?.0);
    Some(Histogram {
        width: slot * counts.len() as u64,
        height: HEIGHT,
        bars,
        from: when(first).shown,
        to: when(end_of(last, width)).shown,
        each: duration(width),
        most,
    })
}

/// The last millisecond of an interval: bounds of searches are both included.
fn end_of(start: Timestamp, width: i64) -> Timestamp {
    let length = SignedDuration::from_secs(width) - SignedDuration::from_millis(1);
    start.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// A length of time in its largest whole unit.
fn duration(seconds: i64) -> String {
    for (unit, name) in [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")] {
        if seconds >= unit && seconds % unit == 0 {
            let number = seconds / unit;
            return format!("{number} {name}{}", if number == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} seconds")
}

/// A length of time in a unit that says enough.
pub(crate) fn roughly(seconds: i64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let fits = units.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    fits.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

/// The most frequent values of a kind.
pub(super) struct FacetView {
    pub(super) name: &'static str,
    pub(super) values: Vec<FacetValue>,
}

pub(super) struct FacetValue {
    pub(super) shown: String,
    pub(super) count: u64,
    /// The search narrowed to it, and to the others; empty where links are left out.
    pub(super) only: String,
    pub(super) without: String,
}

/// Facets as counted; `templates` says what templates say.
pub(super) fn facets(
    params: &PageParams,
    counted: &[Vec<(String, u64)>],
    templates: &BTreeMap<String, Template>,
) -> Vec<FacetView> {
    let linkable = params.is_linkable();
    let view = |((_, name, shown_name), values): (&Counted, &Vec<(String, u64)>)| {
        let value = |(value, count): &(String, u64)| {
            let (only, without) =
                if linkable { params.with_and_without(name, value) } else { (String::new(), String::new()) };
            let shown = match templates.get(value).filter(|_| *name == "template") {
                Some(template) => shorten(&template.text, TEMPLATE_CHARS),
                None => shorten(value, VALUE_CHARS),
            };
            FacetValue { shown, count: *count, only, without }
        };
        FacetView { name: shown_name, values: values.iter().map(value).collect() }
    };
    let views = FACETS.iter().zip(counted).map(view);
    // What all events share narrows nothing.
    views
        .filter(|facet: &FacetView| {
            facet.values.len() > 1 || facet.name == "host" && !facet.values.is_empty()
        })
        .collect()
}

/// Which of the latest alerts have events among those that match.
pub(super) fn detections(params: &PageParams, alerts: &[Alert], surveyed: &Surveyed) -> Option<FacetView> {
    let mut values: Vec<FacetValue> = Vec::new();
    for alert in alerts {
        let count = alert.events.iter().filter(|id| surveyed.has(**id)).count() as u64;
        if count > 0 {
            let only = params.href(&[("alert", &alert.id.to_string())]);
            let shown = format!("{} #{}", shorten(&alert.title, VALUE_CHARS), alert.id);
            values.push(FacetValue { shown, count, only, without: String::new() });
        }
    }
    values.sort_by_key(|value| std::cmp::Reverse(value.count));
    values.truncate(VALUES);
    (!values.is_empty()).then_some(FacetView { name: "detection", values })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bars_are_links_to_their_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let counts = [(at(0), 100), (at(60), 0), (at(120), 1)];
        let drawn = histogram(&counts, 60, |from, until| format!("{from}/{until}")).unwrap();
        assert_eq!((drawn.bars.len(), drawn.most, &*drawn.each), (3, 100, "1 minute"));
        assert_eq!(drawn.bars[0].href, "1970-01-01T00:00:00Z/1970-01-01T00:00:59.999Z");
        assert_eq!((drawn.bars[0].height, drawn.bars[1].height, drawn.bars[2].height), (HEIGHT, 0, LEAST));
        assert!(drawn.bars[1].href.is_empty());
        assert!(drawn.bars[2].x + drawn.bars[2].width <= drawn.width);
        assert_eq!(drawn.to, "1970-01-01 00:02:59.999");
        assert!(histogram(&[(at(0), 0)], 60, |_, _| String::new()).is_none());
    }

    #[test]
    fn lengths_are_in_words() {
        for (seconds, expected) in
            [(1, "1 second"), (120, "2 minutes"), (5400, "90 minutes"), (604_800, "7 days")]
        {
            assert_eq!(duration(seconds), expected);
        }
        for (seconds, expected) in
            [(90, "90 s"), (389, "6 minutes"), (100_000, "27 hours"), (200_000, "2 days")]
        {
            assert_eq!(roughly(seconds), expected);
        }
    }
}
