//! How is an alert investigated, what was the model given, and how does a report leave as a file?

use super::operation::{JSON, Operation, json_body};
use super::parameters::{BELOW, LAST_EVENT, LIMIT};
use super::schema::{
    Schemas, any_of, id, integer, list, maybe, named, number, open, share, taken, text, texts, time, verdict,
    whole, with, words,
};
use crate::api::exports;
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = vec![
        Operation::json(
            "/v1/investigations",
            "Investigations in short, newest first; `below` is where the list goes on",
            whole(&json!({
                "total": integer(), "investigations": list(&named("Headline")), "below": maybe(&id()),
            })),
        )
        .takes(&[&LIMIT, &BELOW]),
        Operation::post(
            "/v1/investigations",
            "Investigate an alert",
            json_body("NewInvestigation"),
            "202",
            named("Headline"),
        ),
        Operation::json(
            "/v1/investigations/{id}",
            "One investigation: the report once done; before that, and if it failed, its status",
            any_of(&[named("Investigation"), named("Headline")]),
        ),
        Operation::events(
            "/v1/investigations/{id}/stream",
            "Progress so far, then as it comes, then `done` (server-sent events)",
            &json!({
                "started": whole(&json!({ "id": id(), "text": text(), "at": time() })),
                "progress": named("Progress"), "done": named("Headline"),
            }),
        )
        .takes(&[&LAST_EVENT]),
        Operation::json(
            "/v1/investigations/{id}/prompt",
            "What the model was given, made again and checked against the hash that the report names",
            named("Prompt"),
        ),
    ];
    all.extend(exports::PATHS.map(exported));
    all
}

/// The address of a file of an investigation or a case.
fn exported(path: &'static str) -> Operation {
    let format = exports::format_of(path);
    let (media, name) = format.map_or((JSON, "report"), |format| (format.media(), format.name()));
    let media = media.split(';').next().unwrap_or(JSON);
    let of_case = path.starts_with("/v1/cases/");
    let of = if of_case { "A case with all its investigations" } else { "An investigation" };
    let version = match path.rsplit_once("/report.").map_or("", |(_, extension)| extension) {
        "navigator.json" => " layer 4.5",
        "ocsf.json" => " 1.6",
        "thehive.json" => " 5",
        "iris.json" => " 2.4",
        _ => "",
    };
    let schema = match path.ends_with("/report.json") {
        true if of_case => named("CaseReport"),
        true => named("Investigation"),
        false if media.ends_with("json") => any_of(&[open(), list(&open())]),
        false => text(),
    };
    Operation::get(path, format!("{of} as a file: {name}{version}"), media, schema)
}

/// What the model was given, as far as it was asked and that can still be told.
fn prompt() -> Value {
    let told = |asked: &str, more: Value| {
        let mut told =
            json!({ "asked": { "const": asked }, "id": id(), "model": maybe(&named("ModelAsked")) });
        for (name, schema) in more.as_object().into_iter().flatten() {
            told[name] = schema.clone();
        }
        whole(&told)
    };
    any_of(&[
        told(
            "yes",
            json!({
                "system": text(), "shared": texts(), "tasks": list(&named("PromptTask")), "sha256": maybe(&text()),
                "check": any_of(&[
                    whole(&json!({ "result": { "const": "same" } })),
                    whole(&json!({ "result": words(&["different", "unverified"]), "why": text() })),
                ]),
            }),
        ),
        told("no", json!({ "why": text(), "reused_from": maybe(&id()) })),
        told("lost", json!({ "why": text() })),
    ])
}

/// A step, in words, with seconds since the start; each type has figures of its own beside these.
fn progress() -> Value {
    let types = ["stage", "evidence", "fact", "reading", "answer", "verdict", "sentence"];
    let mut step = whole(&json!({ "type": words(&types), "text": text(), "elapsed": number() }));
    step["additionalProperties"] = json!(true);
    step
}

pub(super) fn schemas() -> Schemas {
    vec![
        ("NewInvestigation", taken(&json!({ "alert": id() }), &json!({}))),
        // The verdict is there once it is done, the detail where it failed.
        (
            "Headline",
            with(
                &json!({ "id": id(), "alert": id(), "status": named("Status") }),
                &json!({ "verdict": verdict(), "confidence": share(), "convergence": share(), "detail": text() }),
            ),
        ),
        ("Progress", progress()),
        ("Status", words(&["queued", "running", "done", "failed"])),
        ("Prompt", prompt()),
        (
            "PromptTask",
            whole(&json!({
                "id": text(), "wording": integer(), "text": text(), "lead": text(), "answers": texts(),
                "orders": list(&integer()),
            })),
        ),
        (
            "CaseReport",
            whole(&json!({
                "case": named("StoredCase"), "verdict": verdict(), "techniques": list(&named("Technique")),
                "closed": maybe(&named("Closing")), "investigations": list(&named("Investigation")),
                "not_investigated": list(&whole(&json!({ "alert": id(), "title": text() }))),
            })),
        ),
    ]
}
