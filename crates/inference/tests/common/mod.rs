//! Where test models come from: the real ones if they are here, and a tiny one written on the spot.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

/// A model file or directory in `$CASEMATE_MODELS` or the workspace's `models/`; says so when absent.
pub fn model_path(name: &str) -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let directory = std::env::var_os("CASEMATE_MODELS").map(PathBuf::from);
    let found = directory.into_iter().chain([workspace]).map(|d| d.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!(
            "skipped: {name} is neither in $CASEMATE_MODELS nor in models/ (`casemate-stage fetch` gets it)"
        );
    }
    found
}

/// Writes GGUF files field by field, so that tests can get any field wrong.
#[derive(Clone, Default)]
pub struct Writer {
    metadata: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
    quantised: Option<GgmlDType>,
}

impl Writer {
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), [&8u32.to_le_bytes()[..], &string(value)].concat()));
        self
    }

    pub fn number(mut self, key: &str, value: u32) -> Self {
        self.metadata.push((key.to_owned(), [4u32.to_le_bytes(), value.to_le_bytes()].concat()));
        self
    }

    pub fn float(mut self, key: &str, value: f32) -> Self {
        self.metadata.push((key.to_owned(), [&6u32.to_le_bytes()[..], &value.to_le_bytes()].concat()));
        self
    }

    pub fn texts(mut self, key: &str, values: &[String]) -> Self {
        let mut bytes = [9u32.to_le_bytes(), 8u32.to_le_bytes()].concat();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(string(value)));
        self.metadata.push((key.to_owned(), bytes));
        self
    }

    pub fn integers(mut self, key: &str, values: &[i32]) -> Self {
        let mut bytes = [9u32.to_le_bytes(), 5u32.to_le_bytes()].concat();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.metadata.push((key.to_owned(), bytes));
        self
    }

    /// `shape` as GGUF writes it: the contiguous dimension first.
    pub fn tensor(mut self, name: &str, shape: &[u64]) -> Self {
        let count = shape.iter().product::<u64>() as usize;
        let seed = name.bytes().fold(7u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let norm = name.contains("norm");
        // Wide rows of larger values would saturate the attention, and every rounding with it.
        let width = (2.4 / (shape[0] as f32).sqrt()).min(0.3);
        let value = |i: usize| {
            let noise = (mixed(u64::from(seed) << 32 | i as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            if norm { 1.0 + noise * 0.1 } else { noise * width }
        };
        self.tensors.push((name.to_owned(), shape.to_vec(), (0..count).map(value).collect()));
        self
    }

    pub fn flag(mut self, key: &str, value: bool) -> Self {
        self.metadata.push((key.to_owned(), [&7u32.to_le_bytes()[..], &[u8::from(value)]].concat()));
        self
    }

    pub fn floats(mut self, key: &str, values: &[f32]) -> Self {
        let mut bytes = [9u32.to_le_bytes(), 6u32.to_le_bytes()].concat();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.metadata.push((key.to_owned(), bytes));
        self
    }

    /// `shape` as GGUF writes it: the contiguous dimension first.
    pub fn values(mut self, name: &str, shape: &[u64], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<u64>() as usize, values.len());
        self.tensors.push((name.to_owned(), shape.to_vec(), values));
        self
    }

    /// The values of a tensor written before.
    pub fn get(&self, name: &str) -> &[f32] {
        &self.tensors.iter().find(|(tensor, ..)| tensor == name).expect(name).2
    }

    /// Every tensor: name, shape with the contiguous dimension last, values.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Vec<usize>, &[f32])> {
        self.tensors.iter().map(|(name, shape, values)| {
            (name.as_str(), shape.iter().rev().map(|size| *size as usize).collect(), values.as_slice())
        })
    }

    /// Stores matrices, but for routers, as `dtype`.
    pub fn quantised(mut self, dtype: GgmlDType) -> Self {
        self.quantised = Some(dtype);
        self
    }

    /// The same file with the values that [`Self::quantised`] leaves, in single precision.
    pub fn rounded(&self) -> Self {
        let mut rounded = Self { quantised: None, ..self.clone() };
        for (name, shape, values) in &mut rounded.tensors {
            if let Some(tensor) = self.stored(name, shape, values) {
                *values = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            }
        }
        rounded
    }

    fn stored(&self, name: &str, shape: &[u64], values: &[f32]) -> Option<QTensor> {
        let dtype = self.quantised.filter(|_| shape.len() > 1 && !name.contains("ffn_gate_inp"))?;
        let columns = shape[0] as usize;
        let tensor = Tensor::from_slice(values, (values.len() / columns, columns), &Device::Cpu).unwrap();
        Some(QTensor::quantize(&tensor, dtype).unwrap())
    }

    pub fn without(mut self, name: &str) -> Self {
        self.tensors.retain(|(tensor, ..)| tensor != name);
        self.metadata.retain(|(key, _)| key != name);
        self
    }

    /// The header's length and the whole file.
    pub fn build(&self) -> (usize, Vec<u8>) {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            out.extend(string(key));
            out.extend(value);
        }
        let mut offset = 0u64;
        let mut data = Vec::new();
        for (name, shape, values) in &self.tensors {
            let (kind, bytes) = match self.stored(name, shape, values) {
                Some(tensor) => (number_of(tensor.dtype()), tensor.data().unwrap().into_owned()),
                None => (0, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            };
            out.extend(string(name));
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (bytes.len() as u64).next_multiple_of(32);
            data.push(bytes);
        }
        let header = out.len();
        out.resize(header.next_multiple_of(32), 0);
        for bytes in data {
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(32), 0);
        }
        (header, out)
    }
}

