//! Where is what in the file? Found from a header of fixed size, so that opening costs the same for any file.
//!
//! The payload of a sealed file (see `casemate_disk`), little endian, parts on cache lines, in this order:
//!
//! | part | what |
//! |---|---|
//! | header | [`HEADER_NUMBERS`] 64-bit numbers: dimension, points, ids, `m`, `ef_construct`, entry point, place of the entry in the highest layer, number of upper layers, points on each of those |
//! | records | of each point its code, its scale (f32) and its links on the lowest layer, in whole cache lines: what a search reads |
//! | upper layers | rows of point, place on the layer below, `m` places on the same layer |
//! | vectors | of each point its numbers in 16 bits: read to order the last few candidates |
//! | ids | ascending, 64 bits |
//! | points | of each id |
//! | starts, members | which ids a point has, as places in *ids* |
//!
//! Links take three bytes each while that is enough for all points, else four. A link of all ones is none,
//! and the last. What a link or a place says is checked by who reads it.

use crate::build::{MAX_DIMENSION, MAX_VECTORS};
use crate::code;
use crate::graph::{Codes, Graph, MAX_LAYER};
use crate::kernel::LINE;
use crate::{Params, Result};
use casemate_disk::Sealed;
use half::f16;
use std::io::{self, Write};
use std::ops::Range;

/// First bytes of the file.
pub const MAGIC: [u8; 8] = *b"CMHNSW\0\0";
/// Version of its format.
pub const VERSION: u32 = 2;

const HEADER_NUMBERS: usize = 32;
const HEADER_LEN: usize = HEADER_NUMBERS * 8;
const FIXED_NUMBERS: usize = 8;
/// No link, where there is room for one.
const NONE: u32 = u32::MAX;

/// Where the parts are in the payload, in bytes, and what the header says.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dimension: usize,
    pub(crate) points: usize,
    pub(crate) ids: usize,
    pub(crate) params: Params,
    pub(crate) entry: u32,
    pub(crate) top: u32,
    /// Bytes of a code in a record; its scale follows, then the links.
    pub(crate) code: usize,
    pub(crate) record: usize,
    pub(crate) link: usize,
    records: usize,
    /// First byte and number of points of each upper layer, lowest first.
    pub(crate) upper: Vec<(usize, usize)>,
    vectors: usize,
    id_list: usize,
    point_list: usize,
    starts: usize,
    members: usize,
    end: usize,
}

impl Layout {
    /// Reads the header of `file` and sees that it is as long as that says.
    pub(crate) fn read(file: &Sealed) -> Result<Self> {
        let mut header = [0; HEADER_NUMBERS];
        let bytes = file.bytes(0..HEADER_LEN)?;
        for (number, bytes) in header.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64_at(bytes, 0);
        }
        let layout = Self::new(header).filter(|layout| layout.end == file.len());
        Ok(layout.ok_or_else(|| file.damaged(0, "its header does not fit the rest"))?)
    }

    fn new(header: [u64; HEADER_NUMBERS]) -> Option<Self> {
        let number = |index: usize, low: usize, high: usize| {
            usize::try_from(header[index]).ok().filter(|number| (low..=high).contains(number))
        };
        let dimension = number(0, 1, MAX_DIMENSION)?;
        let points = number(1, 0, MAX_VECTORS)?;
        let ids = number(2, points, MAX_VECTORS)?;
        let params = Params { m: number(3, 2, 128)?, ef_construct: number(4, 1, 10_000)? };
        let entry = number(5, 0, points.saturating_sub(1))? as u32;
        let layers = number(7, 0, MAX_LAYER)?;
        let code = code::length(dimension);
        let link = if points < 0xff_ffff { 3 } else { 4 };
        let record = (code + 4 + 2 * params.m * link).next_multiple_of(LINE);

        let mut end = HEADER_LEN;
        let mut part = |count: usize, size: usize| {
            let start = end;
            end = start.checked_add(count.checked_mul(size)?)?.checked_next_multiple_of(LINE)?;
            Some(start)
        };
        let records = part(points, record)?;
        let mut upper = Vec::with_capacity(layers);
        for layer in 0..layers {
            let count = number(FIXED_NUMBERS + layer, 1, points)?;
            upper.push((part(count, upper_row(params))?, count));
        }
        let top = number(6, 0, upper.last().map_or(0, |(_, count)| count - 1))? as u32;
        let (vectors, id_list, point_list) = (part(points, dimension * 2)?, part(ids, 8)?, part(ids, 4)?);
        let (starts, members) = (part(points + 1, 4)?, part(ids, 4)?);
        Some(Self {
            dimension,
            points,
            ids,
            params,
            entry,
            top,
            code,
            record,
            link,
            records,
            upper,
            vectors,
            id_list,
            point_list,
            starts,
            members,
            end,
        })
    }

    /// Bytes that searches read: records and upper layers.
    pub(crate) fn hot_bytes(&self) -> usize {
        self.vectors - self.records
    }

    pub(crate) fn record(&self, point: u32) -> Range<usize> {
        let start = self.records + point as usize * self.record;
        start..start + self.record
    }

    /// Row of a place on an upper layer.
    pub(crate) fn upper_row(&self, start: usize, place: u32) -> Range<usize> {
        let length = upper_row(self.params);
        let start = start + place as usize * length;
        start..start + length
    }

    pub(crate) fn vector(&self, point: u32) -> Range<usize> {
        let start = self.vectors + point as usize * self.dimension * 2;
        start..start + self.dimension * 2
    }

    pub(crate) fn id(&self, place: usize) -> Range<usize> {
        self.id_list + place * 8..self.id_list + (place + 1) * 8
    }

    pub(crate) fn point(&self, place: usize) -> Range<usize> {
        self.point_list + place * 4..self.point_list + (place + 1) * 4
    }

    /// Where the members of a point begin and end, two numbers.
    pub(crate) fn starts(&self, point: u32) -> Range<usize> {
        let start = self.starts + point as usize * 4;
        start..start + 8
    }

    pub(crate) fn members(&self, places: Range<usize>) -> Range<usize> {
        self.members + places.start * 4..self.members + places.end * 4
    }
}

