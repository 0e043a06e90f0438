//! How does log data come in over HTTP? A whole body or nothing: it is read first, then stored, then answered.

use crate::api::once::{self, Once};
use crate::hub::lock;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use casemate_event::Format;
use casemate_ingest::Summary;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest body taken; more is sent in parts or read with `casemate ingest`.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 20;
/// Name of the source.
const SOURCE: &str = "http";
/// Longest pause within a body.
const STALL: Duration = Duration::from_secs(30);

/// `POST /v1/ingest/{format}`
pub(crate) async fn ingest(
    State(app): State<Arc<App>>,
    Path(format): Path<String>,
    request: Request,
) -> Result<Json<Value>> {
    let hint = parse_format(&format)?;
    check_encoding(&request)?;
    let Ok(_permit) = Arc::clone(&app.ingest_permits).try_acquire_owned() else {
        return Err(Problem::busy("too many bodies are being taken in at once; send this one again", 2));
    };
    let key = once::key(request.headers())?;
    let body = read(request).await?;
    blocking(&app, move |app| store(app, hint, key.as_deref(), &body)).await.map(Json)
}

fn parse_format(name: &str) -> Result<Option<Format>> {
    if name == "auto" {
        return Ok(None);
    }
    let known = Format::ALL.into_iter().find(|format| format.name() == name);
    known.map(Some).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        Problem::not_found(format!("there is no format {name:?}; use auto, or one of {}", names.join(", ")))
    })
}

fn check_encoding(request: &Request) -> Result<()> {
    let encoded = request.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if encoded {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body has a content encoding; send it without (gzip and zip are recognised by content)",
        ));
    }
    Ok(())
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!(
            "the body is longer than {} MiB and nothing of it was stored; send it in parts, or run `casemate ingest` \
             on the file",
            MAX_BODY_BYTES >> 20
        ),
    )
}

/// The body, bounded in length and in pauses.
pub(crate) async fn read(request: Request) -> Result<Vec<u8>> {
    let mut body = request.into_body();
    let announced = body.size_hint().lower();
    if announced > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut body).await? {
        if bytes.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn next_chunk(body: &mut Body) -> Result<Option<axum::body::Bytes>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        let Ok(frame) = tokio::time::timeout(STALL, frame).await else {
            let detail =
                format!("no byte of the body came for {} s; nothing of it was stored", STALL.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                let detail = format!("the body is cut short and nothing of it was stored: {error}");
                return Err(Problem::bad_request(detail));
            }
            // Trailers are no data.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn store(app: &App, hint: Option<Format>, key: Option<&str>, body: &[u8]) -> Result<Value> {
    let pipeline = &app.pipeline;
    let once = key.map(|key| Once::begin(app, key, body)).transpose()?;
    let (first, summary, last) = {
        let _turn = lock(&app.ingest_turn);
        let before = pipeline.store().last_id();
        let summary = match &once {
            None => pipeline.ingest_stream(SOURCE, body, hint).map_err(ingest_problem)?,
            Some(once) => {
                let taken = pipeline.ingest_stream_once(SOURCE, &once.key, body, hint);
                taken.map_err(ingest_problem)?.unwrap_or_else(|| taken_before(once, body))
            }
        };
        (before.0 + 1, summary, pipeline.store().last_id().0)
    };
    let alerts = catch_up(app);
    app.intake.sources().count(
        SOURCE,
        summary.records,
        summary.bytes,
        summary.quarantined_count(),
        Instant::now(),
    );
    Ok(summary_json(&summary, (first, last), &alerts))
}

/// Runs detection; gives the alerts raised or extended. What is stored stays stored: a failure here must not make
/// the sender send it again.
pub(crate) fn catch_up(app: &App) -> Vec<Value> {
    let alerts = match app.pipeline.catch_up(&mut |_, _, _| {}) {
        Ok(done) => done.alerts,
        Err(error) => {
            tracing::error!(%error, "detection after ingest failed; it is tried again with the next data");
            Vec::new()
        }
    };
    let shown = alerts.iter();
    shown.map(|alert| json!({ "id": alert.id, "title": alert.title, "severity": alert.severity })).collect()
}

/// What is said of a body that was taken in whole by an earlier request.
fn taken_before(once: &Once<'_>, body: &[u8]) -> Summary {
    let skipped = once.known.as_ref().map_or(0, |known| known.position);
    Summary { bytes: body.len() as u64, skipped, ..Summary::default() }
}

fn ingest_problem(error: casemate_pipeline::Error) -> Problem {
    match error {
        casemate_pipeline::Error::Ingest(casemate_ingest::Error::Sink { source, .. }) => {
            match source.downcast::<casemate_store::Error>() {
                Ok(error) => Problem::not_stored(&error),
                Err(error) => Problem::internal("storing the body", &error),
            }
        }
        casemate_pipeline::Error::Ingest(error) => {
            Problem::internal("taking in the body (what was accepted before stays)", &error)
        }
        casemate_pipeline::Error::Store(error) => Problem::not_stored(&error),
        other => Problem::internal("storing the body", &other),
    }
}

fn summary_json(summary: &Summary, (first, last): (u64, u64), alerts: &[Value]) -> Value {
    let events: BTreeMap<&str, u64> =
        summary.events.iter().map(|(format, count)| (format.name(), *count)).collect();
    let quarantined: BTreeMap<&str, u64> =
        summary.quarantined.iter().map(|(reason, count)| (reason.name(), *count)).collect();
    json!({
        "bytes": summary.bytes,
        "records": summary.records,
        "skipped": summary.skipped,
        "events": events,
        "quarantined": quarantined,
        "problems": summary.problems,
        "event_ids": if first <= last { json!({ "first": first, "last": last }) } else { Value::Null },
        "alerts": alerts,
    })
}
