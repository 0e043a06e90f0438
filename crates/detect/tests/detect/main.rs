//! What the rules find, end to end.
//!
//! - `loading`: good, bad and hostile rule files
//! - `correlating`: correlation rules over events in and out of order, and after a restart
//! - `matching`: rule text against one event, as a table
//! - `specification`: the Sigma specification point by point
//! - `starter`: every rule of `config/rules` against events it must and must not match
//! - `incident`: the rules of `config/rules` over the sample incident
//! - `sigma_hq`: all rules of SigmaHQ and their own regression events, where the shared data is present

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod correlating;
mod incident;
mod loading;
mod matching;
mod sigma_hq;
mod specification;
mod starter;
mod support;
