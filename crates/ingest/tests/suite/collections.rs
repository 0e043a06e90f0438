//! Real logs, where they are present beside the workspace; skipped with a message where not.

use super::{options, workspace};
use casemate_event::{Batch, Format};
use casemate_ingest::Summary;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

/// Sums over one collection.
#[derive(Default)]
struct Totals {
    files: usize,
    events: BTreeMap<Format, u64>,
    quarantined: u64,
    problems: Vec<String>,
    templates: HashSet<u64>,
    /// Events about an industrial device.
    devices: u64,
    /// Events whose class is known.
    classed: u64,
    raw_bytes: u64,
    seconds: f64,
}

impl Totals {
    fn count(&self) -> u64 {
        self.events.values().sum()
    }
}

/// Reads a collection; `None` where it is absent.
fn read(kind: &str, wanted: impl Fn(&str) -> bool) -> Option<Totals> {
    let directory: PathBuf = workspace().join("../shared/data").join(kind);
    if !directory.is_dir() {
        println!("skipped: {kind} is not present beside the workspace");
        return None;
    }
    let mut totals = Totals::default();
    for path in casemate_ingest::expand(&[directory]).unwrap() {
        if !wanted(&path.display().to_string()) {
            continue;
        }
        let start = Instant::now();
        let mut sink = |batch: Batch| {
            for event in &batch.events {
                totals.templates.insert(event.template.0);
                totals.devices += u64::from(event.field("ot.asset").is_some());
                totals.classed += u64::from(event.class.uid() != 0);
                totals.raw_bytes += event.raw.len() as u64;
                assert!(!event.message.is_empty() && !event.message.contains('\n'));
            }
            Ok(())
        };
        let summary: Summary =
            casemate_ingest::read_file(&path, super::SHA256, &options(), 0, &mut sink, &mut |_| {}).unwrap();
        totals.seconds += start.elapsed().as_secs_f64();
        totals.files += 1;
        for (format, count) in &summary.events {
            *totals.events.entry(*format).or_default() += count;
        }
        totals.quarantined += summary.quarantined_count();
        totals.problems.extend(summary.problems);
    }
    println!(
        "{kind}: {} files, {} events {:?}, {} quarantined, {} templates, {:.0} % with a class, {:.0} events/s, {:.0} MB/s",
        totals.files,
        totals.count(),
        totals.events,
        totals.quarantined,
        totals.templates.len(),
        100.0 * totals.classed as f64 / totals.count().max(1) as f64,
        totals.count() as f64 / totals.seconds,
        totals.raw_bytes as f64 / totals.seconds / 1e6,
    );
    for problem in totals.problems.iter().take(12) {
        println!("  {problem}");
    }
    Some(totals)
}

#[test]
fn windows_json() {
    let Some(totals) =
        read("windows-json/Security-Datasets", |name| name.ends_with(".zip") && !name.contains("zeek"))
    else {
        return;
    };
    let windows = totals.events[&Format::WindowsJson];
    // The packet captures in some archives are no lines.
    assert!(windows as f64 >= 0.99 * totals.count() as f64);
    assert!(totals.quarantined * 1000 < totals.count(), "{} quarantined", totals.quarantined);
}

#[test]
fn evtx() {
    let Some(totals) = read("evtx", |name| name.to_ascii_lowercase().ends_with(".evtx")) else { return };
    assert!(totals.events[&Format::Evtx] > 20_000, "{:?}", totals.events);
    assert!(totals.quarantined < 100);
}

#[test]
fn zeek() {
    let Some(totals) = read("zeek", |name| name.ends_with(".log") || name.ends_with(".gz")) else { return };
    let zeek = totals.events.get(&Format::ZeekTsv).unwrap_or(&0)
        + totals.events.get(&Format::ZeekJson).unwrap_or(&0);
    assert!(zeek as f64 >= 0.99 * totals.count() as f64, "{:?}", totals.events);
    assert!(totals.quarantined * 1000 < totals.count());
}

