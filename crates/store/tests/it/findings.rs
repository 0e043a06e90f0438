use super::*;
use casemate_event::{
    Alert, AlertId, AlertOrigin, Assigned, CaseId, Closing, Disposition, EventId, Feedback, Severity, Subject,
};
use casemate_store::{Act, Error, Finished, Gate, Raise, SavedEvidence, Saving};
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
        .map(|n| Raise {
            alert: alert(n, 0),
            fold_key: format!("key {}", n % 5),
            window: WINDOW,
            kind: 0,
            same: None,
        })
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

/// An alert about these entities, by this rule.
fn about(event: u64, minute: i64, rule: &str, entities: &[&str]) -> Alert {
    let origin = AlertOrigin::Rule(rule.to_owned());
    let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
    Alert { origin, entities, techniques: Vec::new(), ..alert(event, minute) }
}

/// Raises alerts, none of which folds, and checks which case each became part of.
#[track_caller]
fn check_cases(raised: &[Alert], expected: &[u64]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (number, alert) in raised.iter().enumerate() {
        store.raise(alert.clone(), &format!("key {number}"), WINDOW).unwrap();
    }
    let cases: Vec<u64> =
        (1..=raised.len() as u64).map(|id| store.case_of(AlertId(id)).unwrap().unwrap().0).collect();
    assert_eq!(cases, expected);
    (dir, store)
}

#[test]
fn alerts_that_share_something_are_one_case() {
    let hour = 60;
    let (_dir, store) = check_cases(
        &[
            about(1, 0, "a", &["host:ws5", "user:alice"]),
            about(2, 3 * hour, "b", &["host:ws5", "user:alice"]),
            about(3, 3 * hour, "c", &["host:ws5"]),
            about(4, 20 * hour, "a", &["host:ws5", "user:bob"]),
            about(5, 24 * hour, "b", &["host:ws6", "user:carol"]),
            about(6, 90 * hour, "a", &["host:ws5", "user:alice"]),
        ],
        &[1, 1, 2, 1, 3, 4],
    );
    let case = store.case(CaseId(1)).unwrap().unwrap();
    let why: Vec<&str> = case.alerts.iter().map(|member| member.joined.as_str()).collect();
    assert_eq!(why, ["", "user:alice with host:ws5 (alert 1)", "the same rule a, on host:ws5 (alert 1)"]);
}

#[test]
fn a_full_case_is_related_to_the_next() {
    let alerts: Vec<Alert> = (1..=201).map(|n| about(n, 0, "a", &["host:ws5"])).collect();
    let expected: Vec<u64> = (1..=201).map(|n| if n <= 200 { 1 } else { 2 }).collect();
    let (_dir, store) = check_cases(&alerts, &expected);
    assert_eq!(store.case(CaseId(2)).unwrap().unwrap().related, [CaseId(1)]);
}

fn closing(verdict: Disposition, by: &str) -> Closing {
    let at = Timestamp::from_second(START).unwrap();
    Closing { verdict, reason: "because".to_owned(), by: by.to_owned(), at, by_machine: false }
}

