//! What shape has this model? One decoder serves every architecture; this is where they differ.

use crate::attention::Heads;
use crate::error::Result;
use crate::gguf::{Gguf, Value};

/// How rotary embedding pairs the dimensions of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RopePairs {
    /// (0, 1), (2, 3) …: llama files, whose query and key rows were permuted when converted.
    Neighbours,
    /// (0, n/2), (1, n/2 + 1) …, as in GPT-NeoX.
    Halves,
}

/// What the gated MLP applies to its gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    Silu,
    GeluTanh,
}

/// Sizes and constants, all checked: no zero, nothing that overflows when multiplied.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) architecture: String,
    pub(crate) layers: usize,
    pub(crate) embedding: usize,
    pub(crate) feed_forward: usize,
    pub(crate) heads: Heads,
    pub(crate) context_length: usize,
    pub(crate) epsilon: f32,
    pub(crate) rope_base: f64,
    pub(crate) rope_dimensions: usize,
    pub(crate) rope_scale: f64,
    pub(crate) rope_pairs: RopePairs,
    pub(crate) activation: Activation,
    pub(crate) embedding_scale: f32,
    pub(crate) attention_scale: f32,
}

impl Config {
    pub(crate) fn read(gguf: &Gguf) -> Result<Self> {
        let architecture =
            gguf.text("general.architecture").ok_or_else(|| gguf.incomplete("no general.architecture"))?;
        let rope_pairs = match architecture {
            "llama" => RopePairs::Neighbours,
            "qwen2" => RopePairs::Halves,
            other => {
                let what = format!("architecture '{other}'");
                return Err(gguf.unsupported(what, "llama and qwen2 models are"));
            }
        };
        let keys = Keys { gguf, architecture };
        if keys.optional_size("expert_count")?.is_some_and(|experts| experts > 0) {
            return Err(gguf.unsupported("a mixture of experts", "dense llama and qwen2 models are"));
        }
        let embedding = keys.size("embedding_length", 1 << 16)?;
        let heads = keys.size("attention.head_count", 1 << 10)?;
        let kv_heads = keys.optional_size("attention.head_count_kv")?.unwrap_or(heads);
        let head_dim = keys.optional_size("attention.key_length")?.unwrap_or(embedding / heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(gguf.incomplete(format!("{heads} heads cannot share {kv_heads} key/value heads")));
        }
        if head_dim == 0 || !head_dim.is_multiple_of(16) || head_dim > 512 {
            return Err(
                gguf.unsupported(format!("a head of {head_dim} dimensions"), "multiples of 16 up to 512 are")
            );
        }
        let rope_dimensions = keys.optional_size("rope.dimension_count")?.unwrap_or(head_dim);
        if !rope_dimensions.is_multiple_of(2) || rope_dimensions > head_dim {
            return Err(
                gguf.incomplete(format!("{rope_dimensions} rotary dimensions in a head of {head_dim}"))
            );
        }
        Ok(Self {
            architecture: architecture.to_owned(),
            layers: keys.size("block_count", 1 << 10)?,
            embedding,
            feed_forward: keys.size("feed_forward_length", 1 << 20)?,
            heads: Heads { heads, kv_heads, head_dim },
            context_length: keys.context_length()?,
            epsilon: keys.positive("attention.layer_norm_rms_epsilon", None)? as f32,
            rope_base: keys.positive("rope.freq_base", Some(10_000.0))?,
            rope_dimensions,
            rope_scale: keys.rope_scale()?,
            rope_pairs,
            activation: Activation::Silu,
            embedding_scale: 1.0,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
        })
    }

    pub(crate) fn layer_window(&self, _layer: usize) -> Option<usize> {
        None
    }
}

struct Keys<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        if self.gguf.get(&key).is_none() {
            return Ok(None);
        }
        self.gguf.size(&key).map(Some).ok_or_else(|| self.gguf.incomplete(format!("{key} is not a count")))
    }

    fn size(&self, name: &str, limit: usize) -> Result<usize> {
        let key = self.key(name);
        let size = self.optional_size(name)?.ok_or_else(|| self.gguf.incomplete(format!("no {key}")))?;
        if (1..=limit).contains(&size) {
            return Ok(size);
        }
        Err(self.gguf.incomplete(format!("{key} is {size} where 1 to {limit} is expected")))
    }

    fn positive(&self, name: &str, default: Option<f64>) -> Result<f64> {
        let key = self.key(name);
        let value =
            self.gguf.float(&key).or(default).ok_or_else(|| self.gguf.incomplete(format!("no {key}")))?;
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        Err(self.gguf.incomplete(format!("{key} is {value}")))
    }

    /// Never more than a sliding window: windows themselves are not implemented.
    fn context_length(&self) -> Result<usize> {
        let context = self.size("context_length", 1 << 24)?;
        let window = self.optional_size("attention.sliding_window")?.filter(|window| *window > 0);
        Ok(window.map_or(context, |window| window.min(context)))
    }

    fn rope_scale(&self) -> Result<f64> {
        match self.gguf.get(&self.key("rope.scaling.type")) {
            None => Ok(1.0),
            Some(Value::Text(kind)) if kind == "none" => Ok(1.0),
            Some(Value::Text(kind)) if kind == "linear" => self.positive("rope.scaling.factor", None),
            Some(kind) => Err(self.gguf.unsupported(
                format!("rotary scaling {kind:?}"),
                "use a file without it (none and linear are supported)",
            )),
        }
    }
}
