//! Playbooks, rules and models: what is in use is shown, what somebody types is looked at and tried, and nothing of that
//! changes what is in use.

use crate::client::{Response, get, post_json, send};
use crate::running::{INTRUSION, Running, config, start};
use serde_json::{Value, json};

#[track_caller]
fn page(server: &Running, path: &str) -> String {
    let response = get(server.addr, path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    assert!(response.body.len() < 150_000, "{path} has {} bytes", response.body.len());
    response.page()
}

/// Asks for a try, follows it to its end, and gives what came out.
#[track_caller]
fn tried(server: &Running, path: &str, asked: &Value) -> Value {
    let answer = post_json(server.addr, path, asked);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_u64().unwrap();
    let stream = get(server.addr, &format!("/v1/tries/{id}/stream")).text();
    assert!(stream.contains("event: done"), "{stream}");
    let done = get(server.addr, &format!("/v1/tries/{id}")).expect_ok();
    assert_eq!(done["status"], "done", "{done}");
    done
}

/// The source of the playbook that the alert's investigation followed, and its name.
#[track_caller]
fn followed(server: &Running, alert: u64) -> (String, String) {
    let case = get(server.addr, &format!("/v1/investigations/{alert}")).expect_ok();
    let name = case["playbook"]["name"].as_str().unwrap().to_owned();
    let whole = get(server.addr, &format!("/v1/playbooks/{name}")).expect_ok();
    (whole["text"].as_str().unwrap().to_owned(), name)
}

/// `text` with its version raised.
fn raised(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("version")).unwrap();
    text.replacen(line, "version = 999", 1)
}

#[track_caller]
fn record(server: &Running, action: &str) -> Vec<Value> {
    let audit = get(server.addr, "/v1/audit").expect_ok();
    audit["audit"].as_array().unwrap().iter().filter(|line| line["action"] == action).cloned().collect()
}

#[track_caller]
fn form(server: &Running, path: &str, fields: &[(&str, &str)]) -> Response {
    let encode = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("origin", "null"),
    ];
    send(server.addr, "POST", path, &headers, body.join("&").as_bytes())
}

#[test]
fn playbooks_are_shown_with_what_became_of_them() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let (text, name) = followed(&server, alert);
    let close = json!({ "verdict": "malicious", "reason": "it was", "by": "mira" });
    assert_eq!(post_json(server.addr, &format!("/v1/alerts/{alert}/close"), &close).status, 200);

    let list = get(server.addr, "/v1/playbooks").expect_ok();
    let row = list["playbooks"].as_array().unwrap().iter().find(|row| row["name"] == *name).unwrap();
    assert_eq!(row["used"], 1);
    let closed = &row["closed"];
    let all: u64 = ["agreed", "disagreed", "undecided"].iter().map(|key| closed[key].as_u64().unwrap()).sum();
    assert_eq!(all, 1, "{row}");
    assert_eq!(text, fs_err::read_to_string(config("playbooks").join(format!("{name}.toml"))).unwrap());

    assert!(page(&server, "/playbooks").contains(&format!("href=\"/playbooks/{name}\"")));
    let shown = page(&server, &format!("/playbooks/{name}"));
    for part in ["id=\"L1\"", "Which alerts choose it", "Questions for the model", "Edit and try"] {
        assert!(shown.contains(part), "{part}");
    }
    assert!(shown.contains(&format!("href=\"/investigations/{alert}\"")));
    assert_eq!(get(server.addr, "/v1/playbooks/none").status, 404);
    assert_eq!(get(server.addr, "/playbooks/none").status, 404);
}

