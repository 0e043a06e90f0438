//! The Model Context Protocol at `/mcp`, and what is said to what is none. What its official client gets out of it is
//! held by `crates/casemate/tests/mcp.rs`.

use crate::client::{Response, send};
use crate::running::{INTRUSION, Running, start, start_with};
use casemate_access::{Access, Role};
use casemate_server::Redaction;
use serde_json::{Value, json};
use std::sync::Arc;

const JSON: (&str, &str) = ("content-type", "application/json");
const CURRENT: &str = "2026-07-28";

fn post(server: &Running, headers: &[(&str, &str)], body: &str) -> Response {
    send(server.addr, "POST", "/mcp", &[&[JSON], headers].concat(), body.as_bytes())
}

fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
}

/// Parameters as the revision without a handshake wants them.
fn current(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": CURRENT, "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

#[track_caller]
fn fails(answer: &Response, status: u16, code: i64) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["error"]["code"], code, "{json}");
    json["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn without_a_handshake_headers_and_body_agree() {
    let server = start();
    let version = ("mcp-protocol-version", CURRENT);
    let list = call("tools/list", &current(json!({})));
    let answer = post(&server, &[version, ("mcp-method", "tools/list")], &list).expect_ok();
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 8);
    assert_eq!(
        (&answer["result"]["resultType"], &answer["result"]["cacheScope"]),
        (&json!("complete"), &json!("public"))
    );
    let discover = call("server/discover", &current(json!({})));
    let answer = post(&server, &[version, ("mcp-method", "server/discover")], &discover).expect_ok();
    assert_eq!(answer["result"]["supportedVersions"], json!([CURRENT]));

    fails(&post(&server, &[version], &list), 400, -32020);
    fails(&post(&server, &[version, ("mcp-method", "tools/call")], &list), 400, -32020);
    fails(&post(&server, &[("mcp-method", "tools/list")], &list), 400, -32020);
    fails(&post(&server, &[version, version, ("mcp-method", "tools/list")], &list), 400, -32020);
    fails(&post(&server, &[("mcp-protocol-version", "2025-11-25")], &list), 400, -32020);
    let event = call("tools/call", &current(json!({ "name": "event", "arguments": { "id": 1 } })));
    let headers = [version, ("mcp-method", "tools/call"), ("mcp-name", "search")];
    fails(&post(&server, &headers, &event), 400, -32020);
    fails(&post(&server, &[version], &call("tools/list", &json!({}))), 400, -32602);
    let other = call("resources/list", &current(json!({})));
    fails(&post(&server, &[version, ("mcp-method", "resources/list")], &other), 404, -32601);
    let old = ("mcp-protocol-version", "2024-11-05");
    fails(&post(&server, &[old], &call("tools/list", &json!({}))), 400, -32022);
}

#[test]
fn with_a_handshake_nothing_is_remembered() {
    let server = start();
    server.ingest(INTRUSION);
    let hello =
        call("initialize", &json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {} }));
    let answer = post(&server, &[], &hello);
    assert_eq!(answer.header("mcp-session-id"), "");
    assert_eq!(answer.expect_ok()["result"]["protocolVersion"], "2025-06-18");
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    let answer = post(&server, &[], &told);
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    let event = call("tools/call", &json!({ "name": "event", "arguments": { "id": 2 } }));
    let answer = post(&server, &[("mcp-protocol-version", "2025-06-18")], &event).expect_ok();
    assert_eq!(answer["result"]["structuredContent"]["id"], 2);
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), answer["result"]["structuredContent"]);
    // There is no stream without a request, and no session to end.
    for method in ["GET", "DELETE"] {
        let answer = send(server.addr, method, "/mcp", &[JSON], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    }
}

