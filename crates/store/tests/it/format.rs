use super::*;
use casemate_event::{Alert, AlertId, AlertOrigin, EventId, Severity};
use casemate_store::Error;
use jiff::SignedDuration;
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::PathBuf;

const FORMAT: TableDefinition<&str, u64> = TableDefinition::new("format");
const HEADS: TableDefinition<u64, &[u8]> = TableDefinition::new("heads");

fn findings(dir: &Path) -> PathBuf {
    dir.join("store/findings.redb")
}

/// A report as long as they are.
fn report(verdict: &str) -> Vec<u8> {
    let evidence = vec!["a line of evidence that no list shows"; 1000];
    let report = serde_json::json!({
        "id": 1, "verdict": verdict, "confidence": 0.75, "convergence": 1.0, "evidence": evidence, "summary": "Why.",
        "playbook": { "name": "usual", "description": "left out", "sha256": "ab" }, "model": null, "seconds": { "total": 2.5 },
    });
    serde_json::to_vec(&report).unwrap()
}

/// A store with alerts, some of them investigated.
fn with_investigations(dir: &Path) -> Store {
    let store = open(dir);
    for n in 1..=3u64 {
        let time = Timestamp::from_second(START).unwrap();
        let alert = Alert {
            id: AlertId(0),
            origin: AlertOrigin::Rule("r".into()),
            title: format!("alert {n}"),
            severity: Severity::High,
            techniques: Vec::new(),
            first_time: time,
            last_time: time,
            events: vec![EventId(n)],
            event_count: 1,
            entities: Vec::new(),
        };
        store.raise(alert, &format!("key {n}"), SignedDuration::ZERO).unwrap();
    }
    store.put_investigation(AlertId(1), &report("benign")).unwrap();
    store.put_investigation(AlertId(3), b"no report").unwrap();
    store
}

fn check_heads(store: &Store) {
    let heads = store.investigation_heads_after(AlertId(0), 10).unwrap();
    assert_eq!(heads.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 3]);
    let head: serde_json::Value = serde_json::from_slice(&heads[0].1).unwrap();
    assert_eq!((&head["verdict"], &head["playbook"]["name"]), (&"benign".into(), &"usual".into()));
    assert_eq!((head.get("evidence"), head.get("model")), (None, None));
    assert_eq!(heads[1].1, b"no report");
    assert_eq!(store.investigation_head(AlertId(1)).unwrap().as_ref(), Some(&heads[0].1));
    assert_eq!(store.investigation_head(AlertId(2)).unwrap(), None);
    assert_eq!(store.investigation_heads_after(AlertId(1), 10).unwrap().len(), 1);
    // What lists read of a report that is 40 kB long.
    assert!(heads[0].1.len() < 250, "{} bytes", heads[0].1.len());
    assert_eq!(store.investigation(AlertId(1)).unwrap().unwrap(), report("benign"));
}

#[test]
fn heads_of_investigations_are_kept_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_investigations(dir.path());
    check_heads(&store);
    store.put_investigation(AlertId(1), &report("malicious")).unwrap();
    assert!(
        String::from_utf8(store.investigation_head(AlertId(1)).unwrap().unwrap())
            .unwrap()
            .contains("malicious")
    );
    store.put_investigation(AlertId(1), &report("benign")).unwrap();
    store.backup(&dir.path().join("copy")).unwrap();
    check_heads(&open(&dir.path().join("copy")));
}

/// As the version before left it: no version, no heads.
#[test]
fn a_file_without_a_version_becomes_one_of_this() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_investigations(dir.path()));
    {
        let database = Database::open(findings(dir.path())).unwrap();
        let write = database.begin_write().unwrap();
        assert!(write.delete_table(FORMAT).unwrap() && write.delete_table(HEADS).unwrap());
        assert!(write.delete_table(TableDefinition::<u64, u8>::new("said")).unwrap());
        assert!(write.delete_table(TableDefinition::<(u64, u64), ()>::new("records")).unwrap());
        write.commit().unwrap();
    }
    check_heads(&open(dir.path()));
    let database = Database::open(findings(dir.path())).unwrap();
    let read = database.begin_read().unwrap();
    assert_eq!(read.open_table(FORMAT).unwrap().get("version").unwrap().unwrap().value(), 1);
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_investigations(dir.path()));
    let set = |version: u64| {
        let database = Database::open(findings(dir.path())).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(FORMAT).unwrap().insert("version", version).unwrap();
        write.commit().unwrap();
    };
    set(7);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 7, .. }), "{error}");
    let told = error.to_string();
    assert!(
        told.contains("findings.redb has format version 7") && told.contains("restore a backup"),
        "{told}"
    );
    set(1);
    check_heads(&open(dir.path()));
}
