//! Every family against candle-transformers' own decoders, on tiny random models written on the spot.
//!
//! The references run the same file where candle has a decoder for quantised files that does what the family
//! does, and else its decoder for unquantised weights, given the file's tensors under their original names.
//! Matrices are in single precision, so what remains is our cache in half precision.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::io::Cursor;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{
    gemma3, llama, mistral, phi3, quantized_llama, quantized_phi3, quantized_qwen2, quantized_qwen3,
    qwen3_moe,
};
use casemate_inference::{Error, Isa, LoadOptions, Model};
use common::{EXPERT_WIDTH, EXPERTS, SMALL, Sizes, Writer, model_of};

/// Of logits whose spread is about 3.
/// Keys and values are kept in half precision, and where there are tiles attended to in bfloat16.
const TOLERANCE: f32 = 5e-2;
const TOKENS: usize = 24;
/// Tokens read at once; the others one by one.
const PREFILL: usize = 14;

fn tokens() -> Vec<u32> {
    (0..TOKENS).map(|i| ((i * 37 + i * i * 5 + 11) % 256) as u32).collect()
}

fn load(writer: &Writer, isa: Isa) -> Result<Model, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    fs_err::write(&path, writer.build().1).unwrap();
    Model::load_with(&path, &LoadOptions { isa: Some(isa), ..LoadOptions::default() })
}

/// Logits after the first [`PREFILL`] tokens and after each that follows.
fn ours(writer: &Writer) -> Vec<Vec<f32>> {
    ours_with(writer, Isa::best())
}

fn ours_with(writer: &Writer, isa: Isa) -> Vec<Vec<f32>> {
    let model = load(writer, isa).unwrap();
    let tokens = tokens();
    let mut session = model.session(TOKENS).unwrap();
    session.read(&tokens[..PREFILL], &mut |_| {}).unwrap();
    let mut logits = vec![session.logits().unwrap()];
    for token in &tokens[PREFILL..] {
        session.read(&[*token], &mut |_| {}).unwrap();
        logits.push(session.logits().unwrap());
    }
    logits
}

fn input(tokens: &[u32]) -> Tensor {
    Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

/// What a reference that keeps a cache says, in the same steps.
fn stepwise(mut forward: impl FnMut(&Tensor, usize) -> candle_core::Result<Tensor>) -> Vec<Vec<f32>> {
    let tokens = tokens();
    let mut run = |part: &[u32], at: usize| {
        let logits = forward(&input(part), at).unwrap().flatten_all().unwrap();
        logits.to_dtype(DType::F32).unwrap().to_vec1().unwrap()
    };
    let mut logits = vec![run(&tokens[..PREFILL], 0)];
    logits.extend((PREFILL..TOKENS).map(|at| run(&tokens[at..=at], at)));
    logits
}

/// What a reference says that takes one token after another: candle's gemma3 takes no more at once, and keeps
/// no more than a window of them where the layer has one.
fn singly(mut forward: impl FnMut(&Tensor, usize) -> candle_core::Result<Tensor>) -> Vec<Vec<f32>> {
    let tokens = tokens();
    let logits = |at: usize| forward(&input(&tokens[at..=at]), at).unwrap().flatten_all().unwrap();
    let logits = (0..TOKENS).map(logits).map(|logits| logits.to_vec1().unwrap());
    logits.skip(PREFILL - 1).collect()
}

/// What a reference says that is given the whole text each time: candle's mistral keeps more in its cache
/// than its mask lets through.
fn whole(mut forward: impl FnMut(&Tensor) -> candle_core::Result<Tensor>) -> Vec<Vec<f32>> {
    let tokens = tokens();
    let logits = |end: usize| forward(&input(&tokens[..end])).unwrap().flatten_all().unwrap();
    (PREFILL..=TOKENS).map(logits).map(|logits| logits.to_vec1().unwrap()).collect()
}

fn spread(logits: &[f32]) -> f32 {
    (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt()
}

/// The largest difference, and the root mean square of differences relative to the logits' own.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> (f32, f32) {
    assert_eq!(a.len(), b.len());
    let mut largest = (0.0f32, 0.0f32);
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().all(|x| x.is_finite()));
        let differences: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
        let most = differences.iter().copied().fold(0.0, f32::max);
        largest = (largest.0.max(most), largest.1.max(spread(&differences) / spread(b)));
    }
    largest
}

