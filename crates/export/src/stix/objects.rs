//! Objects of a bundle, each once, with ids that are made of what they are.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::{Builder, Uuid};

/// Namespace of the ids of observables (STIX 2.1 §2.9).
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// When what does not depend on a site was first described: identity and attack patterns.
const LASTING: &str = "2025-01-01T00:00:00.000Z";

/// A time as STIX writes it: milliseconds, UTC.
pub(super) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A bundle that is being put together.
pub(super) struct Bundle {
    made: Timestamp,
    objects: BTreeMap<String, Value>,
    order: Vec<String>,
}

impl Bundle {
    pub(super) fn new(made: Timestamp) -> Self {
        let mut bundle = Self { made, objects: BTreeMap::new(), order: Vec::new() };
        let id = bundle.identity();
        bundle.add(json!({
            "type": "identity", "spec_version": "2.1", "id": id, "created": LASTING, "modified": LASTING,
            "name": "Casemate", "identity_class": "system",
            "description": "Investigates security alerts on a local model",
        }));
        bundle
    }

    /// The id of Casemate itself.
    pub(super) fn identity(&self) -> String {
        random_like("identity", "Casemate")
    }

    /// Adds an object about what was found here: `key` says which of its kind. Returns its id.
    pub(super) fn domain(&mut self, kind: &str, key: &str, created: Timestamp, fields: Value) -> String {
        let modified = stamp(self.made.max(created));
        self.object(kind, key, (&stamp(created), &modified), fields)
    }

    /// As [`domain`](Self::domain), of what is the same at every site.
    pub(super) fn lasting(&mut self, kind: &str, key: &str, fields: Value) -> String {
        self.object(kind, key, (LASTING, LASTING), fields)
    }

    fn object(&mut self, kind: &str, key: &str, (created, modified): (&str, &str), fields: Value) -> String {
        let id = random_like(kind, key);
        let mut object = Map::new();
        for (name, value) in [
            ("type", kind),
            ("spec_version", "2.1"),
            ("id", &id),
            ("created_by_ref", &self.identity()),
            ("created", created),
            ("modified", modified),
        ] {
            object.insert(name.to_owned(), json!(value));
        }
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        self.add(Value::Object(object))
    }

    /// A computer, as one that sees.
    pub(super) fn system(&mut self, host: &str) -> String {
        let name = crate::text::line(host);
        self.lasting(
            "identity",
            &format!("system {name}"),
            json!({ "name": name, "identity_class": "system" }),
        )
    }

    pub(super) fn relationship(&mut self, kind: &str, from: &str, to: &str) -> String {
        let fields = json!({ "relationship_type": kind, "source_ref": from, "target_ref": to });
        self.lasting("relationship", &format!("{from} {kind} {to}"), fields)
    }

    /// Adds an observable: `makes` are the properties that make it what it is, `more` the others.
    pub(super) fn observable(&mut self, kind: &str, makes: &Value, more: Value) -> String {
        let id = format!("{kind}--{}", Uuid::new_v5(&OBSERVABLES, canonical(makes).as_bytes()));
        self.seen(kind, &id, makes, more)
    }

    /// As [`observable`](Self::observable), of a kind that nothing makes what it is; `key` tells which it is.
    pub(super) fn nameless(&mut self, kind: &str, key: &str, fields: Value) -> String {
        self.seen(kind, &random_like(kind, key), &json!({}), fields)
    }

    fn seen(&mut self, kind: &str, id: &str, makes: &Value, more: Value) -> String {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(kind));
        object.insert("spec_version".to_owned(), json!("2.1"));
        object.insert("id".to_owned(), json!(id));
        for fields in [makes.clone(), more] {
            if let Value::Object(fields) = fields {
                object.extend(fields);
            }
        }
        self.add(Value::Object(object))
    }

    /// The first of an id stays.
    fn add(&mut self, object: Value) -> String {
        let id = object["id"].as_str().unwrap_or_default().to_owned();
        if !self.objects.contains_key(&id) {
            self.order.push(id.clone());
            self.objects.insert(id.clone(), object);
        }
        id
    }

    pub(super) fn finish(mut self) -> Value {
        let key = format!("{} {}", stamp(self.made), self.order.join(" "));
        let objects: Vec<Value> = self.order.iter().filter_map(|id| self.objects.remove(id)).collect();
        json!({ "type": "bundle", "id": random_like("bundle", &key), "objects": objects })
    }
}

/// `kind--` and a UUID in the form of version 4, from the SHA-256 of both.
fn random_like(kind: &str, key: &str) -> String {
    let digest = Sha256::digest(format!("casemate {kind} {key}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("{kind}--{}", Builder::from_random_bytes(bytes).into_uuid())
}

/// JSON as RFC 8785 writes it: names in order, nothing between. Here are texts, numbers without fractions, and objects
/// of them alone.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            // By UTF-16 code units; names of STIX are ASCII.
            members.sort_by_key(|(name, _)| *name);
            let member = |(name, value): (&String, &Value)| format!("{}:{}", json!(name), canonical(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
