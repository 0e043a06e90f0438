//! What belongs to the case or alert that a question is about?

use super::About;
use super::time::Span;
use crate::Error;
use crate::report::Investigation;
use casemate_event::{Alert, AlertId, CaseId, Closing, Entity, EntityKind, EventId};
use casemate_store::Store;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Most alerts of a case that are looked at.
const MAX_ALERTS: usize = 24;
/// Most hosts of a case that a question is narrowed to.
const MAX_HOSTS: usize = 12;
/// Time before the first and after the last alert that is still the case's.
const AROUND: SignedDuration = SignedDuration::from_mins(30);

/// A case as questions see it.
pub(super) struct Case {
    /// What it is called in answers.
    pub(super) name: String,
    pub(super) alerts: Vec<Alert>,
    pub(super) investigations: Vec<Investigation>,
    pub(super) closed: Option<Closing>,
}

impl Case {
    pub(super) fn load(store: &Store, about: About) -> Result<Self, Error> {
        let missing = |reason: String| Error::Question { reason };
        let (name, ids, closed) = match about {
            About::Case(id) => {
                let case = store.case(id)?.ok_or_else(|| missing(format!("there is no case {id}")))?;
                let ids: Vec<AlertId> = case.alerts.iter().map(|member| member.alert).collect();
                (format!("case {id}"), ids, case.closed)
            }
            About::Alert(id) => (format!("alert {id}"), vec![id], store.closing(id)?),
        };
        let (mut alerts, mut investigations) = (Vec::new(), Vec::new());
        for id in ids.into_iter().take(MAX_ALERTS) {
            alerts.extend(store.alert(id)?);
            if let Some(json) = store.investigation(id)? {
                let read = serde_json::from_slice(&json);
                investigations.push(
                    read.map_err(|error| missing(format!("the investigation {id} cannot be read: {error}")))?,
                );
            }
        }
        if alerts.is_empty() {
            return Err(missing(format!("there is no {name}")));
        }
        Ok(Self { name, alerts, investigations, closed })
    }

    pub(super) fn last_time(&self) -> Option<Timestamp> {
        self.alerts.iter().map(|alert| alert.last_time).max()
    }

    /// The time of the case, with some time around it.
    pub(super) fn span(&self) -> Option<Span> {
        let first = self.alerts.iter().map(|alert| alert.first_time).min()?;
        let last = self.last_time()?;
        Some(Span { from: first.checked_sub(AROUND).ok(), to: last.checked_add(AROUND).ok() })
    }

    /// Hosts that its alerts are about.
    pub(super) fn hosts(&self) -> Vec<Entity> {
        let all = self.alerts.iter().flat_map(|alert| &alert.entities);
        let hosts: BTreeSet<&Entity> = all.filter(|entity| entity.kind == EntityKind::Host).collect();
        hosts.into_iter().take(MAX_HOSTS).cloned().collect()
    }

    /// Events that its investigations showed their reader, then those of its alerts; each once.
    pub(super) fn events(&self) -> Vec<EventId> {
        let mut events: Vec<EventId> = Vec::new();
        let shown = self.investigations.iter().flat_map(|case| case.evidence.iter().map(|item| item.event));
        for event in shown.chain(self.alerts.iter().flat_map(|alert| alert.events.iter().copied())) {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events
    }
}

/// The case or alert that the question names ("in case 3"), else the one it was asked about, and the question
/// without it.
pub(super) fn named(text: &str, given: Option<About>) -> (Option<About>, String) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |place: usize| {
        let word = words.get(place).map_or("", |word| word.trim_end_matches(['?', '.', ',', '!', ':']));
        word.to_lowercase()
    };
    let mut about = given;
    let mut rest: Vec<&str> = Vec::new();
    let mut place = 0;
    while let Some(word) = words.get(place) {
        let noun = plain(place);
        let is_noun = matches!(noun.as_str(), "case" | "alert" | "investigation" | "incident");
        let number = plain(place + 1).trim_start_matches('#').parse::<u64>().ok();
        let article =
            rest.last().is_some_and(|word| matches!(word.to_lowercase().as_str(), "this" | "the" | "that"));
        match (is_noun, number) {
            (true, Some(number)) if noun != "incident" => {
                about = Some(if noun == "case" {
                    About::Case(CaseId(number))
                } else {
                    About::Alert(AlertId(number))
                });
                place += 1;
            }
            (true, _) if article && about.is_some() => {
                rest.pop();
            }
            _ => {
                rest.push(word);
                place += 1;
                continue;
            }
        }
        // "in case 3": nothing is left of it.
        let leads = |word: &&str| {
            matches!(word.to_lowercase().as_str(), "in" | "of" | "for" | "about" | "to" | "during" | "on")
        };
        if rest.last().is_some_and(leads) {
            rest.pop();
        }
        place += 1;
    }
    (about, rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_question_is_about_is_taken_out_of_it() {
        let check = |text: &str, given: Option<About>, about: Option<About>, rest: &str| {
            assert_eq!(named(text, given), (about, rest.to_owned()), "{text}");
        };
        let (case, alert) = (Some(About::Case(CaseId(3))), Some(About::Alert(AlertId(9))));
        check("Who logged on in case 3?", None, case, "Who logged on");
        check("What is the verdict of alert #9?", case, alert, "What is the verdict");
        check("Who logged on in this case", case, case, "Who logged on");
        check("Is there a case?", None, None, "Is there a case?");
    }
}
