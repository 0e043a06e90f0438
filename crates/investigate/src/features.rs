//! What a learned head may look at: numbers that code draws from a scene, each under a fixed name.
//!
//! Nothing here is a label, a title, a rule's name or a file's name. What is not there is 0 and left out.

use crate::facts::{Finding, Scene};
use crate::relate::Relation;
use casemate_event::{Alert, Severity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A number under its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// What it is.
    pub name: String,
    /// How much of it there is.
    #[serde(serialize_with = "crate::report::figure")]
    pub value: f64,
}

/// Everything code says about a scene, in order of names, zeros left out.
pub(crate) fn of(alert: &Alert, scene: &Scene<'_>, findings: &[Finding]) -> Vec<Feature> {
    let mut features: BTreeMap<String, f64> = BTreeMap::new();
    features.insert("severity".to_owned(), f64::from(rank(alert.severity)) - 2.0);
    features.insert("alert_events".to_owned(), log(alert.event_count.saturating_sub(1)));
    for finding in findings {
        let tie = if finding.weight > 0.0 { finding.relation.factor() } else { 1.0 };
        let sort = if finding.weight > 0.0 { "fact" } else { "explained_by" };
        let name = format!("{sort}_{}", finding.kind.entry().name);
        let known = features.entry(name).or_default();
        *known = known.max(tie);
    }
    let raising: f64 = findings.iter().filter(|f| f.weight > 0.0).map(|f| f.weight).sum();
    features.insert("facts_raising".to_owned(), raising);
    let lowering: f64 = findings.iter().filter(|f| f.weight < 0.0).map(|f| f.weight).sum();
    features.insert("facts_lowering".to_owned(), -lowering);
    for (reach, most) in [("own", Relation::Alert), ("tied", Relation::Actor), ("near", Relation::Near)] {
        for (severity, count) in rules(scene, most) {
            features.insert(format!("rules_{reach}_{severity}"), log(count));
        }
    }
    let usual = scene.past.baseline.features().into_iter();
    features.extend(usual.map(|(name, value)| (format!("usual_{name}"), value)));
    features.retain(|_, value| *value != 0.0);
    features.into_iter().map(|(name, value)| Feature { name, value }).collect()
}

/// Distinct rules that match events tied at least this closely, by severity.
fn rules(scene: &Scene<'_>, most: Relation) -> BTreeMap<Severity, u64> {
    let mut seen = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for (relation, hits) in scene.relations.iter().zip(scene.detections) {
        for hit in hits.iter().filter(|_| *relation <= most) {
            if seen.insert(hit.rule.as_str()) {
                *counts.entry(hit.severity).or_default() += 1;
            }
        }
    }
    counts
}

fn rank(severity: Severity) -> u32 {
    match severity {
        Severity::Informational => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// Counts matter by their order of magnitude.
pub(crate) fn log(count: u64) -> f64 {
    (count as f64).ln_1p()
}
