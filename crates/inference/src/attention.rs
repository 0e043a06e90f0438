//! Which earlier tokens does each row attend to, and with what result?
//!
//! Grouped-query attention over pages of the cache with a running (online) softmax. Rows are taken in units
//! that share one key/value head, so each page is read once per unit: by 48 rows of a long text, or by all
//! sequences that share a prefix. Where there are tiles, long texts are attended to in bfloat16 on them. What a row sees is a list of pages and a bit for each of their tokens:
//! causal reading, windows, many questions over one prefix and candidate answers are the same to it.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use crate::cache::{GROUP, Memory, PAGE, PageId};
use crate::kernel::lanes::{Lanes, Operation, run};
use crate::kernel::{Isa, widen};
use crate::matmul::{Compute, Precision, Shared};
use crate::simd::{exp, fold};
#[cfg(target_arch = "x86_64")]
mod tiled;

/// Query rows multiplied at once: with two vectors of keys they fill the registers of AVX2.
const TILE_ROWS: usize = 6;
/// Query rows (tokens × heads of a group) that share one pass over the keys.
const UNIT_ROWS: usize = 48;
/// The same on tiles, where making tiles of a page costs as much as using them for a hundred rows.
const TILED_UNIT_ROWS: usize = 192;

/// Head counts and sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

/// Which tokens each row sees: pages in the order of the text, with a bit for each token of the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    seen: Vec<(PageId, u64)>,
    /// Where each row's pages end in `seen`.
    ends: Vec<usize>,
}

impl Sight {
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
        self.ends.clear();
    }

    /// Adds a row that sees these pages, first to last.
    pub(crate) fn push(&mut self, seen: impl Iterator<Item = (PageId, u64)>) {
        self.seen.extend(seen.filter(|(_, mask)| *mask != 0));
        self.ends.push(self.seen.len());
    }

    pub(crate) fn row(&self, row: usize) -> &[(PageId, u64)] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.seen[start..self.ends[row]]
    }

    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// The same rows, seeing no more than the last `tokens` of what they see.
    pub(crate) fn window(&self, tokens: usize, out: &mut Self) {
        out.clear();
        for row in 0..self.rows() {
            let seen = self.row(row);
            let all: usize = seen.iter().map(|(_, mask)| mask.count_ones() as usize).sum();
            let mut hidden = all.saturating_sub(tokens);
            out.push(seen.iter().map(|(page, mask)| {
                let mut mask = *mask;
                while hidden > 0 && mask != 0 {
                    mask &= mask - 1;
                    hidden -= 1;
                }
                (*page, mask)
            }));
        }
    }
}

/// Rows that attend.
pub(crate) struct Attend<'a> {
    /// `[row][head][head_dim]`, rotated.
    pub(crate) queries: &'a [f32],
    /// Row of `sight` for each row of `queries`.
    pub(crate) rows: &'a [usize],
    pub(crate) sight: &'a Sight,
    pub(crate) layer: usize,
    pub(crate) heads: Heads,
    pub(crate) scale: f32,
}