#[test]
fn rules_are_found_by_word_technique_and_level() {
    let server = start();
    let alert = server.ingest_intrusion();
    let all = get(server.addr, "/v1/rules?limit=1000").expect_ok();
    let total = all["total"].as_u64().unwrap();
    assert!(total > 20 && all["loaded"] == all["total"]);
    let some = get(server.addr, "/v1/rules?limit=2&skip=1").expect_ok();
    assert_eq!(some["rules"][0], all["rules"][1]);
    assert_eq!(some["rules"].as_array().unwrap().len(), 2);
    let high = get(server.addr, "/v1/rules?level=high&limit=1000").expect_ok();
    assert!(high["rules"].as_array().unwrap().iter().all(|rule| rule["level"] == "high"));
    let by_technique = get(server.addr, "/v1/rules?technique=t1059").expect_ok();
    assert!(by_technique["total"].as_u64().unwrap() > 0);
    for rule in by_technique["rules"].as_array().unwrap() {
        assert!(rule["techniques"].to_string().contains("T1059"), "{rule}");
    }
    assert_eq!(get(server.addr, "/v1/rules?q=nothinglikethis").expect_ok()["total"], 0);
    for wrong in ["?level=worst", "?limit=0", "?limit=1001", "?sort=colour", "?skip=-1", "?colour=red"] {
        get(server.addr, &format!("/v1/rules{wrong}")).problem(400);
    }

    // The one that raised the alert counts it, and comes first.
    let first = &get(server.addr, "/v1/rules?sort=alerts").expect_ok()["rules"][0];
    assert!(first["alerts"].as_u64().unwrap() >= 1);
    let rule = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["origin"]["rule"].clone();
    let rule = rule.as_str().unwrap();
    let whole = get(server.addr, &format!("/v1/rules/{rule}")).expect_ok();
    assert_eq!(whole["alerts"], 1);
    assert_eq!(whole["history"]["alerts"][0]["id"], alert);
    assert_eq!(whole["history"]["days"]["2026-03-02"], 1);
    assert!(whole["text"].as_str().unwrap().contains(rule));
    let shown = page(&server, &format!("/rules/{rule}"));
    assert!(shown.contains(&format!("href=\"/alerts/{alert}\"")) && shown.contains("id=\"L3\""));
    let list = page(&server, "/rules?technique=T1059");
    assert!(list.contains(" of ") && list.contains("class=\"filterbar") || list.contains("filterbar"));
    assert!(page(&server, "/rules?q=%3Cscript%3E").contains("value=\"&lt;script&gt;\""));
    assert_eq!(get(server.addr, "/v1/rules/none").status, 404);
    let many = ["a"; 17].join("+");
    assert!(get(server.addr, &format!("/v1/rules?q={many}")).problem(400).contains("17 words"));
    assert_eq!(get(server.addr, &format!("/v1/rules?q={}", &many[2..])).status, 200);
}

#[test]
fn models_say_that_there_is_none() {
    let server = start();
    let shown = page(&server, "/models");
    assert!(shown.contains("No language model is loaded") && shown.contains("Embedding model"));
}

#[test]
fn a_playbook_that_is_typed_is_told_where_it_is_wrong() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let (text, name) = followed(&server, alert);
    let check =
        |text: &str| post_json(server.addr, "/v1/playbooks/validate", &json!({ "text": text })).expect_ok();
    let good = check(&text);
    assert_eq!((&good["valid"], &good["names"][0]), (&json!(true), &json!(name)));
    let tests = good["tests"].as_array().unwrap();
    assert!(!tests.is_empty() && tests.iter().all(|test| test["passed"] == true), "{good}");

    let broken = check(&text.replace("threshold = 0.9", "threshold = 9"));
    assert_eq!(broken["valid"], false);
    let remark = &broken["remarks"][0];
    let line = remark["line"].as_u64().unwrap() as usize;
    assert!(text.lines().nth(line - 1).unwrap().starts_with("threshold"), "{remark}");

    // A test that no longer holds, and a version that was not raised.
    let wrong = check(&text.replace("encoded = \"yes\"", "encoded = \"no\""));
    assert_eq!(wrong["valid"], true);
    if text.contains("encoded = \"yes\"") {
        assert!(wrong["tests"].as_array().unwrap().iter().any(|test| test["passed"] == false), "{wrong}");
        assert!(wrong["remarks"][0]["text"].as_str().unwrap().contains("raise it"));
    }

    // On record, with the hash of what was looked at.
    let rows = record(&server, "check playbook");
    assert_eq!(rows.len(), 3);
    let subject = format!("text {}", good["sha256"].as_str().unwrap());
    assert!(rows.iter().any(|row| row["subject"] == *subject), "{rows:?}");
    // The stores of the tests are gone.
    let scratch = server.pipeline.data_dir().join("scratch");
    assert_eq!(fs_err::read_dir(scratch).unwrap().count(), 0);
}

