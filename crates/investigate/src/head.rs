//! How do features become a probability? A fitted, inspectable head.
//!
//! A head is a file: a bias, one weight per feature, and for a reader model (named by its hash) a linear probe
//! on its pooled hidden states, whose score is one more feature. All weights are in logits and already
//! calibrated, so what a report lists as contributions adds up to the logit of its probability. It also says
//! what it was fitted on, and holds, for every family of cases among that, a fit that did not see the family:
//! scoring a case whose family is known uses that one.

use crate::{Error, Feature};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the format of head files.
pub const FORMAT: u32 = 2;
/// Name of the feature that holds the probe's score.
pub const PROBE: &str = "probe";
/// Name of the feature that holds what the model's answers add together, in logits of the playbook.
pub const ANSWERS: &str = "answers";

/// A fitted head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORMAT`].
    pub format: u32,
    /// Name, for people.
    pub name: String,
    /// What it was fitted on.
    pub provenance: Vec<Trained>,
    /// Figures of its own cross-validation, by name.
    pub figures: BTreeMap<String, f64>,
    /// The fit over everything.
    pub whole: Fit,
    /// Fits that left families out.
    #[serde(default)]
    pub folds: Vec<Fold>,
}

/// Part of what a head was fitted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// The collection.
    pub source: String,
    /// Its licence.
    pub licence: String,
    /// Cases of attacks.
    pub malicious: u64,
    /// Other cases.
    pub benign: u64,
}

/// A fit that did not see these families.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// The families left out.
    pub families: Vec<String>,
    /// The fit.
    pub fit: Fit,
}

/// Weights and thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Where the sum starts, in logits.
    pub bias: f64,
    /// Logits per unit of each feature; a feature that is not named counts nothing.
    pub weights: BTreeMap<String, f64>,
    /// The probe, if hidden states count.
    pub probe: Option<Probe>,
    /// Probability from which an alert is malicious.
    pub malicious: f64,
    /// Probability from which it is suspicious: an attack more likely than not, to be looked at by a person.
    pub suspicious: f64,
    /// Probability up to which it is benign.
    pub benign: f64,
}

/// A linear probe on the pooled hidden states of one model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// SHA-256 of the model file, in lower-case hex.
    pub model: String,
    /// Layer whose states are pooled, from 0.
    pub layer: usize,
    /// How tokens are pooled.
    pub pooling: Pooling,
    /// Added to the product.
    pub bias: f32,
    /// One weight per dimension of the pooled state.
    pub weights: Vec<f32>,
}

/// How the states of many tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Mean of each dimension.
    Mean,
    /// Largest value of each dimension.
    Max,
}

impl Probe {
    /// Score of a pooled state: bounded, so that no state outweighs everything else.
    pub fn score(&self, state: &[f32]) -> f64 {
        let sum: f32 = self.weights.iter().zip(state).map(|(weight, value)| weight * value).sum();
        f64::from(sum + self.bias).clamp(-6.0, 6.0)
    }
}

impl Fit {
    /// What each feature adds, in logits, the bias first and then the most telling in front; zeros left out.
    pub fn contributions(&self, features: &[Feature]) -> Vec<(String, f64)> {
        let mut terms: Vec<(String, f64)> = features
            .iter()
            .filter_map(|feature| {
                let weight = self.weights.get(&feature.name)?;
                Some((feature.name.clone(), weight * feature.value))
            })
            .filter(|(_, logits)| *logits != 0.0)
            .collect();
        terms.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(&b.0)));
        terms.insert(0, ("base".to_owned(), self.bias));
        terms
    }

    /// Logit of the probability of an attack.
    pub fn logit(&self, features: &[Feature]) -> f64 {
        self.contributions(features).iter().map(|(_, logits)| logits).sum()
    }
}

impl Head {
    /// Reads a head file. Gives the head and the SHA-256 of its bytes in lower-case hex.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Head`] saying what is wrong.
    pub fn load(path: &Path) -> Result<(Self, String), Error> {
        let bytes = fs_err::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let refuse = |reason: String| Error::Head { path: path.to_owned(), reason };
        let head: Self = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        head.check().map_err(refuse)?;
        Ok((head, crate::hash::sha256_hex(&bytes)))
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "format {} is not {FORMAT}; fit it anew with `casemate eval --fit`",
                self.format
            ));
        }
        for fit in std::iter::once(&self.whole).chain(self.folds.iter().map(|fold| &fold.fit)) {
            let finite = |value: &f64| value.is_finite() && value.abs() < 1e3;
            if !finite(&fit.bias) || !fit.weights.values().all(finite) {
                return Err("a weight is not a number that a fit could have given".to_owned());
            }
            let thresholds = [0.0, fit.benign, fit.suspicious, fit.malicious, 1.0];
            if !thresholds.is_sorted() {
                return Err(format!(
                    "thresholds have to be 0 <= benign <= suspicious <= malicious <= 1, not {}, {} and {}",
                    fit.benign, fit.suspicious, fit.malicious
                ));
            }
            if let Some(probe) = &fit.probe
                && !probe.weights.iter().chain([&probe.bias]).all(|weight| weight.is_finite())
            {
                return Err("a weight of the probe is not a number".to_owned());
            }
        }
        Ok(())
    }

    /// The fit to judge a case of this family with: one that did not see it, where one did.
    pub fn fit_for(&self, family: Option<&str>) -> &Fit {
        let left_out =
            |fold: &&Fold| family.is_some_and(|family| fold.families.iter().any(|own| own == family));
        self.folds.iter().find(left_out).map_or(&self.whole, |fold| &fold.fit)
    }
}
