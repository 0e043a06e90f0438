//! The example of "A new format in ten minutes" in ARCHITECTURE.md does what it says.

use super::{Taken, options, take_stream, workspace};
use casemate_ingest::{Mappings, Options};
use std::sync::Arc;

/// The fenced blocks of the section, in order.
fn blocks() -> Vec<String> {
    let text = fs_err::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## A new format in ten minutes\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fenced = section.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

fn take(lines: &str, mappings: Mappings) -> Taken {
    take_stream(lines.as_bytes(), &Options { mappings: Arc::new(mappings), ..options() })
}

#[test]
fn the_example_of_a_new_format_works() {
    let blocks = blocks();
    let [lines, mapping, expected] = blocks.as_slice() else { panic!("three blocks: {blocks:?}") };
    let before = take(lines, Mappings::built_in().unwrap());
    assert!(before.events.iter().all(|event| event.format.name() != "acme_gate"));

    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("acme_gate.toml"), mapping).unwrap();
    let taken = take(lines, Mappings::with_directory(directory.path()).unwrap());
    let mut shown = String::new();
    for event in &taken.events {
        assert_eq!((event.format.name(), event.class.uid()), ("acme_gate", 3002));
        shown += &format!("{} {}\n", event.time, event.message);
        for name in ["user.name", "status", "device.hostname"] {
            shown += &format!("    {name} = {}\n", event.field(name).unwrap_or("-"));
        }
    }
    assert_eq!(shown.trim_end(), expected.trim_end());

    let broken = mapping.replace("\"user.name\"", "\"user.nam\"");
    fs_err::write(directory.path().join("acme_gate.toml"), broken).unwrap();
    let error = Mappings::with_directory(directory.path()).unwrap_err().to_string();
    assert!(error.contains("acme_gate.toml") && error.contains("line "), "{error}");
}
