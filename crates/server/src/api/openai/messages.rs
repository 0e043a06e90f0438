//! How is a conversation written for the model? Every word of it is data: no special token forms from it.
//!
//! Results of tools are what the user's side says; calls that the assistant made before stand in its turn as it writes
//! them itself. Neighbours of one role become one turn, as many templates want.

use super::error::{Failure, Result};
use super::fields::{Fields, wrong_type};
use super::form::{CALL_CLOSE, CALL_OPEN};
use casemate_inference::{Part, Role, Turn};
use serde_json::Value;
use std::collections::HashSet;

/// The turns of `messages`.
pub(super) fn turns(messages: Value) -> Result<Vec<Turn>> {
    let messages = match messages {
        Value::Array(messages) if !messages.is_empty() => messages,
        Value::Array(_) => {
            let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
            return Err(Failure::parameter("messages", "empty_array", message));
        }
        other => return Err(wrong_type("messages", "an array of objects", &other)),
    };
    let mut turns: Vec<Turn> = Vec::new();
    let mut called = HashSet::new();
    for (index, message) in messages.into_iter().enumerate() {
        let turn = turn(message, &format!("messages[{index}]"), &mut called)?;
        match turns.last_mut().filter(|last| last.role == turn.role) {
            Some(last) => {
                last.parts.push(Part::Text("\n".to_owned()));
                last.parts.extend(turn.parts);
            }
            None => turns.push(turn),
        }
    }
    Ok(turns)
}

fn turn(message: Value, place: &str, called: &mut HashSet<String>) -> Result<Turn> {
    let mut fields = Fields::of(message, place)?;
    let role = fields.required_text("role")?;
    let turn = match role.as_str() {
        "system" | "developer" => Turn { role: Role::System, parts: said(&mut fields, true)? },
        "user" => Turn { role: Role::User, parts: said(&mut fields, true)? },
        "assistant" => {
            let calls = fields.list("tool_calls")?.unwrap_or_default();
            let mut parts = said(&mut fields, calls.is_empty())?;
            for (index, call) in calls.into_iter().enumerate() {
                if !parts.is_empty() {
                    parts.push(Part::Text("\n".to_owned()));
                }
                parts.extend(made(call, &format!("{place}.tool_calls[{index}]"), called)?);
            }
            fields.ignore(&["refusal", "annotations"]);
            fields.only("audio", &[])?;
            fields.only("function_call", &[])?;
            Turn { role: Role::Assistant, parts }
        }
        "tool" => {
            let id = fields.required_text("tool_call_id")?;
            if !called.contains(&id) {
                let message = format!(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with \
                     'tool_calls'; none has the id {id:?}."
                );
                return Err(Failure::value(&fields.name("role"), message));
            }
            let mut parts = vec![Part::Text("<tool_response>\n".to_owned())];
            parts.extend(said(&mut fields, true)?);
            parts.push(Part::Text("\n</tool_response>".to_owned()));
            Turn { role: Role::User, parts }
        }
        other => {
            let other: String = other.chars().take(40).collect();
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'system', 'developer', 'user', 'assistant' and 'tool'."
            );
            return Err(Failure::value(&fields.name("role"), message));
        }
    };
    // Who of several speaks is for the reader of the text.
    fields.ignore(&["name"]);
    fields.finish()?;
    Ok(turn)
}

/// The words of a message.
fn said(fields: &mut Fields, required: bool) -> Result<Vec<Part>> {
    let content = if required { Some(fields.required("content")?) } else { fields.value("content") };
    let place = fields.name("content");
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Data(text)]),
        Some(Value::Array(parts)) => {
            let part = |(index, part)| text_part(part, &format!("{place}[{index}]"));
            parts.into_iter().enumerate().map(part).collect()
        }
        Some(other) => Err(wrong_type(&place, "a string or an array of parts", &other)),
    }
}

