//! When does something the site wrote down hold? Times in the site's zone, once or every week.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// Longest time a ticket or a single window may be open: one that is always open explains everything.
const MAX_OPEN: SignedDuration = SignedDuration::from_hours(31 * 24);

/// From and to, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Beginning.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
}

/// When maintenance is planned.
#[derive(Debug, Clone, PartialEq)]
pub enum Window {
    /// Once.
    Once(Period),
    /// On these days of the week from one time of day to another, which may be on the next day, in a zone.
    Weekly(Vec<Weekday>, Time, Time, TimeZone),
}

/// The zone of times without one.
///
/// # Errors
/// What to write instead.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if let Some(offset) = offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| {
        format!("time_zone {name:?} is not known on this machine; write one such as \"Europe/Berlin\" or \"+02:00\"")
    })
}

/// `+02:00` or `-0500`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

impl Period {
    /// # Errors
    /// Which of the two is no time, and what to write instead.
    pub(super) fn parse(from: &str, to: &str, zone: Option<&TimeZone>) -> Result<Self, String> {
        let period = Self { from: time("from", from, zone)?, to: time("to", to, zone)? };
        if period.to <= period.from {
            return Err(format!("to {to:?} is not after from {from:?}"));
        }
        if period.to.duration_since(period.from) > MAX_OPEN {
            return Err(format!(
                "it is open for more than 31 days, from {from:?} to {to:?}; what is always open explains everything, so \
                 write shorter ones"
            ));
        }
        Ok(period)
    }

    pub(super) fn holds(self, time: Timestamp) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

impl Window {
    /// # Errors
    /// Which value is wrong, and what to write instead.
    pub(super) fn parse(
        days: &[String],
        from: &str,
        to: &str,
        zone: Option<&TimeZone>,
    ) -> Result<Self, String> {
        if days.is_empty() {
            return Period::parse(from, to, zone).map(Self::Once);
        }
        let clock = |name: &str, text: &str| {
            text.parse::<Time>().map_err(|_| format!("{name} {text:?} is no time of day; write 22:00"))
        };
        let (from, to) = (clock("from", from)?, clock("to", to)?);
        let days = days.iter().map(|day| weekdays(day)).collect::<Result<Vec<_>, _>>()?.concat();
        let zone = zone.cloned().ok_or_else(no_zone)?;
        Ok(Self::Weekly(days, from, to, zone))
    }

    pub(super) fn holds(&self, time: Timestamp) -> bool {
        match self {
            Self::Once(period) => period.holds(time),
            Self::Weekly(days, from, to, zone) => {
                let local: Zoned = time.to_zoned(zone.clone());
                let (day, clock) = (local.weekday(), local.time());
                if from < to {
                    return days.contains(&day) && (*from..=*to).contains(&clock);
                }
                days.contains(&day) && clock >= *from || days.contains(&day.previous()) && clock <= *to
            }
        }
    }
}

/// One day of the week by the beginning of its English name, or `daily`.
fn weekdays(day: &str) -> Result<Vec<Weekday>, String> {
    let all = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let lower = day.to_lowercase();
    if lower == "daily" {
        return Ok(all.map(|(_, day)| day).to_vec());
    }
    let named = all.iter().find(|(name, _)| lower.len() >= 3 && name.starts_with(&lower));
    named.map(|(_, day)| vec![*day]).ok_or_else(|| {
        format!("{day:?} is no day of the week; write Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily")
    })
}

/// A time with its offset, or one in the site's zone.
fn time(name: &str, text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let spaced = text.replacen(' ', "T", 1);
    if let Ok(time) = spaced.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = DateTime::strptime("%Y-%m-%dT%H:%M", &spaced)
        .or_else(|_| DateTime::strptime("%Y-%m-%dT%H:%M:%S", &spaced))
        // A spreadsheet rewrites dates as its country does; with dots there is but one way to read them.
        .or_else(|_| DateTime::strptime("%d.%m.%YT%H:%M", &spaced))
        .or_else(|_| DateTime::strptime("%d.%m.%YT%H:%M:%S", &spaced))
        .map_err(|_| {
            format!(
                "{name} {text:?} is no time; write 2024-05-14 22:00, or with its zone 2024-05-14T22:00+02:00"
            )
        })?;
    let zone = zone.cloned().ok_or_else(no_zone)?;
    zone.to_timestamp(local).map_err(|error| format!("{name} {text:?}: {error}"))
}

fn no_zone() -> String {
    "times need a zone; add time_zone = \"Europe/Berlin\" (yours) to site.toml, or write them as \
     2024-05-14T22:00+02:00"
        .to_owned()
}
