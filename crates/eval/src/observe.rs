//! What does the real pipeline make of a case?

use crate::Error;
use crate::isolate::{Ground, Key};
use crate::raise;
use crate::scenario::Scenario;
use casemate_detect::Rules;
use casemate_event::Alert;
use casemate_inference::Embedder;
use casemate_investigate::{Investigation, Investigator};
use casemate_pipeline::Pipeline;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What every case is investigated with.
pub struct Tools {
    /// Rules, from [`Pipeline::share`].
    pub rules: Arc<Rules>,
    /// The embedder, where there is one.
    pub embedder: Option<Arc<Embedder>>,
}

/// A case with the investigations of its alerts, most urgent alert first.
pub struct Observed<'s> {
    /// The case.
    pub scenario: &'s Scenario,
    /// Its alerts, in order of their urgency.
    pub alerts: Vec<Alert>,
    /// One for each alert.
    pub investigations: Vec<Investigation>,
    /// The store it was investigated in.
    pub pipeline: Arc<Pipeline>,
}

/// Investigates every case, those over the same files after one another, and hands each to `take`.
///
/// `investigator` makes an investigator over the store of a case.
///
/// # Errors
/// If a file of a case cannot be read, or its store or an investigation fails; what went before was handed over.
pub fn observe<'s>(
    scenarios: &'s [Scenario],
    root: &Path,
    tools: &Tools,
    investigator: &mut dyn FnMut(Arc<Pipeline>) -> Result<Investigator, Error>,
    take: &mut dyn FnMut(Observed<'s>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut grounds: BTreeMap<Key, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios {
        grounds.entry(Key::of(scenario)).or_default().push(scenario);
    }
    for cases in grounds.values() {
        let ground = Ground::build(cases[0], root, tools)?;
        let mut investigator = investigator(Arc::clone(&ground.pipeline))?;
        for scenario in cases {
            let alerts = raise::alerts(scenario, &ground)?;
            investigator.set_family(Some(scenario.family.clone()));
            let investigations: Result<Vec<_>, _> =
                alerts.iter().map(|alert| investigator.investigate(alert, &mut |_| {})).collect();
            let (investigations, pipeline) = (investigations?, Arc::clone(&ground.pipeline));
            take(Observed { scenario, alerts, investigations, pipeline })?;
        }
    }
    Ok(())
}
