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
