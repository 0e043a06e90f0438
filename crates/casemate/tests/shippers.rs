//! Real senders, unmodified, ship to the real binary: rsyslog over TCP, UDP and TLS, curl, and the Python clients
//! for Elasticsearch, Splunk and OpenTelemetry.
//!
//! A sender that is not installed is skipped with a message. `CASEMATE_SHIPPERS` names a directory with a Debian
//! tree of rsyslog (`usr/sbin/rsyslogd`) and a Python environment (`python/`), as `.ci/run` makes one.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use casemate_event::{EventId, Stored};
use casemate_store::Store;
use common::http::get;
use common::{Server, Site, root};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RECORDS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(60);

fn shippers() -> Option<PathBuf> {
    std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from).filter(|dir| dir.is_dir())
}

/// Waits until `source` has sent everything.
fn await_records(server: &Server, source: &str) {
    let begun = Instant::now();
    loop {
        let sources = get(&server.address, "/v1/sources").unwrap().expect_ok();
        let found = sources["sources"].as_array().unwrap().iter().find(|row| row["source"] == source);
        if found.is_some_and(|row| row["records"] == RECORDS) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{source} has not sent all its records: {sources}");
        std::thread::yield_now();
    }
}

/// Kills the server and checks that record `n` of `source` is there, once, with `shipped n` in it.
fn check(site: &Site, server: Server, sources: &[&str]) -> Vec<Stored> {
    server.kill();
    let store = Store::open(&site.data_dir()).unwrap();
    assert!(store.quarantine(1).unwrap().is_empty());
    let events = store.scan(EventId(1), usize::MAX).unwrap();
    for source in sources {
        let of_source: Vec<_> = events.iter().filter(|stored| stored.event.source == *source).collect();
        assert_eq!(of_source.len() as u64, RECORDS, "{source}");
        for (number, stored) in of_source.iter().enumerate() {
            let raw = String::from_utf8_lossy(&stored.event.raw);
            assert!(raw.contains(&format!("shipped {number}")), "{source}: record {number} is {raw:?}");
        }
    }
    events
}

#[test]
fn rsyslog_ships_over_tcp_udp_and_tls() {
    let Some(rsyslog) = Rsyslog::find() else {
        eprintln!("skipped: rsyslogd is not installed");
        return;
    };
    let site = Site::new();
    let (certificate, key) = (site.file("cert.pem", b""), site.file("key.pem", b""));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-keyout", &key, "-out", &certificate])
        .stderr(Stdio::null())
        .status();
    let has_tls = rsyslog.has_tls && made.is_ok_and(|status| status.success());
    let mut args = vec!["--syslog-tcp", "127.0.0.1:0", "--syslog-udp", "127.0.0.1:0"];
    if has_tls {
        args.extend(["--syslog-tls", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key]);
    } else {
        eprintln!("skipped: TLS, without rsyslog's gtls module or openssl");
    }
    let server = site.serve_with(&args);
    let work = site.data_dir().parent().unwrap().join("rsyslog");
    fs_err::create_dir(&work).unwrap();
    let _running = rsyslog.start(&work, &server, &certificate, has_tls);
    let mut sources = vec!["syslog+tcp://127.0.0.1", "syslog+udp://127.0.0.1"];
    sources.extend(has_tls.then_some("syslog+tls://127.0.0.1"));
    sources.iter().for_each(|source| await_records(&server, source));
    check(&site, server, &sources);
}

