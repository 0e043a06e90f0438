//! Which texts mean the same? Sentence embeddings with a BERT of the MiniLM class.
//!
//! Loads a directory in the layout of sentence-transformers (`config.json`, `tokenizer.json`,
//! `model.safetensors`) and computes in 32-bit floats.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use rayon::ThreadPool;
use tokenizers::{Tokenizer, TruncationParams};

use crate::error::{Error, Result};

/// Longer texts are cut; sentence-transformers trained this model with 128.
const MAX_TOKENS: usize = 128;
/// Texts per forward pass.
const BATCH: usize = 16;
/// A model.safetensors of this kind is below 2 GB.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// A text embedder.
pub struct Embedder {
    model: BertModel,
    tokenizer: Tokenizer,
    dimension: usize,
    /// One thread each, so that every core runs its own batch from end to end.
    cores: Vec<ThreadPool>,
}

impl Embedder {
    /// Loads the model in directory `dir`.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        let incomplete = |file: &str, what: String| Error::Incomplete { path: dir.join(file), what };
        let config = fs_err::read_to_string(dir.join("config.json"))?;
        let config: Config =
            serde_json::from_str(&config).map_err(|e| incomplete("config.json", e.to_string()))?;
        check(&config).map_err(|what| incomplete("config.json", what))?;

        let tokenizer = fs_err::read(dir.join("tokenizer.json"))?;
        let mut tokenizer =
            Tokenizer::from_bytes(tokenizer).map_err(|e| incomplete("tokenizer.json", e.to_string()))?;
        let max_length = MAX_TOKENS.min(config.max_position_embeddings);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|e| incomplete("tokenizer.json", e.to_string()))?;
        tokenizer.with_padding(None);
        if tokenizer.get_vocab_size(true) > config.vocab_size {
            return Err(incomplete(
                "tokenizer.json",
                format!("more than the model's {} tokens", config.vocab_size),
            ));
        }

        let weights = dir.join("model.safetensors");
        if fs_err::metadata(&weights)?.len() > MAX_FILE_BYTES {
            return Err(incomplete("model.safetensors", "larger than 4 GiB".to_owned()));
        }
        let weights = VarBuilder::from_buffered_safetensors(fs_err::read(weights)?, DType::F32, &Device::Cpu);
        let model = weights
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|e| incomplete("model.safetensors", e.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let cores = (0..cores).map(pool).collect::<Result<_, _>>();
        let cores = cores.map_err(|e| Error::Io(std::io::Error::other(e)))?;
        Ok(Self { model, tokenizer, dimension: config.hidden_size, cores })
    }

    pub(crate) fn load_stock(dir: &Path) -> Result<Self> {
        Self::load(dir)
    }

    /// Length of every embedding.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// One unit-length vector per text, in the order given. A text gives the same vector, within 1e-5,
    /// whatever the others are.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a text cannot be encoded.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut encoded = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let encoding =
                self.tokenizer.encode_fast(*text, true).map_err(|e| Error::Tokenizer(e.to_string()))?;
            encoded.push((index, encoding.get_ids().to_vec()));
        }
        // Texts of like length share a batch: less padding to compute.
        encoded.sort_by_key(|(_, tokens)| std::cmp::Reverse(tokens.len()));
        let batches: Vec<&[(usize, Vec<u32>)]> = encoded.chunks(BATCH).collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                done.push((*batch, self.forward(batch)?));
            }
            Ok::<_, Error>(done)
        };
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = self.cores.iter().map(|core| scope.spawn(|| core.install(work))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut embeddings = vec![Vec::new(); texts.len()];
        for result in results {
            let done = result.map_err(|_| Error::Tokenizer("an embedding thread failed".to_owned()))??;
            for (batch, vectors) in done {
                for ((index, _), vector) in batch.iter().zip(vectors) {
                    if let Some(slot) = embeddings.get_mut(*index) {
                        *slot = vector;
                    }
                }
            }
        }
        Ok(embeddings)
    }

    fn forward(&self, batch: &[(usize, Vec<u32>)]) -> Result<Vec<Vec<f32>>> {
        let length = batch.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(batch.len() * length);
        let mut mask = Vec::with_capacity(batch.len() * length);
        for (_, tokens) in batch {
            ids.extend_from_slice(tokens);
            ids.resize(ids.len() + length - tokens.len(), 0);
            mask.resize(mask.len() + tokens.len(), 1u32);
            mask.resize(mask.len() + length - tokens.len(), 0);
        }
        let shape = (batch.len(), length);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let hidden = hidden.to_vec3::<f32>()?;
        Ok(batch
            .iter()
            .zip(hidden)
            .map(|((_, tokens), rows)| pool(&rows[..tokens.len()], self.dimension))
            .collect())
    }
}

/// The mean of a text's token vectors, at unit length.
fn pool(rows: &[Vec<f32>], dimension: usize) -> Vec<f32> {
    let mut sum = vec![0f32; dimension];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|x| *x /= norm);
    sum
}

/// Sizes that would make the model's own arithmetic fail.
fn check(config: &Config) -> Result<(), String> {
    let heads = config.num_attention_heads;
    if heads == 0 || config.hidden_size == 0 || !config.hidden_size.is_multiple_of(heads) {
        return Err(format!("hidden_size {} does not divide among {heads} heads", config.hidden_size));
    }
    if config.num_hidden_layers > 256 || config.hidden_size > 1 << 16 || config.vocab_size > 1 << 24 {
        return Err("sizes beyond any embedder".to_owned());
    }
    if config.max_position_embeddings < 2 {
        return Err("max_position_embeddings below 2".to_owned());
    }
    Ok(())
}
