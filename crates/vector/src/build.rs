//! How is an index made from vectors? Checked, merged where equal, connected, written.

use crate::dot::normalise;
use crate::graph::Graph;
use crate::layout::{Contents, MAGIC, VERSION};
use crate::{Error, Result};
use casemate_disk::write_checked;
use std::collections::HashMap;
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
        Self { m: 16, ef_construct: 200 }
    }
}

/// Most vectors, so that a point and a link fit 32 bits.
const MAX_VECTORS: usize = 1 << 28;
const MAX_DIMENSION: usize = 1 << 16;

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
    check(dimension, ids, vectors, params)?;
    let merged = merge(dimension, ids, vectors)?;
    let graph = Graph::build(dimension, &merged.vectors, params);
    let contents = Contents::new(dimension, params, &merged, &graph);
    write_checked(path, MAGIC, VERSION, |out| contents.write(out))?;
    Ok(())
}

/// Distinct vectors, and who has which.
pub(crate) struct Merged {
    /// Normalised, one after another.
    pub(crate) vectors: Vec<f32>,
    /// Id and its point, in ascending order of id.
    pub(crate) points: Vec<(u64, u32)>,
}

fn check(dimension: usize, ids: &[u64], vectors: &[f32], params: Params) -> Result<()> {
    let in_range = |name, found: usize, low: usize, high: usize, range| {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Error::OutOfRange { name, found, range }) }
    };
    in_range("m", params.m, 2, 128, "between 2 and 128")?;
    in_range("ef_construct", params.ef_construct, 1, 10_000, "between 1 and 10000")?;
    in_range("dimension", dimension, 1, MAX_DIMENSION, "between 1 and 65536")?;
    in_range("the number of vectors", ids.len(), 0, MAX_VECTORS, "at most 268435456")?;
    let expected = dimension * ids.len();
    if vectors.len() != expected {
        return Err(Error::Dimension { what: "the list of vectors", found: vectors.len(), expected });
    }
    Ok(())
}

fn merge(dimension: usize, ids: &[u64], vectors: &[f32]) -> Result<Merged> {
    let mut merged = Merged { vectors: Vec::new(), points: Vec::with_capacity(ids.len()) };
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    for (&id, vector) in ids.iter().zip(vectors.chunks_exact(dimension)) {
        let mut vector = vector.to_vec();
        normalise(&mut vector).map_err(|problem| Error::BadVector { what: format!("id {id}"), problem })?;
        // Adding zero makes -0 the same as 0.
        let key: Vec<u32> = vector.iter().map(|x| (x + 0.0).to_bits()).collect();
        let next = known.len() as u32;
        let point = *known.entry(key).or_insert(next);
        if point == next {
            merged.vectors.extend(vector);
        }
        merged.points.push((id, point));
    }
    merged.points.sort_unstable();
    if let Some(pair) = merged.points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::DuplicateId(pair[0].0));
    }
    Ok(merged)
}
