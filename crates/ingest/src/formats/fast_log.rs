//! Alerts of Suricata and Snort as lines (`fast.log`).
//!
//! `MM/DD[/YYYY]-HH:MM:SS.ffffff [**] [1:2019401:3] text [**] [Classification: …] [Priority: 1] {TCP} a:1 -> b:2`. Snort
//! writes no year, or two digits of one before or behind the month.

use super::suricata::rated;
use super::{Draft, SHOWN_CHARS};
use crate::text::push_clean;
use crate::time::{self, Dated};
use casemate_event::{Class, Format, TimeQuality, field};
use jiff::Timestamp;

/// Decodes a line if it is such an alert.
pub(crate) fn decode(line: &str, arrival: Timestamp) -> Option<Draft> {
    // Cheap to refuse: nearly all lines are no alerts.
    if line.as_bytes().get(2) != Some(&b'/') {
        return None;
    }
    let (head, rest) = line.split_once("[**]")?;
    let (alert, rest) = rest.split_once("[**]")?;
    let (stamp, action) = head.trim().split_once(char::is_whitespace).unwrap_or((head.trim(), ""));
    let (signature, title) = alert.trim().strip_prefix('[')?.split_once(']')?;
    let sid = signature.split(':').nth(1)?;
    let mut draft = Draft::new(Format::SuricataFast);
    draft.time = Some(stamped(stamp, arrival)?);
    draft.class = Class::DetectionFinding;
    let title = title.trim().trim_matches('"');
    let (protocol, ends) = rest.split_once('{')?.1.split_once('}')?;
    let (source, target) = ends.split_once("->")?;
    draft.native.set("signature", signature);
    draft.native.set("msg", title);
    draft.native.set("classification", within(rest, "[Classification: "));
    draft.native.set("priority", within(rest, "[Priority: "));
    draft.native.set("proto", protocol);
    draft.native.set("action", action.trim().trim_matches(['[', ']']));
    draft.set(field::PRODUCT, "Suricata");
    let severity = rated(draft.native("priority"));
    draft.set(field::SEVERITY, severity);
    draft.set(field::EVENT_CODE, sid);
    draft.set(field::FINDING_TITLE, title);
    draft.copy(field::ACTIVITY, &["action"]);
    let (source_ip, source_port) = endpoint(source.trim());
    let (target_ip, target_port) = endpoint(target.trim());
    draft.set(field::SRC_IP, &source_ip);
    draft.set(field::SRC_PORT, source_port);
    draft.set(field::DST_IP, &target_ip);
    draft.set(field::DST_PORT, target_port);
    let mut message = format!("Suricata alert {source_ip} to {target_ip}");
    if !target_port.is_empty() {
        message.push(':');
        message.push_str(target_port);
    }
    let parts = [
        (" signature=", title),
        (" category=", draft.native("classification")),
        (" priority=", draft.native("priority")),
        (" action=", draft.native("action")),
    ];
    for (before, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
        message.push_str(before);
        push_clean(&mut message, value, SHOWN_CHARS);
    }
    draft.message = message;
    Some(draft)
}

/// What stands between `open` and the next bracket; `(null)` is nothing.
fn within<'a>(text: &'a str, open: &str) -> &'a str {
    let value =
        text.split_once(open).and_then(|(_, rest)| rest.split_once(']')).map_or("", |(value, _)| value);
    if value == "(null)" { "" } else { value }
}

/// Address and port; protocols without ports may leave them out.
fn endpoint(text: &str) -> (String, &str) {
    if let Some(whole) = crate::text::ip(text) {
        return (whole, "");
    }
    let (address, port) = text.rsplit_once(':').unwrap_or((text, ""));
    (crate::text::ip(address).unwrap_or_default(), if port == "0" { "" } else { port })
}

fn stamped(stamp: &str, arrival: Timestamp) -> Option<Dated> {
    let (date, clock) = stamp.split_once('-')?;
    let parts: Vec<i16> = date.split('/').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (year, month, day) = match *parts.as_slice() {
        [month, day] => (None, month, day),
        [month, day, year] if year > 99 => (Some(year), month, day),
        [year, month, day] if year > 12 => (Some(2000 + year), month, day),
        [month, day, year] => (Some(2000 + year), month, day),
        _ => return None,
    };
    let stated = year.is_some();
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let year = year.unwrap_or_else(|| time::assumed_year(arrival, month, day));
    let (time, _) = time::iso(&format!("{year:04}-{month:02}-{day:02}T{clock}"))?;
    Some((time, if stated { TimeQuality::ZoneAssumed } else { TimeQuality::YearAssumed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, time: &str, quality: TimeQuality, message: &str) {
        let arrival = "2023-03-01T00:00:00Z".parse().unwrap();
        let draft = decode(line, arrival).unwrap_or_else(|| panic!("no alert: {line}"));
        let (found, found_quality) = draft.time.unwrap();
        assert_eq!((found.to_string().as_str(), found_quality), (time, quality));
        assert_eq!((draft.message.as_str(), draft.class), (message, Class::DetectionFinding));
    }

    #[test]
    fn alerts() {
        check(
            "10/05/2021-10:08:59.667372  [Drop] [**] [1:2009187:4] ET X [**] [Classification: Web Attack] [Priority: 1] {TCP} 192.0.2.1:80 -> 198.51.100.4:56068",
            "2021-10-05T10:08:59.667372Z",
            TimeQuality::ZoneAssumed,
            "Suricata alert 192.0.2.1 to 198.51.100.4:56068 signature=ET X category=Web Attack priority=1 action=Drop",
        );
        check(
            "21/12/28-12:55:38.7 [**] [1:366:11] \"PING\" [**] [Priority: 3] {ICMP} 2001:db8:0:0:0:0:0:35 -> 2001:db8::8888",
            "2021-12-28T12:55:38.7Z",
            TimeQuality::ZoneAssumed,
            "Suricata alert 2001:db8::35 to 2001:db8::8888 signature=PING priority=3",
        );
        check(
            "12/28-12:55:38.7 [**] [1:6:1] (null) [**] [Classification: (null)] [Priority: 3] {TCP} 0000:0000:0000:0000:0000:0000:0000:0002:3000 -> 10.0.0.1:0",
            "2022-12-28T12:55:38.7Z",
            TimeQuality::YearAssumed,
            "Suricata alert ::2 to 10.0.0.1 signature=(null) priority=3",
        );
    }

    #[test]
    fn other_lines_are_none() {
        let arrival = Timestamp::UNIX_EPOCH;
        for line in
            ["", "10/05/2021 x", "10/05/2021-10:08:59 [**] x [**] y", "99/99-1 [**] [1:2:3] [**] {} ->"]
        {
            assert!(decode(line, arrival).is_none(), "{line}");
        }
    }
}
