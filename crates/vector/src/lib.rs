//! Which vectors resemble this one? HNSW over memory-mapped codes; knows ids and floats only.
//!
//! An [`Index`] is one immutable file. The graph is built by hnsw_rs (Malkov and Yashunin, 2016), then written
//! in our own layout: a search reads codes of eight bits a number, each beside its links, and orders its last
//! few candidates by the vectors themselves. Opening maps the file; a page is verified when a search first
//! comes to it.
//!
//! [`Vectors`] is an index that grows: what was added since the file was written is kept in a log and searched
//! exactly until it is merged into a new file. No embedding of texts, no ids handed out.
//!
//! Equal vectors share one point of the graph, because HNSW's pruning cuts large groups of duplicates off
//! from the rest. Building is sequential: the same vectors give the same file, byte for byte.

mod build;
mod code;
mod dot;
mod error;
mod graph;
mod head;
mod index;
mod journal;
mod kernel;
mod layout;
mod vectors;
mod walk;

#[cfg(test)]
mod tests;

pub use build::{Params, build};
pub use error::{Error, Result};
pub use index::{Index, Neighbour};
#[doc(hidden)]
pub use layout::{MAGIC, VERSION};
pub use vectors::{Options, Vectors};

#[cfg(target_endian = "big")]
compile_error!("index files are little endian and mapped as they are");