#[test]
fn a_closed_case_takes_nothing_in() {
    let (dir, store) =
        check_cases(&[about(1, 0, "a", &["host:ws5"]), about(2, 1, "a", &["host:ws5"])], &[1, 1]);
    let benign = closing(Disposition::Benign, "mira");
    assert_eq!(store.conclude(Subject::Case(CaseId(1)), &benign).unwrap(), Some(None));
    assert_eq!(store.closing(AlertId(2)).unwrap().as_ref(), Some(&benign));
    // The same thing again within the window is an alert of its own, in a case of its own, and waits.
    let again = store.raise(about(3, 2, "a", &["host:ws5"]), "key 0", WINDOW).unwrap();
    assert_eq!(again.id, AlertId(3));
    assert_eq!(store.case_of(again.id).unwrap(), Some(CaseId(2)));
    assert_eq!(store.case(CaseId(2)).unwrap().unwrap().related, [CaseId(1)]);
    let waiting = store.uninvestigated(AlertId(0), 10).unwrap();
    assert_eq!(waiting.iter().map(|(alert, _)| alert.id).collect::<Vec<_>>(), [AlertId(3)]);
    assert!(waiting[0].1.is_some());

    // A decision about one alert stays when its case is opened again.
    let attack = closing(Disposition::Malicious, "jo");
    assert_eq!(store.conclude(Subject::Alert(AlertId(2)), &attack).unwrap(), Some(Some(benign.clone())));
    assert_eq!(store.reopen(Subject::Case(CaseId(1)), "mira", benign.at).unwrap(), Some(Some(benign)));
    assert_eq!(store.closing(AlertId(1)).unwrap(), None);
    drop(store);
    let store = open(dir.path());
    let closed = store.closed_alerts(10).unwrap();
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].alert.id, closed[0].case, &closed[0].closing), (AlertId(2), CaseId(1), &attack));
    let mut audit = store.audit(u64::MAX, 10).unwrap();
    audit.retain(|line| line.by != "casemate");
    let rows: Vec<(&str, &str, &str)> =
        audit.iter().map(|row| (row.by.as_str(), row.action.as_str(), row.subject.as_str())).collect();
    assert_eq!(rows, [("mira", "reopen", "case 1"), ("jo", "close", "alert 2"), ("mira", "close", "case 1")]);
    assert_eq!(audit[1].previous["by"], "mira");
    assert_eq!(store.conclude(Subject::Case(CaseId(9)), &attack).unwrap(), None);
    assert_eq!(store.reopen(Subject::Alert(AlertId(9)), "jo", attack.at).unwrap(), None);
}

#[test]
fn what_work_remembers_survives() {
    let (dir, store) = check(&[(1, 0), (2, 60)], &[1, 2]);
    store.put_asked(AlertId(2)).unwrap();
    store.put_asked(AlertId(1)).unwrap();
    let hash = "ab".repeat(32);
    let finished = Finished {
        json: b"{}",
        rests_on: std::slice::from_ref(&hash),
        vector: &[0.5, -1.0],
        inputs: b"what was seen",
        entry: None,
    };
    store.put_finished(AlertId(2), finished).unwrap();
    let gate = Gate {
        model: "cd".repeat(32),
        at: Timestamp::UNIX_EPOCH,
        by: "mira".to_owned(),
        allowed: true,
        figures: serde_json::json!({ "auroc": 0.9 }),
    };
    store.put_gate(&gate).unwrap();
    store.backup(&dir.path().join("copy")).unwrap();
    drop(store);
    for place in [dir.path().to_owned(), dir.path().join("copy")] {
        let store = open(&place);
        assert_eq!(store.asked().unwrap(), [AlertId(1)]);
        assert_eq!(store.verified(&hash).unwrap(), Some(AlertId(2)));
        assert_eq!(store.evidence_vector(AlertId(2)).unwrap().unwrap(), [0.5, -1.0]);
        assert_eq!(store.evidence_vector(AlertId(1)).unwrap(), None);
        assert_eq!(store.inputs(AlertId(2)).unwrap().unwrap(), b"what was seen");
        assert_eq!(store.inputs(AlertId(1)).unwrap(), None);
        assert_eq!(store.gate(&gate.model).unwrap().as_ref(), Some(&gate));
        assert_eq!(store.gate("other").unwrap(), None);
        assert_eq!(store.cases().unwrap().len(), 2);
        let audit = store.audit(u64::MAX, 10).unwrap();
        assert!(audit.iter().any(|line| line.action == "gate" && line.row == Some(1)), "{audit:?}");
        assert_eq!(
            casemate_audit::verify(&store.audit_dir(), &[], None).unwrap().problems,
            Vec::<String>::new()
        );
    }
}

