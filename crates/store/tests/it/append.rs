use super::*;
use casemate_event::EventId;
use std::sync::Arc;

#[test]
fn what_was_stored_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    check_whole(&store, 0);
    assert_eq!(store.append(&batch(0..10)).unwrap(), 1..11);
    assert_eq!(store.append(&batch(10..11)).unwrap(), 11..12);
    assert_eq!(store.get(EventId(11)).unwrap().unwrap().event, as_stored(event(10)));
    store.refresh().unwrap();
    check_whole(&store, 11);
    drop(store);
    let store = open(dir.path());
    check_whole(&store, 11);
    assert_eq!(store.append(&batch(11..20)).unwrap(), 12..21);
    store.refresh().unwrap();
    check_whole(&store, 20);
}

#[test]
fn ids_outside_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for id in [0, 1, u64::MAX] {
        assert_eq!(store.get(EventId(id)).unwrap(), None);
    }
    store.append(&batch(0..5)).unwrap();
    for id in [0, 6, u64::MAX] {
        assert_eq!(store.get(EventId(id)).unwrap(), None);
    }
    assert_eq!(store.scan(EventId(6), 10).unwrap(), []);
    assert_eq!(store.scan(EventId(u64::MAX), 10).unwrap(), []);
    assert_eq!(store.scan(EventId(0), 0).unwrap(), []);
}

#[test]
fn scan_crosses_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for start in (0..30).step_by(3) {
        store.append(&batch(start..start + 3)).unwrap();
    }
    let check = |from: u64, limit: usize, expected: std::ops::Range<u64>| {
        let ids: Vec<u64> =
            store.scan(EventId(from), limit).unwrap().iter().map(|stored| stored.id.0).collect();
        assert_eq!(ids, expected.collect::<Vec<_>>());
    };
    check(0, 4, 1..5);
    check(2, 7, 2..9);
    check(29, 100, 29..31);
}

#[test]
fn batches_without_events_count_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.append(&Batch::default()).unwrap(), 1..1);
    for position in 1..=3 {
        let quarantined = vec![quarantined(position, QuarantineReason::MalformedJson)];
        store.append(&Batch { quarantined, ..Batch::default() }).unwrap();
    }
    let with_both = Batch { quarantined: vec![quarantined(4, QuarantineReason::TooLong)], ..batch(0..2) };
    assert_eq!(store.append(&with_both).unwrap(), 1..3);
    drop(store);
    let store = open(dir.path());
    assert_eq!(all(&store).len(), 2);
    let counts = store.counts().unwrap();
    assert_eq!(counts.quarantined[&QuarantineReason::MalformedJson], 3);
    assert_eq!(counts.quarantined[&QuarantineReason::TooLong], 1);
    let positions: Vec<u64> = store.quarantine(3).unwrap().iter().map(|record| record.position).collect();
    assert_eq!(positions, [4, 3, 2]);
    assert_eq!(store.quarantine(usize::MAX).unwrap().len(), 4);
    assert_eq!(store.quarantine(1).unwrap()[0], quarantined(4, QuarantineReason::TooLong));
}

#[test]
fn templates_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&batch(0..40)).unwrap();
    store.append(&batch(40..42)).unwrap();
    let check = |store: &Store| {
        let template = store.template(TemplateId(2)).unwrap().unwrap();
        assert_eq!(template.text, "Sysmon 1 process create: powershell.exe <*>");
        assert_eq!((template.count, template.hosts), (11, 5));
        assert_eq!(template.first_seen, event(1).time);
        assert_eq!(template.last_seen, event(41).time);
        assert_eq!(store.templates().unwrap().len(), 4);
        assert_eq!(store.counts().unwrap().templates, 4);
        assert_eq!(store.template(TemplateId(99)).unwrap(), None);
    };
    check(&store);
    drop(store);
    fs_err::remove_file(dir.path().join("store/meta.redb")).unwrap();
    check(&open(dir.path()));
}

