//! Which form must an answer have, and how is the model told? `response_format`, `tools` and `tool_choice`.
//!
//! A form is a grammar that the model writes under, so that what comes out always conforms, however small the model;
//! what it is told beside the conversation makes it likely that the content is apt as well. Calls are written as the
//! models of the Hermes and Qwen families do: `<tool_call>`, a line of JSON, `</tool_call>`.

use super::error::{Failure, Result};
use super::fields::{Fields, wrong_type};
use crate::model::{Refused, SharedModel};
use casemate_inference::{Model, Part};
use serde_json::{Map, Value, json};

pub(super) const CALL_OPEN: &str = "<tool_call>";
pub(super) const CALL_CLOSE: &str = "</tool_call>";
/// What stands in a call before and after the name of the function.
pub(super) const CALL_NAME: &str = "\n{\"name\": \"";
pub(super) const CALL_ARGUMENTS: &str = "\", \"arguments\": ";

/// Tools of one request.
const MAX_TOOLS: usize = 128;
/// Longest schema, written as JSON.
const MAX_SCHEMA: usize = 64 << 10;
/// Calls that one answer makes at most.
const MAX_CALLS: usize = 8;

/// The form that an answer must have.
#[derive(Debug, Default)]
pub(super) struct Form {
    schema: Option<Named>,
    tools: Vec<Named>,
    pub(super) choice: Choice,
    one_call: bool,
}

/// Whether tools are called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
    None,
    Auto,
    Required,
    Named(String),
}

/// A schema with a name, or a function with its arguments.
#[derive(Debug)]
struct Named {
    name: String,
    description: Option<String>,
    schema: Value,
}

impl Form {
    /// Takes the fields that say how an answer must look.
    pub(super) fn take(fields: &mut Fields) -> Result<Self> {
        let schema = match fields.object("response_format")? {
            Some(format) => response_format(format)?,
            None => None,
        };
        let tools = fields.list("tools")?.unwrap_or_default();
        if tools.len() > MAX_TOOLS {
            let message =
                format!("Invalid 'tools': {} are more than the {MAX_TOOLS} that there may be.", tools.len());
            return Err(Failure::value("tools", message));
        }
        let tool = |(index, value)| tool(value, &format!("tools[{index}]"));
        let tools = tools.into_iter().enumerate().map(tool).collect::<Result<Vec<_>>>()?;
        let choice = match fields.value("tool_choice") {
            None if tools.is_empty() => Choice::None,
            None => Choice::Auto,
            Some(value) => choice(value, &tools)?,
        };
        // A small model that has to call something goes on calling, where it may.
        let several = fields.flag("parallel_tool_calls")?.unwrap_or(choice == Choice::Auto);
        let one_call = !several || matches!(choice, Choice::Named(_));
        Ok(Self { schema, tools, choice, one_call })
    }

    /// Whether the text is a JSON document of a given form.
    pub(super) fn is_json(&self) -> bool {
        self.schema.is_some()
    }

    /// The functions that may be called, if any may.
    fn callable(&self) -> impl Iterator<Item = (usize, &Named)> {
        let may = |tool: &Named| match &self.choice {
            Choice::None => false,
            Choice::Auto | Choice::Required => true,
            Choice::Named(name) => tool.name == *name,
        };
        self.tools.iter().enumerate().filter(move |(_, tool)| may(tool))
    }

