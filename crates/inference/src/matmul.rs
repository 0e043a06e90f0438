//! What is `x · weightᵀ`, for any number of rows, on all cores?
//!
//! The rows of `x` are rounded once for all matrices they meet. Each panel of sixteen weight rows is
//! unpacked into the processor's first cache and meets as many rows as the second holds before the next
//! part of it is unpacked. Sums run over the columns in one fixed order, so a row's products are the same
//! bits whatever rows are beside it and whichever thread computes them.
#![allow(unsafe_code)]
// Loops over registers count rows; what they index differs from line to line.
#![allow(clippy::needless_range_loop)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use crate::config::Activation;
use crate::kernel::lanes::{Lanes, Operation, run};
use crate::kernel::{self, BLOCK, Isa, PANEL_ROWS, PackedBlocks, Panel, Rounded, RoundedRow};
use crate::packed::PackedMatrix;
use crate::pool::Pool;

/// Blocks of columns that many rows meet before the next: with the rows of one tile they fit the
/// first-level cache.
const BLOCKS_AT_ONCE: usize = 32;
/// Up to so many rows meet a panel from end to end, as it comes from memory.
const FEW_ROWS: usize = 8;
/// Rows that meet an unpacked panel: their part of the columns fits the second-level cache.
const ROWS_AT_ONCE: usize = 256;

/// The threads and instructions that products are computed with.
pub(crate) struct Compute {
    pub(crate) pool: Pool,
    pub(crate) isa: Isa,
}

/// How activations are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// As is fastest for many rows: bfloat16 where there are tiles for it, else as [`Self::Few`].
    Many,
    /// To eight bits, with one scale per 32 columns: fastest for up to some twenty rows.
    Few,
}

/// Weights of a linear map, and its bias.
pub(crate) struct Linear {
    pub(crate) weight: Weight,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Weights, `outputs` × `inputs`.
pub(crate) enum Weight {
    Packed(PackedMatrix),
    Float(FloatMatrix),
}

/// Weights in single precision, in panels of sixteen rows: `[panel][column][row]`.
pub(crate) struct FloatMatrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl FloatMatrix {
    /// From row-major values.
    pub(crate) fn new(values: &[f32], rows: usize, columns: usize) -> Self {
        let mut panels = vec![0.0; rows.div_ceil(PANEL_ROWS) * columns * PANEL_ROWS];
        for (row, values) in values.chunks_exact(columns).take(rows).enumerate() {
            let panel = &mut panels[row / PANEL_ROWS * columns * PANEL_ROWS..];
            for (column, x) in values.iter().enumerate() {
                panel[column * PANEL_ROWS + row % PANEL_ROWS] = *x;
            }
        }
        Self { rows, columns, values: panels }
    }

