//! Where is what in the file? Everything is checked once, on open, so that a search needs no checks.
//!
//! The payload of a checked file (see `casemate_disk`), little endian. Eight 64-bit numbers (dimension,
//! points, ids, rows, links, entry point, m, ef_construct), then the arrays of [`Parts`] in order. A *row*
//! is the list of links of one point on one layer; rows of a point follow one another from layer 0 up.

use crate::build::Merged;
use crate::graph::Graph;
use crate::{Params, Result};
use casemate_disk::Checked;
use std::io::{self, Write};
use std::ops::Range;

pub(crate) const MAGIC: [u8; 8] = *b"CMHNSW\0\0";
pub(crate) const VERSION: u32 = 1;

const HEADER_NUMBERS: usize = 8;
const HEADER_LEN: usize = HEADER_NUMBERS * 8;

/// What is written.
pub(crate) struct Contents<'a> {
    header: [u64; HEADER_NUMBERS],
    ids: Vec<u64>,
    vectors: &'a [f32],
    point_of: Vec<u32>,
    member_starts: Vec<u32>,
    members: Vec<u32>,
    row_starts: Vec<u32>,
    link_starts: Vec<u32>,
    links: Vec<u32>,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(dimension: usize, params: Params, merged: &'a Merged, graph: &Graph) -> Self {
        let points = graph.links.len();
        let ids: Vec<u64> = merged.points.iter().map(|&(id, _)| id).collect();
        let point_of: Vec<u32> = merged.points.iter().map(|&(_, point)| point).collect();
        let mut groups = vec![Vec::new(); points];
        for (member, &point) in point_of.iter().enumerate() {
            groups[point as usize].push(member as u32);
        }
        let rows: Vec<&Vec<u32>> = graph.links.iter().flatten().collect();
        let links: Vec<u32> = rows.iter().copied().flatten().copied().collect();
        let header = [
            dimension as u64,
            points as u64,
            ids.len() as u64,
            rows.len() as u64,
            links.len() as u64,
            u64::from(graph.entry),
            params.m as u64,
            params.ef_construct as u64,
        ];
        Self {
            header,
            vectors: &merged.vectors,
            member_starts: starts(groups.iter().map(Vec::len)),
            members: groups.concat(),
            row_starts: starts(graph.links.iter().map(Vec::len)),
            link_starts: starts(rows.iter().map(|row| row.len())),
            ids,
            point_of,
            links,
        }
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(bytemuck::cast_slice(&self.header))?;
        out.write_all(bytemuck::cast_slice(&self.ids))?;
        out.write_all(bytemuck::cast_slice(self.vectors))?;
        for part in [
            &self.point_of,
            &self.member_starts,
            &self.members,
            &self.row_starts,
            &self.link_starts,
            &self.links,
        ] {
            out.write_all(bytemuck::cast_slice(part))?;
        }
        Ok(())
    }
}

/// Where each list starts in their concatenation, and where the last ends.
fn starts(lengths: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut next = 0;
    let mut starts = vec![0];
    starts.extend(lengths.map(|length| {
        next += length as u32;
        next
    }));
    starts
}

/// Where the arrays are in the payload, in bytes, and what the header says.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dimension: usize,
    pub(crate) points: usize,
    pub(crate) entry: u32,
    pub(crate) params: Params,
    ids: Range<usize>,
    vectors: Range<usize>,
    point_of: Range<usize>,
    member_starts: Range<usize>,
    members: Range<usize>,
    row_starts: Range<usize>,
    link_starts: Range<usize>,
    links: Range<usize>,
}

/// The arrays of an index, inside the memory map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// In ascending order.
    pub(crate) ids: &'a [u64],
    pub(crate) vectors: &'a [f32],
    /// Point of each id.
    pub(crate) point_of: &'a [u32],
    member_starts: &'a [u32],
    /// For each point the ids that share it, as places in `ids`.
    members: &'a [u32],
    row_starts: &'a [u32],
    link_starts: &'a [u32],
    links: &'a [u32],
}

impl Layout {
    /// Reads the header and checks every array behind it.
    pub(crate) fn read(file: &Checked) -> Result<Self> {
        let layout = Self::locate(file).ok_or_else(|| file.damaged(0, "its parts do not fit its length"))?;
        let parts = layout.parts(file).ok_or_else(|| file.damaged(0, "its parts are not aligned"))?;
        match layout.check(&parts) {
            Ok(()) => Ok(layout),
            Err((range, what)) => Err(file.damaged(range.start, what).into()),
        }
    }

