//! `casemate bench ingest --scale N`: a data directory of many events. Filled in rounds, each a process that
//! takes in fresh records; then opened and asked, by words, by entity and by all of these with meaning.

use super::corpus::{self, Kind};
use super::ingest::{Measured, child, samples};
use super::{Better, Row};
use crate::cli::{Global, IngestBenchArgs, IngestWork};
use crate::failure::Outcome;
use crate::models;
use casemate_detect::Rules;
use casemate_inference::Embedder;
use casemate_pipeline::Pipeline;
use casemate_store::Query;
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Events of a round, whose logs are on disk at once.
const ROUND: u64 = 1_000_000;
/// What the events are: half syslog, a quarter Windows events, a quarter Zeek records.
const MIX: [(Kind, u64); 3] = [(corpus::SYSLOG, 2), (corpus::WINDOWS, 1), (corpus::ZEEK, 1)];

pub(super) fn rows(
    global: &Global,
    args: &IngestBenchArgs,
    events: u64,
    scratch: &Path,
) -> Outcome<Vec<Row>> {
    let dir = scratch.join("scale");
    let real: Vec<(Kind, u64, Vec<Vec<u8>>)> = MIX
        .into_iter()
        .map(|(kind, share)| Ok((kind, share, corpus::real(&args.data, kind)?)))
        .collect::<Outcome<_>>()?;
    let (mut filled, mut last) = (Measured::default(), Measured::default());
    let (mut raw, mut slowest) = (0, f64::INFINITY);
    let mut at = 0;
    while at < events {
        let round = ROUND.min(events - at);
        let mut files = Vec::new();
        for (kind, share, real) in &real {
            let numbers = at * share / 4..(at + round) * share / 4;
            let corpus = corpus::write_some(real, scratch, *kind, numbers)?;
            raw += corpus.bytes;
            files.push(corpus.path);
        }
        last = child(IngestWork::Durable, Some(&dir), None, &files)?;
        let added = last.items - filled.items;
        slowest = slowest.min(added as f64 / last.seconds);
        filled.seconds += last.seconds;
        filled.items = last.items;
        filled.peak_rss = filled.peak_rss.max(last.peak_rss);
        at += round;
        tracing::info!(events = filled.items, rate = added as f64 / last.seconds, "taken in");
    }
    let row = |name, unit, better, ours, n| Row::new(name, unit, better, ours, BTreeMap::new(), n);
    let mut rate = row(
        "scale_ingest",
        "events/s",
        Better::More,
        filled.items as f64 / filled.seconds,
        filled.items as usize,
    );
    rate.more.insert("slowest_round", slowest);
    rate.more.insert("templates", last.templates as f64);
    rate.more.insert("raw_mb", raw as f64 / 1e6);
    let disk = row("scale_disk", "of the raw bytes", Better::Less, last.bytes as f64 / raw as f64, 1);
    let peak = row("scale_peak_rss", "bytes", Better::Less, filled.peak_rss as f64, 1);

    let asked = child(IngestWork::Search, Some(&dir), None, &[])?;
    let open = row("scale_open", "ms", Better::Less, asked.seconds * 1e3, 1);
    let mut rows = vec![rate, disk, peak, open, asked.searches_row("scale_search_p95")];
    if models::embedder_dir(&global.model_dirs()).is_ok() {
        let asked = child(IngestWork::Hybrid, Some(&dir), Some(&global.models), &[])?;
        let mut hybrid = asked.searches_row("scale_hybrid_p95");
        hybrid.more.insert("templates", asked.templates as f64);
        hybrid.more.insert("search_peak_rss", asked.peak_rss as f64);
        rows.push(hybrid);
    }
    Ok(rows)
}

/// Embeds what templates the store in `dir` has, and asks of it by words, entities and meaning at once: what an
/// event says, in its own words and as names alone, over all time and around it.
pub(super) fn hybrid(dir: &Path, models: &Path) -> Outcome<Measured> {
    let embedder = Embedder::load(&models::embedder_dir(&[models.to_owned()])?)?;
    let pipeline = Pipeline::open(dir, Rules::default(), Some(embedder))?;
    let templates = pipeline.catch_up(&mut |_, _, _| {})?.templates;
    let mut measured = Measured { items: pipeline.store().event_count(), templates, ..Measured::default() };
    for event in samples(pipeline.store())? {
        let words: Vec<&str> = event.message.split_whitespace().collect();
        let names: Vec<String> = event.entities().into_iter().map(|entity| entity.value).collect();
        let questions =
            [words.join(" "), words.iter().take(5).copied().collect::<Vec<_>>().join(" "), names.join(" ")];
        let hour = SignedDuration::from_hours(1);
        let around = Query {
            after: event.time.checked_sub(hour).ok(),
            before: event.time.checked_add(hour).ok(),
            limit: 20,
            ..Query::default()
        };
        for question in &questions {
            for within in [&Query { limit: 20, ..Query::default() }, &around] {
                let started = Instant::now();
                pipeline.find(question, within)?;
                measured.searches.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    measured.searches.sort_by(f64::total_cmp);
    Ok(measured)
}