#[test]
fn derived_files_are_rebuilt_when_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for start in (0..50).step_by(10) {
        store.append(&batch(start..start + 10)).unwrap();
    }
    drop(store);
    let data = dir.path().join("store");
    fs_err::remove_file(data.join("MANIFEST")).unwrap();
    check_whole(&open(dir.path()), 50);
    fs_err::remove_file(data.join("meta.redb")).unwrap();
    check_whole(&open(dir.path()), 50);
    fs_err::remove_file(data.join("MANIFEST")).unwrap();
    fs_err::remove_file(data.join("meta.redb")).unwrap();
    check_whole(&open(dir.path()), 50);
}

#[test]
fn unusual_events_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut odd = event(0);
    odd.time = Timestamp::MAX;
    odd.raw = (0..=255).cycle().take(70_000).collect();
    odd.message = "\0\u{202e}((\" AND OR: é\n".repeat(5000);
    odd.fields.set("", "x");
    odd.fields.set("a..b.", "1e999");
    odd.fields.set(field::FILE_PATH, "p".repeat(100_000));
    odd.template_text.clear();
    let mut early = event(1);
    early.time = Timestamp::MIN;
    early.message.clear();
    early.raw.clear();
    let events = vec![odd.clone(), early.clone()];
    store.append(&Batch { events, ..Batch::default() }).unwrap();
    store.refresh().unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(all(&store), [as_stored(odd), as_stored(early)]);
    let found = store.search(&query("")).unwrap();
    assert_eq!(found.hits.iter().map(|stored| stored.id.0).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn threads_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for round in 0..5 {
                    let ids = store.append(&batch(thread * 100 + round..thread * 100 + round + 1)).unwrap();
                    let stored = store.get(EventId(ids.start)).unwrap().unwrap();
                    assert_eq!(stored.event, as_stored(event(thread * 100 + round)));
                    store.refresh().unwrap();
                    assert!(store.search(&query("")).unwrap().total > 0);
                }
            });
        }
    });
    assert_eq!(store.search(&query("")).unwrap().total, 20);
    assert_eq!(all(&store).len(), 20);
}

#[test]
fn events_take_the_place_of_quarantined_records() {
    use QuarantineReason::{InvalidEncoding, MalformedJson};
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let kept =
        vec![quarantined(1, MalformedJson), quarantined(2, InvalidEncoding), quarantined(3, MalformedJson)];
    store.append(&Batch { quarantined: kept, ..Batch::default() }).unwrap();
    let third = store.quarantined(None, 1).unwrap().remove(0);
    let first = store.quarantined(None, 9).unwrap().pop().unwrap();
    let check = |store: &Store, expected: &[u64], by_reason: &[(QuarantineReason, u64)]| {
        let left: Vec<u64> = store.quarantine(9).unwrap().iter().map(|record| record.position).collect();
        assert_eq!(left, expected);
        assert_eq!(store.counts().unwrap().quarantined, by_reason.iter().copied().collect());
    };
    check(&store, &[3, 2, 1], &[(MalformedJson, 2), (InvalidEncoding, 1)]);
    let taken = Batch { events: vec![event(0)], ..Batch::default() };
    store.append_resolving(&taken, &[(third.id, third.record.reason)]).unwrap();
    check(&store, &[2, 1], &[(MalformedJson, 1), (InvalidEncoding, 1)]);
    // In the log, in the tables, and after both have been opened again.
    for n in 0..3 {
        store.append(&batch(1 + n * 40..1 + n * 40 + 40)).unwrap();
        check(&store, &[2, 1], &[(MalformedJson, 1), (InvalidEncoding, 1)]);
        drop(store);
        store = open(dir.path());
        check(&store, &[2, 1], &[(MalformedJson, 1), (InvalidEncoding, 1)]);
    }
    store.append_resolving(&taken, &[(first.id, first.record.reason)]).unwrap();
    check(&store, &[2], &[(InvalidEncoding, 1)]);
    assert_eq!(store.event_count(), 122);
}
