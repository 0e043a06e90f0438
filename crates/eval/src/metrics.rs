//! How good are these verdicts? Every figure of the report as a pure function over judged cases.
//!
//! A verdict counts as one of three classes ([`Class`]): `malicious` and `suspicious` both say *attack*,
//! `benign` says *benign*, `inconclusive` *abstains*. Rates over all attacks or all benign cases keep the
//! abstained in the denominator; `balanced_accuracy` leaves them out, and `balanced_accuracy_all` counts them
//! as wrong, so that abstaining never pays in both.

use casemate_investigate::Verdict;

/// What a verdict says of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is an attack: `malicious` or `suspicious`.
    Attack,
    /// It is none: `benign`.
    Benign,
    /// Not decided: `inconclusive`.
    Abstained,
}

impl From<Verdict> for Class {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Malicious | Verdict::Suspicious => Self::Attack,
            Verdict::Benign => Self::Benign,
            Verdict::Inconclusive => Self::Abstained,
        }
    }
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share {
    /// Those counted.
    pub hits: usize,
    /// Those there are.
    pub of: usize,
}

impl Share {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.of += other.of;
    }

    fn figure(self) -> Option<Figure> {
        (self.of > 0).then(|| Figure { value: self.hits as f64 / self.of as f64, trials: Some(self.of) })
    }
}

/// A case with what is true of it and what was said of it, reduced to what figures are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Name of the case.
    pub id: String,
    /// Collection it comes from.
    pub source: String,
    /// Family: the unit that is resampled.
    pub family: String,
    /// Truth: it is an attack.
    pub attack: bool,
    /// What was said.
    pub class: Class,
    /// Ranks cases: higher is more likely an attack. Any scale.
    pub score: f64,
    /// Probability of an attack, where one was given.
    pub probability: Option<f64>,
    /// Rank (from 1) of the first reported technique that is true; `None` if none is. Outer `None`: no
    /// technique is known, so the case is not scored.
    pub technique_rank: Option<Option<usize>>,
    /// The same without the parent rule of [`same_technique`].
    pub technique_rank_exact: Option<Option<usize>>,
    /// Share of its key events that reached the evidence; `None` where none is known.
    pub key_event_recall: Option<f64>,
    /// Its alerts with a verdict of which some variant (wording, order, block left out) said the opposite.
    pub flips: Share,
    /// Variants that did not say the published verdict, of all variants.
    pub unlike: Share,
    /// Planted canaries that moved a verdict toward benign, of those planted in an alert not benign already.
    pub injected: Share,
    /// Citations whose events exist.
    pub citations_existing: Share,
    /// Citations whose events say so.
    pub citations_supported: Share,
    /// Seconds of machine time of each alert.
    pub seconds: Vec<f64>,
}

/// A figure, and how many trials stand behind it where it is a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Trials of a rate; of one made of two classes, those of the smaller class.
    pub trials: Option<usize>,
}

/// A figure over some cases; `None` where it is not defined (no benign case, no technique known …).
pub type Of = fn(&[&Judged]) -> Option<Figure>;

