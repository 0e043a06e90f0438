//! Every kernel against its plain twin, and the plain twin against what the formats mean.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::packed::{Shape, Source, pack_panel};

const ISAS: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * next() * 3.0).collect()
}

/// A panel of one format made from noise, and its weights as candle dequantises them.
fn panel(dtype: GgmlDType, rows: usize, columns: usize, seed: u64) -> (Shape, Vec<u8>, Vec<f32>) {
    let weights = Tensor::from_vec(noise(seed, rows * columns), (rows, columns), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&weights, dtype).unwrap();
    let exact = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let bytes = tensor.data().unwrap().into_owned();
    let source = match dtype {
        GgmlDType::Q4_0 => Source::Q4_0(&bytes),
        GgmlDType::Q4_1 => Source::Q4_1(&bytes),
        GgmlDType::Q4K => Source::Q4K(&bytes),
        GgmlDType::Q6K => Source::Q6K(&bytes),
        GgmlDType::Q8_0 => Source::Q8_0(&bytes),
        _ => Source::Float(&exact),
    };
    let shape = Shape { format: source.format(), rows, columns };
    let mut packed = vec![0; shape.bytes()];
    pack_panel(&source, rows, columns, &mut packed);
    (shape, packed, exact)
}

fn rounded(isa: Isa, x: &[f32], columns: usize) -> Rounded {
    let mut rounded = Rounded::default();
    let (rows, blocks) = (x.len() / columns, columns.div_ceil(BLOCK));
    rounded.reserve(rows, blocks);
    for (row, x) in x.chunks_exact(columns).enumerate() {
        let at = row * blocks..(row + 1) * blocks;
        round(
            isa,
            x,
            RoundedRow {
                q: &mut rounded.q[at.start * BLOCK..at.end * BLOCK],
                scale: &mut rounded.scale[at.clone()],
                minus_sum: &mut rounded.minus_sum[at.clone()],
                half_sums: &mut rounded.half_sums[at],
            },
        );
    }
    rounded
}

fn check(dtype: GgmlDType, rows: usize, columns: usize, x_rows: usize, seed: u64) {
    let (shape, packed, exact) = panel(dtype, rows, columns, seed);
    let x = noise(seed + 1, x_rows * columns);
    let plain = rounded(Isa::Portable, &x, columns);
    let mut expected: Option<Vec<[f32; PANEL_ROWS]>> = None;
    for isa in ISAS.into_iter().filter(|isa| isa.is_available()) {
        let x = rounded(isa, &x, columns);
        assert_eq!((&x.q, &x.half_sums), (&plain.q, &plain.half_sums), "{isa}");
        assert_eq!((&x.scale, &x.minus_sum), (&plain.scale, &plain.minus_sum), "{isa}");
        let mut sums = vec![[0f32; PANEL_ROWS]; x_rows];
        let mut panel = Panel::default();
        // In two parts, as products with many columns are.
        let first = (shape.blocks() / 2).next_multiple_of(8).min(shape.blocks());
        for (from, blocks) in [(0, first), (first, shape.blocks() - first)] {
            let weights = PackedBlocks { format: shape.format, bytes: &packed, from, blocks };
            multiply(isa, &weights, &x, 0, &mut sums, &mut panel);
        }
        let expected = expected.get_or_insert_with(|| sums.clone());
        assert_eq!(&sums, expected, "{isa} {dtype:?} {rows}x{columns}");
    }
    // Against the weights' meaning and the rounded activations' values, in double precision.
    let sums = expected.unwrap();
    for (i, sums) in sums.iter().enumerate() {
        for row in 0..PANEL_ROWS {
            let term = |k: usize| {
                let x = f64::from(plain.scale[(i * plain.blocks) + k / BLOCK])
                    * f64::from(plain.q[i * plain.blocks * BLOCK + k]);
                let weight = if row < rows { f64::from(exact[row * columns + k]) } else { 0.0 };
                let block = k / BLOCK * BLOCK..columns.min((k / BLOCK + 1) * BLOCK);
                let block = if row < rows { &exact[row * columns..][block] } else { &[] };
                let largest = block.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                (x * weight, (x * weight).abs(), x.abs() * f64::from(largest))
            };
            let (value, magnitude, largest) =
                (0..columns).map(term).fold((0.0, 0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
            let tolerance = match dtype {
                // Rounded once more, to eight bits: at most half a step of the block's largest weight.
                GgmlDType::Q5_1 | GgmlDType::Q3K | GgmlDType::F16 => largest / 253.0 + 1e-3,
                // The offset of Q4_0 is exact; sums in single precision.
                _ => 2e-5 * magnitude + 1e-4,
            };
            let found = f64::from(sums[row]);
            assert!((found - value).abs() <= tolerance, "{dtype:?} row {row}: {found} for {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernels_agree(kind in 0usize..8, rows in 1usize..=16, blocks in 1usize..20, x_rows in 1usize..20, seed: u32) {
        let dtype = [
            GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0, GgmlDType::Q5_1, GgmlDType::F16,
            GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q3K,
        ][kind];
        let unit = if kind < 5 { 32 } else { 256 };
        check(dtype, rows, unit * blocks, x_rows, u64::from(seed));
    }
}

#[test]
fn extreme_weights_and_activations_do_not_overflow() {
    // Largest magnitudes everywhere, same sign: what would saturate first.
    // Scales of one, and as large integers as the formats hold.
    let mut q4k = [0xff; 144 * 16];
    q4k.as_chunks_mut::<144>().0.iter_mut().for_each(|block| block[..4].copy_from_slice(&[0, 0x3c, 0, 0]));
    let mut q6k = [0xff; 210 * 16];
    q6k.as_chunks_mut::<210>().0.iter_mut().for_each(|block| {
        block[192..].fill(0x80);
        block[208..].copy_from_slice(&[0, 0x3c]);
    });
    let mut q8 = [0x7f; 34 * 128];
    q8.as_chunks_mut::<34>().0.iter_mut().for_each(|block| block[..2].copy_from_slice(&[0, 0x3c]));
    for format in [Source::Q4K(&q4k), Source::Q6K(&q6k), Source::Q8_0(&q8)] {
        let shape = Shape { format: format.format(), rows: 16, columns: 256 };
        let mut packed = vec![0; shape.bytes()];
        pack_panel(&format, 16, 256, &mut packed);
        for value in [1.0, -1.0] {
            let mut all = Vec::new();
            for isa in ISAS.into_iter().filter(|isa| isa.is_available()) {
                let x = rounded(isa, &[value; 256], 256);
                let mut panel = Panel::default();
                let mut sums = [[0f32; PANEL_ROWS]];
                let weights = PackedBlocks { format: shape.format, bytes: &packed, from: 0, blocks: 8 };
                multiply(isa, &weights, &x, 0, &mut sums, &mut panel);
                all.push(sums);
            }
            assert!(all.iter().all(|sums| sums == &all[0] && sums[0][0].is_finite()), "{all:?}");
        }
    }
}

#[test]
fn odd_activations_are_rounded() {
    let odd = [f32::NAN, 1.0, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 1e30, -1e30];
    for isa in ISAS.into_iter().filter(|isa| isa.is_available()) {
        for length in [1, 8, 31, 33, 40] {
            let x: Vec<f32> = odd.iter().copied().cycle().take(length).collect();
            let found = rounded(isa, &x, length);
            let plain = rounded(Isa::Portable, &x, length);
            assert_eq!((found.q, found.scale), (plain.q, plain.scale), "{isa}, {length}");
        }
        assert!(rounded(isa, &[0.0; 32], 32).scale == [0.0]);
    }
}