#[track_caller]
fn close(what: &str, ours: &[Vec<f32>], theirs: &[Vec<f32>]) {
    let (most, relative) = difference(ours, theirs);
    println!("{what}: {most:.5} at most, {relative:.5} relative, logits of {:.2}", spread(&theirs[0]));
    assert!(most < TOLERANCE, "{what}: logits differ by {most}");
}

/// That what is tested matters: without it the logits are others.
#[track_caller]
fn matters(what: &str, with: &Writer, without: &Writer) {
    let (most, _) = difference(&ours(with), &ours(without));
    assert!(most > 10.0 * TOLERANCE, "{what} makes a difference of {most} only");
}

/// candle's decoder for quantised files of this architecture.
fn stock(writer: &Writer, architecture: &str) -> Vec<Vec<f32>> {
    let mut file = Cursor::new(writer.build().1);
    let content = Content::read(&mut file).unwrap();
    match architecture {
        "llama" => {
            let mut model =
                quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            stepwise(|tokens, at| model.forward(tokens, at))
        }
        "qwen2" => {
            let mut model =
                quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            stepwise(|tokens, at| model.forward(tokens, at))
        }
        "qwen3" => {
            let mut model =
                quantized_qwen3::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            stepwise(|tokens, at| model.forward(tokens, at))
        }
        "phi3" => {
            let mut model =
                quantized_phi3::ModelWeights::from_gguf(false, content, &mut file, &Device::Cpu).unwrap();
            stepwise(|tokens, at| model.forward(tokens, at))
        }
        other => panic!("no stock decoder for {other}"),
    }
}

/// The file's tensors under the names they had before conversion.
fn originals(writer: &Writer, architecture: &str) -> VarBuilder<'static> {
    let mut tensors = HashMap::new();
    for (name, shape, values) in writer.tensors() {
        let mut values = values.to_vec();
        if architecture == "gemma3" && name.contains("norm") {
            values.iter_mut().for_each(|value| *value -= 1.0);
        }
        if architecture == "llama" && (name.contains("attn_q.") || name.contains("attn_k.")) {
            values = unpermuted(&values, shape[1]);
        }
        let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap();
        if let Some((layer, part)) = name.split_once("_exps.").and_then(|(stem, _)| stem.rsplit_once(".ffn_"))
        {
            let layer = layer.strip_prefix("blk.").unwrap();
            for expert in 0..shape[0] {
                let name = format!("model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight");
                tensors.insert(name, tensor.get(expert).unwrap());
            }
            continue;
        }
        tensors.insert(original(name, architecture), tensor);
    }
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

/// Heads' rows in the order (0, 8, 1, 9 …) back in that of (0, 1, 2 …).
fn unpermuted(values: &[f32], columns: usize) -> Vec<f32> {
    let half = SMALL.head_dim as usize / 2;
    let rows: Vec<&[f32]> = values.chunks_exact(columns).collect();
    let head = |head: &[&[f32]]| -> Vec<f32> {
        let first = (0..half).map(|i| head[2 * i]);
        first.chain((0..half).map(|i| head[2 * i + 1])).flatten().copied().collect()
    };
    rows.chunks_exact(2 * half).flat_map(head).collect()
}

