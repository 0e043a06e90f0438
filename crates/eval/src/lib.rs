//! How good is it, here, today?
//!
//! Labelled scenarios ([`scenario`]) become isolated stores with the alerts a site would see, the real
//! pipeline investigates them, and what it concluded ([`Outcome`]) becomes figures with intervals. Labels,
//! titles, descriptions, file names and paths stay on this side: nothing of them reaches a store, a prompt
//! or a feature.

pub mod ask;
pub mod baselines;
mod cache;
mod canary;
mod citation;
pub mod closed;
mod error;
pub mod excytin;
pub mod fit;
pub mod free_form;
pub mod gate;
pub mod interval;
mod isolate;
mod keys;
mod logistic;
pub mod metrics;
mod observe;
mod outcome;
pub mod page;
mod plot;
mod raise;
mod record;
mod rename;
pub mod report;
pub mod run;
pub mod scenario;
pub mod train;

pub use cache::Cache;
pub use canary::Make;
pub use error::Error;
pub use observe::{Observed, Tools, observe};
pub use outcome::{Alerted, Outcome};
pub use record::Record;
pub use scenario::Scenario;
