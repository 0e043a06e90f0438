//! Which vectors are most similar to this one?

use crate::dot::{dot, normalise};
use crate::layout::{Layout, MAGIC, Parts, VERSION};
use crate::{Error, Params, Result};
use casemate_disk::{Checked, open_checked};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;

/// A vector found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Id it was built with.
    pub id: u64,
    /// Cosine similarity to the query, -1 to 1 but for rounding.
    pub similarity: f32,
}

/// An index file, memory-mapped. Many threads may search it.
#[derive(Debug)]
pub struct Index {
    file: Checked,
    layout: Layout,
}

/// A point and its similarity to the query. The better is the greater; ties go to the lower point.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    similarity: f32,
    point: u32,
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

impl Index {
    /// Maps the index at `path` and checks all of it.
    ///
    /// # Errors
    /// [`Error::Disk`]: it cannot be read, is of another kind or version, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_checked(path, MAGIC, VERSION)?;
        let layout = Layout::read(&file)?;
        Ok(Self { file, layout })
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ids().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    /// Numbers per vector.
    pub fn dimension(&self) -> usize {
        self.layout.dimension
    }

    /// Parameters it was built with.
    pub fn params(&self) -> Params {
        self.layout.params
    }

    /// All ids, ascending.
    pub fn ids(&self) -> &[u64] {
        self.parts().map_or(&[], |parts| parts.ids)
    }

    /// Vector of `id`, scaled to length 1.
    pub fn vector(&self, id: u64) -> Option<&[f32]> {
        let parts = self.parts()?;
        let place = parts.ids.binary_search(&id).ok()?;
        Some(self.point_vector(&parts, parts.point_of[place]))
    }

    /// The `k` most similar vectors, best first; ties in order of id.
    ///
    /// Looks at about `ef_search` candidates (at least `k`): more find better ones at more cost. An index of
    /// no more than that is searched completely.
    ///
    /// # Errors
    /// [`Error::Dimension`] or [`Error::BadVector`] if `query` is not a usable vector.
    pub fn search(&self, query: &[f32], k: usize, ef_search: usize) -> Result<Vec<Neighbour>> {
        let query = self.checked_query(query)?;
        let Some(parts) = self.parts().filter(|parts| k > 0 && !parts.ids.is_empty()) else {
            return Ok(Vec::new());
        };
        let ef = ef_search.max(k);
        let found = if self.layout.points <= ef {
            self.all(&parts, &query)
        } else {
            let start = self.descend(&parts, &query);
            self.best_first(&parts, &query, start, ef)
        };
        Ok(expand(&parts, found, k))
    }

    fn checked_query(&self, query: &[f32]) -> Result<Vec<f32>> {
        if query.len() != self.layout.dimension {
            let (found, expected) = (query.len(), self.layout.dimension);
            return Err(Error::Dimension { what: "the query", found, expected });
        }
        let mut query = query.to_vec();
        normalise(&mut query)
            .map_err(|problem| Error::BadVector { what: "the query".to_owned(), problem })?;
        Ok(query)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        self.layout.parts(&self.file)
    }

    fn point_vector<'a>(&self, parts: &Parts<'a>, point: u32) -> &'a [f32] {
        &parts.vectors[point as usize * self.layout.dimension..][..self.layout.dimension]
    }

    fn candidate(&self, parts: &Parts<'_>, query: &[f32], point: u32) -> Candidate {
        Candidate { similarity: dot(query, self.point_vector(parts, point)), point }
    }

    fn all(&self, parts: &Parts<'_>, query: &[f32]) -> Vec<Candidate> {
        let mut all: Vec<Candidate> =
            (0..self.layout.points as u32).map(|point| self.candidate(parts, query, point)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    /// Walks down the upper layers, on each to the point most similar to the query.
    fn descend(&self, parts: &Parts<'_>, query: &[f32]) -> Candidate {
        let mut best = self.candidate(parts, query, self.layout.entry);
        for layer in (1..parts.layers(self.layout.entry)).rev() {
            loop {
                let links = parts.links(best.point, layer).iter();
                let next = links.map(|&point| self.candidate(parts, query, point)).max();
                match next {
                    Some(next) if next.similarity > best.similarity => best = next,
                    _ => break,
                }
            }
        }
        best
    }

    /// Algorithm 2 of the paper on the lowest layer: the `ef` best points found, best first.
    fn best_first(&self, parts: &Parts<'_>, query: &[f32], start: Candidate, ef: usize) -> Vec<Candidate> {
        let mut seen = vec![0_u64; self.layout.points.div_ceil(64)];
        let mut is_new = |point: u32| {
            let (word, bit) = (&mut seen[point as usize / 64], 1 << (point % 64));
            let new = *word & bit == 0;
            *word |= bit;
            new
        };
        is_new(start.point);
        let mut open = BinaryHeap::from([start]);
        let mut best = BinaryHeap::from([Reverse(start)]);
        while let Some(candidate) = open.pop() {
            let worst = best.peek().map_or(candidate, |worst| worst.0);
            if best.len() >= ef && candidate.similarity < worst.similarity {
                break;
            }
            for &point in parts.links(candidate.point, 0) {
                if !is_new(point) {
                    continue;
                }
                let next = self.candidate(parts, query, point);
                if best.len() < ef || best.peek().is_some_and(|worst| next > worst.0) {
                    open.push(next);
                    best.push(Reverse(next));
                    if best.len() > ef {
                        best.pop();
                    }
                }
            }
        }
        best.into_sorted_vec().into_iter().map(|Reverse(candidate)| candidate).collect()
    }
}

/// Up to `k` ids behind the points found, ties in order of id.
fn expand(parts: &Parts<'_>, found: Vec<Candidate>, k: usize) -> Vec<Neighbour> {
    let mut neighbours: Vec<Neighbour> = Vec::with_capacity(k.min(parts.ids.len()));
    for candidate in found {
        let worst = neighbours.last().map(|neighbour| neighbour.similarity);
        if neighbours.len() >= k && worst != Some(candidate.similarity) {
            break;
        }
        let ids = parts.members(candidate.point).iter().map(|&member| parts.ids[member as usize]);
        neighbours.extend(ids.map(|id| Neighbour { id, similarity: candidate.similarity }));
    }
    neighbours.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
    neighbours.truncate(k);
    neighbours
}
