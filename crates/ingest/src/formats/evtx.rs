//! Windows binary event logs, chunk by chunk, so that a stream needs no seeking and no more memory than a
//! chunk.
//!
//! Records come in the order of the file, which is not the order of time once a log has wrapped around.
//! The record kept with an event is its rendering as JSON: a record's own bytes cannot be read without the
//! templates of its chunk. Chunks and records that cannot be read are quarantined as they are.

use super::windows;
use crate::Result;
use crate::fault;
use crate::intake::{Intake, Origin};
use crate::json::Object;
use crate::record::Malformed;
use casemate_event::{Format, QuarantineReason, TimeQuality};
use evtx::err::EvtxError;
use evtx::{EvtxChunkData, ParserSettings};
use std::io::{self, Read};
use std::sync::Arc;

const HEADER_BYTES: u64 = 4096;
const CHUNK_BYTES: usize = 64 << 10;
const RECORD_MAGIC: &[u8] = b"\x2a\x2a\0\0";

/// Takes in an event log.
pub(crate) fn read(intake: &mut Intake<'_>, name: &str, reader: &mut dyn Read) -> Result<()> {
    let header = read_up_to(reader, HEADER_BYTES as usize).map_err(|error| intake.read_error(error))?;
    let mut log = Log { name, position: 0, damaged_records: 0 };
    if header.len() < HEADER_BYTES as usize {
        let detail = format!("the file ends inside its header, after {} bytes", header.len());
        intake.problem(format!("{name}: {detail}; copy or export the log again"));
        return log.damaged(intake, QuarantineReason::DamagedRecord, &detail, &header);
    }
    // Number of chunks at offset 42; a log that was not closed cleanly may hold more.
    let stated = header.get(42..44).map_or(0, |bytes| u64::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let settings = Arc::new(ParserSettings::new().num_threads(1).indent(false));
    let mut number = 0;
    loop {
        let mut chunk = read_up_to(reader, CHUNK_BYTES).map_err(|error| intake.read_error(error))?;
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        if chunk.iter().all(|&byte| byte == 0) {
            // Room that Windows allocates ahead.
            number += 1;
            continue;
        }
        if length < CHUNK_BYTES {
            intake.problem(format!(
                "{name}: is cut short: chunk {number} has {length} of {CHUNK_BYTES} bytes; its first records are \
                 taken in, copy or export the log again for the rest"
            ));
            chunk.resize(CHUNK_BYTES, 0);
        }
        log.chunk(intake, number, &chunk, length, &settings)?;
        number += 1;
    }
    if number < stated {
        intake.problem(format!(
            "{name}: is cut short: its header states {stated} chunks, {number} are there; copy or export the log again"
        ));
    }
    if log.damaged_records > 0 {
        intake.problem(format!(
            "{name}: {} records or chunks are damaged and kept in quarantine; export the log again with wevtutil epl",
            log.damaged_records
        ));
    }
    if log.position == 0 {
        intake.problem(format!("{name}: holds no records; check that the right log was exported"));
    }
    Ok(())
}

struct Log<'a> {
    name: &'a str,
    position: u64,
    damaged_records: u64,
}

