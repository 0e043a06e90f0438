//! Receivers over real sockets on loopback, with real senders where they are installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use casemate_detect::Rules;
use casemate_event::{EventId, Stored};
use casemate_pipeline::Pipeline;
use casemate_receive::{Clients, Config, Intake, Receivers, TlsFiles};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::watch;

struct Running {
    runtime: Option<Runtime>,
    intake: Arc<Intake>,
    addresses: Vec<(&'static str, SocketAddr)>,
    stop: watch::Sender<bool>,
    ended: Option<tokio::task::JoinHandle<casemate_receive::Result<()>>>,
    _dir: tempfile::TempDir,
}

fn loopback() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap()]
}

fn start(config: Config) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Arc::new(Pipeline::open(dir.path(), Rules::load(&[]).unwrap().0, None).unwrap());
    let intake = Arc::new(Intake::new(pipeline));
    let receivers = Receivers::bind(config).unwrap();
    let addresses = receivers.addresses();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stop, stopping) = watch::channel(false);
    let ended = runtime.spawn(receivers.run(Arc::clone(&intake), stopping));
    Running { runtime: Some(runtime), intake, addresses, stop, ended: Some(ended), _dir: dir }
}

impl Running {
    fn address(&self, scheme: &str) -> SocketAddr {
        self.addresses.iter().find(|(known, _)| *known == scheme).unwrap().1
    }

    /// The events once there are `count`, or after half a minute.
    fn events(&self, count: usize) -> Vec<Stored> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let events = self.intake.pipeline().store().scan(EventId(1), 100_000).unwrap();
            if events.len() >= count || Instant::now() > until {
                return events;
            }
            std::thread::yield_now();
        }
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let events = self.events(expected.len());
        let found: Vec<_> =
            events.iter().map(|e| String::from_utf8_lossy(&e.event.raw).into_owned()).collect();
        assert_eq!(found, expected);
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let (Some(runtime), Some(ended)) = (self.runtime.take(), self.ended.take()) {
            runtime.block_on(ended).unwrap().unwrap();
        }
    }
}

#[test]
fn tcp_takes_both_framings_and_names_the_sender() {
    let mut running = start(Config { syslog_tcp: loopback(), ..Config::default() });
    let mut stream = TcpStream::connect(running.address("syslog+tcp")).unwrap();
    let counted = "<34>1 2026-03-02T09:00:00Z h su 1 - - two\nlines";
    write!(
        stream,
        "<34>Mar  2 09:00:00 h su: one\n{} {counted}<34>Mar  2 09:00:01 h su: three",
        counted.len()
    )
    .unwrap();
    drop(stream);
    running.check(&["<34>Mar  2 09:00:00 h su: one", counted, "<34>Mar  2 09:00:01 h su: three"]);
    assert_eq!(running.events(3)[0].event.source, "syslog+tcp://127.0.0.1");
    running.end();
    let counts = running.intake.sources().snapshot();
    assert_eq!((counts[0].0.as_str(), counts[0].1.records), ("syslog+tcp://127.0.0.1", 3));
}

#[test]
fn a_message_cut_short_or_too_long_is_kept() {
    let mut running = start(Config { syslog_tcp: loopback(), ..Config::default() });
    let mut stream = TcpStream::connect(running.address("syslog+tcp")).unwrap();
    let long = "x".repeat((1 << 20) + 10);
    write!(stream, "<1>{long}\n<1>ok\n100 <1>cut").unwrap();
    drop(stream);
    running.check(&["<1>ok"]);
    running.end();
    let counts = &running.intake.sources().snapshot()[0].1;
    assert_eq!((counts.records, counts.quarantined), (4, 3), "{counts:?}");
    assert_eq!(counts.bytes, long.len() as u64 + 3 + 5 + 6);
}

