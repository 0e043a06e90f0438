//! What happened, and how sure are we?
//!
//! From an alert to a verdict that an analyst can check: a playbook says where to look and what to ask
//! ([`Playbooks`]), evidence is retrieved and rendered as bounded lines, code establishes facts, the model
//! answers typed questions by log-probability and writes a few sentences that can only cite what is there,
//! and everything adds up, term by term, to a verdict ([`Investigator::investigate`]).
//!
//! The model never decides: it nudges. It never writes queries, never names an identifier that is not in
//! its evidence, and never sees an alert's title, a rule's name or a file's name. This crate fetches no
//! events of its own, stores nothing and serves nothing.

pub mod ask;
pub mod attack;
mod baseline;
mod budget;
#[cfg(test)]
mod calibration;
pub mod canary;
mod context;
mod decode;
pub mod drift;
mod error;
mod exemplar;
mod facts;
mod features;
pub mod gate;
mod hash;
pub mod head;
pub mod injection;
mod investigator;
mod missing;
mod narrative;
pub mod playbook;
mod probe;
mod progress;
mod prompt;
mod prompts;
mod reader;
mod relate;
pub mod render;
mod replay;
pub mod report;
mod retrieve;
mod reuse;
mod select;
mod silence;
mod site;
pub mod taint;
mod techniques;
#[cfg(test)]
mod testing;
mod verdict;
mod view;

pub use budget::Budget;
pub use decode::{MAX_DECODED_CHARS, layers as decoded_layers};
pub use drift::{Drift, Week};
pub use error::Error;
pub use exemplar::{SimilarCase, closed_features};
pub use facts::fact_names;
pub use features::Feature;
pub use head::Head;
pub use investigator::{Investigator, LoadedHead, LoadedModel};
pub use playbook::Playbooks;
pub use probe::States;
pub use progress::Progress;
pub use prompts::{Check, Given, Prompt, Prompts, Task};
pub use relate::Relation;
pub use replay::{Rejudged, Replayed};
pub use report::{Investigation, Verdict};
pub use site::{
    Administrator, Asset, Maintenance, Period, Place, Scanner, ServiceAccount, Site, Ticket, Tool, Window,
};
pub use techniques::techniques_of;
pub use verdict::judge_again;
