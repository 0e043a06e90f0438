//! How fast is it here? Run one at a time, with nothing else on the machine.

use super::*;
use casemate_event::{Entity, EntityKind, EventId};
use casemate_store::Order;
use std::time::{Duration, Instant};

const EVENTS: u64 = 100_000;
const BATCH: u64 = 1000;

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let value = run();
    (value, started.elapsed())
}

/// Median of 21 runs.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..21).map(|_| timed(&mut run).1).collect();
    times.sort();
    times[10]
}

#[test]
#[ignore = "a measurement"]
fn append_search_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batches: Vec<Batch> =
        (0..EVENTS).step_by(BATCH as usize).map(|start| batch(start..start + BATCH)).collect();
    let raw: usize = batches.iter().flat_map(|batch| &batch.events).map(|event| event.raw.len()).sum();
    let (_, append) =
        timed(|| batches.iter().for_each(|batch| assert!(!store.append(batch).unwrap().is_empty())));
    let (_, refresh) = timed(|| store.refresh().unwrap());
    let seconds = (append + refresh).as_secs_f64();
    println!(
        "append {EVENTS} events ({raw} raw bytes) in {append:?}, refresh {refresh:?}: {:.0} events/s",
        EVENTS as f64 / seconds
    );
    println!("{:#?}", store.counts().unwrap().bytes_on_disk);

    let user = vec![Entity::new(EntityKind::User, "user3")];
    for (name, query) in [
        ("word, 100 oldest", Query { limit: 100, ..query("powershell") }),
        ("rare word", Query { limit: 100, ..query("run-4242") }),
        ("phrase in a field", Query { limit: 100, ..query("fields.process.cmd_line:\"run 4242\"") }),
        (
            "entity, 100 newest",
            Query { limit: 100, order: Order::NewestFirst, entities: user.clone(), ..query("") },
        ),
        (
            "entity in an hour",
            Query {
                limit: 100,
                entities: user,
                after: Some(event(5000).time),
                before: Some(event(8600).time),
                ..query("")
            },
        ),
        ("word, 100 best", Query { limit: 100, order: Order::Relevance, ..query("powershell user3") }),
        ("count all", Query { limit: 0, ..query("") }),
    ] {
        let total = store.search(&query).unwrap().total;
        println!("search {name}: {total} matches, {:?}", median(|| drop(store.search(&query).unwrap())));
    }
    println!("get: {:?}", median(|| drop(store.get(EventId(EVENTS / 2)).unwrap())));
    println!("scan 1000: {:?}", median(|| drop(store.scan(EventId(EVENTS / 2), 1000).unwrap())));

    println!("close: {:?}", timed(|| drop(store)).1);
    println!("open: {:?}", median(|| drop(open(dir.path()))));
    fs_err::remove_dir_all(dir.path().join("store/text")).unwrap();
    fs_err::remove_file(dir.path().join("store/meta.redb")).unwrap();
    println!("open and rebuild all: {:?}", timed(|| drop(open(dir.path()))).1);
}

#[test]
#[ignore = "a measurement"]
fn small_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (_, append) =
        timed(|| (0..2000).for_each(|n| assert!(!store.append(&batch(n..n + 1)).unwrap().is_empty())));
    println!("append one event at a time: {:?} each", append / 2000);
}
