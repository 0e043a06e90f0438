//! How would the cases that this site has closed be judged today?

use crate::Error;
use crate::observe::Observed;
use crate::outcome::Outcome;
use crate::run::{Bench, record};
use crate::scenario::{Scenario, Truth};
use casemate_event::Disposition;
use casemate_pipeline::Pipeline;
use std::sync::Arc;

/// Investigates the alerts that people closed, the latest first, at most `most`. Each is a case of its own; alerts
/// of one case are one family. Nothing is stored.
///
/// # Errors
/// If the store cannot be read or an investigation fails.
pub fn judge(
    pipeline: &Arc<Pipeline>,
    most: usize,
    bench: &Bench<'_>,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Outcome>, Error> {
    let mut investigator = (bench.make)(Arc::clone(pipeline))?;
    let mut outcomes = Vec::new();
    for closed in pipeline.store().closed_alerts(most)? {
        let scenario = Scenario {
            id: format!("alert {}", closed.alert.id),
            source: "site".to_owned(),
            split: "site".to_owned(),
            verdict: match closed.closing.verdict {
                Disposition::Malicious => Truth::Malicious,
                Disposition::Benign => Truth::Benign,
            },
            family: format!("case {}", closed.case),
            granularity: String::new(),
            files: Vec::new(),
            start: None,
            end: None,
            techniques: Vec::new(),
            techniques_assigned: Vec::new(),
            key_events: Vec::new(),
            derived_key_events: Vec::new(),
            suggested_alert: None,
            label_certainty: String::new(),
            licence: None,
        };
        let investigation = investigator.investigate(&closed.alert, &mut |_| {})?;
        let observed = Observed {
            scenario: &scenario,
            alerts: vec![closed.alert],
            investigations: vec![investigation],
            pipeline: Arc::clone(pipeline),
        };
        outcomes.push(record(&observed, bench, false)?.outcome(&scenario));
        progress();
    }
    Ok(outcomes)
}
