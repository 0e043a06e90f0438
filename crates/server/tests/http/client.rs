//! HTTP/1.1 by hand: one request per connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// What a page says, without its styles and scripts, of which its policy names each; checks that nothing else in it
    /// could be one, or be loaded from elsewhere.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        let mut text = self.text();
        for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            while let Some(at) = text.find(begin) {
                let length = text[at..].find(end).unwrap();
                let hash = STANDARD.encode(Sha256::digest(&text[at + begin.len()..at + length]));
                let policy = self.header("content-security-policy");
                assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy} names no {}", &text[at..]);
                text.replace_range(at..at + length + end.len(), "");
            }
        }
        let forbidden = [
            "<script",
            "<style",
            " style=\"",
            " onclick",
            "javascript:",
            "=\"http",
            "=\"//",
            "\u{202e}",
            "\0",
        ];
        for forbidden in forbidden {
            assert!(!text.contains(forbidden), "{forbidden} in {text}");
        }
        text
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks the status and the shape of a problem, and gives its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], status);
        assert!(json["title"].is_string());
        json["detail"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect_ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}

pub(crate) fn get(addr: SocketAddr, path: &str) -> Response {
    send(addr, "GET", path, &[], b"")
}

pub(crate) fn post_json(addr: SocketAddr, path: &str, body: &Value) -> Response {
    send(addr, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
}

pub(crate) fn post_logs(addr: SocketAddr, path: &str, body: &[u8]) -> Response {
    send(addr, "POST", path, &[("content-type", "application/octet-stream")], body)
}

/// Sends a request with a `Host` header that is right, unless `headers` names one.
pub(crate) fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {addr}\r\n"));
    }
    let own_framing = ["content-length", "transfer-encoding"];
    if !headers.iter().any(|(name, _)| own_framing.contains(name)) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // A refused body may end the connection while it is sent.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&answer)
}

fn parse(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer with a head");
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = &answer[end + 4..];
    Response { status, headers, body: if chunked { unchunk(body) } else { body.to_vec() } }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
    }
    whole
}
