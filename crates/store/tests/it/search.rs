use super::*;
use casemate_event::{Entity, EntityKind, EventId};
use casemate_store::{Budget, Clue, Clues, Error, Facet, Order, Spread, Survey};
use std::time::Duration;

fn filled() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for start in (0..100).step_by(20) {
        store.append(&batch(start..start + 20)).unwrap();
        store.refresh().unwrap();
    }
    (dir, store)
}

fn ids(store: &Store, query: &Query) -> Vec<u64> {
    let found = store.search(query).unwrap();
    assert_eq!(found.hits.len() as u64, found.total.min(query.limit as u64));
    assert!(found.counted);
    found.hits.iter().map(|stored| stored.id.0).collect()
}

/// Numbers of the events of `filled` for which `holds`.
fn those(holds: impl Fn(u64) -> bool) -> Vec<u64> {
    (0..100).filter(|&n| holds(n)).map(|n| n + 1).collect()
}

#[test]
fn text_finds_what_it_describes() {
    let (_dir, store) = filled();
    let check = |text: &str, expected: Vec<u64>| assert_eq!(ids(&store, &query(text)), expected, "{text}");
    check("", those(|_| true));
    check("*", those(|_| true));
    check("host:ws3", those(|n| n % 10 == 3));
    check("host:WS3.other.domain", those(|n| n % 10 == 3));
    check("user:\"EXAMPLE\\\\User2\"", those(|n| n % 7 == 2));
    check("host:ws3 user:user2", those(|n| n % 10 == 3 && n % 7 == 2));
    check("host:ws3 OR user:user2", those(|n| n % 10 == 3 || n % 7 == 2));
    check("host:ws3 -user:user2", those(|n| n % 10 == 3 && n % 7 != 2));
    check("process:PowerShell.exe", those(|n| n % 4 == 1));
    check("powershell", those(|n| n % 4 == 1));
    check("user2", those(|n| n % 7 == 2));
    check("\"run 42\"", those(|n| n == 42));
    check("run-42", those(|n| n == 42));
    check("ip:10.1.2.3 run-42", those(|n| n == 42));
    check("10.1.2.3 run-42", those(|n| n == 42));
    check("entity:\"user:user2\"", those(|n| n % 7 == 2));
    check("format:windows_json run-42", those(|n| n == 42));
    check("format:evtx", vec![]);
    check("class:process_activity run-42", those(|n| n == 42));
    check("class:1007 run-42", those(|n| n == 42));
    check("template:0000000000000002", those(|n| n % 4 == 1));
    check("fields.process.cmd_line:\"run 42\"", those(|n| n == 42));
    check("fields.metadata.event_code:1 run-42", those(|n| n == 42));
    check("fields.process.name:rundll32.exe", those(|n| n % 4 == 3));
    check("id:7", vec![7]);
    check("time:[2024-01-31T00:00:10Z TO 2024-01-31T00:00:12Z]", vec![11, 12, 13]);
    check("no-such-word", vec![]);
}

#[test]
fn filters_narrow_and_combine() {
    let (_dir, store) = filled();
    let check = |query: Query, expected: Vec<u64>| assert_eq!(ids(&store, &query), expected, "{query:?}");
    let (after, before) = (Some(event(10).time), Some(event(20).time));
    check(Query { after, ..query("") }, those(|n| n >= 10));
    check(Query { before, ..query("") }, those(|n| n <= 20));
    check(Query { after, before, ..query("host:ws3") }, vec![14]);
    check(Query { after: before, before: after, ..query("") }, vec![]);
    let entities = vec![Entity::new(EntityKind::User, "user2"), Entity::new(EntityKind::Host, "ws3")];
    check(Query { entities, ..query("") }, those(|n| n % 7 == 2 || n % 10 == 3));
    let templates = vec![TemplateId(1), TemplateId(3), TemplateId(77)];
    check(Query { templates: templates.clone(), ..query("") }, those(|n| n % 2 == 0));
    let classes = vec![Class::Authentication];
    check(Query { classes, ..query("") }, vec![]);
    let classes = vec![Class::Authentication, Class::ProcessActivity];
    check(Query { classes, templates, after, before, ..query("") }, vec![11, 13, 15, 17, 19, 21]);
}

