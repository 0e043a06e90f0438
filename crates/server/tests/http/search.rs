//! Search: how a text is read, what is counted, pages, pivots, following, and events saved as evidence.

use crate::client::{Response, get, post_json, send};
use crate::running::{INTRUSION, Running, start};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

#[track_caller]
fn html(server: &Running, path: &str) -> String {
    let response = get(server.addr, path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    check_html(&response)
}

#[track_caller]
fn check_html(response: &Response) -> String {
    assert!(response.body.len() < 150_000, "{} bytes", response.body.len());
    response.page()
}

fn form(server: &Running, path: &str, body: &str) -> Response {
    let origin = format!("http://{}", server.addr);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    send(server.addr, "POST", path, &headers, body.as_bytes())
}

/// A line of syslog, `n` seconds into a day.
fn line(n: u64) -> String {
    let (hour, minute, second) = (n / 3600 % 24, n / 60 % 60, n % 60);
    format!(
        "<13>1 2026-03-02T{hour:02}:{minute:02}:{second:02}Z web{} sshd {n} - - Failed password for user{} from 10.0.0.{} port {}\n",
        n % 3,
        n % 5,
        n % 250,
        1000 + n
    )
}

fn lines(count: u64) -> String {
    (0..count).map(line).collect()
}

#[test]
fn a_text_is_read_as_what_it_looks_like() {
    let server = start();
    server.ingest(INTRUSION);
    let page = html(&server, "/search?q=user:alice%20whoami");
    assert!(page.contains("Read as a query.") && page.contains("mode=hybrid"), "{page}");
    assert!(page.contains("1 event<") && page.contains("href=\"/events/2\""));
    let page = html(&server, "/search?q=whoami");
    assert!(page.contains("One word, looked up as it stands"));
    // Without an embedder several words all have to occur, and the other way is offered.
    let page = html(&server, "/search?q=powershell%20minidump");
    assert!(
        page.contains("Read as words that all have to occur")
            && page.contains("find events with any of them")
    );
    let page = html(&server, "/search?q=what%20about%20whoami%20and%20minidump&mode=hybrid");
    assert!(page.contains("Searched as plain words") && page.contains("found by"), "{page}");
    assert!(page.contains("href=\"/events/2\"") && page.contains("href=\"/events/3\""));
    let page = html(&server, "/search");
    assert!(page.contains("4 events<") && page.contains("class=\"histogram\""), "{page}");
}

#[test]
fn plain_words_have_pages_and_say_what_they_leave_out() {
    let server = start();
    server.ingest(&lines(300));
    let mut path = "/search?q=failed%20sshd%20password&mode=hybrid".to_owned();
    let mut seen = Vec::new();
    for first in (1..200).step_by(25) {
        let page = html(&server, &path);
        let place = if first == 1 {
            "the 200 events".to_owned()
        } else {
            format!("{first} to {} of the 200", first + 24)
        };
        assert!(page.contains(&place), "{place} in {page}");
        assert!(page.contains("what fits less than the best 200 is left out"));
        assert_eq!(page.contains("class=\"histogram\""), seen.is_empty());
        assert!(!page.contains("oldest first"), "what is best first has no order of time");
        let table = page.split("<tbody>").nth(1).unwrap();
        let ids =
            table.split("<a href=\"/events/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        seen.extend(ids.filter(|id| !id.contains('#')));
        let next = page.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
        path = next.split('"').next().unwrap().replace("&amp;", "&");
        // What comes meanwhile moves nothing.
        server.ingest(&line(301));
    }
    assert_eq!(seen.len(), 200);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 200, "none twice");
    let page = html(&server, "/search?q=failed%20sshd%20password&mode=hybrid");
    let all = page
        .split("id=\"ranked\"")
        .nth(1)
        .unwrap()
        .split("href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(html(&server, &all.replace("&amp;", "&")).contains("308 events<"), "{all}");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let server = start();
    let wrong = get(server.addr, "/search?q=whoami%20hots:ws5");
    assert_eq!(wrong.status, 400);
    let page = check_html(&wrong);
    assert!(page.contains("did you mean host?") && page.contains("whoami <mark>h</mark>ots:ws5"), "{page}");
    assert!(page.contains("Search for it as plain words"));
    for (path, status, said) in [
        ("/search?q=x&after=yesterday", 400, "which is no time"),
        ("/search?q=x&before=2026-13-45", 400, "which is no time"),
        ("/search?q=x&order=best", 400, "newest or oldest"),
        ("/search?q=x&mode=magic", 400, "text, hybrid or semantic"),
        ("/search?q=x&filter=colour:red", 400, "what narrows the search is no query"),
        ("/search?q=x&alert=none", 400, "no number"),
        ("/search?q=x&behind=7", 400, "no place in a list"),
        ("/search?q=x&mode=hybrid&behind=x", 400, "behind is"),
        ("/search?q=a%20b&mode=semantic", 409, "embedding"),
        ("/search?q=x&entity=nonsense", 400, "kind:value"),
        ("/search?q=x&cols=a,b,c,d,e,f,g,h,i,j,k,l,m", 400, "columns"),
    ] {
        let response = get(server.addr, path);
        assert_eq!(response.status, status, "{path}: {}", response.text());
        let text = check_html(&response);
        assert!(text.contains(said), "{path}: {said} in {text}");
    }
}

#[test]
fn hostile_texts_are_answered_and_stay_small() {
    let server = start();
    server.ingest(INTRUSION);
    server.ingest(&lines(200));
    let long = "a".repeat(60_000);
    let globs = "*a*b*c*d*e*f*g".repeat(20);
    let many = "x%20OR%20".repeat(300);
    let wide = "%2Aa".repeat(2000);
    for text in [
        "%00%1b[31m%E2%80%AE\"><script>alert(1)</script>",
        "user:%22a%5C%22b%22%27%3C",
        "%22%22%22%22",
        &long,
        &format!("{globs}%20{globs}"),
        &many,
        &wide,
        "((((((((((((((((((((((((((((",
        "id:99999999999999999999999999",
        "ip:999.0.0.0/99",
    ] {
        for mode in ["", "text", "hybrid"] {
            let path = format!("/search?q={text}&mode={mode}")
                .replace(' ', "%20")
                .replace(['"', '<', '>', '\\', '\''], "%22");
            let response = get(server.addr, &path);
            assert!(response.status < 500, "{} for {}", response.status, &path[..path.len().min(200)]);
            if response.status != 414 && response.status != 431 {
                check_html(&response);
            }
        }
    }
}

#[test]
fn what_is_found_is_counted_and_narrowed() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.ingest(&lines(300));
    let page = html(&server, "/search?q=password");
    assert!(page.contains("300 events<"), "{page}");
    for part in [
        "href=\"/search?q=password&amp;filter=host:web0\"",
        "href=\"/search?q=password&amp;filter=NOT%20host:web0\"",
        "data-from=\"2026-03-02T00:00:00Z\"",
        "after=2026-03-02T00:00:00Z&amp;before=2026-03-02T00:00:0",
        "rel=\"next\"",
        "of its kind on 3 hosts",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let page = html(&server, "/search?q=password&filter=host:web0%20AND%20NOT%20user:user1");
    assert!(page.contains("80 events<"), "{page}");
    assert!(page.contains("host:web0 <span aria-hidden") && page.contains("NOT user:user1 <span"));
    assert!(page.contains(
        "href=\"/search?q=password&amp;filter=host:web0\" aria-label=\"No longer only NOT user:user1\""
    ));
    // Detections are counted too, and lead to their events.
    let page = html(&server, "/search?q=powershell");
    assert!(page.contains("<h3>detection</h3>") && page.contains(&format!("alert={alert}")), "{page}");
    let page = html(&server, &format!("/search?alert={alert}"));
    assert!(page.contains("of alert #") && !page.contains("web0"));
    let json = get(server.addr, "/v1/aggregate?q=password&by=source,template,host&most=3").expect_ok();
    let template = &json["by"]["template"][0];
    let of_template = format!("/v1/events?q=template:{}&limit=1", template["value"].as_str().unwrap());
    assert_eq!(get(server.addr, &of_template).expect_ok()["total"], template["events"]);
    assert_eq!(json["by"]["host"][0]["events"], 100);
    let narrowed = get(server.addr, "/v1/events?q=password&filter=host:web0&limit=1").expect_ok();
    assert_eq!(narrowed["total"], 100);
}

#[test]
fn columns_and_order_are_in_the_address() {
    let server = start();
    server.ingest(INTRUSION);
    let page = html(&server, "/search?cols=user,process,process.cmd_line,native.EventID&order=oldest");
    for part in [
        "<th scope=\"col\">process.cmd_line",
        "whoami /all",
        ">alice<",
        "newest first",
        "cols=user%2Cprocess%2Cprocess.cmd_line",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let first = page.find("/events/1\"").unwrap();
    assert!(first < page.find("/events/4\"").unwrap());
}

#[test]
fn pages_go_through_everything_once_while_more_arrives() {
    let server = start();
    server.ingest(&lines(230));
    let mut path = "/search?q=password".to_owned();
    let mut seen: Vec<u64> = Vec::new();
    for turn in 0..10 {
        let page = html(&server, &path);
        for part in page.split("aria-label=\"Save event ").skip(1) {
            seen.push(part.split(' ').next().unwrap().parse().unwrap());
        }
        // Newer and older ones arrive between two pages.
        server.ingest(&format!("{}{}", line(5000 + turn), line(turn)));
        let Some(next) = page.split("<a class=\"button\" href=\"").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(seen, (1..=230).rev().collect::<Vec<u64>>());
}

#[test]
fn an_entity_has_a_page() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.ingest(&lines(100));
    let redirect = get(server.addr, "/search?entity=user:EXAMPLE%5Calice");
    assert_eq!((redirect.status, redirect.header("location")), (303, "/entities/user/alice"));
    let page = html(&server, "/entities/user/alice");
    for part in [
        "Seen on 1 of 4 hosts",
        "2026-03-02 09:14:01.120",
        "href=\"/entities/host/ws5\"",
        "href=\"/entities/process/powershell.exe\"",
        "class=\"histogram\"",
        &format!("href=\"/alerts/{alert}\""),
        "href=\"/cases/",
        "href=\"/search?q=user:alice\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // The process that started three others, between its parent and them.
    let page = html(&server, "/entities/process_id/ws5%2F4120");
    assert!(
        page.contains("Process tree") && page.contains("whoami /all") && page.contains("-EncodedCommand"),
        "{page}"
    );
    let page = html(&server, "/entities/host/web1");
    assert!(page.contains("class=\"lanes\"") && page.contains("href=\"/entities/user/user1\""), "{page}");
    for (path, said) in [
        ("/entities/user/nobody", "no event that is kept names user:nobody"),
        ("/entities/colour/red", "there are no such things"),
        ("/entities/file/%2e%2e", "no event"),
        ("/entities/user/%00%3Cscript%3E%E2%80%AE", "no event"),
    ] {
        let response = get(server.addr, path);
        assert_eq!(response.status, 404, "{path}: {}", response.text());
        assert!(check_html(&response).contains(said), "{path}");
    }
}

#[test]
fn names_are_suggested() {
    let server = start();
    server.ingest(INTRUSION);
    let suggest = |q: &str| {
        let found = get(server.addr, &format!("/v1/suggest?q={q}")).expect_ok();
        found["suggestions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(suggest("whoami%20-us"), ["whoami -user:", "whoami -user.domain:", "whoami -user.name:"]);
    assert_eq!(suggest("user:al"), ["user:alice"]);
    assert_eq!(suggest("process:P"), ["process:powershell.exe"]);
    assert_eq!(
        suggest("file:%22c:%5Cwindows%5Csystem32%5Cwho"),
        ["file:\"c:\\\\windows\\\\system32\\\\whoami.exe\""]
    );
    assert!(
        suggest("").is_empty() && suggest(&"x".repeat(3000)).is_empty() && suggest("colour:r").is_empty()
    );
}

/// Reads a stream until an event with this name came; gives its number and data.
fn next_event(reader: &mut impl BufRead, name: &str) -> (String, String) {
    let (mut id, mut data, mut is_it) = (String::new(), String::new(), false);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended");
        let line = line.trim_end();
        if let Some(value) = line.strip_prefix("id: ") {
            id = value.to_owned();
        } else if let Some(value) = line.strip_prefix("data: ") {
            data.push_str(value);
        } else if let Some(value) = line.strip_prefix("event: ") {
            is_it = value == name;
        } else if line.is_empty() {
            if is_it {
                return (id, data);
            }
            (id, data) = (String::new(), String::new());
        }
    }
}

#[test]
fn new_events_are_followed() {
    let server = start();
    server.ingest(INTRUSION);
    let follow = |path: &str| {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        reader
    };
    let mut events = follow("/v1/events/tail?q=password&filter=NOT%20host:web1");
    let mut rows = follow("/search/tail?q=host:web2&newer=4");
    server.ingest(&lines(3));
    let (id, data) = next_event(&mut events, "event");
    let event: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((id.as_str(), &event["id"]), ("5", &json!(5)));
    assert_eq!(next_event(&mut events, "event").0, "7");
    let (id, row) = next_event(&mut rows, "row");
    assert!(id == "7" && row.contains("<tr") && row.contains("href=\"/entities/host/web2\""), "{row}");
    // What was told of already is not told again.
    let mut again = follow("/v1/events/tail?q=whoami&newer=0");
    assert_eq!(next_event(&mut again, "event").0, "2");
    let wrong = get(server.addr, "/v1/events/tail?q=colour:red");
    assert!(wrong.problem(400).contains("there is no field"));
}

#[test]
fn events_are_saved_as_evidence_of_a_case() {
    let server = start();
    let alert = server.ingest_intrusion();
    let case = get(server.addr, &format!("/v1/alerts/{alert}")).expect_ok()["case"].as_u64().unwrap();
    let path = format!("/v1/cases/{case}/evidence");
    assert_eq!(get(server.addr, &path).expect_ok()["total"], 0);
    let saved = post_json(server.addr, &path, &json!({ "event": 4, "note": " odd <b> ", "by": "mira" }));
    assert_eq!(saved.status, 201, "{}", saved.text());
    let saved = saved.json();
    assert_eq!((&saved["total"], &saved["evidence"][0]["note"]), (&json!(1), &json!("odd <b>")));
    // Lists have excerpts, with the address of the whole.
    let excerpt = saved["evidence"][0]["raw"].as_str().unwrap();
    assert!(excerpt.chars().count() == 401 && excerpt.ends_with('…'), "{excerpt}");
    let whole = get(server.addr, saved["evidence"][0]["href"].as_str().unwrap()).expect_ok();
    assert!(whole["raw"].as_str().unwrap().contains("invoice") && whole["note"] == "odd <b>", "{whole}");
    assert!(get(server.addr, &format!("{path}/3")).problem(404).contains("is not saved"));
    for (path, body, status) in [
        ("/v1/cases/99/evidence", json!({ "event": 1, "by": "m" }), 404),
        (&*path, json!({ "event": 99, "by": "m" }), 404),
        (&*path, json!({ "event": 1 }), 422),
        (&*path, json!({ "event": 1, "by": "m", "note": "x".repeat(2001) }), 422),
        (&*path, json!({ "event": "x" }), 422),
    ] {
        post_json(server.addr, path, &body).problem(status);
    }

    // The page does the same.
    let page = html(&server, "/events/2");
    assert!(page.contains("id=\"save\"") && page.contains(&format!("<option value=\"{case}\">")), "{page}");
    let answer = form(&server, "/events/2/save", &format!("case={case}&note=looked+around&by=jo"));
    assert_eq!((answer.status, answer.header("location")), (303, format!("/cases/{case}#saved").as_str()));
    let page = html(&server, &format!("/cases/{case}"));
    assert!(
        page.contains("looked around") && page.contains("odd &#60;b&#62;") || page.contains("odd &lt;b&gt;"),
        "{page}"
    );
    assert_eq!(form(&server, "/events/2/save", "case=&by=jo").status, 422);
    assert_eq!(form(&server, "/events/2/save", "case=x&by=jo").status, 400);
    let answer = form(&server, &format!("/cases/{case}/evidence/2/remove"), "by=jo");
    assert_eq!(answer.status, 303);
    let left = post_json(server.addr, &format!("{path}/4/remove"), &json!({ "by": "jo" })).expect_ok();
    assert_eq!(left["total"], 0);
    post_json(server.addr, &format!("{path}/4/remove"), &json!({ "by": "jo" })).problem(404);

    // A case of its own, which is opened by name and on record, and only with what can be saved.
    server.ingest(&line(7));
    let alerts = || get(server.addr, "/v1/alerts").expect_ok()["total"].clone();
    let before = alerts();
    let long = "x".repeat(2001);
    assert_eq!(form(&server, "/events/5/save", &format!("case=new&note={long}&by=jo")).status, 422);
    assert_eq!(form(&server, "/events/5/save", "case=new&note=who+is+this").status, 422);
    assert_eq!(alerts(), before);
    let answer = form(&server, "/events/5/save", "case=new&note=who+is+this&by=jo");
    let location = answer.header("location").to_owned();
    assert!(answer.status == 303 && location != format!("/cases/{case}#saved"), "{location}");
    assert!(html(&server, location.split('#').next().unwrap()).contains("who is this"));
    let audit = get(server.addr, "/v1/audit").expect_ok();
    let opened =
        audit["audit"].as_array().unwrap().iter().find(|line| line["action"] == "open case").unwrap();
    assert_eq!((&opened["by"], &opened["now"]["title"]), (&json!("jo"), &json!("who is this")));
    let said = audit["audit"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap());
    assert_eq!(
        said.filter(|action| action.ends_with(" evidence")).collect::<Vec<_>>(),
        ["save evidence", "remove evidence", "remove evidence", "save evidence", "save evidence"]
    );
    let foreign = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
    assert_eq!(send(server.addr, "POST", "/events/2/save", &foreign, b"case=1&by=x").status, 403);
}

#[test]
fn what_is_rare_and_new_is_said() {
    let server = start();
    // Two days of one host, then another one.
    let old = |n: u64| line(n * 60).replace("2026-03-02", "2026-02-27");
    server.ingest(&(0..50).map(old).collect::<String>());
    server.ingest(
        &line(43_200).replace("web0", "web9").replace("Failed password for", "Somebody removed the keys of"),
    );
    let page = html(&server, "/search?q=removed");
    assert!(page.contains("the only one of its kind") && page.contains("class=\"new\""), "{page}");
    let page = html(&server, "/search?q=host:web1");
    assert!(!page.contains("class=\"new\""), "{page}");
}
