//! May this request be answered at all, and which headers go with every answer?
//!
//! Who may do what is [`admit`](crate::admit)'s matter. This keeps *other web pages* out: a page of any site may make a browser on this
//! machine send requests to loopback, by name (DNS rebinding: the `Host` header is then the site's) or as a form
//! or script (cross-site request forgery: `Origin` and `Sec-Fetch-Site` then say so).

use crate::listen::Front;
use crate::page::assets::CONTENT_SECURITY_POLICY;
use crate::params::media_type;
use crate::problem::{Problem, Result};
use crate::state::App;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// Checks the request, answers it, and adds the security headers to whatever the answer is.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_page = crate::page::is_page(request.uri().path());
    let is_openai = crate::api::openai::is_its(request.uri().path());
    let mut response = match check(&request, app.front) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            crate::admit::drain(request.into_body()).await;
            problem.into_response()
        }
    };
    if is_page {
        response = crate::page::problem::for_people(response);
    }
    if is_openai {
        response = crate::api::openai::for_clients(response);
    }
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| CONTENT_SECURITY_POLICY.clone());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.front == Front::Tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
    }
    // Log content is not for caches on disk.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(request: &Request, front: Front) -> Result<()> {
    check_host(request, front)?;
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let headers = request.headers();
    if crate::page::is_form(request.uri().path()) {
        return if is_ours(headers, front) {
            Ok(())
        } else {
            Err(forbidden(
                "this form can only be sent from casemate's own page; programs use POST /v1/investigations",
            ))
        };
    }
    check_origin(headers, front)?;
    // No form can send this header, nor can a script of another origin without being asked about it first.
    let path = request.uri().path();
    if path.starts_with("/services/collector") && headers.contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    match media_type(headers).as_deref() {
        Some("application/json" | "application/octet-stream" | "application/x-ndjson") => Ok(()),
        Some(
            "application/x-protobuf"
            | "application/vnd.elasticsearch+x-ndjson"
            | "application/vnd.elasticsearch+json",
        ) => Ok(()),
        found => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "content type is {}; send application/json, or application/octet-stream for log data",
                found.unwrap_or("missing")
            ),
        )),
    }
}

fn check_host(request: &Request, front: Front) -> Result<()> {
    // Over TLS the certificate says who we are, and no page of another name gets one for it; browsers do not speak to
    // sockets of the machine.
    let Front::Loopback(local) = front else { return Ok(()) };
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let is_allowed =
        |host: &str| allowed_hosts(local).iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
    // A request line may name an authority of its own, which then counts as well.
    let authority_allowed = request.uri().authority().is_none_or(|authority| is_allowed(authority.as_str()));
    if named.is_some_and(is_allowed) && authority_allowed {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "the Host header is {}; ask for http://{local} (through a tunnel, forward the same port number: \
             ssh -L {}:{local})",
            named.map_or_else(|| "missing".to_owned(), |host| format!("{host:?}")),
            local.port()
        ),
    ))
}

fn allowed_hosts(local: SocketAddr) -> Vec<String> {
    let port = local.port();
    let mut hosts = vec![
        local.to_string(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ];
    if port == 80 {
        hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
    }
    hosts
}

/// A program sends no `Origin`; a browser sends its page's.
fn check_origin(headers: &HeaderMap, front: Front) -> Result<()> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let same_origin = |origin: &str| match front {
        Front::Loopback(local) => origin
            .strip_prefix("http://")
            .is_some_and(|host| allowed_hosts(local).iter().any(|allowed| allowed == host)),
        Front::Tls => origin.strip_prefix("https://").is_some_and(|host| named == Some(host)),
        Front::Unix => false,
    };
    let origin_is_fine = match headers.get(header::ORIGIN).map(HeaderValue::to_str) {
        None => true,
        Some(Ok(origin)) => same_origin(origin),
        Some(Err(_)) => false,
    };
    if origin_is_fine && fetch_site(headers).is_none_or(|site| matches!(site, "same-origin" | "none")) {
        return Ok(());
    }
    Err(forbidden(
        "the request comes from another web page; send it from casemate's own page or from a program",
    ))
}

/// Whether a browser vouches that a form was sent from our own page.
///
/// Our `Referrer-Policy: no-referrer` makes browsers send `Origin: null` with forms, so `Sec-Fetch-Site`, which
/// no page can set, decides; browsers without it (before 2023) send an `Origin` that must be ours.
fn is_ours(headers: &HeaderMap, front: Front) -> bool {
    match fetch_site(headers) {
        Some(site) => site == "same-origin",
        None => headers.contains_key(header::ORIGIN) && check_origin(headers, front).is_ok(),
    }
}

fn fetch_site(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("unreadable"))
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::body::Body;

    const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8470);

    fn check_request(method: &str, path: &str, headers: &[(&str, &str)], expected: u16) {
        let mut builder = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let status = match check(&builder.body(Body::empty()).unwrap(), Front::Loopback(LOCAL)) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        };
        assert_eq!(status, expected, "{method} {path} {headers:?}");
    }

    #[test]
    fn only_loopback_names_with_the_port_are_hosts() {
        for host in ["127.0.0.1:8470", "localhost:8470", "LOCALHOST:8470", "[::1]:8470"] {
            check_request("GET", "/", &[("host", host)], 200);
        }
        for host in ["evil.example:8470", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8470", ""] {
            check_request("GET", "/", &[("host", host)], 421);
        }
        check_request("GET", "/", &[], 421);
        check_request("GET", "http://evil.example:8470/", &[("host", "127.0.0.1:8470")], 421);
    }

    #[test]
    fn posts_need_a_content_type_no_form_can_send_and_no_other_origin() {
        let host = ("host", "localhost:8470");
        let json = ("content-type", "application/json; charset=utf-8");
        check_request("POST", "/v1/alerts", &[host, json], 200);
        check_request("POST", "/v1/ingest/auto", &[host, ("content-type", "application/octet-stream")], 200);
        check_request("POST", "/v1/alerts", &[host], 415);
        check_request("POST", "/v1/alerts", &[host, ("content-type", "text/plain")], 415);
        check_request("POST", "/_bulk", &[host, ("content-type", "application/x-ndjson")], 200);
        check_request("POST", "/_bulk", &[host, ("content-type", "text/plain")], 415);
        let token = ("authorization", "Splunk 0");
        let form = ("content-type", "application/x-www-form-urlencoded");
        check_request("POST", "/services/collector/event", &[host, token, form], 200);
        check_request("POST", "/services/collector/event", &[host, form], 415);
        let foreign = ("origin", "http://evil.example");
        check_request("POST", "/services/collector/event", &[host, token, form, foreign], 403);
        check_request("POST", "/v1/alerts", &[host, json, ("origin", "http://localhost:8470")], 200);
        for origin in ["https://localhost:8470", "http://evil.example", "null", "http://localhost:8471"] {
            check_request("POST", "/v1/alerts", &[host, json, ("origin", origin)], 403);
        }
        check_request("POST", "/v1/alerts", &[host, json, ("sec-fetch-site", "cross-site")], 403);
    }

    #[test]
    fn forms_come_from_our_page() {
        let host = ("host", "localhost:8470");
        let form = "/alerts/1/investigate";
        check_request("POST", form, &[host, ("origin", "null"), ("sec-fetch-site", "same-origin")], 200);
        check_request("POST", form, &[host, ("origin", "http://localhost:8470")], 200);
        check_request("POST", form, &[host, ("origin", "null")], 403);
        check_request("POST", form, &[host, ("origin", "null"), ("sec-fetch-site", "cross-site")], 403);
        check_request("POST", form, &[host], 403);
    }
}