/// Rows that were noted with a decision and are in no record yet, as after a crash between the two.
#[test]
fn the_record_takes_over_what_it_has_not() {
    let (dir, store) = check(&[(1, 0), (2, 60)], &[1, 2]);
    let closing = |by: &str| Closing {
        verdict: Disposition::Benign,
        reason: "scanner".to_owned(),
        by: by.to_owned(),
        at: Timestamp::UNIX_EPOCH,
        by_machine: false,
    };
    store.conclude(Subject::Alert(AlertId(1)), &closing("mira")).unwrap();
    let record = store.audit_dir().join("000000000001.jsonl");
    let before = fs_err::read(&record).unwrap();
    store.conclude(Subject::Alert(AlertId(2)), &closing("jo")).unwrap();
    // Held by the number of lines only once that is noted: as a crash would leave it.
    let copy = dir.path().join("crashed");
    fs_err::create_dir_all(copy.join("store")).unwrap();
    fs_err::create_dir_all(copy.join("audit")).unwrap();
    for entry in fs_err::read_dir(dir.path().join("store")).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, copy.join("store").join(path.file_name().unwrap())).unwrap();
    }
    for name in ["key", "key.pub"] {
        fs_err::copy(dir.path().join("audit").join(name), copy.join("audit").join(name)).unwrap();
    }
    fs_err::write(copy.join("audit/000000000001.jsonl"), &before).unwrap();
    drop(store);
    let store = open(&copy);
    let audit = store.audit(u64::MAX, 10).unwrap();
    let by: Vec<(&str, Option<u64>)> =
        audit.iter().filter(|line| line.action == "close").map(|line| (line.by.as_str(), line.row)).collect();
    assert_eq!(by, [("jo", Some(2)), ("mira", Some(1))]);
    drop(store);
    let found = casemate_audit::verify(&copy.join("audit"), &[], None).unwrap();
    assert_eq!((found.problems.len(), found.notes.len(), found.unsigned), (0, 0, 0), "{found:?}");
}

#[test]
fn a_record_put_back_to_what_it_was_is_noticed() {
    let (dir, store) = check(&[(1, 0)], &[1]);
    let record = store.audit_dir().join("000000000001.jsonl");
    let before = fs_err::read(&record).unwrap();
    let entry = casemate_audit::Entry::new("mira", "export", "case 1", serde_json::Value::Null);
    store.record(&entry).unwrap();
    drop(store);
    fs_err::write(&record, before).unwrap();
    let store = open(dir.path());
    let noted = store.audit(u64::MAX, 10).unwrap();
    let damage = noted.iter().find(|line| line.action == "damage").unwrap();
    assert!(damage.now.to_string().contains("gone from the end of the record"), "{damage:?}");
}

/// A directory of a version that knew no cases: its alerts become cases when it is opened.
#[test]
fn findings_without_cases_get_them() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("store")).unwrap();
    {
        let database = redb::Database::create(dir.path().join("store/findings.redb")).unwrap();
        let write = database.begin_write().unwrap();
        {
            let mut alerts = write.open_table(redb::TableDefinition::<u64, &[u8]>::new("alerts")).unwrap();
            for id in 1..=3u64 {
                let entities: &[&str] = if id == 2 { &["host:ws6"] } else { &["host:ws5"] };
                let alert = Alert { id: AlertId(id), ..about(id, 0, "a", entities) };
                alerts.insert(id, serde_json::to_vec(&alert).unwrap().as_slice()).unwrap();
            }
            write.open_table(redb::TableDefinition::<&str, u64>::new("folds")).unwrap();
            write.open_table(redb::TableDefinition::<u64, u64>::new("latest")).unwrap();
            write.open_table(redb::TableDefinition::<(u64, u64), u64>::new("taken")).unwrap();
            write.open_table(redb::TableDefinition::<u64, &[u8]>::new("investigations")).unwrap();
            write.open_table(redb::TableDefinition::<&str, u64>::new("watermarks")).unwrap();
        }
        write.commit().unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.alerts().unwrap().len(), 3);
    assert_eq!(store.case_of(AlertId(3)).unwrap(), Some(CaseId(1)));
    assert_eq!(store.case_of(AlertId(2)).unwrap(), Some(CaseId(2)));
    let waiting = store.uninvestigated(AlertId(1), 1).unwrap();
    assert_eq!((waiting.len(), waiting[0].0.id, waiting[0].1), (1, AlertId(2), None));
}

