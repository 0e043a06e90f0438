//! How fast does this machine read, score, write and embed? Prints one line per figure.
//!
//! `speed MODEL.gguf…` measures each decoder; a directory is taken as an embedder.

use std::path::Path;
use std::time::Instant;

use casemate_inference::{Embedder, Model, Question, Unconstrained};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        println!("usage: speed MODEL.gguf… EMBEDDER_DIRECTORY…");
    }
    for argument in &arguments {
        let path = Path::new(argument);
        if path.is_dir() { embedder(path)? } else { decoder(path)? }
    }
    Ok(())
}

fn decoder(path: &Path) -> Outcome {
    let started = Instant::now();
    let model = Model::load(path)?;
    println!("{}", model.info().name);
    println!("  load           {:>8.2} s", started.elapsed().as_secs_f64());
    let text = words(8000);
    let tokens = model.tokens_of_data(&text)?;
    let mut session = model.session(2600)?;
    for length in [512, 1024, 2048] {
        session.rewind(0)?;
        let started = Instant::now();
        session.read(&tokens[..length], &mut |_| {})?;
        println!("  prefill {length:<5}  {:>8.1} tokens/s", length as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        let written = session.generate(&mut Unconstrained, 24)?.len().max(1);
        println!("  decode @{length:<5} {:>8.1} tokens/s", written as f64 / started.elapsed().as_secs_f64());
    }
    score(&model, &tokens)?;
    println!("  peak memory    {:>8} MB", peak_megabytes());
    Ok(())
}

fn score(model: &Model, tokens: &[u32]) -> Outcome {
    let mut session = model.session(1024)?;
    session.read(&tokens[..700], &mut |_| {})?;
    let answers = [" yes", " no", " not enough evidence"].map(|answer| model.tokens_of_data(answer));
    let candidates: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let question = |i: usize| Question {
        suffix: tokens[1000 + 40 * i..1040 + 40 * i].to_vec(),
        candidates: candidates.clone(),
    };
    let questions: Vec<Question> = (0..20).map(question).collect();
    let started = Instant::now();
    session.score(&questions)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("  score 20 x 40  {:>8.2} s ({:.1} questions/s)", seconds, 20.0 / seconds);
    Ok(())
}

fn embedder(path: &Path) -> Outcome {
    let started = Instant::now();
    let embedder = Embedder::load(path)?;
    println!("{}", path.file_name().unwrap_or_default().to_string_lossy());
    println!("  load           {:>8.2} s", started.elapsed().as_secs_f64());
    let all = words(10_000);
    let all: Vec<&str> = all.split(' ').collect();
    let texts: Vec<String> = (0..128).map(|i| all[i * 20..i * 20 + 14 + i % 12].join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    embedder.embed(&texts[..8])?;
    let started = Instant::now();
    embedder.embed(&texts)?;
    println!("  embed          {:>8.1} texts/s", texts.len() as f64 / started.elapsed().as_secs_f64());
    println!("  peak memory    {:>8} MB", peak_megabytes());
    Ok(())
}

/// Text that reads like a log, the same on every run.
fn words(count: usize) -> String {
    const WORDS: [&str; 24] = [
        "sshd",
        "accepted",
        "password",
        "for",
        "root",
        "from",
        "10.0.0.7",
        "port",
        "session",
        "opened",
        "cmd.exe",
        "created",
        "process",
        "whoami",
        "parent",
        "explorer.exe",
        "denied",
        "query",
        "update.example.org",
        "bytes",
        "user",
        "alice",
        "failed",
        "service",
    ];
    let mut state = 12345u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        WORDS[(state >> 33) as usize % WORDS.len()]
    };
    (0..count).map(|_| next()).collect::<Vec<_>>().join(" ")
}

fn peak_megabytes() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
