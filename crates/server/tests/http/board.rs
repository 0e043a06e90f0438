//! The lists of alerts and cases: filters that are an address, and that they follow what happens.

use crate::client::{get, post_json, send};
use crate::running::{Running, start};
use casemate_event::{Alert, AlertId, AlertOrigin, EventId, Severity};
use casemate_store::{Raise, Said};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Raises an alert of another product; gives its number.
fn raise(server: &Running, title: &str, severity: &str, product: &str, techniques: &[&str]) -> u64 {
    let alert = json!({
        "title": title, "severity": severity, "product": product, "techniques": techniques,
        "time": "2026-03-02T09:00:00Z",
    });
    post_json(server.addr, "/v1/alerts", &alert).json()["id"].as_u64().unwrap()
}

/// The alerts that a page lists, in its order.
#[track_caller]
fn listed(server: &Running, path: &str) -> Vec<u64> {
    let page = get(server.addr, path);
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    let page = page.text();
    page.split("data-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn filters_are_an_address_and_combine() {
    let server = start();
    let low = raise(&server, "Odd child", "low", "edr", &["T1059.001"]);
    let high = raise(&server, "Encoded command", "high", "edr", &["T1059.001", "T1027"]);
    let ids = raise(&server, "Port scan <b>", "medium", "ids, the old one", &["T1046"]);
    let critical = raise(&server, "Dump", "critical", "edr", &["T1003.001"]);
    assert_eq!(listed(&server, "/"), [critical, high, ids, low], "by priority");
    assert_eq!(listed(&server, "/?order=newest"), [critical, ids, high, low]);
    assert_eq!(listed(&server, "/?severity=high,low"), [high, low]);
    assert_eq!(listed(&server, "/?technique=T1059.001&severity=low"), [low]);
    assert_eq!(listed(&server, "/?source=ids%2C+the+old+one"), [ids], "a name may hold a comma");
    assert_eq!(listed(&server, "/?q=ENCODED+edr"), [high]);
    assert_eq!(listed(&server, &format!("/?q=%23{ids}")), [ids]);
    assert_eq!(listed(&server, "/?q=t1046"), [ids]);
    assert_eq!(listed(&server, "/?before=2026-03-01"), Vec::<u64>::new());
    assert_eq!(listed(&server, "/?after=2026-03-01&verdict=none"), [critical, high, ids, low]);
    assert_eq!(listed(&server, "/?verdict=malicious"), Vec::<u64>::new());
    assert_eq!(get(server.addr, "/?after=yesterday").status, 400);
    for odd in [
        "/?start=999",
        "/?start=x&severity=&verdict=,,&entity=:::&assignee=%00",
        "/?q=%23999999999999999999999",
    ] {
        assert_eq!(get(server.addr, odd).status, 200, "{odd}");
    }
    // Each value says how many it would leave under the other filters.
    let page = get(server.addr, "/?severity=high").text();
    assert!(
        page.contains("href=\"/?severity=high%2Clow\"") && !page.contains("Port scan &lt;b&gt;"),
        "{page}"
    );
    assert!(page.contains("severity</span> high"), "{page}");

    let assign = json!({ "alerts": [low, high], "act": "assign", "to": "mira", "by": "jo" });
    post_json(server.addr, "/v1/alerts/feedback", &assign).expect_ok();
    assert_eq!(listed(&server, "/?assignee=mira"), [high, low]);
    assert_eq!(listed(&server, "/?assignee=none"), [critical, ids]);
    let close = json!({ "act": "close", "verdict": "benign", "reason": "r", "by": "jo" });
    post_json(server.addr, &format!("/v1/alerts/{high}/feedback"), &close).expect_ok();
    assert_eq!(listed(&server, "/"), [critical, ids, low], "seen at once");
    assert_eq!(listed(&server, "/?state=closed"), [high]);
    assert_eq!(listed(&server, "/?state=all&assignee=mira"), [low, high], "what is closed comes last");
    assert!(get(server.addr, "/cases?state=open&verdict=&order=newest").text().contains("href=\"/cases/"));
    assert_eq!(get(server.addr, "/cases?state=x&start=-1&verdict=odd").status, 200);

    let rows = get(server.addr, &format!("/alerts/rows?ids={low},{high},999,x"));
    assert_eq!((rows.status, rows.text().matches("<tr ").count()), (200, 2));
    let many: Vec<String> = (0..76).map(|n| n.to_string()).collect();
    assert_eq!(get(server.addr, &format!("/alerts/rows?ids={}", many.join(","))).status, 400);
}

/// A follower of `/v1/stream`.
struct Follower(BufReader<TcpStream>);

/// One event: its name, id and data.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: serde_json::Value,
}

