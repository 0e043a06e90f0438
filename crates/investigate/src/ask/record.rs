//! What did investigations and people conclude? Answers from what is stored, word for word.

use super::answer::{Answer, Counted, How, Line, Told};
use super::case::Case;
use super::words::Words;
use crate::Error;
use crate::report::Investigation;
use casemate_event::{Alert, Severity};
use casemate_store::Store;
use jiff::Timestamp;

/// Most alerts that an answer lists, and most items of each investigation.
const MAX_ALERTS: usize = 25;
const MAX_ITEMS: usize = 6;

/// What can be on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Verdict,
    Techniques,
    Missing,
    Next,
    Decision,
    Facts,
    Story,
    Alerts,
}

/// Words that name a topic, and words that may stand beside them.
const TOPICS: [(Topic, &[&str]); 8] = [
    (Topic::Alerts, &["alerts", "alert", "raised", "detections"]),
    (Topic::Decision, &["closed", "decided", "decision"]),
    (
        Topic::Techniques,
        &["technique", "techniques", "att&ck", "attack-techniques", "mitre", "tactic", "tactics"],
    ),
    (Topic::Missing, &["missing", "gaps", "gap", "lacking"]),
    (Topic::Next, &["next", "recommended", "recommend", "recommendation", "recommendations"]),
    (Topic::Facts, &["facts", "fact", "established"]),
    (
        Topic::Verdict,
        &["verdict", "verdicts", "conclusion", "confidence", "malicious", "benign", "concluded", "conclude"],
    ),
    (Topic::Story, &["happened", "summary", "summarise", "summarize", "story", "narrative"]),
];
const BESIDE: [&str; 44] = [
    "what",
    "which",
    "who",
    "when",
    "why",
    "how",
    "many",
    "list",
    "show",
    "give",
    "describe",
    "explain",
    "sure",
    "confident",
    "case",
    "investigation",
    "investigations",
    "overall",
    "steps",
    "step",
    "should",
    "i",
    "we",
    "do",
    "did",
    "evidence",
    "telemetry",
    "knowledge",
    "code",
    "used",
    "seen",
    "involved",
    "apply",
    "applies",
    "mapped",
    "or",
    "open",
    "currently",
    "now",
    "model",
    "analyst",
    "anybody",
    "someone",
    "attacker",
];

/// The answer from the record, if the question is about what is on record and nothing else.
pub(super) fn answer(
    answer: &Answer,
    text: &str,
    case: Option<&Case>,
    store: &Store,
    now: Timestamp,
) -> Result<Option<Answer>, Error> {
    let mut words = Words::of(text);
    let said = |topic: &[&str], words: &Words| (0..words.len()).any(|place| topic.contains(&words.at(place)));
    let Some((topic, own)) = TOPICS.iter().find(|(_, own)| said(own, &words)).copied() else {
        return Ok(None);
    };
    let mut severities = Vec::new();
    for place in 0..words.len() {
        let word = words.at(place).to_owned();
        let severity = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let severity = severity.into_iter().find(|severity| severity.name() == word);
        let as_severity = severity.filter(|_| topic == Topic::Alerts);
        severities.extend(as_severity);
        if own.contains(&word.as_str())
            || BESIDE.contains(&word.as_str())
            || as_severity.is_some()
            || word == "severity"
        {
            words.take(place);
        }
    }
    if topic == Topic::Alerts {
        return alerts(answer.clone(), &mut words, case, store, &severities, now);
    }
    let Some(case) = case else { return Ok(None) };
    if !words.left_over().is_empty() {
        return Ok(None);
    }
    let answer = answer.clone();
    let mut answer = Answer { looked_for: vec![format!("what is on record about {}", case.name)], ..answer };
    if topic == Topic::Decision {
        return Ok(Some(decision(answer, case)));
    }
    if case.investigations.is_empty() {
        let missing = vec![format!("an investigation of {}", case.name)];
        return Ok(Some(answer.unknown(&format!("{} has not been investigated", case.name), missing)));
    }
    let several = case.investigations.len() > 1;
    for report in &case.investigations {
        let told = told(topic, report);
        for Told { text, citations } in told {
            let citations = citations.iter().filter_map(|label| cite(&mut answer, report, label)).collect();
            let text = if several { format!("Alert {}: {text}", report.id) } else { text };
            answer.sentences.push(Told { text, citations });
        }
    }
    if answer.sentences.is_empty() {
        let why = format!("the record of {} says nothing of that", case.name);
        return Ok(Some(answer.unknown(&why, Vec::new())));
    }
    Ok(Some(answer.said(How::Recorded)))
}

