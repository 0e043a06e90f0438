use crate::support::{event, sysmon, windows};
use casemate_detect::Rules;
use casemate_event::{Event, Format, LogSource};

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

/// Whether the first rule of `text` matches; further documents and `placeholders.yml` change it.
fn check_files(text: &str, placeholders: &str, event: &Event, expected: bool) {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("rule.yml"), text).unwrap();
    fs_err::write(dir.path().join("placeholders.yml"), placeholders).unwrap();
    let (rules, problems) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    assert_eq!(!rules.matches(event).is_empty(), expected, "{text}\n{:?}", event.native);
}

#[test]
fn placeholders_are_a_sites_own_lists() {
    let rule = |item: &str| {
        format!(
            "title: T\nlogsource: {PROCESS}\ndetection:\n  selection:\n    {item}\n  condition: selection\n"
        )
    };
    let lists = "admins: [ann, 'svc_*']\nnumbers: [7, 8]\n";
    let run = |user| sysmon(1, &[("User", user), ("CommandLine", "run 8 as ann"), ("ProcessId", "8")]);
    let admins = rule("User|expand: '%admins%'");
    check_files(&admins, lists, &run("Ann"), true);
    check_files(&admins, lists, &run("svc_backup"), true);
    check_files(&admins, lists, &run("%admins%"), false);
    check_files(&rule(r"User|expand|endswith: '\\%admins%'"), lists, &run("LAB\\ann"), true);
    check_files(&rule("CommandLine|expand|contains: '%numbers% as %admins%'"), lists, &run("x"), true);
    check_files(&rule("ProcessId|expand: '%numbers%'"), lists, &run("x"), true);
    check_files(&rule("User|expand: 'no%'"), lists, &run("no%"), true);
    check_files(&rule(r"User|expand: '\%x%admins%'"), lists, &run("%xann"), true);
    check_files(&rule(r"User|expand: '\%admins%'"), lists, &run("%admins%"), true);
    check_files(&rule("User: '%admins%'"), lists, &run("ann"), false);
}

#[test]
fn filters_leave_out_what_they_name() {
    // The rule's own `1 of *_main` must not select the filter's `selection_main`.
    let text = format!(
        "title: T\nname: the_rule\nlogsource: {PROCESS}\ndetection:\n  rule_main:\n    CommandLine|contains: run\n  \
         condition: 1 of *_main\n---\ntitle: F\nlogsource: {{product: windows}}\nfilter:\n  rules: [the_rule]\n  \
         selection_main:\n    User: ann\n  condition: not selection_main\n---\ntitle: G\nlogsource: {{product: windows}}\n\
         filter:\n  rules: any\n  selection_a:\n    Image: x\n  selection_b:\n    Image: y\n  condition: not 1 of selection_*\n"
    );
    let run = |line, user, image| sysmon(1, &[("CommandLine", line), ("User", user), ("Image", image)]);
    check_files(&text, "{}", &run("run it", "bob", "z"), true);
    check_files(&text, "{}", &run("run it", "ann", "z"), false);
    check_files(&text, "{}", &run("run it", "bob", "y"), false);
    check_files(&text, "{}", &run("walk", "bob", "z"), false);
}

