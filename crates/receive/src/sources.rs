//! Who sends, how much, and who has fallen silent?
//!
//! A source is silent once it has sent nothing for three times its longest usual gap, and for five minutes at
//! least. The longest gap is learnt as it sends, and forgotten by half each week. A source is watched once it
//! has been sending for ten minutes: one that sends once is no loss when it stops.

use crate::saved::SavedSource;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sources told apart; the rest is counted as one.
const MAX_SOURCES: usize = 4096;
/// Name under which the rest is counted.
const OTHERS: &str = "others";
/// Longest name kept, in bytes.
const MAX_NAME_BYTES: usize = 200;
const LEAST_SILENCE: Duration = Duration::from_secs(300);
const LEAST_KNOWN: Duration = Duration::from_secs(600);
const SILENCE_FACTOR: u32 = 3;
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What one source has sent since it was first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Records stored, quarantined ones included.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records among them that were quarantined.
    pub quarantined: u64,
    /// Records lost before they could be read; only UDP can lose any.
    pub dropped: u64,
    /// When something came last.
    pub last_seen: Option<Timestamp>,
    /// Whether it has fallen silent.
    pub silent: bool,
}

/// A source that fell silent or came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Name of the source.
    pub source: String,
    /// When something came last before it.
    pub since: Timestamp,
    /// How long it has lasted, or lasted in all.
    pub lasted: Duration,
    /// Whether it is over.
    pub over: bool,
    /// What was its longest usual gap.
    pub usual: Duration,
}

/// All sources.
#[derive(Debug, Default)]
pub struct Sources(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_name: BTreeMap<String, Source>,
    /// Silences that ended and were not asked for yet.
    ended: Vec<Silence>,
}

#[derive(Debug)]
struct Source {
    counts: SourceCounts,
    first: Instant,
    last: Instant,
    usual: Duration,
    /// How long before `last` something came last, where `last` is when this program started.
    before: Duration,
}

impl Sources {
    /// Sources as they were saved. Time in which this program did not run counts for no silence, but it is
    /// part of how long one lasted.
    pub(crate) fn restored(saved: &BTreeMap<String, SavedSource>, now: Instant) -> Self {
        let restore = |(name, saved): (&String, &SavedSource)| {
            let known = Duration::from_secs_f64(saved.known_seconds);
            let away = saved
                .counts
                .last_seen
                .map_or(SignedDuration::ZERO, |last| Timestamp::now().duration_since(last));
            let source = Source {
                counts: saved.counts.clone(),
                first: now.checked_sub(known).unwrap_or(now),
                last: now,
                usual: Duration::from_secs_f64(saved.usual_seconds),
                before: away.try_into().unwrap_or_default(),
            };
            (shown(name), source)
        };
        let by_name = saved.iter().take(MAX_SOURCES).map(restore).collect();
        Self(Mutex::new(State { by_name, ended: Vec::new() }))
    }

    /// As they are to be saved.
    pub(crate) fn to_save(&self) -> BTreeMap<String, SavedSource> {
        let save = |(name, source): (&String, &Source)| {
            let saved = SavedSource {
                counts: source.counts.clone(),
                usual_seconds: source.usual.as_secs_f64(),
                known_seconds: source.last.saturating_duration_since(source.first).as_secs_f64(),
            };
            (name.clone(), saved)
        };
        self.lock().by_name.iter().map(save).collect()
    }

    /// Counts what came from `name` at `now`.
    pub fn count(&self, name: &str, records: u64, bytes: u64, quarantined: u64, now: Instant) {
        let mut state = self.lock();
        let State { by_name, ended } = &mut *state;
        let source = entry(by_name, name, now);
        let counts = &mut source.counts;
        if counts.silent
            && let Some(since) = counts.last_seen
        {
            let lasted = source.quiet(now);
            ended.push(Silence { source: shown(name), since, lasted, over: true, usual: source.usual });
        }
        source.learn(now);
        let counts = &mut source.counts;
        counts.records += records;
        counts.bytes += bytes;
        counts.quarantined += quarantined;
        counts.last_seen = Some(Timestamp::now());
        counts.silent = false;
    }

    /// Counts what `name` sent and was lost.
    pub fn count_dropped(&self, name: &str, dropped: u64) {
        entry(&mut self.lock().by_name, name, Instant::now()).counts.dropped += dropped;
    }

    /// Every source with its counts, by name.
    pub fn snapshot(&self) -> Vec<(String, SourceCounts)> {
        self.lock().by_name.iter().map(|(name, source)| (name.clone(), source.counts.clone())).collect()
    }

