//! Is `/openapi.json` true? Answers of a real server over the sample incident are held to it, field by field; and every
//! endpoint that it names is asked by schemathesis, as an administrator and in each role, with what the document allows
//! and what it does not, one request leading to the next: never a fault of the server, nor an answer of another kind than
//! the document says. That part is skipped, with a message, where schemathesis is not installed (`.ci/run` gets it).
//!
//! What each role may do at all is held by `access.rs`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::described::Reader;
use common::http::get;
use common::schema::{resolved, vague};
use common::{Server, Site, data, models};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Examples for each operation; `CASEMATE_EXAMPLES` sets another number.
const USUAL_EXAMPLES: &str = "8";
const MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// What the first test cannot ask, and why.
const NOT_ASKED: [(&str, &str); 5] = [
    ("POST /v1/chat/completions", "needs a model: the second test asks"),
    ("POST /v1/completions", "needs a model: the second test asks"),
    ("POST /v1/embeddings", "needs a model: the second test asks"),
    ("GET /v1/models/{model}", "needs a model: the second test asks"),
    ("GET /search/tail", "tells of rows of a page"),
];

/// The sample incident, investigated without a model, and a token of an administrator.
fn incident() -> (Site, String) {
    let site = Site::new();
    let logs = data("incident/logs").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    let site_file = data("incident/site.toml").display().to_string();
    let done = site.run(&["investigate", "--all", "--model", "none", "--site", &site_file]);
    assert_eq!(done.code, 0, "{done:?}");
    let made = site.run(&["token", "create", "admin", "--role", "admin"]);
    let token = made.json["secret"].as_str().unwrap().to_owned();
    (site, token)
}

fn numbers(list: &Value, name: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|row| row[name].to_string().trim_matches('"').to_owned()).collect()
}

const WHOAMI: &str = "title: Whoami\nid: 11111111-0000-4000-8000-000000000001\nlogsource:\n    product: windows\n    \
    category: process_creation\ndetection:\n    selection:\n        Image|endswith: '\\whoami.exe'\n    \
    condition: selection\nlevel: high\n";

#[test]
fn answers_are_as_described() {
    let (site, token) = incident();
    let backups = site.data_dir().with_file_name("backups").display().to_string();
    let serve = ["serve", "--model", "none", "--listen", "127.0.0.1:0", "--backup-dir", &backups];
    let server = Server::start(&mut site.command(&serve));
    let mut reader = Reader::new(&server, &token);

    taking_in(&mut reader);
    looking(&mut reader);
    knowing(&mut reader);
    deciding(&mut reader);
    following(&mut reader);
    files(&mut reader);
    asking_for_what_is_not_there(&mut reader);

    assert!(reader.faults.is_empty(), "{}", reader.faults.join("\n"));
    let not_asked: BTreeSet<String> = reader.operations().difference(&reader.asked).cloned().collect();
    let expected: BTreeSet<String> = NOT_ASKED.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    assert_eq!(not_asked, expected);
    server.end();
}