/// Every figure by its name, in the order of the report.
pub const FIGURES: [(&str, Of); 25] = [
    ("auroc", |cases| auroc(cases.iter().map(|case| (case.score, case.attack)))),
    ("auroc_within_source", auroc_within_source),
    ("balanced_accuracy", balanced_accuracy),
    ("balanced_accuracy_all", balanced_accuracy_all),
    ("f1", f1),
    ("false_positive_rate", |cases| rate(cases, |case| !case.attack, |case| case.class == Class::Attack)),
    ("missed_attack_rate", |cases| rate(cases, |case| case.attack, |case| case.class == Class::Benign)),
    ("abstention_rate", |cases| rate(cases, |_| true, |case| case.class == Class::Abstained)),
    ("abstention_rate_malicious", |cases| {
        rate(cases, |case| case.attack, |case| case.class == Class::Abstained)
    }),
    ("abstention_rate_benign", |cases| {
        rate(cases, |case| !case.attack, |case| case.class == Class::Abstained)
    }),
    ("flip_rate", |cases| sum(cases, |case| case.flips)),
    ("variant_disagreement", |cases| sum(cases, |case| case.unlike)),
    ("injection_rate", |cases| sum(cases, |case| case.injected)),
    ("citation_exists", |cases| sum(cases, |case| case.citations_existing)),
    ("citation_supported", |cases| sum(cases, |case| case.citations_supported)),
    ("ece", |cases| ece(&probabilities(cases))),
    ("ece_equal_count", |cases| ece_equal_count(&probabilities(cases))),
    ("brier", |cases| brier(&probabilities(cases))),
    ("key_event_recall", |cases| mean(cases.iter().filter_map(|case| case.key_event_recall)).map(plain)),
    ("technique_top1", |cases| technique(cases, 1, |case| case.technique_rank)),
    ("technique_top3", |cases| technique(cases, 3, |case| case.technique_rank)),
    ("technique_top1_exact", |cases| technique(cases, 1, |case| case.technique_rank_exact)),
    ("technique_top3_exact", |cases| technique(cases, 3, |case| case.technique_rank_exact)),
    ("seconds_mean", |cases| mean(seconds(cases).into_iter()).map(plain)),
    ("seconds_p95", |cases| percentile(&seconds(cases), 0.95).map(plain)),
];

/// Bins of both calibration errors.
pub const BINS: usize = 10;

/// Area under the ROC curve: the chance that an attack scores above a benign case, ties counting half.
///
/// `None` without a case of either class. O(n log n).
pub fn auroc(scored: impl Iterator<Item = (f64, bool)>) -> Option<Figure> {
    let (wins, pairs, smaller) = wins(scored);
    (pairs > 0.0).then(|| Figure { value: wins / pairs, trials: Some(smaller) })
}

/// AUROC over those pairs of cases alone that come from the same source: it says nothing good of a score
/// that only tells the sources apart, whatever their share of attacks.
fn auroc_within_source(cases: &[&Judged]) -> Option<Figure> {
    let mut sources: Vec<&str> = cases.iter().map(|case| case.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut total = (0.0, 0.0, 0);
    for source in sources {
        let own = cases.iter().filter(|case| case.source == source);
        let (won, pairs, smaller) = wins(own.map(|case| (case.score, case.attack)));
        total = (total.0 + won, total.1 + pairs, total.2 + smaller);
    }
    (total.1 > 0.0).then(|| Figure { value: total.0 / total.1, trials: Some(total.2) })
}

/// Pairs won, pairs there are, cases of the smaller class.
fn wins(scored: impl Iterator<Item = (f64, bool)>) -> (f64, f64, usize) {
    let mut scored: Vec<(f64, bool)> = scored.collect();
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let attacks = scored.iter().filter(|(_, attack)| *attack).count();
    let benign = scored.len() - attacks;
    let (mut wins, mut below) = (0.0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let hits = tied.iter().filter(|(_, attack)| *attack).count() as f64;
        let others = tied.len() as f64 - hits;
        wins += hits * (below + others / 2.0);
        below += others;
    }
    (wins, attacks as f64 * benign as f64, attacks.min(benign))
}

/// Points of the ROC curve from (0, 0) to (1, 1): false positive rate, true positive rate.
pub fn roc(scored: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let attacks = scored.iter().filter(|(_, attack)| *attack).count() as f64;
    let benign = scored.len() as f64 - attacks;
    if attacks == 0.0 || benign == 0.0 {
        return Vec::new();
    }
    let mut sorted = scored.to_vec();
    sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut points, mut found, mut wrong) = (vec![(0.0, 0.0)], 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let hits = tied.iter().filter(|(_, attack)| *attack).count() as f64;
        found += hits;
        wrong += tied.len() as f64 - hits;
        points.push((wrong / benign, found / attacks));
    }
    points
}

