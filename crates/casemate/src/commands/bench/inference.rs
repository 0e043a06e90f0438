//! `casemate bench inference`: the decoder's speed, memory and exactness.

use super::engine::{Engine, Kind, Request, Setting};
use super::{Better, Row, median, text};
use crate::cli::{Global, InferenceBenchArgs};
use crate::failure::{Failure, Outcome};
use crate::models;
use anyhow::anyhow;
use casemate_inference::{LoadOptions, Model, reference};
use std::collections::BTreeMap;
use std::path::Path;

/// Tokens of each text whose next-token distributions are compared.
const SEGMENT: usize = 256;
/// Texts compared.
const SEGMENTS: usize = 4;
/// Tokens that the longest measurement takes in all sequences, and some more.
const CAPACITY: usize = 8192;
/// The same where a process reads no more than 512 at once: room costs memory.
const SMALL_CAPACITY: usize = 1024;

pub(super) fn run(global: &Global, args: &InferenceBenchArgs) -> Outcome<Vec<Row>> {
    let model = models::decoder_path(&args.model, &global.model_dirs())?;
    let tiny = || match args.tiny.as_str() {
        "none" => Ok(None),
        tiny => models::decoder_path(tiny, &global.model_dirs()).map(Some),
    };
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let setting = Setting {
        python: args.peer_python.clone(),
        isa: args.isa.map(|isa| isa.to_string()),
        threads,
        capacity: CAPACITY,
    };
    let mut kinds = vec![Kind::Ours];
    let mut stock = false;
    for peer in &args.peer {
        match peer.as_str() {
            "llama.cpp" => kinds.push(Kind::LlamaCpp),
            "openvino" => kinds.push(Kind::OpenVino),
            "stock-candle" => stock = true,
            other => {
                let known = "llama.cpp, openvino or, for --quality, stock-candle";
                return Err(Failure::input(anyhow!("no peer {other:?}: give {known}")));
            }
        }
    }
    if let (Some(kind), None) = (kinds.get(1), &args.peer_python) {
        let name = kind.name();
        return Err(Failure::input(anyhow!(
            "{name} needs a Python that has it: give one with --peer-python"
        )));
    }
    let bench = Bench { kinds, stock, setting, runs: args.runs.max(1) };
    if args.quality {
        let mut rows = bench.quality(&model, &args.text, "")?;
        if let Some(tiny) = tiny()? {
            rows.extend(bench.quality(&tiny, &args.text, "_tiny")?);
        }
        return Ok(rows);
    }
    let known: Vec<&str> =
        SPEEDS.iter().map(|(name, _)| *name).chain(["prefill_2048_tiny", "peak_rss", "load"]).collect();
    if let Some(row) = args.rows.iter().find(|row| !known.contains(&row.as_str())) {
        return Err(Failure::input(anyhow!("no row {row:?}: there are {}", known.join(", "))));
    }
    let wanted = |name: &str| args.rows.is_empty() || args.rows.iter().any(|row| row == name);
    let mut rows = Vec::new();
    let speeds: Vec<_> = SPEEDS.iter().copied().filter(|(name, _)| wanted(name)).collect();
    rows.extend(bench.speeds(&model, &speeds)?);
    if wanted("prefill_2048_tiny")
        && let Some(tiny) = tiny()?
    {
        rows.extend(bench.speeds(&tiny, &[("prefill_2048_tiny", Task::Prefill(2048))])?);
    }
    if wanted("peak_rss") || wanted("load") {
        rows.extend(bench.fresh(&model, wanted("peak_rss"), wanted("load"))?);
    }
    Ok(rows)
}

/// What is timed.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Reading so many tokens.
    Prefill(usize),
    /// Writing 32 tokens after so many.
    Decode(usize),
    /// 32 suffixes of 24 tokens after a prefix of 1,500.
    Score,
    /// 32 tokens of each of 8 sequences after a common prefix of 1,024 and 8 of their own.
    Batch,
}

const SPEEDS: [(&str, Task); 7] = [
    ("prefill_512", Task::Prefill(512)),
    ("prefill_2048", Task::Prefill(2048)),
    ("prefill_4096", Task::Prefill(4096)),
    ("decode_512", Task::Decode(512)),
    ("decode_2048", Task::Decode(2048)),
    ("score_32_on_1500", Task::Score),
    ("batch_decode_8", Task::Batch),
];

