//! Attention of many rows on AMX tiles: scores and sums in single precision, everything else bfloat16.

use std::arch::x86_64::*;
use std::ops::Range;

use half::f16;

use crate::cache::{GROUP, Memory, PAGE};
use crate::kernel::amx::{SIDE, SumRow, TILE_COLUMNS, TILE_ROWS, TileRow, Tiles, pair_rows, round_row};
use crate::matmul::Shared;
use crate::simd::exp;

use super::{Attend, Heads, RowState, Scratch};

/// Halves of a page: as many tokens as a block of sums has columns.
const HALVES: usize = PAGE / SIDE;

/// Whether heads of this size fill tiles.
pub(super) fn fits(head_dim: usize) -> bool {
    head_dim.is_multiple_of(TILE_COLUMNS)
}

/// Buffers of one unit.
#[derive(Default)]
pub(super) struct Tiled {
    /// `[row / 16][head_dim / 32][row % 16]`
    queries: Vec<TileRow>,
    /// `[token / 16][head_dim / 32][tile row]`: two dimensions of sixteen tokens a row.
    keys: Vec<TileRow>,
    /// `[head_dim / 16][token / 32][tile row]`: sixteen dimensions of two tokens a row.
    values: Vec<TileRow>,
    /// `[half of the page][row]`
    scores: Vec<SumRow>,
    /// `[row / 16][half of the page][row % 16]`
    weights: Vec<TileRow>,
    /// `[head_dim / 32][row]`
    out: Vec<SumRow>,
    /// What each row's sums are scaled with for the page at hand.
    scales: Vec<f32>,
}

impl Tiled {
    fn reset(&mut self, rows: usize, head_dim: usize) {
        let steps = head_dim / TILE_COLUMNS;
        self.queries.clear();
        self.queries.resize(rows * steps, TileRow::ZERO);
        self.keys.resize(PAGE * steps, TileRow::ZERO);
        self.values.resize(PAGE * steps, TileRow::ZERO);
        self.scores.resize(HALVES * rows, SumRow::ZERO);
        self.weights.resize(HALVES * rows, TileRow::ZERO);
        self.out.clear();
        self.out.resize(steps * rows, SumRow::ZERO);
        self.scales.resize(rows, 1.0);
    }

    /// Makes tiles of a page's keys and values.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    fn load(&mut self, keys: &[f16], values: &[f16], head_dim: usize) {
        // Two neighbouring dimensions of a group of tokens follow each other in the cache.
        for (row, [first, second]) in self.keys.iter_mut().zip(keys.as_chunks::<GROUP>().0.as_chunks::<2>().0)
        {
            pair_rows(first, second, row);
        }
        for (pair, values) in values.chunks_exact(2 * head_dim).enumerate() {
            let (first, second) = values.split_at(head_dim);
            let groups = first.as_chunks::<TILE_ROWS>().0.iter().zip(second.as_chunks::<TILE_ROWS>().0);
            for (group, (first, second)) in groups.enumerate() {
                pair_rows(first, second, &mut self.values[group * (PAGE / 2) + pair]);
            }
        }
    }
}

impl Attend<'_> {
    /// As `unit`, on tiles.
    pub(super) fn tiled_unit(
        &self,
        memory: &Memory,
        tokens: Range<usize>,
        kv_head: usize,
        scratch: &mut Scratch,
        out: &Shared<'_, f32>,
    ) {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        let group = heads / kv_heads;
        let (row_size, width) = (heads * head_dim, group * head_dim);
        let rows = (tokens.len() * group).next_multiple_of(SIDE);
        let steps = head_dim / TILE_COLUMNS;
        self.collect(tokens.clone(), scratch);
        let Scratch { tiled, pages, masks, state, .. } = scratch;
        tiled.reset(rows, head_dim);
        state.clear();
        state.resize(rows, RowState::EMPTY);
        for (index, token) in tokens.clone().enumerate() {
            let from = &self.queries[token * row_size + kv_head * width..][..width];
            for (head, query) in from.chunks_exact(head_dim).enumerate() {
                let row = index * group + head;
                for (step, query) in query.as_chunks::<TILE_COLUMNS>().0.iter().enumerate() {
                    let at = (row / TILE_ROWS * steps + step) * TILE_ROWS + row % TILE_ROWS;
                    // SAFETY: tiles imply these instructions.
                    unsafe { round_row(&query.map(|x| x * self.scale), &mut tiled.queries[at]) };
                }
            }
        }
        let tiles = Tiles::configure();
        for (index, page) in pages.iter().enumerate() {
            let (keys, values) = memory.head(self.layer, *page, kv_head);
            // SAFETY: tiles imply these instructions.
            unsafe { tiled.load(keys, values, head_dim) };
            let Tiled { queries, keys, values, scores, weights, out, scales } = &mut *tiled;
            let side = steps * TILE_ROWS;
            scores.fill(SumRow::ZERO);
            for (half, scores) in scores.chunks_exact_mut(rows).enumerate() {
                let keys = [2 * half, 2 * half + 1].map(|group| &keys[group * side..(group + 1) * side]);
                for (scores, queries) in scores.chunks_exact_mut(SIDE).zip(queries.chunks_exact(2 * side)) {
                    let (first, second) = queries.split_at(side);
                    tiles.multiply([first, second], keys, scores);
                }
            }
            let masks = &masks[index * tokens.len()..(index + 1) * tokens.len()];
            // SAFETY: tiles imply these instructions.
            unsafe { Soften { masks, group, scores, state, scales, weights }.run() };
            for out in out.chunks_exact_mut(rows) {
                for (out, scale) in out.iter_mut().zip(scales.iter()).filter(|(_, scale)| **scale != 1.0) {
                    out.0.iter_mut().for_each(|x| *x *= scale);
                }
            }
            let side = HALVES * TILE_ROWS;
            for (out, values) in out.chunks_exact_mut(rows).zip(values.chunks_exact(2 * side)) {
                let (first, second) = values.split_at(side);
                for (out, weights) in out.chunks_exact_mut(SIDE).zip(weights.chunks_exact(2 * side)) {
                    let (upper, lower) = weights.split_at(side);
                    tiles.multiply([upper, lower], [first, second], out);
                }
            }
        }
        for (index, token) in tokens.enumerate() {
            let at = token * row_size + kv_head * width;
            // SAFETY: only this unit writes these tokens' heads.
            let target = unsafe { out.slice(at..at + width) };
            for (head, target) in target.chunks_exact_mut(head_dim).enumerate() {
                let row = index * group + head;
                let scale = state[row].scale();
                for (step, target) in target.as_chunks_mut::<SIDE>().0.iter_mut().enumerate() {
                    let sums = &tiled.out[step * rows + row].0;
                    target.iter_mut().zip(sums).for_each(|(target, x)| *target = x * scale);
                }
            }
        }
    }
}

