//! How do weights lie in memory while a model is loaded?
//!
//! In panels of sixteen rows, columns in blocks of 32: within a block the sixteen rows' bytes of four
//! columns lie together, as the kernels read them, and scales beside them. The K-quantisations keep their
//! small integer scales, so a loaded matrix is hardly larger than in the file: Q4_K 4.63 bits a weight for
//! 4.5, Q6_K 6.63 for 6.56. Q4_0 and Q4_1 take 5.0 bits, everything else is rounded to eight bits with one
//! scale per 32 (8.5 bits), at most 1/254 of a block's largest weight off.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::kernel::{BLOCK, BLOCK_BYTES, Kind, PANEL_ROWS};

/// Blocks of a superblock of the K-quantisations.
const SUPER_BLOCKS: usize = 8;
const LOW_BYTES: usize = BLOCK_BYTES / 2;
const HIGH_BYTES: usize = BLOCK_BYTES / 4;
const Q4_BYTES: usize = LOW_BYTES + 4 * PANEL_ROWS;
/// Scales of a superblock, before its blocks: units and minima's units, scales, minima; of Q6_K unit and
/// scales, and room up to the next cache line.
const HEADER_BYTES: usize = 4 * PANEL_ROWS + 2 * SUPER_BLOCKS * PANEL_ROWS;
const Q4K_BYTES: usize = HEADER_BYTES + SUPER_BLOCKS * LOW_BYTES;
const Q6K_BYTES: usize = HEADER_BYTES + SUPER_BLOCKS * (LOW_BYTES + HIGH_BYTES);
const Q8_BYTES: usize = BLOCK_BYTES + 2 * PANEL_ROWS;

/// Layout of a packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Four bits; scale and offset per 32 as half-precision floats.
    Q4,
    /// Four bits; scale and offset per 32 as bytes, their units per 256.
    Q4K,
    /// Six bits; scale per 16 as a signed byte, its unit per 256.
    Q6K,
    /// Eight bits; scale per 32.
    Q8,
}

/// Where the parts of one block lie in a packed panel, in bytes from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// 256 bytes of nibbles: columns 0 to 15 low, 16 to 31 high. Of [`Format::Q8`] 512 bytes.
    pub(crate) low: usize,
    /// 128 bytes, two bits for each of four quads of columns; twice, for the two halves of the columns.
    pub(crate) high: usize,
    pub(crate) scale: usize,
    pub(crate) minimum: usize,
    /// Unit of scales, then of minima.
    pub(crate) delta: usize,
}

impl Format {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Q4 | Self::Q4K => Kind::U4,
            Self::Q6K => Kind::U6,
            Self::Q8 => Kind::U8,
        }
    }

    #[inline(always)]
    pub(crate) fn place(self, block: usize) -> Place {
        let (start, within) = match self {
            Self::Q4 => (block * Q4_BYTES, 0),
            Self::Q8 => (block * Q8_BYTES, 0),
            Self::Q4K => (block / SUPER_BLOCKS * Q4K_BYTES, block % SUPER_BLOCKS),
            Self::Q6K => (block / SUPER_BLOCKS * Q6K_BYTES, block % SUPER_BLOCKS),
        };
        match self {
            Self::Q4 => Place { low: start, scale: start + LOW_BYTES, ..Place::default() },
            Self::Q8 => Place { low: start, scale: start + BLOCK_BYTES, ..Place::default() },
            Self::Q4K => {
                let scales = start + 4 * PANEL_ROWS + within * PANEL_ROWS;
                Place {
                    delta: start,
                    scale: scales,
                    minimum: scales + SUPER_BLOCKS * PANEL_ROWS,
                    low: start + HEADER_BYTES + within * LOW_BYTES,
                    high: 0,
                }
            }
            Self::Q6K => {
                let low = start + HEADER_BYTES + within * (LOW_BYTES + HIGH_BYTES);
                let scale = start + 2 * PANEL_ROWS + within * 2 * PANEL_ROWS;
                Place { delta: start, scale, minimum: 0, low, high: low + LOW_BYTES }
            }
        }
    }

    /// Bytes of a packed panel of so many blocks; of the K-quantisations up to the end of a superblock.
    pub(crate) fn end(self, blocks: usize) -> usize {
        match self {
            Self::Q4 => blocks * Q4_BYTES,
            Self::Q8 => blocks * Q8_BYTES,
            Self::Q4K => blocks.div_ceil(SUPER_BLOCKS) * Q4K_BYTES,
            Self::Q6K => blocks.div_ceil(SUPER_BLOCKS) * Q6K_BYTES,
        }
    }
}

