//! Alerts of other products become alerts here, whichever way they come in; sent again they are the same, and an update
//! updates them. The samples of `tests/data/alerts/` have the shapes that the vendors document.

#![allow(clippy::unwrap_used)]

mod common;

use casemate_event::{Alert, AlertOrigin, Stored};
use casemate_store::Store;
use common::http::{get, post};
use common::{Server, Site, data, root};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A sample, and what is to become of it: product, title, severity, techniques, entities among others, and the product's
/// id and link, where it keeps alerts of its own.
struct Sample {
    file: &'static str,
    product: &'static str,
    title: &'static str,
    severity: &'static str,
    techniques: &'static [&'static str],
    entities: &'static [&'static str],
    uid: &'static str,
    link: &'static str,
}

const WS5: &str = "host:ws5";
const ALICE: &str = "user:alice";

#[rustfmt::skip]
const SAMPLES: [Sample; 19] = [
    Sample { file: "elastic.json", product: "Elastic Security", title: "LSASS Memory Dump Creation", severity: "high", techniques: &["T1003.001"], entities: &[WS5, ALICE, "ip:10.1.2.3", "process:rundll32.exe"], uid: "6f1d2c0e8f4b4a0c9d6b", link: "https://kibana.plant.example/" },
    Sample { file: "opensearch.json", product: "OpenSearch Alerting", title: "More than 50 failed logons in five minutes", severity: "high", techniques: &[], entities: &["host:dc1", "user:svc-backup", "ip:10.9.8.7"], uid: "eQURa3gBKo1jAh6qUo49", link: "" },
    Sample { file: "splunk_webhook.json", product: "Splunk", title: "PowerShell with an encoded command", severity: "high", techniques: &["T1059.001"], entities: &[WS5, ALICE, "process:powershell.exe"], uid: "scheduler__admin__search__RMD5_at_1772442900_1", link: "https://splunk.plant.example/" },
    Sample { file: "splunk_notable.json", product: "Splunk Enterprise Security", title: "Brute force access by 10.9.8.7", severity: "high", techniques: &["T1110", "T1110.001"], entities: &["host:dc1", "user:svc-backup", "ip:10.9.8.7"], uid: "A1B2C3D4-0000", link: "" },
    Sample { file: "wazuh.json", product: "Wazuh", title: "sshd: brute force trying to get access to the system. Non existent user.", severity: "medium", techniques: &["T1110"], entities: &["host:web1", "ip:203.0.113.9", "user:admin"], uid: "", link: "" },
    Sample { file: "suricata.json", product: "Suricata", title: "ET MALWARE Cobalt Strike Beacon Observed", severity: "high", techniques: &["T1071"], entities: &["ip:10.1.2.3", "ip:203.0.113.5"], uid: "", link: "" },
    Sample { file: "zeek_notice.json", product: "Zeek", title: "SSH::Password_Guessing", severity: "medium", techniques: &[], entities: &["ip:203.0.113.9", "ip:10.1.2.9"], uid: "", link: "" },
    Sample { file: "defender.json", product: "Microsoft Defender", title: "Suspicious execution of hidden file", severity: "high", techniques: &["T1564.001"], entities: &[WS5, ALICE, "process:mssense.exe", "ip:203.0.113.5"], uid: "da637551227677560813_-961444813", link: "https://security.microsoft.com/alerts/" },
    Sample { file: "sentinel_alert.json", product: "Microsoft Sentinel", title: "Sign-in from an unfamiliar place", severity: "medium", techniques: &["T1078"], entities: &["host:alice-laptop", "user:alice"], uid: "8ee46bc5-68b4-9a49-4e07-9a4b6d3f0001", link: "https://portal.azure.com/" },
    Sample { file: "sentinel_incident.json", product: "Microsoft Sentinel", title: "Multi-stage incident on one endpoint", severity: "high", techniques: &["T1078", "T1059"], entities: &[], uid: "2b1b0c2e", link: "https://portal.azure.com/" },
    Sample { file: "crowdstrike_detection.json", product: "CrowdStrike Falcon", title: "Credential Dumping", severity: "high", techniques: &["T1003"], entities: &[WS5, ALICE, "ip:10.1.2.3", "process:rundll32.exe"], uid: "ldt:0123456789abcdef0123456789abcdef:38684386611", link: "https://falcon.crowdstrike.com/" },
    Sample { file: "crowdstrike_alert.json", product: "CrowdStrike Falcon", title: "LsassDumpByComsvcs", severity: "high", techniques: &["T1003.001"], entities: &[WS5, ALICE, "process:cmd.exe"], uid: "0123456789abcdef:ind:", link: "https://falcon.crowdstrike.com/" },
    Sample { file: "thehive_alert.json", product: "TheHive", title: "Phishing with a macro document", severity: "high", techniques: &["T1566.001"], entities: &[WS5, "ip:203.0.113.9", "domain:evil.example"], uid: "~4104", link: "https://thehive.plant.example/" },
    Sample { file: "thehive_case.json", product: "TheHive", title: "Macro document at two desks", severity: "critical", techniques: &["T1204.002"], entities: &[WS5], uid: "~8208", link: "" },
    Sample { file: "iris_alert.json", product: "DFIR-IRIS", title: "Beacon to a known server", severity: "high", techniques: &["T1071.001"], entities: &[WS5, "ip:10.1.2.3", "ip:203.0.113.5", "domain:evil.example"], uid: "f1c9a4b0-0000-4000-8000-000000000042", link: "https://proxy.plant.example/99" },
    Sample { file: "iris_case.json", product: "DFIR-IRIS", title: "#7 - Beacon at ws5", severity: "critical", techniques: &["T1071.001"], entities: &[WS5, "ip:10.1.2.3"], uid: "f1c9a4b0-0000-4000-8000-000000000007", link: "" },
    Sample { file: "sigma_hayabusa.json", product: "Hayabusa", title: "Proc Access To LSASS", severity: "high", techniques: &["T1003.001"], entities: &[WS5, ALICE], uid: "", link: "" },
    Sample { file: "sigma_chainsaw.json", product: "Chainsaw", title: "Process Memory Dump Via Comsvcs.DLL", severity: "high", techniques: &["T1003.001"], entities: &[WS5, ALICE, "process:rundll32.exe"], uid: "", link: "" },
    Sample { file: "sigma_zircolite.json", product: "Zircolite", title: "Suspicious Encoded PowerShell", severity: "high", techniques: &["T1059.001"], entities: &[WS5, ALICE, "process:powershell.exe"], uid: "", link: "" },
];

