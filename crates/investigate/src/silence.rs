//! Where do a host's logs fall silent?
//!
//! A gap in telemetry is evidence: logging may have been stopped, or the machine. It is shown with the event
//! that ends it. A host is silent when nothing of it was stored for much longer than it is usually quiet.

use crate::relate::Relation;
use crate::view::View;
use casemate_event::{EventId, Stored};
use std::collections::BTreeMap;

/// Shortest silence, and how many times the host's median pause it has to last.
const MIN_SECONDS: i64 = 900;
const MIN_RATIO: i64 = 30;
/// Events of a host from which its usual pause is known.
const MIN_EVENTS: usize = 20;

/// Minutes of silence before each event that ends one. `events` are in order of time.
pub(crate) fn ended(events: &[Stored], relations: &[Relation]) -> BTreeMap<EventId, i64> {
    let mut by_host: BTreeMap<String, Vec<(i64, EventId)>> = BTreeMap::new();
    for (stored, relation) in events.iter().zip(relations) {
        // What was found by likeness alone leaves gaps of its own.
        if *relation != Relation::Similar {
            let host = View(&stored.event).host();
            by_host.entry(host).or_default().push((stored.event.time.as_second(), stored.id));
        }
    }
    by_host.remove("");
    by_host.into_values().flat_map(|of_host| of_one(&of_host)).collect()
}

/// What a line of evidence says of the silence that it ends, after everything else.
pub(crate) fn describe(minutes: i64) -> String {
    format!("{BEFORE_MINUTES}{minutes}{AFTER_MINUTES}")
}

/// The minutes that the end of a line tells of.
pub(crate) fn told_by(line: &str) -> Option<u32> {
    let (_, minutes) = line.strip_suffix(AFTER_MINUTES)?.rsplit_once(BEFORE_MINUTES)?;
    minutes.parse().ok()
}

const BEFORE_MINUTES: &str = " (the host logged nothing for ";
const AFTER_MINUTES: &str = " minutes before)";

fn of_one(events: &[(i64, EventId)]) -> Vec<(EventId, i64)> {
    let pauses: Vec<i64> = events.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let mut sorted = pauses.clone();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2).filter(|_| events.len() >= MIN_EVENTS) else {
        return Vec::new();
    };
    let least = MIN_SECONDS.max(median * MIN_RATIO);
    pauses
        .iter()
        .zip(&events[1..])
        .filter(|(pause, _)| **pause >= least)
        .map(|(pause, (_, id))| (*id, pause / 60))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stored;
    use casemate_event::{Class, field};

    #[test]
    fn a_silence_is_read_back() {
        assert_eq!(told_by(&format!("process \"a\"{}", describe(61))), Some(61));
        // A value may say so too, within its quotes.
        assert_eq!(told_by("command \"a (the host logged nothing for 61 minutes before)\""), None);
        assert_eq!(told_by("x (the host logged nothing for ever minutes before)"), None);
    }

    #[test]
    fn a_silence_stands_out() {
        let at = |id: u64, seconds: i64| {
            stored(id, seconds, Class::NetworkActivity, &[(field::DEVICE_HOSTNAME, "ws1")])
        };
        let check = |times: &[i64], expected: &[(u64, i64)]| {
            let events: Vec<Stored> = (1..).zip(times).map(|(id, seconds)| at(id, *seconds)).collect();
            let relations = vec![Relation::Near; events.len()];
            let expected: Vec<(EventId, i64)> = expected.iter().map(|(id, n)| (EventId(*id), *n)).collect();
            assert_eq!(ended(&events, &relations).into_iter().collect::<Vec<_>>(), expected);
        };
        let steady: Vec<i64> = (0..30).map(|n| n * 10).collect();
        check(&steady, &[]);
        let mut silent = steady;
        silent.push(290 + 3600);
        check(&silent, &[(31, 60)]);
        // A host that logs once an hour is not silent.
        check(&(0..30).map(|n| n * 3600).collect::<Vec<_>>(), &[]);
        check(&[0, 7200], &[]);
    }
}