/// A page's part of the softmax of all rows.
struct Soften<'a> {
    masks: &'a [u64],
    group: usize,
    scores: &'a [SumRow],
    state: &'a mut [RowState],
    scales: &'a mut [f32],
    weights: &'a mut [TileRow],
}

impl Soften<'_> {
    /// Turns scores into weights, as [`super::soften`] does, with e^x to 2e-4: half of what rounding the
    /// weights to bfloat16 takes away.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    fn run(self) {
        let rows = self.state.len();
        let log2_e = _mm512_set1_ps(std::f32::consts::LOG2_E);
        for (row, (state, scale)) in self.state.iter_mut().zip(self.scales).enumerate() {
            let mask = self.masks.get(row / self.group).copied().unwrap_or(0);
            let at = |half: usize| (row / TILE_ROWS * HALVES + half) * TILE_ROWS + row % TILE_ROWS;
            *scale = 1.0;
            if mask == 0 {
                (0..HALVES).for_each(|half| self.weights[at(half)] = TileRow::ZERO);
                continue;
            }
            let seen: [__mmask16; 4] = std::array::from_fn(|i| (mask >> (16 * i)) as u16);
            let scores: [__m512; 4] = std::array::from_fn(|i| {
                let scores = &self.scores[i / 2 * rows + row].0[i % 2 * 16..][..16];
                // SAFETY: sixteen floats.
                let scores = unsafe { _mm512_loadu_ps(scores.as_ptr()) };
                _mm512_mask_blend_ps(seen[i], _mm512_set1_ps(f32::NEG_INFINITY), scores)
            });
            let highest =
                _mm512_max_ps(_mm512_max_ps(scores[0], scores[1]), _mm512_max_ps(scores[2], scores[3]));
            let highest = _mm512_reduce_max_ps(highest);
            // SAFETY: sixteen floats.
            let mut sums = unsafe { _mm512_loadu_ps(state.sums.as_ptr()) };
            if highest > state.max {
                *scale = if state.max == f32::NEG_INFINITY { 0.0 } else { exp(state.max - highest) };
                sums = _mm512_mul_ps(sums, _mm512_set1_ps(*scale));
                state.max = highest;
            }
            let shift = _mm512_set1_ps(state.max * std::f32::consts::LOG2_E);
            let weights: [__m512; 4] = std::array::from_fn(|i| {
                let t = _mm512_fmsub_ps(scores[i], log2_e, shift);
                let whole = _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(t);
                let f = _mm512_sub_ps(t, whole);
                // The cubic closest to 2^f on [-0.5, 0.5].
                let p = _mm512_fmadd_ps(_mm512_set1_ps(0.055_171_66), f, _mm512_set1_ps(0.242_611_12));
                let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693_260_99));
                let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999_928_07));
                _mm512_maskz_scalef_ps(seen[i], p, whole)
            });
            let pairs =
                _mm512_add_ps(_mm512_add_ps(weights[0], weights[1]), _mm512_add_ps(weights[2], weights[3]));
            // SAFETY: sixteen floats, and tile rows of 64 bytes.
            unsafe {
                _mm512_storeu_ps(state.sums.as_mut_ptr(), _mm512_add_ps(sums, pairs));
                for half in 0..HALVES {
                    let rounded = _mm512_cvtne2ps_pbh(weights[2 * half + 1], weights[2 * half]);
                    let out = (&raw mut self.weights[at(half)]).cast::<__m512bh>();
                    out.write(rounded);
                }
            }
        }
    }
}
