use super::options;
use casemate_event::{Format, QuarantineReason};
use casemate_ingest::{Options, read_records};

#[test]
fn what_is_framed_is_not_split_or_unpacked() {
    let records: [&[u8]; 4] =
        [b"<34>1 2026-03-02T09:00:00Z h su 1 - - two\nlines", b" \n", b"\x1f\x8b\x08\x00", b"{\"a\":1}"];
    let numbered = records.into_iter().enumerate().map(|(index, raw)| (index as u64 + 1, raw));
    let batch = read_records("socket", &[], numbered, &options()).unwrap();
    let events: Vec<_> = batch.events.iter().map(|event| (event.position, event.format)).collect();
    assert_eq!(events, [(1, Format::SyslogRfc5424), (4, Format::JsonLines)]);
    assert_eq!(batch.events[0].raw, records[0]);
    let kept: Vec<_> = batch.quarantined.iter().map(|kept| (kept.position, kept.raw.as_slice())).collect();
    assert_eq!(kept, [(3, records[2])]);
    assert_eq!(batch.progress, None);
}

#[test]
fn a_long_record_is_kept_in_pieces() {
    let options = Options { max_record_bytes: 4, ..options() };
    let batch = read_records("socket", &[], [(7, b"0123456789".as_slice())], &options).unwrap();
    assert!(batch.events.is_empty());
    let kept: Vec<_> = batch.quarantined.iter().map(|kept| kept.raw.as_slice()).collect();
    assert_eq!(kept, [b"0123".as_slice(), b"4567", b"89"]);
    assert!(
        batch.quarantined.iter().all(|kept| kept.reason == QuarantineReason::TooLong && kept.position == 7)
    );
}

#[test]
fn columns_named_before_are_known() {
    let header: [&[u8]; 3] = [b"#separator \\x09", b"#path\tconn", b"#fields\tts\tuid\tid.orig_h"];
    let line = b"1700000000.5\tC1\t10.0.0.1".as_slice();
    let batch = read_records("conn.log", &header, [(9, line)], &options()).unwrap();
    assert_eq!(batch.events[0].format, Format::ZeekTsv, "{batch:?}");
    assert_eq!(batch.events[0].native.get("id.orig_h"), Some("10.0.0.1"));
}

#[test]
fn times_after_arrival_are_noted() {
    let ahead = |line: &str| {
        let batch = read_records("s", &[], [(1, line.as_bytes())], &options()).unwrap();
        let event = &batch.events[0];
        (event.field("metadata.clock_ahead").map(str::to_owned), event.time.to_string())
    };
    // Arrival is 2026-03-01T00:00:00Z; what is stated stays.
    let of = |time: &str| format!("{{\"timestamp\":\"{time}\",\"msg\":\"x\"}}");
    assert_eq!(ahead(&of("2026-02-28T23:59:59Z")).0, None);
    assert_eq!(ahead(&of("2026-03-01T00:00:59Z")).0, None);
    assert_eq!(
        ahead(&of("2026-03-01T02:00:00Z")),
        (Some("7200".to_owned()), "2026-03-01T02:00:00Z".to_owned())
    );
    assert_eq!(ahead(&of("2099-01-01T00:00:00+01:00")).1, "2098-12-31T23:00:00Z");
    assert!(ahead(&of("2099-01-01T00:00:00Z")).0.is_some());
    // A year that is left out is the latest that lies not after tomorrow.
    let (note, time) = ahead("<13>Mar  5 01:00:00 web1 app: x");
    assert_eq!((note, time.as_str()), (None, "2025-03-05T01:00:00Z"));
}