#[test]
fn linux() {
    let Some(totals) =
        read("linux", |name| name.contains(".log") || name.contains("syslog") || name.ends_with(".zip"))
    else {
        return;
    };
    assert!(totals.events[&Format::SyslogRfc3164] > 7000, "{:?}", totals.events);
    assert!(totals.events[&Format::Auditd] > 100);
}

#[test]
fn cloudtrail() {
    let Some(totals) = read("cloudtrail/aws_dataset", |name| name.ends_with(".json")) else { return };
    assert_eq!(totals.events.keys().collect::<Vec<_>>(), [&Format::CloudTrail]);
    assert_eq!(totals.quarantined, 0);
    assert!(totals.count() > 2500);
}

/// Industrial protocols: logs with their headers, and those whose headers the collection has cut off.
#[test]
fn ot_ics() {
    let Some(totals) = read("ot-ics", |name| name.contains("icsnpp") && name.ends_with(".log")) else {
        return;
    };
    assert!(totals.events[&Format::ZeekTsv] > 20_000, "{:?}", totals.events);
    assert_eq!(totals.quarantined, 0);
    // Logs of connections are about no device in particular; who-is asks everyone.
    let zeek = totals.events[&Format::ZeekTsv];
    assert!(totals.devices as f64 > 0.95 * zeek as f64, "{} of {zeek}", totals.devices);

    const SENDER: &str = "is_orig\tsource_h\tsource_p\tdestination_h\tdestination_p";
    let cut: [(&str, &str, &str, usize, usize); 4] = [
        ("modbus", "icsnpp-modbus/testing/baseline/analyzer.basic/modbus.log", "func\texception", 24, 9),
        (
            "enip",
            "icsnpp-enip/tests/baseline/analyzer.basic/enip.log",
            "SENDER\tenip_command_code\tenip_command\tlength\tsession_handle\tenip_status\tsender_context\toptions",
            269,
            0,
        ),
        (
            "cip",
            "icsnpp-enip/tests/baseline/analyzer.basic/cip.log",
            "SENDER\tcip_sequence_count\tdirection\tcip_service_code\tcip_service\tcip_status_code\tcip_status\tcip_extended_status_code\tcip_extended_status\tclass_id\tclass_name\tinstance_id\tattribute_id",
            1158,
            2,
        ),
        (
            "cip",
            "icsnpp-enip/tests/baseline/analyzer.set_attr_single_service/cip.log",
            "SENDER\tcip_sequence_count\tdirection\tcip_service_code\tcip_service\tcip_status_code\tcip_status\tcip_extended_status_code\tcip_extended_status\tclass_id\tclass_name\tinstance_id\tattribute_id",
            1,
            1,
        ),
    ];
    for (log, file, columns, count, changes) in cut {
        let text = fs_err::read(workspace().join("../shared/data/ot-ics").join(file)).unwrap();
        let path = format!("#path\t{log}");
        let fields = format!(
            "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\t{}",
            columns.replace("SENDER", SENDER)
        );
        let header = [b"#separator \\x09".as_slice(), path.as_bytes(), fields.as_bytes()];
        let lines = (1..).zip(text.split(|byte| *byte == b'\n').skip(1));
        let batch = casemate_ingest::read_records(file, &header, lines, &options()).unwrap();
        assert_eq!((batch.events.len(), batch.quarantined.len()), (count, 0), "{file}");
        let field =
            |name, value| batch.events.iter().filter(|event| event.field(name) == Some(value)).count();
        assert_eq!(field("ot.changes", "true"), changes, "{file}");
        assert!(batch.events.iter().all(|event| event.field("ot.asset").is_some()), "{file}");
    }
}

#[test]
fn fast_log() {
    let Some(totals) = read("network", |name| name.ends_with("fast.log")) else { return };
    assert_eq!(totals.events[&Format::SuricataFast], totals.count(), "{:?}", totals.events);
    assert!(totals.count() > 10 && totals.quarantined == 0);
}

#[test]
fn everything_else() {
    for kind in [
        "network",
        "web",
        "cloud-other",
        "azure-m365",
        "crowdstrike",
        "vendor-syslog",
        "loghub",
        "windows-siem-raw",
    ] {
        read(kind, |_| true);
    }
}
