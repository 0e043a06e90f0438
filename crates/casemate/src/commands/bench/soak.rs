//! `casemate bench soak`: does it hold, for hours, what a site sends it?
//!
//! The real server, with the real model, in a process of its own: events come in at a steady rate, alerts at another,
//! people read. What is measured is how long reads wait, whether memory grows after it has warmed up, and whether
//! intake and investigations keep up. Everything goes over loopback, from this process, on the same cores.

use super::site::{Client, intrusion, ordinary, quantile, start};
use super::{Better, Row};
use crate::cli::{Global, SoakArgs};
use crate::failure::Outcome;
use crate::output;
use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Batches of events a second.
const BATCHES: u64 = 10;
const READERS: u64 = 4;
/// Reads of each reader a second.
const READS: u64 = 10;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// What people and their tools ask for, in turn.
const ASKED: [&str; 10] = [
    "/",
    "/v1/queue",
    "/v1/alerts",
    "/v1/events?limit=50&order=newest",
    "/v1/search?q=failed&limit=50",
    "/v1/search?q=host%3Anode17&limit=50",
    "/v1/investigations",
    "/search?q=user%3Asvc17",
    "/v1/entities/host%3Anode17",
    "/cases",
];

pub(super) fn run(global: &Global, args: &SoakArgs) -> Outcome<Vec<Row>> {
    let dir = tempfile::tempdir().context("a directory for the server's data")?;
    let (mut server, address) = start(global, &args.model, dir.path())?;
    let shared = Arc::new(Shared { address, ..Shared::default() });
    let total = Duration::from_secs(60 * (args.warm_up + args.minutes));
    let mut threads = vec![
        spawn(&shared, "events", {
            let rate = args.events_per_second;
            move |shared| send_events(shared, rate)
        })?,
        spawn(&shared, "alerts", {
            let every = Duration::from_secs_f64(86_400.0 / f64::from(args.alerts_per_day));
            move |shared| send_alerts(shared, every)
        })?,
    ];
    for number in 0..READERS {
        threads.push(spawn(&shared, "reader", move |shared| read(shared, number))?);
    }
    let begun = Instant::now();
    let warm = Duration::from_secs(60 * args.warm_up);
    let mut memory = Vec::new();
    let mut warmed = None;
    while begun.elapsed() < total && !shared.failed() {
        thread::sleep(SAMPLE_EVERY);
        if begun.elapsed() >= warm {
            // What was measured before belongs to the warm-up.
            if warmed.is_none() {
                lock(&shared.waits).clear();
                warmed = Some((Instant::now(), shared.events.load(Ordering::Relaxed)));
            }
            memory.push(Memory::of(server.id())?);
        }
        if !global.json {
            let (events, elapsed) = (shared.events.load(Ordering::Relaxed), begun.elapsed().as_secs());
            output::line(&format!("{elapsed:>6} s  {events} events  {:?}", memory.last()))?;
        }
    }
    let (since, before) = warmed.unwrap_or((begun, 0));
    let rate = (shared.events.load(Ordering::Relaxed) - before) as f64 / since.elapsed().as_secs_f64();
    shared.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a thread of the load failed"))?;
    }
    if let Some(why) = lock(&shared.failure).take() {
        return Err(anyhow!("the load broke: {why}").into());
    }
    let asked = Client::connect(&shared.address)?.get("/v1/queue")?.1;
    let queue: Value = serde_json::from_slice(&asked)?;
    let done: Value =
        serde_json::from_slice(&Client::connect(&shared.address)?.get("/v1/investigations")?.1)?;
    server.end()?;
    Ok(rows(&shared, &memory, rate, &queue, &done))
}

fn rows(shared: &Shared, memory: &[Memory], rate: f64, queue: &Value, done: &Value) -> Vec<Row> {
    let plain = |name: &str, unit, better, ours, n| Row::new(name, unit, better, ours, BTreeMap::new(), n);
    let mut rows = vec![plain("soak_events", "events/s", Better::More, rate, memory.len())];
    let waits = lock(&shared.waits);
    let mut all: Vec<f64> = waits.values().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let mut reads = plain("soak_read_p99", "ms", Better::Less, quantile(&all, 0.99), all.len());
    reads.more.insert("p50", quantile(&all, 0.5));
    reads.more.insert("p999", quantile(&all, 0.999));
    rows.push(reads);
    for (path, waits) in waits.iter() {
        let mut waits = waits.clone();
        waits.sort_by(f64::total_cmp);
        let mut row =
            plain(&format!("soak_read_p99 {path}"), "ms", Better::Less, quantile(&waits, 0.99), waits.len());
        row.more.insert("p50", quantile(&waits, 0.5));
        rows.push(row);
    }
    // The medians of the first and the last tenth: one sample is noise.
    let tenth = (memory.len() / 10).max(1).min(memory.len());
    let growth = |of: fn(&Memory) -> u64| {
        let median = |part: &[Memory]| {
            let mut values: Vec<u64> = part.iter().map(of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0) as f64
        };
        let (first, last) = (median(&memory[..tenth]), median(&memory[memory.len() - tenth..]));
        (100.0 * (last / first.max(1.0) - 1.0), first, last)
    };
    for (name, of) in
        [("soak_rss_growth", (|m| m.rss) as fn(&Memory) -> u64), ("soak_anonymous_growth", |m| m.anonymous)]
    {
        let (percent, first, last) = growth(of);
        let mut row = plain(name, "%", Better::Less, percent, memory.len());
        row.more.insert("first_bytes", first);
        row.more.insert("last_bytes", last);
        rows.push(row);
    }
    let investigated = done["total"].as_u64().unwrap_or(0);
    let mut row = plain("soak_investigations", "alerts", Better::More, investigated as f64, 1);
    row.more.insert("alerts_sent", shared.alerts.load(Ordering::Relaxed) as f64);
    row.more.insert("waiting", queue["backlog"].as_f64().unwrap_or(-1.0));
    row.more.insert("seconds_per_alert", queue["seconds_per_alert"]["mean"].as_f64().unwrap_or(-1.0));
    row.more.insert("seconds_waited_p95", queue["seconds_waited"]["p95"].as_f64().unwrap_or(-1.0));
    rows.push(row);
    rows.push(plain(
        "soak_refused",
        "batches",
        Better::Less,
        shared.refused.load(Ordering::Relaxed) as f64,
        1,
    ));
    rows
}

