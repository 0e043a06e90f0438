//! Every endpoint that `/openapi.json` names is asked by schemathesis, as an administrator and in each role, with what
//! the document allows and what it does not, one request leading to the next: never a fault of the server. Skipped, with
//! a message, where it is not installed (`.ci/run` gets it).
//!
//! What each role may do at all is held by `access.rs`.

#![allow(clippy::unwrap_used)]

mod common;

use common::http::get;
use common::{Server, Site, data};
use std::path::PathBuf;
use std::process::Command;

/// Examples for each operation; `CASEMATE_EXAMPLES` sets another number.
const USUAL_EXAMPLES: &str = "8";

fn schemathesis() -> Option<PathBuf> {
    let dir = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from);
    let found = dir.map(|dir| dir.join("python/bin/schemathesis")).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: schemathesis is not in $CASEMATE_SHIPPERS/python");
    }
    found
}

#[test]
fn no_request_is_a_fault_of_the_server() {
    let Some(schemathesis) = schemathesis() else { return };
    let site = Site::new();
    let logs = data("incident/logs/windows-estate.json.gz").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    assert_eq!(site.run(&["investigate", "1", "--model", "none"]).code, 0);
    let backups = site.data_dir().with_file_name("backups").display().to_string();
    let serve = ["serve", "--model", "none", "--listen", "127.0.0.1:0", "--backup-dir", &backups];
    let server = Server::start(&mut site.command(&serve));
    let examples = std::env::var("CASEMATE_EXAMPLES").unwrap_or_else(|_| USUAL_EXAMPLES.to_owned());
    for role in ["admin", "auditor", "engineer", "analyst", "viewer", "sensor"] {
        let made = site.run(&["token", "create", role, "--role", role]);
        let token = made.json["secret"].as_str().unwrap();
        let output = Command::new(&schemathesis)
            .args(["run", &format!("http://{}/openapi.json", server.address), "--seed", "7"])
            .args(["-H", &format!("Authorization: Bearer {token}"), "-H", "Sec-Fetch-Site: same-origin"])
            .args(["--checks", "not_a_server_error", "--phases", "coverage,fuzzing,stateful"])
            .args(["--max-examples", &examples, "--suppress-health-check", "all", "--no-color"])
            // A stream ends when its investigation does; backups are made, and not by the hundred.
            .args(["--exclude-path-regex", "/(stream|tail)$|/v1/backups"])
            .current_dir(site.data_dir().parent().unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{role}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        let tested = said.lines().find(|line| line.contains("Tested:")).unwrap_or_default();
        assert!(tested.trim_end().ends_with(char::is_numeric) && !tested.ends_with(": 0"), "{said}");
    }
    assert_eq!(get(&server.address, "/healthz").unwrap().status, 200);
    server.end();
    // All that was asked stands in a record that holds.
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
}