impl Log<'_> {
    fn chunk(
        &mut self,
        intake: &mut Intake<'_>,
        number: u64,
        bytes: &[u8],
        length: usize,
        settings: &Arc<ParserSettings>,
    ) -> Result<()> {
        let there = bytes.get(..length).unwrap_or(bytes);
        let mut data = match attempt(|| EvtxChunkData::new(bytes.to_vec(), false)) {
            Ok(data) => data,
            Err(why) => {
                let detail = format!("chunk {number}: {}", why.detail);
                return self.damaged(intake, why.reason, &detail, there);
            }
        };
        if length == CHUNK_BYTES && !data.validate_checksum() {
            intake.problem(format!(
                "{}: the checksum of chunk {number} is wrong (the log was open when copied, or is damaged); its \
                 records are taken in as far as they can be read",
                self.name
            ));
        }
        let mut chunk = match attempt(|| data.parse(Arc::clone(settings))) {
            Ok(chunk) => chunk,
            Err(why) => {
                let detail = format!("chunk {number}: {}", why.detail);
                return self.damaged(intake, why.reason, &detail, there);
            }
        };
        let mut records = chunk.iter();
        loop {
            let rendered = fault::caught(|| {
                records.next().map(|record| {
                    let record = record?;
                    let time = record.timestamp;
                    record.into_json().map(|json| (time.as_nanosecond(), json.data))
                })
            });
            let rendered = match rendered {
                Ok(Some(rendered)) => rendered,
                Ok(None) => break,
                // Where the next record begins is not known any more.
                Err(fault) => {
                    let detail = format!("chunk {number}, from record {} on: {fault}", self.position + 1);
                    return self.damaged(intake, QuarantineReason::DecoderFault, &detail, there);
                }
            };
            match rendered {
                Ok((nanos, json)) => self.record(intake, nanos, &json)?,
                Err(error) => {
                    let detail = format!("chunk {number}: {}", chain(&error));
                    let reason = QuarantineReason::DamagedRecord;
                    self.damaged(intake, reason, &detail, record_bytes(bytes, &error))?;
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, intake: &mut Intake<'_>, nanos: i128, json: &str) -> Result<()> {
        self.position += 1;
        let origin = Origin { source: self.name, position: self.position };
        intake.decoded(origin, json.as_bytes(), || {
            let damaged = |what: String| Malformed::new(QuarantineReason::DamagedRecord, what);
            let object = serde_json::from_str::<Object<'_>>(json)
                .map_err(|error| damaged(format!("the record as JSON cannot be read: {error}")))?;
            let draft = windows::decode_evtx(&object);
            let mut draft = draft.ok_or_else(|| damaged("the record has no System part".to_owned()))?;
            draft.format = Format::Evtx;
            if draft.time.is_none() {
                draft.time =
                    jiff::Timestamp::from_nanosecond(nanos).ok().map(|time| (time, TimeQuality::Stated));
            }
            Ok(draft)
        })
    }

    fn damaged(
        &mut self,
        intake: &mut Intake<'_>,
        reason: QuarantineReason,
        detail: &str,
        raw: &[u8],
    ) -> Result<()> {
        self.position += 1;
        self.damaged_records += 1;
        let origin = Origin { source: self.name, position: self.position };
        intake.quarantine(origin, reason, detail, raw)
    }
}

/// What `read` gives, or why it gives nothing.
fn attempt<T, E: std::error::Error>(read: impl FnOnce() -> Result<T, E>) -> Result<T, Malformed> {
    match fault::caught(read) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Malformed::new(QuarantineReason::DamagedRecord, chain(&error))),
        Err(fault) => Err(Malformed::new(QuarantineReason::DecoderFault, fault)),
    }
}

/// Bytes of the record that an error is about, as far as they can be found in its chunk.
fn record_bytes<'a>(chunk: &'a [u8], error: &EvtxError) -> &'a [u8] {
    let start = match error {
        EvtxError::FailedToReadRecordAt { offset, .. } => usize::try_from(*offset).ok(),
        EvtxError::FailedToParseRecord { record_id, .. } => record_start(chunk, *record_id),
        _ => None,
    };
    let Some(rest) = start.and_then(|start| chunk.get(start..)) else { return &[] };
    let end = rest.get(4..).and_then(|after| memchr::memmem::find(after, RECORD_MAGIC)).map(|at| at + 4);
    rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
}

/// Where the record with an id starts.
fn record_start(chunk: &[u8], id: u64) -> Option<usize> {
    memchr::memmem::find_iter(chunk, RECORD_MAGIC)
        .find(|&start| chunk.get(start + 8..start + 16) == Some(id.to_le_bytes().as_slice()))
}

fn read_up_to(mut reader: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    (&mut reader).take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
