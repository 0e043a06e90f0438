//! What can go wrong between a model file and an answer, and what to do about it.

use std::path::PathBuf;

/// Result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be loaded or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// The file does not begin as a GGUF file does.
    #[error("{path}: not a GGUF file: it begins with {found:02x?} where 'GGUF' was expected")]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },

    /// The header says more than the file holds.
    #[error("{path}: the file is {file_bytes} bytes but {what} needs {needed}: fetch it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        file_bytes: u64,
        /// What reaches past the end.
        what: String,
        /// The length in bytes the file would need.
        needed: u64,
    },

    /// Something in the file contradicts the format.
    #[error("{path}: {what} at byte {offset}: the file is damaged, fetch it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the beginning.
        offset: u64,
        /// What was found there.
        what: String,
    },

    /// A sound file that this engine cannot run.
    #[error("{path}: {what} is not supported: {advice}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it uses.
        what: String,
        /// What to use instead.
        advice: &'static str,
    },

    /// A key or tensor that the architecture needs is absent or has the wrong type or shape.
    #[error("{path}: {what}: this file does not hold a complete model, fetch it again or use another")]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },

    /// The tokenizer in the file is unusable or could not encode a text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// The chat template in the file is absent, does not render, or drops messages.
    #[error("chat template: {0}")]
    Template(String),

    /// More tokens than the session, or the model, has room for.
    #[error("{needed} tokens do not fit where {limit} do: shorten the input or open a larger session")]
    ContextLength {
        /// Tokens that would have to fit.
        needed: usize,
        /// Tokens that do.
        limit: usize,
    },

    /// The keys and values of all sessions take the memory they may.
    #[error(
        "no room for more tokens: {limit} in all sessions are the most this model was loaded for; close sessions, or load it with a larger cache"
    )]
    CacheFull {
        /// Tokens there is room for.
        limit: usize,
    },

    /// As many wait for the model as may.
    #[error("the model is busy and {waiting} wait for it already: try again later")]
    Busy {
        /// How many wait.
        waiting: usize,
    },

    /// The work was ended by whoever asked for it.
    #[error("cancelled")]
    Cancelled,

    /// The work's time was up.
    #[error("the deadline passed before the model was done")]
    Deadline,

    /// A request that has no answer, such as scoring an empty candidate.
    #[error("{0}")]
    BadRequest(String),

    /// The grammar does not compile, or nothing it allows can follow.
    #[error("grammar: {0}")]
    Grammar(String),

    /// The model computes infinities or what is not a number.
    #[error("the model's scores are not finite numbers: its file is damaged, fetch it again")]
    NotFinite,

    /// The tensor library failed; a defect or lack of memory rather than bad input.
    #[error("computation failed: {0}")]
    Compute(Box<candle_core::Error>),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(Box::new(error))
    }
}
