//! A finished investigation with something in every part, as the engine's own type.

use casemate_event::{AlertId, AlertOrigin, CaseId, Disposition, Entity, EntityKind, EventId, Severity};
use casemate_investigate::report::{
    AlertSummary, Answer, ContextItem, Contribution, Evidence, Fact, Investigation, Method, ModelSummary,
    PlaybookSummary, Sentence, SentenceSource, Technique, TimelineEntry, Variant,
};
use casemate_investigate::{Relation, SimilarCase, Verdict};
use jiff::Timestamp;

fn text(text: &str) -> String {
    text.to_owned()
}

fn time(at: &str) -> Timestamp {
    at.parse().unwrap()
}

fn evidence(number: u64, at: &str, line: &str, relation: Relation, count: u64) -> Evidence {
    Evidence {
        label: format!("E{number}"),
        event: EventId(number),
        time: time(at),
        host: text("ws5"),
        line: text(line),
        structural: text(line),
        why: text(relation.why()),
        relation,
        count,
        folded: Vec::new(),
    }
}

fn sentence(words: &str, citations: &[&str], source: SentenceSource) -> Sentence {
    Sentence { text: text(words), citations: citations.iter().map(|label| text(label)).collect(), source }
}

pub(crate) fn investigation(id: u64) -> Investigation {
    let lines = vec![
        evidence(1, "2026-03-02T09:14:01.12Z", "powershell.exe -EncodedCommand", Relation::Alert, 1),
        evidence(2, "2026-03-02T09:14:09.481Z", "whoami /all", Relation::Process, 3),
        evidence(3, "2026-03-02T09:15:30.007Z", "comsvcs.dll MiniDump", Relation::Process, 1),
        evidence(
            4,
            "2026-03-02T18:40:00Z",
            "echo <script>alert(1)</script> invoice\u{202e}gpj.exe",
            Relation::Near,
            1,
        ),
    ];
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
        method: Method::ModelAndFacts,
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
            variants: vec![
                Variant { wording: 0, order: 0, probability: 0.91 },
                Variant { wording: 1, order: 0, probability: 0.85 },
            ],
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
        provenance: casemate_investigate::report::Provenance::default(),
        vector: Vec::new(),
        inputs: Vec::new(),
        contributions: vec![
            Contribution { name: text("base"), weight: -1.0 },
            Contribution { name: text("office_child"), weight: 1.8 },
        ],
        timeline,
        entities: vec![Entity::new(EntityKind::Host, "ws5"), Entity::new(EntityKind::User, "alice")],
        techniques: vec![
            Technique { id: text("T1003.001"), source: text("alert"), support: 1.2 },
            Technique { id: text("T1059.001"), source: text("office_child"), support: 0.8 },
        ],
        missing: vec![text("No DNS logs of ws5 in the window")],
        next_steps: vec![text("Isolate ws5")],
        narrative: vec![
            sentence("Word started an encoded PowerShell command.", &["E1"], SentenceSource::Model),
            sentence("It dumped the memory of LSASS.", &["E3"], SentenceSource::Template),
        ],
        narrative_replaced: 1,
        playbook: PlaybookSummary { name: text("execution"), version: 1, sha256: "ab".repeat(32) },
        model: Some(ModelSummary { name: text("test-model"), sha256: "cd".repeat(32) }),
        prompt_tokens: 1500,
        generated_tokens: 90,
        seconds: [("read", 10.0), ("total", 21.5)].map(|(name, seconds)| (text(name), seconds)).into(),
        evidence: lines,
    }
}

/// As long as investigations get: every line there is room for, and more questions and facts than playbooks have given.
pub(crate) fn largest(id: u64) -> Investigation {
    let mut case = investigation(id);
    let line = "process launch process \"powershell.exe\" command \"<base64>&'…\" ".repeat(4);
    case.evidence = (1..=24)
        .map(|number| {
            let at = format!("2026-03-02T{:02}:14:{number:02}Z", number / 2);
            evidence(number, &at, &line, Relation::Process, 40)
        })
        .collect();
    case.timeline.clear();
    let labels: Vec<String> = case.evidence.iter().take(6).map(|line| line.label.clone()).collect();
    case.facts = (0..16)
        .map(|number| Fact {
            statement: format!("{number} {line}"),
            evidence: labels.clone(),
            ..case.facts[0].clone()
        })
        .collect();
    let variants: Vec<Variant> = (0..3)
        .flat_map(|wording| (0..2).map(move |order| Variant { wording, order, probability: 0.5 }))
        .collect();
    case.answers = (0..8).map(|_| Answer { variants: variants.clone(), ..case.answers[0].clone() }).collect();
    case.contributions = (0..40)
        .map(|number| Contribution { name: format!("a_term_of_the_sum_{number}"), weight: f64::from(number) })
        .collect();
    case
}
