use super::{Taken, options, take_stream};
use casemate_ingest::Options;
use proptest::prelude::*;

/// Bytes that separate records or hold documents together; everything else must be found again.
const STRUCTURE: &[u8] = b" \t\r\n\x0c,[]{}";

/// Beginnings that lead to every kind of reader.
const MAGIC: &[&[u8]] = &[
    b"",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"ElfFile\0",
    b"\xff\xfe",
    b"\xfe\xff",
    b"[{\"a\":",
    b"{\"Records\":[",
    b"#separator \\x09\n#fields\ta\tb\n",
];

fn without_structure(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !STRUCTURE.contains(byte)).collect()
}

/// All raw bytes taken in, in order of the input.
fn raw_of(taken: &Taken) -> Vec<u8> {
    let events = taken.events.iter().map(|event| (event.position, 0, &event.raw));
    let quarantined = taken.quarantined.iter().enumerate().map(|(n, q)| (q.position, n, &q.raw));
    let mut records: Vec<_> = events.chain(quarantined).collect();
    records.sort_by_key(|(position, number, _)| (*position, *number));
    records.into_iter().flat_map(|(.., raw)| raw.iter().copied()).collect()
}

/// Lines as they may occur in logs, damaged and whole.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        ".*".prop_map(String::into_bytes),
        "<[0-9]{1,4}>[A-Z][a-z]{2} [ 0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} .*".prop_map(String::into_bytes),
        "<[0-9]{1,3}>1 [-0-9TZ:.]* [a-z-]* [a-z-]* [0-9-]* - (-|\\[.*\\]) .*".prop_map(String::into_bytes),
        "type=[A-Z]{1,8} msg=audit\\([0-9.:]{0,12}\\): .*".prop_map(String::into_bytes),
        "[A-Z][a-z]{2} [0-9]{1,2} [0-9:]{8} h (sshd|sudo|su|CRON)\\[1\\]: (Failed|Accepted|Invalid|\\(a\\)|x :).*"
            .prop_map(String::into_bytes),
        "\\{\"(EventID|ts|event_type|eventName|Event)\":.{0,20}\\}".prop_map(String::into_bytes),
        "(<13>|Oct 11 22:14:15 fw )?(CEF:0|LEEF:[12]\\.0)\\|.{0,30}".prop_map(String::into_bytes),
        "(<13>)?([a-z]{1,3}=[^\r\n]{0,6} ){1,4}(devid|badge)=.{0,9}".prop_map(String::into_bytes),
        "(<13>Oct 11 22:14:15 fw )?1,[0-9/:, ]{0,20},(TRAFFIC|THREAT|SYSTEM),.{0,40}".prop_map(String::into_bytes),
        "(Oct 11 22:14:15 fw )?%(ASA|FTD)-[0-9]-[0-9]{6}: .{0,40}".prop_map(String::into_bytes),
        "[0-9.]{1,9} - - \\[[0-9A-Za-z/:+ ]{0,28}\\] \"[A-Z]{0,4} .{0,20}\" [0-9]{3} [0-9-]{1,3}".prop_map(String::into_bytes),
        r#"\{"EventID":[0-9]{1,4},"Channel":"(Security|System|x)","[A-Za-z]{1,8}":"[^"\\]{0,9}"\}"#
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn lines_are_accounted_for(lines in prop::collection::vec(line(), 0..12), limit in 1usize..200) {
        let mut bytes = b"a line of text comes first\n".to_vec();
        bytes.extend(lines.join(&b'\n'));
        let taken = take_stream(&bytes, &Options { max_record_bytes: limit, ..options() });
        // Zeek headers are counted, not kept; the strategy makes none.
        prop_assert_eq!(taken.summary.headers, 0);
        prop_assert_eq!(without_structure(&raw_of(&taken)), without_structure(&bytes));
        for event in &taken.events {
            prop_assert!(event.raw.len() <= limit);
            prop_assert!(!event.message.contains('\n'));
        }
    }

    /// Below a line of names, or `#Fields:`, nothing but the header is missing from the events.
    #[test]
    fn tables_are_accounted_for(
        rows in prop::collection::vec(prop_oneof!["[a-z0-9\", ]{0,20}", "[0-9]{1,3},[a-z \"]{0,4},x", ".{0,12}"], 1..8),
        is_w3c in any::<bool>(),
    ) {
        let header = if is_w3c { "#Fields: date time c-ip" } else { "date,client,code" };
        let rows = format!("1,2,3\n{}", rows.join("\n"));
        let taken = take_stream(format!("{header}\n{rows}").as_bytes(), &options());
        let kind_is_text = !rows.bytes().any(|byte| byte < 0x20 && !STRUCTURE.contains(&byte));
        if kind_is_text {
            prop_assert_eq!(taken.summary.headers, 1);
            prop_assert_eq!(without_structure(&raw_of(&taken)), without_structure(rows.as_bytes()));
        }
    }

    #[test]
    fn documents_are_accounted_for(items in prop::collection::vec(line(), 0..6), open in "(\\[|\\{|\\[\\{\")", limit in 2usize..200) {
        let mut bytes = open.into_bytes();
        bytes.extend(items.join(&b','));
        let taken = take_stream(&bytes, &Options { max_record_bytes: limit, ..options() });
        let kind_is_text = !bytes.iter().any(|byte| *byte < 0x20 && !STRUCTURE.contains(byte));
        if kind_is_text && taken.summary.headers == 0 {
            prop_assert_eq!(without_structure(&raw_of(&taken)).len(), without_structure(&bytes).len());
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in any::<Vec<u8>>(), magic in prop::sample::select(MAGIC)) {
        let whole = [magic, bytes.as_slice()].concat();
        let taken = take_stream(&whole, &options());
        let blank = whole.trim_ascii().is_empty();
        prop_assert!(blank || taken.summary.records > 0 || taken.summary.headers > 0 || !taken.summary.problems.is_empty());
    }
}
