//! How is a product of quantised weights and activations computed on this processor?
//!
//! Weights are taken sixteen rows at a time. A *panel* holds some of their columns unpacked: eight-bit
//! integers in the order the kernels read them, and one scale and offset per row and 32 columns. A *tile*
//! multiplies a panel with a few rows of activations. Every kernel adds up the same terms in the same
//! order, so a row of activations gives the same bits whatever rows are computed beside it.
#![allow(unsafe_code)]
// Loops over registers count rows; what they index differs from line to line.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
pub(crate) mod lanes;
mod portable;
#[cfg(test)]
mod tests;

pub use isa::{Isa, UnknownIsa};

use crate::packed::Format;

/// Weight rows in a panel.
pub(crate) const PANEL_ROWS: usize = 16;
/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Bytes of one block of a panel: [`PANEL_ROWS`] × [`BLOCK`].
pub(crate) const BLOCK_BYTES: usize = PANEL_ROWS * BLOCK;
/// Activation rows of one tile of the kernels that unpack first: their sums fit sixteen registers.
const MAX_TILE: usize = 4;
/// Blocks of columns unpacked at once: with the rows of one tile they fit the first-level cache.
const BLOCKS_UNPACKED: usize = 32;

/// What the integers of a panel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 0 to 15: weight = scale · q − offset.
    U4,
    /// 0 to 63, with a multiplier per 16 columns: weight = scale · multiplier · (q − 32).
    U6,
    /// 0 to 255: weight = scale · (q − 128).
    U8,
}

/// Unpacked columns of sixteen weight rows; reused from product to product.
#[derive(Default)]
pub(crate) struct Panel {
    /// `[block][column / 4][row][column % 4]`
    pub(crate) q: Vec<u8>,
    /// `[block][row]`
    pub(crate) scale: Vec<f32>,
    /// `[block][row]`; of [`Kind::U4`] only.
    pub(crate) offset: Vec<f32>,
    /// `[block][first, second, both][row]`, of [`Kind::U6`] only: the multipliers of a block's two halves
    /// as pairs of 16-bit integers: twice the first, twice the second, one of each.
    pub(crate) multiplier: Vec<[i16; 2]>,
    pub(crate) blocks: usize,
}

impl Panel {
    pub(crate) fn reserve(&mut self, kind: Kind, blocks: usize) {
        self.blocks = blocks;
        grow(&mut self.q, blocks * BLOCK_BYTES);
        grow(&mut self.scale, blocks * PANEL_ROWS);
        match kind {
            Kind::U4 => grow(&mut self.offset, blocks * PANEL_ROWS),
            Kind::U6 => grow(&mut self.multiplier, blocks * PANEL_ROWS * 3),
            Kind::U8 => {}
        }
    }

    fn check(&self, kind: Kind) {
        assert!(self.q.len() >= self.blocks * BLOCK_BYTES);
        assert!(self.scale.len() >= self.blocks * PANEL_ROWS);
        match kind {
            Kind::U4 => assert!(self.offset.len() >= self.blocks * PANEL_ROWS),
            Kind::U6 => assert!(self.multiplier.len() >= self.blocks * PANEL_ROWS * 3),
            Kind::U8 => {}
        }
    }
}

fn grow<T: Clone + Default>(values: &mut Vec<T>, length: usize) {
    if values.len() < length {
        values.resize(length, T::default());
    }
}

/// Rows of activations rounded to eight bits, one scale per [`BLOCK`] columns.
#[derive(Default)]
pub(crate) struct Rounded {
    pub(crate) rows: usize,
    pub(crate) blocks: usize,
    /// `[row][block][column]`
    pub(crate) q: Vec<i8>,
    /// `[row][block]`: activation = scale · q.
    pub(crate) scale: Vec<f32>,
    /// `[row][block]`: minus scale times the sum of the block's q.
    pub(crate) minus_sum: Vec<f32>,
    /// `[row][block]`: sums of q over the block's two halves.
    pub(crate) half_sums: Vec<[i16; 2]>,
}

impl Rounded {
    pub(crate) fn reserve(&mut self, rows: usize, blocks: usize) {
        self.rows = rows;
        self.blocks = blocks;
        grow(&mut self.q, rows * blocks * BLOCK);
        grow(&mut self.scale, rows * blocks);
        grow(&mut self.minus_sum, rows * blocks);
        grow(&mut self.half_sums, rows * blocks);
    }

