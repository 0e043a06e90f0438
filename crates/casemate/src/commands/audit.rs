//! `casemate audit`: the record of who did what, shown and verified.

use crate::cli::{AuditArgs, AuditCommand, Global};
use crate::failure::{Failure, Outcome};
use crate::{machine, output};
use anyhow::anyhow;
use casemate_audit::{Head, Line, Verified};
use casemate_store::Store;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &AuditArgs) -> Outcome {
    match &args.what {
        AuditCommand::Verify { checkpoint, key, dir } => {
            let own = global.data_dir.join("audit");
            verify(global, dir.as_deref().unwrap_or(&own), checkpoint, key.as_deref())
        }
        AuditCommand::Show { limit, before } => show(global, before.unwrap_or(u64::MAX), *limit),
        AuditCommand::Checkpoint => checkpoint(global, &open(global)?),
        AuditCommand::RotateKey => {
            let store = open(global)?;
            store.rotate_audit_key(&machine::operator())?;
            checkpoint(global, &store)
        }
    }
}

/// An existing store: a record is looked at, not begun.
fn open(global: &Global) -> Outcome<Store> {
    let dir = global.data_dir.join("audit");
    if !dir.is_dir() {
        return Err(none(&dir));
    }
    Ok(Store::open(&global.data_dir)?)
}

fn none(dir: &Path) -> Failure {
    Failure::input(anyhow!(
        "there is no audit record at {}; give its data directory with --data-dir",
        dir.display()
    ))
}

fn verify(global: &Global, dir: &Path, known: &[Head], key: Option<&Path>) -> Outcome {
    let started = Instant::now();
    if !dir.is_dir() {
        return Err(none(dir));
    }
    let key = key.map(fs_err::read_to_string).transpose().map_err(Failure::input)?;
    let found = casemate_audit::verify(dir, known, key.as_deref())?;
    let holds = found.problems.is_empty() && found.lines > 0;
    if global.json {
        output::json(&json!({ "holds": holds, "record": found }), started)?;
    } else {
        print(&found, holds)?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print(found: &Verified, holds: bool) -> std::io::Result<()> {
    let Verified { lines, first, checkpoints, unsigned, .. } = found;
    output::line(&format!(
        "{lines} lines from number {first} on, {checkpoints} checkpoints, {unsigned} lines after the last one"
    ))?;
    if let Some(head) = &found.head {
        output::line(&format!("it ends with {head}"))?;
    }
    for note in &found.notes {
        output::line(&format!("note: {note}"))?;
    }
    for problem in &found.problems {
        output::line(&format!("WRONG: {problem}"))?;
    }
    output::line(if holds { "the record holds" } else { "the record does not hold" })
}

fn show(global: &Global, before: u64, limit: usize) -> Outcome {
    let started = Instant::now();
    let lines = open(global)?.audit(before, limit)?;
    if global.json {
        output::json(&json!({ "audit": lines }), started)?;
        return Ok(ExitCode::SUCCESS);
    }
    for Line { n, at, by, action, subject, .. } in lines {
        output::line(&format!("{n:>8}  {at:.0}  {by}  {action}  {subject}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn checkpoint(global: &Global, store: &Store) -> Outcome {
    let started = Instant::now();
    let head = store.checkpoint()?;
    let key = fs_err::read_to_string(store.audit_dir().join("key.pub"))?;
    if global.json {
        output::json(&json!({ "checkpoint": head.to_string(), "public_key": key }), started)?;
    } else {
        output::line(&format!("{head}\n{}", key.trim_end()))?;
    }
    Ok(ExitCode::SUCCESS)
}
