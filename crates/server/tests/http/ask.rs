//! Questions in plain words: as JSON, as they come, and by the form of the page.

use crate::client::{get, post_json, send};
use crate::running::{Running, start};
use serde_json::{Value, json};

const LOG: &str = include_str!("../../../../tests/data/ask/kiosk.log");

fn with_log() -> Running {
    let server = start();
    server.ingest(LOG);
    server
}

#[track_caller]
fn ask(server: &Running, body: &Value) -> Value {
    post_json(server.addr, "/v1/ask", body).expect_ok()
}

#[test]
fn an_answer_cites_its_events_and_stands_in_the_record() {
    let server = with_log();
    let answer = ask(&server, &json!({ "question": "Who logged on to kiosk07?" }));
    assert_eq!((&answer["known"], &answer["how"]), (&json!(true), &json!("counted")), "{answer}");
    assert_eq!(answer["values"][0]["value"], "operator1");
    let event = answer["evidence"][0]["event"].as_u64().unwrap();
    assert_eq!(answer["sentences"][0]["citations"][0], answer["evidence"][0]["label"]);
    let stored = get(server.addr, &format!("/v1/events/{event}")).expect_ok();
    assert!(stored["message"].as_str().unwrap().contains("operator1"));
    // What was searched can be searched.
    let query = answer["query"].as_str().unwrap().replace(' ', "+").replace('"', "%22");
    assert_eq!(get(server.addr, &format!("/v1/search?q={query}")).expect_ok()["total"], answer["total"]);
    let record = get(server.addr, "/v1/audit").expect_ok().to_string();
    assert!(
        record.contains("Who logged on to kiosk07?") && record.contains(&format!("[{event}]")),
        "{record}"
    );
}

#[test]
fn what_is_not_known_is_said() {
    let server = with_log();
    let answer = ask(&server, &json!({ "question": "Who logged on to ws99?" }));
    assert_eq!(answer["known"], false);
    assert!(answer["answer"].as_str().unwrap().starts_with("I don't know"), "{answer}");
    // No model is loaded here: what only one could read is not known, and says why.
    let answer = ask(&server, &json!({ "question": "What was the operator up to on kiosk07?" }));
    assert!(!answer["known"].as_bool().unwrap(), "{answer}");
}

#[test]
fn an_answer_comes_as_events() {
    let server = with_log();
    let body = json!({ "question": "How many failed logons were there on kiosk07?" }).to_string();
    let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
    let stream = send(server.addr, "POST", "/v1/ask", &headers, body.as_bytes());
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let text = stream.text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["evidence", "sentence", "done"], "{text}");
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let done: Value = serde_json::from_str(last).unwrap();
    assert_eq!(done["values"][0]["value"], "3");
}

#[test]
fn questions_that_are_none_are_refused() {
    let server = with_log();
    let post = |body: Value| post_json(server.addr, "/v1/ask", &body);
    post(json!({ "question": " " })).problem(422);
    post(json!({ "question": "x".repeat(601) })).problem(422);
    post(json!({ "question": "What happened?", "case": 1, "investigation": 1 })).problem(422);
    post(json!({ "question": "What happened?", "case": 77 })).problem(404);
    post(json!({ "question": "Who?", "after": "soon" })).problem(400);
    post(json!({ "question": 7 })).problem(422);
    post(json!({})).problem(422);
}

#[test]
fn a_case_is_asked_about() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let answer = ask(&server, &json!({ "question": "What is the verdict?", "investigation": alert }));
    assert_eq!(answer["how"], "recorded", "{answer}");
    let report = get(server.addr, &format!("/v1/investigations/{alert}")).expect_ok();
    let verdict = report["verdict"].as_str().unwrap();
    assert!(answer["answer"].as_str().unwrap().to_lowercase().contains(verdict), "{answer}");
    let page = get(server.addr, &format!("/investigations/{alert}")).text();
    assert!(page.contains(&format!("href=\"/ask?investigation={alert}\"")));
}

#[test]
fn the_form_works_without_a_script() {
    let server = with_log();
    let page = get(server.addr, "/ask?question=Who+ran+systemctl%3F").text();
    assert!(page.contains("value=\"Who ran systemctl?\"") && page.contains("action=\"/ask\""), "{page}");
    let form = |body: &str| {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("origin", "null"),
        ];
        send(server.addr, "POST", "/ask", &headers, body.as_bytes())
    };
    let answered = form("question=Who+ran+systemctl+on+kiosk07%3F");
    assert_eq!(answered.status, 200, "{}", answered.text());
    let text = answered.page();
    assert!(text.contains("operator1") && text.contains("href=\"/events/"), "{text}");
    assert!(form("question=Who+logged+on+to+ws99%3F").text().contains("not known"));
    let refused = form("question=+");
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("Not answered."));
}
