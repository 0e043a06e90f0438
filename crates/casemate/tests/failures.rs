//! What breaks, provoked in the real program: what it says, what goes on meanwhile, and that nothing is lost.
//!
//! The disk that is full is in `disk_full.rs`, kills are in `crash.rs` and `queue.rs`, damaged files in `bad_input.rs`.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, post};
use common::{Server, Site, data, models};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const JSON: (&str, &str) = ("content-type", "application/json");

fn serve(site: &Site, args: &[&str]) -> Server {
    Server::start(&mut site.command(&[&["serve", "--no-auth", "--listen", "127.0.0.1:0"], args].concat()))
}

fn queue(server: &Server) -> Value {
    get(&server.address, "/v1/queue").unwrap().expect_ok()
}

/// Intake, search and alerts go on; investigations wait and say why, over a restart too, and run once there is a model.
#[track_caller]
fn check_held(site: &Site, args: &[&str], why: &str) {
    let server = serve(site, args);
    let logs = fs_err::read(data("incident/logs/windows-estate.json.gz")).unwrap();
    let raw = [("content-type", "application/octet-stream")];
    let taken = post(&server.address, "/v1/ingest/auto", &raw, &logs).unwrap().expect_ok();
    let alerts = taken["alerts"].as_array().unwrap().len();
    assert!(alerts >= 4, "{taken}");
    assert!(get(&server.address, "/v1/search?q=powershell").unwrap().expect_ok()["total"].as_u64() > Some(0));
    let asked = post(&server.address, "/v1/investigations", &[JSON], b"{\"alert\":1}").unwrap();
    assert_eq!(asked.status, 202, "{asked:?}");
    let said = queue(&server);
    assert!(said["held"].as_str().is_some_and(|held| held.contains(why)), "{said}");
    assert_eq!((&said["asked"], &said["running"]), (&json!(1), &Value::Null));
    let ready = get(&server.address, "/readyz").unwrap().expect_ok();
    assert_eq!(ready["held"], true, "whoever asks without a proof is not told why: {ready}");
    assert!(get(&server.address, "/").unwrap().body.contains("Nothing is investigated for now"));
    server.kill();
    let server = serve(site, &["--model", "none"]);
    let begun = Instant::now();
    while get(&server.address, "/metrics").unwrap().metric("casemate_queue_depth ") != Some(0)
        || !queue(&server)["running"].is_null()
        || get(&server.address, "/v1/investigations").unwrap().json()["total"].as_u64() < Some(alerts as u64)
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn without_its_model_everything_else_goes_on() {
    check_held(&Site::new(), &[], "is not at");
}

#[test]
fn with_a_model_that_is_no_model_everything_else_goes_on() {
    let site = Site::new();
    let broken = site.file("broken.gguf", b"GGUF\x03\0\0\0 and then nothing that makes sense");
    check_held(&site, &["--model", &broken], "broken.gguf");
}

#[test]
fn without_memory_for_its_model_everything_else_goes_on() {
    let Some(models) = models() else { return };
    let site = Site::new();
    let models = models.display().to_string();
    let program = site.command(&["serve", "--no-auth", "--listen", "127.0.0.1:0", "--models", &models]);
    let mut limited = Command::new("prlimit");
    // More than the server takes, less than the model does on top of it.
    limited
        .args(["--as=1500000000", "--"])
        .arg(program.get_program())
        .args(program.get_args())
        .args(["--model", "default", "--head", "none"]);
    limited.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: prlimit is not installed");
        return;
    }
    let server = Server::start(&mut limited);
    let said = queue(&server);
    assert!(said["held"].as_str().is_some_and(|held| held.contains("of memory")), "{said}");
    let raw = [("content-type", "application/octet-stream")];
    let taken = post(&server.address, "/v1/ingest/auto", &raw, b"<34>Mar  2 09:00:00 h su: one\n").unwrap();
    assert_eq!(taken.status, 200, "{taken:?}");
}

#[test]
fn a_model_that_is_not_the_one_the_catalogue_names_is_not_used() {
    let Some(models) = models() else { return };
    let site = Site::new();
    let own = site.data_dir().with_file_name("models");
    fs_err::create_dir_all(&own).unwrap();
    let name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let mut bytes = fs_err::read(models.join(name)).unwrap();
    // A weight, near the end.
    let at = bytes.len() - 1000;
    bytes[at] ^= 1;
    fs_err::write(own.join(name), bytes).unwrap();
    let own = own.display().to_string();
    let out = site.run(&["investigate", "--all", "--model", "tiny", "--models", &own]);
    out.fails_with(2, &["is not the file the catalogue names"]);
}

