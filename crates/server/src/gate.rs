//! May the model close this alert by itself? Only if the gate has said so for this very model file at this site.
//!
//! Nothing else here closes an alert or lowers a severity without a person. What a model closed is marked as such:
//! it is no example for later alerts, and nothing a head is fitted on.

use casemate_event::{Alert, Closing, Disposition, Subject};
use casemate_investigate::report::Method;
use casemate_investigate::{Investigation, Verdict};
use casemate_store::{Gate, Result, Store};
use jiff::Timestamp;

/// Closes a benign alert if the gate of its model allows that; says whether it did.
pub(crate) fn close_if_allowed(store: &Store, alert: &Alert, case: &Investigation) -> Result<bool> {
    let Some(model) = &case.model else { return Ok(false) };
    if store.closing(alert.id)?.is_some() || !is_allowed(store.gate(&model.sha256)?.as_ref(), case) {
        return Ok(false);
    }
    let closing = Closing {
        verdict: Disposition::Benign,
        reason: case.summary.clone(),
        by: format!("model {} {}", model.name, model.sha256.get(..12).unwrap_or(&model.sha256)),
        at: Timestamp::now(),
        by_machine: true,
    };
    store.conclude(Subject::Alert(alert.id), &closing)?;
    Ok(true)
}

fn is_allowed(gate: Option<&Gate>, case: &Investigation) -> bool {
    let Some(model) = &case.model else { return false };
    gate.is_some_and(|gate| gate.allowed && gate.model == model.sha256)
        && case.verdict == Verdict::Benign
        && !matches!(case.method, Method::FactsOnly(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use casemate_event::AlertId;
    use casemate_store::Finished;
    use jiff::SignedDuration;
    use serde_json::json;

    fn case(verdict: &str, method: &serde_json::Value) -> Investigation {
        serde_json::from_value(json!({
            "id": 1,
            "alert": {
                "id": 1, "title": "t", "severity": "high", "origin": { "rule": "r" },
                "first_time": "2026-01-01T00:00:00Z", "last_time": "2026-01-01T00:00:00Z", "event_count": 1,
            },
            "verdict": verdict, "confidence": 0.9, "probability": 0.1, "convergence": 1.0, "summary": "Benign.",
            "method": method, "evidence": [], "cited": [], "facts": [], "answers": [], "contributions": [],
            "timeline": [], "entities": [], "techniques": [], "missing": [], "next_steps": [], "narrative": [],
            "narrative_replaced": 0, "playbook": { "name": "p", "version": 1, "sha256": "" },
            "model": { "name": "m", "sha256": "aa" }, "prompt_tokens": 0, "generated_tokens": 0, "seconds": {},
        }))
        .unwrap()
    }

    fn gate(model: &str, allowed: bool) -> Gate {
        let figures = serde_json::Value::Null;
        Gate { model: model.to_owned(), at: Timestamp::UNIX_EPOCH, by: "mira".to_owned(), allowed, figures }
    }

    #[test]
    fn nothing_is_allowed_that_the_gate_does_not_say() {
        let benign = case("benign", &json!("model_and_facts"));
        assert!(!is_allowed(None, &benign));
        assert!(!is_allowed(Some(&gate("aa", false)), &benign));
        assert!(!is_allowed(Some(&gate("bb", true)), &benign), "another file");
        assert!(is_allowed(Some(&gate("aa", true)), &benign));
        let yes = gate("aa", true);
        assert!(!is_allowed(Some(&yes), &case("inconclusive", &json!("model_and_facts"))));
        assert!(!is_allowed(Some(&yes), &case("malicious", &json!("model_and_facts"))));
        assert!(!is_allowed(Some(&yes), &case("benign", &json!({ "facts_only": "budget" }))));
    }

    #[test]
    fn what_a_model_closed_is_no_example() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let alert = Alert {
            id: AlertId(0),
            origin: casemate_event::AlertOrigin::Rule("r".to_owned()),
            title: "t".to_owned(),
            severity: casemate_event::Severity::High,
            techniques: Vec::new(),
            first_time: Timestamp::UNIX_EPOCH,
            last_time: Timestamp::UNIX_EPOCH,
            events: Vec::new(),
            event_count: 1,
            entities: Vec::new(),
        };
        let alert = store.raise(alert, "key", SignedDuration::ZERO).unwrap();
        store.put_finished(alert.id, Finished { json: b"{}", ..Finished::default() }).unwrap();
        let benign = case("benign", &json!("model_and_facts"));
        assert!(!close_if_allowed(&store, &alert, &benign).unwrap());
        assert_eq!(store.closing(alert.id).unwrap(), None);
        store.put_gate(&gate("aa", true)).unwrap();
        assert!(close_if_allowed(&store, &alert, &benign).unwrap());
        assert!(store.closing(alert.id).unwrap().unwrap().by_machine);
        assert!(store.closed_alerts(10).unwrap().is_empty());
        assert_eq!(store.audit(u64::MAX, 10).unwrap()[0].by, "model m aa");
    }
}
