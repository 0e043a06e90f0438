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
/// Penalty of the probe: what cross-validation on the development cases liked best.
const PROBE_PENALTY: f64 = 0.3;
/// Penalty of the combiner with [`ENOUGH`] cases, and with fewer: then weights stay near what is known before.
const COMBINER_PENALTY: f64 = 0.02;
const FEW_PENALTY: f64 = 1.0;
/// Share of attacks that may fall below the threshold of `benign`.
const MISSED: f64 = 0.01;
/// Shares of other cases that may lie above the thresholds of `suspicious` and of `malicious`.
const FALSE_ALARMS: f64 = 0.05;
const GRAVE_FALSE_ALARMS: f64 = 0.02;
/// Cases of either class, each counted by its certainty, from which scale and thresholds can be read off them. With
/// fewer, logits are taken at their word: `suspicious` where the evidence speaks for an attack, `malicious` where it
/// does so [`GRAVE`] to one.
const ENOUGH: f64 = 40.0;
const GRAVE: f64 = 4.0;

/// Logits per unit of a feature, as an analyst would weigh it before any case is seen: what the facts' table and the
/// rules' authors say counts; what is new here, or comes in more kinds than before, speaks for an attack, and what
/// has been seen day after day against it. Of what is not named, nothing is known.
const KNOWN: [(&str, f64); 19] = [
    ("facts_raising", 0.8),
    ("facts_lowering", -1.0),
    ("severity", 0.5),
    ("rules_own_low", 0.4),
    ("rules_own_medium", 0.5),
    ("rules_own_high", 0.6),
    ("rules_own_critical", 0.8),
    ("rules_tied_low", 0.2),
    ("rules_tied_medium", 0.3),
    ("rules_tied_high", 0.4),
    ("rules_tied_critical", 0.5),
    ("usual_signature_on_host_days", -1.5),
    ("usual_rarest_days", -0.5),
    ("usual_finding_kinds_new", 0.7),
    ("usual_finding_kinds_to_before", 0.7),
    ("usual_host_kinds_new_share", 1.5),
    // One alert of thousands of events is noise more often than not; bursts have their own facts.
    ("alert_events", -0.2),
    // What people said of alike evidence nudges, and never settles: else one false closing would hide an attack.
    ("closed_similar_benign", -0.8),
    ("closed_similar_malicious", 0.8),
];

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

/// What is known before any case is seen.
#[derive(Debug, Clone, Default)]
pub struct Basis {
    /// Logits per unit of features; of others nothing is known.
    weights: BTreeMap<String, f64>,
    /// A probe that was fitted on more cases than there are now; else one is fitted.
    probe: Option<Probe>,
}

impl Basis {
    /// An analyst's judgement.
    pub fn analyst() -> Self {
        Self {
            weights: KNOWN.iter().map(|(name, logits)| ((*name).to_owned(), *logits)).collect(),
            probe: None,
        }
    }

    /// A head that judges already, and that the site's own cases correct.
    pub fn of(head: &Head) -> Self {
        let mut weights = Self::analyst().weights;
        weights.extend(head.whole.weights.clone());
        // No case here has been asked anything.
        weights.remove(ANSWERS);
        Self { weights, probe: head.whole.probe.clone() }
    }
}

