//! `casemate search --tail`: new events that match, as they come, until Ctrl-C. Beside a server or without one: it reads
//! the log that whoever takes events in writes.

use crate::cli::{Global, SearchArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use anyhow::anyhow;
use casemate_event::Stored;
use casemate_store::{Follow, Query};
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

/// How often it is looked for what is new.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn run(global: &Global, args: &SearchArgs, query: &Query) -> Outcome {
    if !global.data_dir.is_dir() {
        let dir = global.data_dir.display();
        return Err(Failure::input(anyhow!("there is no data directory at {dir}; give it with --data-dir")));
    }
    let mut follow = Follow::start(&global.data_dir, query).map_err(|error| match error.is_bad_input() {
        true => Failure::input(error),
        false => error.into(),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        eprintln!("casemate: following new events; Ctrl-C ends it");
        let mut missed = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = look.tick() => {}
            }
            // One batch between two looks at the signals.
            while let Some(events) = follow.next_batch()? {
                match print(global, args, &events) {
                    // Whoever read has gone away.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                    other => other?,
                }
                if follow.missed() > missed {
                    let more = follow.missed() - missed;
                    eprintln!(
                        "casemate: {more} events came faster than they could be followed; search finds them"
                    );
                    missed = follow.missed();
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print(global: &Global, args: &SearchArgs, events: &[Stored]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for stored in events {
        let event = &stored.event;
        if args.ecs {
            writeln!(out, "{}", casemate_event::ecs(stored))?;
        } else if global.json {
            let entities: Vec<String> = event.entities().iter().map(ToString::to_string).collect();
            let line = json!({
                "id": stored.id, "time": event.time, "format": event.format, "message": event.message,
                "entities": entities,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", output::event_line(stored.id, event.time, &event.message))?;
        }
    }
    out.flush()
}
