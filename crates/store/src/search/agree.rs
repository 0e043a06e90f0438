//! Does the index agree with what a query means? Random events and random queries, found both ways.

use crate::query::{Order, Query};
use crate::{Limits, Store};
use casemate_event::{Batch, Class, Event, Fields, Format, TemplateId, TimeQuality, field};
use jiff::Timestamp;
use proptest::prelude::*;

const WORDS: [&str; 14] = [
    "failed",
    "password",
    "for",
    "Alice",
    "bob",
    "10.0.0.7",
    "10.0.0.77",
    "power-shell",
    "cmd.exe",
    "ÉCOLE",
    "x1",
    "-",
    "Failed.",
    "a",
];

fn text(longest: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 1..longest).prop_map(|words| words.join(" "))
}

fn event() -> impl Strategy<Value = (Event, String)> {
    let fields = prop::collection::vec(
        (
            prop::sample::select(vec![
                field::ACTOR_USER,
                field::PROCESS_CMD_LINE,
                field::SRC_IP,
                field::PROCESS_PATH,
                field::EVENT_CODE,
                field::DEVICE_HOSTNAME,
                field::PROCESS_PID,
                field::PARENT_PROCESS_UID,
                field::ASSET,
            ]),
            prop_oneof![
                text(3),
                text(20),
                Just("4625".to_owned()),
                Just("C:\\Temp\\cmd.exe".to_owned()),
                Just("密码重置".repeat(12)),
                Just("a \u{130}x".to_owned()),
                Just("\u{212a}".repeat(30)),
                Just("b".repeat(150))
            ],
        ),
        0..5,
    );
    (text(8), fields, 0_u64..3, 0_i64..50, any::<bool>()).prop_map(
        |(message, fields, template, second, whole)| {
            // Templates mask some words, keep some, and are not always true.
            let template_text =
                if whole { message.replace("Alice", "<user>") } else { "failed password <*>".to_owned() };
            let fields: Fields = fields.into_iter().collect();
            let event = Event {
                time: Timestamp::from_second(second).unwrap(),
                time_quality: TimeQuality::Stated,
                format: if whole { Format::Text } else { Format::Auditd },
                class: if second % 2 == 0 { Class::Authentication } else { Class::BaseEvent },
                source: format!("file-{template}"),
                position: 1,
                raw: message.clone().into_bytes(),
                native: fields.clone(),
                message,
                fields,
                template: TemplateId(template),
                template_text: template_text.clone(),
            };
            (event, template_text)
        },
    )
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        Just("4625".to_owned()),
        Just("*".to_owned()),
        Just("*a*".to_owned()),
        Just("f*d".to_owned()),
        Just("*power-*".to_owned()),
        Just("10.0.0.*".to_owned()),
        Just("*bbb*".to_owned()),
        Just("*重置密码*".to_owned()),
        Just("i?x".to_owned()),
        Just("x*".to_owned()),
        Just("\u{212a}".repeat(30)),
        Just("k".repeat(30)),
        Just("alice/4625".to_owned()),
        Just("*temp\\\\*".to_owned()),
        Just("10.0.0.0/26".to_owned()),
        Just(">=4000".to_owned()),
        Just("[a TO g]".to_owned()),
        text(4).prop_map(|text| format!("\"{text}\"")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let names = [
        "",
        "message:",
        "user:",
        "process:",
        "ip:",
        "file:",
        "asset:",
        "process_id:",
        "process.cmd_line:",
        "actor.user.name:",
        "metadata.event_code:",
        "native.process.cmd_line:",
        "class:",
        "format:",
        "source:",
        "raw:",
    ];
    let plain = prop::sample::select(&WORDS[..]).prop_map(|word| word.trim_start_matches('-').to_owned());
    let clause = prop_oneof![
        (prop::sample::select(names.to_vec()), value()).prop_map(|(name, value)| format!("{name}{value}")),
        plain,
        Just("id:[3 TO 9]".to_owned()),
        Just("time:[1970-01-01T00:00:10Z TO 1970-01-01T00:00:30Z]".to_owned()),
        Just("template:0000000000000001".to_owned()),
    ];
    clause.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("({})", parts.join(" OR "))),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("({})", parts.join(" "))),
            inner.prop_map(|part| format!("NOT ({part})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn index_and_meaning_agree(events in prop::collection::vec(event(), 1..60), queries in prop::collection::vec(query(), 20)) {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { segment_events: 20, seal_on_close: 5, ..Limits::default() };
        let store = Store::open_with(dir.path(), limits.clone()).unwrap();
        for chunk in events.chunks(7) {
            let events = chunk.iter().map(|(event, _)| event.clone()).collect();
            store.append(&Batch { events, ..Batch::default() }).unwrap();
        }
        let all = store.scan(casemate_event::EventId(1), usize::MAX).unwrap();
        prop_assert_eq!(all.len(), events.len());
        let check = |store: &Store| {
            for stored in &all {
                for (name, value) in stored.event.fields.iter() {
                    let values = vec![(name.to_owned(), value.to_uppercase())];
                    let wanted = |other: &str| other.to_lowercase() == value.to_uppercase().to_lowercase();
                    let expected = all.iter().filter(|other| other.event.fields.get(name).is_some_and(wanted)).count();
                    let query = Query { values, limit: 1000, ..Query::default() };
                    assert_eq!(store.search(&query).unwrap().hits.len(), expected, "{name}={value}");
                    let origin = Timestamp::from_second(20).unwrap();
                    let hour = jiff::SignedDuration::from_secs(7);
                    let recurrence = store.recurrence(&query, origin, hour, None).unwrap();
                    assert_eq!((recurrence.total, recurrence.counted), (expected as u64, true));
                    assert_eq!(store.templates_of(&query).unwrap().values().sum::<u64>(), expected as u64);
                }
            }
            for text in &queries {
                let Ok(expr) = crate::query::parse(text, Timestamp::UNIX_EPOCH) else { continue };
                let mut expected: Vec<u64> = all.iter().filter(|stored| expr.matches(&stored.event, stored.id)).map(|stored| stored.id.0).collect();
                for order in [Order::OldestFirst, Order::Relevance] {
                    let found = store.search(&Query { text: text.clone(), limit: 1000, order, ..Query::default() }).unwrap();
                    let mut ids: Vec<u64> = found.hits.iter().map(|stored| stored.id.0).collect();
                    ids.sort_unstable();
                    expected.sort_unstable();
                    assert_eq!(ids, expected, "{text} by {order:?}");
                    assert_eq!(found.total, expected.len() as u64, "{text}");
                }
            }
        };
        check(&store);
        drop(store);
        check(&Store::open_with(dir.path(), limits).unwrap());
    }
}
