//! How does a token's position enter its query and key? Rotary embedding, explicit positions.

use crate::config::{Config, RopePairs};

/// Rotation frequencies of a model.
pub(crate) struct Rope {
    frequencies: Vec<f64>,
    pairs: RopePairs,
}

/// Cosine and sine for each pair of dimensions at the positions of some rows.
pub(crate) struct Rotation<'a> {
    rope: &'a Rope,
    /// `[row][pair]`
    angles: Vec<(f32, f32)>,
}

impl Rope {
    /// `factors` divide the frequencies (Llama 3's `rope_freqs.weight`); empty means none.
    pub(crate) fn new(config: &Config, _windowed: bool, factors: &[f32]) -> Self {
        let dimensions = config.rope_dimensions;
        let frequency = |pair: usize| {
            let base = config.rope_base.powf(-2.0 * pair as f64 / dimensions as f64);
            base / config.rope_scale / f64::from(factors.get(pair).copied().unwrap_or(1.0))
        };
        Self { frequencies: (0..dimensions / 2).map(frequency).collect(), pairs: config.rope_pairs }
    }

    pub(crate) fn at(&self, positions: impl Iterator<Item = usize>) -> Rotation<'_> {
        let angle = |position: usize| {
            self.frequencies.iter().map(move |frequency| {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (cos as f32, sin as f32)
            })
        };
        Rotation { rope: self, angles: positions.flat_map(angle).collect() }
    }
}

impl Rotation<'_> {
    /// Rotates one head of the given row in place.
    pub(crate) fn apply(&self, row: usize, head: &mut [f32]) {
        let pairs = self.rope.frequencies.len();
        let angles = &self.angles[row * pairs..(row + 1) * pairs];
        match self.rope.pairs {
            RopePairs::Neighbours => {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
            RopePairs::Halves => {
                let (first, second) = head.split_at_mut(pairs);
                for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                    (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                }
            }
        }
    }
}
