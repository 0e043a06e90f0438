//! When was that? Reads the time notations that logs use, and says how far each is to be trusted.
//!
//! Knows no format and no field names; it only reads notations.

use casemate_event::TimeQuality;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// A time and how far it is to be trusted.
pub(crate) type Dated = (Timestamp, TimeQuality);

/// Reads ISO 8601 and its relatives (`2020-06-10T02:50:56.537Z`, `2020-06-09 22:50:54`, `2020/06/09 …`,
/// `…+0200`) from the start of `text`. Without a zone, UTC is taken and said so.
pub(crate) fn iso(text: &str) -> Option<Dated> {
    let (civil, rest) = iso_civil(text)?;
    let rest = rest.strip_prefix(' ').filter(|r| r.starts_with(['+', '-', 'Z', 'U'])).unwrap_or(rest);
    match zone(rest) {
        Some(offset) => Some((offset.to_timestamp(civil).ok()?, TimeQuality::Stated)),
        None => Some((Offset::UTC.to_timestamp(civil).ok()?, TimeQuality::ZoneAssumed)),
    }
}

/// As [`iso`], for a field that is known to be in UTC (Sysmon's `UtcTime`).
pub(crate) fn iso_utc(text: &str) -> Option<Dated> {
    iso(text).map(|(time, _)| (time, TimeQuality::Stated))
}

/// Date and time of day, and what follows them.
fn iso_civil(text: &str) -> Option<(DateTime, &str)> {
    let bytes = text.as_bytes();
    let separator = *bytes.get(4)?;
    if !matches!(separator, b'-' | b'/') || *bytes.get(7)? != separator {
        return None;
    }
    let year = i16::try_from(digits(bytes, 0, 4)?).ok()?;
    let month = i8::try_from(digits(bytes, 5, 2)?).ok()?;
    let day = i8::try_from(digits(bytes, 8, 2)?).ok()?;
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let (time, end) = clock(bytes, 11)?;
    Some((Date::new(year, month, day).ok()?.to_datetime(time), text.get(end..)?))
}

/// `HH:MM:SS[.fraction]` at `start`; also gives where it ends.
pub(crate) fn clock(bytes: &[u8], start: usize) -> Option<(Time, usize)> {
    if *bytes.get(start + 2)? != b':' || *bytes.get(start + 5)? != b':' {
        return None;
    }
    let hour = i8::try_from(digits(bytes, start, 2)?).ok()?;
    let minute = i8::try_from(digits(bytes, start + 3, 2)?).ok()?;
    // A leap second is counted with the second before it.
    let second = i8::try_from(digits(bytes, start + 6, 2)?.min(59)).ok()?;
    let mut end = start + 8;
    let mut nanos = 0i32;
    if matches!(bytes.get(end), Some(b'.' | b',')) && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1;
        let mut scale = 100_000_000;
        while let Some(digit) = bytes.get(end).filter(|b| b.is_ascii_digit()) {
            nanos += i32::from(digit - b'0') * scale;
            scale /= 10;
            end += 1;
        }
    }
    Some((Time::new(hour, minute, second, nanos).ok()?, end))
}

fn zone(text: &str) -> Option<Offset> {
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'Z' | b'z' => return Some(Offset::UTC),
        b'U' if text.starts_with("UTC") => return Some(Offset::UTC),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(bytes, 1, 2)?;
    let minutes_at = if bytes.get(3) == Some(&b':') { 4 } else { 3 };
    let minutes = digits(bytes, minutes_at, 2).unwrap_or(0);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn digits(bytes: &[u8], start: usize, count: usize) -> Option<i32> {
    let mut value = 0;
    for &byte in bytes.get(start..start + count)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i32::from(byte - b'0');
    }
    Some(value)
}

/// Seconds since 1970 with an optional fraction (`1591367999.305988`); milli-, micro- and nanoseconds are
/// told from their size.
pub(crate) fn epoch(text: &str) -> Option<Dated> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    let mut nanos = 0i32;
    let mut scale = 100_000_000;
    for byte in fraction.bytes().take(9) {
        if !byte.is_ascii_digit() {
            return None;
        }
        nanos += i32::from(byte - b'0') * scale;
        scale /= 10;
    }
    let time = match whole.unsigned_abs() {
        0..=99_999_999_999 => Timestamp::new(whole, nanos).ok()?,
        100_000_000_000..=99_999_999_999_999 => Timestamp::from_millisecond(whole).ok()?,
        100_000_000_000_000..=99_999_999_999_999_999 => Timestamp::from_microsecond(whole).ok()?,
        _ => Timestamp::from_nanosecond(i128::from(whole)).ok()?,
    };
    Some((time, TimeQuality::Stated))
}

/// Number of an English month name, from 1.
pub(crate) fn month(name: &str) -> Option<i8> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let name = name.get(..3)?;
    let index = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month))?;
    i8::try_from(index + 1).ok()
}

