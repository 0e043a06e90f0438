//! What can other programs and a person at a browser ask of Casemate, and how is it answered?
//!
//! An HTTP API under `/v1` and a server-rendered page at `/`, on loopback only. Reading and writing goes
//! through the pipeline's store on blocking threads; one worker thread owns the model and investigates one
//! alert at a time from a bounded queue.
//!
//! Deliberately absent: authentication (hence loopback only, with the `Host` and `Origin` headers checked
//! against other web pages), TLS, and anything that opens an outgoing connection.

mod api;
mod error;
mod gate;
mod guard;
mod headline;
mod hub;
mod metrics;
mod openapi;
mod page;
mod params;
mod problem;
mod queue;
mod record;
mod router;
mod serve;
mod served;
mod state;
mod worker;

pub use error::{Error, Result};
pub use serve::{Config, adopt, bind, serve, serve_with};
