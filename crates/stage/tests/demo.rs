//! README's first command on the real models, inside a network namespace with loopback and a sink that takes what
//! leaves: what a sealed site runs, traced. Where namespaces are not allowed it runs outside one and says so; where the models have
//! not been fetched it is skipped and says so.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const STAGE: &str = env!("CARGO_BIN_EXE_casemate-stage");
/// Alerts that the benign part of the sample incident raises; all others are raised by the attack.
const LOOK_ALIKES: [&str; 5] = [
    "PowerShell started with an encoded command",
    "Shadow copies or backups deleted",
    "Member added to a privileged group",
    "Account locked out",
    "User agent of a scanning or attack tool",
];
const NEEDED: [&str; 3] = [
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "all-MiniLM-L6-v2/model.safetensors",
];

#[test]
fn demo_runs_where_nothing_leads_anywhere_and_tries_nothing() {
    let Some(models) = models() else { return };
    if !Path::new(STAGE).with_file_name("casemate").is_file() {
        eprintln!("skipped: the casemate binary is not built (cargo test --workspace builds it)");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let isolated = namespaces_allowed();
    let result = run(&models, data.path(), isolated);

    assert_eq!(result["status"], 0, "{}", result["stderr"]);
    if isolated {
        let interfaces = if result["sink"].is_null() { json!(["lo"]) } else { json!(["lo", "sink"]) };
        assert_eq!(result["interfaces"], interfaces);
        assert_eq!(result["outside_reached"], false);
        // The sink takes what leaves (a first attempt shows that), and of the demo nothing came.
        assert_ne!(result["sink"], false);
        assert_eq!(result["packets"], json!([]));
    }
    match result["elsewhere"].as_array() {
        Some(calls) => assert!(calls.is_empty(), "{calls:#?}"),
        None => eprintln!("strace is not installed or not allowed: no system call was looked at"),
    }
    assert_eq!(result["page"][0], 200);
    assert!(result["page"][1].as_str().unwrap().contains("<h1"), "{}", result["page"]);
    assert_judges_the_sample_incident(&result["demo"]);
}

/// At least one attack called so, at least one look-alike called benign, no attack called benign and no
/// look-alike called malicious. Which is which is in tests/data/incident/README.md.
fn assert_judges_the_sample_incident(demo: &Value) {
    let names: Vec<&str> =
        demo["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fetch", "build", "ingest", "investigate"]);
    let investigations = demo["investigations"].as_array().unwrap();
    let count = |verdict: &str| investigations.iter().filter(|one| one["verdict"] == verdict).count();
    assert!(count("malicious") >= 1, "{investigations:#?}");
    assert!(count("benign") >= 1, "{investigations:#?}");
    for one in investigations {
        let wrong =
            if LOOK_ALIKES.iter().any(|title| one["alert"] == *title) { "malicious" } else { "benign" };
        assert_ne!(one["verdict"], wrong, "{one}");
        for figure in ["confidence", "convergence"] {
            let value = one[figure].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{figure} {value}");
        }
        assert!(!one["evidence"].as_array().unwrap().is_empty(), "no evidence cited: {one}");
    }
}

fn run(models: &Path, data: &Path, isolated: bool) -> Value {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loopback.py");
    let mut command = if isolated {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net", "python3"]);
        unshare
    } else {
        eprintln!("network namespaces are not allowed here: the demo runs outside one");
        Command::new("python3")
    };
    command.arg(driver).arg(STAGE).args(["demo", "--json", "--listen", "127.0.0.1:18470"]);
    command.arg("--data-dir").arg(data.join("demo")).env("CASEMATE_MODELS", models);
    // Not through cargo: the binary beside ours is the one just built, and a nested build would need the network.
    command.env_remove("CARGO").stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let printed = String::from_utf8_lossy(&output.stdout);
        unreachable!("the driver printed no JSON ({error}), {}: {printed}", output.status)
    })
}

fn namespaces_allowed() -> bool {
    Command::new("unshare")
        .args(["--map-root-user", "--net", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn models() -> Option<PathBuf> {
    let fallback = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let dir = std::env::var_os("CASEMATE_MODELS").map_or_else(fallback, PathBuf::from);
    let missing: Vec<_> = NEEDED.iter().filter(|name| !dir.join(name).is_file()).collect();
    if missing.is_empty() {
        return Some(dir);
    }
    eprintln!("skipped: {missing:?} not in {} (casemate-stage fetch gets them)", dir.display());
    None
}
