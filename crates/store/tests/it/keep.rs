//! What is kept, deleted, copied and put back.

use super::*;
use casemate_event::EventId;
use casemate_store::{Deleted, Retention};
use jiff::SignedDuration;

/// A store of a few segments and a few events in the log.
fn filled(dir: &Path) -> Store {
    let store = open(dir);
    for start in (0..100).step_by(30) {
        store.append(&batch(start..(start + 30).min(100))).unwrap();
        // So that segments are there and not on their way.
        drop(store.counts().unwrap());
    }
    drop(store);
    open(dir)
}

#[test]
fn a_backup_of_a_running_store_is_a_store() {
    let (dir, copy, back) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(dir.path());
    store.set_watermark("detect", EventId(100)).unwrap();
    let backup = store.backup(copy.path()).unwrap();
    assert_eq!(backup.events, 100);
    // What comes later is not in it, and changes nothing in it.
    store.append(&batch(100..140)).unwrap();
    store.set_watermark("detect", EventId(140)).unwrap();
    check_whole(&store, 140);
    let restored = Store::restore(copy.path(), back.path()).unwrap();
    check_whole(&restored, 100);
    assert_eq!(restored.watermark("detect").unwrap(), EventId(100));
    restored.append(&batch(100..101)).unwrap();
    check_whole(&restored, 101);
    let again = store.backup(copy.path()).unwrap_err().to_string();
    assert!(again.contains("there already"), "{again}");
    assert!(Store::restore(copy.path(), back.path()).is_err());
}

#[test]
fn a_damaged_backup_is_refused() {
    let (dir, copy, back) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).backup(copy.path()).unwrap();
    let segment = fs_err::read_dir(copy.path().join("store")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|ext| ext == "segment")).min().unwrap();
    let mut bytes = fs_err::read(&segment).unwrap();
    bytes[500] ^= 1;
    // Segments of a backup may be linked to those of the store.
    fs_err::remove_file(&segment).unwrap();
    fs_err::write(&segment, bytes).unwrap();
    let error = Store::restore(copy.path(), back.path()).err().unwrap().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn the_oldest_segments_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let now = Timestamp::now();
    assert_eq!(store.retain(&Retention::default(), now).unwrap(), Deleted::default());
    let month = Retention { max_age: Some(SignedDuration::from_hours(24 * 30)), ..Retention::default() };
    assert_eq!(store.retain(&month, now).unwrap(), Deleted::default());
    let segments = fs_err::read_dir(dir.path().join("store")).unwrap().map(|entry| entry.unwrap());
    let segments = segments.filter(|entry| entry.path().extension().is_some_and(|ext| ext == "segment"));
    let bytes: u64 = segments.map(|entry| entry.metadata().unwrap().len()).sum();
    let small = Retention { max_bytes: Some(bytes / 2), ..Retention::default() };
    let deleted = store.retain(&small, now).unwrap();
    assert!(deleted.segments > 0 && deleted.events < 100, "{deleted:?}");
    assert_eq!(store.get(EventId(1)).unwrap(), None);
    let left = store.scan(EventId(1), usize::MAX).unwrap();
    assert_eq!(left.len() as u64, 100 - deleted.events);
    assert_eq!(left.first().unwrap().id.0, deleted.events + 1);
    assert_eq!(store.search(&query("")).unwrap().total, 100 - deleted.events);
    assert_eq!(store.counts().unwrap().events, 100 - deleted.events);
    // Templates remember what is gone.
    assert_eq!(store.templates().unwrap().iter().map(|template| template.count).sum::<u64>(), 100);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.event_count(), 100 - deleted.events);
    assert_eq!(store.append(&batch(100..101)).unwrap(), 101..102);
    let later = now.checked_add(SignedDuration::from_hours(24 * 31)).unwrap();
    store.retain(&month, later).unwrap();
    assert_eq!(store.last_id(), EventId(101));
}
