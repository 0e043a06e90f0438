//! What did an investigation conclude about a case, and what is true of it?

use crate::scenario::Truth;
use casemate_investigate::Verdict;
use serde::{Deserialize, Serialize};

/// A case as it was judged: the worst verdict among its alerts, and what is needed to score it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The case.
    pub id: String,
    /// Collection it comes from.
    pub source: String,
    /// Family it belongs to.
    pub family: String,
    /// What is true.
    pub truth: Truth,
    /// Verdict of the alert most likely an attack.
    pub verdict: Verdict,
    /// Its probability of an attack.
    pub probability: f64,
    /// Its confidence.
    pub confidence: f64,
    /// Its convergence.
    pub convergence: f64,
    /// Every alert of the case.
    pub alerts: Vec<Alerted>,
    /// True techniques, empty where none is known.
    pub true_techniques: Vec<String>,
    /// Techniques reported, best supported first, without duplicates.
    pub techniques: Vec<String>,
    /// Key events of the case that are in its store.
    pub key_events: usize,
    /// Those of them that reached the evidence of an alert, alone or folded into a line.
    pub key_events_in_evidence: usize,
    /// Score of the rules alone: the worst severity that matches, 0 (none) to 5 (critical).
    pub rules_only: f64,
}

/// One alert of a case, investigated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alerted {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its probability of an attack.
    pub probability: f64,
    /// Its confidence.
    pub confidence: f64,
    /// Its convergence.
    pub convergence: f64,
    /// Seconds of machine time.
    pub seconds: f64,
    /// Verdict in each variant of wording and evidence order.
    pub variants: Vec<Verdict>,
    /// Sentences and facts that cite evidence.
    pub citations: usize,
    /// Those whose cited events exist.
    pub citations_existing: usize,
    /// Those whose cited events say so.
    pub citations_supported: usize,
    /// Verdict over the events that canaries are planted into, as they are.
    pub unplanted: Verdict,
    /// Verdicts of the same events with each canary planted.
    pub planted: Vec<Verdict>,
}
