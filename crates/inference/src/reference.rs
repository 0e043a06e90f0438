//! What would exact arithmetic say, and what does the tensor library say by itself? For tests and benchmarks.
//!
//! [`Float`] computes llama and qwen2 files in single precision on dequantised weights, in the plainest way.
//! [`Stock`] is the tensor library's own quantised decoder. Neither is fast, and nothing else uses them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::Content;
use candle_core::{D, Device, IndexOp, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};

use crate::embedder::Embedder;
use crate::error::{Error, Result};

/// A decoder in single precision; reads its weights from the file layer by layer, each time.
pub struct Float {
    path: PathBuf,
    architecture: String,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    epsilon: f64,
    rope_base: f32,
}

impl Float {
    /// Reads sizes from a GGUF file of the `llama` or `qwen2` architecture.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if it is of another, or lacks a size.
    pub fn load(path: &Path) -> Result<Self> {
        let (content, _) = open(path)?;
        let incomplete = |what: String| Error::Incomplete { path: path.to_owned(), what };
        let get = |key: &str| content.metadata.get(key).ok_or_else(|| incomplete(format!("no {key}")));
        let architecture = get("general.architecture")?.to_string()?.clone();
        if !matches!(architecture.as_str(), "llama" | "qwen2") {
            return Err(incomplete(format!("no reference for the architecture {architecture}")));
        }
        let number =
            |key: &str| -> Result<usize> { Ok(get(&format!("{architecture}.{key}"))?.to_u32()? as usize) };
        let epsilon = get(&format!("{architecture}.attention.layer_norm_rms_epsilon"))?.to_f32()?;
        let rope_base = content.metadata.get(&format!("{architecture}.rope.freq_base"));
        let (layers, heads) = (number("block_count")?, number("attention.head_count")?);
        let kv_heads = number("attention.head_count_kv")?;
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(incomplete(format!("{heads} heads over {kv_heads}")));
        }
        Ok(Self {
            path: path.to_owned(),
            layers,
            heads,
            kv_heads,
            epsilon: f64::from(epsilon),
            rope_base: rope_base.map_or(Ok(10_000.0), candle_core::quantized::gguf_file::Value::to_f32)?,
            architecture,
        })
    }

    /// Scores of the whole vocabulary after every token of every text, each text by itself.
    ///
    /// # Errors
    /// As the file's tensors are read.
    pub fn logits(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let (content, mut file) = open(&self.path)?;
        let mut tensor = |name: &str| content.tensor(&mut file, name, &Device::Cpu)?.dequantize(&Device::Cpu);
        let embedding = tensor("token_embd.weight")?;
        let embed = |text: &Vec<u32>| embedding.index_select(&Tensor::new(text.as_slice(), &Device::Cpu)?, 0);
        let mut hidden = texts.iter().map(embed).collect::<candle_core::Result<Vec<_>>>()?;
        for layer in 0..self.layers {
            let mut get = |name: &str| tensor(&format!("blk.{layer}.{name}"));
            let weights = Layer {
                attention_norm: get("attn_norm.weight")?,
                query: (get("attn_q.weight")?, get("attn_q.bias").ok()),
                key: (get("attn_k.weight")?, get("attn_k.bias").ok()),
                value: (get("attn_v.weight")?, get("attn_v.bias").ok()),
                output: (get("attn_output.weight")?, None),
                feed_forward_norm: get("ffn_norm.weight")?,
                gate: (get("ffn_gate.weight")?, None),
                up: (get("ffn_up.weight")?, None),
                down: (get("ffn_down.weight")?, None),
            };
            for x in &mut hidden {
                *x = self.layer(&weights, x)?;
            }
        }
        let norm = tensor("output_norm.weight")?;
        let output = match content.tensor_infos.contains_key("output.weight") {
            true => tensor("output.weight")?,
            false => embedding,
        };
        let logits = |x: &Tensor| -> Result<Vec<Vec<f32>>> {
            Ok(linear(&self.normalise(x, &norm)?, &(output.clone(), None))?.to_vec2()?)
        };
        hidden.iter().map(logits).collect()
    }

    fn layer(&self, weights: &Layer, x: &Tensor) -> candle_core::Result<Tensor> {
        let normal = self.normalise(x, &weights.attention_norm)?;
        let tokens = x.dim(0)?;
        let split = |x: Tensor, heads: usize| x.reshape((tokens, heads, ()))?.transpose(0, 1)?.contiguous();
        let query = self.rotate(&split(linear(&normal, &weights.query)?, self.heads)?)?;
        let key = self.rotate(&split(linear(&normal, &weights.key)?, self.kv_heads)?)?;
        let value = split(linear(&normal, &weights.value)?, self.kv_heads)?;
        let (group, head_dim) = (self.heads / self.kv_heads, query.dim(2)?);
        let later: Vec<f32> = (0..tokens * tokens)
            .map(|i| if i % tokens > i / tokens { f32::NEG_INFINITY } else { 0.0 })
            .collect();
        let later = Tensor::from_vec(later, (tokens, tokens), &Device::Cpu)?;
        let attend = |head: usize| {
            let (key, value) = (key.i(head / group)?, value.i(head / group)?);
            let scores = (query.i(head)?.matmul(&key.t()?)? * (1.0 / (head_dim as f64).sqrt()))?;
            candle_nn::ops::softmax_last_dim(&(scores + &later)?)?.matmul(&value)
        };
        let attended = (0..self.heads).map(attend).collect::<candle_core::Result<Vec<_>>>()?;
        let x = (x + linear(&Tensor::cat(&attended, 1)?, &weights.output)?)?;
        let normal = self.normalise(&x, &weights.feed_forward_norm)?;
        let gate = linear(&normal, &weights.gate)?.silu()?;
        &x + linear(&(gate * linear(&normal, &weights.up)?)?, &weights.down)?
    }

    fn normalise(&self, x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + self.epsilon)?.sqrt()?)?.broadcast_mul(weight)
    }

    /// Rotates pairs of dimensions of every head: neighbours in llama files, halves in qwen2 files.
    fn rotate(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (heads, tokens, dim) = x.dims3()?;
        let mut values = x.flatten_all()?.to_vec1::<f32>()?;
        for (row, head) in values.chunks_exact_mut(dim).enumerate() {
            for pair in 0..dim / 2 {
                let (a, b) = if self.architecture == "llama" {
                    (2 * pair, 2 * pair + 1)
                } else {
                    (pair, pair + dim / 2)
                };
                let angle = (row % tokens) as f32 * self.rope_base.powf(-2.0 * pair as f32 / dim as f32);
                let (sin, cos) = angle.sin_cos();
                (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
            }
        }
        Tensor::from_vec(values, (heads, tokens, dim), &Device::Cpu)
    }
}

