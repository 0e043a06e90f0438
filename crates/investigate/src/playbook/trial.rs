//! What must come out for an alert like this? Tests that a playbook carries.

use super::place::Wrong;
use super::written::check;
use super::{Playbook, Playbooks};
use crate::facts::fact_names;
use crate::{Error, Investigation, Investigator, LoadedModel, Site};
use casemate_event::{
    Alert, AlertId, AlertOrigin, Batch, Class, EventId, Fields, Format, Severity, Stored, TimeQuality,
};
use casemate_pipeline::Pipeline;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An alert with its events, and what an investigation has to say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What it shows, for people.
    pub name: String,
    /// The events, in one of two forms.
    pub given: Given,
    /// Which of them the alert is about, from 1; all if empty.
    pub alert_events: Vec<usize>,
    /// How bad the alert says it is.
    pub severity: Severity,
    /// Techniques the alert names.
    pub techniques: Vec<String>,
    /// Name of the playbook that has to be chosen.
    pub playbook: String,
    /// Answers that have to be given, by question: those of facts always, those of a model if one is asked.
    pub answers: BTreeMap<String, String>,
    /// Facts that have to hold.
    pub facts: Vec<String>,
    /// Facts that must not hold.
    pub no_facts: Vec<String>,
}

impl Trial {
    /// Takes the events in and investigates the alert over them. `pipeline` has to hold no events yet.
    ///
    /// # Errors
    /// [`Error::Trial`] if the records are not understood or the alert names an event that is not there; else as
    /// [`Investigator::investigate`].
    pub fn run(
        &self,
        pipeline: Arc<Pipeline>,
        playbooks: &Playbooks,
        model: Option<LoadedModel>,
    ) -> Result<Investigation, Error> {
        let trial = |reason: String| Error::Trial { name: self.name.clone(), reason };
        match &self.given {
            Given::Events(events) => {
                let batch = Batch { events: events.clone(), ..Batch::default() };
                pipeline.store().append(&batch)?;
            }
            Given::Records(text, format) => {
                let summary = pipeline.ingest_stream("playbook test", text.as_bytes(), *format)?;
                if summary.quarantined_count() > 0 {
                    return Err(trial(format!(
                        "{} records were not understood",
                        summary.quarantined_count()
                    )));
                }
            }
        }
        let mut events: Vec<Stored> = Vec::new();
        for id in 1..=pipeline.store().counts()?.events {
            events.extend(pipeline.store().get(EventId(id))?);
        }
        let mut chosen: Vec<&Stored> = events.iter().collect();
        if !self.alert_events.is_empty() {
            chosen.clear();
            for number in &self.alert_events {
                let found = events.get(number.saturating_sub(1));
                chosen.push(found.ok_or_else(|| {
                    trial(format!("the alert names event {number}, and there are {}", events.len()))
                })?);
            }
        }
        let times = || chosen.iter().map(|stored| stored.event.time);
        let (Some(first_time), Some(last_time)) = (times().min(), times().max()) else {
            return Err(trial("the records gave no event; see whether their format is right".to_owned()));
        };
        let mut entities: Vec<_> = chosen.iter().flat_map(|stored| stored.event.entities()).collect();
        entities.sort();
        entities.dedup();
        let alert = Alert {
            id: AlertId(1),
            origin: AlertOrigin::Product("playbook test".to_owned()),
            title: "playbook test".to_owned(),
            severity: self.severity,
            techniques: self.techniques.clone(),
            first_time,
            last_time,
            events: chosen.iter().map(|stored| stored.id).take(Alert::MAX_EVENTS).collect(),
            event_count: chosen.len() as u64,
            entities,
        };
        let mut investigator = Investigator::new(pipeline, model, playbooks.clone(), Site::default());
        investigator.investigate(&alert, &mut |_| {})
    }

    /// What came out otherwise than expected. Answers of a model are compared if one was asked.
    pub fn wrong(&self, playbook: &Playbook, case: &Investigation, with_model: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if case.playbook.name != self.playbook {
            wrong.push(format!("playbook {} was chosen, not {}", case.playbook.name, self.playbook));
        }
        let by_fact = |id: &str| playbook.decided.iter().any(|question| question.id == id);
        for (id, expected) in self.answers.iter().filter(|(id, _)| with_model || by_fact(id)) {
            match case.answers.iter().find(|answer| answer.id == *id) {
                Some(answer) if answer.answer == *expected => {}
                Some(answer) => wrong.push(format!("{id} was answered {}, not {expected}", answer.answer)),
                None => wrong.push(format!("{id} was not asked")),
            }
        }
        let holds = |name: &String| case.facts.iter().any(|fact| fact.name == *name);
        wrong.extend(
            self.facts.iter().filter(|name| !holds(name)).map(|name| format!("{name} does not hold")),
        );
        wrong.extend(self.no_facts.iter().filter(|name| holds(name)).map(|name| format!("{name} holds")));
        wrong
    }
}

