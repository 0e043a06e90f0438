use super::{Taken, options, take_file, take_stream};
use casemate_event::{Format, QuarantineReason};
use casemate_ingest::Options;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Cursor, Read, Write};
use zip::write::SimpleFileOptions;

fn check(bytes: &[u8], events: usize, reasons: &[(QuarantineReason, u64)], problem: &str) -> Taken {
    let taken = take_stream(bytes, &options());
    assert_eq!(taken.events.len(), events, "{:?}", taken.messages());
    let found: Vec<_> = taken.summary.quarantined.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(found, reasons, "{:?}", taken.summary);
    if problem.is_empty() {
        assert_eq!(taken.summary.problems, [] as [&str; 0]);
    } else {
        assert!(
            taken.summary.problems.iter().any(|line| line.contains(problem)),
            "{:?}",
            taken.summary.problems
        );
    }
    taken
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn empty_input_is_reported() {
    check(b"", 0, &[], "is empty");
    check(b"\n \r\n\n", 0, &[], "blank lines only");
}

#[test]
fn a_json_line_cut_in_half_is_quarantined() {
    let taken =
        check(b"{\"a\":1}\n{\"b\":\"cut in ha\n{\"c\":3}\n", 2, &[(QuarantineReason::MalformedJson, 1)], "");
    let piece = &taken.quarantined[0];
    assert_eq!((piece.position, piece.raw.as_slice()), (2, b"{\"b\":\"cut in ha".as_slice()));
    assert!(piece.detail.contains("column"), "{}", piece.detail);
}

#[test]
fn invalid_utf8_is_quarantined_and_says_where() {
    let taken = check(b"good\nb\xffad\n", 1, &[(QuarantineReason::InvalidEncoding, 1)], "");
    assert_eq!(taken.quarantined[0].detail, "byte 2 is not valid UTF-8");
    assert_eq!(taken.quarantined[0].raw, b"b\xffad");
}

#[test]
fn utf16_with_a_byte_order_mark_is_decoded() {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend("first é\r\nsecond\r\n".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(check(&bytes, 2, &[], "").messages(), ["first é", "second"]);
}

#[test]
fn a_long_line_is_kept_in_pieces() {
    const LENGTH: u64 = 100 << 20;
    let reader = b"before\n".chain(io::repeat(b'x').take(LENGTH)).chain(b"\nafter\n".as_slice());
    let options = options();
    let (mut events, mut pieces, mut kept) = (Vec::new(), 0, 0);
    let mut sink = |batch: casemate_event::Batch| {
        events.extend(batch.events);
        for piece in &batch.quarantined {
            assert_eq!((piece.reason, piece.position), (QuarantineReason::TooLong, 2));
            assert!(piece.raw.len() <= options.max_record_bytes);
            kept += piece.raw.len() as u64;
            pieces += 1;
        }
        Ok(())
    };
    let summary = casemate_ingest::read_stream("stream", reader, &options, None, &mut sink).unwrap();
    assert_eq!((events.len(), pieces, kept), (2, 100, LENGTH));
    assert!(summary.problems[0].contains("longer than 1048576 bytes"), "{:?}", summary.problems);
}

#[test]
fn a_document_of_one_huge_line_is_streamed() {
    let record =
        r#"{"eventVersion":"1","eventName":"X","eventSource":"s","eventTime":"2023-07-10T11:42:18Z"}"#;
    let records = vec![record; 40_000].join(",");
    let taken = check(format!("{{\"Records\":[{records}]}}").as_bytes(), 40_000, &[], "");
    assert_eq!(taken.summary.events[&Format::CloudTrail], 40_000);
    assert_eq!(taken.events[39_999].position, 40_000);
}

#[test]
fn a_cut_document_keeps_what_was_whole() {
    let taken = check(
        br#"{"Records":[{"a":1},{"a":2},{"a":"cu"#,
        2,
        &[(QuarantineReason::MalformedJson, 1)],
        "cut short",
    );
    assert_eq!(taken.quarantined[0].raw, br#"{"a":"cu"#);
}

#[test]
fn text_after_a_document_is_taken_line_by_line() {
    let taken = check(b"[{\"a\":1}]\nplain text\n{\"b\":2}\n", 3, &[], "line by line");
    assert_eq!(taken.messages(), ["a=1", "plain text", "b=2"]);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    let taken = check("\u{feff}{\"a\":1}\n{\"a\":2}\n".as_bytes(), 2, &[], "");
    assert_eq!(taken.events[0].raw, b"{\"a\":1}");
    let taken = take_stream("[{\"a\":1}]\u{feff}x".as_bytes(), &options());
    assert_eq!(taken.events[1].raw, "\u{feff}x".as_bytes());
}

#[test]
fn archives_are_unpacked_at_any_depth() {
    let inner = gzip(b"{\"a\":1}\n{\"a\":2}\n");
    let outer = zip_of(&[("x.gz", &inner), ("empty", b""), ("y.log", b"text\n")]);
    let taken = check(&gzip(&outer), 3, &[], "stream!empty: is empty");
    let sources: Vec<&str> = taken.events.iter().map(|event| event.source.as_str()).collect();
    assert_eq!(sources, ["stream!x.gz", "stream!x.gz", "stream!y.log"]);
    let mut nested = b"text\n".to_vec();
    for _ in 0..9 {
        nested = gzip(&nested);
    }
    check(&nested, 0, &[(QuarantineReason::DecompressionLimit, 1)], "nested more than");
}

#[test]
fn tar_archives_are_unpacked() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, "a.log", b"text\n".as_slice()).unwrap();
    let bytes = builder.into_inner().unwrap();
    let taken = check(&gzip(&bytes), 1, &[], "");
    assert_eq!(taken.events[0].source, "stream!a.log");
    check(&bytes[..514], 1, &[(QuarantineReason::DamagedArchive, 1)], "ends after 2 of 5 bytes");
}

#[test]
fn zip_bombs_stop_at_the_limits() {
    let zeros = vec![b'0'; 3 << 20];
    let limited = Options { max_unpacked_bytes: 1 << 20, ..options() };
    for bytes in [gzip(&zeros), zip_of(&[("a", &zeros), ("b", b"later")])] {
        let taken = take_stream(&bytes, &limited);
        assert!(taken.summary.quarantined[&QuarantineReason::DecompressionLimit] >= 1);
        assert!(taken.summary.problems.iter().any(|line| line.contains("more than 1048576 bytes")));
    }
    // Past 64 MiB the ratio counts: 1000 to 1 is no log.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..80 {
        encoder.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    }
    check(
        &encoder.finish().unwrap(),
        0,
        &[(QuarantineReason::DecompressionLimit, 1)],
        "more than 200 times its size",
    );
}

