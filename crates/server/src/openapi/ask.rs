//! What is asked in plain words, and how is that answered?

use super::operation::{EVENTS, Operation, json_body};
use super::schema::{
    Schemas, boolean, by_name, events_of, id, integer, list, maybe, named, number, share, taken, text, texts,
    time, whole, words,
};
use casemate_investigate::ask::MAX_QUESTION_CHARS;
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    let stream = events_of(&json!({
        "evidence": whole(&json!({ "step": { "const": "evidence" }, "lines": list(&named("AnswerEvidence")) })),
        "token": whole(&json!({ "step": { "const": "token" }, "text": text() })),
        "sentence": whole(&json!({ "step": { "const": "sentence" }, "text": text(), "citations": texts() })),
        "done": named("Answer"), "failed": named("Problem"),
    }));
    vec![
        Operation::post(
            "/v1/ask",
            "Ask in plain words: the answer with its evidence; with `Accept: text/event-stream` as it comes (`evidence`, \
             `token` not checked yet, `sentence` checked, then `done` with the answer or `failed`)",
            json_body("NewQuestion"),
            "200",
            named("Answer"),
        )
        .or("200", Some((EVENTS, stream))),
    ]
}

pub(super) fn schemas() -> Schemas {
    vec![
        (
            "NewQuestion",
            taken(
                &json!({ "question": { "type": "string", "minLength": 1, "maxLength": MAX_QUESTION_CHARS } }),
                &json!({
                    "case": maybe(&id()), "investigation": maybe(&id()), "after": text(), "before": text(),
                }),
            ),
        ),
        ("AnswerEvidence", whole(&json!({ "label": text(), "event": id(), "time": time(), "line": text() }))),
        (
            "Answer",
            whole(&json!({
                "question": text(), "answer": text(), "known": boolean(),
                "how": words(&["counted", "recorded", "read", "unanswered"]),
                "sentences": list(&whole(&json!({ "text": text(), "citations": texts() }))),
                "values": list(&named("Counted")),
                "evidence": list(&named("AnswerEvidence")),
                "query": maybe(&text()), "total": maybe(&integer()), "exact": boolean(), "looked_for": texts(),
                "missing": texts(), "removed": integer(), "answerable": maybe(&share()),
                "provenance": whole(&json!({
                    "version": text(), "model": maybe(&named("ModelAsked")), "prompt_sha256": maybe(&text()),
                    "computed_by": maybe(&text()),
                })),
                "seconds": by_name(&number()),
            })),
        ),
    ]
}
