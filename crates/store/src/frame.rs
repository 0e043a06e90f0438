//! How is a batch written into one frame of the write-ahead log?
//!
//! Number of chunks (4 bytes), for each the number of its first event (8), how many it has (4), its length (4)
//! and its length when unpacked, 0 if it is not packed (4); the chunks; then everything that is no event, as
//! postcard. A frame needs no other to be read: it repeats the texts of the templates it uses.
//!
//! Chunks are compressed before they are written, but for small ones, which are put together later.

use crate::chunk::{self, Chunk, length};
use crate::pack::{pack, unpack};
use crate::quarantine::Resolved;
use crate::{Error, Result};
use casemate_disk::Frame;
use casemate_event::{Batch, Quarantined, SourceProgress, TemplateId};
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// Chunks smaller than this, as slow senders make them, are put together before they are compressed.
pub(crate) const SMALL_CHUNK: usize = 32 << 10;

const ENTRY_LEN: usize = 20;

/// The bytes of a chunk.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Plain(Arc<[u8]>),
    Packed { bytes: Arc<[u8]>, unpacked: usize },
}

/// A chunk of a frame: the number of its first event, how many it has, and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct FrameChunk {
    pub(crate) first_id: u64,
    pub(crate) events: usize,
    pub(crate) bytes: Bytes,
}

/// Everything of a frame but its events.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Side<'a> {
    /// Template texts, each once.
    #[serde(borrow)]
    pub(crate) templates: Vec<(TemplateId, Cow<'a, str>)>,
    pub(crate) quarantined: Cow<'a, [Quarantined]>,
    pub(crate) progress: Option<Cow<'a, SourceProgress>>,
    /// Quarantined records that the events of this frame take the place of.
    pub(crate) resolved: Cow<'a, [Resolved]>,
}

impl<'a> Side<'a> {
    pub(crate) fn of(batch: &'a Batch, resolved: &'a [Resolved]) -> Self {
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

impl Bytes {
    pub(crate) fn stored(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) | Self::Packed { bytes, .. } => bytes,
        }
    }

    /// The bytes unpacked; `None` if they do not unpack.
    pub(crate) fn unpack(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Plain(bytes) => Some(Arc::clone(bytes)),
            Self::Packed { bytes, unpacked } => unpack(bytes, *unpacked).map(Arc::from),
        }
    }
}

/// A batch as bytes.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) chunks: Vec<FrameChunk>,
    side: Vec<u8>,
}

impl Encoded {
    /// Encodes a batch, its events numbered from 0.
    pub(crate) fn new(batch: &Batch, resolved: &[Resolved]) -> Result<Self> {
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < batch.events.len() {
            let mut plain = Vec::new();
            let events = chunk::encode(&batch.events[start..], &mut plain)?;
            let bytes = if plain.len() < SMALL_CHUNK {
                Bytes::Plain(plain.into())
            } else {
                Bytes::Packed { bytes: pack(&plain)?.into(), unpacked: plain.len() }
            };
            chunks.push(FrameChunk { first_id: start as u64, events, bytes });
            start += events;
        }
        let side = postcard::to_stdvec(&Side::of(batch, resolved))
            .map_err(|error| Error::Encode { what: "batch", reason: error.to_string() })?;
        Ok(Self { chunks, side })
    }

    /// Numbers the events from `first_id` on. Once.
    pub(crate) fn renumber(&mut self, first_id: u64) {
        self.chunks.iter_mut().for_each(|chunk| chunk.first_id += first_id);
    }

    /// The frame.
    pub(crate) fn payload(&self) -> Result<Vec<u8>> {
        let bytes: usize = self.chunks.iter().map(|chunk| chunk.bytes.stored().len()).sum();
        let mut payload = Vec::with_capacity(4 + self.chunks.len() * ENTRY_LEN + bytes + self.side.len());
        payload.extend(length(self.chunks.len())?.to_le_bytes());
        for chunk in &self.chunks {
            let unpacked = match &chunk.bytes {
                Bytes::Plain(_) => 0,
                Bytes::Packed { unpacked, .. } => *unpacked,
            };
            payload.extend(chunk.first_id.to_le_bytes());
            payload.extend(length(chunk.events)?.to_le_bytes());
            payload.extend(length(chunk.bytes.stored().len())?.to_le_bytes());
            payload.extend(length(unpacked)?.to_le_bytes());
        }
        self.chunks.iter().for_each(|chunk| payload.extend_from_slice(chunk.bytes.stored()));
        payload.extend_from_slice(&self.side);
        Ok(payload)
    }
}

/// A frame read back: its chunks, and the rest.
pub(crate) fn decode(frame: &Frame) -> Result<(Vec<FrameChunk>, Side<'_>)> {
    let damaged = |what: &str| Error::from(frame.damaged(0, what));
    let (chunks, end) = chunks(frame).ok_or_else(|| damaged("its chunks do not fit"))?;
    let side = postcard::from_bytes(frame.get(end..).unwrap_or_default())
        .map_err(|error| damaged(&format!("what belongs to its events does not decode ({error})")))?;
    Ok((chunks, side))
}

/// The events of a chunk; `None` if they do not decode.
pub(crate) fn events(chunk: &FrameChunk) -> Option<Vec<casemate_event::Event>> {
    let bytes = chunk.bytes.unpack()?;
    let opened = Chunk::open(&bytes, chunk.first_id).filter(|opened| opened.len() == chunk.events)?;
    Some(opened.events(0..chunk.events)?.into_iter().map(|stored| stored.event).collect())
}

fn chunks(payload: &[u8]) -> Option<(Vec<FrameChunk>, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?) as usize);
    let count = number(0)?;
    let mut end = count.checked_mul(ENTRY_LEN)?.checked_add(4).filter(|end| *end <= payload.len())?;
    let mut chunks = Vec::with_capacity(count);
    for index in 0..count {
        let entry = 4 + index * ENTRY_LEN;
        let first_id = u64::from_le_bytes(*payload.get(entry..)?.first_chunk()?);
        let (events, stored, unpacked) = (number(entry + 8)?, number(entry + 12)?, number(entry + 16)?);
        let bytes: Arc<[u8]> = payload.get(end..end.checked_add(stored)?)?.into();
        end += stored;
        let bytes = if unpacked == 0 { Bytes::Plain(bytes) } else { Bytes::Packed { bytes, unpacked } };
        chunks.push(FrameChunk { first_id, events, bytes });
    }
    Some((chunks, end))
}
