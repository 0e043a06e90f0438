//! Over real stores.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{NOON, event};
use casemate_event::{AlertId, AlertOrigin, Batch, Event, EventId, Severity, TemplateId};

const HOUR_SECONDS: i64 = 3600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

pub(super) fn at(seconds: i64, class: Class, template: u64, fields: &[(&str, &str)]) -> Event {
    let mut event = event(class, fields);
    event.time = Timestamp::from_second(NOON + seconds).unwrap();
    event.template = TemplateId(template);
    event
}

/// Learns about an alert over these events of a store.
pub(super) fn learn_in(store: &Store, subjects: &[Stored]) -> Baseline {
    let times = || subjects.iter().map(|stored| stored.event.time);
    let alert = Alert {
        id: AlertId(1),
        origin: AlertOrigin::Rule("rule".to_owned()),
        title: "title".to_owned(),
        severity: Severity::Medium,
        techniques: Vec::new(),
        first_time: times().min().unwrap(),
        last_time: times().max().unwrap(),
        events: subjects.iter().map(|stored| stored.id).collect(),
        event_count: subjects.len() as u64,
        entities: Vec::new(),
    };
    Baseline::learn(store, &alert, subjects).unwrap()
}

/// Learns about an alert over the event at `subject`.
fn learn(events: &[Event], subject: usize) -> Baseline {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append(&Batch { events: events.to_vec(), ..Batch::default() }).unwrap();
    let stored = Stored { id: EventId(subject as u64 + 1), event: events[subject].clone() };
    learn_in(&store, &[stored])
}

fn finding(seconds: i64, title: &str) -> Event {
    let fields =
        [(field::DEVICE_HOSTNAME, "fw1"), (field::FINDING_TITLE, title), (field::SRC_IP, "10.0.0.7")];
    at(seconds, Class::DetectionFinding, title.len() as u64, &fields)
}

/// Two findings an hour for five days.
fn quiet_days() -> Vec<Event> {
    (1..=5 * 24)
        .flat_map(|hour| [0, 1700].map(|second| finding(-hour * HOUR_SECONDS + second, "TLS invalid record")))
        .collect()
}

fn feature(baseline: &Baseline, name: &str) -> f64 {
    baseline.features().into_iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn a_finding_at_its_usual_rate_and_a_burst_differ() {
    let mut usual = quiet_days();
    usual.push(finding(0, "TLS invalid record"));
    let subject = usual.len() - 1;
    let quiet = learn(&usual, subject);
    let mut attack = usual.clone();
    attack.extend((1..200).map(|second| finding(second, "TLS invalid record")));
    attack.extend((1..50).map(|second| finding(second, "a new signature")));
    attack.extend((1..50).map(|second| finding(second, "another signature, new as well")));
    let burst = learn(&attack, subject);
    let (a, b) = (|name| feature(&quiet, name), |name| feature(&burst, name));
    assert_eq!((a("rate_known"), b("rate_known")), (1.0, 1.0));
    assert!(a("rate_to_busiest") <= 0.0 && b("rate_to_busiest") > 3.0);
    assert_eq!((a("signature_new"), a("signature_days"), b("signature_days")), (0.0, 1.0, 1.0));
    assert_eq!((a("finding_kinds_new"), b("finding_kinds_new")), (0.0, 2_f64.ln_1p()));
    assert!(b("finding_kinds_to_before") > 0.0 && a("finding_kinds_to_before") == 0.0);
    assert_eq!((burst.kinds.findings, burst.kinds.findings_before), (Counted { kinds: 3, new: 2 }, Some(1)));
}

#[test]
fn without_history_nothing_is_new() {
    let subject = finding(0, "TLS invalid record");
    let alone = learn(std::slice::from_ref(&subject), 0);
    assert_eq!((alone.host.days, feature(&alone, "signature_new")), (0, 0.0));
    assert!(alone.features().iter().all(|(name, value)| !name.ends_with("_known") || *value == 0.0));
    // Another signature's days make the history that makes this one new.
    let mut events = quiet_days();
    events.push(finding(0, "never seen before this"));
    let last = events.len() - 1;
    assert_eq!(feature(&learn(&events, last), "signature_new"), 1.0);
}

#[test]
fn the_hour_before_is_part_of_the_alert() {
    let mut events = quiet_days();
    events.extend((1..30).map(|minute| finding(-60 * minute, "never seen before this")));
    events.push(finding(0, "never seen before this"));
    let last = events.len() - 1;
    let learnt = learn(&events, last);
    let usual = learnt.of(Aspect::Signature).next().unwrap();
    assert_eq!((usual.events, usual.is_new(), usual.now), (0, true, 29));
}

fn launch(seconds: i64, host: &str, child: &str, parent: &str, user: &str) -> Event {
    let fields = [
        (field::DEVICE_HOSTNAME, host),
        (field::ACTIVITY, "Launch"),
        (field::PROCESS_PATH, child),
        (field::PARENT_PROCESS_PATH, parent),
        (field::ACTOR_USER, user),
    ];
    at(seconds, Class::ProcessActivity, 7, &fields)
}

const SHELL: &str = r"C:\Windows\System32\cmd.exe";
const AGENT: &str = r"C:\Program Files\A vendor with a long name\A product with a long name\agent.exe";

#[test]
fn programs_pairs_and_hours() {
    let mut events = Vec::new();
    for day in 1..=6 {
        for (hour, host) in [(1, "ws1"), (2, "ws2"), (3, "WS3.example.org"), (4, "ws1")] {
            let time = -day * DAY_SECONDS - hour * HOUR_SECONDS;
            events.push(launch(time, host, SHELL, AGENT, r"CORP\anna"));
        }
    }
    events.push(launch(0, "ws1", SHELL, AGENT, "anna"));
    events.push(launch(0, "ws1", SHELL, r"C:\Users\Public\agent.exe", "anna"));
    let (known, other) = (learn(&events, 24), learn(&events, 25));
    let pair = known.of(Aspect::ParentChild).next().unwrap();
    assert_eq!((pair.events, pair.days, pair.hosts, pair.counted), (24, 6, 3, true));
    assert_eq!((pair.support.events, pair.support.days, pair.support.hours), (24, 6, 24), "of the site");
    let pair = other.of(Aspect::ParentChild).next().unwrap();
    assert!(pair.is_new(), "{pair:?}");
    assert!(!other.of(Aspect::Program).next().unwrap().is_new());
    let hours = known.hours.clone().unwrap();
    assert_eq!((hours.days, hours.hours, hours.days_at_this_hour), (6, 24, 6));
    events.push(launch(12 * HOUR_SECONDS, "ws1", SHELL, AGENT, "anna"));
    let night = learn(&events, 26);
    assert_eq!(night.hours.as_ref().unwrap().days_at_this_hour, 0);
    assert_eq!(feature(&night, "hours_outside"), 1.0);
}

#[test]
fn features_have_the_same_names_whatever_the_alert() {
    let names =
        |baseline: &Baseline| -> Vec<&str> { baseline.features().iter().map(|(name, _)| *name).collect() };
    let full = learn(&quiet_days(), 0);
    assert_eq!(names(&full), names(&Baseline::default()));
    let mut distinct = names(&full);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), full.features().len());
    assert!(full.features().iter().all(|(_, value)| value.is_finite()));
}

