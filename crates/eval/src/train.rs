//! From cases that were run to a head, and what each part of it adds.
//!
//! Every case is scored by the fold that did not see its family; so is every arm of the ablation, which is
//! fitted as the head is, from fewer features.

use crate::baselines::Conclusion;
use crate::fit::{self, Alert, Basis, Reader, Sample};
use crate::record::Record;
use crate::report::Run;
use crate::scenario::{Scenario, Truth};
use casemate_event::Disposition;
use casemate_investigate::head::Head;
use casemate_investigate::{Feature, closed_features, judge_again};
use std::collections::{BTreeMap, BTreeSet};

/// Fewest cases of each class, and families, that the baseline is fitted on.
const MIN_CASES: usize = 10;

/// Whether a feature of this name is kept.
type Keeps = fn(&str) -> bool;

/// Which features an arm has, besides those of the arms before it.
const ARMS: [(&str, Keeps); 3] = [
    ("rules", |name| name == "severity" || name.starts_with("rules_")),
    ("rules_facts", |name| {
        ["fact_", "facts_", "explained_by_"].iter().any(|prefix| name.starts_with(prefix))
    }),
    ("rules_facts_site", |_| true),
];

/// Fits a head on these cases and judges each of them again by the fold that did not see its family.
///
/// With `shippable`, only cases whose licence lets the head be shipped are fitted on; all are judged.
pub fn train(
    name: &str,
    cases: &mut [(&Scenario, Record)],
    reader: Option<&Reader>,
    basis: &Basis,
    shippable: bool,
    seed: u64,
) -> (Head, Run) {
    let samples: Vec<Sample> = cases
        .iter()
        .filter(|(scenario, _)| !shippable || scenario.may_train_what_ships())
        .map(|(scenario, record)| sample(scenario, record, reader))
        .collect();
    let head = fit::fit(name, &samples, reader, share(cases), basis);
    let mut run = Run { seed, ..Run::default() };
    for (scenario, record) in cases.iter_mut() {
        record
            .investigations
            .iter_mut()
            .for_each(|report| judge_again(report, head.fit_for(Some(&scenario.family))));
        run.outcomes.push(record.outcome(scenario));
    }
    for (index, (arm, _)) in ARMS.iter().enumerate() {
        let is_kept = |name: &str| ARMS[..=index].iter().any(|(_, keeps)| keeps(name));
        let conclusions = arm_of(&samples, cases, &is_kept);
        if index + 1 == ARMS.len() {
            run.features_only = conclusions.clone();
        }
        run.ablation.insert((*arm).to_owned(), conclusions);
    }
    for (arm, own_family) in [("with_feedback", true), ("with_feedback_of_other_families", false)] {
        run.ablation.insert(arm.to_owned(), replayed(cases, &head, own_family));
    }
    (head, run)
}

/// The cases judged in order of time by the same head, each after those before it were closed as what they were;
/// with `own_family` those of its own family too, as at a site where things recur.
fn replayed(cases: &[(&Scenario, Record)], head: &Head, own_family: bool) -> BTreeMap<String, Conclusion> {
    let mut order: Vec<&(&Scenario, Record)> = cases.iter().collect();
    let first = |record: &Record| record.investigations.iter().map(|report| report.alert.first_time).min();
    order.sort_by_key(|(_, record)| first(record));
    let mut closed: Vec<(&str, Disposition, &[f32])> = Vec::new();
    let mut conclusions = BTreeMap::new();
    for (scenario, record) in order {
        let counts = |family: &str| own_family || family != scenario.family;
        let known: Vec<(Disposition, &[f32])> = closed
            .iter()
            .filter(|(family, ..)| counts(family))
            .map(|(_, verdict, vector)| (*verdict, *vector))
            .collect();
        let mut judged = record.clone();
        for report in &mut judged.investigations {
            report.features.extend(closed_features(&report.vector, &known));
            judge_again(report, head.fit_for(Some(&scenario.family)));
        }
        conclusions.insert(scenario.id.clone(), Conclusion::of(&judged.outcome(scenario)));
        let verdict = match scenario.verdict {
            Truth::Malicious => Disposition::Malicious,
            Truth::Benign => Disposition::Benign,
        };
        // Alerts without an embedding are like nothing.
        let vectors = record.investigations.iter().filter(|report| !report.vector.is_empty());
        closed.extend(vectors.map(|report| (scenario.family.as_str(), verdict, report.vector.as_slice())));
    }
    conclusions
}

/// What a head without anything of a model would say, fitted on these very cases with a fold for every family;
/// empty where there are too few cases to fit on.
pub fn features_only(cases: &[(&Scenario, Record)]) -> BTreeMap<String, Conclusion> {
    let attacks = cases.iter().filter(|(scenario, _)| scenario.verdict == Truth::Malicious).count();
    let families: BTreeSet<&str> = cases.iter().map(|(scenario, _)| scenario.family.as_str()).collect();
    if attacks < MIN_CASES || cases.len() - attacks < MIN_CASES || families.len() < MIN_CASES {
        return BTreeMap::new();
    }
    let samples: Vec<Sample> =
        cases.iter().map(|(scenario, record)| sample(scenario, record, None)).collect();
    arm_of(&samples, cases, &|_| true)
}

/// The cases judged by a head fitted on some features alone, without states.
fn arm_of(
    samples: &[Sample],
    cases: &[(&Scenario, Record)],
    is_kept: &dyn Fn(&str) -> bool,
) -> BTreeMap<String, Conclusion> {
    let kept = |features: &[Feature]| -> Vec<Feature> {
        features.iter().filter(|feature| is_kept(&feature.name)).cloned().collect()
    };
    let fewer: Vec<Sample> = samples
        .iter()
        .map(|sample| Sample {
            alerts: sample
                .alerts
                .iter()
                .map(|alert| Alert { features: kept(&alert.features), state: Vec::new() })
                .collect(),
            ..sample.clone()
        })
        .collect();
    let head = fit::fit("arm", &fewer, None, share(cases), &Basis::analyst());
    cases
        .iter()
        .map(|(scenario, record)| {
            let mut record = record.clone();
            for report in &mut record.investigations {
                report.features = kept(&report.features);
                report.states = None;
                judge_again(report, head.fit_for(Some(&scenario.family)));
            }
            (scenario.id.clone(), Conclusion::of(&record.outcome(scenario)))
        })
        .collect()
}

/// Share of attacks among the cases that are judged.
fn share(cases: &[(&Scenario, Record)]) -> f64 {
    let attacks = cases.iter().filter(|(scenario, _)| scenario.verdict == Truth::Malicious).count();
    attacks as f64 / cases.len().max(1) as f64
}

fn sample(scenario: &Scenario, record: &Record, reader: Option<&Reader>) -> Sample {
    let alerts = record
        .investigations
        .iter()
        .map(|report| Alert {
            features: report.features.clone(),
            state: match (reader, &report.states) {
                (Some(reader), Some(states)) => states.pooled(reader.pooling, &|_| false),
                _ => Vec::new(),
            },
        })
        .collect();
    Sample {
        family: scenario.family.clone(),
        source: scenario.source.clone(),
        licence: scenario.licence.clone().unwrap_or_default(),
        truth: scenario.verdict,
        certainty: scenario.certainty(),
        alerts,
    }
}