fn original(name: &str, architecture: &str) -> String {
    let after_attention = match architecture {
        "gemma3" => "pre_feedforward_layernorm",
        _ => "post_attention_layernorm",
    };
    let up = if architecture == "phi3" { "mlp.gate_up_proj" } else { "mlp.up_proj" };
    let parts = [
        ("token_embd", "model.embed_tokens"),
        ("output_norm", "model.norm"),
        ("post_attention_norm", "post_attention_layernorm"),
        ("post_ffw_norm", "post_feedforward_layernorm"),
        ("attn_norm", "input_layernorm"),
        ("ffn_norm", after_attention),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("attn_qkv", "self_attn.qkv_proj"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_gate_inp", "mlp.gate"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", up),
        ("ffn_down", "mlp.down_proj"),
        ("output", "lm_head"),
    ];
    let (stem, rest) = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((layer, rest)) => (format!("model.layers.{layer}."), rest),
        None => (String::new(), name),
    };
    let (part, kind) = rest.rsplit_once('.').unwrap();
    match parts.iter().find(|(gguf, _)| *gguf == part) {
        Some((_, original)) => format!("{stem}{original}.{kind}"),
        None => name.to_owned(),
    }
}

#[test]
fn llama() {
    let writer = model_of("llama", SMALL);
    close("llama", &ours(&writer), &stock(&writer, "llama"));
}

#[test]
fn qwen2() {
    let writer = model_of("qwen2", SMALL);
    close("qwen2", &ours(&writer), &stock(&writer, "qwen2"));
    let tied = writer.without("output.weight");
    close("qwen2, tied", &ours(&tied), &stock(&tied, "qwen2"));
}

#[test]
fn qwen3() {
    // Heads are wider together than the embedding.
    let writer = model_of("qwen3", Sizes { head_dim: 32, ..SMALL });
    close("qwen3", &ours(&writer), &stock(&writer, "qwen3"));
}

#[test]
fn phi3_fused() {
    let writer = model_of("phi3", SMALL);
    close("phi3", &ours(&writer), &stock(&writer, "phi3"));
}

fn phi3_config() -> phi3::Config {
    phi3::Config {
        vocab_size: 258,
        hidden_act: Activation::Silu,
        hidden_size: SMALL.embedding as usize,
        intermediate_size: SMALL.feed_forward as usize,
        num_hidden_layers: SMALL.layers,
        num_attention_heads: SMALL.heads as usize,
        num_key_value_heads: SMALL.kv_heads as usize,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling: None,
        max_position_embeddings: 4096,
        original_max_position_embeddings: None,
        partial_rotary_factor: None,
        tie_word_embeddings: false,
    }
}

#[test]
fn phi3_turns_a_part_of_each_head() {
    let full = model_of("phi3", SMALL);
    let writer = full.clone().without("phi3.rope.dimension_count").number("phi3.rope.dimension_count", 12);
    let config = phi3::Config { partial_rotary_factor: Some(0.75), ..phi3_config() };
    let mut model = phi3::Model::new(&config, originals(&writer, "phi3")).unwrap();
    close("phi3, partial", &ours(&writer), &stepwise(|tokens, at| model.forward(tokens, at)));
    matters("partial rotation", &writer, &full);
}

