//! How good is it, here, today?
//!
//! Labelled scenarios ([`scenario`]) become isolated stores with the alerts a site would see, the real
//! pipeline investigates them, and what it concluded ([`Outcome`]) becomes figures with intervals. Labels,
//! titles, descriptions, file names and paths stay on this side: nothing of them reaches a store, a prompt
//! or a feature.

mod error;
pub mod fit;
mod isolate;
mod logistic;
mod observe;
mod outcome;
mod raise;
mod rename;
pub mod scenario;

pub use error::Error;
pub use observe::{Observed, Tools, observe};
pub use outcome::{Alerted, Outcome};
pub use scenario::Scenario;
