//! How does a token's position enter its query and key? Rotary embedding, explicit positions.

use crate::config::{Config, RopePairs};

/// Rotation frequencies of a model.
pub(crate) struct Rope {
    frequencies: Vec<f64>,
    pairs: RopePairs,
    magnitude: f64,
}

/// Cosine and sine for each pair of dimensions at the positions of some rows.
pub(crate) struct Rotation<'a> {
    rope: &'a Rope,
    /// `[row][pair]`
    angles: Vec<(f32, f32)>,
}

impl Rope {
    /// `factors` divide the frequencies (Llama 3's `rope_freqs.weight`, LongRoPE); empty means none.
    pub(crate) fn new(config: &Config, windowed: bool, factors: &[f32]) -> Self {
        let rope = &config.rope;
        let (base, scale) =
            if windowed { (rope.windowed_base, rope.windowed_scale) } else { (rope.base, rope.scale) };
        let frequency = |pair: usize| {
            let frequency = base.powf(-2.0 * pair as f64 / rope.dimensions as f64);
            frequency / scale / f64::from(factors.get(pair).copied().unwrap_or(1.0))
        };
        let frequencies = (0..rope.dimensions / 2).map(frequency).collect();
        Self { frequencies, pairs: rope.pairs, magnitude: rope.magnitude }
    }

    pub(crate) fn at(&self, positions: impl Iterator<Item = usize>) -> Rotation<'_> {
        let angle = |position: usize| {
            self.frequencies.iter().map(move |frequency| {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                ((cos * self.magnitude) as f32, (sin * self.magnitude) as f32)
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