#[test]
fn hostile_texts_are_refused_and_nothing_else() {
    let server = start();
    let deep = "[".repeat(60_000);
    let pairs = "a = { b = ".repeat(6_000);
    let long = "a".repeat(70_000);
    let tables: String =
        (0..3_000).map(|number| format!("[{}]\n", "a.".repeat(number % 9 + 1) + "x")).collect();
    let bomb = "title: x\nlogsource: {product: windows}\ndetection:\n  s:\n    A|re: '(a{1000}){1000}'\n  condition: s\n";
    let not = format!(
        "title: x\nlogsource: {{product: windows}}\ndetection:\n  s: {{A: b}}\n  condition: {}s\n",
        "not ".repeat(10_000)
    );
    for text in ["", "\u{0}", "\u{202e}", "%", deep.as_str(), &pairs, &long, &tables, bomb, &not] {
        for path in ["/v1/playbooks/validate", "/v1/rules/validate"] {
            let answer = post_json(server.addr, path, &json!({ "text": text }));
            if text.len() > 65_536 {
                answer.problem(413);
            } else {
                assert_eq!(answer.expect_ok()["valid"], false, "{path} {text:.60}");
            }
        }
        for path in ["/v1/playbooks/try", "/v1/rules/try"] {
            let answer = post_json(server.addr, path, &json!({ "text": text }));
            assert!(matches!(answer.status, 413 | 422), "{path} {text:.60}: {}", answer.text());
        }
    }
    assert_eq!(get(server.addr, "/healthz").status, 200);
}

#[test]
fn a_playbook_is_tried_on_a_past_case_and_nothing_is_stored() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let before = get(server.addr, &format!("/v1/investigations/{alert}")).text();
    let (text, name) = followed(&server, alert);

    // The same places: from what was kept, to the same verdict.
    let edited = raised(&text);
    let done = tried(&server, "/v1/playbooks/try", &json!({ "text": edited, "alert": alert }));
    let case = &done["outcome"]["playbook"]["cases"][0];
    assert_eq!(case["changed"], false, "{case}");
    assert_eq!(case["retrieved_anew"], false);
    assert_eq!(case["now"]["version"], 999);
    assert_eq!(case["then"]["probability"], case["now"]["probability"]);
    assert!(case["facts"].as_array().unwrap().iter().all(|fact| fact["changed"] == false));
    assert!(case["now"]["method"].as_str().unwrap().contains("no model is loaded"));

    // Other places are looked at anew, and a question that is gone is no longer answered.
    let line = edited.lines().find(|line| line.starts_with("before_minutes")).unwrap();
    let narrow = edited.replacen(line, "before_minutes = 1", 1);
    let done = tried(&server, "/v1/playbooks/try", &json!({ "text": narrow, "alert": alert }));
    assert_eq!(done["outcome"]["playbook"]["cases"][0]["retrieved_anew"], true);

    assert_eq!(get(server.addr, &format!("/v1/investigations/{alert}")).text(), before);
    let rows = record(&server, "try playbook");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["subject"], format!("text {}", done["sha256"].as_str().unwrap()));
    assert_eq!(rows[0]["now"]["names"][0], *name);

    let id = done["id"].as_u64().unwrap();
    let shown = page(&server, &format!("/tries/{id}"));
    assert!(shown.contains("Nothing of this is stored") && shown.contains("looked for anew"), "{shown}");
    let file = get(server.addr, &format!("/v1/tries/{id}/text"));
    assert_eq!((file.text(), file.status), (narrow, 200));
    assert!(file.header("content-disposition").contains(&format!("{name}.toml")));

    // What was never investigated, or is asked for in two ways.
    let ask = |on: Value| {
        let mut asked = json!({ "text": edited });
        asked.as_object_mut().unwrap().extend(on.as_object().unwrap().clone());
        post_json(server.addr, "/v1/playbooks/try", &asked)
    };
    ask(json!({ "alert": 99 })).problem(404);
    ask(json!({ "alert": alert, "last": 2 })).problem(422);
    ask(json!({ "last": 51 })).problem(422);
    get(server.addr, "/v1/tries/99").problem(404);
}

