//! How is an index made from vectors? Checked, merged where equal, coded, connected, written.

use crate::code::{self, Code};
use crate::dot::normalise;
use crate::graph::{CODE_TAIL, Codes, Graph};
use crate::layout::{self, MAGIC, VERSION};
use crate::{Error, Result};
use casemate_disk::write_sealed;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Parameters of the graph, under the names of the HNSW paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Links of a point on the upper layers; twice as many on the lowest. 2 to 128.
    pub m: usize,
    /// Candidates looked at when a point is connected. 1 to 10,000.
    pub ef_construct: usize,
}

impl Default for Params {
    fn default() -> Self {
        // With ten, as few as fit one cache line beside a code, a recall of 0.95 takes three times the candidates.
        Self { m: 16, ef_construct: 200 }
    }
}

/// Most vectors, so that a point and a link fit 32 bits.
pub(crate) const MAX_VECTORS: usize = 1 << 28;
pub(crate) const MAX_DIMENSION: usize = 1 << 16;

/// Builds the index of `vectors` (one after another, `dimension` numbers each, in the order of `ids`) and
/// writes it to `path`, replacing what is there atomically.
///
/// Vectors are scaled to length 1. Cost is dominated by hnsw_rs: about `ef_construct` times a few distances
/// per vector, on one thread.
///
/// # Errors
/// Bad input as [`Error::Dimension`], [`Error::BadVector`], [`Error::DuplicateId`] or [`Error::OutOfRange`];
/// [`Error::Disk`] if it cannot be written.
pub fn build(path: &Path, dimension: usize, ids: &[u64], vectors: &[f32], params: Params) -> Result<()> {
    let mut builder = Builder::new(dimension, params)?;
    let expected = dimension * ids.len();
    if vectors.len() != expected {
        return Err(Error::Dimension { what: "the list of vectors", found: vectors.len(), expected });
    }
    for (&id, vector) in ids.iter().zip(vectors.chunks_exact(dimension)) {
        builder.add(&[id], &stored(vector, || format!("id {id}"))?)?;
    }
    builder.write(path)
}

/// A vector as it is kept: of length 1, in 16 bits a number.
///
/// # Errors
/// [`Error::BadVector`] naming `what` if it has no direction.
pub(crate) fn stored(vector: &[f32], what: impl FnOnce() -> String) -> Result<Vec<f16>> {
    let mut vector = vector.to_vec();
    normalise(&mut vector).map_err(|problem| Error::BadVector { what: what(), problem })?;
    // Adding zero makes -0 the same as 0.
    vector.iter_mut().for_each(|x| *x += 0.0);
    let mut halves = vec![f16::ZERO; vector.len()];
    halves.convert_from_f32_slice(&vector);
    Ok(halves)
}

/// Distinct vectors on the way into a file, and who has which.
pub(crate) struct Builder {
    dimension: usize,
    params: Params,
    vectors: Vec<f16>,
    /// With [`CODE_TAIL`] bytes after each.
    codes: Vec<u8>,
    /// Id and its point.
    points: Vec<(u64, u32)>,
    known: HashMap<u64, u32>,
}

impl Builder {
    pub(crate) fn new(dimension: usize, params: Params) -> Result<Self> {
        in_range("m", params.m, 2, 128, "between 2 and 128")?;
        in_range("ef_construct", params.ef_construct, 1, 10_000, "between 1 and 10000")?;
        in_range("dimension", dimension, 1, MAX_DIMENSION, "between 1 and 65536")?;
        let (vectors, codes, points) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { dimension, params, vectors, codes, points, known: HashMap::new() })
    }

    /// Takes in the vector that `ids` share.
    pub(crate) fn add(&mut self, ids: &[u64], vector: &[f16]) -> Result<()> {
        let next = (self.vectors.len() / self.dimension) as u32;
        in_range(
            "the number of vectors",
            self.points.len() + ids.len(),
            0,
            MAX_VECTORS,
            "at most 268435456",
        )?;
        let mut hasher = DefaultHasher::new();
        vector.iter().for_each(|x| x.to_bits().hash(&mut hasher));
        let known = *self.known.entry(hasher.finish()).or_insert(next);
        let same =
            known != next && &self.vectors[known as usize * self.dimension..][..self.dimension] == vector;
        let point = if same { known } else { next };
        if point == next {
            let code = Code::of(&vector.to_f32_vec());
            self.vectors.extend_from_slice(vector);
            self.codes.extend_from_slice(&code.bytes);
            self.codes.extend_from_slice(&code.scale.to_le_bytes());
            self.codes.extend_from_slice(&code.sum.to_le_bytes());
        }
        self.points.extend(ids.iter().map(|&id| (id, point)));
        Ok(())
    }

    /// Connects the points and writes them.
    pub(crate) fn write(mut self, path: &Path) -> Result<()> {
        self.points.sort_unstable();
        if let Some(pair) = self.points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateId(pair[0].0));
        }
        let codes = Codes { bytes: &self.codes, stride: code::length(self.dimension) + CODE_TAIL };
        let graph = Graph::build(&codes, self.params);
        let mut new = vec![0; graph.order.len()];
        for (number, &old) in graph.order.iter().enumerate() {
            new[old as usize] = number as u32;
        }
        self.points.iter_mut().for_each(|(_, point)| *point = new[*point as usize]);
        let contents = layout::Contents {
            dimension: self.dimension,
            params: self.params,
            codes: &codes,
            vectors: &self.vectors,
            points: &self.points,
            graph: &graph,
        };
        write_sealed(path, MAGIC, VERSION, |out| contents.write(out))?;
        Ok(())
    }
}

fn in_range(name: &'static str, found: usize, low: usize, high: usize, range: &'static str) -> Result<()> {
    if (low..=high).contains(&found) { Ok(()) } else { Err(Error::OutOfRange { name, found, range }) }
}
