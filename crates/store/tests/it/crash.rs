//! A child process, this same test binary, appends until it is killed, again and again in one directory.
//!
//! `CASEMATE_KILLS` sets how often; the usual number fits a test run.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// Kills the child once it has acknowledged `batches` more batches and `pause` has passed; returns the last
/// event acknowledged.
fn kill_after(mut child: Child, batches: usize, pause: Duration) -> u64 {
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut last = 0;
    let acknowledged = |line: String| line.split("acknowledged ").nth(1)?.trim().parse::<u64>().ok();
    let mut lines = out.lines().map_while(Result::ok).filter_map(acknowledged);
    for id in lines.by_ref().take(batches) {
        last = id;
    }
    // Not to wait for anything, but to die at another moment each time.
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died counts too.
    lines.last().unwrap_or(last)
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let kills = std::env::var("CASEMATE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for _ in 0..kills {
        let pause = Duration::from_micros(random(3000));
        let acknowledged = kill_after(start(dir.path()), 1 + random(30) as usize, pause);
        let store = open(dir.path());
        let count = store.event_count();
        assert!(count >= acknowledged.max(before), "{acknowledged} acknowledged, {count} found");
        assert!(count <= acknowledged.max(before) + BATCH);
        check_whole(&store, count);
        before = count;
        if count > 5000 {
            // Checking everything would take ever longer.
            drop(store);
            (dir, before) = (tempfile::tempdir().unwrap(), 0);
        }
    }
}