fn bytes(sample: &Sample) -> Vec<u8> {
    fs_err::read(data(&format!("alerts/{}", sample.file))).unwrap()
}

/// The record of a sample as a line, out of the array that it may stand in.
fn record(sample: &Sample) -> String {
    let value: Value = serde_json::from_slice(&bytes(sample)).unwrap();
    let record = value.as_array().and_then(|all| all.first()).unwrap_or(&value);
    record.to_string()
}

#[track_caller]
fn check(sample: &Sample, alert: &Alert, store: &Store) {
    let what = sample.file;
    assert_eq!(alert.origin, AlertOrigin::Product(sample.product.to_owned()), "{what}");
    assert_eq!(alert.severity.name(), sample.severity, "{what}");
    assert_eq!(alert.techniques, sample.techniques, "{what}");
    assert_eq!(alert.first_time.to_string().get(..10), Some("2026-03-02"), "{what}");
    let entities: Vec<String> = alert.entities.iter().map(ToString::to_string).collect();
    for entity in sample.entities {
        assert!(entities.iter().any(|known| known == entity), "{what}: {entity} is not in {entities:?}");
    }
    let Stored { event, .. } = store.get(alert.events[0]).unwrap().unwrap();
    assert!(event.field("finding_info.uid").unwrap_or_default().starts_with(sample.uid), "{what}");
    assert!(event.field("finding_info.src_url").unwrap_or_default().starts_with(sample.link), "{what}");
    assert_eq!(event.field("finding_info.uid").is_some(), !sample.uid.is_empty(), "{what}");
    // Its own record is kept.
    let kept: Value = serde_json::from_slice(&event.raw).unwrap();
    assert_eq!(kept.to_string(), record(sample), "{what}");
}

