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

/// Wall-clock and processor time since it was started.
struct Watch {
    started: Instant,
    processor: f64,
}

impl Watch {
    fn start() -> Self {
        Self { started: Instant::now(), processor: processor_seconds() }
    }

    fn report(&self, what: &str, count: usize, unit: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let processor = (processor_seconds() - self.processor).max(0.01);
        let (rate, of_processor) = (count as f64 / seconds, count as f64 / processor);
        println!(
            "  {what:<16} {seconds:>7.2} s {rate:>8.1} {unit}/s {of_processor:>8.1} {unit} per processor second"
        );
    }
}

fn decoder(path: &Path) -> Outcome {
    let watch = Watch::start();
    let model = Model::load(path)?;
    println!("{}", model.info().name);
    watch.report("load", 1, "models");
    println!("  memory after it  {:>7} MB", peak_megabytes());
    let tokens = model.tokens_of_data(&words(16000))?;
    let mut session = model.session(4200)?;
    for length in [2048, 4096] {
        session.rewind(0)?;
        let watch = Watch::start();
        let tokens = &tokens[length * 3 / 7..];
        session.read(&tokens[..length], &mut |_| {})?;
        watch.report(&format!("prefill {length}"), length, "tokens");
        let watch = Watch::start();
        let written = session.generate(&mut Unconstrained, 24)?.len().max(1);
        watch.report(&format!("decode @{length}"), written, "tokens");
    }
    score(&model, &tokens)?;
    println!("  peak memory      {:>7} MB", peak_megabytes());
    Ok(())
}

fn score(model: &Model, tokens: &[u32]) -> Outcome {
    let mut session = model.session(1024)?;
    session.read(&tokens[..700], &mut |_| {})?;
    let answers = [" yes", " no", " not enough evidence"].map(|answer| model.tokens_of_data(answer));
    let candidates: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let suffix = |i: usize| tokens[1000 + 40 * i..1040 + 40 * i].to_vec();
    let questions: Vec<Question> =
        (0..20).map(|i| Question { suffix: suffix(i), candidates: candidates.clone() }).collect();
    let watch = Watch::start();
    session.score(&questions)?;
    watch.report("score, 20 of 40", 20, "questions");
    Ok(())
}

fn embedder(path: &Path) -> Outcome {
    let watch = Watch::start();
    let embedder = Embedder::load(path)?;
    println!("{}", path.file_name().unwrap_or_default().to_string_lossy());
    watch.report("load", 1, "models");
    let all = words(10_000);
    let all: Vec<&str> = all.split(' ').collect();
    let texts: Vec<String> = (0..128).map(|i| all[i * 20..i * 20 + 14 + i % 12].join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    embedder.embed(&texts[..8])?;
    let watch = Watch::start();
    embedder.embed(&texts)?;
    watch.report("embed", texts.len(), "texts");
    println!("  peak memory      {:>7} MB", peak_megabytes());
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

/// User and system time of this process, in ticks of 10 ms (proc(5), fields 14 and 15 of stat).
fn processor_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}
