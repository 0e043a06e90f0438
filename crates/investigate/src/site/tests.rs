//! What is written is read back with its lines, what is wrong is named, and only whole values pass.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Error;
use crate::testing::{NOON, event};
use casemate_event::{Class, field};

#[test]
fn paths_match_as_a_whole() {
    let check = |written, path, expected| {
        assert_eq!(path_matches(written, path), expected, "{written} against {path}");
    };
    check(r"C:\Program Files\Backup\agent.exe", r"c:\program files\backup\AGENT.EXE", true);
    check(r"C:\Program Files\Backup\agent.exe", r"C:\Users\Public\agent.exe", false);
    check(r"C:\Program Files\Backup\agent.exe", r"C:\Program Files\Backup\agent.exe.exe", false);
    check(r"C:\Program Files\Backup\agent.exe", r"C:\Program Files\Backup\..\Backup\agent.exe", false);
    check(r"C:\Defender\4.18*\MsMpEng.exe", r"C:\Defender\4.18.2\MsMpEng.exe", true);
    check(r"C:\Defender\4.18*\MsMpEng.exe", r"C:\Defender\4.18\x\MsMpEng.exe", false);
    check("/usr/sbin/cron", "/usr/sbin/cron", true);
}

#[test]
fn a_bare_tool_name_is_refused() {
    let error =
        Site::parse("[[tool]]\nname='x'\npath='agent.exe'\nparent='C:\\a.exe'\naccounts=['a']").unwrap_err();
    assert!(error.contains("bare name"), "{error}");
}

#[test]
fn unknown_keys_are_named() {
    let error = Site::parse("[[scanner]]\nip='10.0.0.1'\ncolour='red'").unwrap_err();
    assert!(error.contains("colour"), "{error}");
    assert!(Site::parse("[[scanner]]\nip='10.0.0'").is_err());
}

/// A directory with these files.
fn load(files: &[(&str, &str)]) -> Result<Site, Error> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(dir.path().join(name), text).unwrap();
    }
    Site::load(dir.path())
}

fn refused(files: &[(&str, &str)], expected: &[&str]) {
    let error = load(files).unwrap_err().to_string();
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

const TICKETS: &str = "\u{feff}ticket;hosts;accounts;from;to;programs;note\r\n\
    # a comment\r\n\
    CHG-1;ws5|ws6;anna;2024-05-14 15:00;2024-05-14 17:00;C:\\Tools\\setup.exe|setup /quiet  /all;\"new; agent\"\r\n\
    ;;;;;;\r\n\
    CHG-2;ws5;bob;14.05.2024 15:00;14.05.2024 17:00;;\r\n";

#[test]
fn files_of_a_directory_are_put_together() {
    let site = load(&[
        ("README.md", "not read"),
        ("site.toml", "name = 'Plant'\ntime_zone = '+02:00'\n\n[[scanner]]\nip = '10.0.0.9'\n"),
        ("assets.csv", "host,role,critical\nhist1,historian,yes\nws5,workstation,\n"),
        ("tickets.csv", TICKETS),
    ])
    .unwrap();
    assert_eq!((site.name.as_str(), site.entries()), ("Plant", 5));
    assert!(site.asset("HIST1.plant.test").unwrap().critical && !site.asset("ws5").unwrap().critical);
    assert_eq!(site.scanners[0].place.to_string(), "site.toml:4");
    assert_eq!(site.assets[1].place.to_string(), "assets.csv:3");
    let places: Vec<String> = site.tickets.iter().map(|ticket| ticket.place.to_string()).collect();
    assert_eq!(places, ["tickets.csv:3", "tickets.csv:5"]);
    assert_eq!((site.tickets[0].programs.len(), site.tickets[0].note.as_str()), (2, "new; agent"));
    assert_eq!(site.tickets[0].period, site.tickets[1].period);
    assert_eq!(site.tickets[0].period.from.to_string(), "2024-05-14T13:00:00Z");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let head = "ticket,hosts,accounts,from,to,programs\n";
    let ticket = |row: &str| format!("{head}{row}\n");
    let check = |row: &str, expected: &[&str]| refused(&[("tickets.csv", &ticket(row))], expected);
    check("1,ws5,anna,2024-05-14T15:00Z,tomorrow,", &["tickets.csv", "line 2", "tomorrow"]);
    check("1,ws5,anna,2024-05-14 15:00,2024-05-14 17:00,", &["line 2", "time_zone"]);
    check("1,ws5,anna,05/14/2024 15:00,2024-05-14 17:00,", &["line 2", "no time"]);
    check("1,ws5,,2024-05-14T15:00Z,2024-05-14T17:00Z,", &["line 2", "accounts"]);
    check("1,ws5,anna,2024-05-14T15:00Z,2024-05-14T14:00Z,", &["line 2", "not after"]);
    check("1,ws5,anna,2024-05-14T15:00Z,2025-05-14T14:00Z,", &["line 2", "31 days"]);
    check("1,ws5,anna,2024-05-14T15:00Z,2024-05-14T17:00Z,setup.exe", &["line 2", "bare name"]);
    check("1,ws5,anna,2024-05-14T15:00Z", &["line 2", "4 cells"]);
    refused(&[("tickets.csv", "ticket,hosts,colour\n1,ws5,red\n")], &["line 2", "colour"]);
    refused(&[("scanners.csv", "ip\n10.0.0.9\n10.0.0\n")], &["line 3"]);
    refused(&[("assets.csv", "host,critical\nws5,perhaps\n")], &["line 2", "perhaps"]);
    refused(&[("printers.csv", "host\nws5\n")], &["printers.csv", "tickets.csv"]);
    refused(&[("site.toml", "time_zone = 'Atlantis'")], &["Atlantis", "Europe/Berlin"]);
    refused(&[("a.toml", "time_zone = 'UTC'"), ("b.toml", "time_zone = 'UTC'")], &["another file"]);
    refused(
        &[("maintenance.csv", "name,hosts,days,from,to\nx,*,someday,22:00,02:00\n")],
        &["line 2", "someday"],
    );
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("assets.csv"), b"host,role\nws5,B\xfcro\n").unwrap();
    assert!(Site::load(dir.path()).unwrap_err().to_string().contains("line 2: it is not UTF-8"));
}

