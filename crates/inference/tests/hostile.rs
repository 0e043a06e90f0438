//! A model file that is cut, altered or made up is an error that says what, where and what to do; never a
//! panic, never memory out of proportion to the file.
// The allocator that counts is the one unsafe block here.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use casemate_inference::{Embedder, Error, LoadOptions, Model, Role, Turn};
use common::{SMALL, Sizes, Writer, model_of, model_path, tiny, with_pieces};
use proptest::prelude::*;

/// Remembers the largest piece of memory asked for.
struct Counting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn load(bytes: &[u8]) -> Result<Model, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    fs_err::write(&path, bytes).unwrap();
    Model::load_with(&path, &options())
}

/// Little cache: its room is reserved at once, and would be the largest piece of memory by far.
fn options() -> LoadOptions {
    LoadOptions { threads: Some(1), cache_bytes: Some(1 << 20), ..LoadOptions::default() }
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

const ARCHITECTURES: [&str; 8] =
    ["llama", "qwen2", "qwen3", "qwen3moe", "gemma3", "phi3", "mistral", "mistral3"];

/// A sound file of each family with whatever its files may hold.
fn sound(architecture: &str) -> Writer {
    let sizes = Sizes { embedding: 32, heads: 2, kv_heads: 1, layers: 1, ..SMALL };
    let key = |name: &str| format!("{architecture}.{name}");
    let writer = model_of(architecture, sizes)
        .text(&key("rope.scaling.type"), "linear")
        .float(&key("rope.scaling.factor"), 2.0)
        .float(&key("attention.scale"), 0.25)
        .float(&key("rope.scaling.attn_factor"), 1.1);
    let pieces = [("<end_of_turn>", 4), ("  ", 4), ("▁a", 1), ("▁", 1), ("a", 1)];
    let wide = ["token_embd.weight", "output.weight"];
    let writer = match architecture {
        "gemma3" | "phi3" | "mistral" => wide
            .iter()
            .fold(writer, |writer, name| writer.without(name).tensor(name, &[32, 264]))
            .number("tokenizer.ggml.eot_token_id", 259),
        _ => return writer,
    };
    let template = "{{ bos_token }}{{ messages[0].content }}<end_of_turn>";
    let writer = with_pieces(writer, &pieces, template);
    match architecture {
        "phi3" => writer.tensor("rope_factors_long.weight", &[8]).values(
            "rope_factors_short.weight",
            &[8],
            vec![1.0; 8],
        ),
        "mistral" => writer.values("rope_freqs.weight", &[8], vec![2.0; 8]),
        _ => writer,
    }
}

/// Whatever loads must also run. True if it did.
fn exercise(file: &[u8]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    fs_err::write(&path, file).unwrap();
    let Ok(model) = Model::load_with(&path, &options()) else { return false };
    let text = "a  b\n<|im_end|></s>é";
    let tokens = model.tokens_of_data(text).unwrap_or_default();
    let chat = model.render_chat(&[Turn::text(Role::User, text)], true).unwrap_or_default();
    let Ok(mut session) = model.session(64) else { return false };
    let read = session.read(&tokens, &mut |_| {}).and_then(|()| session.read(&chat, &mut |_| {}));
    read.is_ok() && session.logits().is_ok()
}

#[test]
fn files_of_every_family_are_sound() {
    for architecture in ARCHITECTURES {
        let file = sound(architecture).build().1;
        let error = load(&file).err();
        assert!(error.is_none(), "{architecture}: {error:?}");
        assert!(exercise(&file), "{architecture}");
    }
}

/// Before they are damaged, files of all families load and can be used. With `CASEMATE_FUZZ_SEEDS` set to a
/// directory they are also written there, for `fuzz/fuzz_targets/gguf.rs` to begin with.
#[test]
fn sound_files_load() {
    let seeds = std::env::var_os("CASEMATE_FUZZ_SEEDS").map(std::path::PathBuf::from);
    for architecture in ARCHITECTURES {
        let bytes = sound(architecture).build().1;
        let model = load(&bytes).unwrap();
        let mut session = model.session(8).unwrap();
        session.read(&[1, 2, 3], &mut |_| {}).unwrap();
        assert!(session.logits().unwrap().iter().all(|x| x.is_finite()), "{architecture}");
        if let Some(seeds) = &seeds {
            fs_err::create_dir_all(seeds).unwrap();
            fs_err::write(seeds.join(architecture), &bytes).unwrap();
        }
    }
}

/// What a file can be made to say.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Count(usize, u64),
    Number(usize, u32),
    Cut(usize),
    Copy(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0usize..1 << 20;
    let counts = [0, 1, 2, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 40, u64::MAX >> 1, u64::MAX];
    let numbers = [0, 1, 3, 17, 1 << 10, 1 << 16, 1 << 20, 1 << 31, u32::MAX, 0x7f80_0000, 0x7fc0_0000];
    prop_oneof![
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (at(), prop::sample::select(counts.to_vec())).prop_map(|(at, n)| Damage::Count(at, n)),
        3 => (at(), prop::sample::select(numbers.to_vec())).prop_map(|(at, n)| Damage::Number(at, n)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), at(), 1usize..64).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
    ]
}

