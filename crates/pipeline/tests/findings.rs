//! Alerts of other products that are damaged, or made to do damage, become events or are quarantined, and never vanish.

#![allow(clippy::unwrap_used)]

use casemate_detect::Rules;
use casemate_pipeline::Pipeline;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;

fn samples() -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/alerts");
    let mut paths: Vec<_> = fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| fs_err::read(path).unwrap()).collect()
}

/// Puts something else in the place of the `n`th value inside `value`.
fn replace(value: &mut Value, n: &mut usize, with: &Value) {
    if *n == 0 {
        *value = with.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, n, with)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, n, with)),
        _ => {}
    }
}

#[test]
fn damaged_alerts_never_vanish() {
    let samples = samples();
    assert!(samples.len() >= 19);
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::open(dir.path(), Rules::default(), None).unwrap().with_findings();
    let held = || {
        let counts = pipeline.store().counts().unwrap();
        counts.events + counts.quarantined.values().sum::<u64>()
    };
    let before = Cell::new(held());
    let odd = prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("x".repeat(70_000))),
        Just(json!("\u{202e}\u{0}\u{feff}T1059 \u{7f}")),
        Just(json!([[[{ "a": [1, "T1003.001"] }]]])),
        any::<String>().prop_map(Value::from),
    ];
    let strategy = (0..samples.len(), any::<prop::sample::Index>(), odd, any::<u8>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(sample, at, odd, byte, whole)| {
            let mut bytes = samples[sample].clone();
            if whole {
                let mut value: Value = serde_json::from_slice(&bytes).unwrap();
                replace(&mut value, &mut (1 + at.index(80)), &odd);
                bytes = value.to_string().into_bytes();
            } else {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            pipeline.ingest_stream("damaged", bytes.as_slice(), None).unwrap();
            pipeline.catch_up(&mut |_, _, _| {}).unwrap();
            let now = held();
            prop_assert!(now > before.get(), "{}", String::from_utf8_lossy(&bytes));
            before.set(now);
            Ok(())
        })
        .unwrap();
    // What is whole in it still is an alert.
    assert!(pipeline.store().alerts().unwrap().len() >= samples.len());
}