/// A half-precision float at byte `at`.
#[inline(always)]
pub(crate) fn f16_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Shape and layout of a matrix of weights, `rows` outputs by `columns` inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Shape {
    pub(crate) fn blocks(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }

    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL_ROWS)
    }

    pub(crate) fn panel_bytes(&self) -> usize {
        self.format.end(self.blocks())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.panels() * self.panel_bytes()
    }

    /// Bytes from this matrix to the next one in an arena: whole cache lines.
    pub(crate) fn place_bytes(&self) -> usize {
        self.bytes().next_multiple_of(64)
    }
}

/// The one buffer of a model's packed matrices; filled once, after all have their places.
#[derive(Default)]
pub(crate) struct Arena(OnceLock<AlignedBytes>);

impl Arena {
    /// Fills the arena; the second time it stays as it is.
    pub(crate) fn fill(&self, bytes: AlignedBytes) {
        let _ = self.0.set(bytes);
    }

    fn bytes(&self) -> &[u8] {
        self.0.get().map_or(&[], AlignedBytes::as_slice)
    }
}

/// Bytes that begin where a huge page does.
pub(crate) struct AlignedBytes {
    bytes: Vec<u8>,
    range: Range<usize>,
}

impl AlignedBytes {
    const ALIGNMENT: usize = 2 << 20;

    pub(crate) fn zeroed(length: usize) -> Self {
        // Untouched bytes take no memory.
        let mut bytes = vec![0; length + Self::ALIGNMENT];
        casemate_disk::prefer_huge_pages(&mut bytes);
        let start = bytes.as_ptr().align_offset(Self::ALIGNMENT).min(Self::ALIGNMENT);
        Self { bytes, range: start..start + length }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.range.clone()]
    }
}

/// A matrix of weights, a part of the model's arena.
#[derive(Clone)]
pub(crate) struct PackedMatrix {
    shape: Shape,
    arena: Arc<Arena>,
    range: Range<usize>,
}

