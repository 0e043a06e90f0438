//! Who is let in, and to what: the real server with authentication, over plain loopback, TLS and a Unix socket.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{Answer, exchange, request};
use common::{Server, Site, data, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SERVE: &[&str] = &["serve", "--model", "none", "--only-when-asked"];

fn serve(site: &Site, args: &[&str]) -> Server {
    Server::start(&mut site.command(&[SERVE, &["--listen", "127.0.0.1:0"], args].concat()))
}

/// A site with events, alerts and one investigation.
fn site() -> Site {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    assert_eq!(site.run(&["investigate", "1", "--model", "none"]).code, 0);
    site
}

fn token(site: &Site, name: &str, args: &[&str]) -> String {
    let made = site.run(&[&["token", "create", name], args].concat());
    assert_eq!(made.code, 0, "{made:?}");
    made.json["secret"].as_str().unwrap().to_owned()
}

fn ask(server: &Server, token: Option<&str>, method: &str, path: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
        // As a browser says of our own page.
        ("sec-fetch-site", "same-origin"),
    ];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    // What is not asked for may be cut off, and the answer with it.
    let body: &[u8] = if method == "GET" { b"" } else { b"{}" };
    request(&server.address, method, path, &headers, body).unwrap()
}

/// Every operation of the document, with a path that can be asked, and the right it names.
fn operations(server: &Server) -> Vec<(String, String, Option<String>)> {
    let document = ask(server, None, "GET", "/openapi.json").expect_ok();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{id}", "1").replace("{format}", "auto").replace("{entity}", "host:ws5");
            let path = path.replace("{index}", "logs").replace("{name}", "x");
            let needs = operation["description"].as_str().unwrap();
            let right = needs
                .strip_prefix("Needs the right ")
                .map(|right| right.trim_end_matches('.').to_lowercase());
            let right = right.or_else(|| needs.starts_with("Needs any").then(|| "any".to_owned()));
            assert_eq!(operation["security"] == json!([]), right.is_none(), "{path}: {needs}");
            found.push((method.to_uppercase(), path, right));
        }
    }
    found
}

/// Their answers end with the server, or after many minutes.
const ENDLESS: [&str; 3] = ["/v1/stream", "/v1/events/tail", "/search/tail"];

#[test]
fn nobody_is_let_in_without_a_proof_and_a_role_goes_no_further_than_it_says() {
    let site = site();
    let roles = [
        ("sensor", "ingest"),
        ("viewer", "read"),
        ("analyst", "read investigate"),
        ("engineer", "read investigate manage"),
        ("auditor", "read audit"),
        ("admin", "ingest read investigate manage audit admin"),
    ];
    let roles = roles.map(|(role, rights)| (token(&site, role, &["--role", role]), role, rights));
    let server = serve(&site, &[]);
    let operations = operations(&server);
    assert!(operations.len() > 60, "{}", operations.len());
    let rights: BTreeSet<_> = operations.iter().filter_map(|(.., right)| right.clone()).collect();
    assert_eq!(Vec::from_iter(rights), ["any", "audit", "ingest", "investigate", "manage", "read"]);
    for (method, path, right) in &operations {
        let Some(right) = right else { continue };
        let without = ask(&server, None, method, path);
        let is_page = without.status == 303 && without.head.contains("/login?next=");
        assert!(without.status == 401 || is_page, "{method} {path}: {without:?}");
        assert_eq!(ask(&server, Some("cmt_0123456789ab_00"), method, path).status, 401, "{method} {path}");
        // A backup under an hour's worth of others is what the role may ask for, not what is asked here.
        for (token, role, rights) in &roles {
            let may = right == "any" || rights.split(' ').any(|held| held == right);
            if ENDLESS.contains(&path.as_str()) && may {
                continue;
            }
            let answer = ask(&server, Some(token), method, path);
            assert_eq!(answer.status != 403, may, "{role} {method} {path}: {answer:?}");
            assert!(answer.status != 401 && answer.status != 500, "{role} {method} {path}: {answer:?}");
        }
    }
}

