//! What does each token of a text take from the others?
//!
//! Every token sees every other of its text, which is short: the scores of a few tokens against all fit the
//! first-level cache.
#![allow(unsafe_code)]

use crate::kernel::Isa;
use crate::kernel::lanes::{Lanes, Operation, run};
use crate::simd::{exp, fold};

/// Tokens of a group of keys; the widest vectors hold as many floats. Heads are a multiple of it.
pub(super) const LANES: usize = 16;
/// Queries multiplied at once: with two vectors of keys they fill the registers of AVX2.
const TILE_ROWS: usize = 6;

/// Queries, keys and values of one text, `[token][head][dimension]`.
pub(super) struct Attention<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) heads: usize,
    /// Of all heads together.
    pub(super) dimension: usize,
}

/// Buffers of one head; reused.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[token / 16][dimension][token % 16]`
    keys: Vec<f32>,
    /// `[query][token]`
    scores: Vec<f32>,
}

impl Attention<'_> {
    /// Writes what every token takes, in the shape of the queries.
    pub(super) fn run(self, isa: Isa, scratch: &mut Scratch, out: &mut [f32]) {
        let tokens = self.query.len() / self.dimension;
        let head_dim = self.dimension / self.heads;
        let padded = tokens.next_multiple_of(LANES);
        assert!([self.key, self.value, &*out].iter().all(|x| x.len() == tokens * self.dimension));
        assert!(self.query.len() == tokens * self.dimension && head_dim.is_multiple_of(LANES));
        if scratch.keys.len() < padded * head_dim {
            scratch.keys.resize(padded * head_dim, 0.0);
        }
        if scratch.scores.len() < TILE_ROWS * padded {
            scratch.scores.resize(TILE_ROWS * padded, 0.0);
        }
        let Scratch { keys, scores } = scratch;
        for head in 0..self.heads {
            run(isa, Head { text: &self, tokens, padded, head_dim, at: head * head_dim, keys, scores, out });
        }
    }
}

struct Head<'a> {
    text: &'a Attention<'a>,
    tokens: usize,
    /// Tokens up to the end of the last group.
    padded: usize,
    head_dim: usize,
    /// Where the head begins in a row.
    at: usize,
    keys: &'a mut [f32],
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl Operation for Head<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        self.arrange_keys();
        if self.tokens < TILE_ROWS {
            (0..self.tokens).for_each(|row| self.tile::<L, 1>(row));
            return;
        }
        let mut row = 0;
        while row < self.tokens {
            // The last tile computes some rows once more, to the same bits.
            self.tile::<L, TILE_ROWS>(row.min(self.tokens - TILE_ROWS));
            row += TILE_ROWS;
        }
    }
}