    /// Addresses of `T` rows that begin at `row`, from `block` on.
    #[inline(always)]
    fn tile<const T: usize>(&self, row: usize, block: usize, blocks: usize) -> RoundedTile<T> {
        assert!(row + T <= self.rows && block + blocks <= self.blocks);
        assert!(self.q.len() >= self.rows * self.blocks * BLOCK);
        assert!(self.scale.len() >= self.rows * self.blocks);
        assert!(self.minus_sum.len() >= self.rows * self.blocks);
        assert!(self.half_sums.len() >= self.rows * self.blocks);
        let at = row * self.blocks + block;
        RoundedTile {
            q: self.q[at * BLOCK..].as_ptr(),
            scale: self.scale[at..].as_ptr(),
            minus_sum: self.minus_sum[at..].as_ptr(),
            half_sums: self.half_sums[at..].as_ptr().cast(),
            stride: self.blocks,
        }
    }
}

/// Where the rows of a tile begin, `stride` blocks apart; each has as many blocks as were asked for.
struct RoundedTile<const T: usize> {
    q: *const i8,
    scale: *const f32,
    minus_sum: *const f32,
    half_sums: *const i32,
    stride: usize,
}

impl<const T: usize> RoundedTile<T> {
    #[inline(always)]
    fn q(&self, row: usize) -> *const i8 {
        self.q.wrapping_add(row * self.stride * BLOCK)
    }

    #[inline(always)]
    fn scale(&self, row: usize) -> *const f32 {
        self.scale.wrapping_add(row * self.stride)
    }

    #[inline(always)]
    fn minus_sum(&self, row: usize) -> *const f32 {
        self.minus_sum.wrapping_add(row * self.stride)
    }

    /// Pairs of 16-bit sums, to be read as one 32-bit lane.
    #[inline(always)]
    fn half_sums(&self, row: usize) -> *const i32 {
        self.half_sums.wrapping_add(row * self.stride)
    }
}

/// One tile's sums: for each row of activations, those of the panel's sixteen weight rows.
pub(crate) type Sums = [[f32; PANEL_ROWS]];

/// Some blocks of columns of sixteen packed weight rows.
#[derive(Clone, Copy)]
pub(crate) struct PackedBlocks<'a> {
    pub(crate) format: Format,
    /// The whole packed panel.
    pub(crate) bytes: &'a [u8],
    /// The first block and how many.
    pub(crate) from: usize,
    pub(crate) blocks: usize,
}

/// Adds the products of `weights` with rows `row..row + sums.len()` of `x` to `sums`. `panel` is scratch.
pub(crate) fn multiply(
    isa: Isa,
    weights: &PackedBlocks<'_>,
    x: &Rounded,
    row: usize,
    sums: &mut Sums,
    panel: &mut Panel,
) {
    assert!(weights.bytes.len() >= weights.format.end(weights.from + weights.blocks));
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Amx | Isa::Avx512) {
        // SAFETY: an instruction set is only chosen where the processor has it.
        return unsafe { avx512::multiply(weights, x, row, sums) };
    }
    let kind = weights.format.kind();
    let mut from = weights.from;
    while from < weights.from + weights.blocks {
        let blocks = BLOCKS_UNPACKED.min(weights.from + weights.blocks - from);
        panel.reserve(kind, blocks);
        match isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { avx2::unpack(weights.format, weights.bytes, from, panel) },
            _ => portable::unpack(weights.format, weights.bytes, from, panel),
        }
        panel.check(kind);
        for (index, sums) in sums.chunks_mut(MAX_TILE).enumerate() {
            let row = row + index * MAX_TILE;
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Isa::Avx2 => unsafe { avx2::multiply(kind, panel, x, row, from, sums) },
                _ => portable::multiply(kind, panel, x, row, from, sums),
            }
        }
        from += blocks;
    }
}

/// Rounds row `row` of activations; `values` may be shorter than the row, the rest counts as zero.
pub(crate) fn round(isa: Isa, values: &[f32], row: RoundedRow<'_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an instruction set is only chosen where the processor has it.
        Isa::Amx | Isa::Avx512 | Isa::Avx2 => unsafe { avx2::round(values, row) },
        _ => portable::round(values, row),
    }
}

/// Half-precision floats in single precision.
pub(crate) fn widen(isa: Isa, from: &[half::f16], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Amx | Isa::Avx512) {
        // SAFETY: an instruction set is only chosen where the processor has it.
        return unsafe { avx512::widen(from, out) };
    }
    half::slice::HalfFloatSliceExt::convert_to_f32_slice(from, &mut out[..from.len()]);
}

/// One row of [`Rounded`], to be written.
pub(crate) struct RoundedRow<'a> {
    pub(crate) q: &'a mut [i8],
    pub(crate) scale: &'a mut [f32],
    pub(crate) minus_sum: &'a mut [f32],
    pub(crate) half_sums: &'a mut [[i16; 2]],
}