#[test]
fn a_long_alert_is_judged_by_its_last_day() {
    let events = quiet_days();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append(&Batch { events, ..Batch::default() }).unwrap();
    let mut subjects: Vec<Stored> = store.scan(EventId(1), 1000).unwrap();
    subjects.sort_by_key(|stored| stored.event.time);
    let baseline = learn_in(&store, &subjects);
    let usual = baseline.of(Aspect::SignatureOnHost).next().unwrap();
    assert_eq!((usual.days, usual.busiest, usual.now), (4, 2, 2));
    assert!(baseline.queries <= MAX_QUERIES && baseline.complete);
}

/// Five days of alerts of other products on a network, without the columns that say which were attacks.
fn alerts_of(network: &str) -> Option<Vec<Event>> {
    let path = format!(
        "{}/../../../shared/data/ids-alerts/alert-data-set/{network}_alerts.txt.gz",
        env!("CARGO_MANIFEST_DIR")
    );
    let path = std::env::var("CASEMATE_DATA")
        .map_or(path, |data| format!("{data}/ids-alerts/alert-data-set/{network}_alerts.txt.gz"));
    let Ok(file) = fs_err::File::open(&path) else {
        eprintln!("skipped: there is no {path}; set CASEMATE_DATA to the directory of real logs");
        return None;
    };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let events = text.lines().skip(1).map(|line| {
        let [time, name, ip, host, ..] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let next = kinds.len() as u64;
        let template = *kinds.entry(name).or_insert(next);
        let fields = [(field::FINDING_TITLE, name), (field::DEVICE_HOSTNAME, host), (field::DEVICE_IP, ip)];
        let mut event = event(Class::DetectionFinding, &fields);
        event.time = Timestamp::from_second(time.parse().unwrap()).unwrap();
        event.template = TemplateId(template);
        event
    });
    Some(events.collect())
}

/// The baseline of an alert over the first event of this name on this host from a time on.
fn learn_alert(store: &Store, events: &[Event], name: &str, host: &str, from: &str) -> Baseline {
    let from: Timestamp = from.parse().unwrap();
    let is = |event: &Event| {
        event.time >= from
            && event.field(field::FINDING_TITLE) == Some(name)
            && event.field(field::DEVICE_HOSTNAME) == Some(host)
    };
    let index = events.iter().position(is).unwrap();
    learn_in(store, &[Stored { id: EventId(index as u64 + 1), event: events[index].clone() }])
}

#[test]
fn recurring_alerts_of_a_week_and_an_attack_differ() {
    let Some(events) = alerts_of("fox") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for batch in events.chunks(5000) {
        store.append_unsynced(&Batch { events: batch.to_vec(), ..Batch::default() }).unwrap();
    }
    let updates =
        learn_alert(&store, &events, "Wazuh: ClamAV database update", "mail", "2022-01-18T09:00:00Z");
    let logons = learn_alert(
        &store,
        &events,
        "Wazuh: Dovecot Authentication Success.",
        "mail",
        "2022-01-18T10:00:00Z",
    );
    for usual in [&updates, &logons] {
        assert_eq!(feature(usual, "rate_known"), 1.0);
        assert_eq!(feature(usual, "signature_on_host_new"), 0.0);
        assert!(feature(usual, "rate_to_busiest") <= 0.1, "{:?}", usual.rated());
        assert!(feature(usual, "signature_on_host_days") > 0.7);
    }
    // A web server's directories are guessed, a minute after the blog on it was looked through.
    let guessing = learn_alert(
        &store,
        &events,
        "Wazuh: Web server 400 error code.",
        "intranet_server",
        "2022-01-18T12:18:30Z",
    );
    assert!(feature(&guessing, "rate_to_busiest") > 3.0, "{:?}", guessing.rated());
    assert!(feature(&guessing, "finding_kinds_new") > feature(&updates, "finding_kinds_new"));
    assert!(feature(&guessing, "finding_kinds_to_before") > 0.5);
    assert!(updates.queries <= MAX_QUERIES && guessing.queries <= MAX_QUERIES);
}
