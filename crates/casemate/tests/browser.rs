//! What an analyst does, done in headless Chromium against the real server: every page read with and without scripts, and the
//! main paths walked. Skipped, with a message, where Chromium or the packages are missing.
//!
//! `CASEMATE_SHIPPERS` names a directory whose `browser/node_modules` hold playwright-core and axe-core, as `.ci/run`
//! makes it; Chromium is Debian's (`CASEMATE_CHROMIUM` names another).

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, post};
use common::{Server, Site, data, models, root};
use std::path::PathBuf;
use std::process::Command;

fn browser() -> Option<PathBuf> {
    let chromium = std::env::var_os("CASEMATE_CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    let packages = std::env::var_os("CASEMATE_SHIPPERS").map(|dir| PathBuf::from(dir).join("browser"));
    let packages = packages.filter(|dir| dir.join("node_modules/playwright-core").is_dir());
    if packages.is_none() || !PathBuf::from(&chromium).is_file() {
        eprintln!("skipped: Chromium and $CASEMATE_SHIPPERS/browser/node_modules are not both there");
        return None;
    }
    packages
}

/// Runs a script of `tests/browser` with node and shows what it said if it failed.
#[track_caller]
fn walk(packages: &PathBuf, script: &str, args: &[&str]) {
    let output = Command::new("node")
        .arg(root().join("crates/casemate/tests/browser").join(script))
        .args(args)
        .env("CASEMATE_BROWSER", packages)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {out}\n{err}");
    println!("{out}");
}

/// A page for each path of `/openapi.json` that answers with HTML, filled in from what the site has.
fn pages(server: &Server) -> Vec<String> {
    let document = get(&server.address, "/openapi.json").unwrap().expect_ok();
    let first = |path: &str, list: &str, key: &str| {
        let found = get(&server.address, path).unwrap().expect_ok();
        let value = &found[list][0][key];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut pages = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let is_page = operations["get"]["responses"]["200"]["content"]["text/html"].is_object();
        // Part of a page.
        let is_part = path == "/alerts/rows";
        if !is_page || is_part || path.starts_with("/v1/") {
            continue;
        }
        let name = match path.split('/').nth(1).unwrap() {
            "playbooks" if path.contains("{name}") => first("/v1/playbooks", "playbooks", "name"),
            "rules" if path.contains('{') => first("/v1/rules", "rules", "id"),
            _ => "1".to_owned(),
        };
        let filled = path.replace("{kind}", "host").replace("{value}", "fin02");
        pages.push(["{id}", "{name}", "{rule}"].iter().fold(filled, |path, part| path.replace(part, &name)));
    }
    assert!(pages.len() >= 8 && pages.iter().all(|page| !page.contains('{')), "{pages:?}");
    pages.extend(["/search?q=host%3Afin02", "/search?q=password%20of%20a%20user"].map(str::to_owned));
    pages
}

/// Has the playbook that the first investigation followed tried on it, so that there is a page of what came out.
fn try_a_playbook(server: &Server) {
    let ask = |path: &str| get(&server.address, path).unwrap().expect_ok();
    let followed = ask("/v1/investigations/1")["playbook"]["name"].as_str().unwrap().to_owned();
    let text = ask(&format!("/v1/playbooks/{followed}"))["text"].clone();
    let asked = serde_json::json!({ "text": text, "alert": 1 }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = post(&server.address, "/v1/playbooks/try", &headers, asked.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(get(&server.address, "/v1/tries/1/stream").unwrap().status, 200);
}

#[test]
fn every_page_is_accessible_light_and_within_its_weight() {
    let Some(packages) = browser() else { return };
    let site = Site::new();
    let logs = data("incident/logs");
    let logs = logs.display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    // The first has a report, one is only raised.
    assert_eq!(site.run(&["investigate", "1", "--model", "none"]).code, 0);
    let server = site.serve();
    let base = format!("http://{}", server.address);
    try_a_playbook(&server);
    let pages = pages(&server);
    let args: Vec<&str> = std::iter::once(base.as_str()).chain(pages.iter().map(String::as_str)).collect();
    walk(&packages, "pages.mjs", &args);
    server.end();
}

#[test]
fn an_investigation_is_read_by_keyboard_and_without_scripts() {
    let Some(packages) = browser() else { return };
    let site = Site::new();
    let logs = data("incident/logs").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    assert_eq!(site.run(&["investigate", "9", "--model", "none"]).code, 0);
    let server = site.serve();
    walk(&packages, "investigation.mjs", &[&format!("http://{}", server.address), "9"]);
    server.end();
}

/// Three commands on a host of its own, as Sysmon records them.
fn intrusion(host: &str, minute: u32) -> String {
    let line = |(at, (image, parent, command)): (usize, &(&str, &str, &str))| {
        format!(
            "{{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Provider_Name\":\
             \"Microsoft-Windows-Sysmon\",\"Hostname\":\"{host}.plant.example\",\"UtcTime\":\"2026-03-02 08:{minute:02}:0{at}.000\",\
             \"ProcessId\":{},\"Image\":\"C:\\\\Windows\\\\System32\\\\{image}\",\"ParentImage\":\
             \"C:\\\\Windows\\\\System32\\\\{parent}\",\"CommandLine\":\"{command}\",\"User\":\"PLANT\\\\ada\"}}\n",
            4000 + at
        )
    };
    let commands = [
        ("cmd.exe", "winword.exe", "cmd.exe /c whoami /all"),
        ("powershell.exe", "cmd.exe", "powershell.exe -nop -w hidden -enc SQBFAFgA"),
        (
            "rundll32.exe",
            "powershell.exe",
            r"rundll32.exe C:\\windows\\System32\\comsvcs.dll MiniDump 628 C:\\Temp\\l.dmp full",
        ),
    ];
    commands.iter().enumerate().map(line).collect()
}

#[test]
fn an_alert_is_watched_read_disagreed_with_and_the_next_one_shows_it() {
    let (Some(packages), Some(models)) = (browser(), models()) else { return };
    let site = Site::new();
    let first = site.file("first.json", intrusion("desk1", 10).as_bytes());
    let second = site.file("second.json", intrusion("desk2", 40).as_bytes());
    let made = site.run(&["token", "create", "mira", "--role", "admin"]);
    let token = made.json["secret"].as_str().unwrap().to_owned();
    let models = models.display().to_string();
    let serve = ["serve", "--model", "default", "--models", &models, "--listen", "127.0.0.1:0"];
    let server = Server::start(&mut site.command(&serve));
    walk(&packages, "paths.mjs", &[&format!("http://{}", server.address), &token, &first, &second]);
    server.end();
}
