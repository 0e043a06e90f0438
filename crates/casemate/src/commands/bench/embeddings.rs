//! Vectors to measure on: embeddings of real log lines, and of real lines held out as queries.

use crate::cli::{Global, VectorBenchArgs};
use crate::failure::{Failure, Outcome};
use crate::models;
use anyhow::anyhow;
use casemate_event::Batch;
use casemate_inference::Embedder;
use casemate_ingest::Options;
use std::collections::HashSet;
use std::path::Path;

/// Lines taken from one file at most, so that no file is most of them.
const OF_A_FILE: usize = 400;
/// Characters of a line that are embedded; the embedder cuts at its own length.
const LONGEST: usize = 400;
/// How far made vectors are from the real ones they are made of: cosine 0.98.
const SPREAD: f32 = 0.2;

/// Vectors of length 1, one after another.
pub(super) struct Embeddings {
    pub(super) dimension: usize,
    vectors: Vec<f32>,
    queries: Vec<f32>,
    /// So many of the vectors, the first ones, are embeddings of real texts.
    pub(super) real: usize,
}

/// Embeds distinct masked templates, then distinct lines, and makes more of them by small changes until there
/// are as many as asked for.
pub(super) fn gather(global: &Global, args: &VectorBenchArgs) -> Outcome<Embeddings> {
    let embedder = Embedder::load(&models::embedder_dir(&global.model_dirs())?).map_err(Failure::input)?;
    let dimension = embedder.dimension();
    let (texts, held_out) = texts(args)?;
    if texts.is_empty() || held_out.is_empty() {
        return Err(Failure::input(anyhow!(
            "{} holds too few logs to measure on: give a directory with --data",
            args.data.display()
        )));
    }
    let cache = args
        .scratch
        .as_ref()
        .map(|scratch| scratch.join(format!("embeddings-{}-{}.f32", texts.len(), held_out.len())));
    let all: Vec<&str> = texts.iter().chain(&held_out).map(String::as_str).collect();
    let kept = cache.as_deref().filter(|path| path.exists()).map(read).transpose()?;
    let embedded = match kept.filter(|kept| kept.len() == all.len() * dimension) {
        Some(kept) => kept,
        None => {
            let mut embedded = Vec::with_capacity(all.len() * dimension);
            for chunk in all.chunks(64) {
                embedded.extend(embedder.embed(chunk)?.into_iter().flatten());
            }
            if let Some(cache) = &cache {
                write(cache, &embedded)?;
            }
            embedded
        }
    };
    let (vectors, queries) = embedded.split_at(texts.len() * dimension);
    let mut vectors = vectors.to_vec();
    grow(&mut vectors, dimension, args.vectors);
    Ok(Embeddings { dimension, vectors, queries: queries.to_vec(), real: texts.len() })
}

/// Appends vectors near those that are there, until there are `count`.
pub(super) fn grow(vectors: &mut Vec<f32>, dimension: usize, count: usize) {
    let mut random = Random(1);
    let (given, step) = (vectors.len() / dimension, SPREAD / (dimension as f32).sqrt());
    vectors.reserve_exact(count.saturating_sub(given) * dimension);
    for number in given..count {
        let from = number % given * dimension;
        let mut vector = vectors[from..from + dimension].to_vec();
        vector.iter_mut().for_each(|x| *x += step * random.normal());
        let length = dot(&vector, &vector).sqrt();
        vectors.extend(vector.iter().map(|x| x / length));
    }
}

