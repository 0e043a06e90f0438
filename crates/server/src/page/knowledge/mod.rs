//! What does Casemate know, on pages: playbooks, rules and models, and what was typed instead of them.

pub(crate) mod draft;
pub(crate) mod models;
pub(crate) mod playbooks;
pub(crate) mod rules;
pub(crate) mod tries;

use super::parts::percent;
use crate::knowledge::Agreement;

/// What people said of verdicts, in words; nothing where they said nothing.
pub(super) fn agreement(closed: Agreement) -> Option<String> {
    let Agreement { agreed, disagreed, undecided } = closed;
    let all = agreed + disagreed + undecided;
    (all > 0).then(|| {
        format!(
            "{} of {all} agreed with, {disagreed} not, {undecided} undecided",
            percent(agreed as f64 / all as f64)
        )
    })
}

/// The first characters of a hash, which tell files apart for people.
pub(super) fn short(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}
