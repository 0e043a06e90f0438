//! What programs are answered.

use crate::client::{get, post_json, post_logs, send};
use crate::running::{INTRUSION, start};
use casemate_event::{Batch, EventId, QuarantineReason, Quarantined};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;

#[test]
fn logs_become_events_and_alerts() {
    let server = start();
    let answer = server.ingest(&format!("{INTRUSION}{{\"cut\": \n"));
    assert_eq!(answer["event_ids"], json!({ "first": 1, "last": 4 }));
    assert_eq!(answer["events"]["windows_json"], 4);
    assert_eq!(answer["quarantined"]["malformed_json"], 1);
    assert!(!answer["alerts"].as_array().unwrap().is_empty());

    let events = get(server.addr, "/v1/events").expect_ok();
    assert_eq!(events["total"], 4);
    assert_eq!(events["events"][0]["id"], 4, "newest first");
    assert_eq!(get(server.addr, "/v1/events?limit=2&order=oldest").expect_ok()["events"][1]["id"], 2);
    assert_eq!(get(server.addr, "/v1/events?after=2026-03-02T09:15:00Z").expect_ok()["total"], 2);
    assert_eq!(get(server.addr, "/v1/events?entity=process:whoami.exe").expect_ok()["total"], 1);
    assert_eq!(get(server.addr, "/v1/search?q=whoami").expect_ok()["events"][0]["id"], 2);

    let event = get(server.addr, "/v1/events/2").expect_ok();
    assert_eq!(event["native"]["CommandLine"], "whoami /all");
    assert!(event["raw"].as_str().unwrap().contains("whoami /all"));
    assert!(event["entities"].as_array().unwrap().contains(&json!("host:ws5")));
    let ecs = get(server.addr, "/v1/events/2?format=ecs").expect_ok();
    assert_eq!(ecs["process"]["command_line"], "whoami /all");
    assert_eq!(ecs["process"]["parent"]["pid"], 4120);
    let chain = get(server.addr, "/v1/events/2/ancestors").expect_ok();
    assert_eq!(chain["events"].as_array().unwrap().len(), 1);
    assert_eq!(chain["events"][0]["id"], 1);
    assert_eq!(get(server.addr, "/v1/events?entity=process_id:ws5/4120").expect_ok()["total"], 4);
}

#[test]
fn a_question_is_answered_whichever_way_and_says_how() {
    let server = start();
    server.ingest(INTRUSION);
    let found =
        get(server.addr, "/v1/search?mode=hybrid&q=what+did+alice+do+with+whoami%3F&limit=3").expect_ok();
    let first = &found["events"][0];
    let ways: Vec<&str> =
        first["found_by"].as_array().unwrap().iter().map(|by| by["way"].as_str().unwrap()).collect();
    assert_eq!(ways, ["words", "entities"], "{first}");
    assert_eq!(first["found_by"][1]["entities"][0], "user:alice");
    let none = get(server.addr, "/v1/search?mode=hybrid&q=alice&filter=earliest%3Dnow").expect_ok();
    assert_eq!(none["total"], 0);
    let page = get(server.addr, "/search?mode=hybrid&q=alice");
    assert!(page.text().contains("entities user:alice"));
}

#[test]
fn events_are_counted_by_what_they_name() {
    let server = start();
    server.ingest(INTRUSION);
    let found = get(server.addr, "/v1/aggregate?by=user,class,metadata.event_code&buckets=4").expect_ok();
    let users = found["by"]["user"].as_array().unwrap();
    let alice = users.iter().find(|user| user["value"] == "alice").unwrap();
    assert_eq!(alice["events"], get(server.addr, "/v1/events?entity=user:alice").expect_ok()["total"]);
    let over_time = found["over_time"].as_array().unwrap();
    let sum: u64 = over_time.iter().map(|interval| interval["events"].as_u64().unwrap()).sum();
    assert_eq!(found["total"], sum);
    assert!(found["by"]["metadata.event_code"].as_array().is_some() && found["counted"] == true);
    let seen = get(server.addr, "/v1/entities/user:ALICE").expect_ok();
    assert_eq!((&seen["entity"], &seen["events"]), (&json!("user:alice"), &alice["events"]));
    assert!(seen["first_seen"].as_str() <= seen["last_seen"].as_str());
    assert!(get(server.addr, "/v1/entities/user:nobody").problem(404).contains("user:nobody"));
    // The page offers to narrow by them.
    let page = get(server.addr, "/search?q=format%3Awindows_json").text();
    assert!(page.contains("Narrow by") && page.contains("filter=host:ws5"), "{page}");
}

