//! What shape has this model? One decoder serves every architecture; this is where they differ.
//!
//! A family is a row of [`family`]: what the decoder does there, beyond the sizes and constants that the
//! file's metadata gives. What a file asks for and the decoder does not do is an error, never ignored.

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

/// Rotary embedding.
#[derive(Clone, Debug)]
pub(crate) struct RopeConfig {
    /// How many of a head's dimensions turn, the first ones.
    pub(crate) dimensions: usize,
    pub(crate) pairs: RopePairs,
    /// Of layers that see everything.
    pub(crate) base: f64,
    /// Positions are divided by this.
    pub(crate) scale: f64,
    /// The same for layers with a window.
    pub(crate) windowed_base: f64,
    pub(crate) windowed_scale: f64,
    /// Cosines and sines are multiplied by this (LongRoPE's attention factor).
    pub(crate) magnitude: f64,
    /// The tensor with a divisor for each frequency.
    pub(crate) factors: Option<&'static str>,
}

/// Sizes of a mixture of experts.
#[derive(Clone, Debug)]
pub(crate) struct ExpertSizes {
    pub(crate) count: usize,
    pub(crate) used: usize,
    pub(crate) feed_forward: usize,
}

/// Sliding windows.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Tokens a row sees, itself included.
    tokens: usize,
    /// Every so manieth layer sees everything; 0 if none does.
    period: usize,
}

/// Sizes and constants, all checked: no zero, nothing that overflows when multiplied.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) architecture: String,
    pub(crate) layers: usize,
    pub(crate) embedding: usize,
    pub(crate) feed_forward: usize,
    pub(crate) experts: Option<ExpertSizes>,
    pub(crate) heads: Heads,
    pub(crate) context_length: usize,
    pub(crate) epsilon: f32,
    pub(crate) rope: RopeConfig,
    window: Option<Window>,
    pub(crate) activation: Activation,
    pub(crate) embedding_scale: f32,
    pub(crate) attention_scale: f32,
    /// Queries and keys are normalised head by head.
    pub(crate) head_norms: bool,
    /// What attention and feed-forward add is normalised.
    pub(crate) post_norms: bool,
    /// `ffn_up` holds the gate's rows, then its own.
    pub(crate) gate_in_up: bool,
}

/// What a family does that its files do not say.
#[derive(Clone, Copy)]
struct Family {
    pairs: RopePairs,
    activation: Activation,
    head_norms: bool,
    post_norms: bool,
    gate_in_up: bool,
    windows: Windows,
    /// Embeddings are multiplied by the square root of their width.
    scaled_embedding: bool,
}

/// What `attention.sliding_window` means.
#[derive(Clone, Copy, PartialEq)]
enum Windows {
    /// Some layers of the reference have windows and the file does not say which: no text longer than one
    /// is read, and up to there windows make no difference.
    Unclear,
    EveryLayer,
    /// All layers but every sixth, which have rotary frequencies of their own.
    FiveOfSix,
}

const FAMILIES: &str =
    "llama, mistral, mistral3, qwen2, qwen3, qwen3moe, gemma3 and phi3 models are; use one of those";

fn family(architecture: &str) -> Option<Family> {
    let llama = Family {
        pairs: RopePairs::Neighbours,
        activation: Activation::Silu,
        head_norms: false,
        post_norms: false,
        gate_in_up: false,
        windows: Windows::EveryLayer,
        scaled_embedding: false,
    };
    let halves = Family { pairs: RopePairs::Halves, ..llama };
    Some(match architecture {
        "llama" | "mistral" | "mistral3" => llama,
        "qwen2" => Family { windows: Windows::Unclear, ..halves },
        "qwen3" | "qwen3moe" => Family { head_norms: true, windows: Windows::Unclear, ..halves },
        "gemma3" => Family {
            activation: Activation::GeluTanh,
            head_norms: true,
            post_norms: true,
            windows: Windows::FiveOfSix,
            scaled_embedding: true,
            ..halves
        },
        "phi3" => Family { gate_in_up: true, ..halves },
        _ => return None,
    })
}

