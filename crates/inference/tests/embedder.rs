//! The embedder against candle's BERT in 32-bit floats, on real log lines; and what hostile model
//! directories lead to. What needs the real model is skipped, with a message, where it is absent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use casemate_inference::{Embedder, Error};
use common::model_path;
use tokenizers::{Tokenizer, TruncationParams};

const MINILM: &str = "all-MiniLM-L6-v2";

/// Every log format there is, and more of the sample incident's lines than fill a batch.
fn log_lines() -> Vec<String> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let mut lines = Vec::new();
    let mut formats: Vec<_> =
        fs_err::read_dir(data.join("formats")).unwrap().map(|entry| entry.unwrap().path()).collect();
    formats.sort();
    for path in formats {
        if let Ok(text) = fs_err::read_to_string(&path) {
            lines.extend(text.lines().take(6).map(str::to_owned));
        }
    }
    for (name, every) in [("linux-syslog.log", 97), ("linux-audit.log", 199)] {
        let text = fs_err::read_to_string(data.join("incident/logs").join(name)).unwrap();
        lines.extend(text.lines().step_by(every).take(60).map(str::to_owned));
    }
    lines.retain(|line| line.len() > 1);
    lines
}

/// candle's BERT, one text at a time.
struct Stock {
    model: BertModel,
    tokenizer: Tokenizer,
}

