//! The server over real sockets, asked by a plain TCP client.
//!
//! | module | what |
//! |---|---|
//! | `api` | every endpoint for programs, and the shape of errors |
//! | `guard` | who is let in, and the headers of every answer |
//! | `page` | the pages: what they show, and that log text stays text |
//! | `shippers` | what Splunk, Elastic and OpenTelemetry senders are answered, and requests taken in once |
//! | `lifecycle` | start, port in use, shutdown |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod client;
mod fixture;
mod guard;
mod lifecycle;
mod page;
mod running;
mod shippers;
