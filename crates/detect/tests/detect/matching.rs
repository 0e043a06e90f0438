use crate::support::{event, sysmon, windows};
use casemate_detect::Rules;
use casemate_event::{Event, Format};

/// Whether one rule, given as log source and detection, matches `event`.
fn check(logsource: &str, detection: &str, event: &Event, expected: bool) {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("title: T\nlogsource: {logsource}\ndetection:\n{detection}\n  condition: selection\n");
    fs_err::write(dir.path().join("rule.yml"), &text).unwrap();
    let (rules, problems) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    assert_eq!(!rules.matches(event).is_empty(), expected, "{text}\n{:?}", event.native);
}

const PROCESS: &str = "{product: windows, category: process_creation}";
const SECURITY: &str = "{product: windows, service: security}";

#[test]
fn values_ignore_case_and_numbers_are_numbers() {
    let launch = sysmon(1, &[("Image", "C:\\Windows\\CMD.exe"), ("ProcessId", "42"), ("Elevated", "true")]);
    check(PROCESS, "  selection:\n    Image|endswith: '\\cmd.EXE'", &launch, true);
    check(PROCESS, "  selection:\n    Image|endswith|cased: '\\cmd.exe'", &launch, false);
    check(PROCESS, "  selection:\n    ProcessId: 42", &launch, true);
    check(PROCESS, "  selection:\n    ProcessId: '42'", &launch, true);
    check(PROCESS, "  selection:\n    ProcessId|gte: 50", &launch, false);
    check(PROCESS, "  selection:\n    Elevated: true", &launch, true);
    check(PROCESS, "  selection:\n    Image: 'C:\\\\*\\cmd.exe'", &launch, true);
    check(PROCESS, "  selection:\n    EventID: 1", &launch, true);
}

#[test]
fn absent_fields() {
    let launch = sysmon(1, &[("Image", "a.exe")]);
    check(PROCESS, "  selection:\n    ParentImage: null", &launch, true);
    check(PROCESS, "  selection:\n    Image: null", &launch, false);
    check(PROCESS, "  selection:\n    ParentImage|exists: false", &launch, true);
    check(PROCESS, "  selection:\n    ParentImage|contains: ''", &launch, false);
    check(PROCESS, "  selection:\n    ParentImage: '*'", &launch, false);
}

#[test]
fn log_sources_are_honoured() {
    let any = "  selection:\n    EventID:\n      - 1\n      - 4688";
    let security =
        windows("Security", 4688, &[("NewProcessName", "C:\\x\\nc.exe"), ("CommandLine", "nc -e cmd")]);
    let image = "  selection:\n    Image|endswith: '\\nc.exe'";
    check(PROCESS, image, &security, true);
    check(SECURITY, image, &security, true);
    check("{product: windows}", any, &security, true);
    check("{category: process_creation}", any, &security, true);
    check("{product: linux, category: process_creation}", any, &security, false);
    check("{product: windows, category: file_event}", any, &security, false);
    check("{product: windows, service: sysmon}", any, &security, false);
    check(PROCESS, any, &windows("Application", 1, &[]), false);
    check(
        "{product: windows, category: registry_event}",
        "  selection:\n    EventID: 13",
        &sysmon(13, &[]),
        true,
    );
    check(
        "{product: windows, category: registry_set}",
        "  selection:\n    EventID: 13",
        &sysmon(13, &[]),
        true,
    );
    check(
        "{product: windows, category: registry_add}",
        "  selection:\n    EventID: 13",
        &sysmon(13, &[]),
        false,
    );
}

#[test]
fn keywords_read_every_value() {
    let line =
        event(Format::SyslogRfc5424, &[("program", "sshd"), ("message", "Accepted password for root")]);
    check("{product: linux, service: sshd}", "  selection:\n    - 'password for ROOT'", &line, true);
    check("{product: linux}", "  selection:\n    - 'password for root'", &line, true);
    check("{product: linux, service: sudo}", "  selection:\n    - 'password'", &line, false);
    check("{product: linux, service: auth}", "  selection:\n    - 'publickey'", &line, false);
}

#[test]
fn windash_follows_the_specification() {
    let run = |line| sysmon(1, &[("CommandLine", line)]);
    let create = "  selection:\n    CommandLine|windash|contains: ' /create '";
    check(PROCESS, create, &run("schtasks -create x"), true);
    check(PROCESS, create, &run("schtasks /create x"), true);
    check(PROCESS, create, &run("schtasks \u{2015}create x"), true);
    check(PROCESS, create, &run("schtasks create x"), false);
    let both = "  selection:\n    CommandLine|windash|contains|all:\n      - '-ma'\n      - '-x'";
    check(PROCESS, both, &run("procdump /ma /x"), true);
    check(PROCESS, both, &run("procdump /ma"), false);
    let wild = "  selection:\n    CommandLine|windash|contains: '-a*-b'";
    check(PROCESS, wild, &run("tool /a one /b"), true);
    let many = "  selection:\n    CommandLine|windash|contains: 'a-b-c-d-e-f-g-h-i-j-k'";
    check(PROCESS, many, &run("a-b-c-d-e-f-g-h-i-j-k"), true);
    check(PROCESS, many, &run("a/b-c-d-e-f-g-h-i-j-k"), false);
}

#[test]
fn networks_and_dotted_names() {
    let connection = sysmon(3, &[("DestinationIp", "192.168.1.9")]);
    let network = "{product: windows, category: network_connection}";
    check(network, "  selection:\n    DestinationIp|cidr: '192.168.0.0/16'", &connection, true);
    check(network, "  selection:\n    DestinationIp|cidr: '10.0.0.0/8'", &connection, false);
    let call = event(Format::CloudTrail, &[("userIdentity.type", "Root"), ("eventName", "ConsoleLogin")]);
    let aws = "{product: aws, service: cloudtrail}";
    check(aws, "  selection:\n    userIdentity.type: Root\n    eventName: ConsoleLogin", &call, true);
    let flow = event(Format::ZeekJson, &[("_path", "conn"), ("id.resp_p", "445")]);
    check("{product: zeek, service: conn}", "  selection:\n    id.resp_p: 445", &flow, true);
    check("{product: zeek, service: dns}", "  selection:\n    id.resp_p: 445", &flow, false);
}

static STARTER: std::sync::OnceLock<Rules> = std::sync::OnceLock::new();

proptest::proptest! {
    #[test]
    fn hostile_values_never_panic(key in "\\PC{0,40}", value in "\\PC{0,200}") {
        let rules = STARTER.get_or_init(|| Rules::load(&[crate::support::starter_rules()]).unwrap().0);
        for format in Format::ALL {
            let _ = rules.matches(&event(format, &[(&key, &value), ("EventID", &value), ("CommandLine", &value), ("type", "EXECVE")]));
        }
    }
}
