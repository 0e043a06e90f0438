//! What does a BERT make of a batch of texts, on the kernels of this crate?
//!
//! The tokens of all texts of a batch are the rows of one matrix, without padding. Nothing but attention
//! and the final mean knows where a text begins, and both keep to it, so a text gives the same bits
//! whatever is beside it.

use candle_transformers::models::bert::{Config, HiddenAct, PositionEmbeddingType};
use casemate_disk::Map;

use super::attention::{self, Attention};
use super::unit_mean;
use super::weights::{Layer, Norm, Weights};
use crate::kernel::Isa;
use crate::matmul::{Compute, Input, Precision, Product, multiply};
use crate::pool::Pool;
use crate::simd;

pub(super) struct Bert {
    weights: Weights,
    dimension: usize,
    heads: usize,
    epsilon: f32,
    /// One thread: cores compute a batch each.
    compute: Compute,
}

/// Buffers of one batch; reused, they allocate only to grow.
#[derive(Default)]
pub(super) struct Workspace {
    /// What goes from layer to layer.
    hidden: Input,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// What attention takes from the values.
    context: Input,
    /// A part of the inner dimensions.
    inner: Input,
    sum: Vec<f32>,
    scratch: attention::Scratch,
}

impl Bert {
    /// Whether this configuration can be computed here.
    pub(super) fn knows(config: &Config) -> bool {
        config.hidden_act == HiddenAct::Gelu
            && config.position_embedding_type == PositionEmbeddingType::Absolute
            && (config.hidden_size / config.num_attention_heads).is_multiple_of(attention::LANES)
    }

    /// For texts of up to `max_length` tokens. An error says what is wrong with the file.
    pub(super) fn load(
        map: Map,
        config: &Config,
        max_length: usize,
        isa: Isa,
        pool: &Pool,
    ) -> Result<Self, String> {
        Ok(Self {
            weights: Weights::load(map, config, isa, max_length, pool)?,
            dimension: config.hidden_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps as f32,
            compute: Compute { pool: Pool::new(1), isa },
        })
    }

    /// One vector of unit length per text.
    pub(super) fn forward(&self, texts: &[&[u32]], workspace: &mut Workspace) -> Vec<Vec<f32>> {
        let rows = texts.iter().map(|text| text.len()).sum();
        let hidden = workspace.hidden.reset(rows, self.dimension);
        let mut rest = hidden.chunks_exact_mut(self.dimension);
        for text in texts {
            let positions = self.weights.positions.chunks_exact(self.dimension);
            for ((token, position), row) in text.iter().zip(positions).zip(&mut rest) {
                self.weights.words.read(*token, row);
                simd::add(self.compute.isa, row, position);
                self.normalise(&self.weights.norm, row);
            }
        }
        for layer in &self.weights.layers {
            self.attend(layer, texts, workspace);
            self.feed_forward(layer, workspace);
        }
        let mut rest = workspace.hidden.values[..rows * self.dimension].chunks_exact(self.dimension);
        texts.iter().map(|text| unit_mean(rest.by_ref().take(text.len()), self.dimension)).collect()
    }

    /// Adds to `hidden` what each token takes from its text, and normalises.
    fn attend(&self, layer: &Layer, texts: &[&[u32]], workspace: &mut Workspace) {
        let Workspace { hidden, query, key, value, context, scratch, .. } = workspace;
        let (rows, size) = (hidden.rows(), hidden.rows() * self.dimension);
        let [query, key, value] = [query, key, value].map(|out| grown(out, size));
        hidden.round(&self.compute, Precision::Many);
        let products = [
            Product::new(&layer.query, query),
            Product::new(&layer.key, key),
            Product::new(&layer.value, value),
        ];
        multiply(&self.compute, hidden, products);
        let out = context.reset(rows, self.dimension);
        let mut start = 0;
        for text in texts {
            let range = start..start + text.len() * self.dimension;
            start = range.end;
            let attention = Attention {
                query: &query[range.clone()],
                key: &key[range.clone()],
                value: &value[range.clone()],
                heads: self.heads,
                dimension: self.dimension,
            };
            attention.run(self.compute.isa, scratch, &mut out[range]);
        }
        context.round(&self.compute, Precision::Many);
        let out = hidden.reset(rows, self.dimension);
        multiply(&self.compute, context, [Product::added_to(&layer.attention_output, out)]);
        out.chunks_exact_mut(self.dimension).for_each(|row| self.normalise(&layer.attention_norm, row));
    }

    fn feed_forward(&self, layer: &Layer, workspace: &mut Workspace) {
        let Workspace { hidden, inner, sum, .. } = workspace;
        hidden.round(&self.compute, Precision::Many);
        // The parts' sums: `hidden` itself is read until the last part went up.
        let rows = hidden.rows();
        let sum = grown(sum, rows * self.dimension);
        sum.copy_from_slice(&hidden.values[..rows * self.dimension]);
        for part in &layer.feed_forward {
            let out = inner.reset(rows, part.up.outputs());
            multiply(&self.compute, hidden, [Product::new(&part.up, out)]);
            simd::gelu(self.compute.isa, out);
            inner.round(&self.compute, Precision::Many);
            multiply(&self.compute, inner, [Product::added_to(&part.down, sum)]);
        }
        let out = hidden.reset(rows, self.dimension);
        out.copy_from_slice(sum);
        out.chunks_exact_mut(self.dimension).for_each(|row| self.normalise(&layer.output_norm, row));
    }

    fn normalise(&self, norm: &Norm, row: &mut [f32]) {
        simd::layer_norm(self.compute.isa, row, &norm.weight, &norm.bias, self.epsilon);
    }
}

/// The first `length` values, of which there may be more from before.
fn grown(values: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if values.len() < length {
        values.resize(length, 0.0);
    }
    &mut values[..length]
}
