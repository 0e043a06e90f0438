//! `casemate bench`: how fast and how exact is this, here, today? Against named peers in the same run.

mod corpus;
mod embedding;
mod embeddings;
mod engine;
mod inference;
mod ingest;
mod page;
mod scale;
mod sigma;
mod sigma_hits;
mod site;
mod soak;
mod text;
mod vector;
mod worker;

use crate::cli::{BenchArgs, BenchCommand, Global};
use crate::failure::Outcome;
use crate::machine::{Cpu, memory_bytes};
use crate::output;
use casemate_inference::Isa;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &BenchArgs) -> Outcome {
    let started = Instant::now();
    let (isa, rows) = match &args.command {
        BenchCommand::Inference(args) => (args.isa, inference::run(global, args)?),
        BenchCommand::Embedding(args) => (None, embedding::run(global, args)?),
        BenchCommand::Ingest(args) => (None, ingest::run(global, args)?),
        BenchCommand::Vector(args) => (None, vector::run(global, args)?),
        BenchCommand::Page(args) => (None, page::run(global, args)?),
        BenchCommand::Soak(args) => (None, soak::run(global, args)?),
        BenchCommand::VectorWorker(args) => return vector::work(args),
        BenchCommand::SigmaWorker(args) => return sigma::work(args),
        BenchCommand::Worker(args) => return worker::run(args),
        BenchCommand::IngestWorker(args) => return ingest::work(global, args),
    };
    let report = Report { machine: machine(isa.unwrap_or_else(Isa::best)), rows };
    if global.json {
        output::json(&report, started)?;
    } else {
        report.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The machine, and the instruction set that was used of those it has.
fn machine(isa: Isa) -> String {
    let gigabytes = memory_bytes().unwrap_or(0) as f64 / 1e9;
    format!("{}; {gigabytes:.0} GB of memory; kernels for {isa}", Cpu::detect().describe())
}

#[derive(Debug, Serialize)]
struct Report {
    machine: String,
    rows: Vec<Row>,
}

/// One figure. A ratio above 1 is always better than the peer.
#[derive(Debug, Default, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    ours: f64,
    /// The best peer's figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    peers: BTreeMap<String, f64>,
    /// Measurements, of which `ours` and `peer` are the medians; of quality rows positions or texts.
    n: usize,
    #[serde(flatten)]
    more: BTreeMap<&'static str, f64>,
}

/// Whether more of a unit is better or worse.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Better {
    More,
    Less,
}

impl Row {
    /// A row of our figure and those of peers, the best of which is *the* peer.
    fn new(
        name: &str,
        unit: &'static str,
        better: Better,
        ours: f64,
        peers: BTreeMap<String, f64>,
        n: usize,
    ) -> Self {
        let order = |a: &f64, b: &f64| if better == Better::More { a.total_cmp(b) } else { b.total_cmp(a) };
        let best = peers.iter().max_by(|a, b| order(a.1, b.1)).map(|(name, value)| (name.clone(), *value));
        let ratio =
            best.as_ref().map(|(_, peer)| if better == Better::More { ours / peer } else { peer / ours });
        let (peer_name, peer) = best.unzip();
        Self { name: name.to_owned(), unit, ours, peer, peer_name, ratio, peers, n, more: BTreeMap::new() }
    }
}

impl Report {
    fn print(&self) -> std::io::Result<()> {
        output::line(&self.machine)?;
        for row in &self.rows {
            let mut text = format!("{:<22} {:>14} {}", row.name, figure(row.ours), row.unit);
            if let Some(ratio) = row.ratio {
                text.push_str(&format!("  {ratio:.2}×"));
            }
            for (name, value) in &row.peers {
                text.push_str(&format!("  {name} {}", figure(*value)));
            }
            for (name, value) in &row.more {
                text.push_str(&format!("  {name} {}", figure(*value)));
            }
            output::line(&format!("{text}  (n {})", row.n))?;
        }
        Ok(())
    }
}

fn figure(value: f64) -> String {
    match value.abs() {
        1e4.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.6}"),
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_peer_is_the_one_compared_with() {
        let peers = || BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 4.0)]);
        let faster = Row::new("x", "tokens/s", Better::More, 6.0, peers(), 3);
        assert_eq!(
            (faster.peer, faster.peer_name.as_deref(), faster.ratio),
            (Some(4.0), Some("b"), Some(1.5))
        );
        let smaller = Row::new("x", "s", Better::Less, 1.0, peers(), 3);
        assert_eq!((smaller.peer_name.as_deref(), smaller.ratio), (Some("a"), Some(2.0)));
        assert_eq!(Row::new("x", "s", Better::Less, 1.0, BTreeMap::new(), 3).ratio, None);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
