//! How often does each fact over one event hold in attacks, and how often elsewhere? Prints a table over labelled
//! cases: a fact that holds as often in benign ones is worth nothing.
//!
//! `CASEMATE_DATA=DIR cargo test -p casemate-investigate rates -- --ignored --nocapture`, where DIR holds
//! `scenarios_dev.jsonl` and the files it names.

use super::*;
use casemate_event::Batch;
use jiff::Timestamp;
use std::path::PathBuf;

/// Most events looked at per case.
const MAX_CASE_EVENTS: u64 = 20_000;
/// Cases state their ends less exactly than events do.
const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

#[derive(Default)]
struct Rate {
    cases: [u64; 2],
    events: [u64; 2],
}

fn time_of(case: &serde_json::Value, name: &str) -> Option<Timestamp> {
    let text = case[name].as_str()?.replace("+00:00", "Z").replace(' ', "T");
    text.parse().ok()
}

#[test]
#[ignore = "reads every labelled case; some minutes"]
fn rates_over_labelled_cases() {
    let root = PathBuf::from(std::env::var("CASEMATE_DATA").expect("set CASEMATE_DATA"));
    let cases = fs_err::read_to_string(root.join("scenarios_dev.jsonl")).unwrap();
    let mut rates: BTreeMap<Kind, Rate> = BTreeMap::new();
    let (mut all, mut bare, mut events) = ([0u64; 2], [0u64; 2], [0u64; 2]);
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let granularity = case["granularity"].as_str().unwrap_or_default();
        // Lists of other products' alerts, and incidents without logs.
        if granularity.starts_with("alert-group") || granularity.starts_with("incident") {
            continue;
        }
        let side = usize::from(case["verdict"] == "malicious");
        let (start, end) = (time_of(&case, "start"), time_of(&case, "end"));
        let mut found: BTreeMap<Kind, u64> = BTreeMap::new();
        let mut taken = 0;
        for file in case["files"].as_array().unwrap() {
            let mut sink = |batch: Batch| -> Result<(), casemate_ingest::SinkError> {
                for event in &batch.events {
                    let outside = start.is_some_and(|start| event.time < start - SECOND)
                        || end.is_some_and(|end| event.time > end + SECOND);
                    if outside || taken >= MAX_CASE_EVENTS {
                        continue;
                    }
                    taken += 1;
                    for (kind, statement) in of_event(View(event)) {
                        let count = found.entry(kind).or_default();
                        *count += 1;
                        if side == 0 && *count == 1 && kind.entry().weight >= 1.0 {
                            println!("benign {} {}: {statement}", case["id"], kind.entry().name);
                        }
                    }
                }
                Ok(())
            };
            let path = root.join(file.as_str().unwrap());
            let options = casemate_ingest::Options::default();
            if let Err(error) = casemate_ingest::read_file(&path, "", &options, 0, &mut sink, &mut |_| {}) {
                println!("{}: {error}", path.display());
            }
        }
        all[side] += 1;
        events[side] += taken;
        bare[side] += u64::from(found.is_empty());
        if side == 1 && found.is_empty() {
            println!("nothing found in {}", case["id"]);
        }
        for (kind, count) in found {
            let rate = rates.entry(kind).or_default();
            rate.cases[side] += 1;
            rate.events[side] += count;
        }
    }
    println!("cases: {} benign, {} malicious; without any fact: {} and {}", all[0], all[1], bare[0], bare[1]);
    println!("events: {} benign, {} malicious", events[0], events[1]);
    println!(
        "{:38} {:>6} {:>8} {:>8} {:>10} {:>10}",
        "fact", "weight", "benign", "attack", "per 100k", "per 100k"
    );
    for (kind, rate) in rates {
        let per = |side: usize| 1e5 * rate.events[side] as f64 / events[side].max(1) as f64;
        let entry = kind.entry();
        println!(
            "{:38} {:6.1} {:8} {:8} {:10.1} {:10.1}",
            entry.name,
            entry.weight,
            rate.cases[0],
            rate.cases[1],
            per(0),
            per(1)
        );
    }
}
