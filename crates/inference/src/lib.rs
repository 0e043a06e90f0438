//! What does the model say?
//!
//! A GGUF decoder and a text embedder. [`Model::load`] reads a file, [`Model::session`] opens a cache to
//! read tokens into, [`Session::score`] weighs typed answers over what was read, and [`Session::generate`]
//! writes under a [`Grammar`]. No type of the tensor library appears here. Deliberately absent: prompts,
//! sampling with randomness, and anything that fetches a model.

mod attention;
mod cache;
mod config;
mod decoder;
mod embedder;
mod error;
mod gguf;
mod grammar;
mod matrix;
mod model;
mod parallel;
mod rope;
mod session;
mod simd;
mod template;
mod tokenizer;
mod weights;

pub use embedder::Embedder;
pub use error::{Error, Result};
pub use grammar::{Constraint, Grammar, TokenMask, Unconstrained};
pub use model::{Model, ModelInfo};
pub use session::{Question, Session};
pub use template::{Part, Role, Turn};
pub use tokenizer::Tokens;
