//! What does the syslog header before a record say? Reads headers of RFC 3164 and RFC 5424 and what devices
//! make of them, and refuses text that is no header: a record inside another's text is no record.

use super::times;
use crate::time::{self, Dated};
use jiff::Timestamp;

/// What stands before a record. Empty text where the header does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) priority: Option<u8>,
    pub(crate) time: Option<Dated>,
    pub(crate) host: &'a str,
    pub(crate) program: &'a str,
    pub(crate) pid: &'a str,
}

/// Reads the whole of `text`; `None` if it is no header.
pub(crate) fn read(text: &str, arrival: Timestamp) -> Option<Header<'_>> {
    let mut header = Header::default();
    let mut rest = text.trim();
    if let Some((digits, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        header.priority = Some(digits.parse().ok().filter(|priority| *priority < 192)?);
        rest = after;
        if let Some(after) = rest.strip_prefix("1 ") {
            return rfc5424(header, after);
        }
    }
    // A relay puts its own header before that of the device.
    for _ in 0..2 {
        rest = punctuation(rest);
        if let Some((dated, length)) = times::leading(rest, arrival) {
            header.time = Some(dated);
            rest = zone(punctuation(rest.get(length..)?));
            header.host = "";
        }
        if header.host.is_empty() && (header.time.is_some() || header.priority.is_some()) {
            let (word, after) = word(rest);
            if !word.is_empty() && !word.ends_with(':') && !word.contains(['[', '=', '"']) {
                header.host = word;
                rest = after;
            }
        }
    }
    rest = punctuation(rest);
    if header.time.is_none() && header.priority.is_none() {
        return rest.is_empty().then_some(header);
    }
    // One tag may follow: `program[pid]:`, `program -:`, or as in RFC 5424 `program pid -`.
    let (tag, after) = word(rest);
    let tag = tag.trim_end_matches(':');
    (header.program, header.pid) = match tag.split_once('[') {
        Some((program, pid)) => (program, pid.trim_end_matches(']')),
        None => (tag, ""),
    };
    let (number, after_number) = word(after);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        (header.pid, rest) = (number, after_number);
    } else {
        rest = after;
    }
    is_only_data(rest).then_some(header)
}

/// Time, host, program, process and message id; structured data may follow, or begin.
fn rfc5424<'a>(mut header: Header<'a>, text: &'a str) -> Option<Header<'a>> {
    let (stamp, rest) = word(text);
    header.time = time::iso(stamp);
    let (host, rest) = word(rest);
    let (program, rest) = word(rest);
    let (pid, rest) = word(rest);
    let (_, rest) = word(rest);
    let absent = |word| if word == "-" { "" } else { word };
    (header.host, header.program, header.pid) = (absent(host), absent(program), absent(pid));
    is_only_data(rest).then_some(header)
}

/// Whether nothing but structured data follows, or the beginning of it.
fn is_only_data(text: &str) -> bool {
    let data = punctuation(text);
    let is_data = data.starts_with('[') && (data.ends_with(']') || !data.contains(char::is_whitespace));
    data.is_empty() || is_data
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Without punctuation that devices put between the parts of a header.
fn punctuation(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '-' | '*'))
}

/// Without the name of a zone.
fn zone(text: &str) -> &str {
    const ZONES: [&str; 15] = [
        "UTC", "GMT", "Z", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "CET", "CEST", "BST",
        "JST",
    ];
    let (word, rest) = word(text);
    if ZONES.contains(&word.trim_end_matches(':')) { rest } else { text }
}
