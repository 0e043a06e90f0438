//! How is the machine itself doing? `GET /v1/system`, and what the page *System* shows.

use crate::board::Lists;
use crate::headline::TOTAL;
use crate::problem::Result;
use crate::queue::{ASKED_CAPACITY, BACKLOG_CAPACITY};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::State;
use casemate_event::QuarantineReason;
use casemate_investigate::drift::{Drift, Judged};
use casemate_store::Retention;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Sources listed, the silent and the busiest of them.
const MOST_SOURCES: usize = 100;
/// Releases listed, the latest.
const MOST_RELEASES: usize = 20;

/// What the server itself cannot know of the program around it.
#[derive(Clone, Default)]
pub struct About {
    /// What enforces that nothing is connected to.
    pub sealed_by: Vec<String>,
    /// What could not be enforced, and why.
    pub not_sealed: Vec<String>,
    /// What judges beside the models of [`Config::models`](crate::Config::models): JSON objects with `role`, `name`
    /// and `sha256`.
    pub judges: Vec<Value>,
    /// The data directory, for how much room its disk has.
    pub data_dir: Option<PathBuf>,
    /// How long events are kept.
    pub retention: Retention,
    /// Reads which releases bundles brought, the newest first.
    pub releases: Option<Arc<Releases>>,
}

/// How releases are read: an error in words for people.
pub type Releases = dyn Fn() -> std::result::Result<Vec<Release>, String> + Send + Sync;

/// A release that bundles brought.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// Counts up over all releases.
    pub number: u64,
    /// `active`, `earlier` or `staged`.
    pub state: String,
    /// When it was staged.
    pub staged: Timestamp,
    /// What it is made of, each with its bundle and version.
    pub parts: Vec<String>,
    /// How many dates an administrator overrode to stage it.
    pub overrides: usize,
}

/// Everything, at one moment.
#[derive(Serialize)]
pub(crate) struct System {
    pub(crate) version: &'static str,
    pub(crate) queue: Queue,
    /// Seconds of the latest investigations, by stage, all of them first.
    pub(crate) stages: Vec<Stage>,
    pub(crate) verdicts: Drift,
    pub(crate) intake: Intake,
    pub(crate) judges: Vec<Value>,
    pub(crate) egress: Egress,
    pub(crate) disk: Disk,
    pub(crate) releases: Vec<Release>,
    /// Why releases could not be read.
    pub(crate) releases_unread: Option<String>,
    pub(crate) record: Record,
    pub(crate) certificate_expires: Option<Timestamp>,
    pub(crate) sessions: u64,
    pub(crate) denied: u64,
    pub(crate) followers: usize,
}

#[derive(Serialize)]
pub(crate) struct Queue {
    pub(crate) waiting: usize,
    pub(crate) capacity: usize,
    pub(crate) asked: usize,
    pub(crate) overdue: usize,
    pub(crate) oldest: Option<Timestamp>,
    pub(crate) running: Option<u64>,
    pub(crate) held: Option<String>,
    pub(crate) alive: bool,
    /// Of those that were not asked for, the latest.
    pub(crate) waited_p95_seconds: Option<f64>,
}

/// Seconds of one stage.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) median: f64,
    pub(crate) p95: f64,
}

#[derive(Serialize)]
pub(crate) struct Intake {
    pub(crate) sources: Vec<Source>,
    /// How many there are.
    pub(crate) all: usize,
    pub(crate) silent: usize,
    pub(crate) quarantined: BTreeMap<QuarantineReason, u64>,
    pub(crate) events: u64,
    pub(crate) last_event: Option<Timestamp>,
    /// Events since the start that detection faulted on.
    pub(crate) detection_faults: u64,
}

#[derive(Serialize)]
pub(crate) struct Source {
    pub(crate) source: String,
    pub(crate) records: u64,
    /// Of the last ten minutes; nothing in the first one.
    pub(crate) per_minute: Option<f64>,
    pub(crate) quarantined: u64,
    pub(crate) dropped: u64,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) silent: bool,
}

#[derive(Serialize)]
pub(crate) struct Egress {
    pub(crate) sealed_by: Vec<String>,
    pub(crate) not_sealed: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Disk {
    pub(crate) bytes: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) all_bytes: Option<u64>,
    pub(crate) keep_days: Option<i64>,
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) first_event: Option<Timestamp>,
}

#[derive(Serialize)]
pub(crate) struct Record {
    pub(crate) lines: u64,
    pub(crate) last: Option<Timestamp>,
    /// Entries since the start that it could not take.
    pub(crate) unrecorded: u64,
}

/// `GET /v1/system`
pub(crate) async fn system(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    blocking(&app, |app| Ok(json!(System::look(app)?))).await.map(Json)
}

