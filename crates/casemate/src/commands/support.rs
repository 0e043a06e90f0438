//! `casemate support-bundle FILE`: what somebody who helps needs to see, and nothing of what was logged.
//!
//! Numbers, hashes, versions and states. No event, no alert, no name of a host, user, token or source; paths of the data
//! directory are written as `DATA`. It is one JSON file, to be read before it is handed on.

use crate::cli::{Global, SupportArgs};
use crate::failure::Outcome;
use crate::machine::{Cpu, available_bytes, memory_bytes};
use crate::seal::Seal;
use crate::{door, models, output, setup};
use casemate_store::Store;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// Directories within each other that are listed.
const MAX_DEPTH: usize = 4;

pub(crate) fn run(global: &Global, args: &SupportArgs, seal: &Seal) -> Outcome {
    let started = Instant::now();
    let mut problems = Vec::new();
    let state = json!({
        "casemate": env!("CARGO_PKG_VERSION"),
        "made": jiff::Timestamp::now(),
        "kernel": fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "cpu": Cpu::detect(),
        "memory_bytes": memory_bytes(),
        "memory_available_bytes": available_bytes(),
        "sealed": seal,
        "models": files_of_models(global),
        "configuration": configuration(global, &mut problems),
        "store": store(global, &mut problems),
        "audit": audit(global, &mut problems),
        "access": access(global, &mut problems),
        "releases": releases(global, &mut problems),
        "files": files(global),
        "problems": problems,
    });
    let text = without_paths(&format!("{state:#}"), global);
    casemate_disk::write_private(&args.file, |out| out.write_all(text.as_bytes()))?;
    if global.json {
        output::json(&json!({ "file": args.file, "bytes": text.len() }), started)?;
    } else {
        output::line(&format!(
            "{} bytes in {}: read it before you hand it on",
            text.len(),
            args.file.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where things lie says more than it should.
fn without_paths(text: &str, global: &Global) -> String {
    let mut text = text.to_owned();
    for (dir, name) in [(&global.data_dir, "DATA"), (&global.config, "CONFIG"), (&global.models, "MODELS")] {
        let absolute = dir.canonicalize().map(|path| path.display().to_string()).unwrap_or_default();
        for path in [absolute, dir.display().to_string()].iter().filter(|path| path.len() > 1) {
            text = text.replace(path.as_str(), name);
        }
    }
    text
}

fn files_of_models(global: &Global) -> Vec<Value> {
    let dirs = global.model_dirs();
    let files = models::catalog().into_iter().flatten().flat_map(|entry| entry.files);
    files
        .map(|file| {
            let bytes = fs_err::metadata(models::find(&dirs, &file.path)).map(|metadata| metadata.len());
            json!({ "file": file.path, "bytes": bytes.ok(), "expected_bytes": file.bytes })
        })
        .collect()
}

/// Hashes of what configures it: whether two sites have the same is seen, what it says is not.
fn configuration(global: &Global, problems: &mut Vec<String>) -> Value {
    let mut hashes = BTreeMap::new();
    for part in ["rules", "playbooks", "heads", "mappings", "suite", "site"] {
        let mut all = Vec::new();
        let path = global.config_part(part);
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                let entries = fs_err::read_dir(&path).into_iter().flatten().flatten();
                left.extend(entries.map(|entry| entry.path()));
            } else if path.is_file() {
                match casemate_disk::sha256_file(&path, |_| {}) {
                    Ok(hash) => all.push(hash),
                    Err(error) => problems.push(error.to_string()),
                }
            }
        }
        all.sort();
        let hash: String = Sha256::digest(all.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
        hashes.insert(part, json!({ "files": all.len(), "sha256": hash }));
    }
    json!(hashes)
}

/// Counts alone; nothing where a server has it.
fn store(global: &Global, problems: &mut Vec<String>) -> Value {
    if !global.data_dir.join("store").is_dir() {
        return Value::Null;
    }
    match Store::open(&global.data_dir).and_then(|store| Ok((store.counts()?, store.cases()?.len()))) {
        Ok((counts, cases)) => {
            json!({ "events": counts.events, "by_format": counts.by_format, "quarantined": counts.quarantined,
                "alerts": counts.alerts, "investigations": counts.investigations, "cases": cases,
                "templates": counts.templates, "bytes_on_disk": counts.bytes_on_disk })
        }
        Err(error) => {
            problems.push(format!("the store was not looked into: {error}"));
            Value::Null
        }
    }
}

fn audit(global: &Global, problems: &mut Vec<String>) -> Value {
    let dir = global.data_dir.join("audit");
    if !dir.is_dir() {
        return Value::Null;
    }
    match casemate_audit::verify(&dir, &[], None) {
        Ok(found) => json!({ "lines": found.lines, "head": found.head, "checkpoints": found.checkpoints,
            "problems": found.problems.len(), "notes": found.notes.len() }),
        Err(error) => {
            problems.push(error.to_string());
            Value::Null
        }
    }
}

/// How many of each kind, and of each role.
fn access(global: &Global, problems: &mut Vec<String>) -> Value {
    if !global.data_dir.join(casemate_access::FILE_NAME).is_file() {
        return Value::Null;
    }
    match door::access(global) {
        Ok(access) => {
            let mut roles: BTreeMap<String, usize> = BTreeMap::new();
            for user in access.users() {
                *roles.entry(user.role.to_string()).or_default() += 1;
            }
            problems.extend(access.problems());
            json!({ "users": roles, "tokens": access.tokens().len(), "certificates": access.certificates().len(),
                "peers": access.peers().len(), "provider": access.oidc().is_some() })
        }
        Err(failure) => {
            problems.push(failure.to_string());
            Value::Null
        }
    }
}

fn releases(global: &Global, problems: &mut Vec<String>) -> Value {
    match setup::bundles(global).list() {
        Ok(releases) => {
            let rows = releases.iter().map(|(release, state)| {
                let parts: BTreeMap<&String, u64> =
                    release.components.iter().map(|(name, component)| (name, component.version)).collect();
                json!({ "number": release.number, "state": state, "components": parts })
            });
            rows.collect()
        }
        Err(error) => {
            problems.push(error.to_string());
            Value::Null
        }
    }
}

/// Names and sizes of what the data directory holds; names of backups and spooled files are not told.
fn files(global: &Global) -> Vec<Value> {
    let mut found = Vec::new();
    let mut left = vec![(global.data_dir.clone(), MAX_DEPTH)];
    while let Some((dir, depth)) = left.pop() {
        for entry in fs_err::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_ours = !["spool", "backups"].iter().any(|name| path.ends_with(name));
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() && depth > 1 && is_ours => left.push((path, depth - 1)),
                Ok(metadata) if metadata.is_file() => {
                    let name = path.strip_prefix(&global.data_dir).unwrap_or(&path).display().to_string();
                    found.push((name, metadata.len()));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found.into_iter().map(|(name, bytes)| json!({ "file": name, "bytes": bytes })).collect()
}
