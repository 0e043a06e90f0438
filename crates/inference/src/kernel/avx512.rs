//! The kernels in AVX-512 with VNNI: sixteen rows are one vector, four columns of a row share a lane.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes and adds four neighbours into 32 bits, exactly.

use std::arch::x86_64::*;

use super::{BLOCK, BLOCK_BYTES, PANEL_ROWS, PackedBlocks, Rounded, RoundedTile, Sums};
use crate::packed::Format;

/// Scale and offset of a block's sixteen rows.
///
/// # Safety
/// The block must lie within `source`.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn scales(format: Format, source: &[u8], block: usize) -> (__m512, __m512) {
    let place = format.place(block);
    // SAFETY: the caller's promise.
    unsafe {
        let at = |offset: usize| source.as_ptr().add(offset);
        match format {
            Format::Q4 => (halves(at(place.scale)), halves(at(place.scale + 2 * PANEL_ROWS))),
            Format::Q4K => (
                _mm512_mul_ps(halves(at(place.delta)), bytes(at(place.scale))),
                _mm512_mul_ps(halves(at(place.delta + 2 * PANEL_ROWS)), bytes(at(place.minimum))),
            ),
            Format::Q6K => (halves(at(place.delta)), _mm512_setzero_ps()),
            Format::Q8 => (halves(at(place.scale)), _mm512_setzero_ps()),
        }
    }
}

/// The integer multipliers of a block's two halves.
///
/// # Safety
/// The caller has 32 bytes at `at`.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multipliers(at: *const u8) -> [__m512i; 2] {
    // SAFETY: the caller's promise.
    [0, 1].map(|half| unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(at.add(half * PANEL_ROWS).cast())) })
}

#[target_feature(enable = "avx512f")]
unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: the caller has 32 bytes there.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
}

#[target_feature(enable = "avx512f")]
unsafe fn bytes(at: *const u8) -> __m512 {
    // SAFETY: the caller has sixteen bytes there.
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(at.cast()) }))
}

/// The low and the high nibbles of 64 bytes.
///
/// # Safety
/// The caller has 64 bytes at `at`.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn nibbles(at: *const u8) -> [__m512i; 2] {
    let mask = _mm512_set1_epi8(15);
    // SAFETY: the caller's promise.
    let packed = unsafe { _mm512_loadu_si512(at.cast()) };
    [_mm512_and_si512(packed, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(packed), mask)]
}

/// A block of six-bit weights, quad by quad.
///
/// # Safety
/// The caller has 256 bytes at `low` and 128 at `high`.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn six_bits(low: *const u8, high: *const u8) -> [__m512i; 8] {
    let mask = _mm512_set1_epi8(0x30);
    let mut weights = [_mm512_setzero_si512(); 8];
    for i in 0..4 {
        // SAFETY: the caller's promise.
        [weights[i], weights[i + 4]] = unsafe { nibbles(low.add(i * 64)) };
    }
    for half in 0..2 {
        // SAFETY: as above.
        let bits = unsafe { _mm512_loadu_si512(high.add(half * 64).cast()) };
        let shifted =
            [_mm512_slli_epi16::<4>(bits), _mm512_slli_epi16::<2>(bits), bits, _mm512_srli_epi16::<2>(bits)];
        for (quad, shifted) in shifted.into_iter().enumerate() {
            let at = half * 4 + quad;
            weights[at] = _mm512_or_si512(weights[at], _mm512_and_si512(shifted, mask));
        }
    }
    weights
}

/// Half-precision floats in single precision.
#[target_feature(enable = "avx512f")]
pub(super) fn widen(from: &[half::f16], out: &mut [f32]) {
    let (from, rest) = from.as_chunks::<16>();
    let (out, last) = out.split_at_mut(from.len() * 16);
    for (from, out) in from.iter().zip(out.as_chunks_mut::<16>().0) {
        // SAFETY: sixteen of each.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), halves(from.as_ptr().cast())) };
    }
    rest.iter().zip(last).for_each(|(x, out)| *out = x.to_f32());
}

