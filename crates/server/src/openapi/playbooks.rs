//! Which playbooks are in use, what does each ask, and is a text one?

use super::operation::{Operation, json_body};
use super::schema::{
    Schemas, boolean, integer, list, maybe, named, number, sha256, taken, text, texts, whole, words,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json(
            "/v1/playbooks",
            "Playbooks in use, how often followed and agreed with",
            whole(&json!({ "total": integer(), "playbooks": list(&named("Playbook")) })),
        ),
        Operation::json(
            "/v1/playbooks/{name}",
            "One playbook: its questions, what answers mean, its source",
            named("WholePlaybook"),
        ),
        Operation::post(
            "/v1/playbooks/validate",
            "Whether a text is a playbook, what is wrong with it on which line, and how its tests go",
            json_body("Text"),
            "200",
            named("Checked"),
        ),
    ]
}

/// What a list says of a playbook.
fn short() -> Value {
    json!({
        "name": text(), "title": text(), "version": integer(), "sha256": text(), "file": text(), "default": boolean(),
        "questions": integer(), "predicates": integer(), "tests": integer(), "used": integer(),
        "closed": whole(&json!({ "agreed": integer(), "disagreed": integer(), "undecided": integer() })),
    })
}

fn one() -> Value {
    let mut one = short();
    for (name, schema) in [
        ("criteria", list(&whole(&json!({ "what": text(), "values": texts() })))),
        ("before_minutes", integer()),
        ("after_minutes", integer()),
        ("pivots", texts()),
        ("semantic", text()),
        ("max_lines", integer()),
        ("asked", list(&named("PlaybookQuestion"))),
        ("decided", list(&named("PlaybookPredicate"))),
        ("trials", list(&whole(&json!({ "name": text(), "events": maybe(&integer()), "expects": texts() })))),
        ("next_steps", texts()),
        ("text", text()),
    ] {
        one[name] = schema;
    }
    whole(&one)
}

pub(super) fn schemas() -> Schemas {
    let meaning = whole(&json!({
        "answer": text(), "sentence": text(), "counts": words(&["raises", "lowers", "tells nothing"]),
    }));
    vec![
        ("Playbook", whole(&short())),
        ("WholePlaybook", one()),
        (
            "PlaybookQuestion",
            whole(&json!({
                "id": text(), "wordings": texts(), "answers": list(&meaning), "threshold": number(), "weight": number(),
            })),
        ),
        // A question that facts answer.
        (
            "PlaybookPredicate",
            whole(
                &json!({ "id": text(), "question": text(), "facts": texts(), "yes": text(), "no": text() }),
            ),
        ),
        ("Text", taken(&json!({ "text": text() }), &json!({}))),
        (
            "Checked",
            whole(&json!({
                "valid": boolean(), "sha256": sha256(), "names": texts(), "activate": text(),
                "replaces": list(&whole(&json!({
                    "name": text(), "version": maybe(&integer()), "sha256": text(),
                }))),
                "remarks": list(&whole(&json!({
                    "line": maybe(&integer()), "fatal": boolean(), "text": text(),
                }))),
                "tests": list(&whole(&json!({
                    "name": text(), "passed": boolean(), "wrong": texts(), "facts": texts(),
                }))),
            })),
        ),
    ]
}
