//! What would come out if this text were in use? Edited playbooks and rules are tried on what is past, one after
//! another, on a thread beside the one that investigates. Nothing of it is stored: what came out is kept in memory for a
//! while.

mod compare;
mod playbook;
mod rule;

pub(crate) use compare::{Case, Line, Side, Turned};
pub use playbook::{Closed, Judge};
pub(crate) use playbook::{MAX_LAST, PlaybookOutcome};
pub(crate) use rule::{DEFAULT_EVENTS, MAX_EVENTS, RuleOutcome, Touched};

use crate::error::{Error, Result};
use crate::headline::Headlines;
use crate::hub::{Job, Status, Step, lock};
use crate::knowledge::tally::Tally;
use casemate_detect::Candidate;
use casemate_event::AlertId;
use casemate_inference::Cancel;
use casemate_investigate::playbook::Playbook;
use casemate_investigate::{Investigator, Playbooks};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Tries that may wait.
const WAITING: usize = 4;
/// Tries whose outcome is kept.
const KEPT: usize = 32;

/// What is to be tried.
pub(crate) enum What {
    /// A playbook among all, on these investigations.
    Playbook { own: Box<Playbook>, all: Box<Playbooks>, on: On },
    /// Rules, on the latest so many events.
    Rule { candidate: Box<Candidate>, events: u64, days: Option<u32> },
}

/// Past investigations.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    /// That of one alert.
    Alert(AlertId),
    /// The latest that followed the playbook or would now.
    Last(usize),
}

/// What has come out so far.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Playbook(PlaybookOutcome),
    Rule(RuleOutcome),
}

/// One try since it was asked for.
pub(crate) struct Try {
    pub(crate) id: u64,
    /// The text, and its SHA-256.
    pub(crate) text: String,
    pub(crate) sha256: String,
    /// Name of the playbook, or ids of the rules.
    pub(crate) names: Vec<String>,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    what: What,
    job: Job,
    outcome: Mutex<Outcome>,
    cancel: Cancel,
    stopped: AtomicBool,
}

impl Try {
    pub(crate) fn status(&self) -> Status {
        self.job.status()
    }

    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    pub(crate) fn is_playbook(&self) -> bool {
        matches!(self.what, What::Playbook { .. })
    }

    pub(crate) fn outcome(&self) -> Outcome {
        lock(&self.outcome).clone()
    }

    /// Ends it after what it is doing.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Tells followers how far it is.
    fn progress(&self, done: u64, of: u64, text: &str) {
        self.job.step(Step::new("progress", &json!({ "done": done, "of": of, "text": text })));
    }

    fn update(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut lock(&self.outcome));
    }

    /// As the API shows it.
    pub(crate) fn to_json(&self) -> Value {
        let asked = match &self.what {
            What::Playbook { on, .. } => json!(on),
            What::Rule { events, days, .. } => json!({ "events": events, "days": days }),
        };
        json!({
            "id": self.id,
            "kind": if self.is_playbook() { "playbook" } else { "rule" },
            "status": self.status(),
            "names": self.names,
            "sha256": self.sha256,
            "by": self.by,
            "at": self.at,
            "on": asked,
            "outcome": self.outcome(),
        })
    }
}

/// All tries since the start.
pub(crate) struct Tries {
    kept: Mutex<Kept>,
    send: Mutex<Option<SyncSender<Arc<Try>>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    all: VecDeque<Arc<Try>>,
}

/// What tries need.
pub(crate) struct Tools {
    pub(crate) investigator: Investigator,
    pub(crate) headlines: Arc<Headlines>,
    pub(crate) tally: Arc<Tally>,
    /// Compares what came out for alerts that people closed.
    pub(crate) judge: Option<Judge>,
}

/// A try that is asked for.
pub(crate) struct New {
    pub(crate) what: What,
    pub(crate) text: String,
    pub(crate) sha256: String,
    pub(crate) names: Vec<String>,
    pub(crate) by: String,
}

impl Tries {
    /// Starts the thread.
    pub(crate) fn start(tools: Tools) -> Result<Self> {
        let (send, receive) = sync_channel(WAITING);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("try".to_owned())
            .spawn(move || {
                run(&tools, &receive);
                drop(tools);
                if end.send(()).is_err() {
                    tracing::debug!("the thread of tries ended and nobody waits for that");
                }
            })
            .map_err(|source| Error::Task { what: "starting the thread of tries", source })?;
        Ok(Self { kept: Mutex::default(), send: Mutex::new(Some(send)), ended: Mutex::new(Some(ended)) })
    }

    /// Takes a try in; `None` if as many wait as may.
    pub(crate) fn ask(&self, new: New) -> Option<Arc<Try>> {
        let send = lock(&self.send).clone()?;
        let outcome = match &new.what {
            What::Playbook { .. } => Outcome::Playbook(PlaybookOutcome::default()),
            What::Rule { .. } => Outcome::Rule(RuleOutcome::default()),
        };
        let mut kept = lock(&self.kept);
        let asked = Arc::new(Try {
            id: kept.last + 1,
            text: new.text,
            sha256: new.sha256,
            names: new.names,
            by: new.by,
            at: Timestamp::now(),
            what: new.what,
            job: Job::new(),
            outcome: Mutex::new(outcome),
            cancel: Cancel::default(),
            stopped: AtomicBool::new(false),
        });
        if send.try_send(Arc::clone(&asked)).is_err() {
            return None;
        }
        kept.last += 1;
        kept.all.push_back(Arc::clone(&asked));
        if kept.all.len() > KEPT {
            kept.all.pop_front();
        }
        Some(asked)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Try>> {
        lock(&self.kept).all.iter().find(|own| own.id == id).cloned()
    }

    /// Those that are kept, the latest first.
    pub(crate) fn all(&self) -> Vec<Arc<Try>> {
        lock(&self.kept).all.iter().rev().cloned().collect()
    }

    /// Ends the thread: what runs is given up.
    pub(crate) async fn end(&self) {
        lock(&self.send).take();
        self.all().iter().for_each(|own| own.stop());
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            // It ends at its next step; the process need not wait for that.
            drop(tokio::time::timeout(Duration::from_secs(2), ended).await);
        }
    }
}

fn run(tools: &Tools, receive: &Receiver<Arc<Try>>) {
    // Counted before anybody asks: the first look reads all alerts.
    if let Err(error) = tools.tally.look(tools.store(), |_| ()) {
        tracing::error!(%error, "alerts cannot be counted by rule; that is tried again when somebody looks");
    }
    while let Ok(one) = receive.recv() {
        let outcome = catch_unwind(AssertUnwindSafe(|| match &one.what {
            _ if one.is_stopped() => Ok(()),
            What::Playbook { own, all, on } => playbook::run(tools, &one, own, all, *on),
            What::Rule { candidate, events, days } => rule::run(tools, &one, candidate, *events, *days),
        }));
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("a fault inside casemate; its log has the details".to_owned()),
        };
        let status = if failure.is_some() { Status::Failed } else { Status::Done };
        if let Some(why) = &failure {
            tracing::error!(id = one.id, why, "a try failed");
        }
        let step = Step::new("done", &json!({ "id": one.id, "status": status, "detail": failure }));
        one.job.end(status, step);
    }
}