/// What the threads of the load share.
#[derive(Default)]
struct Shared {
    address: String,
    stop: AtomicBool,
    /// Events acknowledged, alerts sent, batches refused for now.
    events: AtomicU64,
    alerts: AtomicU64,
    refused: AtomicU64,
    /// Milliseconds each read took, by what was asked.
    waits: Mutex<BTreeMap<&'static str, Vec<f64>>>,
    failure: Mutex<Option<String>>,
}

impl Shared {
    fn failed(&self) -> bool {
        lock(&self.failure).is_some()
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.failed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(
    shared: &Arc<Shared>,
    name: &str,
    work: impl FnOnce(&Shared) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let name = name.to_owned();
    let thread = thread::Builder::new().name(name.clone()).spawn(move || {
        if let Err(error) = work(&shared) {
            lock(&shared.failure).get_or_insert(format!("{name}: {error:#}"));
        }
    })?;
    Ok(thread)
}

/// Calls `work` with 0, 1, 2 … at times that lie `every` apart, whatever each call takes, until the load is over.
fn steadily(
    shared: &Shared,
    every: Duration,
    mut work: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    for number in 0.. {
        let due = begun + every.mul_f64(number as f64);
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if shared.is_over() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(200)));
        }
        if shared.is_over() {
            return Ok(());
        }
        work(number)?;
    }
    Ok(())
}

fn send_events(shared: &Shared, rate: u64) -> anyhow::Result<()> {
    let mut client = Client::connect(&shared.address)?;
    let (mut number, per_batch) = (0, (rate / BATCHES).max(1));
    steadily(shared, Duration::from_secs(1) / BATCHES as u32, |_| {
        let mut body = String::with_capacity(120 * per_batch as usize);
        for _ in 0..per_batch {
            number += 1;
            body.push_str(&ordinary(number, Timestamp::now()));
        }
        loop {
            let (status, _) = client.post("/v1/ingest/auto", "application/octet-stream", body.as_bytes())?;
            match status {
                200 => break,
                503 if !shared.is_over() => {
                    shared.refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(100));
                }
                503 => return Ok(()),
                other => bail!("intake answered {other}"),
            }
        }
        shared.events.fetch_add(per_batch, Ordering::Relaxed);
        Ok(())
    })
}

/// A short intrusion on a host of its own, which raises an alert.
fn send_alerts(shared: &Shared, every: Duration) -> anyhow::Result<()> {
    let mut client = Client::connect(&shared.address)?;
    steadily(shared, every, |number| {
        let (status, _) =
            client.post("/v1/ingest/auto", "application/octet-stream", intrusion(number).as_bytes())?;
        if status == 200 {
            shared.alerts.fetch_add(1, Ordering::Relaxed);
        } else if status != 503 {
            bail!("intake answered {status}");
        }
        Ok(())
    })
}

fn read(shared: &Shared, number: u64) -> anyhow::Result<()> {
    let mut client = Client::connect(&shared.address)?;
    steadily(shared, Duration::from_secs(1) / READS as u32, |turn| {
        let path = ASKED[((turn + number * 3) % ASKED.len() as u64) as usize];
        let begun = Instant::now();
        let (status, _) = client.get(path)?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        if status != 200 {
            bail!("{path} answered {status}");
        }
        lock(&shared.waits).entry(path).or_default().push(took);
        Ok(())
    })
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
struct Memory {
    rss: u64,
    /// Of that, what is no page of a file.
    anonymous: u64,
}

impl Memory {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
        let of = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
        };
        let missing = || anyhow!("the server is gone");
        Ok(Self { rss: of("VmRSS:").ok_or_else(missing)?, anonymous: of("RssAnon:").ok_or_else(missing)? })
    }
}