#[test]
fn bad_requests_say_what_to_do() {
    let server = start();
    let check = |path: &str, status: u16, expected: &str| {
        let detail = get(server.addr, path).problem(status);
        assert!(detail.contains(expected), "{path}: {detail}");
    };
    check("/v1/events/7", 404, "no event 7");
    check("/v1/events/x", 400, "is not the number");
    check("/v1/events/1?format=xml", 400, "ecs");
    check("/v1/events?limit=0", 400, "1 to 1000");
    check("/v1/events?limit=x", 400, "limit");
    check("/v1/events?colour=red", 400, "colour");
    check("/v1/events?after=yesterday", 400, "2026-01-31T09:30:00Z");
    check("/v1/events?entity=ws5", 400, "kind:value");
    check("/v1/events?q=%28%28", 400, "to look for");
    check("/v1/search", 400, "q=");
    check("/v1/search?q=x&mode=semantic", 409, "casemate-stage fetch");
    check("/v1/aggregate?by=colour", 400, "metadata.event_code");
    check("/v1/aggregate?most=0", 400, "1 to 1000");
    check("/v1/search?q=x&mode=magic", 400, "semantic");
    check("/v1/search?entity=host:ws5&mode=hybrid", 400, "q=");
    check("/v1/search?q=x&mode=hybrid&filter=%28%28", 400, "to look for");
    check("/v1/alerts/7", 404, "no alert 7");
    check("/v1/investigations/7", 404, "POST /v1/investigations");
    check("/v1/investigations/7/stream", 404, "POST /v1/investigations");
    check("/v1/investigations/7/report.md", 404, "POST /v1/investigations");
    check("/v1/nothing", 404, "/openapi.json");
    let wrong_method =
        send(server.addr, "DELETE", "/v1/alerts", &[("content-type", "application/json")], b"");
    assert_eq!(wrong_method.header("allow"), "GET, POST, HEAD");
    assert!(wrong_method.problem(405).contains("GET"));
}

