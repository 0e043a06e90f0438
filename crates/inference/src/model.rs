//! What does the model compute? A decoder of the llama family over rows of tokens.
//!
//! One forward pass serves every architecture and every use: each row has a token, a position, a cache
//! slot and the slots it sees. Sampling, sessions and prompts are elsewhere.

use std::path::Path;
use std::sync::OnceLock;

use candle_core::Tensor;

use crate::attention::{Heads, Visible, attend};
use crate::cache::KvCache;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::grammar::TokenEnvironment;
use crate::matrix::Matrix;
use crate::parallel::for_each_piece;
use crate::rope::{Rope, Rotation};
use crate::session::Session;
use crate::simd;
use crate::template::{ChatTemplate, Turn};
use crate::tokenizer::{Tokenizer, Tokens};
use crate::weights::{Layer, Weights};

/// What a model file says about itself.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModelInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `llama` or `qwen2`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// The quantisation of most weights, such as `Q4_K`.
    pub quantisation: String,
    /// Most tokens the model can read.
    pub context_length: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// Decoder layers.
    pub layers: usize,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
}

/// A model in memory, shared by any number of sessions.
pub struct Model {
    info: ModelInfo,
    config: Config,
    weights: Weights,
    rope: Rope,
    pub(crate) tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    environment: OnceLock<TokenEnvironment>,
}

/// One token of a forward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) token: u32,
    pub(crate) position: usize,
    pub(crate) slot: usize,
    pub(crate) visible: Visible,
}

impl Model {
    /// Loads a GGUF file of a supported architecture.
    ///
    /// Reads the whole file and repacks the weights for this processor; memory is then about 2.5 times
    /// the file.
    ///
    /// # Errors
    /// Says what is wrong with the file, where, and what to do about it. Never panics on a hostile file.
    pub fn load(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let config = Config::read(&gguf)?;
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let name = |id: Option<u32>| id.and_then(|id| tokenizer.special_name(id)).unwrap_or_default();
        let template = match gguf.text("tokenizer.chat_template") {
            Some(source) => Some(ChatTemplate::new(source, name(tokenizer.bos), name(Some(tokenizer.end)))?),
            None => None,
        };
        let weights = Weights::load(&gguf, &config)?;
        if tokenizer.len() > weights.vocabulary {
            let what = format!("{} tokens named but {} embedded", tokenizer.len(), weights.vocabulary);
            return Err(gguf.incomplete(what));
        }
        let info = ModelInfo {
            name: gguf.text("general.name").map_or_else(|| file_name(path), str::to_owned),
            architecture: config.architecture.clone(),
            parameters: gguf.parameters(),
            quantisation: gguf.quantisation(),
            context_length: config.context_length,
            file_bytes: gguf.file_bytes,
            layers: config.layers,
            vocabulary: weights.vocabulary,
        };
        tracing::info!(name = info.name, architecture = info.architecture, "model loaded");
        let rope = Rope::new(&config, &weights.rope_factors);
        Ok(Self { info, config, weights, rope, tokenizer, template, environment: OnceLock::new() })
    }

    /// What the file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Encodes text from anywhere; special tokens can never form.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the file's splitting rules fail on the text.
    pub fn tokens_of_data(&self, text: &str) -> Result<Tokens> {
        self.tokenizer.encode(text)
    }