/// What comes in, understood or not, as each kind of sender sends it.
fn taking_in(reader: &mut Reader) {
    let none = json!({});
    let bytes = "application/octet-stream";
    let ingest = "/v1/ingest/{format}";
    reader.ask_as(
        "POST",
        ingest,
        "auto",
        bytes,
        "Oct 11 22:14:15 web1 sshd[1]: Accepted password for root from 10.0.0.9 port 22 ssh2\n{\"a\": \n",
        "*/*",
    );
    reader.ask("POST", "/v1/logs", "", &json!({ "resourceLogs": [] }));
    for path in ["/services/collector", "/services/collector/event"] {
        reader.ask("POST", path, "", &json!({ "event": "a b" }));
        reader.ask("POST", path, "", &json!({ "event": "" }));
    }
    reader.ask_as("POST", "/services/collector/raw", "", bytes, "a line\n", "*/*");
    reader.ask("POST", "/services/collector/ack", "", &json!({ "acks": [1] }));
    reader.ask("GET", "/services/collector/health", "", &none);
    let bulk = "{\"create\":{\"_index\":\"logs\"}}\n{\"message\":\"a\"}\n{\"delete\":{}}\n";
    for method in ["POST", "PUT"] {
        reader.ask_as(method, "/_bulk", "", "application/x-ndjson", bulk, "*/*");
        reader.ask_as(method, "/{index}/_bulk", "logs", "application/x-ndjson", bulk, "*/*");
    }
    for path in ["/_license", "/_xpack", "/_cluster/health", "/"] {
        reader.ask("GET", path, "", &none);
    }
    for path in [
        "/_index_template/{name}",
        "/_template/{name}",
        "/_ilm/policy/{name}",
        "/_data_stream/{name}",
        "/_ingest/pipeline/{name}",
    ] {
        reader.ask("GET", path, "logs", &none);
        reader.ask("PUT", path, "logs", &none);
    }
    let quarantined = reader.ask("GET", "/v1/quarantine", "", &none);
    let id = numbers(&quarantined["quarantined"], "id").swap_remove(0);
    reader.ask("GET", "/v1/quarantine/{id}", &id, &none);
    reader.ask("POST", "/v1/quarantine/retry", "", &none);
    reader.ask("GET", "/v1/sources", "", &none);
    let new = json!({ "title": "From elsewhere", "severity": "low", "events": [1], "product": "probe" });
    let alert = reader.ask("POST", "/v1/alerts", "", &new);
    reader.ask("GET", "/v1/alerts/{id}", &alert["id"].to_string(), &none);
}

/// Everything there is to look at.
fn looking(reader: &mut Reader) {
    let none = json!({});
    for query in ["?limit=1000", "?q=comsvcs", "?entity=host:prd01&order=oldest"] {
        reader.ask("GET", "/v1/events", query, &none);
    }
    let found = reader.ask("GET", "/v1/search", "?q=class:process_activity+host:prd01", &none);
    let event = numbers(&found["events"], "id").swap_remove(0);
    for place in [event.clone(), format!("{event}?format=ecs")] {
        reader.ask("GET", "/v1/events/{id}", &place, &none);
    }
    reader.ask("GET", "/v1/events/{id}/ancestors", &event, &none);
    for query in ["?q=ho", "?q=host:pr", "?q=format:w"] {
        reader.ask("GET", "/v1/suggest", query, &none);
    }
    reader.ask("GET", "/v1/aggregate", "?q=powershell&by=host,class,metadata.event_code&buckets=5", &none);
    reader.ask("GET", "/v1/entities/{entity}", "host:prd01", &none);
    for path in ["/v1/session", "/v1/queue", "/v1/system", "/v1/models", "/readyz", "/openapi.json"] {
        reader.ask("GET", path, "", &none);
    }
    reader.ask("GET", "/v1/audit", "?limit=500", &none);
    for (list, key, one) in [
        ("/v1/alerts", "alerts", "/v1/alerts/{id}"),
        ("/v1/cases", "cases", "/v1/cases/{id}"),
        ("/v1/cases", "cases", "/v1/cases/{id}/evidence"),
        ("/v1/investigations", "investigations", "/v1/investigations/{id}"),
        ("/v1/investigations", "investigations", "/v1/investigations/{id}/prompt"),
    ] {
        let found = reader.ask("GET", list, "", &none);
        for id in numbers(&found[key], "id") {
            reader.ask("GET", one, &id, &none);
        }
    }
    for (question, accept) in [
        ("Which hosts ran comsvcs.dll?", "application/json"),
        ("How many events are there on host prd01?", "text/event-stream"),
        ("What did the attacker have for breakfast?", "application/json"),
    ] {
        let body = json!({ "question": question }).to_string();
        reader.ask_as("POST", "/v1/ask", "", "application/json", &body, accept);
    }
    let message = |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} });
    for method in ["initialize", "ping", "tools/list", "nonsense"] {
        reader.ask("POST", "/mcp", "", &message(method));
    }
}