#[test]
fn phi3_long_rope() {
    let long: Vec<f32> = (0..8).map(|i| 1.0 + i as f32 * 0.7).collect();
    let short: Vec<f32> = (0..8).map(|i| 1.0 + i as f32 * 0.1).collect();
    let plain = model_of("phi3", SMALL);
    let writer = plain
        .clone()
        .values("rope_factors_long.weight", &[8], long.clone())
        .values("rope_factors_short.weight", &[8], short.clone())
        .float("phi3.rope.scaling.attn_factor", 1.0)
        .number("phi3.rope.scaling.original_context_length", 2048);
    // candle multiplies frequencies by the factors where the paper and transformers divide, and turns to the
    // long ones at the original length.
    let inverse = |factors: &[f32]| factors.iter().map(|factor| 1.0 / factor).collect();
    let scaling = phi3::RopeScaling {
        short_factor: inverse(&short),
        long_factor: inverse(&long),
        type_: phi3::RopeScalingType::LongRope,
    };
    let config = phi3::Config {
        rope_scaling: Some(scaling.clone()),
        original_max_position_embeddings: Some(1),
        ..phi3_config()
    };
    let mut model = phi3::Model::new(&config, originals(&writer, "phi3")).unwrap();
    close("phi3, long", &ours(&writer), &stepwise(|tokens, at| model.forward(tokens, at)));
    matters("long factors", &writer, &plain);
    // A model no longer than its original context uses the short ones.
    let within = writer
        .clone()
        .without("phi3.rope.scaling.original_context_length")
        .number("phi3.rope.scaling.original_context_length", 4096);
    let config = phi3::Config { rope_scaling: Some(scaling), ..phi3_config() };
    let mut model = phi3::Model::new(&config, originals(&writer, "phi3")).unwrap();
    close("phi3, short", &ours(&within), &stepwise(|tokens, at| model.forward(tokens, at)));
    // Turned queries and keys grow by the attention factor, so scores by its square.
    let implied = writer.clone().without("phi3.rope.scaling.attn_factor");
    let grown = implied.clone().float("phi3.rope.scaling.attn_factor", 1.5);
    let scaled = writer.float("phi3.attention.scale", 1.5 * 1.5 / 4.0);
    close("phi3, attention factor", &ours(&grown), &ours(&scaled));
    // By default it follows from the two lengths.
    let factor = (1.0f32 + 2f32.ln() / 2048f32.ln()).sqrt();
    let stated = implied.clone().float("phi3.rope.scaling.attn_factor", factor);
    close("phi3, implied factor", &ours(&implied), &ours(&stated));
}

fn gemma3_config(pattern: usize) -> gemma3::Config {
    gemma3::Config {
        attention_bias: false,
        head_dim: SMALL.head_dim as usize,
        hidden_activation: Activation::GeluPytorchTanh,
        hidden_size: SMALL.embedding as usize,
        intermediate_size: SMALL.feed_forward as usize,
        num_attention_heads: SMALL.heads as usize,
        num_hidden_layers: 7,
        num_key_value_heads: SMALL.kv_heads as usize,
        rms_norm_eps: 1e-5,
        rope_theta: 1_000_000.0,
        rope_local_base_freq: 10_000.0,
        vocab_size: 258,
        final_logit_softcapping: None,
        attn_logit_softcapping: None,
        query_pre_attn_scalar: SMALL.head_dim as usize,
        sliding_window: 5,
        sliding_window_pattern: pattern,
        max_position_embeddings: 4096,
    }
}

#[test]
fn gemma3() {
    let writer = model_of("gemma3", Sizes { layers: 7, ..SMALL })
        .without("gemma3.rope.freq_base")
        .float("gemma3.rope.freq_base", 1_000_000.0);
    let theirs = |pattern: usize| {
        let weights = originals(&writer, "gemma3");
        let mut model = gemma3::Model::new(false, &gemma3_config(pattern), weights).unwrap();
        singly(|tokens, at| model.forward(tokens, at))
    };
    close("gemma3", &ours(&writer), &theirs(6));
    let pattern = writer.clone().number("gemma3.attention.sliding_window_pattern", 3);
    close("gemma3, every third", &ours(&pattern), &theirs(3));
    matters("the pattern of windows", &pattern, &writer);
    let by_layer = writer.clone().integers("gemma3.attention.sliding_window_pattern", &[1, 1, 0, 1, 1, 0, 1]);
    close("gemma3, by layer", &ours(&by_layer), &ours(&pattern));
}