    /// The grammar, unless anything may be written.
    pub(super) fn lark(&self, model: &Model) -> Option<String> {
        let calls: Vec<String> = self.callable().map(|(index, _)| format!("call_{index}")).collect();
        if calls.is_empty() && self.schema.is_none() {
            return None;
        }
        let mut rules = Vec::new();
        // Where the markers are tokens of their own, no text can be taken for one.
        let is_token = model.has_special(CALL_OPEN) && model.has_special(CALL_CLOSE);
        let mut text = if self.schema.is_some() { "answer".to_owned() } else { "TEXT?".to_owned() };
        if let Some(schema) = &self.schema {
            rules.push(format!("answer: %json {}", compact(&schema.schema)));
        } else {
            rules.push(format!("TEXT: /{}(?s:.*)/", if is_token { "(?s:.)" } else { "[^<]" }));
        }
        if !calls.is_empty() {
            let several = format!(" (\"\\n\" call){{0,{}}}", MAX_CALLS - 1);
            let more = if self.one_call { "" } else { several.as_str() };
            rules.push(format!("calls: call{more}"));
            rules.push(format!("call: {}", calls.join(" | ")));
            let marker = |name: &str| if is_token { name.to_owned() } else { literal(name) };
            for (index, tool) in self.callable() {
                let before = literal(&format!("{CALL_NAME}{}{CALL_ARGUMENTS}", tool.name));
                let (open, close, after) = (marker(CALL_OPEN), marker(CALL_CLOSE), literal("}\n"));
                rules.push(format!("call_{index}: {open} {before} arguments_{index} {after} {close}"));
                rules.push(format!("arguments_{index}: %json {}", compact(&tool.schema)));
            }
            text = match &self.choice {
                Choice::Auto if is_token && self.schema.is_none() => format!("{text} calls?"),
                Choice::Auto => format!("{text} | calls"),
                _ => "calls".to_owned(),
            };
        }
        // What is not referred to is an error.
        if !text.contains("TEXT") {
            rules.retain(|rule| !rule.starts_with("TEXT"));
        }
        if !text.contains("answer") {
            rules.retain(|rule| !rule.starts_with("answer"));
        }
        rules.insert(0, format!("start: {text}"));
        Some(rules.join("\n"))
    }

    /// The call that a text is, though it does not say so: models that were trained on code write the object of a call
    /// alone, or as a block of JSON. Function and arguments, if those conform.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(super) async fn called(
        &self,
        model: &SharedModel,
        text: &str,
    ) -> std::result::Result<Option<(String, String)>, Refused> {
        let Some((tool, arguments)) = self.call_in(text) else { return Ok(None) };
        let lark = format!("start: %json {}", compact(&tool.schema));
        let conforms = model.conforms(lark, arguments.clone()).await?;
        Ok(conforms.then(|| (tool.name.clone(), arguments)))
    }

    /// The function that a text names, and the arguments it gives it.
    fn call_in(&self, text: &str) -> Option<(&Named, String)> {
        let text = text.trim();
        let text = match text.strip_prefix("```") {
            Some(block) => block.strip_prefix("json").unwrap_or(block).strip_suffix("```")?,
            None => text,
        };
        let Ok(Value::Object(mut call)) = serde_json::from_str(text) else { return None };
        let (name, arguments) = (call.shift_remove("name")?, call.shift_remove("arguments")?);
        if !call.is_empty() {
            return None;
        }
        let (_, tool) = self.callable().find(|(_, tool)| name == tool.name.as_str())?;
        Some((tool, spaced(&arguments)))
    }

    /// What the model is told.
    pub(super) fn instructions(&self) -> Vec<Part> {
        let text = |text: &str| Part::Text(text.to_owned());
        let mut parts = Vec::new();
        if !self.tools.is_empty() && self.choice != Choice::None {
            parts.push(text(
                "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with \
                 function signatures within <tools></tools> XML tags:\n<tools>",
            ));
            for tool in &self.tools {
                let mut function = json!({ "name": tool.name, "parameters": plain(&tool.schema) });
                if let Some(description) = &tool.description {
                    function["description"] = json!(description);
                }
                let signature = json!({ "type": "function", "function": function });
                parts.push(Part::Data(format!("\n{signature}")));
            }
            parts.extend([
                text(
                    "\n</tools>\n\nFor each function call, return a json object with function name and arguments \
                     within ",
                ),
                Part::Marker(CALL_OPEN),
                Part::Marker(CALL_CLOSE),
                text(" XML tags:\n"),
                Part::Marker(CALL_OPEN),
                text("\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"),
                Part::Marker(CALL_CLOSE),
            ]);
        }
        if let Some(schema) = &self.schema {
            if !parts.is_empty() {
                parts.push(text("\n\n"));
            }
            parts.push(text("Answer with one JSON document that follows this JSON schema:\n"));
            let description =
                schema.description.as_deref().map(|text| format!("{text}\n")).unwrap_or_default();
            parts.push(Part::Data(format!("{description}{}", plain(&schema.schema))));
        }
        parts
    }
}