/// Distinct texts to index, at most `args.real`, and lines held out.
fn texts(args: &VectorBenchArgs) -> Outcome<(Vec<String>, Vec<String>)> {
    const MAX_BYTES: u64 = 16 << 20;
    let (mut templates, mut lines) = (Vec::new(), Vec::new());
    let (mut known_templates, mut known_lines) = (HashSet::new(), HashSet::new());
    let files = casemate_ingest::expand(std::slice::from_ref(&args.data)).map_err(Failure::input)?;
    for path in files {
        if fs_err::metadata(&path)?.len() > MAX_BYTES {
            continue;
        }
        let enough = known_lines.len() + OF_A_FILE;
        let mut keep = |batch: Batch| {
            for event in batch.events {
                if known_templates.insert(event.template) {
                    templates.push(event.template_text);
                }
                if let Ok(line) = String::from_utf8(event.raw)
                    && line.len() > 20
                {
                    let line: String = line.chars().take(LONGEST).collect();
                    if known_lines.insert(line.clone()) {
                        lines.push(line);
                    }
                }
            }
            if known_lines.len() < enough { Ok(()) } else { Err("enough".into()) }
        };
        match casemate_ingest::read_file(&path, "", &Options::default(), 0, &mut keep, &mut |_| {}) {
            // The sink refuses more than enough.
            Ok(_) | Err(casemate_ingest::Error::Sink { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let step = (lines.len() / args.queries.max(1)).max(2);
    let mut held_out = Vec::new();
    let mut texts = templates;
    for (number, line) in lines.into_iter().enumerate() {
        if number % step == 0 && held_out.len() < args.queries {
            held_out.push(line);
        } else {
            texts.push(line);
        }
    }
    let real = args.real.min(args.vectors);
    if texts.len() > real {
        let all = texts.len();
        texts = texts
            .into_iter()
            .enumerate()
            .filter(|(n, _)| n * real / all != (n + 1) * real / all)
            .map(|(_, t)| t)
            .collect();
    }
    Ok((texts, held_out))
}

impl Embeddings {
    pub(super) fn count(&self) -> usize {
        self.vectors.len() / self.dimension
    }

    pub(super) fn queries(&self) -> usize {
        self.queries.len() / self.dimension
    }

    pub(super) fn write(&self, directory: &Path) -> Outcome<()> {
        write(&directory.join("vectors.f32"), &self.vectors)?;
        write(&directory.join("queries.f32"), &self.queries)
    }

    /// Similarity of the `k`-th nearest vector to each query.
    pub(super) fn nearest(&self, k: usize) -> Vec<f32> {
        let kth = |query: &[f32]| {
            let mut all: Vec<f32> =
                self.vectors.chunks_exact(self.dimension).map(|vector| dot(query, vector)).collect();
            let place = (k - 1).min(all.len() - 1);
            *all.select_nth_unstable_by(place, |a, b| b.total_cmp(a)).1
        };
        self.queries.chunks_exact(self.dimension).map(kth).collect()
    }

    /// Share of the `k` nearest that are among those found, where as near as the `k`-th counts.
    pub(super) fn recall(&self, found: &[Vec<usize>], kth: &[f32], k: usize) -> f64 {
        let mut hits = 0;
        for ((found, query), kth) in found.iter().zip(self.queries.chunks_exact(self.dimension)).zip(kth) {
            let mut found = found.clone();
            found.sort_unstable();
            found.dedup();
            let near = |&&number: &&usize| {
                self.vectors
                    .get(number * self.dimension..(number + 1) * self.dimension)
                    .is_some_and(|vector| dot(query, vector) >= kth - 1e-5)
            };
            hits += found.iter().filter(near).count().min(k);
        }
        hits as f64 / (kth.len() * k).max(1) as f64
    }
}

pub(super) fn read(path: &Path) -> Outcome<Vec<f32>> {
    let bytes = fs_err::read(path)?;
    Ok(bytes.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect())
}

fn write(path: &Path, numbers: &[f32]) -> Outcome<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    Ok(fs_err::write(path, bytes)?)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

struct Random(u64);

impl Random {
    /// Roughly normal: the sum of four uniform numbers.
    fn normal(&mut self) -> f32 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        (0..4).map(|_| uniform()).sum::<f32>() * 1.73
    }
}
