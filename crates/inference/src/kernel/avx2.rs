//! The kernels in AVX2: sixteen rows are two vectors of eight, four columns of a row share a lane.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds neighbours into 16 bits without saturating as
//! long as the unsigned ones stay small: eight such sums of 4-bit weights fit 16 bits, two of 6-bit ones.

use std::arch::x86_64::*;

use super::{BLOCK, BLOCK_BYTES, Kind, PANEL_ROWS, Panel, Rounded, RoundedRow, RoundedTile, Sums};
use crate::packed::Format;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn unpack(format: Format, source: &[u8], from: usize, panel: &mut Panel) {
    assert!(source.len() >= format.end(from + panel.blocks));
    for block in 0..panel.blocks {
        let place = format.place(from + block);
        // SAFETY: `place` lies below `format.end`, which `source` reaches; `panel` was reserved for
        // `panel.blocks` blocks of this format's kind.
        unsafe {
            let q = panel.q.as_mut_ptr().add(block * BLOCK_BYTES);
            let scale = panel.scale.as_mut_ptr().add(block * PANEL_ROWS);
            let low = source.as_ptr().add(place.low);
            let at = |offset: usize| source.as_ptr().add(offset);
            match format {
                Format::Q4 => {
                    let offset = panel.offset.as_mut_ptr().add(block * PANEL_ROWS);
                    unpack_low(low, q);
                    for half in 0..2 {
                        let rows = half * 8;
                        _mm256_storeu_ps(scale.add(rows), halves(at(place.scale + 2 * rows)));
                        let value = halves(at(place.scale + 2 * (PANEL_ROWS + rows)));
                        _mm256_storeu_ps(offset.add(rows), value);
                    }
                }
                Format::Q4K => {
                    let offset = panel.offset.as_mut_ptr().add(block * PANEL_ROWS);
                    unpack_low(low, q);
                    for half in 0..2 {
                        let rows = half * 8;
                        let delta = halves(at(place.delta + 2 * rows));
                        let value = _mm256_mul_ps(delta, bytes(at(place.scale + rows)));
                        _mm256_storeu_ps(scale.add(rows), value);
                        let delta = halves(at(place.delta + 2 * (PANEL_ROWS + rows)));
                        let value = _mm256_mul_ps(delta, bytes(at(place.minimum + rows)));
                        _mm256_storeu_ps(offset.add(rows), value);
                    }
                }
                Format::Q6K => {
                    unpack_low(low, q);
                    add_high(at(place.high), q);
                    let multiplier: *mut __m256i =
                        panel.multiplier.as_mut_ptr().add(block * PANEL_ROWS * 3).cast();
                    for half in 0..2 {
                        let rows = half * 8;
                        _mm256_storeu_ps(scale.add(rows), halves(at(place.delta + 2 * rows)));
                        let a = _mm256_cvtepi8_epi32(_mm_loadl_epi64(at(place.scale + rows).cast()));
                        let b =
                            _mm256_cvtepi8_epi32(_mm_loadl_epi64(at(place.scale + PANEL_ROWS + rows).cast()));
                        let (low_a, low_b) = (low_words(a), low_words(b));
                        let (high_a, high_b) = (_mm256_slli_epi32(a, 16), _mm256_slli_epi32(b, 16));
                        _mm256_storeu_si256(multiplier.add(half), _mm256_or_si256(low_a, high_a));
                        _mm256_storeu_si256(multiplier.add(2 + half), _mm256_or_si256(low_b, high_b));
                        _mm256_storeu_si256(multiplier.add(4 + half), _mm256_or_si256(low_a, high_b));
                    }
                }
                Format::Q8 => {
                    std::ptr::copy_nonoverlapping(low, q, BLOCK_BYTES);
                    for half in 0..2 {
                        let rows = half * 8;
                        _mm256_storeu_ps(scale.add(rows), halves(at(place.scale + 2 * rows)));
                    }
                }
            }
        }
    }
}

