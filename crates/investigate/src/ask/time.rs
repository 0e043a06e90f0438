//! Which time does a question speak of?
//!
//! Dates, times of day, and words like `yesterday`, in UTC. A time of day without a date is of the last day
//! that has events, or of the case's own day; what was taken is said with the answer.

use super::words::Words;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What times are told from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference {
    pub(super) now: Timestamp,
    /// Day that a time of day is of.
    pub(super) day: Date,
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

/// The time that the words speak of, which are taken; none if they speak of none.
pub(super) fn find(words: &mut Words, reference: Reference) -> Option<Span> {
    let relative = relative(words, reference.now);
    let date = date(words, reference);
    let of_day = of_day(words, date.unwrap_or(reference.day));
    match (of_day, relative, date) {
        (Some(span), ..) => Some(span),
        (None, Some(span), _) => Some(span),
        (None, None, Some(date)) => bounded(words, date),
        (None, None, None) => None,
    }
}

/// A whole day, or what lies before or after it if the words say so.
fn bounded(words: &Words, date: Date) -> Option<Span> {
    let whole = day(date)?;
    let place = words.find(0, &["before", "until", "after", "since"]);
    Some(match place.map(|place| words.at(place)) {
        Some("before") => Span { from: None, to: whole.from.map(just_before) },
        Some("until") => Span { from: None, to: whole.to },
        Some("after") => Span { from: whole.to, to: None },
        Some("since") => Span { from: whole.from, to: None },
        _ => whole,
    })
}

fn just_before(time: Timestamp) -> Timestamp {
    time.checked_sub(SignedDuration::from_millis(1)).unwrap_or(time)
}

fn at(time: DateTime) -> Option<Timestamp> {
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn day(date: Date) -> Option<Span> {
    let from = at(date.at(0, 0, 0, 0))?;
    let to = at(date.checked_add(1.day()).ok()?.at(0, 0, 0, 0))?;
    Some(Span { from: Some(from), to: Some(just_before(to)) })
}

/// `yesterday`, `in the last 3 hours`, `tomorrow`, `last week`.
fn relative(words: &mut Words, now: Timestamp) -> Option<Span> {
    let today = now.to_zoned(TimeZone::UTC).date();
    for place in 0..words.len() {
        let near = match words.at(place) {
            "today" | "tonight" => Some(0),
            "yesterday" => Some(-1),
            "tomorrow" => Some(1),
            _ => None,
        };
        if let Some(days) = near {
            words.take(place);
            return day(today.checked_add(days.days()).ok()?);
        }
        if let Some(first) = beginning(words, place, today) {
            words.take(place);
            words.take(place + 1);
            return Some(Span { from: day(first)?.from, to: Some(now) });
        }
        // "in 2019": no dictionary of years is needed to know that nothing here is as old.
        let year = words.at(place).parse::<i16>().ok().filter(|year| (1970..=2199).contains(year));
        if let Some(year) = year.filter(|_| matches!(words.before(place), "in" | "during" | "of" | "year")) {
            words.take(place);
            if words.before(place) == "year" {
                words.take(place - 1);
            }
            let first = Date::new(year, 1, 1).ok()?;
            let last = Date::new(year, 12, 31).ok()?;
            return Some(Span { from: day(first)?.from, to: day(last)?.to });
        }
        if !matches!(words.at(place), "last" | "past" | "previous" | "next" | "coming") {
            continue;
        }
        let future = matches!(words.at(place), "next" | "coming");
        let (count, unit_at) = match words.at(place + 1).parse::<i64>() {
            Ok(count) => (count, place + 2),
            Err(_) => (1, place + 1),
        };
        let seconds = match words.at(unit_at) {
            "second" | "seconds" => 1,
            "minute" | "minutes" | "min" => 60,
            "hour" | "hours" | "h" => 3600,
            "day" | "days" | "night" => 86_400,
            "week" | "weeks" => 604_800,
            "month" | "months" => 2_592_000,
            "year" | "years" => 31_536_000,
            _ => continue,
        };
        (place..=unit_at).for_each(|place| words.take(place));
        let width = SignedDuration::from_secs(count.checked_mul(seconds)?);
        return Some(if future {
            Span { from: Some(now), to: now.checked_add(width).ok() }
        } else {
            Span { from: now.checked_sub(width).ok(), to: Some(now) }
        });
    }
    None
}

/// First day of "this week" and its kin.
fn beginning(words: &Words, place: usize, today: Date) -> Option<Date> {
    if words.at(place) != "this" {
        return None;
    }
    match words.at(place + 1) {
        "week" => today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok(),
        "month" => Some(today.first_of_month()),
        "year" => Some(today.first_of_year()),
        _ => None,
    }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// `2023-08-18`, `18 August`, `August 18th, 2023`, `the 18th`, `Friday`.
fn date(words: &mut Words, reference: Reference) -> Option<Date> {
    for place in 0..words.len() {
        if let Ok(date) = words.at(place).parse::<Date>()
            && words.at(place).len() == 10
        {
            words.take(place);
            return Some(date);
        }
    }
    let ordinal = |word: &str| -> Option<i8> {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let ending = &word[digits.len()..];
        matches!(ending, "" | "st" | "nd" | "rd" | "th").then(|| digits.parse().ok()).flatten()
    };
    for place in 0..words.len() {
        let name = words.at(place);
        let Some(month) =
            MONTHS.iter().position(|month| *month == name || name.len() == 3 && month.starts_with(name))
        else {
            continue;
        };
        let (before, of, after) =
            (place.checked_sub(1), place.checked_sub(2).filter(|_| words.at(place - 1) == "of"), place + 1);
        let day_at =
            [of, before, Some(after)].into_iter().flatten().find(|place| ordinal(words.at(*place)).is_some());
        let Some(day_at) = day_at else { continue };
        let last = place.max(day_at);
        let year = words.at(last + 1).parse::<i16>().ok().filter(|year| *year > 1900);
        let day = ordinal(words.at(day_at))?;
        (place.min(day_at)..=last).for_each(|place| words.take(place));
        if year.is_some() {
            words.take(last + 1);
        }
        return Date::new(year.unwrap_or_else(|| reference.day.year()), i8::try_from(month + 1).ok()?, day)
            .ok();
    }
    for place in 0..words.len() {
        let word = words.at(place);
        if word.ends_with(['h', 't', 'd'])
            && word.starts_with(|c: char| c.is_ascii_digit())
            && let Some(day) = ordinal(word)
        {
            words.take(place);
            return Date::new(reference.day.year(), reference.day.month(), day).ok();
        }
        if let Some(number) = DAYS.iter().position(|day| *day == word) {
            words.take(place);
            let weekday = Weekday::from_monday_zero_offset(i8::try_from(number).ok()?).ok()?;
            // The day itself counts: "on Friday", asked of a Friday's logs, is that one.
            let next = reference.day.checked_add(1.day()).ok()?;
            return next.nth_weekday(-1, weekday).ok();
        }
    }
    None
}

/// A time of day or a moment, with its precision in seconds.
fn clock(word: &str, day: Date) -> Option<(Timestamp, i64)> {
    if word.contains('t') && word.len() >= 16 {
        let moment = word.to_uppercase();
        let time =
            moment.parse::<Timestamp>().ok().or_else(|| at(moment.trim_end_matches('Z').parse().ok()?))?;
        return Some((time, if word.matches(':').count() > 1 { 1 } else { 60 }));
    }
    let (digits, half) = match (word.strip_suffix("pm"), word.strip_suffix("am")) {
        (Some(digits), _) => (digits, Some(12)),
        (_, Some(digits)) => (digits, Some(0)),
        _ => (word.trim_end_matches(['z', 'h']), None),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let number = |place: usize| parts.get(place).map_or(Some(0), |part| part.parse::<i8>().ok());
    let (mut hour, minute, second) = (number(0)?, number(1)?, number(2)?);
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.len() > 2) {
        return None;
    }
    if let Some(half) = half {
        hour = hour % 12 + half;
    }
    // "until 24:00" is the day's end.
    let (day, hour) = if hour == 24 { (day.checked_add(1.day()).ok()?, 0) } else { (day, hour) };
    let time = Time::new(hour, minute, second, 0).ok()?;
    Some((at(day.to_datetime(time))?, [3600, 60, 1][parts.len() - 1]))
}

/// `between 15:00 and 16:00`, `after 10`, `at 15:57`, `before 2023-08-18T16:00Z`.
fn of_day(words: &mut Words, day: Date) -> Option<Span> {
    for place in 0..words.len() {
        let word = words.at(place).to_owned();
        let first_at = if words.at(place + 1) == "around" || words.at(place + 1) == "about" {
            place + 2
        } else {
            place + 1
        };
        let Some((first, precision)) = clock(words.at(first_at), day) else { continue };
        // A bare number is a time only behind a word that says so and nothing else could.
        let bare = words.at(first_at).bytes().all(|byte| byte.is_ascii_digit());
        let utc = |words: &mut Words, place: usize| {
            if matches!(words.at(place), "utc" | "o'clock" | "hours") {
                words.take(place);
            }
        };
        let end = |from: Timestamp, seconds: i64| from.checked_add(SignedDuration::from_secs(seconds)).ok();
        let span = match word.as_str() {
            "between" | "from" => {
                let mut joint = first_at + 1;
                if matches!(words.at(joint), "utc" | "o'clock") {
                    joint += 1;
                }
                if !matches!(words.at(joint), "and" | "to" | "until" | "till") {
                    if bare {
                        continue;
                    }
                    Span { from: Some(first), to: None }
                } else {
                    let Some((second, _)) = clock(words.at(joint + 1), day) else { continue };
                    (place..=joint + 1).for_each(|place| words.take(place));
                    utc(words, joint + 2);
                    return Some(Span { from: Some(first), to: Some(second) });
                }
            }
            "after" | "since" => Span { from: Some(first), to: None },
            "before" | "until" | "till" => Span { from: None, to: Some(just_before(first)) },
            "around" | "about" => {
                let width = SignedDuration::from_secs(300);
                Span { from: first.checked_sub(width).ok(), to: first.checked_add(width).ok() }
            }
            "at" if first_at == place + 2 => {
                let width = SignedDuration::from_secs(300);
                Span { from: first.checked_sub(width).ok(), to: first.checked_add(width).ok() }
            }
            "at" | "on" | "in" if !bare => {
                Span { from: Some(first), to: end(first, precision).map(just_before) }
            }
            _ => continue,
        };
        (place..=first_at).for_each(|place| words.take(place));
        utc(words, first_at + 1);
        // "after 15:57 on that day": until the day's end, if a day was meant.
        return Some(span);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, from: &str, to: &str) {
        let mut words = Words::of(question);
        let now: Timestamp = "2023-08-20T12:00:00Z".parse().unwrap();
        let reference = Reference { now, day: "2023-08-18".parse().unwrap() };
        let span = find(&mut words, reference).unwrap_or_else(|| panic!("no time in {question}"));
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        assert_eq!((text(span.from).as_str(), text(span.to).as_str()), (from, to), "{question}");
    }

    #[test]
    fn times_are_read() {
        let day = ("2023-08-18T00:00:00Z", "2023-08-18T23:59:59.999Z");
        for question in [
            "logons on 2023-08-18?",
            "on 18 August",
            "on August 18th, 2023",
            "on the 18th",
            "on Friday",
            "on the 18th of August",
        ] {
            check(question, day.0, day.1);
        }
        check("what happened yesterday", "2023-08-19T00:00:00Z", "2023-08-19T23:59:59.999Z");
        check("in the last 3 hours", "2023-08-20T09:00:00Z", "2023-08-20T12:00:00Z");
        check("between 10 and 11", "2023-08-18T10:00:00Z", "2023-08-18T11:00:00Z");
        check("from 15:57 to 4pm on 17 August", "2023-08-17T15:57:00Z", "2023-08-17T16:00:00Z");
        check("after 15:57 UTC", "2023-08-18T15:57:00Z", "");
        check("before 2023-08-18T16:00Z", "", "2023-08-18T15:59:59.999Z");
        check("at 15:57", "2023-08-18T15:57:00Z", "2023-08-18T15:57:59.999Z");
        check("after 2023-08-17", "2023-08-17T23:59:59.999Z", "");
        check("tomorrow", "2023-08-21T00:00:00Z", "2023-08-21T23:59:59.999Z");
        check("accounts created this week", "2023-08-14T00:00:00Z", "2023-08-20T12:00:00Z");
        check("who logged on in 2019?", "2019-01-01T00:00:00Z", "2019-12-31T23:59:59.999Z");
    }

    #[test]
    fn numbers_are_not_times() {
        for question in
            ["connections from 10.0.5.13", "to port 443", "alert 9", "how many on ws5", "may it be"]
        {
            let reference = Reference { now: Timestamp::UNIX_EPOCH, day: "2023-08-18".parse().unwrap() };
            assert_eq!(find(&mut Words::of(question), reference), None, "{question}");
        }
    }
}
