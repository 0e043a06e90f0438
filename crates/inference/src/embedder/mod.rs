//! Which texts mean the same? Sentence embeddings with a BERT of the MiniLM class.
//!
//! Loads a directory in the layout of sentence-transformers (`config.json`, `tokenizer.json`,
//! `model.safetensors`). A BERT with the exact GELU (`"hidden_act": "gelu"`) and heads of a multiple of
//! sixteen dimensions runs on the kernels of this crate, its weights rounded to eight bits as they are
//! loaded (without AMX, those of queries, keys and values are not); one with another activation or other heads runs on candle in 32-bit floats, several times
//! slower. Positions other than absolute ones, and other architectures, are errors when loading.

mod attention;
mod bert;
mod stock;
#[cfg(test)]
mod tests;
mod weights;

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use candle_transformers::models::bert::Config;
use tokenizers::{Tokenizer, TruncationParams};

use crate::error::{Error, Result};
use crate::kernel::Isa;
use crate::pool::Pool;
use crate::tokenizer::Tokens;
use bert::{Bert, Workspace};
use stock::Stock;

/// Longer texts are cut; sentence-transformers trained this model with 128.
const MAX_TOKENS: usize = 128;
/// A model.safetensors of this kind is below 2 GB.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// Most tokens of a batch: what is computed for so many stays in the second-level cache or near it.
const BATCH_TOKENS: usize = 512;
/// Below so many tokens, unpacking the weights takes longer than multiplying with them.
const FEW_TOKENS: usize = 128;
/// Texts that a thread encodes before it takes more.
const ENCODED_AT_ONCE: usize = 8;

/// A text embedder.
pub struct Embedder {
    name: String,
    engine: Engine,
    tokenizer: Tokenizer,
    /// The same without a limit, made when it is first needed.
    whole: OnceLock<Tokenizer>,
    dimension: usize,
    vocabulary: usize,
    /// Most tokens read at once.
    longest: usize,
    pool: Pool,
}

/// What computes.
enum Engine {
    Own {
        model: Box<Bert>,
        /// Those not in use; as many as threads ever embedded at once.
        workspaces: Mutex<Vec<Workspace>>,
    },
    Stock(Box<Stock>),
}

impl Embedder {
    /// Loads the model in directory `dir`.
    ///
    /// The embeddings of tokens stay in the file, which is mapped: it may be replaced meanwhile, but not
    /// rewritten.
    ///
    /// # Errors
    /// Names the file that is missing or damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::load_for(dir, Isa::best(), threads, true)
    }

    /// Loads it to be computed by candle, whatever it is.
    pub(crate) fn load_stock(dir: &Path) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::load_for(dir, Isa::best(), threads, false)
    }

    fn load_for(dir: &Path, isa: Isa, threads: usize, own: bool) -> Result<Self> {
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

        let path = dir.join("model.safetensors");
        if fs_err::metadata(&path)?.len() > MAX_FILE_BYTES {
            return Err(incomplete("model.safetensors", "larger than 4 GiB".to_owned()));
        }
        let map = casemate_disk::Map::open(&path).map_err(|e| Error::Io(std::io::Error::other(e)))?;
        let pool = Pool::new(threads);
        let engine = if own && Bert::knows(&config) {
            Bert::load(map, &config, max_length, isa, &pool)
                .map(|model| Engine::Own { model: Box::new(model), workspaces: Mutex::default() })
        } else {
            if own {
                tracing::warn!(path = %dir.display(), "this configuration of BERT is computed by candle, slowly");
            }
            Stock::load(&map, &config, threads).map(|stock| Engine::Stock(Box::new(stock)))
        };
        let engine = engine.map_err(|what| incomplete("model.safetensors", what))?;
        let (dimension, vocabulary) = (config.hidden_size, config.vocab_size);
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            name,
            engine,
            tokenizer,
            whole: OnceLock::new(),
            dimension,
            vocabulary,
            longest: max_length,
            pool,
        })
    }

    /// What its directory is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of every embedding.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of tokens a text is read as, the two that begin and end it among them.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it cannot be encoded.
    pub fn token_count(&self, text: &str) -> Result<usize> {
        Ok(self.encode(text)?.len())
    }

    /// One unit-length vector per text, in the order given; of a text without tokens, zeros. A text gives
    /// the same vector, to the bit, whatever the others are and however many threads compute them (within
    /// 1e-5 where candle computes).
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a text cannot be encoded, [`Error::NotFinite`] if the model's weights lead
    /// to what is not a number.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let encoded = self.on_all(texts.len(), ENCODED_AT_ONCE, |index| self.encode(texts[index]));
        self.compute_all(&encoded.into_iter().collect::<Result<Vec<_>>>()?)
    }

    /// A text of any length as stretches that are read at once, each with the tokens that begin and end it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it cannot be encoded.
    pub fn stretches(&self, text: &str) -> Result<Vec<Tokens>> {
        let failed = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
        let whole = match self.whole.get() {
            Some(whole) => whole,
            None => {
                let mut whole = self.tokenizer.clone();
                whole.with_truncation(None).map_err(failed)?;
                self.whole.get_or_init(|| whole)
            }
        };
        self.stretches_of(whole.encode_fast(text, false).map_err(failed)?.get_ids())
    }

    /// The same for a text in tokens of this model's vocabulary, without those that begin and end it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a token that there is not.
    pub fn stretches_of(&self, tokens: &[u32]) -> Result<Vec<Tokens>> {
        self.checked(tokens)?;
        let around = self.encode("")?;
        if tokens.is_empty() {
            return Ok(vec![around]);
        }
        let (begin, end) = around.split_at(around.len() / 2);
        let room = self.longest.saturating_sub(around.len()).max(1);
        Ok(tokens.chunks(room).map(|stretch| [begin, stretch, end].concat()).collect())
    }

    /// As [`embed`](Self::embed), for stretches.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a token that there is not or a stretch that is too long, [`Error::NotFinite`] as there.
    pub fn embed_tokens(&self, stretches: &[Tokens]) -> Result<Vec<Vec<f32>>> {
        for stretch in stretches {
            if stretch.len() > self.longest {
                let what =
                    format!("{} tokens are more than the {} read at once", stretch.len(), self.longest);
                return Err(Error::Tokenizer(what));
            }
            self.checked(stretch)?;
        }
        self.compute_all(stretches)
    }

    fn compute_all(&self, encoded: &[Tokens]) -> Result<Vec<Vec<f32>>> {
        // Long texts first: those that share a batch are of like length, and the last batch is a short one.
        let mut order: Vec<usize> = (0..encoded.len()).collect();
        order.sort_by_key(|text| std::cmp::Reverse(encoded[*text].len()));
        let vectors = match &self.engine {
            Engine::Own { model, workspaces } => self.compute(model, workspaces, encoded, &order),
            Engine::Stock(stock) => stock.embed(encoded, &order)?,
        };
        let mut embeddings = vec![Vec::new(); encoded.len()];
        for (text, vector) in order.into_iter().zip(vectors) {
            if !vector.iter().all(|x| x.is_finite()) {
                return Err(Error::NotFinite);
            }
            embeddings[text] = vector;
        }
        Ok(embeddings)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|e| Error::Tokenizer(e.to_string()))?;
        self.checked(encoding.get_ids())
    }

    fn checked(&self, tokens: &[u32]) -> Result<Tokens> {
        match tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            Some(token) => Err(Error::Tokenizer(format!(
                "token {token} is not among the model's {}: it belongs to another model",
                self.vocabulary
            ))),
            None => Ok(tokens.to_vec()),
        }
    }

    /// The vectors of the texts at `order`, in that order.
    fn compute(
        &self,
        model: &Bert,
        workspaces: &Mutex<Vec<Workspace>>,
        texts: &[Vec<u32>],
        order: &[usize],
    ) -> Vec<Vec<f32>> {
        let total: usize = texts.iter().map(Vec::len).sum();
        let limit = total.div_ceil(self.pool.threads()).clamp(FEW_TOKENS, BATCH_TOKENS);
        let batches = batches(texts, order, limit);
        let vectors = self.on_all(batches.len(), 1, |batch| {
            let lock = || workspaces.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = lock().pop().unwrap_or_default();
            let vectors = model.forward(&batches[batch], &mut workspace);
            lock().push(workspace);
            vectors
        });
        vectors.into_iter().flatten().collect()
    }

    /// What `work` makes of every index below `count`, in order, on all threads. One chunk is computed by
    /// the caller alone, without waiting for other callers.
    fn on_all<T: Send + Sync>(&self, count: usize, chunk: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
        self.pool.for_each(count, chunk, |index| {
            // Each index comes once, so there is nothing there yet.
            let _ = results[index].set(work(index));
        });
        results.into_iter().filter_map(OnceLock::into_inner).collect()
    }
}

