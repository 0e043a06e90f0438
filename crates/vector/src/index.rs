//! Which vectors in the file are most similar to this one?

use crate::code::Code;
use crate::dot::normalise;
use crate::kernel::Kernel;
use crate::layout::{Layout, MAGIC, VERSION, u32_at, u64_at};
use crate::walk::{Candidate, Walk};
use crate::{Error, Params, Result};
use casemate_disk::Sealed;
use half::f16;
use std::collections::{HashMap, HashSet};
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
///
/// A part of the file is verified when a search first comes to it: damage elsewhere does no harm, damage
/// that a search meets is its error.
#[derive(Debug)]
pub struct Index {
    pub(crate) file: Sealed,
    pub(crate) layout: Layout,
    pub(crate) kernel: Kernel,
}

/// A query, checked.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) vector: Vec<f32>,
    pub(crate) code: Code,
}

/// Which ids count. Points none of whose ids counts are passed through but not found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope<'a> {
    /// Only these, ascending.
    pub(crate) allowed: Option<&'a [u64]>,
    /// Not these.
    pub(crate) removed: Option<&'a Removed>,
    /// Ids that points have beside those in the file.
    pub(crate) joined: Option<&'a HashMap<u32, Vec<u64>>>,
}

/// Ids in the file that are no longer wanted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Removed {
    pub(crate) ids: HashSet<u64>,
    /// Points all of whose ids are among them.
    pub(crate) points: HashSet<u32>,
}

impl Scope<'_> {
    fn allows(&self, id: u64) -> bool {
        self.allowed.is_none_or(|allowed| allowed.binary_search(&id).is_ok())
    }

    pub(crate) fn admits(&self, id: u64) -> bool {
        self.allows(id) && self.removed.is_none_or(|removed| !removed.ids.contains(&id))
    }
}

/// So few vectors are compared one by one rather than searched among by the graph.
const SCAN: usize = 16_384;

impl Query {
    pub(crate) fn new(vector: &[f32], dimension: usize) -> Result<Self> {
        if vector.len() != dimension {
            return Err(Error::Dimension { what: "the query", found: vector.len(), expected: dimension });
        }
        let mut vector = vector.to_vec();
        normalise(&mut vector)
            .map_err(|problem| Error::BadVector { what: "the query".to_owned(), problem })?;
        let code = Code::of(&vector);
        Ok(Self { vector, code })
    }

    /// Similarity to a vector in 16 bits a number, little endian.
    pub(crate) fn exact(&self, kernel: Kernel, halves: &[u8]) -> f32 {
        kernel.halves(&self.vector, halves)
    }
}

