//! The sample incident, exported in every format and validated by that format's own validator: `.ci/run` gets those; where
//! they are missing the test says so. And who gets which file over HTTP.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{Answer, request};
use common::{Server, Site, data, root};
use std::path::{Path, PathBuf};
use std::process::Command;

const EXTENSIONS: [&str; 10] = [
    "json",
    "md",
    "html",
    "pdf",
    "stix.json",
    "navigator.json",
    "ocsf.json",
    "timeline.csv",
    "thehive.json",
    "iris.json",
];

/// The sample incident, investigated without a model.
fn incident() -> Site {
    let site = Site::new();
    let logs = data("incident/logs").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    let site_file = data("incident/site.toml").display().to_string();
    let done = site.run(&["investigate", "--all", "--model", "none", "--site", &site_file]);
    assert_eq!(done.code, 0, "{done:?}");
    site
}

/// Exports into a directory beside the data.
fn export(site: &Site, what: &str, id: &str) -> PathBuf {
    let dir = site.data_dir().with_file_name(format!("{what}-{id}"));
    let out = format!("{}/", dir.display());
    let done = site.run(&["export", what, id, "--format", &EXTENSIONS.join(","), "--out", &out]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.json["files"].as_array().unwrap().len(), EXTENSIONS.len());
    for extension in EXTENSIONS {
        let file = dir.join(format!("{what}-{id}.{extension}"));
        assert!(fs_err::metadata(&file).unwrap().len() > 100, "{}", file.display());
    }
    dir
}

/// The largest case, and the investigation with the gravest verdict.
fn gravest(site: &Site) -> (String, String) {
    let cases = site.run(&["cases"]).json["cases"].as_array().unwrap().clone();
    let largest = cases.iter().max_by_key(|case| case["alerts"].as_array().unwrap().len()).unwrap();
    let alerts = largest["alerts"].as_array().unwrap();
    assert!(alerts.len() > 3, "{largest}");
    (largest["id"].to_string(), alerts[0]["alert"].to_string())
}

fn validated(dir: &Path) {
    let python = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from);
    let python = python.map(|dir| dir.join("export/bin/python")).filter(|path| path.is_file());
    let Some(python) = python else {
        eprintln!("skipped: the validators are not in $CASEMATE_SHIPPERS/export");
        return;
    };
    let script = root().join("crates/casemate/tests/export/validate.py");
    let output = Command::new(python).arg(script).arg(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(!said.contains("BAD "), "{said}");
    for format in [
        "stix strict",
        "navigator",
        "ocsf",
        "timesketch importer",
        "thehive",
        "iris",
        "markdown",
        "html",
        "pdf text",
    ] {
        assert!(said.contains(&format!("ok {format}")), "{format} was not validated: {said}");
    }
}

#[test]
fn every_format_passes_its_validator() {
    let site = incident();
    let (case, investigation) = gravest(&site);
    let dir = export(&site, "investigation", &investigation);
    validated(&dir);
    let closing =
        ["cases", "close", &case, "--verdict", "malicious", "--reason", "=cmd|'/c calc'!A1", "--by", "mira"];
    assert_eq!(site.run(&closing).code, 0);
    let dir = export(&site, "case", &case);
    validated(&dir);
    // The decision is in each of them.
    for extension in EXTENSIONS.iter().filter(|extension| !["navigator.json", "pdf"].contains(extension)) {
        let text = fs_err::read_to_string(dir.join(format!("case-{case}.{extension}"))).unwrap();
        assert!(text.contains("mira"), "{extension}");
    }
}

#[test]
fn what_is_not_there_or_does_not_fit_is_said() {
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    let out = site.data_dir().with_file_name("report").display().to_string();
    let run = |args: &[&str]| site.run(&[&["export"], args].concat());
    run(&["investigation", "1", "--format", "md", "--out", &out])
        .fails_with(2, &["no finished investigation of alert 1", "casemate investigate"]);
    run(&["case", "99", "--format", "md", "--out", &out]).fails_with(2, &["there is no case 99"]);
    run(&["case", "1", "--format", "md", "--out", &out])
        .fails_with(2, &["no finished investigation of case 1"]);
    run(&["case", "1", "--format", "docx", "--out", &out]).fails_with(2, &["docx", "stix.json"]);
    run(&["case", "1", "--format", "md,html", "--out", &out]).fails_with(2, &["need a directory"]);
    run(&["case", "1", "--format", "md"]).fails_with(2, &["--out"]);
    assert!(!Path::new(&out).exists());
}

fn ask(server: &Server, token: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    request(&server.address, "GET", path, &[("Authorization", &bearer)], b"").unwrap()
}

#[test]
fn files_are_served_masked_and_put_on_record() {
    let site = incident();
    let (case, investigation) = gravest(&site);
    let config = site.data_dir().with_file_name("config");
    assert!(Command::new("cp").arg("-r").arg(root().join("config")).arg(&config).status().unwrap().success());
    let rules = "[[rule]]\nname = \"accounts\"\npattern = '(?i)gustavo|godoy'\n";
    fs_err::write(config.join("redaction.toml"), rules).unwrap();
    let token = |role: &str| {
        let made = site.run(&["token", "create", role, "--role", role]);
        made.json["secret"].as_str().unwrap().to_owned()
    };
    let (viewer, analyst, sensor) = (token("viewer"), token("analyst"), token("sensor"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(["serve", "--model", "none", "--listen", "127.0.0.1:0", "--only-when-asked"]);
    command
        .arg("--data-dir")
        .arg(site.data_dir())
        .arg("--config")
        .arg(&config)
        .arg("--models")
        .arg("/nonexistent");
    let server = Server::start(&mut command);
    let mut seen = 0;
    for extension in EXTENSIONS {
        for (of, id) in [("investigations", &investigation), ("cases", &case)] {
            let path = format!("/v1/{of}/{id}/report.{extension}");
            let whole = ask(&server, &analyst, &path);
            assert_eq!(whole.status, 200, "{path}: {}", whole.body);
            let name = format!("attachment; filename=\"{}-{id}.{extension}\"", of.trim_end_matches('s'));
            assert!(whole.head.contains(&name), "{}", whole.head);
            let names = |answer: &Answer| {
                let text = answer.body.to_lowercase();
                text.matches("gustavo").count() + text.matches("godoy").count()
            };
            seen += names(&whole);
            let masked = ask(&server, &viewer, &path);
            assert_eq!((masked.status, names(&masked)), (200, 0), "{path}");
            assert_eq!(ask(&server, &sensor, &path).status, 403);
        }
    }
    assert!(seen > 20, "nothing was there to mask");
    for path in
        ["/v1/investigations/999/report.md", "/v1/cases/999/report.stix.json", "/v1/cases/0/report.md"]
    {
        let answer = ask(&server, &analyst, path);
        assert!(answer.status == 404 || answer.status == 400, "{path}: {answer:?}");
    }
    let page = ask(&server, &analyst, &format!("/cases/{case}")).body;
    for extension in EXTENSIONS {
        assert!(page.contains(&format!("/v1/cases/{case}/report.{extension}")), "{extension} is not linked");
    }
    server.end();
    let record = site.run(&["audit", "show"]).json.to_string();
    let exports = record.matches("\"action\":\"export\"").count();
    assert!(exports >= 4 * EXTENSIONS.len(), "{exports} exports are on record");
}