    /// Silences that began or ended since the last call; each is given once.
    pub fn silences(&self, now: Instant) -> Vec<Silence> {
        let mut state = self.lock();
        let mut found = std::mem::take(&mut state.ended);
        for (name, source) in &mut state.by_name {
            let quiet_here = now.saturating_duration_since(source.last);
            let lasted = source.quiet(now);
            let Some(since) = source.counts.last_seen else { continue };
            let is_known = source.last.saturating_duration_since(source.first) >= LEAST_KNOWN;
            if is_known && !source.counts.silent && quiet_here >= source.limit() {
                source.counts.silent = true;
                found.push(Silence { source: name.clone(), since, lasted, over: false, usual: source.usual });
            }
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves one count short: go on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Time since something came last.
    fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last) + self.before
    }

    fn limit(&self) -> Duration {
        LEAST_SILENCE.max(self.usual * SILENCE_FACTOR)
    }

    fn learn(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        // An outage is no rhythm, but what comes back later each time must not be reported for ever.
        let gap_learnt = gap.min(self.limit());
        let kept = self.usual.mul_f64(0.5_f64.powf(gap.as_secs_f64() / HALF_LIFE.as_secs_f64()));
        self.usual = kept.max(gap_learnt);
        (self.last, self.before) = (now, Duration::ZERO);
    }
}

fn entry<'a>(by_name: &'a mut BTreeMap<String, Source>, name: &str, now: Instant) -> &'a mut Source {
    let name = shown(name);
    let is_room = by_name.len() < MAX_SOURCES || by_name.contains_key(&name);
    let name = if is_room { name } else { OTHERS.to_owned() };
    let new = || Source {
        counts: SourceCounts::default(),
        first: now,
        last: now,
        usual: Duration::ZERO,
        before: Duration::ZERO,
    };
    by_name.entry(name).or_insert_with(new)
}

/// A name a sender may have chosen, bounded and on one line.
pub(crate) fn shown(name: &str) -> String {
    let mut shown = String::new();
    for character in name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if shown.len() + character.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        shown.push(character);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let (sources, start) = (Sources::default(), Instant::now());
        let minute = |n: u64| start + Duration::from_secs(60 * n);
        for n in 0..=15 {
            sources.count("a", 1, 10, 0, minute(n));
            assert!(sources.silences(minute(n)).is_empty());
        }
        assert!(sources.silences(minute(19)).is_empty());
        let found = sources.silences(minute(20));
        assert_eq!((found.len(), found[0].over, found[0].source.as_str()), (1, false, "a"));
        assert!(sources.silences(minute(30)).is_empty());
        assert!(sources.snapshot()[0].1.silent);
        sources.count("a", 1, 10, 0, minute(40));
        let found = sources.silences(minute(40));
        assert_eq!((found.len(), found[0].over), (1, true));
        assert_eq!(found[0].lasted, Duration::from_secs(25 * 60));
        assert!(sources.silences(minute(40)).is_empty());
    }

    #[test]
    fn what_was_saved_goes_on_after_a_restart() {
        let (sources, start) = (Sources::default(), Instant::now());
        let minute = |n: u64| start + Duration::from_secs(60 * n);
        for n in 0..=15 {
            sources.count("a", 2, 10, 1, minute(n));
        }
        sources.count_dropped("b", 3);
        let restored = Sources::restored(&sources.to_save(), minute(100));
        assert_eq!(restored.snapshot(), sources.snapshot());
        // It is given the time that it is given otherwise, from when it could be heard again.
        assert!(restored.silences(minute(104)).is_empty());
        let silences = restored.silences(minute(105));
        assert_eq!((silences.len(), silences[0].over), (1, false));
        let again = Sources::restored(&restored.to_save(), minute(200));
        assert!(again.silences(minute(300)).is_empty(), "it was told before");
        again.count("a", 1, 1, 0, minute(310));
        assert!(again.silences(minute(310))[0].over);
        assert_eq!(again.snapshot()[0].1.records, 33);
    }

    #[test]
    fn a_slow_rhythm_is_no_silence() {
        let (sources, start) = (Sources::default(), Instant::now());
        let minute = |n: u64| start + Duration::from_secs(60 * n);
        let mut told = 0;
        for hour in 0..48 {
            told += sources.silences(minute(60 * hour + 59)).len();
            sources.count("hourly", 1, 1, 0, minute(60 * (hour + 1)));
        }
        assert!(told <= 6, "told {told} times before the rhythm was learnt");
        assert!(sources.silences(minute(60 * 50)).is_empty());
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let sources = Sources::default();
        for n in 0..MAX_SOURCES + 100 {
            sources.count(&format!("{n}\n{}", "x".repeat(500)), 1, 1, 0, Instant::now());
        }
        let all = sources.snapshot();
        assert_eq!(all.len(), MAX_SOURCES + 1);
        assert!(all.iter().all(|(name, _)| name.len() <= MAX_NAME_BYTES && !name.contains('\n')));
        assert_eq!(all.iter().map(|(_, counts)| counts.records).sum::<u64>(), MAX_SOURCES as u64 + 100);
    }
}
