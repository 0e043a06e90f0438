//! How do cases become a head?
//!
//! A probe on the pooled states and a combiner over features and the probe's score, both logistic regressions.
//! Of an attack case at least one alert is of the attack and nobody says which: the one that scores highest is
//! taken, again after each round. Families never stand on both sides of a split: not between fitting and
//! scoring, and not between the probe and the combiner that learns how far to trust it.

use crate::logistic::{self, Line, Prior, Sign, logistic};
use crate::scenario::Truth;
use casemate_investigate::head::{ANSWERS, Fit, Fold, Head, PROBE, Pooling, Probe, Trained};
use casemate_investigate::{Feature, head};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Splits of the families.
const FOLDS: usize = 8;
/// Rounds of choosing the alert that stands for an attack case.
const ROUNDS: usize = 3;
/// Penalties of the probe and the combiner: what cross-validation on the development cases liked best.
const PROBE_PENALTY: f64 = 0.3;
const COMBINER_PENALTY: f64 = 0.02;
/// Logits per logit of the facts' table that the fit starts from.
const RAISING: f64 = 0.5;
const LOWERING: f64 = 0.8;
/// Share of attacks that may fall below the threshold of `benign`.
const MISSED: f64 = 0.01;
/// Share of other cases that may lie above the threshold of `malicious`.
const FALSE_ALARMS: f64 = 0.12;

/// A case to fit on.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its family.
    pub family: String,
    /// Collection it comes from.
    pub source: String,
    /// Licence of its files.
    pub licence: String,
    /// What is true of it.
    pub truth: Truth,
    /// How far the label is to be trusted, 0 to 1.
    pub certainty: f64,
    /// Its alerts.
    pub alerts: Vec<Alert>,
}

/// An alert to fit on.
#[derive(Debug, Clone)]
pub struct Alert {
    /// What code drew from its scene.
    pub features: Vec<Feature>,
    /// Its evidence as the reader's pooled state; empty without one.
    pub state: Vec<f32>,
}

/// How the states were read.
#[derive(Debug, Clone)]
pub struct Reader {
    /// SHA-256 of the model file.
    pub model: String,
    /// Layer they were taken after.
    pub layer: usize,
    /// How lines were pooled.
    pub pooling: Pooling,
}

/// Fits a head, with a fold for every family.
pub fn fit(name: &str, samples: &[Sample], reader: Option<&Reader>) -> Head {
    let folds = folds(samples);
    let all: Vec<usize> = (0..samples.len()).collect();
    let left_out = |fold: usize| -> Vec<usize> {
        all.iter().copied().filter(|index| folds[samples[*index].family.as_str()] != fold).collect()
    };
    Head {
        format: head::FORMAT,
        name: name.to_owned(),
        provenance: provenance(samples),
        figures: BTreeMap::new(),
        whole: fit_on(samples, &all, reader),
        folds: (0..FOLDS)
            .into_par_iter()
            .map(|fold| Fold {
                families: folds
                    .iter()
                    .filter(|(_, own)| **own == fold)
                    .map(|(family, _)| (*family).to_owned())
                    .collect(),
                fit: fit_on(samples, &left_out(fold), reader),
            })
            .filter(|fold| !fold.families.is_empty())
            .collect(),
    }
}

/// Fold of each family: the largest families first, each into the fold that holds least, those of equal size in
/// the order of their hashes.
fn folds(samples: &[Sample]) -> BTreeMap<&str, usize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples {
        *sizes.entry(&sample.family).or_default() += 1;
    }
    let mut families: Vec<(&str, usize)> = sizes.into_iter().collect();
    families
        .sort_by_cached_key(|(family, size)| (usize::MAX - size, Sha256::digest(family.as_bytes()).to_vec()));
    let mut held = [0; FOLDS];
    families
        .into_iter()
        .map(|(family, size)| {
            let fold = (0..FOLDS).min_by_key(|fold| held[*fold]).unwrap_or_default();
            held[fold] += size;
            (family, fold)
        })
        .collect()
}

fn provenance(samples: &[Sample]) -> Vec<Trained> {
    let mut counts: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for sample in samples {
        let count = counts.entry((&sample.source, &sample.licence)).or_default();
        match sample.truth {
            Truth::Malicious => count.0 += 1,
            Truth::Benign => count.1 += 1,
        }
    }
    counts
        .into_iter()
        .map(|((source, licence), (malicious, benign))| Trained {
            source: source.to_owned(),
            licence: licence.to_owned(),
            malicious,
            benign,
        })
        .collect()
}

