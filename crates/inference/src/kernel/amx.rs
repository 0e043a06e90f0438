//! Products of many rows on AMX tiles, in bfloat16.
//!
//! A tile holds 16 rows of 64 bytes; `tdpbf16ps` multiplies two of them into a third of 16 × 16 floats.
//! Weights are dequantised a panel pair at a time and reused for all rows, so nothing is rounded but to
//! the eight significant bits of bfloat16, and sums are single precision throughout. The instructions have
//! no stable intrinsics yet, hence assembly.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::{BLOCK, BLOCK_BYTES, avx512};
use crate::packed::Format;

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Columns of weights that one tile holds.
pub(crate) const TILE_COLUMNS: usize = BLOCK;
/// Rows and columns of the block of sums that [`Tiles::multiply`] adds to.
pub(crate) const SIDE: usize = 2 * TILE_ROWS;

/// One row of a tile: a cache line of bfloat16.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TileRow(pub(crate) [u16; TILE_COLUMNS]);

impl TileRow {
    pub(crate) const ZERO: Self = Self([0; TILE_COLUMNS]);
}

/// A row of a block of sums: two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct SumRow(pub(crate) [f32; SIDE]);

impl SumRow {
    pub(crate) const ZERO: Self = Self([0.0; SIDE]);
}

/// Whether the processor has AMX with bfloat16 and the system lets this process use it.
pub(crate) fn is_permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| has_tiles() && request())
}

fn has_tiles() -> bool {
    if __cpuid(0).eax < 7 {
        return false;
    }
    let features = __cpuid_count(7, 0);
    let (bf16, tile) = (features.edx >> 22 & 1, features.edx >> 24 & 1);
    bf16 == 1 && tile == 1 && is_x86_feature_detected!("avx512bf16")
}

/// Asks Linux for the tile registers; granted for the whole process, threads to come included.
#[cfg(target_os = "linux")]
fn request() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: the call changes nothing but which registers may be used; it clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request() -> bool {
    false
}

/// The tile registers of this thread, configured; released when dropped.
pub(crate) struct Tiles(());