#[test]
fn every_modifier_of_the_specification() {
    let wide: String = "cmd".bytes().flat_map(|byte| [byte as char, '\0']).collect();
    let launch = sysmon(
        1,
        &[
            ("CommandLine", "powershell -enc aQBlAHgA"),
            ("Offset", "xxaHR0cDovL2V2aWwudGVzdAxx"),
            ("Encoded", "Y21kIC9j"),
            ("Wide", "x"),
            ("Raw", &wide),
            ("Lines", "first\nSecond line\nthird"),
            ("Size", "42"),
            ("Image", "C:\\a.exe"),
            ("ParentImage", "c:\\A.EXE"),
            ("Tail", "A.exe"),
            ("Stars", "a*b"),
            ("Address", "10.1.2.3"),
            ("Address6", "fe80::1"),
        ],
    );
    for (item, expected) in [
        ("CommandLine|contains: ' -ENC '", true),
        ("CommandLine|startswith: PowerShell", true),
        ("CommandLine|startswith|cased: PowerShell", false),
        ("CommandLine|endswith: 'hgA'", true),
        ("CommandLine|contains|all: [power, shell, enc]", true),
        ("CommandLine|contains|all: [power, shell, bash]", false),
        ("Encoded|base64: 'cmd /c'", true),
        ("Offset|base64offset|contains: 'http://evil.test'", true),
        ("CommandLine|wide|base64offset|contains: iex", true),
        ("CommandLine|utf16le|base64offset|contains: iex", true),
        ("Raw|wide: cmd", true),
        ("CommandLine|windash|contains: ' /enc '", true),
        ("CommandLine|windash|contains: ' \u{2014}enc '", false),
        ("Address|cidr: 10.0.0.0/8", true),
        ("Address6|cidr: 'fe80::/10'", true),
        ("Address|cidr: 192.168.0.0/16", false),
        ("Lines|re: '^Second'", false),
        ("Lines|re|m: '^Second'", true),
        ("Lines|re|m|i: '^second LINE$'", true),
        ("Lines|re: 'first.Second'", false),
        ("Lines|re|s: 'first.Second'", true),
        ("Image|fieldref: ParentImage", true),
        ("Image|fieldref: CommandLine", false),
        ("Image|exists: true", true),
        ("Nothing|exists: true", false),
        ("Nothing|exists: false", true),
        ("Size|gt: 41", true),
        ("Size|gt: 42", false),
        ("Size|gte: 42", true),
        ("Size|lt: 100", true),
        ("Size|lte: 41", false),
        ("Image: ['C:\\\\*.exe', x]", true),
        ("Image: 'C:\\\\?.exe'", true),
        ("Image: 'C:\\\\??.exe'", false),
        ("Image: '*'", true),
        ("Nothing: null", true),
        ("Image: ''", false),
        ("Lines: 'first*third'", true),
        ("Lines|contains: 'rst*thi'", true),
        ("Lines|contains: 'rst?Second'", true),
        ("Lines|startswith: 'fi*Second'", true),
        ("Image|fieldref|endswith: Tail", true),
        ("Image|fieldref|startswith: Tail", false),
        ("'|all': ['powershell', 'a.exe']", true),
        ("'|all': ['powershell', 'b.exe']", false),
        ("Image|contains: 'A.E'", true),
        ("Image|contains|cased: 'A.E'", false),
        ("Stars: 'a\\*b'", true),
        ("Stars: 'a\\?b'", false),
    ] {
        println!("{item}");
        check(PROCESS, &format!("  selection:\n    {item}"), &launch, expected);
    }
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
    let layers = [("requestParameters.layers.0.arn", "one"), ("requestParameters.layers.1.arn", "two")];
    let call = event(Format::CloudTrail, &layers);
    check(aws, "  selection:\n    requestParameters.layers|contains: TWO", &call, true);
    check(aws, "  selection:\n    requestParameters.layers.arn: one", &call, true);
    check(aws, "  selection:\n    requestParameters.layer|contains: two", &call, false);
    check(aws, "  selection:\n    requestParameters.layers: null", &call, false);
    let flow = event(Format::ZeekJson, &[("_path", "conn"), ("id.resp_p", "445")]);
    check("{product: zeek, service: conn}", "  selection:\n    id.resp_p: 445", &flow, true);
    check("{product: zeek, service: dns}", "  selection:\n    id.resp_p: 445", &flow, false);
}

#[test]
fn mapping_files_place_their_formats() {
    let vendor = Format::Mapped(casemate_event::MappingName::new("some_vendor").unwrap());
    let place = LogSource {
        product: "vendor".to_owned(),
        services: vec!["audit".to_owned()],
        fields: [("data.who".to_owned(), "actor".to_owned())].into_iter().collect(),
        ..LogSource::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let rule = "title: T\nlogsource: {product: vendor, service: audit}\ndetection:\n  s:\n    data.who: ann\n  condition: s\n";
    fs_err::write(dir.path().join("rule.yml"), rule).unwrap();
    let (mut rules, _) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    let by = |name| event(vendor, &[("actor", name)]);
    assert_eq!((rules.matches(&by("ann")).len(), rules.without_source().count()), (0, 1));
    rules.set_log_sources([(vendor, place)]);
    assert_eq!((rules.matches(&by("ann")).len(), rules.without_source().count()), (1, 0));
    assert_eq!(rules.matches(&by("bob")).len(), 0);
    // A list in the record: its members have their places in their names.
    let members = event(vendor, &[("actor.0.name", "bob"), ("actor.1.name", "ann")]);
    assert_eq!(rules.matches(&members).len(), 1);
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