/// Fits a head, with a fold for every family. Its probabilities are those among cases of which `share` are attacks.
pub fn fit(name: &str, samples: &[Sample], reader: Option<&Reader>, share: f64, basis: &Basis) -> Head {
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
        whole: fit_on(samples, &all, reader, share, basis),
        folds: (0..FOLDS)
            .into_par_iter()
            .map(|fold| Fold {
                families: folds
                    .iter()
                    .filter(|(_, own)| **own == fold)
                    .map(|(family, _)| (*family).to_owned())
                    .collect(),
                fit: fit_on(samples, &left_out(fold), reader, share, basis),
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
fn fit_on(samples: &[Sample], indices: &[usize], reader: Option<&Reader>, share: f64, basis: &Basis) -> Fit {
    let chosen: Vec<&Sample> = indices.iter().map(|index| &samples[*index]).collect();
    let names = names(&chosen, basis);
    let states: Vec<Rows> =
        chosen.iter().map(|sample| sample.alerts.iter().map(state_row).collect()).collect();
    // What the probe says of cases that it has not seen is what the combiner may trust.
    let read: Vec<Vec<f64>> = match (reader, &basis.probe) {
        (Some(_), Some(probe)) => {
            let score = |alert: &Alert| if alert.state.is_empty() { 0.0 } else { probe.score(&alert.state) };
            chosen.iter().map(|sample| sample.alerts.iter().map(score).collect()).collect()
        }
        (Some(_), None) => unseen(&chosen, &states, PROBE_PENALTY, &[]),
        (None, _) => chosen.iter().map(|sample| vec![0.0; sample.alerts.len()]).collect(),
    };
    let rows: Vec<Rows> = chosen
        .iter()
        .zip(&read)
        .map(|(sample, read)| {
            sample.alerts.iter().zip(read).map(|(alert, read)| row(alert, clamp(*read), &names)).collect()
        })
        .collect();
    let center = basis.weights.get(PROBE).copied().unwrap_or_default();
    let probe = Prior { sign: Sign::NotNegative, center };
    let priors: Vec<Prior> = names.iter().map(|name| prior(name, basis)).chain([probe]).collect();
    let penalty = if rarer(&chosen) < ENOUGH { FEW_PENALTY } else { COMBINER_PENALTY };
    let line = fit_rows(&chosen, &rows, penalty, &priors);
    // Calibrated on cases that the combiner has not seen either.
    let scores = unseen(&chosen, &rows, penalty, &priors);
    let calibration = calibrate(&chosen, &scores, share);
    let thresholds = Thresholds::of(&chosen, &scores, &calibration, share);
    let weights = names
        .into_iter()
        .chain([PROBE.to_owned()])
        .zip(&line.weights)
        .map(|(name, weight)| (name, weight * calibration.weights[0]))
        .filter(|(_, weight)| *weight != 0.0)
        .collect();
    let probe = reader.map(|reader| {
        if let Some(probe) = &basis.probe {
            return probe.clone();
        }
        let line = fit_rows(&chosen, &states, PROBE_PENALTY, &[]);
        Probe {
            model: reader.model.clone(),
            layer: reader.layer,
            pooling: reader.pooling,
            bias: line.bias as f32,
            weights: line.weights.iter().map(|weight| *weight as f32).collect(),
        }
    });
    let bias = line.bias * calibration.weights[0] + calibration.bias;
    let Thresholds { malicious, suspicious, benign } = thresholds;
    Fit { bias, weights, probe, malicious, suspicious, benign }
}

/// Cases of the rarer class, each counted by its certainty.
fn rarer(samples: &[&Sample]) -> f64 {
    let of = |truth: Truth| -> f64 {
        samples.iter().filter(|sample| sample.truth == truth).map(|sample| sample.certainty).sum()
    };
    of(Truth::Malicious).min(of(Truth::Benign))
}

/// One row of numbers for each alert of a case.
type Rows = Vec<Vec<f64>>;

fn clamp(logit: f64) -> f64 {
    logit.clamp(-6.0, 6.0)
}

fn state_row(alert: &Alert) -> Vec<f64> {
    alert.state.iter().map(|value| f64::from(*value)).collect()
}

/// Families that have a feature from which on it is fitted: what one family has alone tells it, not attacks.
const MIN_FAMILIES: usize = 3;

/// Names of the features that occur in enough families, or of which something is known.
fn names(samples: &[&Sample], basis: &Basis) -> Vec<String> {
    let mut families: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in samples {
        for feature in sample.alerts.iter().flat_map(|alert| &alert.features) {
            families.entry(&feature.name).or_default().insert(&sample.family);
        }
    }
    let often = families.into_iter().filter(|(_, of)| of.len() >= MIN_FAMILIES).map(|(name, _)| name);
    let names: BTreeSet<&str> = often.chain(basis.weights.keys().map(String::as_str)).collect();
    let is_fitted = |name: &&str| *name != PROBE && !is_of_recording(name);
    names.into_iter().filter(is_fitted).map(str::to_owned).collect()
}

/// Evidence of an attack may only raise and an explanation only lower, whatever the cases say: else somebody who
/// adds evidence of one attack could hide another. What facts weigh together is a practitioner's judgement of
/// what no case here may show, so the fit starts from it.
fn prior(name: &str, basis: &Basis) -> Prior {
    let known = basis.weights.get(name).copied().unwrap_or_default();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let sign = match () {
        () if starts(&["fact_", "rules_"]) => Sign::NotNegative,
        () if starts(&["explained_by_"]) => Sign::NotPositive,
        () if KNOWN.iter().any(|(own, logits)| *own == name && *logits > 0.0) => Sign::NotNegative,
        () if KNOWN.iter().any(|(own, logits)| *own == name && *logits < 0.0) => Sign::NotPositive,
        () => Sign::Any,
    };
    Prior { sign, center: known }
}

/// Features that tell how a case was recorded, not what happened: whoever records an attack clears the log first,
/// and lets the benign days go before it, so how much history there is gives attacks away. What the facts' table
/// says of a cleared log counts through the sum of the facts; so does what it says of a parent, which an attacker can
/// choose.
fn is_of_recording(name: &str) -> bool {
    name == "fact_log_cleared"
        || name == "explained_by_parent_in_protected_folder"
        || name.ends_with("_known")
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

/// Platt's scaling of the cases' highest scores, for a `share` of attacks; where there are too few cases, the scores
/// as they are, which are for a half, moved to it.
fn calibrate(samples: &[&Sample], scores: &[Vec<f64>], share: f64) -> Line {
    let kept: Vec<(f64, &Sample)> = samples
        .iter()
        .zip(highest(scores))
        .filter(|(_, score)| score.is_finite())
        .map(|(sample, score)| (score, *sample))
        .collect();
    let as_they_are = Line { bias: odds(share), weights: vec![1.0] };
    let of: Vec<&Sample> = kept.iter().map(|(_, sample)| *sample).collect();
    if rarer(&of) < ENOUGH {
        return as_they_are;
    }
    let rows: Vec<[f64; 1]> = kept.iter().map(|(score, _)| [*score]).collect();
    let rows: Vec<&[f64]> = rows.iter().map(<[f64; 1]>::as_slice).collect();
    let positive: Vec<bool> = of.iter().map(|sample| sample.truth == Truth::Malicious).collect();
    let sum = |class: bool| -> f64 {
        of.iter().zip(&positive).filter(|(_, own)| **own == class).map(|(sample, _)| sample.certainty).sum()
    };
    let (attacks, others) = (sum(true), sum(false));
    let importance: Vec<f64> = of
        .iter()
        .zip(&positive)
        .map(|(sample, positive)| {
            sample.certainty * if *positive { share / attacks } else { (1.0 - share) / others }
        })
        .collect();
    let line = logistic::fit(&rows, &positive, &importance, 1e-3);
    // A score that does not rise with attacks is no score; leave it as it is then.
    match line.weights.first() {
        Some(weight) if *weight > 0.0 => line,
        _ => as_they_are,
    }
}

/// Logit of a share that is not quite 0 or 1.
fn odds(share: f64) -> f64 {
    let share = share.clamp(0.01, 0.99);
    (share / (1.0 - share)).ln()
}

/// Probabilities from which a case is malicious and suspicious, and up to which it is benign.
struct Thresholds {
    malicious: f64,
    suspicious: f64,
    benign: f64,
}

impl Thresholds {
    fn of(samples: &[&Sample], scores: &[Vec<f64>], calibration: &Line, share: f64) -> Self {
        let of = |truth: Truth| -> Vec<(f64, f64)> {
            let mut own: Vec<(f64, f64)> = samples
                .iter()
                .zip(highest(scores))
                .filter(|(sample, score)| sample.truth == truth && score.is_finite())
                .map(|(sample, score)| (logistic(calibration.logit(&[score])), sample.certainty))
                .collect();
            own.sort_by(|a, b| a.0.total_cmp(&b.0));
            own
        };
        let (attacks, others) = (of(Truth::Malicious), of(Truth::Benign));
        let at = |sorted: &[(f64, f64)], below: f64, otherwise: f64| -> f64 {
            let total: f64 = sorted.iter().map(|(_, certainty)| certainty).sum();
            let mut sum = 0.0;
            let reached = |(_, certainty): &&(f64, f64)| {
                sum += certainty;
                sum > below * total
            };
            let found = sorted.iter().find(reached).map(|(probability, _)| *probability);
            found.filter(|_| total >= ENOUGH).unwrap_or(otherwise)
        };
        let benign = at(&attacks, MISSED, logistic(odds(share) - GRAVE.ln())).min(0.5);
        let suspicious = at(&others, 1.0 - FALSE_ALARMS, logistic(odds(share))).max(benign);
        let grave = at(&others, 1.0 - GRAVE_FALSE_ALARMS, logistic(odds(share) + GRAVE.ln()));
        Self { malicious: grave.max(suspicious), suspicious, benign }
    }
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

    /// So many attacks whose second alert alone shows `fact_dump`, and as many others that show `fact_odd`.
    fn some(count: usize) -> Vec<Sample> {
        let attack = |family| {
            let alerts = vec![alert(&[("fact_odd", 1.0)]), alert(&[("fact_dump", 1.0)])];
            sample(family, Truth::Malicious, alerts)
        };
        let other = |family| sample(family, Truth::Benign, vec![alert(&[("fact_odd", 1.0)]), alert(&[])]);
        (0..count).map(attack).chain((count..2 * count).map(other)).collect()
    }

    /// Enough to fit freely.
    fn samples() -> Vec<Sample> {
        some(60)
    }

    fn logit(fit: &Fit, features: &[(&str, f64)]) -> f64 {
        fit.logit(&alert(features).features)
    }

    #[test]
    fn the_alert_that_is_of_the_attack_is_found_and_evidence_only_raises() {
        let head = fit("test", &samples(), None, 0.5, &Basis::analyst());
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
        let head = fit("test", &samples, None, 0.5, &Basis::analyst());
        let held: Vec<&String> = head.folds.iter().flat_map(|fold| &fold.families).collect();
        assert_eq!(held.len(), 120);
        for family in ["family 3", "family 77"] {
            let fold = head.folds.iter().find(|fold| fold.families.iter().any(|own| own == family)).unwrap();
            let without: Vec<Sample> =
                samples.iter().filter(|sample| !fold.families.contains(&sample.family)).cloned().collect();
            let indices: Vec<usize> = (0..without.len()).collect();
            assert_eq!(*head.fit_for(Some(family)), fit_on(&without, &indices, None, 0.5, &Basis::analyst()));
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
        let weights = fit("test", &samples, None, 0.5, &Basis::analyst()).whole.weights;
        assert!(!weights.contains_key("fact_log_cleared") && !weights.contains_key("usual_hours_known"));
    }

    #[test]
    fn with_few_cases_logits_are_taken_at_their_word() {
        let fit = fit("test", &some(12), None, 0.8, &Basis::analyst()).whole;
        assert!((fit.suspicious - 0.8).abs() < 1e-9, "where the evidence is even, the share of attacks");
        assert!((fit.malicious - logistic(odds(0.8) + GRAVE.ln())).abs() < 1e-9);
        assert!((fit.benign - 0.5).abs() < 1e-9, "no attack more likely than not is called benign");
        for (name, logits) in KNOWN {
            assert_eq!(fit.weights.get(name).map(|weight| weight.signum()), Some(logits.signum()), "{name}");
        }
    }

    #[test]
    fn a_site_corrects_the_head_it_has() {
        let head = fit("test", &samples(), None, 0.5, &Basis::analyst());
        // Here `fact_dump` is what the backup does every night.
        let odd = |family| {
            sample(family, Truth::Malicious, vec![alert(&[("fact_odd", 1.0), ("facts_raising", 2.0)])])
        };
        let dump = |family| sample(family, Truth::Benign, vec![alert(&[("fact_dump", 1.0)])]);
        let closed: Vec<Sample> = (0..9).map(odd).chain((9..18).map(dump)).collect();
        let own = fit("site", &closed, None, 0.5, &Basis::of(&head));
        let weight = |head: &Head, name: &str| head.whole.weights.get(name).copied().unwrap_or_default();
        assert!(weight(&own, "fact_dump") < weight(&head, "fact_dump"));
        assert!(weight(&own, "rules_own_high") > 0.5, "what the site has not seen stays as it was");
    }

    #[test]
    fn cases_of_no_certainty_set_no_threshold() {
        let many = |truth, from: usize, score: f64, certainty| {
            let case = move |family| Sample {
                certainty,
                ..sample(family, truth, vec![alert(&[("fact_x", score)])])
            };
            (from..from + 60).map(case)
        };
        let sure: Vec<Sample> =
            many(Truth::Malicious, 0, 3.0, 1.0).chain(many(Truth::Benign, 60, 0.0, 1.0)).collect();
        let doubtful: Vec<Sample> =
            sure.iter().cloned().chain(many(Truth::Benign, 120, 3.0, 0.001)).collect();
        let of = |samples: &[Sample]| {
            let samples: Vec<&Sample> = samples.iter().collect();
            let scores: Vec<Vec<f64>> = samples
                .iter()
                .map(|sample| sample.alerts.iter().map(|alert| alert.features[0].value).collect())
                .collect();
            let Line { bias, weights } = calibrate(&samples, &scores, 0.5);
            Thresholds::of(&samples, &scores, &Line { bias, weights }, 0.5).malicious
        };
        assert!((of(&sure) - of(&doubtful)).abs() < 0.01, "{} and {}", of(&sure), of(&doubtful));
    }

    #[test]
    fn what_it_was_fitted_on_is_said() {
        let trained = fit("test", &samples(), None, 0.5, &Basis::analyst()).provenance;
        let ours =
            Trained { source: "ours".to_owned(), licence: "CC0-1.0".to_owned(), malicious: 60, benign: 60 };
        assert_eq!(trained, [ours]);
    }
}
