//! `casemate bench embedding`: the embedder's speed and exactness on log lines.

use super::{Better, Row, median, text};
use crate::cli::{EmbeddingBenchArgs, Global};
use crate::failure::{Failure, Outcome};
use crate::models;
use anyhow::anyhow;
use casemate_inference::{Embedder, reference};
use std::collections::BTreeMap;
use std::time::Instant;

/// Lines embedded at once.
const LINES: usize = 256;
/// Tokens of a line; longer ones are cut.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=64;

pub(super) fn run(global: &Global, args: &EmbeddingBenchArgs) -> Outcome<Vec<Row>> {
    if let Some(peer) = args.peer.iter().find(|peer| *peer != "stock-candle") {
        return Err(Failure::input(anyhow!("no peer {peer:?}: give stock-candle")));
    }
    let directory = models::embedder_dir(&global.model_dirs())?;
    let ours = Embedder::load(&directory).map_err(Failure::input)?;
    let stock = reference::stock_embedder(&directory).map_err(Failure::input)?;
    let lines = lines(args, &ours)?;
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();

    let exact = stock.embed(&lines)?;
    let found = ours.embed(&lines)?;
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
    };
    let least = exact.iter().zip(&found).map(cosine).fold(f64::INFINITY, f64::min);

    let runs = args.runs.max(1);
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        let started = Instant::now();
        ours.embed(&lines)?;
        rates[0].push(lines.len() as f64 / started.elapsed().as_secs_f64());
        if !args.peer.is_empty() {
            let started = Instant::now();
            stock.embed(&lines)?;
            rates[1].push(lines.len() as f64 / started.elapsed().as_secs_f64());
        }
    }
    let [rate, stock] = rates.map(median);
    let peers: BTreeMap<String, f64> =
        stock.map(|rate| ("stock-candle".to_owned(), rate)).into_iter().collect();
    Ok(vec![
        Row::new("embed", "texts/s", Better::More, rate.unwrap_or(0.0), peers, runs),
        Row::new("cosine", "least", Better::More, least, BTreeMap::new(), lines.len()),
    ])
}

/// Log lines of 32 to 64 tokens, from all files.
fn lines(args: &EmbeddingBenchArgs, embedder: &Embedder) -> Outcome<Vec<String>> {
    let records: Vec<String> = text::records(&args.text, 400)?.into_iter().flatten().collect();
    let mut lines = Vec::new();
    for record in records {
        // Lengths of all kinds, as log lines have.
        let most = LENGTHS.start() + lines.len() * 7 % (LENGTHS.end() - LENGTHS.start() + 1);
        lines.extend(cut(record, most, embedder)?);
    }
    if lines.len() < LINES {
        return Err(Failure::input(anyhow!(
            "{} has {} log lines of {LENGTHS:?} tokens where {LINES} are needed: give others with --text",
            args.text.display(),
            lines.len()
        )));
    }
    let step = lines.len() / LINES;
    Ok(lines.into_iter().step_by(step).take(LINES).collect())
}

/// The beginning of a text that has at most so many tokens, unless it has too few to count as a line.
fn cut(mut text: String, most: usize, embedder: &Embedder) -> Outcome<Option<String>> {
    // No token of a log is longer than this on average.
    text.truncate(text.floor_char_boundary(most * 8));
    loop {
        let tokens = embedder.token_count(&text)?;
        if tokens <= most {
            return Ok(LENGTHS.contains(&tokens).then_some(text));
        }
        let shorter = (text.len() * most / tokens).min(text.len() - 1);
        text.truncate(text.floor_char_boundary(shorter));
    }
}
