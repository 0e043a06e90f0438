//! Where does what is exported come from? The one place here that reads a store.

use crate::{Dossier, Error, Waiting};
use casemate_event::{AlertId, EventId, Subject};
use casemate_investigate::Investigation;
use casemate_store::Store;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most events that one export rests on.
pub const MAX_EVENTS: usize = 5_000;

/// Reads what an export of `subject` is made of; `made` is the time it will bear.
///
/// # Errors
/// There is no such alert or case, nothing of it was investigated, or the store cannot be read.
pub fn gather(store: &Store, subject: Subject, made: Timestamp) -> Result<Dossier, Error> {
    let (case, alerts, closing) = match subject {
        Subject::Alert(alert) => (None, vec![alert], store.closing(alert)?),
        Subject::Case(id) => {
            let case = store.case(id)?.ok_or(Error::Missing(subject))?;
            let alerts = case.alerts.iter().map(|member| member.alert).collect();
            let closing = case.closed.clone();
            (Some(case), alerts, closing)
        }
    };
    let (mut investigations, mut waiting) = (Vec::new(), Vec::new());
    for alert in alerts {
        match investigation(store, alert)? {
            Some(investigation) => investigations.push(investigation),
            None => {
                waiting
                    .extend(store.alert(alert)?.map(|alert| Waiting { alert: alert.id, title: alert.title }));
            }
        }
    }
    if investigations.is_empty() {
        return Err(Error::NotInvestigated(subject));
    }
    let (events, unread) = events(store, &investigations)?;
    Ok(Dossier { subject, investigations, case, waiting, closing, events, unread, made })
}

fn investigation(store: &Store, alert: AlertId) -> Result<Option<Investigation>, Error> {
    let Some(json) = store.investigation(alert)? else { return Ok(None) };
    serde_json::from_slice(&json).map(Some).map_err(|why| Error::Unreadable { alert, why })
}

/// The events of the evidence first, then those folded into it.
fn events(
    store: &Store,
    investigations: &[Investigation],
) -> Result<(BTreeMap<EventId, casemate_event::Event>, usize), Error> {
    let lines = investigations.iter().flat_map(|case| &case.evidence).map(|item| item.event);
    let mut wanted: BTreeSet<EventId> = lines.take(MAX_EVENTS).collect();
    let all: BTreeSet<EventId> = investigations.iter().flat_map(|case| case.shown()).collect();
    for id in &all {
        if wanted.len() >= MAX_EVENTS {
            break;
        }
        wanted.insert(*id);
    }
    let mut events = BTreeMap::new();
    for id in wanted {
        if let Some(stored) = store.get(id)? {
            events.insert(id, stored.event);
        }
    }
    let unread = all.len() - events.len();
    Ok((events, unread))
}
