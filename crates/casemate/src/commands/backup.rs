//! `casemate backup` and `casemate restore`: a data directory copied, and put back.

use crate::cli::{Global, PlaceArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use casemate_store::Store;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Restored {
    events: u64,
    alerts: u64,
    investigations: u64,
}

pub(crate) fn backup(global: &Global, args: &PlaceArgs) -> Outcome {
    let started = Instant::now();
    let store = Store::open(&global.data_dir)?;
    let backup = store.backup(&args.dir).map_err(Failure::input)?;
    if global.json {
        output::json(&backup, started)?;
    } else {
        output::line(&format!(
            "{} events in {} files, {} bytes, at {}",
            backup.events,
            backup.files,
            backup.bytes,
            args.dir.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn restore(global: &Global, args: &PlaceArgs) -> Outcome {
    let started = Instant::now();
    let store = Store::restore(&args.dir, &global.data_dir).map_err(Failure::input)?;
    let counts = store.counts()?;
    let restored =
        Restored { events: counts.events, alerts: counts.alerts, investigations: counts.investigations };
    if global.json {
        output::json(&restored, started)?;
    } else {
        output::line(&format!(
            "{} events, {} alerts and {} investigations, every checksum verified, in {}",
            restored.events,
            restored.alerts,
            restored.investigations,
            global.data_dir.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
