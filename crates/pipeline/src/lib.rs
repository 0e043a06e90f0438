//! How does a log become something that can be investigated?
//!
//! The one path every intake takes, from the command line or over HTTP: records are appended durably, then
//! [`Pipeline::catch_up`] runs detection over events not yet looked at and embeds templates not yet embedded.
//! Both remember how far they came, so a crash between the steps loses nothing: the next catch-up goes on.
//!
//! It decides nothing about a verdict and knows nothing of questions.

mod finding;
mod hybrid;
mod quarantine;
mod template_index;

pub use hybrid::{Found, Way, words_of};

use casemate_detect::{ALERT_LEVEL, Correlator, Rule, Rules};
use casemate_event::{Alert, Batch, EventId, Format, Stored, TemplateId};
use casemate_inference::Embedder;
use casemate_ingest::{Known, Mappings, Options, Summary};
use casemate_store::{Limits, Prepared, Raise, Store};
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use std::fmt;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use template_index::TemplateIndex;

pub use quarantine::Retried;

/// Alerts of one rule about the same host, user and programs fold into one while they are no further apart
/// than this: what recurs daily is one alert with a history, not one a day.
pub const FOLD_WINDOW: SignedDuration = SignedDuration::from_hours(25);

/// Events read back at once for detection: bounds memory, not results.
const DETECT_CHUNK: usize = 2000;

/// Batches prepared while another is written.
const BATCHES_AHEAD: usize = 2;

/// Told each batch that was read.
type OnBatch<'a> = &'a mut dyn FnMut(Batch) -> std::result::Result<(), casemate_ingest::SinkError>;

const DETECTED: &str = "detected";

/// What can go wrong between bytes and alerts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read at all.
    #[error(transparent)]
    Ingest(#[from] casemate_ingest::Error),
    /// The store failed or is damaged.
    #[error(transparent)]
    Store(#[from] casemate_store::Error),
    /// The template index could not be written or read.
    #[error(transparent)]
    Vector(#[from] casemate_vector::Error),
    /// The embedder failed.
    #[error(transparent)]
    Inference(#[from] casemate_inference::Error),
    /// A file could not be hashed.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
    /// Semantic search was asked for and there is no embedding model.
    #[error(
        "semantic search needs the embedding model, which is not loaded; fetch it with `casemate-stage fetch` \
         or search by text"
    )]
    NoEmbedder,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A step of the pipeline whose progress is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes of files taken in.
    Ingest,
    /// Events looked at by the rules.
    Detect,
    /// Templates embedded.
    Embed,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingest => "ingest",
            Self::Detect => "detect",
            Self::Embed => "embed",
        })
    }
}

/// Told how far a stage has come: stage, done, total.
pub type OnProgress<'a> = &'a mut dyn FnMut(Stage, u64, u64);

/// What became of one file.
#[derive(Debug, Clone)]
pub struct FileOutcome {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
    /// Counts and problems; `None` when the same bytes had been taken in before.
    pub summary: Option<Summary>,
}

/// What a catch-up did.
#[derive(Debug, Clone, Default)]
pub struct CatchUp {
    /// Events looked at by the rules.
    pub examined: u64,
    /// Rule matches at alert level.
    pub matches: u64,
    /// Alerts raised or extended, by id, without duplicates.
    pub alerts: Vec<Alert>,
    /// Templates embedded.
    pub embedded: u64,
    /// Templates in the index now.
    pub templates: u64,
}

/// An event and the rules that it matches.
type Matched<'r> = (Stored, Vec<&'r Rule>);

/// A data directory opened for taking in and finding events.
pub struct Pipeline {
    store: Arc<Store>,
    rules: Arc<Rules>,
    embedder: Option<Arc<Embedder>>,
    templates: TemplateIndex,
    /// What correlation rules have seen; held while catching up.
    correlator: Mutex<Correlator>,
    mappings: Arc<Mappings>,
    /// Whether alerts of other products are alerts here.
    takes_findings: bool,
    data_dir: PathBuf,
    /// Events that detection faulted on.
    faults: AtomicU64,
    /// Held while quarantined records are tried again: each becomes events once.
    retrying: Mutex<()>,
}

impl Pipeline {
    /// Opens `data_dir`, creating it if need be.
    ///
    /// Without an embedder everything works except [`Pipeline::similar`], and templates are embedded by the
    /// next catch-up that has one.
    ///
    /// # Errors
    /// [`Error::Store`] if the directory cannot be written, is in use, or holds a damaged event log.
    pub fn open(data_dir: &Path, rules: Rules, embedder: Option<Embedder>) -> Result<Self> {
        Self::open_with(data_dir, rules, embedder, Limits::default())
    }

