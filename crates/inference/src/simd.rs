//! Element-wise arithmetic, vectorised by the compiler for the instruction set at hand.

use crate::config::Activation;
use crate::kernel::Isa;
use crate::kernel::lanes::{Lanes, Operation, run};

/// Plain loops, compiled for every instruction set.
struct Loops<F>(F);

impl<F: FnOnce()> Operation for Loops<F> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        (self.0)();
    }
}

/// Runs plain loops compiled for `isa`; the closure should be marked `#[inline(always)]`.
pub(crate) fn vectorize(isa: Isa, loops: impl FnOnce()) {
    run(isa, Loops(loops));
}

/// e^x with a relative error below 3e-7, for x clamped to [-86, 86]; plain arithmetic that vectorises.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -86.0 { -86.0 } else { x };
    let x = if x > 86.0 { 86.0 } else { x };
    let t = x * std::f32::consts::LOG2_E;
    let rounded = t + ROUND;
    let f = t - (rounded - ROUND);
    // Taylor series of 2^f on [-0.5, 0.5]; the first term left out is below 1.2e-7.
    let mut p = 1.540_353e-4;
    for coefficient in [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2, 1.0]
    {
        p = p * f + coefficient;
    }
    f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// Sum of squares in a fixed order: sixteen running sums, then their sum.
#[inline(always)]
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        for (sum, x) in sums.iter_mut().zip(block) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

/// `out = x / rms(x) * weight` for one row.
pub(crate) fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            let scale = 1.0 / (sum_of_squares(x) / x.len() as f32 + epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        },
    );
}

/// `rms_norm` in place.
pub(crate) fn rms_norm_in_place(isa: Isa, x: &mut [f32], weight: &[f32], epsilon: f32) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            let scale = 1.0 / (sum_of_squares(x) / x.len() as f32 + epsilon).sqrt();
            for (x, weight) in x.iter_mut().zip(weight) {
                *x = *x * scale * weight;
            }
        },
    );
}

impl Activation {
    /// `out = activation(gate) * up`.
    pub(crate) fn multiply(self, isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
        match self {
            Self::Silu => silu_multiply(isa, gate, up, out),
            Self::GeluTanh => gelu_multiply(isa, gate, up, out),
        }
    }
}

/// `out = silu(gate) * up`, the activation of the gated MLP.
fn silu_multiply(isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp(-gate)) * up;
            }
        },
    );
}

/// `out = gelu(gate) * up`, with the approximation by tanh that Gemma was trained with.
fn gelu_multiply(isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gelu_tanh(*gate) * up;
            }
        },
    );
}

/// `x = gelu(x)` with the approximation by tanh.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let inner = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
    // 0.5 · (1 + tanh(y)) = 1 / (1 + e^(-2y))
    x / (1.0 + exp(-2.0 * inner))
}

/// `x += y`.
pub(crate) fn add(isa: Isa, x: &mut [f32], y: &[f32]) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            for (x, y) in x.iter_mut().zip(y) {
                *x += y;
            }
        },
    );
}

/// Natural log of the sum of e^x, stable for any finite input.
pub(crate) fn log_sum_exp(isa: Isa, row: &[f32]) -> f32 {
    let mut result = 0.0;
    vectorize(
        isa,
        #[inline(always)]
        || {
            let max = row.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max });
            let mut sums = [0f32; 16];
            let (blocks, rest) = row.as_chunks::<16>();
            for block in blocks {
                for (sum, x) in sums.iter_mut().zip(block) {
                    *sum += exp(x - max);
                }
            }
            let rest: f32 = rest.iter().map(|x| exp(x - max)).sum();
            // Sixteen sums of up to 16k terms each: single precision loses at most a few 1e-6 here.
            result = max + (sums.iter().sum::<f32>() + rest).ln();
        },
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        for i in -8600..=8600 {
            let x = i as f32 / 100.0;
            let error = (exp(x) / x.exp() - 1.0).abs();
            assert!(error < 8e-6, "exp({x}) is off by {error}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-36);
        assert!(exp(-1000.0) < 1e-36);
    }

    #[test]
    fn kernels_agree_with_their_definitions() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 100.0).collect();
        let mut out = vec![0.0; 37];
        rms_norm(Isa::best(), &x, &w, 1e-6, &mut out);
        let rms = (x.iter().map(|x| x * x).sum::<f32>() / 37.0 + 1e-6).sqrt();
        for i in 0..37 {
            assert!((out[i] - x[i] / rms * w[i]).abs() < 1e-6);
        }
        silu_multiply(Isa::best(), &x, &w, &mut out);
        for i in 0..37 {
            assert!((out[i] - x[i] / (1.0 + (-x[i]).exp()) * w[i]).abs() < 1e-6);
        }
        let expected = x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        assert!((f64::from(log_sum_exp(Isa::best(), &x)) - expected).abs() < 1e-5);
    }
}