/// What is not like anything an investigation has seen becomes an alert of its own, which waits.
#[test]
fn a_verdict_covers_only_what_is_alike() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let raise = |event: u64, kind: u64| {
        let alert = about(event, event as i64, "a", &["host:ws5"]);
        let raises = vec![Raise { alert, fold_key: "key".to_owned(), window: WINDOW, kind, same: None }];
        store.raise_all(raises, None).unwrap()[0].id.0
    };
    assert_eq!([raise(1, 10), raise(2, 11)], [1, 1]);
    store.put_investigation(AlertId(1), b"{}").unwrap();
    assert_eq!([raise(3, 11), raise(4, 10)], [1, 1], "known to the investigation");
    assert_eq!([raise(5, 12), raise(6, 13), raise(7, 10)], [2, 2, 2], "another kind, and what follows it");
    assert_eq!(store.case_of(AlertId(2)).unwrap(), Some(CaseId(1)));
}

fn closing_at(verdict: Disposition, minute: i64) -> Closing {
    let at = Timestamp::from_second(START + minute * 60).unwrap();
    Closing { verdict, reason: "because".into(), by: "mira".into(), at, by_machine: false }
}

fn opinion(truth: Option<Disposition>, agrees: bool, minute: i64) -> Feedback {
    let at = Timestamp::from_second(START + minute * 60).unwrap();
    Feedback { agrees, of: "benign".into(), truth, reason: String::new(), by: "jo".into(), at }
}

#[test]
fn what_people_say_of_a_verdict_is_an_example_as_a_closing_is() {
    let (_dir, store) = check(&[(1, 0), (2, 60), (3, 120), (4, 180)], &[1, 2, 3, 4]);
    let at = Timestamp::from_second(START).unwrap();
    let say = |id: u64, said: Option<Feedback>| (Subject::Alert(AlertId(id)), Act::Say(said));
    let (one, two, three) = (
        say(1, Some(opinion(Some(Disposition::Benign), true, 1))),
        say(2, Some(opinion(Some(Disposition::Malicious), false, 1))),
        say(3, Some(opinion(None, true, 1))),
    );
    assert!(store.act(&[one, two, three], "jo", at).unwrap().is_empty());
    let examples = |store: &Store| -> Vec<(u64, Disposition, String)> {
        let all = store.closed_alerts(10).unwrap().into_iter();
        all.map(|one| (one.alert.id.0, one.closing.verdict, one.closing.by)).collect()
    };
    let jo = |id, verdict| (id, verdict, "jo".to_owned());
    assert_eq!(examples(&store), [jo(2, Disposition::Malicious), jo(1, Disposition::Benign)]);
    assert_eq!(store.closed_alerts(1).unwrap().len(), 1);

    // The later of what was said and how it was closed counts, and what was taken back does not.
    store.conclude(Subject::Alert(AlertId(1)), &closing_at(Disposition::Malicious, 2)).unwrap();
    store.conclude(Subject::Alert(AlertId(2)), &closing_at(Disposition::Benign, 0)).unwrap();
    store.conclude(Subject::Alert(AlertId(4)), &closing_at(Disposition::Benign, 0)).unwrap();
    let mira = |id, verdict| (id, verdict, "mira".to_owned());
    let expected =
        [mira(4, Disposition::Benign), jo(2, Disposition::Malicious), mira(1, Disposition::Malicious)];
    assert_eq!(examples(&store), expected);
    store.act(&[say(2, None)], "jo", at).unwrap();
    assert_eq!(examples(&store)[1], mira(2, Disposition::Benign));
    let actions: Vec<String> = store.audit(u64::MAX, 7).unwrap().into_iter().map(|row| row.action).collect();
    assert_eq!(actions, ["withdraw", "close", "close", "close", "agree", "disagree", "agree"]);
}

