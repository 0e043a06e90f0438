//! What does the model compute? A decoder of the llama family over rows of tokens.
//!
//! One forward pass serves every architecture and every use: each row has a token, a position, a cache
//! slot and the slots it sees. Sampling, sessions and prompts are elsewhere.

use candle_core::{Device, Tensor};

use crate::attention::{Visible, attend};
use crate::cache::{KvCache, LayerCache};
use crate::config::Config;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::parallel::for_each_piece;
use crate::rope::{Rope, Rotation};
use crate::simd;
use crate::weights::{Layer, Weights};

/// Weights and constants; no state.
pub(crate) struct Decoder {
    config: Config,
    weights: Weights,
    rope: Rope,
}

/// One token of a forward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) token: u32,
    pub(crate) position: usize,
    pub(crate) slot: usize,
    pub(crate) visible: Visible,
}

impl Decoder {
    pub(crate) fn new(config: Config, weights: Weights) -> Self {
        let rope = Rope::new(&config, &weights.rope_factors);
        Self { config, weights, rope }
    }

    pub(crate) fn new_cache(&self, slots: usize) -> Result<KvCache> {
        KvCache::new(self.config.layers, self.config.heads.kv_heads, self.config.heads.head_dim, slots)
    }

    /// Runs `rows`, writes their keys and values to their slots, and returns the normalised hidden states
    /// of the rows in `wanted`, in that order.
    pub(crate) fn forward(&self, cache: &mut KvCache, rows: &[Row], wanted: &[usize]) -> Result<Matrix> {
        let width = self.config.embedding;
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        let embedded = self.weights.embedding.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        let mut hidden: Vec<f32> = embedded.flatten_all()?.to_vec1()?;
        let rotation = self.rope.at(rows.iter().map(|row| row.position));
        let pass = Pass { decoder: self, rows, rotation };

        let last = self.weights.layers.len() - 1;
        let all: Vec<usize> = (0..rows.len()).collect();
        for (index, (layer, cache)) in self.weights.layers.iter().zip(&mut cache.layers).enumerate() {
            let mut x = self.normalise(&hidden, &layer.attention_norm);
            pass.remember(layer, &x, cache)?;
            // Nothing reads the last layer's other rows: their keys and values were all that mattered.
            let continuing = if index < last { &all } else { wanted };
            if continuing.is_empty() {
                break;
            }
            if index == last {
                x = x.gather(wanted);
                let row = |row: &usize| &hidden[row * width..(row + 1) * width];
                hidden = wanted.iter().flat_map(row).copied().collect();
            }
            let attended = pass.attend(layer, &x, continuing, cache)?;
            add(&mut hidden, &layer.attention_output.forward(&attended)?);
            let x = self.normalise(&hidden, &layer.feed_forward_norm);
            add(&mut hidden, &self.feed_forward(layer, &x)?);
        }
        if wanted.is_empty() {
            return Ok(Matrix::padded(0, width));
        }
        Ok(self.normalise(&hidden, &self.weights.output_norm))
    }

    /// Scores of every token of the vocabulary after each row of hidden states.
    pub(crate) fn logits(&self, hidden: &Matrix) -> Result<Matrix> {
        self.weights.output.forward(hidden)
    }

    pub(crate) fn context_length(&self) -> usize {
        self.config.context_length
    }

    fn normalise(&self, hidden: &[f32], weight: &[f32]) -> Matrix {
        let width = self.config.embedding;
        let mut out = Matrix::padded(hidden.len() / width, width);
        let stride = out.stride;
        for_each_piece(out.values_mut(), stride, |row, out| {
            let x = &hidden[row * width..(row + 1) * width];
            simd::rms_norm(x, weight, self.config.epsilon, &mut out[..width]);
        });
        out
    }

    fn feed_forward(&self, layer: &Layer, x: &Matrix) -> Result<Matrix> {
        let gate = layer.gate.forward(x)?;
        let up = layer.up.forward(x)?;
        let mut activated = Matrix::padded(x.rows, self.config.feed_forward);
        let (stride, columns) = (activated.stride, activated.columns);
        for_each_piece(activated.values_mut(), stride, |row, out| {
            simd::silu_multiply(gate.row(row), up.row(row), &mut out[..columns]);
        });
        layer.down.forward(&activated)
    }
}

/// What stays the same from layer to layer.
struct Pass<'a> {
    decoder: &'a Decoder,
    rows: &'a [Row],
    rotation: Rotation<'a>,
}

impl Pass<'_> {
    /// Computes keys and values of all rows and writes them to the cache.
    fn remember(&self, layer: &Layer, x: &Matrix, cache: &mut LayerCache) -> Result<()> {
        let head_dim = self.decoder.config.heads.head_dim;
        let mut keys = layer.key.forward(x)?;
        let values = layer.value.forward(x)?;
        self.rotate(&mut keys, 0..self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            let heads = keys.row(i).chunks_exact(head_dim).zip(values.row(i).chunks_exact(head_dim));
            for (kv_head, (key, value)) in heads.enumerate() {
                cache.write(kv_head, row.slot, key, value);
            }
        }
        Ok(())
    }

    /// Attends from the rows named, whose inputs are the rows of `x`.
    fn attend(&self, layer: &Layer, x: &Matrix, rows: &[usize], cache: &LayerCache) -> Result<Matrix> {
        let mut queries = layer.query.forward(x)?;
        self.rotate(&mut queries, rows.iter().copied());
        let visible: Vec<Visible> = rows.iter().map(|row| self.rows[*row].visible).collect();
        Ok(attend(&queries, &visible, cache, self.decoder.config.heads))
    }

    fn rotate(&self, heads: &mut Matrix, rows: impl Iterator<Item = usize>) {
        let (stride, head_dim) = (heads.stride, self.decoder.config.heads.head_dim);
        for (row, values) in rows.zip(heads.values_mut().chunks_exact_mut(stride)) {
            for head in values.chunks_exact_mut(head_dim) {
                self.rotation.apply(row, head);
            }
        }
    }
}

fn add(hidden: &mut [f32], other: &Matrix) {
    for_each_piece(hidden, other.columns, |row, hidden| simd::add(hidden, other.row(row)));
}
