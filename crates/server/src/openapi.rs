//! What does the API offer, in a form that programs read? OpenAPI 3.1, one entry per route of the router's table.
//!
//! Written by hand: a route's entry and the schemas of what it takes and answers stand together in the module of their
//! subject. Tests hold the entries to the router's table, and answers of a real server to their schemas.

mod alerts;
mod ask;
mod cases;
mod events;
mod intake;
mod investigations;
mod models;
mod operation;
mod pages;
mod parameters;
mod playbooks;
mod report;
mod rules;
mod schema;
mod service;
mod system;
mod tries;

use crate::router::Route;
use operation::Operation;
use schema::Schemas;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// `GET /openapi.json`.
pub(crate) async fn serve() -> axum::Json<&'static Value> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    axum::Json(DOCUMENT.get_or_init(document))
}

/// Entries and schemas of each subject.
fn subjects() -> [(Vec<Operation>, Schemas); 14] {
    [
        (intake::operations(), intake::schemas()),
        (events::operations(), events::schemas()),
        (alerts::operations(), alerts::schemas()),
        (cases::operations(), cases::schemas()),
        (investigations::operations(), investigations::schemas()),
        (Vec::new(), report::schemas()),
        (ask::operations(), ask::schemas()),
        (playbooks::operations(), playbooks::schemas()),
        (rules::operations(), rules::schemas()),
        (tries::operations(), tries::schemas()),
        (models::operations(), models::schemas()),
        (system::operations(), system::schemas()),
        (service::operations(), service::schemas()),
        (pages::operations(), Schemas::new()),
    ]
}

/// The document.
pub(crate) fn document() -> Value {
    let (mut paths, mut schemas) = (Map::new(), crate::api::openai::described::schemas());
    let routes = crate::router::table();
    for (operations, own) in subjects() {
        schemas.extend(own.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
        for operation in operations {
            let is_its = |route: &&Route| (route.method, route.path) == (operation.method, operation.path);
            let needs = routes.iter().find(is_its).and_then(|route| route.rule.described());
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            path[operation.method] = operation.to_json(needs.as_deref());
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
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`casemate token create` makes one." },
                "session": { "type": "apiKey", "in": "cookie", "name": "casemate", "description": "POST /login sets it." },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Names of the schemas that `value` refers to, and pointers that lead elsewhere.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(pointer)) = members.get("$ref") {
                    found.insert(pointer.replace("#/components/schemas/", ""));
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_named_once_and_referred_to() {
        let names = subjects().into_iter().flat_map(|(_, own)| own).map(|(name, _)| name);
        let mut seen = BTreeSet::new();
        for name in names {
            assert!(seen.insert(name), "{name} is described twice");
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let known: BTreeSet<String> =
            document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, known);
    }
}