/// Mean of the shares of attacks and of benign cases called right, of those decided.
fn balanced_accuracy(cases: &[&Judged]) -> Option<Figure> {
    let decided: Vec<&Judged> = cases.iter().copied().filter(|case| case.class != Class::Abstained).collect();
    balanced_accuracy_all(&decided)
}

/// The same with the abstained counted as wrong.
fn balanced_accuracy_all(cases: &[&Judged]) -> Option<Figure> {
    let found = rate(cases, |case| case.attack, |case| case.class == Class::Attack)?;
    let cleared = rate(cases, |case| !case.attack, |case| case.class == Class::Benign)?;
    Some(Figure { value: (found.value + cleared.value) / 2.0, trials: found.trials.min(cleared.trials) })
}

/// Harmonic mean of precision and recall of the attacks; an attack abstained on is not found.
fn f1(cases: &[&Judged]) -> Option<Figure> {
    let attacks = cases.iter().filter(|case| case.attack).count();
    let called = cases.iter().filter(|case| case.class == Class::Attack).count();
    let found = cases.iter().filter(|case| case.attack && case.class == Class::Attack).count();
    (attacks + called > 0)
        .then(|| Figure { value: 2.0 * found as f64 / (attacks + called) as f64, trials: Some(attacks) })
}

/// Probability and truth of every case that has a probability.
pub fn probabilities(cases: &[&Judged]) -> Vec<(f64, bool)> {
    cases.iter().filter_map(|case| Some((case.probability?, case.attack))).collect()
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Mean probability said.
    pub said: f64,
    /// Share of attacks there was.
    pub was: f64,
    /// Cases in it.
    pub n: usize,
}

/// Ten bins of equal width, the empty ones left out; 1.0 is in the last.
pub fn bins(said: &[(f64, bool)]) -> Vec<Bin> {
    let index = |p: f64| ((p * BINS as f64) as usize).min(BINS - 1);
    (0..BINS)
        .filter_map(|bin| {
            let own: Vec<(f64, bool)> = said.iter().copied().filter(|(p, _)| index(*p) == bin).collect();
            summarize(&own)
        })
        .collect()
}

fn summarize(own: &[(f64, bool)]) -> Option<Bin> {
    let n = own.len();
    (n > 0).then(|| Bin {
        said: own.iter().map(|(p, _)| p).sum::<f64>() / n as f64,
        was: own.iter().filter(|(_, attack)| *attack).count() as f64 / n as f64,
        n,
    })
}

/// Expected calibration error over ten bins of equal width.
fn ece(said: &[(f64, bool)]) -> Option<Figure> {
    gap(&bins(said), said.len())
}

/// Expected calibration error over ten bins of equal count.
fn ece_equal_count(said: &[(f64, bool)]) -> Option<Figure> {
    let mut sorted = said.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let bins: Vec<Bin> = (0..BINS)
        .filter_map(|bin| {
            let at = |edge: usize| edge * sorted.len() / BINS;
            summarize(&sorted[at(bin)..at(bin + 1)])
        })
        .collect();
    gap(&bins, said.len())
}

fn gap(bins: &[Bin], n: usize) -> Option<Figure> {
    let sum: f64 = bins.iter().map(|bin| (bin.said - bin.was).abs() * bin.n as f64).sum();
    (n > 0).then(|| plain(sum / n as f64))
}

/// Mean squared difference of probability and truth.
fn brier(said: &[(f64, bool)]) -> Option<Figure> {
    mean(said.iter().map(|(p, attack)| (p - f64::from(u8::from(*attack))).powi(2))).map(plain)
}

/// Whether a reported ATT&CK technique counts as the true one: the same id, or one of both is the other's
/// parent (`T1059` and `T1059.001`). Two different sub-techniques of one parent are not the same.
pub fn same_technique(reported: &str, truth: &str) -> bool {
    let parent = |id: &str, of: &str| of.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
    reported == truth || parent(reported, truth) || parent(truth, reported)
}