impl Follower {
    fn new(server: &Running, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!("GET /v1/stream HTTP/1.1\r\nHost: {}\r\n{last}\r\n", server.addr);
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next event; nothing at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { name: String::new(), id: String::new(), data: json!(null) };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", name)) => event.name = name.trim().to_owned(),
                Some(("id", id)) => event.id = id.trim().to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                None if line.trim_end().is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// The next event that is wanted.
    #[track_caller]
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().expect("the stream ended");
            if wanted(&event) {
                return event;
            }
        }
    }
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let mut server = start();
    let mut follower = Follower::new(&server, None);
    assert_eq!(follower.until(|event| event.name == "hello").data["waiting"], 0);
    let alert = server.ingest_intrusion();
    let raised = follower.until(|event| event.name == "alert" && event.data["id"] == alert);
    assert_eq!((&raised.data["what"], &raised.data["closed"]), (&json!("raised"), &json!(null)));
    server.investigate(alert);
    // The verdict is told once it is stored, which is before the investigation is over.
    let (mut statuses, mut verdicts) = (Vec::new(), 0);
    while !(verdicts > 0 && statuses.contains(&json!("done"))) {
        let event = follower.next().unwrap();
        match event.name.as_str() {
            "investigation" => statuses.push(event.data["status"].clone()),
            "alert" if event.data["verdict"].is_string() => verdicts += 1,
            _ => {}
        }
    }
    assert_eq!(statuses, ["queued", "running", "done"]);
    let close = json!({ "act": "close", "verdict": "benign", "reason": "r", "by": "jo" });
    post_json(server.addr, &format!("/v1/alerts/{alert}/feedback"), &close).expect_ok();
    let closed = follower.until(|event| event.name == "alert" && event.data["what"] == "decided");
    assert_eq!(closed.data["closed"], "benign");
    follower.until(|event| event.name == "case");

    // Who comes back goes on where they were; who was away too long is told so.
    let mut again = Follower::new(&server, Some(&raised.id));
    again.until(|event| event.name == "hello");
    again.until(|event| event.id == closed.id);
    let mut other = Follower::new(&server, Some("1-1"));
    assert_eq!(other.next().unwrap().name, "gap");
    // It ends with the server.
    server.end();
    while follower.next().is_some() {}
}

#[test]
fn followers_are_bounded() {
    let server = start();
    let mut all = Vec::new();
    for _ in 0..64 {
        let mut follower = Follower::new(&server, None);
        follower.until(|event| event.name == "hello");
        all.push(follower);
    }
    let refused = send(server.addr, "GET", "/v1/stream", &[], b"");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "60"));
}

fn alert(n: u64) -> Alert {
    let time = Timestamp::from_second(1_772_000_000 + n as i64 % 1_000_000).unwrap();
    let severity = [Severity::Low, Severity::Medium, Severity::High][n as usize % 3];
    Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product(format!("product {}", n % 7)),
        title: format!("Alert of kind {}", n % 211),
        severity,
        techniques: vec![format!("T1{:03}", n % 97)],
        first_time: time,
        last_time: time,
        events: vec![EventId(1)],
        event_count: 1,
        entities: vec![format!("process_id:h{n}/x{n}").parse().unwrap()],
    }
}

