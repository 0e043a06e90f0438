//! What is told to whoever asks?

use crate::report::{Evidence, ModelSummary};
use casemate_event::EventId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An answer with what it rests on. The same question over the same store gives the same, but for `seconds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question as asked.
    pub question: String,
    /// What was found, in words; begins with "I don't know" if it was not.
    pub answer: String,
    /// Whether the evidence answers the question.
    pub known: bool,
    /// How it was reached.
    pub how: How,
    /// The answer sentence by sentence, each with the labels of its evidence.
    pub sentences: Vec<Told>,
    /// Values that were asked for, the most frequent first, with how many events hold each.
    pub values: Vec<Counted>,
    /// Events cited or shown to the reader, in order of their labels.
    pub evidence: Vec<Line>,
    /// What was searched, in the query language: `/search` takes it as it stands.
    pub query: Option<String>,
    /// Events that match the query.
    pub total: Option<u64>,
    /// Whether the figures are exact; else there are so many at most.
    pub exact: bool,
    /// What was looked for, in words.
    pub looked_for: Vec<String>,
    /// What would be needed to know, where it is not known.
    pub missing: Vec<String>,
    /// Sentences of the model that their evidence did not bear out, left out.
    pub removed: u64,
    /// How sure the model was that the evidence answers the question, 0 to 1, where it was asked.
    #[serde(serialize_with = "crate::report::maybe_figure")]
    pub answerable: Option<f64>,
    /// What it rests on beside the evidence.
    pub provenance: Provenance,
    /// Seconds by step; the only part that differs between two runs.
    pub seconds: BTreeMap<String, f64>,
}

/// How an answer was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Counted in the store by code; no model took part.
    Counted,
    /// From a stored investigation or decision.
    Recorded,
    /// Written by the model over retrieved evidence, each sentence checked against what it cites.
    Read,
    /// Nothing answered it.
    Unanswered,
}

/// A sentence and the labels of the evidence that bears it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The sentence.
    pub text: String,
    /// Labels in [`Answer::evidence`].
    pub citations: Vec<String>,
}

/// A value and how many events hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// As logged.
    pub value: String,
    /// Events.
    pub events: u64,
}

/// An event that an answer cites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `E1`, `E2` …
    pub label: String,
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// As it is shown to the reader: canonical, bounded, quoted.
    pub line: String,
}

/// What an answer rests on beside its evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// The model, if it was asked.
    pub model: Option<ModelSummary>,
    /// SHA-256 over all tokens that the model read.
    pub prompt_sha256: Option<String>,
    /// Instructions that computed.
    pub computed_by: Option<String>,
}

/// What happens while a question is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Progress {
    /// The evidence.
    Evidence {
        /// Its lines.
        lines: Vec<Line>,
    },
    /// A piece of what the model writes, not checked yet.
    Token {
        /// The piece.
        text: String,
    },
    /// A sentence that its evidence bears out.
    Sentence(Told),
}

impl Answer {
    pub(super) fn new(question: &str) -> Self {
        Self {
            question: question.to_owned(),
            answer: String::new(),
            known: false,
            how: How::Unanswered,
            sentences: Vec::new(),
            values: Vec::new(),
            evidence: Vec::new(),
            query: None,
            total: None,
            exact: true,
            looked_for: Vec::new(),
            missing: Vec::new(),
            removed: 0,
            answerable: None,
            provenance: Provenance { version: env!("CARGO_PKG_VERSION").to_owned(), ..Provenance::default() },
            seconds: BTreeMap::new(),
        }
    }

    /// Says that it is not known, and what would be needed.
    pub(super) fn unknown(mut self, why: &str, missing: Vec<String>) -> Self {
        self.known = false;
        self.how = How::Unanswered;
        self.sentences.clear();
        self.answer = format!("I don't know: {why}.");
        self.missing = missing;
        self
    }

    /// Puts the sentences together.
    pub(super) fn said(mut self, how: How) -> Self {
        self.known = true;
        self.how = how;
        self.answer = self.sentences.iter().map(|told| told.text.as_str()).collect::<Vec<_>>().join(" ");
        self
    }

    /// Events that its sentences cite, ascending.
    pub fn cited(&self) -> Vec<EventId> {
        let labels: BTreeSet<&String> = self.sentences.iter().flat_map(|told| &told.citations).collect();
        let cited = self.evidence.iter().filter(|line| labels.contains(&line.label)).map(|line| line.event);
        cited.collect::<BTreeSet<EventId>>().into_iter().collect()
    }

    /// SHA-256 over the answer without `seconds`.
    pub fn sha256(&self) -> String {
        let timeless = Self { seconds: BTreeMap::new(), ..self.clone() };
        // What is made of strings and numbers can be written as JSON.
        crate::hash::sha256_hex(&serde_json::to_vec(&timeless).unwrap_or_default())
    }

    /// What the audit record says of it.
    pub fn entry(&self, by: &str) -> casemate_audit::Entry {
        let evidence: Vec<EventId> = self.evidence.iter().map(|line| line.event).collect();
        let what = serde_json::json!({
            "known": self.known,
            "how": self.how,
            "evidence": evidence,
            "cited": self.cited(),
            "query": self.query,
            "provenance": self.provenance,
            "answer_sha256": self.sha256(),
        });
        casemate_audit::Entry::new(by, "ask", self.question.clone(), what)
    }
}

impl From<&Evidence> for Line {
    fn from(item: &Evidence) -> Self {
        Self { label: item.label.clone(), event: item.event, time: item.time, line: item.line.clone() }
    }
}
