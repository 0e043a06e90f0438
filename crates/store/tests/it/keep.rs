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

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs_err::read_dir(dir.join("store")).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).collect()
}

#[test]
fn small_segments_are_put_together_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { segment_events: 100, seal_on_close: 10, ..Limits::default() };
    let open = || Store::open_with(dir.path(), limits.clone()).unwrap();
    for n in 0..9 {
        let store = open();
        let quarantined = vec![quarantined(n, QuarantineReason::MalformedJson)];
        store.append(&Batch { quarantined, ..batch(n * 12..(n + 1) * 12) }).unwrap();
    }
    let store = open();
    let resolved = store.quarantined(None, 1).unwrap();
    store.append_resolving(&Batch::default(), &[(resolved[0].id, resolved[0].record.reason)]).unwrap();
    store.tidy().unwrap();
    assert!(segments(dir.path()).len() < 5, "{:?}", segments(dir.path()));
    let check = |store: &Store| {
        check_whole(store, 108);
        let kept: Vec<u64> =
            store.quarantined(None, 100).unwrap().iter().map(|stored| stored.record.position).collect();
        assert_eq!(kept, [7, 6, 5, 4, 3, 2, 1, 0]);
    };
    check(&store);
    drop(store);
    // As when the power went before the old files were gone, and with them the list.
    fs_err::remove_file(dir.path().join("store/MANIFEST")).unwrap();
    let store = open();
    check(&store);
    store.append(&batch(108..109)).unwrap();
    drop(store);
    fs_err::remove_file(dir.path().join("store/meta.redb")).unwrap();
    check_whole(&open(), 109);
}

#[test]
fn what_is_derived_from_events_is_made_anew_where_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { segment_events: 200, seal_on_close: 10, ..Limits::default() };
    let noise = |n: u64| -> String {
        (0..60)
            .map(|word| format!("{:016x} ", (n * 61 + word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect()
    };
    let store = Store::open_with(dir.path(), limits.clone()).unwrap();
    let events = (0..200).map(|n| Event { message: format!("noise {}", noise(n)), ..event(n) });
    store.append(&Batch { events: events.collect(), ..Batch::default() }).unwrap();
    drop(store);
    let path = segments(dir.path()).pop().unwrap();
    let good = fs_err::read(&path).unwrap();
    let word = noise(7).split(' ').next().unwrap().to_owned();
    let (mut repaired, mut lost) = (0, 0);
    for page in 0..good.len() / (64 << 10) {
        let mut bytes = good.clone();
        bytes[page * (64 << 10) + 5000] ^= 1;
        let bad = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(bad.path().join("store")).unwrap();
        fs_err::write(bad.path().join("store").join(path.file_name().unwrap()), &bytes).unwrap();
        let store = Store::open_with(bad.path(), limits.clone()).unwrap();
        let problems = store.repair().unwrap();
        let found = store.search(&query(&word));
        if problems.is_empty() {
            repaired += 1;
            let ids: Vec<u64> = found.unwrap().hits.iter().map(|stored| stored.id.0).collect();
            assert_eq!(ids, [8]);
            assert_eq!(store.scan(EventId(1), 1000).unwrap().len(), 200);
            assert_eq!(store.counts().unwrap().events, 200);
            assert_eq!(store.templates().unwrap().len(), 4);
        } else {
            lost += 1;
            let all = store.scan(EventId(1), 1000).unwrap_err().to_string();
            assert!(all.contains("damaged") && problems[0].contains(".segment"), "{all} {problems:?}");
        }
    }
    assert!(repaired > 0 && lost > 0, "{repaired} repaired, {lost} lost");
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
