use crate::support::sysmon;
use casemate_detect::{Correlator, Rules, correlation_alert};
use casemate_event::{Alert, EventId, Stored};
use jiff::{SignedDuration, Timestamp};

/// Rules `one`, `two` and `three` match `CommandLine` of the same text; the rest is given.
fn rules(correlation: &str) -> Rules {
    let mut text = String::new();
    for name in ["one", "two", "three"] {
        text.push_str(&format!(
            "title: {name}\nid: {name}\nname: the_{name}\nlogsource:\n  product: windows\n  category: process_creation\n\
             detection:\n  selection:\n    CommandLine: {name}\n  condition: selection\nlevel: high\n---\n"
        ));
    }
    text.push_str(correlation);
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("rules.yml"), &text).unwrap();
    let (rules, problems) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    rules
}

fn correlation(kind: &str, names: &str, rest: &str) -> String {
    format!(
        "title: C\nid: c\nname: the_c\ncorrelation:\n  type: {kind}\n  rules: [{names}]\n  group-by: [User]\n  timespan: 10s\n{rest}level: high\n"
    )
}

/// An event: its id, seconds, user and command line.
type Said<'a> = (u64, i64, &'a str, &'a str);

fn stored(&(id, seconds, user, line): &Said<'_>) -> Stored {
    let mut event =
        sysmon(1, &[("User", user), ("CommandLine", line), ("Parent", user), ("Size", &id.to_string())]);
    event.time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
    Stored { id: EventId(id), event }
}

fn observe(rules: &Rules, correlator: &mut Correlator, said: &[Said<'_>]) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for one in said {
        let stored = stored(one);
        let matched = rules.matches(&stored.event);
        for correlated in correlator.observe(rules, &stored, &matched) {
            alerts.push(correlation_alert(&correlated, &stored));
        }
    }
    alerts
}

