//! Which questions does an analyst ask about an alert of this kind?
//!
//! Playbooks are reviewed TOML files. This module reads and checks them ([`Playbooks::load`]) and picks the
//! one for an alert ([`Playbooks::choose`]). It asks no question and reads no event store.

mod place;
mod trial;
mod written;

pub use trial::{Given, Trial};

use crate::Error;
use crate::facts::Kind;
use casemate_event::{Alert, AlertOrigin, Class, EntityKind, Event, field};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A checked playbook: nothing is optional any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// Short name, as in the file.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Version, raised by its author with every change of meaning.
    pub version: u32,
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: String,
    /// The file as it was read.
    pub text: Arc<str>,
    /// Name of the file, without directories; empty for a text that is in none.
    pub file: String,
    /// Which alerts it is for.
    pub criteria: Criteria,
    /// Where to look for evidence.
    pub retrieval: Retrieval,
    /// What to ask the model.
    pub questions: Vec<Question>,
    /// Questions that code answers.
    pub decided: Vec<Decided>,
    /// Alerts with what has to come out of them.
    pub trials: Vec<Trial>,
    /// What an analyst does next, most urgent first.
    pub next_steps: Vec<String>,
}

/// Which alerts a playbook is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// ATT&CK technique ids; `T1003` covers `T1003.001`.
    pub techniques: Vec<String>,
    /// Ids of detection rules.
    pub rules: Vec<String>,
    /// OCSF classes of the alert's first event.
    pub classes: Vec<Class>,
    /// Beginnings of product names of the alert's first event, in lower case.
    pub products: Vec<String>,
    /// Application protocols of the alert's first event, in lower case; `modbus` covers `modbus_detailed`.
    pub protocols: Vec<String>,
    /// Whether it takes the alerts that no other playbook takes.
    pub default: bool,
}

/// Where to look for evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrieval {
    /// How long before the alert's first event.
    pub before: Duration,
    /// How long after the alert's last event.
    pub after: Duration,
    /// Kinds of entity of the alert to follow beyond its host.
    pub pivots: Vec<EntityKind>,
    /// What relevant events would say, for the semantic search.
    pub semantic: String,
    /// Most evidence lines.
    pub max_lines: usize,
}

/// One typed question with everything needed to judge its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Short name, unique in the playbook.
    pub id: String,
    /// Allowed answers, each a word or two.
    pub answers: Vec<String>,
    /// The question in at least three wordings.
    pub wordings: Vec<String>,
    /// Whether each of `answers` speaks for an attack.
    pub raises: Vec<bool>,
    /// Whether an answer may also lower the score, or only raise it.
    pub may_lower: bool,
    /// Share of the probability on raising answers from which they count as given.
    pub threshold: f64,
    /// Most this question can move the score, in logits.
    pub weight: f64,
    /// What each of `answers` says, as a sentence.
    pub sentences: Vec<String>,
}

/// A question that facts answer: `yes` if one of them holds for something tied to the alert, else `no`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Short name, unique in the playbook.
    pub id: String,
    /// The question in its first wording.
    pub question: String,
    /// Facts of which each means yes.
    pub(crate) facts: Vec<Kind>,
    /// What yes and no say, as sentences.
    pub sentences: [String; 2],
}

impl Decided {
    /// Names of the facts of which each means yes.
    pub fn fact_names(&self) -> impl Iterator<Item = &'static str> {
        self.facts.iter().map(|kind| kind.entry().name)
    }
}

/// Playbooks of a site, exactly one of them the default.
#[derive(Debug, Clone)]
pub struct Playbooks(Vec<Playbook>);

