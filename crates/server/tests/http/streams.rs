//! Streams: how many there may be, and that they end with what let their reader in. And whoever hangs up is on record.

use crate::client::{get, post_json, send};
use crate::running::{INTRUSION, Running, start_with};
use casemate_access::{Access, Role};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of one principal, at once.
const MOST_OF_ONE: usize = 16;

/// A stream whose first bytes were read.
fn follow(server: &Running, path: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n\r\n", server.addr)
        .unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK", "{path}");
    stream
}

#[test]
fn they_are_bounded_and_end_with_the_token_that_let_their_reader_in() {
    let dir = tempfile::tempdir().unwrap();
    let access = Arc::new(Access::open(dir.path().join(casemate_access::FILE_NAME)).unwrap());
    let token = |name: &str| access.create_token(name, Role::Viewer.scopes(), None, false).unwrap().secret;
    let (first, second) = (token("first"), token("second"));
    let server = start_with(dir, |config| config.access = Some(Arc::clone(&access)));
    let [first, second] = [first, second].map(|secret| format!("Bearer {secret}"));
    let open = |bearer: &str, path: &str| follow(&server, path, &format!("Authorization: {bearer}"));
    let paths = ["/v1/stream", "/v1/events/tail", "/search/tail"];
    let mut streams: Vec<TcpStream> =
        (0..MOST_OF_ONE).map(|number| open(&first, paths[number % paths.len()])).collect();
    let asked = || send(server.addr, "GET", "/v1/events/tail", &[("authorization", &*first)], b"");
    let refused = asked();
    assert_eq!(refused.header("retry-after"), "30");
    assert!(refused.problem(429).contains("token:first"));
    let mut other = open(&second, "/v1/stream");
    // A place that is given back can be had again.
    drop(streams.pop());
    let begun = Instant::now();
    let again = loop {
        let head =
            format!("GET /v1/stream HTTP/1.1\r\nHost: {}\r\nAuthorization: {first}\r\n\r\n", server.addr);
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        if &status == b"HTTP/1.1 200" {
            break stream;
        }
        assert!(begun.elapsed() < PATIENCE);
    };
    drop(again);
    access.revoke_token("first").unwrap();
    for stream in &mut streams {
        // To its end, which a read that waits too long is not.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(asked().status, 401);
    access.revoke_token("second").unwrap();
    other.read_to_end(&mut Vec::new()).unwrap();
}

/// Entries of the record with this action.
fn record(server: &Running, action: &str) -> Vec<Value> {
    let audit = get(server.addr, "/v1/audit?limit=1000").expect_ok();
    audit["audit"].as_array().unwrap().iter().filter(|line| line["action"] == action).cloned().collect()
}

#[test]
fn who_hangs_up_is_on_record() {
    let server = start_with(tempfile::tempdir().unwrap(), |config| config.held = Some("a test".to_owned()));
    server.ingest(INTRUSION);
    let alerts: Vec<u64> = {
        let all = get(server.addr, "/v1/alerts").expect_ok();
        all["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_u64().unwrap()).collect()
    };
    let begun = Instant::now();
    let started = || get(server.addr, "/v1/investigations").expect_ok()["total"].as_u64().unwrap() as usize;
    // Who is gone before the request is read has asked nothing.
    for alert in alerts.iter().cycle().take_while(|_| started() == 0) {
        assert!(begun.elapsed() < PATIENCE);
        let body = json!({ "alert": alert }).to_string();
        let mut stream = TcpStream::connect(server.addr).unwrap();
        write!(
            stream,
            "POST /v1/investigations HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            server.addr,
            body.len()
        )
        .unwrap();
    }
    // Whatever was begun is told of.
    while started() > record(&server, "ask").len() {
        assert!(begun.elapsed() < PATIENCE, "{} begun, {:?}", started(), record(&server, "ask"));
        std::thread::yield_now();
    }
    // A call of MCP that tells how it goes on, and nobody listens.
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "investigate", "arguments": { "alert": alerts[0] }, "_meta": { "progressToken": "p" },
    } });
    let call = call.to_string();
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n\
         Content-Length: {}\r\n\r\n{call}",
        server.addr,
        call.len()
    )
    .unwrap();
    stream.read_exact(&mut [0; 15]).unwrap();
    drop(stream);
    let is_it = |line: &Value| line["subject"].as_str().unwrap().starts_with("mcp investigate");
    while !record(&server, "ask").iter().any(is_it) {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    // Nothing was lost of what was asked otherwise.
    let answer = post_json(server.addr, "/v1/investigations", &json!({ "alert": alerts[0] }));
    assert_eq!(answer.status, 202);
}