/// Eight half-precision floats.
#[target_feature(enable = "avx2,f16c")]
unsafe fn halves(at: *const u8) -> __m256 {
    // SAFETY: the caller has sixteen bytes there.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
}

/// Eight bytes as floats.
#[target_feature(enable = "avx2")]
unsafe fn bytes(at: *const u8) -> __m256 {
    // SAFETY: the caller has eight bytes there.
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(at.cast()) }))
}

#[target_feature(enable = "avx2")]
fn low_words(x: __m256i) -> __m256i {
    _mm256_and_si256(x, _mm256_set1_epi32(0xffff))
}

/// 256 bytes of nibbles: low ones to the first half of a block, high ones to the second.
#[target_feature(enable = "avx2")]
unsafe fn unpack_low(low: *const u8, q: *mut u8) {
    let mask = _mm256_set1_epi8(15);
    for i in 0..8 {
        // SAFETY: the caller has 256 bytes at `low` and 512 at `q`.
        unsafe {
            let packed = _mm256_loadu_si256(low.add(i * 32).cast());
            _mm256_storeu_si256(q.add(i * 32).cast(), _mm256_and_si256(packed, mask));
            let high = _mm256_and_si256(_mm256_srli_epi16(packed, 4), mask);
            _mm256_storeu_si256(q.add(BLOCK_BYTES / 2 + i * 32).cast(), high);
        }
    }
}