#[test]
fn without_its_embedder_everything_but_search_by_meaning_goes_on() {
    let site = Site::new();
    let models = site.data_dir().with_file_name("models");
    let embedder = models.join("all-MiniLM-L6-v2");
    fs_err::create_dir_all(&embedder).unwrap();
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        fs_err::write(embedder.join(name), b"\x08\0\0\0\0\0\0\0 and then nothing that makes sense").unwrap();
    }
    let server = serve(&site, &["--model", "none", "--models", &models.display().to_string()]);
    assert!(server.said.contains("search by meaning is off"), "{}", server.said);
    let logs = fs_err::read(data("incident/logs/windows-estate.json.gz")).unwrap();
    let raw = [("content-type", "application/octet-stream")];
    let taken = post(&server.address, "/v1/ingest/auto", &raw, &logs).unwrap().expect_ok();
    assert!(taken["alerts"].as_array().is_some_and(|alerts| alerts.len() >= 4), "{taken}");
    assert!(get(&server.address, "/v1/search?q=powershell").unwrap().expect_ok()["total"].as_u64() > Some(0));
    let by_meaning = get(&server.address, "/v1/search?mode=semantic&q=powershell").unwrap();
    assert!(by_meaning.status < 500 && by_meaning.body.contains("embedding model"), "{by_meaning:?}");
}

#[test]
fn an_expired_certificate_is_said_and_shown_still_until_it_is_replaced() {
    let site = Site::new();
    // Written beside the files and put in their place, as programs that renew certificates do.
    let certify = |year: i32| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap().pem();
        let put = |name: &str, text: &str| {
            let path = site.file(name, b"");
            fs_err::rename(site.file("new", text.as_bytes()), &path).unwrap();
            path
        };
        (put("site.pem", &made), put("site.key", &key.serialize_pem()), made)
    };
    let (certificate, key, expired) = certify(2020);
    let tls = ["--model", "none", "--tls", "--tls-cert", &certificate, "--tls-key", &key];
    let args = [&["serve", "--no-auth", "--listen", "127.0.0.1:0"], &tls[..]].concat();
    // Without a proof nothing but loopback is served, and over TLS it is not told which that is.
    site.run(&args).fails_with(1, &["without authentication only loopback"]);
    let args = [&["serve", "--listen", "127.0.0.1:0"], &tls[..]].concat();
    let server = Server::start(&mut site.command(&args));
    assert!(server.said.contains("the certificate has expired"), "{}", server.said);
    assert!(std::net::TcpStream::connect(&server.address).is_ok());
    let Some(shown) = shown_by(&server) else { return };
    assert_eq!(lines(&shown), lines(&expired));
    let (.., renewed) = certify(2090);
    let begun = Instant::now();
    while lines(&shown_by(&server).unwrap()) != lines(&renewed) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the new certificate is not shown");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.starts_with("---"))
        .flat_map(|line| line.split_ascii_whitespace())
        .collect()
}

