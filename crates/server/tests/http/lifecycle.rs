//! How the server starts and ends.

use crate::client::{get, post_json, post_logs};
use crate::running::start;
use casemate_server::Listener;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[track_caller]
fn check_refused(listen: &str, expected: &[&str]) {
    let message = Listener::bind(&listen.parse().unwrap(), None).err().unwrap().to_string();
    for part in expected {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn only_loopback_is_listened_on() {
    check_refused("0.0.0.0:8470", &["0.0.0.0:8470", "--tls", "127.0.0.1:8470"]);
    check_refused("[::]:8470", &["--tls"]);
    check_refused("192.0.2.1:1", &["--tls"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = Listener::bind(&"127.0.0.1:0".parse().unwrap(), None).unwrap();
    let addr = taken.local_addr().unwrap();
    check_refused(&addr.to_string(), &[&format!("port {} is in use", addr.port()), "--listen"]);
}

#[test]
fn a_running_server_is_backed_up() {
    let server = start();
    post_logs(server.addr, "/v1/ingest/auto", b"one line\nand another\n").expect_ok();
    let made = post_json(server.addr, "/v1/backups", &serde_json::json!({}));
    let made = made.json();
    assert_eq!(made["events"], 2, "{made}");
    post_logs(server.addr, "/v1/ingest/auto", b"a third\n").expect_ok();
    let back = tempfile::tempdir().unwrap();
    let dir = std::path::PathBuf::from(made["dir"].as_str().unwrap());
    assert_eq!(casemate_store::Store::restore(&dir, back.path()).unwrap().event_count(), 2);
}

#[test]
fn it_ends_when_told_even_with_open_connections() {
    let mut server = start();
    assert_eq!(get(server.addr, "/healthz").text(), "ok\n");
    // Half a request, and a connection that says nothing.
    let mut half = TcpStream::connect(server.addr).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    let _silent = TcpStream::connect(server.addr).unwrap();
    let started = Instant::now();
    server.end();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(TcpStream::connect(server.addr).is_err());
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
}