impl System {
    pub(crate) fn look(app: &App) -> Result<Self> {
        let store = app.pipeline.store();
        let now = Timestamp::now();
        let counts = store.counts()?;
        let verdicts = drift(&*app.board.now(store, &app.headlines, &app.live)?);
        let (asked, backlog, overdue, oldest) =
            app.queue.look(|lines| (lines.asked(), lines.backlog(), lines.overdue(now), lines.oldest()));
        let times = app.queue.times();
        let about = &app.about;
        let (releases, releases_unread) = match about.releases.as_ref().map(|read| read()) {
            Some(Ok(mut releases)) => {
                releases.truncate(MOST_RELEASES);
                (releases, None)
            }
            Some(Err(why)) => (Vec::new(), Some(why)),
            None => (Vec::new(), None),
        };
        let room = about.data_dir.as_deref().and_then(|dir| match casemate_disk::room(dir) {
            Ok(room) => Some(room),
            Err(error) => {
                tracing::warn!(%error, "how much room the disk has cannot be told");
                None
            }
        });
        let last = store.audit(u64::MAX, 1)?.pop();
        let mut judges = app.models.clone();
        judges.extend(about.judges.iter().cloned());
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            queue: Queue {
                waiting: asked + backlog,
                capacity: ASKED_CAPACITY + BACKLOG_CAPACITY,
                asked,
                overdue,
                oldest,
                running: app.queue.running().map(|id| id.0),
                held: app.queue.held().map(str::to_owned),
                alive: app.queue.is_alive(),
                waited_p95_seconds: (times.seconds_waited.count > 0).then_some(times.seconds_waited.p95),
            },
            stages: stages(&app.headlines.stages()),
            verdicts,
            intake: intake(app, &counts),
            judges,
            egress: Egress { sealed_by: about.sealed_by.clone(), not_sealed: about.not_sealed.clone() },
            disk: Disk {
                bytes: counts.bytes_on_disk,
                raw_bytes: counts.raw_bytes,
                free_bytes: room.map(|room| room.free),
                all_bytes: room.map(|room| room.all),
                keep_days: about.retention.max_age.map(|age| age.as_hours() / 24),
                keep_bytes: about.retention.max_bytes,
                first_event: counts.first_time,
            },
            releases,
            releases_unread,
            record: Record {
                lines: last.as_ref().map_or(0, |line| line.n),
                last: last.map(|line| line.at),
                unrecorded: app.unrecorded.load(Ordering::Relaxed),
            },
            certificate_expires: app.tls.as_ref().and_then(|tls| tls.expires().ok()),
            sessions: app.sessions.len() as u64,
            denied: app.denials.all(),
            followers: app.live.followers(),
        })
    }
}

/// How verdicts fare, from the lists in memory.
fn drift(lists: &Lists) -> Drift {
    Drift::over(lists.alerts.values().filter_map(|row| {
        let found = row.judged?;
        Some(Judged {
            first_time: row.first_time,
            verdict: found.verdict.name(),
            probability: f64::from(found.probability),
            convergence: f64::from(found.convergence),
            truth: row.truth,
        })
    }))
}

fn stages(latest: &[BTreeMap<String, f64>]) -> Vec<Stage> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, seconds) in latest.iter().flatten() {
        by_name.entry(name).or_default().push(*seconds);
    }
    let mut stages: Vec<Stage> = by_name
        .into_iter()
        .map(|(name, mut seconds)| {
            seconds.sort_by(f64::total_cmp);
            let count = seconds.len();
            Stage {
                name: name.to_owned(),
                count,
                median: seconds[(count - 1) / 2],
                p95: seconds[(count * 95).div_ceil(100) - 1],
            }
        })
        .collect();
    stages.sort_by(|a, b| (b.name == TOTAL).cmp(&(a.name == TOTAL)).then(b.median.total_cmp(&a.median)));
    stages
}

fn intake(app: &App, counts: &casemate_store::Counts) -> Intake {
    let snapshot = app.intake.sources().snapshot();
    let silent = snapshot.iter().filter(|(_, counts)| counts.silent).count();
    let all = snapshot.len();
    let mut sources: Vec<Source> = snapshot
        .into_iter()
        .map(|(source, counts)| Source {
            per_minute: app.rates.per_minute(&source, counts.records),
            source,
            records: counts.records,
            quarantined: counts.quarantined,
            dropped: counts.dropped,
            last_seen: counts.last_seen,
            silent: counts.silent,
        })
        .collect();
    sources.sort_by(|a, b| b.silent.cmp(&a.silent).then(b.records.cmp(&a.records)));
    sources.truncate(MOST_SOURCES);
    Intake {
        sources,
        all,
        silent,
        quarantined: counts.quarantined.clone(),
        events: counts.events,
        last_event: counts.last_time,
        detection_faults: app.pipeline.detection_faults(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_medians_and_the_whole_comes_first() {
        let of =
            |read: f64, total: f64| BTreeMap::from([("read".to_owned(), read), (TOTAL.to_owned(), total)]);
        let latest: Vec<_> = (1..=20).map(|n| of(f64::from(n), f64::from(n) + 0.5)).collect();
        let found = stages(&latest);
        assert_eq!(found[0], Stage { name: TOTAL.to_owned(), count: 20, median: 10.5, p95: 19.5 });
        assert_eq!((found[1].name.as_str(), found[1].median), ("read", 10.0));
        assert!(stages(&[]).is_empty());
    }
}
