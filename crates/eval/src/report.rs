//! What does a run say, as data? Every figure with its interval, beside the baselines of the same run.

use crate::baselines::{self, Conclusion};
use crate::interval::{Families, Interval};
use crate::metrics::{Class, FIGURES, Figure, Judged, Of};
use crate::outcome::Outcome;
use crate::scenario::Truth;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Figures of which the gain over rules alone is told.
const GAINS: [&str; 6] = [
    "auroc",
    "auroc_within_source",
    "balanced_accuracy_all",
    "false_positive_rate",
    "missed_attack_rate",
    "ece",
];

/// Everything a run measured.
#[derive(Debug, Default)]
pub struct Run {
    /// What the investigations concluded, in the order of the scenarios.
    pub outcomes: Vec<Outcome>,
    /// The learned head without the model's part, by id of the case; empty where there is no head.
    pub features_only: BTreeMap<String, Conclusion>,
    /// The model asked once in free form, for some of the cases.
    pub free_form: BTreeMap<String, Conclusion>,
    /// Heads fitted with less, by name: what each part adds.
    pub ablation: BTreeMap<String, BTreeMap<String, Conclusion>>,
    /// Figures of an outside suite, already in their final form.
    pub suite: Option<Value>,
    /// Cases that could not be run, and why.
    pub problems: Vec<String>,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Run {
    /// The cases as the pipeline judged them.
    pub fn judged(&self) -> Vec<Judged> {
        self.outcomes.iter().map(Judged::from).collect()
    }

    /// The same cases judged by simpler means, by name. Those that judged only some of the cases come with the
    /// pipeline's judgement of just these as `NAME_ours`, so that like is compared with like.
    pub fn baselines(&self) -> Vec<(String, Vec<Judged>)> {
        let mut all = vec![
            ("always_malicious".to_owned(), baselines::always_malicious(&self.outcomes)),
            ("rules_only".to_owned(), baselines::rules_only(&self.outcomes)),
            ("source_oracle".to_owned(), baselines::source_oracle(&self.outcomes)),
        ];
        for (name, conclusions) in [("features_only", &self.features_only), ("free_form", &self.free_form)] {
            if conclusions.is_empty() {
                continue;
            }
            let judged = baselines::concluded(&self.outcomes, conclusions);
            if judged.len() < self.outcomes.len() {
                let ours = self.outcomes.iter().filter(|outcome| conclusions.contains_key(&outcome.id));
                all.push((format!("{name}_ours"), ours.map(Judged::from).collect()));
            }
            all.push((name.to_owned(), judged));
        }
        all
    }

    /// The document `casemate eval --json` prints.
    pub fn document(&self) -> Value {
        let judged = self.judged();
        let mut document = figures(&judged, self.seed);
        document.insert(
            "n_alerts".to_owned(),
            json!(self.outcomes.iter().map(|o| o.alerts.len()).sum::<usize>()),
        );
        let rules = baselines::rules_only(&self.outcomes);
        document.insert("gain_over_rules".to_owned(), Value::Object(gains(&judged, &rules, self.seed)));
        let named = |all: Vec<(String, Vec<Judged>)>| -> Map<String, Value> {
            all.into_iter().map(|(name, cases)| (name, Value::Object(figures(&cases, self.seed)))).collect()
        };
        document.insert("baselines".to_owned(), Value::Object(named(self.baselines())));
        document.insert("by_source".to_owned(), Value::Object(named(by_source(&judged))));
        document.insert("by_family".to_owned(), by_family(&judged));
        let ablation = self
            .ablation
            .iter()
            .map(|(name, conclusions)| (name.clone(), baselines::concluded(&self.outcomes, conclusions)));
        document.insert("ablation".to_owned(), Value::Object(named(ablation.collect())));
        if let Some(suite) = &self.suite {
            document.insert("suite".to_owned(), suite.clone());
        }
        document.insert("cases".to_owned(), self.outcomes.iter().map(case).collect());
        document.insert("problems".to_owned(), json!(self.problems));
        document.insert("seed".to_owned(), json!(self.seed));
        Value::Object(document)
    }
}

/// All figures of some cases, each with `NAME_ci`, and how many cases there are.
fn figures(cases: &[Judged], seed: u64) -> Map<String, Value> {
    let functions: Vec<Of> = FIGURES.iter().map(|(_, of)| *of).collect();
    let found = Families::new(cases, seed).figures(&functions);
    let mut written = Map::new();
    for ((name, _), figure) in FIGURES.iter().zip(found) {
        let (value, interval) = match figure {
            Some((Figure { value, .. }, interval)) => (json!(rounded(value)), interval_json(interval)),
            None => (Value::Null, Value::Null),
        };
        written.insert((*name).to_owned(), value);
        written.insert(format!("{name}_ci"), interval);
    }
    let attacks = cases.iter().filter(|case| case.attack).count();
    written.insert("n".to_owned(), json!(cases.len()));
    written.insert("n_malicious".to_owned(), json!(attacks));
    written.insert("n_benign".to_owned(), json!(cases.len() - attacks));
    written
}

/// How much better than the rules alone, drawn in pairs.
fn gains(judged: &[Judged], rules: &[Judged], seed: u64) -> Map<String, Value> {
    let families = Families::new(judged, seed);
    let mut written = Map::new();
    for (name, of) in FIGURES.iter().filter(|(name, _)| GAINS.contains(name)) {
        let (value, interval) = match families.gain(rules, *of) {
            Some((gain, interval)) => (json!(rounded(gain)), interval_json(interval)),
            None => (Value::Null, Value::Null),
        };
        written.insert((*name).to_owned(), value);
        written.insert(format!("{name}_ci"), interval);
    }
    written
}

fn by_source(judged: &[Judged]) -> Vec<(String, Vec<Judged>)> {
    let mut sources: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
    for case in judged {
        sources.entry(case.source.clone()).or_default().push(case.clone());
    }
    sources.into_iter().collect()
}

/// What became of one family.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyLine {
    /// Its name.
    pub family: String,
    /// Cases of it, attacks among them, and those called attack, benign and neither.
    pub counts: [usize; 5],
    /// Cases called wrongly: attacks called benign and benign cases called attacks.
    pub wrong: usize,
    /// Mean score.
    pub mean_score: f64,
}