type Linear = (Tensor, Option<Tensor>);

struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

fn linear(x: &Tensor, (weight, bias): &Linear) -> candle_core::Result<Tensor> {
    let out = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => out.broadcast_add(bias),
        None => Ok(out),
    }
}

/// Scores after one more token at a position.
type Forward = dyn FnMut(&Tensor, usize) -> candle_core::Result<Tensor>;

/// The tensor library's own decoder of quantised files.
pub struct Stock {
    path: PathBuf,
}

impl Stock {
    /// Remembers the file; it is read anew for every text, for the library's cache cannot be emptied.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Scores of the whole vocabulary after every token of a text, read token by token.
    ///
    /// # Errors
    /// As the library's, and [`Error::Incomplete`] for an architecture other than `llama` and `qwen2`.
    pub fn logits(&self, text: &[u32]) -> Result<Vec<Vec<f32>>> {
        let (content, mut file) = open(&self.path)?;
        let architecture =
            content.metadata.get("general.architecture").map(|value| value.to_string().cloned());
        let mut forward: Box<Forward> = match architecture.transpose()?.as_deref() {
            Some("qwen2") => {
                let mut model = quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
                Box::new(move |token, position| model.forward(token, position))
            }
            Some("llama") => {
                let mut model = quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
                Box::new(move |token, position| model.forward(token, position))
            }
            other => {
                let what = format!("no stock decoder for the architecture {other:?}");
                return Err(Error::Incomplete { path: self.path.clone(), what });
            }
        };
        let mut step = |(position, token): (usize, &u32)| -> Result<Vec<f32>> {
            let token = Tensor::new(&[[*token]], &Device::Cpu)?;
            Ok(forward(&token, position)?.flatten_all()?.to_vec1()?)
        };
        text.iter().enumerate().map(&mut step).collect()
    }
}

/// The text embedder on the tensor library's own kernels, in single precision.
///
/// # Errors
/// As [`Embedder::load`].
pub fn stock_embedder(dir: &Path) -> Result<Embedder> {
    Embedder::load_stock(dir)
}

fn open(path: &Path) -> Result<(Content, BufReader<File>)> {
    let mut file = BufReader::new(fs_err::File::open(path)?.into_parts().0);
    Ok((Content::read(&mut file)?, file))
}
