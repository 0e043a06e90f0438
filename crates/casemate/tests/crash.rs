//! `casemate serve` is killed (`SIGKILL`) while senders send, again and again over one data directory, and what
//! it holds is compared with what it acknowledged.
//!
//! | sender | acknowledged by | held to |
//! |---|---|---|
//! | `/v1/ingest`, HEC and `_bulk` with `Idempotency-Key` | 2xx | acknowledged: exactly once, however often sent; not yet: at most once |
//! | HEC without a key | 2xx with an `ackId` that is then confirmed | acknowledged: there; never more often than sent; bodies whole or not at all |
//! | syslog over TCP | nothing in the protocol; what `/metrics` counts | what is there is what was sent up to some line, each once |
//! | a followed file | nothing, it stays there | each line exactly once, in the end all of them |
//! | who asks for an investigation | 202 | it waits, or is there |
//! | who closes an alert | 200 | it is closed, and the audit record, which holds, says who did it |
//!
//! `CASEMATE_KILLS` sets how often; the usual number fits a test run.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use casemate_event::{AlertId, Batch, EventId, QuarantineReason, Quarantined};
use casemate_store::Store;
use common::http::{get, post};
use common::{Server, Site};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const USUAL_KILLS: u64 = 20;
/// A new data directory is begun once the old one holds this many events: checking it all takes ever longer.
const MOST_EVENTS: usize = 60_000;
const SYSLOG_RECORDS: &str = "casemate_source_records_total{source=\"syslog+tcp://127.0.0.1\"} ";
const WAIT: Duration = Duration::from_secs(60);

/// Sender, number of its body, number of the record in it: how often it is stored.
type Found = BTreeMap<(String, u64, u64), u64>;

fn record(sender: &str, body: u64, number: u64) -> String {
    // One in seven matches a rule, so that detection runs and is killed too.
    let what =
        if number.is_multiple_of(7) { "Failed password for root from 10.1.2.3 port 22 ssh2" } else { "ok" };
    format!("<34>1 2026-03-02T09:00:00Z web1 sshd 7 - - {what} crash-test {sender} {body} {number}")
}

fn found(data_dir: &Path) -> (Found, usize) {
    let store = Store::open(data_dir).unwrap();
    assert_eq!(store.verify().unwrap(), Vec::<String>::new());
    assert!(store.quarantine(1).unwrap().is_empty());
    let mut found = Found::new();
    let events = store.scan(EventId(1), usize::MAX).unwrap();
    assert_eq!(events.len() as u64, store.event_count());
    for stored in &events {
        let raw = std::str::from_utf8(&stored.event.raw).unwrap();
        let mark = raw.split(" crash-test ").nth(1).unwrap_or_else(|| panic!("never sent: {raw:?}"));
        let mut parts = mark.split(' ');
        let mut next = || parts.next().unwrap().to_owned();
        let key = (next(), next().parse().unwrap(), next().parse().unwrap());
        assert_eq!(raw, record(&key.0, key.1, key.2));
        *found.entry(key).or_default() += 1;
    }
    (found, events.len())
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Records in body `number`: mostly few, now and then more than one batch.
fn size(number: u64) -> u64 {
    if number % 16 == 9 { 2500 } else { 1 + number * 7 % 40 }
}

/// How a sender's body goes over the wire.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Ingest,
    Hec,
    Bulk,
}

impl Way {
    fn send(self, address: &str, name: &str, body: u64, key: Option<&str>) -> std::io::Result<bool> {
        let records: Vec<String> = (0..size(body)).map(|number| record(name, body, number)).collect();
        let mut headers = Vec::from_iter(key.map(|key| ("Idempotency-Key", key)));
        let answer = match self {
            Self::Ingest => {
                post(address, "/v1/ingest/auto", &headers, (records.join("\n") + "\n").as_bytes())?
            }
            Self::Hec => {
                headers.push(("X-Splunk-Request-Channel", "c1"));
                let events: String =
                    records.iter().map(|record| json!({ "event": record }).to_string()).collect();
                let answer = post(address, "/services/collector/event", &headers, events.as_bytes())?;
                if answer.status == 200 {
                    let ack = &answer.json()["ackId"];
                    let asked = json!({ "acks": [ack] }).to_string();
                    if let Ok(said) = post(address, "/services/collector/ack", &headers, asked.as_bytes()) {
                        assert_eq!(said.expect_ok()["acks"][ack.to_string()], true);
                    }
                }
                answer
            }
            Self::Bulk => {
                headers.push(("Content-Type", "application/x-ndjson"));
                let lines: String =
                    records.iter().map(|record| format!("{{\"create\":{{}}}}\n{record}\n")).collect();
                post(address, "/_bulk", &headers, lines.as_bytes())?
            }
        };
        // 503 is an answer too: the body is sent again.
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        Ok(answer.status == 200)
    }
}

