//! What does the evidence say about this question?
//!
//! Code reads the question first. Who, which, when, how many, first, last, list and whether, about things that
//! the store knows and kinds of events that it holds, are answered from the store, exactly, with the query and
//! the events; what an investigation or a person concluded is answered from the record. Only what is left is
//! given to the model: over evidence that was retrieved for it, under a grammar that can only cite that evidence,
//! each sentence held against what it cites. Where nothing bears an answer out, the answer is "I don't know",
//! with what was looked for.
//!
//! Nothing is stored and nothing is decided here. The same question over the same store gives the same answer.

mod answer;
mod case;
mod free;
mod kinds;
mod names;
mod query;
mod record;
mod time;
mod typed;
mod understand;
mod words;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Counted, How, Line, Progress, Provenance, Told};
pub use casemate_inference::{Cancel, Priority, Ticket};

use crate::investigator::LoadedModel;
use crate::{Error, injection};
use case::Case;
use casemate_event::{AlertId, CaseId};
use casemate_pipeline::Pipeline;
use casemate_store::{Order, Query};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::time::Instant;
use time::{Reference, Span};
use understand::{Constraint, Reading, Understood};

/// Longest question, in characters.
pub const MAX_QUESTION_CHARS: usize = 600;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A case.
    Case(CaseId),
    /// An alert and its investigation.
    Alert(AlertId),
}

/// A question with its bounds.
#[derive(Debug, Clone)]
pub struct Question {
    /// In plain words.
    pub text: String,
    /// What it is about; everything, if nothing is given.
    pub about: Option<About>,
    /// Events not earlier than this.
    pub after: Option<Timestamp>,
    /// Events not later than this.
    pub before: Option<Timestamp>,
    /// What "today" and "the last hour" are told from.
    pub now: Timestamp,
    /// How urgent it is, and who can end it.
    pub ticket: Ticket,
}

/// Answers questions over one store, any number at a time.
#[derive(Clone)]
pub struct Asker {
    pipeline: Arc<Pipeline>,
    model: Option<LoadedModel>,
}

impl Asker {
    /// Answers over these events; without a model what can be counted or is on record is answered, and the rest
    /// says so.
    pub fn new(pipeline: Arc<Pipeline>, model: Option<LoadedModel>) -> Self {
        Self { pipeline, model }
    }

    /// Whether a model can be asked.
    pub fn has_model(&self) -> bool {
        self.model.is_some()
    }

    /// Answers a question; `told` hears of evidence and sentences as they come.
    ///
    /// Costs milliseconds where the store answers, and with a 1.5B model on two cores some 15 s where the model
    /// reads.
    ///
    /// # Errors
    /// [`Error::Question`] if it is empty, too long, or about something that is not there; [`Error::Store`] and
    /// [`Error::Pipeline`] if events cannot be read; [`Error::Inference`] if the model fails or the question's
    /// ticket ended.
    pub fn ask(&self, question: &Question, told: &mut dyn FnMut(Progress)) -> Result<Answer, Error> {
        let started = Instant::now();
        let text = question.text.trim();
        if text.is_empty() {
            return Err(Error::Question { reason: "it is empty; ask something".to_owned() });
        }
        if text.chars().count() > MAX_QUESTION_CHARS {
            let reason = format!("it is longer than {MAX_QUESTION_CHARS} characters; ask for one thing");
            return Err(Error::Question { reason });
        }
        let store = self.pipeline.store();
        let (about, text) = case::named(text, question.about);
        let case = about.map(|about| Case::load(store, about)).transpose()?;
        let bounds = Span { from: question.after, to: question.before };
        let mut answer =
            self.answer(Answer::new(&question.text), &text, case.as_ref(), bounds, question, told)?;
        if answer.how != How::Read {
            told(Progress::Evidence { lines: answer.evidence.clone() });
            answer.sentences.iter().for_each(|sentence| told(Progress::Sentence(sentence.clone())));
        }
        answer.seconds.insert("total".to_owned(), started.elapsed().as_secs_f64());
        Ok(answer)
    }

    fn answer(
        &self,
        answer: Answer,
        text: &str,
        case: Option<&Case>,
        bounds: Span,
        question: &Question,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Answer, Error> {
        let store = self.pipeline.store();
        if let Some(answer) = record::answer(&answer, text, case, store, question.now)? {
            return Ok(answer);
        }
        let reference = Reference { now: question.now, day: self.day(case)? };
        let reading = understand::read(text, store, reference)?;
        let given = query::within(bounds);
        match reading {
            Reading::Understood(asked) => {
                let asked = in_case(asked, case);
                typed::answer(answer, &asked, store, &given)
            }
            Reading::Unknown(names) => Ok(unknown(answer, &names)),
            Reading::Free { names, span, left_over } => {
                let asked = free::Asked {
                    text,
                    names: &names,
                    span: span.unwrap_or(bounds),
                    left_over: &left_over,
                    case,
                };
                free::answer(answer, &asked, &self.pipeline, self.model.as_ref(), &question.ticket, told)
            }
        }
    }

    /// The day that a time of day is of: that of the case, else the last one with events that are not our own.
    fn day(&self, case: Option<&Case>) -> Result<Date, Error> {
        let newest = |text: &str| -> Result<Option<Timestamp>, Error> {
            let query =
                Query { text: text.to_owned(), limit: 1, order: Order::NewestFirst, ..Query::default() };
            Ok(self.pipeline.store().search(&query)?.hits.first().map(|stored| stored.event.time))
        };
        let last = match case.and_then(Case::last_time) {
            Some(time) => Some(time),
            None => newest("NOT source:casemate")?.map_or_else(|| newest(""), |time| Ok(Some(time)))?,
        };
        Ok(last.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date())
    }
}

/// A question about a case that says no time means the time of the case, and one that names no machine its hosts.
fn in_case(mut asked: Understood, case: Option<&Case>) -> Understood {
    let Some(case) = case else { return asked };
    asked.span = asked.span.or_else(|| case.span());
    let names_host = asked.constraints.iter().any(Constraint::is_host);
    if !names_host {
        asked.constraints.extend(Constraint::hosts(case.hosts()));
    }
    asked
}

fn unknown(mut answer: Answer, names: &[String]) -> Answer {
    let named: Vec<String> =
        names.iter().map(|name| format!("\"{}\"", crate::render::clean(name, 80))).collect();
    let named = named.join(", ");
    answer
        .looked_for
        .push(format!("{named} as a host, user, address, program, file or domain, and in messages"));
    let missing = vec![format!("events that name {named}")];
    answer.unknown(&format!("no event in the store names {named}"), missing)
}

/// Text that talks to its reader, if the event holds any: such an event is shown without what outsiders wrote.
fn talks(event: &casemate_event::Event) -> bool {
    injection::find(event).is_some()
}