/// Playbooks and rules, and what texts of them would do.
fn knowing(reader: &mut Reader) {
    let none = json!({});
    let playbooks = reader.ask("GET", "/v1/playbooks", "", &none);
    for name in numbers(&playbooks["playbooks"], "name") {
        reader.ask("GET", "/v1/playbooks/{name}", &name, &none);
    }
    let rules = reader.ask("GET", "/v1/rules", "?sort=alerts", &none);
    for id in numbers(&rules["rules"], "id") {
        reader.ask("GET", "/v1/rules/{rule}", &id, &none);
    }
    let of_an_alert = reader.ask("GET", "/v1/investigations/{id}", "9", &none);
    let playbook = of_an_alert["playbook"]["name"].as_str().unwrap();
    let whole = reader.ask("GET", "/v1/playbooks/{name}", playbook, &none);
    let text = whole["text"].as_str().unwrap();
    for text in [text, "name = 3"] {
        reader.ask("POST", "/v1/playbooks/validate", "", &json!({ "text": text }));
    }
    for text in [WHOAMI, "title: x"] {
        reader.ask("POST", "/v1/rules/validate", "", &json!({ "text": text }));
    }
    let close = json!({ "verdict": "malicious", "reason": "it was", "by": "mira" });
    reader.ask("POST", "/v1/alerts/{id}/close", "9", &close);
    for (path, body) in [
        ("/v1/playbooks/try", json!({ "text": text, "last": 3 })),
        ("/v1/playbooks/try", json!({ "text": text, "alert": 9 })),
        ("/v1/rules/try", json!({ "text": WHOAMI })),
    ] {
        let id = reader.ask("POST", path, "", &body)["id"].to_string();
        reader.ask_as("GET", "/v1/tries/{id}/stream", &id, "", "", "*/*");
        let done = reader.ask("GET", "/v1/tries/{id}", &id, &none);
        assert_eq!(done["status"], "done", "{done}");
        reader.ask("POST", "/v1/tries/{id}/stop", &id, &none);
        reader.ask_as("GET", "/v1/tries/{id}/text", &id, "", "", "*/*");
    }
    reader.ask("POST", "/v1/alerts/{id}/reopen", "9", &json!({ "by": "mira" }));
}

/// What people decide.
fn deciding(reader: &mut Reader) {
    let disagree = json!({ "act": "disagree", "verdict": "benign", "reason": "a drill", "by": "mira" });
    let cases = reader.ask("GET", "/v1/cases", "", &json!({}));
    let row = cases["cases"].as_array().unwrap().iter().find(|row| row["verdict"] == "malicious").unwrap();
    let (case, alert) = (row["id"].to_string(), row["alerts"][0].to_string());
    for said in [
        json!({ "act": "assign", "to": "noor", "by": "mira" }),
        disagree,
        json!({ "act": "withdraw", "by": "mira" }),
        json!({ "act": "agree", "close": true, "by": "mira" }),
        json!({ "act": "reopen", "by": "mira" }),
        json!({ "act": "stand on its head" }),
    ] {
        reader.ask("POST", "/v1/alerts/{id}/feedback", &alert, &said);
    }
    let many = json!({ "act": "assign", "to": "noor", "by": "mira", "alerts": [1, 2] });
    reader.ask("POST", "/v1/alerts/feedback", "", &many);
    reader.ask("POST", "/v1/cases/{id}/feedback", &case, &json!({ "act": "agree", "by": "mira" }));
    let close = json!({ "verdict": "malicious", "reason": "it was", "by": "mira" });
    reader.ask("POST", "/v1/cases/{id}/close", &case, &close);
    // Closed, assigned and agreed with, it is told of in full.
    for (path, id) in [("/v1/cases/{id}", &case), ("/v1/alerts/{id}", &alert)] {
        let told = reader.ask("GET", path, id, &json!({}));
        assert!(told["closed"].is_object() || told["feedback"].is_object(), "{told}");
    }
    reader.ask("POST", "/v1/cases/{id}/reopen", &case, &json!({ "by": "mira" }));
    let save = json!({ "event": 1, "note": "look", "by": "mira" });
    reader.ask("POST", "/v1/cases/{id}/evidence", &case, &save);
    reader.ask("GET", "/v1/cases/{id}/evidence", &case, &json!({}));
    reader.ask("GET", "/v1/cases/{id}/evidence/{event}", &format!("{case} 1"), &json!({}));
    reader.ask(
        "POST",
        "/v1/cases/{id}/evidence/{event}/remove",
        &format!("{case} 1"),
        &json!({ "by": "mira" }),
    );
    let checkpoint = reader.ask("POST", "/v1/audit/checkpoint", "", &json!({}));
    assert!(checkpoint["checkpoint"].as_str().unwrap().contains(':'));
    reader.ask("POST", "/v1/backups", "", &json!({}));
    reader.ask("GET", "/v1/audit", "", &json!({}));
    reader.ask("GET", "/v1/system", "", &json!({}));
}

