//! What can other programs and a person at a browser ask of Casemate, and how is it answered?
//!
//! An HTTP API under `/v1`, the Model Context Protocol at `/mcp` and a server-rendered page at `/`, on loopback, over TLS,
//! or on a Unix socket. Reading and writing goes
//! through the pipeline's store on blocking threads; one worker thread owns the model and investigates one
//! alert at a time from a bounded queue.
//!
//! Deliberately absent: anything that opens an outgoing connection.

// The schemas of the OpenAPI document are one `json!`.
#![recursion_limit = "256"]

mod admit;
mod api;
mod background;
mod board;
mod error;
mod gate;
mod guard;
mod headline;
mod hub;
mod knowledge;
mod listen;
mod live;
mod mcp;
mod metrics;
mod model;
mod openapi;
mod page;
mod params;
mod problem;
mod queue;
mod rates;
mod record;
mod redact;
mod router;
mod serve;
mod served;
mod state;
mod streams;
mod turnstile;
mod worker;

pub use api::about::{About, Release, Releases};
pub use background::give_way;
pub use error::{Error, Result};
pub use knowledge::tries::{Closed, Judge};
pub use listen::{Address, Listener};
pub use mcp::{Served, serve_mcp};
pub use redact::{Redaction, RedactionError};
pub use serve::{Config, serve, serve_with};
