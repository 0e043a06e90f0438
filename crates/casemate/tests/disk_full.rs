//! The disk of the data directory fills up under the real binary: intake refuses and says so, what was
//! acknowledged stays, and when space returns everything goes on by itself.
//!
//! On a small tmpfs in a namespace of its own; skipped with a message where none may be made.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::http::{get, post};
use common::{Server, Site};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Holds a namespace in which the data directory is a small tmpfs; ended when dropped.
struct Small {
    holder: Child,
    data: PathBuf,
}

impl Small {
    fn mount(site: &Site) -> Option<Self> {
        let data = site.data_dir();
        fs_err::create_dir_all(&data).unwrap();
        let script = "mount -t tmpfs -o size=12m tmpfs \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["-U", "-m", "--map-root-user", "sh", "-c", script]).arg(&data);
        let mut holder =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut said = String::new();
        let _ = BufReader::new(holder.stdout.take()?).read_line(&mut said);
        let held = Self { holder, data };
        (said == "mounted\n").then_some(held)
    }

    /// The data directory as the holder sees it.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.data.strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside).join(name)
    }

    /// `command`, inside.
    fn inside(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.args(["-t", &self.holder.id().to_string(), "-U", "-m", "--preserve-credentials"]);
        entered.arg(command.get_program()).args(command.get_args());
        entered
    }

    fn serve(&self, site: &Site) -> Server {
        let args = [
            "serve",
            "--no-auth",
            "--model",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--syslog-tcp",
            "127.0.0.1:0",
        ];
        Server::start(&mut self.inside(&site.command(&args)))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _status = self.holder.wait();
    }
}

/// A line that does not compress.
fn line(number: u64) -> String {
    let mut state = number;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state)
    };
    let noise: String = (0..64).map(|_| noise()).collect();
    format!(
        "<34>1 2026-03-02T09:00:00Z web1 sshd 7 - - Accepted password for root from 10.1.2.3 port 22 ssh2 n{number} {noise}"
    )
}

fn total(server: &Server, query: &str) -> u64 {
    get(&server.address, &format!("/v1/search?q={query}")).unwrap().expect_ok()["total"].as_u64().unwrap()
}

#[test]
fn a_full_disk_refuses_keeps_and_recovers() {
    let site = Site::new();
    let Some(small) = Small::mount(&site) else {
        eprintln!("skipped: no file system may be mounted in a namespace here");
        return;
    };
    // What is removed later to make room.
    fs_err::write(small.path("ballast"), vec![1; 4 << 20]).unwrap();
    let server = small.serve(&site);
    let mut acknowledged = 0;
    let refused = loop {
        let body: String = (acknowledged..acknowledged + 50).map(|number| line(number) + "\n").collect();
        let key = format!("body {acknowledged}");
        let answer =
            post(&server.address, "/v1/ingest/auto", &[("Idempotency-Key", &key)], body.as_bytes()).unwrap();
        if answer.status != 200 {
            break (answer, key, body);
        }
        acknowledged += 50;
        assert!(acknowledged < 100_000, "the disk does not fill up");
    };
    let (answer, key, body) = refused;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.to_lowercase().contains("retry-after: "), "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains("disk"), "{answer:?}");
    assert!(acknowledged > 100);
    assert_eq!(total(&server, "ssh2"), acknowledged);
    // Syslog has to wait: nothing of it is lost.
    let mut syslog = TcpStream::connect(server.receiver("syslog+tcp")).unwrap();
    for number in 0..500 {
        writeln!(syslog, "{}", line(1_000_000 + number)).unwrap();
    }

    fs_err::remove_file(small.path("ballast")).unwrap();
    let answer =
        post(&server.address, "/v1/ingest/auto", &[("Idempotency-Key", &key)], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    acknowledged += 50;
    let begun = Instant::now();
    while total(&server, "ssh2") < acknowledged + 500 {
        assert!(begun.elapsed() < PATIENCE, "what waited did not come in: {}", total(&server, "ssh2"));
        std::thread::yield_now();
    }
    // Detection goes on too: in the end every event is in the alert.
    let in_alert = || {
        let alerts = get(&server.address, "/v1/alerts").unwrap().expect_ok();
        let counts =
            alerts["alerts"].as_array().unwrap().iter().filter_map(|alert| alert["event_count"].as_u64());
        counts.max().unwrap_or(0)
    };
    while in_alert() < acknowledged + 500 {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} events in the alert, {acknowledged} + 500 stored",
            in_alert()
        );
        std::thread::yield_now();
    }
    server.kill();
    let server = small.serve(&site);
    assert_eq!(total(&server, "ssh2"), acknowledged + 500);
    server.kill();
}