impl Attend<'_> {
    /// Writes what every row takes from the tokens it sees, in the shape of the queries.
    pub(crate) fn run(&self, compute: &Compute, memory: &Memory, precision: Precision, out: &mut [f32]) {
        let group = self.heads.heads / self.heads.kv_heads;
        #[cfg(target_arch = "x86_64")]
        let on_tiles =
            compute.isa == Isa::Amx && precision == Precision::Many && tiled::fits(self.heads.head_dim);
        #[cfg(not(target_arch = "x86_64"))]
        let on_tiles = false;
        let unit_rows = if on_tiles { TILED_UNIT_ROWS } else { UNIT_ROWS };
        let unit_tokens = (unit_rows / group).max(1);
        let blocks = self.rows.len().div_ceil(unit_tokens);
        let out = Shared::new(out);
        // Later rows see more keys: handing them out first keeps the cores busy to the end.
        compute.pool.for_each(blocks * self.heads.kv_heads, 1, |unit| {
            let first = (blocks - 1 - unit / self.heads.kv_heads) * unit_tokens;
            let tokens = first..self.rows.len().min(first + unit_tokens);
            SCRATCH.with_borrow_mut(|scratch| {
                #[cfg(target_arch = "x86_64")]
                if on_tiles {
                    return self.tiled_unit(memory, tokens, unit % self.heads.kv_heads, scratch, &out);
                }
                self.unit(compute.isa, memory, tokens, unit % self.heads.kv_heads, scratch, &out);
            });
        });
    }

    fn unit(
        &self,
        isa: Isa,
        memory: &Memory,
        tokens: Range<usize>,
        kv_head: usize,
        scratch: &mut Scratch,
        out: &Shared<'_, f32>,
    ) {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        let group = heads / kv_heads;
        let (row_size, width) = (heads * head_dim, group * head_dim);
        let rows = (tokens.len() * group).next_multiple_of(TILE_ROWS);
        scratch.reset(rows, head_dim);
        for (token, target) in tokens.clone().zip(scratch.queries.chunks_exact_mut(width)) {
            let from = &self.queries[token * row_size + kv_head * width..][..width];
            target.iter_mut().zip(from).for_each(|(target, x)| *target = x * self.scale);
        }
        self.collect(tokens.clone(), scratch);
        let Scratch { queries, keys, values, scores, state, out: unit_out, pages, masks, .. } = scratch;
        for (index, page) in pages.iter().enumerate() {
            let (page_keys, page_values) = memory.head(self.layer, *page, kv_head);
            widen(isa, page_keys, keys);
            widen(isa, page_values, values);
            let masks = &masks[index * tokens.len()..(index + 1) * tokens.len()];
            run(
                isa,
                PageStep { queries, keys, values, masks, group, head_dim, scores, state, out: unit_out },
            );
        }
        for (out, state) in unit_out.chunks_exact_mut(head_dim).zip(state.iter()) {
            let scale = state.scale();
            out.iter_mut().for_each(|x| *x *= scale);
        }
        for (token, from) in tokens.zip(unit_out.chunks_exact(width)) {
            let at = token * row_size + kv_head * width;
            // SAFETY: only this unit writes these tokens' heads.
            unsafe { out.slice(at..at + width) }.copy_from_slice(from);
        }
    }

    /// The pages that any of the tokens sees, in an order that is each token's own, and who sees what.
    fn collect(&self, tokens: Range<usize>, scratch: &mut Scratch) {
        let Scratch { pages, masks, .. } = scratch;
        pages.clear();
        masks.clear();
        let count = tokens.len();
        for (i, token) in tokens.enumerate() {
            let mut from = 0;
            for (page, mask) in self.sight.row(self.rows[token]) {
                let found = pages[from..].iter().position(|known| known == page);
                let index = found.map_or(pages.len(), |at| from + at);
                if found.is_none() {
                    pages.push(*page);
                    masks.resize(pages.len() * count, 0);
                }
                masks[index * count + i] |= *mask;
                from = index;
            }
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Running maximum of a row's scores, and sums of its weights, to be added up in the end.
#[derive(Clone, Copy)]
struct RowState {
    max: f32,
    sums: [f32; 16],
}

impl RowState {
    const EMPTY: Self = Self { max: f32::NEG_INFINITY, sums: [0.0; 16] };

    /// What the weighted values are to be multiplied with in the end.
    fn scale(&self) -> f32 {
        let sum: f32 = self.sums.iter().sum();
        if sum > 0.0 { 1.0 / sum } else { 0.0 }
    }
}

/// Buffers of one unit; reused.
#[derive(Default)]
struct Scratch {
    /// `[token][head of the group][head_dim]`, scaled, padded to a multiple of [`TILE_ROWS`] rows.
    queries: Vec<f32>,
    /// `[token / 16][head_dim][token % 16]`
    keys: Vec<f32>,
    /// `[token][head_dim]`
    values: Vec<f32>,
    /// `[row][token]`
    scores: Vec<f32>,
    state: Vec<RowState>,
    /// As `queries`.
    out: Vec<f32>,
    pages: Vec<PageId>,
    /// `[page][token of the unit]`
    masks: Vec<u64>,
    #[cfg(target_arch = "x86_64")]
    tiled: tiled::Tiled,
}

impl Scratch {
    fn reset(&mut self, rows: usize, head_dim: usize) {
        self.queries.clear();
        self.queries.resize(rows * head_dim, 0.0);
        self.out.clear();
        self.out.resize(rows * head_dim, 0.0);
        self.state.clear();
        self.state.resize(rows, RowState::EMPTY);
        self.keys.resize(PAGE * head_dim, 0.0);
        self.values.resize(PAGE * head_dim, 0.0);
        self.scores.resize(rows * PAGE, 0.0);
    }
}

/// One page's part of a unit's attention.
struct PageStep<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    masks: &'a [u64],
    group: usize,
    head_dim: usize,
    scores: &'a mut [f32],
    state: &'a mut [RowState],
    out: &'a mut [f32],
}

impl Operation for PageStep<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { queries, keys, values, masks, group, head_dim, scores, state, out } = self;
        let tile = TILE_ROWS * head_dim;
        for (queries, scores) in queries.chunks_exact(tile).zip(scores.chunks_exact_mut(TILE_ROWS * PAGE)) {
            for first in (0..PAGE).step_by(2 * L::WIDTH) {
                score_tile::<L>(queries, keys, head_dim, first, scores);
            }
        }
        let rows = scores.chunks_exact_mut(PAGE).zip(state).zip(out.chunks_exact_mut(head_dim));
        for (row, ((scores, state), out)) in rows.enumerate() {
            let scale = soften(scores, masks.get(row / group).copied().unwrap_or(0), state);
            if scale != 1.0 {
                out.iter_mut().for_each(|x| *x *= scale);
            }
        }
        for (out, scores) in out.chunks_exact_mut(tile).zip(scores.chunks_exact(TILE_ROWS * PAGE)) {
            let mut column = 0;
            while column < head_dim {
                if column + 2 * L::WIDTH <= head_dim {
                    value_tile::<L, 2>(scores, values, head_dim, column, out);
                    column += 2 * L::WIDTH;
                } else {
                    value_tile::<L, 1>(scores, values, head_dim, column, out);
                    column += L::WIDTH;
                }
            }
        }
    }
}