    fn locate(file: &Checked) -> Option<Self> {
        let mut header = [0_usize; HEADER_NUMBERS];
        for (value, bytes) in header.iter_mut().zip(file.get(..HEADER_LEN)?.chunks_exact(8)) {
            *value = usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()?;
        }
        let [dimension, points, ids, rows, links, entry, m, ef_construct] = header;
        let mut end = HEADER_LEN;
        let mut take = |count: usize, size: usize| {
            let start = end;
            end = start.checked_add(count.checked_mul(size)?)?;
            Some(start..end)
        };
        let layout = Self {
            dimension,
            points,
            entry: u32::try_from(entry).ok()?,
            params: Params { m, ef_construct },
            ids: take(ids, 8)?,
            vectors: take(points.checked_mul(dimension)?, 4)?,
            point_of: take(ids, 4)?,
            member_starts: take(points.checked_add(1)?, 4)?,
            members: take(ids, 4)?,
            row_starts: take(points.checked_add(1)?, 4)?,
            link_starts: take(rows.checked_add(1)?, 4)?,
            links: take(links, 4)?,
        };
        (end == file.len()).then_some(layout)
    }

    /// The arrays; `None` if they do not lie in `file`, which [`read`](Self::read) has ruled out.
    pub(crate) fn parts<'a>(&self, file: &'a [u8]) -> Option<Parts<'a>> {
        fn cast<'a, T: bytemuck::Pod>(file: &'a [u8], range: &Range<usize>) -> Option<&'a [T]> {
            bytemuck::try_cast_slice(file.get(range.clone())?).ok()
        }
        Some(Parts {
            ids: cast(file, &self.ids)?,
            vectors: cast(file, &self.vectors)?,
            point_of: cast(file, &self.point_of)?,
            member_starts: cast(file, &self.member_starts)?,
            members: cast(file, &self.members)?,
            row_starts: cast(file, &self.row_starts)?,
            link_starts: cast(file, &self.link_starts)?,
            links: cast(file, &self.links)?,
        })
    }

    /// Checks what every search relies on; else says which array is wrong and why.
    fn check(&self, parts: &Parts<'_>) -> Result<(), (&Range<usize>, &'static str)> {
        let require = |holds: bool, range, what| if holds { Ok(()) } else { Err((range, what)) };
        let empty = self.points == 0;
        let points = self.points as u64;
        require(self.dimension > 0, &self.ids, "it has vectors of no dimension")?;
        require(empty || u64::from(self.entry) < points, &self.ids, "its entry point does not exist")?;
        require(parts.ids.is_sorted_by(|a, b| a < b), &self.ids, "its ids are not in order")?;
        require(parts.vectors.iter().all(|x| x.is_finite()), &self.vectors, "a vector is not finite")?;

        let covers = |starts: &[u32], length: usize, strictly: bool| {
            let ordered = starts.is_sorted_by(|a, b| if strictly { a < b } else { a <= b });
            ordered && starts.first() == Some(&0) && starts.last().map(|&end| end as usize) == Some(length)
        };
        let rows = parts.link_starts.len() - 1;
        require(covers(parts.member_starts, parts.ids.len(), true), &self.member_starts, "groups overlap")?;
        require(covers(parts.row_starts, rows, true), &self.row_starts, "rows overlap")?;
        require(covers(parts.link_starts, parts.links.len(), false), &self.link_starts, "links overlap")?;

        for point in 0..self.points as u32 {
            let own = |&member: &u32| parts.point_of.get(member as usize) == Some(&point);
            require(parts.members(point).iter().all(own), &self.members, "an id is in the wrong group")?;
            for layer in 0..parts.layers(point) {
                let fits = |&to: &u32| u64::from(to) < points && parts.layers(to) > layer;
                require(parts.links(point, layer).iter().all(fits), &self.links, "a link leads nowhere")?;
            }
        }
        Ok(())
    }
}

impl<'a> Parts<'a> {
    /// Ids that share a point, as places in `ids`.
    pub(crate) fn members(&self, point: u32) -> &'a [u32] {
        slice(self.members, self.member_starts, point as usize)
    }

    /// How many layers a point is on.
    pub(crate) fn layers(&self, point: u32) -> usize {
        (self.row_starts[point as usize + 1] - self.row_starts[point as usize]) as usize
    }

    /// Points that `point` links to on `layer`, which has to be one of its own.
    pub(crate) fn links(&self, point: u32, layer: usize) -> &'a [u32] {
        slice(self.links, self.link_starts, self.row_starts[point as usize] as usize + layer)
    }
}

fn slice<'a>(all: &'a [u32], starts: &[u32], index: usize) -> &'a [u32] {
    &all[starts[index] as usize..starts[index + 1] as usize]
}
