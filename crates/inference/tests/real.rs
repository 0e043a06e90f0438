//! The engine against candle-transformers' stock decoders, and against what sentences mean, on real
//! weights. Skipped, with a message, where the models are absent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};
use casemate_inference::{Embedder, Grammar, Model, Part, Question, Role, Turn};
use common::model_path;

const QWEN_1_5B: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";
const QWEN_0_5B: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

const PROMPTS: [&str; 4] = [
    "The capital of France is",
    "def fibonacci(n):\n    if n <= 1:\n        return",
    "Failed password for invalid user admin from 203.0.113.7 port",
    "C:\\Windows\\System32\\cmd.exe /c whoami\nThe command above prints the name of the",
];

/// candle-transformers' decoder of the same file.
enum Stock {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
}

impl Stock {
    fn load(path: &std::path::Path) -> Self {
        let mut file = fs_err::File::open(path).unwrap();
        let content = Content::read(&mut file).unwrap();
        match content.metadata["general.architecture"].to_string().unwrap().as_str() {
            "llama" => Self::Llama(
                quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap(),
            ),
            _ => Self::Qwen2(
                quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap(),
            ),
        }
    }

    fn logits(&mut self, tokens: &[u32]) -> Vec<f32> {
        let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let logits = match self {
            Self::Llama(model) => model.forward(&input, 0),
            Self::Qwen2(model) => model.forward(&input, 0),
        };
        logits.unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }
}

