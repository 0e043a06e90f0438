//! Syslog, RFC 3164 and RFC 5424, with or without the priority that files leave out.
//!
//! Usual headers are read by [`syslog_header`], all others by `syslog_loose`; here only: is it syslog at all,
//! and how far is its time to be trusted.

use super::{Draft, SHOWN_CHARS, auditd, linux, syslog_header};
use crate::text::{clean, ip, push_clean};
use crate::time::{self, Dated};
use casemate_event::{Format, TimeQuality, field};
use jiff::Timestamp;
use syslog_loose::{Message, Protocol, Variant};

/// Decodes a line if it is syslog.
pub(crate) fn decode(line: &str, arrival: Timestamp) -> Option<Draft> {
    let trimmed = line.trim();
    match syslog_header::read(trimmed, arrival) {
        Some(header) => Some(usual(&header)),
        None => unusual(trimmed, arrival),
    }
}

/// Decodes a line with a header of a usual shape.
fn usual(header: &syslog_header::Header<'_>) -> Draft {
    let mut draft = Draft::new(Format::SyslogRfc3164);
    draft.time = Some(header.time);
    if let Some(priority) = header.priority {
        let (facility, severity) = syslog_loose::decompose_pri(priority);
        draft.native.set_known("facility", facility.map_or("", |facility| facility.as_str()));
        draft.native.set_known("severity", severity.map_or("", |severity| severity.as_str()));
    }
    add_text(&mut draft, header.host, header.program, header.pid, header.text);
    draft.finished()
}

/// Decodes a line of any shape, if it is syslog.
fn unusual(trimmed: &str, arrival: Timestamp) -> Option<Draft> {
    let after_priority = strip_priority(trimmed);
    let body = after_priority.unwrap_or(trimmed);
    let header = header_of(body, after_priority.is_some())?;
    let variant = if header == Header::Rfc5424 { Variant::RFC5424 } else { Variant::RFC3164 };
    let assumed = |(month, day, ..): (u32, u32, u32, u32, u32)| {
        let month = i8::try_from(month).unwrap_or(1);
        let day = i8::try_from(day).unwrap_or(1);
        i32::from(time::assumed_year(arrival, month, day))
    };
    let parsed = syslog_loose::parse_message_with_year_exact_tz(trimmed, assumed, Some(chrono::Utc), variant);
    match parsed {
        Ok(message) => Some(normalise(&message, header)),
        // With a priority it is syslog whatever follows (RFC 3164, section 4.3.3).
        Err(_) => after_priority.map(bare),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Rfc5424,
    /// RFC 3164 with an ISO time, as rsyslog writes.
    Iso,
    NoYear,
    Year,
    Other,
}

/// What follows `<PRI>`, if the line starts with one.
fn strip_priority(line: &str) -> Option<&str> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    let plausible = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    plausible.then_some(rest)
}

/// Kind of header, or `None` if this is no syslog line.
fn header_of(body: &str, has_priority: bool) -> Option<Header> {
    if has_priority && body.starts_with("1 ") {
        return Some(Header::Rfc5424);
    }
    let bytes = body.as_bytes();
    let mut words = body.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    if first.len() == 3 && time::month(first).is_some() {
        let day = words.next().unwrap_or_default();
        let clock = words.next().unwrap_or_default();
        let is_day = (1..=2).contains(&day.len()) && day.bytes().all(|b| b.is_ascii_digit());
        if is_day && clock.contains(':') {
            return Some(Header::NoYear);
        }
        if is_day && clock.len() == 4 {
            return Some(Header::Year);
        }
    }
    let is_iso = bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') && time::iso(first).is_some();
    if is_iso {
        // Application logs start with such a time too; syslog goes on with host and tag.
        let host = words.next().unwrap_or_default();
        let tag = words.next().unwrap_or_default();
        let host_like =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b));
        let tag_like = tag.len() > 1 && tag.ends_with(':');
        if has_priority || (host_like && !host.ends_with(':') && tag_like) {
            return Some(Header::Iso);
        }
    }
    has_priority.then_some(Header::Other)
}