#[test]
fn who_disagrees_with_a_machine_opens_what_it_closed() {
    let (_dir, store) = check(&[(1, 0)], &[1]);
    let subject = Subject::Alert(AlertId(1));
    let by_machine = Closing { by_machine: true, ..closing_at(Disposition::Benign, 0) };
    store.conclude(subject, &by_machine).unwrap();
    let said = opinion(Some(Disposition::Malicious), false, 1);
    let at = said.at;
    store.act(&[(subject, Act::Say(Some(said)))], "jo", at).unwrap();
    let state = store.alert_states(&[AlertId(1), AlertId(9)]).unwrap();
    assert_eq!((state.len(), &state[0].closing), (1, &None));
    assert_eq!(state[0].decided().unwrap().verdict, Disposition::Malicious);
    assert_eq!(store.audit(u64::MAX, 1).unwrap()[0].action, "reopen");
}

#[test]
fn a_case_is_given_with_its_alerts_and_with_those_that_join_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let with_host = |event: u64| Alert { entities: vec!["host:ws5".parse().unwrap()], ..alert(event, 0) };
    store.raise(with_host(1), "a", SignedDuration::ZERO).unwrap();
    let at = Timestamp::from_second(START).unwrap();
    let to = |name: &str| Some(Assigned { to: name.into(), by: "mira".into(), at });
    let case = Subject::Case(CaseId(1));
    let missing =
        store.act(&[(case, Act::Assign(to("jo"))), (Subject::Case(CaseId(9)), Act::Reopen)], "mira", at);
    assert_eq!(missing.unwrap(), [Subject::Case(CaseId(9))]);
    store.raise(with_host(2), "b", SignedDuration::ZERO).unwrap();
    let states = store.alert_states_after(AlertId(0), 10).unwrap();
    assert!(states.iter().all(|state| state.case == Some(CaseId(1))), "{states:?}");
    assert!(states.iter().all(|state| state.assigned.as_ref().is_some_and(|to| to.to == "jo")));
    store.act(&[(Subject::Alert(AlertId(2)), Act::Assign(None))], "mira", at).unwrap();
    assert_eq!(store.alert_states(&[AlertId(2)]).unwrap()[0].assigned, None);
    assert_eq!(store.case(CaseId(1)).unwrap().unwrap().assigned, to("jo"));
}

#[test]
fn changes_are_told() {
    use casemate_store::What::{Decided, Grown, Investigated, Raised};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (event, minute) in [(1, 0), (2, 5), (2, 5), (3, 60)] {
        store.raise(alert(event, minute), "key", WINDOW).unwrap();
    }
    store.put_investigation(AlertId(1), b"{}").unwrap();
    store.conclude(Subject::Case(CaseId(1)), &closing_at(Disposition::Benign, 0)).unwrap();
    let changed = store.changed_since(0, std::time::Duration::ZERO);
    let told: Vec<_> = changed.changes.iter().map(|change| (change.alert.0, change.what)).collect();
    assert_eq!(told, [(1, Raised), (1, Grown), (2, Raised), (1, Investigated), (1, Decided)]);
    assert_eq!((changed.next, changed.missed), (store.next_change(), false));
}

fn saved(n: u64, note: &str) -> SavedEvidence {
    SavedEvidence {
        event: EventId(n),
        time: event(n).time,
        format: "windows_json".into(),
        source: "events.json".into(),
        message: event(n).message,
        raw: String::from_utf8(event(n).raw).unwrap(),
        note: note.into(),
        by: "mira".into(),
        at: event(n).time,
    }
}

