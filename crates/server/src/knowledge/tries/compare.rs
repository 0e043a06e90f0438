//! What is different between an investigation and the same made again, and what do people say of it?

use crate::knowledge::agrees;
use casemate_event::{AlertId, Disposition};
use casemate_investigate::report::{Investigation, Method};
use casemate_investigate::{Rejudged, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Facts, answers and other changes that are listed of a case.
const LISTED: usize = 60;

/// One past case, then and now.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Case {
    pub(crate) alert: AlertId,
    pub(crate) title: String,
    pub(crate) then: Side,
    /// Nothing where it could not be made again.
    pub(crate) now: Option<Side>,
    /// Why not.
    pub(crate) problem: Option<String>,
    pub(crate) changed: bool,
    /// How a person closed it.
    pub(crate) closed: Option<Disposition>,
    /// Whether what is said now agrees with that person and did not before, or the other way round.
    pub(crate) agreement: Option<Turned>,
    /// Whether evidence was looked for anew.
    pub(crate) retrieved_anew: bool,
    /// What else is not as it was then: a difference may come from that.
    pub(crate) also_changed: Vec<String>,
    /// Facts of either side.
    pub(crate) facts: Vec<Line>,
    /// Answers of either side.
    pub(crate) answers: Vec<Line>,
    /// Lines of evidence on both sides, only then, and only now.
    pub(crate) evidence: [usize; 3],
}

/// What one of the two said.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Side {
    pub(crate) verdict: Verdict,
    pub(crate) confidence: f64,
    pub(crate) probability: f64,
    pub(crate) convergence: f64,
    pub(crate) playbook: String,
    pub(crate) version: u32,
    pub(crate) method: String,
    pub(crate) seconds: f64,
}

/// How agreement with a person turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Turned {
    Gained,
    Lost,
}

/// Something both sides may say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) then: Option<String>,
    pub(crate) now: Option<String>,
    pub(crate) changed: bool,
}

/// Many cases in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) cases: usize,
    pub(crate) failed: usize,
    pub(crate) changed: usize,
    /// Of those that people closed.
    pub(crate) closed: usize,
    pub(crate) agreed_then: usize,
    pub(crate) agreed_now: usize,
    pub(crate) gained: Vec<AlertId>,
    pub(crate) lost: Vec<AlertId>,
    /// Closed as attacks, and said to be benign now but not then.
    pub(crate) newly_missed: Vec<AlertId>,
    /// From which verdict to which, how often.
    pub(crate) moves: BTreeMap<String, usize>,
}

impl Case {
    /// A case that was made again.
    pub(crate) fn new(made: &Rejudged, closed: Option<Disposition>) -> Self {
        let (then, now) = (&made.made.stored, &made.made.now);
        let mut case = Self::alone(then, closed);
        let agreed = |report: &Investigation| closed.and_then(|closed| agrees(report.verdict.name(), closed));
        case.agreement = match (agreed(then), agreed(now)) {
            (Some(true), Some(true)) => None,
            (_, Some(true)) => Some(Turned::Gained),
            (Some(true), _) => Some(Turned::Lost),
            _ => None,
        };
        case.now = Some(Side::of(now));
        case.changed = then.verdict != now.verdict;
        case.retrieved_anew = made.retrieved_anew;
        case.also_changed = made.made.changed();
        case.also_changed.retain(|what| !what.starts_with("playbook "));
        case.facts = facts(then, now);
        case.answers = answers(then, now);
        let (before, after) = (then.shown(), now.shown());
        let both = before.intersection(&after).count();
        case.evidence = [both, before.len() - both, after.len() - both];
        case
    }

    /// A case that could not be made again.
    pub(crate) fn failed(then: &Investigation, closed: Option<Disposition>, why: String) -> Self {
        Self { problem: Some(why), ..Self::alone(then, closed) }
    }

    fn alone(then: &Investigation, closed: Option<Disposition>) -> Self {
        Self {
            alert: then.id,
            title: then.alert.title.clone(),
            then: Side::of(then),
            now: None,
            problem: None,
            changed: false,
            closed,
            agreement: None,
            retrieved_anew: false,
            also_changed: Vec::new(),
            facts: Vec::new(),
            answers: Vec::new(),
            evidence: [0; 3],
        }
    }
}

impl Side {
    fn of(report: &Investigation) -> Self {
        Self {
            verdict: report.verdict,
            confidence: report.confidence,
            probability: report.probability,
            convergence: report.convergence,
            playbook: report.playbook.name.clone(),
            version: report.playbook.version,
            method: match &report.method {
                Method::ModelAndFacts => "model and facts".to_owned(),
                Method::Settled => "settled before the model was asked".to_owned(),
                Method::FactsOnly(why) => format!("facts only: {why}"),
            },
            seconds: report.seconds.get("total").copied().unwrap_or_default(),
        }
    }
}

