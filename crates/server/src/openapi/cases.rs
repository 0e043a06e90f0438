//! Which alerts are one case, what do people decide about it, and what do they save as its evidence?

use super::operation::{Operation, json_body};
use super::parameters::PART;
use super::schema::{
    Schemas, id, ids, integer, list, maybe, named, severity, taken, text, time, verdict, whole, with,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json(
            "/v1/cases",
            "Cases, newest first; `below` is where the list goes on",
            whole(
                &json!({ "total": integer(), "cases": list(&named("CaseInShort")), "below": maybe(&id()) }),
            ),
        )
        .takes(PART),
        Operation::json("/v1/cases/{id}", "One case, its alerts and why each is part of it", named("Case")),
        Operation::post(
            "/v1/cases/{id}/feedback",
            "The same about a case: what is said of a verdict is said of each of its alerts that has one",
            json_body("Feedback"),
            "200",
            named("Case"),
        ),
        Operation::post(
            "/v1/cases/{id}/close",
            "Close a case with all its alerts",
            json_body("Close"),
            "200",
            named("Case"),
        ),
        Operation::post("/v1/cases/{id}/reopen", "Open a case again", json_body("By"), "200", named("Case")),
        Operation::json(
            "/v1/cases/{id}/evidence",
            "Events that people saved as evidence of a case, in order of time, with the beginning of what they said when \
             they were saved and the address of all of it",
            named("EvidenceOfCase"),
        ),
        Operation::json(
            "/v1/cases/{id}/evidence/{event}",
            "A saved event with all that was saved of it, also when retention has deleted the event",
            named("SavedEvidence"),
        ),
        Operation::post(
            "/v1/cases/{id}/evidence",
            "Save an event as evidence of a case, in place of an earlier note about it",
            json_body("SaveEvidence"),
            "201",
            named("EvidenceOfCase"),
        ),
        Operation::post(
            "/v1/cases/{id}/evidence/{event}/remove",
            "Take a saved event back",
            json_body("By"),
            "200",
            named("EvidenceOfCase"),
        ),
    ]
}

/// A case, its alerts told so; the verdict is the gravest on them.
fn case(alerts: &Value) -> Value {
    whole(&json!({
        "id": id(), "title": text(), "severity": severity(), "first_time": time(), "last_time": time(),
        "verdict": maybe(&verdict()), "alerts": alerts, "related": ids(), "closed": maybe(&named("Closing")),
        "assigned": maybe(&named("Assigned")),
    }))
}

/// An event as it was saved.
fn saved() -> Value {
    json!({
        "event": id(), "time": time(), "format": text(), "source": text(), "message": text(), "raw": text(),
        "note": text(), "by": text(), "at": time(),
    })
}

pub(super) fn schemas() -> Schemas {
    // Of its record the beginning, and where all of it is.
    let mut in_a_list = saved();
    in_a_list["href"] = text();
    vec![
        ("CaseInShort", case(&ids())),
        ("Case", case(&list(&named("AlertOfCase")))),
        (
            "AlertOfCase",
            whole(&json!({
                "id": id(), "title": text(), "severity": severity(), "first_time": time(), "last_time": time(),
                "joined": text(), "verdict": maybe(&verdict()), "closed": maybe(&named("Closing")),
            })),
        ),
        (
            "EvidenceOfCase",
            whole(&json!({ "case": id(), "total": integer(), "evidence": list(&whole(&in_a_list)) })),
        ),
        ("SaveEvidence", taken(&json!({ "event": id() }), &json!({ "note": text(), "by": text() }))),
        ("SavedEvidence", whole(&saved())),
        // As it is stored, which is how a report tells of it.
        (
            "StoredCase",
            with(
                &json!({
                    "id": id(), "alerts": list(&whole(&json!({ "alert": id(), "joined": text() }))), "related": ids(),
                    "closed": maybe(&named("Closing")),
                }),
                &json!({ "assigned": named("Assigned") }),
            ),
        ),
    ]
}
