//! One module per subcommand.

pub(crate) mod access;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod cases;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod ingest;
pub(crate) mod investigate;
pub(crate) mod manual;
pub(crate) mod mcp;
pub(crate) mod plan;
pub(crate) mod playbook;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod support;
pub(crate) mod tail;

use crate::cli::Global;
use crate::failure::Outcome;
use crate::{machine, output};
use casemate_audit::Entry;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Instant;

/// What whoever sees no alert can do.
const NO_RULE_MATCHED: &str = "no rule of level medium or above matched: `casemate search WORDS` shows events with their numbers, \
    `casemate investigate --event NUMBER` looks into one all the same, `--rules DIR` adds Sigma rules";

/// Puts on record what was done here, also while a server has the data directory.
fn note(global: &Global, action: &str, subject: &str, now: Value) -> Outcome<()> {
    let entry = Entry::new(&machine::operator(), action, subject, now);
    Ok(casemate_store::record_beside(&global.data_dir, &entry)?)
}

/// Prints the document, or lines that say the same.
fn show(global: &Global, started: Instant, json: &Value, lines: impl IntoIterator<Item = String>) -> Outcome {
    if global.json {
        output::json(json, started)?;
    } else {
        lines.into_iter().try_for_each(|line| output::line(&line))?;
    }
    Ok(ExitCode::SUCCESS)
}
