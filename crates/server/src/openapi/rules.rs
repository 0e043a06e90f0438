//! Which Sigma rules are in use, what did each raise, and is a text one?

use super::operation::{Operation, json_body};
use super::parameters::RULES;
use super::schema::{
    Schemas, boolean, disposition, id, integer, list, maybe, named, severity, text, texts, time, verdict,
    whole,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json(
            "/v1/rules",
            "Sigma rules in use that fit, a page at a time",
            whole(&json!({ "total": integer(), "loaded": integer(), "rules": list(&named("Rule")) })),
        )
        .takes(RULES),
        Operation::json(
            "/v1/rules/{rule}",
            "One rule: its source, what it raised and what came of that",
            named("WholeRule"),
        ),
        Operation::post(
            "/v1/rules/validate",
            "Whether a text holds rules that can be used, and what is wrong with it on which line",
            json_body("Text"),
            "200",
            named("Checked"),
        ),
    ]
}

/// What a list says of a rule.
fn short() -> Value {
    json!({
        "id": text(), "title": text(), "level": severity(), "techniques": texts(), "tactics": texts(), "file": text(),
        "raises": boolean(), "alerts": integer(),
    })
}

pub(super) fn schemas() -> Schemas {
    let mut one = short();
    for name in ["description", "sha256", "text"] {
        one[name] = text();
    }
    one["false_positives"] = texts();
    one["history"] = named("RuleHistory");
    vec![
        ("Rule", whole(&short())),
        ("WholeRule", whole(&one)),
        // What became of its latest alerts.
        (
            "RuleHistory",
            whole(&json!({
                "of": integer(), "days": named("Counts"), "verdicts": named("Counts"), "closed_malicious": integer(),
                "closed_benign": integer(),
                "alerts": list(&whole(&json!({
                    "id": id(), "last_time": time(), "events": integer(), "verdict": maybe(&verdict()),
                    "closed": maybe(&disposition()),
                }))),
            })),
        ),
    ]
}
