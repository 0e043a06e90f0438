//! `casemate bench ingest`: from bytes of logs to events, and to a store that keeps and finds them.
//!
//! Each measurement runs in a process of its own, ours and the peer's by turns.

use super::corpus::{self, Corpus};
use super::{Better, Row, median};
use crate::cli::{Global, IngestBenchArgs, IngestWork, IngestWorkerArgs};
use crate::failure::{Failure, Outcome};
use crate::machine;
use anyhow::{Context, anyhow};
use casemate_detect::Rules;
use casemate_event::{Batch, Event, EventId};
use casemate_ingest::Options;
use casemate_pipeline::Pipeline;
use casemate_store::{Order, Query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use tantivy::schema::{STORED, Schema, TEXT};

/// Rows in the order printed.
const ROWS: [&str; 8] = [
    "parse_syslog",
    "parse_windows_json",
    "durable_ingest",
    "disk_ratio",
    "peak_rss",
    "open",
    "search_p95",
    "sigma_evtx",
];
const TANTIVY: &str = "tantivy";
const RSIGMA: &str = "rsigma";
const PYSIGMA: &str = "pysigma";
const PEERS: [&str; 3] = [TANTIVY, RSIGMA, PYSIGMA];

/// What a process of its own measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) peak_rss: u64,
    pub(super) templates: u64,
    /// Milliseconds each search took, ascending.
    pub(super) searches: Vec<f64>,
}

impl Measured {
    /// The 95th percentile of what searches took.
    pub(super) fn searches_row(&self, name: &str) -> Row {
        let at = |share: usize| self.searches.get(self.searches.len() * share / 100).copied().unwrap_or(0.0);
        let mut row = Row::new(name, "ms", Better::Less, at(95), BTreeMap::new(), self.searches.len());
        row.more.insert("median", at(50));
        row.more.insert("slowest", self.searches.last().copied().unwrap_or(0.0));
        row
    }
}