impl Playbooks {
    /// Reads every `*.toml` of `dir`, in order of name.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Playbook`] for the first file that is not a valid playbook.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let read_error = |source| Error::Read { path: dir.to_path_buf(), source };
        let mut paths = Vec::new();
        for entry in fs_err::read_dir(dir).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut playbooks = Vec::with_capacity(paths.len());
        for path in &paths {
            playbooks.push(Self::read(path)?);
        }
        Self::new(playbooks).map_err(|reason| Error::Playbook { path: dir.to_path_buf(), reason })
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Playbook`] with line, column, key and what to do.
    pub fn read(path: &Path) -> Result<Playbook, Error> {
        let text = fs_err::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        let playbook = parse(&text).map_err(|reason| Error::Playbook { path: path.to_path_buf(), reason })?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Playbook { file, ..playbook })
    }

    /// These with `others` in place of those of the same names; a default among them takes the place of the default.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(&self, others: Vec<Playbook>) -> Result<Self, String> {
        let takes_rest = others.iter().any(|playbook| playbook.criteria.default);
        let is_kept = |own: &&Playbook| {
            others.iter().all(|other| other.name != own.name) && !(takes_rest && own.criteria.default)
        };
        let kept: Vec<Playbook> = self.0.iter().filter(is_kept).cloned().collect();
        Self::new(kept.into_iter().chain(others).collect())
    }

    /// The playbook of this name.
    pub fn get(&self, name: &str) -> Option<&Playbook> {
        self.0.iter().find(|playbook| playbook.name == name)
    }

    /// Checks that names are unique and that exactly one playbook is the default.
    ///
    /// # Errors
    /// What is wrong and what to do about it.
    pub fn new(mut playbooks: Vec<Playbook>) -> Result<Self, String> {
        playbooks.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = playbooks.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(format!("two playbooks are named {:?}; give one another `name`", pair[0].name));
        }
        match playbooks.iter().filter(|playbook| playbook.criteria.default).count() {
            1 => Ok(Self(playbooks)),
            0 => Err("no playbook has `default = true` under [match]; mark the one that takes all other \
                      alerts"
                .to_owned()),
            n => Err(format!("{n} playbooks have `default = true` under [match]; leave it in one")),
        }
    }

    /// All playbooks, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Playbook> {
        self.0.iter()
    }

    /// Picks the playbook for an alert whose first event is `first`.
    ///
    /// The most specific criterion wins: rule id, then the longest technique, then protocol, product and class; the
    /// default takes what is left. Ties go to the first by name.
    pub fn choose(&self, alert: &Alert, first: Option<&Event>) -> &Playbook {
        let mut best = &self.0[0];
        let mut best_score = None;
        for playbook in &self.0 {
            let score = playbook.criteria.specificity(alert, first);
            if score > best_score {
                (best, best_score) = (playbook, score);
            }
        }
        best
    }
}

impl Criteria {
    /// How specifically these criteria take the alert; `None` if they do not.
    fn specificity(&self, alert: &Alert, first: Option<&Event>) -> Option<usize> {
        let rule = match &alert.origin {
            AlertOrigin::Rule(id) if self.rules.contains(id) => Some(1000),
            _ => None,
        };
        let technique = alert
            .techniques
            .iter()
            .flat_map(|technique| self.techniques.iter().filter(|own| covers(own, technique)))
            .map(|own| 10 + own.len())
            .max();
        let class = first.filter(|event| self.classes.contains(&event.class)).map(|_| 5);
        let begins = |name, own: &[String]| {
            let value = first.and_then(|event| event.field(name)).map(str::to_lowercase);
            value.is_some_and(|value| own.iter().any(|own| value.starts_with(own.as_str())))
        };
        let product = begins(field::PRODUCT, &self.products).then_some(6);
        let protocol = begins(field::PROTOCOL, &self.protocols).then_some(7);
        rule.or(technique).or(protocol).or(product).or(class).or(self.default.then_some(0))
    }
}

/// Whether technique `own` is `technique` or the parent of it.
fn covers(own: &str, technique: &str) -> bool {
    technique.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Reads one playbook.
///
/// # Errors
/// Line and column, which key is wrong, why, and what to write instead.
pub fn parse(text: &str) -> Result<Playbook, String> {
    let file: written::Playbook = toml::from_str(text).map_err(|error| place::of_toml(text, &error))?;
    file.resolve(text).map_err(|wrong| wrong.at(text))
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