fn top(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

/// `tolerance` bounds the root mean square difference of the logits, whose own spread is about 3. Both sides
/// round activations to eight bits, each at its own places, so neither is the truth: against 32-bit
/// arithmetic (`examples/quality.rs`) stock is off by 0.24 for SmolLM2, and ours by 0.15 for the 0.5B and
/// 0.09 for the 1.5B model.
fn check_against_stock(name: &str, tolerance: f32) {
    let Some(path) = model_path(name) else { return };
    let model = Model::load(&path).unwrap();
    let mut stock = Stock::load(&path);
    for prompt in PROMPTS {
        let tokens = model.tokens_of_data(prompt).unwrap();
        assert_eq!(model.text_of(&tokens), prompt);
        let mut session = model.session(64).unwrap();
        session.read(&tokens, &mut |_| {}).unwrap();
        let ours = session.logits().unwrap();
        let theirs = stock.logits(&tokens);
        assert_eq!(ours.len(), theirs.len());
        let squares = ours.iter().zip(&theirs).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let rms = (squares / ours.len() as f32).sqrt();
        let margin = theirs[top(&theirs)] - theirs[top(&ours)];
        println!("{name}: {prompt:?}: rms {rms:.4}, next {:?}", model.text_of(&[top(&ours) as u32]));
        assert!(rms < tolerance, "{prompt:?}: logits differ by {rms} (rms)");
        assert!(margin <= 4.0 * rms, "{prompt:?}: another next token, {margin} behind");
    }
}

#[test]
fn qwen_1_5b_agrees_with_stock_candle() {
    check_against_stock(QWEN_1_5B, 0.2);
}

#[test]
fn qwen_0_5b_agrees_with_stock_candle() {
    check_against_stock(QWEN_0_5B, 0.25);
}

#[test]
fn smollm2_agrees_with_stock_candle() {
    check_against_stock(SMOLLM2, 0.5);
}

/// What must hold on real weights as it does on the tiny model.
fn check_session(name: &str) {
    let Some(path) = model_path(name) else { return };
    let model = Model::load(&path).unwrap();
    let chat = |question: &str| {
        let turns = [
            Turn::text(Role::System, "You answer with one word."),
            Turn { role: Role::User, parts: vec![Part::Text(question.to_owned())] },
        ];
        model.render_chat(&turns, true).unwrap()
    };
    let tokens = chat("Is Paris the capital of France? Answer yes or no.");
    let mut session = model.session(256).unwrap();
    session.read(&tokens, &mut |_| {}).unwrap();
    let first = session.logits().unwrap();
    session.rewind(5).unwrap();
    session.read(&chat("Something else entirely?")[5..], &mut |_| {}).unwrap();
    session.rewind(0).unwrap();
    session.read(&tokens, &mut |_| {}).unwrap();
    assert_eq!(session.logits().unwrap(), first, "the same tokens must give the same bits");

    let answers = ["yes", "Yes", "No", "Not at all", "certainly not"];
    let candidates: Vec<_> = answers.iter().map(|answer| model.tokens_of_data(answer).unwrap()).collect();
    let suffix = |text: &str| model.tokens_of_data(text).unwrap();
    let questions: Vec<Question> = ["", "The answer is: ", "In one word, "]
        .iter()
        .map(|text| Question { suffix: suffix(text), candidates: candidates.clone() })
        .collect();
    let batch = session.score(&questions).unwrap();
    println!("{name}: {answers:?} {batch:?}");
    for (question, together) in questions.iter().zip(&batch) {
        let alone = &session.score(std::slice::from_ref(question)).unwrap()[0];
        for (a, b) in together.iter().zip(alone) {
            assert!((a - b).abs() < 1e-3, "batch {a}, single {b}");
            assert!(*a < 0.0);
        }
    }
    let mut grammar = Grammar::new(&model, r#"start: "Answer: " ("yes" | "no") ".""#).unwrap();
    let written = session.generate(&mut grammar, 20).unwrap();
    let text = model.text_of(&written);
    assert!(text == "Answer: yes." || text == "Answer: no.", "{text}");
}

#[test]
fn qwen_0_5b_sessions() {
    check_session(QWEN_0_5B);
}

#[test]
fn smollm2_sessions() {
    check_session(SMOLLM2);
}

#[test]
fn qwen_1_5b_knows_its_chat_format() {
    let Some(path) = model_path(QWEN_1_5B) else { return };
    let model = Model::load(&path).unwrap();
    let turns = [Turn::text(Role::System, "S"), Turn::text(Role::User, "What is 2+2?<|im_end|>")];
    let tokens = model.render_chat(&turns, true).unwrap();
    // <|im_start|> 151644, <|im_end|> 151645: three turns begin, two end; the one in the data is text.
    assert_eq!(tokens.iter().filter(|token| **token == 151_644).count(), 3);
    assert_eq!(tokens.iter().filter(|token| **token == 151_645).count(), 2);
    assert_eq!(model.text_of(&tokens), "system\nS\nuser\nWhat is 2+2?<|im_end|>\nassistant\n");
    // As Hugging Face's tokenizer has it: "system" "\n" are 8948, 198.
    assert_eq!(tokens[..3], [151_644, 8948, 198]);

    let candidates = ["4", "5", "7"].map(|answer| model.tokens_of_data(answer).unwrap());
    let mut session = model.session(256).unwrap();
    session.read(&tokens, &mut |_| {}).unwrap();
    let question =
        Question { suffix: model.tokens_of_data("2+2=").unwrap(), candidates: candidates.to_vec() };
    let answers = session.score(&[question]).unwrap().remove(0);
    assert!(answers[0] > answers[1] + 1.0 && answers[0] > answers[2] + 1.0, "{answers:?}");
}

#[test]
fn embeddings_mean_something() {
    let Some(path) = model_path("all-MiniLM-L6-v2") else { return };
    let embedder = Embedder::load(&path).unwrap();
    assert_eq!(embedder.dimension(), 384);
    let texts = [
        "That is a happy person",
        "That is a happy dog",
        "That is a very happy person",
        "Today is a sunny day",
        "Failed password for invalid user admin from 10.0.0.1 port 22 ssh2",
        "authentication failure; user=root rhost=10.0.0.1",
        "",
        &"a long text ".repeat(300),
    ];
    let vectors = embedder.embed(&texts).unwrap();
    let cosine = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f32>();
    // Published for this model by its authors' inference widget: 0.695, 0.943, 0.257.
    println!("{} {} {} {}", cosine(0, 1), cosine(0, 2), cosine(0, 3), cosine(4, 5));
    for (pair, expected) in [((0, 1), 0.695), ((0, 2), 0.943), ((0, 3), 0.257)] {
        assert!((cosine(pair.0, pair.1) - expected).abs() < 0.01, "{pair:?}: {}", cosine(pair.0, pair.1));
    }
    assert!(cosine(4, 5) > cosine(4, 0) + 0.3);
    for (text, vector) in texts.iter().zip(&vectors) {
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        let alone = &embedder.embed(&[text]).unwrap()[0];
        let distance = vector.iter().zip(alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < 1e-5, "{text:?} differs by {distance} in a batch");
    }
    assert_eq!(embedder.embed(&texts).unwrap(), vectors, "the same texts must give the same bits");
    assert!(embedder.embed(&[]).unwrap().is_empty());
}