/// The events of a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Events as Casemate has them.
    Events(Vec<casemate_event::Event>),
    /// Records as they come in, with the name of their format where their content does not tell it.
    Records(String, Option<Format>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTrial {
    name: String,
    #[serde(default)]
    events: Vec<WrittenEvent>,
    #[serde(default)]
    records: String,
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    alert: WrittenAlert,
    expect: WrittenExpectation,
}

/// An event in few words: time, class, and what it says under normalised and vendor names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent {
    #[serde(default)]
    time: Option<Timestamp>,
    class: Class,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default)]
    native: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenAlert {
    #[serde(default)]
    events: Vec<usize>,
    #[serde(default)]
    severity: Option<Severity>,
    #[serde(default)]
    techniques: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpectation {
    #[serde(default)]
    playbook: Option<String>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    #[serde(default)]
    facts: Vec<String>,
    #[serde(default)]
    no_facts: Vec<String>,
}

impl WrittenTrial {
    /// Checks what can be checked without running it; `known` says whether the playbook has such a question.
    pub(super) fn resolve(self, playbook: &str, known: &dyn Fn(&str) -> bool) -> Result<Trial, Wrong> {
        check(!self.name.trim().is_empty(), "name", "is empty; say what the test shows")?;
        check(
            self.events.is_empty() != self.records.trim().is_empty(),
            "events",
            "or records has to be given, and not both",
        )?;
        let playbook = self.expect.playbook.unwrap_or_else(|| playbook.to_owned());
        if let Some(id) = self.expect.answers.keys().find(|id| !known(id)) {
            return Err(Wrong::new(
                "expect",
                format!("names the answer to {id:?}, which is no question here"),
            ));
        }
        let unknown = |name: &&String| !fact_names().any(|fact| fact == name.as_str());
        if let Some(name) = self.expect.facts.iter().chain(&self.expect.no_facts).find(unknown) {
            let all: Vec<&str> = fact_names().collect();
            let reason = format!("names {name:?}, which is no fact; known are {}", all.join(", "));
            return Err(Wrong::new("expect", reason));
        }
        if self.alert.events.contains(&0) {
            return Err(Wrong::new("alert", "counts events from 1"));
        }
        let given = if self.events.is_empty() {
            Given::Records(self.records, self.format)
        } else {
            Given::Events((0..).zip(self.events).map(|(index, event)| event.resolve(index)).collect())
        };
        Ok(Trial {
            name: self.name,
            given,
            alert_events: self.alert.events,
            severity: self.alert.severity.unwrap_or(Severity::High),
            techniques: self.alert.techniques,
            playbook,
            answers: self.expect.answers,
            facts: self.expect.facts,
            no_facts: self.expect.no_facts,
        })
    }
}

impl WrittenEvent {
    /// The event; without a time, so many seconds after the first.
    fn resolve(self, index: i64) -> casemate_event::Event {
        /// 2026-01-05 09:00 UTC, a Monday.
        const START: i64 = 1_767_603_600;
        let pairs = |map: &BTreeMap<String, String>| -> Fields {
            map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        };
        let message = if self.message.is_empty() {
            self.fields.values().chain(self.native.values()).map(String::as_str).collect::<Vec<_>>().join(" ")
        } else {
            self.message
        };
        casemate_event::Event {
            time: self
                .time
                .or_else(|| Timestamp::from_second(START + index).ok())
                .unwrap_or(Timestamp::UNIX_EPOCH),
            time_quality: TimeQuality::Stated,
            format: Format::JsonLines,
            class: self.class,
            source: "playbook test".to_owned(),
            position: u64::try_from(index).unwrap_or_default() + 1,
            fields: pairs(&self.fields),
            native: pairs(&self.native),
            raw: Vec::new(),
            template: casemate_event::TemplateId(u64::try_from(index).unwrap_or_default() + 1),
            template_text: message.clone(),
            message,
        }
    }
}