struct Rsyslog {
    program: PathBuf,
    modules: PathBuf,
    libraries: String,
    has_tls: bool,
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Rsyslog {
    fn find() -> Option<Self> {
        let roots = shippers().into_iter().chain([PathBuf::from("/")]);
        roots.into_iter().find_map(|root| {
            let program = root.join("usr/sbin/rsyslogd");
            let of_machine = |dir: &str| root.join(dir).join(format!("{}-linux-gnu", std::env::consts::ARCH));
            let modules = of_machine("usr/lib").join("rsyslog");
            let libraries = format!("{}:{}", of_machine("usr/lib").display(), of_machine("lib").display());
            let has_tls = modules.join("lmnsd_gtls.so").is_file();
            (program.is_file() && modules.is_dir()).then_some(Self { program, modules, libraries, has_tls })
        })
    }

    /// Follows a file and forwards its lines.
    fn start(&self, work: &Path, server: &Server, certificate: &str, has_tls: bool) -> Running {
        let lines: String = (0..RECORDS).map(|number| format!("shipped {number}\n")).collect();
        fs_err::write(work.join("in.log"), lines).unwrap();
        let forward = |scheme: &str, protocol: &str, more: &str| {
            let port = server.receiver(scheme).rsplit(':').next().unwrap();
            format!(
                "  action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"{protocol}\" {more})\n"
            )
        };
        let modern = "template=\"RSYSLOG_SyslogProtocol23Format\"";
        let mut actions = forward("syslog+tcp", "tcp", &format!("TCP_Framing=\"octet-counted\" {modern}"));
        actions += &forward("syslog+udp", "udp", "template=\"RSYSLOG_TraditionalForwardFormat\"");
        if has_tls {
            let driver = "StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"anon\"";
            actions += &forward("syslog+tls", "tcp", &format!("{driver} {modern}"));
        }
        let work = work.display();
        let config = format!(
            "global(workDirectory=\"{work}\" DefaultNetstreamDriverCAFile=\"{certificate}\")\n\
             module(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\n\
             ruleset(name=\"out\") {{\n{actions}}}\n\
             input(type=\"imfile\" File=\"{work}/in.log\" Tag=\"app:\" ruleset=\"out\")\n"
        );
        fs_err::write(format!("{work}/conf"), config).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["-n", "-f", &format!("{work}/conf"), "-i", &format!("{work}/pid")]);
        command.arg("-M").arg(&self.modules).env("LD_LIBRARY_PATH", &self.libraries);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

#[test]
fn curl_ships_to_the_collector_and_to_bulk() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let site = Site::new();
    let server = site.serve();
    let hec: String = (0..RECORDS).map(|number| format!("{{\"event\":\"shipped {number}\"}}\n")).collect();
    let bulk: String = (0..RECORDS)
        .map(|number| format!("{{\"index\":{{}}}}\n{{\"message\":\"shipped {number}\"}}\n"))
        .collect();
    let (hec, bulk) = (site.file("hec", hec.as_bytes()), site.file("bulk", bulk.as_bytes()));
    for (path, body, header, expected) in [
        ("services/collector/event", hec, "Authorization: Splunk 0", "\"code\":0"),
        ("app/_bulk", bulk, "Content-Type: application/x-ndjson", "\"errors\":false"),
    ] {
        let url = format!("http://{}/{path}", server.address);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "-H", header, "--data-binary", &format!("@{body}"), &url]);
        let output = curl.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected), "{output:?}");
    }
    check(&site, server, &["splunk-hec", "elastic-bulk"]);
}

/// Runs a script of `tests/shippers/` where the Python of `CASEMATE_SHIPPERS` has the module it needs.
fn run_python(module: &str, script: &str, source: &str) -> Option<Vec<Stored>> {
    let python = shippers().map(|dir| dir.join("python/bin/python")).filter(|python| python.is_file());
    let has_module = |python: &PathBuf| {
        let found =
            Command::new(python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let Some(python) = python.filter(has_module) else {
        eprintln!("skipped: the Python module {module} is not installed in CASEMATE_SHIPPERS");
        return None;
    };
    let site = Site::new();
    let server = site.serve();
    let script = root().join("crates/casemate/tests/shippers").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(format!("http://{}", server.address)).env("NO_PROXY", "*");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    await_records(&server, source);
    Some(check(&site, server, &[source]))
}

#[test]
fn the_client_of_elasticsearch_ships() {
    let Some(events) = run_python("elasticsearch", "elasticsearch_bulk.py", "elastic-bulk") else { return };
    assert_eq!(events[0].event.native.get("elastic.index"), Some("app"));
}

#[test]
fn the_handler_for_splunk_ships() {
    let Some(events) = run_python("splunk_handler", "splunk_handler_logs.py", "splunk-hec") else { return };
    assert_eq!(events[0].event.field("device.hostname"), Some("web1"));
}

#[test]
fn the_exporter_of_opentelemetry_ships() {
    let Some(events) = run_python("opentelemetry.sdk._logs", "opentelemetry_logs.py", "otlp") else { return };
    let first = &events[0].event;
    assert_eq!(first.field("device.hostname"), Some("web1"));
    assert_eq!(first.native.get("otlp.resource.service.name"), Some("shop"));
    assert_eq!(
        (first.native.get("otlp.attributes.n"), first.native.get("otlp.severity")),
        (Some("0"), Some("13"))
    );
    assert_eq!(first.time.to_string(), "2026-03-02T09:00:00Z");
}