#[test]
fn everything_sent_before_the_end_is_there_once() {
    let mut running = start(Config { syslog_tcp: loopback(), ..Config::default() });
    let address = running.address("syslog+tcp");
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for n in 0..2500 {
                    writeln!(stream, "<13>Mar  2 09:00:00 h app: sender {sender} number {n}").unwrap();
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let events = running.events(10_000);
    let distinct: std::collections::BTreeSet<_> = events.iter().map(|e| e.event.raw.clone()).collect();
    assert_eq!((events.len(), distinct.len()), (10_000, 10_000));
    running.end();
}

#[test]
fn a_datagram_is_a_message() {
    let mut running = start(Config { syslog_udp: loopback(), ..Config::default() });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = running.address("syslog+udp");
    socket.send_to(b"<34>Mar  2 09:00:00 h su: one\n", address).unwrap();
    socket.send_to(b"<34>Mar  2 09:00:00 h su: two\nlines\0", address).unwrap();
    running.check(&["<34>Mar  2 09:00:00 h su: one", "<34>Mar  2 09:00:00 h su: two\nlines"]);
    running.end();
}

#[test]
fn logger_of_util_linux_is_understood() {
    if Command::new("logger").arg("--version").output().is_err() {
        eprintln!("skipped: logger is not installed");
        return;
    }
    let mut running = start(Config { syslog_tcp: loopback(), syslog_udp: loopback(), ..Config::default() });
    let (tcp, udp) = (running.address("syslog+tcp").port(), running.address("syslog+udp").port());
    for (count, options) in
        [&["--tcp", "--octet-count", "--rfc5424"][..], &["--tcp", "--rfc3164"], &["--udp", "--rfc5424"]]
            .iter()
            .enumerate()
    {
        let port = if options[0] == "--tcp" { tcp } else { udp };
        let port = port.to_string();
        let status = Command::new("logger")
            .args(["--server", "127.0.0.1", "--port", &port, "--tag", "casemate-test"])
            .args(*options)
            .arg(format!("message {count}"))
            .status()
            .unwrap();
        assert!(status.success());
        let events = running.events(count + 1);
        assert_eq!(events.len(), count + 1, "{options:?}");
        assert!(
            events[count].event.message.contains(&format!("message {count}")),
            "{:?}",
            events[count].event
        );
    }
    running.end();
}

/// A certificate for `localhost` made by the openssl program, where there is one.
fn certificate(dir: &Path) -> Option<TlsFiles> {
    let files =
        TlsFiles { certificate: dir.join("cert.pem"), key: dir.join("key.pem"), clients: Clients::None };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success()).then_some(files)
}

#[test]
fn tls_shows_the_sites_certificate_and_asks_for_the_senders() {
    let dir = tempfile::tempdir().unwrap();
    let Some(files) = certificate(dir.path()) else {
        eprintln!("skipped: openssl is not installed");
        return;
    };
    let clients = || Clients::Required(files.certificate.clone());
    for (files, own, expected) in [
        (files.clone(), false, 1),
        (TlsFiles { clients: clients(), ..files.clone() }, true, 1),
        (TlsFiles { clients: clients(), ..files.clone() }, false, 0),
    ] {
        let config = Config { syslog_tls: loopback(), tls: Some(files.clone()), ..Config::default() };
        let mut running = start(config);
        let address = running.address("syslog+tls").to_string();
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-connect", &address]);
        client.args(["-servername", "localhost", "-CAfile"]).arg(&files.certificate);
        if own {
            client.arg("-cert").arg(&files.certificate).arg("-key").arg(&files.key);
        }
        let mut child =
            client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sent = child.stdin.take().unwrap().write_all(b"29 <34>Mar  2 09:00:00 h su: one");
        // A sender that is refused may be gone before it has sent.
        assert!(sent.is_ok() || expected == 0, "{sent:?}");
        child.wait().unwrap();
        if expected > 0 {
            running.check(&["<34>Mar  2 09:00:00 h su: one"]);
        }
        running.end();
        assert_eq!(running.events(expected).len(), expected);
    }
}

#[test]
fn tls_without_usable_files_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let none = Receivers::bind(Config { syslog_tls: loopback(), ..Config::default() });
    assert!(none.err().unwrap().to_string().contains("certificate"));
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs_err::write(&certificate, "no certificate").unwrap();
    fs_err::write(&key, "no key").unwrap();
    let tls = Some(TlsFiles { certificate, key, clients: Clients::None });
    let error = Receivers::bind(Config { syslog_tls: loopback(), tls, ..Config::default() }).err().unwrap();
    assert!(error.to_string().contains("key.pem"), "{error}");
}

#[test]
fn a_silence_becomes_an_event_once() {
    let mut running = start(Config::default());
    let (sources, start) = (running.intake.sources(), Instant::now());
    for minute in 0..20 {
        sources.count("syslog+tcp://10.0.0.9", 1, 1, 0, start + Duration::from_secs(60 * minute));
    }
    running.intake.report_silences(start + Duration::from_secs(60 * 40));
    running.intake.report_silences(start + Duration::from_secs(60 * 41));
    let events = running.events(1);
    assert_eq!(events.len(), 1);
    assert!(events[0].event.message.starts_with("Log source has fallen silent: syslog+tcp://10.0.0.9"));
    assert_eq!(events[0].event.native.get("casemate.telemetry"), Some("silence"));
    running.end();
}
