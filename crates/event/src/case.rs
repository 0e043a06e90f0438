use crate::AlertId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of a case in its store: ascending from 1, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub u64);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Alerts that are parts of one thing, and what a person decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Number in the store.
    pub id: CaseId,
    /// The alerts in order of joining, each with why it joined.
    pub alerts: Vec<Member>,
    /// Other cases that share something with this one and could not become part of it.
    #[serde(default)]
    pub related: Vec<CaseId>,
    /// What a person decided; `None` while the case is open.
    #[serde(default)]
    pub closed: Option<Closing>,
    /// Whose it is; alerts that join later are theirs as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Assigned>,
}

/// An alert of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The alert.
    pub alert: AlertId,
    /// What it shares with the alerts before it; empty for the first.
    pub joined: String,
}

/// What a closed case or alert turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// An attack.
    Malicious,
    /// No attack.
    Benign,
}

impl Disposition {
    /// Name as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Benign => "benign",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why and by whom a case or an alert was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// What it was.
    pub verdict: Disposition,
    /// Why, in the words of whoever closed it.
    pub reason: String,
    /// Who closed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether no person decided it: then it is no example for anything.
    #[serde(default)]
    pub by_machine: bool,
}

/// Whose an alert or a case is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Who is to look after it.
    pub to: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a person thinks of a verdict on an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// Whether they agree.
    pub agrees: bool,
    /// The verdict they had before them.
    pub of: String,
    /// What it was, in their opinion. `None` if they agree that the evidence does not tell: then it is no example.
    pub truth: Option<Disposition>,
    /// Why; may be empty if they agree.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Feedback {
    /// What whoever agrees with this verdict says of the alert: agreeing with `suspicious` or `inconclusive` is to say
    /// that nobody knows.
    pub fn truth_of_agreeing(verdict: &str) -> Option<Disposition> {
        match verdict {
            "malicious" => Some(Disposition::Malicious),
            "benign" => Some(Disposition::Benign),
            _ => None,
        }
    }
}

/// What a closing or an audit row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A case with all its alerts.
    Case(CaseId),
    /// One alert.
    Alert(AlertId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(id) => write!(f, "case {id}"),
            Self::Alert(id) => write!(f, "alert {id}"),
        }
    }
}
