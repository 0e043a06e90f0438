//! What has just happened? Numbered events for whoever follows, the latest of them kept for those who come back.
//!
//! One ring for all followers: a slow one holds nobody up and costs nothing; who has missed events is told so and reads
//! the lists again.

use crate::error::{Error, Result};
use crate::hub::{Step, lock};
use crate::state::App;
use crate::worker::Queue;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Events kept.
const KEPT: usize = 1024;
/// How long the thread waits for changes before it looks at the queue again, and whether the server ends.
const PATIENCE: Duration = Duration::from_millis(100);
/// Followers at once.
const MOST_FOLLOWERS: usize = 64;

/// The latest events.
pub(crate) struct Live {
    /// Told with every number: after a restart they begin anew.
    boot: i64,
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
    followers: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    /// Number of the next event.
    next: u64,
    latest: VecDeque<Step>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            boot: Timestamp::now().as_millisecond(),
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
            followers: AtomicUsize::new(0),
        }
    }
}

/// A place among the followers, given back when dropped.
pub(crate) struct Place(Arc<Live>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Events from some number on.
pub(crate) struct Since {
    /// Number of the first of `steps`.
    pub(crate) first: u64,
    pub(crate) steps: Vec<Step>,
    /// How many before them are not kept any more.
    pub(crate) missed: u64,
}

impl Live {
    /// Tells whoever follows.
    pub(crate) fn say(&self, event: &'static str, data: &impl Serialize) {
        {
            let mut kept = lock(&self.kept);
            if kept.latest.len() == KEPT {
                kept.latest.pop_front();
            }
            kept.latest.push_back(Step::new(event, data));
            kept.next += 1;
        }
        self.changed.send_replace(());
    }

    /// Events from number `from` on, at most `most`.
    pub(crate) fn since(&self, from: u64, most: usize) -> Since {
        let kept = lock(&self.kept);
        let oldest = kept.next - kept.latest.len() as u64;
        let first = from.clamp(oldest, kept.next);
        let skip = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let steps = kept.latest.iter().skip(skip).take(most).cloned().collect();
        Since { first, steps, missed: first.saturating_sub(from) }
    }

    /// Number of the next event.
    pub(crate) fn next(&self) -> u64 {
        lock(&self.kept).next
    }

    /// Wakes on every event after this call.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A place among the followers, if there is one.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let taken = self.followers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            (now < MOST_FOLLOWERS).then_some(now + 1)
        });
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }

    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    /// What a follower gives back as `Last-Event-ID` to go on after event `number`.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.boot)
    }

    /// The event after the one with this id; `None` if it is not of this run.
    pub(crate) fn after(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        (boot.parse() == Ok(self.boot) && number < self.next()).then(|| number + 1)
    }
}

/// The thread that looks at what changes, to be waited for.
pub(crate) struct Following(oneshot::Receiver<()>);

impl Following {
    /// Ready once it has ended, which it does soon after the server is to end.
    pub(crate) async fn ended(self) {
        // An error means that it is gone, which is the end as well.
        drop(self.0.await);
    }
}

/// Tells followers what changes in the store and the queue, until the server is to end.
pub(crate) fn follow(app: Arc<App>) -> Result<Following> {
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("follow".to_owned())
        .spawn(move || {
            let mut told = Value::Null;
            while !*app.stopping.borrow() {
                let store = app.pipeline.store();
                if let Err(error) = app.board.refresh(store, &app.headlines, &app.live, PATIENCE) {
                    tracing::error!(%error, "what changed cannot be read; lists show what was before");
                    std::thread::sleep(PATIENCE);
                }
                app.rates.note(Instant::now(), || {
                    let sources = app.intake.sources().snapshot();
                    sources.into_iter().map(|(source, counts)| (source, counts.records)).collect()
                });
                let now = depth(&app.queue);
                if now != told {
                    app.live.say("queue", &now);
                    told = now;
                }
            }
            drop(app);
            if end.send(()).is_err() {
                tracing::debug!("the thread that follows changes ended and nobody waits for that");
            }
        })
        .map_err(|source| Error::Task { what: "starting the thread that follows changes", source })?;
    Ok(Following(ended))
}

/// How much waits, and what runs.
pub(crate) fn depth(queue: &Queue) -> Value {
    let now = Timestamp::now();
    let (asked, backlog, overdue) = queue.look(|lines| (lines.asked(), lines.backlog(), lines.overdue(now)));
    json!({
        "waiting": asked + backlog, "asked": asked, "backlog": backlog, "overdue": overdue,
        "running": queue.running(), "held": queue.held().is_some(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_comes_back_goes_on_or_is_told_what_is_missing() {
        let live = Live::default();
        for n in 0..10 {
            live.say("alert", &n);
        }
        let id = live.id(6);
        let since = live.since(live.after(&id).unwrap(), 2);
        assert_eq!((since.first, since.steps.len(), since.missed), (7, 2, 0));
        assert_eq!(&*since.steps[0].data, "7");
        for n in 10..KEPT as u64 + 10 {
            live.say("alert", &n);
        }
        let since = live.since(live.after(&id).unwrap(), 1);
        assert_eq!((since.first, since.missed), (10, 3));
        for other in ["", "1-2", "x-1", &live.id(99_999)] {
            assert_eq!(live.after(other), None, "{other}");
        }
    }

    #[test]
    fn followers_are_bounded() {
        let live = Arc::new(Live::default());
        let places: Vec<_> = (0..MOST_FOLLOWERS).map(|_| live.place().unwrap()).collect();
        assert!(live.place().is_none());
        drop(places);
        assert!(live.place().is_some() && live.followers() == 0);
    }
}
