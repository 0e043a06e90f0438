//! Where test models come from: the real ones if they are here, and a tiny one written on the spot.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

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
        let value = |i: usize| {
            let noise = seed.wrapping_add(i as u32).wrapping_mul(2_654_435_761) >> 8;
            let noise = noise as f32 / (1 << 23) as f32 - 1.0;
            if norm { 1.0 + noise * 0.1 } else { noise * 0.3 }
        };
        self.tensors.push((name.to_owned(), shape.to_vec(), (0..count).map(value).collect()));
        self
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
        for (name, shape, values) in &self.tensors {
            out.extend(string(name));
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(0u32.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (values.len() as u64 * 4).next_multiple_of(32);
        }
        let header = out.len();
        out.resize(header.next_multiple_of(32), 0);
        for (_, _, values) in &self.tensors {
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            out.resize(out.len().next_multiple_of(32), 0);
        }
        (header, out)
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A complete model of two layers over the 256 bytes and two control tokens.
pub fn tiny(architecture: &str) -> Writer {
    let mut tokens: Vec<String> = (0..=255u8).map(|byte| alphabet(byte).to_string()).collect();
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let types: Vec<i32> = (0..258).map(|id| if id < 256 { 1 } else { 3 }).collect();
    let key = |name: &str| format!("{architecture}.{name}");
    let mut writer = Writer::default()
        .text("general.architecture", architecture)
        .text("general.name", "tiny")
        .number(&key("block_count"), 2)
        .number(&key("context_length"), 4096)
        .number(&key("embedding_length"), 32)
        .number(&key("feed_forward_length"), 96)
        .number(&key("attention.head_count"), 4)
        .number(&key("attention.head_count_kv"), 2)
        .number(&key("attention.key_length"), 16)
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
        .tensor("token_embd.weight", &[32, 258])
        .tensor("output_norm.weight", &[32]);
    for layer in 0..2 {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        writer = writer
            .tensor(&name("attn_norm"), &[32])
            .tensor(&name("attn_q"), &[32, 64])
            .tensor(&name("attn_k"), &[32, 32])
            .tensor(&name("attn_v"), &[32, 32])
            .tensor(&name("attn_output"), &[64, 32])
            .tensor(&name("ffn_norm"), &[32])
            .tensor(&name("ffn_gate"), &[32, 96])
            .tensor(&name("ffn_up"), &[32, 96])
            .tensor(&name("ffn_down"), &[96, 32]);
    }
    writer
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