pub(super) fn run(global: &Global, args: &IngestBenchArgs) -> Outcome<Vec<Row>> {
    if let Some(row) = args.rows.iter().find(|row| !ROWS.contains(&row.as_str())) {
        return Err(Failure::input(anyhow!("no row {row:?}: rows are {}", ROWS.join(", "))));
    }
    if let Some(peer) = args.peer.iter().find(|peer| !PEERS.contains(&peer.as_str())) {
        return Err(Failure::input(anyhow!("no peer {peer:?}: peers are {}", PEERS.join(", "))));
    }
    // Alone with --scale: that takes long enough.
    let all = args.rows.is_empty() && args.scale.is_none();
    let wanted = |row: &str| all || args.rows.iter().any(|wanted| wanted == row);
    let scratch = tempfile::tempdir_in(args.scratch.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let mut rows = Vec::new();
    for (name, kind) in [("parse_syslog", corpus::SYSLOG), ("parse_windows_json", corpus::WINDOWS)] {
        if wanted(name) {
            let corpus = corpus::write(&args.data, scratch.path(), kind, args.events)?;
            rows.push(parse(name, &corpus, args.runs)?);
        }
    }
    if ["durable_ingest", "disk_ratio", "peak_rss", "open", "search_p95"].iter().any(|row| wanted(row)) {
        rows.extend(durable(args, scratch.path())?.into_iter().filter(|row| wanted(&row.name)));
    }
    if wanted("sigma_evtx") {
        let rsigma = args.peer.iter().any(|peer| peer == RSIGMA).then_some(args.rsigma.as_path());
        rows.push(super::sigma::row(&args.data, rsigma, scratch.path(), args.runs)?);
        if args.peer.iter().any(|peer| peer == PYSIGMA) {
            let python = args.peer_python.as_ref().ok_or_else(|| {
                Failure::input(anyhow!("{PYSIGMA} needs a Python that has it: give one with --peer-python"))
            })?;
            rows.push(super::sigma_hits::row(&args.data, python, rsigma, scratch.path())?);
        }
    }
    if let Some(events) = args.scale {
        rows.extend(super::scale::rows(global, args, events, scratch.path())?);
    }
    Ok(rows)
}

fn parse(name: &str, corpus: &Corpus, runs: usize) -> Outcome<Row> {
    let mut rates = Vec::new();
    for _ in 0..runs.max(1) {
        let measured = child(IngestWork::Parse, None, None, std::slice::from_ref(&corpus.path))?;
        if measured.items != corpus.records {
            return Err(anyhow!("{} records of {} were found", measured.items, corpus.records).into());
        }
        rates.push(measured.items as f64 / measured.seconds);
    }
    let n = rates.len();
    let mut row = Row::new(name, "records/s", Better::More, median(rates).unwrap_or(0.0), BTreeMap::new(), n);
    row.more.insert("bytes_per_record", corpus.bytes as f64 / corpus.records as f64);
    Ok(row)
}

/// Half syslog, a quarter Windows events and a quarter Zeek records, into a fresh data directory.
fn durable(args: &IngestBenchArgs, scratch: &Path) -> Outcome<Vec<Row>> {
    let parts = [(corpus::SYSLOG, 2), (corpus::WINDOWS, 1), (corpus::ZEEK, 1)];
    let corpora =
        parts.map(|(kind, share)| corpus::write(&args.data, scratch, kind, args.events * share / 4));
    let corpora = corpora.into_iter().collect::<Outcome<Vec<Corpus>>>()?;
    let files: Vec<PathBuf> = corpora.iter().map(|corpus| corpus.path.clone()).collect();
    let bytes: u64 = corpora.iter().map(|corpus| corpus.bytes).sum();
    let has_tantivy = args.peer.iter().any(|peer| peer == TANTIVY);
    let messages = scratch.join("messages.txt");
    if has_tantivy {
        write_messages(&files, &messages)?;
    }
    let mut ours = Vec::new();
    let mut peer = Vec::new();
    let mut of_messages = Vec::new();
    let (mut opened, mut searched) = (Vec::new(), Vec::new());
    let mut last = Measured::default();
    for _ in 0..args.runs.max(1) {
        let dir = scratch.join("data");
        last = child(IngestWork::Durable, Some(&dir), None, &files)?;
        ours.push(last.items as f64 / last.seconds);
        let asked = child(IngestWork::Search, Some(&dir), None, &[])?;
        opened.push(asked.seconds * 1e3);
        searched.push(asked.searches);
        fs_err::remove_dir_all(&dir)?;
        if has_tantivy {
            let dir = scratch.join("tantivy");
            for (files, rates) in
                [(files.as_slice(), &mut peer), (std::slice::from_ref(&messages), &mut of_messages)]
            {
                let measured = child(IngestWork::Tantivy, Some(&dir), None, files)?;
                rates.push(measured.items as f64 / measured.seconds);
                fs_err::remove_dir_all(&dir)?;
            }
        }
    }
    let n = ours.len();
    let peers = median(peer).map(|rate| (TANTIVY.to_owned(), rate)).into_iter().collect();
    let mut rate =
        Row::new("durable_ingest", "events/s", Better::More, median(ours).unwrap_or(0.0), peers, n);
    if let Some(rate_of_messages) = median(of_messages) {
        // Of each record only the line that we show of it, where the peer proper indexes records as received.
        rate.more.insert("tantivy_on_messages", rate_of_messages);
    }
    rate.more.insert("events", last.items as f64);
    rate.more.insert("templates", last.templates as f64);
    rate.more.insert("raw_mb", bytes as f64 / 1e6);
    let ratio = last.bytes as f64 / bytes as f64;
    let disk = Row::new("disk_ratio", "of the raw bytes", Better::Less, ratio, BTreeMap::new(), 1);
    let peak = Row::new("peak_rss", "bytes", Better::Less, last.peak_rss as f64, BTreeMap::new(), 1);
    let open = Row::new("open", "ms", Better::Less, median(opened).unwrap_or(0.0), BTreeMap::new(), n);
    let at = |searches: &Vec<f64>, share: usize| searches.get(searches.len() * share / 100).copied();
    let of_runs = |share| median(searched.iter().filter_map(|searches| at(searches, share)).collect());
    let questions = searched.iter().map(Vec::len).sum();
    let p95 = of_runs(95).unwrap_or(0.0);
    let mut search = Row::new("search_p95", "ms", Better::Less, p95, BTreeMap::new(), questions);
    search.more.insert("median", of_runs(50).unwrap_or(0.0));
    Ok(vec![rate, disk, peak, open, search])
}

/// What the peer indexes: the message of each event, one a line.
fn write_messages(files: &[PathBuf], to: &Path) -> Outcome<()> {
    let mut out = BufWriter::new(fs_err::File::create(to)?);
    for path in files {
        let mut keep = |batch: Batch| {
            for event in &batch.events {
                writeln!(out, "{}", event.message.replace('\n', " "))?;
            }
            Ok(())
        };
        casemate_ingest::read_file(path, "", &Options::default(), 0, &mut keep, &mut |_| {})?;
    }
    Ok(out.flush()?)
}

pub(super) fn child(
    work: IngestWork,
    dir: Option<&Path>,
    models: Option<&Path>,
    files: &[PathBuf],
) -> Outcome<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "ingest-worker", work.name()]).args(files);
    if let Some(dir) = dir {
        command.arg("--into").arg(dir);
    }
    if let Some(models) = models {
        command.arg("--models").arg(models);
    }
    let output = command.output().context("cannot start a process to measure in")?;
    if !output.status.success() {
        return Err(anyhow!("measuring failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process of its own.
pub(super) fn work(global: &Global, args: &IngestWorkerArgs) -> Outcome {
    let into = args.into.clone().unwrap_or_default();
    let mut measured = match args.work {
        IngestWork::Parse => parse_files(&args.files)?,
        IngestWork::Durable => ingest_files(&args.files, &into)?,
        IngestWork::Tantivy => index_lines(&args.files, &into)?,
        IngestWork::Search => search(&into)?,
        IngestWork::Hybrid => super::scale::hybrid(&into, &global.models)?,
    };
    measured.peak_rss = machine::peak_rss_bytes().unwrap_or(0);
    serde_json::to_writer(std::io::stdout().lock(), &measured)?;
    Ok(ExitCode::SUCCESS)
}

fn parse_files(files: &[PathBuf]) -> Outcome<Measured> {
    let started = Instant::now();
    let mut measured = Measured::default();
    for path in files {
        let mut count = |batch: Batch| {
            measured.items += batch.events.len() as u64;
            Ok(())
        };
        casemate_ingest::read_file(path, "", &Options::default(), 0, &mut count, &mut |_| {})?;
    }
    measured.seconds = started.elapsed().as_secs_f64();
    Ok(measured)
}

/// Everything `casemate ingest` does but rules and embeddings, until all is on disk as it will stay.
fn ingest_files(files: &[PathBuf], dir: &Path) -> Outcome<Measured> {
    let started = Instant::now();
    let mut measured = Measured::default();
    let pipeline = Pipeline::open(dir, Rules::default(), None)?;
    for path in files {
        pipeline.ingest_file(path, false, &mut |_, _, _| {})?;
    }
    pipeline.store().refresh()?;
    measured.items = pipeline.store().event_count();
    measured.templates = pipeline.store().counts()?.templates;
    drop(pipeline);
    measured.seconds = started.elapsed().as_secs_f64();
    measured.bytes = bytes_under(dir)?;
    Ok(measured)
}

/// Opens what was ingested, timed, and asks of it what an analyst would of events spread over it: words and
/// phrases of their messages, what else was about the same entities, with and without bounds in time.
fn search(dir: &Path) -> Outcome<Measured> {
    let started = Instant::now();
    let store = casemate_store::Store::open(dir)?;
    let mut measured = Measured { seconds: started.elapsed().as_secs_f64(), ..Measured::default() };
    measured.items = store.event_count();
    for event in samples(&store)? {
        let words: Vec<&str> =
            event.message.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3).collect();
        let hour = jiff::SignedDuration::from_hours(1);
        let around = (event.time.checked_sub(hour).ok(), event.time.checked_add(hour).ok());
        let mut queries = vec![
            Query { text: words.iter().take(2).copied().collect::<Vec<_>>().join(" "), ..Query::default() },
            Query {
                text: format!("\"{}\"", words.iter().take(1).copied().collect::<String>()),
                after: around.0,
                before: around.1,
                ..Query::default()
            },
            Query {
                text: words.last().map(|word| format!("*{word}*")).unwrap_or_default(),
                ..Query::default()
            },
            Query {
                text: words.iter().take(3).copied().collect::<Vec<_>>().join(" OR "),
                order: Order::Relevance,
                ..Query::default()
            },
            Query { templates: vec![event.template], ..Query::default() },
        ];
        queries.extend(event.entities().into_iter().map(|entity| Query {
            entities: vec![entity],
            after: around.0,
            before: around.1,
            ..Query::default()
        }));
        for query in queries {
            let order = if query.order == Order::Relevance { query.order } else { Order::NewestFirst };
            let started = Instant::now();
            store.search(&Query { limit: 50, order, ..query })?;
            measured.searches.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    measured.searches.sort_by(f64::total_cmp);
    Ok(measured)
}

/// Events spread over the store.
pub(super) fn samples(store: &casemate_store::Store) -> Outcome<Vec<Event>> {
    const SAMPLES: u64 = 20;
    let count = store.event_count();
    let ids = (0..SAMPLES).map(|sample| EventId(1 + count * sample / SAMPLES));
    let read = ids.map(|id| Ok(store.get(id)?.map(|stored| stored.event)));
    Ok(read.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The peer: tantivy on two threads, each record as received a document, one commit at the end.
fn index_lines(files: &[PathBuf], dir: &Path) -> Outcome<Measured> {
    fs_err::create_dir_all(dir)?;
    let started = Instant::now();
    let mut measured = Measured::default();
    let mut schema = Schema::builder();
    let message = schema.add_text_field("message", TEXT | STORED);
    let index = tantivy::Index::create_in_dir(dir, schema.build())?;
    let mut writer = index.writer_with_num_threads(2, 256 << 20)?;
    for path in files {
        for line in BufReader::new(fs_err::File::open(path)?).lines() {
            writer.add_document(tantivy::doc!(message => line?))?;
            measured.items += 1;
        }
    }
    writer.commit()?;
    measured.seconds = started.elapsed().as_secs_f64();
    measured.bytes = bytes_under(dir)?;
    Ok(measured)
}

fn bytes_under(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
