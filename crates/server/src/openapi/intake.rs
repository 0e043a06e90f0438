//! How does data come in: log data in any format, OpenTelemetry, Splunk and Elastic senders, and what was not understood?

use super::operation::{JSON, Operation, empty_body};
use super::parameters::{BELOW, IDEMPOTENCY_KEY, LIMIT, REASON, WITHIN};
use super::schema::{
    Schemas, boolean, by_name, id, integer, list, maybe, named, open, severity, text, texts, time, whole,
    with,
};
use serde_json::{Value, json};

const NDJSON: &str = "application/x-ndjson";
const PROTOBUF: &str = "application/x-protobuf";

/// An address of senders, whose bodies another product's documentation describes.
fn sent(path: &'static str, summary: &'static str) -> Operation {
    Operation::post(path, summary, json!({ JSON: {}, NDJSON: {} }), "200", open())
}

/// What Elastic's senders ask for at their start and want to put in place.
fn elastic_template(path: &'static str) -> [Operation; 2] {
    [
        Operation::json(path, "Elastic 8: asked by shippers at their start", open()),
        sent(path, "Elastic 8: accepted, does nothing").put(),
    ]
}

fn hec(path: &'static str, summary: &'static str) -> Operation {
    sent(path, summary).or_problem(JSON, named("HecProblem"))
}

pub(super) fn operations() -> Vec<Operation> {
    let otlp = json!({ PROTOBUF: {}, JSON: {} });
    let mut all = vec![
        Operation::post(
            "/v1/ingest/{format}",
            "Take in log data, at most 64 MiB; durable when answered",
            json!({ "application/octet-stream": {}, JSON: {} }),
            "200",
            named("Ingested"),
        )
        .takes(&[&IDEMPOTENCY_KEY]),
        Operation::post("/v1/logs", "OTLP/HTTP 1: log records; durable when answered", otlp, "200", open())
            .or("200", Some((PROTOBUF, text())))
            .or_problem(JSON, open())
            .or_problem(PROTOBUF, text()),
        Operation::json("/services/collector/health", "Splunk HEC 1.0: whether it takes events", open()),
        hec("/services/collector", "Splunk HEC 1.0: events; durable when answered"),
        hec("/services/collector/event", "Splunk HEC 1.0: events; durable when answered"),
        hec("/services/collector/raw", "Splunk HEC 1.0: lines; durable when answered"),
        hec("/services/collector/ack", "Splunk HEC 1.0: whether what was sent is durable"),
        sent("/_bulk", "Elastic 8: index and create actions; durable when answered"),
        sent("/_bulk", "Elastic 8: as POST").put(),
        sent("/{index}/_bulk", "Elastic 8: the same, with a default index"),
        sent("/{index}/_bulk", "Elastic 8: as POST").put(),
        Operation::json("/_license", "Elastic 8: asked by shippers at their start", open()),
        Operation::json("/_xpack", "Elastic 8: asked by shippers at their start", open()),
        Operation::json("/_cluster/health", "Elastic 8: always green", open()),
        Operation::json(
            "/v1/quarantine",
            "Records that could not be understood, latest first",
            whole(&json!({
                "total": integer(), "by_reason": named("Counts"), "quarantined": list(&named("Quarantined")),
                "below": maybe(&integer()),
            })),
        )
        .takes(&[&WITHIN, &REASON, &BELOW, &LIMIT]),
        Operation::json("/v1/quarantine/{id}", "One of them, whole", named("Quarantined")),
        Operation::post(
            "/v1/quarantine/retry",
            "Make events of those that are understood by now",
            empty_body(),
            "200",
            whole(&json!({
                "examined": integer(), "events": integer(), "resolved": named("Counts"), "left": named("Counts"),
                "alerts": list(&named("Raised")),
            })),
        ),
        Operation::json(
            "/v1/sources",
            "Who sends, how much, and who is silent",
            whole(&json!({ "sources": list(&named("Source")) })),
        ),
    ];
    for path in [
        "/_index_template/{name}",
        "/_template/{name}",
        "/_ilm/policy/{name}",
        "/_data_stream/{name}",
        "/_ingest/pipeline/{name}",
    ] {
        all.extend(elastic_template(path));
    }
    all
}

pub(super) fn schemas() -> Schemas {
    vec![
        ("Counts", by_name(&integer())),
        (
            "Ingested",
            whole(&json!({
                "bytes": integer(), "records": integer(), "skipped": integer(), "events": named("Counts"),
                "quarantined": named("Counts"), "problems": texts(),
                "event_ids": maybe(&whole(&json!({ "first": id(), "last": id() }))),
                "alerts": list(&named("Raised")),
            })),
        ),
        // An alert that was raised or took in more events.
        ("Raised", whole(&json!({ "id": id(), "title": text(), "severity": severity() }))),
        ("Quarantined", quarantined()),
        (
            "Source",
            whole(&json!({
                "source": text(), "records": integer(), "bytes": integer(), "quarantined": integer(),
                "dropped": integer(), "last_seen": maybe(&time()), "silent": boolean(),
            })),
        ),
        (
            "HecProblem",
            with(
                &json!({ "text": text(), "code": integer() }),
                &json!({ "invalid-event-number": integer() }),
            ),
        ),
    ]
}

/// A record as text, or in hex where it is none.
fn quarantined() -> Value {
    with(
        &json!({
            "id": id(), "source": text(), "position": integer(), "reason": text(), "detail": text(), "bytes": integer(),
        }),
        &json!({ "raw": text(), "raw_hex": text() }),
    )
}
