//! The official Python client of the Model Context Protocol, unmodified, calls every tool of the real binary: over HTTP and
//! over standard input, with a handshake and without. Skipped, with a message, where it is not installed (`.ci/run` gets
//! it). What is no protocol at all is answered, too.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Server, Site, data, root};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Which revisions the client speaks: the current one, or those with a handshake.
const ERAS: [&str; 2] = ["auto", "legacy"];

fn python() -> Option<PathBuf> {
    let dir = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from);
    let found = dir.map(|dir| dir.join("mcp/bin/python")).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: the Python client of MCP is not in $CASEMATE_SHIPPERS/mcp");
    }
    found
}

fn site() -> Site {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    site
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.env("NO_PROXY", "*").output().unwrap();
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim_end().ends_with("ok"), "{said}\n{erred}");
}

fn client(python: &PathBuf) -> Command {
    let mut command = Command::new(python);
    command.arg(root().join("crates/casemate/tests/clients/mcp_client.py"));
    command
}

#[test]
fn the_official_client_calls_every_tool_over_http() {
    let Some(python) = python() else { return };
    let site = site();
    let serve = ["serve", "--model", "none", "--listen", "127.0.0.1:0", "--only-when-asked"];
    let server = Server::start(&mut site.command(&serve));
    let url = format!("http://{}/mcp", server.address);
    for (role, asks) in [("analyst", "asks"), ("viewer", "looks")] {
        let made = site.run(&["token", "create", role, "--role", role]);
        let token = made.json["secret"].as_str().unwrap();
        for era in ERAS {
            run(client(&python).args(["http", &url, token, era, asks]));
        }
    }
    server.end();
    let record = site.run(&["audit", "show", "--limit", "1000"]).json;
    let lines = record["audit"].as_array().unwrap_or_else(|| panic!("{record}"));
    for (by, action, what) in [
        ("token:analyst", "look", "mcp event "),
        ("token:analyst", "ask", "mcp investigate "),
        ("token:viewer", "look", "mcp search "),
        ("token:viewer", "refused", "mcp investigate "),
    ] {
        let is_it = |line: &&Value| {
            line["by"] == by
                && line["action"] == action
                && line["subject"].as_str().is_some_and(|said| said.starts_with(what))
        };
        assert!(lines.iter().any(|line| is_it(&line)), "{by} {action} {what}: {record}");
    }
}

#[test]
fn the_official_client_calls_every_tool_over_standard_input() {
    let Some(python) = python() else { return };
    let site = site();
    for era in ERAS {
        let mut command = client(&python);
        command.args(["stdio", era, env!("CARGO_BIN_EXE_casemate"), "mcp", "--model", "none"]);
        command.arg("--data-dir").arg(site.data_dir());
        command.arg("--config").arg(root().join("config")).args(["--models", "no-models"]);
        run(&mut command);
    }
}

#[test]
fn whatever_is_sent_over_standard_input_is_answered_and_nothing_else_is_said() {
    let site = site();
    let mut child = site
        .command(&["mcp", "--model", "none"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let call = |id: u64, method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    };
    let lines = [
        call(1, "initialize", json!({ "protocolVersion": "2025-11-25" })),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(),
        "no JSON".to_owned(),
        "[".repeat(5000),
        format!("[{}]", call(2, "ping", json!({}))),
        "x".repeat(2 << 20),
        call(3, "resources/list", json!({})),
        call(4, "tools/call", json!({ "name": "event", "arguments": { "id": "one" } })),
        call(5, "tools/call", json!({ "name": "event", "arguments": [1] })),
        call(6, "tools/call", json!({ "name": "case", "arguments": { "id": 1 } })),
    ];
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64().unwrap_or(0));
    let codes: Vec<Value> = answers.iter().map(|answer| answer["error"]["code"].clone()).collect();
    let mut of_none: Vec<i64> = codes[..4].iter().map(|code| code.as_i64().unwrap()).collect();
    of_none.sort_unstable();
    assert_eq!(of_none, [-32700, -32700, -32700, -32600], "{answers:?}");
    let rest = [json!(null), json!(-32601), json!(null), json!(-32602), json!(null)];
    assert_eq!(codes[4..], rest, "{answers:?}");
    assert_eq!(answers[4]["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answers[6]["result"]["isError"], true);
    assert_eq!(answers[8]["result"]["structuredContent"]["id"], 1);
}

#[test]
fn beside_a_server_it_says_where_to_go() {
    let site = site();
    let server = site.serve();
    site.run(&["mcp", "--model", "none"]).fails_with(1, &["in use"]);
    server.end();
}
