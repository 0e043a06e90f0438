//! How is the shape of an answer written down? JSON Schema 2020-12, in words short enough to read a shape at a glance.

use casemate_event::{Disposition, EntityKind, Format, Severity};
use serde_json::{Map, Value, json};

/// Schemas by name.
pub(super) type Schemas = Vec<(&'static str, Value)>;

/// An object that has each of these.
pub(super) fn whole(properties: &Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

/// An object that has each of `always`, and may have some of `maybe`.
pub(super) fn with(always: &Value, maybe: &Value) -> Value {
    let mut object = whole(always);
    for (name, schema) in maybe.as_object().into_iter().flatten() {
        object["properties"][name] = schema.clone();
    }
    object
}

/// What a request says: `needed`, some of `more`, and nothing else.
pub(super) fn taken(needed: &Value, more: &Value) -> Value {
    let mut object = with(needed, more);
    object["additionalProperties"] = json!(false);
    object
}

/// An object whose members another document describes.
pub(super) fn open() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

/// Any JSON.
pub(super) fn anything() -> Value {
    json!({})
}

pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object of values of one kind, by names that are data.
pub(super) fn by_name(values: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// So or null.
pub(super) fn maybe(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub(super) fn any_of(schemas: &[Value]) -> Value {
    json!({ "anyOf": schemas })
}

/// Server-sent events, each with the JSON of its data: `x-events`, for which OpenAPI 3.1 has no word.
pub(super) fn events_of(events: &Value) -> Value {
    json!({ "type": "string", "x-events": events })
}

pub(super) fn words(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

/// One of those that are named.
pub(super) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The same, with what it means.
pub(super) fn meaning(mut schema: Value, what: &str) -> Value {
    schema["description"] = json!(what);
    schema
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn texts() -> Value {
    list(&text())
}

pub(super) fn integer() -> Value {
    json!({ "type": "integer" })
}

/// A number of something in the store.
pub(super) fn id() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

pub(super) fn ids() -> Value {
    list(&id())
}

pub(super) fn number() -> Value {
    json!({ "type": "number" })
}

/// From 0 to 1.
pub(super) fn share() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1 })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

/// RFC 3339, in UTC.
pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// SHA-256 in lower-case hex.
pub(super) fn sha256() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

pub(super) fn severity() -> Value {
    const ALL: [Severity; 5] =
        [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    words(&ALL.map(Severity::name))
}

pub(super) fn verdict() -> Value {
    words(&crate::board::Verdict::ALL.map(crate::board::Verdict::name))
}

/// What a person says that something was.
pub(super) fn disposition() -> Value {
    words(&[Disposition::Malicious, Disposition::Benign].map(Disposition::name))
}

pub(super) fn entity_kind() -> Value {
    words(&EntityKind::ALL.map(EntityKind::name))
}

/// A format that records are recognised as.
pub(super) fn format() -> Value {
    words(&Format::ALL.map(Format::name))
}

/// A format, or none where it is to be recognised.
pub(super) fn format_or_auto() -> Value {
    let names = Format::ALL.iter().map(|format| format.name());
    words(&std::iter::once("auto").chain(names).collect::<Vec<_>>())
}
