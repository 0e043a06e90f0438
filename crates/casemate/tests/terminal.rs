//! What is said at a terminal: investigations as a story, cases to read, new events as they come. In colours on a
//! terminal alone, plain where it is piped, and nothing of a log can steer the terminal.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::post;
use common::{Site, data, root};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn site() -> Site {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    site
}

/// The command without `--json`, as a person types it.
fn typed(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(args).env_clear().arg("--data-dir").arg(site.data_dir());
    command.arg("--config").arg(root().join("config")).args(["--models", "no-models"]);
    command
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command writes to a terminal; `None`, with a message, where Python cannot make one.
fn on_terminal(site: &Site, args: &[&str], environment: &[(&str, &str)]) -> Option<String> {
    const SPAWN: &str = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let typed = typed(site, args);
    let mut command = Command::new("python3");
    command.args(["-c", SPAWN]).arg(typed.get_program()).args(typed.get_args());
    command.env("TERM", "xterm").envs(environment.iter().copied()).env_remove("NO_COLOR");
    command.envs(environment.iter().copied());
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        eprintln!("skipped: python3 is not installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_investigation_is_told_as_it_goes_and_then_whole() {
    let site = site();
    let text = said(&mut typed(&site, &["investigate", "3", "--model", "none"]));
    let parts = [
        "alert 3  high  Shadow copies or backups deleted",
        "  looking for evidence",
        "lines of evidence from",
        "confidence",
        "\nWhy\n",
        "\nWhat happened\n",
        "\nEvidence\n",
        "\nNext steps\n",
    ];
    let places: Vec<usize> =
        parts.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part:?}: {text}"))).collect();
    assert!(places.is_sorted(), "{places:?}: {text}");
    assert!(text.contains("[E7, E8]") && text.contains("  event "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    // Another form for tickets, and the document for programs is what it was.
    let markdown = said(&mut typed(&site, &["investigate", "3", "--model", "none", "--markdown"]));
    assert!(markdown.starts_with("# Investigation 3: "), "{markdown}");
    let json = site.run(&["investigate", "3", "--model", "none"]).json;
    assert_eq!(json["investigations"][0]["markdown"].as_str().unwrap().trim(), markdown.trim());
}

#[test]
fn who_sees_no_alert_is_told_what_to_do_and_can_ask_about_any_event() {
    let site = Site::new();
    let file = site.data_dir().with_file_name("own.log");
    let line = |second: u32, text: &str| format!("Nov 24 10:00:{second:02} web1 {text}\n");
    let quiet = [
        line(1, "app[7]: started"),
        line(2, "sshd[9]: Accepted publickey for ann from 10.0.0.9 port 5 ssh2"),
    ];
    fs_err::write(&file, quiet.concat()).unwrap();
    let said_of_none = said(&mut typed(&site, &["ingest", &file.display().to_string()]));
    for part in ["no rule of level medium", "casemate search", "investigate --event NUMBER", "--rules DIR"] {
        assert!(said_of_none.contains(part), "{part}: {said_of_none}");
    }
    let nothing = said(&mut typed(&site, &["investigate", "--all", "--model", "none"]));
    assert!(nothing.contains("no alert waits") && nothing.contains("--event NUMBER"), "{nothing}");
    let asked = ["investigate", "--event", "2", "--event", "1", "--model", "none"];
    let text = said(&mut typed(&site, &asked));
    assert!(text.contains("alert 1  medium  Events 1, 2 are to be looked into"), "{text}");
    // Asked again it is the same alert, and who mistypes is told.
    assert_eq!(site.run(&asked).json["investigations"][0]["id"], 1);
    site.run(&["investigate", "--event", "99", "--model", "none"])
        .fails_with(2, &["no event 99", "casemate search"]);
    // A series that no single line tells is an alert of the rules that come along.
    let guesses = (10..25)
        .map(|second| line(second, "sshd[9]: Failed password for root from 198.51.100.7 port 9 ssh2"));
    let in_at_last = line(30, "sshd[9]: Accepted password for root from 198.51.100.7 port 9 ssh2");
    fs_err::write(&file, guesses.chain([in_at_last]).collect::<String>()).unwrap();
    let raised = said(&mut typed(&site, &["ingest", &file.display().to_string()]));
    for part in
        ["Passwords guessed over SSH", "SSH logon from an address that guessed", "casemate investigate --all"]
    {
        assert!(raised.contains(part), "{part}: {raised}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let site = site();
    let args = ["investigate", "3", "--model", "none"];
    let Some(coloured) = on_terminal(&site, &args, &[]) else { return };
    assert!(coloured.contains("\u{1b}[1mEvidence\u{1b}[0m"), "{coloured}");
    let wish = [("NO_COLOR", "1")];
    let plain = on_terminal(&site, &["cases", "show", "3"], &wish).unwrap();
    assert!(plain.contains("Shadow copies") && !plain.contains("\u{1b}["), "{plain}");
    let coloured = on_terminal(&site, &["cases", "show", "3"], &[("NO_COLOR", "")]).unwrap();
    assert!(coloured.contains("\u{1b}[31mhigh"), "{coloured}");
}

#[test]
fn cases_are_listed_in_short_and_shown_whole() {
    let site = site();
    assert_eq!(site.run(&["investigate", "3", "--model", "none"]).code, 0);
    let list = said(&mut typed(&site, &["cases", "--limit", "3"]));
    assert!(list.contains("case    5  medium    not investigated, open, 1 alert\n"), "{list}");
    assert!(list.contains("case    3  high      inconclusive, open, 1 alert\n"), "{list}");
    assert!(list.contains("2 older cases are left out") && !list.contains("case    1"), "{list}");
    let close = ["cases", "close", "3", "--verdict", "benign", "--reason", "a backup", "--by", "mira"];
    let closed = said(&mut typed(&site, &close));
    assert!(closed.contains("closed as benign by mira at "), "{closed}");
    assert!(
        closed.contains("inconclusive (0.") && closed.contains("here because: the first of the case"),
        "{closed}"
    );
    let one = said(&mut typed(&site, &["cases", "show", "1"]));
    assert!(one.contains("Next: casemate investigate 1"), "{one}");
    // For programs: all of them, as ever.
    assert_eq!(site.run(&["cases"]).json["cases"].as_array().unwrap().len(), 5);
}

/// A command that goes on, ended when dropped.
struct Following {
    child: Child,
    lines: BufReader<Box<dyn Read>>,
}

impl Following {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It says when it follows.
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("following") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before it followed");
        }
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let stdout: Box<dyn Read> = Box::new(child.stdout.take().unwrap());
        Self { child, lines: BufReader::new(stdout) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Ctrl-C; the exit status.
    fn interrupt(mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn new_events_are_followed_beside_a_server_and_without_one() {
    let site = Site::new();
    let server = site.serve();
    let mut text = Following::start(&mut typed(&site, &["search", "--tail", "wanted AND NOT unwanted"]));
    let mut json = Following::start(&mut site.command(&["search", "--tail", "wanted"]));
    let send = |line: &str| {
        let answer = post(&server.address, "/v1/ingest/auto", &[], format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    send("something else");
    send("the wanted one \u{1b}]0;title\u{7}");
    let line = text.line();
    assert!(line.contains("the wanted one") && !line.contains('\u{1b}'), "{line:?}");
    let document: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(document["id"], 2, "{document}");
    send("unwanted and wanted");
    let document: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(document["id"], 3, "{document}");
    server.end();
    // Another program takes events in now.
    assert_eq!(site.ingest_bytes("more.log", b"wanted at last\n").code, 0);
    assert!(text.line().contains("wanted at last"));
    let document: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(document["message"], "wanted at last");
    assert_eq!((text.interrupt(), json.interrupt()), (0, 0));
}

#[test]
fn following_ends_when_nobody_reads_and_refuses_what_is_no_query() {
    let site = Site::new();
    site.run(&["search", "--tail", "x"]).fails_with(2, &["no data directory"]);
    let server = site.serve();
    site.run(&["search", "--tail", "(a"]).fails_with(2, &["("]);
    let mut following = Following::start(&mut typed(&site, &["search", "--tail"]));
    following.lines = BufReader::new(Box::new(std::io::empty()));
    let begun = std::time::Instant::now();
    let ended = loop {
        post(&server.address, "/v1/ingest/auto", &[], b"a line\n").unwrap();
        if let Some(status) = following.child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on though nobody reads");
    };
    assert!(ended.success(), "{ended:?}");
    server.end();
}

#[test]
fn manuals_and_completions_know_the_new_words() {
    let site = Site::new();
    let dir = site.data_dir().with_file_name("manual");
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    assert!(command.arg("manual").arg(&dir).env_clear().status().unwrap().success());
    let read = |name: &str| fs_err::read_to_string(dir.join(name)).unwrap();
    assert!(read("man/casemate-mcp.1").contains("Model Context Protocol"));
    assert!(read("man/casemate-search.1").contains("tail"));
    assert!(read("completions/casemate.bash").contains("--tail"));
    assert!(read("completions/_casemate").contains("mcp"));
}