const WRITTEN: usize = 32;

impl Task {
    /// The request for one run and how many units it makes; every run has text of its own, so that nothing
    /// that an engine keeps helps it.
    fn request(self, model: &Model, run: u64) -> Outcome<(Request, usize)> {
        let tokens = |part: u64, count: usize| text::tokens(model, run * 1000 + part, count);
        let suffixes = |count: usize, length: usize| {
            (0..count).map(|i| tokens(i as u64 + 1, length)).collect::<Outcome<Vec<_>>>()
        };
        Ok(match self {
            Self::Prefill(count) => (Request::Prefill { tokens: tokens(0, count)? }, count),
            Self::Decode(count) => (Request::Decode { tokens: tokens(0, count)?, count: WRITTEN }, WRITTEN),
            Self::Score => {
                let candidates = tokens(99, 3)?;
                (Request::Score { prefix: tokens(0, 1500)?, suffixes: suffixes(32, 24)?, candidates }, 32)
            }
            Self::Batch => {
                let (prefix, suffixes) = (tokens(0, 1024)?, suffixes(8, 8)?);
                (Request::Batch { prefix, suffixes, count: WRITTEN }, 8 * WRITTEN)
            }
        })
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Score => "answers/s",
            _ => "tokens/s",
        }
    }
}

struct Bench {
    kinds: Vec<Kind>,
    stock: bool,
    setting: Setting,
    runs: usize,
}

impl Bench {
    /// Starts an engine and has it answer a first request. A peer that cannot is left out, with the reason
    /// on stderr.
    fn start(
        &self,
        kind: Kind,
        path: &Path,
        setting: &Setting,
        first: &Request,
    ) -> Outcome<Option<(Engine, f64)>> {
        let start = || {
            let mut engine = Engine::start(kind, path, setting)?;
            let seconds = engine.seconds(first)?;
            Ok((engine, seconds))
        };
        self.unless_peer("start", kind, start())
    }

    /// What came out; of a peer that failed nothing, with the reason on stderr.
    fn unless_peer<T>(&self, what: &str, kind: Kind, outcome: Outcome<T>) -> Outcome<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(failure) if kind != Kind::Ours => {
                tracing::warn!("{what} without {}: {failure}", kind.name());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// All engines with the model in memory, one request after the other, engine by engine.
    fn speeds(&self, path: &Path, tasks: &[(&str, Task)]) -> Outcome<Vec<Row>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let model = self.tokenizer(path)?;
        let warm_up = Request::Prefill { tokens: text::tokens(&model, 7, 300)? };
        let of_task = |(index, (_, task)): (usize, &(&str, Task))| {
            let request = |run| task.request(&model, (1 + index * 100 + run) as u64);
            (0..self.runs).map(request).collect::<Outcome<Vec<_>>>()
        };
        let requests = tasks.iter().enumerate().map(of_task).collect::<Outcome<Vec<_>>>()?;
        drop(model);
        let mut engines = Vec::new();
        for kind in &self.kinds {
            // Loaded and warm before anything is timed.
            engines.push(self.start(*kind, path, &self.setting, &warm_up)?.map(|(engine, _)| engine));
        }
        let mut rows = Vec::new();
        for ((name, task), requests) in tasks.iter().zip(requests) {
            let mut rates = vec![Vec::new(); engines.len()];
            for (run, (request, units)) in requests.iter().enumerate() {
                for (engine, rates) in engines.iter_mut().zip(&mut rates) {
                    let Some(engine) = engine else { continue };
                    let seconds = engine.seconds(request);
                    if let Some(seconds) = self.unless_peer(name, engine.kind, seconds)? {
                        rates.push(*units as f64 / seconds.max(1e-9));
                    }
                }
                tracing::info!("{name}: run {} of {}", run + 1, self.runs);
            }
            rows.extend(self.row(name, task.unit(), Better::More, rates));
        }
        Ok(rows)
    }