#[test]
fn damaged_archives_give_what_they_can() {
    let text: String = (0..20_000).map(|n| format!("line {n} {}\n", n * 7919 % 10_007)).collect();
    let bytes = gzip(text.as_bytes());
    let taken = take_stream(&bytes[..bytes.len() / 2], &options());
    assert!(taken.events.len() > 1000);
    assert!(taken.summary.problems[0].contains("damaged or cut short"), "{:?}", taken.summary.problems);
    let archive = zip_of(&[("a.log", text.as_bytes())]);
    let cut = &archive[..archive.len() / 2];
    let taken = check(cut, 0, &[(QuarantineReason::DamagedArchive, 1)], "damaged or cut short");
    assert_eq!(taken.quarantined[0].raw, cut);
    let mut flipped = archive.clone();
    let middle = archive.len() / 2;
    flipped[middle] ^= 0x55;
    let taken = take_stream(&flipped, &options());
    assert!(taken.summary.quarantined[&QuarantineReason::DamagedArchive] >= 1, "{:?}", taken.summary);
    // Padding after a gzip member is no damage.
    let mut padded = gzip(b"text\n");
    padded.extend([0; 512]);
    check(&padded, 1, &[], "");
}

#[test]
fn encrypted_members_are_kept_packed() {
    // Bit 0 of the general purpose flags, in the local header and in the central directory.
    let mut archive = zip_of(&[("a.log", b"text that is not really encrypted\n"), ("b.log", b"plain\n")]);
    let central = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    archive[6] |= 1;
    archive[central + 8] |= 1;
    let taken = check(&archive, 1, &[(QuarantineReason::DamagedArchive, 1)], "is encrypted");
    assert!(!taken.quarantined[0].raw.is_empty());
}

#[test]
fn unknown_binary_data_is_kept() {
    let taken = check(&[0, 1, 2, 3, 4], 0, &[(QuarantineReason::UnknownBinary, 1)], "no known format");
    assert_eq!(taken.quarantined[0].raw, [0, 1, 2, 3, 4]);
    check(b"\xd4\xc3\xb2\xa1xxxx", 0, &[(QuarantineReason::UnknownBinary, 1)], "run Zeek");
}

#[test]
fn zeek_columns_must_agree_with_their_header() {
    let log = b"#separator \\x09\n#path\tdns\n#fields\tts\tuid\tquery\n1.5\tC1\ta.test\n2.5\tC2\n#close\tx\nplain\n";
    let taken = check(log, 2, &[(QuarantineReason::MalformedColumns, 1)], "");
    assert_eq!(taken.summary.headers, 4);
    assert_eq!(taken.events[1].format, Format::Text);
}

#[test]
fn deep_json_is_refused_not_followed() {
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    check(format!("{deep}\n").as_bytes(), 0, &[(QuarantineReason::MalformedJson, 1)], "");
}

#[test]
fn missing_files_are_errors_that_name_them() {
    let error = casemate_ingest::expand(&["/no/such/file".into()]).unwrap_err().to_string();
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn evtx_damage_is_quarantined() {
    let path = super::workspace().join("tests/data/formats/small.evtx");
    let whole = fs_err::read(&path).unwrap();
    let count = take_file(&path, &options()).events.len();
    assert!(count > 0);
    check(&whole[..100], 0, &[(QuarantineReason::DamagedRecord, 1)], "inside its header");
    // Cut inside the first chunk.
    let taken = take_stream(&whole[..4096 + 3000], &options());
    assert!(taken.summary.problems.iter().any(|line| line.contains("cut short")), "{:?}", taken.summary);
    // Another magic number of the chunk.
    let mut flipped = whole.clone();
    flipped[4096] ^= 0xff;
    let taken = take_stream(&flipped, &options());
    assert!(taken.summary.quarantined[&QuarantineReason::DamagedRecord] >= 1);
    // Every 97th byte of the first chunk flipped, one at a time: no panic, and never silence.
    for at in (4096..whole.len().min(4096 + 65536)).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        let taken = take_stream(&flipped, &options());
        assert!(taken.summary.records > 0 || !taken.summary.problems.is_empty(), "byte {at}");
    }
}
