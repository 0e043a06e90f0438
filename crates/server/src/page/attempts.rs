//! Did a log try to talk to its reader, and did that change anything?

use super::cited::{Cite, Labels};
use super::exhibits::Exhibits;
use super::parts::shorten;
use casemate_investigate::{Investigation, injection};

/// Characters shown of what was written.
const TEXT_CHARS: usize = 400;
/// The fact that such text is.
const FACT: &str = "instruction_like_text";

/// Text in a log that is meant for whoever reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) cites: Vec<Cite>,
    pub(crate) event: u64,
    pub(crate) field: String,
    /// What it does: "text that …".
    pub(crate) does: &'static str,
    pub(crate) text: String,
    /// Facts that lower the verdict and rest on this very event: none, by construction of what facts read.
    pub(crate) lowered_by: Vec<String>,
    /// What the attempt itself adds, in logits.
    pub(crate) raised: Option<String>,
}

/// Every attempt among the events behind the evidence.
pub(crate) fn find(case: &Investigation, exhibits: &Exhibits, labels: &Labels) -> Vec<Attempt> {
    let mut found: Vec<Attempt> = Vec::new();
    for item in &case.evidence {
        let ids = std::iter::once(&item.event).chain(&item.folded);
        for stored in ids.filter_map(|id| exhibits.events.get(id)) {
            let Some(injection) = injection::find(&stored.event) else { continue };
            let text = shorten(&injection.text, TEXT_CHARS);
            // What a line stands for says the same again.
            if found.iter().any(|other| other.field == injection.field && other.text == text) {
                continue;
            }
            let lowering = case.facts.iter().filter(|fact| fact.weight < 0.0);
            let on_this = lowering.filter(|fact| fact.evidence.contains(&item.label));
            let own = case.facts.iter().find(|fact| fact.name == FACT && fact.evidence.contains(&item.label));
            found.push(Attempt {
                raised: own.map(|fact| format!("{:+.2}", fact.weight)),
                cites: labels.cites([&item.label]),
                event: stored.id.0,
                field: injection.field,
                does: injection.sign.describe(),
                text,
                lowered_by: on_this.map(|fact| fact.statement.clone()).collect(),
            });
        }
    }
    found
}
