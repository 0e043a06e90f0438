//! Which of the tokens allowed is taken?

use crate::grammar::TokenMask;

/// How a token is chosen by its score.
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Sampler {
    /// The highest; the first of equals.
    #[default]
    Greedy,
    /// At random, by probability; the same seed and scores give the same tokens.
    Random(Random),
}

/// A seeded random choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Random {
    temperature: f64,
    top_p: f64,
    state: u64,
}

impl Sampler {
    /// Chooses at random. Scores are divided by `temperature` (below 0.01 counts as 0.01), and only the
    /// most probable tokens that add up to `top_p` are considered.
    pub fn random(seed: u64, temperature: f32, top_p: f32) -> Self {
        let temperature = f64::from(temperature).max(0.01);
        Self::Random(Random { temperature, top_p: f64::from(top_p).clamp(0.0, 1.0), state: seed })
    }

    /// The token to take; none if none is allowed.
    pub(crate) fn choose(&mut self, logits: &[f32], mask: &TokenMask) -> Option<u32> {
        match self {
            Self::Greedy => mask.best(logits),
            Self::Random(random) => random.choose(logits, mask),
        }
    }
}

impl Random {
    fn choose(&mut self, logits: &[f32], mask: &TokenMask) -> Option<u32> {
        let allowed = logits.iter().zip(0u32..).filter(|(x, token)| !x.is_nan() && mask.contains(*token));
        let mut allowed: Vec<(f32, u32)> = allowed.map(|(x, token)| (*x, token)).collect();
        allowed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let highest = allowed.first()?.0;
        let weight = |x: f32| (f64::from(x - highest) / self.temperature).exp();
        let weights: Vec<f64> = allowed.iter().map(|(x, _)| weight(*x)).collect();
        let total: f64 = weights.iter().sum();
        let mut considered = 0.0;
        let kept = weights.iter().take_while(|weight| {
            let take = considered < self.top_p * total;
            considered += **weight;
            take
        });
        let kept = kept.count().max(1);
        let total: f64 = weights[..kept].iter().sum();
        let mut left = self.next() * total;
        for ((_, token), weight) in allowed[..kept].iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return Some(*token);
            }
        }
        allowed[..kept].last().map(|(_, token)| *token)
    }

    /// A number from 0 to below 1: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
    /// generators, 2014).
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_reproduce_and_masks_hold() {
        let logits = [0.0, 3.0, f32::NAN, 2.9, 9.0];
        let mask = TokenMask::of([0, 1, 2, 3]);
        let draw = |seed| {
            let mut sampler = Sampler::random(seed, 1.0, 1.0);
            (0..400).map(|_| sampler.choose(&logits, &mask).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let count = |token| draw(3).iter().filter(|drawn| **drawn == token).count();
        assert_eq!(count(4) + count(2), 0);
        assert!(count(1) > 150 && count(3) > 130 && count(0) < 40, "{} {} {}", count(1), count(3), count(0));
        assert_eq!(Sampler::Greedy.choose(&logits, &mask), Some(1));
        assert_eq!(Sampler::random(1, 1.0, 0.0).choose(&logits, &mask), Some(1));
        assert_eq!(Sampler::random(1, 1.0, 1.0).choose(&logits, &TokenMask::of([2])), None);
    }
}
