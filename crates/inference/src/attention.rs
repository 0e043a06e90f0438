//! Which earlier tokens does each row attend to, and with what result?
//!
//! Grouped-query attention over the cache with a running (online) softmax. Rows are taken in blocks that
//! share one key/value head, so each key is read once per block. Visibility is given per row as slot
//! ranges: causal reading, many questions over one prefix, and candidate answers are the same to it.

use pulp::{Simd, WithSimd};

use crate::cache::{BLOCK_SLOTS, GROUP, LayerCache};
use crate::matrix::Matrix;
use crate::parallel::for_each_unit;
use crate::simd::{exp, vectorize};

/// Query rows multiplied at once: with two vectors of keys they fill the registers of AVX2.
const TILE_ROWS: usize = 6;
/// Query rows (tokens × heads of a group) that share one pass over the keys.
const UNIT_ROWS: usize = 48;

/// Up to three ranges of slots `[from, to)`, ascending: shared prefix, question, candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Visible(pub(crate) [(usize, usize); 3]);

impl Visible {
    pub(crate) fn up_to(slot: usize) -> Self {
        Self([(0, slot), (0, 0), (0, 0)])
    }

    fn end(&self) -> usize {
        self.0.iter().map(|(_, to)| *to).max().unwrap_or(0)
    }

    fn overlaps(&self, from: usize, to: usize) -> bool {
        self.0.iter().any(|(a, b)| *a < to && *b > from)
    }

    fn covers(&self, from: usize, to: usize) -> bool {
        self.0.iter().any(|(a, b)| *a <= from && *b >= to)
    }

    fn contains(&self, slot: usize) -> bool {
        self.0.iter().any(|(a, b)| (*a..*b).contains(&slot))
    }
}

/// Head counts and sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

/// Attends from every row of `queries` (`[row][head][head_dim]`, rotated) to the slots it sees.
pub(crate) fn attend(queries: &Matrix, visible: &[Visible], cache: &LayerCache, heads: Heads) -> Matrix {
    let Heads { heads: head_count, kv_heads, head_dim } = heads;
    let group = head_count / kv_heads;
    let unit_tokens = (UNIT_ROWS / group).max(1);
    let unit_rows = (unit_tokens.min(queries.rows) * group).next_multiple_of(TILE_ROWS);
    let blocks = queries.rows.div_ceil(unit_tokens);

    // Later rows see more keys: handing them out first keeps the cores busy to the end.
    let block_of = |unit: usize| blocks - 1 - unit / kv_heads;
    let mut units = vec![0.0; blocks * kv_heads * unit_rows * head_dim];
    for_each_unit(&mut units, unit_rows * head_dim, |unit, out| {
        let first = block_of(unit) * unit_tokens;
        let last = (first + unit_tokens).min(queries.rows);
        let kv_head = unit % kv_heads;
        let (keys, values) = cache.head(kv_head);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut scaled = vec![0.0; unit_rows * head_dim];
        let width = group * head_dim;
        for (row, target) in (first..last).zip(scaled.chunks_exact_mut(width)) {
            let from = &queries.row(row)[kv_head * width..(kv_head + 1) * width];
            target.iter_mut().zip(from).for_each(|(target, x)| *target = x * scale);
        }
        vectorize(Unit {
            queries: &scaled,
            visible: &visible[first..last],
            group,
            keys,
            values,
            head_dim,
            out,
        });
    });

    let mut result = Matrix::padded(queries.rows, head_count * head_dim);
    let (stride, width) = (result.stride, group * head_dim);
    for (unit, values) in units.chunks_exact(unit_rows * head_dim).enumerate() {
        let first = block_of(unit) * unit_tokens;
        for (row, from) in (first..queries.rows.min(first + unit_tokens)).zip(values.chunks_exact(width)) {
            let at = row * stride + unit % kv_heads * width;
            result.values_mut()[at..at + width].copy_from_slice(from);
        }
    }
    result
}

/// The rows of a few neighbouring tokens that share one key/value head.
struct Unit<'a> {
    /// `[token][head of the group][head_dim]`, scaled, padded to a multiple of [`TILE_ROWS`] rows.
    queries: &'a [f32],
    /// One per token.
    visible: &'a [Visible],
    group: usize,
    keys: &'a [f32],
    values: &'a [f32],
    head_dim: usize,
    /// As `queries`.
    out: &'a mut [f32],
}

impl WithSimd for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 1>(simd),
            8 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            2 => self.run::<S, 8>(simd),
            _ => self.run::<S, 16>(simd),
        }
    }
}