    /// Each run in new processes: memory after reading 512 tokens, and time from start to first token.
    fn fresh(&self, path: &Path, memory: bool, load: bool) -> Outcome<Vec<Row>> {
        let model = self.tokenizer(path)?;
        let first = Request::First { tokens: text::tokens(&model, 8, 16)? };
        let prefill = Request::Prefill { tokens: text::tokens(&model, 9, 512)? };
        drop(model);
        let setting = Setting { capacity: SMALL_CAPACITY, ..self.setting.clone() };
        let (mut seconds, mut bytes) =
            (vec![Vec::new(); self.kinds.len()], vec![Vec::new(); self.kinds.len()]);
        for _ in 0..self.runs {
            for (index, kind) in self.kinds.iter().enumerate() {
                let Some((mut engine, loading)) = self.start(*kind, path, &setting, &first)? else {
                    continue;
                };
                seconds[index].push(loading);
                if !memory {
                    continue;
                }
                let reply = engine.seconds(&prefill).and_then(|_| engine.ask(&Request::Memory));
                let reply = self.unless_peer("peak_rss", *kind, reply)?;
                bytes[index].extend(reply.and_then(|reply| reply.bytes).map(|bytes| bytes as f64));
            }
        }
        let mut rows = Vec::new();
        if memory && let Some(mut row) = self.row("peak_rss", "bytes", Better::Less, bytes) {
            row.more.insert("of_file", row.ours / fs_err::metadata(path)?.len().max(1) as f64);
            rows.push(row);
        }
        if load {
            rows.extend(self.row("load", "s", Better::Less, seconds));
        }
        Ok(rows)
    }

    fn row(&self, name: &str, unit: &'static str, better: Better, figures: Vec<Vec<f64>>) -> Option<Row> {
        let mut medians =
            self.kinds.iter().zip(figures).filter_map(|(kind, figures)| Some((kind, median(figures)?)));
        let (_, ours) = medians.next()?;
        let peers = medians.map(|(kind, figure)| (kind.name().to_owned(), figure)).collect();
        Some(Row::new(name, unit, better, ours, peers, self.runs))
    }

    /// Next-token distributions against exact arithmetic, on log text.
    fn quality(&self, path: &Path, texts: &Path, suffix: &str) -> Outcome<Vec<Row>> {
        let segments = self.segments(path, texts)?;
        let reference = reference::Float::load(path)?.logits(&segments)?;
        tracing::info!("exact distributions are ready");
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("logits");
        let mut ours = [Distance::default(), Distance::default()];
        let mut peers: BTreeMap<String, Distance> = BTreeMap::new();
        for kind in self.kinds.iter().copied() {
            match kind {
                Kind::Ours => {
                    let mut engine = Engine::start(kind, path, &self.setting)?;
                    for (distance, stepwise) in ours.iter_mut().zip([false, true]) {
                        *distance = distance_of(&mut engine, &segments, &reference, stepwise, &file)?;
                    }
                }
                Kind::OpenVino => tracing::warn!("quality without openvino: it does not give its scores out"),
                Kind::LlamaCpp => {
                    let distance = Engine::start(kind, path, &self.setting)
                        .and_then(|mut engine| distance_of(&mut engine, &segments, &reference, false, &file));
                    let distance = self.unless_peer("quality", kind, distance)?;
                    peers.extend(distance.map(|distance| (kind.name().to_owned(), distance)));
                }
            }
        }
        if self.stock {
            let stock = reference::Stock::new(path);
            let mut distance = Distance::default();
            for (tokens, exact) in segments.iter().zip(&reference) {
                exact.iter().zip(stock.logits(tokens)?).for_each(|(a, b)| distance.add(a, &b));
            }
            peers.insert("stock-candle".to_owned(), distance);
        }
        let [prefill, stepwise] = ours;
        let of = |figure: fn(&Distance) -> f64| -> BTreeMap<String, f64> {
            peers.iter().map(|(name, distance)| (name.clone(), figure(distance))).collect()
        };
        let n = prefill.positions;
        let name = format!("kl_divergence{suffix}");
        let mut divergence = Row::new(&name, "nats", Better::Less, prefill.mean(), of(Distance::mean), n);
        divergence.more.insert("ours_stepwise", stepwise.mean());
        let name = format!("top1_agreement{suffix}");
        let mut agreement =
            Row::new(&name, "fraction", Better::More, prefill.agreement(), of(Distance::agreement), n);
        agreement.more.insert("ours_stepwise", stepwise.agreement());
        Ok(vec![divergence, agreement])
    }

