//! The real process, sealed: what the kernel says of it, and what it says of itself.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, post};
use common::{Server, Site, root};
use serde_json::Value;
use std::io::{Cursor, Write};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn the_kernel_holds_the_server() {
    let site = Site::new();
    let server = site.serve();
    let status = fs_err::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // 2: filters are installed.
    assert_eq!((of("Seccomp:"), of("NoNewPrivs:")), (Some("2"), Some("1")), "{status}");
}

#[test]
fn what_a_sealed_server_needs_it_has() {
    let site = Site::new();
    let backups = site.data_dir().with_file_name("backups");
    let followed = site
        .file("auth.log", b"Nov 26 07:00:00 h1 sshd[1]: Failed password for root from 10.0.0.5 port 22\n");
    let server = site.serve_with(&["--backup-dir", &backups.display().to_string(), "--watch", &followed]);
    // An archive goes through a file of its own.
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("c02.json", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&fs_err::read(root().join("config/suite/logs/c02.json")).unwrap()).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let raw = [("content-type", "application/octet-stream")];
    let taken = post(&server.address, "/v1/ingest/auto", &raw, &archive).unwrap();
    assert_eq!((taken.status, &taken.json()["records"]), (200, &Value::from(4)));
    let json = [("content-type", "application/json")];
    assert_eq!(post(&server.address, "/v1/backups", &json, b"{}").unwrap().status, 201);
    assert_eq!(fs_err::read_dir(&backups).unwrap().count(), 1);
    // A followed file may be moved away and begun anew.
    fs_err::rename(&followed, format!("{followed}.1")).unwrap();
    fs_err::write(&followed, "Nov 26 07:01:00 h1 sshd[1]: Failed password for bob from 10.0.0.6 port 22\n")
        .unwrap();
    let begun = Instant::now();
    while get(&server.address, "/v1/events").unwrap().json()["total"] != 6 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn doctor_says_what_holds() {
    let egress = Site::new().run(&["doctor", "--quick"]).json["egress"].clone();
    assert_eq!(egress["sealed"], true, "{egress}");
    let by = egress["by"].to_string();
    assert!(by.contains("seccomp: connecting ends the process"), "{by}");
    let egress = Site::new().run(&["doctor", "--quick", "--unsealed"]).json["egress"].clone();
    assert!(!egress["by"].to_string().contains("seccomp"), "{egress}");
}

#[test]
fn a_service_manager_is_told_how_it_goes() {
    let site = Site::new();
    let path = site.data_dir().with_file_name("notify");
    let heard = UnixDatagram::bind(&path).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = || {
        let mut said = [0; 64];
        let length = heard.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    };
    let mut command = site.command(&["serve", "--no-auth", "--listen", "127.0.0.1:0", "--model", "none"]);
    let server = Server::start(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000"));
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "WATCHDOG=1");
    server.end();
    // What was on its way when it ended still comes.
    let last = std::iter::repeat_with(next).take(100).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

#[test]
fn a_socket_that_was_opened_for_it_is_served() {
    let site = Site::new();
    let command = site.command(&["serve", "--no-auth", "--listen", "127.0.0.1:1", "--model", "none"]);
    // As systemd does it: the socket is number 3, and the environment says whose it is.
    let start = "import os, socket, sys\n\
        listening = socket.create_server(('127.0.0.1', 0))\n\
        os.dup2(listening.fileno(), 3)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", start]).arg(command.get_program()).args(command.get_args()).env_clear();
    python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let server = Server::start(python.env("PATH", path).current_dir(root()));
    assert_eq!(get(&server.address, "/healthz").unwrap().status, 200);
}

/// Looking up a name would be a way out; and what asks for one would be linked against.
#[test]
fn the_program_cannot_look_up_names() {
    let program = fs_err::read(env!("CARGO_BIN_EXE_casemate")).unwrap();
    let names = |name: &str| {
        let name = [b"\0", name.as_bytes(), b"\0"].concat();
        memchr::memmem::find(&program, &name).is_some()
    };
    assert!(names("accept4") || names("accept"), "the table of what is linked was not found");
    for resolver in ["getaddrinfo", "gethostbyname", "gethostbyname_r", "res_query", "res_nquery"] {
        assert!(!names(resolver), "{resolver}");
    }
}

#[test]
fn the_unit_exposes_little() {
    let unit = root().join("systemd/casemate.service");
    let output = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().rfind(|line| line.contains("Overall exposure level")).unwrap();
    let exposure: f64 = last.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(exposure <= 1.2, "{said}");
}
