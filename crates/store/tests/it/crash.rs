//! A child process, this same test binary, appends until it is killed.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const CHILD_DIR: &str = "CASEMATE_STORE_TEST_DIR";
/// The child ends by itself after this many batches, should nobody kill it.
const MOST_BATCHES: u64 = 2000;
const BATCH: u64 = 7;

/// Not a test by itself: what the child runs.
#[test]
fn child_appends() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    let mut out = std::io::stdout();
    for _ in 0..MOST_BATCHES {
        let next = store.event_count();
        let ids = store.append(&batch(next..next + BATCH)).unwrap();
        if writeln!(out, "acknowledged {}", ids.end - 1).and_then(|()| out.flush()).is_err() {
            return;
        }
        if ids.end.is_multiple_of(11) {
            store.refresh().unwrap();
        }
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_appends", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child once it has acknowledged `batches` more batches; returns the last event acknowledged.
fn kill_after(mut child: Child, batches: usize) -> u64 {
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut last = 0;
    let acknowledged = |line: String| line.split("acknowledged ").nth(1)?.trim().parse::<u64>().ok();
    let mut lines = out.lines().map_while(Result::ok).filter_map(acknowledged);
    for id in lines.by_ref().take(batches) {
        last = id;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died counts too.
    lines.last().unwrap_or(last)
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    for batches in [1, 3, 20, 40] {
        let acknowledged = kill_after(start(dir.path()), batches);
        let store = open(dir.path());
        let count = store.event_count();
        assert!(count >= acknowledged, "{acknowledged} acknowledged, {count} found");
        assert!(count <= acknowledged + BATCH);
        check_whole(&store, count);
    }
}