#[test]
fn qwen3_moe() {
    let writer = model_of("qwen3moe", SMALL);
    let config = qwen3_moe::Config {
        vocab_size: 258,
        hidden_size: SMALL.embedding as usize,
        intermediate_size: SMALL.feed_forward as usize,
        num_hidden_layers: SMALL.layers,
        num_attention_heads: SMALL.heads as usize,
        head_dim: SMALL.head_dim as usize,
        attention_bias: false,
        num_key_value_heads: SMALL.kv_heads as usize,
        max_position_embeddings: 4096,
        sliding_window: None,
        max_window_layers: 0,
        tie_word_embeddings: false,
        rope_theta: 10_000.0,
        rms_norm_eps: 1e-5,
        use_sliding_window: false,
        hidden_act: Activation::Silu,
        decoder_sparse_step: 1,
        moe_intermediate_size: EXPERT_WIDTH as usize,
        num_experts_per_tok: 2,
        num_experts: EXPERTS as usize,
        norm_topk_prob: true,
    };
    let mut model = qwen3_moe::ModelForCausalLM::new(&config, originals(&writer, "qwen3moe")).unwrap();
    close("qwen3moe", &ours(&writer), &stepwise(|tokens, at| model.forward(tokens, at)));
}

/// Mixtral as converted in 2023, which is what candle reads, and as converted since.
#[test]
fn mixtral() {
    let stacked = (0..SMALL.layers).fold(model_of("llama", SMALL), |writer, layer| {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        ["ffn_gate", "ffn_up", "ffn_down"]
            .iter()
            .fold(writer, |writer, tensor| writer.without(&name(tensor)))
            .tensor(&name("ffn_gate_inp"), &[SMALL.embedding, EXPERTS])
            .tensor(&name("ffn_gate_exps"), &[SMALL.embedding, SMALL.feed_forward, EXPERTS])
            .tensor(&name("ffn_up_exps"), &[SMALL.embedding, SMALL.feed_forward, EXPERTS])
            .tensor(&name("ffn_down_exps"), &[SMALL.feed_forward, SMALL.embedding, EXPERTS])
    });
    let stacked = stacked.number("llama.expert_count", EXPERTS as u32).number("llama.expert_used_count", 2);
    let mut single = stacked.clone();
    for (name, shape, values) in stacked.tensors().filter(|(name, ..)| name.contains("_exps")) {
        single = single.without(name);
        let size = shape[1] * shape[2];
        for (expert, values) in values.chunks_exact(size).enumerate() {
            let name = name.replace("_exps", &format!(".{expert}"));
            single = single.values(&name, &[shape[2] as u64, shape[1] as u64], values.to_vec());
        }
    }
    let theirs = stock(&single, "llama");
    close("mixtral, single", &ours(&single), &theirs);
    close("mixtral, stacked", &ours(&stacked), &theirs);
}

/// candle's mask lets a row see `before` tokens before its own; transformers' a window with its own.
fn mistral_config(before: usize) -> mistral::Config {
    mistral::Config {
        vocab_size: 258,
        hidden_size: SMALL.embedding as usize,
        intermediate_size: SMALL.feed_forward as usize,
        num_hidden_layers: SMALL.layers,
        num_attention_heads: SMALL.heads as usize,
        head_dim: None,
        num_key_value_heads: SMALL.kv_heads as usize,
        hidden_act: Activation::Silu,
        max_position_embeddings: 4096,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        sliding_window: Some(before),
        use_flash_attn: false,
    }
}

#[test]
fn mistral_windows() {
    let plain = model_of("llama", SMALL);
    let writer = plain.clone().number("llama.attention.sliding_window", 6);
    let config = mistral_config(5);
    let mut model = mistral::Model::new(&config, originals(&writer, "llama")).unwrap();
    let theirs = whole(|tokens| {
        model.clear_kv_cache();
        model.forward(tokens, 0)
    });
    close("mistral", &ours(&writer), &theirs);
    matters("the window", &writer, &plain);
    for architecture in ["mistral", "mistral3"] {
        let own =
            model_of(architecture, SMALL).number(&format!("{architecture}.attention.sliding_window"), 6);
        close(architecture, &ours(&own), &theirs);
    }
}