fn response_format(mut format: Fields) -> Result<Option<Named>> {
    let kind = format.required_text("type")?;
    let found = match kind.as_str() {
        "text" => None,
        "json_object" => {
            let schema = checked(json!({ "type": "object" }), "response_format")?;
            Some(Named { name: "json".to_owned(), description: None, schema })
        }
        "json_schema" => {
            let place = format.name("json_schema");
            let mut named = Fields::of(format.required("json_schema")?, &place)?;
            let name = named.required_text("name")?;
            check_name(&name, &named.name("name"))?;
            let description = named.text("description")?;
            // Every schema is kept to, strict or not.
            named.flag("strict")?;
            let schema = named.value("schema").unwrap_or_else(|| json!({ "type": "object" }));
            let schema = checked(schema, &named.name("schema"))?;
            named.finish()?;
            Some(Named { name, description, schema })
        }
        other => {
            let other: String = other.chars().take(40).collect();
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            );
            return Err(Failure::value(&format.name("type"), message));
        }
    };
    format.finish()?;
    Ok(found)
}

fn tool(value: Value, place: &str) -> Result<Named> {
    let mut tool = Fields::of(value, place)?;
    let kind = tool.required_text("type")?;
    if kind != "function" {
        let kind: String = kind.chars().take(40).collect();
        let message = format!("Invalid value: '{kind}'. Supported values are: 'function'.");
        return Err(Failure::value(&tool.name("type"), message));
    }
    let mut function = Fields::of(tool.required("function")?, &tool.name("function"))?;
    let name = function.required_text("name")?;
    check_name(&name, &function.name("name"))?;
    let description = function.text("description")?;
    function.flag("strict")?;
    let none = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let place = function.name("parameters");
    let schema = checked(function.value("parameters").unwrap_or_else(none), &place)?;
    function.finish()?;
    tool.finish()?;
    Ok(Named { name, description, schema })
}

fn choice(value: Value, tools: &[Named]) -> Result<Choice> {
    let wrong = |message: String| Failure::value("tool_choice", message);
    let chosen = match &value {
        Value::String(text) => match text.as_str() {
            "none" => Choice::None,
            "auto" => Choice::Auto,
            "required" => Choice::Required,
            _ => {
                let said = "Invalid 'tool_choice': supported are 'none', 'auto', 'required' and a function.";
                return Err(wrong(said.to_owned()));
            }
        },
        Value::Object(_) => {
            let mut fields = Fields::of(value, "tool_choice")?;
            let kind = fields.required_text("type")?;
            if kind != "function" {
                return Err(wrong("Invalid 'tool_choice.type': 'function' alone is known here.".to_owned()));
            }
            let mut function = Fields::of(fields.required("function")?, "tool_choice.function")?;
            Choice::Named(function.required_text("name")?)
        }
        other => return Err(wrong_type("tool_choice", "a string or an object", other)),
    };
    match &chosen {
        Choice::None => {}
        _ if tools.is_empty() => {
            let said =
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
            return Err(wrong(said.to_owned()));
        }
        Choice::Named(name) if tools.iter().all(|tool| tool.name != *name) => {
            let name: String = name.chars().take(64).collect();
            return Err(wrong(format!("Tool choice '{name}' is not among the 'tools'.")));
        }
        _ => {}
    }
    Ok(chosen)
}

fn check_name(name: &str, place: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message =
        format!("Invalid '{place}': 1 to 64 characters of a-z, A-Z, 0-9, underscores and dashes are.");
    Err(Failure::value(place, message))
}

/// A schema as it is compiled: on one line, and without members that it names none of.
fn checked(schema: Value, place: &str) -> Result<Value> {
    let Value::Object(mut schema) = schema else { return Err(wrong_type(place, "an object", &schema)) };
    let bytes = serde_json::to_string(&schema).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_SCHEMA {
        let message = format!("Invalid schema at '{place}': its {bytes} bytes are more than {MAX_SCHEMA}.");
        return Err(Failure::parameter(place, "invalid_json_schema", message));
    }
    let names_members =
        schema.get("properties").and_then(Value::as_object).is_some_and(|named| !named.is_empty());
    let is_alone =
        ["allOf", "anyOf", "oneOf", "$ref", "patternProperties"].iter().all(|key| !schema.contains_key(*key));
    if names_members && is_alone {
        // A small model would go on inventing others; what it writes conforms without.
        schema.entry("additionalProperties").or_insert(json!(false));
    }
    let spaced = json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    schema.insert(SPACING.to_owned(), spaced);
    Ok(Value::Object(schema))
}