/// One line per family, in alphabetical order.
pub fn families(judged: &[Judged]) -> Vec<FamilyLine> {
    let mut families: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for case in judged {
        families.entry(&case.family).or_default().push(case);
    }
    let line = |(family, cases): (&str, Vec<&Judged>)| {
        let count = |of: fn(&Judged) -> bool| cases.iter().filter(|case| of(case)).count();
        FamilyLine {
            family: family.to_owned(),
            counts: [
                cases.len(),
                count(|case| case.attack),
                count(|case| case.class == Class::Attack),
                count(|case| case.class == Class::Benign),
                count(|case| case.class == Class::Abstained),
            ],
            wrong: count(|case| case.class == if case.attack { Class::Benign } else { Class::Attack }),
            mean_score: cases.iter().map(|case| case.score).sum::<f64>() / cases.len().max(1) as f64,
        }
    };
    families.into_iter().map(line).collect()
}

fn by_family(judged: &[Judged]) -> Value {
    let line = |line: FamilyLine| {
        let [n, malicious, attack, benign, abstained] = line.counts;
        json!({
            "family": line.family,
            "n": n,
            "n_malicious": malicious,
            "called_attack": attack,
            "called_benign": benign,
            "abstained": abstained,
            "wrong": line.wrong,
            "mean_probability": rounded(line.mean_score),
        })
    };
    families(judged).into_iter().map(line).collect()
}

fn case(outcome: &Outcome) -> Value {
    let seconds: f64 = outcome.alerts.iter().map(|alert| alert.seconds).sum();
    json!({
        "id": outcome.id,
        "verdict": outcome.verdict,
        "confidence": rounded(outcome.confidence),
        "convergence": rounded(outcome.convergence),
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "probability": rounded(outcome.probability),
        "truth": if outcome.truth == Truth::Malicious { "malicious" } else { "benign" },
        "source": outcome.source,
        "family": outcome.family,
        "alerts": outcome.alerts.len(),
        "rules_only": outcome.rules_only,
        "techniques": outcome.techniques,
    })
}

fn interval_json(interval: Option<Interval>) -> Value {
    interval.map_or(Value::Null, |[low, high]| json!([rounded(low), rounded(high)]))
}

/// Six decimals: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::baselines::tests::{alerted, outcome};
    use casemate_investigate::Verdict;

    /// Forty cases of eight families from two sources; attacks score higher, and one is missed.
    pub(crate) fn run() -> Run {
        let mut outcomes = Vec::new();
        for index in 0..40usize {
            let attack = index % 2 == 0;
            let truth = if attack { Truth::Malicious } else { Truth::Benign };
            let source = if index < 20 { "a" } else { "b" };
            let family = format!("{source}{}", index % 8 / 2);
            let mut case = outcome(&format!("case-{index}"), source, &family, truth, (index % 5) as f64);
            let right = index != 4;
            case.verdict = if attack == right { Verdict::Malicious } else { Verdict::Benign };
            case.probability = if attack { 0.95 - index as f64 / 100.0 } else { 0.05 + index as f64 / 100.0 };
            case.alerts = vec![alerted(case.verdict, &[case.verdict; 6], &[case.verdict])];
            outcomes.push(case);
        }
        Run { outcomes, seed: 7, ..Run::default() }
    }

    #[test]
    fn the_document_has_every_figure_with_its_interval_and_the_baselines_too() {
        let document = run().document();
        for (name, _) in FIGURES {
            for part in [&document, &document["baselines"]["rules_only"], &document["by_source"]["a"]] {
                let part = part.as_object().unwrap();
                assert!(part.contains_key(name) && part.contains_key(&format!("{name}_ci")), "{name}");
            }
        }
        assert_eq!(document["n"], 40);
        assert_eq!(document["missed_attack_rate"], 0.05);
        let [low, high] = [0, 1].map(|end| document["missed_attack_rate_ci"][end].as_f64().unwrap());
        assert!(low <= 0.05 && 0.05 < high, "{low} {high}");
        assert_eq!(document["cases"][4]["verdict"], "benign");
        assert_eq!(document["baselines"]["always_malicious"]["auroc"], 0.5);
        assert!(document["gain_over_rules"]["auroc"].as_f64().unwrap() > 0.0);
        assert_eq!(document["by_family"].as_array().unwrap().len(), 8);
    }

    #[test]
    fn the_same_run_is_the_same_document() {
        assert_eq!(run().document().to_string(), run().document().to_string());
        let other = Run { seed: 8, ..run() };
        assert_ne!(run().document()["brier_ci"], other.document()["brier_ci"]);
    }

    #[test]
    fn a_baseline_over_some_cases_is_compared_over_these() {
        let mut run = run();
        let conclusion = Conclusion { probability: 1.0, verdict: Verdict::Malicious, seconds: Some(3.0) };
        run.free_form = [("case-4".to_owned(), conclusion), ("case-5".to_owned(), conclusion)].into();
        let document = run.document();
        assert_eq!(document["baselines"]["free_form"]["n"], 2);
        assert_eq!(document["baselines"]["free_form"]["seconds_mean"], 3.0);
        assert_eq!(document["baselines"]["free_form_ours"]["missed_attack_rate"], 1.0);
    }
}
