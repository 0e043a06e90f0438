//! When was that, in the notations that mapped formats use?

use crate::time::{self, Dated};
use casemate_event::TimeQuality;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// Seconds of 1980: a smaller number is no time.
const EARLIEST: i64 = 315_532_800;

/// Reads a value that holds a time and nothing else of note: ISO 8601 and its relatives, seconds, milliseconds
/// and so on since 1970, `10/Oct/2000:13:55:36 -0700`, `Sun Dec 04 04:47:44 2005`, `Oct 11 22:14:15`, and the
/// last with a year.
pub(crate) fn read(text: &str, arrival: Timestamp) -> Option<Dated> {
    let text = text.trim();
    if let Some(dated) = time::iso(text) {
        return Some(dated);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let epoch = time::epoch(text).filter(|(time, _)| time.as_second() > EARLIEST);
        return epoch.or_else(|| time::common_log(text));
    }
    month_first(text, arrival).map(|(dated, _)| dated).or_else(|| time::ctime(text))
}

/// Reads the time that `text` begins with, as headers write it, and says how long it is.
pub(crate) fn leading(text: &str, arrival: Timestamp) -> Option<(Dated, usize)> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let dated = time::iso(text.get(..end)?)?;
        return Some((dated, end));
    }
    month_first(text, arrival)
}

/// `Oct 11 22:14:15`, `Oct 11 2025 22:14:15.003 GMT`, `Oct 11, 2025 22:14:15`.
fn month_first(text: &str, arrival: Timestamp) -> Option<(Dated, usize)> {
    let mut words = Words { text, place: 0 };
    let month = words.next().filter(|word| word.len() == 3).and_then(time::month)?;
    let day: i8 = words.next()?.trim_end_matches(',').parse().ok()?;
    let third = words.next()?;
    let (year, clock) = if third.len() == 4 && third.bytes().all(|byte| byte.is_ascii_digit()) {
        (Some(third.parse().ok()?), words.next()?)
    } else {
        (None, third)
    };
    let (clock, _): (Time, usize) = time::clock(clock.as_bytes(), 0)?;
    let length = words.place;
    let is_utc = words.next().is_some_and(|word| matches!(word.trim_end_matches(':'), "UTC" | "GMT" | "Z"));
    let (year, quality) = match year {
        Some(year) if is_utc => (year, TimeQuality::Stated),
        Some(year) => (year, TimeQuality::ZoneAssumed),
        None => (time::assumed_year(arrival, month, day), TimeQuality::YearAssumed),
    };
    let civil = Date::new(year, month, day).ok()?.to_datetime(clock);
    Some(((Offset::UTC.to_timestamp(civil).ok()?, quality), length))
}

struct Words<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Words<'a> {
    /// The next word; `place` is where it ends.
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.place..)?;
        let word = rest.split_ascii_whitespace().next()?;
        self.place += rest.find(word)? + word.len();
        Some(word)
    }
}