    fn panel(&self, panel: usize) -> &[f32] {
        let size = self.columns * PANEL_ROWS;
        &self.values[panel * size..(panel + 1) * size]
    }
}

impl Linear {
    pub(crate) fn outputs(&self) -> usize {
        match &self.weight {
            Weight::Packed(matrix) => matrix.shape().rows,
            Weight::Float(matrix) => matrix.rows,
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        match &self.weight {
            Weight::Packed(matrix) => matrix.shape().columns,
            Weight::Float(matrix) => matrix.columns,
        }
    }

    fn panels(&self) -> usize {
        self.outputs().div_ceil(PANEL_ROWS)
    }
}

/// Rows of activations in the forms that the products need. Reused: it allocates only to grow.
#[derive(Default)]
pub(crate) struct Input {
    rows: usize,
    columns: usize,
    /// Row-major, exact.
    pub(crate) values: Vec<f32>,
    rounded: Rounded,
    /// bfloat16 tiles: `[row / 16][column / 32][row % 16]`.
    #[cfg(target_arch = "x86_64")]
    tiles: Vec<kernel::amx::TileRow>,
    precision: Option<Precision>,
}

impl Input {
    /// Makes room for `rows` × `columns` values, to be written next.
    pub(crate) fn reset(&mut self, rows: usize, columns: usize) -> &mut [f32] {
        (self.rows, self.columns, self.precision) = (rows, columns, None);
        if self.values.len() < rows * columns {
            self.values.resize(rows * columns, 0.0);
        }
        &mut self.values[..rows * columns]
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Rounds the rows; to be called once they are written.
    pub(crate) fn round(&mut self, compute: &Compute, precision: Precision) {
        let (rows, columns) = (self.rows, self.columns);
        self.precision = Some(precision);
        let values = &self.values[..rows * columns];
        #[cfg(target_arch = "x86_64")]
        if precision == Precision::Many && compute.isa == Isa::Amx {
            return round_tiles(compute, values, columns, &mut self.tiles);
        }
        let blocks = columns.div_ceil(BLOCK);
        self.rounded.reserve(rows, blocks);
        let Rounded { q, scale, minus_sum, half_sums, .. } = &mut self.rounded;
        let shared = (
            Shared::new(&mut q[..rows * blocks * BLOCK]),
            Shared::new(&mut scale[..rows * blocks]),
            Shared::new(&mut minus_sum[..rows * blocks]),
            Shared::new(&mut half_sums[..rows * blocks]),
        );
        let round = |row: usize| {
            let at = row * blocks..(row + 1) * blocks;
            // SAFETY: every row is handed out once, and rows do not overlap.
            let row_of = unsafe {
                RoundedRow {
                    q: shared.0.slice(at.start * BLOCK..at.end * BLOCK),
                    scale: shared.1.slice(at.clone()),
                    minus_sum: shared.2.slice(at.clone()),
                    half_sums: shared.3.slice(at),
                }
            };
            kernel::round(compute.isa, &values[row * columns..(row + 1) * columns], row_of);
        };
        if rows * columns < 1 << 14 {
            (0..rows).for_each(round);
        } else {
            compute.pool.for_each(rows, 4, round);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn round_tiles(compute: &Compute, values: &[f32], columns: usize, tiles: &mut Vec<kernel::amx::TileRow>) {
    use kernel::amx::{TILE_ROWS, round};
    let rows = values.len() / columns;
    let group = columns.div_ceil(BLOCK) * TILE_ROWS;
    let tiles = tiled::reserve(tiles, rows, group);
    compute.pool.for_each_piece(tiles, group, |index, out| {
        for row in 0..TILE_ROWS {
            let at = index * TILE_ROWS + row;
            let values = values.get(at * columns..(at + 1) * columns).unwrap_or_default();
            // SAFETY: tiles imply these instructions.
            unsafe { round(values, out, row) };
        }
    });
}

/// One matrix to multiply an input with, and where the products go.
pub(crate) struct Product<'a> {
    pub(crate) linear: &'a Linear,
    /// Row-major, `rows` × `outputs`.
    pub(crate) out: &'a mut [f32],
    /// Whether the products are added to what is in `out`.
    pub(crate) add: bool,
}

impl<'a> Product<'a> {
    pub(crate) fn new(linear: &'a Linear, out: &'a mut [f32]) -> Self {
        Self { linear, out, add: false }
    }

    pub(crate) fn added_to(linear: &'a Linear, out: &'a mut [f32]) -> Self {
        Self { linear, out, add: true }
    }
}

#[cfg(target_arch = "x86_64")]
mod tiled;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    panel: Panel,
    sums: Vec<[f32; PANEL_ROWS]>,
    #[cfg(target_arch = "x86_64")]
    tiled: tiled::Tiled,
}

/// Computes `out (+)= x · weightᵀ + bias` for every product; `x` must have been rounded.
pub(crate) fn multiply<const N: usize>(compute: &Compute, x: &Input, products: [Product<'_>; N]) {
    if x.rows == 0 {
        return;
    }
    let targets = products.map(|Product { linear, out, add }| {
        assert_eq!(linear.inputs(), x.columns, "the input is as wide as the weights");
        let out = Shared::new(&mut out[..x.rows * linear.outputs()]);
        Target { linear, out, add }
    });
    let panels: usize = targets.iter().map(|target| target.linear.panels()).sum();
    // Two panels a job at least: tiles take them in pairs. Enough jobs that no thread waits long.
    let threads = compute.pool.threads();
    let chunk = if threads == 1 { panels } else { panels.div_ceil(threads * 6).next_multiple_of(2) };
    compute.pool.for_each(panels.div_ceil(chunk.max(1)), 1, |job| {
        let mut first = 0;
        let wanted = job * chunk..panels.min((job + 1) * chunk);
        for target in &targets {
            let panels = target.linear.panels();
            let from = wanted.start.clamp(first, first + panels) - first;
            let to = wanted.end.clamp(first, first + panels) - first;
            if from < to {
                SCRATCH.with_borrow_mut(|scratch| target.compute(compute, x, from..to, scratch));
            }
            first += panels;
        }
    });
}

/// The gated half of a feed-forward layer: `out = activation(gate · x) * (up · x)`, rounded.
///
/// `gate_out` and `up_out` are scratch.
pub(crate) fn multiply_gated(
    compute: &Compute,
    x: &Input,
    [gate, up]: [&Linear; 2],
    activation: Activation,
    [gate_out, up_out]: [&mut Vec<f32>; 2],
    precision: Precision,
    out: &mut Input,
) {
    let (rows, width) = (x.rows, gate.outputs());
    #[cfg(target_arch = "x86_64")]
    if let (Weight::Packed(gate_matrix), Weight::Packed(up_matrix), Isa::Amx, Precision::Many, None, None) =
        (&gate.weight, &up.weight, compute.isa, precision, &gate.bias, &up.bias)
        && x.precision == Some(Precision::Many)
        && up.outputs() == width
    {
        (out.rows, out.columns, out.precision) = (rows, width, Some(Precision::Many));
        return tiled::multiply_gated(compute, x, [gate_matrix, up_matrix], activation, &mut out.tiles);
    }
    for values in [&mut *gate_out, &mut *up_out] {
        if values.len() < rows * width {
            values.resize(rows * width, 0.0);
        }
    }
    multiply(compute, x, [Product::new(gate, gate_out), Product::new(up, up_out)]);
    let values = out.reset(rows, width);
    let activate = |piece: usize, out: &mut [f32]| {
        let at = piece * ACTIVATED_AT_ONCE..piece * ACTIVATED_AT_ONCE + out.len();
        activation.multiply(compute.isa, &gate_out[at.clone()], &up_out[at], out);
    };
    if values.len() <= ACTIVATED_AT_ONCE * 2 {
        values.chunks_mut(ACTIVATED_AT_ONCE).enumerate().for_each(|(piece, out)| activate(piece, out));
    } else {
        compute.pool.for_each_piece(values, ACTIVATED_AT_ONCE, activate);
    }
    out.round(compute, precision);
}

/// Values of a feed-forward layer that one thread activates before the next piece.
const ACTIVATED_AT_ONCE: usize = 1 << 13;

struct Target<'a> {
    linear: &'a Linear,
    out: Shared<'a, f32>,
    add: bool,
}

impl Target<'_> {
    fn compute(&self, compute: &Compute, x: &Input, panels: Range<usize>, scratch: &mut Scratch) {
        match &self.linear.weight {
            Weight::Float(matrix) => self.compute_floats(compute.isa, matrix, x, panels, scratch),
            #[cfg(target_arch = "x86_64")]
            Weight::Packed(matrix) if compute.isa == Isa::Amx && x.precision == Some(Precision::Many) => {
                self.compute_tiles(matrix, x, panels, scratch);
            }
            Weight::Packed(matrix) => self.compute_packed(compute.isa, matrix, x, panels, scratch),
        }
    }

    fn compute_packed(
        &self,
        isa: Isa,
        matrix: &PackedMatrix,
        x: &Input,
        panels: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let (format, blocks) = (matrix.shape().format, matrix.shape().blocks());
        for rows in ranges(x.rows, ROWS_AT_ONCE) {
            let height = rows.len();
            // Few rows: one panel from end to end. Many: a part of every panel, then the next part.
            let parts = if height <= FEW_ROWS { blocks.max(1) } else { BLOCKS_AT_ONCE };
            for part in ranges(blocks, parts) {
                for panel in panels.clone() {
                    let Scratch { sums, panel: unpacked, .. } = &mut *scratch;
                    sums.resize(height, [0.0; PANEL_ROWS]);
                    for (row, sums) in rows.clone().zip(sums.iter_mut()) {
                        self.load(panel, row, part.start > 0, sums);
                    }
                    let bytes = matrix.panel(panel);
                    let weights = PackedBlocks { format, bytes, from: part.start, blocks: part.len() };
                    kernel::multiply(isa, &weights, &x.rounded, rows.start, sums, unpacked);
                    for (row, sums) in rows.clone().zip(sums.iter()) {
                        self.store(panel, row, sums);
                    }
                }
            }
        }
    }

    fn compute_floats(
        &self,
        isa: Isa,
        matrix: &FloatMatrix,
        x: &Input,
        panels: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let sums = &mut scratch.sums;
        for panel in panels {
            for rows in ranges(x.rows, FLOAT_ROWS) {
                sums.resize(rows.len(), [0.0; PANEL_ROWS]);
                for (row, sums) in rows.clone().zip(sums.iter_mut()) {
                    self.load(panel, row, false, sums);
                }
                let x = &x.values[rows.start * x.columns..rows.end * x.columns];
                run(isa, FloatTile { x, columns: matrix.columns, panel: matrix.panel(panel), sums });
                for (row, sums) in rows.zip(sums.iter()) {
                    self.store(panel, row, sums);
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn compute_tiles(&self, matrix: &PackedMatrix, x: &Input, panels: Range<usize>, scratch: &mut Scratch) {
        use tiled::{PAIRS_AT_ONCE, SIDE};
        let Scratch { tiled, .. } = scratch;
        let mut sums = std::mem::take(&mut tiled.sums[0]);
        let (steps, height) = (matrix.shape().blocks(), x.rows.next_multiple_of(SIDE));
        let pairs = ranges(panels.len(), 2).map(|p| panels.start + p.start..panels.start + p.end);
        let pairs: Vec<_> = pairs.collect();
        for pairs in pairs.chunks(PAIRS_AT_ONCE) {
            let sums = tiled::grow(&mut sums, pairs.len() * height);
            for part in ranges(steps, tiled::part_steps(steps, x.rows)) {
                for (pair, sums) in pairs.iter().zip(sums.chunks_exact_mut(height)) {
                    tiled.multiply(matrix, pair.clone(), x, 0..x.rows, part.clone(), sums);
                }
            }
            for (pair, sums) in pairs.iter().zip(sums.chunks_exact(height)) {
                let start = pair.start * PANEL_ROWS;
                let width = (self.linear.outputs() - start).min(pair.len() * PANEL_ROWS);
                for (row, sums) in sums.iter().enumerate().take(x.rows) {
                    let at = row * self.linear.outputs() + start;
                    // SAFETY: only the job that has this panel touches these columns.
                    let out = unsafe { self.out.slice(at..at + width) };
                    if self.add {
                        out.iter_mut().zip(&sums.0).for_each(|(out, sum)| *out += sum);
                    } else {
                        out.copy_from_slice(&sums.0[..width]);
                    }
                    if let Some(bias) = &self.linear.bias {
                        out.iter_mut().zip(&bias[start..]).for_each(|(out, bias)| *out += bias);
                    }
                }
            }
        }
        tiled.sums[0] = sums;
    }

    /// Where the sums of a panel and row begin: what is there already, or the bias, or zero.
    fn load(&self, panel: usize, row: usize, going_on: bool, sums: &mut [f32; PANEL_ROWS]) {
        let start = panel * PANEL_ROWS;
        let width = (self.linear.outputs() - start).min(PANEL_ROWS);
        *sums = [0.0; PANEL_ROWS];
        let sums = &mut sums[..width];
        if going_on || self.add {
            let at = row * self.linear.outputs() + start;
            // SAFETY: only the job that has this panel touches these columns.
            sums.copy_from_slice(unsafe { self.out.slice(at..at + width) });
        }
        if !going_on && let Some(bias) = &self.linear.bias {
            sums.iter_mut().zip(&bias[start..]).for_each(|(sum, bias)| *sum += bias);
        }
    }

    fn store(&self, panel: usize, row: usize, sums: &[f32; PANEL_ROWS]) {
        let start = panel * PANEL_ROWS;
        let width = (self.linear.outputs() - start).min(PANEL_ROWS);
        let at = row * self.linear.outputs() + start;
        // SAFETY: only the job that has this panel touches these columns.
        unsafe { self.out.slice(at..at + width) }.copy_from_slice(&sums[..width]);
    }
}

fn ranges(length: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(size.max(1)).map(move |start| start..length.min(start + size))
}

/// Rows multiplied with one panel of floats before the next panel.
const FLOAT_ROWS: usize = 48;
/// Rows whose sums are in registers at once.
const FLOAT_TILE: usize = 6;

/// Products of rows of floats with a panel of floats, added to `sums`.
struct FloatTile<'a> {
    x: &'a [f32],
    columns: usize,
    /// `[column][row]`
    panel: &'a [f32],
    sums: &'a mut [[f32; PANEL_ROWS]],
}

impl Operation for FloatTile<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut row = 0;
        while row < self.sums.len() {
            let sums = &mut self.sums[row..];
            let x = &self.x[row * self.columns..];
            row += match sums.len() {
                0..FLOAT_TILE => float_tile::<L, 1>(x, self.columns, self.panel, sums),
                _ => float_tile::<L, FLOAT_TILE>(x, self.columns, self.panel, sums),
            };
        }
    }
}

#[inline(always)]
fn float_tile<L: Lanes, const T: usize>(
    x: &[f32],
    columns: usize,
    panel: &[f32],
    sums: &mut [[f32; PANEL_ROWS]],
) -> usize {
    assert!(x.len() >= T * columns && panel.len() >= columns * PANEL_ROWS && sums.len() >= T);
    for part in (0..PANEL_ROWS).step_by(2 * L::WIDTH.min(PANEL_ROWS / 2)) {
        // One or two vectors make up what is computed at once.
        let vectors = (PANEL_ROWS / L::WIDTH).min(2);
        // SAFETY: within the lengths asserted above.
        unsafe {
            let mut tile = [[L::splat(0.0); 2]; T];
            for t in 0..T {
                for v in 0..vectors {
                    tile[t][v] = L::load(sums[t].as_ptr().add(part + v * L::WIDTH));
                }
            }
            for column in 0..columns {
                let mut weights = [L::splat(0.0); 2];
                for (v, weights) in weights.iter_mut().enumerate().take(vectors) {
                    *weights = L::load(panel.as_ptr().add(column * PANEL_ROWS + part + v * L::WIDTH));
                }
                for t in 0..T {
                    let x = L::splat(*x.as_ptr().add(t * columns + column));
                    for v in 0..vectors {
                        tile[t][v] = x.multiply_add(weights[v], tile[t][v]);
                    }
                }
            }
            for t in 0..T {
                for v in 0..vectors {
                    tile[t][v].store(sums[t].as_mut_ptr().add(part + v * L::WIDTH));
                }
            }
        }
    }
    T
}

/// A slice whose disjoint parts several threads write.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: access is through `slice`, whose callers promise that no two threads have the same part.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), length: values.len(), lifetime: PhantomData }
    }

    /// # Safety
    /// No other reference to any of these elements may be in use.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: within the slice, and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