/// Mostly within the header; the vocabulary is most of it, so half go to what is before and after.
fn apply(damage: &Damage, header: usize, vocabulary: &std::ops::Range<usize>, file: &mut Vec<u8>) {
    let place = |at: usize| {
        let at = at % (2 * header);
        if at < header {
            return at;
        }
        let outside = (at - header) % (header - vocabulary.len());
        if outside < vocabulary.start { outside } else { outside + vocabulary.len() }
    };
    let write = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        let at = place(at);
        let end = (at + bytes.len()).min(file.len());
        file.get_mut(at..end).unwrap_or_default().iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
    };
    match damage {
        Damage::Flip(at, bit) => {
            let at = place(*at);
            file.get_mut(at..=at).unwrap_or_default().iter_mut().for_each(|byte| *byte ^= 1 << bit);
        }
        Damage::Count(at, count) => write(file, *at, &count.to_le_bytes()),
        Damage::Number(at, number) => write(file, *at, &number.to_le_bytes()),
        Damage::Cut(at) => file.truncate(at % file.len().max(1)),
        Damage::Copy(from, to, length) => {
            let from = place(*from).min(file.len());
            let bytes = file[from..(from + length).min(file.len())].to_vec();
            write(file, *to, &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        architecture in prop::sample::select(ARCHITECTURES.to_vec()),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let (header, mut file) = sound(architecture).build();
        let find = |key: &str| file.windows(key.len()).position(|bytes| bytes == key.as_bytes()).unwrap();
        let vocabulary = find("tokenizer.ggml.tokens")..find("tokenizer.chat_template");
        let vocabulary = vocabulary.start.min(vocabulary.end)..vocabulary.end;
        let size = file.len();
        damages.iter().for_each(|damage| apply(damage, header, &vocabulary, &mut file));
        LARGEST.store(0, Ordering::Relaxed);
        exercise(&file);
        // The parts that do not depend on the file: buffers of a pass, pages of the cache.
        let largest = LARGEST.load(Ordering::Relaxed);
        prop_assert!(largest < 16 * size + (16 << 20), "{largest} bytes asked for by a file of {size}");
    }
}

#[test]
fn absurd_sizes_are_named() {
    for (key, value, expected) in [
        ("embedding_length", u32::MAX, "embedding_length is"),
        ("attention.head_count", u32::MAX, "attention.head_count is"),
        ("attention.head_count_kv", 3, "2 heads cannot share 3"),
        ("attention.key_length", 1 << 20, "a head of 1048576 dimensions"),
        ("attention.value_length", 32, "values of 32 dimensions with keys of 16"),
        ("rope.dimension_count", 18, "18 rotary dimensions in a head of 16"),
        ("rope.dimension_count", 0, "0 rotary dimensions"),
        ("context_length", 0, "context_length is 0"),
        ("attention.sliding_window", u32::MAX, "attention.sliding_window is"),
        ("expert_count", 1 << 20, "expert_count is"),
        ("expert_used_count", 7, "expert_used_count is 7 where at most 6"),
        ("expert_used_count", 0, "expert_used_count is 0"),
        ("expert_feed_forward_length", 8, "experts of 8 inner dimensions"),
        ("expert_feed_forward_length", 64, "blk.0.ffn_gate_exps.weight is [6, 48, 32]"),
        ("expert_gating_func", 2, "a router other than softmax"),
    ] {
        let key = format!("qwen3moe.{key}");
        check(&sound("qwen3moe").without(&key).number(&key, value), expected);
    }
    for (key, value, expected) in [
        ("rope.freq_base", 0.0, "rope.freq_base is 0"),
        ("rope.freq_base", f32::NAN, "rope.freq_base is NaN"),
        ("rope.freq_base", f32::INFINITY, "rope.freq_base is inf"),
        ("rope.scaling.factor", -1.0, "rope.scaling.factor is -1"),
        ("attention.scale", 1e9, "attention.scale is"),
        ("attention.layer_norm_rms_epsilon", 2.0, "layer_norm_rms_epsilon is 2"),
        ("rope.scaling.attn_factor", 0.0, "attn_factor is 0"),
        ("final_logit_softcapping", 30.0, "capping of logits (gemma3.final_logit_softcapping)"),
        ("attn_logit_softcapping", 50.0, "capping of attention scores"),
    ] {
        let key = format!("gemma3.{key}");
        check(&sound("gemma3").without(&key).float(&key, value), expected);
    }
    let irregular = sound("gemma3").integers("gemma3.attention.sliding_window_pattern", &[1, 0, 1, 1, 0]);
    check(&irregular, "irregular gemma3.attention.sliding_window_pattern");
    let factors =
        |values| sound("mistral").without("rope_freqs.weight").values("rope_freqs.weight", &[8], values);
    check(&factors(vec![0.0; 8]), "rope_freqs.weight divides a frequency by 0");
    check(&factors(vec![f32::NAN; 8]), "rope_freqs.weight divides a frequency by NaN");
    let long = sound("llama").without("llama.rope.scaling.type").text("llama.rope.scaling.type", "longrope");
    check(&long, "no tensor rope_factors_short.weight");
    check(&sound("phi3").without("blk.0.attn_qkv.weight"), "no tensor blk.0.attn_q.weight");
    check(&sound("qwen3").without("blk.0.attn_q_norm.weight"), "no tensor blk.0.attn_q_norm.weight");
    check(&sound("gemma3").without("blk.0.post_ffw_norm.weight"), "no tensor blk.0.post_ffw_norm.weight");
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
