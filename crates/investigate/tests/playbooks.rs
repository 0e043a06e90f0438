//! The playbooks that ship: they pass the tests they carry, and the example of their README works.
#![allow(clippy::unwrap_used)]

use casemate_detect::Rules;
use casemate_investigate::Playbooks;
use casemate_investigate::playbook::{Playbook, parse};
use casemate_pipeline::Pipeline;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/playbooks")
}

/// What came out otherwise than the tests of `playbook` expect.
fn wrong(playbook: &Playbook, playbooks: &Playbooks) -> Vec<String> {
    let mut all = Vec::new();
    for trial in &playbook.trials {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = Arc::new(Pipeline::open(dir.path(), Rules::default(), None).unwrap());
        match trial.run(pipeline, playbooks, None) {
            Ok(case) => {
                let facts: Vec<&str> = case.facts.iter().map(|fact| fact.name.as_str()).collect();
                let wrong = trial.wrong(playbook, &case, false);
                all.extend(
                    wrong
                        .iter()
                        .map(|wrong| format!("{}: {}: {wrong}; facts {facts:?}", playbook.name, trial.name)),
                );
            }
            Err(error) => all.push(format!("{}: {error}", playbook.name)),
        }
    }
    all
}

#[test]
fn the_shipped_playbooks_pass_their_tests() {
    let playbooks = Playbooks::load(&config()).unwrap();
    let mut all = Vec::new();
    for playbook in playbooks.iter() {
        assert!(playbook.trials.len() >= 2, "{} needs an attack and a look-alike", playbook.name);
        all.extend(wrong(playbook, &playbooks));
    }
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn the_example_of_the_readme_works() {
    let readme = fs_err::read_to_string(config().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let example = parse(rest.split_once("```").unwrap().0).unwrap();
    let mut all: Vec<Playbook> = Playbooks::load(&config()).unwrap().iter().cloned().collect();
    all.push(example.clone());
    let playbooks = Playbooks::new(all).unwrap();
    assert!(!example.trials.is_empty());
    assert_eq!(wrong(&example, &playbooks), Vec::<String>::new());
}
