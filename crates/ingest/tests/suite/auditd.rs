//! Records of one audit event, joined: interleaved, across blocks, and at the end of the stream.

use super::{options, take_stream};
use casemate_event::Class;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The records of an execution.
fn execution(serial: u64) -> Vec<String> {
    let stamp = format!("msg=audit({}.{:03}:{serial})", 1_492_037_291 + serial / 50, serial % 1000);
    vec![
        format!(
            "type=SYSCALL {stamp}: arch=c000003e syscall=59 success=yes a0=1 a1=2 ppid=7 pid={serial} auid=1000 uid=0 comm=\"sh\" exe=\"/bin/sh\" key=\"run\""
        ),
        format!("type=EXECVE {stamp}: argc=3 a0=\"sh\" a1=\"-c\" a2=\"run{serial}\""),
        format!("type=CWD {stamp}: cwd=\"/root\""),
        format!("type=PATH {stamp}: item=0 name=\"/bin/sh\" nametype=NORMAL"),
        format!("type=PATH {stamp}: item=1 name=\"/lib64/ld.so\" nametype=NORMAL"),
    ]
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.join("\n").into_bytes()
}

#[test]
fn an_execution_is_one_event() {
    let taken = take_stream(&text(&execution(92)), &options());
    let [event] = taken.events.as_slice() else { panic!("{:?}", taken.messages()) };
    assert_eq!(event.raw, text(&execution(92)));
    assert_eq!((event.class, event.position), (Class::ProcessActivity, 1));
    let expected = [
        ("process.cmd_line", "sh -c run92"),
        ("process.file.path", "/bin/sh"),
        ("process.pid", "92"),
        ("process.parent_process.pid", "7"),
        ("status", "Success"),
    ];
    for (name, value) in expected {
        assert_eq!(event.field(name), Some(value), "{name}");
    }
    assert_eq!(event.field("file.path"), None);
    assert_eq!(event.native.get("type"), Some("SYSCALL\nEXECVE\nCWD\nPATH"));
    assert_eq!(event.native.get("name"), Some("/bin/sh\n/lib64/ld.so"));
    assert_eq!((event.native.get("a1"), event.native.get("SYSCALL.a1")), (Some("-c"), Some("2")));
}

#[test]
fn what_a_process_did_names_it_as_the_actor() {
    let lines = "type=SYSCALL msg=audit(1.5:9): arch=c000003e syscall=42 success=no pid=5 ppid=1 comm=\"c\" exe=\"/usr/bin/curl\"\n\
        type=SOCKADDR msg=audit(1.5:9): saddr=020001BB0A0000090000000000000000\n\
        type=PROCTITLE msg=audit(1.5:9): proctitle=\"curl x\"\n\
        type=EOE msg=audit(1.5:9): \n\
        type=USER_AUTH msg=audit(1.6:10): pid=2 msg='op=x acct=\"root\" res=failed'";
    let taken = take_stream(lines.as_bytes(), &options());
    let [event, other] = taken.events.as_slice() else { panic!("{:?}", taken.messages()) };
    assert_eq!((event.class, other.class), (Class::NetworkActivity, Class::Authentication));
    let expected = [
        ("actor.process.file.path", Some("/usr/bin/curl")),
        ("actor.process.pid", Some("5")),
        ("actor.process.cmd_line", Some("curl x")),
        ("process.pid", None),
        ("dst_endpoint.ip", Some("10.0.0.9")),
        ("status", Some("Failure")),
    ];
    for (name, value) in expected {
        assert_eq!(event.field(name), value, "{name}");
    }
}

#[test]
fn events_are_joined_across_blocks_of_a_long_file() {
    // Records of neighbours interleave, and the file is many blocks long.
    const EVENTS: u64 = 6000;
    let mut lines = Vec::new();
    for pair in 0..EVENTS / 2 {
        let (first, second) = (execution(2 * pair), execution(2 * pair + 1));
        for (a, b) in first.into_iter().zip(second) {
            lines.extend([a, b]);
        }
    }
    let bytes = text(&lines);
    assert!(bytes.len() > 8 * (256 << 10));
    let taken = take_stream(&bytes, &options());
    assert_eq!(taken.events.len() as u64, EVENTS);
    for event in &taken.events {
        let serial: u64 = event.native.get("serial").unwrap().parse().unwrap();
        assert_eq!(event.raw, text(&execution(serial)));
    }
}

#[test]
fn what_never_ends_is_bounded() {
    // One serial number for ever, and very many at the same time.
    let same: Vec<String> =
        (0..2000).map(|n| format!("type=PATH msg=audit(1.0:1): item={n} name=\"/{n}\"")).collect();
    let taken = take_stream(&text(&same), &options());
    assert_eq!(taken.events.len(), 2000_usize.div_ceil(256));
    let many: Vec<String> =
        (0..2000).map(|n| format!("type=PATH msg=audit(1.0:{n}): name=\"/{n}\"")).collect();
    assert_eq!(take_stream(&text(&many), &options()).events.len(), 2000);
}

proptest! {
    #[test]
    fn every_line_is_in_exactly_one_event(
        lines in prop::collection::vec((0_u64..5, 0_u64..4, prop::sample::select(vec!["SYSCALL", "PATH", "EOE", "EXECVE"]), "[ a-z\"='0-9]{0,12}"), 0..80)
    ) {
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(serial, second, kind, rest)| match serial {
                0 => format!("other {rest}"),
                _ => format!("type={kind} msg=audit({second}.0:{serial}): {rest}"),
            })
            .collect();
        let taken = take_stream(&text(&lines), &options());
        let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
        for line in &lines {
            *counts.entry(line.as_bytes()).or_default() += 1;
        }
        for event in &taken.events {
            for line in event.raw.split(|byte| *byte == b'\n') {
                *counts.entry(line).or_default() -= 1;
            }
        }
        prop_assert!(counts.values().all(|count| *count == 0), "{:?}", counts);
        prop_assert_eq!(taken.summary.records, taken.events.len() as u64);
    }
}