impl Head<'_> {
    /// Brings the head's keys into groups of tokens. What the last group has more keeps earlier keys, whose
    /// scores are not used.
    #[inline(always)]
    fn arrange_keys(&mut self) {
        let rows = self.text.key.chunks_exact(self.text.dimension);
        for (token, row) in rows.enumerate() {
            let key = &row[self.at..self.at + self.head_dim];
            let group = token / LANES * LANES * self.head_dim + token % LANES;
            for (out, x) in self.keys[group..].iter_mut().step_by(LANES).zip(key) {
                *out = *x;
            }
        }
    }

    /// Scores, weights and output of `T` queries from `row` on.
    #[inline(always)]
    fn tile<L: Lanes, const T: usize>(&mut self, row: usize) {
        let mut token = 0;
        while token < self.padded {
            if token + 2 * L::WIDTH <= self.padded {
                self.score::<L, T, 2>(row, token);
                token += 2 * L::WIDTH;
            } else {
                self.score::<L, T, 1>(row, token);
                token += L::WIDTH;
            }
        }
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let mut inverse = [0.0; T];
        for (scores, inverse) in self.scores.chunks_exact_mut(self.padded).zip(&mut inverse) {
            *inverse = soften(scores, self.tokens, scale);
        }
        let mut column = 0;
        while column < self.head_dim {
            if column + 2 * L::WIDTH <= self.head_dim {
                self.take::<L, T, 2>(row, column, inverse);
                column += 2 * L::WIDTH;
            } else {
                self.take::<L, T, 1>(row, column, inverse);
                column += L::WIDTH;
            }
        }
    }

    /// Scores of `T` queries against the tokens that `V` vectors hold.
    #[inline(always)]
    fn score<L: Lanes, const T: usize, const V: usize>(&mut self, row: usize, first: usize) {
        let (head_dim, stride) = (self.head_dim, self.text.dimension);
        let queries = &self.text.query[row * stride + self.at..];
        assert!(queries.len() >= (T - 1) * stride + head_dim && self.keys.len() >= self.padded * head_dim);
        assert!(self.scores.len() >= T * self.padded && first + V * L::WIDTH <= self.padded);
        // SAFETY: within the lengths asserted above; a vector never crosses a group of sixteen tokens.
        unsafe {
            let base: [*const f32; V] = std::array::from_fn(|v| {
                let token = first + v * L::WIDTH;
                self.keys.as_ptr().add(token / LANES * LANES * head_dim + token % LANES)
            });
            let mut sums = [[L::splat(0.0); V]; T];
            for dimension in 0..head_dim {
                let keys: [L; V] = std::array::from_fn(|v| L::load(base[v].add(dimension * LANES)));
                for (t, sums) in sums.iter_mut().enumerate() {
                    let query = L::splat(*queries.as_ptr().add(t * stride + dimension));
                    for v in 0..V {
                        sums[v] = query.multiply_add(keys[v], sums[v]);
                    }
                }
            }
            for (t, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.store(self.scores.as_mut_ptr().add(t * self.padded + first + v * L::WIDTH));
                }
            }
        }
    }

    /// Weighted values of `T` tokens from `row` on, in the dimensions from `column` on that `V` vectors hold.
    #[inline(always)]
    fn take<L: Lanes, const T: usize, const V: usize>(
        &mut self,
        row: usize,
        column: usize,
        inverse: [f32; T],
    ) {
        let (stride, at) = (self.text.dimension, self.at + column);
        let values = self.text.value;
        assert!(at + V * L::WIDTH <= stride && values.len() >= self.tokens * stride);
        assert!(self.out.len() >= (row + T) * stride);
        assert!(self.scores.len() >= T * self.padded && self.padded >= self.tokens);
        // SAFETY: within the lengths asserted above.
        unsafe {
            let mut sums = [[L::splat(0.0); V]; T];
            for token in 0..self.tokens {
                let value: [L; V] =
                    std::array::from_fn(|v| L::load(values.as_ptr().add(token * stride + at + v * L::WIDTH)));
                for (t, sums) in sums.iter_mut().enumerate() {
                    let weight = L::splat(*self.scores.as_ptr().add(t * self.padded + token));
                    for v in 0..V {
                        sums[v] = weight.multiply_add(value[v], sums[v]);
                    }
                }
            }
            for (t, sums) in sums.into_iter().enumerate() {
                let inverse = L::splat(inverse[t]);
                for (v, sum) in sums.into_iter().enumerate() {
                    let out = self.out.as_mut_ptr().add((row + t) * stride + at + v * L::WIDTH);
                    sum.multiply_add(inverse, L::splat(0.0)).store(out);
                }
            }
        }
    }
}

/// Turns a query's scores into weights and returns the inverse of their sum. What comes after the text's
/// tokens, up to the end of the group, gets a weight below 1e-37 that nothing reads.
#[inline(always)]
fn soften(scores: &mut [f32], tokens: usize, scale: f32) -> f32 {
    scores[tokens..].fill(f32::NEG_INFINITY);
    let (groups, _) = scores.as_chunks_mut::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for group in groups.iter() {
        for (max, x) in maxima.iter_mut().zip(group) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    let max = fold(maxima, |a, b| if a > b { a } else { b });
    let mut sums = [0f32; LANES];
    for group in groups {
        for (sum, x) in sums.iter_mut().zip(group) {
            *x = exp((*x - max) * scale);
            *sum += *x;
        }
    }
    1.0 / fold(sums, |a, b| a + b)
}
