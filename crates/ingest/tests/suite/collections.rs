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

#[test]
fn everything_else() {
    for kind in [
        "network",
        "web",
        "cloud-other",
        "azure-m365",
        "crowdstrike",
        "ot-ics",
        "vendor-syslog",
        "loghub",
        "windows-siem-raw",
    ] {
        read(kind, |_| true);
    }
}