#[test]
fn each_becomes_an_alert_and_is_the_same_when_it_comes_again() {
    let site = Site::new();
    let dir = data("alerts");
    let files: Vec<String> = SAMPLES.iter().map(|one| dir.join(one.file).display().to_string()).collect();
    let args: Vec<&str> = std::iter::once("ingest").chain(files.iter().map(String::as_str)).collect();
    let taken = site.run(&args);
    assert_eq!(taken.code, 0, "{taken:?}");
    let alerts = {
        let store = Store::open(&site.data_dir()).unwrap();
        let alerts = store.alerts().unwrap();
        for sample in &SAMPLES {
            let found = alerts.iter().find(|alert| alert.title == sample.title);
            check(sample, found.unwrap_or_else(|| panic!("{}: {alerts:#?}", sample.file)), &store);
        }
        assert_eq!(alerts.len(), SAMPLES.len(), "{alerts:#?}");
        alerts.len()
    };
    // By every other way: no alert more, and each has each of its records.
    let server = site.serve_with(&["--syslog-tcp", "127.0.0.1:0"]);
    let bulk: String = SAMPLES.iter().map(|one| format!("{{\"index\":{{}}}}\n{}\n", record(one))).collect();
    let hec: String = SAMPLES.iter().map(|one| format!("{{\"event\":{}}}\n", record(one))).collect();
    let found: Vec<String> = SAMPLES
        .iter()
        .map(|one| format!("{{\"_index\":\"a\",\"_id\":\"1\",\"_source\":{}}}\n", record(one)))
        .collect();
    let ndjson = [("content-type", "application/x-ndjson")];
    let token = [("authorization", "Splunk 0"), ("content-type", "application/json")];
    for (path, headers, body) in [
        ("/_bulk", &ndjson[..], &bulk),
        ("/services/collector/event", &token[..], &hec),
        ("/v1/ingest/auto", &[], &found.concat()),
    ] {
        assert_eq!(post(&server.address, path, headers, body.as_bytes()).unwrap().status, 200, "{path}");
    }
    let mut syslog = TcpStream::connect(server.receiver("syslog+tcp")).unwrap();
    for sample in &SAMPLES {
        writeln!(syslog, "<13>Mar  2 09:16:00 relay forwarder[7]: {}", record(sample)).unwrap();
    }
    drop(syslog);
    let rows = until(&server, |rows| rows.iter().all(|row| row["event_count"] == 5));
    assert_eq!(rows.len(), alerts, "{rows:#?}");
}

