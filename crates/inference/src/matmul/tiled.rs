//! Products on AMX tiles: a pair of panels at a time, for all rows.

use std::ops::Range;

use crate::config::Activation;
use crate::kernel::PANEL_ROWS;
pub(super) use crate::kernel::amx::SIDE;
use crate::kernel::amx::{SumRow, TILE_ROWS, TileRow, Tiles, round_row, unpack};
use crate::packed::PackedMatrix;

use super::{Compute, Input, SCRATCH, Shared, ranges};

/// Tile rows of activations that stay in the second-level cache while pairs of panels meet them: 768 KB.
const ROWS_IN_CACHE: usize = 12 << 10;
/// Fewest rows worth dequantising a pair of panels for.
const MIN_ROWS: usize = 256;
/// Tiles of columns of a pair of panels that stay in the first-level cache for all rows.
const STEPS_AT_ONCE: usize = 16;

/// Tiles of columns that meet a pair of panels before the next pair, in as even parts as can be.
pub(super) fn part_steps(steps: usize, rows: usize) -> usize {
    let most = (ROWS_IN_CACHE / rows.max(1)).max(STEPS_AT_ONCE);
    steps.div_ceil(steps.div_ceil(most).max(1)).max(1)
}

/// Pairs of panels whose sums are kept while parts of the columns go by: 64 KB each for 512 rows.
pub(super) const PAIRS_AT_ONCE: usize = 6;

/// The first `length` rows of sums, which are made if need be.
pub(super) fn grow(sums: &mut Vec<SumRow>, length: usize) -> &mut [SumRow] {
    if sums.len() < length {
        sums.resize(length, SumRow::ZERO);
    }
    &mut sums[..length]
}

/// Makes room for the tiles of `rows` rows, `group` tile rows for each sixteen of them.
pub(super) fn reserve(tiles: &mut Vec<TileRow>, rows: usize, group: usize) -> &mut [TileRow] {
    let length = rows.next_multiple_of(SIDE) / TILE_ROWS * group;
    if tiles.len() < length {
        tiles.resize(length, TileRow::ZERO);
    }
    &mut tiles[..length]
}

/// Buffers of one thread.
#[derive(Default)]
pub(super) struct Tiled {
    /// A pair of panels, dequantised: `[panel][step][tile row]`.
    weights: Vec<TileRow>,
    /// One row for each row of activations, up to a multiple of [`SIDE`].
    pub(super) sums: [Vec<SumRow>; 2],
}

impl Tiled {
    /// Products of some rows, from a multiple of [`SIDE`] on, with one or two neighbouring panels over the
    /// columns of `part`, added to `sums` or, for the first part, written there.
    pub(super) fn multiply(
        &mut self,
        matrix: &PackedMatrix,
        pair: Range<usize>,
        x: &Input,
        rows: Range<usize>,
        part: Range<usize>,
        sums: &mut [SumRow],
    ) {
        let tiles = Tiles::configure();
        let steps = matrix.shape().blocks();
        let half = part.len() * TILE_ROWS;
        if self.weights.len() < 2 * half {
            self.weights.resize(2 * half, TileRow::ZERO);
        }
        for (panel, out) in pair.zip(self.weights.chunks_exact_mut(half)) {
            // SAFETY: tiles imply these instructions.
            unsafe { unpack(matrix.shape().format, matrix.panel(panel), part.start, out) };
        }
        let (first, second) = self.weights.split_at(half);
        for (index, now) in ranges(part.len(), STEPS_AT_ONCE).enumerate() {
            let of_weights = now.start * TILE_ROWS..now.end * TILE_ROWS;
            let weights = [&first[of_weights.clone()], &second[of_weights]];
            for (block, sums) in sums.chunks_exact_mut(SIDE).enumerate() {
                if part.start == 0 && index == 0 {
                    sums.fill(SumRow::ZERO);
                }
                let x = [0, 1].map(|group| {
                    let at = ((rows.start / TILE_ROWS + 2 * block + group) * steps + part.start + now.start)
                        * TILE_ROWS;
                    &x.tiles[at..at + now.len() * TILE_ROWS]
                });
                tiles.multiply(x, weights, sums);
            }
        }
    }
}

/// As [`super::multiply_gated`]: a pair of panels of each matrix makes one tile of columns of the result,
/// so that nothing but that result goes to memory.
pub(super) fn multiply_gated(
    compute: &Compute,
    x: &Input,
    [gate, up]: [&PackedMatrix; 2],
    activation: Activation,
    out: &mut Vec<TileRow>,
) {
    let steps = gate.shape().blocks();
    let panels = gate.shape().panels();
    let out_steps = gate.shape().rows.div_ceil(SIDE);
    let out = Shared::new(reserve(out, x.rows, out_steps * TILE_ROWS));
    let pairs = panels.div_ceil(2);
    let chunk = pairs.div_ceil(compute.pool.threads() * 6).max(1);
    let rows_at_once = (ROWS_IN_CACHE / steps.max(1) / SIDE * SIDE).max(MIN_ROWS);
    compute.pool.for_each(pairs.div_ceil(chunk), 1, |job| {
        SCRATCH.with_borrow_mut(|scratch| {
            let tiled = &mut scratch.tiled;
            let mut sums = std::mem::take(&mut tiled.sums);
            for rows in ranges(x.rows, rows_at_once) {
                for index in job * chunk..pairs.min((job + 1) * chunk) {
                    let pair = 2 * index..panels.min(2 * index + 2);
                    let width = (gate.shape().rows - pair.start * PANEL_ROWS).min(SIDE);
                    for (matrix, sums) in [gate, up].into_iter().zip(&mut sums) {
                        let sums = grow(sums, rows.len().next_multiple_of(SIDE));
                        tiled.multiply(matrix, pair.clone(), x, rows.clone(), 0..steps, sums);
                    }
                    let [gate, up] = &mut sums;
                    for (row, (gate, up)) in rows.clone().zip(gate.iter().zip(up.iter_mut())) {
                        let linear = up.0;
                        activation.multiply(compute.isa, &gate.0, &linear, &mut up.0);
                        let at = (row / TILE_ROWS * out_steps + index) * TILE_ROWS + row % TILE_ROWS;
                        // SAFETY: only this pair's job touches this step of the tiles.
                        let out = unsafe { &mut out.slice(at..at + 1)[0] };
                        // SAFETY: tiles imply these instructions.
                        unsafe { round_row(&up.0[..width], out) };
                    }
                }
            }
            tiled.sums = sums;
        });
    });
}