/// What is told as it happens.
fn following(reader: &mut Reader) {
    reader.follow("/v1/stream", "", &["hello", "investigation", "queue", "alert", "case"], |reader| {
        reader.ask("POST", "/v1/investigations", "", &json!({ "alert": 2 }));
        reader.ask_as("GET", "/v1/investigations/{id}/stream", "2", "", "", "*/*");
    });
    reader.ask("GET", "/v1/investigations/{id}", "2", &json!({}));
    reader.ask_as("GET", "/v1/investigations/{id}/stream", "3", "", "", "*/*");
    reader.follow("/v1/events/tail", "", &["event"], |reader| {
        let line = "Oct 11 22:14:16 web1 sshd[1]: Accepted password for root from 10.0.0.9 port 22 ssh2\n";
        reader.ask_as("POST", "/v1/ingest/{format}", "auto", "application/octet-stream", line, "*/*");
    });
}

/// Every format in which an investigation or a case leaves.
fn files(reader: &mut Reader) {
    let paths = reader.document["paths"].as_object().unwrap().keys().filter(|path| path.contains("/report."));
    let paths: Vec<String> = paths.cloned().collect();
    assert_eq!(paths.len(), 20);
    let cases = reader.ask("GET", "/v1/cases", "", &json!({}));
    let rows = cases["cases"].as_array().unwrap();
    let largest = rows.iter().max_by_key(|row| row["alerts"].as_array().unwrap().len()).unwrap();
    for path in &paths {
        let id = if path.starts_with("/v1/cases") { largest["id"].to_string() } else { "9".to_owned() };
        reader.ask_as("GET", path, &id, "", "", "*/*");
    }
}

