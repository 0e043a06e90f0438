//! What does a body say, field by field? Each error names its parameter, as OpenAI's do.

use super::error::{Failure, Result};
use crate::problem::Problem;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio_stream::StreamExt;

/// Longest body: text for an embedder may be long, the rest is bounded by what the model reads.
const MAX_BODY: usize = 4 << 20;
/// How much more is read of a longer one, and for how long.
const MAX_DISCARDED: usize = 64 << 20;
const DISCARDING: Duration = Duration::from_secs(5);

/// The body of a request.
pub(super) async fn receive(body: Body) -> Result<Bytes> {
    let too_large = || {
        let detail = format!("the body is cut short or longer than {MAX_BODY} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    // What announces too much is refused before it is sent.
    if body.size_hint().lower() > MAX_BODY as u64 {
        discard(body).await;
        return Err(too_large().into());
    }
    Ok(axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?)
}

/// Reads what is too long without keeping it, so that clients which send all before they read get their answer.
async fn discard(body: Body) {
    let mut left = MAX_DISCARDED;
    let mut chunks = body.into_data_stream();
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    if tokio::time::timeout(DISCARDING, reading).await.is_err() {
        tracing::debug!("a body that is too long was not sent in time");
    }
}

/// The fields of an object that were not looked at yet.
pub(super) struct Fields {
    map: Map<String, Value>,
    /// Where the object is, such as `messages[0].`.
    place: String,
}

impl Fields {
    /// A body.
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        let value = serde_json::from_slice(body).map_err(|error| {
            Problem::bad_request(format!("We could not parse the JSON body of your request: {error}"))
        })?;
        Self::of(value, "")
    }

    /// An object at `place`.
    pub(super) fn of(value: Value, place: &str) -> Result<Self> {
        match value {
            Value::Object(map) => {
                let place = if place.is_empty() { String::new() } else { format!("{place}.") };
                Ok(Self { map, place })
            }
            other if place.is_empty() => {
                Err(Problem::bad_request(format!("the body is {}, not an object", kind(&other))).into())
            }
            other => Err(wrong_type(place, "an object", &other)),
        }
    }

    /// The full name of a field.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// A field of any type; `null` says nothing.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<Value> {
        self.value(name).ok_or_else(|| {
            let name = self.name(name);
            let message = format!("Missing required parameter: '{name}'.");
            Failure::parameter(&name, "missing_required_parameter", message)
        })
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&self.name(name), "a string", &other)),
        }
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<String> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(&self.name(name), "a string", &other)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wrong_type(&self.name(name), "a boolean", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let name = self.name(name);
        let number = value.as_f64().ok_or_else(|| wrong_type(&name, "a decimal", &value))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        Err(out_of_range(&name, &number, range.start(), range.end()))
    }

    pub(super) fn count(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<usize>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let name = self.name(name);
        if !value.is_i64() && !value.is_u64() {
            return Err(wrong_type(&name, "an integer", &value));
        }
        match value.as_u64().filter(|count| range.contains(count)) {
            Some(count) => Ok(usize::try_from(count).ok()),
            None => Err(out_of_range(&name, &value, range.start(), range.end())),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        Fields::of(value, &self.name(name)).map(Some)
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(wrong_type(&self.name(name), "an array", &other)),
        }
    }

    /// Fields that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.map.shift_remove(*name);
        }
    }

    /// Fields that would change the answer and cannot be honoured: only a value that changes nothing is taken.
    pub(super) fn only(&mut self, name: &str, harmless: &[Value]) -> Result<()> {
        let Some(value) = self.value(name).filter(|value| !harmless.contains(value)) else { return Ok(()) };
        let name = self.name(name);
        let shown: String = value.to_string().chars().take(60).collect();
        let message = format!("Unsupported value: '{name}' does not support {shown} with this model.");
        Err(Failure::parameter(&name, "unsupported_value", message))
    }

    /// Everything was looked at.
    pub(super) fn finish(self) -> Result<()> {
        let Some(name) = self.map.keys().next() else { return Ok(()) };
        let name: String = self.name(name).chars().take(100).collect();
        Err(Failure::parameter(&name, "unknown_parameter", format!("Unknown parameter: '{name}'.")))
    }
}

/// A field of another type than it should have.
pub(super) fn wrong_type(name: &str, expected: &str, found: &Value) -> Failure {
    let message = format!("Invalid type for '{name}': expected {expected}, but got {} instead.", kind(found));
    Failure::parameter(name, "invalid_type", message)
}

fn out_of_range(
    name: &str,
    found: &dyn std::fmt::Display,
    least: &dyn std::fmt::Display,
    most: &dyn std::fmt::Display,
) -> Failure {
    Failure::value(name, format!("Invalid '{name}': {found} is not between {least} and {most}."))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn fails<T>(result: Result<T>, param: &str, code: &str) {
        let error = result.err().unwrap().to_json();
        assert_eq!(
            (error["error"]["param"].as_str(), error["error"]["code"].as_str()),
            (Some(param), Some(code))
        );
    }

    #[test]
    fn each_fault_names_its_parameter() {
        let fields = || Fields::parse(br#"{"a": 1, "b": "x", "c": null, "d": 2.5, "e": {"f": []}}"#).unwrap();
        fails(fields().text("a"), "a", "invalid_type");
        fails(fields().required("c"), "c", "missing_required_parameter");
        fails(fields().number("d", 0.0..=2.0), "d", "invalid_value");
        fails(fields().count("d", 0..=9), "d", "invalid_type");
        fails(fields().count("a", 2..=9), "a", "invalid_value");
        fails(fields().only("b", &[Value::from("y")]), "b", "unsupported_value");
        fails(fields().object("e").unwrap().unwrap().text("f"), "e.f", "invalid_type");
        fails(fields().finish(), "a", "unknown_parameter");
        let mut all = fields();
        all.ignore(&["a", "b", "c", "d", "e"]);
        assert!(all.finish().is_ok());
        assert!(Fields::parse(b"[]").is_err() && Fields::parse(b"{").is_err());
    }
}