/// A product's alert that was closed comes back, and followers are told why.
#[test]
fn what_is_raised_again_says_why() {
    let server = start();
    let raise = |event: u64, severity: Severity| {
        let one = Raise {
            alert: Alert { severity, events: vec![EventId(event)], ..alert(1) },
            fold_key: "finding:3:edr:1".to_owned(),
            window: SignedDuration::MAX,
            kind: event,
            same: Some(Said::Open),
        };
        server.pipeline.store().raise_all(vec![one], None).unwrap()[0].id.0
    };
    let first = raise(1, Severity::Medium);
    let close = json!({ "verdict": "benign", "reason": "r", "by": "jo" });
    post_json(server.addr, &format!("/v1/alerts/{first}/close"), &close).expect_ok();
    let mut follower = Follower::new(&server, None);
    follower.until(|event| event.name == "hello");
    let again = raise(2, Severity::Critical);
    assert_ne!(again, first);
    let told = follower.until(|event| event.name == "alert" && event.data["id"] == again).data;
    assert_eq!((&told["what"], &told["closed"]), (&json!("raised"), &json!(null)));
    let why =
        format!("alert {first} again, which was closed: its severity was medium then and is critical now");
    assert_eq!(told["joined"], why);
    assert_eq!(listed(&server, "/"), [again]);
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// A server with 3,000 alerts, or as many as `CASEMATE_BOARD_ALERTS` says; and how many.
fn with_many_alerts() -> (Running, u64) {
    let many: u64 = std::env::var("CASEMATE_BOARD_ALERTS").map_or(3000, |many| many.parse().unwrap());
    let server = start();
    let store = server.pipeline.store();
    for from in (0..many).step_by(1000) {
        let raises = (from..many.min(from + 1000)).map(|n| Raise {
            alert: alert(n),
            fold_key: n.to_string(),
            window: SignedDuration::ZERO,
            kind: 0,
            same: None,
        });
        store.raise_all(raises.collect(), None).unwrap();
    }
    (server, many)
}

/// No page reads all alerts: with many of them (`CASEMATE_BOARD_ALERTS=100000` for as many) each answer takes about as
/// long as it takes to look through a table in memory.
#[test]
fn pages_stay_fast_over_many_alerts() {
    let (server, many) = with_many_alerts();
    get(server.addr, "/");
    for path in
        ["/", "/?severity=high&q=kind+21&technique=T1021", "/?order=newest&start=75", "/cases", "/system"]
    {
        let (begun, before) = (Instant::now(), cpu());
        let rounds = 5;
        let mut bytes = 0;
        for _ in 0..rounds {
            let page = get(server.addr, path);
            assert_eq!(page.status, 200);
            bytes = page.body.len();
        }
        println!(
            "{path}: {many} alerts, {bytes} bytes, {:.1} ms each, {:.1} ms of CPU (this build)",
            begun.elapsed().as_secs_f64() * 1000.0 / f64::from(rounds),
            (cpu() - before).as_secs_f64() * 1000.0 / f64::from(rounds)
        );
        assert!(bytes < 120_000, "{path} has {bytes} bytes");
    }
}

/// The lists of the API in parts, over as many alerts; each reads what it shows and no more.
#[test]
fn lists_of_the_api_come_in_parts() {
    let (server, many) = with_many_alerts();
    let close = json!({ "verdict": "benign", "reason": "r", "by": "jo" });
    for id in [many, many - 2] {
        post_json(server.addr, &format!("/v1/alerts/{id}/close"), &close).expect_ok();
    }
    for list in ["alerts", "cases"] {
        let (mut below, mut seen) = (String::new(), Vec::new());
        let before = cpu();
        for _ in 0..3 {
            let part = get(server.addr, &format!("/v1/{list}?limit=50{below}")).expect_ok();
            let rows = part[list].as_array().unwrap();
            seen.extend(rows.iter().map(|row| row["id"].as_u64().unwrap()));
            assert_eq!((rows.len(), &part["total"]), (50, &json!(many)), "{list}");
            below = format!("&below={}", part["below"]);
        }
        println!(
            "/v1/{list}: 50 of {many}, {:.1} ms of CPU (this build)",
            (cpu() - before).as_secs_f64() * 1000.0 / 3.0
        );
        assert!(seen.iter().rev().copied().eq(many - 149..=many), "{list}: {seen:?}");
        let end = get(server.addr, &format!("/v1/{list}?limit=50&below=3")).expect_ok();
        assert_eq!((end[list].as_array().unwrap().len(), &end["below"]), (2, &json!(null)), "{list}");
        let usual = get(server.addr, &format!("/v1/{list}")).expect_ok();
        assert_eq!(usual[list].as_array().unwrap().len(), 100, "{list}");
        for wrong in ["limit=0", "limit=1001", "below=x", "open=perhaps", "other=1"] {
            get(server.addr, &format!("/v1/{list}?{wrong}")).problem(400);
        }
    }
    let open = get(server.addr, "/v1/alerts?open=true&limit=2").expect_ok();
    assert_eq!(
        (&open["total"], &open["alerts"][0]["id"], &open["alerts"][1]["id"]),
        (&json!(many - 2), &json!(many - 1), &json!(many - 3))
    );
    // What a case says of its alerts is what it says alone.
    let listed = get(server.addr, "/v1/cases?limit=1").expect_ok()["cases"][0].clone();
    let alone = get(server.addr, &format!("/v1/cases/{}", listed["id"])).expect_ok();
    for name in ["title", "severity", "first_time", "last_time", "verdict", "closed", "related"] {
        assert_eq!(listed[name], alone[name], "{name}");
    }
}

#[test]
fn the_system_page_says_how_the_machine_does() {
    let server = start();
    let alert = server.ingest_intrusion();
    server.ingest("what is this\u{0}\n");
    server.investigate(alert);
    let page = get(server.addr, "/system");
    assert_eq!(page.status, 200, "{}", page.text());
    let page = page.text();
    for part in [
        "Seconds per alert",
        "class=\"chart converges\"",
        "As a table",
        "Intake",
        "Nothing leaves",
        "audit record",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains(" style=\"") && !page.contains("NaN"));
    let system = get(server.addr, "/v1/system").expect_ok();
    assert_eq!(system["stages"][0]["name"], "total");
    assert_eq!(system["verdicts"]["weeks"][0]["from"], "2026-03-02");
    assert_eq!(system["queue"]["alive"], true);
    assert!(system["record"]["lines"].as_u64().unwrap() > 0);
    assert_eq!(system["intake"]["events"], 5);
}
