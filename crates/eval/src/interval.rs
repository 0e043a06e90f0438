//! How sure is a figure? Intervals of 95 % that know that cases of one family are alike.
//!
//! Families are drawn with replacement, all cases of a drawn family together: 500 cases of 40 families say
//! less than 500 that have nothing in common. Seeded, so the same cases give the same interval.

use crate::metrics::{Figure, Judged, Of};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Resamples of each interval.
pub const RESAMPLES: usize = 2000;
/// Normal quantile of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Lower and upper end.
pub type Interval = [f64; 2];
/// A figure with its interval; `None` where it is not defined.
pub type Told = Option<(Figure, Option<Interval>)>;

/// Cases by family, ready to be drawn.
pub struct Families<'a> {
    families: Vec<Vec<usize>>,
    cases: &'a [Judged],
    seed: u64,
}

impl<'a> Families<'a> {
    /// Groups `cases` by family. The order of the cases changes nothing but the last digits of sums.
    pub fn new(cases: &'a [Judged], seed: u64) -> Self {
        let mut families: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, case) in cases.iter().enumerate() {
            families.entry(&case.family).or_default().push(index);
        }
        Self { families: families.into_values().collect(), cases, seed }
    }

    /// Every figure with its interval.
    pub fn figures(&self, of: &[Of]) -> Vec<Told> {
        let all: Vec<&Judged> = self.cases.iter().collect();
        let drawn: Vec<Vec<Option<f64>>> = self.resample(|indices| {
            let cases: Vec<&Judged> = indices.iter().map(|index| &self.cases[*index]).collect();
            of.iter().map(|of| of(&cases).map(|figure| figure.value)).collect()
        });
        of.iter()
            .enumerate()
            .map(|(column, of)| {
                let figure = of(&all)?;
                let degenerate = figure.value == 0.0 || figure.value == 1.0;
                let interval = match figure.trials {
                    Some(trials) if degenerate => Some(wilson(figure.value, trials)),
                    _ => percentiles(drawn.iter().filter_map(|row| row[column]).collect()),
                };
                Some((figure, interval))
            })
            .collect()
    }

    /// How much better a figure is over these cases than over `other`: the same cases, in the same order,
    /// judged by somebody else. Drawn in pairs.
    pub fn gain(&self, other: &[Judged], of: Of) -> Option<(f64, Option<Interval>)> {
        let both = |indices: &[usize]| {
            let own: Vec<&Judged> = indices.iter().map(|index| &self.cases[*index]).collect();
            let others: Vec<&Judged> = indices.iter().filter_map(|index| other.get(*index)).collect();
            Some(of(&own)?.value - of(&others)?.value)
        };
        let all: Vec<usize> = (0..self.cases.len()).collect();
        let gain = both(&all)?;
        let drawn = self.resample(both);
        Some((gain, percentiles(drawn.into_iter().flatten().collect())))
    }

    /// `of` over every resample, in order of the resamples.
    fn resample<T: Send>(&self, of: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
        (0..RESAMPLES)
            .into_par_iter()
            .map(|number| {
                let mut random = Random::new(self.seed, number as u64);
                let mut indices = Vec::with_capacity(self.cases.len());
                for _ in 0..self.families.len() {
                    indices.extend_from_slice(&self.families[random.below(self.families.len())]);
                }
                of(&indices)
            })
            .collect()
    }
}

/// Wilson's score interval of a rate.
pub fn wilson(rate: f64, trials: usize) -> Interval {
    let n = trials.max(1) as f64;
    let middle = rate + Z * Z / (2.0 * n);
    let spread = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At the ends the difference is nought but for rounding.
    let low = if rate > 0.0 { (middle - spread) / scale } else { 0.0 };
    let high = if rate < 1.0 { (middle + spread) / scale } else { 1.0 };
    [low, high]
}

/// The middle 95 %; `None` where fewer than half of the resamples had the figure.
fn percentiles(mut drawn: Vec<f64>) -> Option<Interval> {
    if drawn.len() * 2 < RESAMPLES {
        return None;
    }
    drawn.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| drawn[((drawn.len() - 1) as f64 * q).round() as usize];
    Some([at(0.025), at(0.975)])
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for drawing families, the same on every machine.
struct Random(u64);

impl Random {
    /// A stream of its own per `number`.
    fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed ^ number.wrapping_mul(0xa076_1d64_78bd_642f));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::judged;
    use crate::metrics::{Class, FIGURES};

    fn missed(cases: &[Judged], seed: u64) -> (f64, Interval) {
        let (_, of) = FIGURES.iter().find(|(name, _)| *name == "missed_attack_rate").unwrap();
        let found = Families::new(cases, seed).figures(&[*of]).remove(0).unwrap();
        (found.0.value, found.1.unwrap())
    }

    /// `families` of ten attacks each, of which the first `wrong` families are called benign.
    fn cases(families: usize, wrong: usize, apart: bool) -> Vec<Judged> {
        (0..families * 10)
            .map(|index| {
                let family = index / 10;
                let class = if family < wrong { Class::Benign } else { Class::Attack };
                let mut case = judged(true, class, 1.0);
                case.family = if apart { format!("{index}") } else { format!("{family}") };
                case
            })
            .collect()
    }

    #[test]
    fn cases_of_one_family_say_less_than_cases_apart() {
        let (rate, alike) = missed(&cases(10, 2, false), 1);
        let (_, apart) = missed(&cases(10, 2, true), 1);
        assert_eq!(rate, 0.2);
        assert!(alike[0] < apart[0] && alike[1] > apart[1], "{alike:?} {apart:?}");
        // 100 independent trials at 0.2: the normal interval is 0.2 ± 0.078.
        assert!((apart[0] - 0.122).abs() < 0.02 && (apart[1] - 0.278).abs() < 0.02, "{apart:?}");
        assert_eq!(missed(&cases(10, 2, false), 1), (rate, alike), "the same seed, the same interval");
        assert_ne!(Random::new(1, 0).next(), Random::new(2, 0).next(), "another seed draws others");
    }

    #[test]
    fn a_rate_of_nought_still_has_an_upper_end() {
        let (rate, interval) = missed(&cases(10, 0, false), 1);
        assert_eq!((rate, interval[0]), (0.0, 0.0));
        // Wilson at 0 of 100: z² / (n + z²).
        assert!((interval[1] - 3.841_459 / 103.841_459).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn wilson_by_hand() {
        // 8 of 10, the textbook case.
        let [low, high] = wilson(0.8, 10);
        assert!((low - 0.490_16).abs() < 1e-4 && (high - 0.943_31).abs() < 1e-4, "{low} {high}");
    }

    #[test]
    fn gains_are_drawn_in_pairs() {
        let better = cases(20, 2, false);
        let worse = cases(20, 6, false);
        let (_, of) = FIGURES.iter().find(|(name, _)| *name == "missed_attack_rate").unwrap();
        let (gain, interval) = Families::new(&better, 1).gain(&worse, *of).unwrap();
        let [low, high] = interval.unwrap();
        assert!((gain + 0.2).abs() < 1e-12 && low < gain && gain < high && high <= 0.0, "{low} {high}");
        // Against itself there is no difference in any resample.
        let same = Families::new(&better, 1).gain(&better, *of).unwrap();
        assert_eq!(same, (0.0, Some([0.0, 0.0])));
    }

    #[test]
    fn draws_are_even() {
        let mut random = Random::new(7, 0);
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[random.below(5)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
