//! What people see.

use crate::client::{Response, get, send};
use crate::fixture;
use crate::running::{INTRUSION, Running, start};
use casemate_event::AlertId;

#[track_caller]
fn html(server: &Running, path: &str) -> String {
    let response = get(server.addr, path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    check_html(&response);
    response.text()
}

/// Nothing inline, nothing from elsewhere, no log text that is markup or hides.
#[track_caller]
fn check_html(response: &Response) {
    assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
    let text = response.text();
    for forbidden in ["<script>", " style=\"", " onclick", "javascript:", "=\"http", "=\"//", "\u{202e}"] {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
    assert!(text.contains("<html lang=\"en\">") && text.contains("<title>"));
}

#[test]
fn alerts_are_listed_with_a_button_and_then_a_verdict() {
    let server = start();
    assert!(html(&server, "/").contains("No alerts yet"));
    let alert = server.ingest_intrusion();
    let before = html(&server, "/");
    assert!(before.contains(&format!("action=\"/alerts/{alert}/investigate\"")));
    assert!(before.contains("href=\"/entities/host/ws5\""));
    server.investigate(alert);
    let after = html(&server, "/");
    assert!(after.contains("confidence "));
    assert!(after.contains(&format!("href=\"/investigations/{alert}\"")));
    assert!(html(&server, "/?verdict=open").contains("class=\"filters\""));
}

#[test]
fn the_button_works_without_a_script() {
    let server = start();
    let alert = server.ingest_intrusion();
    let form = format!("/alerts/{alert}/investigate");
    let answer =
        send(server.addr, "POST", &form, &[("sec-fetch-site", "same-origin"), ("origin", "null")], b"");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, format!("/investigations/{alert}").as_str())
    );
    // Wait for its end by following it.
    get(server.addr, &format!("/v1/investigations/{alert}/stream"));
    assert!(html(&server, &format!("/investigations/{alert}")).contains("What happened"));
}

#[test]
fn a_whole_investigation_is_shown() {
    let server = start();
    let alert = server.ingest_intrusion();
    let case = fixture::investigation(alert);
    let json = serde_json::to_vec(&case).unwrap();
    server.pipeline.store().put_investigation(AlertId(alert), &json).unwrap();
    let page = html(&server, &format!("/investigations/{alert}"));
    for part in [
        "malicious",
        "91 %",
        "83 %",
        "id=\"E3\"",
        "href=\"#E3\"",
        "class=\"timeline\"",
        "class=\"bars\"",
        "<title>E1 2026-03-02",
        "T1003.001",
        "No DNS logs",
        "Isolate ws5",
        "wording 2, order 1",
        "test-model",
        "×3",
        "href=\"/events/3\"",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "invoice‹U+202E›gpj.exe",
        "report.md",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let report = get(server.addr, &format!("/v1/investigations/{alert}/report.html"));
    assert_eq!(report.status, 200);
    assert!(report.header("content-disposition").starts_with("attachment"));
    let report = report.text();
    assert!(report.contains("<style>") && !report.contains("<script>"));
    assert!(report.contains("invoice‹U+202E›gpj.exe") && report.contains("id=\"i1-E3\""));
    assert!(!report.contains("href=\"/"), "a file of its own links to nothing");
    // The pages of one alert stay small.
    assert!(page.len() < 150_000);
}

#[test]
fn events_are_shown_as_received_and_harmless() {
    let server = start();
    server.ingest(INTRUSION);
    let page = html(&server, "/events/4");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("‹U+202E›"));
    assert!(page.contains("process.cmd_line"));
    assert!(page.contains("ParentImage"));
    assert!(page.contains("href=\"/entities/user/alice\""));
    assert!(page.contains("href=\"/events/3\" rel=\"prev\""));
}

#[test]
fn search_finds_and_explains() {
    let server = start();
    server.ingest(INTRUSION);
    assert!(html(&server, "/search").contains("phrases, and how parts are joined"));
    let found = html(&server, "/search?q=whoami&entity=host:ws5&after=2026-03-02T09:00&before=");
    assert!(found.contains("1 event<") && found.contains("href=\"/events/2\""), "{found}");
    assert!(html(&server, "/search?q=nothinglikethis").contains("Nothing matches"));
    let wrong = get(server.addr, "/search?q=%28%28%3Cscript%3E");
    assert_eq!(wrong.status, 400);
    check_html(&wrong);
    assert!(wrong.text().contains("Not searched") && wrong.text().contains("value=\"((&lt;script&gt;\""));
}

#[test]
fn problems_are_pages_for_people() {
    let server = start();
    for (path, status) in [("/events/99", 404), ("/alerts/x", 400), ("/nothing", 404), ("/?colour=red", 200)]
    {
        let response = get(server.addr, path);
        assert_eq!(response.status, status, "{path}");
        check_html(&response);
    }
}

#[test]
fn an_alert_shows_its_events() {
    let server = start();
    let alert = server.ingest_intrusion();
    let page = html(&server, &format!("/alerts/{alert}"));
    assert!(page.contains("Investigate") && page.contains("href=\"/events/"));
    let redirect = get(server.addr, &format!("/investigations/{alert}"));
    assert_eq!((redirect.status, redirect.header("location")), (303, format!("/alerts/{alert}").as_str()));
}

#[test]
fn assets_are_revalidated() {
    let server = start();
    for (path, media) in [
        ("/assets/casemate.css", "text/css; charset=utf-8"),
        ("/assets/casemate.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let first = get(server.addr, path);
        assert_eq!((first.status, first.header("content-type")), (200, media));
        let tag = first.header("etag").to_owned();
        assert_eq!(send(server.addr, "GET", path, &[("if-none-match", &tag)], b"").status, 304);
    }
}
