//! Which rules does this event match? Sigma detection rules over [`Event`](casemate_event::Event)s.
//!
//! Rules are read from directories once, grouped by the log source they ask for, and matched one event at a
//! time against the fields as the vendor named them. One rule that cannot be used is a [`Problem`] of that
//! rule, never a failure of the rest.
//!
//! Correlation rules, which several events match together, have a [`Correlator`] that is shown every event
//! in turn.
//!
//! # How much of Sigma
//!
//! Version 2.1 of the specification: values with wildcards, every modifier of its appendix, conditions, keywords,
//! placeholders, filters and correlations. `tests/detect/specification.rs` and `correlating.rs` hold each point with
//! what must match and what must not. rsigma 0.23 compiles and matches; where it differs from the specification a
//! rule is rewritten first (`strings`, `dash`, `expand`, `filter`) or evaluated here (`correlator`).
//!
//! What is not supported is never dropped in silence:
//!
//! - A rule that cannot be used is a [`Problem`] with its file and title: a broken file, no log source, an unknown
//!   modifier or a combination that means nothing (`|all` over one value), a pattern with look-around or
//!   back-references, aggregations of Sigma 1 (`| count() by …`), a placeholder that no list names, `windash` over
//!   more than five options in one value, a correlation with a window other than sliding, a correlation that counts
//!   to more than 100,000.
//! - A rule whose log source no decoder writes loads, never matches, and is among [`Rules::without_source`].
//! - Events do not tell a field that is empty or `-` from one that is absent: `''`, `'-'` and `null` match all three,
//!   `exists: true` none of them.
//!
//! Deliberately not here: storing or folding of alerts, and any opinion on whether a match is an attack.

mod alert;
mod candidate;
mod correlation;
mod correlator;
mod dash;
mod expand;
mod filter;
mod load;
mod logsource;
mod rule;
mod rules;
mod strings;
mod view;

pub use alert::{
    ALERT_LEVEL, alert, correlation_alert, correlation_fold_key, fold_key, fold_kind, record_kind,
};
pub use candidate::{Candidate, MAX_CANDIDATE_BYTES, Remark};
pub use correlator::{Correlated, Correlator};
pub use rule::Rule;
pub use rules::{Problem, Rules};

use std::io;
use std::path::PathBuf;

/// Why rules could not be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file that was named cannot be read.
    #[error("cannot read rules at {}: {source}; name a directory of Sigma rules (*.yml)", path.display())]
    Read {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