    /// As [`open`](Self::open), with other limits of the store than the usual.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        data_dir: &Path,
        rules: Rules,
        embedder: Option<Embedder>,
        limits: Limits,
    ) -> Result<Self> {
        Self::open_shared(data_dir, Self::share(rules), embedder.map(Arc::new), limits)
    }

    /// Rules ready to be shared by several pipelines: they know the formats of the program's own mapping files.
    pub fn share(mut rules: Rules) -> Arc<Rules> {
        set_log_sources(&mut rules, &Options::default().mappings);
        Arc::new(rules)
    }

    /// As [`open_with`](Self::open_with), over rules (from [`share`](Self::share)) and an embedder that others
    /// use too.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_shared(
        data_dir: &Path,
        rules: Arc<Rules>,
        embedder: Option<Arc<Embedder>>,
        limits: Limits,
    ) -> Result<Self> {
        let store = Arc::new(Store::open_with(data_dir, limits)?);
        let templates = TemplateIndex::open(data_dir.join("templates.hnsw"), embedder.as_deref());
        let correlator = Mutex::new(rules.correlator());
        let mappings = Options::default().mappings;
        let (data_dir, faults, retrying) = (data_dir.to_owned(), AtomicU64::default(), Mutex::default());
        let takes_findings = false;
        Ok(Self {
            store,
            rules,
            embedder,
            templates,
            correlator,
            mappings,
            takes_findings,
            data_dir,
            faults,
            retrying,
        })
    }

    /// Takes records in, and matches rules, by these mapping files instead of those of the program alone. Rules
    /// that others share keep the log sources they have.
    #[must_use]
    pub fn with_mappings(mut self, mappings: Arc<Mappings>) -> Self {
        if let Some(rules) = Arc::get_mut(&mut self.rules) {
            set_log_sources(rules, &mappings);
        }
        self.mappings = mappings;
        self
    }

    /// Makes alerts of the records in which other products tell of theirs, beside what rules match.
    #[must_use]
    pub fn with_findings(mut self) -> Self {
        self.takes_findings = true;
        self
    }

    /// How records are decoded that arrive now.
    pub fn ingest_options(&self) -> Options {
        Options { arrival: Timestamp::now(), mappings: Arc::clone(&self.mappings), ..Options::default() }
    }

    /// The events.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The directory that was opened.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether semantic search can be used.
    pub fn has_embedder(&self) -> bool {
        self.embedder.is_some()
    }

    /// Templates in the vector index.
    pub fn indexed_templates(&self) -> usize {
        self.templates.len()
    }

    /// Takes in one file, durably; skips it if the same bytes were taken in before, unless `again`.
    ///
    /// A read that was interrupted goes on where it stopped. Call [`Pipeline::catch_up`] afterwards.
    ///
    /// # Errors
    /// If the file cannot be read or the store cannot be written. What is wrong *inside* a file is no error:
    /// it is counted and described in the summary.
    pub fn ingest_file(&self, path: &Path, again: bool, on_progress: OnProgress<'_>) -> Result<FileOutcome> {
        let sha256 = casemate_disk::sha256_file(path, |_| {})?;
        let known = if again { None } else { self.store.source_progress(&sha256)? };
        if known.as_ref().is_some_and(|progress| progress.complete) {
            return Ok(FileOutcome { path: path.to_owned(), sha256, summary: None });
        }
        let resume_from = known.map_or(0, |progress| progress.position);
        let total = path.metadata().map_or(0, |metadata| metadata.len());
        let options = self.ingest_options();
        let mut progress = |done: u64| on_progress(Stage::Ingest, done.min(total), total);
        let summary = self.take_in(|sink| {
            casemate_ingest::read_file(path, &sha256, &options, resume_from, sink, &mut progress)
        })?;
        Ok(FileOutcome { path: path.to_owned(), sha256, summary: Some(summary) })
    }

    /// Takes in a stream, durably, under `name`. Everything accepted before an error stays.
    ///
    /// # Errors
    /// If the stream or the store fails.
    pub fn ingest_stream(&self, name: &str, reader: impl Read, format: Option<Format>) -> Result<Summary> {
        let options = self.ingest_options();
        self.take_in(|sink| casemate_ingest::read_stream(name, reader, &options, format, sink))
    }

    /// As [`ingest_stream`](Self::ingest_stream), once: `key` stands for these very bytes, and what of them was
    /// taken in before, whole or in part, is not taken in again. `None` if that was all of it.
    ///
    /// # Errors
    /// As [`ingest_stream`](Self::ingest_stream).
    pub fn ingest_stream_once(
        &self,
        name: &str,
        key: &str,
        reader: impl Read,
        format: Option<Format>,
    ) -> Result<Option<Summary>> {
        let progress = self.store.source_progress(key)?;
        if progress.as_ref().is_some_and(|progress| progress.complete) {
            // It may be known and not yet be durable.
            self.store.sync()?;
            return Ok(None);
        }
        let known = Known { key, resume_from: progress.map_or(0, |progress| progress.position) };
        let options = self.ingest_options();
        self.take_in(|sink| casemate_ingest::resume_stream((name, known), reader, &options, format, sink))
            .map(Some)
    }

    /// Reads with `read`, and stores the batches that it hands over: a thread of its own writes and indexes them
    /// while the next are decoded and compressed. Durable when it returns, also with an error.
    fn take_in<T>(&self, read: impl FnOnce(OnBatch<'_>) -> casemate_ingest::Result<T>) -> Result<T> {
        let (send, receive) = sync_channel::<Prepared>(BATCHES_AHEAD);
        let (read, appended) = std::thread::scope(|scope| {
            let appending = scope.spawn(move || {
                receive.into_iter().try_for_each(|prepared| self.store.append_prepared(prepared).map(drop))
            });
            let read = read(&mut |batch| {
                let prepared = Store::prepare(batch)?;
                send.send(prepared).map_err(|_| "an earlier batch could not be stored".into())
            });
            drop(send);
            (read, appending.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        self.store.sync()?;
        appended?;
        Ok(read?)
    }

    /// Notes how far the log is durable, runs detection over events not yet looked at, and embeds
    /// templates not yet embedded. Once for many files.
    ///
    /// # Errors
    /// If the store, the embedder or the template index fails; what was done until then is kept.
    pub fn catch_up(&self, on_progress: OnProgress<'_>) -> Result<CatchUp> {
        let mut correlator = lock(&self.correlator);
        self.store.refresh()?;
        let mut done = CatchUp::default();
        self.detect(&mut correlator, &mut done, on_progress)?;
        if let Some(embedder) = &self.embedder {
            done.embedded = self.templates.extend(&self.store, embedder, usize::MAX, on_progress)?;
        }
        done.templates = self.templates.len() as u64;
        Ok(done)
    }

    fn detect(
        &self,
        correlator: &mut Correlator,
        done: &mut CatchUp,
        on_progress: OnProgress<'_>,
    ) -> Result<()> {
        let last = self.store.last_id();
        let start = self.store.watermark(DETECTED)?;
        if start >= last || (self.rules.is_empty() && !self.takes_findings) {
            return Ok(());
        }
        if !correlator.is_idle() && correlator.observed() != start {
            *correlator = self.rules.correlator();
            let from = correlator.replay_from(start);
            self.for_each_chunk(from, start, &mut |chunk| {
                for (stored, matched) in chunk {
                    self.unless_it_faults(stored.id, || {
                        correlator.observe(&self.rules, stored, matched);
                    });
                }
                Ok(())
            })?;
        }
        let total = last.0.saturating_sub(start.0);
        self.for_each_chunk(EventId(start.0 + 1), last, &mut |chunk| {
            let mut raises: Vec<Raise> = Vec::new();
            for (stored, matched) in chunk {
                raises.extend(self.unless_it_faults(stored.id, || self.raises(correlator, stored, matched)));
            }
            let Some((newest, _)) = chunk.last() else { return Ok(()) };
            done.matches += raises.len() as u64;
            done.examined += chunk.len() as u64;
            for alert in self.store.raise_all(raises, Some((DETECTED, newest.id)))? {
                remember(&mut done.alerts, alert);
            }
            on_progress(Stage::Detect, newest.id.0 - start.0, total);
            Ok(())
        })
    }

    /// Hands the events from `from` to `last` to `take`, in order, with the rules that each matches: matched on
    /// all cores while the next are read.
    fn for_each_chunk<'s>(
        &'s self,
        from: EventId,
        last: EventId,
        take: &mut dyn FnMut(&[Matched<'s>]) -> Result<()>,
    ) -> Result<()> {
        let read = |from: EventId| -> Result<Vec<Stored>> {
            if from > last {
                return Ok(Vec::new());
            }
            let mut events = self.store.scan(from, DETECT_CHUNK)?;
            events.truncate(events.partition_point(|stored| stored.id <= last));
            Ok(events)
        };
        let mut events = read(from)?;
        while let Some(newest) = events.last().map(|stored| stored.id) {
            let (chunk, next) = rayon::join(
                || -> Vec<Matched<'s>> {
                    let matched = events.into_par_iter().map(|stored| {
                        let rules = self.unless_it_faults(stored.id, || self.rules.matches(&stored.event));
                        (stored, rules)
                    });
                    matched.collect()
                },
                || read(EventId(newest.0 + 1)),
            );
            take(&chunk)?;
            events = next?;
        }
        Ok(())
    }

    /// What `look` makes of an event, or nothing where it faults: one such event is not to hold up all that follow. It
    /// stays in the store, is counted, and is named in the log.
    fn unless_it_faults<T: Default>(&self, event: EventId, look: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| {
            self.faults.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%event, "a fault inside casemate while rules looked at this event; please report it");
            T::default()
        })
    }

    /// Events since the start that detection faulted on: no rule says anything about them.
    pub fn detection_faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// What the rules of alert level say about one event, and what correlation rules it completes.
    fn raises(&self, correlator: &mut Correlator, stored: &Stored, matched: &[&Rule]) -> Vec<Raise> {
        let is_alert = |rule: &Rule| rule.severity >= ALERT_LEVEL && rule.raises;
        let kind = if matched.is_empty() { 0 } else { casemate_detect::fold_kind(&stored.event) };
        let alone = matched.iter().filter(|rule| is_alert(rule)).map(|rule| Raise {
            alert: casemate_detect::alert(rule, stored),
            fold_key: casemate_detect::fold_key(rule, &stored.event),
            window: FOLD_WINDOW,
            kind,
            same: None,
        });
        let mut raises: Vec<Raise> = alone.collect();
        if self.takes_findings {
            raises.extend(finding::raise(stored));
        }
        let correlated = correlator.observe(&self.rules, stored, matched);
        raises.extend(correlated.iter().filter(|correlated| is_alert(correlated.rule)).map(|correlated| {
            Raise {
                alert: casemate_detect::correlation_alert(correlated, stored),
                fold_key: casemate_detect::correlation_fold_key(correlated),
                window: FOLD_WINDOW,
                kind,
                same: None,
            }
        }));
        raises
    }

    /// One unit-length vector per text; `None` without an embedding model.
    ///
    /// # Errors
    /// [`Error::Inference`] if the model fails.
    pub fn embed(&self, texts: &[&str]) -> Result<Option<Vec<Vec<f32>>>> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        Ok(Some(embedder.embed(texts)?))
    }

    /// The embedding model, if there is one.
    pub fn embedder(&self) -> Option<&Arc<Embedder>> {
        self.embedder.as_ref()
    }

    /// The `k` templates nearest in meaning to `text`, best first, with cosine similarity.
    ///
    /// # Errors
    /// [`Error::NoEmbedder`] without an embedding model.
    pub fn similar(&self, text: &str, k: usize) -> Result<Vec<(TemplateId, f32)>> {
        let embedder = self.embedder.as_ref().ok_or(Error::NoEmbedder)?;
        self.templates.search(embedder, text, k)
    }
}

fn remember(alerts: &mut Vec<Alert>, alert: Alert) {
    match alerts.iter_mut().find(|known| known.id == alert.id) {
        Some(known) => *known = alert,
        None => alerts.push(alert),
    }
}

fn set_log_sources(rules: &mut Rules, mappings: &Mappings) {
    rules.set_log_sources(mappings.log_sources().map(|(format, source)| (format, source.clone())));
}

/// A panic while holding one of these locks leaves nothing half-changed that matters: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_event_that_detection_faults_on_is_counted_and_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = Pipeline::open(dir.path(), Rules::default(), None).unwrap();
        let looked = |id: u64| {
            pipeline.unless_it_faults(EventId(id), || {
                assert_ne!(id, 2, "no such column");
                vec![id]
            })
        };
        let seen: Vec<u64> = (1..=3).into_par_iter().flat_map_iter(looked).collect();
        assert_eq!((seen, pipeline.detection_faults()), (vec![1, 3], 1));
    }
}
