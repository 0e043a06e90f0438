//! How would past alerts be judged with this playbook?

use super::compare::{Case, Summary};
use super::{On, Outcome, Tools, Try};
use casemate_event::{AlertId, CaseId, Disposition};
use casemate_inference::{Priority, Ticket};
use casemate_investigate::playbook::Playbook;
use casemate_investigate::{Investigation, Playbooks, Progress, Rejudged};
use casemate_store::Store;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Investigations that are made again at most.
pub(crate) const MAX_LAST: usize = 50;
/// Latest investigations that are looked at for whether the playbook would take their alerts now.
const LOOKED_AT: usize = 500;
/// How long the model may be asked about one case, and until no other is begun.
const EACH: Duration = Duration::from_secs(120);
const ALL: Duration = Duration::from_secs(1800);

/// What has come out so far.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct PlaybookOutcome {
    /// Cases that are to be made again.
    pub(crate) of: usize,
    pub(crate) cases: Vec<Case>,
    pub(crate) summary: Summary,
    /// What the gate says over the cases that people closed; absent where it was not asked.
    pub(crate) gate: Option<Value>,
    /// What was asked, or why nothing was.
    pub(crate) asked: String,
    /// Whether it ended before its time, and why.
    pub(crate) cut_short: Option<String>,
}

/// An alert that a person closed, as it was judged and as it would be.
pub struct Closed {
    /// The alert.
    pub alert: AlertId,
    /// Its case.
    pub case: CaseId,
    /// Whether the person said that it was an attack.
    pub attack: bool,
    /// As it is stored.
    pub then: Investigation,
    /// As it came out now.
    pub now: Investigation,
}

/// Compares what was said of closed alerts with what would be: the decision of the gate, as JSON with `allowed` and
/// `reasons`.
pub type Judge = Arc<dyn Fn(&[Closed]) -> Value + Send + Sync>;

pub(super) fn run(tools: &Tools, one: &Try, own: &Playbook, all: &Playbooks, on: On) -> Result<(), String> {
    let store = tools.store();
    let said = |error: casemate_store::Error| format!("the store cannot be read: {error}");
    let (alerts, priority) = match on {
        On::Alert(alert) => (vec![alert], Priority::Interactive),
        On::Last(last) => (past(tools, own, all, last).map_err(said)?, Priority::Backlog),
    };
    let mut investigator = tools.investigator.clone();
    investigator.set_playbooks(all.clone());
    investigator.set_reuse(false);
    let asked = match investigator.model() {
        Some(loaded) => format!("the model {} and facts", loaded.model.info().name),
        None => "facts alone: no model is loaded".to_owned(),
    };
    one.update(|outcome| {
        if let Outcome::Playbook(outcome) = outcome {
            (outcome.of, outcome.asked) = (alerts.len(), asked);
        }
    });
    let decisions = store.closed_alerts(crate::knowledge::DECISIONS).map_err(said)?;
    let said_by_people: BTreeMap<AlertId, (CaseId, Disposition)> =
        decisions.iter().map(|one| (one.alert.id, (one.case, one.closing.verdict))).collect();
    let until = Instant::now() + ALL;
    let mut closed = Vec::new();
    for (index, alert) in alerts.iter().enumerate() {
        let why = if one.is_stopped() {
            Some("it was stopped")
        } else if Instant::now() >= until {
            Some("its time was over")
        } else {
            None
        };
        if let Some(why) = why {
            one.update(|outcome| {
                if let Outcome::Playbook(outcome) = outcome {
                    outcome.cut_short = Some(why.to_owned());
                }
            });
            break;
        }
        let (done, of) = (index as u64, alerts.len() as u64);
        one.progress(done, of, &format!("Alert {alert}, {} of {of}", done + 1));
        investigator.set_ticket(Ticket {
            priority,
            deadline: Some(Instant::now() + EACH),
            cancel: one.cancel.clone(),
        });
        let followed = tools.headlines.get(*alert).map(|found| found.playbook.name).unwrap_or_default();
        let then = tools.investigator.playbooks().get(&followed);
        let mut tell = |progress: Progress| {
            if alerts.len() == 1
                && let Progress::Stage { name } = progress
            {
                one.progress(0, 1, name);
            }
        };
        let made = catch_unwind(AssertUnwindSafe(|| investigator.rejudge(*alert, then, &mut tell)));
        let made = match made {
            Ok(made) => made.map_err(|error| error.to_string()).and_then(as_stored),
            Err(_) => Err("a fault inside casemate; its log has the details".to_owned()),
        };
        let person = said_by_people.get(alert).copied();
        let verdict = person.map(|(_, verdict)| verdict);
        let case = match made {
            Ok(made) => {
                let case = Case::new(&made, verdict);
                if let Some((case, verdict)) = person {
                    closed.push(Closed {
                        alert: *alert,
                        case,
                        attack: verdict == Disposition::Malicious,
                        then: made.made.stored,
                        now: made.made.now,
                    });
                }
                case
            }
            Err(why) => match stored(store, *alert) {
                Some(then) => Case::failed(&then, verdict, why),
                None => return Err(format!("the investigation of alert {alert} cannot be read: {why}")),
            },
        };
        one.update(|outcome| {
            if let Outcome::Playbook(outcome) = outcome {
                outcome.cases.push(case);
                outcome.summary = Summary::of(&outcome.cases);
            }
        });
    }
    // One case says nothing of a playbook.
    if let (On::Last(_), Some(judge)) = (on, &tools.judge)
        && !closed.is_empty()
    {
        let gate = judge(&closed);
        one.update(|outcome| {
            if let Outcome::Playbook(outcome) = outcome {
                outcome.gate = Some(gate);
            }
        });
    }
    Ok(())
}

impl Tools {
    pub(super) fn store(&self) -> &Arc<Store> {
        self.investigator.pipeline().store()
    }
}

/// What came out, with its figures rounded as those of the stored one are.
fn as_stored(mut made: Rejudged) -> Result<Rejudged, String> {
    let json = serde_json::to_vec(&made.made.now).map_err(|error| error.to_string())?;
    made.made.now = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    Ok(made)
}

fn stored(store: &Store, alert: AlertId) -> Option<Investigation> {
    match store.investigation(alert) {
        Ok(json) => serde_json::from_slice(&json?).ok(),
        Err(error) => {
            tracing::error!(%alert, %error, "a stored investigation cannot be read");
            None
        }
    }
}

/// Alerts whose investigations followed the playbook, or would now: the latest first.
fn past(tools: &Tools, own: &Playbook, all: &Playbooks, last: usize) -> casemate_store::Result<Vec<AlertId>> {
    let store = tools.store();
    let mut found = tools.headlines.of_playbook(&own.name, last);
    for (id, followed) in tools.headlines.latest(LOOKED_AT) {
        if followed == own.name {
            continue;
        }
        let Some(alert) = store.alert(id)? else { continue };
        let first = match alert.events.first() {
            Some(event) => store.get(*event)?,
            None => None,
        };
        if all.choose(&alert, first.as_ref().map(|stored| &stored.event)).name == own.name {
            found.push(id);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(last);
    Ok(found)
}
