//! What does the model say?
//!
//! A GGUF decoder and a text embedder. [`Model::load`] reads a file, [`Model::session`] opens a session to
//! read tokens into, [`Session::score`] weighs typed answers over what was read, [`Session::read_pooled`]
//! returns what the model made of it, and [`Session::generate`] writes under a [`Grammar`]. No type of the
//! tensor library appears here. Deliberately absent: prompts, and anything that fetches a model.
//!
//! `cargo +nightly fuzz run gguf` in this folder looks for files that break the reader or the tokenizer; see
//! `fuzz/fuzz_targets/gguf.rs`.

mod attention;
mod cache;
mod config;
mod decoder;
mod embedder;
mod error;
mod gguf;
mod grammar;
mod kernel;
mod matmul;
mod model;
mod packed;
mod pool;
pub mod reference;
mod rest;
mod rope;
mod sampling;
mod sentencepiece;
mod session;
mod simd;
mod template;
mod tokenizer;
mod turns;
mod weights;

pub use embedder::Embedder;
pub use error::{Error, Result};
pub use grammar::{Constraint, Grammar, Spoken, TokenMask, Unconstrained};
pub use kernel::{Isa, UnknownIsa};
pub use model::{LoadOptions, Model, ModelInfo};
pub use rest::rest;
pub use sampling::{Random, Sampler};
pub use session::{Chosen, Ending, Generated, Pooled, Question, Request, Session, Watch, generate_batch};
pub use template::{Part, Role, Turn};
pub use tokenizer::Tokens;
pub use turns::{Cancel, Priority, Ticket};