#[test]
fn the_first_start_makes_one_token_and_says_it_once() {
    let site = Site::new();
    let first = serve(&site, &[]);
    let secret = first.said.split_whitespace().find(|word| word.starts_with("cmt_")).unwrap().to_owned();
    assert_eq!(ask(&first, Some(&secret), "GET", "/v1/session").expect_ok()["scopes"], json!(["admin"]));
    assert_eq!(ask(&first, None, "GET", "/v1/session").status, 401);
    first.end();
    let again = serve(&site, &[]);
    assert!(!again.said.contains("cmt_"), "{}", again.said);
    assert_eq!(ask(&again, Some(&secret), "GET", "/v1/events").status, 200);
    let file = fs_err::read_to_string(site.data_dir().join("access.json")).unwrap();
    assert!(!file.contains(&secret) && file.contains("$argon2id$"), "{file}");
    // Under a service manager it goes into a file, not into a log.
    let site = Site::new();
    let mut command = site.command(&[SERVE, &["--listen", "127.0.0.1:0"]].concat());
    let server = Server::start(command.env("JOURNAL_STREAM", "8:1"));
    assert!(!server.said.contains("cmt_"), "{}", server.said);
    let secret = fs_err::read_to_string(site.data_dir().join("first-admin-token")).unwrap();
    assert_eq!(ask(&server, Some(secret.trim()), "GET", "/v1/events").status, 200);
}

