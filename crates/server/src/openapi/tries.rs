//! What would come out if a text were in use: how is that tried, and what came out?

use super::operation::{Operation, empty_body, json_body};
use super::parameters::LAST_EVENT;
use super::schema::{
    Schemas, any_of, boolean, disposition, id, ids, integer, list, maybe, named, number, share, taken, text,
    texts, time, verdict, whole, words,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/playbooks/try",
            "Make past investigations again with this playbook: that of one alert, or the latest (20) that followed it",
            json_body("TryPlaybook"),
            "202",
            named("Try"),
        ),
        Operation::post(
            "/v1/rules/try",
            "Match these rules against the latest events (200,000, 2,000,000 at most)",
            json_body("TryRule"),
            "202",
            named("Try"),
        ),
        Operation::json("/v1/tries/{id}", "A try: how far it is, and what has come out so far", named("Try")),
        Operation::events(
            "/v1/tries/{id}/stream",
            "Progress of a try as it comes, then `done` (server-sent events)",
            &json!({
                "progress": whole(&json!({ "done": integer(), "of": integer(), "text": text() })),
                "done": whole(&json!({ "id": id(), "status": named("Status"), "detail": maybe(&text()) })),
            }),
        )
        .takes(&[&LAST_EVENT]),
        Operation::get("/v1/tries/{id}/text", "The text that was tried, as a file", "text/plain", text()),
        Operation::post("/v1/tries/{id}/stop", "End a try", empty_body(), "200", named("Try")),
    ]
}

/// What one side said of a past case.
fn side() -> Value {
    whole(&json!({
        "verdict": verdict(), "confidence": share(), "probability": share(), "convergence": share(), "playbook": text(),
        "version": integer(), "method": text(), "seconds": number(),
    }))
}

fn playbook_outcome() -> Value {
    whole(&json!({
        "of": integer(), "cases": list(&named("TriedCase")), "gate": maybe(&named("GateDecision")), "asked": text(),
        "cut_short": maybe(&text()),
        "summary": whole(&json!({
            "cases": integer(), "failed": integer(), "changed": integer(), "closed": integer(),
            "agreed_then": integer(), "agreed_now": integer(), "gained": ids(), "lost": ids(), "newly_missed": ids(),
            "moves": named("Counts"),
        })),
    }))
}

fn rule_outcome() -> Value {
    let touched =
        || list(&whole(&json!({ "alert": id(), "title": text(), "closed": maybe(&disposition()) })));
    whole(&json!({
        "of": integer(), "examined": integer(), "matches": integer(), "days": named("Counts"), "on_earlier_days": integer(), "alerts": integer(),
        "samples": list(&whole(&json!({ "event": id(), "time": time(), "rule": text(), "message": text() }))),
        "new_alerts": integer(), "closed": touched(), "closed_malicious": integer(), "closed_benign": integer(),
        "no_longer": touched(), "raised_before": integer(), "seconds": number(), "cut_short": maybe(&text()),
    }))
}

/// A past case, then and now.
fn case() -> Value {
    let line = whole(&json!({
        "name": text(), "text": text(), "then": maybe(&text()), "now": maybe(&text()), "changed": boolean(),
    }));
    whole(&json!({
        "alert": id(), "title": text(), "then": side(), "now": maybe(&side()), "problem": maybe(&text()),
        "changed": boolean(), "closed": maybe(&disposition()), "agreement": maybe(&words(&["gained", "lost"])),
        "retrieved_anew": boolean(), "also_changed": texts(), "facts": list(&line), "answers": list(&line),
        "evidence": { "type": "array", "items": integer(), "minItems": 3, "maxItems": 3,
            "description": "Lines on both sides, only then, and only now" },
    }))
}

pub(super) fn schemas() -> Schemas {
    let within = |most: u64| json!({ "type": ["integer", "null"], "minimum": 1, "maximum": most });
    vec![
        (
            "TryPlaybook",
            taken(&json!({ "text": text() }), &json!({ "alert": maybe(&id()), "last": within(50) })),
        ),
        (
            "TryRule",
            taken(&json!({ "text": text() }), &json!({ "events": within(2_000_000), "days": within(3650) })),
        ),
        (
            "Try",
            whole(&json!({
                "id": id(), "kind": words(&["playbook", "rule"]), "status": named("Status"), "names": texts(),
                "sha256": text(), "by": text(), "at": time(),
                "on": any_of(&[
                    whole(&json!({ "alert": id() })),
                    whole(&json!({ "last": integer() })),
                    whole(&json!({ "events": integer(), "days": maybe(&integer()) })),
                ]),
                "outcome": any_of(&[
                    whole(&json!({ "playbook": playbook_outcome() })),
                    whole(&json!({ "rule": rule_outcome() })),
                ]),
            })),
        ),
        ("TriedCase", case()),
        // Whether what was tried may take the place of what is in use.
        (
            "GateDecision",
            whole(&json!({
                "allowed": boolean(), "reasons": texts(), "cases": integer(), "attacks": integer(),
                "figures": list(&whole(&json!({
                    "name": text(), "active": maybe(&number()), "candidate": maybe(&number()),
                    "difference": maybe(&number()),
                    "difference_ci": maybe(&json!({
                        "type": "array", "items": number(), "minItems": 2, "maxItems": 2,
                    })),
                }))),
            })),
        ),
    ]
}
