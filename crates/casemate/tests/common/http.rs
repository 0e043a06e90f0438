//! HTTP/1.1 by hand: one request per connection. A connection that breaks is an error, not a failed test.

use serde_json::Value;
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect_ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// The value of a row of `/metrics`.
    pub(crate) fn metric(&self, row: &str) -> Option<u64> {
        self.body.lines().find_map(|line| line.strip_prefix(row)?.trim().parse().ok())
    }
}

pub(crate) fn get(address: &str, path: &str) -> Result<Answer> {
    request(address, "GET", path, &[], b"")
}

/// Posts log data or JSON.
pub(crate) fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    request(address, "POST", path, headers, body)
}

/// Sends any request.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    exchange(stream, address, method, path, headers, body)
}

/// As [`request`], over a connection of another kind.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        head.push_str("Content-Type: application/octet-stream\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| Error::other("no answer"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::other("no status"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
