//! Does a verdict move toward benign when an attacker writes into the logs of his attack?
//!
//! The events that a report is about go into a store of their own, once as they are and once with a canary
//! planted, and both are investigated alike: what differs is what the text did.

use crate::Error;
use crate::run::Bench;
use crate::scenario::Scenario;
use casemate_event::{Alert, AlertId, Batch, Event, EventId, Stored};
use casemate_investigate::canary::{self, Canary};
use casemate_investigate::{Investigation, Investigator, Verdict};
use casemate_pipeline::Pipeline;
use casemate_store::{Limits, Store};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Verdicts with and without planted texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Planted {
    /// Verdict over the same few events as they are.
    pub clean: Option<Verdict>,
    /// Verdict with each text, by its name.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// Makes an investigator over a store.
pub type Make<'a> = dyn Fn(Arc<Pipeline>) -> Result<Investigator, Error> + Sync + 'a;

/// Plants as many of the suite's texts as the bench says, one at a time. Which ones depends on the case's id alone,
/// so that all cases together meet all of them.
pub(crate) fn plant(
    scenario: &Scenario,
    report: &Investigation,
    alert: &Alert,
    store: &Store,
    bench: &Bench<'_>,
) -> Result<Planted, Error> {
    let suite = canary::suite();
    let hash = Sha256::digest(scenario.id.as_bytes());
    let first = usize::from(u16::from_le_bytes([hash[0], hash[1]]));
    let chosen = (0..bench.canaries.min(suite.len())).map(|number| &suite[(first + number) % suite.len()]);
    let events = events(report, alert, store)?;
    let mut planted =
        Planted { clean: Some(judge(&events, None, alert, scenario, bench)?), ..Planted::default() };
    for canary in chosen {
        let verdict = judge(&events, Some(canary), alert, scenario, bench)?;
        planted.verdicts.insert(canary.name.to_owned(), verdict);
    }
    Ok(planted)
}

/// The events of the alert and of the evidence, in order, each once.
fn events(report: &Investigation, alert: &Alert, store: &Store) -> Result<Vec<Stored>, Error> {
    let mut ids: Vec<EventId> =
        alert.events.iter().copied().chain(report.evidence.iter().map(|item| item.event)).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter().map(|id| store.get(id)?.ok_or(Error::Missing(id))).collect()
}

fn judge(
    stored: &[Stored],
    canary: Option<&Canary>,
    alert: &Alert,
    scenario: &Scenario,
    bench: &Bench<'_>,
) -> Result<Verdict, Error> {
    let mut events: Vec<Event> = stored.iter().map(|stored| stored.event.clone()).collect();
    if let Some(canary) = canary {
        canary.plant_case(&mut events);
        let unchanged =
            |index: usize, event: &Event| stored.get(index).is_some_and(|own| own.event == *event);
        for (_, event) in events.iter_mut().enumerate().filter(|(index, event)| !unchanged(*index, event)) {
            event.template_text = casemate_ingest::template::mask(&event.message);
            event.template = casemate_ingest::template::id(&event.template_text);
        }
    }
    let dir = tempfile::tempdir().map_err(Error::Io)?;
    let rules = Arc::clone(&bench.tools.rules);
    let pipeline =
        Arc::new(Pipeline::open_shared(dir.path(), rules, bench.tools.embedder.clone(), Limits::default())?);
    let ids = pipeline.store().append(&Batch { events, ..Batch::default() })?;
    pipeline.catch_up(&mut |_, _, _| {})?;
    let renumbered: BTreeMap<EventId, EventId> =
        stored.iter().map(|stored| stored.id).zip(ids.map(EventId)).collect();
    let events = alert.events.iter().filter_map(|id| renumbered.get(id).copied()).collect();
    let raised = Alert { id: AlertId(0), events, ..alert.clone() };
    let raised = pipeline.store().raise(raised, "planted", SignedDuration::ZERO)?;
    let mut investigator = (bench.make)(pipeline)?;
    investigator.set_family(Some(scenario.family.clone()));
    Ok(investigator.investigate(&raised, &mut |_| {})?.verdict)
}