/// A storage type's number in ggml.h.
fn number_of(dtype: GgmlDType) -> u32 {
    match dtype {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::BF16 => 30,
        other => panic!("no number for {other:?}"),
    }
}

/// SplitMix64's finaliser: rows of a simpler sequence resemble one another, and roundings with them.
fn mixed(seed: u64) -> u64 {
    let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Sizes of a tiny model.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub embedding: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub feed_forward: u64,
    pub layers: usize,
}

/// Sizes that every architecture's reference takes: heads are as wide together as the embedding.
pub const SMALL: Sizes =
    Sizes { embedding: 64, heads: 4, kv_heads: 2, head_dim: 16, feed_forward: 96, layers: 2 };

pub const EXPERTS: u64 = 6;
pub const EXPERT_WIDTH: u64 = 48;

/// A complete model of two layers over the 256 bytes and two control tokens.
pub fn tiny(architecture: &str) -> Writer {
    let sizes = Sizes { embedding: 32, ..SMALL };
    plain_layers(plain_header(architecture, sizes), sizes)
}

/// A complete model of any architecture, with what its files have.
pub fn model_of(architecture: &str, sizes: Sizes) -> Writer {
    let Sizes { embedding, heads, kv_heads, head_dim, feed_forward, layers } = sizes;
    let mut writer = plain_layers(plain_header(architecture, sizes), sizes)
        .number(&format!("{architecture}.attention.value_length"), head_dim as u32)
        .number(&format!("{architecture}.rope.dimension_count"), head_dim as u32)
        .number("general.dtype", 0);
    if architecture == "gemma3" {
        writer = writer.number("gemma3.attention.sliding_window", 5);
    } else {
        writer = writer.tensor("output.weight", &[embedding, 258]);
    }
    if architecture == "qwen3moe" {
        writer = writer
            .number("qwen3moe.expert_count", EXPERTS as u32)
            .number("qwen3moe.expert_used_count", 2)
            .number("qwen3moe.expert_feed_forward_length", EXPERT_WIDTH as u32);
    }
    for layer in 0..layers {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        let bias = |tensor: &str| format!("blk.{layer}.{tensor}.bias");
        let plain = |names: &[&str], writer: Writer| {
            names.iter().fold(writer, |writer, tensor| writer.without(&name(tensor)))
        };
        if matches!(architecture, "qwen3" | "qwen3moe" | "gemma3") {
            writer =
                writer.tensor(&name("attn_q_norm"), &[head_dim]).tensor(&name("attn_k_norm"), &[head_dim]);
        }
        writer = match architecture {
            "qwen2" => writer
                .tensor(&bias("attn_q"), &[heads * head_dim])
                .tensor(&bias("attn_k"), &[kv_heads * head_dim])
                .tensor(&bias("attn_v"), &[kv_heads * head_dim]),
            "gemma3" => writer
                .tensor(&name("post_attention_norm"), &[embedding])
                .tensor(&name("post_ffw_norm"), &[embedding]),
            "phi3" => plain(&["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"], writer)
                .tensor(&name("attn_qkv"), &[embedding, (heads + 2 * kv_heads) * head_dim])
                .tensor(&name("ffn_up"), &[embedding, 2 * feed_forward]),
            "qwen3moe" => plain(&["ffn_gate", "ffn_up", "ffn_down"], writer)
                .tensor(&name("ffn_gate_inp"), &[embedding, EXPERTS])
                .tensor(&name("ffn_gate_exps"), &[embedding, EXPERT_WIDTH, EXPERTS])
                .tensor(&name("ffn_up_exps"), &[embedding, EXPERT_WIDTH, EXPERTS])
                .tensor(&name("ffn_down_exps"), &[EXPERT_WIDTH, embedding, EXPERTS]),
            _ => writer,
        };
    }
    writer
}

