//! Which alerts are there, how does one come in, and what do people say of them?

use super::operation::{Operation, json_body};
use super::parameters::PART;
use super::schema::{
    Schemas, any_of, boolean, disposition, id, ids, integer, list, maybe, named, severity, taken, text,
    texts, time, verdict, whole, words,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    let closed = || whole(&json!({ "alert": id(), "closed": maybe(&named("Closing")) }));
    vec![
        Operation::json(
            "/v1/alerts",
            "Alerts, newest first; `below` is where the list goes on",
            whole(&json!({ "total": integer(), "alerts": list(&named("Alert")), "below": maybe(&id()) })),
        )
        .takes(PART),
        Operation::post(
            "/v1/alerts",
            "An alert of another product",
            json_body("NewAlert"),
            "201",
            named("Alert"),
        ),
        Operation::json(
            "/v1/alerts/{id}",
            "One alert, and by which id its product knows it",
            named("WholeAlert"),
        ),
        Operation::post(
            "/v1/alerts/{id}/feedback",
            "Agree or disagree with the verdict on an alert, assign, close or open it: an example for alerts like it",
            json_body("Feedback"),
            "200",
            named("Alert"),
        ),
        Operation::post(
            "/v1/alerts/feedback",
            "The same about up to 500 alerts at once, all or nothing",
            json_body("FeedbackOfMany"),
            "200",
            whole(&json!({ "done": integer(), "without_verdict": ids() })),
        ),
        Operation::post(
            "/v1/alerts/{id}/close",
            "Close an alert: what it was, why, and who says so",
            json_body("Close"),
            "200",
            closed(),
        ),
        Operation::post("/v1/alerts/{id}/reopen", "Open an alert again", json_body("By"), "200", closed()),
    ]
}

/// What is said about alerts or a case; `alerts` says of which.
fn feedback(alerts: Option<Value>) -> Value {
    let mut needed = json!({ "act": words(&["agree", "disagree", "withdraw", "assign", "close", "reopen"]) });
    if let Some(alerts) = alerts {
        needed["alerts"] = alerts;
    }
    let more = json!({
        "verdict": maybe(&disposition()), "reason": text(), "to": text(), "by": text(), "close": boolean(),
    });
    taken(&needed, &more)
}

fn alert() -> Value {
    json!({
        "id": id(), "origin": named("Origin"), "title": text(), "severity": severity(), "techniques": texts(),
        "first_time": time(), "last_time": time(), "events": ids(), "event_count": integer(), "entities": texts(),
        "investigation": maybe(&named("Headline")), "case": maybe(&id()), "closed": maybe(&named("Closing")),
        "assigned": maybe(&named("Assigned")), "feedback": maybe(&named("Opinion")),
    })
}

pub(super) fn schemas() -> Schemas {
    let mut of_one = alert();
    of_one["reference"] = maybe(&whole(&json!({ "id": maybe(&text()), "link": maybe(&text()) })));
    let many = json!({ "type": "array", "items": id(), "minItems": 1, "maxItems": 500 });
    vec![
        ("Alert", whole(&alert())),
        ("WholeAlert", whole(&of_one)),
        // Which of the two raised it.
        ("Origin", any_of(&[whole(&json!({ "rule": text() })), whole(&json!({ "product": text() }))])),
        (
            "NewAlert",
            taken(
                &json!({ "title": { "type": "string", "maxLength": 500 }, "severity": severity() }),
                &json!({
                    "techniques": texts(), "events": ids(), "time": maybe(&time()), "product": maybe(&text()),
                }),
            ),
        ),
        ("Feedback", feedback(None)),
        ("FeedbackOfMany", feedback(Some(many))),
        // Whoever is known by name need not say who they are.
        ("By", taken(&json!({}), &json!({ "by": text() }))),
        ("Close", taken(&json!({ "verdict": disposition(), "reason": text() }), &json!({ "by": text() }))),
        (
            "Closing",
            whole(&json!({
                "verdict": disposition(), "reason": text(), "by": text(), "at": time(), "by_machine": boolean(),
            })),
        ),
        ("Assigned", whole(&json!({ "to": text(), "by": text(), "at": time() }))),
        // What a person thinks of a verdict; no truth where the evidence does not tell.
        (
            "Opinion",
            whole(&json!({
                "agrees": boolean(), "of": verdict(), "truth": maybe(&disposition()), "reason": text(), "by": text(),
                "at": time(),
            })),
        ),
    ]
}
