//! How does a search go through the graph? By codes alone; every link is checked before it is followed.

use crate::code::Code;
use crate::index::Index;
use crate::kernel::prefetch;
use crate::layout::{links, u32_at};
use crate::{Error, Result};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Points of the layer above the lowest that a search starts from. Logs make islands of alike texts that links
/// seldom cross: with one, every twentieth search never reached the right one.
const STARTS: usize = 4;

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

/// An upper layer: its first byte, its points, and how many of them a search keeps.
struct Upper {
    start: usize,
    count: usize,
    width: usize,
}

/// What a thread keeps from search to search.
#[derive(Default)]
struct Scratch {
    /// Points of the lowest layer.
    seen: Seen,
    /// Places on an upper layer.
    seen_above: Seen,
    /// Still to be followed.
    open: BinaryHeap<Candidate>,
    best: BinaryHeap<Reverse<Candidate>>,
}

/// What was met: one bit each.
#[derive(Default)]
struct Seen {
    bits: Vec<u64>,
    met: Vec<u32>,
}

impl Seen {
    fn clear(&mut self, count: usize) {
        for number in self.met.drain(..) {
            self.bits[number as usize / 64] = 0;
        }
        let words = count.div_ceil(64);
        if self.bits.len() < words {
            self.bits = vec![0; words];
        }
    }

    #[inline]
    fn is_new(&mut self, number: u32) -> bool {
        let (word, bit) = (&mut self.bits[number as usize / 64], 1 << (number % 64));
        let new = *word & bit == 0;
        if new {
            *word |= bit;
            self.met.push(number);
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
        SCRATCH.with_borrow_mut(|scratch| {
            let starts = self.descend(&mut scratch.seen_above)?;
            scratch.seen.clear(self.index.layout.points);
            scratch.open.clear();
            scratch.best.clear();
            self.best_first_from(&starts, ef, wanted, scratch)
        })
    }

    fn best_first_from(
        &self,
        starts: &[Candidate],
        ef: usize,
        wanted: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidate>> {
        for &start in starts.iter().take(ef) {
            if scratch.seen.is_new(start.point()) {
                scratch.open.push(start);
                if wanted(start.point()) {
                    scratch.best.push(Reverse(start));
                }
            }
        }
        // What a point has to be better than to be followed.
        let worst = |best: &BinaryHeap<Reverse<Candidate>>| match best.peek() {
            Some(&Reverse(worst)) if best.len() == ef => worst,
            _ => Candidate(0),
        };
        let mut least = worst(&scratch.best);
        while let Some(candidate) = scratch.open.pop() {
            if candidate < least {
                break;
            }
            let met = scratch.seen.met.len();
            for point in self.links(self.record(candidate.point())?) {
                if point as usize >= self.index.layout.points {
                    return Err(self.astray(candidate.point()));
                }
                if scratch.seen.is_new(point) {
                    prefetch(self.record(point)?);
                }
            }
            for &point in &scratch.seen.met[met..] {
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
                    least = worst(&scratch.best);
                }
            }
        }
        let mut found: Vec<Candidate> = scratch.best.drain().map(|Reverse(candidate)| candidate).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Walks down the upper layers, on each to the points most similar to the query: one on the higher ones,
    /// [`STARTS`] on the lowest. Best first.
    fn descend(&self, seen: &mut Seen) -> Result<Vec<Candidate>> {
        let layout = &self.index.layout;
        let mut place = layout.top;
        let mut found = Vec::new();
        for (number, &(start, count)) in layout.upper.iter().enumerate().rev() {
            let layer = Upper { start, count, width: if number == 0 { STARTS } else { 1 } };
            found = self.best_of_upper(&layer, place, seen)?;
            if let Some(&(_, best, _)) = found.first() {
                place = u32_at(self.upper_row(&layer, best)?, 4);
            }
        }
        let found: Vec<Candidate> = found.into_iter().map(|(candidate, ..)| candidate).collect();
        if found.is_empty() { Ok(vec![self.candidate(layout.entry)?]) } else { Ok(found) }
    }

    /// The most similar points of an upper layer that are reached from `place`, best first, each with its
    /// place and whether its links were followed.
    fn best_of_upper(
        &self,
        layer: &Upper,
        place: u32,
        seen: &mut Seen,
    ) -> Result<Vec<(Candidate, u32, bool)>> {
        let candidate = |place| -> Result<(Candidate, u32, bool)> {
            let point = u32_at(self.upper_row(layer, place)?, 0);
            Ok((self.candidate_checked(point, layer.start)?, place, false))
        };
        let mut found = vec![candidate(place)?];
        seen.clear(layer.count);
        seen.is_new(place);
        while let Some((_, place, followed)) = found.iter_mut().find(|(.., followed)| !followed) {
            *followed = true;
            for other in links(&self.upper_row(layer, *place)?[8..], 4) {
                if other as usize >= layer.count {
                    return Err(self.astray_above(layer));
                }
                if seen.is_new(other) {
                    found.push(candidate(other)?);
                }
            }
            found.sort_unstable_by(|a, b| b.cmp(a));
            found.truncate(layer.width);
        }
        Ok(found)
    }

    fn upper_row(&self, layer: &Upper, place: u32) -> Result<&'a [u8]> {
        if place as usize >= layer.count {
            return Err(self.astray_above(layer));
        }
        Ok(self.index.file.bytes(self.index.layout.upper_row(layer.start, place))?)
    }

    fn astray_above(&self, layer: &Upper) -> Error {
        self.index.file.damaged(layer.start, "a link of an upper layer leads nowhere").into()
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

    pub(crate) fn candidate(&self, point: u32) -> Result<Candidate> {
        Ok(Candidate::new(self.similarity(self.record(point)?), point))
    }

    /// Record of a point, which has to be one of the file's.
    #[inline]
    pub(crate) fn record(&self, point: u32) -> Result<&'a [u8]> {
        Ok(self.index.file.bytes(self.index.layout.record(point))?)
    }

    #[inline]
    fn similarity(&self, record: &[u8]) -> f32 {
        let (code, rest) = record.split_at(self.index.layout.code);
        self.query.similarity(self.index.kernel, code, f32::from_bits(u32_at(rest, 0)))
    }

    pub(crate) fn links<'r>(&self, record: &'r [u8]) -> impl Iterator<Item = u32> + use<'r> {
        let layout = &self.index.layout;
        let start = layout.code + 4;
        links(&record[start..start + 2 * layout.params.m * layout.link], layout.link)
    }
}
