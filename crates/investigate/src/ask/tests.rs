//! Questions over the small log of a terminal, without a model.

use super::*;
use casemate_detect::Rules;
use std::path::Path;

fn asker() -> (tempfile::TempDir, Asker) {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::open(dir.path(), Rules::default(), None).unwrap();
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/ask/kiosk.log");
    pipeline.ingest_file(&log, false, &mut |_, _, _| {}).unwrap();
    pipeline.catch_up(&mut |_, _, _| {}).unwrap();
    (dir, Asker::new(Arc::new(pipeline), None))
}

fn ask(asker: &Asker, text: &str) -> Answer {
    let question = Question {
        text: text.to_owned(),
        about: None,
        after: None,
        before: None,
        now: "2023-08-18T17:00:00Z".parse().unwrap(),
        ticket: Ticket::default(),
    };
    asker.ask(&question, &mut |_| {}).unwrap()
}

#[track_caller]
fn check(asker: &Asker, text: &str, values: &[&str]) {
    let answer = ask(asker, text);
    assert_eq!(answer.how, How::Counted, "{text}: {}", answer.answer);
    let mut found: Vec<&str> = answer.values.iter().map(|value| value.value.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, values, "{text}: {}", answer.answer);
    // What is cited is there, and is what was counted.
    let store = asker.pipeline.store();
    for id in answer.cited() {
        let text = format!("({}) AND id:{id}", answer.query.as_deref().unwrap_or_default());
        assert_eq!(store.search(&Query { text, limit: 1, ..Query::default() }).unwrap().hits[0].id, id);
    }
}

#[test]
fn what_can_be_counted_is_counted() {
    let (_dir, asker) = asker();
    check(&asker, "Who logged on to kiosk07?", &["operator1"]);
    check(&asker, "How many failed logons were there on kiosk07?", &["3"]);
    check(&asker, "From which address did logons fail on kiosk07?", &["203.0.113.9"]);
    check(&asker, "Which programs did operator1 run?", &["echo", "systemctl"]);
    check(&asker, "When did operator1 log on to kiosk07?", &["2023-08-18 15:50:02 UTC"]);
    check(&asker, "failed logons on kiosk07 between 15:51 and 15:52 on 18 August", &[]);
}

#[test]
fn the_same_in_other_words_is_the_same() {
    let (_dir, asker) = asker();
    for question in [
        "Which user ran systemctl on kiosk07?",
        "Who started systemctl on the host kiosk07?",
        "By whom was systemctl run on kiosk07?",
        "Which account executed systemctl on kiosk07?",
    ] {
        check(&asker, question, &["operator1"]);
    }
    let first = ask(&asker, "Who logged on to kiosk07?");
    assert_eq!(first.sha256(), ask(&asker, "Who logged on to kiosk07?").sha256());
    assert_eq!(first.query, ask(&asker, "which users signed in on kiosk07").query);
}

#[test]
fn what_is_not_there_is_not_known() {
    let (_dir, asker) = asker();
    let check = |text: &str, why: &str| {
        let answer = ask(&asker, text);
        assert!(!answer.known && answer.sentences.is_empty(), "{text}: {}", answer.answer);
        assert!(
            answer.answer.starts_with("I don't know: ") && answer.answer.contains(why),
            "{}",
            answer.answer
        );
        assert!(!answer.missing.is_empty() && !answer.looked_for.is_empty(), "{text}");
    };
    check("Who logged on to ws99?", "no event in the store names");
    check("How many logons failed for user nina on kiosk07?", "names \"nina\"");
    check("Who logged on to kiosk07 yesterday?", "the store holds events from 2023-08-18");
    check("Which logons will there be tomorrow?", "I don't know");
    check("How many DNS queries did kiosk07 make?", "records name lookups");
    check("Who deleted the backups on kiosk07?", "I don't know");
    check("What is the capital of France?", "I don't know");
    check("Who did not log on to kiosk07?", "I don't know");
}

#[test]
fn none_is_a_count_where_such_things_are_logged() {
    let (_dir, asker) = asker();
    let answer = ask(&asker, "Did operator1 fail to log on to kiosk07?");
    assert!(answer.known && answer.answer.starts_with("No: "), "{}", answer.answer);
}

#[test]
fn what_a_log_line_says_about_itself_is_no_answer() {
    let (_dir, asker) = asker();
    for question in ["Did mallory log on to DC01?", "Is kiosk07 safe?", "What is the verdict about kiosk07?"]
    {
        let answer = ask(&asker, question);
        let text = answer.answer.to_lowercase();
        assert!(!answer.known || text.starts_with("no"), "{question}: {}", answer.answer);
    }
    // Such an event is shown without what outsiders wrote into it.
    let events =
        asker.pipeline.store().search(&Query { text: "assistant".to_owned(), limit: 9, ..Query::default() });
    assert!(events.unwrap().hits.iter().any(|stored| talks(&stored.event)));
}

#[test]
fn questions_that_are_none_are_refused() {
    let (_dir, asker) = asker();
    let question = |text: &str, about| Question {
        text: text.to_owned(),
        about,
        after: None,
        before: None,
        now: Timestamp::UNIX_EPOCH,
        ticket: Ticket::default(),
    };
    let long = "x".repeat(MAX_QUESTION_CHARS + 1);
    for (text, about) in
        [(" ", None), (long.as_str(), None), ("What happened?", Some(About::Case(CaseId(7))))]
    {
        let refused = asker.ask(&question(text, about), &mut |_| {});
        assert!(matches!(refused, Err(Error::Question { .. })), "{text}");
    }
}

#[test]
fn no_question_breaks_it() {
    let (_dir, asker) = asker();
    let pieces = [
        "who",
        "did",
        "not",
        "\"",
        "log",
        "on",
        "to",
        "kiosk07",
        "between",
        "10",
        "and",
        "25:99",
        "how",
        "many",
        "which",
        "\\",
        "(",
        "*",
        "case",
        "999",
        "port",
        "event",
        "last",
        "\u{202e}",
        "日本",
        "99999999999999999999",
        "days",
        "of",
        "the",
        "at",
        "2023-02-31",
        "from",
        ":",
        "by",
        "AND",
        "user",
        "31",
        "february",
    ];
    // A linear congruence: the same questions each time.
    let mut state = 7_u64;
    for _ in 0..300 {
        let mut text = String::new();
        for _ in 0..9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            text.push(' ');
        }
        let question = Question {
            text,
            about: None,
            after: None,
            before: None,
            now: "2023-08-18T17:00:00Z".parse().unwrap(),
            ticket: Ticket::default(),
        };
        match asker.ask(&question, &mut |_| {}) {
            Ok(_) | Err(Error::Question { .. }) => {}
            Err(error) => panic!("{}: {error}", question.text),
        }
    }
}