#[test]
fn time_bounds_are_inclusive_and_exact() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = |nanosecond: i32| Timestamp::new(START, nanosecond).unwrap();
    let events = (0..5).map(|n| Event { time: at(n * 100), ..event(n as u64) }).collect();
    store.append(&Batch { events, ..Batch::default() }).unwrap();
    store.refresh().unwrap();
    let check = |after: i32, before: i32, expected: &[u64]| {
        let query = Query { after: Some(at(after)), before: Some(at(before)), ..query("") };
        assert_eq!(ids(&store, &query), expected);
    };
    check(100, 300, &[2, 3, 4]);
    check(101, 299, &[3]);
    check(101, 199, &[]);
}

#[test]
fn order_and_limit() {
    let (_dir, store) = filled();
    let first = |order, limit| ids(&store, &Query { order, limit, ..query("") });
    assert_eq!(first(Order::OldestFirst, 3), [1, 2, 3]);
    assert_eq!(first(Order::NewestFirst, 3), [100, 99, 98]);
    assert_eq!(first(Order::Relevance, 3), [1, 2, 3]);
    assert_eq!(first(Order::OldestFirst, 0), [] as [u64; 0]);
    assert_eq!(first(Order::OldestFirst, usize::MAX).len(), 100);
}

#[test]
fn ties_are_ordered_by_number_whatever_the_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..10 {
        let events = (0..20).map(|n| Event { time: event(0).time, ..event(round * 20 + n) }).collect();
        store.append(&Batch { events, ..Batch::default() }).unwrap();
        store.refresh().unwrap();
    }
    for order in [Order::OldestFirst, Order::NewestFirst, Order::Relevance] {
        let found = ids(&store, &Query { order, limit: 50, ..query("ip:10.1.2.3") });
        assert_eq!(found, (1..=50).collect::<Vec<u64>>(), "{order:?}");
    }
}

#[test]
fn better_matches_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let messages = ["a mimikatz somewhere in a rather long line of text", "mimikatz mimikatz", "nothing"];
    let events =
        (0..).zip(messages).map(|(n, message)| Event { message: message.into(), ..event(n) }).collect();
    store.append(&Batch { events, ..Batch::default() }).unwrap();
    store.refresh().unwrap();
    assert_eq!(ids(&store, &Query { order: Order::Relevance, ..query("mimikatz") }), [2, 1]);
}

#[test]
fn appended_events_are_found_at_once() {
    let (_dir, store) = filled();
    store.append(&batch(100..101)).unwrap();
    assert_eq!(store.get(EventId(101)).unwrap().unwrap().event, as_stored(event(100)));
    assert_eq!(ids(&store, &query("run-100")), [101]);
}

#[test]
fn what_to_leave_out_is_enough_to_ask() {
    let (_dir, store) = filled();
    assert_eq!(ids(&store, &query("-host:ws3")), those(|n| n % 10 != 3));
    assert_eq!(ids(&store, &query("NOT (host:ws3 OR user:user2)")), those(|n| n % 10 != 3 && n % 7 != 2));
}