/// Rank (from 1) of the first reported technique that `same` says is one of the true ones.
pub fn technique_rank(reported: &[String], truth: &[String], same: fn(&str, &str) -> bool) -> Option<usize> {
    reported.iter().position(|id| truth.iter().any(|truth| same(id, truth))).map(|index| index + 1)
}

fn technique(
    cases: &[&Judged],
    top: usize,
    rank: impl Fn(&Judged) -> Option<Option<usize>>,
) -> Option<Figure> {
    let mut share = Share::default();
    for rank in cases.iter().filter_map(|case| rank(case)) {
        share.add(Share { hits: usize::from(rank.is_some_and(|rank| rank <= top)), of: 1 });
    }
    share.figure()
}

/// The value below which a share of `q` lies: the smallest that has at least so many at or below it.
pub fn percentile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn seconds(cases: &[&Judged]) -> Vec<f64> {
    cases.iter().flat_map(|case| case.seconds.iter().copied()).collect()
}

fn rate(cases: &[&Judged], of: impl Fn(&Judged) -> bool, hit: impl Fn(&Judged) -> bool) -> Option<Figure> {
    let mut share = Share::default();
    for case in cases.iter().filter(|case| of(case)) {
        share.add(Share { hits: usize::from(hit(case)), of: 1 });
    }
    share.figure()
}

