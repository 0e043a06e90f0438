//! What is written in a playbook file, and the checks that turn it into a [`Playbook`](super::Playbook).

use super::{Criteria, Question, Retrieval};
use casemate_event::{Class, EntityKind};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Fewest wordings of a question: the spread over fewer says nothing about convergence.
const MIN_WORDINGS: usize = 3;
/// Most wordings and questions: each costs prompt tokens on every alert.
const MAX_WORDINGS: usize = 6;
const MAX_QUESTIONS: usize = 8;
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
    raises: Vec<String>,
    #[serde(default)]
    lowers: Vec<String>,
    threshold: f64,
    weight: f64,
    sentences: BTreeMap<String, String>,
}

impl Playbook {
    pub(super) fn resolve(self, sha256: String) -> Result<super::Playbook, String> {
        check_name("name", &self.name)?;
        check(!self.title.trim().is_empty(), "title is empty; name the playbook for people")?;
        check(self.version >= 1, "version is 0; start at 1")?;
        check(!self.next_steps.is_empty(), "next_steps is empty; say what an analyst does next")?;
        check(self.questions.len() <= MAX_QUESTIONS, "more than 8 [[question]] tables; keep the best 8")?;
        let mut ids = BTreeSet::new();
        let mut questions = Vec::with_capacity(self.questions.len());
        for (index, question) in self.questions.into_iter().enumerate() {
            let id = question.id.clone();
            let at = |reason| format!("question {} ({id:?}): {reason}", index + 1);
            if !ids.insert(id.clone()) {
                return Err(at("id is used twice; give each question its own".to_owned()));
            }
            questions.push(question.resolve().map_err(at)?);
        }
        Ok(super::Playbook {
            name: self.name,
            title: self.title,
            version: self.version,
            sha256,
            criteria: self.criteria.resolve()?,
            retrieval: self.retrieval.resolve()?,
            questions,
            next_steps: self.next_steps,
        })
    }
}

impl WrittenCriteria {
    fn resolve(self) -> Result<Criteria, String> {
        let nothing = self.techniques.is_empty()
            && self.rules.is_empty()
            && self.classes.is_empty()
            && self.products.is_empty();
        check(
            self.default || !nothing,
            "[match] takes no alert; give techniques, rules, classes or products, or default = true",
        )?;
        for technique in &self.techniques {
            let digits = technique.strip_prefix('T').unwrap_or_default();
            let valid = digits.len() >= 4 && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
            if !valid {
                return Err(format!(
                    "[match] techniques: {technique:?} is no ATT&CK id; write it like T1003.001"
                ));
            }
        }
        Ok(Criteria {
            techniques: self.techniques,
            rules: self.rules,
            classes: self.classes,
            products: self.products.iter().map(|product| product.to_lowercase()).collect(),
            default: self.default,
        })
    }
}

impl WrittenRetrieval {
    fn resolve(self) -> Result<Retrieval, String> {
        for (key, minutes) in [("before_minutes", self.before_minutes), ("after_minutes", self.after_minutes)]
        {
            if !(1..=1440).contains(&minutes) {
                return Err(format!("[retrieval] {key} is {minutes}; write 1 to 1440"));
            }
        }
        if !(4..=24).contains(&self.max_lines) {
            return Err(format!("[retrieval] max_lines is {}; write 4 to 24", self.max_lines));
        }
        check(
            !self.semantic.trim().is_empty(),
            "[retrieval] semantic is empty; describe in a sentence what relevant events would say",
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
    fn resolve(self) -> Result<Question, String> {
        check_name("id", &self.id)?;
        let answers = self.answers()?;
        self.check_wordings()?;
        check(
            self.threshold > 0.0 && self.threshold < 1.0,
            "threshold is not between 0 and 1; write the probability from which the raising answers count",
        )?;
        check(
            self.weight > 0.0 && self.weight <= 1.0,
            "weight is not above 0 and at most 1; a model's answer may only nudge the score",
        )?;
        check(
            !self.raises.is_empty(),
            "raises is empty; name at least one answer that speaks for an attack",
        )?;
        for answer in self.raises.iter().chain(&self.lowers).chain(self.sentences.keys()) {
            if !answers.contains(answer) {
                return Err(format!("{answer:?} is none of the answers {answers:?}; use their words"));
            }
        }
        check(
            self.raises.len() < answers.len(),
            "raises names every answer; leave at least one that does not raise",
        )?;
        if let Some(both) = self.raises.iter().find(|answer| self.lowers.contains(answer)) {
            return Err(format!("{both:?} is in raises and in lowers; keep it in one"));
        }
        let sentence = |answer: &String| {
            self.sentences
                .get(answer)
                .cloned()
                .ok_or_else(|| format!("sentences has none for the answer {answer:?}; add one"))
        };
        Ok(Question {
            sentences: answers.iter().map(sentence).collect::<Result<_, _>>()?,
            raises: answers.iter().map(|answer| self.raises.contains(answer)).collect(),
            may_lower: !self.lowers.is_empty(),
            id: self.id,
            answers,
            wordings: self.wordings,
            threshold: self.threshold,
            weight: self.weight,
        })
    }

    fn answers(&self) -> Result<Vec<String>, String> {
        if self.kind == QuestionType::YesNo {
            check(
                self.choices.is_empty(),
                "choices belongs to type \"choice\"; remove it or change the type",
            )?;
            return Ok(vec!["yes".to_owned(), "no".to_owned()]);
        }
        check((2..=6).contains(&self.choices.len()), "choices needs 2 to 6 entries")?;
        let distinct: BTreeSet<&String> = self.choices.iter().collect();
        check(distinct.len() == self.choices.len(), "choices names an answer twice; remove one")?;
        // Single letters as options were measured to be unusable: rotating them changes the answer.
        let words = self
            .choices
            .iter()
            .all(|choice| choice.len() >= 2 && choice.chars().all(|c| c.is_ascii_lowercase() || c == ' '));
        check(words, "choices are to be words in lower case, never letters or numbers")?;
        Ok(self.choices.clone())
    }

    fn check_wordings(&self) -> Result<(), String> {
        let n = self.wordings.len();
        if !(MIN_WORDINGS..=MAX_WORDINGS).contains(&n) {
            return Err(format!("wordings has {n} entries; write {MIN_WORDINGS} to {MAX_WORDINGS}"));
        }
        let distinct: BTreeSet<&String> = self.wordings.iter().collect();
        check(distinct.len() == n, "wordings repeats itself; write each differently")?;
        for wording in &self.wordings {
            if !wording.ends_with('?') || wording.chars().count() > MAX_WORDING_CHARS {
                return Err(format!(
                    "wording {wording:?} is to end with a question mark and have at most {MAX_WORDING_CHARS} \
                     characters"
                ));
            }
        }
        Ok(())
    }
}

fn check_name(key: &str, value: &str) -> Result<(), String> {
    let valid = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if valid { Ok(()) } else { Err(format!("{key} {value:?} is to be lower-case letters, digits, - and _")) }
}

fn check(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
