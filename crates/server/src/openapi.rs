//! What does the API offer, in a form that programs read? OpenAPI 3.1, one row per route of the router's table.
//!
//! Written by hand beside the table; a test holds the two to the same paths and methods.

use crate::router::Route;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::OnceLock;

/// `GET /openapi.json`.
pub(crate) async fn serve() -> axum::Json<&'static Value> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    axum::Json(DOCUMENT.get_or_init(document))
}

/// The document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    let routes = crate::router::table();
    for operation in operations() {
        let is_its = |route: &&Route| (route.method, route.path) == (operation.method, operation.path);
        let needs = routes.iter().find(is_its).and_then(|route| route.rule.described());
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.to_json();
        path[operation.method]["security"] = match &needs {
            Some(_) => json!([{ "token": [] }, { "session": [] }]),
            None => json!([]),
        };
        path[operation.method]["description"] = json!(needs.map(|needs| format!("Needs {needs}.")));
        if path[operation.method]["description"].is_null() {
            path[operation.method]["description"] = json!("For anybody.");
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Casemate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Takes in logs and alerts, investigates alerts with a local model. \
                POST needs content type application/json (or application/octet-stream for log data) and no foreign \
                Origin. Errors are RFC 9457 problem details whose detail says what to do.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": all_schemas(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`casemate token create` makes one." },
                "session": { "type": "apiKey", "in": "cookie", "name": "casemate", "description": "POST /login sets it." },
            },
        },
    })
}

struct Operation {
    method: &'static str,
    path: &'static str,
    summary: Cow<'static, str>,
    query: &'static [&'static str],
    body: Option<Value>,
    status: &'static str,
    media: &'static str,
    schema: Value,
    /// Media type and schema of what is told when it fails.
    problem: (&'static str, &'static str),
}

impl Operation {
    fn get(
        path: &'static str,
        summary: impl Into<Cow<'static, str>>,
        media: &'static str,
        schema: Value,
    ) -> Self {
        let summary = summary.into();
        Self {
            method: "get",
            path,
            summary,
            query: &[],
            body: None,
            status: "200",
            media,
            schema,
            problem: PROBLEM,
        }
    }

    fn json(path: &'static str, summary: &'static str, schema: Value) -> Self {
        Self::get(path, summary, JSON, schema)
    }

    fn html(path: &'static str, summary: &'static str) -> Self {
        Self::get(path, summary, "text/html", json!({ "type": "string" }))
    }

    fn post(
        path: &'static str,
        summary: &'static str,
        body: Value,
        status: &'static str,
        schema: Value,
    ) -> Self {
        Self { method: "post", body: Some(body), status, ..Self::json(path, summary, schema) }
    }

    /// As OpenAI's clients expect failures.
    fn openai(self) -> Self {
        Self { problem: (JSON, "OpenAiError"), ..self }
    }

    fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    fn to_json(&self) -> Value {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = names.map(|name| {
            let schema = match name {
                "id" | "event" => json!({ "type": "integer", "minimum": 1 }),
                "kind" => json!({ "type": "string", "enum": casemate_event::EntityKind::ALL.map(|kind| kind.name()) }),
                "format" => format_schema(),
                _ => text_schema(),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        let in_query = self.query.iter().map(|name| {
            let (schema, description) = query_parameter(name);
            json!({ "name": name, "in": "query", "schema": schema, "description": description })
        });
        let mut operation = json!({
            "summary": self.summary,
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": {
                self.status: { "description": "Done.", "content": { self.media: { "schema": self.schema } } },
                "default": {
                    "description": "A problem.",
                    "content": { self.problem.0: { "schema": schema(self.problem.1) } },
                },
            },
        });
        if let Some(body) = &self.body {
            operation["requestBody"] = json!({ "required": true, "content": body });
        }
        operation
    }
}

const JSON: &str = "application/json";
const PROBLEM: (&str, &str) = ("application/problem+json", "Problem");
const AGGREGATE: &[&str] = &["q", "after", "before", "entity", "by", "most", "buckets"];
const ABOUT: &[&str] = &["question", "case", "investigation"];
const SEARCH: &[&str] = &["q", "mode", "filter", "after", "before", "entity", "limit", "order", "newer"];
const TAIL: &[&str] = &["q", "filter", "entity", "newer"];
const SEARCH_PAGE: &[&str] = &[
    "q", "mode", "filter", "after", "before", "entity", "alert", "order", "cols", "behind", "upto", "count",
];

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list_of(key: &str, name: &str) -> Value {
    let list = json!({ "type": "array", "items": schema(name) });
    json!({ "type": "object", "required": [key], "properties": { "total": { "type": "integer" }, key: list } })
}

fn text_schema() -> Value {
    json!({ "type": "string" })
}

fn format_schema() -> Value {
    let names = casemate_event::Format::ALL.iter().map(|format| format.name());
    json!({ "type": "string", "enum": std::iter::once("auto").chain(names).collect::<Vec<_>>() })
}

fn query_parameter(name: &str) -> (Value, &'static str) {
    match name {
        "format" => (
            json!({ "type": "string", "enum": ["casemate", "ecs"] }),
            "The schema: fields named after OCSF 1.6, or an ECS document",
        ),
        "q" => (
            text_schema(),
            "Words, or field:value over message, host, user, ip, process, process_id, asset, entity, format, class, template, time, id, fields.*",
        ),
        "mode" => (
            json!({ "type": "string", "enum": ["text", "semantic", "hybrid"] }),
            "By a query over words and fields; by meaning of the message; or q as plain words, found by words, \
             entities and meaning at once, each event with how it was found",
        ),
        "question" => (text_schema(), "Stands in the form"),
        "case" => (json!({ "type": "integer", "minimum": 1 }), "The case that is asked about"),
        "investigation" => {
            (json!({ "type": "integer", "minimum": 1 }), "The investigation that is asked about")
        }
        "filter" => (text_schema(), "Only events that match this query as well"),
        "by" => (
            text_schema(),
            "What to count by, separated by commas: kinds of entities, class, format, source, template or names of fields",
        ),
        "most" => {
            (json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 10 }), "Values of each")
        }
        "buckets" => (
            json!({ "type": "integer", "minimum": 0, "maximum": 1000, "default": 50 }),
            "Intervals of time, of whole seconds",
        ),
        "after" => (text_schema(), "Only events at or after this time (RFC 3339; UTC without a zone)"),
        "before" => (text_schema(), "Only events at or before this time"),
        "entity" => (text_schema(), "kind:value, such as host:ws5; any of several, separated by commas"),
        "technique" => (text_schema(), "An ATT&CK id; T1059 covers T1059.001"),
        "level" => (
            json!({ "type": "string", "enum": ["informational", "low", "medium", "high", "critical"] }),
            "How bad a match would be",
        ),
        "sort" => (
            json!({ "type": "string", "enum": ["title", "alerts"] }),
            "By title, or those that raised most first",
        ),
        "skip" => (
            json!({ "type": "integer", "minimum": 0, "default": 0 }),
            "How many are left out before the first",
        ),
        "of" => (text_schema(), "Name of what is in use and is to be edited; none for something new"),
        "newer" => (
            json!({ "type": "integer", "minimum": 0 }),
            "Only events that arrived after the one with this number",
        ),
        "upto" => (json!({ "type": "integer", "minimum": 0 }), "Only events that had arrived by this number"),
        "alert" => (json!({ "type": "integer", "minimum": 1 }), "Only events of this alert"),
        "cols" => (
            text_schema(),
            "Columns of the table, separated by commas: names of fields, or time, event, message …",
        ),
        "behind" => {
            (text_schema(), "The page behind the event with this time and number, written TIME_NUMBER")
        }
        "count" => (
            json!({ "type": "string", "enum": ["", "all"] }),
            "all: count every event, however long it takes",
        ),
        "ids" => (text_schema(), "Numbers of alerts, separated by commas, at most 75"),
        "from" => (text_schema(), "Beginning of the part of the timeline that is drawn (RFC 3339)"),
        "to" => (text_schema(), "End of it"),
        "reading" => (json!({ "type": "integer", "minimum": 1 }), "Over which order of the evidence"),
        "task" => (json!({ "type": "integer", "minimum": 1 }), "Which prompt: place in the list of tasks"),
        "reason" => (text_schema(), "Only records quarantined for this reason"),
        "below" => (json!({ "type": "integer" }), "Only records numbered below this, to go on with a list"),
        "limit" => (
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
            "Most events returned",
        ),
        _ => (json!({ "type": "string", "enum": ["oldest", "newest", "relevance"] }), "Order of the events"),
    }
}

fn any() -> Value {
    json!({ "type": "object" })
}

