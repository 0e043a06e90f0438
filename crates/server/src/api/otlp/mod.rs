//! How do OpenTelemetry's exporters and collectors hand on logs (OTLP/HTTP, `POST /v1/logs`)?
//!
//! Protocol buffers or JSON, gzip or not. The body of a record is the record: a known format in it is decoded as
//! such. Attributes of record, scope and resource are kept beside it as `otlp.…`. What can be understood no
//! further is in quarantine, and so it is accepted; only records with nothing in them are rejected. Refusals
//! that are worth another try are 503 with `Retry-After`, as the protocol wants it.

mod json;
mod protobuf;
mod record;
mod wire;

use crate::api::framed::{self, Received};
use crate::params::media_type;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use record::{Fault, Gathered};
use serde_json::json;
use std::sync::Arc;

const SOURCE: &str = "otlp";

/// How the exporter writes, and wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// `POST /v1/logs`
pub(crate) async fn logs(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_protobuf = media_type(request.headers()).as_deref() == Some("application/x-protobuf");
    let encoding = if is_protobuf { Encoding::Protobuf } else { Encoding::Json };
    let taken = async {
        let _permit = framed::permit(&app)?;
        let received = framed::receive(request).await?;
        blocking(&app, move |app| take(app, encoding, &received)).await
    };
    match taken.await {
        Ok(rejected) => answer(encoding, rejected),
        Err(problem) => refuse(encoding, problem),
    }
}

/// Stores what was received; gives the number of records rejected.
fn take(app: &App, encoding: Encoding, received: &Received) -> Result<u64> {
    let gathered = match encoding {
        Encoding::Protobuf => wire::read(&received.body),
        Encoding::Json => json::read(&received.body),
    };
    let Gathered { told, rejected, .. } = gathered.map_err(|fault| match fault {
        Fault::Malformed(what) => {
            Problem::bad_request(format!("the body is no export of logs: {what}; nothing of it was stored"))
        }
        Fault::TooMuch => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too many records, or too long attributes of their resource, for one request; nothing of it was \
             stored; send smaller batches",
        ),
    })?;
    if !told.is_empty() {
        framed::store(app, SOURCE, received, told)?;
    }
    Ok(rejected)
}

/// `ExportLogsServiceResponse`
fn answer(encoding: Encoding, rejected: u64) -> Response {
    let message = format!("{rejected} records have neither body nor attributes");
    let body = match encoding {
        Encoding::Json if rejected == 0 => json!({}).to_string().into_bytes(),
        Encoding::Json => {
            let partial = json!({ "rejectedLogRecords": rejected.to_string(), "errorMessage": message });
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        Encoding::Protobuf if rejected == 0 => Vec::new(),
        Encoding::Protobuf => {
            let (mut partial, mut whole) = (Vec::new(), Vec::new());
            protobuf::write_varint(&mut partial, 1, rejected);
            protobuf::write_bytes(&mut partial, 2, message.as_bytes());
            protobuf::write_bytes(&mut whole, 1, &partial);
            whole
        }
    };
    (StatusCode::OK, [(header::CONTENT_TYPE, encoding.media_type())], body).into_response()
}

/// `google.rpc.Status`
fn refuse(encoding: Encoding, problem: Problem) -> Response {
    let code: u64 = match problem.status {
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        status if status.is_client_error() => 3,
        _ => 13,
    };
    let body = match encoding {
        Encoding::Json => json!({ "code": code, "message": problem.detail }).to_string().into_bytes(),
        Encoding::Protobuf => {
            let mut status = Vec::new();
            protobuf::write_varint(&mut status, 1, code);
            protobuf::write_bytes(&mut status, 2, problem.detail.as_bytes());
            status
        }
    };
    // With the headers of the problem: Retry-After is one of them.
    let (mut parts, _) = problem.into_response().into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    Response::from_parts(parts, body.into())
}
