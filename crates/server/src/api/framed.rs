//! What do the endpoints that shippers use have in common? A bounded body, unpacked within bounds, and records
//! that are durable before they are acknowledged.

use crate::api::ingest::{self, MAX_BODY_BYTES};
use crate::api::once::{self, Once};
use crate::problem::{Problem, Result};
use crate::state::App;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use casemate_event::{Batch, SourceProgress, TimeQuality, field};
use casemate_receive::Records;
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What a sender says about a record beside it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) time: Option<Timestamp>,
    pub(crate) host: Option<String>,
    /// Kept under these names.
    pub(crate) native: Vec<(String, String)>,
}

/// A record and what its sender says about it.
pub(crate) type Told = (Vec<u8>, Beside);

/// A place among the bodies held at once, or a problem that says when to come back.
pub(crate) fn permit(app: &App) -> Result<OwnedSemaphorePermit> {
    Arc::clone(&app.ingest_permits)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("too many bodies are being taken in at once; send this one again", 2))
}

/// A body, and the key its sender gave it.
pub(crate) struct Received {
    pub(crate) body: Vec<u8>,
    key: Option<String>,
}

/// The body, unpacked if it says that it is packed.
pub(crate) async fn receive(request: Request) -> Result<Received> {
    let packed = is_gzip(request.headers())?;
    let key = once::key(request.headers())?;
    let body = ingest::read(request).await?;
    if !packed {
        return Ok(Received { body, key });
    }
    let unpacking = tokio::task::spawn_blocking(move || unpack(&body));
    let body = unpacking.await.map_err(|error| Problem::internal("unpacking the body", &error))??;
    Ok(Received { body, key })
}

fn is_gzip(headers: &HeaderMap) -> Result<bool> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content encoding is not known; send gzip, or none",
        )),
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_BODY_BYTES as u64 + 1;
    MultiGzDecoder::new(packed).take(limit).read_to_end(&mut bytes).map_err(|error| {
        Problem::bad_request(format!("the body is not gzip all through ({error}); nothing of it was stored"))
    })?;
    if bytes.len() > MAX_BODY_BYTES {
        return Err(ingest::too_large());
    }
    Ok(bytes)
}

/// Stores records of one source, which were told in what was received: all or nothing, and once if it has a key.
/// Durable when it returns; detection follows in the background.
pub(crate) fn store(app: &App, source: &str, received: &Received, told: Vec<Told>) -> Result<()> {
    let once = received.key.as_deref().map(|key| Once::begin(app, key, &received.body)).transpose()?;
    if once.as_ref().is_some_and(Once::is_done) {
        return Ok(app.pipeline.store().sync()?);
    }
    let mut records = Vec::with_capacity(told.len());
    let mut besides = Vec::with_capacity(told.len());
    for (index, (raw, beside)) in told.into_iter().enumerate() {
        records.push((index as u64 + 1, raw));
        besides.push(beside);
    }
    let mut batch = app.intake.decode(Records { source, records: &records }).map_err(not_stored)?;
    tell(&mut batch, &besides);
    batch.progress = once.as_ref().map(|once| SourceProgress {
        sha256: once.key.clone(),
        name: source.to_owned(),
        position: records.len() as u64,
        complete: true,
    });
    app.intake.append(source, &batch).map_err(not_stored)
}

fn not_stored(error: casemate_receive::Error) -> Problem {
    match error {
        casemate_receive::Error::Store(error) => Problem::not_stored(&error),
        other => Problem::internal("decoding the records", &other),
    }
}

/// Adds what senders said to the events; what a record says itself goes first.
fn tell(batch: &mut Batch, besides: &[Beside]) {
    for event in &mut batch.events {
        let index = usize::try_from(event.position).unwrap_or_default().wrapping_sub(1);
        let Some(beside) = besides.get(index) else { continue };
        if let Some(time) = beside.time.filter(|_| event.time_quality == TimeQuality::Arrival) {
            (event.time, event.time_quality) = (time, TimeQuality::Stated);
        }
        if let Some(host) = beside.host.as_deref().filter(|_| event.field(field::DEVICE_HOSTNAME).is_none()) {
            event.fields.set(field::DEVICE_HOSTNAME, host);
        }
        for (name, value) in &beside.native {
            if event.native.get(name).is_none() {
                event.native.set(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn unpacking_is_bounded() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=(MAX_BODY_BYTES >> 20) {
            packer.write_all(&zeros).unwrap();
        }
        let packed = packer.finish().unwrap();
        assert!(packed.len() < 1 << 20);
        assert_eq!(unpack(&packed).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(unpack(b"not gzip").unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
