//! How is a batch written into one frame of the write-ahead log?
//!
//! Number of chunks (4 bytes), each chunk behind its length (4), then everything that is no event, as
//! postcard. A frame needs no other to be read: it repeats the texts of the templates it uses.

use crate::chunk::{self, Chunk};
use crate::quarantine::QuarantineId;
use crate::{Error, Result};
use casemate_disk::Frame;
use casemate_event::{Batch, Quarantined, SourceProgress, TemplateId};
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Everything of a frame but its events.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Side<'a> {
    /// Template texts, each once.
    #[serde(borrow)]
    pub(crate) templates: Vec<(TemplateId, Cow<'a, str>)>,
    pub(crate) quarantined: Cow<'a, [Quarantined]>,
    pub(crate) progress: Option<Cow<'a, SourceProgress>>,
    /// Quarantined records that the events of this frame take the place of.
    pub(crate) resolved: Cow<'a, [QuarantineId]>,
}

/// A batch as bytes, its events not yet numbered.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) payload: Vec<u8>,
    /// Where chunks lie in the payload.
    chunks: Vec<std::ops::Range<usize>>,
}

impl<'a> Side<'a> {
    pub(crate) fn of(batch: &'a Batch, resolved: &'a [QuarantineId]) -> Self {
        let mut seen = HashSet::new();
        let templates = batch.events.iter().filter(|event| seen.insert(event.template.0));
        Self {
            templates: templates
                .map(|event| (event.template, Cow::from(event.template_text.as_str())))
                .collect(),
            quarantined: Cow::from(&batch.quarantined),
            progress: batch.progress.as_ref().map(Cow::Borrowed),
            resolved: Cow::from(resolved),
        }
    }
}

impl Encoded {
    pub(crate) fn new(batch: &Batch, resolved: &[QuarantineId]) -> Result<Self> {
        let raw: usize = batch.events.iter().map(|event| event.raw.len()).sum();
        let mut payload = Vec::with_capacity(1024 + 3 * raw + 64 * batch.events.len());
        payload.extend([0; 4]);
        let count = chunk::encode_all(&batch.events, &mut payload)?;
        payload[..4].copy_from_slice(&count.to_le_bytes());
        let (chunks, end) = locate(&payload).ok_or_else(|| encode_error("its chunks do not line up"))?;
        payload.truncate(end);
        let side = Side::of(batch, resolved);
        let payload =
            postcard::to_extend(&side, payload).map_err(|error| encode_error(&error.to_string()))?;
        Ok(Self { payload, chunks })
    }

    /// Numbers the events from `first_id` on. Once.
    pub(crate) fn renumber(&mut self, first_id: u64) {
        for range in &self.chunks {
            chunk::renumber(&mut self.payload[range.clone()], first_id);
        }
    }

    /// Encoded chunks in order, with the number of events in each.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.chunks.iter().map(|range| {
            let bytes = &self.payload[range.clone()];
            (bytes, chunk::count(bytes))
        })
    }
}

/// A frame read back: its chunks as written, and the rest.
pub(crate) fn decode(frame: &Frame) -> Result<(Vec<&[u8]>, Side<'_>)> {
    let damaged = |what: &str| Error::from(frame.damaged(0, what));
    let (chunks, end) = locate(frame).ok_or_else(|| damaged("its chunks do not fit"))?;
    let side = postcard::from_bytes(frame.get(end..).unwrap_or_default())
        .map_err(|error| damaged(&format!("what belongs to its events does not decode ({error})")))?;
    Ok((chunks.into_iter().map(|range| &frame[range]).collect(), side))
}

/// A chunk of a frame, ready to be read.
pub(crate) fn open<'a>(frame: &Frame, bytes: &'a [u8]) -> Result<Chunk<'a>> {
    Chunk::open(bytes).ok_or_else(|| frame.damaged(0, "a chunk in it does not decode").into())
}

/// Where chunks lie in a payload, and where they end.
fn locate(payload: &[u8]) -> Option<(Vec<std::ops::Range<usize>>, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?) as usize);
    let mut at = 4_usize;
    let mut chunks = Vec::new();
    for _ in 0..number(0)? {
        let start = at + 4;
        let end = start.checked_add(number(at)?).filter(|end| *end <= payload.len())?;
        chunks.push(start..end);
        at = end;
    }
    Some((chunks, at))
}

fn encode_error(reason: &str) -> Error {
    Error::Encode { what: "batch", reason: reason.to_owned() }
}
