use casemate_event::EventId;
use std::path::PathBuf;

/// What can go wrong between a scenario file and its figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scenario file is wrong.
    #[error(transparent)]
    Scenario(#[from] crate::scenario::Error),
    /// A file of a case cannot be read.
    #[error("cannot read a file of a case")]
    Io(#[source] std::io::Error),
    /// A file of a case is not what the case says it is.
    #[error("{}: {reason}", path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of a case cannot be taken in.
    #[error(transparent)]
    Ingest(#[from] casemate_ingest::Error),
    /// The store of a case failed.
    #[error(transparent)]
    Store(#[from] casemate_store::Error),
    /// The pipeline of a case failed.
    #[error(transparent)]
    Pipeline(#[from] casemate_pipeline::Error),
    /// A kept record cannot be written, or a file cannot be hashed.
    #[error(transparent)]
    Disk(#[from] casemate_disk::Error),
    /// The model failed.
    #[error(transparent)]
    Inference(#[from] casemate_inference::Error),
    /// An investigation failed.
    #[error(transparent)]
    Investigate(#[from] casemate_investigate::Error),
    /// The store of a case lacks an event it gave out.
    #[error("event {0} is not in the store of its case")]
    Missing(EventId),
    /// The list of marks to rename is no regular expression.
    #[error("the marks to rename do not compile")]
    Marks(#[from] regex::Error),
}
