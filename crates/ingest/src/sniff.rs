//! What is this stream, going by its first bytes?
//!
//! Only the container and the framing are decided here (compressed, binary, lines, JSON document); which
//! log format a line has is decided line by line.

use crate::framing::enclosed::opens;

/// Most bytes looked at.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// What a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Gzip,
    Zip,
    Tar,
    Evtx,
    Utf16Le,
    Utf16Be,
    /// A document of one or more JSON values that span lines, an array, or an envelope of records.
    JsonDocument,
    /// Windows events as XML.
    XmlEvents,
    /// Entries of the journal's export format.
    JournalExport,
    /// One record per line.
    Lines,
    /// Binary data; the name of its kind and what to do with it.
    Binary(&'static str, &'static str),
}

/// Member names under which vendors wrap an array of records: CloudTrail, Azure, `aws cloudtrail
/// lookup-events`, Microsoft Graph, CrowdStrike.
const ENVELOPES: [&str; 7] = ["Records", "records", "Events", "events", "value", "entries", "resources"];

const BINARY: [(&[u8], &str, &str); 16] = [
    (b"BZh", "bzip2 data", "unpack it with bunzip2 first"),
    (b"\xfd7zXZ\0", "xz data", "unpack it with xz first"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it with zstd first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it with 7z first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture", "run Zeek or Suricata over it and take in their logs"),
    (b"\xa1\xb2\xc3\xd4", "a packet capture", "run Zeek or Suricata over it and take in their logs"),
    (b"\x0a\x0d\x0d\x0a", "a packet capture", "run Zeek or Suricata over it and take in their logs"),
    (b"LfLe", "an old Windows event log (.evt)", "convert it with wevtutil epl first"),
    (b"LPKSHHRH", "a systemd journal", "export it with journalctl -o json first"),
    (b"SQLite format 3\0", "an SQLite database", "export its tables as JSON lines first"),
    (b"regf", "a registry hive", "take in the events about it instead"),
    (b"\x7fELF", "a program", "take in logs, not programs"),
    (b"MZ\x90\0", "a program", "take in logs, not programs"),
    (b"%PDF-", "a PDF document", "take in the logs it describes"),
    (b"\x89PNG", "an image", "take in logs, not images"),
];

/// Tells what a stream is by its first bytes (up to [`HEAD_BYTES`]).
pub(crate) fn kind(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if head.starts_with(b"ElfFile\0") {
        return Kind::Evtx;
    }
    if head.starts_with(b"\x1f\x8b\x08") {
        return Kind::Gzip;
    }
    if [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| head.starts_with(*magic)) {
        return Kind::Zip;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Kind::Tar;
    }
    if head.starts_with(b"\xff\xfe") {
        return Kind::Utf16Le;
    }
    if head.starts_with(b"\xfe\xff") {
        return Kind::Utf16Be;
    }
    if let Some((_, what, advice)) = BINARY.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Kind::Binary(what, advice);
    }
    if [b"__CURSOR=".as_slice(), b"__REALTIME_TIMESTAMP="].iter().any(|start| head.starts_with(start)) {
        return Kind::JournalExport;
    }
    if is_xml_of_events(head) {
        return Kind::XmlEvents;
    }
    if is_binary(head) {
        return Kind::Binary("binary data of no known format", "export it as text or JSON lines first");
    }
    if is_json_document(head) { Kind::JsonDocument } else { Kind::Lines }
}

/// Text has next to no control characters besides white space and escape sequences; more than one byte in
/// ten is no text. Bytes above 0x7f are not counted: they may be UTF-8 or an older code page.
fn is_binary(head: &[u8]) -> bool {
    let control = head.iter().filter(|&&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b));
    control.count() * 10 > head.len()
}

/// Whether the text opens an event, or a document of events.
fn is_xml_of_events(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let text = match text.strip_prefix(b"<?xml") {
        Some(rest) => {
            let end = memchr::memchr(b'>', rest).map_or(rest.len(), |at| at + 1);
            rest.get(end..).unwrap_or_default().trim_ascii_start()
        }
        None => text,
    };
    opens(text, b"<Event") || opens(text, b"<Events")
}

/// Whether the text is JSON that must not be read line by line.
fn is_json_document(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match text.first() {
        Some(b'[') => match text.get(1..).unwrap_or_default().trim_ascii_start() {
            // An array of objects. Arrays of scalars on one line are left to the line decoder: `[1234.5]
            // text` is a kernel log.
            [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}') | None),
            _ => false,
        },
        Some(b'{') => envelope(text).is_some() || spans_lines(text),
        _ => false,
    }
}

/// Length of `{"Records":[` (or another envelope's opening) at the start of `text`.
pub(crate) fn envelope(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let name = ENVELOPES
        .iter()
        .find(|name| rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&b'"')))?;
    let rest = rest.get(name.len() + 1..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let inner = rest.strip_prefix(b"[")?;
    // Arrays of scalars under such a name are members of an ordinary object.
    matches!(inner.trim_ascii_start().first(), Some(b'{' | b']') | None).then(|| text.len() - inner.len())
}

/// Whether the first line opens an object that the next line continues, as pretty-printed JSON does. A JSON
/// line cut in half is followed by the start of another object instead.
fn spans_lines(text: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', text) else { return false };
    let (first, rest) = text.split_at(end);
    let opens = matches!(first.trim_ascii_end().last(), Some(b'{' | b'[' | b',' | b':'));
    opens
        && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err()
        && matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], expected: Kind) {
        assert_eq!(kind(head), expected, "{:?}", String::from_utf8_lossy(head));
    }

    #[test]
    fn containers_are_told_by_magic() {
        check(b"", Kind::Empty);
        check(b"\x1f\x8b\x08\0", Kind::Gzip);
        check(b"PK\x03\x04....", Kind::Zip);
        check(b"ElfFile\0", Kind::Evtx);
        check(b"\xff\xfea\0", Kind::Utf16Le);
        assert!(matches!(kind(b"BZh91AY"), Kind::Binary(..)));
        assert!(matches!(kind(&[0, 1, 2, 3, 4, 5]), Kind::Binary(..)));
    }

    #[test]
    fn json_documents_are_told_from_lines() {
        check(b"{\"a\":1}\n{\"a\":2}\n", Kind::Lines);
        check(b"{\n  \"a\": 1\n}\n", Kind::JsonDocument);
        check(b"[\n  {\n \"a\": 1}]", Kind::JsonDocument);
        check(b"[{\"a\":1}]", Kind::JsonDocument);
        check(b"{\"Records\":[{\"a\":1}]}", Kind::JsonDocument);
        check(b"{ \"Records\" : [\n{\"a\":1}]}", Kind::JsonDocument);
        check(b"{\"value\":[1,2]}\n", Kind::Lines);
        check(b"{\"a\":1,\"b\":\n{\"a\":2}\n", Kind::Lines);
        check(b"{\"a\":1,\"b\": \"cut in\n{\"a\":2}\n", Kind::Lines);
        check(b"[1234.5] kernel: text\n", Kind::Lines);
        check(b"[ {not json} ]", Kind::Lines);
        check(b"plain text", Kind::Lines);
    }

    #[test]
    fn a_few_control_characters_do_not_make_text_binary() {
        check(b"a log line with a hole \0\0 in it, long enough to outweigh it", Kind::Lines);
    }
}
