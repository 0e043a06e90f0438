//! `casemate bench vector`: how fast are the nearest of many vectors found, and how many of them are?
//!
//! Vectors are embeddings of real log lines, queries those of lines held out. Ours and the peer run in
//! processes of their own, by turns, on one thread.

use super::embeddings::{self, Embeddings};
use super::{Better, Row, median};
use crate::cli::{Global, VectorBenchArgs, VectorWorkerArgs};
use crate::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use casemate_vector::{Index, Params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

const USEARCH: &str = "usearch";
const K: usize = 10;
const RECALL: f64 = 0.95;
/// Candidates tried, the fewest that reach [`RECALL`] count.
const EFS: [usize; 26] = [
    10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 32, 36, 40, 44, 48, 52, 56, 64, 72, 80, 96, 128, 192, 256, 384,
    512,
];
const EF_CONSTRUCT: usize = 200;
/// Of the index of `--open-vectors`: how good its links are does not matter for opening it.
const EF_CONSTRUCT_LARGE: usize = 24;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    /// Makes and writes the index of all vectors.
    Build { ef: usize },
    /// As `Build`, of so many vectors near those given.
    Grow { ef: usize, count: usize },
    /// Opens it and answers one query.
    Open,
    /// Answers all queries.
    Search { ef: usize },
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Reply {
    seconds: Option<f64>,
    /// Bytes that searches read over and over, and bytes on disk.
    hot: Option<f64>,
    disk: Option<f64>,
    /// Numbers of the vectors found, for each query.
    found: Option<Vec<Vec<usize>>>,
    error: Option<String>,
}

pub(super) fn run(global: &Global, args: &VectorBenchArgs) -> Outcome<Vec<Row>> {
    if let Some(peer) = args.peer.iter().find(|peer| *peer != USEARCH) {
        return Err(Failure::input(anyhow!("no peer {peer:?}: give {USEARCH}")));
    }
    let scratch = tempfile::tempdir_in(args.scratch.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let data = embeddings::gather(global, args)?;
    data.write(scratch.path())?;
    let truth = data.nearest(K);

    let mut sides = vec![Side::new("ours")];
    sides.extend(args.peer.first().map(|_| Side::new(USEARCH)));
    for side in &mut sides {
        let mut worker = side.start(args, scratch.path(), data.dimension)?;
        let built = worker.ask(&Request::Build { ef: EF_CONSTRUCT })?;
        side.build = data.count() as f64 / built.seconds.unwrap_or(f64::INFINITY);
        side.hot = built.hot.unwrap_or(0.0) / data.count() as f64;
        side.disk = built.disk.unwrap_or(0.0) / data.count() as f64;
    }
    for _ in 0..args.runs.max(1) {
        for side in &mut sides {
            let opened = side.start(args, scratch.path(), data.dimension)?.ask(&Request::Open)?;
            side.open.push(opened.seconds.unwrap_or(0.0) * 1e3);
        }
    }
    measure_searches(args, scratch.path(), &data, &truth, &mut sides)?;
    let mut rows = rows(args, &data, &sides);
    rows.extend(open_large(args, scratch.path(), data.dimension)?);
    Ok(rows)
}

/// From opening a large index, which the system still has in memory, to the first answer.
fn open_large(args: &VectorBenchArgs, scratch: &Path, dimension: usize) -> Outcome<Option<Row>> {
    if args.open_vectors == 0 {
        return Ok(None);
    }
    let side = Side::new("ours");
    let grow = Request::Grow { ef: EF_CONSTRUCT_LARGE, count: args.open_vectors };
    side.start(args, scratch, dimension)?.ask(&grow)?;
    let mut opened = Vec::new();
    for _ in 0..args.runs.max(1) {
        let reply = side.start(args, scratch, dimension)?.ask(&Request::Open)?;
        opened.push(reply.seconds.unwrap_or(0.0) * 1e3);
    }
    let (n, median) = (opened.len(), median(opened).unwrap_or(0.0));
    let mut row = Row::new("open_large_ms", "ms", Better::Less, median, BTreeMap::new(), n);
    row.more.insert("vectors", args.open_vectors as f64);
    Ok(Some(row))
}

fn measure_searches(
    args: &VectorBenchArgs,
    scratch: &Path,
    data: &Embeddings,
    truth: &[f32],
    sides: &mut [Side],
) -> Outcome<()> {
    let mut workers = Vec::new();
    for side in sides.iter_mut() {
        let mut worker = side.start(args, scratch, data.dimension)?;
        worker.ask(&Request::Open)?;
        for ef in EFS {
            let reply = worker.ask(&Request::Search { ef })?;
            side.ef = ef;
            side.recall = data.recall(&reply.found.unwrap_or_default(), truth, K);
            if side.recall >= RECALL {
                break;
            }
        }
        if side.recall < RECALL {
            tracing::warn!(side = side.name, recall = side.recall, "recall stays below what is compared at");
        }
        workers.push(worker);
    }
    let queries = truth.len() as f64;
    for _ in 0..args.runs.max(1) {
        for (side, worker) in sides.iter_mut().zip(&mut workers) {
            let reply = worker.ask(&Request::Search { ef: side.ef })?;
            side.rates.push(queries / reply.seconds.unwrap_or(f64::INFINITY));
        }
    }
    Ok(())
}

fn rows(args: &VectorBenchArgs, data: &Embeddings, sides: &[Side]) -> Vec<Row> {
    let row = |name: &str, unit, better, n, value: &dyn Fn(&Side) -> f64| {
        let peers: BTreeMap<String, f64> =
            sides.iter().skip(1).map(|side| (side.name.to_owned(), value(side))).collect();
        let mut row = Row::new(name, unit, better, sides.first().map_or(0.0, value), peers, n);
        row.more.insert("vectors", data.count() as f64);
        row.more.insert("real", data.real as f64);
        row
    };
    let middle = |values: &[f64]| median(values.to_vec()).unwrap_or(0.0);
    let runs = args.runs.max(1);
    let mut qps = row("qps_at_recall_0.95", "queries/s", Better::More, runs, &|side| middle(&side.rates));
    for (name, side) in ["ef", "ef_peer"].into_iter().zip(sides) {
        qps.more.insert(name, side.ef as f64);
    }
    vec![
        row("build", "vectors/s", Better::More, 1, &|side| side.build),
        qps,
        row("recall_at_10", "share", Better::More, data.queries(), &|side| side.recall),
        row("open_ms", "ms", Better::Less, runs, &|side| middle(&side.open)),
        row("bytes_hot", "bytes/vector", Better::Less, 1, &|side| side.hot),
        row("bytes_disk", "bytes/vector", Better::Less, 1, &|side| side.disk),
    ]
}

/// Ours or the peer, and what was measured of it.
struct Side {
    name: &'static str,
    build: f64,
    hot: f64,
    disk: f64,
    open: Vec<f64>,
    ef: usize,
    recall: f64,
    rates: Vec<f64>,
}

impl Side {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            build: 0.0,
            hot: 0.0,
            disk: 0.0,
            open: Vec::new(),
            ef: 0,
            recall: 0.0,
            rates: Vec::new(),
        }
    }

    fn start(&self, args: &VectorBenchArgs, scratch: &Path, dimension: usize) -> Outcome<Worker> {
        let mut command = if self.name == USEARCH {
            let python = args.peer_python.as_ref().ok_or_else(|| {
                Failure::input(anyhow!("{USEARCH} needs a Python that has it: give one with --peer-python"))
            })?;
            let mut command = Command::new(python);
            command.args(["-c", include_str!("peer_usearch.py")]);
            command
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["bench", "vector-worker", "--m", &args.m.to_string()]);
            command
        };
        command.arg(scratch).args([dimension.to_string(), K.to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let (Some(requests), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(anyhow!("{} has no pipes", self.name).into());
        };
        Ok(Worker { name: self.name, child, requests, replies: BufReader::new(replies) })
    }
}

/// A process that answers requests; ended when dropped.
struct Worker {
    name: &'static str,
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Worker {
    fn ask(&mut self, request: &Request) -> Outcome<Reply> {
        let gone = || format!("{} has ended; its messages are above", self.name);
        let line = serde_json::to_string(request)? + "\n";
        self.requests.write_all(line.as_bytes()).with_context(gone)?;
        self.requests.flush().with_context(gone)?;
        let mut reply = String::new();
        if self.replies.read_line(&mut reply)? == 0 {
            return Err(anyhow!(gone()).into());
        }
        let reply: Reply = serde_json::from_str(&reply)?;
        match &reply.error {
            Some(error) => Err(anyhow!("{}: {error}", self.name).into()),
            None => Ok(reply),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when its input does; this only makes sure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our side.
pub(super) fn work(args: &VectorWorkerArgs) -> Outcome {
    let path = args.scratch.join("ours.hnsw");
    let queries = embeddings::read(&args.scratch.join("queries.f32"))?;
    let mut index = None;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let reply = match serde_json::from_str(&line?)? {
            Request::Build { ef } => build(args, &path, ef, 0)?,
            Request::Grow { ef, count } => build(args, &path, ef, count)?,
            Request::Open => {
                let started = Instant::now();
                let opened = Index::open(&path)?;
                opened.search(&queries[..args.dimension], args.k, 64)?;
                index = Some(opened);
                Reply { seconds: Some(started.elapsed().as_secs_f64()), ..Reply::default() }
            }
            Request::Search { ef } => {
                let index = index.as_ref().ok_or_else(|| anyhow!("nothing is open"))?;
                let started = Instant::now();
                let mut found = Vec::with_capacity(queries.len() / args.dimension);
                for query in queries.chunks_exact(args.dimension) {
                    found.push(index.search(query, args.k, ef)?);
                }
                let seconds = Some(started.elapsed().as_secs_f64());
                let ids = |hits: Vec<casemate_vector::Neighbour>| {
                    hits.into_iter().map(|hit| hit.id as usize).collect()
                };
                Reply { seconds, found: Some(found.into_iter().map(ids).collect()), ..Reply::default() }
            }
        };
        serde_json::to_writer(&mut stdout, &reply)?;
        writeln!(stdout)?;
        stdout.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build(args: &VectorWorkerArgs, path: &Path, ef: usize, count: usize) -> Outcome<Reply> {
    let mut vectors = embeddings::read(&args.scratch.join("vectors.f32"))?;
    embeddings::grow(&mut vectors, args.dimension, count);
    let ids: Vec<u64> = (0..(vectors.len() / args.dimension) as u64).collect();
    let params = Params { m: args.m, ef_construct: ef };
    let started = Instant::now();
    casemate_vector::build(path, args.dimension, &ids, &vectors, params)?;
    let seconds = Some(started.elapsed().as_secs_f64());
    let built = Index::open(path)?;
    let (hot, disk) = (Some(built.hot_bytes() as f64), Some(built.disk_bytes() as f64));
    Ok(Reply { seconds, hot, disk, ..Reply::default() })
}
