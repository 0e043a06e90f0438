//! What exactly was the model given for an investigation that is stored?
//!
//! Made again from the evidence that the report holds and from what was kept beside it, without running the model. The
//! text is the same if its tokens have the hash that the report names; that takes the tokenizer of the very model.

use crate::context::Context;
use crate::facts::Scene;
use crate::investigator::LoadedModel;
use crate::playbook::{Playbooks, Question};
use crate::replay::Inputs;
use crate::report::{Investigation, Method};
use crate::{Error, Site, prompt, reader};
use casemate_event::AlertId;
use casemate_inference::{Part, Turn};
use casemate_pipeline::Pipeline;
use serde::Serialize;
use std::sync::Arc;

/// Makes prompts of stored investigations again ([`Investigator::prompts`](crate::Investigator::prompts)).
pub struct Prompts {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) model: Option<LoadedModel>,
    pub(crate) playbooks: Playbooks,
    pub(crate) site: Site,
    pub(crate) site_sha256: String,
}

/// What a model was given.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "asked", rename_all = "snake_case")]
pub enum Prompt {
    /// No model was asked.
    No {
        /// Why not.
        why: String,
        /// The investigation whose answers were used again.
        reused_from: Option<AlertId>,
    },
    /// This text.
    Yes(Given),
    /// A model was asked, and what it was given cannot be made again.
    Lost {
        /// Why not.
        why: String,
    },
}

/// The text that a model was given. Each prompt is a system turn, and a user turn of one of [`shared`](Self::shared) and a
/// task, framed by the model's own chat template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The system turn.
    pub system: String,
    /// The beginning of the user turn, one for each order of the evidence.
    pub shared: Vec<String>,
    /// The ends of the user turn: every question in every wording, then the narrative.
    pub tasks: Vec<Task>,
    /// Whether it is what was read then.
    pub check: Check,
    /// SHA-256 over the tokens that were read then.
    pub sha256: Option<String>,
}

/// What is asked for at the end of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Name of the question in the playbook, or `narrative`.
    pub id: String,
    /// Index of the wording, from 0.
    pub wording: usize,
    /// The end of the user turn.
    pub text: String,
    /// What the assistant's turn is begun with.
    pub lead: String,
    /// Answers that are scored; empty where text is written.
    pub answers: Vec<String>,
    /// Indices of the orders in which it is asked.
    pub orders: Vec<usize>,
}

/// Whether text that was made again is what was read then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Check {
    /// Its tokens have the hash that the report names.
    Same,
    /// They do not.
    Different {
        /// What is known to have changed since.
        why: String,
    },
    /// That could not be told.
    Unverified {
        /// Why not.
        why: String,
    },
}

impl Prompts {
    /// What the model was given for `case`. Reads the alert's own events; with the model loaded, encodes every prompt.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read; [`Error::Inference`] if the tokenizer fails. What is gone is no error
    /// but [`Prompt::Lost`].
    pub fn of(&self, case: &Investigation) -> Result<Prompt, Error> {
        if let Some(earlier) = case.reused_from {
            let why = format!("the verdict is that of investigation {earlier}, used again");
            return Ok(Prompt::No { why, reused_from: Some(earlier) });
        }
        if let Method::FactsOnly(why) = &case.method {
            return Ok(Prompt::No { why: why.clone(), reused_from: None });
        }
        let store = self.pipeline.store();
        let kept = Inputs::of(store, case.id).and_then(|inputs| Ok((inputs.subjects(store)?, inputs)));
        let (subjects, inputs) = match kept {
            Ok(kept) => kept,
            Err(Error::NotReplayed { why, .. }) => return Ok(Prompt::Lost { why }),
            Err(error) => return Err(error),
        };
        let Some(subject) = subjects.first() else {
            return Ok(Prompt::Lost { why: "the alert has no event".to_owned() });
        };
        let playbook = self.playbooks.choose(&inputs.alert, Some(&subject.event));
        let questions = if case.method == Method::Settled { &[] } else { playbook.questions.as_slice() };
        let context = {
            let (past, site) = (inputs.past(), &self.site);
            let scene = Scene { events: &[], relations: &[], detections: &[], site, past };
            Context::of(&scene, &subjects)
        };
        let alert = prompt::alert_sentence(subject) + &prompt::context(context.lines());
        let mut given = write(case, &alert, questions);
        given.check = self.check(case, &alert, questions)?;
        if let Check::Different { why } = &mut given.check {
            let mut changed = Vec::new();
            if playbook.sha256 != case.playbook.sha256 {
                changed.push("the playbook");
            }
            if self.site_sha256 != case.provenance.site_sha256 {
                changed.push("what the site says of itself");
            }
            if env!("CARGO_PKG_VERSION") != case.provenance.version {
                changed.push("the program");
            }
            *why = match changed.as_slice() {
                [] => "something it was made of has changed since".to_owned(),
                changed => format!("changed since: {}", changed.join(", ")),
            };
        }
        Ok(Prompt::Yes(given))
    }

    fn check(&self, case: &Investigation, alert: &str, questions: &[Question]) -> Result<Check, Error> {
        let unverified = |why: &str| Ok(Check::Unverified { why: why.to_owned() });
        let (Some(sha256), Some(model)) = (&case.provenance.prompt_sha256, &case.model) else {
            return unverified("the report names no hash; it was made by an earlier version");
        };
        let Some(loaded) = &self.model else { return unverified("the model is not loaded") };
        if loaded.sha256 != model.sha256 {
            return unverified("another model is loaded than the one that was asked");
        }
        let now = reader::prompt_sha256(&loaded.model, &case.evidence, alert, questions)?;
        Ok(if now == *sha256 { Check::Same } else { Check::Different { why: String::new() } })
    }
}

/// Every prompt, without a word on whether it is the same.
fn write(case: &Investigation, alert: &str, questions: &[Question]) -> Given {
    let orders = reader::orders(questions);
    let mut system = String::new();
    let mut shared = Vec::new();
    for order in 0..orders {
        let turns = prompt::turns(&prompt::lines(&case.evidence, order), alert, "");
        let mut texts = turns.iter().map(text);
        system = texts.next().unwrap_or_default();
        shared.extend(texts.next());
    }
    let asked = questions.iter().flat_map(|question| {
        question.wordings.iter().enumerate().map(|(wording, words)| Task {
            id: question.id.clone(),
            wording,
            text: prompt::question_task(question, words),
            lead: prompt::LEAD.to_owned(),
            answers: question.answers.clone(),
            orders: (0..orders).collect(),
        })
    });
    let narrative = Task {
        id: "narrative".to_owned(),
        wording: 0,
        text: prompt::NARRATIVE.to_owned(),
        lead: String::new(),
        answers: Vec::new(),
        orders: vec![0],
    };
    let tasks = asked.chain([narrative]).collect();
    let check = Check::Unverified { why: String::new() };
    Given { system, shared, tasks, check, sha256: case.provenance.prompt_sha256.clone() }
}

fn text(turn: &Turn) -> String {
    let words = |part: &Part| match part {
        Part::Text(text) | Part::Data(text) => text.clone(),
        Part::Marker(text) => (*text).to_owned(),
    };
    turn.parts.iter().map(words).collect()
}
