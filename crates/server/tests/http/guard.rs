//! Who is let in, and with which headers everybody is answered.

use crate::client::{Response, get, send};
use crate::running::start;

#[test]
fn every_answer_has_the_security_headers() {
    let server = start();
    let check = |response: &Response| {
        let policy = response.header("content-security-policy");
        for rule in
            ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("referrer-policy"), "no-referrer");
    };
    for path in ["/", "/search", "/v1/events", "/healthz", "/assets/icon.svg", "/nothing", "/v1/nothing"] {
        check(&get(server.addr, path));
    }
    check(&send(server.addr, "GET", "/", &[("host", "evil.example")], b""));
}

#[test]
fn other_names_for_this_host_are_refused() {
    let server = start();
    let with_host = |host: &str| send(server.addr, "GET", "/v1/events", &[("host", host)], b"");
    let port = server.addr.port();
    assert_eq!(with_host(&format!("localhost:{port}")).status, 200);
    assert!(with_host("evil.example").problem(421).contains("127.0.0.1"));
    with_host(&format!("evil.example:{port}")).problem(421);
    with_host("127.0.0.1:1").problem(421);
    let page = send(server.addr, "GET", "/", &[("host", "evil.example")], b"");
    assert_eq!((page.status, page.header("content-type")), (421, "text/html; charset=utf-8"));
}

#[test]
fn other_pages_cannot_post() {
    let server = start();
    let post = |headers: &[(&str, &str)]| {
        send(server.addr, "POST", "/v1/investigations", headers, br#"{"alert":1}"#)
    };
    let json = ("content-type", "application/json");
    post(&[("content-type", "text/plain")]).problem(415);
    post(&[("content-type", "application/x-www-form-urlencoded")]).problem(415);
    post(&[]).problem(415);
    post(&[json, ("origin", "http://evil.example")]).problem(403);
    post(&[json, ("origin", "null")]).problem(403);
    // Let in, and then there is no such alert.
    post(&[json]).problem(404);
    post(&[json, ("origin", &format!("http://{}", server.addr))]).problem(404);
}

#[test]
fn forms_need_a_browser_that_vouches_for_them() {
    let server = start();
    let post =
        |headers: &[(&str, &str)]| send(server.addr, "POST", "/alerts/1/investigate", headers, b"").status;
    assert_eq!(post(&[]), 403);
    assert_eq!(post(&[("origin", "null"), ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(post(&[("origin", "null"), ("sec-fetch-site", "same-origin")]), 404);
}
