//! Formats of a site's own, through the real binary: `--mappings DIR`.

#![allow(clippy::unwrap_used)]

mod common;

use common::Site;

const GATE: &str = r#"
product = "Gate"
class = "authentication"
time = ["at"]
message = "gate {result} {user}"

[carrier]
kind = "key_value"
contains = [" badge="]

[fields]
"user.name" = ["user"]

[logsource]
product = "gate"
service_members = ["result"]
fields = { TargetUser = "user" }
"#;

const RULE: &str = "
title: Gate denied
id: 11111111-2222-4333-8444-555555555555
logsource: {product: gate, service: denied}
detection:
    selection: {TargetUser|startswith: mira}
    condition: selection
level: high
";

const LINES: &[u8] = b"at=2025-10-11T22:14:15Z badge=1 user=mira result=denied\n\
    <13>Oct 11 22:14:15 gate7 at=2025-10-11T22:14:15Z badge=2 user=jo result=denied\n\
    at=2025-10-11T22:14:15Z badge=3 user=mira result=granted\n";

#[test]
fn a_format_of_the_site_is_taken_in_found_and_matched_by_rules() {
    let site = Site::new();
    let extra = tempfile::tempdir().unwrap();
    let dir = extra.path().to_str().unwrap();
    fs_err::write(extra.path().join("gate.toml"), GATE).unwrap();
    fs_err::write(extra.path().join("gate.yml"), RULE).unwrap();
    let log = site.file("gate.log", LINES);
    let out = site.run(&["ingest", &log, "--mappings", dir, "--rules", dir]);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.json["events"]["gate"], 3, "{}", out.json);
    let alerts = out.json["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{}", out.json);
    // Without the mapping files what was stored is found all the same.
    let found = site.run(&["search", "user:mira"]);
    assert_eq!(found.json["events"].as_array().unwrap().len(), 2, "{}", found.json);
}

#[test]
fn a_broken_mapping_file_is_refused_with_its_line() {
    let site = Site::new();
    let extra = tempfile::tempdir().unwrap();
    let dir = extra.path().to_str().unwrap();
    fs_err::write(extra.path().join("gate.toml"), GATE.replace("user.name", "user.nam")).unwrap();
    let log = site.file("gate.log", LINES);
    let out = site.run(&["ingest", &log, "--mappings", dir]);
    out.fails_with(2, &["gate.toml", "line 12", "user.nam"]);
    let out = site.run(&["ingest", &log, "--mappings", "/no/such/directory"]);
    out.fails_with(2, &["/no/such/directory", "directory of mapping files"]);
}
