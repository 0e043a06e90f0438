//! A model file that is cut, altered or made up is an error that says what, where and what to do; never a
//! panic, never memory out of proportion to the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Read;

use casemate_inference::{Embedder, Error, Model};
use common::{Writer, model_path, tiny};
use proptest::prelude::*;

fn load(bytes: &[u8]) -> Result<Model, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    fs_err::write(&path, bytes).unwrap();
    Model::load(&path)
}

fn message(bytes: &[u8]) -> String {
    load(bytes).err().expect("the file must be refused").to_string()
}

fn check(writer: &Writer, expected: &str) {
    let message = message(&writer.build().1);
    assert!(message.contains(expected), "'{message}' does not say '{expected}'");
}

fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let (_, mut file) = tiny("llama").build();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn tiny_model_is_sound() {
    for architecture in ["llama", "qwen2"] {
        let model = load(&tiny(architecture).build().1).unwrap();
        assert_eq!(model.info().layers, 2);
        assert_eq!(model.info().vocabulary, 258);
    }
}

#[test]
fn wrong_beginnings() {
    assert!(message(b"").contains("not a GGUF file"));
    assert!(message(b"GG").contains("not a GGUF file"));
    assert!(message(b"PK\x03\x04 a zip file").contains("not a GGUF file"));
    assert!(message(b"GGUF").contains("needs 8"));
    assert!(message(&patched(4, &[1])).contains("version"));
    assert!(message(&patched(4, &[0, 0, 0, 3])).contains("version"));
}

#[test]
fn absurd_counts() {
    assert!(message(&patched(8, &u64::MAX.to_le_bytes())).contains("tensors"));
    assert!(message(&patched(16, &u64::MAX.to_le_bytes())).contains("metadata entries"));
    // The first key's length.
    assert!(message(&patched(24, &u64::MAX.to_le_bytes())).contains("fetch it again"));
    assert!(message(&patched(24, &(1u64 << 40).to_le_bytes())).contains("fetch it again"));
    check(
        &tiny("llama").without("llama.block_count").number("llama.block_count", 0),
        "llama.block_count is 0",
    );
    check(
        &tiny("llama").without("llama.block_count").number("llama.block_count", 900),
        "no tensor blk.2.attn_norm",
    );
    check(
        &tiny("llama").without("llama.block_count").number("llama.block_count", u32::MAX),
        "llama.block_count is",
    );
    check(&tiny("llama").number("general.alignment", 3), "general.alignment");
}

#[test]
fn what_is_not_supported_is_named() {
    check(&tiny("gptx"), "architecture 'gptx' is not supported");
    check(
        &tiny("llama").without("tokenizer.ggml.model").text("tokenizer.ggml.model", "t5"),
        "tokenizer 't5'",
    );
    check(
        &tiny("llama").without("tokenizer.ggml.pre").text("tokenizer.ggml.pre", "odd"),
        "pre-tokenizer 'odd'",
    );
    check(
        &tiny("llama").number("llama.expert_shared_count", 1),
        "a shared expert (llama.expert_shared_count)",
    );
    check(&tiny("qwen2").tensor("blk.0.attn_sinks.weight", &[4]), "tensor blk.0.attn_sinks.weight");
    check(&tiny("llama").text("llama.rope.scaling.type", "yarn"), "rotary scaling");
}

#[test]
fn what_is_missing_is_named() {
    for name in ["blk.1.attn_k.weight", "output_norm.weight", "token_embd.weight", "blk.0.ffn_up.weight"] {
        check(&tiny("qwen2").without(name), name);
    }
    for key in ["qwen2.embedding_length", "tokenizer.ggml.tokens", "tokenizer.ggml.eos_token_id"] {
        check(&tiny("qwen2").without(key), key);
    }
    check(&tiny("llama").without("blk.0.attn_q.weight").tensor("blk.0.attn_q.weight", &[32, 48]), "[48, 32]");
    check(
        &tiny("llama").without("token_embd.weight").tensor("token_embd.weight", &[32, 200]),
        "258 tokens named",
    );
    check(&tiny("llama").tensor("output_norm.weight", &[32]), "a second time");
}

#[test]
fn every_truncation_is_an_error() {
    let (header, file) = tiny("qwen2").build();
    for length in (0..header).step_by(41).chain((header..file.len() - 32).step_by(3001)) {
        assert!(load(&file[..length]).is_err(), "accepted {length} of {} bytes", file.len());
    }
    let message = message(&file[..file.len() - 4096]);
    assert!(message.contains("fetch it again") && message.contains("needs"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((0usize..1 << 20, 0u8..8), 1..4)) {
        let (header, mut file) = tiny("llama").build();
        for (at, bit) in flips {
            file[at % header] ^= 1 << bit;
        }
        // Whatever still loads must also run.
        if let Ok(model) = load(&file) {
            let tokens = model.tokens_of_data("a b").unwrap_or_default();
            if let Ok(mut session) = model.session(16) {
                let _ = session.read(&tokens, &mut |_| {});
                let _ = session.logits();
            }
        }
    }
}

#[test]
fn header_of_a_real_model() {
    let Some(path) = model_path("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let mut header = vec![0; 1_785_664];
    fs_err::File::open(path).unwrap().read_exact(&mut header).unwrap();
    assert!(message(&header).contains("fetch it again"));
    for length in [5, 100, 5000, 70_000, 1_000_000, 1_700_000] {
        assert!(load(&header[..length]).is_err());
    }
    let mut state = 1u64;
    for _ in 0..40 {
        let mut damaged = header.clone();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            damaged[(state >> 20) as usize % header.len()] ^= 1 << (state >> 61);
        }
        assert!(load(&damaged).is_err());
    }
}

#[test]
fn missing_files_are_named() {
    let error = Model::load("no/such/model.gguf".as_ref()).err().unwrap();
    assert!(error.to_string().contains("no/such/model.gguf"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let error = Embedder::load(directory.path()).err().unwrap();
    assert!(error.to_string().contains("config.json"), "{error}");
    for (name, content) in [("config.json", "{"), ("tokenizer.json", "[]"), ("model.safetensors", "xx")] {
        fs_err::write(directory.path().join(name), content).unwrap();
    }
    let error = Embedder::load(directory.path()).err().unwrap();
    assert!(error.to_string().contains("config.json"), "{error}");
    if let Some(real) = model_path("all-MiniLM-L6-v2") {
        for name in ["config.json", "tokenizer.json"] {
            fs_err::copy(real.join(name), directory.path().join(name)).unwrap();
        }
        let error = Embedder::load(directory.path()).err().unwrap();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}