fn plain_header(architecture: &str, sizes: Sizes) -> Writer {
    let mut tokens: Vec<String> = (0..=255u8).map(|byte| alphabet(byte).to_string()).collect();
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let types: Vec<i32> = (0..258).map(|id| if id < 256 { 1 } else { 3 }).collect();
    let key = |name: &str| format!("{architecture}.{name}");
    Writer::default()
        .text("general.architecture", architecture)
        .text("general.name", "tiny")
        .number(&key("block_count"), sizes.layers as u32)
        .number(&key("context_length"), 4096)
        .number(&key("embedding_length"), sizes.embedding as u32)
        .number(&key("feed_forward_length"), sizes.feed_forward as u32)
        .number(&key("attention.head_count"), sizes.heads as u32)
        .number(&key("attention.head_count_kv"), sizes.kv_heads as u32)
        .number(&key("attention.key_length"), sizes.head_dim as u32)
        .float(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .float(&key("rope.freq_base"), 10_000.0)
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "default")
        .texts("tokenizer.ggml.tokens", &tokens)
        .integers("tokenizer.ggml.token_type", &types)
        .texts("tokenizer.ggml.merges", &[])
        .number("tokenizer.ggml.eos_token_id", 257)
        .text(
            "tokenizer.chat_template",
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        )
}

fn plain_layers(writer: Writer, sizes: Sizes) -> Writer {
    let Sizes { embedding, heads, kv_heads, head_dim, feed_forward, layers } = sizes;
    let mut writer =
        writer.tensor("token_embd.weight", &[embedding, 258]).tensor("output_norm.weight", &[embedding]);
    for layer in 0..layers {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        writer = writer
            .tensor(&name("attn_norm"), &[embedding])
            .tensor(&name("attn_q"), &[embedding, heads * head_dim])
            .tensor(&name("attn_k"), &[embedding, kv_heads * head_dim])
            .tensor(&name("attn_v"), &[embedding, kv_heads * head_dim])
            .tensor(&name("attn_output"), &[heads * head_dim, embedding])
            .tensor(&name("ffn_norm"), &[embedding])
            .tensor(&name("ffn_gate"), &[embedding, feed_forward])
            .tensor(&name("ffn_up"), &[embedding, feed_forward])
            .tensor(&name("ffn_down"), &[feed_forward, embedding]);
    }
    writer
}

/// Puts a SentencePiece vocabulary in place of the byte-level one: `<unk>`, `<s>`, `</s>`, the bytes, and
/// then the pieces given with their types, each less likely than the one before.
pub fn with_pieces(writer: Writer, pieces: &[(&str, i32)], template: &str) -> Writer {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    let mut types = vec![2, 3, 3];
    for byte in 0..=255u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        types.push(6);
    }
    for (piece, kind) in pieces {
        tokens.push((*piece).to_owned());
        types.push(*kind);
    }
    let scores: Vec<f32> = (0..tokens.len()).map(|id| -(id as f32)).collect();
    ["model", "pre", "tokens", "token_type", "scores", "merges", "bos_token_id", "eos_token_id"]
        .iter()
        .fold(writer, |writer, key| writer.without(&format!("tokenizer.ggml.{key}")))
        .without("tokenizer.chat_template")
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .integers("tokenizer.ggml.token_type", &types)
        .floats("tokenizer.ggml.scores", &scores)
        .number("tokenizer.ggml.bos_token_id", 1)
        .number("tokenizer.ggml.eos_token_id", 2)
        .text("tokenizer.chat_template", template)
}

/// GPT-2's printable stand-in for a byte.
fn alphabet(byte: u8) -> char {
    match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        0..=0x20 => char::from_u32(0x100 + u32::from(byte)).unwrap(),
        0x7f..=0xa0 => char::from_u32(0x121 + u32::from(byte) - 0x7f).unwrap(),
        0xad => '\u{143}',
    }
}