#[test]
fn what_is_revoked_is_let_in_no_more_within_a_moment() {
    let site = site();
    let secret = token(&site, "soar", &["--scopes", "read"]);
    let server = serve(&site, &[]);
    assert_eq!(ask(&server, Some(&secret), "GET", "/v1/alerts").status, 200);
    assert_eq!(site.run(&["token", "revoke", "soar"]).code, 0);
    let begun = Instant::now();
    while ask(&server, Some(&secret), "GET", "/v1/alerts").status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

fn add_user(site: &Site, name: &str, role: &str, password: &str) {
    let mut command = site.command(&["user", "add", name, "--role", role]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success());
}

fn form(server: &Server, path: &str, cookie: Option<&str>, body: &str) -> Answer {
    let mut headers =
        vec![("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    headers.extend(cookie.map(|cookie| ("cookie", cookie)));
    request(&server.address, "POST", path, &headers, body.as_bytes()).unwrap()
}

#[test]
fn a_person_logs_in_decides_under_their_own_name_and_logs_out() {
    let site = site();
    add_user(&site, "mira", "analyst", "correct horse battery");
    let server = serve(&site, &[]);
    let wrong = form(&server, "/login", None, "user=mira&password=wrong+horse+battery");
    assert_eq!(wrong.status, 401);
    assert!(!wrong.head.contains("set-cookie"), "{}", wrong.head);
    let next = form(&server, "/login", None, "user=mira&password=correct+horse+battery&next=//evil.example/");
    assert_eq!(next.status, 303, "{next:?}");
    assert!(next.head.contains("location: /\r\n"), "{}", next.head);
    let set = next.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let with = |path: &str| request(&server.address, "GET", path, &[("cookie", cookie)], b"").unwrap();
    assert_eq!((with("/").status, with("/session").status), (200, 200));
    // Another site's page is kept out although the browser would send the cookie.
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", cookie),
    ];
    let body = b"verdict=benign&reason=x&by=eve";
    assert_eq!(request(&server.address, "POST", "/alerts/1/close", &headers, body).unwrap().status, 403);
    // Whoever is known by name signs with it.
    let closed = form(&server, "/alerts/1/close", Some(cookie), "verdict=benign&reason=an+exercise&by=eve");
    assert_eq!(closed.status, 303, "{closed:?}");
    let alert: Value = with("/v1/alerts/1").expect_ok();
    assert_eq!(alert["closed"]["by"], "mira");
    assert_eq!(with("/v1/audit").status, 403);
    assert_eq!(form(&server, "/logout", Some(cookie), "").status, 303);
    assert_eq!(with("/v1/alerts/1").status, 401);
    server.end();
    let shown = site.run(&["audit", "show"]);
    let lines = shown.json["audit"].as_array().unwrap();
    let of = |action: &str| {
        lines.iter().find(|line| line["action"] == action).unwrap_or_else(|| panic!("{action}"))
    };
    assert_eq!((&of("login")["by"], &of("logout")["by"]), (&json!("user:mira"), &json!("user:mira")));
    assert_eq!(
        (&of("denied")["by"], &of("denied")["now"]["why"]),
        (&json!("user:mira"), &json!("wrong password"))
    );
    assert_eq!(of("close")["by"], "mira");
    assert_eq!(of("refused")["subject"], "GET /v1/audit");
    assert_eq!(of("look")["subject"], "GET /v1/alerts/1");
    assert_eq!(of("user added")["subject"], "user mira");
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
}

#[test]
fn guessing_is_slowed() {
    let site = Site::new();
    add_user(&site, "mira", "analyst", "correct horse battery");
    let server = serve(&site, &[]);
    let guess = || form(&server, "/login", None, "user=mira&password=guess+guess+guess").status;
    let answers: Vec<u16> = (0..12).map(|_| guess()).collect();
    assert_eq!((answers[0], answers[11]), (401, 429), "{answers:?}");
    // Not even the right one is looked at meanwhile; a token that was known before is.
    assert_eq!(form(&server, "/login", None, "user=mira&password=correct+horse+battery").status, 429);
}

#[test]
fn over_a_socket_the_kernel_says_who_it_is() {
    let site = site();
    let path = site.data_dir().with_file_name("api.sock");
    let listen = format!("unix:{}", path.display());
    let uid = fs_err::read_to_string("/proc/self/status").unwrap();
    let uid = uid.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap();
    let uid = uid.split('\t').next().unwrap().to_owned();
    let server = Server::start(&mut site.command(&[SERVE, &["--listen", &listen]].concat()));
    let status = |path: &str| {
        let stream = UnixStream::connect(&server.address).unwrap();
        exchange(stream, "localhost", "GET", path, &[], b"").unwrap().status
    };
    assert_eq!((status("/healthz"), status("/v1/alerts")), (200, 401));
    assert_eq!(site.run(&["access", "add-peer", "me", "--role", "viewer", "--uid", &uid]).code, 0);
    let begun = Instant::now();
    while status("/v1/alerts") != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(status("/v1/audit"), 403);
}

/// Runs a Python program that speaks TLS; `None`, with a message, where there is none.
fn python(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new("python3").arg("-c").arg(program).args(args).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

const OVER_TLS: &str = r#"
import http.client, ssl, sys
address, certificate, path, own = sys.argv[1:5]
host, port = address.rsplit(":", 1)
context = ssl.create_default_context(cafile=certificate)
if own:
    context.load_cert_chain(own + ".pem", own + ".key")
connection = http.client.HTTPSConnection("localhost", int(port), context=context)
headers = {"Authorization": "Bearer " + sys.argv[5]} if len(sys.argv) > 5 else {}
connection.request("GET", path, headers=headers)
answer = connection.getresponse()
print(answer.status, answer.headers["strict-transport-security"])
"#;

#[test]
fn over_tls_with_a_certificate_made_at_first_start_and_certificates_of_clients() {
    let site = site();
    let secret = token(&site, "soar", &["--role", "viewer"]);
    let dir = site.data_dir().with_file_name("soar");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=soar", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(dir.with_extension("key"))
        .arg("-out")
        .arg(dir.with_extension("pem"))
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let client = dir.with_extension("pem").display().to_string();
    let added = site.run(&["access", "add-certificate", "soar", "--role", "auditor", "--file", &client]);
    assert_eq!(added.code, 0, "{added:?}");
    let server = serve(&site, &["--tls", "--api-client-ca", &client]);
    assert!(server.said.contains("made a certificate"), "{}", server.said);
    let certificate = site.data_dir().join("tls/cert.pem").display().to_string();
    let dir = dir.display().to_string();
    let ask = |path: &str, own: &str, token: &[&str]| {
        python(OVER_TLS, &[&[&server.address, &certificate, path, own], token].concat())
    };
    let Some(answer) = ask("/v1/alerts", "", &[&secret]) else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    assert_eq!(answer, "200 max-age=31536000\n");
    assert_eq!(ask("/v1/alerts", "", &[]).unwrap(), "401 max-age=31536000\n");
    assert_eq!(ask("/v1/audit", &dir, &[]).unwrap(), "200 max-age=31536000\n");
    assert_eq!(ask("/v1/audit", "", &[&secret]).unwrap(), "403 max-age=31536000\n");
}

#[test]
fn what_others_can_reach_is_never_open() {
    let open = ["serve", "--model", "none", "--listen", "0.0.0.0:0", "--no-auth", "--tls"];
    Site::new().run(&open).fails_with(1, &["without authentication only loopback"]);
    let plain = ["serve", "--model", "none", "--listen", "0.0.0.0:0"];
    Site::new().run(&plain).fails_with(2, &["without TLS"]);
}

#[test]
fn personal_data_is_masked_for_those_who_may_not_see_it() {
    let site = site();
    let config = site.data_dir().with_file_name("config");
    let copied = Command::new("cp").arg("-r").arg(root().join("config")).arg(&config).status();
    assert!(copied.unwrap().success());
    let rules = "[[rule]]\nname = \"accounts\"\npattern = '(?i)lopez'\n";
    fs_err::write(config.join("redaction.toml"), rules).unwrap();
    let [viewer, analyst] = ["viewer", "analyst"].map(|role| token(&site, role, &["--role", role]));
    let args = [SERVE, &["--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()]].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(&args).arg("--data-dir").arg(site.data_dir()).arg("--models").arg("/nonexistent");
    let server = Server::start(&mut command);
    let mut seen = 0;
    for path in ["/v1/events?q=lopez", "/v1/alerts", "/search?q=lopez", "/v1/investigations/1/report.md", "/"]
    {
        let whole = ask(&server, Some(&analyst), "GET", path).body.to_lowercase();
        seen += whole.matches("lopez").count();
        let masked = ask(&server, Some(&viewer), "GET", path);
        assert_eq!(masked.status, 200, "{path}");
        assert!(!masked.body.to_lowercase().contains("lopez"), "{path}");
    }
    assert!(seen > 3, "nothing was there to mask");
}

#[test]
fn what_is_masked_stays_masked_however_it_is_written() {
    let site = site();
    let logs = site.data_dir().with_file_name("odd.log");
    let filler = "x ".repeat(143);
    // Quotes, letters that JSON may escape, what addresses encode; a value that lists cut in its middle.
    let text = format!(
        "<13>1 2026-03-02T09:00:00Z ws7 app 1 - - badge of Ann O'Neil&<Co> refused\n\
         <13>1 2026-03-02T09:00:01Z ws7 app 1 - - {{\"user\":\"Jos\\u00e9 \\\"R\\\" Ruiz\",\"badge\":47114711}}\n\
         <13>1 2026-03-02T09:00:02Z ws7 app 1 - - {filler} refused Margarethe-Sophie at the gate\n"
    );
    fs_err::write(&logs, text).unwrap();
    assert_eq!(site.run(&["ingest", logs.to_str().unwrap()]).code, 0);
    let config = site.data_dir().with_file_name("config");
    let copied = Command::new("cp").arg("-r").arg(root().join("config")).arg(&config).status();
    assert!(copied.unwrap().success());
    let names = r#"O'Neil&<Co>|José "R" Ruiz|Margarethe-Sophie|47114711"#;
    let rules = format!("[[rule]]\nname = \"names\"\npattern = '''(?i){names}'''\n");
    fs_err::write(config.join("redaction.toml"), rules).unwrap();
    let [viewer, analyst] = ["viewer", "analyst"].map(|role| token(&site, role, &["--role", role]));
    let args = [SERVE, &["--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()]].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(&args).arg("--data-dir").arg(site.data_dir()).arg("--models").arg("/nonexistent");
    let server = Server::start(&mut command);
    let found = ask(&server, Some(&analyst), "GET", "/v1/events?entity=host:ws7").expect_ok();
    let ids: Vec<u64> =
        found["events"].as_array().unwrap().iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    let mut paths: Vec<String> =
        ids.iter().flat_map(|id| [format!("/events/{id}"), format!("/v1/events/{id}")]).collect();
    paths.extend(
        ["/v1/events?entity=host:ws7", "/search?q=host:ws7", "/search?q=host:ws7&cols=message,source"]
            .map(str::to_owned),
    );
    // The beginning of each name, and its end.
    let traces = ["Neil", "Ruiz", "Jos", "Marg", "arethe", "Sophie", "47114711"];
    let mut shown = 0;
    for path in &paths {
        let whole = ask(&server, Some(&analyst), "GET", path).body;
        shown += traces.iter().filter(|trace| whole.contains(**trace)).count();
        let masked = ask(&server, Some(&viewer), "GET", path);
        assert_eq!(masked.status, 200, "{path}");
        for trace in traces {
            assert!(!masked.body.contains(trace), "{trace} in {path}: {}", masked.body);
        }
        assert!(!path.starts_with("/v1/") || serde_json::from_str::<Value>(&masked.body).is_ok(), "{path}");
    }
    assert!(shown > 10, "{shown}: nothing was there to mask");
}

#[test]
fn slow_and_silent_connections_hold_up_nobody() {
    let site = Site::new();
    let server = serve(&site, &[]);
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127").unwrap();
        }
        slow.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(ask(&server, None, "GET", "/healthz").status, 200);
    }
    // A head that is too long is refused, not read on.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let _may_be_cut_off = stream.write_all(long.as_bytes());
    let mut answer = String::new();
    let _may_be_reset = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(ask(&server, None, "GET", "/healthz").status, 200);
}