fn normalise(message: &Message<&str>, header: Header) -> Draft {
    let format = match message.protocol {
        Protocol::RFC3164 => Format::SyslogRfc3164,
        Protocol::RFC5424(_) => Format::SyslogRfc5424,
    };
    let mut draft = Draft::new(format);
    draft.time = message.timestamp.and_then(|stamp| {
        let nanos = i32::try_from(stamp.timestamp_subsec_nanos()).unwrap_or(0);
        let time = Timestamp::new(stamp.timestamp(), nanos).ok()?;
        let quality = match header {
            Header::NoYear => TimeQuality::YearAssumed,
            Header::Year => TimeQuality::ZoneAssumed,
            Header::Rfc5424 | Header::Iso | Header::Other => TimeQuality::Stated,
        };
        Some(Dated::from((time, quality)))
    });
    let host = message.hostname.unwrap_or_default();
    let program = message.appname.unwrap_or_default().trim_end_matches(':');
    let pid = message.procid.as_ref().map(ToString::to_string).unwrap_or_default();
    // Some senders put a second space before the text.
    let text = message.msg.trim_start();
    draft.native.set("msgid", message.msgid.unwrap_or_default());
    draft.native.set("facility", message.facility.map_or("", |facility| facility.as_str()));
    draft.native.set("severity", message.severity.map_or("", |severity| severity.as_str()));
    for element in &message.structured_data {
        for (name, value) in &element.params {
            draft.native.set(format!("{}.{name}", element.id), *value);
        }
    }
    add_text(&mut draft, host, program, &pid, text);
    draft.finished()
}

/// Adds what every syslog line says, and what its text does.
pub(super) fn add_text(draft: &mut Draft, host: &str, program: &str, pid: &str, text: &str) {
    draft.native.set_known("hostname", host);
    draft.native.set_known("message", text);
    draft.native.set_known("pid", pid);
    draft.native.set_known("program", program);
    draft.set(field::DEVICE_HOSTNAME, host);
    draft.set(field::DEVICE_IP, &ip(host).unwrap_or_default());
    draft.set(field::PRODUCT, program);
    if auditd::add_record(draft, text) {
        return;
    }
    draft.set(field::ACTOR_PROCESS_NAME, program);
    draft.set(field::ACTOR_PROCESS_PID, pid);
    draft.message.reserve(program.len() + 2 + text.len().min(4 * SHOWN_CHARS + 3));
    if !program.is_empty() {
        draft.message.push_str(program);
        draft.message.push_str(": ");
    }
    push_clean(&mut draft.message, text, 4 * SHOWN_CHARS);
    linux::add_content(draft, program, text);
}