/// An address whose bodies another product's documentation describes.
fn shipped(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    let body = json!({ JSON: {}, "application/x-ndjson": {} });
    Operation { method, ..Operation::post(path, summary, body, "200", any()) }
}

/// A form of the page.
fn form(path: &'static str, summary: &'static str) -> Operation {
    Operation { method: "post", status: "303", ..Operation::html(path, summary) }
}

/// The address of a file of an investigation or a case.
fn exported(path: &'static str) -> Operation {
    let format = crate::api::exports::format_of(path);
    let (media, name) = format.map_or((JSON, "report"), |format| (format.media(), format.name()));
    let media = media.split(';').next().unwrap_or(JSON);
    let of = if path.starts_with("/v1/cases/") {
        "A case with all its investigations"
    } else {
        "An investigation"
    };
    let summary = format!("{of} as a file: {name}");
    let schema = match path {
        "/v1/investigations/{id}/report.json" => schema("Investigation"),
        _ if media.ends_with("json") => json!({ "type": ["object", "array"] }),
        _ => text_schema(),
    };
    Operation::get(path, summary, media, schema)
}

fn operations() -> Vec<Operation> {
    let mut operations = described();
    operations.extend(crate::api::exports::PATHS.map(exported));
    operations
}

/// Those that say what they do in words of their own.
fn described() -> Vec<Operation> {
    let json_body = |name: &str| json!({ JSON: { "schema": schema(name) } });
    let log_body = json!({ "application/octet-stream": {}, JSON: {} });
    vec![
        Operation::post(
            "/v1/ingest/{format}",
            "Take in log data, at most 64 MiB; durable when answered",
            log_body,
            "200",
            schema("Ingested"),
        ),
        Operation {
            body: Some(json!({ "application/x-protobuf": {}, JSON: {} })),
            ..shipped("post", "/v1/logs", "OTLP/HTTP: log records; durable when answered")
        },
        Operation::json("/services/collector/health", "Splunk HEC: whether it takes events", any()),
        shipped("post", "/services/collector", "Splunk HEC: events; durable when answered"),
        shipped("post", "/services/collector/event", "Splunk HEC: events; durable when answered"),
        shipped("post", "/services/collector/raw", "Splunk HEC: lines; durable when answered"),
        shipped("post", "/services/collector/ack", "Splunk HEC: whether what was sent is durable"),
        shipped("post", "/_bulk", "Elastic: index and create actions; durable when answered"),
        shipped("put", "/_bulk", "Elastic: as POST"),
        shipped("post", "/{index}/_bulk", "Elastic: the same, with a default index"),
        shipped("put", "/{index}/_bulk", "Elastic: as POST"),
        Operation::json("/_license", "Elastic: asked by shippers at their start", any()),
        Operation::json("/_xpack", "Elastic: asked by shippers at their start", any()),
        Operation::json("/_cluster/health", "Elastic: always green", any()),
        Operation::json("/_index_template/{name}", "Elastic: asked by shippers at their start", any()),
        shipped("put", "/_index_template/{name}", "Elastic: accepted, does nothing"),
        Operation::json("/_template/{name}", "Elastic: asked by shippers at their start", any()),
        shipped("put", "/_template/{name}", "Elastic: accepted, does nothing"),
        Operation::json("/_ilm/policy/{name}", "Elastic: asked by shippers at their start", any()),
        shipped("put", "/_ilm/policy/{name}", "Elastic: accepted, does nothing"),
        Operation::json("/_data_stream/{name}", "Elastic: asked by shippers at their start", any()),
        shipped("put", "/_data_stream/{name}", "Elastic: accepted, does nothing"),
        Operation::json("/_ingest/pipeline/{name}", "Elastic: asked by shippers at their start", any()),
        shipped("put", "/_ingest/pipeline/{name}", "Elastic: accepted, does nothing"),
        Operation::json(
            "/v1/events",
            "Events by words, time and entity, newest first",
            list_of("events", "Event"),
        )
        .query(SEARCH),
        Operation::json(
            "/v1/events/{id}",
            "One event with its native fields and raw record, or as a document of the Elastic Common Schema 8.17",
            schema("Event"),
        )
        .query(&["format"]),
        Operation::json(
            "/v1/events/{id}/ancestors",
            "Starts of the processes before an event: its own process, the parent of that and so on",
            list_of("events", "Event"),
        ),
        Operation::json(
            "/v1/search",
            "Events by words (best first) or by meaning",
            list_of("events", "Event"),
        )
        .query(SEARCH),
        Operation::json(
            "/v1/quarantine",
            "Records that could not be understood, latest first",
            list_of("quarantined", "Quarantined"),
        )
        .query(&["q", "reason", "below", "limit"]),
        Operation::json("/v1/quarantine/{id}", "One of them, whole", schema("Quarantined")),
        Operation::post(
            "/v1/quarantine/retry",
            "Make events of those that are understood by now",
            json!({ JSON: {} }),
            "200",
            any(),
        ),
        Operation::json(
            "/v1/sources",
            "Who sends, how much, and who is silent",
            list_of("sources", "Source"),
        ),
        Operation::json("/v1/alerts", "All alerts, newest first", list_of("alerts", "Alert")),
        Operation::post(
            "/v1/alerts",
            "An alert of another product",
            json_body("NewAlert"),
            "201",
            schema("Alert"),
        ),
        Operation::json("/v1/alerts/{id}", "One alert", schema("Alert")),
        Operation::post(
            "/v1/backups",
            "Copy the data directory as it is now into a new directory under --backup-dir",
            json!({ JSON: {} }),
            "201",
            any(),
        ),
        Operation::json(
            "/v1/entities/{entity}",
            "How often an entity, written kind:value, was seen, first and last, among the events that are kept",
            any(),
        ),
        Operation::json(
            "/v1/suggest",
            "How a query could go on: names of fields, or of entities behind host:, user: and the like; 12 at most",
            any(),
        )
        .query(&["q"]),
        Operation::get(
            "/v1/events/tail",
            "Events that match as they arrive, as server-sent events numbered like the events; Last-Event-ID goes on",
            "text/event-stream",
            text_schema(),
        )
        .query(TAIL),
        Operation::json("/v1/aggregate", "Counts of events that match, by value and over time", any())
            .query(AGGREGATE),
        Operation::post(
            "/v1/alerts/{id}/feedback",
            "Agree or disagree with the verdict on an alert, assign, close or open it: an example for alerts like it",
            json_body("Feedback"),
            "200",
            schema("Alert"),
        ),
        Operation::post(
            "/v1/alerts/feedback",
            "The same about up to 500 alerts at once, all or nothing",
            json_body("FeedbackOfMany"),
            "200",
            any(),
        ),
        Operation::post(
            "/v1/cases/{id}/feedback",
            "The same about a case: what is said of a verdict is said of each of its alerts that has one",
            json_body("Feedback"),
            "200",
            schema("Case"),
        ),
        Operation::post(
            "/v1/alerts/{id}/close",
            "Close an alert: what it was, why, and who says so",
            json_body("Close"),
            "200",
            any(),
        ),
        Operation::post(
            "/v1/alerts/{id}/reopen",
            "Open an alert again",
            json_body("Reopen"),
            "200",
            any(),
        ),
        Operation::json("/v1/cases", "All cases, newest first", list_of("cases", "Case")),
        Operation::json("/v1/cases/{id}", "One case, its alerts and why each is part of it", schema("Case")),
        Operation::post(
            "/v1/cases/{id}/close",
            "Close a case with all its alerts",
            json_body("Close"),
            "200",
            schema("Case"),
        ),
        Operation::post(
            "/v1/cases/{id}/reopen",
            "Open a case again",
            json_body("Reopen"),
            "200",
            schema("Case"),
        ),
        Operation::json(
            "/v1/cases/{id}/evidence",
            "Events that people saved as evidence of a case, in order of time, with the beginning of what they said when \
             they were saved and the address of all of it",
            list_of("evidence", "SavedEvidence"),
        ),
        Operation::json(
            "/v1/cases/{id}/evidence/{event}",
            "A saved event with all that was saved of it, also when retention has deleted the event",
            schema("SavedEvidence"),
        ),
        Operation::post(
            "/v1/cases/{id}/evidence",
            "Save an event as evidence of a case, in place of an earlier note about it",
            json_body("SaveEvidence"),
            "201",
            list_of("evidence", "SavedEvidence"),
        ),
        Operation::post(
            "/v1/cases/{id}/evidence/{event}/remove",
            "Take a saved event back",
            json_body("Reopen"),
            "200",
            list_of("evidence", "SavedEvidence"),
        ),
        Operation::json("/v1/session", "Who asks, and what they may do", any()),
        Operation::html("/login", "Page: log in"),
        form("/login", "Form: log in; sets a cookie"),
        form("/logout", "Form: log out"),
        Operation::html("/session", "Page: who is logged in, and logging out"),
        Operation::json("/v1/audit", "Who did what, when, and what it was before, newest first", any())
            .query(&["before", "limit"]),
        Operation::post(
            "/v1/audit/checkpoint",
            "Sign the audit record as far as it goes; what is answered is worth keeping elsewhere",
            json!({ JSON: {} }),
            "200",
            any(),
        ),
        Operation::json(
            "/v1/queue",
            "What waits to be investigated, the most urgent first, and how long alerts wait and take",
            any(),
        ),
        Operation::json(
            "/v1/system",
            "How the machine itself is doing: queue, seconds per alert, drift, intake, models, egress, disk, bundles",
            any(),
        ),
        Operation::get(
            "/v1/stream",
            "What happens, as it happens: alert, case, investigation, queue, gap (server-sent events, resumed by Last-Event-ID)",
            "text/event-stream",
            text_schema(),
        ),
        Operation::json(
            "/v1/investigations",
            "All investigations in short, newest first",
            list_of("investigations", "Headline"),
        ),
        Operation::post(
            "/v1/investigations",
            "Investigate an alert",
            json_body("NewInvestigation"),
            "202",
            schema("Headline"),
        ),
        Operation::json(
            "/v1/investigations/{id}",
            "One investigation: the report once done, its status before",
            schema("Investigation"),
        ),
        Operation::get(
            "/v1/investigations/{id}/stream",
            "Progress so far, then as it comes, then `done` (server-sent events)",
            "text/event-stream",
            text_schema(),
        ),
        Operation::json(
            "/v1/investigations/{id}/prompt",
            "What the model was given, made again and checked against the hash that the report names",
            schema("Prompt"),
        ),
        Operation::post(
            "/v1/ask",
            "Ask in plain words: the answer with its evidence; with `Accept: text/event-stream` as it comes (`evidence`, \
             `token` not checked yet, `sentence` checked, then `done` with the answer or `failed`)",
            json_body("NewQuestion"),
            "200",
            schema("Answer"),
        ),
        Operation::post(
            "/mcp",
            "Model Context Protocol (2026-07-28, and 2025-11-25 and 2025-06-18 with initialize), streamable HTTP: one \
             JSON-RPC message, answered as JSON, or as server-sent events where progress was asked for",
            json_body("McpMessage"),
            "200",
            schema("McpAnswer"),
        ),
        Operation::json("/v1/playbooks", "Playbooks in use, how often followed and agreed with", any()),
        Operation::json("/v1/playbooks/{name}", "One playbook: its questions, what answers mean, its source", any()),
        Operation::post(
            "/v1/playbooks/validate",
            "Whether a text is a playbook, what is wrong with it on which line, and how its tests go",
            json_body("Text"),
            "200",
            schema("Checked"),
        ),
        Operation::post(
            "/v1/playbooks/try",
            "Make past investigations again with this playbook: that of one alert, or the latest (20) that followed it",
            json_body("TryPlaybook"),
            "202",
            any(),
        ),
        Operation::post(
            "/v1/rules/try",
            "Match these rules against the latest events (200,000, 2,000,000 at most)",
            json_body("TryRule"),
            "202",
            any(),
        ),
        Operation::json("/v1/tries/{id}", "A try: how far it is, and what has come out so far", any()),
        Operation::get(
            "/v1/tries/{id}/stream",
            "Progress of a try as it comes, then `done` (server-sent events)",
            "text/event-stream",
            text_schema(),
        ),
        Operation::get("/v1/tries/{id}/text", "The text that was tried, as a file", "text/plain", text_schema()),
        Operation::post("/v1/tries/{id}/stop", "End a try", json!({ JSON: {} }), "200", any()),
        Operation::json("/v1/rules", "Sigma rules in use that fit, a page at a time", any())
            .query(&["q", "technique", "level", "sort", "skip", "limit"]),
        Operation::json("/v1/rules/{rule}", "One rule: its source, what it raised and what came of that", any()),
        Operation::post(
            "/v1/rules/validate",
            "Whether a text holds rules that can be used, and what is wrong with it on which line",
            json_body("Text"),
            "200",
            schema("Checked"),
        ),
        Operation::json("/v1/models", "Models, in OpenAI's words and in Casemate's", schema("Models")).openai(),
        Operation::json("/v1/models/{model}", "One of them (OpenAI)", schema("OpenAiModel")).openai(),
        Operation::post(
            "/v1/chat/completions",
            "What the assistant says next (OpenAI): streamed, under a JSON schema, with tools and log-probabilities",
            json_body("ChatRequest"),
            "200",
            schema("ChatAnswer"),
        )
        .openai(),
        Operation::post(
            "/v1/completions",
            "What follows a text (OpenAI)",
            json_body("CompletionRequest"),
            "200",
            schema("CompletionAnswer"),
        )
        .openai(),
        Operation::post(
            "/v1/embeddings",
            "Texts as vectors (OpenAI), by the model that search by meaning uses",
            json_body("EmbeddingRequest"),
            "200",
            schema("EmbeddingAnswer"),
        )
        .openai(),
        Operation::get("/healthz", "Whether the process answers", "text/plain", text_schema()),
        Operation::json(
            "/readyz",
            "Whether events can be taken in and investigated",
            json!({ "type": "object" }),
        ),
        Operation::get("/metrics", "Counters (Prometheus text format)", "text/plain", text_schema()),
        Operation::json("/openapi.json", "This document", json!({ "type": "object" })),
        Operation::html("/", "Page: alerts; to shippers that want JSON, the version of Elastic spoken"),
        Operation::html("/alerts/rows", "Part of the page of alerts: the rows of some of them").query(&["ids"]),
        Operation::html("/alerts/{id}", "Page: one alert and its events"),
        form("/alerts/{id}/investigate", "Form of the page: investigate, then show it"),
        form("/alerts/feedback", "Form of the page: decide about the alerts that are marked"),
        form("/alerts/{id}/feedback", "Form of the page: decide about an alert"),
        form("/cases/{id}/feedback", "Form of the page: decide about a case"),
        form("/alerts/{id}/close", "Form of the page: close an alert"),
        form("/alerts/{id}/reopen", "Form of the page: open an alert again"),
        Operation::html("/cases", "Page: cases"),
        Operation::html("/cases/{id}", "Page: one case and its alerts"),
        form("/cases/{id}/close", "Form of the page: close a case"),
        form("/cases/{id}/reopen", "Form of the page: open a case again"),
        Operation::html("/investigations/{id}", "Page: one investigation, and a part of its time")
            .query(&["from", "to"]),
        Operation::html("/investigations/{id}/prompt", "Page: what the model was given").query(&["task", "reading"]),
        Operation::html("/system", "Page: how the machine itself is doing"),
        Operation::html("/events/{id}", "Page: one event"),
        Operation::html("/playbooks", "Page: playbooks in use"),
        Operation::html("/playbooks/{name}", "Page: one playbook"),
        Operation::html("/rules", "Page: Sigma rules in use")
            .query(&["q", "technique", "level", "sort", "skip", "limit"]),
        Operation::html("/rules/{rule}", "Page: one rule and what it raised"),
        Operation::html("/models", "Page: models and the learned head"),
        Operation::html("/drafts/playbook", "Page: a playbook to be edited").query(&["of"]),
        Operation { status: "200", ..form("/drafts/playbook", "Form: look at an edited playbook") },
        Operation::html("/tries/{id}", "Page: what came out of a try"),
        form("/tries/{id}/stop", "Form: end a try"),
        Operation::html("/drafts/rule", "Page: rules to be edited").query(&["of"]),
        Operation { status: "200", ..form("/drafts/rule", "Form: look at edited rules") },
        Operation::html("/ask", "Page: ask in plain words").query(ABOUT),
        Operation { method: "post", ..Operation::html("/ask", "Form of the page: the answer, shown") },
        Operation::html("/search", "Page: search").query(SEARCH_PAGE),
        Operation::get("/search/tail", "Rows of the page as events arrive", "text/event-stream", text_schema())
            .query(TAIL),
        Operation::html("/entities/{kind}/{value}", "Page: everything about one entity"),
        form("/events/{id}/save", "Form: save an event as evidence of a case"),
        form("/cases/{id}/evidence/{event}/remove", "Form: take a saved event back"),
        Operation::get("/assets/{name}", "A style, script or picture of the pages", "*/*", text_schema()),
    ]
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// All schemas; those of texts that are tried apart, as one list of all is more than a macro takes.
fn all_schemas() -> Value {
    let mut all = schemas();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), schemas_of_tries()) {
        all.extend(more);
        all.extend(crate::api::openai::described::schemas());
    }
    all
}

