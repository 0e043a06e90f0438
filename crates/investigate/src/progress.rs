use crate::report::{SentenceSource, Verdict};
use serde::Serialize;

/// A step of an investigation, as it happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Progress {
    /// A stage begins.
    Stage {
        /// `retrieve`, `facts`, `read`, `ask`, `narrate`.
        name: &'static str,
    },
    /// The evidence was chosen.
    Evidence {
        /// Lines of evidence.
        count: usize,
        /// Events they were chosen from.
        candidates: usize,
    },
    /// Code established a fact.
    Fact {
        /// Name of the predicate.
        name: String,
        /// What it says.
        statement: String,
        /// Signed logits.
        weight: f64,
    },
    /// The model is reading the evidence.
    Reading {
        /// Which order of the evidence, from 0.
        order: usize,
        /// Tokens of it.
        tokens: usize,
    },
    /// A question was answered in all wordings and orders.
    Answer {
        /// The question's name in the playbook.
        id: String,
        /// The question.
        question: String,
        /// The answer, or `undecided`.
        answer: String,
        /// Mean probability of the answers that speak for an attack.
        probability: f64,
    },
    /// The verdict stands.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// How sure it is.
        confidence: f64,
        /// Share of variants that agree.
        convergence: f64,
    },
    /// A sentence of the narrative passed its check.
    Sentence {
        /// The sentence.
        text: String,
        /// Labels of its evidence.
        citations: Vec<String>,
        /// Who wrote it.
        source: SentenceSource,
    },
}