fn text_part(part: Value, place: &str) -> Result<Part> {
    let mut part = Fields::of(part, place)?;
    let kind = part.required_text("type")?;
    let text = match kind.as_str() {
        "text" => part.required_text("text")?,
        "refusal" => part.required_text("refusal")?,
        other => {
            let other: String = other.chars().take(40).collect();
            let message = format!("Invalid content type '{other}': this model reads text alone.");
            return Err(Failure::value(&part.name("type"), message));
        }
    };
    part.finish()?;
    Ok(Part::Data(text))
}

/// A call that the assistant made before.
fn made(call: Value, place: &str, called: &mut HashSet<String>) -> Result<Vec<Part>> {
    let mut call = Fields::of(call, place)?;
    called.insert(call.required_text("id")?);
    let kind = call.text("type")?;
    if kind.as_deref().is_some_and(|kind| kind != "function") {
        return Err(Failure::value(&call.name("type"), "Only calls of type 'function' are known here."));
    }
    let mut function = Fields::of(call.required("function")?, &call.name("function"))?;
    let (name, arguments) = (function.required_text("name")?, function.required_text("arguments")?);
    function.finish()?;
    call.ignore(&["index"]);
    call.finish()?;
    let written = format!("\n{{\"name\": {}, \"arguments\": {arguments}}}\n", Value::from(name));
    Ok(vec![Part::Marker(CALL_OPEN), Part::Data(written), Part::Marker(CALL_CLOSE)])
}

/// Adds what the model is told beside the conversation to its system message.
pub(super) fn instruct(turns: &mut Vec<Turn>, parts: Vec<Part>) {
    if parts.is_empty() {
        return;
    }
    match turns.first_mut().filter(|first| first.role == Role::System) {
        Some(first) => {
            first.parts.push(Part::Text("\n\n".to_owned()));
            first.parts.extend(parts);
        }
        None => turns.insert(0, Turn { role: Role::System, parts }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn shown(turns: &[Turn]) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) | Part::Data(text) => text.clone(),
            Part::Marker(name) => (*name).to_owned(),
        };
        turns
            .iter()
            .map(|turn| format!("{:?}: {}", turn.role, turn.parts.iter().map(part).collect::<String>()))
            .collect()
    }

    #[test]
    fn a_conversation_with_tools_becomes_turns() {
        let call =
            json!({ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\": 1}" } });
        let mut found = turns(json!([
            { "role": "developer", "content": "be brief" },
            { "role": "user", "content": [{ "type": "text", "text": "one " }, { "type": "text", "text": "two" }] },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "c1", "content": "3" },
            { "role": "user", "content": "and?" },
        ]))
        .unwrap();
        instruct(&mut found, vec![Part::Text("more".to_owned())]);
        assert_eq!(
            shown(&found),
            [
                "System: be brief\n\nmore",
                "User: one two",
                "Assistant: <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
                "User: <tool_response>\n3\n</tool_response>\nand?",
            ]
        );
    }

    #[test]
    fn what_cannot_be_said_is_refused_with_its_place() {
        for (messages, param) in [
            (json!([]), "messages"),
            (json!("hi"), "messages"),
            (json!([{ "content": "x" }]), "messages[0].role"),
            (json!([{ "role": "root", "content": "x" }]), "messages[0].role"),
            (json!([{ "role": "user" }]), "messages[0].content"),
            (json!([{ "role": "user", "content": 3 }]), "messages[0].content"),
            (
                json!([{ "role": "user", "content": [{ "type": "image_url" }] }]),
                "messages[0].content[0].type",
            ),
            (json!([{ "role": "tool", "content": "x", "tool_call_id": "c9" }]), "messages[0].role"),
            (json!([{ "role": "user", "content": "x", "mood": 1 }]), "messages[0].mood"),
        ] {
            let error = turns(messages.clone()).err().unwrap().to_json();
            assert_eq!(error["error"]["param"], param, "{messages}");
        }
    }
}
