//! Who runs the model? One thread, one investigation at a time, from a bounded queue.
//!
//! A failed investigation, even one that panics, ends with its job marked failed and the next one begins. At
//! shutdown the running one is finished if it ends within the grace period and otherwise abandoned: nothing of it
//! is stored, and it can be asked for again.

use crate::error::{Error, Result};
use crate::headline::Headlines;
use crate::hub::{Hub, Job, Status, Step};
use crate::page::escape::visible;
use casemate_event::{Alert, AlertId};
use casemate_investigate::{Investigation, Investigator, Progress};
use casemate_store::Store;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Investigations that can wait; at half a minute each, half an hour.
pub(crate) const QUEUE_CAPACITY: usize = 64;
/// How often an idle worker looks whether the server is ending.
const IDLE_CHECK: Duration = Duration::from_millis(200);

/// The sending end of the worker's queue.
pub(crate) struct Queue {
    sender: SyncSender<AlertId>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    stop_after_this: AtomicBool,
    abandon: AtomicBool,
    alive: AtomicBool,
}

/// The worker thread, to be ended.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

/// What the worker needs besides its queue.
pub(crate) struct Tools {
    pub(crate) store: Arc<Store>,
    pub(crate) investigator: Investigator,
    pub(crate) hub: Arc<Hub>,
    pub(crate) headlines: Arc<Headlines>,
}

/// Starts the worker thread.
pub(crate) fn start(tools: Tools) -> Result<(Queue, Worker)> {
    let (sender, receiver) = sync_channel(QUEUE_CAPACITY);
    let (end, ended) = oneshot::channel();
    let shared = Arc::new(Shared::default());
    shared.alive.store(true, Ordering::Relaxed);
    let of_thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("investigate".to_owned())
        .spawn(move || {
            run(tools, &receiver, &of_thread);
            of_thread.alive.store(false, Ordering::Relaxed);
            let _ = end.send(());
        })
        .map_err(|source| Error::Task { what: "starting the investigation thread", source })?;
    Ok((Queue { sender, shared: Arc::clone(&shared) }, Worker { shared, ended }))
}

impl Queue {
    /// Puts an alert into the queue, or says that it is full.
    pub(crate) fn push(&self, alert: AlertId) -> std::result::Result<(), Full> {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.try_send(alert).map_err(|error| {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) | TrySendError::Disconnected(_) => Full,
            }
        })
    }

    pub(crate) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Relaxed)
    }
}

/// The queue takes no more.
#[derive(Debug)]
pub(crate) struct Full;

impl Worker {
    /// Takes nothing more from the queue, and gives the running investigation `grace` to end.
    pub(crate) async fn end(mut self, grace: Duration) {
        self.shared.stop_after_this.store(true, Ordering::Relaxed);
        if tokio::time::timeout(grace, &mut self.ended).await.is_ok() {
            return;
        }
        tracing::warn!("the running investigation is abandoned; ask for it again after the restart");
        self.shared.abandon.store(true, Ordering::Relaxed);
        // It ends at its next step; the process need not wait for that.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.ended).await;
    }
}

fn run(mut tools: Tools, receiver: &Receiver<AlertId>, shared: &Shared) {
    use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
    while !shared.stop_after_this.load(Ordering::Relaxed) {
        let alert = match receiver.recv_timeout(IDLE_CHECK) {
            Ok(alert) => alert,
            Err(Timeout) => continue,
            Err(Disconnected) => return,
        };
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let Some(job) = tools.hub.job(alert) else { continue };
        let outcome = catch_unwind(AssertUnwindSafe(|| tools.investigate(alert, &job, shared)));
        let failure = match outcome {
            Ok(Ok(investigation)) => {
                tools.hub.finish(alert, Status::Done, done_step(alert, &investigation));
                continue;
            }
            Ok(Err(why)) => why,
            Err(panic) if panic.is::<Abandoned>() => "abandoned: casemate is ending".to_owned(),
            Err(_) => "a fault inside casemate; its log has the details".to_owned(),
        };
        tracing::error!(%alert, failure, "investigation failed");
        tools.hub.finish(alert, Status::Failed, Step::new("done", &failed(alert, &failure)));
    }
}

/// Unwinds out of an investigation that is abandoned at shutdown.
struct Abandoned;

impl Tools {
    fn investigate(
        &mut self,
        id: AlertId,
        job: &Job,
        shared: &Shared,
    ) -> std::result::Result<Investigation, String> {
        let alert = self.read_alert(id)?;
        job.step(Step::new("started", &json!({ "id": id, "text": "Started" })));
        let mut on_progress = |progress: Progress| {
            if shared.abandon.load(Ordering::Relaxed) {
                // No panic: the hook stays silent, and `run` catches it.
                resume_unwind(Box::new(Abandoned));
            }
            job.step(progress_step(&progress));
        };
        let investigation =
            self.investigator.investigate(&alert, &mut on_progress).map_err(|error| error.to_string())?;
        let json =
            serde_json::to_vec(&investigation).map_err(|error| format!("it cannot be written: {error}"))?;
        self.store.put_investigation(id, &json).map_err(|error| format!("it cannot be stored: {error}"))?;
        self.headlines.remember(id, &json);
        Ok(investigation)
    }

    fn read_alert(&self, id: AlertId) -> std::result::Result<Alert, String> {
        let found = self.store.alert(id).map_err(|error| format!("the alert cannot be read: {error}"))?;
        found.ok_or_else(|| format!("there is no alert {id}"))
    }
}

/// A step as JSON, with `text` for people beside what the investigator says.
fn progress_step(progress: &Progress) -> Step {
    let mut json = json!(progress);
    if let Some(object) = json.as_object_mut() {
        object.insert("text".to_owned(), json!(visible(&describe(progress))));
    }
    Step::new("progress", &json)
}

fn describe(progress: &Progress) -> String {
    match progress {
        Progress::Stage { name } => match *name {
            "retrieve" => "Looking for evidence".to_owned(),
            "facts" => "Establishing facts".to_owned(),
            "read" => "Reading the evidence".to_owned(),
            "ask" => "Asking the playbook's questions".to_owned(),
            "narrate" => "Writing down what happened".to_owned(),
            other => other.to_owned(),
        },
        Progress::Evidence { count, candidates } => {
            format!("{count} lines of evidence from {candidates} events")
        }
        Progress::Fact { statement, weight, .. } => format!("Fact ({weight:+.1}): {statement}"),
        Progress::Reading { order, tokens } => {
            format!("Reading {tokens} tokens of evidence, order {}", order + 1)
        }
        Progress::Answer { question, answer, probability, .. } => {
            format!("{question} {answer} ({probability:.2})")
        }
        Progress::Verdict { verdict, confidence, convergence } => {
            format!("Verdict: {verdict}, confidence {confidence:.2}, convergence {convergence:.2}")
        }
        Progress::Sentence { text, citations, .. } => format!("{text} [{}]", citations.join(", ")),
    }
}

fn failed(alert: AlertId, why: &str) -> serde_json::Value {
    json!({ "id": alert, "status": "failed", "detail": why })
}

/// The last step of an investigation that ended well.
fn done_step(alert: AlertId, investigation: &Investigation) -> Step {
    let headline = json!({
        "id": alert,
        "status": "done",
        "verdict": investigation.verdict,
        "confidence": investigation.confidence,
        "convergence": investigation.convergence,
    });
    Step::new("done", &headline)
}