/// Cuts `order` into runs of texts with at most `limit` tokens together.
fn batches<'a>(texts: &'a [Vec<u32>], order: &[usize], limit: usize) -> Vec<Vec<&'a [u32]>> {
    let mut batches: Vec<Vec<&[u32]>> = Vec::new();
    let mut room = 0;
    for text in order {
        let text = texts[*text].as_slice();
        match batches.last_mut() {
            Some(batch) if text.len() <= room => batch.push(text),
            _ => {
                batches.push(vec![text]);
                room = limit;
            }
        }
        room = room.saturating_sub(text.len());
    }
    batches
}

/// The mean of a text's token vectors, at unit length.
fn unit_mean<'a>(rows: impl Iterator<Item = &'a [f32]>, dimension: usize) -> Vec<f32> {
    let mut sum = vec![0f32; dimension];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    // Not `max`, which would take what is not a number for nothing.
    let norm = if norm < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { norm };
    sum.iter_mut().for_each(|x| *x /= norm);
    sum
}

/// Sizes that would make the model's own arithmetic fail.
fn check(config: &Config) -> Result<(), String> {
    let heads = config.num_attention_heads;
    if heads == 0 || config.hidden_size == 0 || !config.hidden_size.is_multiple_of(heads) {
        return Err(format!("hidden_size {} does not divide among {heads} heads", config.hidden_size));
    }
    let limits = [
        ("num_hidden_layers", config.num_hidden_layers, 256),
        ("hidden_size", config.hidden_size, 1 << 16),
        ("intermediate_size", config.intermediate_size, 1 << 18),
        ("vocab_size", config.vocab_size, 1 << 24),
        ("max_position_embeddings", config.max_position_embeddings, 1 << 24),
        ("type_vocab_size", config.type_vocab_size, 1 << 16),
    ];
    if let Some((name, size, limit)) = limits.into_iter().find(|(_, size, limit)| size > limit) {
        return Err(format!("{name} is {size}, beyond any embedder's ({limit})"));
    }
    if config.max_position_embeddings < 2 {
        return Err("max_position_embeddings below 2".to_owned());
    }
    if config.type_vocab_size == 0 || config.intermediate_size == 0 {
        return Err("type_vocab_size or intermediate_size is 0".to_owned());
    }
    Ok(())
}
