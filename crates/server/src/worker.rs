//! Who runs the model? One thread, one investigation at a time, the next by [`crate::queue`].
//!
//! A failed investigation, even one that panics, ends with its job marked failed and the next one begins; it is
//! tried again when asked for, or after a restart. At shutdown the running one is finished if it ends within the
//! grace period and otherwise abandoned: nothing of it is stored, and it is begun again after the restart.

use crate::board::Board;
use crate::error::{Error, Result};
use crate::headline::Headlines;
use crate::hub::{Hub, Job, Status, Step, lock};
use crate::queue::{Full, Lines, Next, Waiting};
use crate::served::{Served, Times};
use casemate_event::{Alert, AlertId};
use casemate_export::text::visible;
use casemate_investigate::{Investigation, Investigator, Progress};
use casemate_store::{Finished, Store};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often an idle worker looks for new alerts, and whether the server is ending.
const IDLE_CHECK: Duration = Duration::from_millis(200);
/// Alerts read from the store at once.
const READ_AT_ONCE: usize = 500;

/// What waits, as requests see it.
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    asked: Condvar,
    served: Mutex<Served>,
    running: Mutex<Option<AlertId>>,
    stop_after_this: AtomicBool,
    abandon: AtomicBool,
    /// Why nothing is taken from the queue.
    held: Option<String>,
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
    pub(crate) board: Arc<Board>,
    /// Whether alerts are investigated without being asked for.
    pub(crate) backlog: bool,
}

/// Starts the worker thread. What was asked for before a restart is asked for again.
///
/// While it is `held`, alerts wait and nothing is investigated.
pub(crate) fn start(tools: Tools, held: Option<String>) -> Result<(Queue, Worker)> {
    let (end, ended) = oneshot::channel();
    let shared = Arc::new(Shared { held, ..Shared::default() });
    shared.alive.store(true, Ordering::Relaxed);
    let queue = Queue { shared: Arc::clone(&shared) };
    for alert in tools.store.asked()? {
        if tools.hub.start(alert, || queue.push(alert)).is_err() {
            tracing::warn!(%alert, "more was asked for before the restart than can wait; ask again");
        }
    }
    let of_thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("investigate".to_owned())
        .spawn(move || {
            crate::give_way();
            run(tools, &of_thread);
            of_thread.alive.store(false, Ordering::Relaxed);
            if end.send(()).is_err() {
                tracing::debug!("the investigation thread ended and nobody waits for that");
            }
        })
        .map_err(|source| Error::Task { what: "starting the investigation thread", source })?;
    Ok((queue, Worker { shared, ended }))
}

impl Queue {
    /// Puts an alert that a person asks for into the queue, or says that it is full.
    pub(crate) fn push(&self, alert: AlertId) -> std::result::Result<(), Full> {
        lock(&self.shared.lines).ask(alert)?;
        self.shared.asked.notify_one();
        Ok(())
    }

    /// Takes an alert out that need not be investigated any more.
    pub(crate) fn forget(&self, alert: AlertId) {
        lock(&self.shared.lines).forget(alert);
    }

    /// Has the store looked through again for alerts that wait.
    pub(crate) fn read_again(&self) {
        lock(&self.shared.lines).read_again = true;
    }

    /// Alerts that wait, asked for or not.
    pub(crate) fn waiting(&self) -> usize {
        let lines = lock(&self.shared.lines);
        lines.asked() + lines.backlog()
    }

    /// Looks at what waits.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Lines) -> T) -> T {
        look(&lock(&self.shared.lines))
    }

    /// How long the latest investigations waited and took.
    pub(crate) fn times(&self) -> Times {
        lock(&self.shared.served).times()
    }

    /// Why nothing is investigated, if that is so.
    pub(crate) fn held(&self) -> Option<&str> {
        self.shared.held.as_deref()
    }

    /// The alert under investigation.
    pub(crate) fn running(&self) -> Option<AlertId> {
        *lock(&self.shared.running)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// Takes nothing more from the queue, and gives the running investigation `grace` to end.
    pub(crate) async fn end(mut self, grace: Duration) {
        self.shared.stop_after_this.store(true, Ordering::Relaxed);
        if tokio::time::timeout(grace, &mut self.ended).await.is_ok() {
            return;
        }
        tracing::warn!("the running investigation is abandoned; it is begun again after the restart");
        self.shared.abandon.store(true, Ordering::Relaxed);
        // It ends at its next step; the process need not wait for that.
        drop(tokio::time::timeout(Duration::from_secs(1), &mut self.ended).await);
    }
}

fn run(mut tools: Tools, shared: &Shared) {
    let mut intake = Intake::new();
    while !shared.stop_after_this.load(Ordering::Relaxed) {
        if tools.backlog {
            intake.refill(&tools, shared);
        }
        if shared.held.is_some() {
            // Asked for or not, it waits; what was read in is seen in the queue.
            drop(shared.asked.wait_timeout(lock(&shared.lines), IDLE_CHECK));
            continue;
        }
        let Some(next) = take(shared) else { continue };
        let started = Instant::now();
        let job = match tools.hub.start(next.alert, || Ok::<_, Full>(())) {
            // Asked for in this very moment: then it stands in the other line.
            Ok((_, false)) if next.waiting.is_some() => continue,
            Ok((job, _)) => job,
            Err(Full) => continue,
        };
        *lock(&shared.running) = Some(next.alert);
        tools.hub.tell(next.alert, Status::Running);
        let outcome = catch_unwind(AssertUnwindSafe(|| tools.investigate(&next, &job, shared)));
        // Counted before it no longer runs: who sees nothing running sees all that ran.
        if let Ok(Ok(_)) = &outcome {
            lock(&shared.served).add(&next, started.elapsed());
        }
        *lock(&shared.running) = None;
        let failure = match outcome {
            Ok(Ok(investigation)) => {
                tools.hub.finish(next.alert, Status::Done, done_step(next.alert, &investigation));
                continue;
            }
            Ok(Err(why)) => why,
            Err(panic) if panic.is::<Abandoned>() => "abandoned: casemate is ending".to_owned(),
            Err(_) => "a fault inside casemate; its log has the details".to_owned(),
        };
        intake.failed.insert(next.alert);
        tracing::error!(alert = %next.alert, failure, "investigation failed");
        tools.hub.finish(next.alert, Status::Failed, Step::new("done", &failed(next.alert, &failure)));
    }
}