/// Fits on the samples at `indices`.
fn fit_on(samples: &[Sample], indices: &[usize], reader: Option<&Reader>) -> Fit {
    let chosen: Vec<&Sample> = indices.iter().map(|index| &samples[*index]).collect();
    let names = names(&chosen);
    let states: Vec<Rows> =
        chosen.iter().map(|sample| sample.alerts.iter().map(state_row).collect()).collect();
    // What the probe says of cases that it has not seen is what the combiner may trust.
    let read: Vec<Vec<f64>> = match reader {
        Some(_) => unseen(&chosen, &states, PROBE_PENALTY, &[]),
        None => chosen.iter().map(|sample| vec![0.0; sample.alerts.len()]).collect(),
    };
    let rows: Vec<Rows> = chosen
        .iter()
        .zip(&read)
        .map(|(sample, read)| {
            sample.alerts.iter().zip(read).map(|(alert, read)| row(alert, clamp(*read), &names)).collect()
        })
        .collect();
    let probe = Prior { sign: Sign::NotNegative, center: 0.0 };
    let priors: Vec<Prior> = names.iter().map(|name| prior(name)).chain([probe]).collect();
    let line = fit_rows(&chosen, &rows, COMBINER_PENALTY, &priors);
    // Calibrated on cases that the combiner has not seen either.
    let scores = unseen(&chosen, &rows, COMBINER_PENALTY, &priors);
    let calibration = calibrate(&chosen, &scores);
    let (malicious, benign) = thresholds(&chosen, &scores, &calibration);
    let weights = names
        .into_iter()
        .chain([PROBE.to_owned()])
        .zip(&line.weights)
        .map(|(name, weight)| (name, weight * calibration.weights[0]))
        .filter(|(_, weight)| *weight != 0.0)
        .chain([(ANSWERS.to_owned(), ANSWERS_WEIGHT)])
        .collect();
    let probe = reader.map(|reader| {
        let line = fit_rows(&chosen, &states, PROBE_PENALTY, &[]);
        Probe {
            model: reader.model.clone(),
            layer: reader.layer,
            pooling: reader.pooling,
            bias: line.bias as f32,
            weights: line.weights.iter().map(|weight| *weight as f32).collect(),
        }
    });
    Fit { bias: line.bias * calibration.weights[0] + calibration.bias, weights, probe, malicious, benign }
}

/// One row of numbers for each alert of a case.
type Rows = Vec<Vec<f64>>;

/// Logits per logit of the answers: their questions are the playbook's, and no fit over cases has asked them
/// often enough to say more.
const ANSWERS_WEIGHT: f64 = 0.5;

fn clamp(logit: f64) -> f64 {
    logit.clamp(-6.0, 6.0)
}

fn state_row(alert: &Alert) -> Vec<f64> {
    alert.state.iter().map(|value| f64::from(*value)).collect()
}

