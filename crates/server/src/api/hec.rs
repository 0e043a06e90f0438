//! How do Splunk's senders hand on events (HTTP Event Collector)?
//!
//! Tokens are not checked: whoever reaches loopback may send. Everything is durable when it is answered, so an
//! acknowledgement asked for is given at once.

use crate::api::framed::{self, Beside, Received, Told};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One event as sent, one after the other in a body.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    time: Option<Value>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    #[serde(default)]
    fields: Map<String, Value>,
}

/// What `/services/collector/raw` takes in its query string.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RawParams {
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    time: Option<String>,
}

/// `GET /services/collector/health`
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "text": "HEC is healthy", "code": 17 }))
}

/// `POST /services/collector` and `/services/collector/event`
pub(crate) async fn events(State(app): State<Arc<App>>, request: Request) -> Response {
    let channel = channel(request.headers(), request.uri().query());
    let taken = async {
        let _permit = framed::permit(&app)?;
        let received = framed::receive(request).await?;
        blocking(&app, move |app| take_events(app, &received)).await
    };
    answer(taken.await, channel)
}

fn take_events(app: &App, received: &Received) -> Result<Option<Invalid>> {
    let (told, invalid) = parse(&received.body);
    // Splunk takes what comes before the first event that is not valid.
    if !told.is_empty() {
        framed::store(app, "splunk-hec", received, told)?;
    }
    Ok(invalid)
}

/// Splunk's code and text for the first event that is not valid, and its number from 0.
#[derive(Debug, PartialEq, Eq)]
struct Invalid(u32, &'static str, usize);

fn parse(body: &[u8]) -> (Vec<Told>, Option<Invalid>) {
    let mut told = Vec::new();
    for sent in serde_json::Deserializer::from_slice(body).into_iter::<Sent<'_>>() {
        let Ok(sent) = sent else {
            let number = told.len();
            return (told, Some(Invalid(6, "Invalid data format", number)));
        };
        let Some(event) = sent.event.map(RawValue::get).filter(|event| *event != "null") else {
            let number = told.len();
            return (told, Some(Invalid(12, "Event field is required", number)));
        };
        let raw = serde_json::from_str::<String>(event).unwrap_or_else(|_| event.to_owned());
        if raw.trim().is_empty() {
            let number = told.len();
            return (told, Some(Invalid(13, "Event field cannot be blank", number)));
        }
        told.push((raw.into_bytes(), beside(sent)));
    }
    let nothing = told.is_empty().then_some(Invalid(5, "No data", 0));
    (told, nothing)
}

fn beside(sent: Sent<'_>) -> Beside {
    let time = sent.time.as_ref().and_then(|time| match time {
        Value::Number(seconds) => epoch(&seconds.to_string()),
        Value::String(seconds) => epoch(seconds),
        _ => None,
    });
    let mut native = named([("source", sent.source), ("sourcetype", sent.sourcetype), ("index", sent.index)]);
    for (name, value) in sent.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        native.push((format!("splunk.fields.{name}"), value));
    }
    Beside { time, host: sent.host, native }
}

fn named<const N: usize>(values: [(&str, Option<String>); N]) -> Vec<(String, String)> {
    let named = values.into_iter();
    named.filter_map(|(name, value)| Some((format!("splunk.{name}"), value?))).collect()
}

/// Seconds since 1970 with up to nine decimals, kept exactly.
fn epoch(seconds: &str) -> Option<Timestamp> {
    let (whole, part) = seconds.trim().split_once('.').unwrap_or((seconds.trim(), ""));
    let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
    Timestamp::new(whole.parse().ok()?, digits.parse().ok()?).ok()
}

/// `POST /services/collector/raw`: one record per line.
pub(crate) async fn raw(State(app): State<Arc<App>>, request: Request) -> Response {
    let channel = channel(request.headers(), request.uri().query());
    let taken = async {
        let params = Query::<RawParams>::try_from_uri(request.uri());
        let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
        let _permit = framed::permit(&app)?;
        let received = framed::receive(request).await?;
        blocking(&app, move |app| take_raw(app, &params, &received)).await
    };
    answer(taken.await, channel)
}

fn take_raw(app: &App, params: &RawParams, received: &Received) -> Result<Option<Invalid>> {
    let lines =
        received.body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let told: Vec<Told> = lines
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| {
            let native =
                named([("source", params.source.clone()), ("sourcetype", params.sourcetype.clone())]);
            let time = params.time.as_deref().and_then(epoch);
            (line.to_vec(), Beside { time, host: params.host.clone(), native })
        })
        .collect();
    if told.is_empty() {
        return Ok(Some(Invalid(5, "No data", 0)));
    }
    framed::store(app, "splunk-hec", received, told)?;
    Ok(None)
}

/// Whether the sender wants an acknowledgement.
fn channel(headers: &HeaderMap, query: Option<&str>) -> bool {
    headers.contains_key("x-splunk-request-channel")
        || query.is_some_and(|query| query.split('&').any(|part| part.starts_with("channel=")))
}

fn answer(taken: Result<Option<Invalid>>, channel: bool) -> Response {
    static NEXT_ACK: AtomicU64 = AtomicU64::new(0);
    match taken {
        Ok(None) => {
            let mut body = json!({ "text": "Success", "code": 0 });
            if channel {
                body["ackId"] = json!(NEXT_ACK.fetch_add(1, Ordering::Relaxed));
            }
            Json(body).into_response()
        }
        Ok(Some(Invalid(code, text, number))) => {
            let body = json!({ "text": text, "code": code, "invalid-event-number": number });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

#[derive(Deserialize)]
struct Asked {
    acks: Vec<u64>,
}

/// `POST /services/collector/ack`: what was answered is durable, so every acknowledgement given out is true.
pub(crate) async fn ack(request: Request) -> Result<Json<Value>> {
    if !channel(request.headers(), request.uri().query()) {
        return Err(Problem::bad_request("the header X-Splunk-Request-Channel is missing"));
    }
    let asked: Asked = crate::params::json_body(request.into_body()).await?;
    let acks: Map<String, Value> = asked.acks.iter().map(|id| (id.to_string(), Value::Bool(true))).collect();
    Ok(Json(json!({ "acks": acks })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[&str], invalid: Option<Invalid>) {
        let (told, found) = parse(body.as_bytes());
        let raws: Vec<_> = told.iter().map(|(raw, _)| std::str::from_utf8(raw).unwrap()).collect();
        assert_eq!((raws.as_slice(), found), (expected, invalid), "{body}");
    }

    #[test]
    fn events_follow_one_another() {
        check(r#"{"event":"a b"}{"event":{"x": 1}} {"event":3}"#, &["a b", r#"{"x": 1}"#, "3"], None);
        check(r#"{"event":"a"}{"time":1}"#, &["a"], Some(Invalid(12, "Event field is required", 1)));
        check(r#"{"event":""}"#, &[], Some(Invalid(13, "Event field cannot be blank", 0)));
        check(r#"{"event":"a"}{"#, &["a"], Some(Invalid(6, "Invalid data format", 1)));
        check("", &[], Some(Invalid(5, "No data", 0)));
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(epoch("1700000000.123"), Some("2023-11-14T22:13:20.123Z".parse().unwrap()));
        assert_eq!(epoch("1700000000"), Some("2023-11-14T22:13:20Z".parse().unwrap()));
        assert_eq!(epoch("soon"), None);
    }
}
