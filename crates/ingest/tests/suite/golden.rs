//! Small files of every format, each beside its expected events (`NAME.expected.json`).
//!
//! After an intended change, run with `CASEMATE_UPDATE_GOLDEN=1` and read the difference.

use super::{options, take_file, workspace};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn every_file_gives_its_expected_events() {
    let directory = workspace().join("tests/data/formats");
    let mut checked = 0;
    for path in casemate_ingest::expand(std::slice::from_ref(&directory)).unwrap() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expected.json") || name == "README.md" {
            continue;
        }
        check(&path, &directory.join(format!("{name}.expected.json")));
        checked += 1;
    }
    assert!(checked >= 14, "{checked} files");
}

fn check(input: &Path, expected: &Path) {
    let taken = take_file(input, &options());
    let events: Vec<Value> = taken
        .events
        .iter()
        .map(|event| {
            let mut value = serde_json::to_value(event).unwrap();
            let object = value.as_object_mut().unwrap();
            // The raw bytes are the input's, and the path is the machine's.
            object.remove("raw");
            object.remove("source");
            object.insert("template_text".to_owned(), event.template_text.clone().into());
            value
        })
        .collect();
    let quarantined: Vec<Value> = taken
        .quarantined
        .iter()
        .map(|record| json!({"position": record.position, "reason": record.reason, "detail": record.detail}))
        .collect();
    let found = json!({ "events": events, "quarantined": quarantined, "headers": taken.summary.headers });
    if std::env::var_os("CASEMATE_UPDATE_GOLDEN").is_some() {
        fs_err::write(expected, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return;
    }
    let expected: Value = serde_json::from_str(&fs_err::read_to_string(expected).unwrap()).unwrap();
    assert_eq!(found, expected, "{}", input.display());
}