/// Keys that ask for what the decoder does not do, unless they are zero.
const REFUSED: [(&str, &str); 9] = [
    ("attn_logit_softcapping", "capping of attention scores"),
    ("final_logit_softcapping", "capping of logits"),
    ("attention.temperature_scale", "attention scaled by position"),
    ("attention.max_alibi_bias", "ALiBi"),
    ("attention.clamp_kqv", "clamping of queries, keys and values"),
    ("expert_shared_count", "a shared expert"),
    ("expert_shared_feed_forward_length", "a shared expert"),
    ("expert_weights_scale", "scaling of experts' weights"),
    ("expert_group_count", "groups of experts"),
];
const REFUSED_ADVICE: &str = "use a model without it, such as a plain llama, qwen or gemma3 model";

const MAX_CONTEXT: usize = 1 << 24;
const MAX_HEADS: usize = 1 << 10;
const MAX_EXPERTS: usize = 1 << 10;
const MAX_FEED_FORWARD: usize = 1 << 20;
/// gemma3's own default, which its files do not repeat.
const GEMMA_WINDOWED_BASE: f64 = 10_000.0;
const GEMMA_PERIOD: usize = 6;
/// The one gemma3 whose heads are narrower than `embedding / heads`, by which it scales scores all the same.
const GEMMA_27B_LAYERS: usize = 62;

impl Config {
    pub(crate) fn read(gguf: &Gguf) -> Result<Self> {
        let architecture =
            gguf.text("general.architecture").ok_or_else(|| gguf.incomplete("no general.architecture"))?;
        let family = family(architecture)
            .ok_or_else(|| gguf.unsupported(format!("architecture '{architecture}'"), FAMILIES))?;
        let keys = Keys { gguf, architecture };
        keys.refuse()?;
        let layers = keys.size("block_count", 1 << 10)?;
        let embedding = keys.size("embedding_length", 1 << 16)?;
        let heads = keys.heads(embedding)?;
        let feed_forward = keys.size("feed_forward_length", MAX_FEED_FORWARD)?;
        let context_length = keys.size("context_length", MAX_CONTEXT)?;
        let window = keys.optional_size("attention.sliding_window", MAX_CONTEXT)?;
        let window = window.filter(|tokens| *tokens > 0 && *tokens < context_length);
        let context_length = match window {
            Some(tokens) if family.windows == Windows::Unclear => tokens,
            _ => context_length,
        };
        let period = match family.windows {
            Windows::FiveOfSix => keys.window_period()?,
            Windows::EveryLayer | Windows::Unclear => 0,
        };
        let window = window.filter(|_| family.windows != Windows::Unclear);
        Ok(Self {
            architecture: architecture.to_owned(),
            layers,
            embedding,
            feed_forward,
            experts: keys.experts(feed_forward)?,
            heads,
            context_length,
            epsilon: keys.positive("attention.layer_norm_rms_epsilon", None, 1.0)? as f32,
            rope: keys.rope(&family, heads.head_dim, context_length)?,
            window: window.map(|tokens| Window { tokens, period }),
            activation: family.activation,
            embedding_scale: if family.scaled_embedding { (embedding as f32).sqrt() } else { 1.0 },
            attention_scale: keys.attention_scale(heads, layers, embedding)?,
            head_norms: family.head_norms,
            post_norms: family.post_norms,
            gate_in_up: family.gate_in_up,
        })
    }

