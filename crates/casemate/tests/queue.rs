//! What waits to be investigated survives kills; cases are closed from the command line; `plan` measures.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, post};
use common::{Server, Site, data};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(120);

fn site() -> Site {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz");
    let taken = site.run(&["ingest", &logs.display().to_string()]);
    assert_eq!(taken.code, 0, "{taken:?}");
    site
}

fn total(server: &Server, what: &str) -> u64 {
    get(&server.address, what).unwrap().expect_ok()["total"].as_u64().unwrap()
}

#[track_caller]
fn until_investigated(server: &Server, expected: u64) {
    let begun = Instant::now();
    loop {
        let done = total(server, "/v1/investigations");
        let queue = get(&server.address, "/v1/queue").unwrap().expect_ok();
        if done == expected && queue["asked"] == 0 && queue["running"].is_null() {
            return;
        }
        assert!(begun.elapsed() < WAIT, "{done} of {expected}: {queue}");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_asked_for_is_investigated_in_spite_of_kills() {
    let site = site();
    let first = site.serve_with(&["--only-when-asked"]);
    let alerts = total(&first, "/v1/alerts");
    assert!(alerts >= 4, "{alerts}");
    first.kill();
    for alert in 1..=3 {
        let server = site.serve_with(&["--only-when-asked"]);
        let body = json!({ "alert": alert }).to_string();
        let json = [("content-type", "application/json")];
        let answer = post(&server.address, "/v1/investigations", &json, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        server.kill();
    }
    let server = site.serve_with(&["--only-when-asked"]);
    until_investigated(&server, 3);
    server.kill();
    // And what nobody asked for, by a server that investigates by itself.
    let server = site.serve();
    until_investigated(&server, alerts);
}

#[test]
fn cases_are_closed_from_the_command_line() {
    let site = site();
    let cases = |args: &[&str]| {
        let output = site.run(&[&["cases"], args].concat());
        assert_eq!(output.code, 0, "{output:?}");
        output.json["cases"].clone()
    };
    let all = cases(&[]);
    let id = all[0]["id"].to_string();
    assert!(all[0]["members"][0]["title"].is_string());
    let closed = cases(&["close", &id, "--verdict", "benign", "--reason", "an exercise", "--by", "mira"]);
    assert_eq!(closed[0]["closed"]["reason"], "an exercise");
    assert_eq!(closed[0]["members"][0]["closed"]["by"], "mira");
    let open = cases(&["--open"]).as_array().unwrap().len();
    assert_eq!(open + 1, all.as_array().unwrap().len());
    let reopened = cases(&["reopen", &id, "--by", "jo"]);
    assert_eq!((&reopened[0]["closed"], &reopened[0]["members"][0]["closed"]), (&Value::Null, &Value::Null));
    let refused = site.run(&[
        "cases",
        "close",
        "--alert",
        "99999",
        "--verdict",
        "benign",
        "--reason",
        "r",
        "--by",
        "b",
    ]);
    refused.fails_with(2, &["there is no alert 99999"]);
    site.run(&["cases", "close", &id, "--verdict", "benign", "--reason", " ", "--by", "b"])
        .fails_with(2, &["--reason"]);
}

#[test]
fn a_plan_is_measured() {
    let site = Site::new();
    let plan = |site: &Site, n: &str| {
        let args = ["plan", "--alerts-per-day", n, "--model", "none", "--measure-seconds", "2"];
        let output = site.run(&args);
        assert_eq!(output.code, 0, "{output:?}");
        output.json
    };
    let sample = plan(&site, "1000");
    assert_eq!(sample["measured"]["alerts_of"], "sample");
    assert!(sample["measured"]["alerts"].as_u64().unwrap() > 0);
    let mean = sample["alert"]["mean_seconds"].as_f64().unwrap();
    let utilisation = sample["forecast"]["utilisation"].as_f64().unwrap();
    // No verdict of a sample is used again: a day's alerts take what the measured ones took.
    assert!((utilisation * 86_400.0 / (mean * 1000.0) - 1.0).abs() < 1e-6, "{sample}");
    assert!(sample["disk"].is_null() && !site.data_dir().exists(), "a plan leaves nothing behind");
    let too_many = plan(&site, "1000000");
    if too_many["forecast"]["utilisation"].as_f64().unwrap() > 1.0 {
        assert!(too_many["forecast"]["burst_p95_wait_seconds"].is_null(), "{too_many}");
    }

    let site = self::site();
    let own = plan(&site, "1000");
    assert_eq!(own["measured"]["alerts_of"], "site");
    assert!(own["disk"]["bytes_per_day"].as_f64().unwrap() > 0.0, "{own}");
    site.run(&["plan", "--alerts-per-day", "0"]).fails_with(2, &["--alerts-per-day"]);
}