/// The cache lies in pages of 64 tokens: a window that begins within one, of rows read together and alone.
#[test]
fn windows_across_pages() {
    let text: Vec<u32> = (0..200).map(|i| ((i * 31 + i * i) % 256) as u32).collect();
    let writer = model_of("llama", SMALL).number("llama.attention.sliding_window", 75);
    let model = load(&writer, Isa::best()).unwrap();
    let config = mistral_config(74);
    let mut stock = mistral::Model::new(&config, originals(&writer, "llama")).unwrap();
    let mut session = model.session(200).unwrap();
    let mut read = 0;
    for end in [74, 75, 76, 139, 140, 199, 200] {
        session.read(&text[read..end], &mut |_| {}).unwrap();
        read = end;
        stock.clear_kv_cache();
        let theirs = stock.forward(&input(&text[..end]), 0).unwrap().flatten_all().unwrap();
        close(&format!("{end} tokens"), &[session.logits().unwrap()], &[theirs.to_vec1().unwrap()]);
    }
}

#[test]
fn llama3_frequencies() {
    let (factor, low, high, original) = (8.0f64, 1.0f64, 4.0f64, 16.0f64);
    let divisor = |pair: usize| {
        let wavelength = std::f64::consts::TAU * 10_000f64.powf(pair as f64 / 8.0);
        if wavelength < original / high {
            return 1.0;
        }
        if wavelength > original / low {
            return factor as f32;
        }
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
    };
    let plain = model_of("llama", SMALL);
    let writer = plain.clone().values("rope_freqs.weight", &[8], (0..8).map(divisor).collect());
    let config = llama::Config {
        hidden_size: SMALL.embedding as usize,
        intermediate_size: SMALL.feed_forward as usize,
        vocab_size: 258,
        num_hidden_layers: SMALL.layers,
        num_attention_heads: SMALL.heads as usize,
        num_key_value_heads: SMALL.kv_heads as usize,
        use_flash_attn: false,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling: Some(llama::Llama3RopeConfig {
            factor: factor as f32,
            low_freq_factor: low as f32,
            high_freq_factor: high as f32,
            original_max_position_embeddings: original as usize,
            rope_type: llama::Llama3RopeType::Llama3,
        }),
        max_position_embeddings: 4096,
        tie_word_embeddings: false,
    };
    let model = llama::Llama::load(originals(&writer, "llama"), &config).unwrap();
    let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
    close("llama 3", &ours(&writer), &stepwise(|tokens, at| model.forward(tokens, at, &mut cache)));
    matters("frequency factors", &writer, &plain);
}

/// Dividing positions by a factor is dividing all frequencies by it.
#[test]
fn linear_scaling() {
    let plain = model_of("llama", SMALL);
    let linear =
        plain.clone().text("llama.rope.scaling.type", "linear").float("llama.rope.scaling.factor", 4.0);
    let older = plain.clone().float("llama.rope.scale_linear", 4.0);
    let factors = plain.clone().values("rope_freqs.weight", &[8], vec![4.0; 8]);
    let theirs = ours(&factors);
    close("linear", &ours(&linear), &theirs);
    close("linear, older key", &ours(&older), &theirs);
    matters("linear scaling", &linear, &plain);
    // gemma3 scales positions of the layers without a window only.
    let plain = model_of("gemma3", SMALL);
    let linear =
        plain.clone().text("gemma3.rope.scaling.type", "linear").float("gemma3.rope.scaling.factor", 4.0);
    close("gemma3, windowed layers only", &ours(&linear), &ours(&plain));
}

#[test]
fn instruction_sets_agree() {
    for architecture in ["llama", "qwen3moe", "gemma3", "phi3"] {
        let plain = model_of(architecture, SMALL);
        let halves = plain.clone().quantised(GgmlDType::F16);
        let exact = ours_with(&plain, Isa::Portable);
        for isa in [Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Amx].into_iter().filter(|isa| isa.is_available())
        {
            close(&format!("{architecture} {isa}"), &ours_with(&plain, isa), &exact);
            // Rounding may choose other experts.
            if architecture != "qwen3moe" {
                let (_, relative) = difference(&ours_with(&halves, isa), &exact);
                assert!(relative < ROUNDING, "{architecture} {isa}: {relative}");
            }
        }
    }
}

/// Root mean square of the difference that rounding activations to eight bits makes, relative to the logits.
const ROUNDING: f32 = 0.08;

