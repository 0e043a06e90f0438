//! How is a vector rounded to eight bits a number, and how alike are two such codes?

use crate::kernel::{Kernel, LINE};

/// Greatest number of a code, before 128 is added.
const MOST: f32 = 127.0;

/// Length of the code of a vector of so many numbers: filled up with zeros.
pub(crate) const fn length(dimension: usize) -> usize {
    dimension.next_multiple_of(LINE)
}

/// A vector rounded to eight bits: `bytes[i] − 128` times `scale` is its `i`-th number.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) bytes: Vec<u8>,
    pub(crate) scale: f32,
    /// Of the numbers as coded, without the 128.
    pub(crate) sum: i32,
}

impl Code {
    pub(crate) fn of(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs())).max(f32::MIN_POSITIVE);
        let mut sum = 0;
        let mut bytes = Vec::with_capacity(length(vector.len()));
        bytes.extend(vector.iter().map(|x| {
            let rounded = (x / largest * MOST).round() as i32;
            sum += rounded;
            (rounded + 128) as u8
        }));
        bytes.resize(length(vector.len()), 128);
        Self { bytes, scale: largest / MOST, sum }
    }

    /// Similarity to the vector coded as `bytes` with `scale`.
    #[inline]
    pub(crate) fn similarity(&self, kernel: Kernel, bytes: &[u8], scale: f32) -> f32 {
        (kernel.dot(bytes, &self.bytes) - 128 * self.sum) as f32 * (scale * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_close() {
        let vector = |seed: f32| (0..100).map(|i| (i as f32 * seed).sin()).collect::<Vec<f32>>();
        let (mut a, mut b) = (vector(0.7), vector(0.71));
        crate::dot::normalise(&mut a).unwrap();
        crate::dot::normalise(&mut b).unwrap();
        let (code_a, code_b) = (Code::of(&a), Code::of(&b));
        let found = code_a.similarity(Kernel::best(), &code_b.bytes, code_b.scale);
        assert!((found - crate::dot::dot(&a, &b)).abs() < 0.01, "{found}");
    }
}
