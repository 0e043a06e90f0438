//! The server over real sockets, asked by a plain TCP client.
//!
//! | module | what |
//! |---|---|
//! | `api` | every endpoint for programs, and the shape of errors |
//! | `ask` | questions in plain words |
//! | `board` | lists and their filters, the stream of what happens, the page of the system |
//! | `cases` | cases, closing and reopening, and the record of it |
//! | `feedback` | what people say of verdicts, many at once, and what that changes |
//! | `guard` | who is let in, and the headers of every answer |
//! | `mcp` | the Model Context Protocol, and what is said to what is none |
//! | `knowledge` | playbooks, rules and models: read, looked at, tried |
//! | `page` | the pages: what they show, and that log text stays text |
//! | `queue` | which alert is investigated when, and what a restart remembers |
//! | `search` | how a text is read, counts, pages, pivots, following, evidence |
//! | `shippers` | what Splunk, Elastic and OpenTelemetry senders are answered, and requests taken in once |
//! | `streams` | how many there may be, and what ends them |
//! | `lifecycle` | start, port in use, shutdown |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod ask;
mod board;
mod cases;
mod client;
mod feedback;
mod fixture;
mod guard;
mod knowledge;
mod lifecycle;
mod mcp;
mod page;
mod queue;
mod running;
mod search;
mod shippers;
mod streams;