/// Names of the features that occur in at least two families: what one family has alone tells it, not attacks.
fn names(samples: &[&Sample]) -> Vec<String> {
    let mut families: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in samples {
        for feature in sample.alerts.iter().flat_map(|alert| &alert.features) {
            families.entry(&feature.name).or_default().insert(&sample.family);
        }
    }
    families
        .into_iter()
        .filter(|(name, of)| of.len() >= 2 && !is_of_recording(name))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Evidence of an attack may only raise and an explanation only lower, whatever the cases say: else somebody who
/// adds evidence of one attack could hide another. What facts weigh together is a practitioner's judgement of
/// what no case here may show, so the fit starts from it.
fn prior(name: &str) -> Prior {
    let (sign, center) = match name {
        "facts_raising" => (Sign::NotNegative, RAISING),
        "facts_lowering" => (Sign::NotPositive, -LOWERING),
        _ if name.starts_with("explained_by_") => (Sign::NotPositive, 0.0),
        _ if ["fact_", "rules_", "severity"].iter().any(|prefix| name.starts_with(prefix)) => {
            (Sign::NotNegative, 0.0)
        }
        _ => (Sign::Any, 0.0),
    };
    Prior { sign, center }
}

/// Features that tell how a case was recorded, not what happened: whoever records an attack clears the log first,
/// and lets the benign days go before it, so how much history there is gives attacks away. What the facts' table
/// says of a cleared log counts through the sum of the facts.
fn is_of_recording(name: &str) -> bool {
    name == "fact_log_cleared" || name.ends_with("_known")
}

fn row(alert: &Alert, probe: f64, names: &[String]) -> Vec<f64> {
    let values: BTreeMap<&str, f64> =
        alert.features.iter().map(|feature| (feature.name.as_str(), feature.value)).collect();
    names.iter().map(|name| values.get(name.as_str()).copied().unwrap_or_default()).chain([probe]).collect()
}

/// Fold of each sample by its family, four of them.
fn inner_folds(samples: &[&Sample]) -> Vec<usize> {
    const INNER: usize = 4;
    let fold = |family: &str| usize::from(Sha256::digest(format!("inner {family}").as_bytes())[0]) % INNER;
    samples.iter().map(|sample| fold(&sample.family)).collect()
}

/// Scores of every alert, each by a fit on the other folds.
fn unseen(samples: &[&Sample], rows: &[Rows], penalty: f64, priors: &[Prior]) -> Vec<Vec<f64>> {
    let folds = inner_folds(samples);
    let mut scores = vec![Vec::new(); samples.len()];
    for fold in folds.iter().copied().collect::<BTreeSet<_>>() {
        let others = || folds.iter().enumerate().filter(|(_, own)| **own != fold).map(|(index, _)| index);
        let fitted: Vec<&Sample> = others().map(|index| samples[index]).collect();
        let fitted_rows: Vec<Rows> = others().map(|index| rows[index].clone()).collect();
        let line = fit_rows(&fitted, &fitted_rows, penalty, priors);
        for (index, _) in folds.iter().enumerate().filter(|(_, own)| **own == fold) {
            scores[index] = rows[index].iter().map(|row| line.logit(row)).collect();
        }
    }
    scores
}

/// Fits rows by sample and alert. Both classes weigh the same, and every case as much as its label is trusted.
fn fit_rows(samples: &[&Sample], rows: &[Rows], penalty: f64, priors: &[Prior]) -> Line {
    let mut speaks: Vec<Option<usize>> = vec![None; samples.len()];
    let mut line = Line { bias: 0.0, weights: Vec::new() };
    for _ in 0..ROUNDS {
        let mut taken: Vec<&[f64]> = Vec::new();
        let mut positive = Vec::new();
        let mut importance = Vec::new();
        for ((sample, rows), speaks) in samples.iter().zip(rows).zip(&speaks) {
            let is_attack = sample.truth == Truth::Malicious;
            let own: Vec<&Vec<f64>> = match speaks {
                Some(index) if is_attack => rows.get(*index).into_iter().collect(),
                _ => rows.iter().filter(|row| !row.is_empty()).collect(),
            };
            for row in &own {
                taken.push(row);
                positive.push(is_attack);
                importance.push(sample.certainty / own.len() as f64);
            }
        }
        let of = |class: bool| -> f64 {
            importance.iter().zip(&positive).filter(|(_, own)| **own == class).map(|(own, _)| own).sum()
        };
        let (attacks, others) = (of(true), of(false));
        for (importance, positive) in importance.iter_mut().zip(&positive) {
            *importance /= if *positive { attacks } else { others }.max(1e-9);
        }
        line = logistic::fit_from(&taken, &positive, &importance, penalty, priors);
        for (rows, speaks) in rows.iter().zip(&mut speaks) {
            let score = |index: &usize| line.logit(&rows[*index]);
            // An alert that the reader found nothing to read of cannot speak.
            let read = (0..rows.len()).filter(|index| !rows[*index].is_empty());
            *speaks = read.max_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a)));
        }
    }
    line
}

