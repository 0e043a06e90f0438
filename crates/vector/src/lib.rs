//! Which events resemble this? HNSW over memory-mapped vectors; knows ids and floats only.
//!
//! An index is one immutable file, built as a whole and replaced as a whole: add vectors by building again.
//! The graph is built by hnsw_rs (Malkov and Yashunin, 2016), then flattened, so that opening it is a memory
//! map and a check of its bounds. No embedding of texts, no ids handed out, no filters.
//!
//! Equal vectors share one point of the graph, because HNSW's pruning cuts large groups of duplicates off
//! from the rest. Building is sequential: the same vectors give the same file, byte for byte.

mod build;
mod dot;
mod error;
mod graph;
mod index;
mod layout;

#[cfg(test)]
mod tests;

pub use build::{Params, build};
pub use error::{Error, Result};
pub use index::{Index, Neighbour};

#[cfg(target_endian = "big")]
compile_error!("index files are little endian and mapped as they are");