/// The certificate that a server shows, as PEM; `None`, with a message, without Python.
fn shown_by(server: &Server) -> Option<String> {
    const ASK: &str = "import ssl, sys; host, port = sys.argv[1].rsplit(':', 1); \
                       print(ssl.get_server_certificate((host, int(port))))";
    let asked = Command::new("python3").args(["-c", ASK, &server.address]).output();
    let Ok(output) = asked else {
        eprintln!("skipped: python3 is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What lets a program see another time than the machine's; `None`, with a message, where it is not installed.
fn faketime() -> Option<PathBuf> {
    let unpacked = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from).unwrap_or_default();
    let library = Path::new("usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1");
    let found = [unpacked, PathBuf::from("/")].into_iter().map(|root| root.join(library));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: libfaketime is neither in $CASEMATE_SHIPPERS nor installed");
    }
    found
}

#[test]
fn a_clock_that_jumps_deletes_and_loses_nothing() {
    let Some(faketime) = faketime() else { return };
    let site = Site::new();
    fs_err::create_dir_all(site.data_dir()).unwrap();
    // Where the server may read it: it is sealed.
    let clock = site.data_dir().join("clock");
    let start = |offset: &str| {
        fs_err::write(&clock, offset).unwrap();
        let args = ["serve", "--no-auth", "--model", "none", "--listen", "127.0.0.1:0", "--keep-days", "30"];
        let mut command = site.command(&args);
        command.env("LD_PRELOAD", &faketime).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Server::start(&mut command)
    };
    let send = |server: &Server, name: &str| {
        let logs = fs_err::read(data(&format!("incident/logs/{name}"))).unwrap();
        let raw = [("content-type", "application/octet-stream")];
        post(&server.address, "/v1/ingest/auto", &raw, &logs).unwrap().expect_ok();
    };
    let events = |server: &Server| {
        get(&server.address, "/v1/system").unwrap().expect_ok()["intake"]["events"].as_u64().unwrap()
    };
    let investigated = |server: &Server| {
        let begun = Instant::now();
        loop {
            let alerts = get(&server.address, "/v1/alerts").unwrap().expect_ok()["total"].as_u64().unwrap();
            let listed = get(&server.address, "/v1/investigations").unwrap().expect_ok();
            let listed = listed["investigations"].as_array().unwrap();
            let done = listed.iter().filter(|one| one["verdict"].is_string()).count() as u64;
            if alerts == done {
                return done;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{done} of {alerts} alerts");
            std::thread::sleep(Duration::from_millis(200));
        }
    };

    let server = start("+0");
    send(&server, "windows-prd01.zip");
    let (first, before) = (investigated(&server), events(&server));
    assert!(first > 0 && before > 10_000, "{first} alerts, {before} events");
    // A year and more ahead; then before it all.
    fs_err::write(&clock, "+400d").unwrap();
    send(&server, "windows-estate.json.gz");
    let second = investigated(&server);
    assert!(second > first, "{second} after {first}");
    fs_err::write(&clock, "-400d").unwrap();
    send(&server, "linux-syslog.log");
    assert!(investigated(&server) > second);
    let all = events(&server);
    server.end();

    // What is old by the clock alone stays.
    let server = start("+400d");
    assert!(server.said.contains("nothing is deleted by age for a day"), "{}", server.said);
    std::thread::sleep(Duration::from_secs(2));
    // One more tells that nothing was received for so long.
    assert!(events(&server) >= all);
    assert_eq!(get(&server.address, "/v1/events/1").unwrap().status, 200);
}

#[test]
fn what_helps_those_who_help_says_nothing_of_what_was_logged() {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    assert_eq!(site.run(&["token", "create", "for-the-soar", "--role", "analyst"]).code, 0);
    let file = site.data_dir().with_file_name("support.json");
    let made = site.run(&["support-bundle", &file.display().to_string()]);
    assert_eq!(made.code, 0, "{made:?}");
    let text = fs_err::read_to_string(file).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap();
    assert!(said["store"]["events"].as_u64() > Some(100), "{said:#}");
    assert_eq!(said["access"]["tokens"], 1);
    let dir = site.data_dir().display().to_string();
    for secret in ["lopez", "PANDALAB", "for-the-soar", "argon2", dir.as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn doctor_says_how_many_templates_are_found_by_meaning() {
    let Some(models) = models() else { return };
    let site = Site::new();
    let models = models.display().to_string();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs, "--models", &models]).code, 0);
    let indexes = site.run(&["doctor", "--models", &models]).json["indexes"].clone();
    assert!(indexes["templates"].as_u64() > Some(50), "{indexes}");
    assert_eq!(indexes["templates_indexed"], indexes["templates"], "{indexes}");
    let quick = site.run(&["doctor", "--quick", "--models", &models]).json["indexes"].clone();
    assert!(quick["templates"] == indexes["templates"] && quick["templates_indexed"].is_null(), "{quick}");
}

#[test]
fn logs_are_lines_of_json_where_that_is_asked_for_and_tell_the_journal_how_grave_they_are() {
    let site = Site::new();
    let said = site.run(&["ingest", "--log-format", "json", &site.file("a.log", b"one line\n")]).stderr;
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "WARN", "{said}");
    let mut command = site.command(&["ingest", "--again", &site.file("a.log", b"one line\n")]);
    let output = command.env("JOURNAL_STREAM", "8:1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().next().unwrap().starts_with("<4>"), "{said}");
}

#[test]
fn manual_pages_and_completions_are_of_every_command() {
    let site = Site::new();
    let dir = site.data_dir().with_file_name("manual");
    assert_eq!(site.run(&["manual", &dir.display().to_string()]).code, 0);
    for page in ["casemate.1", "casemate-serve.1", "casemate-bundle-apply.1", "casemate-audit-verify.1"] {
        assert!(dir.join("man").join(page).is_file(), "{page}");
    }
    assert!(!dir.join("man/casemate-manual.1").exists(), "what is hidden has no page");
    for file in ["casemate.bash", "_casemate", "casemate.fish"] {
        assert!(dir.join("completions").join(file).is_file(), "{file}");
    }
}