fn facts(then: &Investigation, now: &Investigation) -> Vec<Line> {
    let all = |report: &Investigation| -> Vec<(String, String, String)> {
        let said = report.facts.iter();
        said.map(|fact| (fact.name.clone(), fact.statement.clone(), format!("{:+.1}", fact.weight))).collect()
    };
    lines(all(then), all(now))
}

fn answers(then: &Investigation, now: &Investigation) -> Vec<Line> {
    let all = |report: &Investigation| -> Vec<(String, String, String)> {
        let given = report.answers.iter();
        given
            .map(|answer| {
                let said = format!("{} ({:.2})", answer.answer, answer.probability);
                (answer.id.clone(), answer.question.clone(), said)
            })
            .collect()
    };
    lines(all(then), all(now))
}

/// What both sides say of each name: name, text for people, what is said. What differs comes first.
fn lines(then: Vec<(String, String, String)>, now: Vec<(String, String, String)>) -> Vec<Line> {
    let mut all: BTreeMap<String, Line> = BTreeMap::new();
    for (is_now, (name, text, said)) in
        then.into_iter().map(|one| (false, one)).chain(now.into_iter().map(|one| (true, one)))
    {
        let line = all.entry(name.clone()).or_insert_with(|| Line {
            name,
            text: String::new(),
            then: None,
            now: None,
            changed: false,
        });
        line.text = text;
        *(if is_now { &mut line.now } else { &mut line.then }) = Some(said);
    }
    let mut lines: Vec<Line> =
        all.into_values().map(|line| Line { changed: line.then != line.now, ..line }).collect();
    lines.sort_by_key(|line| !line.changed);
    lines.truncate(LISTED);
    lines
}

impl Summary {
    pub(crate) fn of(cases: &[Case]) -> Self {
        let mut summary = Self { cases: cases.len(), ..Self::default() };
        for case in cases {
            let Some(now) = &case.now else {
                summary.failed += 1;
                continue;
            };
            if case.changed {
                summary.changed += 1;
                let moved = format!("{} → {}", case.then.verdict, now.verdict);
                *summary.moves.entry(moved).or_default() += 1;
            }
            match case.agreement {
                Some(Turned::Gained) => summary.gained.push(case.alert),
                Some(Turned::Lost) => summary.lost.push(case.alert),
                None => {}
            }
            let Some(closed) = case.closed else { continue };
            summary.closed += 1;
            let agreed = |verdict: Verdict| agrees(verdict.name(), closed) == Some(true);
            summary.agreed_then += usize::from(agreed(case.then.verdict));
            summary.agreed_now += usize::from(agreed(now.verdict));
            let is_missed = |verdict| closed == Disposition::Malicious && verdict == Verdict::Benign;
            if is_missed(now.verdict) && !is_missed(case.then.verdict) {
                summary.newly_missed.push(case.alert);
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, said: &str) -> (String, String, String) {
        (name.to_owned(), format!("about {name}"), said.to_owned())
    }

    #[test]
    fn what_differs_comes_first() {
        let lines = lines(vec![said("a", "1"), said("b", "2")], vec![said("a", "1"), said("c", "3")]);
        let names: Vec<(&str, bool)> = lines.iter().map(|line| (line.name.as_str(), line.changed)).collect();
        assert_eq!(names, [("b", true), ("c", true), ("a", false)]);
        assert_eq!((lines[1].then.as_deref(), lines[1].now.as_deref()), (None, Some("3")));
    }

    fn case(alert: u64, then: Verdict, now: Verdict, closed: Option<Disposition>) -> Case {
        let side = |verdict| Side {
            verdict,
            confidence: 0.9,
            probability: 0.5,
            convergence: 1.0,
            playbook: "p".to_owned(),
            version: 1,
            method: String::new(),
            seconds: 0.0,
        };
        Case {
            alert: AlertId(alert),
            title: String::new(),
            then: side(then),
            now: Some(side(now)),
            problem: None,
            changed: then != now,
            closed,
            agreement: None,
            retrieved_anew: false,
            also_changed: Vec::new(),
            facts: Vec::new(),
            answers: Vec::new(),
            evidence: [0; 3],
        }
    }

    #[test]
    fn missed_attacks_are_named() {
        let (attack, harmless) = (Some(Disposition::Malicious), Some(Disposition::Benign));
        let summary = Summary::of(&[
            case(1, Verdict::Malicious, Verdict::Benign, attack),
            case(2, Verdict::Benign, Verdict::Benign, harmless),
            case(3, Verdict::Inconclusive, Verdict::Benign, harmless),
            case(4, Verdict::Benign, Verdict::Malicious, None),
        ]);
        assert_eq!(summary.newly_missed, [AlertId(1)]);
        assert_eq!((summary.changed, summary.closed), (3, 3));
        assert_eq!((summary.agreed_then, summary.agreed_now), (2, 2));
        assert_eq!(summary.moves["benign → malicious"], 1);
    }
}
