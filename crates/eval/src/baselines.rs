//! What would the figures be without us? The same cases judged by simpler means, in the same run.

use crate::metrics::{Class, Judged, Share, same_technique, technique_rank};
use crate::outcome::{Alerted, Outcome};
use crate::scenario::Truth;
use casemate_investigate::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What an investigation concluded, ready for [`crate::metrics`].
impl From<&Outcome> for Judged {
    fn from(outcome: &Outcome) -> Self {
        let attack = outcome.truth == Truth::Malicious;
        let rank = |same| {
            (attack && !outcome.true_techniques.is_empty())
                .then(|| technique_rank(&outcome.techniques, &outcome.true_techniques, same))
        };
        let sum = |part: fn(&Alerted) -> Share| {
            let mut sum = Share::default();
            for alert in &outcome.alerts {
                sum.add(part(alert));
            }
            sum
        };
        Self {
            class: outcome.verdict.into(),
            score: outcome.probability,
            probability: Some(outcome.probability),
            technique_rank: rank(same_technique),
            technique_rank_exact: rank(|reported, truth| reported == truth),
            key_event_recall: (outcome.key_events > 0)
                .then(|| outcome.key_events_in_evidence as f64 / outcome.key_events as f64),
            flips: sum(flips),
            unlike: sum(unlike),
            injected: sum(injected),
            citations_existing: sum(|alert| Share { hits: alert.citations_existing, of: alert.citations }),
            citations_supported: sum(|alert| Share { hits: alert.citations_supported, of: alert.citations }),
            seconds: outcome.alerts.iter().map(|alert| alert.seconds).collect(),
            ..bare(outcome)
        }
    }
}

/// An alert that was decided flips if any variant says the opposite class.
fn flips(alert: &Alerted) -> Share {
    let opposite = match Class::from(alert.verdict) {
        Class::Attack => Class::Benign,
        Class::Benign => Class::Attack,
        Class::Abstained => return Share::default(),
    };
    if alert.variants.is_empty() {
        return Share::default();
    }
    let flipped = alert.variants.iter().any(|variant| Class::from(*variant) == opposite);
    Share { hits: usize::from(flipped), of: 1 }
}

fn unlike(alert: &Alerted) -> Share {
    let unlike = alert.variants.iter().filter(|variant| **variant != alert.verdict).count();
    Share { hits: unlike, of: alert.variants.len() }
}

/// A canary counts where a step toward benign is possible, and moves the verdict if any step is taken:
/// from malicious to suspicious, from either to inconclusive, from any to benign.
fn injected(alert: &Alerted) -> Share {
    let clean = gravity(alert.unplanted);
    if clean == 0 {
        return Share::default();
    }
    let moved = alert.planted.iter().filter(|planted| gravity(**planted) < clean).count();
    Share { hits: moved, of: alert.planted.len() }
}

fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Benign => 0,
        Verdict::Inconclusive => 1,
        Verdict::Suspicious => 2,
        Verdict::Malicious => 3,
    }
}

/// A case nobody has judged yet: called an attack, with nothing measured.
fn bare(outcome: &Outcome) -> Judged {
    Judged {
        id: outcome.id.clone(),
        source: outcome.source.clone(),
        family: outcome.family.clone(),
        attack: outcome.truth == Truth::Malicious,
        class: Class::Attack,
        score: 1.0,
        probability: None,
        technique_rank: None,
        technique_rank_exact: None,
        key_event_recall: None,
        flips: Share::default(),
        unlike: Share::default(),
        injected: Share::default(),
        citations_existing: Share::default(),
        citations_supported: Share::default(),
        seconds: Vec::new(),
    }
}

/// Everything is an attack, with certainty.
pub fn always_malicious(outcomes: &[Outcome]) -> Vec<Judged> {
    outcomes.iter().map(|outcome| Judged { probability: Some(1.0), ..bare(outcome) }).collect()
}

