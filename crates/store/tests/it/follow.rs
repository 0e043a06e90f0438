//! New events are told to who follows, beside the store that takes them in, over sealed segments and restarts.

use super::{batch, event, open, query};
use casemate_event::Stored;
use casemate_store::{Follow, Query};
use std::path::Path;

/// Everything that has come since.
fn new(follow: &mut Follow) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(events) = follow.next_batch().unwrap() {
        found.extend(events.into_iter().map(|Stored { id, event: told }| {
            assert_eq!(told.message, event(id.0 - 1).message);
            id.0
        }));
    }
    found
}

fn start(dir: &Path, text: &str) -> Follow {
    Follow::start(dir, &query(text)).unwrap()
}

#[test]
fn what_comes_is_told_while_another_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut from_nothing = start(dir.path(), "");
    assert!(new(&mut from_nothing).is_empty());
    let store = open(dir.path());
    store.append(&batch(0..5)).unwrap();
    let (mut all, mut some) = (start(dir.path(), ""), start(dir.path(), "user:user3 AND NOT host:ws0"));
    assert_eq!((new(&mut all), new(&mut from_nothing)), (vec![], vec![1, 2, 3, 4, 5]));
    store.append(&batch(5..12)).unwrap();
    assert_eq!((new(&mut all), new(&mut some)), ((6..=12).collect(), vec![]));
    store.append(&batch(12..20)).unwrap();
    assert_eq!((new(&mut all), new(&mut some)), ((13..=20).collect(), vec![18]));
    // Past the end of a segment, and past a restart.
    for start in (20..80).step_by(10) {
        store.append(&batch(start..start + 10)).unwrap();
        assert_eq!(new(&mut all), (start + 1..=start + 10).collect::<Vec<u64>>());
    }
    drop(store);
    let store = open(dir.path());
    store.append(&batch(80..83)).unwrap();
    drop(store);
    assert_eq!((new(&mut all), all.missed()), (vec![81, 82, 83], 0));
}

#[test]
fn what_was_sealed_in_between_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&batch(0..1)).unwrap();
    let mut follow = start(dir.path(), "");
    store.append(&batch(1..2)).unwrap();
    assert_eq!(new(&mut follow), [2]);
    for start in (2..202).step_by(20) {
        store.append(&batch(start..start + 20)).unwrap();
    }
    store.tidy().unwrap();
    store.append(&batch(202..203)).unwrap();
    let told = new(&mut follow);
    assert_eq!(told.last(), Some(&203));
    assert_eq!(told.len() as u64 + follow.missed(), 201, "{told:?}");
}

/// A log that is gone between being listed and being opened, as one that was sealed in between.
#[test]
fn what_was_told_is_not_told_again_when_a_later_log_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut follow = start(dir.path(), "");
    store.append(&batch(0..5)).unwrap();
    assert_eq!(new(&mut follow), [1, 2, 3, 4, 5]);
    std::os::unix::fs::symlink("nowhere", dir.path().join("store/00000007.log")).unwrap();
    assert!(new(&mut follow).is_empty());
    assert!(new(&mut follow).is_empty(), "an older log is not gone back to");
    // Nor by who begins at such a moment.
    let mut begun = start(dir.path(), "");
    assert!(new(&mut begun).is_empty());
    assert!(new(&mut begun).is_empty());
}

#[test]
fn a_query_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = Follow::start(dir.path(), &Query { text: "(a".to_owned(), ..Query::default() }).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
}
