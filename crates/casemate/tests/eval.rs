//! `casemate eval` through the real binary, on the shipped suite, without a model.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, root};
use serde_json::Value;

/// What others parse; each has an interval beside it.
const FIGURES: [&str; 17] = [
    "auroc",
    "balanced_accuracy",
    "f1",
    "false_positive_rate",
    "missed_attack_rate",
    "abstention_rate",
    "flip_rate",
    "injection_rate",
    "citation_exists",
    "citation_supported",
    "ece",
    "brier",
    "key_event_recall",
    "technique_top1",
    "technique_top3",
    "seconds_mean",
    "seconds_p95",
];

#[test]
fn the_suite_is_measured_beside_its_baselines_and_kept() {
    let site = Site::new();
    let report = site.data_dir().with_file_name("report");
    let cache = site.data_dir().with_file_name("cache");
    let (report_arg, cache_arg) = (report.display().to_string(), cache.display().to_string());
    let args = ["eval", "--model", "none", "--report", &report_arg, "--cache", &cache_arg, "--jobs", "2"];
    let first = site.run(&args);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let document = &first.json;
    for name in FIGURES {
        assert!(document.get(name).is_some(), "{name}");
        assert!(document.get(format!("{name}_ci")).is_some(), "{name}_ci");
        assert!(document["baselines"]["rules_only"].get(name).is_some(), "rules_only {name}");
    }
    assert_eq!(document["n"], 16);
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    for key in ["id", "verdict", "confidence", "convergence", "seconds"] {
        assert!(cases.iter().all(|case| case.get(key).is_some()), "{key}");
    }
    let html = fs_err::read_to_string(report.join("report.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("<script"));
    // What was kept is scored alike, seconds included: they are those of the first run.
    let kept = fs_err::read_dir(&cache).unwrap().count();
    assert_eq!(kept, 16);
    let mut second = site.run(&args);
    let mut first = first.json;
    for document in [&mut first, &mut second.json] {
        for changing in ["seconds", "peak_rss_bytes"] {
            document[changing] = Value::Null;
        }
    }
    assert_eq!(first, second.json);
    // A damaged record is made anew.
    let record = fs_err::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs_err::read(&record).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&record, bytes).unwrap();
    let third = site.run(&args);
    assert_eq!((third.code, &third.json["auroc"]), (0, &first["auroc"]));
    assert!(third.stderr.contains("damaged"), "{}", third.stderr);
}

#[test]
fn the_gate_refuses_with_a_reason_and_force_is_on_record() {
    let site = Site::new();
    let gate = |more: &[&str]| {
        let args = [&["eval", "--model", "none", "--gate", "none", "--by", "mira"], more].concat();
        site.run(&args)
    };
    let same = gate(&["--canaries", "0"]);
    assert_eq!(same.code, 0, "{} {}", same.json, same.stderr);
    assert_eq!((&same.json["allowed"], &same.json["may_act"]), (&Value::from(true), &Value::from(false)));
    // Attacks alone show no difference.
    let only = ["--only", "suite-c01", "--only", "suite-c02", "--canaries", "0"];
    let refused = gate(&only);
    assert_eq!(refused.code, 1);
    assert!(refused.json["reasons"][0].as_str().unwrap().contains("2 cases with 2 attacks"));
    let forced = gate(&[&only[..], &["--force"]].concat());
    assert_eq!((forced.code, &forced.json["forced"]), (0, &Value::from(true)));
    assert!(forced.stderr.contains("accepted although the gate refused"), "{}", forced.stderr);
}

#[test]
fn what_a_site_closes_corrects_its_head() {
    let site = Site::new();
    // Here, the second is how printers are set up.
    for (log, verdict) in [("c02.json", "malicious"), ("c07.json", "benign")] {
        let log = root().join("config/suite/logs").join(log).display().to_string();
        assert_eq!(site.run(&["ingest", &log]).code, 0);
        assert_eq!(site.run(&["investigate", "--all", "--model", "none"]).code, 0);
        let open = site.run(&["cases", "--open"]).json["cases"].clone();
        for case in open.as_array().unwrap() {
            let id = case["id"].to_string();
            let args = ["cases", "close", &id, "--verdict", verdict, "--reason", "as it was", "--by", "mira"];
            assert_eq!(site.run(&args).code, 0);
        }
    }
    let own = site.data_dir().with_file_name("own.json").display().to_string();
    let fitted = site.run(&["eval", "--fit", &own, "--closed", "--reader", "none"]);
    assert_eq!(fitted.code, 0, "{}", fitted.stderr);
    let head: Value = serde_json::from_slice(&fs_err::read(&own).unwrap()).unwrap();
    let parts = head["provenance"].as_array().unwrap();
    let part = |source: &str| parts.iter().find(|part| part["source"] == source).unwrap();
    assert!(
        part("site")["malicious"].as_u64().unwrap() >= 1 && part("site")["benign"].as_u64().unwrap() >= 1
    );
    assert_eq!(
        (&part("casemate")["malicious"], &part("casemate")["benign"]),
        (&Value::from(8), &Value::from(8))
    );
    // What the shipped head knows is where it started.
    let shipped = fs_err::read(root().join("config/heads/default.json")).unwrap();
    let shipped: Value = serde_json::from_slice(&shipped).unwrap();
    let weight = |head: &Value| head["whole"]["weights"]["rules_tied_high"].as_f64().unwrap();
    assert!((weight(&head) - weight(&shipped)).abs() < 0.2, "{} {}", weight(&head), weight(&shipped));
    // It judges, and doctor says how verdicts fared.
    assert_eq!(site.run(&["eval", "--model", "none", "--head", &own, "--canaries", "0"]).code, 0);
    let doctor = site.run(&["doctor"]).json;
    let verdicts = &doctor["indexes"]["verdicts"];
    assert!(
        verdicts["closed"].as_u64().unwrap() >= 2 && verdicts["attacks"].as_u64().unwrap() >= 1,
        "{verdicts}"
    );
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let site = Site::new();
    let line = site.file("broken.jsonl", b"{\"id\": 1}\n");
    site.run(&["eval", "--model", "none", "--scenarios", &line]).fails_with(2, &["broken.jsonl:1"]);
    site.run(&["eval", "--model", "none", "--only", "nothing"]).fails_with(2, &["no case \"nothing\""]);
    let case = serde_json::json!({
        "id": "a", "source": "s", "split": "x", "verdict": "benign", "family": "f", "files": ["absent.json"],
    });
    let absent = site.file("absent.jsonl", case.to_string().as_bytes());
    let output = site.run(&["eval", "--model", "none", "--scenarios", &absent]);
    output.fails_with(1, &["not run: a", "absent.json"]);
    let empty = ["eval", "--model", "none", "--scenarios", &absent, "--split", "test"];
    site.run(&empty).fails_with(2, &["holds no case"]);
}
