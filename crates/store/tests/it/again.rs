use super::*;
use casemate_event::{Alert, AlertId, AlertOrigin, CaseId, Closing, Disposition, EventId, Severity, Subject};
use casemate_store::{Raise, Said, What};
use jiff::SignedDuration;
use std::time::Duration;

/// What a product says of its one alert.
#[derive(Clone, Copy)]
struct Record {
    /// Number of the event, and of the bytes unless they are those of another record.
    event: u64,
    bytes: u64,
    severity: Severity,
    said: Said,
    entities: &'static [&'static str],
}

const FIRST: Record =
    Record { event: 1, bytes: 1, severity: Severity::High, said: Said::Open, entities: &["host:ws5"] };

fn record(event: u64) -> Record {
    Record { event, bytes: event, ..FIRST }
}

fn raise(store: &Store, record: Record) -> Alert {
    let time = Timestamp::from_second(START).unwrap();
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product("Defender".into()),
        title: format!("as of record {}", record.event),
        severity: record.severity,
        techniques: Vec::new(),
        first_time: time,
        last_time: time,
        events: vec![EventId(record.event)],
        event_count: 1,
        entities: record.entities.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let one = Raise {
        alert,
        fold_key: "finding:8:Defender:da1".to_owned(),
        window: SignedDuration::MAX,
        kind: record.bytes,
        same: Some(record.said),
    };
    store.raise_all(vec![one], None).unwrap().pop().unwrap()
}

fn close(store: &Store, subject: Subject) {
    let at = Timestamp::from_second(START).unwrap();
    let closing = Closing {
        verdict: Disposition::Benign,
        reason: "an exercise".into(),
        by: "mira".into(),
        at,
        by_machine: false,
    };
    store.conclude(subject, &closing).unwrap().unwrap();
}

/// Raises [`FIRST`], closes it, and raises what comes then. Checks which alert each became, and why the last is one of its
/// own, if it is.
#[track_caller]
fn check(later: &[Record], expected: &[u64], why: Option<&str>) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(raise(&store, FIRST).id, AlertId(1));
    close(&store, Subject::Alert(AlertId(1)));
    let ids: Vec<u64> = later.iter().map(|record| raise(&store, *record).id.0).collect();
    assert_eq!(ids, expected);
    let last = AlertId(*expected.last().unwrap());
    let case = store.case(store.case_of(last).unwrap().unwrap()).unwrap().unwrap();
    let member = case.alerts.iter().find(|member| member.alert == last).unwrap();
    match why {
        Some(why) => {
            assert!(
                member.joined.contains("alert 1 again, which was closed") && member.joined.ends_with(why),
                "{member:?}"
            );
            assert_eq!(store.closing(last).unwrap(), None);
        }
        None => assert_eq!(member.joined, ""),
    }
    assert!(store.closing(AlertId(1)).unwrap().is_some(), "what was decided stays");
    (dir, store)
}

#[test]
fn what_repeats_or_is_over_leaves_it_closed() {
    let (_dir, store) = check(&[record(2), Record { said: Said::Nothing, ..record(3) }], &[1, 1], None);
    assert_eq!(store.alert(AlertId(1)).unwrap().unwrap().event_count, 3);
    check(&[Record { said: Said::Over, ..record(2) }], &[1], None);
    check(&[Record { said: Said::Over, severity: Severity::Low, ..record(2) }], &[1], None);
    // The same record sent once more, as whole exports are, says nothing that was not known.
    let over = Record { said: Said::Over, ..record(2) };
    check(&[over, Record { bytes: 1, ..record(3) }, Record { bytes: 2, event: 4, ..over }], &[1, 1, 1], None);
}

#[test]
fn what_is_worse_is_an_alert_again() {
    let worse = Record { severity: Severity::Critical, ..record(2) };
    check(&[worse], &[2], Some("its severity was high then and is critical now"));
    check(
        &[Record { said: Said::Over, ..worse }],
        &[2],
        Some("its severity was high then and is critical now"),
    );
    let elsewhere = Record { entities: &["host:ws5", "host:ws6"], ..record(2) };
    check(&[elsewhere], &[2], Some("it names host:ws6 now"));
    let over = Record { said: Said::Over, ..record(2) };
    check(&[over, record(3)], &[1, 2], Some("its product has opened it again"));
    check(&[Record { said: Said::Reopened, ..record(2) }], &[2], Some("its product has opened it again"));
    // What follows is an update of the one that is open, and what it said before is known.
    let reopened = |event| Record { said: Said::Reopened, ..record(event) };
    check(&[reopened(2), reopened(3), Record { bytes: 1, ..record(4) }], &[2, 2, 2], Some("opened it again"));
}

#[test]
fn one_that_is_raised_again_says_so_everywhere() {
    let worse =
        Record { severity: Severity::Critical, said: Said::Over, entities: &["host:ws6"], ..record(2) };
    let (dir, store) = check(&[worse], &[2], Some("its severity was high then and is critical now"));
    // It has what was known, and none of the events that were decided about.
    let alert = store.alert(AlertId(2)).unwrap().unwrap();
    let entities: Vec<String> = alert.entities.iter().map(ToString::to_string).collect();
    assert_eq!(
        (entities.as_slice(), alert.events, alert.event_count),
        (&["host:ws5".to_owned(), "host:ws6".to_owned()][..], vec![EventId(2)], 1)
    );
    // It waits for an investigation, stands in the case of the closed one, and followers are told.
    let waiting = store.uninvestigated(AlertId(0), 10).unwrap();
    assert_eq!(waiting.iter().map(|(alert, _)| alert.id).collect::<Vec<_>>(), [AlertId(2)]);
    assert_eq!(store.case_of(AlertId(2)).unwrap(), Some(CaseId(1)));
    let changes = store.changed_since(0, Duration::ZERO).changes;
    assert!(
        changes.iter().any(|change| (change.alert, change.what) == (AlertId(2), What::Raised)),
        "{changes:?}"
    );
    let rows = store.audit(u64::MAX, 10).unwrap();
    let row = rows.iter().find(|row| row.action == "raise again").unwrap();
    assert_eq!((row.by.as_str(), row.subject.as_str()), ("casemate", "alert 2"));
    assert_eq!((&row.previous["by"], &row.now["follows"]), (&"mira".into(), &1.into()));
    assert_eq!(row.now["why"], "its severity was high then and is critical now");
    // Closed again over what is known now, it stays closed over a restart, in a case of its own where the first is closed.
    close(&store, Subject::Case(CaseId(1)));
    drop(store);
    let store = open(dir.path());
    assert_eq!(raise(&store, Record { event: 3, ..worse }).id, AlertId(2));
    let elsewhere = raise(
        &store,
        Record { entities: &["host:ws7"], severity: Severity::Low, event: 4, bytes: 4, ..worse },
    );
    assert_eq!(
        (elsewhere.id, elsewhere.severity),
        (AlertId(3), Severity::Critical),
        "nothing sent plays it down"
    );
    let case = store.case(CaseId(2)).unwrap().unwrap();
    assert_eq!(case.related, [CaseId(1)]);
    assert!(
        case.alerts[0].joined.starts_with("alert 2 again") && case.alerts[0].joined.ends_with("host:ws7 now"),
        "{case:?}"
    );
    store.backup(&dir.path().join("copy")).unwrap();
    close(&store, Subject::Alert(AlertId(3)));
    let copy = open(&dir.path().join("copy"));
    close(&copy, Subject::Alert(AlertId(3)));
    for store in [&store, &copy] {
        assert_eq!(raise(store, Record { event: 5, bytes: 4, ..record(4) }).id, AlertId(3));
    }
}