/// What is next, waiting a little if nothing is.
fn take(shared: &Shared) -> Option<Next> {
    let mut lines = lock(&shared.lines);
    if let Some(next) = lines.take(Timestamp::now()) {
        return Some(next);
    }
    let waited = shared.asked.wait_timeout(lines, IDLE_CHECK).unwrap_or_else(PoisonError::into_inner);
    let (mut lines, _) = waited;
    lines.take(Timestamp::now())
}

/// How alerts come from the store into the backlog.
struct Intake {
    /// The last alert looked at.
    seen: AlertId,
    /// Alerts whose investigation failed: not tried again by itself.
    failed: BTreeSet<AlertId>,
}

impl Intake {
    fn new() -> Self {
        Self { seen: AlertId(0), failed: BTreeSet::new() }
    }

    /// Reads the alerts raised since the last time.
    fn refill(&mut self, tools: &Tools, shared: &Shared) {
        {
            let mut lines = lock(&shared.lines);
            if lines.read_again && lines.backlog() < READ_AT_ONCE {
                lines.read_again = false;
                self.seen = AlertId(0);
            }
        }
        loop {
            let found = match tools.store.uninvestigated(self.seen, READ_AT_ONCE) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "alerts that wait cannot be read");
                    return;
                }
            };
            let now = Timestamp::now();
            for (alert, raised) in &found {
                self.seen = alert.id;
                if self.failed.contains(&alert.id) {
                    continue;
                }
                let seen = || waiting(tools, alert, raised.unwrap_or(now));
                let Ok(waiting) = catch_unwind(AssertUnwindSafe(seen)) else {
                    tracing::error!(alert = %alert.id, "a fault inside casemate: this alert is not investigated by itself");
                    self.failed.insert(alert.id);
                    continue;
                };
                lock(&shared.lines).add(waiting, now);
            }
            if found.len() < READ_AT_ONCE {
                return;
            }
        }
    }
}

fn waiting(tools: &Tools, alert: &Alert, raised: Timestamp) -> Waiting {
    Waiting {
        alert: alert.id,
        severity: alert.severity,
        critical_asset: tools.investigator.is_critical(alert),
        probability: tools.board.guess(alert),
        raised,
    }
}

/// Unwinds out of an investigation that is abandoned at shutdown.
struct Abandoned;

impl Tools {
    fn investigate(
        &mut self,
        next: &Next,
        job: &Job,
        shared: &Shared,
    ) -> std::result::Result<Investigation, String> {
        let id = next.alert;
        let alert = self.read_alert(id)?;
        // Who asks for an investigation wants one.
        self.investigator.set_reuse(next.waiting.is_some());
        let started = Instant::now();
        job.step(Step::new("started", &json!({ "id": id, "text": "Started", "at": Timestamp::now() })));
        let mut on_progress = |progress: Progress| {
            if shared.abandon.load(Ordering::Relaxed) {
                // No panic: the hook stays silent, and `run` catches it.
                resume_unwind(Box::new(Abandoned));
            }
            job.step(progress_step(&progress, started.elapsed()));
        };
        let investigation =
            self.investigator.investigate(&alert, &mut on_progress).map_err(|error| error.to_string())?;
        let json =
            serde_json::to_vec(&investigation).map_err(|error| format!("it cannot be written: {error}"))?;
        let entry = investigation.entry("casemate");
        let finished = Finished { entry: Some(&entry), ..investigation.finished(&json) };
        self.store.put_finished(id, finished).map_err(|error| format!("it cannot be stored: {error}"))?;
        self.headlines.remember(id, &json);
        crate::gate::close_if_allowed(&self.store, &alert, &investigation)
            .map_err(|error| format!("it is stored and the alert could not be closed: {error}"))?;
        Ok(investigation)
    }

    fn read_alert(&self, id: AlertId) -> std::result::Result<Alert, String> {
        let found = self.store.alert(id).map_err(|error| format!("the alert cannot be read: {error}"))?;
        found.ok_or_else(|| format!("there is no alert {id}"))
    }
}

/// A step as JSON, with `text` for people and the seconds since the start beside what the investigator says.
fn progress_step(progress: &Progress, elapsed: Duration) -> Step {
    let mut json = json!(progress);
    if let Some(object) = json.as_object_mut() {
        object.insert("elapsed".to_owned(), json!((elapsed.as_secs_f64() * 1000.0).round() / 1000.0));
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
    json!({ "id": alert, "alert": alert, "status": "failed", "detail": why })
}

/// The last step of an investigation that ended well.
fn done_step(alert: AlertId, investigation: &Investigation) -> Step {
    let headline = json!({
        "id": alert,
        "alert": alert,
        "status": "done",
        "verdict": investigation.verdict,
        "confidence": investigation.confidence,
        "convergence": investigation.convergence,
    });
    Step::new("done", &headline)
}
