//! Which points are linked? hnsw_rs decides; here its graph is read out and gaps are closed.

use crate::Params;
use crate::dot::dot;
use hnsw_rs::prelude::{Distance, Hnsw};

/// Layers that hnsw_rs can give out.
const MAX_LAYER: usize = 16;

/// Links of every point on each of its layers, lowest layer first.
pub(crate) struct Graph {
    pub(crate) links: Vec<Vec<Vec<u32>>>,
    /// Point on the highest layer, where searches start.
    pub(crate) entry: u32,
}

/// Cosine distance of vectors of length 1. Rounding must not make it negative: hnsw_rs asserts that.
#[derive(Debug, Default, Clone, Copy)]
struct CosineDistance;

impl Distance<f32> for CosineDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

impl Graph {
    /// Graph of distinct, normalised `vectors`. Inserted in order on one thread, with hnsw_rs's fixed seed
    /// for layers: the same vectors give the same graph.
    pub(crate) fn build(dimension: usize, vectors: &[f32], params: Params) -> Self {
        let count = vectors.len() / dimension;
        let mut graph = Self { links: vec![vec![Vec::new()]; count], entry: 0 };
        if count < 2 {
            return graph;
        }
        let hnsw = Hnsw::new(params.m, count, MAX_LAYER, params.ef_construct, CosineDistance);
        for (point, vector) in vectors.chunks_exact(dimension).enumerate() {
            hnsw.insert_slice((vector, point));
        }
        graph.read_out(&hnsw);
        let attached = graph.attach_unreachable(dimension, vectors);
        tracing::debug!(points = count, attached, "built a graph");
        graph
    }

    fn read_out(&mut self, hnsw: &Hnsw<'_, f32, CosineDistance>) {
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
            }
        }
    }

    /// Pruning can leave a point that nobody links to. Links it from its most similar reachable neighbour.
    /// Returns how many were attached.
    fn attach_unreachable(&mut self, dimension: usize, vectors: &[f32]) -> usize {
        let vector = |point: u32| &vectors[point as usize * dimension..][..dimension];
        let mut reachable = vec![false; self.links.len()];
        self.mark_reachable(self.entry, &mut reachable);
        let mut attached = 0;
        for point in 0..self.links.len() as u32 {
            if reachable[point as usize] {
                continue;
            }
            let alike = |&other: &u32| dot(vector(point), vector(other));
            let most_alike = |candidates: &mut dyn Iterator<Item = u32>| {
                candidates
                    .filter(|&other| reachable[other as usize])
                    .max_by(|a, b| alike(a).total_cmp(&alike(b)))
            };
            let from = most_alike(&mut self.links[point as usize][0].iter().copied())
                .or_else(|| most_alike(&mut (0..self.links.len() as u32)));
            if let Some(from) = from {
                self.links[from as usize][0].push(point);
                attached += 1;
            }
            self.mark_reachable(point, &mut reachable);
        }
        attached
    }

    fn mark_reachable(&self, start: u32, reachable: &mut [bool]) {
        let mut stack = vec![start];
        while let Some(point) = stack.pop() {
            if !std::mem::replace(&mut reachable[point as usize], true) {
                stack.extend(self.links[point as usize][0].iter().filter(|&&next| !reachable[next as usize]));
            }
        }
    }
}