impl Stock {
    fn load(dir: &Path) -> Self {
        let config: Config =
            serde_json::from_str(&fs_err::read_to_string(dir.join("config.json")).unwrap()).unwrap();
        let mut tokenizer = Tokenizer::from_file(dir.join("tokenizer.json")).unwrap();
        let max_length = config.max_position_embeddings.min(128);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).unwrap();
        tokenizer.with_padding(None);
        let weights = fs_err::read(dir.join("model.safetensors")).unwrap();
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).unwrap();
        Self { model: BertModel::load(weights, &config).unwrap(), tokenizer }
    }

    fn embed(&self, text: &str) -> Vec<f32> {
        let encoding = self.tokenizer.encode(text, true).unwrap();
        let ids = Tensor::new(encoding.get_ids(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let hidden = self.model.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap();
        hidden.squeeze(0).unwrap().mean(0).unwrap().to_vec1().unwrap()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn agrees_with_stock_candle() {
    let Some(dir) = model_path(MINILM) else { return };
    let (embedder, stock) = (Embedder::load(&dir).unwrap(), Stock::load(&dir));
    let long = "Failed password for invalid user admin from 203.0.113.7 port 22 ssh2; ".repeat(2000);
    let mut texts = log_lines();
    texts.extend(["", " ", "x", "\u{0}\u{202e}日本語 🦀", &long].map(str::to_owned));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedder.embed(&texts).unwrap();
    assert_eq!(vectors.len(), texts.len());
    let mut least: f32 = 1.0;
    for (text, vector) in texts.iter().zip(&vectors) {
        let cosine = cosine(vector, &stock.embed(text));
        least = least.min(cosine);
        assert!(cosine >= 0.999, "{cosine} for {text:?}");
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    println!("{} texts, least cosine {least}", texts.len());
}

#[test]
fn a_text_does_not_depend_on_its_neighbours() {
    let Some(dir) = model_path(MINILM) else { return };
    let embedder = Embedder::load(&dir).unwrap();
    let mut texts = log_lines();
    texts.push(String::new());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embedder.embed(&texts).unwrap();
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let mut of_reversed = embedder.embed(&reversed).unwrap();
    of_reversed.reverse();
    assert!(of_reversed == together, "the order of the texts changes their vectors");
    for (text, vector) in texts.iter().zip(&together).step_by(3) {
        assert!(embedder.embed(&[text]).unwrap()[0] == *vector, "{text:?} differs alone");
        assert!(embedder.embed(&["ab", text, text]).unwrap()[2] == *vector, "{text:?} differs among three");
    }
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn long_texts_are_cut() {
    let Some(dir) = model_path(MINILM) else { return };
    let embedder = Embedder::load(&dir).unwrap();
    // 126 tokens and the two that every text gets.
    let full = "word ".repeat(126);
    let longer = ["word ".repeat(127), format!("{full}and something else"), "word ".repeat(100_000)];
    let expected = embedder.embed(&[&full]).unwrap().remove(0);
    for text in longer {
        assert_eq!(embedder.embed(&[&text]).unwrap()[0], expected);
    }
    assert_ne!(embedder.embed(&["word ".repeat(125)].each_ref().map(String::as_str)).unwrap()[0], expected);
}

/// A model directory small enough to write on the spot.
struct Tiny {
    config: serde_json::Value,
    tensors: HashMap<String, Tensor>,
    tokenizer: serde_json::Value,
}

impl Tiny {
    const HIDDEN: usize = 32;
    const INNER: usize = 48;

    fn new() -> Self {
        let words = ["[UNK]", "[CLS]", "[SEP]", "login", "failed", "for", "root"];
        let vocabulary: serde_json::Map<_, _> =
            words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
        let tokenizer = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        });
        let config = serde_json::json!({
            "vocab_size": words.len(), "hidden_size": Self::HIDDEN, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": Self::INNER, "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1, "max_position_embeddings": 16, "type_vocab_size": 2,
            "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0, "model_type": "bert",
        });
        let mut tiny = Self { config, tensors: HashMap::new(), tokenizer };
        let (hidden, inner) = (Self::HIDDEN, Self::INNER);
        tiny.add("embeddings.word_embeddings.weight", &[words.len(), hidden]);
        tiny.add("embeddings.position_embeddings.weight", &[16, hidden]);
        tiny.add("embeddings.token_type_embeddings.weight", &[2, hidden]);
        tiny.add("embeddings.LayerNorm.weight", &[hidden]);
        tiny.add("embeddings.LayerNorm.bias", &[hidden]);
        for layer in 0..2 {
            for (part, outputs, inputs) in [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", inner, hidden),
                ("output.dense", hidden, inner),
            ] {
                tiny.add(&format!("encoder.layer.{layer}.{part}.weight"), &[outputs, inputs]);
                tiny.add(&format!("encoder.layer.{layer}.{part}.bias"), &[outputs]);
            }
            for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
                tiny.add(&format!("encoder.layer.{layer}.{part}.weight"), &[hidden]);
                tiny.add(&format!("encoder.layer.{layer}.{part}.bias"), &[hidden]);
            }
        }
        tiny
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        let count = shape.iter().product::<usize>();
        let seed = name.bytes().fold(7u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let base = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let value = |i: usize| base + 0.3 * ((seed % 1000) as f32 + i as f32 * 1.7).sin();
        let values: Vec<f32> = (0..count).map(value).collect();
        self.tensors.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }

    fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.get_mut(name).unwrap()
    }

    fn write(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("config.json"), self.config.to_string()).unwrap();
        fs_err::write(dir.path().join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        candle_core::safetensors::save(&self.tensors, dir.path().join("model.safetensors")).unwrap();
        dir
    }

    fn error(&self) -> String {
        Embedder::load(self.write().path()).err().expect("an error").to_string()
    }

    fn check_against_stock(&self) {
        let dir = self.write();
        let (embedder, stock) = (Embedder::load(dir.path()).unwrap(), Stock::load(dir.path()));
        let texts = ["login failed for root", "root", "what is this", &"login failed ".repeat(20)];
        for (text, vector) in texts.iter().zip(embedder.embed(&texts).unwrap()) {
            let cosine = cosine(&vector, &stock.embed(text));
            assert!(cosine > 0.999, "{cosine} for {text:?}");
        }
        assert_eq!(embedder.embed(&[""]).unwrap(), [vec![0.0; Self::HIDDEN]], "no tokens, no direction");
    }
}

#[test]
fn long_texts_come_in_stretches() {
    let Some(dir) = model_path(MINILM) else { return };
    let embedder = Embedder::load(&dir).unwrap();
    assert_eq!(embedder.name(), MINILM);
    let (short, long) = ("failed login of root", "failed login of root ".repeat(200));
    let stretches = embedder.stretches(short).unwrap();
    assert_eq!(stretches.len(), 1);
    assert_eq!(embedder.embed_tokens(&stretches).unwrap(), embedder.embed(&[short]).unwrap());
    let stretches = embedder.stretches(&long).unwrap();
    let counts: Vec<usize> = stretches.iter().map(Vec::len).collect();
    assert!(counts.len() == 8 && counts[..7].iter().all(|count| *count == 128), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 200 * 5 + 8 * 2);
    let inner: Vec<u32> = stretches.iter().flat_map(|tokens| &tokens[1..tokens.len() - 1]).copied().collect();
    assert_eq!(embedder.stretches_of(&inner).unwrap(), stretches);
    assert_eq!(embedder.stretches("").unwrap(), embedder.stretches_of(&[]).unwrap());
    assert!(embedder.stretches_of(&[1 << 20]).is_err());
    assert!(embedder.embed_tokens(&[vec![101; 129]]).is_err());
}

#[test]
fn tiny_models_agree_with_stock_candle() {
    let mut tiny = Tiny::new();
    tiny.check_against_stock();
    for dtype in [DType::F16, DType::BF16] {
        let mut half = Tiny::new();
        for tensor in half.tensors.values_mut() {
            *tensor = tensor.to_dtype(dtype).unwrap();
        }
        half.check_against_stock();
    }
    // Names as in files of whole models, and as in old files.
    let old_name = |name: &String| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        format!("bert.{}", name.replace("LayerNorm.bias", "LayerNorm.beta"))
    };
    tiny.tensors = tiny.tensors.iter().map(|(name, tensor)| (old_name(name), tensor.clone())).collect();
    tiny.check_against_stock();
}

#[test]
fn configurations_without_a_path_of_our_own_are_computed_by_candle() {
    for activation in ["relu", "geluapproximate"] {
        let mut tiny = Tiny::new();
        tiny.config["hidden_act"] = activation.into();
        tiny.check_against_stock();
    }
    let mut tiny = Tiny::new();
    tiny.config["num_attention_heads"] = 4.into();
    tiny.check_against_stock();
    tiny.config["position_embedding_type"] = "relative_key".into();
    assert!(tiny.error().contains("relative_key"), "{}", tiny.error());
}

#[test]
fn hostile_directories_are_refused() {
    let check = |change: &dyn Fn(&mut Tiny), expected: &str| {
        let mut tiny = Tiny::new();
        change(&mut tiny);
        let error = tiny.error();
        assert!(error.contains(expected), "{error}, where {expected} is expected");
    };
    let query = "encoder.layer.1.attention.self.query.weight";
    check(&|tiny| drop(tiny.tensors.remove(query)), query);
    check(&|tiny| drop(tiny.tensors.remove("embeddings.word_embeddings.weight")), "word_embeddings");
    check(&|tiny| tiny.add(query, &[32, 31]), "[32, 31] where [32, 32] is expected");
    check(&|tiny| tiny.add("encoder.layer.0.output.dense.bias", &[33]), "output.dense.bias");
    check(&|tiny| tiny.add("embeddings.position_embeddings.weight", &[15, 32]), "position_embeddings");
    check(&|tiny| *tiny.tensor(query) = tiny.tensor(query).to_dtype(DType::U32).unwrap(), "U32");
    check(&|tiny| tiny.config["num_hidden_layers"] = 3.into(), "encoder.layer.2");
    check(&|tiny| tiny.config["num_hidden_layers"] = 300.into(), "num_hidden_layers");
    check(&|tiny| tiny.config["intermediate_size"] = (1u64 << 40).into(), "intermediate_size");
    check(&|tiny| tiny.config["intermediate_size"] = 0.into(), "intermediate_size");
    check(&|tiny| tiny.config["type_vocab_size"] = 0.into(), "type_vocab_size");
    check(&|tiny| tiny.config["num_attention_heads"] = 0.into(), "heads");
    check(&|tiny| tiny.config["max_position_embeddings"] = 1.into(), "max_position_embeddings");
    check(&|tiny| tiny.config["vocab_size"] = 6.into(), "tokenizer.json");

    let mut tiny = Tiny::new();
    tiny.tokenizer["model"]["vocab"]["root"] = 4_000_000.into();
    let dir = tiny.write();
    let embedder = Embedder::load(dir.path()).unwrap();
    embedder.embed(&["login failed"]).unwrap();
    let error = embedder.embed(&["login", "failed for root"]).unwrap_err();
    assert!(error.to_string().contains("4000000"), "{error}");

    let full = |tiny: &mut Tiny, name: &str, value: f32| {
        *tiny.tensor(name) = Tensor::full(value, tiny.tensor(name).shape(), &Device::Cpu).unwrap();
    };
    check(&|tiny| full(tiny, query, f32::NAN), "holds NaN");
    check(&|tiny| full(tiny, "encoder.layer.0.output.dense.bias", f32::INFINITY), "holds inf");
    let embedded = |name: &str, value: f32| {
        let mut tiny = Tiny::new();
        full(&mut tiny, name, value);
        Embedder::load(tiny.write().path()).unwrap().embed(&["login failed"])
    };
    let outcome = embedded("embeddings.word_embeddings.weight", f32::NAN);
    assert!(matches!(outcome, Err(Error::NotFinite)), "{outcome:?}");
    // Whether scores this large overflow depends on how the processor multiplies: an error, or finite numbers.
    match embedded(query, 1e30) {
        Ok(vectors) => assert!(vectors.iter().flatten().all(|x| x.is_finite()), "{vectors:?}"),
        Err(error) => assert!(matches!(error, Error::NotFinite), "{error}"),
    }
}

#[test]
fn damaged_weights_give_errors_or_vectors() {
    let dir = Tiny::new().write();
    let path = dir.path().join("model.safetensors");
    let sound = fs_err::read(&path).unwrap();
    for length in (0..sound.len()).step_by(sound.len() / 40) {
        fs_err::write(&path, &sound[..length]).unwrap();
        let error = Embedder::load(dir.path()).err().expect("an error").to_string();
        assert!(error.contains("model.safetensors"), "{error}");
    }
    let mut state = 1u64;
    for round in 0..100 {
        let mut damaged = sound.clone();
        // The header first, where damage does most.
        let reach = if round % 2 == 0 { 4000 } else { damaged.len() };
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            damaged[(state >> 20) as usize % reach] ^= 1 << (state >> 61);
        }
        let path = dir.path().join("damaged");
        fs_err::write(&path, &damaged).unwrap();
        fs_err::rename(&path, dir.path().join("model.safetensors")).unwrap();
        if let Ok(embedder) = Embedder::load(dir.path()) {
            // A flipped bit of a weight is a weight.
            drop(embedder.embed(&["login failed for root", "root"]));
        }
    }
}