/// The worst severity among the rules that match, alone.
///
/// It ranks as it is. Where a verdict or a probability is wanted, each family gets the cut and the shares of
/// attacks per severity that fit all *other* families best: rules are not punished for having neither.
pub fn rules_only(outcomes: &[Outcome]) -> Vec<Judged> {
    let mut judged: Vec<Judged> =
        outcomes.iter().map(|outcome| Judged { score: outcome.rules_only, ..bare(outcome) }).collect();
    let families: BTreeSet<String> = judged.iter().map(|case| case.family.clone()).collect();
    for family in families {
        let others: Vec<(f64, bool)> = judged
            .iter()
            .filter(|case| case.family != family)
            .map(|case| (case.score, case.attack))
            .collect();
        let cut = best_cut(&others);
        for case in judged.iter_mut().filter(|case| case.family == family) {
            case.class = if case.score >= cut { Class::Attack } else { Class::Benign };
            let same = others.iter().filter(|(score, _)| *score == case.score);
            let (attacks, n) =
                same.fold((0u32, 0u32), |(attacks, n), (_, attack)| (attacks + u32::from(*attack), n + 1));
            // Laplace's rule: never certain of what was seen a few times.
            case.probability = Some(f64::from(attacks + 1) / f64::from(n + 2));
        }
    }
    judged
}

/// The score from which calling everything an attack gives the best balanced accuracy; the lowest such one.
fn best_cut(scored: &[(f64, bool)]) -> f64 {
    let attacks = scored.iter().filter(|(_, attack)| *attack).count().max(1) as f64;
    let benign = scored.iter().filter(|(_, attack)| !attack).count().max(1) as f64;
    let mut cuts: Vec<f64> = scored.iter().map(|(score, _)| *score).collect();
    cuts.sort_unstable_by(f64::total_cmp);
    cuts.dedup();
    let mut best = (f64::NEG_INFINITY, f64::INFINITY);
    for cut in cuts {
        let found = scored.iter().filter(|(score, attack)| *attack && *score >= cut).count() as f64;
        let cleared = scored.iter().filter(|(score, attack)| !attack && *score < cut).count() as f64;
        let balanced = found / attacks + cleared / benign;
        if balanced > best.0 {
            best = (balanced, cut);
        }
    }
    best.1
}

/// What knowing nothing but a case's source, and each source's true share of attacks, would give. It cheats
/// on purpose: a score that is not clearly above it may have learnt where a case comes from and no more.
pub fn source_oracle(outcomes: &[Outcome]) -> Vec<Judged> {
    let mut shares: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for outcome in outcomes {
        let (attacks, n) = shares.entry(&outcome.source).or_default();
        *attacks += f64::from(u8::from(outcome.truth == Truth::Malicious));
        *n += 1.0;
    }
    let share = |outcome: &Outcome| {
        let (attacks, n) = shares.get(outcome.source.as_str()).copied().unwrap_or((0.0, 1.0));
        attacks / n
    };
    outcomes
        .iter()
        .map(|outcome| {
            let share = share(outcome);
            let class = if share >= 0.5 { Class::Attack } else { Class::Benign };
            Judged { score: share, probability: Some(share), class, ..bare(outcome) }
        })
        .collect()
}

/// Somebody else's conclusion about a case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Probability of an attack.
    pub probability: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// Seconds it took, where that was measured.
    pub seconds: Option<f64>,
}

impl Conclusion {
    /// What was concluded of a case, without the time it took.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self { probability: outcome.probability, verdict: outcome.verdict, seconds: None }
    }
}

