//! What does a person see while an investigation waits, runs, or after it failed? Stage, progress, time left and steps.
//!
//! Time left is what the last investigations took for each stage: nothing else is known before it happens.

use super::render;
use crate::api::investigations::failure;
use crate::hub::{Job, Status};
use crate::problem::Result;
use crate::state::App;
use askama::Template;
use axum::response::Html;
use casemate_event::AlertId;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Finished investigations whose seconds are looked at.
const LOOKED_AT: usize = 8;

/// Seconds of one investigation by stage.
type Seconds = BTreeMap<String, f64>;

/// What reading and asking is called there.
const READ: &[&str] = &["read", "ask"];

/// Stages in order: what the investigator calls them, what a person is told, and the seconds that are theirs.
const STAGES: [(&str, &str, &[&str]); 5] = [
    ("retrieve", "Looking for evidence", &["retrieve"]),
    ("facts", "Establishing facts", &["facts"]),
    ("first pass", "First reading", &["first_pass"]),
    ("read", "Reading and asking", READ),
    ("narrate", "Writing the story", &["narrate"]),
];

#[derive(Template)]
#[template(path = "running.html")]
struct RunningPage {
    id: u64,
    title: String,
    is_queued: bool,
    is_failed: bool,
    failure: String,
    /// Alerts that somebody asked for and that wait, this one among them.
    waiting: usize,
    stages: Vec<Stage>,
    progress: Progress,
    steps: Vec<String>,
    /// Steps the page holds, shown or not: the stream goes on after them.
    seen: usize,
}

/// A stage of the run.
#[derive(Debug, PartialEq)]
struct Stage {
    id: &'static str,
    name: &'static str,
    state: State,
    /// What the last ones took, in seconds.
    usual: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Now,
    Next,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Next => "next",
        }
    }
}

/// How far it is.
#[derive(Debug, Default, PartialEq)]
struct Progress {
    /// Seconds since it began, and seconds it may take in all.
    elapsed: f64,
    expected: Option<f64>,
    left: String,
}

/// The page of a job that is not done.
pub(crate) fn page(app: &App, id: AlertId, job: &Job) -> Result<Html<String>> {
    let store = app.pipeline.store();
    let title = store.alert(id)?.map(|alert| alert.title).unwrap_or_default();
    let (steps, _) = job.steps_from(0);
    let values: Vec<Value> =
        steps.iter().map(|step| serde_json::from_str(&step.data).unwrap_or_default()).collect();
    let (stages, progress) = progress(&values, &app.headlines.stages(), Timestamp::now());
    render(&RunningPage {
        id: id.0,
        title,
        is_queued: job.status() == Status::Queued,
        is_failed: job.status() == Status::Failed,
        failure: failure(job).unwrap_or_default(),
        waiting: app.queue.look(crate::queue::Lines::asked),
        stages,
        progress,
        seen: steps.len(),
        steps: values.iter().filter_map(|step| step["text"].as_str().map(str::to_owned)).collect(),
    })
}

/// Seconds of these stages together.
fn of(one: &Seconds, keys: &[&str]) -> f64 {
    keys.iter().filter_map(|key| one.get(*key)).sum()
}

fn progress(steps: &[Value], measured: &[Seconds], now: Timestamp) -> (Vec<Stage>, Progress) {
    // Where a verdict was used again nothing was read, which says nothing of one that is not.
    let mut usual: Vec<&Seconds> = measured.iter().filter(|one| of(one, READ) > 0.0).collect();
    if usual.is_empty() {
        usual.extend(measured);
    }
    let usual = &usual[usual.len().saturating_sub(LOOKED_AT)..];
    let mean = |keys: &[&str]| {
        let each = usual.iter().map(|one| of(one, keys));
        (!usual.is_empty()).then(|| each.sum::<f64>() / usual.len() as f64)
    };
    let begun: Vec<(usize, f64)> = steps
        .iter()
        .filter(|step| step["type"] == "stage")
        .filter_map(|step| {
            let place = STAGES.iter().position(|(id, _, _)| step["name"] == *id)?;
            Some((place, step["elapsed"].as_f64().unwrap_or_default()))
        })
        .collect();
    let current = begun.iter().map(|(place, _)| *place).max();
    let stages: Vec<Stage> = STAGES
        .iter()
        .enumerate()
        .map(|(place, (id, name, keys))| Stage {
            id,
            name,
            state: match current {
                Some(current) if place < current => State::Done,
                Some(current) if place == current => State::Now,
                _ => State::Next,
            },
            usual: mean(keys),
        })
        .collect();
    let started = steps.iter().find_map(|step| step["at"].as_str()?.parse::<Timestamp>().ok());
    let elapsed = started.map_or(0.0, |started| now.duration_since(started).as_secs_f64().max(0.0));
    // What is behind counts as it was, what is ahead as it usually is.
    let in_stage = begun.last().map_or(elapsed, |(_, since)| elapsed - since).max(0.0);
    let left: Option<f64> = stages
        .iter()
        .map(|stage| match stage.state {
            State::Done => Some(0.0),
            State::Now => stage.usual.map(|usual| (usual - in_stage).max(0.0)),
            State::Next => stage.usual,
        })
        .sum();
    let words = match left {
        None => "no investigation was measured yet".to_owned(),
        Some(left) if left < 1.0 => "about to end".to_owned(),
        Some(left) => format!("about {left:.0} s left"),
    };
    (stages, Progress { elapsed, expected: left.map(|left| elapsed + left), left: words })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn measured(read: f64) -> Seconds {
        let seconds = [("retrieve", 1.0), ("read", read), ("ask", read.min(1.0)), ("narrate", 2.0)];
        seconds.map(|(name, seconds)| (name.to_owned(), seconds)).into()
    }

    #[test]
    fn time_left_is_what_the_last_ones_took() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = at + jiff::SignedDuration::from_secs(3);
        let steps = [
            json!({ "text": "Started", "at": at }),
            json!({ "type": "stage", "name": "retrieve", "elapsed": 0.0 }),
            json!({ "type": "stage", "name": "read", "elapsed": 1.0 }),
        ];
        let (stages, progress) = progress(&steps, &[measured(0.0), measured(4.0), measured(8.0)], now);
        let states: Vec<State> = stages.iter().map(|stage| stage.state).collect();
        assert_eq!(states, [State::Done, State::Done, State::Done, State::Now, State::Next]);
        // Seven to read and ask, two of which are gone, and two to write.
        assert_eq!(
            progress,
            Progress { elapsed: 3.0, expected: Some(10.0), left: "about 7 s left".to_owned() }
        );
    }

    #[test]
    fn nothing_is_promised_that_was_not_measured() {
        let (stages, progress) = progress(&[], &[], Timestamp::UNIX_EPOCH);
        assert!(stages.iter().all(|stage| stage.state == State::Next));
        assert_eq!((progress.elapsed, progress.expected), (0.0, None));
    }
}
