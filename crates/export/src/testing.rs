//! A dossier for tests, and what attackers write into logs.
#![allow(clippy::unwrap_used)]

use crate::Dossier;
use casemate_event::{
    AlertId, AlertOrigin, CaseId, Class, Closing, Disposition, Entity, EntityKind, Event, EventId, Fields,
    Format, Severity, Subject, TemplateId, TimeQuality, field,
};
use casemate_investigate::report::{
    AlertSummary, Answer, ContextItem, Contribution, Evidence, Fact, Method, ModelSummary, PlaybookSummary,
    Provenance, Sentence, SentenceSource, Technique, TimelineEntry, Variant,
};
use casemate_investigate::{Investigation, Relation, SimilarCase, Verdict};
use jiff::Timestamp;
use proptest::prelude::*;

/// What has broken formats before, and any text.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("=cmd|'/c calc'!A1".to_owned()),
        Just("</script><img src=x onerror=alert(1)>".to_owned()),
        Just("invoice\u{202e}gpj.exe \u{200b}\u{feff}".to_owned()),
        Just(") Tj ET endstream endobj (\\".to_owned()),
        Just(
            "| a | b |\n# h\n```\n[x](javascript:1) http://evil.example www.evil.example <a@b.c>".to_owned()
        ),
        Just("\u{0}\u{1b}[31m\u{7f}\u{85}".to_owned()),
        Just("מַלְוָה كلمة 密码 🦀 é".to_owned()),
        Just("x".repeat(20_000)),
        Just("[ipv4-addr:value = '1' OR '1' = '1']".to_owned()),
        ".{0,200}",
        "\\PC{0,200}",
    ]
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A launch with all that such events hold.
fn event(number: u64, at: &str, command: &str) -> Event {
    let fields: Fields = [
        (field::DEVICE_HOSTNAME, "WS5.example.org"),
        (field::ACTOR_USER, "alice"),
        (field::PROCESS_PATH, r"C:\Users\alice\AppData\Local\Temp\payload.exe"),
        (field::PROCESS_NAME, "payload.exe"),
        (field::PROCESS_CMD_LINE, command),
        (field::PROCESS_PID, "4711"),
        (field::PROCESS_SHA256, &"ab".repeat(32)),
        (field::PARENT_PROCESS_PATH, r"C:\Windows\explorer.exe"),
        (field::PARENT_PROCESS_PID, "50"),
        (field::SRC_IP, "10.0.0.5"),
        (field::SRC_PORT, "50000"),
        (field::DST_IP, "9.9.9.9"),
        (field::DST_PORT, "443"),
        (field::PROTOCOL, "tcp"),
        (field::QUERY_HOSTNAME, "c2.evil-domain.net"),
        (field::REGISTRY_KEY, r"HKLM\Software\Run"),
    ]
    .into_iter()
    .collect();
    Event {
        time: time(at),
        time_quality: TimeQuality::Stated,
        format: Format::WindowsJson,
        class: Class::ProcessActivity,
        source: text("windows.json"),
        position: number,
        message: text(command),
        fields,
        native: Fields::default(),
        raw: command.as_bytes().to_vec(),
        template: TemplateId(1),
        template_text: String::new(),
    }
}

fn evidence(number: u64, at: &str, line: &str, relation: Relation) -> Evidence {
    Evidence {
        label: format!("E{number}"),
        event: EventId(number),
        time: time(at),
        host: text("ws5"),
        line: text(line),
        structural: text(line),
        why: text(relation.why()),
        relation,
        count: if number == 2 { 3 } else { 1 },
        folded: if number == 2 { vec![EventId(11)] } else { Vec::new() },
    }
}

pub(crate) const LINES: [(&str, &str, Relation); 4] = [
    ("2026-03-02T09:14:01.12Z", "powershell.exe -EncodedCommand", Relation::Alert),
    ("2026-03-02T09:14:09.481Z", "whoami /all", Relation::Process),
    ("2026-03-02T09:15:30.007Z", "comsvcs.dll MiniDump", Relation::Process),
    ("2026-03-02T18:40:00Z", "echo <script>alert(1)</script> invoice\u{202e}gpj.exe", Relation::Near),
];