/// Scores of six rows against the tokens from `first` on, as many as two vectors hold.
#[inline(always)]
fn score_tile<L: Lanes>(queries: &[f32], keys: &[f32], head_dim: usize, first: usize, scores: &mut [f32]) {
    assert!(queries.len() >= TILE_ROWS * head_dim && keys.len() >= PAGE * head_dim);
    assert!(scores.len() >= TILE_ROWS * PAGE && first + 2 * L::WIDTH <= PAGE);
    // SAFETY: within the lengths asserted above; a vector never crosses a group of sixteen tokens.
    unsafe {
        let base: [*const f32; 2] = std::array::from_fn(|v| {
            let token = first + v * L::WIDTH;
            keys.as_ptr().add(token / GROUP * GROUP * head_dim + token % GROUP)
        });
        let mut sums = [[L::splat(0.0); 2]; TILE_ROWS];
        for dimension in 0..head_dim {
            let keys: [L; 2] = std::array::from_fn(|v| L::load(base[v].add(dimension * GROUP)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let query = L::splat(*queries.as_ptr().add(row * head_dim + dimension));
                for v in 0..2 {
                    sums[v] = query.multiply_add(keys[v], sums[v]);
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                sum.store(scores.as_mut_ptr().add(row * PAGE + first + v * L::WIDTH));
            }
        }
    }
}

/// Adds six rows' weighted values to `out`, in the dimensions from `column` on that `V` vectors hold.
#[inline(always)]
fn value_tile<L: Lanes, const V: usize>(
    weights: &[f32],
    values: &[f32],
    head_dim: usize,
    column: usize,
    out: &mut [f32],
) {
    assert!(weights.len() >= TILE_ROWS * PAGE && values.len() >= PAGE * head_dim);
    assert!(out.len() >= TILE_ROWS * head_dim && column + V * L::WIDTH <= head_dim);
    // SAFETY: within the lengths asserted above.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; TILE_ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(out.as_ptr().add(row * head_dim + column + v * L::WIDTH));
            }
        }
        for token in 0..PAGE {
            let value: [L; V] = std::array::from_fn(|v| {
                L::load(values.as_ptr().add(token * head_dim + column + v * L::WIDTH))
            });
            for (row, sums) in sums.iter_mut().enumerate() {
                let weight = L::splat(*weights.as_ptr().add(row * PAGE + token));
                for v in 0..V {
                    sums[v] = weight.multiply_add(value[v], sums[v]);
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                sum.store(out.as_mut_ptr().add(row * head_dim + column + v * L::WIDTH));
            }
        }
    }
}

/// Turns one row's scores of a page into weights relative to the running maximum, and returns what to
/// multiply the sums so far with to bring them to the new maximum. A page the row does not see changes
/// nothing, to the bit.
#[inline(always)]
fn soften(scores: &mut [f32], mask: u64, state: &mut RowState) -> f32 {
    if mask == 0 {
        scores.fill(0.0);
        return 1.0;
    }
    if mask != u64::MAX {
        for (token, score) in scores.iter_mut().enumerate() {
            *score = if mask >> token & 1 == 0 { f32::NEG_INFINITY } else { *score };
        }
    }
    let mut maxima = [f32::NEG_INFINITY; 16];
    let (blocks, _) = scores.as_chunks_mut::<16>();
    for block in blocks.iter() {
        for (max, x) in maxima.iter_mut().zip(block) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let highest = fold(maxima, |a, b| if b > a { b } else { a });
    if highest == f32::NEG_INFINITY {
        scores.fill(0.0);
        return 1.0;
    }
    let RowState { max, sums } = state;
    let mut scale = 1.0;
    if highest > *max {
        scale = if *max == f32::NEG_INFINITY { 0.0 } else { exp(*max - highest) };
        sums.iter_mut().for_each(|sum| *sum *= scale);
        *max = highest;
    }
    for block in blocks {
        for (sum, x) in sums.iter_mut().zip(block) {
            let weight = if *x == f32::NEG_INFINITY { 0.0 } else { exp(*x - *max) };
            *x = weight;
            *sum += weight;
        }
    }
    scale
}