impl PackedMatrix {
    /// The matrix that begins at byte `start` of the arena.
    pub(crate) fn new(shape: Shape, arena: Arc<Arena>, start: usize) -> Self {
        Self { shape, arena, range: start..start + shape.bytes() }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The bytes of one panel.
    pub(crate) fn panel(&self, panel: usize) -> &[u8] {
        let bytes = self.shape.panel_bytes();
        &self.arena.bytes()[self.range.clone()][panel * bytes..(panel + 1) * bytes]
    }
}

/// Rows of a matrix in a model file that go into one panel; fewer than sixteen at the matrix's end.
pub(crate) enum Source<'a> {
    /// ggml's `block_q4_0`: 18 bytes per 32 weights.
    Q4_0(&'a [u8]),
    /// `block_q4_1`: 20 bytes per 32.
    Q4_1(&'a [u8]),
    /// `block_q4_K`: 144 bytes per 256.
    Q4K(&'a [u8]),
    /// `block_q6_K`: 210 bytes per 256.
    Q6K(&'a [u8]),
    /// `block_q8_0`: 34 bytes per 32.
    Q8_0(&'a [u8]),
    /// Anything else, dequantised.
    Float(&'a [f32]),
}

impl Source<'_> {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Q4_0(_) | Self::Q4_1(_) => Format::Q4,
            Self::Q4K(_) => Format::Q4K,
            Self::Q6K(_) => Format::Q6K,
            Self::Q8_0(_) | Self::Float(_) => Format::Q8,
        }
    }
}

/// Packs up to sixteen rows of `columns` weights into the zeroed panel `out`.
pub(crate) fn pack_panel(source: &Source<'_>, rows: usize, columns: usize, out: &mut [u8]) {
    match source {
        Source::Q4_0(bytes) => pack_blocks::<18>(bytes, rows, columns, |block, row, bytes| {
            // weight = d · (q − 8)
            let delta = half::f16::from_le_bytes([bytes[0], bytes[1]]);
            let offset = half::f16::from_f32(delta.to_f32() * 8.0);
            pack_q4(&bytes[2..], [delta, offset], block, row, out);
        }),
        Source::Q4_1(bytes) => pack_blocks::<20>(bytes, rows, columns, |block, row, bytes| {
            // weight = d · q + m
            let delta = half::f16::from_le_bytes([bytes[0], bytes[1]]);
            let offset = -half::f16::from_le_bytes([bytes[2], bytes[3]]);
            pack_q4(&bytes[4..], [delta, offset], block, row, out);
        }),
        Source::Q8_0(bytes) => pack_blocks::<34>(bytes, rows, columns, |block, row, bytes| {
            let place = Format::Q8.place(block);
            out[place.scale + 2 * row..][..2].copy_from_slice(&bytes[..2]);
            for (quad, x) in bytes[2..].as_chunks::<4>().0.iter().enumerate() {
                out[place.low + quad * 64 + row * 4..][..4].copy_from_slice(&x.map(|x| x ^ 0x80));
            }
        }),
        Source::Q4K(bytes) => pack_blocks::<144>(bytes, rows, columns, |block, row, bytes| {
            pack_q4k(bytes, block, row, out);
        }),
        Source::Q6K(bytes) => pack_blocks::<210>(bytes, rows, columns, |block, row, bytes| {
            pack_q6k(bytes, block, row, out);
        }),
        Source::Float(values) => {
            for (row, values) in values.chunks_exact(columns).take(rows).enumerate() {
                for (block, values) in values.chunks(BLOCK).enumerate() {
                    pack_q8(values, block, row, out);
                }
            }
        }
    }
}

/// Calls `pack` with the index, row and bytes of every block of `BYTES` bytes.
fn pack_blocks<const BYTES: usize>(
    bytes: &[u8],
    rows: usize,
    columns: usize,
    mut pack: impl FnMut(usize, usize, &[u8; BYTES]),
) {
    let per_block = if BYTES > 100 { BLOCK * SUPER_BLOCKS } else { BLOCK };
    let row_blocks = columns / per_block;
    for (row, bytes) in bytes.as_chunks::<BYTES>().0.chunks_exact(row_blocks).take(rows).enumerate() {
        for (block, bytes) in bytes.iter().enumerate() {
            pack(block, row, bytes);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

const NIBBLES: u32 = 0x0f0f_0f0f;

/// Sixteen bytes whose low nibbles are columns 0 to 15 and whose high ones 16 to 31: our order as it is.
fn pack_q4(nibbles: &[u8], scales: [half::f16; 2], block: usize, row: usize, out: &mut [u8]) {
    let place = Format::Q4.place(block);
    for (quad, bytes) in nibbles.as_chunks::<4>().0.iter().enumerate() {
        out[place.low + quad * 64 + row * 4..][..4].copy_from_slice(bytes);
    }
    for (i, scale) in scales.into_iter().enumerate() {
        out[place.scale + 2 * (i * PANEL_ROWS + row)..][..2].copy_from_slice(&scale.to_le_bytes());
    }
}

/// One `block_q4_K`: d, dmin, twelve bytes of six-bit scales and minima, and 128 bytes of which each 32
/// hold two blocks, one in the low nibbles and one in the high.
fn pack_q4k(bytes: &[u8; 144], block: usize, row: usize, out: &mut [u8]) {
    let first = block * SUPER_BLOCKS;
    let delta = Format::Q4K.place(first).delta;
    out[delta + 2 * row..][..2].copy_from_slice(&bytes[..2]);
    out[delta + 2 * (PANEL_ROWS + row)..][..2].copy_from_slice(&bytes[2..4]);
    let small = &bytes[4..16];
    for i in 0..SUPER_BLOCKS {
        let place = Format::Q4K.place(first + i);
        let (scale, minimum) = if i < 4 {
            (small[i] & 63, small[i + 4] & 63)
        } else {
            let high = |at: usize| (small[at] >> 6) << 4;
            (small[i + 4] & 15 | high(i - 4), small[i + 4] >> 4 | high(i))
        };
        out[place.scale + row] = scale;
        out[place.minimum + row] = minimum;
    }
    for pair in 0..SUPER_BLOCKS / 2 {
        let low = Format::Q4K.place(first + 2 * pair).low;
        let high = Format::Q4K.place(first + 2 * pair + 1).low;
        for quad in 0..4 {
            let at = 16 + pair * 32 + quad * 4;
            let (a, b) = (word(bytes, at), word(bytes, at + 16));
            let of_low = a & NIBBLES | (b & NIBBLES) << 4;
            let of_high = a >> 4 & NIBBLES | b & (NIBBLES << 4);
            out[low + quad * 64 + row * 4..][..4].copy_from_slice(&of_low.to_le_bytes());
            out[high + quad * 64 + row * 4..][..4].copy_from_slice(&of_high.to_le_bytes());
        }
    }
}

/// One `block_q6_K`: 128 bytes of low nibbles, 64 of high bit pairs, sixteen signed scales, d. Each half of
/// 128 columns is four blocks: low nibbles of bytes 0 to 31 and 32 to 63, then their high nibbles.
fn pack_q6k(bytes: &[u8; 210], block: usize, row: usize, out: &mut [u8]) {
    let first = block * SUPER_BLOCKS;
    let delta = Format::Q6K.place(first).delta;
    out[delta + 2 * row..][..2].copy_from_slice(&bytes[208..]);
    for i in 0..SUPER_BLOCKS {
        let place = Format::Q6K.place(first + i);
        out[place.scale + row] = bytes[192 + 2 * i];
        out[place.scale + PANEL_ROWS + row] = bytes[192 + 2 * i + 1];
        let (half, part) = (i / 4, i % 4);
        let low = half * 64 + part % 2 * 32;
        let high = 128 + half * 32;
        let (mut pairs, shift) = ([0u32; 2], part * 2);
        for quad in 0..4 {
            let nibbles = |at: usize| word(bytes, low + at * 4) >> (part / 2 * 4) & NIBBLES;
            let packed = nibbles(quad) | nibbles(quad + 4) << 4;
            out[place.low + quad * 64 + row * 4..][..4].copy_from_slice(&packed.to_le_bytes());
            for (half, pairs) in pairs.iter_mut().enumerate() {
                let bits = word(bytes, high + (half * 4 + quad) * 4) >> shift & 0x0303_0303;
                *pairs |= bits << (2 * quad);
            }
        }
        for (half, pairs) in pairs.into_iter().enumerate() {
            out[place.high + half * 64 + row * 4..][..4].copy_from_slice(&pairs.to_le_bytes());
        }
    }
}

/// Rounds up to 32 weights to eight bits.
fn pack_q8(values: &[f32], block: usize, row: usize, out: &mut [u8]) {
    let place = Format::Q8.place(block);
    let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    // Rounded up, so that no quotient exceeds 127.
    let mut scale = half::f16::from_f32(largest / 127.0);
    if scale.to_f32() * 127.0 < largest {
        scale = half::f16::from_bits(scale.to_bits() + 1);
    }
    out[place.scale + 2 * row..][..2].copy_from_slice(&scale.to_le_bytes());
    let inverse = if scale.to_f32() > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
    for column in 0..BLOCK {
        let x = values.get(column).copied().unwrap_or(0.0) * inverse;
        let q = (x.round_ties_even() as i32).clamp(-127, 127) + 128;
        out[place.low + column / 4 * 64 + row * 4 + column % 4] = q as u8;
    }
}
