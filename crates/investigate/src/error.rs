use std::path::PathBuf;

/// What can keep an investigation from starting or finishing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An investigation cannot be made again.
    #[error("investigation {alert} cannot be replayed: {why}")]
    NotReplayed {
        /// Its alert.
        alert: casemate_event::AlertId,
        /// Why not.
        why: String,
    },
    /// A playbook or site file could not be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A playbook says something it may not.
    #[error("playbook {path}: {reason}")]
    Playbook {
        /// The file.
        path: PathBuf,
        /// Which key, what is wrong with it and what to write instead.
        reason: String,
    },
    /// A file of the site says something it may not.
    #[error("{path}: {reason}")]
    Site {
        /// The file.
        path: PathBuf,
        /// Which key, what is wrong with it and what to write instead.
        reason: String,
    },
    /// A question cannot be asked.
    #[error("the question cannot be answered: {reason}")]
    Question {
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A head file says something it may not.
    #[error("head {path}: {reason}")]
    Head {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A playbook's test cannot be run.
    #[error("test {name:?}: {reason}")]
    Trial {
        /// The test.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the alert's events is in the store.
    #[error("alert {alert} names no event that the store has; ingest its logs again before investigating it")]
    NoEvents {
        /// The alert's number.
        alert: casemate_event::AlertId,
    },
    /// The evidence could not be read from the store.
    #[error("could not read evidence: {0}")]
    Store(#[from] casemate_store::Error),
    /// The semantic search failed.
    #[error("could not search for similar events: {0}")]
    Pipeline(#[from] casemate_pipeline::Error),
    /// The model's next step would cost more than one alert may.
    #[error(
        "the budget of {limit} {unit} for one alert does not hold the model's work; raise it to have the model asked"
    )]
    OverBudget {
        /// How much there is.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The model failed.
    #[error("the model failed: {0}")]
    Inference(#[from] casemate_inference::Error),
}

impl Error {
    /// Whether the model had no time for it, or nobody waited any longer: the same may be asked again.
    pub fn is_busy(&self) -> bool {
        use casemate_inference::Error::{Busy, Cancelled, Deadline};
        matches!(self, Self::Inference(Busy { .. } | Cancelled | Deadline))
    }
}
