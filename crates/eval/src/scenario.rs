//! What is a case, and what is known to be true of it? Scenario files, one JSON object a line.

use serde::Deserialize;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// One labelled case.
///
/// `id`, `files`, `start` and `end` say which events make it up; `alert` which of them an alert is raised for
/// where the events are themselves alerts of another product. Everything else is truth, for scoring alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Scenario {
    /// Name, unique in its file.
    pub id: String,
    /// Collection it comes from.
    pub source: String,
    /// `dev`, `test` …
    pub split: String,
    /// The label.
    pub verdict: Truth,
    /// Cases of one family are alike: they are never fitted on and scored together.
    pub family: String,
    /// What kind of data it is (technique sample, window, alert group …).
    #[serde(default)]
    pub granularity: String,
    /// Log files, relative to the data directory.
    pub files: Vec<PathBuf>,
    /// First time of the window; RFC 3339 or seconds.
    #[serde(default, deserialize_with = "text")]
    pub start: Option<String>,
    /// Last time of the window.
    #[serde(default, deserialize_with = "text")]
    pub end: Option<String>,
    /// ATT&CK techniques the source names.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// ATT&CK techniques assigned from file or phase names where the source names none.
    #[serde(default)]
    pub techniques_assigned: Vec<String>,
    /// Events the source itself marks as telling.
    #[serde(default)]
    pub key_events: Vec<serde_json::Value>,
    /// Events found afterwards to match strings or rules: hints, not truth.
    #[serde(default)]
    pub derived_key_events: Vec<serde_json::Value>,
    /// The alert suggested by the collection; for groups of another product's alerts it is their name.
    #[serde(default)]
    pub suggested_alert: Option<String>,
    /// How sure the label is, in words.
    #[serde(default)]
    pub label_certainty: String,
    /// Licence of the files.
    #[serde(default)]
    pub licence: Option<String>,
}

/// What a case is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// An attack.
    Malicious,
    /// None.
    Benign,
}

/// What can be wrong with a scenario file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the scenarios")]
    Read(#[from] std::io::Error),
    /// A line is no scenario.
    #[error("{path}:{line}: not a scenario: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: serde_json::Error,
    },
}

impl Scenario {
    /// Techniques that are true of the case: the source's own, or those assigned.
    pub fn true_techniques(&self) -> &[String] {
        if self.techniques.is_empty() { &self.techniques_assigned } else { &self.techniques }
    }

    /// How far the label is to be trusted, 0 (as likely wrong as right) to 1.
    pub fn certainty(&self) -> f64 {
        let words = self.label_certainty.to_lowercase();
        match () {
            () if words.starts_with("high") => 1.0,
            () if words.starts_with("medium-high") => 0.9,
            () if words.starts_with("medium") => 0.7,
            () if words.starts_with("not ") => 0.7,
            () if words.starts_with("low-medium") => 0.3,
            () if words.starts_with("low") => 0.05,
            () => 0.3,
        }
    }

    /// Whether its licence lets a head fitted on it be shipped.
    pub fn may_train_what_ships(&self) -> bool {
        self.licence.as_deref().is_some_and(is_free)
    }
}

/// Whether a licence is one of MIT, Apache-2.0, BSD and CC0.
pub fn is_free(licence: &str) -> bool {
    ["MIT", "Apache-2.0", "BSD", "CC0"].iter().any(|free| licence.starts_with(free))
}

/// Reads the scenarios of `split` (all, if `None`) in the order of the file.
///
/// # Errors
/// [`Error::Read`], or [`Error::Line`] with the first line that is no scenario.
pub fn read(path: &Path, split: Option<&str>) -> Result<Vec<Scenario>, Error> {
    let mut scenarios = Vec::new();
    for (index, line) in std::io::BufReader::new(fs_err::File::open(path)?).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let scenario: Scenario = serde_json::from_str(&line).map_err(|reason| Error::Line {
            path: path.to_owned(),
            line: index + 1,
            reason,
        })?;
        if split.is_none_or(|split| split == scenario.split) {
            scenarios.push(scenario);
        }
    }
    Ok(scenarios)
}

/// A time may be written as text or as a number.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        None => None,
        Some(serde_json::Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}