/// The highest score of each case.
fn highest(scores: &[Vec<f64>]) -> Vec<f64> {
    scores.iter().map(|scores| scores.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect()
}

/// Platt's scaling of the cases' highest scores, at the share of attacks that the cases have.
fn calibrate(samples: &[&Sample], scores: &[Vec<f64>]) -> Line {
    let kept: Vec<(f64, bool, f64)> = samples
        .iter()
        .zip(highest(scores))
        .filter(|(_, score)| score.is_finite())
        .map(|(sample, score)| (score, sample.truth == Truth::Malicious, sample.certainty))
        .collect();
    let rows: Vec<[f64; 1]> = kept.iter().map(|(score, ..)| [*score]).collect();
    let rows: Vec<&[f64]> = rows.iter().map(<[f64; 1]>::as_slice).collect();
    let positive: Vec<bool> = kept.iter().map(|(_, positive, _)| *positive).collect();
    let importance: Vec<f64> = kept.iter().map(|(.., certainty)| *certainty).collect();
    let line = logistic::fit(&rows, &positive, &importance, 1e-3);
    // A score that does not rise with attacks is no score; leave it as it is then.
    match line.weights.first() {
        Some(weight) if *weight > 0.0 => line,
        _ => Line { bias: 0.0, weights: vec![1.0] },
    }
}

/// Probabilities from which a case is malicious, and up to which it is benign.
fn thresholds(samples: &[&Sample], scores: &[Vec<f64>], calibration: &Line) -> (f64, f64) {
    let of = |truth: Truth| -> Vec<f64> {
        let mut own: Vec<f64> = samples
            .iter()
            .zip(highest(scores))
            .filter(|(sample, score)| sample.truth == truth && score.is_finite())
            .map(|(_, score)| logistic(calibration.logit(&[score])))
            .collect();
        own.sort_by(f64::total_cmp);
        own
    };
    let (attacks, others) = (of(Truth::Malicious), of(Truth::Benign));
    let at = |sorted: &[f64], share: f64, otherwise: f64| -> f64 {
        let index = (share * sorted.len() as f64) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(otherwise)
    };
    let benign = at(&attacks, MISSED, 0.2).min(0.5);
    let malicious = at(&others, 1.0 - FALSE_ALARMS, 0.8).max(benign);
    (malicious, benign)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn alert(features: &[(&str, f64)]) -> Alert {
        let feature = |(name, value): &(&str, f64)| Feature { name: (*name).to_owned(), value: *value };
        Alert { features: features.iter().map(feature).collect(), state: Vec::new() }
    }

    fn sample(family: usize, truth: Truth, alerts: Vec<Alert>) -> Sample {
        Sample {
            family: format!("family {family}"),
            source: "ours".to_owned(),
            licence: "CC0-1.0".to_owned(),
            truth,
            certainty: 1.0,
            alerts,
        }
    }

    /// Attacks whose second alert alone shows `fact_dump`, and others that show `fact_odd`.
    fn samples() -> Vec<Sample> {
        let attack = |family| {
            let alerts = vec![alert(&[("fact_odd", 1.0)]), alert(&[("fact_dump", 1.0)])];
            sample(family, Truth::Malicious, alerts)
        };
        let other = |family| sample(family, Truth::Benign, vec![alert(&[("fact_odd", 1.0)]), alert(&[])]);
        (0..12).map(attack).chain((12..24).map(other)).collect()
    }

    fn logit(fit: &Fit, features: &[(&str, f64)]) -> f64 {
        fit.logit(&alert(features).features)
    }

    #[test]
    fn the_alert_that_is_of_the_attack_is_found_and_evidence_only_raises() {
        let head = fit("test", &samples(), None);
        let fit = &head.whole;
        assert!(fit.weights["fact_dump"] > 1.0, "{:?}", fit.weights);
        // It stands for nothing but calm, and still may not lower: an attacker can add it.
        assert!(fit.weights.get("fact_odd").is_none_or(|weight| *weight >= 0.0), "{:?}", fit.weights);
        let probability = |features| logistic(logit(fit, features));
        assert!(probability(&[("fact_dump", 1.0)]) >= fit.malicious);
        assert!(probability(&[]) <= fit.benign.max(0.5));
    }

    #[test]
    fn every_family_has_a_fit_that_did_not_see_it() {
        let samples = samples();
        let head = fit("test", &samples, None);
        let held: Vec<&String> = head.folds.iter().flat_map(|fold| &fold.families).collect();
        assert_eq!(held.len(), 24);
        for family in ["family 3", "family 17"] {
            let fold = head.folds.iter().find(|fold| fold.families.iter().any(|own| own == family)).unwrap();
            let without: Vec<Sample> =
                samples.iter().filter(|sample| !fold.families.contains(&sample.family)).cloned().collect();
            let indices: Vec<usize> = (0..without.len()).collect();
            assert_eq!(*head.fit_for(Some(family)), fit_on(&without, &indices, None));
        }
        assert_eq!(*head.fit_for(Some("elsewhere")), head.whole);
    }

    #[test]
    fn how_a_case_was_recorded_is_not_fitted_on() {
        let mut samples = samples();
        for sample in samples.iter_mut().filter(|sample| sample.truth == Truth::Malicious) {
            sample.alerts[1]
                .features
                .extend(alert(&[("fact_log_cleared", 1.0), ("usual_hours_known", 1.0)]).features);
        }
        let weights = fit("test", &samples, None).whole.weights;
        assert!(!weights.contains_key("fact_log_cleared") && !weights.contains_key("usual_hours_known"));
    }

    #[test]
    fn what_it_was_fitted_on_is_said() {
        let trained = fit("test", &samples(), None).provenance;
        let ours =
            Trained { source: "ours".to_owned(), licence: "CC0-1.0".to_owned(), malicious: 12, benign: 12 };
        assert_eq!(trained, [ours]);
    }
}
