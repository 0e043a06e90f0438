//! The kernels in plain Rust: what every other instruction set is tested against.

use super::{BLOCK, BLOCK_BYTES, Kind, PANEL_ROWS, Panel, Rounded, RoundedRow, Sums};
use crate::packed::{Format, f16_at};

pub(super) fn unpack(format: Format, source: &[u8], from: usize, panel: &mut Panel) {
    for block in 0..panel.blocks {
        let q = &mut panel.q[block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES];
        let scale = &mut panel.scale[block * PANEL_ROWS..(block + 1) * PANEL_ROWS];
        let place = format.place(from + block);
        let low = &source[place.low..];
        match format.kind() {
            Kind::U8 => q.copy_from_slice(&low[..BLOCK_BYTES]),
            Kind::U4 | Kind::U6 => {
                let (first, second) = q.split_at_mut(BLOCK_BYTES / 2);
                for ((first, second), byte) in first.iter_mut().zip(second).zip(low) {
                    *first = byte & 15;
                    *second = byte >> 4;
                }
            }
        }
        match format {
            Format::Q4 => {
                let offset = &mut panel.offset[block * PANEL_ROWS..];
                for row in 0..PANEL_ROWS {
                    scale[row] = f16_at(source, place.scale + 2 * row);
                    offset[row] = f16_at(source, place.scale + 2 * (PANEL_ROWS + row));
                }
            }
            Format::Q4K => {
                let offset = &mut panel.offset[block * PANEL_ROWS..];
                for row in 0..PANEL_ROWS {
                    let small = f32::from(source[place.scale + row]);
                    let minimum = f32::from(source[place.minimum + row]);
                    scale[row] = f16_at(source, place.delta + 2 * row) * small;
                    offset[row] = f16_at(source, place.delta + 2 * (PANEL_ROWS + row)) * minimum;
                }
            }
            Format::Q6K => {
                for (half, high) in source[place.high..].chunks_exact(BLOCK_BYTES / 8).take(2).enumerate() {
                    for (i, byte) in high.iter().enumerate() {
                        for quad in 0..4 {
                            q[(half * 4 + quad) * 64 + i] |= (byte >> (2 * quad) & 3) << 4;
                        }
                    }
                }
                let multiplier = &mut panel.multiplier[block * PANEL_ROWS * 3..];
                for row in 0..PANEL_ROWS {
                    scale[row] = f16_at(source, place.delta + 2 * row);
                    let a = i16::from(source[place.scale + row] as i8);
                    let b = i16::from(source[place.scale + PANEL_ROWS + row] as i8);
                    multiplier[row] = [a, a];
                    multiplier[PANEL_ROWS + row] = [b, b];
                    multiplier[2 * PANEL_ROWS + row] = [a, b];
                }
            }
            Format::Q8 => {
                for (row, scale) in scale.iter_mut().enumerate() {
                    *scale = f16_at(source, place.scale + 2 * row);
                }
            }
        }
    }
}

pub(super) fn multiply(kind: Kind, panel: &Panel, x: &Rounded, row: usize, block: usize, sums: &mut Sums) {
    for (i, sums) in sums.iter_mut().enumerate() {
        let at = (row + i) * x.blocks + block;
        for b in 0..panel.blocks {
            let q = &panel.q[b * BLOCK_BYTES..(b + 1) * BLOCK_BYTES];
            let x_q = &x.q[(at + b) * BLOCK..(at + b + 1) * BLOCK];
            let scale = &panel.scale[b * PANEL_ROWS..(b + 1) * PANEL_ROWS];
            let products = match kind {
                Kind::U4 => half(q, x_q, 0, 8, 0),
                Kind::U8 => half(q, x_q, 0, 8, 128),
                Kind::U6 => {
                    let halves = (half(q, x_q, 0, 4, 32), half(q, x_q, 4, 8, 32));
                    let multiplier = &panel.multiplier[(b * 3 + 2) * PANEL_ROWS..];
                    std::array::from_fn(|row| {
                        let [first, second] = multiplier[row];
                        halves.0[row] * i32::from(first) + halves.1[row] * i32::from(second)
                    })
                }
            };
            for row in 0..PANEL_ROWS {
                let scale = scale[row] * x.scale[at + b];
                sums[row] = (products[row] as f32).mul_add(scale, sums[row]);
            }
            if kind == Kind::U4 {
                let offset = &panel.offset[b * PANEL_ROWS..];
                for row in 0..PANEL_ROWS {
                    sums[row] = offset[row].mul_add(x.minus_sum[at + b], sums[row]);
                }
            }
        }
    }
}

/// Integer products of the columns of quads `from..to` with weights shifted by `zero`.
fn half(q: &[u8], x: &[i8], from: usize, to: usize, zero: i32) -> [i32; PANEL_ROWS] {
    let mut sums = [0; PANEL_ROWS];
    for quad in from..to {
        let x: [i32; 4] = std::array::from_fn(|i| i32::from(x[quad * 4 + i]));
        let (weights, _) = q[quad * 64..(quad + 1) * 64].as_chunks::<4>();
        for (sum, weight) in sums.iter_mut().zip(weights) {
            for i in 0..4 {
                *sum += (i32::from(weight[i]) - zero) * x[i];
            }
        }
    }
    sums
}

pub(super) fn round(values: &[f32], row: RoundedRow<'_>) {
    let RoundedRow { q, scale, minus_sum, half_sums } = row;
    for (block, q) in q.chunks_exact_mut(BLOCK).enumerate() {
        let values = values.get(block * BLOCK..).unwrap_or_default();
        let values = &values[..values.len().min(BLOCK)];
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        q.fill(0);
        for (q, x) in q.iter_mut().zip(values) {
            *q = (x * inverse).round_ties_even() as i8;
        }
        let sum = |q: &[i8]| q.iter().map(|q| i16::from(*q)).sum::<i16>();
        let (first, second) = q.split_at(BLOCK / 2);
        let sums = [sum(first), sum(second)];
        scale[block] = largest / 127.0;
        minus_sum[block] = -scale[block] * (f32::from(sums[0]) + f32::from(sums[1]));
        half_sums[block] = sums;
    }
}
