//! The row `sigma_evtx`: how long do all rules take over all event logs, from start to hits written?
//!
//! Each run is a whole process: it starts, loads every rule, decodes every file and matches every event the
//! way an ingest does, and writes one line of JSON a hit. Nothing is stored. The peer is the `rsigma`
//! command with the same rules; it reads no directory of event logs and does not flatten their records, so it is
//! given the same events decoded beforehand, one flat JSON object a line: it is spared the decoding. Whether the
//! hits are the right ones is the question of `sigma_hits`.

use super::{Better, Row, median};
use crate::cli::SigmaWorkerArgs;
use crate::failure::{Failure, Outcome};
use anyhow::{Context as _, anyhow};
use casemate_detect::Rules;
use casemate_ingest::Options;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Seconds of our process over `data`'s `evtx/` and `sigma/`, and of the peer's where it is given, in turn.
pub(super) fn row(data: &Path, rsigma: Option<&Path>, scratch: &Path, runs: usize) -> Outcome<Row> {
    let [evtx, sigma] = inputs(data)?;
    let flat = scratch.join("events.ndjson");
    if rsigma.is_some() {
        write_flat(&evtx, &flat)?;
    }
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let mut hits = 0;
    for _ in 0..runs.max(1) {
        let (seconds, lines) = timed(&mut worker(&evtx, &sigma)?, "this program")?;
        ours.push(seconds);
        hits = line_count(&lines);
        if let Some(rsigma) = rsigma {
            let mut command = Command::new(rsigma);
            let mut at = std::ffi::OsString::from("@");
            at.push(&flat);
            command.args(["engine", "eval", "--output-format", "ndjson", "--rules"]).arg(&sigma);
            command.arg("--event").arg(at);
            peer.push(timed(&mut command, "rsigma")?.0);
        }
    }
    let n = ours.len();
    let peers = median(peer).map(|seconds| ("rsigma".to_owned(), seconds)).into_iter().collect();
    let mut row = Row::new("sigma_evtx", "s", Better::Less, median(ours).unwrap_or_default(), peers, n);
    row.more = BTreeMap::from([("hits", hits as f64)]);
    Ok(row)
}

/// The event logs and the rules under `data`.
pub(super) fn inputs(data: &Path) -> Outcome<[PathBuf; 2]> {
    let dirs = [data.join("evtx"), data.join("sigma/rules/windows")];
    match dirs.iter().find(|dir| !dir.exists()) {
        Some(dir) => {
            Err(Failure::input(anyhow!("{} is not there: name its parent with --data", dir.display())))
        }
        None => Ok(dirs),
    }
}

/// Our process over all of them.
pub(super) fn worker(evtx: &Path, sigma: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "sigma-worker"]).arg(evtx).arg("--sigma").arg(sigma);
    Ok(command)
}

/// Writes every event under `evtx` as one flat JSON object a line, fields as the vendor names them.
fn write_flat(evtx: &Path, to: &Path) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(fs_err::File::create(to)?);
    for path in casemate_ingest::expand(&[evtx.to_owned()])? {
        casemate_ingest::read_file(
            &path,
            "",
            &Options::default(),
            0,
            &mut |batch| {
                for event in &batch.events {
                    let fields: BTreeMap<&str, &str> = event.native.iter().collect();
                    serde_json::to_writer(&mut out, &fields)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            },
            &mut |_| {},
        )?;
    }
    Ok(out.flush()?)
}

/// Our side of the row: matches every event under the given paths, writes hits to stdout in the order of
/// files, records and rules.
pub(super) fn work(args: &SigmaWorkerArgs) -> Outcome {
    let (rules, _) = Rules::load(&args.sigma)?;
    let files = casemate_ingest::expand(&args.paths)?;
    let options = Options::default();
    // The largest first, so that no core is left with one when the others are done.
    let mut order: Vec<(u64, usize)> = files
        .iter()
        .enumerate()
        .map(|(index, path)| (path.metadata().map_or(0, |metadata| metadata.len()), index))
        .collect();
    order.sort_by(|a, b| b.cmp(a));
    let found: Vec<(usize, Outcome<Vec<u8>>)> = order
        .into_par_iter()
        .with_max_len(1)
        .filter_map(|(_, index)| Some((index, hits(files.get(index)?, &rules, &options))))
        .collect();
    let in_order: BTreeMap<usize, Outcome<Vec<u8>>> = found.into_iter().collect();
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    for lines in in_order.into_values() {
        stdout.write_all(&lines?)?;
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Hit<'a> {
    rule: &'a str,
    title: &'a str,
    file: &'a Path,
    /// The number that the log itself gives the record.
    record: Option<u64>,
    time: jiff::Timestamp,
}

/// Hits of one file, a line of JSON each.
fn hits(path: &Path, rules: &Rules, options: &Options) -> Outcome<Vec<u8>> {
    let mut lines = Vec::new();
    casemate_ingest::read_file(
        path,
        "",
        options,
        0,
        &mut |batch| {
            for event in &batch.events {
                let record = event.native.get("EventRecordID").and_then(|id| id.parse().ok());
                for rule in rules.matches(event) {
                    let hit =
                        Hit { rule: &rule.id, title: &rule.title, file: path, record, time: event.time };
                    serde_json::to_writer(&mut lines, &hit)?;
                    lines.push(b'\n');
                }
            }
            Ok(())
        },
        &mut |_| {},
    )?;
    Ok(lines)
}

/// Seconds that a command takes, and what it writes.
pub(super) fn timed(command: &mut Command, name: &str) -> Outcome<(f64, Vec<u8>)> {
    let begun = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let seconds = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{name} failed: {}", said.lines().last().unwrap_or_default()).into());
    }
    Ok((seconds, output.stdout))
}

fn line_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