/// The latest year in which `month` and `day` exist and lie no more than a day after `arrival`.
pub(crate) fn assumed_year(arrival: Timestamp, month: i8, day: i8) -> i16 {
    let today = Offset::UTC.to_datetime(arrival).date();
    let latest = today.tomorrow().unwrap_or(today);
    let mut year = latest.year();
    // February 29 can be eight years back (1896 to 1904).
    for _ in 0..9 {
        match Date::new(year, month, day) {
            Ok(date) if date <= latest => return year,
            _ => year -= 1,
        }
    }
    latest.year()
}

/// Common notations at the start of a text line: ISO, `[10/Oct/2000:13:55:36 -0700]` anywhere near the
/// start, `Mon Jun  6 18:43:28 2016`.
pub(crate) fn leading(line: &str) -> Option<Dated> {
    let start = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '[' | '(' | '"'));
    if start.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && let Some(dated) = iso(start)
    {
        return Some(dated);
    }
    let head = line.get(..line.floor_char_boundary(256)).unwrap_or_default();
    let bracketed = head.find('[').and_then(|at| common_log(head.get(at + 1..)?));
    bracketed.or_else(|| ctime(start))
}

/// `10/Oct/2000:13:55:36 -0700`, of the common log format.
pub(crate) fn common_log(text: &str) -> Option<Dated> {
    let bytes = text.as_bytes();
    if *bytes.get(2)? != b'/' || *bytes.get(6)? != b'/' || *bytes.get(11)? != b':' {
        return None;
    }
    let day = i8::try_from(digits(bytes, 0, 2)?).ok()?;
    let month = month(text.get(3..6)?)?;
    let year = i16::try_from(digits(bytes, 7, 4)?).ok()?;
    let (time, end) = clock(bytes, 12)?;
    let civil = Date::new(year, month, day).ok()?.to_datetime(time);
    let offset = text.get(end..)?.strip_prefix(' ').and_then(zone);
    match offset {
        Some(offset) => Some((offset.to_timestamp(civil).ok()?, TimeQuality::Stated)),
        None => Some((Offset::UTC.to_timestamp(civil).ok()?, TimeQuality::ZoneAssumed)),
    }
}

/// `Mon Jun  6 18:43:28 2016`.
pub(crate) fn ctime(text: &str) -> Option<Dated> {
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?;
    if weekday.len() != 3 {
        return None;
    }
    let month = month(words.next()?)?;
    let day: i8 = words.next()?.parse().ok()?;
    let (time, _) = clock(words.next()?.as_bytes(), 0)?;
    let year: i16 = words.next()?.get(..4)?.parse().ok()?;
    let civil = Date::new(year, month, day).ok()?.to_datetime(time);
    Some((Offset::UTC.to_timestamp(civil).ok()?, TimeQuality::ZoneAssumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: Option<Dated>, expected: &str, quality: TimeQuality) {
        let (time, found) = read.unwrap();
        assert_eq!((time.to_string().as_str(), found), (expected, quality));
    }

    #[test]
    fn iso_notations() {
        check(iso("2020-06-10T02:50:56.537Z"), "2020-06-10T02:50:56.537Z", TimeQuality::Stated);
        check(iso("2020-06-09 22:50:54"), "2020-06-09T22:50:54Z", TimeQuality::ZoneAssumed);
        check(iso("2020-06-09T22:50:54+0200"), "2020-06-09T20:50:54Z", TimeQuality::Stated);
        check(iso("2020-06-09 22:50:54,5 -07:00 x"), "2020-06-10T05:50:54.5Z", TimeQuality::Stated);
        check(iso_utc("2020-06-09 22:50:54.631"), "2020-06-09T22:50:54.631Z", TimeQuality::Stated);
        for bad in
            ["", "2020", "2020-13-01T00:00:00Z", "2020-06-09T25:00:00", "2020-06-09", "日本日本日本日本"]
        {
            assert_eq!(iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_notations() {
        check(epoch("1591367999.305988"), "2020-06-05T14:39:59.305988Z", TimeQuality::Stated);
        check(epoch("1591367999305"), "2020-06-05T14:39:59.305Z", TimeQuality::Stated);
        assert_eq!(epoch("99999999999999999999"), None);
        check(
            leading("1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET /\""),
            "2000-10-10T20:55:36Z",
            TimeQuality::Stated,
        );
        check(leading("Mon Jun  6 18:43:28 2016 [pid 2]"), "2016-06-06T18:43:28Z", TimeQuality::ZoneAssumed);
        assert_eq!(leading("nothing here"), None);
    }

    #[test]
    fn years_are_assumed_in_the_past() {
        let arrival: Timestamp = "2023-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(assumed_year(arrival, 2, 28), 2023);
        assert_eq!(assumed_year(arrival, 3, 2), 2023);
        assert_eq!(assumed_year(arrival, 3, 3), 2022);
        assert_eq!(assumed_year(arrival, 12, 31), 2022);
        assert_eq!(assumed_year(arrival, 2, 29), 2020);
    }
}
