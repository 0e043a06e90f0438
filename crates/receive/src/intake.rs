//! How do received records become durable, counted and looked at by the rules?
//!
//! Every receiver hands framed records to one [`Intake`]; what it returns from is on disk. Detection follows in
//! the background, at most once a second.

use crate::saved::{Saved, SavedSource};
use crate::sources::{Silence, Sources};
use crate::{Error, Result};
use casemate_event::{Batch, Class, Event, Fields, Format, TimeQuality};
use casemate_ingest::{read_records, template};
use casemate_pipeline::Pipeline;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

/// Detection runs no more often than this.
const DETECT_EVERY: Duration = Duration::from_secs(1);
/// How often sources are looked at for silence.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is known of sources is saved at least this often: it also says until when there was a program to receive.
const SAVE_LEAST: Duration = Duration::from_secs(60);
/// A shorter pause between two runs is a restart.
const LEAST_AWAY: SignedDuration = SignedDuration::from_secs(120);
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
    /// Until when an earlier run was receiving, if that is long ago and not said yet.
    away_since: Mutex<Option<Timestamp>>,
    /// What was saved last, and when.
    saved: Mutex<Option<(BTreeMap<String, SavedSource>, Instant)>>,
}

impl Intake {
    /// An intake into `pipeline`; [`run`](Self::run) is to run beside it.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        let saved = Saved::read(pipeline.data_dir());
        let away_since = saved.as_ref().map(|saved| saved.saved_at);
        let away_since = away_since.filter(|since| Timestamp::now().duration_since(*since) >= LEAST_AWAY);
        let sources =
            saved.map_or_else(Sources::default, |saved| Sources::restored(&saved.sources, Instant::now()));
        Self {
            pipeline,
            sources,
            fresh: Notify::new(),
            away_since: Mutex::new(away_since),
            saved: Mutex::default(),
        }
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

    /// Saves what is known of sources, unless nothing has changed for less than a minute. Blocks on the disk.
    pub fn save(&self) {
        let sources = self.sources.to_save();
        let mut last = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(saved, when)| *saved == sources && when.elapsed() < SAVE_LEAST) {
            return;
        }
        match Saved::new(sources.clone()).write(self.pipeline.data_dir()) {
            Ok(()) => *last = Some((sources, Instant::now())),
            Err(error) => tracing::warn!(%error, "what is known of sources is not saved; trying again"),
        }
    }

    /// Runs detection over what comes in, reports silences and saves counters, until `stopping` turns true.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let intake = Arc::clone(&self);
            tokio::select! {
                () = is_stopping(&mut stopping) => {
                    told("saving", spawn_blocking(move || intake.save()).await);
                    return;
                }
                _ = look.tick() => {
                    let looking = spawn_blocking(move || {
                        intake.report_absence();
                        intake.report_silences(Instant::now());
                        intake.save();
                    });
                    told("looking for silent sources", looking.await);
                }
                () = self.fresh.notified() => {
                    told("detection", spawn_blocking(move || intake.detect()).await);
                    tokio::select! {
                        () = tokio::time::sleep(DETECT_EVERY) => {}
                        () = is_stopping(&mut stopping) => {}
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
        if let Err(error) = self.note(silences.iter().map(silence_event).collect()) {
            tracing::error!(%error, ?silences, "silences could not be stored");
        }
    }

    /// Makes the time in which nothing was received, because this program did not run, an event.
    fn report_absence(&self) {
        let away_since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(since) = away_since else { return };
        let lasted = Timestamp::now().duration_since(since);
        let message = format!(
            "Nothing was received for {lasted:#.0}, since {since:.0}: casemate was not running; what was sent \
             meanwhile is missing unless its sender kept it"
        );
        let event = telemetry_event("absence", "casemate", since, lasted, message);
        if let Err(error) = self.note(vec![event]) {
            tracing::error!(%error, "an absence could not be stored");
        }
    }

    /// Stores events of our own.
    pub(crate) fn note(&self, events: Vec<Event>) -> Result<()> {
        self.pipeline.store().append(&Batch { events, ..Batch::default() })?;
        self.fresh.notify_one();
        Ok(())
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
    telemetry_event(kind, source, *since, lasted, message)
}

/// An event that speaks of the logs themselves: something of them is, or may be, missing.
pub(crate) fn telemetry_event(
    kind: &str,
    source: &str,
    since: Timestamp,
    lasted: SignedDuration,
    message: String,
) -> Event {
    let native: Fields = [
        ("casemate.telemetry", kind.to_owned()),
        ("casemate.source", source.to_owned()),
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
        source: source.to_owned(),
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
