//! How does a search go through the graph? By codes alone; every link is checked before it is followed.

use crate::code::Code;
use crate::index::Index;
use crate::kernel::prefetch;
use crate::layout::{links, u32_at};
use crate::{Error, Result};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A point and its similarity to the query. The better is the greater; ties go to the lower point.
///
/// One number, so that comparing takes one instruction: the bits of the similarity, changed so that they are
/// in the order of [`f32::total_cmp`], above those of the point, inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

impl Candidate {
    #[inline]
    pub(crate) fn new(similarity: f32, point: u32) -> Self {
        let bits = similarity.to_bits();
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(ordered) << 32 | u64::from(!point))
    }

    #[inline]
    pub(crate) fn similarity(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    #[inline]
    pub(crate) fn point(self) -> u32 {
        !(self.0 as u32)
    }
}

/// One search.
pub(crate) struct Walk<'a> {
    index: &'a Index,
    query: &'a Code,
}

/// What a thread keeps from search to search.
#[derive(Default)]
struct Scratch {
    /// One bit a point: whether it was met. All clear between searches.
    seen: Vec<u64>,
    met: Vec<u32>,
    /// Still to be followed.
    open: BinaryHeap<Candidate>,
    best: BinaryHeap<Reverse<Candidate>>,
}

impl Scratch {
    fn clear(&mut self, points: usize) {
        for point in self.met.drain(..) {
            self.seen[point as usize / 64] = 0;
        }
        let words = points.div_ceil(64);
        if self.seen.len() < words {
            self.seen = vec![0; words];
        }
        self.open.clear();
        self.best.clear();
    }

    #[inline]
    fn is_new(&mut self, point: u32) -> bool {
        let (word, bit) = (&mut self.seen[point as usize / 64], 1 << (point % 64));
        let new = *word & bit == 0;
        if new {
            *word |= bit;
            self.met.push(point);
        }
        new
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<'a> Walk<'a> {
    pub(crate) fn new(index: &'a Index, query: &'a Code) -> Self {
        Self { index, query }
    }

    /// All of `points` that are `wanted`, best first.
    pub(crate) fn scan(
        &mut self,
        points: impl Iterator<Item = u32>,
        wanted: &impl Fn(u32) -> bool,
    ) -> Result<Vec<Candidate>> {
        let found = points.filter(|&point| wanted(point)).map(|point| self.candidate(point));
        let mut found = found.collect::<Result<Vec<_>>>()?;
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Algorithm 2 of the paper on the lowest layer: the `ef` best `wanted` points found, best first. Others
    /// are walked through, so that fewer wanted points make the search wider.
    pub(crate) fn best_first(&mut self, ef: usize, wanted: &impl Fn(u32) -> bool) -> Result<Vec<Candidate>> {
        let start = self.descend()?;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear(self.index.layout.points);
            self.best_first_from(start, ef, wanted, scratch)
        })
    }

    fn best_first_from(
        &self,
        start: Candidate,
        ef: usize,
        wanted: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidate>> {
        scratch.is_new(start.point());
        scratch.open.push(start);
        if wanted(start.point()) {
            scratch.best.push(Reverse(start));
        }
        // What a point has to be better than to be followed.
        let mut least = Candidate(0);
        while let Some(candidate) = scratch.open.pop() {
            if candidate < least {
                break;
            }
            let met = scratch.met.len();
            for point in self.links(self.record(candidate.point())?) {
                if point as usize >= self.index.layout.points {
                    return Err(self.astray(candidate.point()));
                }
                if scratch.is_new(point) {
                    prefetch(self.record(point)?);
                }
            }
            for &point in &scratch.met[met..] {
                let next = Candidate::new(self.similarity(self.record(point)?), point);
                if next <= least {
                    continue;
                }
                scratch.open.push(next);
                if wanted(point) {
                    if scratch.best.len() < ef {
                        scratch.best.push(Reverse(next));
                    } else if let Some(mut worst) = scratch.best.peek_mut() {
                        *worst = Reverse(next);
                    }
                    if scratch.best.len() == ef {
                        least = scratch.best.peek().map_or(least, |worst| worst.0);
                    }
                }
            }
        }
        let mut found: Vec<Candidate> = scratch.best.drain().map(|Reverse(candidate)| candidate).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Walks down the upper layers, on each to the point most similar to the query.
    fn descend(&self) -> Result<Candidate> {
        let layout = &self.index.layout;
        let mut place = layout.top;
        let mut best = None;
        for &(start, count) in layout.upper.iter().rev() {
            let row = |place: u32| -> Result<&[u8]> {
                if place as usize >= count {
                    return Err(self
                        .index
                        .file
                        .damaged(start, "a link of an upper layer leads nowhere")
                        .into());
                }
                Ok(self.index.file.bytes(layout.upper_row(start, place))?)
            };
            let mut here = self.candidate_checked(u32_at(row(place)?, 0), start)?;
            loop {
                let mut better = None;
                for other in links(&row(place)?[8..], 4) {
                    let next = self.candidate_checked(u32_at(row(other)?, 0), start)?;
                    if next.similarity() > here.similarity() {
                        (here, better) = (next, Some(other));
                    }
                }
                let Some(other) = better else { break };
                place = other;
            }
            best = Some(here);
            place = u32_at(row(place)?, 4);
        }
        best.map_or_else(|| self.candidate(layout.entry), Ok)
    }

    fn candidate_checked(&self, point: u32, at: usize) -> Result<Candidate> {
        if point as usize >= self.index.layout.points {
            return Err(self.index.file.damaged(at, "an upper layer names a point that is not there").into());
        }
        self.candidate(point)
    }

    fn astray(&self, point: u32) -> Error {
        let at = self.index.layout.record(point).start;
        self.index.file.damaged(at, "a link leads to a point that is not there").into()
    }

    fn candidate(&self, point: u32) -> Result<Candidate> {
        Ok(Candidate::new(self.similarity(self.record(point)?), point))
    }

    /// Record of a point, which has to be one of the file's.
    #[inline]
    fn record(&self, point: u32) -> Result<&'a [u8]> {
        Ok(self.index.file.bytes(self.index.layout.record(point))?)
    }

    #[inline]
    fn similarity(&self, record: &[u8]) -> f32 {
        let (code, rest) = record.split_at(self.index.layout.code);
        self.query.similarity(self.index.kernel, code, f32::from_bits(u32_at(rest, 0)))
    }

    fn links<'r>(&self, record: &'r [u8]) -> impl Iterator<Item = u32> + use<'r> {
        let layout = &self.index.layout;
        let start = layout.code + 4;
        links(&record[start..start + 2 * layout.params.m * layout.link], layout.link)
    }
}
