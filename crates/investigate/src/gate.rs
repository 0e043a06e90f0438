//! Does the evidence bear out what the report says?
//!
//! Every sentence of the narrative, every fact and every answer is held against the events it cites: the
//! events exist, and actor, object, direction, outcome and time are theirs. [`narrative`](crate::narrative)
//! replaces what fails while a report is written; [`supported`] counts it in a finished one, so that the
//! evaluation can say how often the gate lets something through.

mod roles;
mod sentence;

use roles::Roles;
pub(crate) use sentence::{Cited, is_supported};

use crate::facts;
use crate::report::{Evidence, Investigation, SentenceSource};
use crate::view::base_name;
use casemate_event::{EventId, Stored};
use std::collections::{BTreeMap, BTreeSet};

/// How much of a report its evidence bears out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Supported {
    /// Citations in sentences, facts and answers.
    pub citations: u64,
    /// Of these, those of evidence that is in the report and of an event that was given.
    pub existing: u64,
    /// Sentences of the narrative and facts that cite something.
    pub sentences: u64,
    /// Of these, those that the cited events bear out.
    pub supported: u64,
}

/// Holds a finished report against the events of its case.
///
/// `events` are at least those of the report's evidence; facts about several events (a burst of failed
/// logons) need the others that were folded into a line too. What a fact says about the site or its past
/// cannot be seen in events: of such a fact only the citations are checked.
pub fn supported(case: &Investigation, events: &[Stored]) -> Supported {
    let by_id: BTreeMap<EventId, &Stored> = events.iter().map(|stored| (stored.id, stored)).collect();
    let cited = |labels: &[String]| -> Vec<(&Evidence, &Stored)> {
        case.evidence
            .iter()
            .filter(|item| labels.contains(&item.label))
            .filter_map(|item| Some((item, *by_id.get(&item.event)?)))
            .collect()
    };
    let mut counted = Supported::default();
    let labels = case.narrative.iter().map(|sentence| &sentence.citations);
    let labels = labels.chain(case.facts.iter().map(|fact| &fact.evidence));
    for labels in labels.chain(case.answers.iter().map(|answer| &answer.evidence)) {
        counted.citations += labels.len() as u64;
        counted.existing += cited(labels).len() as u64;
    }
    let names = names(events);
    for sentence in &case.narrative {
        counted.sentences += 1;
        let found = cited(&sentence.citations);
        // A template repeats a fact or a line word for word; a model's sentence has to agree with the fields.
        let holds = match sentence.source {
            SentenceSource::Model => {
                let cited: Vec<Cited<'_>> =
                    found.iter().map(|(item, stored)| Cited::of(&stored.event, item)).collect();
                is_supported(&sentence.text, &cited, &names)
            }
            SentenceSource::Template => {
                !found.is_empty() && found.len() == sentence.citations.len() && repeats(case, &sentence.text)
            }
        };
        counted.supported += u64::from(holds);
    }
    for fact in case.facts.iter().filter(|fact| !fact.evidence.is_empty()) {
        counted.sentences += 1;
        let found = cited(&fact.evidence);
        let ids: Vec<EventId> = found.iter().map(|(_, stored)| stored.id).collect();
        let holds = found.len() == fact.evidence.len()
            && facts::holds(&fact.name, &fact.statement, &ids, events).unwrap_or(true);
        counted.supported += u64::from(holds);
    }
    counted
}

/// Whether a template's text is that of a fact or of a line.
fn repeats(case: &Investigation, text: &str) -> bool {
    let facts = case.facts.iter().map(|fact| crate::narrative::sentence_case(&fact.statement));
    let lines = case.evidence.iter().map(crate::narrative::line_sentence);
    facts.chain(lines).any(|own| own == text)
}

impl<'a> Cited<'a> {
    /// An event with the line of evidence that shows it.
    pub(crate) fn of(event: &'a casemate_event::Event, item: &Evidence) -> Self {
        Self { event, line: item.line.to_lowercase(), count: item.count, roles: Roles::of(event) }
    }
}

/// Names that a sentence may only use if what it cites holds them, in lower case.
pub(crate) fn names(events: &[Stored]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for entity in events.iter().flat_map(|stored| stored.event.entities()) {
        let base = base_name(&entity.value);
        names.extend(base.strip_suffix(".exe").map(str::to_owned));
        names.insert(base);
        names.insert(entity.value.to_lowercase());
    }
    // Accounts called like ordinary words would fail every sentence.
    for word in ["system", "process", "user", "host", "service", "network", "local"] {
        names.remove(word);
    }
    names
}

#[cfg(test)]
mod tests;