/// The alerts, once they are as expected.
#[track_caller]
fn until(server: &Server, expected: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = get(&server.address, "/v1/alerts").unwrap().expect_ok();
        let rows = found["alerts"].as_array().unwrap();
        if expected(rows) {
            return rows.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{found:#}");
        std::thread::yield_now();
    }
}

#[test]
fn an_update_updates_also_what_was_closed_and_investigated() {
    let site = Site::new();
    let server = site.serve_with(&["--only-when-asked"]);
    let defender = SAMPLES.iter().find(|sample| sample.product == "Microsoft Defender").unwrap();
    let json = [("content-type", "application/json")];
    let mut alert: Value = serde_json::from_slice(&bytes(defender)).unwrap();
    let send = |alert: &Value| {
        // As Microsoft Graph answers.
        let body = json!({ "value": [alert] }).to_string();
        post(&server.address, "/v1/ingest/auto", &json, body.as_bytes()).unwrap().expect_ok()
    };
    assert_eq!(send(&alert)["alerts"].as_array().unwrap().len(), 1);
    let close = json!({ "verdict": "benign", "reason": "an exercise", "by": "mira" }).to_string();
    assert_eq!(post(&server.address, "/v1/alerts/1/close", &json, close.as_bytes()).unwrap().status, 200);
    (alert["severity"], alert["title"]) = (json!("low"), json!("Hidden file"));
    alert["lastUpdateDateTime"] = json!("2026-03-09T09:20:00Z");
    send(&alert);
    let rows = until(&server, |rows| rows.iter().any(|row| row["event_count"] == 2));
    assert_eq!(rows.len(), 1, "{rows:#?}");
    // Nothing that is sent plays an alert down.
    assert_eq!((&rows[0]["severity"], &rows[0]["title"]), (&json!("high"), &json!("Hidden file")));
    assert_eq!(rows[0]["closed"]["by"], "mira");
    let one = get(&server.address, "/v1/alerts/1").unwrap().expect_ok();
    assert_eq!(one["reference"]["id"], "da637551227677560813_-961444813");
    assert!(one["reference"]["link"].as_str().unwrap().starts_with("https://security.microsoft.com/"));
    server.end();
}

/// A product's sample, closed here, `done` with there too, and what the product says of it then.
fn closed_then(product: &str, done: fn(&mut Value), change: fn(&mut Value)) -> (Site, Server) {
    let site = Site::new();
    let server = site.serve_with(&["--only-when-asked"]);
    let sample = SAMPLES.iter().find(|sample| sample.product == product).unwrap();
    let json = [("content-type", "application/json")];
    let mut alert: Value = serde_json::from_slice(&bytes(sample)).unwrap();
    let send = |alert: &Value| {
        post(&server.address, "/v1/ingest/auto", &json, alert.to_string().as_bytes()).unwrap().expect_ok()
    };
    assert_eq!(send(&alert)["alerts"].as_array().unwrap().len(), 1);
    let close = json!({ "verdict": "benign", "reason": "an exercise", "by": "mira" }).to_string();
    assert_eq!(post(&server.address, "/v1/alerts/1/close", &json, close.as_bytes()).unwrap().status, 200);
    // What its product closes, too, stays closed.
    done(&mut alert);
    send(&alert);
    until(&server, |rows| rows.len() == 1 && rows[0]["event_count"] == 2);
    change(&mut alert);
    send(&alert);
    (site, server)
}

#[test]
fn what_is_worse_than_what_was_closed_is_an_alert_again() {
    type Change = fn(&mut Value);
    const OPENED: &str = "its product has opened it again";
    let resolved: Change = |alert| alert["status"] = json!("resolved");
    let cases: [(&str, Change, Change, &str); 4] = [
        ("Microsoft Defender", resolved, |alert| alert["status"] = json!("inProgress"), OPENED),
        (
            "Microsoft Defender",
            resolved,
            |alert| alert["evidence"][0]["deviceDnsName"] = json!("ws77.plant.example"),
            "it names host:ws77 now",
        ),
        (
            "Elastic Security",
            |alert| alert["kibana.alert.workflow_status"] = json!("closed"),
            |alert| {
                alert["kibana.alert.workflow_status"] = json!("open");
                alert["kibana.alert.workflow_status_updated_at"] = json!("2026-03-09T09:20:00Z");
            },
            OPENED,
        ),
        (
            "OpenSearch Alerting",
            |alert| alert["state"] = json!("COMPLETED"),
            |alert| {
                alert["state"] = json!("ACTIVE");
                alert["last_notification_time"] = json!(1_773_047_731_004_u64);
            },
            OPENED,
        ),
    ];
    for (product, done, change, why) in cases {
        let (_site, server) = closed_then(product, done, change);
        let rows = until(&server, |rows| rows.len() == 2);
        // The newest first: it is open, and what was decided stays with what it was decided about.
        assert_eq!(
            (&rows[0]["id"], &rows[0]["closed"], &rows[1]["closed"]["by"]),
            (&json!(2), &Value::Null, &json!("mira"))
        );
        let case = get(&server.address, &format!("/v1/cases/{}", rows[0]["case"])).unwrap().expect_ok();
        let member = case["alerts"].as_array().unwrap().iter().find(|row| row["id"] == 2).unwrap();
        let joined = member["joined"].as_str().unwrap();
        assert!(joined.contains("alert 1 again") && joined.ends_with(why), "{joined}");
        let record = get(&server.address, "/v1/audit").unwrap().expect_ok().to_string();
        assert!(record.contains("raise again") && record.contains(why), "{record}");
        server.end();
    }
}

#[test]
fn what_sensors_rate_low_is_context() {
    let site = Site::new();
    let lines: String = SAMPLES
        .iter()
        .filter(|sample| ["Wazuh", "Suricata"].contains(&sample.product))
        .map(|sample| {
            record(sample).replace("\"level\":10", "\"level\":3").replace("\"severity\":1", "\"severity\":3")
                + "\n"
        })
        .collect();
    assert_eq!(site.ingest_bytes("low.json", lines.as_bytes()).code, 0);
    let store = Store::open(&site.data_dir()).unwrap();
    assert_eq!((store.event_count(), store.alerts().unwrap().len()), (2, 0));
}

#[test]
fn tables_of_sentinel_are_read_as_csv_too() {
    let site = Site::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    for file in ["sentinel_alert.json", "sentinel_incident.json"] {
        let sample = SAMPLES.iter().find(|sample| sample.file == file).unwrap();
        let row: Value = serde_json::from_slice(&bytes(sample)).unwrap();
        let row = row.as_object().unwrap();
        let names: Vec<String> =
            row.keys().map(|name| name.replace("TimeGenerated", "TimeGenerated [UTC]")).collect();
        let values: Vec<String> = row
            .values()
            .map(|value| quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let table = format!("{}\n{}\n", names.join(","), values.join(","));
        assert_eq!(site.ingest_bytes("export.csv", table.as_bytes()).code, 0);
        // The same, as JSON: the same alert.
        assert_eq!(site.ingest_bytes("export.json", &bytes(sample)).code, 0);
        let store = Store::open(&site.data_dir()).unwrap();
        let alerts = store.alerts().unwrap();
        let found = alerts.iter().find(|alert| alert.title == sample.title);
        let alert = found.unwrap_or_else(|| panic!("{file}: {alerts:#?}"));
        assert_eq!((alert.event_count, alert.severity.name()), (2, sample.severity), "{alerts:#?}");
        assert!(
            sample.techniques.iter().all(|id| alert.techniques.iter().any(|known| known == id)),
            "{alert:#?}"
        );
    }
}

/// The rows of a table whose values may be quoted and span lines.
fn rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut value, mut in_quotes) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if in_quotes && characters.next_if_eq(&'"').is_some() => value.push('"'),
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => value.push(character),
            '\r' => {}
            '\n' => {
                row.push(std::mem::take(&mut value));
                rows.push(std::mem::take(&mut row));
            }
            _ if character == delimiter => row.push(std::mem::take(&mut value)),
            _ => value.push(character),
        }
    }
    rows
}