#[test]
fn what_is_no_call_is_answered_with_an_error() {
    let server = start();
    for (body, code) in [
        ("", -32700),
        ("{\"jsonrpc\"", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":7}"#, -32602),
    ] {
        fails(&post(&server, &[], body), 400, code);
    }
    fails(&post(&server, &[], &"[".repeat(500_000)), 400, -32700);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}1{}}}"#,
        "{\"a\":".repeat(9000),
        "}".repeat(9000)
    );
    fails(&post(&server, &[], &deep), 400, -32700);
    assert_eq!(post(&server, &[], &" ".repeat((1 << 20) + 1)).status, 413);
    fails(&post(&server, &[], &call("tools/call", &json!({}))), 200, -32602);
    fails(&post(&server, &[], &call("tools/call", &json!({ "name": "rm" }))), 200, -32602);
    fails(&post(&server, &[], &call("prompts/list", &json!({}))), 200, -32601);
    for arguments in [json!({ "id": -1 }), json!({}), json!({ "id": 1, "more": 2 }), json!({ "id": "1" })] {
        let answer =
            post(&server, &[], &call("tools/call", &json!({ "name": "event", "arguments": arguments })));
        assert_eq!(answer.expect_ok()["result"]["isError"], true);
    }
    // Another page in the browser asks.
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(post(&server, &foreign, &call("tools/list", &json!({}))).status, 403);
    let form = [("content-type", "text/plain")];
    assert_eq!(send(server.addr, "POST", "/mcp", &form, b"{}").status, 415);
}

#[test]
fn an_investigation_tells_how_it_goes_on() {
    let server = start();
    server.ingest(INTRUSION);
    let params = json!({
        "name": "investigate", "arguments": { "alert": 1, "wait_seconds": 60 }, "_meta": { "progressToken": "p" },
    });
    let accept = ("accept", "application/json, text/event-stream");
    let answer = post(&server, &[accept], &call("tools/call", &params));
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let text = answer.text();
    let messages: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (last, before) = messages.split_last().unwrap();
    assert!(before.len() >= 3, "{text}");
    let steps: Vec<f64> = before.iter().map(|told| told["params"]["progress"].as_f64().unwrap()).collect();
    assert!(steps.is_sorted() && before.iter().all(|told| told["params"]["progressToken"] == "p"), "{text}");
    assert_eq!(last["result"]["structuredContent"]["status"], "done", "{last}");
    // Who takes no stream gets the answer alone.
    let answer = post(&server, &[], &call("tools/call", &params)).expect_ok();
    assert_eq!(answer["result"]["structuredContent"]["status"], "done");
    let none = json!({ "name": "investigate", "arguments": { "alert": 999 } });
    assert_eq!(post(&server, &[], &call("tools/call", &none)).expect_ok()["result"]["isError"], true);
}

#[test]
fn what_somebody_may_not_see_is_masked_in_every_form_of_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let access = Arc::new(Access::open(dir.path().join(casemate_access::FILE_NAME)).unwrap());
    let token = |name: &str, redacted| {
        access.create_token(name, Role::Analyst.scopes(), None, redacted).unwrap().secret
    };
    let (open, masked) = (token("open", false), token("masked", true));
    let rules = dir.path().join("redaction.toml");
    // Quotes are part of the patterns: one inside a text, one over a member and its value.
    let patterns = "[[rule]]\nname = \"key\"\npattern = 'key=\"(?<secret>[^\"]+)\"'\n\
                    [[rule]]\nname = \"pin\"\npattern = '\"time\":\"(?<secret>[^\"]+)\"'\n";
    fs_err::write(&rules, patterns).unwrap();
    let redaction = Arc::new(Redaction::load(&rules).unwrap());
    let server = start_with(dir, |config| (config.access, config.redaction) = (Some(access), redaction));
    let line = r#"<13>Mar  2 09:00:00 web1 app: opened with key="tide table 1987" and more"#;
    server.pipeline.ingest_stream("app.log", line.as_bytes(), None).unwrap();
    let ask = |secret: &str, tool: &str, arguments: Value| {
        let bearer = format!("Bearer {secret}");
        let call = call("tools/call", &json!({ "name": tool, "arguments": arguments }));
        let answer = post(&server, &[("authorization", &bearer)], &call);
        let answer = answer.expect_ok()["result"].clone();
        assert_ne!(answer["isError"], true, "{answer}");
        answer
    };
    for (tool, arguments) in [("event", json!({ "id": 1 })), ("search", json!({ "query": "opened" }))] {
        let whole = ask(&open, tool, arguments.clone());
        let text = whole["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("tide table 1987") && text.contains("T09:00:00Z"), "{text}");
        let shown = ask(&masked, tool, arguments);
        let text = shown["content"][0]["text"].as_str().unwrap();
        assert!(!shown.to_string().contains("tide table 1987"), "{tool}: {shown}");
        assert!(text.contains("key=\\\"█████\\\"") && text.contains("\"time\":\"█████\""), "{tool}: {text}");
    }
}
