//! How are events written so that a few hundred of them compress well together and one is read without the
//! others?
//!
//! A chunk, all integers little endian: number of events (4), length of the head (4), then per event where it
//! ends (4, from the start of the rows), the head, the rows. The head holds each distinct name, source and
//! template of the chunk once; rows refer to them by place. Rows are LEB128 numbers and lengths with bytes
//! ([`varint`](crate::varint)). The number of the first event is kept by whoever keeps the chunk.

use crate::varint::{self, Reader};
use crate::{Error, Result};
use casemate_event::{Event, EventId, Fields, Stored, TemplateId, field};
use hashbrown::HashMap;
use jiff::Timestamp;
use std::ops::Range;

/// A chunk ends once it has this many events …
pub(crate) const MAX_EVENTS: usize = 256;
/// … or its rows this many bytes.
const MAX_BYTES: usize = 128 << 10;

const FIXED_LEN: usize = 8;

/// Writes one chunk of events from the beginning of `events`; returns how many it holds.
pub(crate) fn encode(events: &[Event], out: &mut Vec<u8>) -> Result<usize> {
    let mut head = Head::default();
    let mut rows = Vec::with_capacity(MAX_BYTES + 4096);
    let mut ends = Vec::with_capacity(MAX_EVENTS);
    for event in events.iter().take(MAX_EVENTS) {
        head.row(event, &mut rows)?;
        ends.push(length(rows.len())?);
        if rows.len() >= MAX_BYTES {
            break;
        }
    }
    let head = head.encode();
    out.reserve(FIXED_LEN + 4 * ends.len() + head.len() + rows.len());
    out.extend(length(ends.len())?.to_le_bytes());
    out.extend(length(head.len())?.to_le_bytes());
    ends.iter().for_each(|end| out.extend(end.to_le_bytes()));
    out.extend(head);
    out.extend(rows);
    Ok(ends.len())
}

/// A chunk ready to be read.
#[derive(Debug, Clone)]
pub(crate) struct Chunk<'a> {
    pub(crate) first_id: u64,
    ends: &'a [u8],
    strings: Vec<&'a str>,
    /// The same, where they are names of normalised fields.
    known: Vec<Option<&'static str>>,
    templates: Vec<TemplateId>,
    rows: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Reads the head of a chunk whose first event has this number; `None` if it is not one.
    pub(crate) fn open(bytes: &'a [u8], first_id: u64) -> Option<Self> {
        let (count, head_len) = fixed(bytes)?;
        let ends_end = FIXED_LEN.checked_add(count.checked_mul(4)?)?;
        let head_end = ends_end.checked_add(head_len)?;
        let mut head = Reader(bytes.get(ends_end..head_end)?);
        let strings: Vec<&str> = (0..head.index()?).map_while(|_| head.text()).collect();
        let known = strings.iter().map(|name| field::known(name)).collect();
        let templates = (0..head.index()?).map_while(|_| head.number().map(TemplateId)).collect();
        Some(Self {
            first_id,
            ends: bytes.get(FIXED_LEN..ends_end)?,
            strings,
            known,
            templates,
            rows: bytes.get(head_end..)?,
        })
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// Event `index`; `None` if the chunk does not hold it or its row makes no sense.
    pub(crate) fn event(&self, index: usize) -> Option<Stored> {
        let start = if index == 0 { 0 } else { self.end(index - 1)? };
        let mut row = Reader(self.rows.get(start..self.end(index)?)?);
        let time = Timestamp::new(row.signed()?, i32::try_from(row.signed()?).ok()?).ok()?;
        let event = Event {
            time,
            time_quality: row.value()?,
            format: row.value()?,
            class: row.value()?,
            source: (*self.strings.get(row.index()?)?).into(),
            position: row.number()?,
            template: *self.templates.get(row.index()?)?,
            message: row.text()?.to_owned(),
            fields: self.fields(&mut row)?,
            native: self.fields(&mut row)?,
            raw: row.bytes()?.to_vec(),
            template_text: String::new(),
        };
        Some(Stored { id: EventId(self.first_id.checked_add(index as u64)?), event })
    }

    /// Events at `range`; `None` if one of them cannot be read.
    pub(crate) fn events(&self, range: Range<usize>) -> Option<Vec<Stored>> {
        range.map(|index| self.event(index)).collect()
    }

    fn end(&self, index: usize) -> Option<usize> {
        let end = self.ends.get(index * 4..)?.first_chunk()?;
        Some(u32::from_le_bytes(*end) as usize)
    }

    fn fields(&self, row: &mut Reader<'a>) -> Option<Fields> {
        let mut fields = Fields::default();
        let count = row.index()?;
        fields.reserve(count.min(64), 0);
        for _ in 0..count {
            let name = row.index()?;
            match *self.known.get(name)? {
                Some(name) => fields.set_known(name, row.text()?),
                None => fields.set(*self.strings.get(name)?, row.text()?),
            }
        }
        Some(fields)
    }
}

/// Number of events, length of the head.
fn fixed(bytes: &[u8]) -> Option<(usize, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    Some((number(0)?, number(4)?))
}

/// What rows of a chunk refer to.
#[derive(Default)]
struct Head<'a> {
    strings: Vec<&'a str>,
    string_places: HashMap<&'a str, usize>,
    templates: Vec<TemplateId>,
    template_places: HashMap<u64, usize>,
}

impl<'a> Head<'a> {
    fn row(&mut self, event: &'a Event, out: &mut Vec<u8>) -> Result<()> {
        varint::put_signed(out, event.time.as_second());
        varint::put_signed(out, event.time.subsec_nanosecond().into());
        let kinds = (event.time_quality, event.format, event.class);
        // `extend` hands the buffer over and back.
        *out = postcard::to_extend(&kinds, std::mem::take(out))
            .map_err(|error| Error::Encode { what: "event", reason: error.to_string() })?;
        let source = self.string(&event.source);
        varint::put(out, source as u64);
        varint::put(out, event.position);
        let template = self.template(event.template);
        varint::put(out, template as u64);
        varint::put_bytes(out, event.message.as_bytes());
        self.fields(&event.fields, out);
        self.fields(&event.native, out);
        varint::put_bytes(out, &event.raw);
        Ok(())
    }

    fn fields(&mut self, fields: &'a Fields, out: &mut Vec<u8>) {
        varint::put(out, fields.len() as u64);
        for (name, value) in fields.iter() {
            let name = self.string(name);
            varint::put(out, name as u64);
            varint::put_bytes(out, value.as_bytes());
        }
    }

    fn string(&mut self, text: &'a str) -> usize {
        let next = self.strings.len();
        *self.string_places.entry(text).or_insert_with(|| {
            self.strings.push(text);
            next
        })
    }

    fn template(&mut self, id: TemplateId) -> usize {
        let next = self.templates.len();
        *self.template_places.entry(id.0).or_insert_with(|| {
            self.templates.push(id);
            next
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.strings.len() as u64);
        self.strings.iter().for_each(|text| varint::put_bytes(&mut out, text.as_bytes()));
        varint::put(&mut out, self.templates.len() as u64);
        self.templates.iter().for_each(|id| varint::put(&mut out, id.0));
        out
    }
}

pub(crate) fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::Encode {
        what: "batch",
        reason: format!("{length} bytes are more than 4 GiB; send smaller batches"),
    })
}
