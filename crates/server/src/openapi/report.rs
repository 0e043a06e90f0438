//! What does a finished investigation look like? Every field of [`casemate_investigate::Investigation`] as it is written
//! to JSON.

use super::schema::{
    Schemas, any_of, boolean, by_name, disposition, entity_kind, id, ids, integer, list, maybe, meaning,
    named, number, severity, share, text, texts, time, verdict, whole, with, words,
};
use serde_json::{Value, json};

fn investigation() -> Value {
    let always = json!({
        "id": meaning(id(), "That of its alert"),
        "alert": named("AlertSummary"),
        "verdict": verdict(),
        "confidence": meaning(share(), "In the verdict"),
        "probability": meaning(share(), "That the alert is part of an attack"),
        "convergence": meaning(share(), "How far wordings and orders of the evidence agree"),
        "summary": meaning(text(), "Verdict and why, in a sentence"),
        "method": named("Method"),
        "evidence": list(&named("Evidence")),
        "context": list(&whole(&json!({ "label": text(), "text": text(), "rests_on": text() }))),
        "cited": meaning(ids(), "Events that the reasons cite"),
        "facts": list(&named("Fact")),
        "answers": list(&named("QuestionAnswered")),
        "variants": meaning(list(&verdict()), "The verdict of each wording and order"),
        "head": maybe(&named("Head")),
        "features": list(&whole(&json!({ "name": text(), "value": number() }))),
        "contributions": list(&whole(&json!({ "name": text(), "weight": meaning(number(), "In logits") }))),
        "timeline": list(&whole(&json!({ "time": time(), "label": text(), "text": text(), "lane": text() }))),
        "entities": list(&whole(&json!({ "kind": entity_kind(), "value": text() }))),
        "techniques": list(&named("Technique")),
        "similar_closed": list(&named("SimilarClosed")),
        "missing": texts(),
        "next_steps": texts(),
        "narrative": list(&whole(&json!({
            "text": text(), "citations": meaning(texts(), "Labels of evidence and context"),
            "source": words(&["model", "template"]),
        }))),
        "narrative_replaced": integer(),
        "playbook": whole(&json!({ "name": text(), "version": integer(), "sha256": text() })),
        "model": maybe(&named("ModelAsked")),
        "prompt_tokens": integer(),
        "generated_tokens": integer(),
        "seconds": meaning(by_name(&number()), "Of machine time, `total` and by stage"),
        "rests_on": texts(),
        "provenance": named("Provenance"),
    });
    let sometimes = json!({ "reused_from": meaning(id(), "The investigation whose verdict it is") });
    with(&always, &sometimes)
}

pub(super) fn schemas() -> Schemas {
    vec![
        ("Investigation", investigation()),
        (
            "AlertSummary",
            whole(&json!({
                "id": id(), "title": text(), "severity": severity(), "origin": named("Origin"), "first_time": time(),
                "last_time": time(), "event_count": integer(),
            })),
        ),
        // ATT&CK, and what says so: the alert or a fact.
        ("Technique", whole(&json!({ "id": text(), "source": text(), "support": number() }))),
        // Why the model was not asked, where it was not.
        (
            "Method",
            any_of(&[words(&["model_and_facts", "settled"]), whole(&json!({ "facts_only": text() }))]),
        ),
        (
            "Evidence",
            whole(&json!({
                "label": text(), "event": id(), "time": time(), "host": text(), "line": text(), "structural": text(),
                "why": text(), "relation": words(&["alert", "process", "actor", "near", "similar"]),
                "count": integer(), "folded": ids(),
            })),
        ),
        (
            "Fact",
            whole(&json!({
                "name": text(), "statement": text(), "evidence": texts(), "context": texts(), "weight": number(),
            })),
        ),
        (
            "QuestionAnswered",
            whole(&json!({
                "id": text(), "question": text(), "answer": text(), "sentence": text(), "probability": share(),
                "threshold": share(), "weight": number(), "evidence": texts(),
                "variants": list(&whole(&json!({
                    "wording": integer(), "order": integer(), "probability": share(),
                }))),
            })),
        ),
        // What judged, and what read for it or why nothing did.
        (
            "Head",
            whole(&json!({
                "name": text(), "sha256": text(), "reader": maybe(&text()), "unread": maybe(&text()),
            })),
        ),
        ("ModelAsked", whole(&json!({ "name": text(), "sha256": text() }))),
        (
            "SimilarClosed",
            whole(&json!({
                "alert": id(), "case": id(), "verdict": disposition(), "reason": text(), "by": text(), "at": time(),
                "similarity": number(), "same_rule": boolean(), "same_technique": boolean(),
            })),
        ),
        (
            "Provenance",
            whole(&json!({
                "version": text(), "rules_sha256": text(), "site_sha256": text(), "prompt_sha256": maybe(&text()),
                "computed_by": maybe(&text()),
            })),
        ),
    ]
}
