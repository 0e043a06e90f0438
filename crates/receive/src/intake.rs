//! How do received records become durable, counted and looked at by the rules?
//!
//! Every receiver hands framed records to one [`Intake`]; what it returns from is on disk. Detection follows in
//! the background, at most once a second.

use crate::sources::{Silence, Sources};
use crate::{Error, Result};
use casemate_event::{Batch, Class, Event, Fields, Format, TimeQuality};
use casemate_ingest::{read_records, template};
use casemate_pipeline::Pipeline;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

/// Detection runs no more often than this.
const DETECT_EVERY: Duration = Duration::from_secs(1);
/// How often sources are looked at for silence.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause before a failed append is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Records of one source, in order, each whole.
#[derive(Debug, Clone, Copy)]
pub struct Records<'r> {
    /// Name of the source.
    pub source: &'r str,
    /// The records, with their positions.
    pub records: &'r [(u64, Vec<u8>)],
}

/// The one way in for what is received.
pub struct Intake {
    pipeline: Arc<Pipeline>,
    sources: Sources,
    fresh: Notify,
}

impl Intake {
    /// An intake into `pipeline`; [`run`](Self::run) is to run beside it.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, sources: Sources::default(), fresh: Notify::new() }
    }

    /// Counters by source.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Where the records go.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Decodes records; stores nothing.
    ///
    /// # Errors
    /// None from their content.
    pub fn decode(&self, records: Records<'_>) -> Result<Batch> {
        let options = self.pipeline.ingest_options();
        let framed = records.records.iter().map(|(position, raw)| (*position, raw.as_slice()));
        Ok(read_records(records.source, &[], framed, &options)?)
    }

    /// Stores a batch and counts it for `source`; it is durable when this returns. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Store`] if nothing of it was stored: a full disk, say. It can be tried again.
    pub fn append(&self, source: &str, batch: &Batch) -> Result<()> {
        self.pipeline.store().append(batch)?;
        self.count(source, batch);
        Ok(())
    }

    fn count(&self, source: &str, batch: &Batch) {
        let quarantined = batch.quarantined.len() as u64;
        let records = batch.events.len() as u64 + quarantined;
        let bytes: usize = batch.events.iter().map(|event| event.raw.len()).sum::<usize>()
            + batch.quarantined.iter().map(|kept| kept.raw.len()).sum::<usize>();
        if records > 0 {
            self.sources.count(source, records, bytes as u64, quarantined, Instant::now());
            self.fresh.notify_one();
        }
    }

    /// As [`append`](Self::append), off the async threads, tried again until it works or `stopping` turns true.
    ///
    /// Who waits for this reads no more from its sender meanwhile: that is the back-pressure.
    ///
    /// # Errors
    /// [`Error::Stopped`] if it did not work before the end.
    pub async fn append_patiently(
        self: &Arc<Self>,
        parts: Vec<(String, Batch)>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<()> {
        let parts = Arc::new(parts);
        let mut failures = 0_u64;
        loop {
            let (intake, of_task) = (Arc::clone(self), Arc::clone(&parts));
            let done = spawn_blocking(move || intake.append_all(&of_task)).await;
            match done {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if failures.is_multiple_of(60) => {
                    tracing::error!(%error, "received records cannot be stored; senders wait");
                }
                Ok(Err(_)) => {}
                Err(error) => return Err(Error::Task { what: "storing records", reason: error.to_string() }),
            }
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = is_stopping(stopping) => return Err(Error::Stopped),
            }
        }
    }

    /// One append for the batches of several sources.
    fn append_all(&self, parts: &[(String, Batch)]) -> Result<()> {
        if let [(source, batch)] = parts {
            return self.append(source, batch);
        }
        let mut whole = Batch::default();
        for (_, batch) in parts {
            whole.events.extend_from_slice(&batch.events);
            whole.quarantined.extend_from_slice(&batch.quarantined);
        }
        self.pipeline.store().append(&whole)?;
        for (source, batch) in parts {
            self.count(source, batch);
        }
        Ok(())
    }

    /// Runs detection over what comes in and reports silences, until `stopping` turns true.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let intake = Arc::clone(&self);
            tokio::select! {
                () = is_stopping(&mut stopping) => return,
                _ = look.tick() => {
                    told("looking for silent sources", spawn_blocking(move || intake.report_silences(Instant::now())).await);
                }
                () = self.fresh.notified() => {
                    told("detection", spawn_blocking(move || intake.detect()).await);
                    tokio::select! {
                        () = tokio::time::sleep(DETECT_EVERY) => {}
                        () = is_stopping(&mut stopping) => return,
                    }
                }
            }
        }
    }

    fn detect(&self) {
        if let Err(error) = self.pipeline.catch_up(&mut |_, _, _| {}) {
            tracing::error!(%error, "detection failed; it is tried again with the next data");
        }
    }

    /// Makes each silence that began or ended by `now` an event.
    pub fn report_silences(&self, now: Instant) {
        let silences = self.sources.silences(now);
        if silences.is_empty() {
            return;
        }
        let events = silences.iter().map(silence_event).collect();
        let batch = Batch { events, ..Batch::default() };
        match self.pipeline.store().append(&batch) {
            Ok(_) => self.fresh.notify_one(),
            Err(error) => tracing::error!(%error, ?silences, "silences could not be stored"),
        }
    }
}

fn silence_event(silence: &Silence) -> Event {
    let Silence { source, since, lasted, over, usual } = silence;
    let lasted = SignedDuration::from_secs(i64::try_from(lasted.as_secs()).unwrap_or(i64::MAX));
    let usual = usual.as_secs();
    let message = if *over {
        format!("Log source sends again: {source}, after a gap of {lasted:#} since {since:.0}")
    } else {
        format!(
            "Log source has fallen silent: {source}, nothing since {since:.0}; longest usual gap {usual} s"
        )
    };
    let kind = if *over { "gap" } else { "silence" };
    let native: Fields = [
        ("casemate.telemetry", kind.to_owned()),
        ("casemate.source", source.clone()),
        ("casemate.since", since.to_string()),
        ("casemate.seconds", lasted.as_secs().to_string()),
    ]
    .into_iter()
    .collect();
    let template_text = template::mask(&message);
    Event {
        time: Timestamp::now(),
        time_quality: TimeQuality::Stated,
        format: Format::Text,
        class: Class::BaseEvent,
        source: source.clone(),
        position: 0,
        raw: message.clone().into_bytes(),
        message,
        fields: Fields::default(),
        native,
        template: template::id(&template_text),
        template_text,
    }
}

/// Says in the log that work on the side ended with a panic; the next turn tries again.
fn told<T>(what: &'static str, outcome: std::result::Result<T, tokio::task::JoinError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, what, "work of the receivers failed");
    }
}

/// Ready once the receivers are to end.
pub(crate) async fn is_stopping(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}