/// Sends bodies one after the other, each again until it is acknowledged.
struct Http {
    name: &'static str,
    way: Way,
    keyed: bool,
    /// Bodies acknowledged.
    done: u64,
    /// How often each body was sent.
    sent: Vec<u64>,
}

impl Http {
    fn new(name: &'static str, way: Way, keyed: bool) -> Self {
        Self { name, way, keyed, done: 0, sent: Vec::new() }
    }

    /// Until the connection breaks, or `most` bodies are acknowledged in all.
    fn run(&mut self, address: &str, acknowledged: &Sender<()>, most: u64) {
        while self.done < most {
            let body = self.done;
            if self.sent.len() as u64 == body {
                self.sent.push(0);
            }
            *self.sent.last_mut().unwrap() += 1;
            let key = format!("{} {body}", self.name);
            match self.way.send(address, self.name, body, self.keyed.then_some(key.as_str())) {
                Ok(true) => {
                    self.done += 1;
                    // Nobody listens any more once enough were acknowledged.
                    let _ = acknowledged.send(());
                }
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    fn check(&self, found: &Found) {
        for (body, sent) in (0..).zip(&self.sent) {
            let counts: Vec<u64> = (0..size(body))
                .map(|number| found.get(&(self.name.to_owned(), body, number)).copied().unwrap_or(0))
                .collect();
            let is_done = body < self.done;
            let (least, most) = (u64::from(is_done), if self.keyed { 1 } else { *sent });
            let what =
                format!("{} {body}, sent {sent} times, acknowledged: {is_done}: {counts:?}", self.name);
            assert!(counts.iter().all(|count| (least..=most).contains(count)), "{what}");
            if self.way != Way::Ingest {
                assert!(counts.iter().all(|count| *count == counts[0]), "in part: {what}");
            }
        }
        let beyond = found.range((self.name.to_owned(), self.sent.len() as u64, 0)..).next();
        assert!(beyond.is_none_or(|((name, ..), _)| name != self.name), "{beyond:?}");
    }
}

/// One connection for each life of the server.
struct Syslog {
    sent: Vec<AtomicU64>,
    /// What `/metrics` had counted of each connection, at least.
    counted: Vec<u64>,
}

impl Syslog {
    fn run(&self, address: &str) {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let connection = self.sent.len() as u64 - 1;
        let sent = self.sent.last().unwrap();
        for number in 0..200_000 {
            let line = record("syslog", connection, number);
            let framed = match connection % 2 {
                0 => format!("{line}\n"),
                _ => format!("{} {line}", line.len()),
            };
            // Whoever is killed may have read all of it.
            sent.store(number + 1, Ordering::SeqCst);
            if stream.write_all(framed.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn check(&self, found: &Found) {
        for (connection, (sent, counted)) in (0..).zip(self.sent.iter().zip(&self.counted)) {
            let range = ("syslog".to_owned(), connection, 0)..("syslog".to_owned(), connection + 1, 0);
            let mut there = 0;
            for (number, ((.., stored), count)) in (0..).zip(found.range(range)) {
                assert_eq!((number, 1), (*stored, *count), "a gap or a double in connection {connection}");
                there += 1;
            }
            assert!(there >= *counted, "{counted} counted by /metrics, {there} there");
            assert!(there <= sent.load(Ordering::SeqCst));
        }
    }
}

/// Appends to a file that is followed.
struct Followed {
    path: PathBuf,
    written: u64,
}

impl Followed {
    fn write(&mut self, lines: u64) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        for _ in 0..lines {
            writeln!(file, "{}", record("file", 0, self.written)).unwrap();
            self.written += 1;
        }
    }

    fn check(&self, found: &Found, all: bool) {
        let mut there = 0;
        for (number, ((.., stored), count)) in
            (0..).zip(found.range(("file".to_owned(), 0, 0)..("file".to_owned(), 1, 0)))
        {
            assert_eq!((number, 1), (*stored, *count), "a gap or a double in the followed file");
            there += 1;
        }
        assert!(there <= self.written && (!all || there == self.written), "{there} of {}", self.written);
    }
}

/// One data directory and all that was ever sent to it.
struct Trial {
    site: Site,
    http: Vec<Http>,
    syslog: Syslog,
    followed: Followed,
    logs: PathBuf,
    decisions: Decisions,
}

/// What people asked for and decided, as far as it was acknowledged.
#[derive(Default)]
struct Decisions {
    turn: u64,
    asked: BTreeSet<AlertId>,
    closed: BTreeSet<AlertId>,
}

impl Decisions {
    /// Asks about one of the alerts, and closes every third.
    fn make(&mut self, address: &str) {
        self.turn += 1;
        let json = [("content-type", "application/json")];
        let Ok(alerts) = get(address, "/v1/alerts") else { return };
        let alerts = alerts.expect_ok()["total"].as_u64().unwrap();
        if alerts == 0 {
            return;
        }
        let alert = AlertId(1 + self.turn % alerts);
        let body = json!({ "alert": alert }).to_string();
        if post(address, "/v1/investigations", &json, body.as_bytes())
            .is_ok_and(|answer| answer.status == 202)
        {
            self.asked.insert(alert);
        }
        if self.turn.is_multiple_of(3) {
            let body = json!({ "verdict": "benign", "reason": "a test", "by": "mira" }).to_string();
            let path = format!("/v1/alerts/{alert}/close");
            if post(address, &path, &json, body.as_bytes()).is_ok_and(|answer| answer.status == 200) {
                self.closed.insert(alert);
            }
        }
    }

    fn check(&self, data_dir: &Path) {
        let store = Store::open(data_dir).unwrap();
        let (waiting, done) = (store.asked().unwrap(), store.investigations().unwrap());
        for alert in &self.asked {
            assert!(waiting.contains(alert) || done.contains(alert), "the investigation of {alert} is lost");
        }
        let lines = store.audit(u64::MAX, usize::MAX).unwrap();
        for alert in &self.closed {
            assert!(store.closing(*alert).unwrap().is_some(), "{alert} is open again");
            let subject = format!("alert {alert}");
            let is_its = |line: &&casemate_audit::Line| line.action == "close" && line.subject == subject;
            assert!(lines.iter().filter(is_its).count() >= 1, "who closed {alert} is not on record");
        }
        let rows: Vec<u64> = lines.iter().filter_map(|line| line.row).collect();
        assert!(rows.is_sorted_by(|later, earlier| later > earlier), "a row stands twice in the record");
        drop(store);
        let record = casemate_audit::verify(&data_dir.join("audit"), &[], None).unwrap();
        assert_eq!(record.problems, Vec::<String>::new());
    }
}

impl Trial {
    fn new() -> Self {
        let site = Site::new();
        let logs = site.data_dir().parent().unwrap().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let http = vec![
            Http::new("ingest", Way::Ingest, true),
            Http::new("keyed-hec", Way::Hec, true),
            Http::new("keyed-bulk", Way::Bulk, true),
            Http::new("hec", Way::Hec, false),
        ];
        let syslog = Syslog { sent: Vec::new(), counted: Vec::new() };
        let followed = Followed { path: logs.join("app.log"), written: 0 };
        Self { site, http, syslog, followed, logs, decisions: Decisions::default() }
    }

    fn serve(&self) -> Server {
        self.site.serve_with(&["--syslog-tcp", "127.0.0.1:0", "--watch", self.logs.to_str().unwrap()])
    }

    /// Kills the server while it opens what the last one left.
    fn kill_while_opening(&self, pause: Duration) {
        let mut command =
            self.site.command(&["serve", "--no-auth", "--model", "none", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(pause);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets everybody send, and kills the server after `acknowledgements` and `pause`.
    fn round(&mut self, acknowledgements: u64, pause: Duration) {
        self.followed.write(5);
        let server = self.serve();
        let address = server.address.clone();
        let counted = || get(&address, "/metrics").ok().and_then(|said| said.metric(SYSLOG_RECORDS));
        let counted_before = counted().unwrap_or(0);
        self.syslog.sent.push(AtomicU64::new(0));
        let (acknowledged, acknowledgement): (Sender<()>, Receiver<()>) = channel();
        let counted = std::thread::scope(|scope| {
            for http in &mut self.http {
                let (address, acknowledged) = (server.address.clone(), acknowledged.clone());
                scope.spawn(move || http.run(&address, &acknowledged, u64::MAX));
            }
            let (syslog, address) = (&self.syslog, server.receiver("syslog+tcp").to_owned());
            scope.spawn(move || syslog.run(&address));
            for _ in 0..acknowledgements {
                acknowledgement.recv_timeout(WAIT).unwrap();
            }
            self.followed.write(3);
            self.decisions.make(&server.address);
            let counted = counted().unwrap_or(0) - counted_before;
            // Not to wait for anything, but to die at another moment each time.
            std::thread::sleep(pause);
            server.kill();
            counted
        });
        self.syslog.counted.push(counted);
    }

    fn check(&self, all: bool) -> usize {
        let (found, count) = found(&self.site.data_dir());
        self.http.iter().for_each(|http| http.check(&found));
        self.syslog.check(&found);
        self.followed.check(&found, all);
        self.decisions.check(&self.site.data_dir());
        count
    }

    /// Everybody gets an acknowledgement for what is open, and everything is there.
    fn finish(mut self) {
        self.followed.write(1);
        let server = self.serve();
        let (acknowledged, _acknowledgement) = channel();
        for http in &mut self.http {
            let all = http.sent.len() as u64;
            http.run(&server.address, &acknowledged, all);
            assert_eq!(http.done, all);
        }
        let begun = std::time::Instant::now();
        let query = format!("/v1/search?q=%22crash-test%20file%200%20{}%22", self.followed.written - 1);
        while get(&server.address, &query).unwrap().expect_ok()["total"] != 1 {
            assert!(begun.elapsed() < WAIT, "the last line of the followed file did not come");
            std::thread::yield_now();
        }
        server.kill();
        self.check(true);
    }
}

#[test]
fn what_is_acknowledged_survives_kills_exactly_once() {
    let kills =
        std::env::var("CASEMATE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(USUAL_KILLS);
    let mut random = Random(7);
    let mut trial = Trial::new();
    for kill in 0..kills {
        if kill % 5 == 4 {
            trial.kill_while_opening(Duration::from_millis(random.below(60)));
        } else {
            trial.round(1 + random.below(12), Duration::from_micros(random.below(30_000)));
        }
        let count = trial.check(false);
        if count > MOST_EVENTS {
            std::mem::replace(&mut trial, Trial::new()).finish();
        }
    }
    trial.finish();
}

#[test]
fn a_retry_of_the_quarantine_that_is_killed_neither_loses_nor_doubles_a_record() {
    const RECORDS: u64 = 20_000;
    let site = Site::new();
    let raw = |number: u64| format!("{{\"eventVersion\":\"1.08\",\"eventName\":\"N{number}\"}}").into_bytes();
    let understood = |number: u64| !number.is_multiple_of(10);
    let quarantined = (0..RECORDS).map(|number| Quarantined {
        source: "http".to_owned(),
        position: number,
        reason: QuarantineReason::MalformedJson,
        detail: "left by an earlier version".to_owned(),
        raw: if understood(number) { raw(number) } else { b"{\"half\":".to_vec() },
    });
    let quarantined: Vec<_> = quarantined.collect();
    Store::open(&site.data_dir()).unwrap().append(&Batch { quarantined, ..Batch::default() }).unwrap();
    let mut random = Random(11);
    let mut killed_in_part = 0;
    for _ in 0..8 {
        let mut child = site.command(&["ingest", "--retry-quarantine"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100 + random.below(200)));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&site.data_dir()).unwrap();
        let mut seen = vec![0; RECORDS as usize];
        for stored in store.scan(EventId(1), usize::MAX).unwrap() {
            assert_eq!(stored.event.raw, raw(stored.event.position));
            seen[stored.event.position as usize] += 1;
        }
        let left = store.quarantine(usize::MAX).unwrap();
        left.iter().for_each(|record| seen[record.position as usize] += 1);
        assert!(seen.iter().all(|count| *count == 1));
        assert_eq!(store.counts().unwrap().quarantined.values().sum::<u64>(), left.len() as u64);
        killed_in_part += u64::from(store.event_count() > 0 && left.len() as u64 > RECORDS / 10);
    }
    eprintln!("killed {killed_in_part} times in between");
    let out = site.run(&["ingest", "--retry-quarantine"]);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.json["retried"]["examined"].as_u64() >= Some(RECORDS / 10));
    let store = Store::open(&site.data_dir()).unwrap();
    assert_eq!(
        (store.event_count(), store.quarantine(usize::MAX).unwrap().len() as u64),
        (RECORDS / 10 * 9, RECORDS / 10)
    );
}