/// How far ahead of use weights are fetched from memory.
const AHEAD: usize = 1024;

/// Adds the products of packed weights with rows of `x` to `sums`; see [`super::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) fn multiply(weights: &PackedBlocks<'_>, x: &Rounded, row: usize, sums: &mut Sums) {
    for (index, sums) in sums.chunks_mut(TILE).enumerate() {
        let row = row + index * TILE;
        match sums.len() {
            1 => tile::<1>(weights, x, row, sums),
            2 => tile::<2>(weights, x, row, sums),
            3 => tile::<3>(weights, x, row, sums),
            4 => tile::<4>(weights, x, row, sums),
            5 => tile::<5>(weights, x, row, sums),
            6 => tile::<6>(weights, x, row, sums),
            7 => tile::<7>(weights, x, row, sums),
            _ => tile::<TILE>(weights, x, row, sums),
        }
    }
}

/// Activation rows multiplied at once: their products and sums fill half the registers.
const TILE: usize = 8;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn tile<const T: usize>(weights: &PackedBlocks<'_>, x: &Rounded, row: usize, sums: &mut Sums) {
    let x = x.tile::<T>(row, weights.from, weights.blocks);
    let (sums, _) = sums.as_chunks_mut::<T>();
    let Some(sums) = sums.first_mut() else { return };
    // SAFETY: `weights` and `x` were checked to have the blocks.
    unsafe {
        match weights.format {
            Format::Q4 => tile_u4::<T, false>(weights, &x, sums),
            Format::Q4K => tile_u4::<T, true>(weights, &x, sums),
            Format::Q6K => tile_u6(weights, &x, sums),
            Format::Q8 => tile_u8(weights, &x, sums),
        }
    }
}

/// Adds the products of a quad of columns with each row of `x` to `products`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn quad<const T: usize>(
    weights: __m512i,
    x: &RoundedTile<T>,
    block: usize,
    quad: usize,
    products: &mut [__m512i; T],
) {
    for t in 0..T {
        // SAFETY: see `tile`.
        let x = unsafe { x.q(t).add(block * BLOCK + quad * 4).cast::<i32>().read_unaligned() };
        products[t] = _mm512_dpbusd_epi32(products[t], weights, _mm512_set1_epi32(x));
    }
}

/// Asks for the weights that follow `bytes` bytes in [`AHEAD`] bytes, wherever that is.
#[inline]
#[target_feature(enable = "avx512f")]
fn fetch(from: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD + line).cast());
    }
}