/// Where something is looked at by a number, another number is a problem, told as the document says.
fn asking_for_what_is_not_there(reader: &mut Reader) {
    let paths = reader.document["paths"].as_object().unwrap().iter();
    let paths = paths.filter(|(path, methods)| path.contains("{id}") && methods["get"].is_object());
    let paths: Vec<String> = paths.map(|(path, _)| path.clone()).collect();
    assert!(paths.len() > 30);
    for path in paths {
        let place = "99999999 ".repeat(path.matches('{').count());
        let answer = reader.ask_as("GET", &path, &place, "", "", "*/*");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

#[test]
fn answers_of_models_are_as_described() {
    let Some(models) = models() else { return };
    let (site, token) = incident();
    let models = models.display().to_string();
    let serve =
        ["serve", "--model", MODEL, "--models", &models, "--listen", "127.0.0.1:0", "--only-when-asked"];
    let server = Server::start(&mut site.command(&serve));
    let mut reader = Reader::new(&server, &token);
    let listed = reader.ask("GET", "/v1/models", "", &json!({}));
    let ids = numbers(&listed["data"], "id");
    for id in &ids {
        reader.ask("GET", "/v1/models/{model}", id, &json!({}));
    }
    reader.ask("GET", "/v1/models/{model}", "none-of-them", &json!({}));
    reader.ask("GET", "/v1/system", "", &json!({}));
    let parameters =
        json!({ "type": "object", "properties": { "x": { "type": "integer" } }, "required": ["x"] });
    let tool = json!({ "type": "function", "function": { "name": "look", "parameters": parameters } });
    for more in [
        json!({}),
        json!({ "logprobs": true, "top_logprobs": 2 }),
        json!({ "tools": [tool], "tool_choice": "required" }),
    ] {
        let mut body = json!({
            "model": ids[0], "max_tokens": 40, "temperature": 0, "messages": [{ "role": "user", "content": "Say hello." }],
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        reader.ask("POST", "/v1/chat/completions", "", &body);
    }
    let body = json!({ "model": ids[0], "prompt": "The log says", "max_tokens": 8, "logprobs": 2 });
    reader.ask("POST", "/v1/completions", "", &body);
    reader.ask("POST", "/v1/completions", "", &json!({ "model": ids[0] }));
    for encoding in ["float", "base64"] {
        let body = json!({ "model": ids[1], "input": ["a", "b"], "encoding_format": encoding });
        reader.ask("POST", "/v1/embeddings", "", &body);
    }
    let body = json!({ "question": "How was the memory of LSASS dumped?" });
    reader.ask("POST", "/v1/ask", "", &body);
    reader.ask_as("POST", "/v1/ask", "", "application/json", &body.to_string(), "text/event-stream");
    assert!(reader.faults.is_empty(), "{}", reader.faults.join("\n"));
    for (operation, _) in NOT_ASKED.iter().filter(|(_, why)| why.starts_with("needs a model")) {
        assert!(reader.asked.contains(*operation), "{operation} was not asked");
    }
    server.end();
}

#[test]
fn no_answer_is_described_as_an_object_and_no_more() {
    let site = Site::new();
    let server = site.serve();
    let document = get(&server.address, "/openapi.json").unwrap().expect_ok();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            vague(&operation["responses"], &format!("{method} {path}"), &mut found);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        // What is asked of a model is described in OpenAI's words.
        if !name.ends_with("Request") && name != "Tool" {
            vague(resolved(&document, schema), name, &mut found);
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

fn schemathesis() -> Option<PathBuf> {
    let dir = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from);
    let found = dir.map(|dir| dir.join("python/bin/schemathesis")).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: schemathesis is not in $CASEMATE_SHIPPERS/python");
    }
    found
}

#[test]
fn no_request_is_a_fault_of_the_server_or_answered_otherwise_than_described() {
    let Some(schemathesis) = schemathesis() else { return };
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    assert_eq!(site.run(&["investigate", "1", "--model", "none"]).code, 0);
    let backups = site.data_dir().with_file_name("backups").display().to_string();
    let serve = ["serve", "--model", "none", "--listen", "127.0.0.1:0", "--backup-dir", &backups];
    let server = Server::start(&mut site.command(&serve));
    let examples = std::env::var("CASEMATE_EXAMPLES").unwrap_or_else(|_| USUAL_EXAMPLES.to_owned());
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    for role in ["admin", "auditor", "engineer", "analyst", "viewer", "sensor"] {
        let made = site.run(&["token", "create", role, "--role", role]);
        let token = made.json["secret"].as_str().unwrap();
        let output = Command::new(&schemathesis)
            .args(["run", &format!("http://{}/openapi.json", server.address), "--seed", "7"])
            .args(["-H", &format!("Authorization: Bearer {token}"), "-H", "Sec-Fetch-Site: same-origin"])
            .args(["--checks", checks, "--phases", "coverage,fuzzing,stateful"])
            .args(["--max-examples", &examples, "--suppress-health-check", "all", "--no-color"])
            // A stream ends when its investigation does; backups are made, and not by the hundred.
            .args(["--exclude-path-regex", "/(stream|tail)$|/v1/backups"])
            .current_dir(site.data_dir().parent().unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{role}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        let tested = said.lines().find(|line| line.contains("Tested:")).unwrap_or_default();
        assert!(tested.trim_end().ends_with(char::is_numeric) && !tested.ends_with(": 0"), "{said}");
    }
    assert_eq!(get(&server.address, "/healthz").unwrap().status, 200);
    server.end();
    // All that was asked stands in a record that holds.
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
}