/// Bits 4 and 5 of a block of six-bit weights.
#[target_feature(enable = "avx2")]
unsafe fn add_high(high: *const u8, q: *mut u8) {
    let mask = _mm256_set1_epi8(0x30);
    for half in 0..2 {
        for part in 0..2 {
            // SAFETY: the caller has 128 bytes at `high` and 512 at `q`.
            unsafe {
                let bits = _mm256_loadu_si256(high.add(half * 64 + part * 32).cast());
                let shifted = [
                    _mm256_slli_epi16(bits, 4),
                    _mm256_slli_epi16(bits, 2),
                    bits,
                    _mm256_srli_epi16(bits, 2),
                ];
                for (quad, shifted) in shifted.into_iter().enumerate() {
                    let at: *mut __m256i = q.add((half * 4 + quad) * 64 + part * 32).cast();
                    let value = _mm256_or_si256(_mm256_loadu_si256(at), _mm256_and_si256(shifted, mask));
                    _mm256_storeu_si256(at, value);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply(kind: Kind, panel: &Panel, x: &Rounded, row: usize, block: usize, sums: &mut Sums) {
    match sums.len() {
        1 => tile::<1>(kind, panel, x, row, block, sums),
        2 => tile::<2>(kind, panel, x, row, block, sums),
        3 => tile::<3>(kind, panel, x, row, block, sums),
        _ => tile::<4>(kind, panel, x, row, block, sums),
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile<const T: usize>(kind: Kind, panel: &Panel, x: &Rounded, row: usize, block: usize, sums: &mut Sums) {
    let x = x.tile::<T>(row, block, panel.blocks);
    let (sums, _) = sums.as_chunks_mut::<T>();
    let Some(sums) = sums.first_mut() else { return };
    // SAFETY: `panel` was checked for its blocks of this kind, and `x` has as many for each row.
    unsafe {
        match kind {
            Kind::U4 => tile_u4(panel, &x, sums),
            Kind::U6 => tile_u6(panel, &x, sums),
            Kind::U8 => tile_u8(panel, &x, sums),
        }
    }
}

/// Adds one block's integer products to a row's sums, scaled.
#[target_feature(enable = "avx2,fma")]
unsafe fn accumulate(products: __m256i, scale: __m256, x_scale: *const f32, sums: *mut f32) {
    // SAFETY: the caller has one float at `x_scale` and eight at `sums`.
    unsafe {
        let scale = _mm256_mul_ps(scale, _mm256_broadcast_ss(&*x_scale));
        let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scale, _mm256_loadu_ps(sums));
        _mm256_storeu_ps(sums, sum);
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn tile_u4<const T: usize>(panel: &Panel, x: &RoundedTile<T>, sums: &mut [[f32; PANEL_ROWS]; T]) {
    let ones = _mm256_set1_epi16(1);
    for block in 0..panel.blocks {
        // SAFETY: see `tile`.
        unsafe {
            let q: *const __m256i = panel.q.as_ptr().add(block * BLOCK_BYTES).cast();
            let mut products = [[_mm256_setzero_si256(); 2]; T];
            for quad in 0..8 {
                let weights = [_mm256_loadu_si256(q.add(quad * 2)), _mm256_loadu_si256(q.add(quad * 2 + 1))];
                for t in 0..T {
                    let x = _mm256_set1_epi32(
                        x.q(t).add(block * BLOCK + quad * 4).cast::<i32>().read_unaligned(),
                    );
                    for half in 0..2 {
                        let product = _mm256_maddubs_epi16(weights[half], x);
                        products[t][half] = _mm256_add_epi16(products[t][half], product);
                    }
                }
            }
            for half in 0..2 {
                let rows = block * PANEL_ROWS + half * 8;
                let scale = _mm256_loadu_ps(panel.scale.as_ptr().add(rows));
                let offset = _mm256_loadu_ps(panel.offset.as_ptr().add(rows));
                for t in 0..T {
                    let sums = sums[t].as_mut_ptr().add(half * 8);
                    let wide = _mm256_madd_epi16(products[t][half], ones);
                    accumulate(wide, scale, x.scale(t).add(block), sums);
                    let minus_sum = _mm256_broadcast_ss(&*x.minus_sum(t).add(block));
                    _mm256_storeu_ps(sums, _mm256_fmadd_ps(offset, minus_sum, _mm256_loadu_ps(sums)));
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn tile_u6<const T: usize>(panel: &Panel, x: &RoundedTile<T>, sums: &mut [[f32; PANEL_ROWS]; T]) {
    for block in 0..panel.blocks {
        // SAFETY: see `tile`.
        unsafe {
            let q: *const __m256i = panel.q.as_ptr().add(block * BLOCK_BYTES).cast();
            let multiplier: *const __m256i = panel.multiplier.as_ptr().add(block * PANEL_ROWS * 3).cast();
            for half in 0..2 {
                let mut products = [_mm256_setzero_si256(); T];
                for pair in 0..4 {
                    let weights = [
                        _mm256_loadu_si256(q.add(pair * 4 + half)),
                        _mm256_loadu_si256(q.add(pair * 4 + 2 + half)),
                    ];
                    let multiplier = _mm256_loadu_si256(multiplier.add(pair / 2 * 2 + half));
                    for t in 0..T {
                        let x = x.q(t).add(block * BLOCK + pair * 8).cast::<i32>();
                        let first = _mm256_maddubs_epi16(weights[0], _mm256_set1_epi32(x.read_unaligned()));
                        let second =
                            _mm256_maddubs_epi16(weights[1], _mm256_set1_epi32(x.add(1).read_unaligned()));
                        let product = _mm256_madd_epi16(_mm256_add_epi16(first, second), multiplier);
                        products[t] = _mm256_add_epi32(products[t], product);
                    }
                }
                let both = _mm256_loadu_si256(multiplier.add(4 + half));
                let scale = _mm256_loadu_ps(panel.scale.as_ptr().add(block * PANEL_ROWS + half * 8));
                for t in 0..T {
                    let half_sums = _mm256_set1_epi32(x.half_sums(t).add(block).read_unaligned());
                    let zero = _mm256_slli_epi32(_mm256_madd_epi16(both, half_sums), 5);
                    let products = _mm256_sub_epi32(products[t], zero);
                    accumulate(products, scale, x.scale(t).add(block), sums[t].as_mut_ptr().add(half * 8));
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn tile_u8<const T: usize>(panel: &Panel, x: &RoundedTile<T>, sums: &mut [[f32; PANEL_ROWS]; T]) {
    let ones = _mm256_set1_epi16(1);
    let zero = _mm256_set1_epi8(-128);
    for block in 0..panel.blocks {
        // SAFETY: see `tile`.
        unsafe {
            let q: *const __m256i = panel.q.as_ptr().add(block * BLOCK_BYTES).cast();
            for half in 0..2 {
                let mut products = [_mm256_setzero_si256(); T];
                for quad in 0..8 {
                    let weights = _mm256_xor_si256(_mm256_loadu_si256(q.add(quad * 2 + half)), zero);
                    let magnitude = _mm256_abs_epi8(weights);
                    for t in 0..T {
                        let x = _mm256_set1_epi32(
                            x.q(t).add(block * BLOCK + quad * 4).cast::<i32>().read_unaligned(),
                        );
                        let product = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, weights));
                        products[t] = _mm256_add_epi32(products[t], _mm256_madd_epi16(product, ones));
                    }
                }
                let scale = _mm256_loadu_ps(panel.scale.as_ptr().add(block * PANEL_ROWS + half * 8));
                for t in 0..T {
                    accumulate(products[t], scale, x.scale(t).add(block), sums[t].as_mut_ptr().add(half * 8));
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn round(values: &[f32], row: RoundedRow<'_>) {
    let RoundedRow { q, scale, minus_sum, half_sums } = row;
    let blocks = q.len() / BLOCK;
    assert!(scale.len() >= blocks && minus_sum.len() >= blocks && half_sums.len() >= blocks);
    let mut last = [0f32; BLOCK];
    let sign = _mm256_set1_ps(-0.0);
    for block in 0..blocks {
        let values = match values.get(block * BLOCK..(block + 1) * BLOCK) {
            Some(values) => values,
            None => {
                let rest = values.get(block * BLOCK..).unwrap_or_default();
                last.fill(0.0);
                last[..rest.len()].copy_from_slice(rest);
                &last[..]
            }
        };
        // SAFETY: `values` has 32 floats and `q` as many bytes from the block's beginning on.
        unsafe {
            let x: [__m256; 4] = std::array::from_fn(|i| _mm256_loadu_ps(values.as_ptr().add(i * 8)));
            let mut largest = _mm256_setzero_ps();
            for x in x {
                // The second operand is returned where the first is not a number.
                largest = _mm256_max_ps(_mm256_andnot_ps(sign, x), largest);
            }
            let largest = reduce_max(largest);
            let inverse = _mm256_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
            let q32: [__m256i; 4] = std::array::from_fn(|i| {
                let scaled = _mm256_mul_ps(x[i], inverse);
                // What is not a number becomes zero, as in a cast.
                _mm256_cvtps_epi32(_mm256_and_ps(scaled, _mm256_cmp_ps::<_CMP_ORD_Q>(scaled, scaled)))
            });
            let q16 = [_mm256_packs_epi32(q32[0], q32[1]), _mm256_packs_epi32(q32[2], q32[3])];
            let q8 = _mm256_packs_epi16(q16[0], q16[1]);
            let q8 = _mm256_permutevar8x32_epi32(q8, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
            _mm256_storeu_si256(q.as_mut_ptr().add(block * BLOCK).cast(), q8);
            let first = sum(_mm256_add_epi32(q32[0], q32[1]));
            let second = sum(_mm256_add_epi32(q32[2], q32[3]));
            scale[block] = largest / 127.0;
            minus_sum[block] = -scale[block] * (first + second) as f32;
            half_sums[block] = [first as i16, second as i16];
        }
    }
}

#[target_feature(enable = "avx2")]
fn reduce_max(x: __m256) -> f32 {
    let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
}

#[target_feature(enable = "avx2")]
fn sum(x: __m256i) -> i32 {
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0b01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0b10_11_00_01>(x)))
}
