//! Does the JSON schema beside the playbooks say what the parser says? Both are asked about every shipped playbook
//! and about mistakes. The words of JSON Schema that the file uses are few, and checked here by hand.

use super::*;
use serde_json::Value;

/// Whether `value` is as `schema` says.
fn agrees(schema: &Value, value: &Value) -> bool {
    let number = |name: &str| schema[name].as_f64();
    let kind = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("the schema uses the type {other}, which this test does not know"),
        None => true,
    };
    if !kind {
        return false;
    }
    for word in schema.as_object().unwrap().keys() {
        let known = [
            "title",
            "description",
            "type",
            "additionalProperties",
            "required",
            "properties",
            "minLength",
            "maxLength",
            "pattern",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "items",
            "minItems",
            "maxItems",
            "uniqueItems",
            "enum",
            "oneOf",
            "minProperties",
        ];
        assert!(known.contains(&word.as_str()), "the schema uses {word}, which this test does not know");
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return false;
    }
    if let Some(forms) = schema["oneOf"].as_array()
        && forms.iter().filter(|form| agrees(form, value)).count() != 1
    {
        return false;
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as f64;
        let pattern =
            schema["pattern"].as_str().is_none_or(|regex| regex::Regex::new(regex).unwrap().is_match(text));
        return pattern
            && number("minLength").is_none_or(|least| length >= least)
            && number("maxLength").is_none_or(|most| length <= most);
    }
    if let Some(figure) = value.as_f64() {
        return number("minimum").is_none_or(|least| figure >= least)
            && number("maximum").is_none_or(|most| figure <= most)
            && number("exclusiveMinimum").is_none_or(|bound| figure > bound)
            && number("exclusiveMaximum").is_none_or(|bound| figure < bound);
    }
    if let Some(items) = value.as_array() {
        let count = items.len() as f64;
        let unique =
            schema["uniqueItems"] != true || (1..items.len()).all(|end| !items[..end].contains(&items[end]));
        return unique
            && number("minItems").is_none_or(|least| count >= least)
            && number("maxItems").is_none_or(|most| count <= most)
            && (schema["items"].is_null() || items.iter().all(|item| agrees(&schema["items"], item)));
    }
    if let Some(members) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten();
        let enough = number("minProperties").is_none_or(|least| members.len() as f64 >= least);
        return enough
            && required.into_iter().all(|name| members.contains_key(name.as_str().unwrap()))
            && members.iter().all(|(name, value)| {
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Bool(false)) => false,
                    (Value::Null, Value::Null | Value::Bool(true)) => true,
                    (Value::Null, more) => agrees(more, value),
                    (property, _) => agrees(property, value),
                }
            });
    }
    true
}

fn dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/playbooks")
}

fn schema() -> Value {
    serde_json::from_str(&fs_err::read_to_string(dir().join("playbook.schema.json")).unwrap()).unwrap()
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn shipped_playbooks_agree_with_the_schema() {
    let schema = schema();
    for entry in fs_err::read_dir(dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs_err::read_to_string(&path).unwrap();
            assert!(agrees(&schema, &as_json(&text)), "{}", path.display());
            assert!(parse(&text).is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn schema_and_parser_refuse_the_same_mistakes() {
    let schema = schema();
    let good = fs_err::read_to_string(dir().join("web.toml")).unwrap();
    let check = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        assert!(parse(&text).is_err(), "the parser takes {to:?} for {from:?}");
        assert!(!agrees(&schema, &as_json(&text)), "the schema takes {to:?} for {from:?}");
    };
    check("name = \"web\"", "name = \"Web attack\"");
    check("version = 1", "version = 0");
    check("version = 1", "version = \"one\"");
    check("title = ", "titel = ");
    check("techniques = [\"T1190\"", "techniques = [\"LOG4J\"");
    check("classes = [\"http_activity\"]", "classes = [\"http\"]");
    check("before_minutes = 60", "before_minutes = 0");
    check("before_minutes = 60", "before_minute = 60");
    check("max_lines = 14", "max_lines = 99");
    check("pivots = [\"ip\"", "pivots = [\"address\"");
    check("predicate = [", "weight = 0.3\npredicate = [");
    check("type = \"yes_no\"", "type = \"yes\"");
    check("threshold = 0.9", "threshold = 1.0");
    check("weight = 0.3", "weight = 3.0");
    check("raises = [\"yes\"]", "raises = []");
    check("choices = [\"administration\", \"intrusion\"]", "choices = [\"A\", \"B\"]");
    check("[test.expect]", "[test.expected]");
    check("severity = \"high\"", "severity = \"bad\"");
}