/// What an investigation says of a topic, with its own labels.
fn told(topic: Topic, report: &Investigation) -> Vec<Told> {
    let plain = |text: String| Told { text, citations: Vec::new() };
    match topic {
        Topic::Verdict => {
            let cited = report.facts.first().map(|fact| fact.evidence.clone()).unwrap_or_default();
            vec![Told {
                text: format!(
                    "{}, confidence {:.2}, convergence {:.2}. {}",
                    capital(report.verdict.name()),
                    report.confidence,
                    report.convergence,
                    report.summary
                ),
                citations: cited,
            }]
        }
        Topic::Techniques => {
            let ids: Vec<&str> = report.techniques.iter().map(|technique| technique.id.as_str()).collect();
            if ids.is_empty() { Vec::new() } else { vec![plain(format!("{}.", ids.join(", ")))] }
        }
        Topic::Missing => {
            let items = report.missing.iter().take(MAX_ITEMS);
            items.map(|item| plain(crate::narrative::sentence_case(item))).collect()
        }
        Topic::Next => report.next_steps.iter().take(MAX_ITEMS).map(|step| plain(step.clone())).collect(),
        Topic::Facts => report
            .facts
            .iter()
            .take(MAX_ITEMS)
            .map(|fact| Told {
                text: crate::narrative::sentence_case(&fact.statement),
                citations: fact.evidence.clone(),
            })
            .collect(),
        Topic::Story => report
            .narrative
            .iter()
            .map(|sentence| Told { text: sentence.text.clone(), citations: sentence.citations.clone() })
            .collect(),
        Topic::Alerts | Topic::Decision => Vec::new(),
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The label under which this answer cites what the report cites as `label`.
fn cite(answer: &mut Answer, report: &Investigation, label: &str) -> Option<String> {
    let item = report.evidence.iter().find(|item| item.label == label)?;
    if let Some(line) = answer.evidence.iter().find(|line| line.event == item.event) {
        return Some(line.label.clone());
    }
    let own = format!("E{}", answer.evidence.len() + 1);
    answer.evidence.push(Line { label: own.clone(), ..Line::from(item) });
    Some(own)
}

fn decision(mut answer: Answer, case: &Case) -> Answer {
    let Some(closing) = &case.closed else {
        let text = format!("{} is open: nobody has closed it.", capital(&case.name));
        answer.sentences.push(Told { text, citations: Vec::new() });
        return answer.said(How::Recorded);
    };
    let text = format!(
        "{} was closed as {} by {} at {}: {}.",
        capital(&case.name),
        closing.verdict,
        crate::render::clean(&closing.by, 80),
        closing.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        crate::render::clean(&closing.reason, 300)
    );
    answer.sentences.push(Told { text, citations: Vec::new() });
    answer.said(How::Recorded)
}

/// Alerts of the case, or of the store, narrowed by severity and names.
fn alerts(
    mut answer: Answer,
    words: &mut Words,
    case: Option<&Case>,
    store: &Store,
    severities: &[Severity],
    now: Timestamp,
) -> Result<Option<Answer>, Error> {
    let day = store.alerts()?.iter().map(|alert| alert.last_time).max().unwrap_or(now);
    let day = day.to_zoned(jiff::tz::TimeZone::UTC).date();
    let span = super::time::find(words, super::time::Reference { now, day });
    let names = super::names::find(words, store, &|_| false)?;
    if !words.left_over().is_empty() {
        return Ok(None);
    }
    let mut named = Vec::new();
    for name in &names {
        match &name.what {
            super::names::What::Known(known) => named.extend(known.iter().cloned()),
            _ => return Ok(Some(super::unknown(answer, std::slice::from_ref(&name.written)))),
        }
    }
    let meant = |alert: &&Alert| {
        (severities.is_empty() || severities.contains(&alert.severity))
            && (named.is_empty() || alert.entities.iter().any(|entity| named.contains(entity)))
            && span.is_none_or(|span| {
                span.from.is_none_or(|from| alert.last_time >= from)
                    && span.to.is_none_or(|to| alert.first_time <= to)
            })
    };
    let all = match case {
        Some(case) => case.alerts.clone(),
        None => store.alerts()?,
    };
    let found: Vec<&Alert> = all.iter().filter(meant).collect();
    let mut what: Vec<String> = severities.iter().map(|severity| severity.name().to_owned()).collect();
    what.push(if found.len() == 1 { "alert" } else { "alerts" }.to_owned());
    if let Some(case) = case {
        what.push(format!("of {}", case.name));
    }
    if !names.is_empty() {
        let named: Vec<&str> = names.iter().map(|name| name.written.as_str()).collect();
        what.push(format!("about {}", named.join(" or ")));
    }
    if let Some(span) = span {
        what.push(super::typed::said(span));
    }
    let what = what.join(" ");
    answer.looked_for.push(what.clone());
    answer.total = Some(found.len() as u64);
    let first = if found.is_empty() {
        format!("None: there are no {what}.")
    } else {
        format!("{} {what}.", found.len())
    };
    answer.sentences.push(Told { text: first, citations: Vec::new() });
    answer.values = vec![Counted { value: found.len().to_string(), events: found.len() as u64 }];
    for alert in found.iter().take(MAX_ALERTS) {
        let mut citations = Vec::new();
        if let Some(id) = alert.events.first()
            && let Some(stored) = store.get(*id)?
        {
            let label = format!("E{}", answer.evidence.len() + 1);
            let line = crate::render::line(&stored.event);
            answer.evidence.push(Line { label: label.clone(), event: *id, time: stored.event.time, line });
            citations.push(label);
        }
        let text = format!(
            "Alert {} ({}, {}): {}, {} events.",
            alert.id,
            alert.severity,
            alert.first_time.strftime("%Y-%m-%d %H:%M:%S UTC"),
            crate::render::clean(&alert.title, 120),
            alert.event_count
        );
        answer.values.push(Counted { value: alert.title.clone(), events: alert.event_count });
        answer.sentences.push(Told { text, citations });
    }
    Ok(Some(answer.said(How::Recorded)))
}