#[test]
fn quantised_files_agree_with_stock() {
    for architecture in ["llama", "qwen2", "qwen3", "phi3"] {
        let writer = model_of(architecture, SMALL).quantised(GgmlDType::Q8_0);
        let (_, relative) = difference(&ours(&writer), &stock(&writer, architecture));
        println!("{architecture}: {relative:.4}");
        assert!(relative < ROUNDING, "{architecture}: {relative}");
    }
}

/// Every storage type against the values it stands for in single precision.
#[test]
fn every_quantisation() {
    // 288 and 96: multiples of 32 but not of 64 or 256.
    let odd = Sizes { embedding: 288, heads: 6, kv_heads: 3, head_dim: 48, feed_forward: 160, layers: 2 };
    let even = Sizes { embedding: 256, heads: 4, kv_heads: 2, head_dim: 64, feed_forward: 512, layers: 2 };
    let legacy = [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::F16,
        GgmlDType::BF16,
    ];
    let k = [GgmlDType::Q2K, GgmlDType::Q3K, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];
    for (dtype, sizes) in legacy.map(|dtype| (dtype, odd)).into_iter().chain(k.map(|dtype| (dtype, even))) {
        let writer = model_of("llama", sizes).quantised(dtype);
        let exact = ours(&writer.rounded());
        let (_, relative) = difference(&ours(&writer), &exact);
        println!("{dtype:?}: {relative:.4}");
        assert!(relative < ROUNDING, "{dtype:?}: {relative}");
    }
    // Rows of 48 values fit halves only: the last block of a packed row is not full.
    let narrow = Sizes { embedding: 48, heads: 3, kv_heads: 1, head_dim: 16, feed_forward: 80, layers: 2 };
    for dtype in [GgmlDType::F16, GgmlDType::BF16] {
        let writer = model_of("llama", narrow).quantised(dtype);
        let (_, relative) = difference(&ours(&writer), &ours(&writer.rounded()));
        println!("{dtype:?}, 48 wide: {relative:.4}");
        assert!(relative < ROUNDING, "{dtype:?}: {relative}");
    }
}

/// Parts of fused and stacked tensors are packed from the right rows.
#[test]
fn parts_of_quantised_tensors() {
    for (architecture, dtype) in [
        ("phi3", GgmlDType::Q4_0),
        ("phi3", GgmlDType::Q8_0),
        ("phi3", GgmlDType::F16),
        ("qwen3moe", GgmlDType::Q8_0),
        ("qwen3moe", GgmlDType::BF16),
        ("gemma3", GgmlDType::Q5_1),
    ] {
        // Experts need inner dimensions of whole blocks; and all of them, lest rounding choose others.
        let writer = match architecture {
            "qwen3moe" => whole_blocks(model_of(architecture, SMALL)),
            _ => model_of(architecture, SMALL),
        };
        let writer = writer.quantised(dtype);
        let (_, relative) = difference(&ours(&writer), &ours(&writer.rounded()));
        println!("{architecture} {dtype:?}: {relative:.4}");
        assert!(relative < ROUNDING, "{architecture} {dtype:?}: {relative}");
    }
}

fn whole_blocks(writer: Writer) -> Writer {
    let key = "qwen3moe.expert_feed_forward_length";
    let used = "qwen3moe.expert_used_count";
    let writer = writer.without(key).number(key, 64).without(used).number(used, EXPERTS as u32);
    (0..SMALL.layers).fold(writer, |writer, layer| {
        let name = |part: &str| format!("blk.{layer}.ffn_{part}_exps.weight");
        ["gate", "up", "down"]
            .iter()
            .fold(writer, |writer, part| writer.without(&name(part)))
            .tensor(&name("gate"), &[SMALL.embedding, 64, EXPERTS])
            .tensor(&name("up"), &[SMALL.embedding, 64, EXPERTS])
            .tensor(&name("down"), &[64, SMALL.embedding, EXPERTS])
    })
}
