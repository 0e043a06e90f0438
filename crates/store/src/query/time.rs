//! Which moment does a person mean by `-24h`, `now` or `2024-05-01`?

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a time: RFC 3339, a date with or without a time of day (UTC), or one relative to `now`: `now`, `-15m`,
/// `now-7d`, with `@d` (or `@h`, `@m`) behind to go back to where the day (hour, minute) began.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (moment, unit) = match text.split_once('@') {
        Some((moment, unit)) => (moment, Some(unit)),
        None => (text, None),
    };
    let moment = if moment.is_empty() && unit.is_some() { "now" } else { moment };
    let time = relative(moment, now).or_else(|| absolute(moment))?;
    match unit {
        None => Some(time),
        Some(unit) => {
            let seconds = seconds(unit)?;
            Timestamp::from_second(time.as_second().div_euclid(seconds) * seconds).ok()
        }
    }
}

fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let back = text.strip_prefix("now").unwrap_or(text);
    if back.is_empty() {
        return text.starts_with("now").then_some(now);
    }
    let back = back.strip_prefix('-')?;
    let digits = back.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = back.split_at(digits);
    let span = number.parse::<i64>().ok()?.checked_mul(seconds(unit)?)?;
    now.checked_sub(SignedDuration::from_secs(span)).ok()
}

fn absolute(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let without_zone = text.strip_suffix('Z').unwrap_or(text);
    if let Ok(time) = without_zone.parse::<DateTime>() {
        return utc(time);
    }
    without_zone.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0)))
}

fn seconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2024-01-31T10:20:30Z".parse().unwrap();
        for (text, expected) in [
            ("now", "2024-01-31T10:20:30Z"),
            ("-15m", "2024-01-31T10:05:30Z"),
            ("now-7d", "2024-01-24T10:20:30Z"),
            ("-1d@d", "2024-01-30T00:00:00Z"),
            ("@h", "2024-01-31T10:00:00Z"),
            ("2024-01-02", "2024-01-02T00:00:00Z"),
            ("2024-01-02T03:04", "2024-01-02T03:04:00Z"),
            ("2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05Z"),
        ] {
            assert_eq!(parse(text, now).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "-", "-5", "-99999999999999999w", "@x", "2024-13-01"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }
}