#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// All eight tiles at full size. Only where [`is_permitted`].
    pub(crate) fn configure() -> Self {
        assert!(is_permitted());
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..8].fill(TILE_ROWS as u8);
        // SAFETY: 64 valid bytes; the processor and the system were asked above.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
        Self(())
    }

    /// Adds to a block of [`SIDE`] × [`SIDE`] sums the products of two tile rows of activations and two
    /// panels of weights, all of as many tiles along the columns.
    ///
    /// The activations are read past the first-level cache, which the weights are to stay in.
    pub(crate) fn multiply(&self, x: [&[TileRow]; 2], weights: [&[TileRow]; 2], sums: &mut [SumRow]) {
        let steps = x[0].len() / TILE_ROWS;
        assert!(steps > 0 && sums.len() >= SIDE);
        assert!(x.iter().chain(&weights).all(|tiles| tiles.len() >= steps * TILE_ROWS));
        // SAFETY: the tiles read and written lie within the slices, as asserted; the registers are
        // configured while `self` lives, and the compiler itself never uses them.
        unsafe {
            let first = sums.as_mut_ptr();
            asm!(
                "tileloadd tmm0, [{c0} + {stride}*1]",
                "tileloadd tmm1, [{c0} + {stride}*1 + 64]",
                "tileloadd tmm2, [{c1} + {stride}*1]",
                "tileloadd tmm3, [{c1} + {stride}*1 + 64]",
                "2:",
                "tileloaddt1 tmm4, [{a} + {row}*1]",
                "tileloadd tmm6, [{b} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{d} + {row}*1]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloaddt1 tmm5, [{e} + {row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 1024",
                "add {b}, 1024",
                "add {d}, 1024",
                "add {e}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{c0} + {stride}*1], tmm0",
                "tilestored [{c0} + {stride}*1 + 64], tmm1",
                "tilestored [{c1} + {stride}*1], tmm2",
                "tilestored [{c1} + {stride}*1 + 64], tmm3",
                c0 = in(reg) first,
                c1 = in(reg) first.add(TILE_ROWS),
                stride = in(reg) size_of::<SumRow>(),
                row = in(reg) size_of::<TileRow>(),
                a = inout(reg) x[0].as_ptr() => _,
                e = inout(reg) x[1].as_ptr() => _,
                b = inout(reg) weights[0].as_ptr() => _,
                d = inout(reg) weights[1].as_ptr() => _,
                steps = inout(reg) steps => _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: only constructed where tiles may be used.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Dequantises blocks of a packed panel, from `from` on, into as many tiles as `out` has room for.
///
/// A tile's row holds two neighbouring columns of each of the sixteen weight rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) fn unpack(format: Format, source: &[u8], from: usize, out: &mut [TileRow]) {
    let (tiles, _) = out.as_chunks_mut::<TILE_ROWS>();
    assert!(source.len() >= format.end(from + tiles.len()));
    for (block, tile) in tiles.iter_mut().enumerate() {
        // SAFETY: the block lies below `format.end`, which `source` reaches.
        unsafe { unpack_block(format, source, from + block, tile) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn unpack_block(format: Format, source: &[u8], block: usize, out: &mut [TileRow; TILE_ROWS]) {
    let place = format.place(block);
    // SAFETY: the caller's promise.
    unsafe {
        let at = |offset: usize| source.as_ptr().add(offset);
        let (scale, offset) = avx512::scales(format, source, block);
        // Scale and offset of the first and second half of the columns.
        let mut halves = [(scale, offset); 2];
        let quads: [__m512i; 8] = match format {
            Format::Q4 | Format::Q4K => {
                let mut quads = [_mm512_setzero_si512(); 8];
                for i in 0..4 {
                    [quads[i], quads[i + 4]] = avx512::nibbles(at(place.low + i * 64));
                }
                quads
            }
            Format::Q6K => {
                let multipliers = avx512::multipliers(at(place.scale));
                for (half, multiplier) in halves.iter_mut().zip(multipliers) {
                    let scale = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(multiplier));
                    *half = (scale, _mm512_mul_ps(scale, _mm512_set1_ps(32.0)));
                }
                avx512::six_bits(at(place.low), at(place.high))
            }
            Format::Q8 => {
                let offset = _mm512_mul_ps(scale, _mm512_set1_ps(128.0));
                halves = [(scale, offset); 2];
                std::array::from_fn(|i| _mm512_loadu_si512(at(place.low + i * (BLOCK_BYTES / 8)).cast()))
            }
        };
        let byte = _mm512_set1_epi32(0xff);
        for (quad, q) in quads.into_iter().enumerate() {
            let (scale, offset) = halves[quad / 4];
            let columns: [__m512; 4] = [
                _mm512_and_si512(q, byte),
                _mm512_and_si512(_mm512_srli_epi32::<8>(q), byte),
                _mm512_and_si512(_mm512_srli_epi32::<16>(q), byte),
                _mm512_srli_epi32::<24>(q),
            ]
            .map(|q| _mm512_fmsub_ps(_mm512_cvtepi32_ps(q), scale, offset));
            for (pair, columns) in columns.as_chunks::<2>().0.iter().enumerate() {
                let row = pair_of(columns[0], columns[1]);
                _mm512_store_si512((&raw mut out[quad * 2 + pair]).cast(), row);
            }
        }
    }
}

/// Two vectors of floats as neighbouring bfloat16: the first in the low halves of the lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn pair_of(first: __m512, second: __m512) -> __m512i {
    // Round to nearest; ties go away from zero, which floats of so few bits before do not often meet.
    let half = _mm512_set1_epi32(0x8000);
    let first = _mm512_add_epi32(_mm512_castps_si512(first), half);
    let second = _mm512_add_epi32(_mm512_castps_si512(second), half);
    let high = _mm512_and_si512(second, _mm512_set1_epi32(0xffff_0000_u32 as i32));
    _mm512_or_si512(high, _mm512_srli_epi32::<16>(first))
}

/// A tile's row of two vectors of half-precision floats, element by element.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) fn pair_rows(first: &[half::f16; TILE_ROWS], second: &[half::f16; TILE_ROWS], out: &mut TileRow) {
    // SAFETY: sixteen half-precision floats each, and a row that holds them both.
    unsafe {
        let first = _mm512_cvtph_ps(_mm256_loadu_si256(first.as_ptr().cast()));
        let second = _mm512_cvtph_ps(_mm256_loadu_si256(second.as_ptr().cast()));
        _mm512_store_si512((&raw mut *out).cast(), pair_of(first, second));
    }
}

/// Rounds a row of activations into its place in tiles: row `row` of every tile from `out` on. What the
/// last tile has more columns of is zeroed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(crate) fn round(values: &[f32], out: &mut [TileRow], row: usize) {
    for (values, tile) in values.chunks(TILE_COLUMNS).zip(out.chunks_exact_mut(TILE_ROWS)) {
        round_row(values, &mut tile[row]);
    }
}

/// Rounds up to [`TILE_COLUMNS`] values; the rest of the row is zeroed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(crate) fn round_row(values: &[f32], out: &mut TileRow) {
    if values.len() < TILE_COLUMNS {
        let mut padded = [0.0; TILE_COLUMNS];
        padded[..values.len()].copy_from_slice(values);
        return round_row(&padded, out);
    }
    // SAFETY: 32 floats, and a tile row of 64 bytes.
    unsafe {
        let (low, high) = (_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(16)));
        (&raw mut *out).cast::<__m512bh>().write(_mm512_cvtne2ps_pbh(high, low));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{Shape, Source, pack_panel};

    fn value(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    #[test]
    fn tiles_multiply() {
        if !is_permitted() {
            println!("skipped: no AMX with bfloat16 here");
            return;
        }
        let (columns, rows) = (256, 32);
        let weights: Vec<Vec<f32>> = (0..2)
            .map(|p| (0..16 * columns).map(|i| ((i * 7 + p * 5) as f32 * 0.37).sin()).collect())
            .collect();
        let steps = columns / TILE_COLUMNS;
        let mut unpacked = vec![vec![TileRow::ZERO; steps * TILE_ROWS]; 2];
        for (weights, out) in weights.iter().zip(&mut unpacked) {
            let source = Source::Float(weights);
            let shape = Shape { format: source.format(), rows: 16, columns };
            let mut packed = vec![0; shape.bytes()];
            pack_panel(&source, 16, columns, &mut packed);
            // SAFETY: AMX implies these instructions.
            unsafe { unpack(shape.format, &packed, 0, out) };
        }
        let x: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.11).cos()).collect();
        let mut tiles = vec![TileRow::ZERO; 2 * steps * TILE_ROWS];
        for (row, x) in x.chunks_exact(columns).enumerate() {
            // SAFETY: as above.
            unsafe { round(x, &mut tiles[row / 16 * steps * TILE_ROWS..], row % 16) };
        }
        let mut sums = vec![SumRow([0.5; SIDE]); SIDE];
        let (first, second) = tiles.split_at(steps * TILE_ROWS);
        Tiles::configure().multiply([first, second], [&unpacked[0], &unpacked[1]], &mut sums);
        for row in 0..rows {
            for output in 0..32 {
                let mut expected = 0.5f64;
                for column in 0..columns {
                    let (step, within) = (column / 32, column % 32);
                    let a = tiles[(row / 16 * steps + step) * TILE_ROWS + row % 16].0[within];
                    let b =
                        unpacked[output / 16][step * TILE_ROWS + within / 2].0[output % 16 * 2 + within % 2];
                    expected += f64::from(value(a)) * f64::from(value(b));
                    let exact = weights[output / 16][output % 16 * columns + column];
                    assert!((value(b) - exact).abs() < 0.02, "{} for {exact}", value(b));
                }
                let found = f64::from(sums[row].0[output]);
                assert!((found - expected).abs() < 1e-3, "{row} {output}: {found} for {expected}");
            }
        }
    }
}