#[test]
fn bad_bodies_say_what_to_do() {
    let server = start();
    let post = |path: &str, body: &str| {
        send(server.addr, "POST", path, &[("content-type", "application/json")], body.as_bytes())
    };
    post("/v1/investigations", "{").problem(400);
    post("/v1/investigations", "{}").problem(422);
    post("/v1/investigations", r#"{"alert":1,"x":2}"#).problem(422);
    assert!(post("/v1/investigations", r#"{"alert":1}"#).problem(404).contains("no alert 1"));
    let headers = [("content-type", "application/json"), ("content-length", "2000000")];
    let announced = send(server.addr, "POST", "/v1/alerts", &headers, b"");
    assert!(announced.problem(413).contains("/v1/ingest/auto"));
    assert!(post("/v1/ingest/nothing", "{}").problem(404).contains("windows_json"));
}

#[test]
fn an_alert_of_another_product_is_stored_once() {
    let server = start();
    server.ingest(INTRUSION);
    let alert = json!({
        "title": "Odd <b>child</b>", "severity": "high", "techniques": ["T1059.001"], "events": [2, 1],
        "product": "edr",
    });
    let first = post_json(server.addr, "/v1/alerts", &alert);
    assert_eq!(first.status, 201, "{}", first.text());
    let stored = first.json();
    assert_eq!(first.header("location"), format!("/v1/alerts/{}", stored["id"]));
    assert_eq!(stored["events"], json!([1, 2]));
    assert_eq!(stored["origin"], json!({ "product": "edr" }));
    assert!(stored["entities"].as_array().unwrap().contains(&json!("user:alice")));
    let again = post_json(server.addr, "/v1/alerts", &alert).json();
    assert_eq!(again["id"], stored["id"]);
    assert_eq!(
        get(server.addr, &format!("/v1/alerts/{}", stored["id"])).expect_ok()["title"],
        "Odd <b>child</b>"
    );

    let check = |body: serde_json::Value, expected: &str| {
        let detail = post_json(server.addr, "/v1/alerts", &body).problem(422);
        assert!(detail.contains(expected), "{detail}");
    };
    check(json!({ "title": "x", "severity": "high", "events": [99] }), "no event 99");
    check(json!({ "title": "x", "severity": "high" }), "neither events nor a time");
    check(json!({ "title": " ", "severity": "high", "events": [1] }), "title");
    check(json!({ "title": "x", "severity": "huge", "events": [1] }), "huge");
    check(json!({ "title": "x", "severity": "high", "events": [1], "techniques": ["bad"] }), "T1059");
}

#[test]
fn bodies_over_the_limit_leave_nothing_behind() {
    let server = start();
    let too_long = (65_u64 << 20).to_string();
    let headers = [("content-type", "application/octet-stream"), ("content-length", too_long.as_str())];
    let announced = send(server.addr, "POST", "/v1/ingest/auto", &headers, b"");
    assert!(announced.problem(413).contains("64 MiB"));
    assert_eq!(get(server.addr, "/v1/events").expect_ok()["total"], 0);
}

#[test]
fn a_chunked_body_is_taken_whole() {
    let server = start();
    let headers = [("content-type", "application/octet-stream"), ("transfer-encoding", "chunked")];
    let line = "short line\n".repeat(100);
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    let body = format!("{chunk}0\r\n\r\n");
    let taken = send(server.addr, "POST", "/v1/ingest/text", &headers, body.as_bytes());
    assert_eq!(taken.expect_ok()["records"], 100);
    // A sender that hangs up in the middle leaves nothing behind.
    let head = "POST /v1/ingest/text HTTP/1.1\r\nContent-Type: application/octet-stream\r\n";
    let cut = format!("{head}Host: {}\r\nContent-Length: 22\r\n\r\nshort line\nshort", server.addr);
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.write_all(cut.as_bytes()).unwrap();
    drop(stream);
    assert_eq!(get(server.addr, "/v1/events").expect_ok()["total"], 100);
}

#[test]
fn an_investigation_is_streamed_and_replayed() {
    let server = start();
    let alert = server.ingest_intrusion();
    let stream = server.investigate(alert);
    let kinds: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds.first(), Some(&"started"), "{stream}");
    assert_eq!(kinds.last(), Some(&"done"));
    assert!(kinds.contains(&"progress"));
    let replayed = get(server.addr, &format!("/v1/investigations/{alert}/stream")).text();
    assert_eq!(replayed, stream);
    let path = format!("/v1/investigations/{alert}/stream");
    let seen = (kinds.len() - 1).to_string();
    let rest = send(server.addr, "GET", &path, &[("last-event-id", &seen)], b"").text();
    assert_eq!(rest.matches("event: ").count(), 1, "{rest}");
    assert!(rest.contains("event: done") && rest.contains("\"verdict\""));

    let case = get(server.addr, &format!("/v1/investigations/{alert}")).expect_ok();
    assert_eq!(case["id"], alert);
    assert!(case["model"].is_null());
    let listed = get(server.addr, "/v1/investigations").expect_ok();
    assert_eq!(listed["investigations"][0]["verdict"], case["verdict"]);
    assert_eq!(listed["investigations"][0]["status"], "done");
    let report = get(server.addr, &format!("/v1/investigations/{alert}/report.json"));
    assert_eq!(report.expect_ok(), case);
    assert!(report.header("content-disposition").contains(&format!("investigation-{alert}.json")));
    assert!(
        get(server.addr, &format!("/v1/investigations/{alert}/report.md"))
            .text()
            .starts_with("# Investigation")
    );
    let shown = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok();
    assert_eq!(shown["investigation"]["verdict"], case["verdict"]);
}

#[test]
fn asking_twice_gives_the_same_investigation() {
    let server = start();
    let alert = server.ingest_intrusion();
    let ask = || post_json(server.addr, "/v1/investigations", &json!({ "alert": alert }));
    let answers = [ask(), ask(), ask()];
    for answer in answers {
        assert_eq!((answer.status, answer.json()["id"].as_u64()), (202, Some(alert)));
        assert_eq!(answer.header("location"), format!("/v1/investigations/{alert}"));
    }
    let stream = get(server.addr, &format!("/v1/investigations/{alert}/stream")).text();
    assert_eq!(stream.matches("event: done").count(), 1);
}

#[test]
fn an_alert_without_events_fails_and_says_so() {
    let server = start();
    let alert = json!({ "title": "Said elsewhere", "severity": "low", "time": "2026-03-02T10:00:00Z" });
    let id = post_json(server.addr, "/v1/alerts", &alert).json()["id"].as_u64().unwrap();
    let stream = server.investigate(id);
    assert!(stream.contains("\"status\":\"failed\""), "{stream}");
    let state = get(server.addr, &format!("/v1/investigations/{id}")).expect_ok();
    assert_eq!(state["status"], "failed");
    assert!(state["detail"].is_string());
}

#[test]
fn the_state_of_the_service_is_told() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    assert_eq!(get(server.addr, "/healthz").text(), "ok\n");
    assert_eq!(get(server.addr, "/readyz").expect_ok()["status"], "ready");
    assert_eq!(get(server.addr, "/v1/models").expect_ok()["models"][0]["role"], "investigator");
    assert_eq!(get(server.addr, "/openapi.json").expect_ok()["openapi"], "3.1.0");
    let metrics = get(server.addr, "/metrics").text();
    for row in [
        "casemate_events{format=\"windows_json\"} 4",
        "casemate_queue_depth 0",
        "casemate_worker_up 1",
        "casemate_http_requests_total{method=\"POST\",route=\"/v1/ingest/{format}\",status=\"200\"} 1",
    ] {
        assert!(metrics.contains(row), "{row} in {metrics}");
    }
    assert!(metrics.contains("casemate_investigations{verdict="));
}

#[test]
fn hostile_bodies_are_kept_and_counted() {
    let server = start();
    for body in [&b"\0\0\0\0\xff\xfe\xff"[..], b"", b"\x1f\x8b\x08broken", b"{", b"\n\n\n"] {
        let answer = post_logs(server.addr, "/v1/ingest/auto", body);
        assert_eq!(answer.status, 200, "{body:?}: {}", answer.text());
    }
    assert_eq!(get(server.addr, "/healthz").status, 200);
}

#[test]
fn quarantined_records_become_events_once_they_are_understood() {
    let running = start();
    // As a version left them that did not understand all of them.
    let kept = |position: u64, raw: &[u8], reason| Quarantined {
        source: "http".to_owned(),
        position,
        reason,
        detail: "not understood".to_owned(),
        raw: raw.to_vec(),
    };
    let json = QuarantineReason::MalformedJson;
    let quarantined = vec![
        kept(1, br#"{"eventVersion":"1.08","eventTime":"2026-03-02T09:00:00Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1"}"#, json),
        kept(2, br#"{"half":"#, json),
        kept(3, b"\xff\xfe\xfa", QuarantineReason::InvalidEncoding),
        kept(4, br#"{"a":1}"#, QuarantineReason::TooLong),
        kept(5, b"neither here nor there", QuarantineReason::MalformedColumns),
    ];
    running.pipeline.store().append(&Batch { quarantined, ..Batch::default() }).unwrap();
    let listed = get(running.addr, "/v1/quarantine?limit=2").expect_ok();
    assert_eq!(
        (&listed["total"], &listed["quarantined"][0]["id"], &listed["below"]),
        (&json!(5), &json!(5), &json!(4))
    );
    let rest = get(running.addr, "/v1/quarantine?below=4").expect_ok();
    assert_eq!(rest["quarantined"].as_array().unwrap().len(), 3);
    assert_eq!(rest["quarantined"][0]["raw_hex"], "fffefa");
    let found = get(running.addr, "/v1/quarantine?q=HALF&reason=malformed_json").expect_ok();
    assert_eq!(
        (found["quarantined"].as_array().unwrap().len(), &found["quarantined"][0]["position"]),
        (1, &json!(2))
    );

    let retried = post_json(running.addr, "/v1/quarantine/retry", &json!({})).expect_ok();
    assert_eq!((&retried["examined"], &retried["events"]), (&json!(5), &json!(1)));
    assert_eq!(retried["resolved"], json!({ "malformed_json": 1 }));
    let event = running.pipeline.store().get(EventId(1)).unwrap().unwrap().event;
    assert_eq!(
        (event.source.as_str(), event.position, event.field("api.operation")),
        ("http", 1, Some("CreateUser"))
    );
    let metrics = get(running.addr, "/metrics").text();
    assert!(metrics.contains("casemate_quarantined{reason=\"malformed_json\"} 1\n"), "{metrics}");
    assert_eq!(get(running.addr, "/v1/quarantine").expect_ok()["total"], 4);
    get(running.addr, "/v1/quarantine/1").problem(404);
    assert_eq!(get(running.addr, "/v1/quarantine/2").expect_ok()["raw"], "{\"half\":");
    let again = post_json(running.addr, "/v1/quarantine/retry", &json!({})).expect_ok();
    assert_eq!((&again["examined"], &again["events"]), (&json!(4), &json!(0)));
    assert_eq!(running.pipeline.store().last_id(), EventId(1));
}
