//! The store from outside, on real directories.
//!
//! | module | what it holds true |
//! |---|---|
//! | `append` | what was stored is there, now and after reopening |
//! | `search` | queries find exactly what they describe, in the order asked for |
//! | `findings` | alerts fold, are counted once, and survive |
//! | `again` | an alert that its product calls the same and that was closed is raised again by what is worse, and by that alone |
//! | `format` | tables of versions before become those of this one, those of later ones are refused |
//! | `follow` | what is new is told beside the store that takes it in |
//! | `crash` | a process killed while appending loses and doubles nothing it acknowledged |
//! | `damage` | a cut or flipped bit anywhere is noticed or made good, never a panic or a wrong answer |
//! | `lineage` | a process is followed to those that started it |
//! | `keep` | retention deletes whole segments, backups open as what was copied |
//! | `access` | read-only directories, locks, full disks |
//! | `measure` | nothing: prints how fast it is, when asked (`--ignored --nocapture`) |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod again;
mod append;
mod crash;
mod damage;
mod findings;
mod follow;
mod format;
mod keep;
mod lineage;
mod measure;
mod search;

use casemate_event::{
    Batch, Class, Event, Fields, Format, QuarantineReason, Quarantined, SourceProgress, TemplateId,
    TimeQuality, field,
};
use casemate_store::{Limits, Query, Store};
use jiff::Timestamp;
use std::path::Path;

/// 2024-01-31 00:00:00 UTC.
const START: i64 = 1_706_659_200;

/// A process launch; `n` decides host, user, program and time.
fn event(n: u64) -> Event {
    let program = ["cmd.exe", "powershell.exe", "svchost.exe", "rundll32.exe"][n as usize % 4];
    let (host, user) = (format!("WS{}.example.local", n % 10), format!("EXAMPLE\\user{}", n % 7));
    let path = format!("C:\\Windows\\System32\\{program}");
    let command = format!("{path} /c run-{n} --token {:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let fields: Fields = [
        (field::DEVICE_HOSTNAME, host.as_str()),
        (field::ACTOR_USER, user.as_str()),
        (field::PROCESS_NAME, program),
        (field::PROCESS_PATH, path.as_str()),
        (field::PROCESS_CMD_LINE, command.as_str()),
        (field::SRC_IP, "10.1.2.3"),
        (field::EVENT_CODE, "1"),
    ]
    .into_iter()
    .collect();
    let native: Fields = [
        ("EventID", "1"),
        ("Image", path.as_str()),
        ("CommandLine", command.as_str()),
        ("Computer", host.as_str()),
    ]
    .into_iter()
    .collect();
    let message = format!("Sysmon 1 process create: {command} user {user}");
    let raw = format!(
        "{{\"EventID\":1,\"Computer\":\"{host}\",\"Image\":\"{path}\",\"CommandLine\":\"{command}\",\"Filler\":\"{}\"}}",
        "x".repeat(200)
    );
    Event {
        time: Timestamp::from_second(START + n as i64).unwrap(),
        time_quality: TimeQuality::Stated,
        format: Format::WindowsJson,
        class: Class::ProcessActivity,
        source: "events.json".to_owned(),
        position: n + 1,
        message,
        fields,
        native,
        raw: raw.into_bytes(),
        template: TemplateId(n % 4 + 1),
        template_text: format!("Sysmon 1 process create: {program} <*>"),
    }
}

fn batch(range: std::ops::Range<u64>) -> Batch {
    let progress = SourceProgress {
        sha256: "ab".repeat(32),
        name: "events.json".into(),
        position: range.end,
        complete: false,
    };
    Batch { events: range.map(event).collect(), quarantined: Vec::new(), progress: Some(progress) }
}

fn quarantined(position: u64, reason: QuarantineReason) -> Quarantined {
    let raw = format!("{{\"cut\": {position}").into_bytes();
    Quarantined { source: "events.json".into(), position, reason, detail: "ends early".into(), raw }
}

/// As it comes back: without the text of its template.
fn as_stored(mut event: Event) -> Event {
    event.template_text.clear();
    event
}

/// So small that a few dozen events make a segment.
fn limits() -> Limits {
    Limits { segment_events: 25, seal_on_close: 10, plain_bytes: 1 << 12, ..Limits::default() }
}

fn open(dir: &Path) -> Store {
    try_open(dir).unwrap()
}

fn try_open(dir: &Path) -> Result<Store, casemate_store::Error> {
    Store::open_with(dir, limits())
}

fn all(store: &Store) -> Vec<Event> {
    let events = store.scan(casemate_event::EventId(1), usize::MAX).unwrap();
    for (id, stored) in (1..).zip(&events) {
        assert_eq!(stored.id.0, id);
    }
    events.into_iter().map(|stored| stored.event).collect()
}

fn query(text: &str) -> Query {
    Query { text: text.to_owned(), limit: 10_000, ..Query::default() }
}

/// Checks that `store` holds exactly `event(0)` to `event(count - 1)`, by every way to ask.
fn check_whole(store: &Store, count: u64) {
    let expected: Vec<Event> = (0..count).map(|n| as_stored(event(n))).collect();
    assert_eq!(all(store), expected);
    assert_eq!(store.event_count(), count);
    let counts = store.counts().unwrap();
    assert_eq!((counts.events, counts.by_format.values().sum::<u64>()), (count, count));
    assert_eq!(store.search(&query("")).unwrap().total, count);
    let found = store.search(&query("user:user3")).unwrap();
    assert_eq!(found.total, expected.iter().filter(|event| event.position % 7 == 4).count() as u64);
    assert_eq!(store.templates().unwrap().iter().map(|template| template.count).sum::<u64>(), count);
    let progress = store.source_progress(&"ab".repeat(32)).unwrap();
    assert_eq!(progress.map(|progress| progress.position), (count > 0).then_some(count));
}
