//! Who did what, by the real program: what the record says of decisions and verdicts, that it holds over kills, that a
//! change of it is found, and that an investigation can be made again from what was kept for it.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, post};
use common::{Server, Site, data, models, root};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn site() -> Site {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz");
    assert_eq!(site.run(&["ingest", &logs.display().to_string()]).code, 0);
    site
}

fn close(server: &Server, alert: u64) {
    let body = json!({ "verdict": "benign", "reason": "an exercise", "by": "mira" }).to_string();
    let path = format!("/v1/alerts/{alert}/close");
    let json = [("content-type", "application/json")];
    assert_eq!(post(&server.address, &path, &json, body.as_bytes()).unwrap().status, 200);
}

/// Lines of the record, oldest first, read from its files.
fn lines(site: &Site) -> Vec<Value> {
    let text = fs_err::read_to_string(site.data_dir().join("audit/000000000001.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn subjects(lines: &[Value], action: &str) -> Vec<String> {
    let of = lines.iter().filter(|line| line["action"] == action);
    of.map(|line| line["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn decisions_and_verdicts_are_on_record_in_spite_of_kills() {
    let site = site();
    for alert in 1..=3 {
        let server = site.serve_with(&["--only-when-asked"]);
        close(&server, alert);
        server.kill();
    }
    let server = site.serve();
    let begun = Instant::now();
    while !get(&server.address, "/v1/audit?limit=20").unwrap().json()["audit"]
        .to_string()
        .contains("\"action\":\"verdict\"")
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    server.kill();
    assert_eq!(site.run(&["audit", "checkpoint"]).code, 0);
    let lines = lines(&site);
    assert_eq!(subjects(&lines, "close"), ["alert 1", "alert 2", "alert 3"]);
    let verdict =
        lines.iter().find(|line| line["action"] == "verdict").unwrap_or_else(|| panic!("{lines:#?}"));
    for member in ["playbook", "provenance", "report_sha256", "cited"] {
        assert!(!verdict["now"][member].is_null(), "{member}: {verdict}");
    }
    let checked = site.run(&["audit", "verify"]);
    assert_eq!((checked.code, &checked.json["holds"]), (0, &json!(true)), "{checked:?}");
}

#[test]
fn a_change_of_the_record_is_found_and_what_was_kept_elsewhere_finds_more() {
    let site = site();
    let closed = site.run(&[
        "cases",
        "close",
        "--alert",
        "1",
        "--verdict",
        "benign",
        "--reason",
        "scanner",
        "--by",
        "mira",
    ]);
    assert_eq!(closed.code, 0, "{closed:?}");
    let kept = site.run(&["audit", "checkpoint"]).json;
    let checkpoint = kept["checkpoint"].as_str().unwrap();
    let key = site.file("kept.pub", kept["public_key"].as_str().unwrap().as_bytes());
    let verify = || site.run(&["audit", "verify", "--checkpoint", checkpoint, "--key", &key]);
    assert_eq!(verify().code, 0);
    let path = site.data_dir().join("audit/000000000001.jsonl");
    let good = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, good.replace("scanner", "sc4nner")).unwrap();
    verify().fails_with(1, &[]);
    assert!(verify().json["record"]["problems"][0].as_str().unwrap().contains("was changed"));
    // Its end cut off, before the decision: whole in itself, and not what was kept.
    let cut: Vec<&str> = good.lines().take_while(|line| !line.contains("scanner")).collect();
    fs_err::write(&path, cut.join("\n") + "\n").unwrap();
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
    assert_eq!(verify().code, 1);
    fs_err::write(&path, good).unwrap();
    assert_eq!(site.run(&["audit", "rotate-key"]).code, 0);
    assert_eq!(verify().code, 0);
    let restored = Site::new();
    let backup = site.data_dir().with_file_name("backup").display().to_string();
    assert_eq!(site.run(&["backup", &backup]).code, 0);
    assert_eq!(restored.run(&["restore", &backup]).code, 0);
    let checked = restored.run(&["audit", "verify", "--checkpoint", checkpoint]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.json["record"]["notes"].to_string().contains("without the old one's signature"));
}

#[test]
fn wrong_checkpoints_and_absent_records_are_said() {
    Site::new().run(&["audit", "verify"]).fails_with(2, &["no audit record"]);
    Site::new().run(&["audit", "show"]).fails_with(2, &["no audit record"]);
    Site::new().run(&["audit", "verify", "--checkpoint", "7:xyz"]).fails_with(2, &["N:HASH"]);
}

/// An investigation made again after the store has moved on: more of the same events, and decisions.
fn replay(site: &Site, args: &[&str]) {
    let all = [&["investigate", "--all"], args].concat();
    let made = site.run(&all);
    assert_eq!(made.code, 0, "{made:?}");
    let ids: Vec<String> =
        made.json["investigations"].as_array().unwrap().iter().map(|made| made["id"].to_string()).collect();
    assert!(ids.len() > 3, "{ids:?}");
    let decided = ["--verdict", "malicious", "--reason", "dumped LSASS", "--by", "mira"];
    let closed = site.run(&[&["cases", "close", "--alert", "1"], &decided[..]].concat());
    assert_eq!(closed.code, 0, "{closed:?}");
    let more = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", "--again", &more]).code, 0);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let again = site.run(&[&["investigate", "--replay"], &ids[..], args].concat());
    assert_eq!(again.code, 0, "{:#}", again.json);
    for row in again.json["replayed"].as_array().unwrap() {
        assert_eq!((&row["same"], &row["report_sha256"]), (&json!(true), &row["replayed_sha256"]));
    }
    // Not from what was kept, but from what there is now, it would not be the same.
    let afresh = site.run(&[&["investigate"], &ids[..1], args].concat());
    assert_ne!(afresh.json["investigations"][0]["context"], made.json["investigations"][0]["context"]);
}

#[test]
fn an_investigation_is_made_again_byte_for_byte() {
    replay(&site(), &["--model", "none"]);
}

#[test]
fn with_a_model_too() {
    let Some(models) = models() else { return };
    replay(&site(), &["--models", &models.display().to_string(), "--model", "tiny"]);
}

#[test]
fn what_is_not_the_same_any_more_is_named() {
    let site = site();
    assert_eq!(site.run(&["investigate", "1", "--model", "none"]).code, 0);
    let own = site.file("site.toml", b"[[asset]]\nhost = \"ws5\"\nrole = \"workstation\"\n");
    let again = site.run(&["investigate", "--replay", "1", "--model", "none", "--site", &own]);
    assert_eq!(again.code, 1, "{again:?}");
    let row = &again.json["replayed"][0];
    assert!(row["changed"].to_string().contains("site was"), "{row}");
    assert!(row["differ"].to_string().contains("/provenance/site_sha256"), "{row}");
    site.run(&["investigate", "--replay", "2", "--model", "none"]).fails_with(1, &["cannot be replayed"]);
    assert!(root().join("config").is_dir());
}