    /// The text of tokens; special ones are left out.
    pub fn text_of(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens)
    }

    /// The token that ends the assistant's turn.
    pub fn end_token(&self) -> u32 {
        self.tokenizer.end
    }

    /// Encodes a conversation with the model's own chat template, ready for the assistant's words when
    /// `open_assistant`.
    ///
    /// # Errors
    /// [`Error::Template`] if the file has no template or it does not take these roles in this order.
    pub fn render_chat(&self, turns: &[Turn], open_assistant: bool) -> Result<Tokens> {
        let Some(template) = &self.template else {
            return Err(Error::Template("the file has none: use an instruction-tuned model".to_owned()));
        };
        template.encode(&self.tokenizer, turns, open_assistant)
    }

    /// Opens a session with room for `capacity` tokens (and, beside them, for the rows of questions).
    ///
    /// # Errors
    /// [`Error::ContextLength`] if the model cannot read that many.
    pub fn session(&self, capacity: usize) -> Result<Session<'_>> {
        Session::new(self, capacity)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn environment(&self) -> Result<&TokenEnvironment> {
        if let Some(environment) = self.environment.get() {
            return Ok(environment);
        }
        let built = TokenEnvironment::new(&self.tokenizer, self.weights.vocabulary)?;
        Ok(self.environment.get_or_init(|| built))
    }

    pub(crate) fn new_cache(&self, slots: usize) -> Result<KvCache> {
        let Heads { kv_heads, head_dim, .. } = self.config.heads;
        KvCache::new(self.config.layers, kv_heads, head_dim, slots)
    }

    /// Runs `rows`, writes their keys and values to their slots, and returns the normalised hidden states
    /// of the rows in `wanted` (ascending), in that order.
    pub(crate) fn forward(&self, cache: &mut KvCache, rows: &[Row], wanted: &[usize]) -> Result<Matrix> {
        let width = self.config.embedding;
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        let embedded = self.weights.embedding.embedding(&Tensor::new(tokens, &candle_core::Device::Cpu)?)?;
        let mut hidden: Vec<f32> = embedded.flatten_all()?.to_vec1()?;
        let rotation = self.rope.at(rows.iter().map(|row| row.position));
        let visible: Vec<Visible> = rows.iter().map(|row| row.visible).collect();
        let all: Vec<usize> = (0..rows.len()).collect();

        let last = self.weights.layers.len() - 1;
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let x = self.normalise(&hidden, &layer.attention_norm);
            self.remember(layer, &x, rows, &rotation, cache, index)?;
            if index < last {
                let attended = self.attention(layer, &x, &all, &visible, &rotation, cache, index)?;
                self.finish_layer(layer, &mut hidden, &attended)?;
                continue;
            }
            // Nothing reads the last layer's other rows: their keys and values were all that mattered.
            if wanted.is_empty() {
                return Ok(Matrix::padded(0, width));
            }
            let mut chosen = Matrix::padded(wanted.len(), width);
            let stride = chosen.stride;
            for (row, target) in wanted.iter().zip(chosen.values_mut().chunks_exact_mut(stride)) {
                target[..width].copy_from_slice(x.row(*row));
            }
            hidden = wanted.iter().flat_map(|row| &hidden[row * width..(row + 1) * width]).copied().collect();
            let visible: Vec<Visible> = wanted.iter().map(|row| visible[*row]).collect();
            let attended = self.attention(layer, &chosen, wanted, &visible, &rotation, cache, index)?;
            self.finish_layer(layer, &mut hidden, &attended)?;
        }
        Ok(self.normalise(&hidden, &self.weights.output_norm))
    }

    /// Scores of every token of the vocabulary after each row of hidden states.
    pub(crate) fn logits(&self, hidden: &Matrix) -> Result<Matrix> {
        self.weights.output.forward(hidden)
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

    /// Computes keys and values and writes them to the cache.
    fn remember(
        &self,
        layer: &Layer,
        x: &Matrix,
        rows: &[Row],
        rotation: &Rotation<'_>,
        cache: &mut KvCache,
        index: usize,
    ) -> Result<()> {
        let head_dim = self.config.heads.head_dim;
        let mut keys = layer.key.forward(x)?;
        let values = layer.value.forward(x)?;
        rotate(&mut keys, 0..rows.len(), rotation, head_dim);
        let cache = cache.layers.get_mut(index).ok_or(Error::ContextLength { needed: index, limit: 0 })?;
        for (i, row) in rows.iter().enumerate() {
            let heads = keys.row(i).chunks_exact(head_dim).zip(values.row(i).chunks_exact(head_dim));
            for (kv_head, (key, value)) in heads.enumerate() {
                cache.write(kv_head, row.slot, key, value);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one pass; a struct would only rename it")]
    fn attention(
        &self,
        layer: &Layer,
        x: &Matrix,
        rows: &[usize],
        visible: &[Visible],
        rotation: &Rotation<'_>,
        cache: &KvCache,
        index: usize,
    ) -> Result<Matrix> {
        let mut queries = layer.query.forward(x)?;
        rotate(&mut queries, rows.iter().copied(), rotation, self.config.heads.head_dim);
        let cache = cache.layers.get(index).ok_or(Error::ContextLength { needed: index, limit: 0 })?;
        Ok(attend(&queries, visible, cache, self.config.heads))
    }

    /// Adds attention's output and the gated MLP to the hidden states.
    fn finish_layer(&self, layer: &Layer, hidden: &mut [f32], attended: &Matrix) -> Result<()> {
        let width = self.config.embedding;
        add(hidden, &layer.attention_output.forward(attended)?, width);
        let x = self.normalise(hidden, &layer.feed_forward_norm);
        let gate = layer.gate.forward(&x)?;
        let up = layer.up.forward(&x)?;
        let mut activated = Matrix::padded(x.rows, self.config.feed_forward);
        let (stride, columns) = (activated.stride, activated.columns);
        for_each_piece(activated.values_mut(), stride, |row, out| {
            simd::silu_multiply(gate.row(row), up.row(row), &mut out[..columns]);
        });
        add(hidden, &layer.down.forward(&activated)?, width);
        Ok(())
    }
}

fn add(hidden: &mut [f32], other: &Matrix, width: usize) {
    for_each_piece(hidden, width, |row, hidden| simd::add(hidden, other.row(row)));
}

fn rotate(heads: &mut Matrix, rows: impl Iterator<Item = usize>, rotation: &Rotation<'_>, head_dim: usize) {
    let stride = heads.stride;
    for (row, values) in rows.zip(heads.values_mut().chunks_exact_mut(stride)) {
        for head in values.chunks_exact_mut(head_dim) {
            rotation.apply(row, head);
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
