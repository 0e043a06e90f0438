//! What is kept of a case that was run, so that scoring it again needs no second run?

use crate::baselines::Conclusion;
use crate::canary::Planted;
use crate::citation::Checked;
use crate::outcome::{Alerted, Outcome};
use crate::scenario::Scenario;
use casemate_event::{AlertOrigin, Severity};
use casemate_investigate::{Investigation, Verdict, techniques_of};
use serde::{Deserialize, Serialize};

/// A case as it was run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// Its investigations, most urgent alert first.
    pub investigations: Vec<Investigation>,
    /// How the citations of each fared.
    pub(crate) checked: Vec<Checked>,
    /// Verdicts of each with canaries planted.
    pub(crate) planted: Vec<Planted>,
    /// Key events of the case that are in its store, by kind.
    pub(crate) key_events: usize,
    /// Those of them in the evidence.
    pub(crate) key_events_in_evidence: usize,
    /// What the model says when simply asked.
    pub(crate) free_form: Option<Conclusion>,
}

impl Record {
    /// The case as it was judged. Of a case that raised no alert nobody hears: it counts as benign.
    pub fn outcome(&self, scenario: &Scenario) -> Outcome {
        let worst = self
            .investigations
            .iter()
            .enumerate()
            .max_by(|(at, a), (bt, b)| a.probability.total_cmp(&b.probability).then(bt.cmp(at)));
        let worst = worst.map(|(_, report)| report);
        Outcome {
            id: scenario.id.clone(),
            source: scenario.source.clone(),
            family: scenario.family.clone(),
            truth: scenario.verdict,
            verdict: worst.map_or(Verdict::Benign, |report| report.verdict),
            probability: worst.map_or(0.0, |report| report.probability),
            confidence: worst.map_or(1.0, |report| report.confidence),
            convergence: worst.map_or(1.0, |report| report.convergence),
            alerts: self
                .investigations
                .iter()
                .enumerate()
                .map(|(index, report)| self.alerted(index, report))
                .collect(),
            true_techniques: scenario.true_techniques().to_vec(),
            techniques: techniques_of(&self.investigations)
                .into_iter()
                .map(|technique| technique.id)
                .collect(),
            key_events: self.key_events,
            key_events_in_evidence: self.key_events_in_evidence,
            rules_only: self.investigations.iter().map(rules_only).fold(0.0, f64::max),
        }
    }

    fn alerted(&self, index: usize, report: &Investigation) -> Alerted {
        let checked = self.checked.get(index).copied().unwrap_or_default();
        let planted = self.planted.get(index).cloned().unwrap_or_default();
        Alerted {
            verdict: report.verdict,
            probability: report.probability,
            confidence: report.confidence,
            convergence: report.convergence,
            seconds: report.seconds.get("total").copied().unwrap_or_default(),
            variants: report.variants.clone(),
            citations: checked.citations,
            citations_existing: checked.existing,
            citations_supported: checked.supported,
            unplanted: planted.clean.unwrap_or(report.verdict),
            planted: planted.verdicts.into_values().collect(),
        }
    }
}

/// Worst severity of the rules that match the alert's own events, 1 to 5; 0 where none does.
fn rules_only(report: &Investigation) -> f64 {
    let raised = matches!(report.alert.origin, AlertOrigin::Rule(_)).then_some(report.alert.severity);
    let matched = LEVELS.into_iter().filter(|severity| {
        let name = format!("rules_own_{severity}");
        report.features.iter().any(|feature| feature.name == name)
    });
    let worst = matched.chain(raised).max();
    worst
        .and_then(|worst| LEVELS.iter().position(|level| *level == worst))
        .map_or(0.0, |place| place as f64 + 1.0)
}

const LEVELS: [Severity; 5] =
    [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