#[test]
fn bad_queries_say_what_to_do() {
    let (_dir, store) = filled();
    let check = |text: &str, expected: &str| {
        let error = store.search(&query(text)).unwrap_err();
        assert!(matches!(error, Error::Query { .. }) && error.is_bad_input(), "{text}: {error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("colour:red", "fields are message");
    check("(unclosed", "double quotes");
    check("host:", "");
    check("run AND", "is missing after AND");
    check("NOT", "add something to look for");
    check("id:x", "");
    check("time:[yesterday TO today]", "2024-01-31T08:00:00Z");
    check(&"word ".repeat(2000), "fewer words");
    check(&"(".repeat(4000), "nest deeper");
    check(&format!("{}a{}", "(".repeat(40), ")".repeat(40)), "nest deeper");
}

#[test]
fn hostile_queries_never_panic() {
    let (_dir, store) = filled();
    let long =
        ["-", "+", "NOT ", "a:", "\"", "[", "{", "*", "^2", "~", "\\", "/a/", "a OR ", "IN [", "é", ">="];
    for piece in long {
        drop(store.search(&query(&piece.repeat(4096 / piece.len()))));
    }
    let pieces = [
        "(",
        ")",
        "a",
        ":",
        "\"",
        "[",
        "TO",
        "]",
        "*",
        " ",
        "-",
        "+",
        "NOT",
        "AND",
        "host",
        "fields.",
        "^1",
        "~2",
        "\\",
        "IN",
        "{",
        "}",
        "/",
        "<",
        ">",
        "=",
        "id",
        "time",
        "2024-01-31T00:00:00Z",
        "'",
        "\0",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        drop(store.search(&Query { limit: 1, ..query(&text) }));
    }
}

#[test]
fn rare_clues_come_first_whatever_the_segments() {
    let (_dir, store) = filled();
    let clues = [
        Clue::Word("rundll32.exe".to_owned()),
        Clue::Word("run-42".to_owned()),
        Clue::Entity("user:user3".parse().unwrap()),
        Clue::Entity("host:ws2".parse().unwrap()),
        Clue::Entity("host:nobody".parse().unwrap()),
        Clue::Word("!".to_owned()),
    ];
    let within = Query { limit: 200, ..query("id<=90") };
    // Many that lead nowhere are in nobody's way.
    let nowhere = (0..30).map(|n| Clue::Entity(format!("user:nobody{n}").parse().unwrap()));
    let clues: Vec<Clue> = clues.into_iter().chain(nowhere).collect();
    // The same by asking for each clue alone and adding up.
    let texts = ["\"rundll32.exe\"", "\"run-42\"", "user:user3", "host:ws2"];
    let found: Vec<Vec<u64>> = texts.iter().map(|text| ids(&store, &query(text))).collect();
    let count = store.event_count() as f64;
    let rarity = |with: usize| (1.0 + (count - with as f64 + 0.5) / (with as f64 + 0.5)).ln();
    let mut expected: Vec<(f64, u64)> = (1..=90_u64)
        .map(|id| {
            let led = found.iter().filter(|ids| ids.contains(&id));
            (led.map(|ids| rarity(ids.len())).sum(), id)
        })
        .filter(|(score, _)| *score > 0.0)
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let rank = |within: &Query, each| {
        let sets = [Clues { clues: clues.clone(), each }, Clues { clues: Vec::new(), each }];
        let mut ranked = store.rank(within, &sets).unwrap();
        assert!(ranked.pop().unwrap().is_empty());
        ranked.pop().unwrap()
    };
    let ranked = rank(&within, usize::MAX);
    assert!(ranked.len() > 20, "{}", ranked.len());
    let got: Vec<u64> = ranked.iter().map(|ranked| ranked.stored.id.0).collect();
    assert_eq!(got, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    assert!(ranked.iter().zip(&expected).all(|(ranked, (score, _))| (ranked.score - score).abs() < 1e-9));
    assert!(ranked[0].clues.contains(&1), "the rarest clue of all leads to the first");

    let few = rank(&Query { limit: 5, ..within.clone() }, usize::MAX);
    assert_eq!(few.iter().map(|ranked| ranked.stored.id.0).collect::<Vec<_>>(), got[..5]);
    let one_each = rank(&within, 1);
    assert!(one_each.windows(2).all(|pair| pair[0].clues != pair[1].clues));
}

#[test]
fn what_matches_is_counted_by_value_and_over_time() {
    let (_dir, store) = filled();
    let asked = query("user:(user1 OR user3) id>10");
    let facets = [Facet::Entity(EntityKind::Host), Facet::Field("process.name".to_owned()), Facet::Class];
    let found = store.aggregate(&asked, &facets, 5, 7).unwrap();
    let hits = store.search(&asked).unwrap().hits;
    assert!(found.counted && found.total == hits.len() as u64 && hits.len() > 20);
    let count = |value: &dyn Fn(&Event) -> String| {
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        hits.iter().for_each(|stored| *counts.entry(value(&stored.event)).or_default() += 1);
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(5);
        counts
    };
    let host = |event: &Event| Entity::new(EntityKind::Host, event.field("device.hostname").unwrap()).value;
    assert_eq!(found.facets[0], count(&host));
    assert_eq!(found.facets[1], count(&|event| event.field("process.name").unwrap().to_owned()));
    assert_eq!(found.facets[2], [("process_activity".to_owned(), found.total)]);
    assert_eq!(found.histogram.iter().map(|(_, count)| count).sum::<u64>(), found.total);
    assert_eq!(found.histogram[0].0, hits.iter().map(|stored| stored.event.time).min().unwrap());
    let first = found.histogram[1].0;
    let before = hits.iter().filter(|stored| stored.event.time < first).count() as u64;
    assert_eq!(found.histogram[0].1, before);
    let none = store.aggregate(&query("user:nobody"), &facets, 5, 7).unwrap();
    assert!(none.total == 0 && none.histogram.is_empty() && none.facets.iter().all(Vec::is_empty));
}

#[test]
fn recurrence_is_counted_from_an_origin_both_ways() {
    let (_dir, store) = filled();
    let all = store.search(&query("")).unwrap().hits;
    let origin = all[all.len() / 2].event.time;
    let width = jiff::SignedDuration::from_secs(10);
    let values =
        vec![("process.name".to_owned(), all[0].event.field("process.name").unwrap().to_uppercase())];
    let asked = Query { values, ..query("") };
    let hits = store.search(&asked).unwrap().hits;
    assert!(!hits.is_empty() && hits.len() < all.len());
    let spread = Spread { field: "device.hostname", before: origin };
    let found = store.recurrence(&asked, origin, width, Some(spread)).unwrap();
    let mut expected = std::collections::BTreeMap::<i64, u64>::new();
    let mut hosts = std::collections::BTreeSet::new();
    let mut templates = std::collections::BTreeMap::<_, u64>::new();
    for hit in &hits {
        let seconds = hit.event.time.as_second() - origin.as_second();
        *expected.entry(seconds.div_euclid(10)).or_default() += 1;
        *templates.entry(hit.event.template).or_default() += 1;
        if hit.event.time < origin {
            hosts.insert(hit.event.field("device.hostname").unwrap().to_lowercase());
        }
    }
    assert_eq!(found.intervals, expected);
    assert_eq!((found.total, found.counted), (hits.len() as u64, true));
    assert!((1..=hosts.len() as u64).contains(&found.spread), "{} of {}", found.spread, hosts.len());
    let few = Query {
        after: all[5].event.time.checked_sub(width).ok(),
        before: Some(all[5].event.time),
        ..query("")
    };
    let distinct = |hits: &[casemate_event::Stored]| {
        let hosts = hits.iter().map(|hit| hit.event.field("device.hostname").unwrap().to_lowercase());
        hosts.collect::<std::collections::BTreeSet<_>>().len() as u64
    };
    let spread = Spread { field: "device.hostname", before: all[all.len() - 1].event.time };
    let found = store.recurrence(&few, origin, width, Some(spread)).unwrap();
    assert_eq!(found.spread, distinct(&store.search(&few).unwrap().hits));
    assert_eq!(store.templates_of(&asked).unwrap(), templates);
}

#[test]
fn events_are_found_in_order_of_time_whatever_the_order_of_arrival() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { segment_events: 8, ..Limits::default() };
    let store = Store::open_with(dir.path(), limits).unwrap();
    // 0, 37, 74, 11, …: each number below 100 once.
    let arrival: Vec<u64> = (0..100).map(|n| n * 37 % 100).collect();
    for part in arrival.chunks(7) {
        let events = part.iter().map(|n| event(*n)).collect();
        store.append(&Batch { events, ..Batch::default() }).unwrap();
    }
    let check = |store: &Store| {
        let found = |query: Query| -> Vec<u64> {
            let hits = store.search(&query).unwrap().hits;
            hits.iter().map(|stored| stored.event.position - 1).collect()
        };
        let all = Query { limit: 1000, order: Order::OldestFirst, ..Query::default() };
        assert_eq!(found(all.clone()), (0..100).collect::<Vec<_>>());
        let newest = Query { limit: 5, order: Order::NewestFirst, ..Query::default() };
        assert_eq!(found(newest), [99, 98, 97, 96, 95]);
        let text = "time:[2024-01-31T00:00:40Z TO 2024-01-31T00:00:43Z]".to_owned();
        assert_eq!(found(Query { text, ..all }), [40, 41, 42, 43]);
    };
    check(&store);
    drop(store);
    check(&open(dir.path()));
}

#[test]
fn a_survey_finds_and_counts_as_the_others_do() {
    let (_dir, store) = filled();
    let facets = [
        Facet::Entity(EntityKind::Host),
        Facet::Template,
        Facet::Source,
        Facet::Field("metadata.event_code".into()),
    ];
    for text in [
        "",
        "host:ws3",
        "user:user2 OR host:ws3",
        "-host:ws3",
        "no-such-word",
        "process:powershell.exe run-41",
    ] {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let query = Query { limit: 7, order, ..query(text) };
            let asked = Survey { query: &query, facets: &facets, most: 4, buckets: 10, budget: None };
            let found = store.survey(&asked).unwrap();
            let searched = store.search(&query).unwrap();
            let counted = store.aggregate(&query, &facets, 4, 10).unwrap();
            assert_eq!((&found.hits, found.total), (&searched.hits, searched.total), "{text}");
            assert_eq!(found.facets, counted.facets, "{text}");
            assert!(found.complete && found.is_total && found.certain && found.looked == 100, "{found:?}");
            assert_eq!(found.histogram.iter().map(|(_, count)| count).sum::<u64>(), found.total);
            for hit in &found.hits {
                assert!(found.has(hit.id));
            }
            let names = ["ws3".to_owned(), "ws4".to_owned()];
            let split = store.split(&found, EntityKind::Host, &names).unwrap();
            let of_host =
                found.facets[0].iter().find(|(name, _)| name == "ws3").map_or(0, |(_, count)| *count);
            assert_eq!(split[0].iter().sum::<u64>(), of_host, "{text}");
        }
    }
    let query = query("no-such-word");
    let asked = Survey { query: &query, facets: &facets, most: 4, buckets: 10, budget: None };
    let none = store.survey(&asked).unwrap();
    assert!(none.hits.is_empty() && none.histogram.is_empty() && !none.has(EventId(1)));
}

#[test]
fn without_time_the_newest_are_counted_and_all_are_found() {
    let (_dir, store) = filled();
    let facets = [Facet::Entity(EntityKind::Host)];
    let ask = |query: &Query, counting, finding| {
        let budget = Some(Budget { counting, finding });
        store.survey(&Survey { query, facets: &facets, most: 20, buckets: 10, budget }).unwrap()
    };
    let (no, much) = (Duration::ZERO, Duration::from_secs(60));
    // Many: the newest parts are enough.
    let many = Query { order: Order::NewestFirst, limit: 5, ..query("") };
    let found = ask(&many, no, much);
    assert_eq!(found.hits.iter().map(|hit| hit.id.0).collect::<Vec<_>>(), [100, 99, 98, 97, 96]);
    assert!(
        !found.complete && !found.is_total && (20..100).contains(&found.looked) && found.of == 100,
        "{found:?}"
    );
    assert_eq!(found.facets[0].iter().map(|(_, count)| count).sum::<u64>(), found.looked);
    // Few: all are found, and the total is known.
    let few = Query { order: Order::NewestFirst, limit: 50, ..query("run-3 OR run-97") };
    let found = ask(&few, no, much);
    assert_eq!(found.hits.iter().map(|hit| hit.id.0).collect::<Vec<_>>(), [98, 4]);
    assert!(found.is_total && found.total == 2 && found.given_up_at.is_none());
    // No time for that either: it says how far it came.
    let found = ask(&few, no, no);
    assert_eq!(found.hits.iter().map(|hit| hit.id.0).collect::<Vec<_>>(), [98]);
    let between = event(3).time..event(97).time;
    assert!(!found.is_total && found.given_up_at.is_some_and(|time| between.contains(&time)), "{found:?}");
}

#[test]
fn pages_stay_while_events_arrive() {
    let (_dir, store) = filled();
    // All of one second, so that only numbers tell them apart.
    let mut same = batch(0..30);
    same.events.iter_mut().for_each(|event| event.time = Timestamp::from_second(START + 50).unwrap());
    store.append(&same).unwrap();
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let there = Query { order, up_to: Some(EventId(130)), ..query("-host:ws3") };
        let whole = ids(&store, &there);
        assert_eq!(whole.len(), 117);
        let (mut paged, mut behind) = (Vec::new(), None);
        loop {
            let page = store.search(&Query { limit: 9, behind, ..there.clone() }).unwrap().hits;
            let Some(last) = page.last() else { break };
            behind = Some((last.event.time, last.id));
            paged.extend(page.iter().map(|hit| hit.id.0));
            // One more arrives between two pages.
            let mut late = batch(40..41);
            late.events[0].time = Timestamp::from_second(START + 60).unwrap();
            store.append(&late).unwrap();
        }
        assert_eq!(paged, whole);
    }
    let newer = ids(&store, &Query { newer_than: Some(EventId(130)), ..query("-host:ws3") });
    assert!(!newer.is_empty() && newer.iter().all(|id| *id > 130));
    let some = vec![EventId(7), EventId(9), EventId(4)];
    assert_eq!(ids(&store, &Query { ids: some, filter: "-host:ws3".into(), ..query("") }), [7, 9]);
    let wrong = store.search(&Query { filter: "colour:red".into(), ..query("") });
    assert!(matches!(wrong, Err(Error::Query { column: 1, .. })));
}

#[test]
fn names_and_first_events_of_entities() {
    let (_dir, store) = filled();
    let second = Duration::from_secs(1);
    let found = store.names(EntityKind::Process, "power", 5, second).unwrap();
    assert_eq!(found, [("powershell.exe".to_owned(), 25)]);
    assert_eq!(store.names(EntityKind::Host, "ws", 3, second).unwrap().len(), 3);
    assert!(store.names(EntityKind::Host, "x", 3, second).unwrap().is_empty());
    assert_eq!(store.distinct(EntityKind::Host, 1000, second).unwrap(), (10, true));
    assert_eq!(store.distinct(EntityKind::Host, 4, second).unwrap(), (4, false));
    let entities = [
        Entity::new(EntityKind::Host, "ws3"),
        Entity::new(EntityKind::User, "nobody"),
        Entity::new(EntityKind::User, "user6"),
    ];
    let first = store.first_events(&entities).unwrap();
    assert_eq!(first, [Some((EventId(4), event(3).time)), None, Some((EventId(7), event(6).time))]);
    let seen = store.seen(&entities[0]).unwrap().unwrap();
    assert_eq!((seen.events, seen.first, seen.last), (10, event(3).time, event(93).time));
}
