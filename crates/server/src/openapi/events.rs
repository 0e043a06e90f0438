//! How are events found: by number, by a search, as they arrive, counted, and by what they are about?

use super::operation::Operation;
use super::parameters::{
    AFTER, BEFORE, BUCKETS, BY, ENTITY, LAST_EVENT, MOST, Q, SCHEMA, SEARCH, SO_FAR, TAIL,
};
use super::schema::{
    Schemas, any_of, boolean, by_name, format, id, integer, list, named, number, open, text, texts, time,
    whole, with, words,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json("/v1/events", "Events by words, time and entity, newest first", named("Found"))
            .takes(SEARCH),
        Operation::json(
            "/v1/events/{id}",
            "One event with its native fields and raw record, or as a document of the Elastic Common Schema 8.17",
            any_of(&[named("WholeEvent"), named("EcsDocument")]),
        )
        .takes(&[&SCHEMA]),
        Operation::json(
            "/v1/events/{id}/ancestors",
            "Starts of the processes before an event: its own process, the parent of that and so on",
            whole(&json!({ "events": list(&named("Event")) })),
        ),
        Operation::events(
            "/v1/events/tail",
            "Events that match as they arrive, as server-sent events numbered like the events; Last-Event-ID goes on",
            &json!({ "event": named("Event"), "skipped": integer() }),
        )
        .takes(TAIL)
        .takes(&[&LAST_EVENT]),
        Operation::json("/v1/search", "Events by words (best first) or by meaning", named("Found")).takes(SEARCH),
        Operation::json(
            "/v1/suggest",
            "How a query could go on: names of fields, or of entities behind host:, user: and the like; 12 at most",
            whole(&json!({
                "suggestions": list(&whole(&json!({ "text": text(), "word": text(), "events": integer() }))),
            })),
        )
        .takes(&[&SO_FAR]),
        Operation::json(
            "/v1/aggregate",
            "Counts of events that match, by value and over time",
            whole(&json!({
                "total": integer(), "counted": boolean(), "by": by_name(&list(&named("Counted"))),
                "over_time": list(&whole(&json!({ "from": time(), "events": integer() }))),
            })),
        )
        .takes(&[&Q, &AFTER, &BEFORE, &ENTITY, &BY, &MOST, &BUCKETS]),
        Operation::json(
            "/v1/entities/{entity}",
            "How often an entity, written kind:value, was seen, first and last, among the events that are kept",
            whole(&json!({ "entity": text(), "events": integer(), "first_seen": time(), "last_seen": time() })),
        ),
    ]
}

/// What lists say of an event.
fn short() -> Value {
    json!({
        "id": id(), "time": time(), "time_quality": words(&["stated", "year_assumed", "zone_assumed", "arrival"]),
        "format": format(), "class": text(), "class_uid": integer(), "source": text(), "position": integer(),
        "message": text(), "fields": named("Fields"), "entities": texts(), "template": text(),
    })
}

pub(super) fn schemas() -> Schemas {
    let mut of_one = short();
    of_one["native"] = named("Fields");
    vec![
        // By name: normalised as OCSF 1.6 has them, or as the record has them.
        ("Fields", by_name(&text())),
        ("Event", with(&short(), &json!({ "found_by": list(&named("Way")) }))),
        // The record as text, or in hex where it is none.
        ("WholeEvent", with(&of_one, &json!({ "raw": text(), "raw_hex": text() }))),
        ("EcsDocument", ecs()),
        // The total is the most there can be, unless it was counted.
        (
            "Found",
            with(
                &json!({ "total": integer(), "counted": boolean(), "events": list(&named("Event")) }),
                &json!({ "templates": list(&whole(&json!({
                    "id": text(), "similarity": number(), "text": text(), "count": integer(),
                }))) }),
            ),
        ),
        (
            "Way",
            any_of(&[
                whole(&json!({ "way": { "const": "words" }, "rank": integer(), "words": texts() })),
                whole(&json!({ "way": { "const": "entities" }, "rank": integer(), "entities": texts() })),
                whole(&json!({
                    "way": { "const": "meaning" }, "rank": integer(), "template": text(), "similarity": number(),
                })),
            ]),
        ),
        ("Counted", whole(&json!({ "value": text(), "events": integer() }))),
    ]
}

/// A document as Elastic describes it, which always has its time.
fn ecs() -> Value {
    let mut document = open();
    document["properties"] = json!({ "@timestamp": time() });
    document["required"] = json!(["@timestamp"]);
    document
}