#[test]
fn evidence_is_kept_with_its_case_and_its_row_in_the_record() {
    let (dir, store) = check(&[(1, 0)], &[1]);
    let case = CaseId(1);
    assert_eq!(store.save_evidence(CaseId(9), &saved(1, "")).unwrap(), Saving::NoCase);
    assert_eq!(store.saved_evidence(CaseId(9)).unwrap(), []);
    for (n, note) in [(5, "later"), (2, "first"), (5, "again")] {
        assert_eq!(store.save_evidence(case, &saved(n, note)).unwrap(), Saving::Saved);
    }
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.saved_evidence(case).unwrap(), [saved(2, "first"), saved(5, "again")]);
    let copy = tempfile::tempdir().unwrap();
    store.backup(&copy.path().join("copy")).unwrap();
    assert_eq!(open(&copy.path().join("copy")).saved_evidence(case).unwrap().len(), 2);
    let now = event(9).time;
    assert!(store.remove_evidence(case, EventId(2), "jo", now).unwrap());
    assert!(!store.remove_evidence(case, EventId(2), "jo", now).unwrap());
    assert_eq!(store.saved_evidence(case).unwrap(), [saved(5, "again")]);
    let said = store.audit(u64::MAX, 20).unwrap();
    let said: Vec<_> = said.into_iter().filter(|line| line.action.ends_with(" evidence")).collect();
    assert_eq!((&*said[0].action, &*said[0].subject), ("remove evidence", "event 2 of case 1"));
    assert_eq!((said[0].previous.as_str(), &*said[0].by), (Some("first"), "jo"));
    assert_eq!((&*said[1].action, said[1].previous.as_str()), ("save evidence", Some("later")));
}

#[test]
fn a_case_is_opened_with_its_evidence_and_on_record_or_not_at_all() {
    let (_dir, store) = check(&[(1, 0)], &[1]);
    let by_hand = |event: u64, techniques: &[&str]| {
        let mut alert = Alert { title: "odd".into(), ..alert(event, 1) };
        alert.techniques = techniques.iter().map(|id| (*id).to_owned()).collect();
        alert.origin = AlertOrigin::Product("analyst".into());
        let fold_key = format!("analyst:{event}");
        Raise { alert, fold_key, window: SignedDuration::ZERO, kind: 0, same: None }
    };
    let (case, saving) = store.open_case(by_hand(2, &[]), &saved(2, "odd")).unwrap();
    assert_eq!((case, saving), (CaseId(2), Saving::Saved));
    assert_eq!(store.saved_event(case, EventId(2)).unwrap(), Some(saved(2, "odd")));
    assert_eq!(store.saved_event(case, EventId(3)).unwrap(), None);
    // The same once more opens nothing.
    assert_eq!(store.open_case(by_hand(2, &[]), &saved(2, "again")).unwrap().0, case);
    let said = store.audit(u64::MAX, 20).unwrap();
    let said: Vec<(&str, &str, &str)> = said
        .iter()
        .map(|line| (&*line.action, &*line.by, &*line.subject))
        .filter(|row| row.1 == "mira")
        .collect();
    assert_eq!(
        said,
        [
            ("save evidence", "mira", "event 2 of case 2"),
            ("save evidence", "mira", "event 2 of case 2"),
            ("open case", "mira", "case 2"),
        ]
    );
    // Nothing is left of one that has no room.
    let host = |raise: Raise| {
        let mut raise = raise;
        raise.alert.entities = vec!["host:ws5".parse().unwrap()];
        raise
    };
    let (case, _) = store.open_case(host(by_hand(3, &["T1059"])), &saved(3, "")).unwrap();
    for n in 100..99 + SavedEvidence::MAX_PER_CASE as u64 {
        store.save_evidence(case, &saved(n, "")).unwrap();
    }
    let before = (store.alerts().unwrap().len(), store.audit(u64::MAX, 1).unwrap());
    let changes = store.next_change();
    let refused = store.open_case(host(by_hand(4, &["T1059"])), &saved(4, "")).unwrap();
    assert_eq!(refused, (case, Saving::Full));
    assert_eq!((store.alerts().unwrap().len(), store.audit(u64::MAX, 1).unwrap()), before);
    assert_eq!(store.next_change(), changes);
}

#[test]
fn a_case_takes_so_much_evidence_and_no_more() {
    let (_dir, store) = check(&[(1, 0)], &[1]);
    for n in 1..=SavedEvidence::MAX_PER_CASE as u64 {
        assert_eq!(store.save_evidence(CaseId(1), &saved(n, "")).unwrap(), Saving::Saved);
    }
    assert_eq!(store.save_evidence(CaseId(1), &saved(5000, "")).unwrap(), Saving::Full);
    assert_eq!(store.save_evidence(CaseId(1), &saved(7, "changed")).unwrap(), Saving::Saved);
}
