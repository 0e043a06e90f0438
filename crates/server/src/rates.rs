//! How fast does each source send? Counted once a minute, over the last ten.

use crate::hub::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const EACH: Duration = Duration::from_secs(60);
const KEPT: usize = 10;

/// What sources had sent, minute by minute.
#[derive(Default)]
pub(crate) struct Rates(Mutex<VecDeque<(Instant, BTreeMap<String, u64>)>>);

impl Rates {
    /// Notes what sources have sent, if a minute has passed.
    pub(crate) fn note(&self, now: Instant, counts: impl FnOnce() -> BTreeMap<String, u64>) {
        let mut kept = lock(&self.0);
        if kept.back().is_some_and(|(at, _)| now.duration_since(*at) < EACH) {
            return;
        }
        kept.push_back((now, counts()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// Records a minute from a source that has sent `records` by now; unknown in the first minute.
    pub(crate) fn per_minute(&self, source: &str, records: u64) -> Option<f64> {
        self.at(source, records, Instant::now())
    }

    fn at(&self, source: &str, records: u64, now: Instant) -> Option<f64> {
        let kept = lock(&self.0);
        let (at, before) = kept.front()?;
        let passed = now.duration_since(*at);
        let sent = records.saturating_sub(before.get(source).copied().unwrap_or(0));
        (passed >= EACH).then(|| sent as f64 * 60.0 / passed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rates_are_of_the_last_minutes() {
        let rates = Rates::default();
        let begun = Instant::now();
        let minute = |n: u64| begun + EACH * u32::try_from(n).unwrap();
        assert_eq!(rates.at("a", 5, minute(9)), None);
        for n in 0..20 {
            rates.note(minute(n), || BTreeMap::from([("a".to_owned(), n * 100)]));
            rates.note(minute(n) + Duration::from_secs(1), || panic!("not yet"));
        }
        assert_eq!(rates.at("a", 2000, minute(20)), Some(100.0));
        assert_eq!(rates.at("b", 10, minute(20)), Some(1.0));
    }
}
