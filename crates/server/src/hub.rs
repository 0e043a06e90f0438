//! How far is each investigation, and what has happened in it so far?
//!
//! One [`Job`] per alert that is queued, running or finished since the start; a follower reads it from any step
//! on and waits for more, so nobody misses a step and a slow follower holds nobody up. Steps live in memory only:
//! the finished investigation is in the store.

use crate::live::Live;
use casemate_event::AlertId;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Finished jobs whose steps are kept for replay.
const KEPT_FINISHED: usize = 128;
/// Steps kept per job; a playbook makes some hundreds. Later ones are dropped, the last one never.
const MAX_STEPS: usize = 10_000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Queued,
    Running,
    Done,
    Failed,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// One step as sent to followers: event name and JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) event: &'static str,
    pub(crate) data: Arc<str>,
}

impl Step {
    pub(crate) fn new(event: &'static str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_else(|error| {
            tracing::error!(%error, event, "a step could not be written as JSON");
            "{}".to_owned()
        });
        Self { event, data: data.into() }
    }
}

/// One investigation since it was asked for.
pub(crate) struct Job {
    steps: Mutex<(Status, Vec<Step>)>,
    changed: watch::Sender<()>,
}

impl Job {
    pub(crate) fn new() -> Self {
        Self { steps: Mutex::new((Status::Queued, Vec::new())), changed: watch::Sender::new(()) }
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.steps).0
    }

    pub(crate) fn step(&self, step: Step) {
        self.update(Status::Running, step);
    }

    /// The last step: `done`, with how it ended.
    pub(crate) fn end(&self, status: Status, step: Step) {
        self.update(status, step);
    }

    fn update(&self, status: Status, step: Step) {
        {
            let mut steps = lock(&self.steps);
            steps.0 = status;
            if steps.1.len() < MAX_STEPS || status.is_over() {
                steps.1.push(step);
            }
        }
        self.changed.send_replace(());
    }

    /// Steps from number `from` on, and whether there will be more.
    pub(crate) fn steps_from(&self, from: usize) -> (Vec<Step>, bool) {
        let steps = lock(&self.steps);
        (steps.1.get(from..).unwrap_or_default().to_vec(), !steps.0.is_over())
    }

    /// Wakes on every change after this call.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// All jobs since the start.
#[derive(Default)]
pub(crate) struct Hub {
    jobs: Mutex<Jobs>,
    live: Arc<Live>,
}

#[derive(Default)]
struct Jobs {
    by_alert: BTreeMap<AlertId, Arc<Job>>,
    finished: VecDeque<AlertId>,
}

impl Hub {
    /// One that tells followers how jobs stand.
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { jobs: Mutex::default(), live }
    }

    /// Tells followers how a job stands.
    pub(crate) fn tell(&self, alert: AlertId, status: Status) {
        self.live.say("investigation", &json!({ "id": alert, "status": status }));
    }

    pub(crate) fn job(&self, alert: AlertId) -> Option<Arc<Job>> {
        lock(&self.jobs).by_alert.get(&alert).cloned()
    }

    /// Jobs that are queued or running.
    pub(crate) fn unfinished(&self) -> Vec<(AlertId, Status)> {
        let jobs = lock(&self.jobs);
        let all = jobs.by_alert.iter().map(|(id, job)| (*id, job.status()));
        all.filter(|(_, status)| !status.is_over()).collect()
    }

    /// Jobs that failed and were not tried again.
    pub(crate) fn failed(&self) -> usize {
        lock(&self.jobs).by_alert.values().filter(|job| job.status() == Status::Failed).count()
    }

    /// A new job for `alert`, unless one is queued or running: then that one, and `false`.
    ///
    /// `enqueue` runs while nobody else can ask for the same alert; if it fails, there is no job.
    pub(crate) fn start<E>(
        &self,
        alert: AlertId,
        enqueue: impl FnOnce() -> Result<(), E>,
    ) -> Result<(Arc<Job>, bool), E> {
        let mut jobs = lock(&self.jobs);
        if let Some(job) = jobs.by_alert.get(&alert).filter(|job| !job.status().is_over()) {
            return Ok((Arc::clone(job), false));
        }
        enqueue()?;
        let job = Arc::new(Job::new());
        jobs.finished.retain(|finished| *finished != alert);
        jobs.by_alert.insert(alert, Arc::clone(&job));
        self.tell(alert, Status::Queued);
        Ok((job, true))
    }

    /// Ends a job and forgets the oldest finished one if there are too many.
    pub(crate) fn finish(&self, alert: AlertId, status: Status, step: Step) {
        let mut jobs = lock(&self.jobs);
        let Some(job) = jobs.by_alert.get(&alert).cloned() else { return };
        job.end(status, step);
        self.tell(alert, status);
        jobs.finished.push_back(alert);
        if jobs.finished.len() > KEPT_FINISHED
            && let Some(oldest) = jobs.finished.pop_front()
        {
            jobs.by_alert.remove(&oldest);
        }
    }
}

/// A panic while one of these locks is held leaves a list at worst one entry short: go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn start(hub: &Hub, alert: u64) -> (Arc<Job>, bool) {
        hub.start(AlertId(alert), || Ok::<_, ()>(())).unwrap()
    }

    fn step(number: u64) -> Step {
        Step::new("progress", &number)
    }

    #[test]
    fn one_job_per_alert_until_it_is_over() {
        let hub = Hub::default();
        let (first, is_new) = start(&hub, 1);
        assert!(is_new);
        let (second, is_new) = start(&hub, 1);
        assert!(!is_new && Arc::ptr_eq(&first, &second));
        first.step(step(1));
        assert_eq!(hub.unfinished(), [(AlertId(1), Status::Running)]);
        hub.finish(AlertId(1), Status::Done, step(2));
        assert!(hub.unfinished().is_empty());
        assert!(start(&hub, 1).1);
    }

    #[test]
    fn a_full_queue_leaves_no_job() {
        let hub = Hub::default();
        assert!(hub.start(AlertId(1), || Err("full")).is_err());
        assert!(hub.job(AlertId(1)).is_none());
    }

    #[test]
    fn steps_are_replayed_from_any_point() {
        let hub = Hub::default();
        let (job, _) = start(&hub, 1);
        job.step(step(1));
        job.step(step(2));
        assert_eq!(job.steps_from(1), (vec![step(2)], true));
        assert_eq!(job.steps_from(9), (vec![], true));
        hub.finish(AlertId(1), Status::Failed, step(3));
        assert_eq!(job.steps_from(0), (vec![step(1), step(2), step(3)], false));
        assert_eq!(hub.failed(), 1);
    }

    #[test]
    fn finished_jobs_are_forgotten_in_order() {
        let hub = Hub::default();
        for alert in 0..=KEPT_FINISHED as u64 {
            start(&hub, alert);
            hub.finish(AlertId(alert), Status::Done, step(0));
        }
        assert!(hub.job(AlertId(0)).is_none());
        assert!(hub.job(AlertId(1)).is_some());
    }
}
