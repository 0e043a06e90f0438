//! What is written in a playbook file, and the checks that turn it into a [`Playbook`](super::Playbook).

use super::place::{Section, Wrong};
use super::trial::WrittenTrial;
use super::{Criteria, Decided, Question, Retrieval};
use crate::facts::{Kind, fact_names};
use crate::hash;
use casemate_event::{Class, EntityKind};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Fewest wordings of a question: the spread over fewer says nothing about convergence.
const MIN_WORDINGS: usize = 3;
/// Most wordings and questions: each costs prompt tokens on every alert.
const MAX_WORDINGS: usize = 6;
const MAX_QUESTIONS: usize = 8;
/// Most questions that code answers: they cost next to nothing, and a reader's patience.
const MAX_DECIDED: usize = 12;
/// Longest wording in characters, about 50 tokens.
const MAX_WORDING_CHARS: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Playbook {
    name: String,
    title: String,
    version: u32,
    next_steps: Vec<String>,
    #[serde(rename = "match")]
    criteria: WrittenCriteria,
    retrieval: WrittenRetrieval,
    #[serde(default, rename = "question")]
    questions: Vec<WrittenQuestion>,
    #[serde(default, rename = "test")]
    trials: Vec<WrittenTrial>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCriteria {
    #[serde(default)]
    techniques: Vec<String>,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    classes: Vec<Class>,
    #[serde(default)]
    products: Vec<String>,
    #[serde(default)]
    protocols: Vec<String>,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetrieval {
    before_minutes: u64,
    after_minutes: u64,
    #[serde(default)]
    pivots: Vec<EntityKind>,
    semantic: String,
    #[serde(default = "default_max_lines")]
    max_lines: usize,
}

fn default_max_lines() -> usize {
    14
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum QuestionType {
    YesNo,
    Choice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQuestion {
    id: String,
    #[serde(rename = "type")]
    kind: QuestionType,
    #[serde(default)]
    choices: Vec<String>,
    wordings: Vec<String>,
    #[serde(default)]
    predicate: Option<OneOrMore>,
    #[serde(default)]
    raises: Vec<String>,
    #[serde(default)]
    lowers: Vec<String>,
    threshold: Option<f64>,
    weight: Option<f64>,
    sentences: BTreeMap<String, String>,
}

/// A name, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What a `[[question]]` becomes.
enum Resolved {
    Asked(Question),
    Decided(Decided),
}

impl Playbook {
    pub(super) fn resolve(self, text: &str) -> Result<super::Playbook, Wrong> {
        let top = Section::Top;
        check_name("name", &self.name).map_err(|wrong| wrong.within(top))?;
        let checks = [
            (!self.title.trim().is_empty(), "title", "is empty; name the playbook for people"),
            (self.version >= 1, "version", "is 0; start at 1"),
            (!self.next_steps.is_empty(), "next_steps", "is empty; say what an analyst does next"),
        ];
        for (holds, key, reason) in checks {
            check(holds, key, reason).map_err(|wrong| wrong.within(top))?;
        }
        let mut ids = BTreeSet::new();
        let (mut questions, mut decided) = (Vec::new(), Vec::new());
        for (index, question) in self.questions.into_iter().enumerate() {
            let section = Section::Question(index);
            let id = question.id.clone();
            if !ids.insert(id) {
                return Err(Wrong::new("id", "is used twice; give each question its own").within(section));
            }
            match question.resolve().map_err(|wrong| wrong.within(section))? {
                Resolved::Asked(question) => questions.push(question),
                Resolved::Decided(question) => decided.push(question),
            }
        }
        if questions.len() > MAX_QUESTIONS || decided.len() > MAX_DECIDED {
            let reason = format!(
                "are too many; keep {MAX_QUESTIONS} for the model and {MAX_DECIDED} with a predicate"
            );
            return Err(Wrong::new("question", reason).within(top));
        }
        let mut trials = Vec::with_capacity(self.trials.len());
        for (index, trial) in self.trials.into_iter().enumerate() {
            let known = |id: &str| ids.contains(id);
            trials
                .push(trial.resolve(&self.name, &known).map_err(|wrong| wrong.within(Section::Test(index)))?);
        }
        Ok(super::Playbook {
            name: self.name,
            title: self.title,
            version: self.version,
            sha256: hash::sha256_hex(text.as_bytes()),
            text: text.into(),
            file: String::new(),
            criteria: self.criteria.resolve().map_err(|wrong| wrong.within(Section::Match))?,
            retrieval: self.retrieval.resolve().map_err(|wrong| wrong.within(Section::Retrieval))?,
            questions,
            decided,
            trials,
            next_steps: self.next_steps,
        })
    }
}

impl WrittenCriteria {
    fn resolve(self) -> Result<Criteria, Wrong> {
        let nothing = self.techniques.is_empty()
            && self.rules.is_empty()
            && self.classes.is_empty()
            && self.products.is_empty()
            && self.protocols.is_empty();
        check(
            self.default || !nothing,
            "",
            "takes no alert; give techniques, rules, classes, products or protocols, or default = true",
        )?;
        for technique in &self.techniques {
            let digits = technique.strip_prefix('T').unwrap_or_default();
            let valid = digits.len() >= 4 && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
            if !valid {
                let reason = format!("names {technique:?}, which is no ATT&CK id; write it like T1003.001");
                return Err(Wrong::new("techniques", reason));
            }
        }
        Ok(Criteria {
            techniques: self.techniques,
            rules: self.rules,
            classes: self.classes,
            products: self.products.iter().map(|product| product.to_lowercase()).collect(),
            protocols: self.protocols.iter().map(|protocol| protocol.to_lowercase()).collect(),
            default: self.default,
        })
    }
}

impl WrittenRetrieval {
    fn resolve(self) -> Result<Retrieval, Wrong> {
        for (key, minutes) in [("before_minutes", self.before_minutes), ("after_minutes", self.after_minutes)]
        {
            if !(1..=1440).contains(&minutes) {
                return Err(Wrong::new(key, format!("is {minutes}; write 1 to 1440")));
            }
        }
        if !(4..=24).contains(&self.max_lines) {
            return Err(Wrong::new("max_lines", format!("is {}; write 4 to 24", self.max_lines)));
        }
        check(
            !self.semantic.trim().is_empty(),
            "semantic",
            "is empty; describe in a sentence what relevant events would say",
        )?;
        Ok(Retrieval {
            before: Duration::from_secs(60 * self.before_minutes),
            after: Duration::from_secs(60 * self.after_minutes),
            pivots: self.pivots,
            semantic: self.semantic,
            max_lines: self.max_lines,
        })
    }
}

impl WrittenQuestion {
    fn resolve(self) -> Result<Resolved, Wrong> {
        check_name("id", &self.id)?;
        let answers = self.answers()?;
        self.check_wordings()?;
        for answer in self.raises.iter().chain(&self.lowers).chain(self.sentences.keys()) {
            if !answers.contains(answer) {
                let key = if self.raises.contains(answer) {
                    "raises"
                } else if self.lowers.contains(answer) {
                    "lowers"
                } else {
                    "sentences"
                };
                let reason =
                    format!("names {answer:?}, which is none of the answers {answers:?}; use their words");
                return Err(Wrong::new(key, reason));
            }
        }
        let sentence = |answer: &String| {
            self.sentences.get(answer).cloned().ok_or_else(|| {
                Wrong::new("sentences", format!("has none for the answer {answer:?}; add one"))
            })
        };
        let sentences: Vec<String> = answers.iter().map(sentence).collect::<Result<_, _>>()?;
        if self.predicate.is_some() {
            return self.decided(sentences).map(Resolved::Decided);
        }
        check(
            !self.raises.is_empty(),
            "raises",
            "is empty; name at least one answer that speaks for an attack",
        )?;
        check(
            self.raises.len() < answers.len(),
            "raises",
            "names every answer; leave at least one that does not raise",
        )?;
        if let Some(both) = self.raises.iter().find(|answer| self.lowers.contains(answer)) {
            return Err(Wrong::new("lowers", format!("has {both:?}, as raises has; keep it in one")));
        }
        let threshold = self.threshold.filter(|threshold| *threshold > 0.0 && *threshold < 1.0);
        let weight = self.weight.filter(|weight| *weight > 0.0 && *weight <= 1.0);
        Ok(Resolved::Asked(Question {
            sentences,
            raises: answers.iter().map(|answer| self.raises.contains(answer)).collect(),
            may_lower: !self.lowers.is_empty(),
            threshold: threshold.ok_or_else(|| {
                Wrong::new(
                    "threshold",
                    "is not between 0 and 1; write the probability from which the raising answers count",
                )
            })?,
            weight: weight.ok_or_else(|| {
                Wrong::new(
                    "weight",
                    "is not above 0 and at most 1; a model's answer may only nudge the score",
                )
            })?,
            id: self.id,
            answers,
            wordings: self.wordings,
        }))
    }

    /// The question as one that facts answer.
    fn decided(self, sentences: Vec<String>) -> Result<Decided, Wrong> {
        check(
            self.kind == QuestionType::YesNo,
            "type",
            "is to be \"yes_no\" where a predicate answers: a fact holds or does not",
        )?;
        let extra = [
            ("raises", !self.raises.is_empty()),
            ("lowers", !self.lowers.is_empty()),
            ("threshold", self.threshold.is_some()),
            ("weight", self.weight.is_some()),
        ];
        if let Some((key, _)) = extra.into_iter().find(|(_, given)| *given) {
            return Err(Wrong::new(
                key,
                "has no meaning beside a predicate, whose fact has its own weight; remove it",
            ));
        }
        let names = match self.predicate {
            Some(OneOrMore::One(name)) => vec![name],
            Some(OneOrMore::More(names)) => names,
            None => Vec::new(),
        };
        check(!names.is_empty(), "predicate", "names no fact; name one, or remove the key")?;
        let mut facts = Vec::with_capacity(names.len());
        for name in &names {
            let known = Kind::ALL.iter().copied().find(|kind| kind.entry().name == name);
            facts.push(known.ok_or_else(|| {
                let all: Vec<&str> = fact_names().collect();
                Wrong::new(
                    "predicate",
                    format!("names {name:?}, which is no fact; known are {}", all.join(", ")),
                )
            })?);
        }
        let [yes, no] = <[String; 2]>::try_from(sentences)
            .map_err(|_| Wrong::new("sentences", "needs one for yes and one for no"))?;
        Ok(Decided {
            id: self.id,
            question: self.wordings.into_iter().next().unwrap_or_default(),
            facts,
            sentences: [yes, no],
        })
    }

    fn answers(&self) -> Result<Vec<String>, Wrong> {
        if self.kind == QuestionType::YesNo {
            check(
                self.choices.is_empty(),
                "choices",
                "belongs to type \"choice\"; remove it or change the type",
            )?;
            return Ok(vec!["yes".to_owned(), "no".to_owned()]);
        }
        check((2..=6).contains(&self.choices.len()), "choices", "needs 2 to 6 entries")?;
        let distinct: BTreeSet<&String> = self.choices.iter().collect();
        check(distinct.len() == self.choices.len(), "choices", "names an answer twice; remove one")?;
        // Single letters as options were measured to be unusable: rotating them changes the answer.
        let words = self
            .choices
            .iter()
            .all(|choice| choice.len() >= 2 && choice.chars().all(|c| c.is_ascii_lowercase() || c == ' '));
        check(words, "choices", "are to be words in lower case, never letters or numbers")?;
        Ok(self.choices.clone())
    }

    fn check_wordings(&self) -> Result<(), Wrong> {
        let n = self.wordings.len();
        // A fact answers alike however it is asked.
        let fewest = if self.predicate.is_some() { 1 } else { MIN_WORDINGS };
        if !(fewest..=MAX_WORDINGS).contains(&n) {
            let reason = format!("has {n} entries; write {fewest} to {MAX_WORDINGS}");
            return Err(Wrong::new("wordings", reason));
        }
        let distinct: BTreeSet<&String> = self.wordings.iter().collect();
        check(distinct.len() == n, "wordings", "repeats itself; write each differently")?;
        for wording in &self.wordings {
            if !wording.ends_with('?') || wording.chars().count() > MAX_WORDING_CHARS {
                let reason = format!(
                    "has {wording:?}, which is to end with a question mark and have at most {MAX_WORDING_CHARS} \
                     characters"
                );
                return Err(Wrong::new("wordings", reason));
            }
        }
        Ok(())
    }
}

fn check_name(key: &'static str, value: &str) -> Result<(), Wrong> {
    let valid = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    let reason = || format!("is {value:?}; write lower-case letters, digits, - and _");
    if valid { Ok(()) } else { Err(Wrong::new(key, reason())) }
}

pub(super) fn check(holds: bool, key: &'static str, otherwise: &str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::new(key, otherwise)) }
}
