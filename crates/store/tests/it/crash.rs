//! A child process, this same test binary, appends until it is killed, again and again in one directory.
//!
//! `CASEMATE_KILLS` sets how often; the usual number fits a test run.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CHILD_DIR: &str = "CASEMATE_STORE_TEST_DIR";
const CHILD_SHORT: &str = "CASEMATE_STORE_TEST_SHORT_RUNS";
/// The child ends by itself after this many batches, should nobody kill it.
const MOST_BATCHES: u64 = 2000;
const BATCH: u64 = 7;

/// How the child goes about it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// One run, of which every few batches are a segment.
    Long,
    /// Many short runs, whose small segments are put together.
    Short,
}

impl Way {
    fn open(self, dir: &Path) -> Store {
        let segment_events = if self == Self::Long { limits().segment_events } else { 400 };
        Store::open_with(dir, Limits { segment_events, ..limits() }).unwrap()
    }
}

/// Not a test by itself: what the child runs.
#[test]
fn child_appends() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let way = if std::env::var_os(CHILD_SHORT).is_some() { Way::Short } else { Way::Long };
    let mut store = Some(way.open(Path::new(&dir)));
    let mut out = std::io::stdout();
    for round in 1..=MOST_BATCHES {
        if way == Way::Short && round.is_multiple_of(3) {
            // Closed before it is opened again.
            drop(store.take());
        }
        let store = store.get_or_insert_with(|| way.open(Path::new(&dir)));
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

fn start(dir: &Path, way: Way) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child_appends", "--nocapture"]).env(CHILD_DIR, dir);
    if way == Way::Short {
        command.env(CHILD_SHORT, "1");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
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
    kill_again_and_again(Way::Long, 200);
}

#[test]
fn nothing_is_lost_or_doubled_while_segments_are_put_together() {
    kill_again_and_again(Way::Short, 60);
}

fn kill_again_and_again(way: Way, usual: usize) {
    let kills = std::env::var("CASEMATE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(usual);
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for _ in 0..kills {
        let pause = Duration::from_micros(random(3000));
        let acknowledged = kill_after(start(dir.path(), way), 1 + random(30) as usize, pause);
        let store = way.open(dir.path());
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
