//! Nothing that a scenario says of its truth reaches an investigation, and the same run is the same run.
#![allow(clippy::unwrap_used, reason = "a test")]

use casemate_detect::Rules;
use casemate_eval::run::{self, Bench};
use casemate_eval::scenario::{self, Truth};
use casemate_eval::{Record, Scenario, Tools};
use casemate_investigate::{Investigator, Playbooks, Site};
use casemate_pipeline::Pipeline;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name)
}

fn suite() -> Vec<Scenario> {
    scenario::read(&config("suite/scenarios.jsonl"), None).unwrap()
}

/// Runs the shipped suite without a model, two cases at a time.
fn run(scenarios: &[Scenario]) -> (Value, BTreeMap<String, Record>) {
    let (rules, problems) = Rules::load(&[config("rules")]).unwrap();
    assert!(problems.is_empty());
    let tools = Tools { rules: Pipeline::share(rules), embedder: None };
    let playbooks = Playbooks::load(&config("playbooks")).unwrap();
    let make = |pipeline| Ok(Investigator::new(pipeline, None, playbooks.clone(), Site::default()));
    let bench = Bench {
        tools: &tools,
        make: &make,
        model: None,
        cache: None,
        jobs: 2,
        canaries: 1,
        free_form: 0,
        seed: 3,
    };
    let (run, records) = run::run(scenarios, &config("suite"), &bench, &|_| {}).unwrap();
    assert!(run.problems.is_empty(), "{:?}", run.problems);
    (run.document(), records)
}

/// Everything that was observed, as text, without what a clock says.
fn observed(records: &BTreeMap<String, Record>) -> Vec<String> {
    let one = |(id, record): (&String, &Record)| {
        let investigations: Vec<_> = record.investigations.iter().map(run::without_seconds).collect();
        format!("{id} {}", serde_json::to_string(&investigations).unwrap())
    };
    records.iter().map(one).collect()
}

fn without_seconds(mut document: Value) -> Value {
    let Some(fields) = document.as_object_mut() else { return document };
    fields.retain(|name, _| !name.starts_with("seconds"));
    for value in fields.values_mut() {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| *item = without_seconds(item.take())),
            _ => *value = without_seconds(value.take()),
        }
    }
    document
}

#[test]
fn labels_change_no_prompt_and_no_feature() {
    let scenarios = suite();
    let mut permuted = scenarios.clone();
    let n = permuted.len();
    for (index, case) in permuted.iter_mut().enumerate() {
        let other = &scenarios[(index + 5) % n];
        case.verdict = if case.verdict == Truth::Malicious { Truth::Benign } else { Truth::Malicious };
        case.family.clone_from(&other.family);
        case.techniques.clone_from(&other.techniques);
        case.techniques_assigned = vec!["T1486".to_owned()];
        case.derived_key_events = vec![serde_json::json!({"event_id": "1102"})];
        case.suggested_alert = Some("mimikatz ransomware attack".to_owned());
        case.source = "attack".to_owned();
        case.split = "malicious".to_owned();
    }
    let (figures, own) = run(&scenarios);
    let (other_figures, others) = run(&permuted);
    assert_eq!(observed(&own), observed(&others));
    assert_ne!(figures["n_malicious"], Value::Null);
    assert_ne!(figures["auroc"], other_figures["auroc"], "the labels do reach the figures");
}

#[test]
fn the_same_run_twice_is_the_same_but_for_seconds() {
    let scenarios = suite();
    let ((figures, own), (figures_again, again)) = (run(&scenarios), run(&scenarios));
    assert_eq!(observed(&own), observed(&again));
    assert_eq!(without_seconds(figures), without_seconds(figures_again));
}

#[test]
fn the_suite_is_cases_that_can_be_run_and_told_apart() {
    let (figures, records) = run(&suite());
    assert_eq!((&figures["n_malicious"], &figures["n_benign"]), (&Value::from(8), &Value::from(8)));
    for (id, record) in &records {
        assert!(!record.investigations.is_empty(), "{id} raises no alert");
    }
    assert!(figures["auroc"].as_f64().unwrap() > 0.5, "{}", figures["auroc"]);
    assert_eq!(figures["citation_exists"], 1.0);
}
