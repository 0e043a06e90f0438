//! `casemate-stage bundle`: makes what `casemate bundle` applies. Keys, roots, signatures, volumes, and what an
//! auditor reads beside them.
//!
//! The format is described in `crates/bundle/src/lib.rs` and written here anew: the two sides share no code, and
//! `crates/casemate/tests/bundle.rs` holds them to each other.

mod args;
mod bom;
mod build;
mod collect;
mod keys;
mod ml_bom;
mod root;
mod sbom;
mod signing;
mod volumes;

pub(crate) use args::BundleCommand;

use crate::error::Error;
use anyhow::{Context, Result};
use jiff::Timestamp;
use std::path::Path;
use std::process::ExitCode;

/// Runs the subcommand.
pub(crate) fn run(command: &BundleCommand) -> Result<ExitCode> {
    match command {
        BundleCommand::Keygen(args) => keys::keygen(args),
        BundleCommand::Root(args) => root::run(args),
        BundleCommand::Sign(args) => signing::run(args),
        BundleCommand::Build(args) => build::run(args),
    }
}

/// A moment, or the end of a day (UTC).
fn expiry(text: &str) -> Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day: jiff::civil::Date = text.parse().map_err(|_| {
        Error::Usage(format!("--expires {text}: write a day such as 2027-06-01, or a moment in UTC"))
    })?;
    let end = day.to_zoned(jiff::tz::TimeZone::UTC)?.end_of_day()?;
    Ok(Timestamp::from_second(end.timestamp().as_second())?)
}

/// Says where `expires` is near or past.
fn warn_of_expiry(what: &str, expires: Timestamp) {
    let left = expires.duration_since(Timestamp::now()).as_hours() / 24;
    if left < 30 {
        eprintln!("{what} expires at {expires}, in {left} days");
    }
}

/// Writes a file that must not be half there.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_added_extension("partial");
    let write = || -> std::io::Result<()> {
        fs_err::write(&partial, bytes)?;
        crate::place::put(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A document as text: readable, and always the same for the same content.
fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    crate::place::hex(sha2::Sha256::new_with_prefix(bytes))
}