/// Adds one block's integer products to a row's sums, scaled.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn accumulate(products: __m512i, scale: __m512, x_scale: *const f32, sums: __m512) -> __m512 {
    // SAFETY: the caller has one float at `x_scale`.
    let scale = _mm512_mul_ps(scale, _mm512_set1_ps(unsafe { *x_scale }));
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scale, sums)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn load_sums<const T: usize>(sums: &[[f32; PANEL_ROWS]; T]) -> [__m512; T] {
    // SAFETY: each row has sixteen floats.
    std::array::from_fn(|t| unsafe { _mm512_loadu_ps(sums[t].as_ptr()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn store_sums<const T: usize>(from: [__m512; T], sums: &mut [[f32; PANEL_ROWS]; T]) {
    for (from, sums) in from.into_iter().zip(sums) {
        // SAFETY: each row has sixteen floats.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), from) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile_u4<const T: usize, const K: bool>(
    weights: &PackedBlocks<'_>,
    x: &RoundedTile<T>,
    out: &mut [[f32; PANEL_ROWS]; T],
) {
    let format = if K { Format::Q4K } else { Format::Q4 };
    let mut sums = load_sums(out);
    for block in 0..weights.blocks {
        let place = format.place(weights.from + block);
        // SAFETY: see `tile`.
        unsafe {
            let low = weights.bytes.as_ptr().add(place.low);
            // The next superblock's scales lie before its first block.
            fetch(low, if K && (weights.from + block) % 8 == 7 { 256 + 320 } else { 320 });
            let mut products = [[_mm512_setzero_si512(); T]; 2];
            for i in 0..4 {
                let [first, second] = nibbles(low.add(i * 64));
                quad(first, x, block, i, &mut products[0]);
                quad(second, x, block, i + 4, &mut products[1]);
            }
            let (scale, offset) = scales(format, weights.bytes, weights.from + block);
            for t in 0..T {
                let products = _mm512_add_epi32(products[0][t], products[1][t]);
                sums[t] = accumulate(products, scale, x.scale(t).add(block), sums[t]);
                let minus_sum = _mm512_set1_ps(*x.minus_sum(t).add(block));
                sums[t] = _mm512_fmadd_ps(offset, minus_sum, sums[t]);
            }
        }
    }
    store_sums(sums, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile_u6<const T: usize>(
    weights: &PackedBlocks<'_>,
    x: &RoundedTile<T>,
    out: &mut [[f32; PANEL_ROWS]; T],
) {
    let mut sums = load_sums(out);
    for block in 0..weights.blocks {
        let place = Format::Q6K.place(weights.from + block);
        // SAFETY: see `tile`.
        unsafe {
            let at = |offset: usize| weights.bytes.as_ptr().add(offset);
            fetch(at(place.low), if (weights.from + block) % 8 == 7 { 384 + 320 } else { 384 });
            let six_bits = six_bits(at(place.low), at(place.high));
            let mut products = [[_mm512_setzero_si512(); T]; 2];
            for (i, weights) in six_bits.into_iter().enumerate() {
                quad(weights, x, block, i, &mut products[i / 4]);
            }
            let [a, b] = multipliers(at(place.scale));
            let both =
                _mm512_or_si512(_mm512_and_si512(a, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32::<16>(b));
            let (scale, _) = scales(Format::Q6K, weights.bytes, weights.from + block);
            for t in 0..T {
                let half_sums = _mm512_set1_epi32(x.half_sums(t).add(block).read_unaligned());
                let zero = _mm512_slli_epi32::<5>(_mm512_madd_epi16(both, half_sums));
                let first = _mm512_mullo_epi32(products[0][t], a);
                let second = _mm512_mullo_epi32(products[1][t], b);
                let products = _mm512_sub_epi32(_mm512_add_epi32(first, second), zero);
                sums[t] = accumulate(products, scale, x.scale(t).add(block), sums[t]);
            }
        }
    }
    store_sums(sums, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile_u8<const T: usize>(
    weights: &PackedBlocks<'_>,
    x: &RoundedTile<T>,
    out: &mut [[f32; PANEL_ROWS]; T],
) {
    let mut sums = load_sums(out);
    let ones = _mm512_set1_epi16(1);
    for block in 0..weights.blocks {
        let place = Format::Q8.place(weights.from + block);
        // SAFETY: see `tile`.
        unsafe {
            let q = weights.bytes.as_ptr().add(place.low);
            fetch(q, BLOCK_BYTES + 32);
            // Weights are read as 128 too many: begin with what that adds, negated.
            let begin = std::array::from_fn(|t| {
                let half_sums = _mm512_set1_epi32(x.half_sums(t).add(block).read_unaligned());
                let sum = _mm512_madd_epi16(half_sums, ones);
                _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sum))
            });
            let mut products: [[__m512i; T]; 2] = [begin, [_mm512_setzero_si512(); T]];
            for i in 0..8 {
                quad(_mm512_loadu_si512(q.add(i * 64).cast()), x, block, i, &mut products[i % 2]);
            }
            let (scale, _) = scales(Format::Q8, weights.bytes, weights.from + block);
            for t in 0..T {
                let products = _mm512_add_epi32(products[0][t], products[1][t]);
                sums[t] = accumulate(products, scale, x.scale(t).add(block), sums[t]);
            }
        }
    }
    store_sums(sums, out);
}
