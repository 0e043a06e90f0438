//! How is a batch written into one frame of the log, so that one event can be read without the others?
//!
//! All integers little endian: number of events (4 bytes), length of the head (4), then per event where it
//! ends (4, from the start of the events) and its checksum (4), then the head, then the events. Head and
//! events are postcard. A checksum covers the event's number too, so no event passes for another.

use crate::{Error, Result};
use casemate_disk::Frame;
use casemate_event::{
    Batch, Class, Event, EventId, Fields, Format, Quarantined, SourceProgress, Stored, TemplateId,
    TimeQuality,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;

/// Everything of a frame but its events.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    /// Number of the first event.
    pub(crate) first_id: u64,
    /// Texts of templates that no earlier frame has.
    pub(crate) templates: Vec<(TemplateId, Cow<'a, str>)>,
    pub(crate) quarantined: Cow<'a, [Quarantined]>,
    pub(crate) progress: Option<Cow<'a, SourceProgress>>,
}

/// An event on disk: as [`Event`], with its time as numbers and its bytes as bytes.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    second: i64,
    nanosecond: i32,
    time_quality: TimeQuality,
    format: Format,
    class: Class,
    source: &'a str,
    position: u64,
    message: &'a str,
    fields: Cow<'a, Fields>,
    native: Cow<'a, Fields>,
    #[serde(serialize_with = "as_bytes")]
    raw: &'a [u8],
    template: TemplateId,
}

fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

const COUNTS_LEN: usize = 8;
const ENTRY_LEN: usize = 8;

/// Payload of the frame for `batch`, whose first event gets `first_id`.
pub(crate) fn encode(
    first_id: u64,
    batch: &Batch,
    templates: Vec<(TemplateId, Cow<'_, str>)>,
) -> Result<Vec<u8>> {
    let head = Head {
        first_id,
        templates,
        quarantined: Cow::Borrowed(&batch.quarantined),
        progress: batch.progress.as_ref().map(Cow::Borrowed),
    };
    let head = postcard::to_stdvec(&head).map_err(|e| encode_error("batch", &e))?;
    let count = batch.events.len();
    let mut frame = Vec::with_capacity(COUNTS_LEN + count * (ENTRY_LEN + 1024) + head.len());
    frame.extend(length(count)?.to_le_bytes());
    frame.extend(length(head.len())?.to_le_bytes());
    let table = frame.len();
    frame.resize(table + count * ENTRY_LEN, 0);
    frame.extend(&head);
    let events = frame.len();
    for (index, event) in batch.events.iter().enumerate() {
        let start = frame.len();
        frame = postcard::to_extend(&record(event), frame).map_err(|e| encode_error("event", &e))?;
        let checksum = checksum(first_id + index as u64, &frame[start..]);
        let end = length(frame.len() - events)?;
        let entry = table + index * ENTRY_LEN;
        frame[entry..entry + 4].copy_from_slice(&end.to_le_bytes());
        frame[entry + 4..entry + 8].copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(frame)
}

/// Head of a verified frame.
pub(crate) fn head(frame: &Frame) -> Result<Head<'_>> {
    let layout = Layout::of(frame)?;
    postcard::from_bytes(&frame[layout.head..layout.events])
        .map_err(|e| frame.damaged(layout.head, format!("its head does not decode ({e})")).into())
}

/// Number of events in a frame.
pub(crate) fn count(frame: &Frame) -> Result<usize> {
    Ok(Layout::of(frame)?.count)
}

/// Event `index` of a frame whose first event is `first_id`. Verified by its own checksum: the frame's need
/// not be.
pub(crate) fn event(frame: &Frame, first_id: u64, index: usize) -> Result<Stored> {
    let layout = Layout::of(frame)?;
    let id = first_id + index as u64;
    let entry = COUNTS_LEN + index * ENTRY_LEN;
    let damaged = |what: &str| Error::from(frame.damaged(entry, format!("event {id} {what}")));
    let start = if index == 0 { 0 } else { u32_at(frame, entry - ENTRY_LEN) as usize };
    let end = u32_at(frame, entry) as usize;
    let bytes = (index < layout.count)
        .then(|| frame.get(layout.events + start..layout.events + end))
        .flatten()
        .ok_or_else(|| damaged("lies outside its frame"))?;
    if checksum(id, bytes) != u32_at(frame, entry + 4) {
        return Err(damaged("does not match its checksum"));
    }
    let record: Record<'_> =
        postcard::from_bytes(bytes).map_err(|e| damaged(&format!("does not decode ({e})")))?;
    let time = Timestamp::new(record.second, record.nanosecond)
        .map_err(|e| damaged(&format!("has no valid time ({e})")))?;
    Ok(Stored { id: EventId(id), event: record.into_event(time) })
}

fn record(event: &Event) -> Record<'_> {
    Record {
        second: event.time.as_second(),
        nanosecond: event.time.subsec_nanosecond(),
        time_quality: event.time_quality,
        format: event.format,
        class: event.class,
        source: &event.source,
        position: event.position,
        message: &event.message,
        fields: Cow::Borrowed(&event.fields),
        native: Cow::Borrowed(&event.native),
        raw: &event.raw,
        template: event.template,
    }
}

impl Record<'_> {
    fn into_event(self, time: Timestamp) -> Event {
        Event {
            time,
            time_quality: self.time_quality,
            format: self.format,
            class: self.class,
            source: self.source.to_owned(),
            position: self.position,
            message: self.message.to_owned(),
            fields: self.fields.into_owned(),
            native: self.native.into_owned(),
            raw: self.raw.to_vec(),
            template: self.template,
            template_text: String::new(),
        }
    }
}

struct Layout {
    count: usize,
    /// Where the head starts.
    head: usize,
    /// Where the events start.
    events: usize,
}

impl Layout {
    fn of(frame: &Frame) -> Result<Self> {
        let count = u32_at(frame, 0) as usize;
        let head = COUNTS_LEN + count * ENTRY_LEN;
        let events = head + u32_at(frame, 4) as usize;
        if frame.len() < COUNTS_LEN || events > frame.len() {
            return Err(frame.damaged(0, "its table of events does not fit").into());
        }
        Ok(Self { count, head, events })
    }
}

fn checksum(id: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|tail| tail.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::Encode {
        what: "batch",
        reason: format!("{length} is more than 4 GiB; send smaller batches"),
    })
}

fn encode_error(what: &'static str, error: &postcard::Error) -> Error {
    Error::Encode { what, reason: error.to_string() }
}