fn schemas_of_tries() -> Value {
    let (integer, text) = (json!({ "type": "integer" }), text_schema());
    let list = |items: &Value| json!({ "type": "array", "items": items });
    let any = json!({ "type": "array", "items": { "type": "object" } });
    json!({
        "Text": object(&["text"], &json!({ "text": text })),
        "TryPlaybook": object(&["text"], &json!({
            "text": text, "alert": integer, "last": { "type": "integer", "minimum": 1, "maximum": 50 },
        })),
        "TryRule": object(&["text"], &json!({
            "text": text, "events": { "type": "integer", "minimum": 1, "maximum": 2_000_000 },
            "days": { "type": "integer", "minimum": 1, "maximum": 3650 },
        })),
        "Checked": object(&["valid", "sha256", "remarks"], &json!({
            "valid": { "type": "boolean" }, "sha256": text, "names": list(&text), "replaces": any,
            "remarks": list(&json!({ "type": "object", "properties": {
                "line": { "type": ["integer", "null"] }, "fatal": { "type": "boolean" }, "text": text } })),
            "tests": any, "activate": text,
        })),
    })
}

fn schemas() -> Value {
    let (number, integer, text) = (json!({ "type": "number" }), json!({ "type": "integer" }), text_schema());
    let time = json!({ "type": "string", "format": "date-time" });
    let severity =
        json!({ "type": "string", "enum": ["informational", "low", "medium", "high", "critical"] });
    let verdict = json!({ "type": "string", "enum": ["malicious", "suspicious", "benign", "inconclusive"] });
    let list = |items: &Value| json!({ "type": "array", "items": items });
    let map = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let counts = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    let share = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let any = json!({ "type": "array", "items": { "type": "object" } });
    let feedback = json!({
        "act": { "type": "string", "enum": ["agree", "disagree", "withdraw", "assign", "close", "reopen"] },
        "verdict": { "type": ["string", "null"], "enum": ["malicious", "benign", null] },
        "reason": text, "to": text, "by": text, "close": { "type": "boolean" },
    });
    let mut feedback_of_many = feedback.clone();
    feedback_of_many["alerts"] = json!({ "type": "array", "items": integer, "minItems": 1, "maxItems": 500 });
    let assigned = json!({ "oneOf": [schema("Assigned"), { "type": "null" }] });
    let mut all = json!({
        "Problem": object(&["title", "status", "detail"], &json!({ "title": text, "status": integer, "detail": text })),
        "Event": object(&["id", "time", "format", "message"], &json!({
            "id": integer, "time": time, "time_quality": text, "format": text, "class": text, "class_uid": integer,
            "source": text, "position": integer, "message": text, "fields": map, "entities": list(&text),
            "native": map, "raw": text, "raw_hex": text, "template": text,
        })),
        "Ingested": object(&["bytes", "records", "events", "quarantined", "event_ids", "alerts"], &json!({
            "bytes": integer, "records": integer, "skipped": integer, "events": counts, "quarantined": counts, "problems": list(&text),
            "event_ids": { "type": ["object", "null"], "properties": { "first": integer, "last": integer } },
            "alerts": any,
        })),
        "Quarantined": object(&["id", "source", "position", "reason", "detail", "bytes"], &json!({
            "id": integer, "source": text, "position": integer, "reason": text, "detail": text, "bytes": integer,
            "raw": text, "raw_hex": text,
        })),
        "Source": object(&["source", "records", "bytes", "quarantined", "dropped", "silent"], &json!({
            "source": text, "records": integer, "bytes": integer, "quarantined": integer, "dropped": integer,
            "last_seen": time, "silent": { "type": "boolean" },
        })),
        "NewAlert": object(&["title", "severity"], &json!({
            "title": text, "severity": severity, "techniques": list(&text), "events": list(&integer),
            "time": time, "product": text,
        })),
        "Alert": object(&["id", "title", "severity"], &json!({
            "id": integer, "origin": { "type": "object" }, "title": text, "severity": severity,
            "techniques": list(&text), "first_time": time, "last_time": time, "events": list(&integer),
            "event_count": integer, "entities": list(&text), "investigation": schema("Headline"),
            "case": integer, "closed": { "oneOf": [schema("Close"), { "type": "null" }] }, "assigned": assigned,
            "feedback": { "oneOf": [schema("Opinion"), { "type": "null" }] },
            "reference": { "type": ["object", "null"], "properties": { "id": text, "link": text } },
        })),
        "Case": object(&["id", "alerts"], &json!({
            "id": integer, "title": text, "severity": severity, "first_time": time, "last_time": time,
            "verdict": { "type": ["string", "null"] }, "alerts": { "type": "array" }, "related": list(&integer),
            "assigned": assigned, "closed": { "oneOf": [schema("Close"), { "type": "null" }] },
        })),
        "Close": object(&["verdict", "reason", "by"], &json!({
            "verdict": { "type": "string", "enum": ["malicious", "benign"] }, "reason": text, "by": text,
        })),
        "Feedback": object(&["act"], &feedback),
        "FeedbackOfMany": object(&["act", "alerts"], &feedback_of_many),
        "Assigned": object(&["to", "by", "at"], &json!({ "to": text, "by": text, "at": time })),
        "Opinion": object(&["agrees", "of", "truth", "reason", "by", "at"], &json!({
            "agrees": { "type": "boolean" }, "of": verdict, "truth": { "type": ["string", "null"] },
            "reason": text, "by": text, "at": time,
        })),
        "Reopen": object(&["by"], &json!({ "by": text })),
        "NewQuestion": object(&["question"], &json!({
            "question": text, "case": integer, "investigation": integer, "after": text, "before": text,
        })),
        "Answer": object(&["question", "answer", "known", "how", "sentences", "evidence", "seconds", "provenance"], &json!({
            "question": text, "answer": text, "known": { "type": "boolean" },
            "how": { "type": "string", "enum": ["counted", "recorded", "read", "unanswered"] },
            "sentences": any, "values": any, "evidence": any, "query": { "type": ["string", "null"] },
            "total": { "type": ["integer", "null"] }, "exact": { "type": "boolean" }, "looked_for": list(&text),
            "missing": list(&text), "removed": integer, "answerable": { "type": ["number", "null"] },
            "provenance": { "type": "object" }, "seconds": { "type": "object" },
        })),
        "NewInvestigation": object(&["alert"], &json!({ "alert": integer })),
        "Headline": object(&["id", "status"], &json!({
            "id": integer, "alert": integer, "status": { "type": "string", "enum": ["queued", "running", "done", "failed"] },
            "verdict": verdict, "confidence": share, "convergence": share,
        })),
        "Investigation": object(&["id"], &json!({
            "id": integer, "status": text, "alert": { "type": "object" }, "verdict": verdict, "confidence": share,
            "convergence": share, "summary": text, "evidence": any, "context": any, "cited": list(&integer), "facts": any,
            "answers": any, "contributions": list(&json!({
                "type": "object", "properties": { "name": text, "weight": number },
            })),
            "timeline": any, "techniques": any, "missing": list(&text), "next_steps": list(&text), "narrative": any,
            "playbook": { "type": "object" }, "model": { "type": ["object", "null"] },
        })),
    });
    // One macro does not hold all.
    all["McpMessage"] = object(
        &["jsonrpc", "method"],
        &json!({
            "jsonrpc": { "const": "2.0" }, "id": { "type": ["integer", "string"] },
            "method": { "type": "string", "enum": [
                "initialize", "notifications/initialized", "ping", "server/discover", "tools/list", "tools/call",
            ] },
            "params": { "type": "object" },
        }),
    );
    all["McpAnswer"] = object(
        &["jsonrpc"],
        &json!({
            "jsonrpc": { "const": "2.0" }, "id": { "type": ["integer", "string", "null"] },
            "result": { "type": "object" }, "error": { "type": "object" },
        }),
    );
    all["SaveEvidence"] = object(&["event"], &json!({ "event": integer, "note": text, "by": text }));
    all["SavedEvidence"] = object(
        &["event", "time", "message", "note", "by", "at"],
        &json!({
            "event": integer, "time": time, "format": text, "source": text, "message": text, "raw": text,
            "note": text, "by": text, "at": time, "href": text,
        }),
    );
    all["Prompt"] = object(
        &["id", "asked"],
        &json!({
            "id": integer, "asked": { "type": "string", "enum": ["yes", "no", "lost"] }, "why": text,
            "reused_from": { "type": ["integer", "null"] }, "model": { "type": ["object", "null"] },
            "system": text, "shared": list(&text), "tasks": any, "sha256": { "type": ["string", "null"] },
            "check": object(&["result"], &json!({
                "result": { "type": "string", "enum": ["same", "different", "unverified"] }, "why": text,
            })),
        }),
    );
    all
}
