use super::*;
use casemate_event::{Alert, AlertId, AlertOrigin, EventId, Severity};
use casemate_store::{Error, Raise};
use jiff::SignedDuration;

const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// An alert on one event, which happened at `minute`.
fn alert(event: u64, minute: i64) -> Alert {
    let time = Timestamp::from_second(START + minute * 60).unwrap();
    Alert {
        id: AlertId(0),
        origin: AlertOrigin::Rule("rule-1".into()),
        title: "Encoded command".into(),
        severity: Severity::High,
        techniques: vec!["T1059.001".into()],
        first_time: time,
        last_time: time,
        events: vec![EventId(event)],
        event_count: 1,
        entities: Vec::new(),
    }
}

/// Raises the alerts (event, minute) under one key and checks which alert took each in.
fn check(raised: &[(u64, i64)], expected: &[u64]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<u64> = raised
        .iter()
        .map(|&(event, minute)| store.raise(alert(event, minute), "key", WINDOW).unwrap().id.0)
        .collect();
    assert_eq!(ids, expected);
    (dir, store)
}

#[test]
fn alerts_fold_within_the_window() {
    let (_dir, store) = check(&[(1, 0), (2, 10), (3, 20), (4, 31), (5, 25)], &[1, 1, 1, 2, 2]);
    let first = store.alert(AlertId(1)).unwrap().unwrap();
    assert_eq!(first.events, [EventId(1), EventId(2), EventId(3)]);
    assert_eq!(first.event_count, 3);
    assert_eq!(first.last_time, alert(3, 20).last_time);
    check(&[(1, 20), (2, 9)], &[1, 2]);
    check(&[(1, 20), (2, 10)], &[1, 1]);
}

#[test]
fn other_keys_do_not_fold() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (key, id) in [("a", 1), ("b", 2), ("a", 1), ("", 3)] {
        assert_eq!(store.raise(alert(id, 0), key, WINDOW).unwrap().id.0, id);
    }
    assert_eq!(store.alerts().unwrap().iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.counts().unwrap().alerts, 3);
}

#[test]
fn an_event_counts_once() {
    let (_dir, store) = check(&[(1, 0), (1, 0), (2, 60), (1, 0), (2, 60)], &[1, 1, 2, 1, 2]);
    assert_eq!(store.alert(AlertId(1)).unwrap().unwrap().event_count, 1);
    assert_eq!(store.alert(AlertId(2)).unwrap().unwrap().event_count, 1);
    let mut both = alert(2, 60);
    both.events.push(EventId(3));
    both.event_count = 2;
    assert_eq!(store.raise(both, "key", WINDOW).unwrap().event_count, 2);
}

#[test]
fn an_event_counts_once_past_those_an_alert_keeps() {
    let events: Vec<(u64, i64)> = (1..=100).map(|event| (event, 0)).collect();
    let (_dir, store) = check(&events, &[1; 100]);
    let repeated = store.raise(alert(100, 0), "key", WINDOW).unwrap();
    assert_eq!((repeated.event_count, repeated.events.len()), (100, Alert::MAX_EVENTS));
}

#[test]
fn windows_of_any_size() {
    for (window, ids) in [
        (SignedDuration::MIN, [1, 1, 2]),
        (SignedDuration::ZERO, [1, 1, 2]),
        (SignedDuration::MAX, [1, 1, 1]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for ((event, minute), id) in [(1, 0), (2, 0), (3, 1)].into_iter().zip(ids) {
            assert_eq!(store.raise(alert(event, minute), "key", window).unwrap().id.0, id);
        }
    }
}

#[test]
fn findings_survive() {
    let (dir, store) = check(&[(1, 0), (2, 60)], &[1, 2]);
    store.append(&batch(0..5)).unwrap();
    store.put_investigation(AlertId(2), b"{\"first\":1}").unwrap();
    store.put_investigation(AlertId(2), b"{\"second\":2}").unwrap();
    store.set_watermark("detect", EventId(5)).unwrap();
    let (alerts, counts) = (store.alerts().unwrap(), store.counts().unwrap());
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.alerts().unwrap(), alerts);
    assert_eq!(store.counts().unwrap().investigations, counts.investigations);
    assert_eq!(store.investigation(AlertId(2)).unwrap().unwrap(), b"{\"second\":2}");
    assert_eq!(store.investigation(AlertId(1)).unwrap(), None);
    assert_eq!(store.investigations().unwrap(), [AlertId(2)]);
    assert_eq!(store.watermark("detect").unwrap(), EventId(5));
    assert_eq!(store.watermark("other").unwrap(), EventId(0));
    assert_eq!(store.alert(AlertId(3)).unwrap(), None);
    assert_eq!(store.raise(alert(3, 120), "key", WINDOW).unwrap().id, AlertId(3));
}

#[test]
fn a_batch_of_alerts_moves_the_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&batch(0..50)).unwrap();
    let raises = (1..=50)
        .map(|n| Raise { alert: alert(n, 0), fold_key: format!("key {}", n % 5), window: WINDOW })
        .collect();
    let alerts = store.raise_all(raises, Some(("detect", EventId(50)))).unwrap();
    assert_eq!(alerts.len(), 50);
    assert_eq!(store.alerts().unwrap().len(), 5);
    assert_eq!(store.watermark("detect").unwrap(), EventId(50));
}

#[test]
fn a_watermark_past_the_last_event_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&batch(0..5)).unwrap();
    store.set_watermark("detect", EventId(5)).unwrap();
    let error = store.set_watermark("detect", EventId(6)).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("the last event is 5"), "{error}");
    assert!(store.raise_all(Vec::new(), Some(("detect", EventId(6)))).is_err());
    assert_eq!(store.watermark("detect").unwrap(), EventId(5));
}

#[test]
fn findings_of_another_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&batch(0..5)).unwrap();
    store.set_watermark("detect", EventId(5)).unwrap();
    drop(store);
    let data = dir.path().join("store");
    for name in ["00000001.log", "MANIFEST", "meta.redb"] {
        fs_err::remove_file(data.join(name)).unwrap();
    }
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains("event 5"), "{error}");
}
