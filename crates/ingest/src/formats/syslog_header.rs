//! What does the header of a usual syslog line say? Reads `Oct 11 22:14:15 host tag[1]: text` and the same
//! with an ISO time, with or without a priority, by bytes.
//!
//! Whatever has another shape is left to `syslog_loose`, with which this agrees on all that it reads.

use crate::time::{self, Dated};
use casemate_event::TimeQuality;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// A header of RFC 3164, and the text after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) priority: Option<u8>,
    pub(crate) time: Dated,
    pub(crate) host: &'a str,
    pub(crate) program: &'a str,
    /// Decimal, empty where there is none.
    pub(crate) pid: &'a str,
    pub(crate) text: &'a str,
}

/// Reads the header of `line`, which has no white space around it, if it is of a usual shape.
pub(crate) fn read(line: &str, arrival: Timestamp) -> Option<Header<'_>> {
    let (priority, body) = priority(line)?;
    let (time, rest) = no_year(body, arrival).or_else(|| iso(body))?;
    let (host, rest) = rest.split_at_checked(host_length(rest.as_bytes()))?;
    let rest = rest.strip_prefix(' ')?;
    let length = rest.bytes().take_while(|byte| byte.is_ascii_graphic() && *byte != b':').count();
    let (tag, rest) = rest.split_at_checked(length)?;
    let text = rest.strip_prefix(": ")?.trim_start_matches([' ', '\t']);
    // Structured data, or none of it, may stand here.
    if host.is_empty() || matches!(host, "-") || matches!(tag, "" | "-") || text.starts_with(['[', '-']) {
        return None;
    }
    let (program, pid) = split_tag(tag)?;
    Some(Header { priority, time, host, program, pid, text: text.trim_start() })
}

/// The priority, if the line starts with one, and what follows it.
fn priority(line: &str) -> Option<(Option<u8>, &str)> {
    let Some(rest) = line.strip_prefix('<') else {
        return Some((None, line));
    };
    let length = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at_checked(length)?;
    let value = digits.parse().ok().filter(|value| *value < 192)?;
    Some((Some(value), rest.strip_prefix('>')?))
}

/// `Oct  1 22:14:15 `, and what follows it.
fn no_year(body: &str, arrival: Timestamp) -> Option<(Dated, &str)> {
    let bytes = body.as_bytes();
    let month = time::month(body.get(..3)?)?;
    if *bytes.get(3)? != b' ' {
        return None;
    }
    // The day has one digit or two, the first may be a space.
    let (day, at) = match (bytes.get(4)?, bytes.get(5)?, bytes.get(6)?) {
        (b' ', one, b' ') => (digit(*one)?, 7),
        (ten, one, b' ') => (digit(*ten)? * 10 + digit(*one)?, 7),
        (one, b' ', _) => (digit(*one)?, 6),
        _ => return None,
    };
    let clock: &[u8; 9] = bytes.get(at..)?.first_chunk()?;
    let [h, hh, b':', m, mm, b':', s, ss, b' '] = *clock else {
        return None;
    };
    let (hour, minute) = (digit(h)? * 10 + digit(hh)?, digit(m)? * 10 + digit(mm)?);
    let second = digit(s)? * 10 + digit(ss)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(time::assumed_year(arrival, month, day), month, day).ok()?;
    let time = Offset::UTC.to_timestamp(date.at(hour, minute, second, 0)).ok()?;
    Some(((time, TimeQuality::YearAssumed), body.get(at + 9..)?))
}

/// `2020-05-31T00:00:45.698463+02:00 `, and what follows it.
fn iso(body: &str) -> Option<(Dated, &str)> {
    let end = memchr::memchr(b' ', body.as_bytes().get(..body.len().min(40))?)?;
    let (stamp, rest) = body.split_at_checked(end)?;
    let bytes = stamp.as_bytes();
    let (zone_at, zone_hour) = match bytes {
        [.., b'Z'] => (end - 1, None),
        [.., b'+' | b'-', h, hh, b':', m, mm] if digit(*m)? < 6 && digit(*mm).is_some() => {
            (end - 6, Some(digit(*h)? * 10 + digit(*hh)?))
        }
        _ => return None,
    };
    // A leap second is not the second before it to everyone.
    let plain = *bytes.get(4)? == b'-' && *bytes.get(10)? == b'T' && digit(*bytes.get(17)?)? < 6;
    let fraction = bytes.get(19..zone_at)?;
    let fraction_read = match fraction {
        [] => true,
        [b'.', digits @ ..] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !plain || !fraction_read || zone_hour.is_some_and(|hour| hour > 23) {
        return None;
    }
    let dated = time::iso(stamp).filter(|(_, quality)| *quality == TimeQuality::Stated)?;
    Some((dated, rest.strip_prefix(' ')?))
}

fn digit(byte: u8) -> Option<i8> {
    byte.is_ascii_digit().then(|| (byte - b'0').cast_signed())
}

fn host_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')).count()
}

/// Program and process id of `program[1]` or `program`.
fn split_tag(tag: &str) -> Option<(&str, &str)> {
    let Some((program, pid)) = tag.split_once('[') else {
        return Some((tag, ""));
    };
    let pid = pid.strip_suffix(']')?;
    let canonical = pid == "0" || !pid.starts_with('0');
    let decimal = (1..=9).contains(&pid.len()) && pid.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && decimal).then_some((program, pid))
}
