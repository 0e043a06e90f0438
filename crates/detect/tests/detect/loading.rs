use casemate_detect::{Error, Rules};
use std::path::PathBuf;

const GOOD: &str = "title: Good\nid: good\nlogsource:\n  product: windows\n  service: security\n\
                    detection:\n  selection:\n    EventID: 1\n  condition: selection\nlevel: low\n";

fn check(files: &[(&str, &str)], loaded: usize, problems: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(dir.path().join(name), text).unwrap();
    }
    let (rules, found) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert_eq!(rules.len(), loaded, "{found:?}");
    assert_eq!(found.len(), problems.len(), "{found:?}");
    for (problem, wanted) in found.iter().zip(problems) {
        assert!(problem.reason.contains(wanted), "{problem} lacks {wanted:?}");
    }
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    check(&[("a.yml", GOOD), ("b.yml", "title: [")], 1, &["YAML"]);
    check(&[("a.yml", GOOD), ("b.yml", "")], 1, &["mapping"]);
    check(&[("a.yml", GOOD), ("b.yml", "just words\n")], 1, &["mapping"]);
    check(&[("a.yml", GOOD), ("b.yaml", GOOD)], 1, &["already loaded"]);
    check(&[("a.yml", GOOD), ("readme.md", "title: [")], 1, &[]);
    check(&[("a.yml", &GOOD.replace("condition: selection", "condition: selection and ("))], 0, &[""]);
    check(&[("a.yml", &GOOD.replace("    EventID: 1", "    EventID|re: '('"))], 0, &["Good"]);
    check(&[("a.yml", &GOOD.replace("condition: selection", "condition: other"))], 0, &[""]);
    check(
        &[("a.yml", &GOOD.replace("  product: windows\n  service: security\n", "  definition: x\n"))],
        0,
        &["log source"],
    );
    check(&[("a.yml", &"x".repeat((1 << 20) + 1))], 0, &["limit"]);
}

/// Each is named with its file and the reason; the rule beside it stays.
#[test]
fn what_is_not_supported_is_reported() {
    let item = |item: &str| GOOD.replace("good", "bad").replace("Good", "Bad").replace("EventID: 1", item);
    let bad = |text: &str, wanted: &str| check(&[("a.yml", GOOD), ("b.yml", text)], 1, &[wanted]);
    bad(&item("EventID|unknown: 1"), "unknown");
    bad(&item("EventID|contains|all: x"), "all");
    bad(&item("Image|re: '(?<=a)b'"), "Bad");
    bad(&item("Image|re: '(a)\\1'"), "Bad");
    bad(&item("Image|cidr: not-a-network"), "Bad");
    bad(&item("Image|gt: text"), "Bad");
    bad(&item("Image|windash: '-a -b -c -d -e -f'"), "windash");
    let condition = |condition: &str| item("EventID: 1").replace("condition: selection", condition);
    bad(&condition("condition: selection | count() by User > 5"), "Condition");
    bad(&condition("condition: 1 of other_*"), "other_*");
    bad(&condition("condition: selection or all of other_*"), "other_*");
    let filtered = condition("condition: selection and not 1 of other_*");
    check(&[("a.yml", GOOD), ("b.yml", &filtered)], 2, &[]);
}

#[test]
fn rules_for_sources_that_nothing_writes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let other =
        GOOD.replace("good", "edr").replace("product: windows\n  service: security", "product: some_edr");
    fs_err::write(dir.path().join("a.yml"), GOOD).unwrap();
    fs_err::write(dir.path().join("b.yml"), other).unwrap();
    let (rules, problems) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert_eq!((rules.len(), problems.len()), (2, 0));
    let named: Vec<&str> = rules.without_source().map(|rule| rule.id.as_str()).collect();
    assert_eq!(named, ["edr"]);
}

#[test]
fn correlation_rules_that_cannot_work_are_reported() {
    let correlation = "title: Many\nid: many\ncorrelation:\n  type: event_count\n  rules:\n    - good\n  \
                       group-by:\n    - User\n  timespan: 5m\n  condition:\n    gte: 10\n";
    check(&[("a.yml", GOOD), ("b.yml", correlation)], 2, &[]);
    check(
        &[("a.yml", GOOD), ("b.yml", &correlation.replace("- good", "- better"))],
        1,
        &["refers to better"],
    );
    check(&[("a.yml", GOOD), ("b.yml", &correlation.replace("- good", "- many"))], 1, &["refers back"]);
    check(&[("a.yml", GOOD), ("b.yml", &correlation.replace("gte: 10", "gte: 10000000"))], 1, &["more than"]);
    check(&[("a.yml", GOOD), ("b.yml", &correlation.replace("event_count", "value_count"))], 1, &["field"]);
    check(&[("a.yml", GOOD), ("b.yml", &correlation.replace("5m", "0s"))], 1, &["timespan"]);
    let tumbling = correlation.replace("timespan: 5m", "timespan: 5m\n  window: tumbling");
    check(&[("a.yml", GOOD), ("b.yml", &tumbling)], 1, &["window"]);
}

#[test]
fn filters_and_placeholders_that_cannot_work_are_reported() {
    let filter = "title: F\nlogsource:\n  product: windows\nfilter:\n  rules:\n    - good\n  selection:\n    \
                  User: x\n  condition: not selection\n";
    check(&[("a.yml", GOOD), ("f.yml", filter)], 1, &[]);
    check(&[("a.yml", GOOD), ("f.yml", &filter.replace("- good", "- other"))], 1, &["names no rule"]);
    check(&[("a.yml", GOOD), ("f.yml", &filter.replace("windows", "linux"))], 1, &["log source"]);
    let rule = GOOD.replace("    EventID: 1", "    User|expand: '%admins%'");
    check(&[("a.yml", &rule)], 0, &["placeholders.yml"]);
    check(&[("a.yml", &rule), ("placeholders.yml", "admins: [ann, bob]")], 1, &[]);
    check(&[("a.yml", &rule), ("placeholders.yml", "admins: ann")], 0, &["list", "placeholders.yml"]);
}

#[test]
fn a_missing_directory_is_named() {
    let error = Rules::load(&[PathBuf::from("no/such/directory")]).unwrap_err();
    let Error::Read { ref path, .. } = error;
    assert_eq!(path, &PathBuf::from("no/such/directory"));
    assert!(error.to_string().contains("no/such/directory"), "{error}");
}

#[test]
fn metadata_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        format!("{GOOD}description: |\n  Why.\ntags:\n  - attack.t1003.001\nfalsepositives:\n  - Tests\n");
    fs_err::write(dir.path().join("a.yml"), text).unwrap();
    let (rules, _) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    let rule = rules.get("good").unwrap();
    assert_eq!((rule.title.as_str(), rule.description.as_str()), ("Good", "Why."));
    assert_eq!(rule.severity, casemate_event::Severity::Low);
    assert_eq!(
        (&rule.techniques[..], &rule.false_positives[..]),
        (&["T1003.001".to_owned()][..], &["Tests".to_owned()][..])
    );
    assert!(rules.get("bad").is_none());
}

proptest::proptest! {
    #[test]
    fn hostile_rule_files_never_panic(text in "[ -~\n]{0,400}") {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a.yml"), format!("title: x\nlogsource:\n  product: windows\ndetection:\n{text}")).unwrap();
        let _ = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    }
}
