//! How does a search go through the graph? By codes alone; every link is checked before it is followed.

use crate::code::Code;
use crate::index::Index;
use crate::kernel::prefetch;
use crate::layout::{links, u32_at};
use crate::{Error, Result};
use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Records asked for ahead of the one being compared.
const AHEAD: usize = 4;

/// A point and its similarity to the query. The better is the greater; ties go to the lower point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) similarity: f32,
    pub(crate) point: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.similarity.total_cmp(&other.similarity).then(other.point.cmp(&self.point))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One search.
pub(crate) struct Walk<'a> {
    index: &'a Index,
    query: &'a Code,
}

/// What a thread keeps from search to search: which points were met, all clear between searches.
#[derive(Default)]
struct Seen {
    bits: Vec<u64>,
    met: Vec<u32>,
}

impl Seen {
    fn clear(&mut self, points: usize) {
        for point in self.met.drain(..) {
            self.bits[point as usize / 64] = 0;
        }
        let words = points.div_ceil(64);
        if self.bits.len() < words {
            self.bits = vec![0; words];
        }
    }

    fn is_new(&mut self, point: u32) -> bool {
        let (word, bit) = (&mut self.bits[point as usize / 64], 1 << (point % 64));
        let new = *word & bit == 0;
        if new {
            *word |= bit;
            self.met.push(point);
        }
        new
    }
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
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
        SEEN.with_borrow_mut(|seen| {
            seen.clear(self.index.layout.points);
            self.best_first_from(start, ef, wanted, seen)
        })
    }

    fn best_first_from(
        &self,
        start: Candidate,
        ef: usize,
        wanted: &impl Fn(u32) -> bool,
        seen: &mut Seen,
    ) -> Result<Vec<Candidate>> {
        seen.is_new(start.point);
        let mut open = BinaryHeap::with_capacity(2 * ef);
        open.push(start);
        let mut best = BinaryHeap::with_capacity(ef + 1);
        if wanted(start.point) {
            best.push(Reverse(start));
        }
        let mut fresh: Vec<(u32, &[u8])> = Vec::with_capacity(2 * self.index.layout.params.m);
        while let Some(candidate) = open.pop() {
            let worst = |best: &BinaryHeap<Reverse<Candidate>>| best.peek().map(|worst| worst.0);
            if best.len() >= ef && worst(&best).is_some_and(|worst| candidate.similarity < worst.similarity) {
                break;
            }
            fresh.clear();
            for point in self.links(self.record(candidate.point)?) {
                if point as usize >= self.index.layout.points {
                    return Err(self.astray(candidate.point));
                }
                if seen.is_new(point) {
                    fresh.push((point, self.record(point)?));
                }
            }
            fresh.iter().take(AHEAD).for_each(|(_, record)| prefetch(record));
            for (place, &(point, record)) in fresh.iter().enumerate() {
                if let Some((_, ahead)) = fresh.get(place + AHEAD) {
                    prefetch(ahead);
                }
                let next = Candidate { similarity: self.similarity(record), point };
                if best.len() < ef || worst(&best).is_some_and(|worst| next > worst) {
                    open.push(next);
                    if wanted(point) {
                        best.push(Reverse(next));
                        if best.len() > ef {
                            best.pop();
                        }
                    }
                }
            }
        }
        Ok(best.into_sorted_vec().into_iter().map(|Reverse(candidate)| candidate).collect())
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
                    if next.similarity > here.similarity {
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
        Ok(Candidate { similarity: self.similarity(self.record(point)?), point })
    }

    /// Record of a point, which has to be one of the file's.
    fn record(&self, point: u32) -> Result<&'a [u8]> {
        Ok(self.index.file.bytes(self.index.layout.record(point))?)
    }

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