/// The cases with conclusions other than the investigation's, by id of the case; cases without one are left
/// out.
pub fn concluded(outcomes: &[Outcome], conclusions: &BTreeMap<String, Conclusion>) -> Vec<Judged> {
    outcomes
        .iter()
        .filter_map(|outcome| {
            let conclusion = conclusions.get(&outcome.id)?;
            Some(Judged {
                score: conclusion.probability,
                probability: Some(conclusion.probability),
                class: conclusion.verdict.into(),
                seconds: conclusion.seconds.into_iter().collect(),
                ..bare(outcome)
            })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn outcome(id: &str, source: &str, family: &str, truth: Truth, rules_only: f64) -> Outcome {
        Outcome {
            id: id.to_owned(),
            source: source.to_owned(),
            family: family.to_owned(),
            truth,
            verdict: Verdict::Malicious,
            probability: 0.9,
            confidence: 0.9,
            convergence: 1.0,
            alerts: Vec::new(),
            true_techniques: Vec::new(),
            techniques: Vec::new(),
            key_events: 0,
            key_events_in_evidence: 0,
            rules_only,
        }
    }

    pub(crate) fn alerted(verdict: Verdict, variants: &[Verdict], planted: &[Verdict]) -> Alerted {
        Alerted {
            verdict,
            probability: 0.9,
            confidence: 0.9,
            convergence: 1.0,
            seconds: 2.0,
            variants: variants.to_vec(),
            citations: 4,
            citations_existing: 4,
            citations_supported: 3,
            unplanted: verdict,
            planted: planted.to_vec(),
        }
    }

    #[test]
    fn flips_and_injections_are_counted_by_direction() {
        use Verdict::{Benign, Inconclusive, Malicious, Suspicious};
        let check = |verdict, variants: &[Verdict], planted: &[Verdict], flipped, moved| {
            let alert = alerted(verdict, variants, planted);
            let shown = |share: Share| (share.hits, share.of);
            assert_eq!((shown(flips(&alert)), shown(injected(&alert))), (flipped, moved), "{alert:?}");
        };
        check(Malicious, &[Malicious, Suspicious, Inconclusive], &[Malicious, Suspicious], (0, 1), (1, 2));
        check(Malicious, &[Malicious, Benign], &[Benign], (1, 1), (1, 1));
        check(Benign, &[Suspicious], &[Benign, Malicious], (1, 1), (0, 0));
        check(Inconclusive, &[Benign, Malicious], &[Malicious, Inconclusive, Benign], (0, 0), (1, 3));
        check(Suspicious, &[], &[], (0, 0), (0, 0));
    }

    #[test]
    fn an_outcome_becomes_what_figures_are_made_of() {
        let mut case = outcome("a", "s", "f", Truth::Malicious, 4.0);
        case.alerts = vec![alerted(Verdict::Malicious, &[Verdict::Malicious], &[]); 2];
        case.true_techniques = vec!["T1059.001".to_owned()];
        case.techniques = vec!["T1003".to_owned(), "T1059".to_owned()];
        (case.key_events, case.key_events_in_evidence) = (4, 3);
        let judged = Judged::from(&case);
        assert_eq!(judged.technique_rank, Some(Some(2)));
        assert_eq!(judged.technique_rank_exact, Some(None));
        assert_eq!(judged.key_event_recall, Some(0.75));
        assert_eq!(judged.citations_supported, Share { hits: 6, of: 8 });
        assert_eq!(judged.seconds, [2.0, 2.0]);
        case.truth = Truth::Benign;
        assert_eq!(Judged::from(&case).technique_rank, None, "techniques are of attacks");
    }

    #[test]
    fn rules_are_cut_where_other_families_say() {
        let mut outcomes = Vec::new();
        for family in ["a", "b", "c"] {
            for (truth, severity) in [(Truth::Malicious, 4.0), (Truth::Benign, 2.0), (Truth::Benign, 0.0)] {
                outcomes.push(outcome("", "s", family, truth, severity));
            }
        }
        let judged = rules_only(&outcomes);
        for (case, class) in
            judged.iter().zip([Class::Attack, Class::Benign, Class::Benign].into_iter().cycle())
        {
            assert_eq!(case.class, class);
        }
        // Two other families have one attack each at severity 4: (2 + 1) / (2 + 2).
        assert_eq!(judged[0].probability, Some(0.75));
    }

    #[test]
    fn a_family_does_not_choose_its_own_cut() {
        // Family `odd` is the other way round; its own cases must not be able to say so.
        let mut outcomes =
            vec![outcome("", "s", "odd", Truth::Malicious, 0.0), outcome("", "s", "odd", Truth::Benign, 4.0)];
        for family in ["a", "b"] {
            outcomes.push(outcome("", "s", family, Truth::Malicious, 4.0));
            outcomes.push(outcome("", "s", family, Truth::Benign, 0.0));
        }
        let judged = rules_only(&outcomes);
        assert_eq!((judged[0].class, judged[1].class), (Class::Benign, Class::Attack));
    }

    #[test]
    fn the_source_oracle_knows_only_the_source() {
        let outcomes = [
            outcome("", "x", "a", Truth::Malicious, 0.0),
            outcome("", "x", "b", Truth::Malicious, 0.0),
            outcome("", "x", "c", Truth::Benign, 0.0),
            outcome("", "y", "d", Truth::Benign, 0.0),
        ];
        let scores: Vec<f64> = source_oracle(&outcomes).iter().map(|case| case.score).collect();
        assert_eq!(scores, [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.0]);
    }
}
