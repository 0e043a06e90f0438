use super::*;
use crate::testing::event;
use casemate_event::{AlertId, Severity};
use jiff::Timestamp;

const GOOD: &str = r#"
name = "sample"
title = "Sample"
version = 1
next_steps = ["Look."]

[match]
techniques = ["T1003"]

[retrieval]
before_minutes = 10
after_minutes = 10
pivots = ["user"]
semantic = "memory of another process is read"

[[question]]
id = "reads"
type = "yes_no"
wordings = ["Is memory read?", "Does a process read memory?", "Was memory opened?"]
raises = ["yes"]
lowers = ["no"]
threshold = 0.8
weight = 0.4
[question.sentences]
yes = "Memory was read."
no = "No memory was read."
"#;

#[test]
fn a_playbook_is_resolved() {
    let playbook = parse(GOOD).unwrap();
    assert_eq!(playbook.retrieval.max_lines, 14);
    assert_eq!(playbook.questions[0].raises, [true, false]);
    assert_eq!(playbook.sha256.len(), 64);
}

#[test]
fn mistakes_are_named() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(GOOD.contains(from), "{from}");
        let error = parse(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("weight = 0.4", "wieght = 0.4", "wieght");
    check("weight = 0.4", "weight = 4.0", "weight is not");
    check("threshold = 0.8", "threshold = 1.0", "threshold is not");
    check(", \"Was memory opened?\"", "", "write 3 to 6");
    check("\"Was memory opened?\"", "\"Is memory read?\"", "repeats itself");
    check("opened?\"", "opened.\"", "question mark");
    check("raises = [\"yes\"]", "raises = [\"maybe\"]", "none of the answers");
    check("lowers = [\"no\"]", "lowers = [\"yes\"]", "keep it in one");
    check("no = \"No memory was read.\"", "", "sentences has none for the answer \"no\"");
    check("\"T1003\"", "\"LSASS\"", "no ATT&CK id");
    check("techniques = [\"T1003\"]", "", "takes no alert");
    check("before_minutes = 10", "before_minutes = 0", "write 1 to 1440");
    check("type = \"yes_no\"", "type = \"choice\"", "choices needs");
    check("id = \"reads\"", "id = \"Reads it\"", "lower-case letters");
    check("version = 1", "version = 0", "start at 1");
}

#[test]
fn letters_are_no_choices() {
    let text = GOOD
        .replace("type = \"yes_no\"", "type = \"choice\"\nchoices = [\"a\", \"b\"]")
        .replace("[\"yes\"]", "[\"a\"]");
    assert!(parse(&text).unwrap_err().contains("never letters"));
}

fn alert(techniques: &[&str]) -> Alert {
    Alert {
        id: AlertId(1),
        origin: AlertOrigin::Rule("rule".to_owned()),
        title: String::new(),
        severity: Severity::High,
        techniques: techniques.iter().map(|technique| (*technique).to_owned()).collect(),
        first_time: Timestamp::UNIX_EPOCH,
        last_time: Timestamp::UNIX_EPOCH,
        events: Vec::new(),
        event_count: 1,
        entities: Vec::new(),
    }
}

#[test]
fn the_most_specific_playbook_is_chosen() {
    let named = |name: &str, criteria: &str| {
        let text = GOOD.replace("name = \"sample\"", &format!("name = \"{name}\""));
        parse(&text.replace("techniques = [\"T1003\"]", criteria)).unwrap()
    };
    let playbooks = Playbooks::new(vec![
        named("a-default", "default = true"),
        named("b-broad", "techniques = [\"T1003\"]"),
        named("c-narrow", "techniques = [\"T1003.001\"]"),
        named("d-class", "classes = [\"authentication\"]"),
    ])
    .unwrap();
    let check = |techniques: &[&str], class, expected: &str| {
        let event = event(class, &[]);
        assert_eq!(playbooks.choose(&alert(techniques), Some(&event)).name, expected);
    };
    check(&["T1003.001"], Class::ProcessActivity, "c-narrow");
    check(&["T1003.002"], Class::ProcessActivity, "b-broad");
    check(&["T10031"], Class::ProcessActivity, "a-default");
    check(&[], Class::Authentication, "d-class");
    check(&["T1059", "T1003.001"], Class::Authentication, "c-narrow");
}