/// A line with a priority whose header cannot be read.
fn bare(rest: &str) -> Draft {
    let mut draft = Draft::new(Format::SyslogRfc3164);
    draft.time = time::leading(rest);
    draft.message = clean(rest, 4 * SHOWN_CHARS);
    draft.native.set("message", rest);
    draft
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, format: Format, time: &str, quality: TimeQuality, message: &str) -> Draft {
        let arrival: Timestamp = "2023-03-01T00:00:00Z".parse().unwrap();
        let draft = decode(line, arrival).unwrap_or_else(|| panic!("not syslog: {line}"));
        assert_eq!(draft.format, format, "{line}");
        let (found, found_quality) = draft.time.unwrap();
        assert_eq!((found.to_string().as_str(), found_quality), (time, quality), "{line}");
        assert_eq!(draft.message, message);
        draft
    }

    #[test]
    fn headers() {
        use Format::{SyslogRfc3164, SyslogRfc5424};
        use TimeQuality::{Stated, YearAssumed, ZoneAssumed};
        let draft = check(
            "<34>Oct 11 22:14:15 web1 su[7]: 'su root' failed",
            SyslogRfc3164,
            "2022-10-11T22:14:15Z",
            YearAssumed,
            "su: 'su root' failed",
        );
        assert_eq!(draft.fields.get(field::DEVICE_HOSTNAME), Some("web1"));
        assert_eq!(draft.native.get("pid"), Some("7"));
        check("Jan  2 03:04:05 web1 cron: x", SyslogRfc3164, "2023-01-02T03:04:05Z", YearAssumed, "cron: x");
        check(
            "Jan  2 2021 03:04:05 web1 cron: x",
            SyslogRfc3164,
            "2021-01-02T03:04:05Z",
            ZoneAssumed,
            "cron: x",
        );
        check(
            "2020-05-31T00:00:45.698463+02:00 web1 systemd[1]: Started x.",
            SyslogRfc3164,
            "2020-05-30T22:00:45.698463Z",
            Stated,
            "systemd: Started x.",
        );
        check(
            "<165>1 2003-10-11T22:14:15.003Z web1 app 12 ID47 [e@1 k=\"v\"] hello",
            SyslogRfc5424,
            "2003-10-11T22:14:15.003Z",
            Stated,
            "app: hello",
        );
    }

    #[test]
    fn other_lines_are_not_syslog() {
        for line in
            ["", "plain", "2024-01-01T00:00:00Z INFO started up", "<b>bold</b>", "May the force", "日本 <1"]
        {
            assert!(decode(line, Timestamp::UNIX_EPOCH).is_none(), "{line}");
        }
    }

    #[test]
    fn a_priority_makes_it_syslog() {
        let draft = decode("<13>%ASA-6-302013: Built", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(draft.format, Format::SyslogRfc3164);
    }

    /// What both readers make of a line that the quick one reads.
    fn agrees(line: &str) -> bool {
        let arrival: Timestamp = "2023-03-01T00:00:00Z".parse().unwrap();
        let trimmed = line.trim();
        let Some(header) = syslog_header::read(trimmed, arrival) else { return false };
        let (quick, slow) = (usual(&header), unusual(trimmed, arrival).unwrap_or_else(|| panic!("{line}")));
        assert_eq!((quick.format, quick.class, quick.time), (slow.format, slow.class, slow.time), "{line:?}");
        assert_eq!(quick.message, slow.message, "{line:?}");
        assert_eq!(quick.fields, slow.fields, "{line:?}");
        assert_eq!(quick.native, slow.native, "{line:?}");
        true
    }

    #[test]
    fn usual_lines_are_read_quickly() {
        for line in [
            "<34>Oct 11 22:14:15 web1 su[7]: 'su root' failed",
            "Jan  2 03:04:05 10.0.0.1 cron: x",
            "Jan 2 03:04:05 web1 sshd(pam_unix)[19939]: check pass; user unknown",
            "2020-05-31T00:00:45.698463+02:00 web1 systemd[1]: Started x.",
            "Feb 29 03:04:05 web1 kernel: type=1400 audit(1.2:3): apparmor=\"DENIED\"",
        ] {
            assert!(agrees(line), "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Lines near the usual shapes, whose parts are often slightly wrong.
        #[test]
        fn readers_agree(
            priority in "(<[0-9]{1,3}>)?",
            time in "[A-Z][a-z]{2}|(Jan|feb|JUN|Dec)  ?[0-9]{1,2} [0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
                     |20[0-2][0-9]-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,10})?\
                      ?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])?",
            host in " {1,2}([a-z0-9.:_-]{0,6}|-|é)",
            tag in " {0,2}([a-z()/.-]{0,5}(\\[[0-9]{0,4}\\])?|[a-z:\\[\\]0-9 -]{0,6})",
            text in ":?[ \\t\u{a0}]{0,2}(\\[[a-z]{1,2}( k=\"v\")?\\] ?)?[ -~é\\t]{0,12}",
        ) {
            agrees(&format!("{priority}{time}{host}{tag}{text}"));
        }
    }
}
