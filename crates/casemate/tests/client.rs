//! The typed client of `examples/client`: its types are made from the document of a real server, it compiles against them
//! strictly, and what it prints and decides is what the server holds. Skipped, with a message, where Node.js or the packages
//! are missing (`.ci/run` gets them).

#![allow(clippy::unwrap_used)]

mod common;

use common::http::{get, request};
use common::{Server, Site, data, root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The packages of the client.
fn packages() -> Option<PathBuf> {
    let dir = std::env::var_os("CASEMATE_SHIPPERS").map(PathBuf::from);
    let found =
        dir.map(|dir| dir.join("client/node_modules")).filter(|dir| dir.join("openapi-fetch").is_dir());
    let has_node = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if found.is_none() || !has_node {
        eprintln!("skipped: Node.js or the packages in $CASEMATE_SHIPPERS/client are missing");
        return None;
    }
    found
}

/// Runs a script of Node.js in `dir`.
fn node(dir: &Path, script: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new("node");
    command.arg(script).args(args).current_dir(dir).env("NO_PROXY", "127.0.0.1").envs(env.iter().copied());
    command.output().unwrap()
}

#[track_caller]
fn says(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn the_client_compiles_against_the_document_and_works() {
    let Some(packages) = packages() else { return };
    let site = Site::new();
    let logs = data("incident/logs").display().to_string();
    assert_eq!(site.run(&["ingest", &logs]).code, 0);
    let site_file = data("incident/site.toml").display().to_string();
    assert_eq!(site.run(&["investigate", "--all", "--model", "none", "--site", &site_file]).code, 0);
    let made = site.run(&["token", "create", "mira", "--role", "analyst"]);
    let token = made.json["secret"].as_str().unwrap();
    let serve = ["serve", "--model", "none", "--listen", "127.0.0.1:0", "--only-when-asked"];
    let server = Server::start(&mut site.command(&serve));
    let url = format!("http://{}", server.address);

    // As somebody would who follows its README.
    let dir = site.data_dir().with_file_name("client");
    fs_err::create_dir(&dir).unwrap();
    for name in ["client.ts", "package.json", "tsconfig.json"] {
        fs_err::copy(root().join("examples/client").join(name), dir.join(name)).unwrap();
    }
    fs_err::os::unix::fs::symlink(&packages, dir.join("node_modules")).unwrap();
    let types = "node_modules/openapi-typescript/bin/cli.js";
    says(&node(&dir, types, &[&format!("{url}/openapi.json"), "-o", "casemate.d.ts"], &[]));
    says(&node(&dir, "node_modules/typescript/bin/tsc", &[], &[]));

    // Types that let everything through would show nothing.
    let source = fs_err::read_to_string(dir.join("client.ts")).unwrap();
    for line in source.lines().filter(|line| !line.trim_start().starts_with(['/', '*'])) {
        assert!(
            ![": any", "<any", " as ", "@ts-"].iter().any(|way_around| line.contains(way_around)),
            "{line}"
        );
    }
    fs_err::write(dir.join("client.ts"), source.replace("found.summary", "found.sumary")).unwrap();
    let refused = node(&dir, "node_modules/typescript/bin/tsc", &["--noEmit"], &[]);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("'sumary' does not exist"), "{refused:?}");

    let ask = |path: &str| -> Value {
        let bearer = format!("Bearer {token}");
        request(&server.address, "GET", path, &[("authorization", &bearer)], b"").unwrap().expect_ok()
    };
    let run = |args: &[&str], token: &str| {
        node(&dir, "out/client.js", args, &[("CASEMATE_URL", &url), ("CASEMATE_TOKEN", token)])
    };
    let args = [
        "--entity",
        "host:prd01",
        "--disagree",
        "9",
        "--was",
        "benign",
        "--reason",
        "a drill",
        "--follow",
        "3",
    ];
    let said = says(&run(&args, token));
    let alerts = ask("/v1/alerts");
    let verdict = |alert: &Value| alert["investigation"]["verdict"] == "malicious";
    for alert in alerts["alerts"].as_array().unwrap() {
        let line = format!("alert {}: {}\n", alert["id"], alert["title"].as_str().unwrap());
        assert_eq!(said.contains(&line), verdict(alert), "{line}");
    }
    // Every sentence with the line of each event that it cites.
    let report = ask("/v1/investigations/9");
    let mut cited = 0;
    for sentence in report["narrative"].as_array().unwrap() {
        assert!(said.contains(sentence["text"].as_str().unwrap()), "{sentence}");
        for label in sentence["citations"].as_array().unwrap() {
            let line = report["evidence"].as_array().unwrap().iter().find(|line| line["label"] == *label);
            if let Some(line) = line {
                let told = format!("{} event {}, ", label.as_str().unwrap(), line["event"]);
                assert!(said.contains(&told), "{told}");
                cited += 1;
            }
        }
    }
    assert!(cited > 2, "{report}");
    assert!(said.contains(report["summary"].as_str().unwrap()));
    let seen = ask("/v1/entities/host:prd01");
    assert!(said.contains(&format!("host:prd01: {} events", seen["events"])), "{said}");
    assert!(said.contains("alert 9: token:mira disagrees\n"), "{said}");
    assert!(
        said.contains("hello: {\"waiting\":0") && said.contains("alert: {\"id\":9,\"what\":\"decided\""),
        "{said}"
    );

    // What it decided stands there in the name of its token.
    let opinion = &ask("/v1/alerts/9")["feedback"];
    assert_eq!((&opinion["agrees"], &opinion["truth"]), (&Value::Bool(false), &Value::from("benign")));
    assert_eq!((&opinion["reason"], &opinion["by"]), (&Value::from("a drill"), &Value::from("token:mira")));

    // What is wrong is said in the server's words.
    let nobody = run(&[], "no-such-token");
    assert!(!nobody.status.success());
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("lets nobody in"), "{nobody:?}");
    let nothing = run(&["--agree", "99"], token);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no alert 99"), "{nothing:?}");
    assert_eq!(get(&server.address, "/healthz").unwrap().status, 200);
    server.end();
    let record = site.run(&["audit", "show"]).json;
    let lines = record["audit"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["by"] == "token:mira" && line["subject"] == "alert 9"), "{record}");
}