#[test]
fn there_is_exactly_one_default() {
    assert!(Playbooks::new(vec![parse(GOOD).unwrap()]).unwrap_err().contains("default = true"));
}

#[test]
fn the_starter_set_is_valid() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/playbooks");
    let playbooks = Playbooks::load(&dir).unwrap();
    assert!(playbooks.iter().count() >= 10);
}

#[test]
fn mistakes_have_a_line_and_a_column() {
    let check = |from: &str, to: &str, expected: &str| {
        let error = parse(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    };
    check("weight = 0.4", "weight = 4.0", "line 23, column 1: [[question]] 1 weight ");
    check("weight = 0.4", "  wieght = 0.4", "line 23, column 3: unknown field");
    check("before_minutes = 10", "before_minutes = 0", "line 11, column 1: [retrieval] before_minutes ");
    check("techniques = [\"T1003\"]", "", "line 7, column 1: [match] takes no alert");
    check("version = 1", "version = 0", "line 4, column 1: version ");
    check("no = \"No memory was read.\"", "", "line 24, column 1: [[question]] 1 sentences ");
    check("weight = 0.4\n", "", "line 16, column 1: [[question]] 1 weight ");
}

const DECIDED: &str = r#"
[[question]]
id = "lsass"
type = "yes_no"
predicate = "lsass_memory_read"
wordings = ["Was LSASS read?", "Did a process read LSASS?", "Is LSASS opened?"]
[question.sentences]
yes = "LSASS was read."
no = "LSASS was not read."
"#;

#[test]
fn a_predicate_answers_instead_of_the_model() {
    let playbook = parse(&format!("{GOOD}{DECIDED}")).unwrap();
    assert_eq!((playbook.questions.len(), playbook.decided.len()), (1, 1));
    assert_eq!(playbook.decided[0].facts, [Kind::LsassRead]);
    let check = |from: &str, to: &str, expected: &str| {
        let error = parse(&format!("{GOOD}{}", DECIDED.replace(from, to))).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("lsass_memory_read", "lsass_memory_raed", "no fact; known are encoded_command, ");
    check("type = \"yes_no\"", "type = \"choice\"\nchoices = [\"yes\", \"no\"]", "a fact holds or does not");
    check("predicate =", "weight = 0.4\npredicate =", "weight has no meaning beside a predicate");
    check("\"lsass_memory_read\"", "[]", "predicate names no fact");
    check("no = \"LSASS was not read.\"", "", "sentences has none for the answer \"no\"");
}

const TRIAL: &str = r#"
[[test]]
name = "a tool reads LSASS"
events = [{ class = "process_activity", fields = { "activity_name" = "Open" } }]
[test.alert]
techniques = ["T1003.001"]
[test.expect]
facts = ["lsass_memory_read"]
"#;

#[test]
fn tests_are_checked_on_load() {
    assert_eq!(parse(&format!("{GOOD}{TRIAL}")).unwrap().trials.len(), 1);
    let check = |from: &str, to: &str, expected: &str| {
        let error = parse(&format!("{GOOD}{}", TRIAL.replace(from, to))).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("lsass_memory_read", "lsass", "[[test]] 1 expect names \"lsass\", which is no fact");
    check("facts =", "answers = { other = \"yes\" }\nfacts =", "which is no question here");
    check("process_activity", "process", "unknown variant");
    check("[test.alert]", "[test.alert]\nevents = [0]", "counts events from 1");
    check("events = [{", "records = \"x\"\nevents = [{", "and not both");
}
