//! What would be made today of the alerts that this site has closed?

use crate::Error;
use crate::metrics::Judged;
use crate::observe::Observed;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::run::{Bench, record};
use crate::scenario::{Scenario, Truth};
use casemate_event::{AlertId, CaseId, Disposition};
use casemate_investigate::Investigation;
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
        let scenario = scenario(closed.alert.id, closed.case, closed.closing.verdict);
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

/// A closed alert of this case as it was judged in `report`, without what only a run of its own measures.
pub fn judged(case: CaseId, closed: Disposition, report: &Investigation) -> Judged {
    let record = Record { investigations: vec![report.clone()], ..Record::default() };
    Judged::from(&record.outcome(&scenario(report.id, case, closed)))
}

/// A closed alert as a case of its own; those of one case are one family.
fn scenario(alert: AlertId, case: CaseId, closed: Disposition) -> Scenario {
    Scenario {
        id: format!("alert {alert}"),
        source: "site".to_owned(),
        split: "site".to_owned(),
        verdict: match closed {
            Disposition::Malicious => Truth::Malicious,
            Disposition::Benign => Truth::Benign,
        },
        family: format!("case {case}"),
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
    }
}
