//! What does a rule claim? The part of a Sigma rule that people read.

use casemate_event::Severity;
use rsigma_parser::{Level, SigmaRule};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded Sigma rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The rule's UUID; its title, where the rule has none.
    pub id: String,
    /// What it claims, in one line.
    pub title: String,
    /// What it claims, at length.
    pub description: String,
    /// How bad it would be if true. Rules without a level are [`Severity::Medium`], Sigma's own default in
    /// practice.
    pub severity: Severity,
    /// ATT&CK technique ids in upper case (`T1059.001`), as tagged, in the numbers of v18.1.
    pub techniques: Vec<String>,
    /// ATT&CK tactics (`credential-access`), as tagged.
    pub tactics: Vec<String>,
    /// What else does the same without being an attack.
    pub false_positives: Vec<String>,
    /// File it was read from: for people and the audit trail.
    pub path: PathBuf,
    /// The file as it was read, other rules in it too.
    pub text: Arc<str>,
    /// Whether a match is worth an alert of its own at [`ALERT_LEVEL`](crate::ALERT_LEVEL); not so for rules
    /// that only feed correlation rules.
    pub raises: bool,
}

impl Rule {
    pub(crate) fn new(rule: &SigmaRule, path: &Path) -> Self {
        let (techniques, tactics) = attack_tags(&rule.tags);
        Self {
            id: rule.id.clone().unwrap_or_else(|| rule.title.clone()),
            title: rule.title.trim().to_owned(),
            description: rule.description.as_deref().unwrap_or_default().trim().to_owned(),
            severity: severity(rule.level),
            techniques,
            tactics,
            false_positives: rule.falsepositives.clone(),
            path: path.to_path_buf(),
            text: Arc::default(),
            raises: true,
        }
    }
}

pub(crate) fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Informational,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) | None => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}

/// Splits `attack.…` tags into techniques and tactics; groups (`g0016`) and software (`s0002`) are neither.
pub(crate) fn attack_tags(tags: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut techniques, mut tactics) = (Vec::new(), Vec::new());
    for tag in tags {
        let lower = tag.to_lowercase();
        let Some(name) = lower.strip_prefix("attack.") else { continue };
        let numbered = |letter: char| {
            name.strip_prefix(letter).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if numbered('t') {
            techniques.push(as_known(name.to_uppercase()));
        } else if !numbered('g') && !numbered('s') {
            tactics.push(name.replace('_', "-"));
        }
    }
    (techniques, tactics)
}

/// Techniques that ATT&CK has renumbered since v18.1, as playbooks and reports know them.
const RENUMBERED: [(&str, &str); 12] = [
    ("T1685", "T1562.001"),
    ("T1685.001", "T1562.002"),
    ("T1685.002", "T1562.008"),
    ("T1685.004", "T1562.012"),
    ("T1685.005", "T1070.001"),
    ("T1685.006", "T1070.002"),
    ("T1686", "T1562.004"),
    ("T1686.001", "T1562.007"),
    ("T1686.002", "T1562.004"),
    ("T1686.003", "T1562.004"),
    ("T1689", "T1562.010"),
    ("T1690", "T1562.003"),
];

fn as_known(id: String) -> String {
    let known = RENUMBERED.iter().find(|(new, _)| *new == id);
    known.map_or(id, |(_, known)| (*known).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_techniques_or_tactics() {
        let tags = [
            "attack.t1059.001",
            "attack.t1685.005",
            "attack.Credential_Access",
            "attack.g0016",
            "attack.s0002",
        ]
        .map(str::to_owned);
        let (techniques, tactics) = attack_tags(&tags);
        assert_eq!(techniques, ["T1059.001", "T1070.001"]);
        assert_eq!(tactics, ["credential-access"]);
    }
}