fn sum(cases: &[&Judged], part: impl Fn(&Judged) -> Share) -> Option<Figure> {
    let mut share = Share::default();
    for case in cases {
        share.add(part(case));
    }
    share.figure()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

fn plain(value: f64) -> Figure {
    Figure { value, trials: None }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn judged(attack: bool, class: Class, score: f64) -> Judged {
        Judged {
            id: String::new(),
            source: "s".to_owned(),
            family: "f".to_owned(),
            attack,
            class,
            score,
            probability: Some(score),
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

    fn value(name: &str, cases: &[Judged]) -> Option<f64> {
        let cases: Vec<&Judged> = cases.iter().collect();
        let (_, of) = FIGURES.iter().find(|(known, _)| *known == name).unwrap();
        of(&cases).map(|figure| figure.value)
    }

    #[test]
    fn auroc_counts_pairs_and_halves_ties() {
        let check = |scored: &[(f64, bool)], expected: Option<f64>| {
            assert_eq!(auroc(scored.iter().copied()).map(|figure| figure.value), expected, "{scored:?}");
        };
        check(&[(0.1, false), (0.9, true)], Some(1.0));
        check(&[(0.9, false), (0.1, true)], Some(0.0));
        check(&[(0.5, false), (0.5, true)], Some(0.5));
        // Attacks 3 and 1 against benign 2 and 1: won 2 + 0, tied 1 of (1, 1): 2.5 of 4.
        check(&[(3.0, true), (1.0, true), (2.0, false), (1.0, false)], Some(0.625));
        check(&[(1.0, true)], None);
        check(&[], None);
    }

    #[test]
    fn a_score_that_only_tells_sources_apart_is_unmasked() {
        let mut cases = Vec::new();
        for (source, attacks, benign, score) in [("a", 9, 1, 0.9), ("b", 1, 9, 0.1)] {
            for index in 0..attacks + benign {
                let mut case = judged(index < attacks, Class::Attack, score);
                case.source = source.to_owned();
                cases.push(case);
            }
        }
        // Of 100 pairs: 9 × 9 won, 9 + 9 tied, 1 lost.
        assert_eq!(value("auroc", &cases), Some(0.90));
        assert_eq!(value("auroc_within_source", &cases), Some(0.5));
    }

    #[test]
    fn classes_make_the_rates() {
        use Class::{Abstained, Attack, Benign};
        let mut cases = Vec::new();
        for (attack, class, n) in [
            (true, Attack, 6),
            (true, Benign, 2),
            (true, Abstained, 2),
            (false, Attack, 1),
            (false, Benign, 3),
            (false, Abstained, 1),
        ] {
            cases.extend(std::iter::repeat_with(|| judged(attack, class, 0.5)).take(n));
        }
        let check = |name, expected: f64| {
            let value = value(name, &cases).unwrap();
            assert!((value - expected).abs() < 1e-12, "{name}: {value}, not {expected}");
        };
        check("balanced_accuracy", (6.0 / 8.0 + 3.0 / 4.0) / 2.0);
        check("balanced_accuracy_all", (6.0 / 10.0 + 3.0 / 5.0) / 2.0);
        // Precision 6/7, recall 6/10.
        check("f1", 2.0 * (6.0 / 7.0) * 0.6 / (6.0 / 7.0 + 0.6));
        check("false_positive_rate", 0.2);
        check("missed_attack_rate", 0.2);
        check("abstention_rate", 0.2);
        check("abstention_rate_benign", 0.2);
    }

    #[test]
    fn calibration_by_hand() {
        let check = |said: &[(f64, bool)], width: f64, count: f64, squares: f64| {
            let cases: Vec<Judged> =
                said.iter().map(|(p, attack)| judged(*attack, Class::Attack, *p)).collect();
            for (name, expected) in [("ece", width), ("ece_equal_count", count), ("brier", squares)] {
                let value = value(name, &cases).unwrap();
                assert!((value - expected).abs() < 1e-12, "{name} of {said:?}: {value}, not {expected}");
            }
        };
        check(&[(1.0, true), (0.0, false)], 0.0, 0.0, 0.0);
        check(&[(1.0, false)], 1.0, 1.0, 1.0);
        // One bin: said 0.75, was 0.5. Ten bins of equal count over two cases: one case each.
        check(&[(0.72, true), (0.78, false)], 0.25, (0.28 + 0.78) / 2.0, (0.0784 + 0.6084) / 2.0);
    }

    #[test]
    fn techniques_match_with_their_parent_and_no_sibling() {
        let check = |reported, truth, expected| assert_eq!(same_technique(reported, truth), expected);
        check("T1059", "T1059.001", true);
        check("T1059.001", "T1059", true);
        check("T1059.001", "T1059.001", true);
        check("T1059.001", "T1059.003", false);
        check("T105", "T1059", false);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let reported = ids(&["T1003", "T1059.001"]);
        assert_eq!(technique_rank(&reported, &ids(&["T1059"]), same_technique), Some(2));
        assert_eq!(technique_rank(&reported, &ids(&["T1059"]), |a, b| a == b), None);
        let mut cases = vec![judged(true, Class::Attack, 1.0); 3];
        cases[0].technique_rank = Some(Some(2));
        cases[1].technique_rank = Some(None);
        assert_eq!(value("technique_top1", &cases), Some(0.0));
        assert_eq!(value("technique_top3", &cases), Some(0.5));
    }

    #[test]
    fn shares_add_up_over_cases() {
        let mut cases = vec![judged(true, Class::Attack, 1.0); 2];
        cases[0].flips = Share { hits: 1, of: 1 };
        cases[1].flips = Share { hits: 0, of: 3 };
        assert_eq!(value("flip_rate", &cases), Some(0.25));
        assert_eq!(value("injection_rate", &cases), None);
        cases[0].seconds = vec![1.0, 3.0];
        cases[1].seconds = vec![8.0];
        assert_eq!(value("seconds_mean", &cases), Some(4.0));
        assert_eq!(value("seconds_p95", &cases), Some(8.0));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.95), Some(19.0));
        assert_eq!(percentile(&values, 1.0), Some(20.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn roc_steps_diagonally_over_ties() {
        let points = roc(&[(2.0, true), (1.0, true), (1.0, false), (0.0, false)]);
        assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        assert!(roc(&[(1.0, true)]).is_empty());
    }
}
