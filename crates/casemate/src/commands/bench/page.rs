//! `casemate bench page`: how long does a person wait for a page, with a full store and an investigation running?
//!
//! First bytes are measured over one kept connection on loopback. With `--browser` each page is opened in headless
//! Chromium as well, with nothing cached: until then it can be used ([`interactive.mjs`](interactive.mjs)).

use super::site::{Client, intrusion, ordinary, quantile, start};
use super::{Better, Row};
use crate::cli::{Global, PageArgs};
use crate::failure::Outcome;
use crate::output;
use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Events in one body.
const BATCH: u64 = 20_000;
/// Days over which the events lie.
const DAYS: i64 = 30;
/// The page that others are opened from.
const FROM: &str = "/session";
/// What opens pages in a browser.
const INTERACTIVE: &str = include_str!("interactive.mjs");

pub(super) fn run(global: &Global, args: &PageArgs) -> Outcome<Vec<Row>> {
    let own = tempfile::tempdir().context("a directory for the server's data")?;
    let dir = args.keep.as_deref().unwrap_or(own.path());
    fs_err::create_dir_all(dir)?;
    let (mut server, address) = start(global, &args.model, dir)?;
    let mut client = Client::connect(&address)?;
    fill(global, &mut client, args)?;
    let pages = pages(&mut client)?;
    let mut rows = Vec::new();
    let mut waits: BTreeMap<&str, (Vec<f64>, usize)> = BTreeMap::new();
    // Interleaved: what disturbs one disturbs all.
    for _ in 0..args.rounds {
        for path in &pages {
            let begun = Instant::now();
            let (status, body) = client.get(path)?;
            if status != 200 {
                return Err(anyhow::anyhow!("{path} answered {status}").into());
            }
            // Pages are sent whole: the first byte comes when the last is made.
            let taken = waits.entry(path).or_default();
            taken.0.push(begun.elapsed().as_secs_f64() * 1e3);
            taken.1 = body.len();
        }
    }
    for (path, (mut waits, bytes)) in waits {
        waits.sort_by(f64::total_cmp);
        let name = format!("page_first_byte {path}");
        let mut row =
            Row::new(&name, "ms", Better::Less, quantile(&waits, 0.5), BTreeMap::new(), waits.len());
        row.more.insert("p95", quantile(&waits, 0.95));
        row.more.insert("most", quantile(&waits, 1.0));
        row.more.insert("page_bytes", bytes as f64);
        rows.push(row);
    }
    if let Some(browser) = &args.browser {
        rows.extend(in_browser(browser, &address, &pages)?);
        // The server lets go of a connection that asks nothing.
        client = Client::connect(&address)?;
    }
    let queue: Value = serde_json::from_slice(&client.get("/v1/queue")?.1)?;
    for (name, value) in
        [("page_events", event_count(&mut client)? as f64), ("page_waiting", number(&queue["backlog"]))]
    {
        rows.push(Row::new(name, "", Better::More, value, BTreeMap::new(), 1));
    }
    server.end()?;
    Ok(rows)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The number of the newest event.
fn event_count(client: &mut Client) -> anyhow::Result<u64> {
    let newest: Value = serde_json::from_slice(&client.get("/v1/events?limit=1&order=newest")?.1)?;
    Ok(newest["events"][0]["id"].as_u64().unwrap_or(0))
}

/// Sends what is missing of the events, intrusions evenly among them.
fn fill(global: &Global, client: &mut Client, args: &PageArgs) -> anyhow::Result<()> {
    let there = event_count(client)?;
    let (mut at, mut intruded) = (there, args.intrusions * there / args.events.max(1));
    let begun = Instant::now();
    let first = Timestamp::now() - SignedDuration::from_hours(24 * DAYS);
    while at < args.events {
        let until = (at + BATCH).min(args.events);
        let mut body = String::with_capacity(120 * BATCH as usize);
        for number in at..until {
            let share = number as f64 / args.events as f64;
            body.push_str(&ordinary(number, first + SignedDuration::from_hours(24 * DAYS).mul_f64(share)));
        }
        send(client, body.as_bytes())?;
        while intruded < args.intrusions * until / args.events {
            intruded += 1;
            send(client, intrusion(intruded).as_bytes())?;
        }
        at = until;
        if !global.json && at % 1_000_000 < BATCH {
            output::line(&format!("{at} events after {:.0} s", begun.elapsed().as_secs_f64()))?;
        }
    }
    Ok(())
}

fn send(client: &mut Client, body: &[u8]) -> anyhow::Result<()> {
    loop {
        match client.post("/v1/ingest/auto", "application/octet-stream", body)?.0 {
            200 => return Ok(()),
            // It asks to be given time.
            503 => std::thread::sleep(std::time::Duration::from_millis(100)),
            other => bail!("intake answered {other}"),
        }
    }
}

/// Every page that `/openapi.json` names, with what it is about filled in, and searches as people make them.
fn pages(client: &mut Client) -> anyhow::Result<Vec<String>> {
    let document: Value = serde_json::from_slice(&client.get("/openapi.json")?.1)?;
    let investigations: Value = serde_json::from_slice(&client.get("/v1/investigations")?.1)?;
    let done = investigations["investigations"].as_array().into_iter().flatten();
    let done = done.filter(|row| row["status"] == "done").find_map(|row| row["id"].as_u64());
    let playbooks: Value = serde_json::from_slice(&client.get("/v1/playbooks")?.1)?;
    let rules: Value = serde_json::from_slice(&client.get("/v1/rules?limit=1")?.1)?;
    let named = [("{name}", &playbooks["playbooks"][0]["name"]), ("{rule}", &rules["rules"][0]["id"])];
    let mut pages = Vec::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        let is_page = operations["get"]["responses"]["200"]["content"]["text/html"].is_object();
        // Part of a page.
        let is_part = path == "/alerts/rows";
        if !is_page || is_part || path.starts_with("/v1/") {
            continue;
        }
        let id = match path.split('/').nth(1) {
            Some("investigations") => done,
            // Nothing was tried.
            Some("tries") => None,
            _ => Some(1),
        };
        let Some(id) = id else { continue };
        let mut filled =
            path.replace("{id}", &id.to_string()).replace("{kind}", "host").replace("{value}", "node17");
        for (place, name) in &named {
            filled = filled.replace(place, name.as_str().unwrap_or(place));
        }
        // What is named otherwise is asked for by whoever measures it; who needs not log in has no such page.
        if !filled.contains('{') && client.get(&filled)?.0 != 303 {
            pages.push(filled);
        }
    }
    let searches = [
        "/search?q=failed",
        "/search?q=host%3Anode17",
        "/search?q=svc17",
        "/search?q=accepted%20publickey%20from%20the%20plant&mode=hybrid",
        "/search?q=nginx%20AND%20NOT%20host%3Anode17",
    ];
    pages.extend(searches.map(str::to_owned));
    Ok(pages)
}

fn in_browser(browser: &Path, address: &str, pages: &[String]) -> anyhow::Result<Vec<Row>> {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-", &format!("http://{address}"), FROM])
        .args(pages)
        .env("CASEMATE_BROWSER", browser);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting node")?;
    child.stdin.take().context("no stdin")?.write_all(INTERACTIVE.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the browser failed: {}", output.status);
    }
    let mut rows = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let found: Value = serde_json::from_str(line)?;
        let name = format!("page_interactive {}", found["path"].as_str().unwrap_or_default());
        let ours = number(&found["interactive"]);
        let mut row = Row::new(
            &name,
            "ms",
            Better::Less,
            ours,
            BTreeMap::new(),
            found["n"].as_u64().unwrap_or(1) as usize,
        );
        row.more.insert("most", number(&found["most"]));
        row.more.insert("new_tab", number(&found["new_tab"]));
        row.more.insert("transferred_bytes", number(&found["bytes"]));
        rows.push(row);
    }
    Ok(rows)
}