    /// How many tokens a row of this layer sees, itself included, if not all.
    pub(crate) fn layer_window(&self, layer: usize) -> Option<usize> {
        let window = self.window?;
        let sees_all = window.period > 0 && (layer + 1).is_multiple_of(window.period);
        (!sees_all).then_some(window.tokens)
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

    fn refuse(&self) -> Result<()> {
        for (name, what) in REFUSED {
            let key = self.key(name);
            // One group, and weights scaled by one, are none.
            let none = if name.starts_with("expert_weights") || name.starts_with("expert_group") {
                1.0
            } else {
                0.0
            };
            if self.gguf.float(&key).is_some_and(|value| value != 0.0 && value != none) {
                return Err(self.gguf.unsupported(format!("{what} ({key})"), REFUSED_ADVICE));
            }
        }
        // 1 is softmax.
        let gating = self.key("expert_gating_func");
        if self.gguf.float(&gating).is_some_and(|kind| kind > 1.0) {
            return Err(self
                .gguf
                .unsupported(format!("a router other than softmax ({gating})"), REFUSED_ADVICE));
        }
        Ok(())
    }

    /// A count up to `limit`, which may be zero or absent.
    fn optional_size(&self, name: &str, limit: usize) -> Result<Option<usize>> {
        let key = self.key(name);
        if self.gguf.get(&key).is_none() {
            return Ok(None);
        }
        let size = self.gguf.size(&key);
        let size = size.ok_or_else(|| self.gguf.incomplete(format!("{key} is not a count")))?;
        if size <= limit {
            return Ok(Some(size));
        }
        Err(self.gguf.incomplete(format!("{key} is {size} where at most {limit} is expected")))
    }

    fn size(&self, name: &str, limit: usize) -> Result<usize> {
        let key = self.key(name);
        match self.optional_size(name, limit)? {
            Some(0) => Err(self.gguf.incomplete(format!("{key} is 0 where 1 to {limit} is expected"))),
            Some(size) => Ok(size),
            None => Err(self.gguf.incomplete(format!("no {key}"))),
        }
    }

    fn optional_positive(&self, name: &str, limit: f64) -> Result<Option<f64>> {
        let key = self.key(name);
        if self.gguf.get(&key).is_none() {
            return Ok(None);
        }
        match self.gguf.float(&key) {
            Some(value) if value > 0.0 && value <= limit => Ok(Some(value)),
            Some(value) => {
                let what = format!("{key} is {value} where more than 0 and at most {limit} is expected");
                Err(self.gguf.incomplete(what))
            }
            None => Err(self.gguf.incomplete(format!("{key} is not a number"))),
        }
    }

    fn positive(&self, name: &str, default: Option<f64>, limit: f64) -> Result<f64> {
        let value = self.optional_positive(name, limit)?.or(default);
        value.ok_or_else(|| self.gguf.incomplete(format!("no {}", self.key(name))))
    }

    fn heads(&self, embedding: usize) -> Result<Heads> {
        let heads = self.size("attention.head_count", MAX_HEADS)?;
        let kv_heads = self.optional_size("attention.head_count_kv", MAX_HEADS)?.unwrap_or(heads);
        let head_dim = self.optional_size("attention.key_length", MAX_CONTEXT)?.unwrap_or(embedding / heads);
        let value_dim = self.optional_size("attention.value_length", MAX_CONTEXT)?.unwrap_or(head_dim);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let what = format!("{heads} heads cannot share {kv_heads} key/value heads");
            return Err(self.gguf.incomplete(what));
        }
        if head_dim == 0 || !head_dim.is_multiple_of(16) || head_dim > 512 {
            let what = format!("a head of {head_dim} dimensions");
            return Err(self.gguf.unsupported(what, "multiples of 16 up to 512 are; use another model"));
        }
        if value_dim != head_dim {
            let what = format!("values of {value_dim} dimensions with keys of {head_dim}");
            return Err(self.gguf.unsupported(what, "equal ones are; use another model"));
        }
        Ok(Heads { heads, kv_heads, head_dim })
    }

    fn experts(&self, feed_forward: usize) -> Result<Option<ExpertSizes>> {
        let count = self.optional_size("expert_count", MAX_EXPERTS)?.unwrap_or(0);
        if count == 0 {
            return Ok(None);
        }
        let used = self.size("expert_used_count", count)?;
        let feed_forward =
            self.optional_size("expert_feed_forward_length", MAX_FEED_FORWARD)?.unwrap_or(feed_forward);
        // Narrower ones would take many times their size in memory: rows are kept in panels of sixteen.
        if feed_forward < 16 {
            let what = format!("experts of {feed_forward} inner dimensions");
            return Err(self.gguf.unsupported(what, "16 or more are; use another model"));
        }
        Ok(Some(ExpertSizes { count, used, feed_forward }))
    }

    /// Every so manieth layer sees everything. Newer converters write which do, layer by layer.
    fn window_period(&self) -> Result<usize> {
        let name = "attention.sliding_window_pattern";
        let Some(Value::Integers(windowed)) = self.gguf.get(&self.key(name)) else {
            let period = self.optional_size(name, MAX_HEADS)?;
            return Ok(period.unwrap_or(GEMMA_PERIOD));
        };
        let period = windowed.iter().position(|windowed| *windowed == 0).map_or(0, |first| first + 1);
        let regular = |(layer, windowed): (usize, &i64)| {
            let sees_all = period > 0 && (layer + 1).is_multiple_of(period);
            sees_all == (*windowed == 0)
        };
        if windowed.iter().enumerate().all(regular) {
            return Ok(period);
        }
        let what = format!("an irregular {}", self.key(name));
        Err(self.gguf.unsupported(what, "one layer in so many may see everything; use another model"))
    }