/// Rows of Sentinel's table as a real tenant had them: the incidents of ExCyTIn-Bench.
#[test]
fn real_rows_of_sentinel_are_one_alert_each() {
    let path = root().join("../shared/data/excytin/SecRL/alerts_incident_5.csv");
    let Ok(text) = fs_err::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let rows = rows(&text, '\u{2756}');
    let (names, rows) = rows.split_first().unwrap();
    let object = |row: &Vec<String>| -> Value {
        names.iter().cloned().zip(row.iter().map(|value| json!(value))).collect()
    };
    let lines: String = rows.iter().map(|row| format!("{}\n", object(row))).collect();
    let site = Site::new();
    let taken = site.ingest_bytes("SecurityAlert.json", lines.as_bytes());
    assert_eq!((taken.code, &taken.json["events"]["sentinel_alert"]), (0, &json!(rows.len())), "{taken:?}");
    let store = Store::open(&site.data_dir()).unwrap();
    let alerts = store.alerts().unwrap();
    assert_eq!(alerts.len(), rows.len());
    assert!(alerts.iter().all(|alert| alert.first_time.to_string().starts_with("2024-")));
    let about = alerts.iter().filter(|alert| !alert.entities.is_empty()).count();
    assert!(about * 10 >= alerts.len() * 9, "{about} of {} name anything", alerts.len());
}
