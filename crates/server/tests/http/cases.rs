//! Cases, and what people decide about them.

use crate::client::{get, post_json, send};
use crate::running::start;
use serde_json::{Value, json};

#[test]
fn alerts_are_cases_that_people_close_and_open() {
    let server = start();
    let alert = server.ingest_intrusion();
    let id = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["case"].as_u64().unwrap();
    let path = format!("/v1/cases/{id}");
    let case = get(server.addr, &path).expect_ok();
    assert!(case["alerts"].as_array().unwrap().iter().any(|row| row["id"] == alert), "{case}");
    assert!(case["closed"].is_null() && case["title"].is_string());
    let list = get(server.addr, "/v1/cases").expect_ok();
    assert_eq!(list["total"], list["cases"].as_array().unwrap().len());

    let close = json!({ "verdict": "benign", "reason": " an exercise <b> ", "by": "mira" });
    let closed = post_json(server.addr, &format!("{path}/close"), &close).expect_ok();
    assert_eq!(closed["closed"]["reason"], "an exercise <b>");
    assert_eq!(closed["alerts"][0]["closed"]["by"], "mira");
    assert_eq!(get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["closed"]["verdict"], "benign");
    let close = json!({ "verdict": "malicious", "reason": "it was none", "by": "jo" });
    post_json(server.addr, &format!("{path}/close"), &close).expect_ok();
    let open = post_json(server.addr, &format!("{path}/reopen"), &json!({ "by": "jo" })).expect_ok();
    assert!(open["closed"].is_null() && open["alerts"][0]["closed"].is_null());
    let decisions = decisions(server.addr);
    assert_eq!(decisions[0]["action"], "reopen");
    assert_eq!(decisions[1]["previous"]["by"], "mira");
    assert_eq!(decisions[2]["previous"], json!(null));
}

#[test]
fn decisions_that_make_no_sense_are_refused() {
    let server = start();
    let alert = server.ingest_intrusion();
    let close = |path: &str, body: Value| post_json(server.addr, path, &body);
    let good = json!({ "verdict": "benign", "reason": "r", "by": "b" });
    assert!(close("/v1/cases/99/close", good.clone()).problem(404).contains("/v1/cases"));
    assert!(close("/v1/alerts/99/close", good).problem(404).contains("/v1/alerts"));
    let path = format!("/v1/alerts/{alert}/close");
    close(&path, json!({ "verdict": "suspicious", "reason": "r", "by": "b" })).problem(422);
    close(&path, json!({ "verdict": "benign", "reason": "r" })).problem(422);
    let detail = close(&path, json!({ "verdict": "benign", "reason": "  ", "by": "b" })).problem(422);
    assert!(detail.contains("the reason has 0 characters"), "{detail}");
    let long = "x".repeat(101);
    close(&path, json!({ "verdict": "benign", "reason": "r", "by": long })).problem(422);
    assert_eq!(decisions(server.addr), Vec::<Value>::new());
}

#[test]
fn the_page_closes_a_case() {
    let server = start();
    let alert = server.ingest_intrusion();
    let id = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["case"].as_u64().unwrap();
    let page = get(server.addr, &format!("/cases/{id}")).text();
    assert!(
        page.contains(&format!("action=\"/cases/{id}/feedback\"")) && page.contains("value=\"close\""),
        "{page}"
    );
    assert!(get(server.addr, "/cases").text().contains(&format!("href=\"/cases/{id}\"")));

    let origin = format!("http://{}", server.addr);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    let body = b"verdict=malicious&reason=dumped+%3Cscript%3E&by=mira";
    let answer = send(server.addr, "POST", &format!("/cases/{id}/close"), &form, body);
    assert_eq!((answer.status, answer.header("location")), (303, format!("/cases/{id}").as_str()));
    let page = get(server.addr, &format!("/cases/{id}")).text();
    assert!(page.contains("dumped &#60;script&#62;") || page.contains("dumped &lt;script&gt;"), "{page}");
    assert!(!page.contains("<script>dumped") && page.contains("value=\"reopen\""));
    assert!(get(server.addr, &format!("/alerts/{alert}")).text().contains("Closed as"));
    let answer = send(server.addr, "POST", &format!("/cases/{id}/reopen"), &form, b"by=mira");
    assert_eq!(answer.status, 303);
    let path = format!("/alerts/{alert}/close");
    assert_eq!(send(server.addr, "POST", &path, &form, b"verdict=benign&reason=r&by=b").status, 303);

    // Another page's form is not taken, and one that is not filled in is explained.
    let foreign = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
    assert_eq!(send(server.addr, "POST", &path, &foreign, body).status, 403);
    let answer = send(server.addr, "POST", &path, &form, b"verdict=benign&reason=&by=b");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("the reason has 0 characters"));
    let long = vec![b'a'; 70_000];
    assert_eq!(send(server.addr, "POST", &path, &form, &long).status, 413);
}

/// What was decided, newest first, as the record has it.
fn decisions(address: std::net::SocketAddr) -> Vec<Value> {
    let audit = get(address, "/v1/audit").expect_ok();
    let lines = audit["audit"].as_array().unwrap().iter();
    lines.filter(|line| line["action"] == "close" || line["action"] == "reopen").cloned().collect()
}