    fn attention_scale(&self, heads: Heads, layers: usize, embedding: usize) -> Result<f32> {
        if let Some(scale) = self.optional_positive("attention.scale", 1e3)? {
            return Ok(scale as f32);
        }
        let wide = self.architecture == "gemma3" && layers == GEMMA_27B_LAYERS;
        let divisor = if wide { embedding as f32 / heads.heads as f32 } else { heads.head_dim as f32 };
        Ok(1.0 / divisor.sqrt())
    }

    fn rope(&self, family: &Family, head_dim: usize, context_length: usize) -> Result<RopeConfig> {
        let dimensions = self.optional_size("rope.dimension_count", MAX_CONTEXT)?.unwrap_or(head_dim);
        if dimensions == 0 || !dimensions.is_multiple_of(2) || dimensions > head_dim {
            let what = format!("{dimensions} rotary dimensions in a head of {head_dim}");
            return Err(self.gguf.incomplete(what));
        }
        let base = self.positive("rope.freq_base", Some(10_000.0), 1e12)?;
        let scale = self.rope_scale()?;
        let (windowed_base, windowed_scale) = match family.windows {
            Windows::FiveOfSix => {
                let older = self.positive("rope.local_freq_base", Some(GEMMA_WINDOWED_BASE), 1e12)?;
                (self.positive("rope.freq_base_swa", Some(older), 1e12)?, 1.0)
            }
            Windows::EveryLayer | Windows::Unclear => (base, scale),
        };
        let original = self.optional_size("rope.scaling.original_context_length", MAX_CONTEXT)?;
        let original = original.filter(|original| *original > 1).unwrap_or(context_length);
        let factors = self.rope_factors(context_length > original)?;
        let stretched = context_length as f64 / original as f64;
        let magnitude = match factors {
            Some(LONG | SHORT) if stretched > 1.0 => (1.0 + stretched.ln() / (original as f64).ln()).sqrt(),
            _ => 1.0,
        };
        let magnitude = self.positive("rope.scaling.attn_factor", Some(magnitude), 100.0)?;
        let pairs = family.pairs;
        Ok(RopeConfig { dimensions, pairs, base, scale, windowed_base, windowed_scale, magnitude, factors })
    }

    /// LongRoPE has one set of factors for texts up to the original context and one for longer ones. Keys
    /// stay in the cache whatever follows, so one set serves all texts: the one for the whole context.
    fn rope_factors(&self, long: bool) -> Result<Option<&'static str>> {
        const LLAMA3: &str = "rope_freqs.weight";
        let has = |name: &str| self.gguf.tensor(name).is_some();
        if has(LLAMA3) {
            return Ok(Some(LLAMA3));
        }
        let required = self.gguf.text(&self.key("rope.scaling.type")) == Some("longrope");
        if required || has(LONG) || has(SHORT) {
            return Ok(Some(if long { LONG } else { SHORT }));
        }
        Ok(None)
    }

    /// What positions are divided by.
    fn rope_scale(&self) -> Result<f64> {
        let advice = "none, linear, longrope and Llama 3's rope_freqs are; use a file without it";
        match self.gguf.get(&self.key("rope.scaling.type")) {
            // Files of 2023 have this key instead.
            None => self.positive("rope.scale_linear", Some(1.0), 1e4),
            Some(Value::Text(kind)) if kind == "none" || kind == "longrope" => Ok(1.0),
            Some(Value::Text(kind)) if kind == "linear" => self.positive("rope.scaling.factor", None, 1e4),
            Some(Value::Text(kind)) => {
                Err(self.gguf.unsupported(format!("rotary scaling of type '{kind}'"), advice))
            }
            Some(kind) => Err(self.gguf.unsupported(format!("rotary scaling {kind:?}"), advice)),
        }
    }
}

const LONG: &str = "rope_factors_long.weight";
const SHORT: &str = "rope_factors_short.weight";
