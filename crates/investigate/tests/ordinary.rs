//! Ordinary logs do not talk to their reader: how often does the detector say they do?
//!
//! Over the real logs beside the workspace; skipped with a message where they are absent.
#![allow(clippy::unwrap_used)]

use casemate_event::Batch;
use casemate_ingest::Options;
use casemate_investigate::injection;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Kinds of logs read whole, and events read of each file of the large ones.
const KINDS: [&str; 19] = [
    "azure-m365",
    "cloud-other",
    "cloudtrail",
    "crowdstrike",
    "evtx",
    "evtx-sigma-regression",
    "excytin",
    "ids-alerts",
    "linux",
    "loghub",
    "macos-siem-raw",
    "network",
    "ot-ics",
    "vendor-syslog",
    "web",
    "windows-json",
    "windows-siem-raw",
    "zeek",
    "attack",
];
const MAX_PER_FILE: u64 = 4_000;

#[test]
fn ordinary_logs_hold_no_instructions() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        println!("skipped: no real logs beside the workspace");
        return;
    }
    let options = Options::default();
    let (mut events, mut hits, mut seconds) = (0_u64, 0_u64, 0.0);
    let mut seen: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    for kind in KINDS {
        for path in casemate_ingest::expand(&[data.join(kind)]).unwrap() {
            let mut of_file = 0;
            let mut sink = |batch: Batch| {
                let start = Instant::now();
                for event in &batch.events {
                    if of_file == MAX_PER_FILE {
                        return Err("enough of this file".into());
                    }
                    of_file += 1;
                    if let Some(found) = injection::find(event) {
                        hits += 1;
                        let key = (format!("{:?}", found.sign), found.text.clone());
                        let entry = seen.entry(key).or_insert((
                            0,
                            format!(
                                "{kind} {} {}",
                                found.field,
                                event.message.chars().take(200).collect::<String>()
                            ),
                        ));
                        entry.0 += 1;
                    }
                }
                seconds += start.elapsed().as_secs_f64();
                Ok(())
            };
            // A file that is cut short on purpose, or is no log, is no matter here.
            if let Err(error) =
                casemate_ingest::read_file(&path, &"0".repeat(64), &options, 0, &mut sink, &mut |_| {})
            {
                println!("{}: {error}", path.display());
            }
            events += of_file;
        }
    }
    println!(
        "{events} events, {hits} with text that talks to its reader, {:.1} µs each",
        1e6 * seconds / events as f64
    );
    for ((sign, text), (count, example)) in &seen {
        println!("{count:6} {sign} {text:?} in {example}");
    }
    assert!(events > 100_000, "{events}");
    // No event of a log: guides for analysts and descriptions of rules that lie among the data, one line each,
    // and what a product quotes from them.
    assert!(hits * 10_000 <= events, "{hits} of {events}");
}
