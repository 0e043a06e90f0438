//! Which points are linked? hnsw_rs decides, over codes; here its graph is read out, gaps are closed, and
//! points are numbered in the order in which a search may meet them.

use crate::Params;
use crate::kernel::Kernel;
use hnsw_rs::prelude::{Distance, Hnsw};
use std::collections::{HashMap, VecDeque};

/// Layers that hnsw_rs can give out.
pub(crate) const MAX_LAYER: usize = 16;
/// Bytes after a code: its scale and its sum.
pub(crate) const CODE_TAIL: usize = 8;

/// What searches walk over.
pub(crate) struct Graph {
    /// Links of every point on the lowest layer, at most `2 · m`.
    pub(crate) links: Vec<Vec<u32>>,
    /// Upper layers, lowest first.
    pub(crate) upper: Vec<Vec<UpperPoint>>,
    /// Point where searches of the lowest layer start if there are no upper ones.
    pub(crate) entry: u32,
    /// Place in the highest layer where searches start.
    pub(crate) top: u32,
    /// The number each point was inserted under, in the order of the new numbers.
    pub(crate) order: Vec<u32>,
}

/// A point on an upper layer.
pub(crate) struct UpperPoint {
    pub(crate) point: u32,
    /// Its place on the layer below; on the lowest of the upper ones its point.
    pub(crate) below: u32,
    /// Places on the same layer.
    pub(crate) links: Vec<u32>,
}

/// Codes with their [`CODE_TAIL`], one after another.
pub(crate) struct Codes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) stride: usize,
}

impl<'a> Codes<'a> {
    pub(crate) fn get(&self, point: u32) -> &'a [u8] {
        &self.bytes[point as usize * self.stride..][..self.stride]
    }
}

fn tail(code: &[u8]) -> (&[u8], f32, i32) {
    let (bytes, tail) = code.split_at(code.len() - CODE_TAIL);
    let number = |at: usize| [tail[at], tail[at + 1], tail[at + 2], tail[at + 3]];
    (bytes, f32::from_le_bytes(number(0)), i32::from_le_bytes(number(4)))
}

/// Cosine distance of codes. Rounding must not make it negative: hnsw_rs asserts that.
#[derive(Debug, Clone, Copy)]
struct CodeDistance(Kernel);

impl CodeDistance {
    fn similarity(self, a: &[u8], b: &[u8]) -> f32 {
        let ((a, scale_a, _), (b, scale_b, sum_b)) = (tail(a), tail(b));
        (self.0.dot(a, b) - 128 * sum_b) as f32 * (scale_a * scale_b)
    }
}

impl Distance<u8> for CodeDistance {
    fn eval(&self, a: &[u8], b: &[u8]) -> f32 {
        (1.0 - self.similarity(a, b)).max(0.0)
    }
}

/// The graph as hnsw_rs made it, under the numbers of insertion.
struct Raw {
    /// `[point][layer]`
    links: Vec<Vec<Vec<u32>>>,
    entry: u32,
}

impl Graph {
    /// Graph of distinct codes. Inserted in order on one thread, with hnsw_rs's fixed seed for layers: the
    /// same vectors give the same graph.
    pub(crate) fn build(codes: &Codes<'_>, params: Params) -> Self {
        let count = codes.bytes.len() / codes.stride;
        let distance = CodeDistance(Kernel::best());
        let mut raw = Raw { links: vec![vec![Vec::new()]; count], entry: 0 };
        if count > 1 {
            let hnsw = Hnsw::new(params.m, count, MAX_LAYER, params.ef_construct, distance);
            for point in 0..count as u32 {
                hnsw.insert_slice((codes.get(point), point as usize));
            }
            raw.read_out(&hnsw, params);
            let attached = raw.attach_unreachable(codes, distance, 2 * params.m);
            tracing::debug!(points = count, attached, "built a graph");
        }
        raw.renumbered()
    }
}

impl Raw {
    fn read_out(&mut self, hnsw: &Hnsw<'_, u8, CodeDistance>, params: Params) {
        let mut top = 0;
        for point in hnsw.get_point_indexation() {
            let id = point.get_origin_id();
            let layer = usize::from(point.get_point_id().0);
            let lists = point.get_neighborhood_id();
            let own = lists.iter().take(layer + 1);
            self.links[id] = own.map(|list| list.iter().map(|n| n.d_id as u32).collect()).collect();
            // Ties go to the lower number: the order of iteration is hnsw_rs's business.
            if layer > top || (layer == top && (id as u32) < self.entry) {
                (top, self.entry) = (layer, id as u32);
            }
        }
        // Lists of a layer may name points that do not reach up to it.
        let layers: Vec<usize> = self.links.iter().map(Vec::len).collect();
        for lists in &mut self.links {
            for (layer, list) in lists.iter_mut().enumerate() {
                list.retain(|&point| layers[point as usize] > layer);
                list.truncate(if layer == 0 { 2 * params.m } else { params.m });
            }
        }
    }

