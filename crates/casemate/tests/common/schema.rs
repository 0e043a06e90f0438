//! Is a JSON value what a schema of `/openapi.json` says, and nothing beside it? Strictly: a field that the schema does not
//! name is a fault, unless the schema says that others may be there; so is a keyword that is not known here.

use serde_json::{Map, Value};

/// What is described elsewhere in the document, if this is a reference to it.
pub(crate) fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(pointer) => document.pointer(pointer.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// Holds `value` to `schema`.
///
/// # Errors
/// The first fault, with where it is.
pub(crate) fn hold(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolved(document, schema);
    let Some(keywords) = schema.as_object() else { return Err(format!("{at}: its schema is not there")) };
    for (keyword, said) in keywords {
        let holds = match (keyword.as_str(), value) {
            ("type", _) => is_of(said, value),
            ("const", _) => said == value,
            ("enum", _) => said.as_array().is_some_and(|all| all.contains(value)),
            ("anyOf" | "oneOf", _) => alternatives(document, keyword, said, value, at)?,
            ("properties" | "additionalProperties" | "required", Value::Object(members)) => {
                members_hold(document, keywords, members, at)?;
                true
            }
            ("items", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    hold(document, said, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            ("minItems", Value::Array(items)) => items.len() as u64 >= said.as_u64().unwrap(),
            ("maxItems", Value::Array(items)) => items.len() as u64 <= said.as_u64().unwrap(),
            ("minimum", Value::Number(number)) => number.as_f64() >= said.as_f64(),
            ("maximum", Value::Number(number)) => number.as_f64() <= said.as_f64(),
            ("pattern", Value::String(text)) => {
                assert_eq!(said, "^[0-9a-f]{64}$", "no other pattern is known here");
                text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            ("format", Value::String(text)) if said == "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
            ("format", Value::String(text)) if said == "date" => text.parse::<jiff::civil::Date>().is_ok(),
            ("description" | "x-events", _) => true,
            // What is said of values of another type does not matter here: `type` says which may be.
            (
                "properties"
                | "additionalProperties"
                | "required"
                | "items"
                | "minItems"
                | "maxItems"
                | "minimum"
                | "maximum"
                | "pattern"
                | "format",
                _,
            ) => true,
            _ => return Err(format!("{at}: the keyword {keyword:?} is not known here")),
        };
        if !holds {
            return Err(format!("{at} is not {keyword} {said}: {:.200}", value.to_string()));
        }
    }
    if value.is_object() && schema["type"] == "object" && is_bare(keywords) {
        return Err(format!("{at} is described as an object and no more: {:.200}", value.to_string()));
    }
    Ok(())
}

fn is_bare(keywords: &Map<String, Value>) -> bool {
    !keywords.contains_key("properties") && !keywords.contains_key("additionalProperties")
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
        _ => match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other} is no type"),
        },
    }
}

fn alternatives(
    document: &Value,
    keyword: &str,
    all: &Value,
    value: &Value,
    at: &str,
) -> Result<bool, String> {
    let faults: Vec<Option<String>> =
        all.as_array().unwrap().iter().map(|schema| hold(document, schema, value, at).err()).collect();
    let held = faults.iter().filter(|fault| fault.is_none()).count();
    match (keyword, held) {
        (_, 0) => {
            let faults: Vec<String> = faults.into_iter().flatten().collect();
            Err(format!("{at} is none of these: {}", faults.join(" | ")))
        }
        ("oneOf", held) if held > 1 => Err(format!("{at} is {held} of those of which it is to be one")),
        _ => Ok(true),
    }
}

fn members_hold(
    document: &Value,
    keywords: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
) -> Result<(), String> {
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap();
        if !members.contains_key(name) {
            return Err(format!("{at} has no {name}"));
        }
    }
    for (name, value) in members {
        let own = keywords.get("properties").and_then(|properties| properties.get(name));
        match (own, keywords.get("additionalProperties")) {
            (Some(schema), _) => hold(document, schema, value, &format!("{at}.{name}"))?,
            (None, Some(Value::Bool(true))) => {}
            (None, Some(Value::Object(_))) => {
                hold(document, &keywords["additionalProperties"], value, &format!("{at}.{name}"))?;
            }
            (None, _) => return Err(format!("{at}.{name} is not described: {:.200}", value.to_string())),
        }
    }
    Ok(())
}

/// Where `schema` says that something is an object and no more.
pub(crate) fn vague(schema: &Value, at: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(keywords) => {
            if schema["type"] == "object" && is_bare(keywords) {
                found.push(at.to_owned());
            }
            for (name, own) in keywords {
                vague(own, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(all) => all.iter().for_each(|own| vague(own, at, found)),
        _ => {}
    }
}