fn run(seconds: i64, host: &str, user: &str, path: &str, command: &str) -> casemate_event::Event {
    let fields = [
        (field::DEVICE_HOSTNAME, host),
        (field::ACTIVITY, "Launch"),
        (field::ACTOR_USER, user),
        (field::PROCESS_PATH, path),
        (field::PROCESS_CMD_LINE, command),
    ];
    let mut event = event(Class::ProcessActivity, &fields);
    event.time = Timestamp::from_second(NOON + seconds).unwrap();
    event
}

#[test]
fn a_ticket_covers_its_hosts_accounts_programs_and_time() {
    let site = load(&[("site.toml", "time_zone = '+02:00'"), ("tickets.csv", TICKETS)]).unwrap();
    let check = |event: &casemate_event::Event, expected: Option<(&str, bool)>| {
        let found = site.ticket(View(event)).map(|(ticket, entirely)| (ticket.ticket.as_str(), entirely));
        assert_eq!(found, expected, "{event:?}");
    };
    let setup = r"C:\Tools\setup.exe";
    check(&run(0, "WS5.plant.test", r"PLANT\anna", setup, "setup"), Some(("CHG-1", true)));
    check(&run(0, "ws6", "anna", r"C:\x\other.exe", "SETUP /quiet /all"), Some(("CHG-1", true)));
    check(&run(0, "ws6", "anna", r"C:\x\other.exe", "setup /quiet /all & evil"), Some(("CHG-1", false)));
    check(&run(0, "ws5", "anna", r"C:\Temp\setup.exe", "x"), Some(("CHG-1", false)));
    check(&run(0, "ws5", "bob", setup, "setup"), Some(("CHG-2", false)));
    check(&run(0, "ws7", "anna", setup, "setup"), None);
    check(&run(0, "ws5", "annabel", setup, "setup"), None);
    check(&run(2 * 3600, "ws5", "anna", setup, "setup"), None);
    check(&run(-2 * 3600, "ws5", "anna", setup, "setup"), None);
}

#[test]
fn maintenance_recurs_and_crosses_midnight() {
    let site = load(&[
        ("site.toml", "time_zone = 'Europe/Berlin'"),
        (
            "maintenance.csv",
            "name,hosts,days,from,to\nnight,*,tue,22:00,02:00\nday,hist1,Mon|wednesday,08:00,10:00\n",
        ),
    ])
    .unwrap();
    let check = |host: &str, time: &str, expected: Option<&str>| {
        let found = site.maintenance(host, time.parse().unwrap()).map(|planned| planned.name.as_str());
        assert_eq!(found, expected, "{host} at {time}");
    };
    // 14 May 2024 is a Tuesday, and Berlin two hours ahead.
    check("ws5", "2024-05-14T20:30:00Z", Some("night"));
    check("ws5", "2024-05-14T23:30:00Z", Some("night"));
    check("ws5", "2024-05-14T19:30:00Z", None);
    check("ws5", "2024-05-13T20:30:00Z", None);
    check("ws5", "2024-05-15T00:30:00Z", None);
    check("hist1", "2024-05-15T06:30:00Z", Some("day"));
    check("ws5", "2024-05-15T06:30:00Z", None);
}

#[test]
fn a_service_account_has_its_hosts_and_sources() {
    let site =
        load(&[("service_accounts.csv", "account,hosts,from\nsvc_hist,hist1,plc-gw|10.0.0.5\n")]).unwrap();
    let logon = |host: &str, ip: &str| {
        let fields = [(field::DEVICE_HOSTNAME, host), (field::USER, "svc_hist"), (field::SRC_IP, ip)];
        site.service_account(View(&event(Class::Authentication, &fields))).is_some()
    };
    assert!(logon("hist1", "10.0.0.5") && logon("hist1", "127.0.0.1"));
    assert!(!logon("hist1", "10.0.0.55") && !logon("hist2", "10.0.0.5"));
}

#[test]
fn the_files_that_are_shipped_are_read_and_say_nothing_yet() {
    let site =
        Site::load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/site"))).unwrap();
    assert_eq!(site.entries(), 0);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9,;|\"#\n\r\t =\\[\\]:.é-]{0,200}") {
        for name in ["site.toml", "tickets.csv", "maintenance.csv", "tools.csv"] {
            // No panic, and an error that says where.
            if let Err(error) = load(&[(name, &text)]) {
                assert!(error.to_string().contains("line"), "{error}");
            }
        }
    }
}
