//! What is exported: investigations, the events they rest on, and what people decided.

use casemate_event::{AlertId, Case, Closing, Event, EventId, Severity, Subject};
use casemate_investigate::report::{Evidence, Technique};
use casemate_investigate::{Investigation, Verdict, techniques_of};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

/// Everything an export is made of.
#[derive(Debug, Clone)]
pub struct Dossier {
    /// The alert that was investigated, or the case.
    pub subject: Subject,
    /// The investigations, in order of alerts; at least one.
    pub investigations: Vec<Investigation>,
    /// The case, if it is one's.
    pub case: Option<Case>,
    /// Alerts of the case that were not investigated.
    pub waiting: Vec<Waiting>,
    /// What a person decided.
    pub closing: Option<Closing>,
    /// Events that the evidence stands for, as far as they were read.
    pub events: BTreeMap<EventId, Event>,
    /// Events of the evidence that were not read: more than are exported, or deleted by now.
    pub unread: usize,
    /// When the export is made.
    pub made: Timestamp,
}

/// An alert that was not investigated.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its number.
    pub alert: AlertId,
    /// What it claims.
    pub title: String,
}

impl Dossier {
    /// Whether it is a case's.
    pub(crate) fn is_case(&self) -> bool {
        matches!(self.subject, Subject::Case(_))
    }

    /// `investigation 3` or `case 2`.
    pub(crate) fn name(&self) -> String {
        match self.subject {
            Subject::Alert(id) => format!("investigation {id}"),
            Subject::Case(id) => format!("case {id}"),
        }
    }

    /// `investigation-3` or `case-2`.
    pub(crate) fn reference(&self) -> String {
        self.name().replace(' ', "-")
    }

    /// The investigation that says most: the gravest verdict, of equals the most severe alert, of equals the first.
    pub(crate) fn gravest(&self) -> Option<&Investigation> {
        let rank = |verdict| match verdict {
            Verdict::Malicious => 3,
            Verdict::Suspicious => 2,
            Verdict::Inconclusive => 1,
            Verdict::Benign => 0,
        };
        self.investigations
            .iter()
            .rev()
            .max_by_key(|case| (rank(case.verdict), case.alert.severity, (case.confidence * 1e6) as u64))
    }

    /// The gravest verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        self.gravest().map_or(Verdict::Inconclusive, |case| case.verdict)
    }

    pub(crate) fn title(&self) -> &str {
        self.gravest().map_or("", |case| &case.alert.title)
    }

    pub(crate) fn severity(&self) -> Severity {
        let all = self.investigations.iter().map(|case| case.alert.severity);
        all.max().unwrap_or(Severity::Informational)
    }

    /// Times of the first and the last event of the alerts.
    pub(crate) fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.investigations.iter().map(|case| case.alert.first_time).min();
        let last = self.investigations.iter().map(|case| case.alert.last_time).max();
        (first.unwrap_or(self.made), last.unwrap_or(self.made))
    }

    /// Techniques of all, the best supported first.
    pub(crate) fn techniques(&self) -> Vec<Technique> {
        match self.investigations.as_slice() {
            [one] => one.techniques.clone(),
            all => techniques_of(all),
        }
    }

    /// Evidence of all in order of time, each with its investigation; the same event of two investigations twice.
    pub(crate) fn evidence(&self) -> Vec<(&Investigation, &Evidence)> {
        let of = |case| move |item| (case, item);
        let mut all: Vec<(&Investigation, &Evidence)> =
            self.investigations.iter().flat_map(|case| case.evidence.iter().map(of(case))).collect();
        all.sort_by_key(|(case, item)| (item.time, item.event, case.id));
        all
    }

    /// The report as JSON: of an investigation as it is stored, of a case all of them with what is known of the case.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        if let (Subject::Alert(_), [one]) = (self.subject, self.investigations.as_slice()) {
            return serde_json::to_vec(one);
        }
        let waiting = |row: &Waiting| json!({ "alert": row.alert, "title": row.title });
        serde_json::to_vec(&json!({
            "case": self.case,
            "verdict": self.verdict(),
            "techniques": self.techniques(),
            "closed": self.closing,
            "investigations": self.investigations,
            "not_investigated": self.waiting.iter().map(waiting).collect::<Vec<_>>(),
        }))
    }
}

/// Labels of the evidence that speaks for a technique; none where only a rule of another event names it.
pub(crate) fn labels_of<'a>(case: &'a Investigation, technique: &Technique) -> Vec<&'a str> {
    if technique.source == "alert" {
        let own = |item: &&Evidence| item.relation == casemate_investigate::Relation::Alert;
        return case.evidence.iter().filter(own).map(|item| item.label.as_str()).collect();
    }
    let facts = case.facts.iter().filter(|fact| fact.name == technique.source);
    let mut labels: Vec<&str> = facts.flat_map(|fact| &fact.evidence).map(String::as_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
