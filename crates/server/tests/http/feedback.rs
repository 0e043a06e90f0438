//! What people say of verdicts, and that it counts from then on.

use crate::client::{get, post_json, send};
use crate::queue::{daily, until_idle};
use crate::running::{Running, start};
use serde_json::{Value, json};

#[track_caller]
fn say(server: &Running, alert: u64, said: &Value) -> Value {
    post_json(server.addr, &format!("/v1/alerts/{alert}/feedback"), said).expect_ok()
}

#[track_caller]
fn report(server: &Running, id: u64) -> Value {
    get(server.addr, &format!("/v1/investigations/{id}/report.json")).expect_ok()
}

/// What is on record about alerts and cases, newest first: what was done, and about what.
fn record(server: &Running) -> Vec<(String, String)> {
    let audit = get(server.addr, "/v1/audit").expect_ok();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = audit["audit"].as_array().unwrap().iter();
    let all = lines.map(|line| (text(line, "action"), text(line, "subject")));
    all.filter(|(_, subject)| subject.starts_with("alert ") || subject.starts_with("case ")).collect()
}

#[test]
fn people_agree_disagree_assign_and_close() {
    let server = start();
    let alert = server.ingest_intrusion();
    let path = format!("/v1/alerts/{alert}/feedback");
    let early = post_json(server.addr, &path, &json!({ "act": "agree", "by": "mira" }));
    assert!(early.problem(422).contains("no verdict yet"));
    server.investigate(alert);
    let verdict = report(&server, alert)["verdict"].as_str().unwrap().to_owned();

    let said = say(&server, alert, &json!({ "act": "agree", "by": "mira" }));
    assert_eq!((&said["feedback"]["of"], &said["feedback"]["agrees"]), (&json!(verdict), &json!(true)));
    let truth = match verdict.as_str() {
        "malicious" | "benign" => json!(verdict),
        _ => json!(null),
    };
    assert_eq!(said["feedback"]["truth"], truth, "who agrees that nothing is known knows nothing");
    assert!(say(&server, alert, &json!({ "act": "withdraw", "by": "mira" }))["feedback"].is_null());

    let otherwise = if verdict == "benign" { "malicious" } else { "benign" };
    for (wrong, told) in [
        (json!({ "act": "disagree", "by": "mira", "reason": "r" }), "say what it was"),
        (json!({ "act": "disagree", "by": "mira", "verdict": otherwise }), "the reason has 0 characters"),
        (json!({ "act": "close", "by": "mira", "reason": "r" }), "say what it was"),
        (json!({ "act": "assign", "to": "x".repeat(101), "by": "mira" }), "101 characters"),
        (json!({ "act": "agree" }), "say who you are"),
        (json!({ "act": "shrug", "by": "mira" }), "shrug"),
    ] {
        let detail = post_json(server.addr, &path, &wrong).problem(422);
        assert!(detail.contains(told), "{detail}");
    }
    let said =
        json!({ "act": "disagree", "verdict": otherwise, "reason": "a drill", "by": "jo", "close": true });
    let said = say(&server, alert, &said);
    assert_eq!(
        (&said["feedback"]["truth"], &said["closed"]["verdict"]),
        (&json!(otherwise), &json!(otherwise))
    );
    let assigned = say(&server, alert, &json!({ "act": "assign", "to": " mira ", "by": "jo" }));
    assert_eq!(assigned["assigned"]["to"], "mira");
    assert!(say(&server, alert, &json!({ "act": "reopen", "by": "jo" }))["closed"].is_null());
    let done: Vec<String> = record(&server).into_iter().map(|(action, _)| action).collect();
    assert_eq!(done[..6], ["reopen", "assign", "close", "disagree", "withdraw", "agree"]);
    post_json(server.addr, "/v1/alerts/999/feedback", &json!({ "act": "reopen", "by": "x" })).problem(404);
}