    /// Stretches of log text from different files.
    fn segments(&self, path: &Path, texts: &Path) -> Outcome<Vec<Vec<u32>>> {
        let model = self.tokenizer(path)?;
        let mut segments = Vec::new();
        let mut records = text::records(texts, 200)?;
        records.sort_by_key(|records| std::cmp::Reverse(records.iter().map(String::len).sum::<usize>()));
        for records in records {
            let mut tokens = model.tokens_of_data(&records.join("\n"))?;
            if tokens.len() >= SEGMENT && segments.len() < SEGMENTS {
                tokens.truncate(SEGMENT);
                segments.push(tokens);
            }
        }
        match segments.len() {
            SEGMENTS => Ok(segments),
            found => Err(Failure::input(anyhow!(
                "{} has {found} log files of {SEGMENT} tokens where {SEGMENTS} are needed: give others with --text",
                texts.display()
            ))),
        }
    }

    /// The model for its vocabulary alone.
    fn tokenizer(&self, path: &Path) -> Outcome<Model> {
        Model::load_with(path, &LoadOptions::default()).map_err(Failure::input)
    }
}

/// How far an engine's distributions on all segments are from the exact ones; it hands them over in `file`.
fn distance_of(
    engine: &mut Engine,
    segments: &[Vec<u32>],
    exact: &[Vec<Vec<f32>>],
    stepwise: bool,
    file: &Path,
) -> Outcome<Distance> {
    let mut distance = Distance::default();
    for (tokens, exact) in segments.iter().zip(exact) {
        engine.ask(&Request::Logits { tokens: tokens.clone(), path: file.to_owned(), stepwise })?;
        let bytes = fs_err::read(file)?;
        let width = exact.first().map_or(0, Vec::len) * size_of::<f32>();
        if width == 0 || bytes.len() != width * exact.len() {
            let (kind, count) = (engine.kind.name(), bytes.len());
            return Err(anyhow!(
                "{kind} gave {count} bytes of scores where {} make sense",
                width * exact.len()
            )
            .into());
        }
        for (exact, found) in exact.iter().zip(bytes.chunks_exact(width)) {
            let (floats, _) = found.as_chunks::<4>();
            let found: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            distance.add(exact, &found);
        }
    }
    Ok(distance)
}

/// How far distributions are from exact ones.
#[derive(Debug, Default)]
struct Distance {
    divergence: f64,
    agreed: usize,
    positions: usize,
}

impl Distance {
    fn add(&mut self, exact: &[f32], found: &[f32]) {
        let (exact_total, found_total) = (log_total(exact), log_total(found));
        let term = |(exact, found): (&f32, &f32)| {
            let (p, q) = (f64::from(*exact) - exact_total, f64::from(*found) - found_total);
            p.exp() * (p - q)
        };
        self.divergence += exact.iter().zip(found).map(term).sum::<f64>();
        self.agreed += usize::from(best(exact) == best(found));
        self.positions += 1;
    }

    fn mean(&self) -> f64 {
        self.divergence / self.positions.max(1) as f64
    }

    fn agreement(&self) -> f64 {
        self.agreed as f64 / self.positions.max(1) as f64
    }
}

fn log_total(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    logits.iter().map(|x| (f64::from(*x) - max).exp()).sum::<f64>().ln() + max
}

fn best(logits: &[f32]) -> Option<usize> {
    logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let mut distance = Distance::default();
        distance.add(&[0.0, 1.0, 2.0], &[5.0, 6.0, 7.0]);
        assert!(distance.mean().abs() < 1e-9 && distance.agreement() == 1.0);
        distance.add(&[0.0, 0.0], &[2f32.ln(), 0.0]);
        // Half of each: ln(1/2) - (ln(2/3) + ln(1/3)) / 2.
        assert!((distance.divergence - (0.5f64.ln() - (2.0f64 / 9.0).ln() / 2.0)).abs() < 1e-6);
        assert_eq!(distance.agreement(), 0.5);
    }
}