impl Unit<'_> {
    /// `VECTORS` vectors make sixteen values.
    #[inline(always)]
    fn run<S: Simd, const VECTORS: usize>(mut self, simd: S) {
        let rows = self.visible.len() * self.group;
        let end = self.visible.iter().map(Visible::end).max().unwrap_or(0);
        let mut scores = vec![0.0; self.out.len() / self.head_dim * BLOCK_SLOTS];
        let mut state = vec![(f32::NEG_INFINITY, 0.0f32); rows];
        for from in (0..end).step_by(BLOCK_SLOTS) {
            let to = (from + BLOCK_SLOTS).min(end);
            if !self.visible.iter().any(|visible| visible.overlaps(from, to)) {
                continue;
            }
            self.score_block::<S, VECTORS>(simd, from, &mut scores);
            for (row, (scores, state)) in scores.chunks_exact_mut(BLOCK_SLOTS).zip(&mut state).enumerate() {
                let out = &mut self.out[row * self.head_dim..(row + 1) * self.head_dim];
                soften(scores, &self.visible[row / self.group], from, to, state, out);
            }
            self.add_values::<S, VECTORS>(simd, from, to, &scores);
        }
        for (out, (_, sum)) in self.out.chunks_exact_mut(self.head_dim).zip(&state) {
            let scale = 1.0 / sum;
            out.iter_mut().for_each(|x| *x *= scale);
        }
    }

    #[inline(always)]
    fn score_block<S: Simd, const VECTORS: usize>(&self, simd: S, from: usize, scores: &mut [f32]) {
        let size = GROUP * self.head_dim;
        let tiles = self.queries.chunks_exact(TILE_ROWS * self.head_dim);
        for (queries, scores) in tiles.zip(scores.chunks_exact_mut(TILE_ROWS * BLOCK_SLOTS)) {
            let queries = rows_of(queries, self.head_dim, self.head_dim);
            let groups = self.keys[from * self.head_dim..].chunks_exact(size).take(BLOCK_SLOTS / GROUP);
            for (group, keys) in groups.enumerate() {
                let tile = Tile { stride: BLOCK_SLOTS, column: group * GROUP };
                multiply::<S, VECTORS, false>(simd, queries, keys, tile, GROUP, scores);
            }
        }
    }

    #[inline(always)]
    fn add_values<S: Simd, const VECTORS: usize>(&mut self, simd: S, from: usize, to: usize, scores: &[f32]) {
        let values = &self.values[from * self.head_dim..to * self.head_dim];
        let tiles = self.out.chunks_exact_mut(TILE_ROWS * self.head_dim);
        for (out, scores) in tiles.zip(scores.chunks_exact(TILE_ROWS * BLOCK_SLOTS)) {
            let scores = rows_of(scores, BLOCK_SLOTS, to - from);
            for column in (0..self.head_dim).step_by(GROUP) {
                let tile = Tile { stride: self.head_dim, column };
                multiply::<S, VECTORS, true>(simd, scores, &values[column..], tile, self.head_dim, out);
            }
        }
    }
}

/// Turns one row's scores of a block into weights relative to the running maximum, and scales what was
/// summed so far to the new maximum.
#[inline(always)]
fn soften(
    scores: &mut [f32],
    visible: &Visible,
    from: usize,
    to: usize,
    state: &mut (f32, f32),
    out: &mut [f32],
) {
    if !visible.covers(from, from + BLOCK_SLOTS) || to < from + BLOCK_SLOTS {
        for (offset, score) in scores.iter_mut().enumerate() {
            let slot = from + offset;
            if slot >= to || !visible.contains(slot) {
                *score = f32::NEG_INFINITY;
            }
        }
    }
    let mut maxima = [f32::NEG_INFINITY; 16];
    let (blocks, _) = scores.as_chunks_mut::<16>();
    for block in blocks.iter() {
        for (max, x) in maxima.iter_mut().zip(block) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let block_max = maxima.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max });
    if block_max == f32::NEG_INFINITY {
        scores.fill(0.0);
        return;
    }
    let (max, sum) = state;
    if block_max > *max {
        let scale = if *max == f32::NEG_INFINITY { 0.0 } else { exp(*max - block_max) };
        *sum *= scale;
        out.iter_mut().for_each(|x| *x *= scale);
        *max = block_max;
    }
    let mut sums = [0f32; 16];
    for block in blocks {
        for (sum, x) in sums.iter_mut().zip(block) {
            let weight = if *x == f32::NEG_INFINITY { 0.0 } else { exp(*x - *max) };
            *x = weight;
            *sum += weight;
        }
    }
    *sum += sums.iter().sum::<f32>();
}

/// Where a product of [`TILE_ROWS`] × 16 goes in its target.
#[derive(Clone, Copy)]
struct Tile {
    stride: usize,
    column: usize,
}

/// The first `length` values of six rows that begin every `stride`.
#[inline(always)]
fn rows_of(rows: &[f32], stride: usize, length: usize) -> [&[f32]; TILE_ROWS] {
    std::array::from_fn(|i| &rows[i * stride..i * stride + length])
}

/// `target (+)= a · b` for six rows of `a` and sixteen columns of `b`, whose rows begin every `b_stride`.
#[inline(always)]
fn multiply<S: Simd, const VECTORS: usize, const ADD: bool>(
    simd: S,
    a: [&[f32]; TILE_ROWS],
    b: &[f32],
    tile: Tile,
    b_stride: usize,
    target: &mut [f32],
) {
    let depth = a[0].len();
    let a = a.map(|row| &row[..depth]);
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TILE_ROWS];
    if ADD {
        for (row, sums) in target.chunks_exact(tile.stride).zip(&mut sums) {
            let (vectors, _) = S::as_simd_f32s(&row[tile.column..tile.column + GROUP]);
            sums.iter_mut().zip(vectors).for_each(|(sum, x)| *sum = *x);
        }
    }
    for (k, b) in b.chunks(b_stride).take(depth).enumerate() {
        let (vectors, _) = S::as_simd_f32s(&b[..GROUP]);
        for (row, sums) in a.iter().zip(&mut sums) {
            let x = simd.splat_f32s(row[k]);
            for v in 0..VECTORS {
                sums[v] = simd.mul_add_e_f32s(x, vectors[v], sums[v]);
            }
        }
    }
    for (row, sums) in target.chunks_exact_mut(tile.stride).zip(&sums) {
        let (vectors, _) = S::as_mut_simd_f32s(&mut row[tile.column..tile.column + GROUP]);
        vectors.iter_mut().zip(sums).for_each(|(x, sum)| *x = *sum);
    }
}