    /// Pruning can leave a point that nobody links to. Links it from its most similar reachable neighbour.
    /// Returns how many were attached.
    fn attach_unreachable(&mut self, codes: &Codes<'_>, distance: CodeDistance, most: usize) -> usize {
        let mut reachable = vec![false; self.links.len()];
        self.mark_reachable(self.entry, &mut reachable);
        let mut attached = 0;
        for point in 0..self.links.len() as u32 {
            if reachable[point as usize] {
                continue;
            }
            let alike = |&other: &u32| distance.similarity(codes.get(point), codes.get(other));
            let most_alike = |candidates: &mut dyn Iterator<Item = u32>| {
                candidates
                    .filter(|&other| reachable[other as usize])
                    .max_by(|a, b| alike(a).total_cmp(&alike(b)))
            };
            let from = most_alike(&mut self.links[point as usize][0].iter().copied())
                .or_else(|| most_alike(&mut (0..self.links.len() as u32)));
            if let Some(from) = from {
                self.insert_between(from, point, most);
                attached += 1;
            }
            self.mark_reachable(point, &mut reachable);
        }
        attached
    }

    /// Links `point` from `from`. Where `from` has no room, its last link is taken over by `point`, which
    /// gives up one of its own for it: what was reachable through `from` still is, and nobody was through
    /// `point`.
    fn insert_between(&mut self, from: u32, point: u32, most: usize) {
        let list = &mut self.links[from as usize][0];
        let moved = if list.len() < most { None } else { list.pop() };
        list.push(point);
        if let Some(moved) = moved {
            let own = &mut self.links[point as usize][0];
            if !own.contains(&moved) {
                own.truncate(most - 1);
                own.push(moved);
            }
        }
    }

    fn mark_reachable(&self, start: u32, reachable: &mut [bool]) {
        let mut stack = vec![start];
        while let Some(point) = stack.pop() {
            if !std::mem::replace(&mut reachable[point as usize], true) {
                stack.extend(self.links[point as usize][0].iter().filter(|&&next| !reachable[next as usize]));
            }
        }
    }

    /// Numbers points breadth-first from the entry, so that neighbours lie near each other in the file.
    fn renumbered(self) -> Graph {
        let count = self.links.len();
        let mut new = vec![u32::MAX; count];
        let mut order = Vec::with_capacity(count);
        let mut queue = VecDeque::new();
        let starts = std::iter::once(self.entry).chain(0..count as u32);
        for start in starts.filter(|&start| (start as usize) < count) {
            queue.push_back(start);
            while let Some(point) = queue.pop_front() {
                if new[point as usize] == u32::MAX {
                    new[point as usize] = order.len() as u32;
                    order.push(point);
                    queue.extend(
                        self.links[point as usize][0].iter().filter(|&&n| new[n as usize] == u32::MAX),
                    );
                }
            }
        }
        let links =
            order.iter().map(|&old| self.links[old as usize][0].iter().map(|&n| new[n as usize]).collect());
        let (upper, top) = self.upper(&order, &new);
        Graph { links: links.collect(), upper, entry: 0, top, order }
    }

    fn upper(&self, order: &[u32], new: &[u32]) -> (Vec<Vec<UpperPoint>>, u32) {
        let layers = self.links.iter().map(Vec::len).max().unwrap_or(0);
        let mut upper: Vec<Vec<UpperPoint>> = Vec::new();
        let mut below: HashMap<u32, u32> = HashMap::new();
        for layer in 1..layers {
            let members: Vec<u32> =
                order.iter().copied().filter(|&old| self.links[old as usize].len() > layer).collect();
            let places: HashMap<u32, u32> =
                members.iter().enumerate().map(|(place, &old)| (old, place as u32)).collect();
            let point = |&old: &u32| UpperPoint {
                point: new[old as usize],
                below: below.get(&old).copied().unwrap_or(new[old as usize]),
                links: self.links[old as usize][layer].iter().map(|other| places[other]).collect(),
            };
            upper.push(members.iter().map(point).collect());
            below = places;
        }
        let top = below.get(&self.entry).copied().unwrap_or(0);
        (upper, top)
    }
}