#[test]
fn many_alerts_are_decided_at_once_or_none() {
    let server = start();
    server.ingest_intrusion();
    let alerts = get(server.addr, "/v1/alerts").expect_ok();
    let ids: Vec<u64> =
        alerts["alerts"].as_array().unwrap().iter().map(|a| a["id"].as_u64().unwrap()).collect();
    assert!(ids.len() > 1);
    let close = |ids: &[u64]| json!({ "alerts": ids, "act": "close", "verdict": "benign", "reason": "drill", "by": "mira" });
    let missing: Vec<u64> = ids.iter().copied().chain([999]).collect();
    post_json(server.addr, "/v1/alerts/feedback", &close(&missing)).problem(404);
    assert!(record(&server).is_empty(), "all or nothing");
    post_json(server.addr, "/v1/alerts/feedback", &close(&[])).problem(422);
    let done = post_json(server.addr, "/v1/alerts/feedback", &close(&ids)).expect_ok();
    assert_eq!(done["done"], ids.len());
    let record = record(&server);
    assert_eq!(record.len(), ids.len(), "a row for each: {record:?}");
    assert!(record.iter().all(|(action, _)| action == "close"));

    // The same by the page's form.
    let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let marked: String = ids.iter().map(|id| format!("alert={id}&")).collect();
    let body = format!("{marked}act=reopen&by=mira&next=/?state=all");
    let answer = send(server.addr, "POST", "/alerts/feedback", &form, body.as_bytes());
    assert_eq!((answer.status, answer.header("location")), (303, "/?state=all"));
    let foreign = format!("{marked}act=reopen&by=mira&next=//evil.example");
    let answer = send(server.addr, "POST", "/alerts/feedback", &form, foreign.as_bytes());
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let answer = send(server.addr, "POST", "/alerts/feedback", &form, b"act=reopen&by=mira");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("no alert is selected"));
    let elsewhere = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    assert_eq!(send(server.addr, "POST", "/alerts/feedback", &elsewhere, body.as_bytes()).status, 403);
}

#[test]
fn the_page_takes_feedback_on_an_alert_and_a_case() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let case = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["case"].as_u64().unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let page = get(server.addr, &format!("/alerts/{alert}")).text();
    for part in ["data-key=\"a\"", "data-key=\"d\"", "data-key=\"r\"", "data-key=\"c\"", "name=\"by\""] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let path = format!("/alerts/{alert}/feedback");
    let body = b"act=disagree&verdict=benign&reason=%3Cb%3Edrill&by=mira&next=%2F";
    let answer = send(server.addr, "POST", &path, &form, body);
    assert_eq!((answer.status, answer.header("location")), (303, "/"), "{}", answer.text());
    let page = get(server.addr, &format!("/alerts/{alert}")).text();
    assert!(page.contains("<strong>disagreed</strong>") && page.contains("&lt;b&gt;drill"), "{page}");
    let path = format!("/cases/{case}/feedback");
    assert_eq!(send(server.addr, "POST", &path, &form, b"act=assign&to=jo&by=mira").status, 303);
    assert!(get(server.addr, &format!("/cases/{case}")).text().contains("Assigned to <strong>jo</strong>"));
    assert_eq!(get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["assigned"]["to"], "jo");
    assert_eq!(send(server.addr, "POST", &path, &form, b"act=agree&by=mira").status, 303);
    assert_eq!(send(server.addr, "POST", &path, &form, b"act=agree&by=mira&x=1").status, 422);
}

/// An alert is judged by the work done on an earlier one; a person disagrees with it; the next one like it is judged
/// anew, and shows what the person said.
#[test]
fn a_disagreement_changes_the_next_similar_alert() {
    let server = start();
    for n in 1..=8 {
        server.ingest(&daily(n * 3, "net user /domain"));
    }
    let raise = |event: u64| {
        let alert =
            json!({ "title": "Account query", "severity": "medium", "events": [event], "product": "edr" });
        post_json(server.addr, "/v1/alerts", &alert).json()["id"].as_u64().unwrap()
    };
    let ids: Vec<u64> = (1..=7).map(raise).collect();
    let last = raise(8);
    let close = json!({ "act": "close", "verdict": "benign", "reason": "later", "by": "mira" });
    say(&server, last, &close);
    let server = server.restart(true);
    let begun = std::time::Instant::now();
    while get(server.addr, "/v1/investigations").expect_ok()["total"] != ids.len() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
        std::thread::yield_now();
    }
    let used: Vec<Value> = ids.iter().map(|id| report(&server, *id)["reused_from"].clone()).collect();
    assert!(used.iter().any(|used| !used.is_null()), "verdicts are used again: {used:?}");
    // Without the dispute the next one would be judged by this one, or by what this one was judged by.
    let disputed = ids[ids.len() - 1];
    let verdict = report(&server, disputed)["verdict"].as_str().unwrap().to_owned();
    let otherwise = if verdict == "malicious" { "benign" } else { "malicious" };
    let said = json!({ "act": "disagree", "verdict": otherwise, "reason": "seen on bob's desk", "by": "jo" });
    say(&server, disputed, &said);

    say(&server, last, &json!({ "act": "reopen", "by": "mira" }));
    until_idle(&server);
    let next = report(&server, last);
    assert!(next["reused_from"].is_null(), "{next}");
    let similar = &next["similar_closed"][0];
    assert_eq!((&similar["verdict"], &similar["reason"]), (&json!(otherwise), &json!("seen on bob's desk")));
    let page = get(server.addr, &format!("/investigations/{last}")).text();
    assert!(page.contains("seen on bob&#39;s desk"), "{page}");
}