/// Events named by each alert that the events lead to.
fn check(correlation: &str, said: &[Said<'_>], expected: &[&[u64]]) {
    let rules = rules(correlation);
    let alerts = observe(&rules, &mut rules.correlator(), said);
    let cited: Vec<Vec<u64>> =
        alerts.iter().map(|alert| alert.events.iter().map(|id| id.0).collect()).collect();
    assert_eq!(cited, expected, "{correlation}\n{said:?}");
    for alert in &alerts {
        assert_eq!(alert.event_count, alert.events.len() as u64);
        assert!(alert.first_time <= alert.last_time);
    }
}

#[test]
fn events_are_counted_by_group_and_time() {
    let three = correlation("event_count", "one", "  condition:\n    gte: 3\n");
    check(&three, &[(1, 0, "a", "one"), (2, 5, "a", "one"), (3, 10, "a", "one")], &[&[1, 2, 3]]);
    check(&three, &[(1, 0, "a", "one"), (2, 5, "a", "one"), (3, 11, "a", "one")], &[]);
    check(&three, &[(1, 0, "a", "one"), (2, 1, "b", "one"), (3, 2, "a", "one"), (4, 3, "a", "two")], &[]);
    check(&three, &[(1, 0, "a", "one"), (2, 1, "A", "one"), (3, 2, "a", "one")], &[&[1, 2, 3]]);
    // What goes on is named once.
    let more = [(1, 0, "a", "one"), (2, 1, "a", "one"), (3, 2, "a", "one"), (4, 3, "a", "one")];
    check(&three, &more, &[&[1, 2, 3], &[4]]);
}

#[test]
fn events_out_of_order_count_like_those_in_order() {
    let three = correlation("event_count", "one", "  condition:\n    gte: 3\n");
    check(&three, &[(1, 10, "a", "one"), (2, 0, "a", "one"), (3, 5, "a", "one")], &[&[2, 3, 1]]);
    check(&three, &[(1, 100, "a", "one"), (2, 101, "a", "one"), (3, 0, "a", "one")], &[]);
    let ordered = correlation("temporal_ordered", "one, two", "");
    check(&ordered, &[(1, 5, "a", "two"), (2, 0, "a", "one")], &[&[2, 1]]);
    check(&ordered, &[(1, 0, "a", "two"), (2, 5, "a", "one")], &[]);
}

#[test]
fn every_comparison_of_a_condition() {
    let said = [(1, 0, "a", "one"), (2, 1, "a", "one"), (3, 2, "a", "one")];
    for (condition, expected) in [
        ("gt: 2", &[&[1, 2, 3][..]][..]),
        ("gt: 3", &[]),
        ("gte: 3", &[&[1, 2, 3]]),
        ("gte: 4", &[]),
        ("lt: 2", &[&[1]]),
        ("lt: 1", &[]),
        ("lte: 1", &[&[1]]),
        ("lte: 0", &[]),
        ("eq: 2", &[&[1, 2]]),
        ("eq: 4", &[]),
        ("gt: 1\n    lte: 2", &[&[1, 2]]),
        ("gt: 3\n    lte: 4", &[]),
    ] {
        check(
            &correlation("event_count", "one", &format!("  condition:\n    {condition}\n")),
            &said,
            expected,
        );
    }
}

#[test]
fn timespans_of_every_unit() {
    let within = |span: &str, seconds: i64, expected: &[&[u64]]| {
        let two = correlation("event_count", "one", "  condition:\n    gte: 2\n").replace("10s", span);
        check(&two, &[(1, 0, "a", "one"), (2, seconds, "a", "one")], expected);
    };
    for (span, seconds) in [("30s", 30), ("2m", 120), ("3h", 10_800), ("1d", 86_400)] {
        within(span, seconds, &[&[1, 2]]);
        within(span, seconds + 1, &[]);
    }
}

#[test]
fn values_are_counted_once() {
    let distinct =
        correlation("value_count", "one, two, three", "  condition:\n    field: CommandLine\n    gte: 2\n");
    check(&distinct, &[(1, 0, "a", "one"), (2, 1, "a", "one"), (3, 2, "a", "two")], &[&[1, 2, 3]]);
    check(&distinct, &[(1, 0, "a", "one"), (2, 1, "a", "one")], &[]);
    let absent = correlation("value_count", "one", "  condition:\n    field: Nothing\n    gte: 1\n");
    check(&absent, &[(1, 0, "a", "one")], &[]);
    let sum = correlation("value_sum", "one", "  condition:\n    field: Size\n    gt: 5\n");
    check(&sum, &[(2, 0, "a", "one"), (3, 1, "a", "one"), (4, 2, "a", "one")], &[&[2, 3, 4]]);
    let said = [(3, 0, "a", "one"), (4, 1, "a", "one"), (5, 2, "a", "one")];
    for (kind, condition, expected) in [
        ("value_sum", "gte: 12", &[&[3, 4, 5][..]][..]),
        ("value_sum", "gt: 12", &[]),
        ("value_avg", "gte: 4", &[&[3, 4, 5]]),
        ("value_avg", "gt: 4", &[]),
        ("value_median", "gte: 4", &[&[3, 4, 5]]),
        ("value_median", "gt: 4", &[]),
        ("value_percentile", "gte: 5\n    percentile: 100", &[&[3, 4, 5]]),
        ("value_percentile", "gte: 6\n    percentile: 100", &[]),
    ] {
        let rest = format!("  condition:\n    field: Size\n    {condition}\n");
        check(&correlation(kind, "one", &rest), &said, expected);
    }
    let median = correlation("value_median", "one", "  condition:\n    field: Size\n    gte: 3\n");
    check(&median, &[(1, 0, "a", "one"), (4, 1, "a", "one"), (5, 2, "a", "one")], &[&[1, 4, 5]]);
}

#[test]
fn temporal_rules_need_all_of_their_rules() {
    let both = correlation("temporal", "one, two", "");
    check(&both, &[(1, 0, "a", "one"), (2, 1, "a", "one")], &[]);
    check(&both, &[(1, 0, "a", "two"), (2, 1, "a", "one")], &[&[1, 2]]);
    check(&both, &[(1, 0, "a", "two"), (2, 1, "b", "one")], &[]);
    let named = correlation(
        "temporal",
        "the_one, the_two, the_three",
        "  condition: the_one and (the_two or the_three)\n",
    );
    check(&named, &[(1, 0, "a", "three"), (2, 1, "a", "one")], &[&[1, 2]]);
    check(&named, &[(1, 0, "a", "three"), (2, 1, "a", "two")], &[]);
    let ordered = correlation("temporal_ordered", "one, two, three", "");
    check(&ordered, &[(1, 0, "a", "one"), (2, 1, "a", "two"), (3, 2, "a", "three")], &[&[1, 2, 3]]);
    check(&ordered, &[(1, 0, "a", "two"), (2, 1, "a", "one"), (3, 2, "a", "three")], &[]);
}

#[test]
fn aliases_name_a_field_per_rule() {
    let aliased = "title: C\nid: c\ncorrelation:\n  type: temporal\n  rules: [one, two]\n  aliases:\n    who:\n      one: User\n      \
                   two: Parent\n  group-by: [who]\n  timespan: 10s\nlevel: high\n";
    check(aliased, &[(1, 0, "a", "one"), (2, 1, "a", "two")], &[&[1, 2]]);
    check(aliased, &[(1, 0, "a", "one"), (2, 1, "b", "two")], &[]);
}

#[test]
fn correlations_chain_and_cite_the_events_below() {
    let chained = format!(
        "{}---\n{}",
        "title: D\nid: d\ncorrelation:\n  type: temporal_ordered\n  rules: [the_c, three]\n  group-by: [User]\n  timespan: 1m\nlevel: critical\n",
        correlation("event_count", "one", "  condition:\n    gte: 2\n")
    );
    check(&chained, &[(1, 0, "a", "one"), (2, 1, "a", "one"), (3, 30, "a", "three")], &[&[1, 2], &[1, 2, 3]]);
    check(&chained, &[(1, 0, "a", "one"), (2, 1, "a", "three")], &[]);
}

#[test]
fn rules_that_feed_a_correlation_are_quiet_unless_it_says_generate() {
    let raises = |text: &str| rules(text).get("one").unwrap().raises;
    let quiet = correlation("event_count", "one", "  condition:\n    gte: 2\n");
    assert!(!raises(&quiet));
    assert!(raises(&format!("{quiet}generate: true\n")));
    assert!(rules(&quiet).get("two").unwrap().raises);
}

#[test]
fn a_restart_changes_nothing() {
    let rules = rules(&correlation("event_count", "one", "  condition:\n    gte: 3\n"));
    let said: Vec<(u64, i64, String)> =
        (1..400u64).map(|id| (id * 1999, (id * 7 % 97) as i64, format!("u{}", id % 5))).collect();
    let said: Vec<Said<'_>> =
        said.iter().map(|(id, time, user)| (*id, *time, user.as_str(), "one")).collect();
    let mut whole = rules.correlator();
    let before = observe(&rules, &mut whole, &said[..350]);
    assert!(!before.is_empty());
    let last = EventId(said[349].0);
    let from = whole.replay_from(last);
    assert!(from > EventId(1), "the test is to leave events out");
    let seen: Vec<Said<'_>> = said[..350].iter().copied().filter(|one| EventId(one.0) >= from).collect();
    let mut again = rules.correlator();
    observe(&rules, &mut again, &seen);
    assert_eq!(again.observed(), whole.observed());
    let rest = |correlator: &mut Correlator| observe(&rules, correlator, &said[350..]);
    let (whole, again) = (rest(&mut whole), rest(&mut again));
    assert!(!whole.is_empty());
    assert_eq!(whole, again);
}

#[test]
fn a_flood_is_bounded_and_still_named() {
    let rules = rules(&correlation("event_count", "one", "  condition:\n    gte: 5\n"));
    let said: Vec<Said<'_>> = (1..5000).map(|id| (id, 0, "a", "one")).collect();
    let alerts = observe(&rules, &mut rules.correlator(), &said);
    let cited: u64 = alerts.iter().map(|alert| alert.event_count).sum();
    assert_eq!(cited, 4999);
}
