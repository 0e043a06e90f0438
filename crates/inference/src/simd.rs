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

/// Folds the second half into the first until one value is left: few steps that wait for each other.
#[inline(always)]
pub(crate) fn fold(mut values: [f32; 16], merge: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            values[i] = merge(values[i], values[i + half]);
        }
    }
    values[0]
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

/// `x = (x - mean) / deviation * weight + bias` for one row.
pub(crate) fn layer_norm(isa: Isa, x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    vectorize(
        isa,
        #[inline(always)]
        || {
            let mut sums = [0f32; 16];
            let (blocks, rest) = x.as_chunks::<16>();
            for block in blocks {
                for (sum, x) in sums.iter_mut().zip(block) {
                    *sum += x;
                }
            }
            let mean = (sums.iter().sum::<f32>() + rest.iter().sum::<f32>()) / x.len() as f32;
            x.iter_mut().for_each(|x| *x -= mean);
            let scale = 1.0 / (sum_of_squares(x) / x.len() as f32 + epsilon).sqrt();
            for ((x, weight), bias) in x.iter_mut().zip(weight).zip(bias) {
                *x = *x * scale * weight + bias;
            }
        },
    );
}

/// `x = gelu(x)`, the exact one: x times the normal distribution function Φ(x), within 3e-7.
pub(crate) fn gelu(isa: Isa, x: &mut [f32]) {
    vectorize(
        isa,
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = gelu_erf(*x)),
    );
}

#[inline(always)]
fn gelu_erf(x: f32) -> f32 {
    // x · Φ(x) = max(x, 0) - |x| · Φ(-|x|), and ln Φ(-a) is as good as a polynomial. It was fitted on [0, 6]
    // for the smallest largest error of a · Φ(-a), 5.2e-8; from 6 on Φ(-a) is below 1e-9.
    let size = x.abs();
    let a = if size > 6.0 { 6.0 } else { size };
    let mut p = 2.294_710_7e-5;
    for coefficient in
        [-5.332_638e-4, 5.601_407_5e-3, -3.702_291_6e-2, -0.317_995_42, -0.797_952_36, -0.693_142_35]
    {
        p = p * a + coefficient;
    }
    let above = if x > 0.0 { x } else { 0.0 };
    above - size * exp(p)
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

    /// Φ(x) · x by the series of erf, or its continued fraction far out, in double precision.
    fn exact_gelu(x: f64) -> f64 {
        let (z, sqrt_pi) = (x.abs() / 2f64.sqrt(), std::f64::consts::PI.sqrt());
        let above = if z < 3.0 {
            let (mut term, mut sum) = (z, z);
            for n in 1..100 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            0.5 - sum / sqrt_pi
        } else {
            let fraction = (1..60).rev().fold(z, |below, n| z + f64::from(n) / 2.0 / below);
            0.5 * (-z * z).exp() / sqrt_pi / fraction
        };
        x.max(0.0) - x.abs() * above
    }

    #[test]
    fn gelu_is_exact() {
        let values: Vec<f32> =
            (-60_000..=60_000).map(|i| i as f32 / 4000.0).chain([-1e4, 1e4, 0.0]).collect();
        for isa in [Isa::Portable, Isa::best()] {
            let mut found = values.clone();
            gelu(isa, &mut found);
            for (x, found) in values.iter().zip(&found) {
                let expected = exact_gelu(f64::from(*x));
                let error = (f64::from(*found) - expected).abs();
                let rounding = expected.abs() * f64::from(f32::EPSILON);
                assert!(
                    error < 3e-7 + rounding || *x < -1e3 && error < 1e-5,
                    "gelu({x}) is {found} for {expected}"
                );
            }
        }
        let mut odd = [f32::NAN, f32::INFINITY];
        gelu(Isa::best(), &mut odd);
        assert!(!odd[0].is_finite() && !odd[1].is_finite());
    }

    #[test]
    fn layer_norm_agrees_with_its_definition() {
        let x: Vec<f32> = (0..37).map(|i| 3.0 + (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 100.0).collect();
        let mut out = x.clone();
        layer_norm(Isa::best(), &mut out, &w, &x, 1e-12);
        let mean = x.iter().sum::<f32>() / 37.0;
        let deviation = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 37.0).sqrt();
        for i in 0..37 {
            assert!((out[i] - ((x[i] - mean) / deviation * w[i] + x[i])).abs() < 2e-6);
        }
    }
}