impl Index {
    /// Maps the index at `path`. Costs the same for an index of any size, but for 4 bytes per 64 KiB.
    ///
    /// # Errors
    /// [`Error::Disk`]: it cannot be read, is of another kind or version, or is cut or damaged where it says
    /// what is where.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Sealed::open(path, MAGIC, VERSION)?;
        let layout = Layout::read(&file)?;
        Ok(Self { file, layout, kernel: Kernel::best() })
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.layout.ids
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layout.ids == 0
    }

    /// Numbers per vector.
    pub fn dimension(&self) -> usize {
        self.layout.dimension
    }

    /// Parameters it was built with.
    pub fn params(&self) -> Params {
        self.layout.params
    }

    /// Bytes that searches read over and over: codes and links.
    pub fn hot_bytes(&self) -> usize {
        self.layout.hot_bytes()
    }

    /// Bytes of the file, but for its checksums.
    pub fn disk_bytes(&self) -> usize {
        self.file.len()
    }

    /// Reads and verifies the whole file.
    ///
    /// # Errors
    /// [`Error::Disk`] with the first place that is not what was written.
    pub fn verify(&self) -> Result<()> {
        Ok(self.file.verify_all()?)
    }

    /// All ids, ascending.
    ///
    /// # Errors
    /// [`Error::Disk`] if they are damaged.
    pub fn ids(&self) -> Result<Vec<u64>> {
        (0..self.len()).map(|place| self.id(place)).collect()
    }

    /// Vector of `id`, scaled to length 1 and rounded to 16 bits a number.
    ///
    /// # Errors
    /// [`Error::Disk`] if what has to be read for it is damaged.
    pub fn vector(&self, id: u64) -> Result<Option<Vec<f32>>> {
        let Some(point) = self.point_of(id)? else { return Ok(None) };
        Ok(Some(self.halves(point)?.map(f16::to_f32).collect()))
    }

    /// The `k` most similar vectors, best first; ties in order of id.
    ///
    /// Looks at about `ef_search` candidates (at least `k`): more find better ones at more cost. An index of
    /// no more than that is searched completely.
    ///
    /// # Errors
    /// [`Error::Dimension`] or [`Error::BadVector`] if `query` is not a usable vector; [`Error::Disk`] if the
    /// search comes to a damaged part.
    pub fn search(&self, query: &[f32], k: usize, ef_search: usize) -> Result<Vec<Neighbour>> {
        self.search_in(&Query::new(query, self.layout.dimension)?, k, ef_search, Scope::default())
    }

    /// As [`search`](Self::search), among the ids in `allowed` (ascending) only. A few thousand of them, or
    /// so few that the graph would meet them seldom, are compared one by one.
    ///
    /// # Errors
    /// As [`search`](Self::search); [`Error::Unordered`] if `allowed` is not ascending.
    pub fn search_among(
        &self,
        query: &[f32],
        k: usize,
        ef_search: usize,
        allowed: &[u64],
    ) -> Result<Vec<Neighbour>> {
        if !allowed.is_sorted() {
            return Err(Error::Unordered);
        }
        let scope = Scope { allowed: Some(allowed), ..Scope::default() };
        self.search_in(&Query::new(query, self.layout.dimension)?, k, ef_search, scope)
    }

    pub(crate) fn search_in(
        &self,
        query: &Query,
        k: usize,
        ef_search: usize,
        scope: Scope<'_>,
    ) -> Result<Vec<Neighbour>> {
        if k == 0 || self.is_empty() {
            return Ok(Vec::new());
        }
        let ef = ef_search.max(k).min(self.layout.points);
        let mut walk = Walk::new(self, &query.code);
        let removed = |point: u32| scope.removed.is_some_and(|removed| removed.points.contains(&point));
        let found = match scope.allowed {
            None if self.layout.points <= ef => walk.scan(0..self.layout.points as u32, &|p| !removed(p))?,
            None if scope.removed.is_none_or(|removed| removed.points.is_empty()) => {
                walk.best_first(ef, &|_| true)?
            }
            None => walk.best_first(ef, &|point| !removed(point))?,
            Some(allowed) => {
                let points = self.points_of(allowed, scope)?;
                // The graph is left about ef · points / matches times.
                let by_graph = ef * 2 * self.layout.params.m * (self.layout.points / points.len().max(1));
                if points.len() <= SCAN || points.len() <= by_graph {
                    walk.scan(points.iter().copied(), &|point| !removed(point))?
                } else {
                    let mut bits = vec![0_u64; self.layout.points.div_ceil(64)];
                    points.iter().for_each(|&point| bits[point as usize / 64] |= 1 << (point % 64));
                    walk.best_first(ef, &|point| {
                        bits[point as usize / 64] & 1 << (point % 64) != 0 && !removed(point)
                    })?
                }
            }
        };
        self.reranked(query, found, k, scope)
    }

    /// Up to `k` ids behind the points found, in order of exact similarity, ties in order of id.
    fn reranked(
        &self,
        query: &Query,
        mut found: Vec<Candidate>,
        k: usize,
        scope: Scope<'_>,
    ) -> Result<Vec<Neighbour>> {
        // Codes tell neighbours apart to about a hundredth: the true ones are among four times as many.
        found.truncate(k.saturating_mul(4).max(k.saturating_add(8)));
        for candidate in &mut found {
            let exact = query.exact(self.kernel, self.half_bytes(candidate.point())?);
            *candidate = Candidate::new(exact, candidate.point());
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut neighbours: Vec<Neighbour> = Vec::new();
        for candidate in found {
            let worst = neighbours.last().map(|neighbour| neighbour.similarity);
            if neighbours.len() >= k && worst != Some(candidate.similarity()) {
                break;
            }
            let joined = scope.joined.and_then(|joined| joined.get(&candidate.point())).into_iter().flatten();
            let joined = joined.copied().filter(|id| scope.allows(*id));
            let own = self.members(candidate.point())?.into_iter().filter(|&id| scope.admits(id));
            neighbours
                .extend(own.chain(joined).map(|id| Neighbour { id, similarity: candidate.similarity() }));
        }
        Ok(best(neighbours, k))
    }

    fn id(&self, place: usize) -> Result<u64> {
        Ok(u64_at(self.file.bytes(self.layout.id(place))?, 0))
    }

    /// Point of `id`.
    pub(crate) fn point_of(&self, id: u64) -> Result<Option<u32>> {
        self.place(id, 0)
            .and_then(|(place, here)| if here { self.point_at(place).map(Some) } else { Ok(None) })
    }

    fn point_at(&self, place: usize) -> Result<u32> {
        let range = self.layout.point(place);
        let point = u32_at(self.file.bytes(range.clone())?, 0);
        if point as usize >= self.layout.points {
            return Err(self.file.damaged(range.start, "an id belongs to a point that is not there").into());
        }
        Ok(point)
    }

    /// First place from `low` on that holds `id` or more, and whether it holds `id`.
    fn place(&self, id: u64, mut low: usize) -> Result<(usize, bool)> {
        let mut high = self.len();
        while low < high {
            let middle = low.midpoint(high);
            if self.id(middle)? < id { low = middle + 1 } else { high = middle }
        }
        Ok((low, low < self.len() && self.id(low)? == id))
    }

    /// Distinct points of `ids` (ascending), those they have joined included.
    fn points_of(&self, ids: &[u64], scope: Scope<'_>) -> Result<Vec<u32>> {
        let mut points = Vec::with_capacity(ids.len().min(self.len()));
        let mut low = 0;
        for &id in ids {
            let (place, here) = self.place(id, low)?;
            if here {
                points.push(self.point_at(place)?);
            }
            low = place;
        }
        let joined = scope.joined.into_iter().flatten();
        points.extend(
            joined.filter(|(_, ids)| ids.iter().any(|&id| scope.allows(id))).map(|(&point, _)| point),
        );
        points.sort_unstable();
        points.dedup();
        Ok(points)
    }

    /// Ids of `point`, ascending.
    pub(crate) fn members(&self, point: u32) -> Result<Vec<u64>> {
        let range = self.layout.starts(point);
        let starts = self.file.bytes(range.clone())?;
        let (start, end) = (u32_at(starts, 0) as usize, u32_at(starts, 4) as usize);
        if start > end || end > self.layout.ids {
            return Err(self.file.damaged(range.start, "a point has ids that are not there").into());
        }
        let range = self.layout.members(start..end);
        let places = self.file.bytes(range.clone())?.chunks_exact(4).map(|place| u32_at(place, 0) as usize);
        let outside = || Error::from(self.file.damaged(range.start, "a point has an id that is not there"));
        places.map(|place| if place < self.len() { self.id(place) } else { Err(outside()) }).collect()
    }

    pub(crate) fn half_bytes(&self, point: u32) -> Result<&[u8]> {
        Ok(self.file.bytes(self.layout.vector(point))?)
    }

    pub(crate) fn halves(&self, point: u32) -> Result<impl Iterator<Item = f16>> {
        let bytes = self.half_bytes(point)?;
        Ok(bytes.chunks_exact(2).map(|half| f16::from_le_bytes([half[0], half[1]])))
    }
}

/// The `k` best of `neighbours`, ties in order of id.
pub(crate) fn best(mut neighbours: Vec<Neighbour>, k: usize) -> Vec<Neighbour> {
    neighbours.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
    neighbours.truncate(k);
    neighbours
}