#[test]
fn what_a_playbook_would_change_is_counted_against_what_people_said() {
    let server = start();
    let answer = server.ingest(INTRUSION);
    let alerts: Vec<u64> =
        answer["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_u64().unwrap()).collect();
    for alert in &alerts {
        server.investigate(*alert);
    }
    let close = json!({ "verdict": "benign", "reason": "an exercise", "by": "mira" });
    assert_eq!(post_json(server.addr, &format!("/v1/alerts/{}/close", alerts[0]), &close).status, 200);
    let (text, name) = followed(&server, alerts[0]);
    let done = tried(&server, "/v1/playbooks/try", &json!({ "text": raised(&text), "last": 50 }));
    let outcome = &done["outcome"]["playbook"];
    let cases = outcome["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && cases.len() == outcome["of"].as_u64().unwrap() as usize);
    assert!(cases.iter().all(|case| case["then"]["playbook"] == *name && case["changed"] == false));
    let summary = &outcome["summary"];
    assert_eq!(
        (&summary["closed"], &summary["changed"], &summary["failed"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(summary["agreed_then"], summary["agreed_now"]);

    // One that takes nothing any more leaves its past alerts to others.
    let idle = "name = \"NAME\"\ntitle = \"t\"\nversion = 999\nnext_steps = [\"x\"]\n[match]\nrules = [\"none\"]\n[retrieval]\nbefore_minutes = 5\nafter_minutes = 5\nsemantic = \"x\"\n";
    let done =
        tried(&server, "/v1/playbooks/try", &json!({ "text": idle.replace("NAME", &name), "last": 50 }));
    let cases = done["outcome"]["playbook"]["cases"].as_array().unwrap();
    assert!(cases.iter().all(|case| case["now"]["playbook"] != *name), "{done}");
    // And a new one with a better claim takes them.
    let rule = get(server.addr, &format!("/v1/alerts/{}", alerts[0])).expect_ok()["origin"]["rule"].clone();
    let own = idle.replace("NAME", "brand-new").replace("none", rule.as_str().unwrap());
    let done = tried(&server, "/v1/playbooks/try", &json!({ "text": own, "last": 50 }));
    let cases = done["outcome"]["playbook"]["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["now"]["playbook"], "brand-new");
    page(&server, &format!("/tries/{}", done["id"]));
}

const WHOAMI: &str = "title: Whoami\nid: 11111111-0000-4000-8000-000000000001\nlogsource:\n    product: windows\n    category: process_creation\ndetection:\n    selection:\n        Image|endswith: '\\whoami.exe'\n    condition: selection\nlevel: high\n";

#[test]
fn a_rule_is_tried_on_stored_events() {
    let server = start();
    let alert = server.ingest_intrusion();
    let checked = post_json(server.addr, "/v1/rules/validate", &json!({ "text": WHOAMI })).expect_ok();
    assert_eq!(checked["valid"], true, "{checked}");
    let before = get(server.addr, "/v1/alerts").text();
    let done = tried(&server, "/v1/rules/try", &json!({ "text": WHOAMI }));
    let outcome = &done["outcome"]["rule"];
    assert_eq!((&outcome["examined"], &outcome["matches"]), (&json!(4), &json!(1)), "{outcome}");
    assert_eq!((&outcome["alerts"], &outcome["new_alerts"]), (&json!(1), &json!(1)));
    assert_eq!(outcome["samples"][0]["event"], 2);
    assert_eq!(outcome["days"]["2026-03-02"], 1);
    let none = tried(&server, "/v1/rules/try", &json!({ "text": WHOAMI, "events": 1 }));
    assert_eq!(none["outcome"]["rule"]["matches"], 0);

    // The rule that raised the alert, narrowed until it would not.
    let rule = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["origin"]["rule"].clone();
    let rule = rule.as_str().unwrap().to_owned();
    let text =
        get(server.addr, &format!("/v1/rules/{rule}")).expect_ok()["text"].as_str().unwrap().to_owned();
    let same = tried(&server, "/v1/rules/try", &json!({ "text": text }));
    let outcome = &same["outcome"]["rule"];
    assert!(outcome["matches"].as_u64().unwrap() >= 1);
    assert_eq!((&outcome["new_alerts"], &outcome["no_longer"]), (&json!(0), &json!([])), "{outcome}");
    let close = json!({ "verdict": "malicious", "reason": "it was", "by": "mira" });
    assert_eq!(post_json(server.addr, &format!("/v1/alerts/{alert}/close"), &close).status, 200);
    let narrowed = WHOAMI.replace("11111111-0000-4000-8000-000000000001", &rule);
    let done = tried(&server, "/v1/rules/try", &json!({ "text": narrowed }));
    let lost = &done["outcome"]["rule"]["no_longer"][0];
    assert_eq!((&lost["alert"], &lost["closed"]), (&json!(alert), &json!("malicious")));
    let again = tried(&server, "/v1/rules/try", &json!({ "text": text }));
    assert_eq!(again["outcome"]["rule"]["closed_malicious"], 1);

    let shown = page(&server, &format!("/tries/{}", done["id"]));
    assert!(shown.contains("would no longer raise"));
    assert!(record(&server, "try rule").len() >= 4);
    // No alert came of it, but that one was closed.
    let after = get(server.addr, "/v1/alerts").expect_ok();
    let total: Value = serde_json::from_str(&before).unwrap();
    assert_eq!(after["total"], total["total"]);
    for wrong in [json!({ "events": 0 }), json!({ "events": 2_000_001 }), json!({ "days": 0 })] {
        let mut asked = json!({ "text": WHOAMI });
        asked.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        post_json(server.addr, "/v1/rules/try", &asked).problem(422);
    }
}

#[test]
fn forms_check_try_and_hand_out_the_file() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.investigate(alert);
    let (text, name) = followed(&server, alert);
    let draft = page(&server, &format!("/drafts/playbook?of={name}"));
    assert!(draft.contains("<textarea") && draft.contains("next_steps"));
    page(&server, "/drafts/playbook");
    page(&server, "/drafts/rule");
    assert_eq!(get(server.addr, "/drafts/rule?of=none").status, 404);

    // As browsers send it: with carriage returns.
    let sent = text.replace('\n', "\r\n");
    let checked = form(&server, "/drafts/playbook", &[("text", &sent), ("of", &name), ("do", "check")]);
    assert_eq!(checked.status, 200, "{}", checked.text());
    assert!(checked.text().contains("It can be used") && checked.text().contains("Passed"));
    let wrong =
        form(&server, "/drafts/playbook", &[("text", "name = \"<b>\""), ("do", "one"), ("alert", "1")]);
    assert_eq!(wrong.status, 200);
    assert!(wrong.text().contains("It cannot be used yet") && !wrong.text().contains("<b>"));

    let number = alert.to_string();
    let one = form(&server, "/drafts/playbook", &[("text", &sent), ("do", "one"), ("alert", &number)]);
    assert_eq!((one.status, one.header("location")), (303, "/tries/1"));
    get(server.addr, "/v1/tries/1/stream");
    let past = form(&server, "/drafts/playbook", &[("text", &sent), ("do", "past"), ("last", "5")]);
    assert_eq!((past.status, past.header("location")), (303, "/tries/2"));
    assert_eq!(
        form(&server, "/drafts/playbook", &[("text", &sent), ("do", "past"), ("last", "x")]).status,
        422
    );
    let rule =
        form(&server, "/drafts/rule", &[("text", WHOAMI), ("do", "past"), ("events", "100"), ("days", "")]);
    assert_eq!((rule.status, rule.header("location")), (303, "/tries/3"));
    get(server.addr, "/v1/tries/3/stream");
    assert_eq!(form(&server, "/tries/3/stop", &[]).status, 303);
    let file = form(&server, "/drafts/rule", &[("text", WHOAMI), ("do", "download")]);
    assert_eq!(
        (file.text().as_str(), file.header("content-disposition")),
        (WHOAMI, "attachment; filename=\"rule.yml\"")
    );
    // Another page's form is not taken.
    let foreign = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
    assert_eq!(send(server.addr, "POST", "/drafts/rule", &foreign, b"text=x").status, 403);
}