/// How the library is told to space what it lets be written.
const SPACING: &str = "x-guidance";

/// A schema as a person would write it.
fn plain(schema: &Value) -> Value {
    let without: Map<String, Value> = match schema.as_object() {
        Some(schema) => {
            schema.iter().filter(|(key, _)| *key != SPACING).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        None => Map::new(),
    };
    Value::Object(without)
}

fn compact(schema: &Value) -> String {
    schema.to_string()
}

/// JSON as the grammars space it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(spaced).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", literal(name), spaced(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// A literal of the grammar.
fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn take(body: &Value) -> Result<Form> {
        Form::take(&mut Fields::parse(body.to_string().as_bytes()).unwrap())
    }

    fn function(name: &str) -> Value {
        json!({ "type": "function", "function": { "name": name, "parameters": { "type": "object" } } })
    }

    #[test]
    fn choices_are_of_the_tools_there_are() {
        let tools = json!([function("look"), function("close")]);
        let chosen =
            |choice: Value| take(&json!({ "tools": tools, "tool_choice": choice })).map(|form| form.choice);
        assert_eq!(take(&json!({})).unwrap().choice, Choice::None);
        assert_eq!(chosen(Value::Null).unwrap(), Choice::Auto);
        assert_eq!(chosen(json!("required")).unwrap(), Choice::Required);
        let close = json!({ "type": "function", "function": { "name": "close" } });
        assert_eq!(chosen(close).unwrap(), Choice::Named("close".to_owned()));
        let other = json!({ "type": "function", "function": { "name": "delete" } });
        assert!(chosen(other).is_err() && chosen(json!("always")).is_err() && chosen(json!(3)).is_err());
        assert!(take(&json!({ "tool_choice": "required" })).is_err());
    }

    #[test]
    fn the_object_of_a_call_alone_is_a_call() {
        let form = take(&json!({ "tools": [function("look"), function("close")] })).unwrap();
        let call = |text: &str| form.call_in(text).map(|(tool, arguments)| (tool.name.clone(), arguments));
        let look = Some(("look".to_owned(), r#"{"host": "ws5", "days": [1, 2]}"#.to_owned()));
        let text = r#"{"name":"look","arguments":{"host":"ws5","days":[1,2]}}"#;
        assert_eq!(call(text), look);
        assert_eq!(call(&format!("```json\n{text}\n```")), look);
        assert_eq!(call(&format!(" ```{text}``` \n")), look);
        for other in [
            "",
            "look at ws5",
            "[]",
            &text[1..],
            &format!("```json\n{text}"),
            r#"{"name":"delete","arguments":{}}"#,
            r#"{"name":["look"],"arguments":{}}"#,
            r#"{"name":"look"}"#,
            r#"{"name":"look","arguments":{},"more":1}"#,
        ] {
            assert_eq!(call(other), None, "{other}");
        }
        let form = take(&json!({ "tools": [function("look")], "tool_choice": "none" })).unwrap();
        assert!(form.call_in(text).is_none());
    }

    #[test]
    fn json_is_spaced_as_the_grammars_have_it() {
        let value = json!({ "a": [1, "x, y: {}", null], "b": {} });
        assert_eq!(spaced(&value), r#"{"a": [1, "x, y: {}", null], "b": {}}"#);
    }

    #[test]
    fn schemas_are_bounded_and_close_what_they_name() {
        let format = |schema: Value| {
            take(
                &json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema } } }),
            )
        };
        let form = format(json!({ "type": "object", "properties": { "a": {} } })).unwrap();
        assert_eq!(form.schema.as_ref().unwrap().schema["additionalProperties"], false);
        assert!(form.is_json() && form.instructions().len() == 2);
        let form = format(json!({ "type": "object" })).unwrap();
        assert_eq!(form.schema.unwrap().schema.get("additionalProperties"), None);
        assert!(format(json!([])).is_err());
        assert!(format(json!({ "const": "x".repeat(MAX_SCHEMA) })).is_err());
        for name in ["", "a b", "\u{e4}", &"x".repeat(65)] {
            assert!(take(&json!({ "tools": [function(name)] })).is_err(), "{name}");
        }
        assert!(take(&json!({ "tools": vec![function("x"); MAX_TOOLS + 1] })).is_err());
        assert!(take(&json!({ "response_format": { "type": "xml" } })).is_err());
    }
}
