//! Text to measure on: log lines of one's own making for speed, given log files for quality.

use crate::failure::{Failure, Outcome};
use anyhow::Context;
use casemate_event::Batch;
use casemate_inference::Model;
use casemate_ingest::Options;
use std::path::{Path, PathBuf};

/// Text that reads like a log, the same for the same seed.
pub(super) fn log(seed: u64, lines: usize) -> String {
    const USERS: [&str; 6] = ["root", "alice", "svc-backup", "SYSTEM", "j.meier", "admin"];
    const PROGRAMS: [&str; 6] =
        ["sshd", "powershell.exe", "cmd.exe /c whoami", "rundll32.exe comsvcs.dll", "cron", "lsass.exe"];
    const EVENTS: [&str; 6] = [
        "accepted password",
        "process created",
        "denied query",
        "service installed",
        "logon failed",
        "file written",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..lines)
        .map(|_| {
            format!(
                "{:02}:{:02}:{:02} host-{} {}[{}]: {} for {} from 10.{}.{}.{} port {}\n",
                next(24),
                next(60),
                next(60),
                next(40),
                PROGRAMS[next(6)],
                next(60_000),
                EVENTS[next(6)],
                USERS[next(6)],
                next(256),
                next(256),
                next(256),
                next(65_536)
            )
        })
        .collect()
}

/// Tokens of [`log`], `count` of them.
pub(super) fn tokens(model: &Model, seed: u64, count: usize) -> Outcome<Vec<u32>> {
    let mut tokens = model.tokens_of_data(&log(seed, count / 16 + 16))?;
    tokens.truncate(count);
    Ok(tokens)
}

/// Log files under a directory, in order of their names. What stands beside a log (what it should give, a
/// description) is none.
fn files(directory: &Path) -> Outcome<Vec<PathBuf>> {
    const LOGS: [&str; 4] = [".log", ".json", ".jsonl", ".gz"];
    let listing = fs_err::read_dir(directory)
        .context("no log text to measure on: give some with --text DIR")
        .map_err(Failure::input)?;
    let mut files = Vec::new();
    for entry in listing {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if LOGS.iter().any(|kind| name.ends_with(kind)) && !name.ends_with(".expected.json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Records of the log files under a directory as they were received, from the middle of each file, as many
/// of each.
pub(super) fn records(directory: &Path, of_each: usize) -> Outcome<Vec<Vec<String>>> {
    const MAX_BYTES: u64 = 8 << 20;
    let mut all = Vec::new();
    for file in files(directory)? {
        if fs_err::metadata(&file)?.len() > MAX_BYTES {
            continue;
        }
        let mut records = Vec::new();
        let mut keep = |batch: Batch| {
            let texts = batch.events.into_iter().filter_map(|event| String::from_utf8(event.raw).ok());
            records.extend(texts.filter(|text| text.len() > 40));
            Ok(())
        };
        casemate_ingest::read_file(&file, "", &Options::default(), 0, &mut keep, &mut |_| {})?;
        let start = records.len().saturating_sub(of_each) / 2;
        all.push(records.into_iter().skip(start).take(of_each).collect());
    }
    Ok(all)
}