pub(crate) fn investigation(id: u64) -> Investigation {
    let lines: Vec<Evidence> =
        (1..).zip(LINES).map(|(number, (at, line, relation))| evidence(number, at, line, relation)).collect();
    let timeline = lines
        .iter()
        .map(|line| TimelineEntry {
            time: line.time,
            label: line.label.clone(),
            text: line.line.clone(),
            lane: line.host.clone(),
        })
        .collect();
    Investigation {
        id: AlertId(id),
        alert: AlertSummary {
            id: AlertId(id),
            title: text("PowerShell with an encoded command"),
            severity: Severity::High,
            origin: AlertOrigin::Rule(text("rule-1")),
            first_time: lines[0].time,
            last_time: lines[0].time,
            event_count: 1,
        },
        verdict: Verdict::Malicious,
        confidence: 0.91,
        probability: 0.91,
        convergence: 0.83,
        summary: text("An Office document started an encoded command, which dumped LSASS."),
        method: Method::FactsOnly(text("no model was given")),
        context: vec![ContextItem {
            label: text("S1"),
            text: text("WINWORD.EXE starting powershell.exe was never seen at this site before"),
            rests_on: text("logs: 4000 events in 300 hours of 20 days"),
        }],
        cited: vec![EventId(1), EventId(3)],
        facts: vec![Fact {
            name: text("office_child"),
            statement: text("WINWORD.EXE started powershell.exe"),
            evidence: vec![text("E1")],
            context: vec![text("S1")],
            weight: 1.8,
        }],
        answers: vec![Answer {
            id: text("dump"),
            question: text("Was credential material read?"),
            answer: text("yes"),
            sentence: text("Credential material was read."),
            probability: 0.88,
            threshold: 0.7,
            weight: 0.4,
            variants: vec![Variant { wording: 0, order: 0, probability: 0.91 }],
            evidence: vec![text("E3")],
        }],
        variants: Vec::new(),
        head: None,
        states: None,
        features: Vec::new(),
        reused_from: None,
        similar_closed: vec![SimilarCase {
            alert: AlertId(2),
            case: CaseId(1),
            verdict: Disposition::Benign,
            reason: text("an exercise <i>of</i> ours"),
            by: text("mira"),
            at: time("2026-03-01T08:00:00Z"),
            similarity: 0.91,
            same_rule: true,
            same_technique: true,
        }],
        rests_on: Vec::new(),
        provenance: Provenance::default(),
        vector: Vec::new(),
        inputs: Vec::new(),
        contributions: vec![Contribution { name: text("base"), weight: -1.0 }],
        timeline,
        entities: vec![
            Entity::new(EntityKind::Host, "ws5"),
            Entity::new(EntityKind::User, "alice"),
            Entity::new(EntityKind::Ip, "9.9.9.9"),
            Entity::new(EntityKind::Hash, &"ab".repeat(32)),
        ],
        techniques: vec![
            Technique { id: text("T1003.001"), source: text("alert"), support: 1.2 },
            Technique { id: text("T1059.001"), source: text("office_child"), support: 0.8 },
        ],
        missing: vec![text("No DNS logs of ws5 in the window")],
        next_steps: vec![text("Isolate ws5")],
        narrative: vec![Sentence {
            text: text("Word started an encoded PowerShell command."),
            citations: vec![text("E1")],
            source: SentenceSource::Model,
        }],
        narrative_replaced: 1,
        playbook: PlaybookSummary { name: text("execution"), version: 1, sha256: "ab".repeat(32) },
        model: Some(ModelSummary { name: text("test-model"), sha256: "cd".repeat(32) }),
        prompt_tokens: 1500,
        generated_tokens: 90,
        seconds: [(text("total"), 21.5)].into(),
        evidence: lines,
    }
}

/// One malicious investigation with its events, closed by a person.
pub(crate) fn dossier() -> Dossier {
    let mut events: std::collections::BTreeMap<EventId, Event> =
        (1..).zip(LINES).map(|(number, (at, line, _))| (EventId(number), event(number, at, line))).collect();
    events.insert(EventId(11), event(11, "2026-03-02T09:14:12Z", "whoami /groups"));
    Dossier {
        subject: Subject::Alert(AlertId(3)),
        investigations: vec![investigation(3)],
        case: None,
        waiting: Vec::new(),
        closing: Some(Closing {
            verdict: Disposition::Malicious,
            reason: text("dumped LSASS"),
            by: text("mira"),
            at: time("2026-03-03T08:00:00Z"),
            by_machine: false,
        }),
        events,
        unread: 0,
        made: time("2026-03-04T08:00:00Z"),
    }
}

/// A case of several investigations.
pub(crate) fn case(count: u64) -> Dossier {
    let investigations: Vec<Investigation> = (1..=count).map(investigation).collect();
    let member = |id| casemate_event::Member { alert: AlertId(id), joined: text("the same host (alert 1)") };
    Dossier {
        subject: Subject::Case(CaseId(7)),
        case: Some(casemate_event::Case {
            id: CaseId(7),
            alerts: (1..=count).map(member).collect(),
            related: Vec::new(),
            closed: None,
            assigned: Some(casemate_event::Assigned {
                to: text("mira"),
                by: text("mira"),
                at: time("2026-03-03T08:00:00Z"),
            }),
        }),
        waiting: vec![crate::Waiting { alert: AlertId(99), title: text("another alert") }],
        closing: None,
        investigations,
        ..dossier()
    }
}
