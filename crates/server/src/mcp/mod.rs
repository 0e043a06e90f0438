//! How does another program's model ask? The Model Context Protocol: streamable HTTP at `/mcp`, and standard input.
//!
//! Each request stands for itself: [`rpc`] reads it, [`protocol`] answers it, [`tools`] are what there is to call. A tool
//! needs the right that its HTTP route needs, is on record as that is, and its answer is masked as that is. `GET` (a
//! stream without a request) and `DELETE` (the end of a session) have nothing to be about, and are refused with 405, as
//! the protocol says.

mod protocol;
mod rpc;
mod schemas;
mod stdio;
mod tools;

pub use stdio::{Served, serve_mcp};

use crate::admit::drain;
use crate::problem::Problem;
use crate::serve::is_stopping;
use crate::state::App;
use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use protocol::Envelope;
use rpc::{Fault, Message, Request};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tools::Caller;

/// Longest message of a client.
const MAX_BYTES: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Steps that may be on their way to a client; it is waited for then.
const ON_THEIR_WAY: usize = 64;

/// `POST /mcp`: one message, answered as JSON, or as a stream where progress was asked for.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match read_body(body).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem.into_response(),
    };
    let request = match rpc::read(&bytes) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Notification) => return StatusCode::ACCEPTED.into_response(),
        Err((id, fault)) => return json_answer(StatusCode::BAD_REQUEST, &rpc::answer(&id, Err(fault))),
    };
    let envelope = match checked(&request, &headers) {
        Ok(envelope) => envelope,
        Err(fault) => return json_answer(StatusCode::BAD_REQUEST, &rpc::answer(&request.id, Err(fault))),
    };
    let caller = Caller { app, who, progress: None };
    match protocol::progress_token(&request).filter(|_| takes_stream(&headers)) {
        Some(token) if tools::goes_on(&request) => streamed(caller, request, envelope, token).into_response(),
        _ => {
            let result = protocol::answer(&caller, &request, &envelope).await;
            let status = status(&envelope, &result);
            json_answer(status, &rpc::answer(&request.id, result))
        }
    }
}

async fn read_body(body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("the message is cut short or longer than {MAX_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    if body.size_hint().lower() > MAX_BYTES as u64 {
        drain(body).await;
        return Err(too_large());
    }
    Ok(axum::body::to_bytes(body, MAX_BYTES).await.map_err(|_| too_large())?.to_vec())
}

/// The one value of a header; `Err` where several stand or it is no text.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str());
    match (value, values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(Fault::new(Fault::HEADER_MISMATCH, format!("{name} is no text, or there more than once"))),
    }
}

/// The revision of a request, its headers compared with what it says.
fn checked(request: &Request, headers: &HeaderMap) -> Result<Envelope, Fault> {
    let version = one(headers, "mcp-protocol-version")?;
    let envelope = protocol::envelope(request, version)?;
    if envelope.is_current {
        let named = request.params.get("name").and_then(Value::as_str);
        let named = named.filter(|_| request.method == "tools/call");
        for (name, expected) in [("mcp-method", Some(request.method.as_str())), ("mcp-name", named)] {
            let found = one(headers, name)?;
            if let Some(expected) = expected.filter(|_| found != expected) {
                let why = format!("the {name} header is {found:?}, the request itself says {expected:?}");
                return Err(Fault::new(Fault::HEADER_MISMATCH, why));
            }
        }
        if version.is_none() {
            let why = "there is no MCP-Protocol-Version header";
            return Err(Fault::new(Fault::HEADER_MISMATCH, why));
        }
    }
    Ok(envelope)
}

/// With which status an answer is sent: before 2026-07-28 errors of the protocol are answers like others.
fn status(envelope: &Envelope, result: &Result<Value, Fault>) -> StatusCode {
    match result {
        Err(fault) if envelope.is_current && fault.code == Fault::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        Err(_) if envelope.is_current => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn json_answer(status: StatusCode, answer: &Value) -> Response {
    (status, Json(answer)).into_response()
}

fn takes_stream(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream"))
}

/// Tells how a call goes on, then its answer. Who goes away ends the waiting, not what was started.
fn streamed(caller: Caller, request: Request, envelope: Envelope, token: Value) -> impl IntoResponse {
    let (sender, receiver) = mpsc::channel::<Value>(ON_THEIR_WAY);
    let stopping = is_stopping(caller.app.stopping.clone());
    tokio::spawn(async move {
        let caller = Caller { progress: Some((token, sender.clone())), ..caller };
        let answering = async {
            let result = protocol::answer(&caller, &request, &envelope).await;
            // Nobody listens any more: nothing is left to do.
            drop(sender.send(rpc::answer(&request.id, result)).await);
        };
        tokio::select! {
            () = answering => {}
            () = sender.closed() => {}
            () = stopping => {}
        }
    });
    let events = ReceiverStream::new(receiver)
        .map(|message| Ok::<_, Infallible>(Event::default().event("message").data(message.to_string())));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// How a call goes on, as the protocol tells it.
fn progress(token: &Value, step: usize, text: &str) -> Value {
    let params = json!({ "progressToken": token, "progress": step, "message": text });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}
