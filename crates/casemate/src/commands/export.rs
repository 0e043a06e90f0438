//! `casemate export`: an investigation or a case as a file, for people or for another tool.

use super::note;
use crate::cli::{ExportArgs, Exported, Global};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use casemate_event::{AlertId, CaseId, Subject};
use casemate_export::{Error, Format, export, gather};
use casemate_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &ExportArgs) -> Outcome {
    let started = Instant::now();
    let subject = match args.what {
        Exported::Investigation => Subject::Alert(AlertId(args.id)),
        Exported::Case => Subject::Case(CaseId(args.id)),
    };
    if !global.data_dir.is_dir() {
        let dir = global.data_dir.display();
        return Err(Failure::input(anyhow!("there is no data directory at {dir}; give it with --data-dir")));
    }
    let is_dir = args.out.as_deref().is_some_and(names_directory);
    let to_stdout = args.out.is_none();
    match args.format.as_slice() {
        [_, _, ..] if !is_dir => {
            return Err(Failure::input(anyhow!("several formats need a directory: --out DIR/")));
        }
        _ if to_stdout && global.json => {
            return Err(Failure::input(anyhow!(
                "--json says what was written where: name a file with --out"
            )));
        }
        _ => {}
    }
    let now = Timestamp::now();
    let made = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let dossier = gather(&Store::open(&global.data_dir)?, subject, made).map_err(failure)?;
    let mut written = Vec::new();
    for format in &args.format {
        let bytes = export(&dossier, *format).map_err(failure)?;
        let Some(out) = &args.out else {
            std::io::stdout().lock().write_all(&bytes)?;
            continue;
        };
        let path = if is_dir { out.join(format.file_name(subject)) } else { out.clone() };
        write(&path, &bytes)?;
        written.push((path, *format, bytes.len()));
    }
    let formats: Vec<&str> = args.format.iter().map(|format| format.extension()).collect();
    note(global, "export", &subject.to_string(), json!({ "formats": formats }))?;
    say(global, started, &written)
}

/// A directory there is, or a name that ends like one's.
fn names_directory(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What leaves is for whoever asked, and for nobody who merely has an account here.
fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        casemate_disk::create_private_dir(dir)?;
    }
    Ok(casemate_disk::write_private(path, |file| file.write_all(bytes))?)
}

fn say(global: &Global, started: Instant, written: &[(PathBuf, Format, usize)]) -> Outcome {
    if global.json {
        let row = |(path, format, bytes): &(PathBuf, Format, usize)| -> Value {
            json!({ "file": path, "format": format.extension(), "bytes": bytes })
        };
        output::json(&json!({ "files": written.iter().map(row).collect::<Vec<_>>() }), started)?;
    } else {
        for (path, _, bytes) in written {
            output::line(&format!("{bytes} bytes in {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is not there was asked for wrongly.
fn failure(error: Error) -> Failure {
    match error {
        Error::NotInvestigated(_) | Error::Missing(_) => Failure::input(error),
        other => other.into(),
    }
}
