//! What would be made today of the alerts that this site has closed?

use crate::Error;
use crate::observe::Observed;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::run::{Bench, record};
use crate::scenario::{Scenario, Truth};
use casemate_event::Disposition;
use casemate_pipeline::Pipeline;
use std::sync::Arc;

/// How they would be judged; as for [`observe`].
///
/// # Errors
/// As for [`observe`].
pub fn judge(
    pipeline: &Arc<Pipeline>,
    most: usize,
    bench: &Bench<'_>,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Outcome>, Error> {
    let cases = observe(pipeline, most, bench, progress)?;
    Ok(cases.iter().map(|(scenario, record)| record.outcome(scenario)).collect())
}

/// Investigates the alerts that people closed, the latest first, at most `most`. Each is a case of its own; alerts
/// of one case are one family. Nothing is stored.
///
/// # Errors
/// If the store cannot be read or an investigation fails.
pub fn observe(
    pipeline: &Arc<Pipeline>,
    most: usize,
    bench: &Bench<'_>,
    progress: &mut dyn FnMut(),
) -> Result<Vec<(Scenario, Record)>, Error> {
    let mut investigator = (bench.make)(Arc::clone(pipeline))?;
    let mut cases = Vec::new();
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
            label_certainty: "high: closed by a person".to_owned(),
            licence: Some("of the site".to_owned()),
        };
        let investigation = investigator.investigate(&closed.alert, &mut |_| {})?;
        let observed = Observed {
            scenario: &scenario,
            alerts: vec![closed.alert],
            investigations: vec![investigation],
            pipeline: Arc::clone(pipeline),
        };
        let record = record(&observed, bench, false)?;
        cases.push((scenario, record));
        progress();
    }
    Ok(cases)
}
