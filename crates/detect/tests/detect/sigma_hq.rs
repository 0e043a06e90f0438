//! All rules of SigmaHQ, where the shared data is present (never shipped: DRL-1.1).

use crate::support::{rendered_event, repository, shared_data, unzip, windows_json};
use casemate_detect::Rules;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn files(dir: &Path, extension: &str, out: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, out);
        } else if path.extension().is_some_and(|own| own == extension) {
            out.push(path);
        }
    }
}

#[test]
fn regression_events_match_their_rules() {
    let (Some(rules), Some(data)) = (shared_data("sigma"), shared_data("evtx-sigma-regression")) else {
        return;
    };
    let (rules, problems) = Rules::load(&[rules]).unwrap();
    for problem in &problems {
        println!("{problem}");
    }
    assert!(problems.len() < 10, "{} problems", problems.len());
    let mut cases = Vec::new();
    files(&data, "json", &mut cases);
    let (mut hit, mut missed, mut absent) = (0, Vec::new(), 0);
    for case in &cases {
        let id = case.file_stem().unwrap().to_str().unwrap();
        if rules.get(id).is_none() {
            absent += 1;
            continue;
        }
        let text = fs_err::read_to_string(case).unwrap();
        let records: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'))
                .into_iter()
                .map_while(Result::ok)
                .collect();
        let mut matched = false;
        for record in &records {
            let list = record.as_array().cloned().unwrap_or_else(|| vec![record.clone()]);
            matched |= list
                .iter()
                .any(|record| rules.matches(&rendered_event(record)).iter().any(|rule| rule.id == id));
        }
        if matched {
            hit += 1;
        } else {
            missed.push(format!("{id} {}", rules.get(id).unwrap().title));
        }
    }
    println!(
        "{} rules, {hit} of {} regression events match ({absent} rules not in the set)",
        rules.len(),
        cases.len() - absent
    );
    println!("missed: {missed:#?}");
    assert!(missed.len() * 20 <= hit, "more than 5 % missed");
}

/// Prints what README's figures come from: events a second with all rules and with the starter rules.
#[test]
fn all_rules_keep_up() {
    let Some(sigma) = shared_data("sigma") else { return };
    let mut events = Vec::new();
    for (_, text) in unzip(&repository().join("tests/data/incident/logs/windows-prd01.zip")) {
        events.extend(windows_json(&text));
    }
    for (name, dirs) in [("SigmaHQ", vec![sigma]), ("starter", vec![crate::support::starter_rules()])] {
        let start = Instant::now();
        let (rules, _) = Rules::load(&dirs).unwrap();
        let load = start.elapsed();
        let start = Instant::now();
        let mut matches = 0;
        let mut by_rule: BTreeMap<&str, u32> = BTreeMap::new();
        for event in &events {
            for rule in rules.matches(event) {
                matches += 1;
                *by_rule.entry(&rule.title).or_default() += 1;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}: {} rules loaded in {load:.2?}; {} events, {matches} matches in {seconds:.2} s: {:.0} events/s",
            rules.len(),
            events.len(),
            events.len() as f64 / seconds
        );
        println!("{by_rule:#?}");
        assert!(matches > 0);
    }
}