fn upper_row(params: Params) -> usize {
    8 + 4 * params.m
}

/// What is written.
pub(crate) struct Contents<'a> {
    pub(crate) dimension: usize,
    pub(crate) params: Params,
    /// Under the numbers of insertion, as are the vectors.
    pub(crate) codes: &'a Codes<'a>,
    pub(crate) vectors: &'a [f16],
    /// Ids, ascending, and their points under the new numbers.
    pub(crate) points: &'a [(u64, u32)],
    pub(crate) graph: &'a Graph,
}

impl Contents<'_> {
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let graph = self.graph;
        let mut header = [0; HEADER_NUMBERS];
        let numbers = [
            self.dimension,
            graph.order.len(),
            self.points.len(),
            self.params.m,
            self.params.ef_construct,
            graph.entry as usize,
            graph.top as usize,
            graph.upper.len(),
        ];
        let counts = graph.upper.iter().map(Vec::len);
        for (number, value) in header.iter_mut().zip(numbers.into_iter().chain(counts)) {
            *number = value as u64;
        }
        let layout = Layout::new(header).ok_or_else(|| io::Error::other("an index out of its limits"))?;
        let mut out = Aligned { out, written: 0 };
        out.put(bytemuck::cast_slice(&header))?;
        for (&old, links) in graph.order.iter().zip(&graph.links) {
            self.write_record(&layout, old, links, &mut out)?;
        }
        for layer in &graph.upper {
            for point in layer {
                let links = point.links.iter().copied().chain(std::iter::repeat(NONE));
                let row = [point.point, point.below].into_iter().chain(links.take(self.params.m));
                out.put(bytemuck::cast_slice(&row.collect::<Vec<u32>>()))?;
            }
            out.align()?;
        }
        for &old in &graph.order {
            let vector = &self.vectors[old as usize * self.dimension..][..self.dimension];
            out.put(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
        }
        out.align()?;
        self.write_ids(&mut out)
    }

    fn write_record(
        &self,
        layout: &Layout,
        old: u32,
        links: &[u32],
        out: &mut Aligned<'_>,
    ) -> io::Result<()> {
        let mut record = Vec::with_capacity(layout.record);
        record.extend_from_slice(&self.codes.get(old)[..layout.code + 4]);
        for link in links {
            record.extend_from_slice(&link.to_le_bytes()[..layout.link]);
        }
        record.resize(layout.record, 0xff);
        out.put(&record)
    }

    fn write_ids(&self, out: &mut Aligned<'_>) -> io::Result<()> {
        let ids: Vec<u64> = self.points.iter().map(|&(id, _)| id).collect();
        let points: Vec<u32> = self.points.iter().map(|&(_, point)| point).collect();
        let mut starts = vec![0_u32; self.graph.order.len() + 1];
        points.iter().for_each(|&point| starts[point as usize + 1] += 1);
        for point in 1..starts.len() {
            starts[point] += starts[point - 1];
        }
        let mut members: Vec<u32> = (0..points.len() as u32).collect();
        members.sort_by_key(|&place| points[place as usize]);
        out.put(bytemuck::cast_slice(&ids))?;
        out.align()?;
        for list in [&points, &starts, &members] {
            out.put(bytemuck::cast_slice(list))?;
            out.align()?;
        }
        Ok(())
    }
}

/// Counts what is written, to begin parts on cache lines.
struct Aligned<'a> {
    out: &'a mut dyn Write,
    written: usize,
}

impl Aligned<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        self.put(&[0; LINE][..self.written.next_multiple_of(LINE) - self.written])
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The links in a list of them, up to the first that is none.
pub(crate) fn links(bytes: &[u8], width: usize) -> impl Iterator<Item = u32> {
    let all = bytes.chunks_exact(width).map(move |link| {
        if width == 3 {
            u32::from(link[0]) | u32::from(link[1]) << 8 | u32::from(link[2]) << 16
        } else {
            u32_at(link, 0)
        }
    });
    let none = if width == 3 { 0xff_ffff } else { NONE };
    all.take_while(move |&link| link != none)
}
