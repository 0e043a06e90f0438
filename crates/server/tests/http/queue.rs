//! What waits, and that it is not forgotten.

use crate::client::{get, post_json};
use crate::running::{Running, start};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Asks until every alert is investigated, nothing waits and nothing runs.
#[track_caller]
pub(crate) fn until_idle(server: &Running) -> Value {
    let begun = Instant::now();
    loop {
        // In this order: what is stored was running, and what no longer runs was counted.
        let done = get(server.addr, "/v1/investigations").expect_ok()["total"].clone();
        let all_stored = done == get(server.addr, "/v1/alerts").expect_ok()["total"];
        let queue = get(server.addr, "/v1/queue").expect_ok();
        let idle = queue["backlog"] == 0 && queue["asked"] == 0 && queue["running"].is_null();
        if all_stored && idle {
            return queue;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{queue}");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_raised_before_a_restart_is_investigated_after_it() {
    let server = start();
    server.ingest_intrusion();
    assert_eq!(get(server.addr, "/v1/queue").expect_ok()["backlog"], 0, "only when asked");
    assert_eq!(get(server.addr, "/v1/investigations").expect_ok()["total"], 0);
    let server = server.restart(true);
    let queue = until_idle(&server);
    let alerts = get(server.addr, "/v1/alerts").expect_ok()["total"].as_u64().unwrap();
    assert!(alerts > 0);
    assert_eq!(queue["seconds_per_alert"]["count"], alerts);
    assert_eq!(queue["seconds_waited"]["count"], alerts);
    let metrics = get(server.addr, "/metrics").text();
    assert!(metrics.contains("casemate_queue_depth 0\n"), "{metrics}");
    assert!(metrics.contains("casemate_investigation_seconds{of=\"p95\"}"), "{metrics}");

    // One that comes in later is as well.
    let alert = json!({ "title": "Odd child", "severity": "low", "events": [1], "product": "edr" });
    assert_eq!(post_json(server.addr, "/v1/alerts", &alert).status, 201);
    let queue = until_idle(&server);
    assert_eq!(queue["seconds_per_alert"]["count"], alerts + 1);
}

#[test]
fn what_was_asked_for_survives_a_restart() {
    let server = start();
    let alert = server.ingest_intrusion();
    // As noted by a server that was ended before it came to that.
    server.pipeline.store().put_asked(casemate_event::AlertId(alert)).unwrap();
    let server = server.restart(false);
    let stream = get(server.addr, &format!("/v1/investigations/{alert}/stream")).text();
    assert!(stream.contains("event: done"), "{stream}");
    assert!(server.pipeline.store().asked().unwrap().is_empty());
    assert_eq!(get(server.addr, "/v1/investigations").expect_ok()["total"], 1, "only what was asked for");
}

#[test]
fn what_is_closed_does_not_wait() {
    let server = start();
    let alert = server.ingest_intrusion();
    let all = get(server.addr, "/v1/alerts").expect_ok()["total"].as_u64().unwrap();
    let close = json!({ "verdict": "benign", "reason": "an exercise", "by": "mira" });
    post_json(server.addr, &format!("/v1/alerts/{alert}/close"), &close).expect_ok();
    let server = server.restart(true);
    let begun = Instant::now();
    while get(server.addr, "/v1/investigations").expect_ok()["total"] != all - 1 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    assert_eq!(get(server.addr, &format!("/v1/investigations/{alert}")).status, 404);
    // Opened again, it waits again.
    post_json(server.addr, &format!("/v1/alerts/{alert}/reopen"), &json!({ "by": "mira" })).expect_ok();
    until_idle(&server);
}

/// The same start of a program, a day and more apart.
pub(crate) fn daily(day: u32, command: &str) -> String {
    format!(
        concat!(
            r#"{{"EventTime":"2026-03-{day:02} 09:14:09","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","#,
            r#""SourceName":"Microsoft-Windows-Sysmon","Hostname":"ws7.example.local","#,
            r#""UtcTime":"2026-03-{day:02} 09:14:09.481","Image":"C:\\Windows\\System32\\net.exe","#,
            r#""CommandLine":"{command}","ParentImage":"C:\\Tools\\inventory.exe","User":"EXAMPLE\\bob","#,
            r#""ProcessId":"42{day:02}","ParentProcessId":"41{day:02}"}}"#,
            "\n",
        ),
        day = day,
        command = command
    )
}

#[test]
fn the_same_thing_again_is_judged_by_the_work_already_done() {
    let server = start();
    let days: Vec<u32> = (1..=8).map(|n| n * 3).collect();
    for day in &days {
        server.ingest(&daily(*day, "net user /domain"));
    }
    server.ingest(&daily(27, "net user mallory Secret1! /add /domain"));
    let mut ids = Vec::new();
    for event in 1..=days.len() as u64 + 1 {
        let alert =
            json!({ "title": "Account query", "severity": "medium", "events": [event], "product": "edr" });
        ids.push(post_json(server.addr, "/v1/alerts", &alert).json()["id"].as_u64().unwrap());
    }
    let server = server.restart(true);
    until_idle(&server);
    let report = |id: u64| get(server.addr, &format!("/v1/investigations/{id}/report.json")).expect_ok();
    let reused: Vec<Value> = ids.iter().map(|id| report(*id)["reused_from"].clone()).collect();
    assert!(reused[0].is_null(), "{reused:?}");
    let again = (1..days.len()).find(|n| !reused[*n].is_null());
    let again = again.unwrap_or_else(|| panic!("nothing was used again: {reused:?}"));
    let (first, second) = (report(reused[again].as_u64().unwrap()), report(ids[again]));
    assert!(first["reused_from"].is_null(), "always of an investigation of its own");
    assert_eq!((&first["verdict"], &first["probability"]), (&second["verdict"], &second["probability"]));
    assert!(reused[days.len()].is_null(), "another command: {reused:?}");
    let page = get(server.addr, &format!("/investigations/{}", ids[again])).text();
    assert!(page.contains("Used again"), "{page}");

    // Who asks for an investigation gets one.
    server.investigate(ids[again]);
    assert!(report(ids[again])["reused_from"].is_null());
}
