//! How well are questions about somebody else's incidents answered? ExCyTIn-Bench (MIT), those of its questions
//! that the alert rows of an incident can answer.
//!
//! The rows of an incident go into a store. A question's words lead to rows, its asking noun says which field of
//! which entity is wanted ([`question`]), and of the values there the one that the best rows hold and few others do
//! is the answer. In a second arm a model picks among them ([`pick`]). Nothing is looked at but question and context: neither the solution nor the answer's type.

mod pick;
mod question;
mod rows;

use crate::interval::wilson;
use crate::scenario;
use crate::{Error, Tools};
use casemate_event::{Batch, EventId};
use casemate_inference::Model;
use casemate_ingest::SinkError;
use casemate_pipeline::Pipeline;
use casemate_store::{Clue, Clues, Limits, Query};
use rows::Row;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Rows that may hold the answer.
const ROWS: usize = 12;
/// Rows that a model reads.
const PICK_ROWS: usize = 4;
/// What a word of the context counts, where one of the question counts 1.
const CONTEXT: f64 = 0.1;
/// How steeply rows that match less count less.
const STEEPNESS: i32 = 6;
/// What the next of several fields that a noun can mean counts against the one before.
const NEXT_FIELD: f64 = 0.8;

/// A line of the list of questions.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    incident: String,
    file: PathBuf,
    index: usize,
    answer_in_alert_rows: bool,
    answer_in_question: bool,
}

/// A question of the benchmark.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    #[serde(default)]
    context: String,
    question: String,
    answer: Value,
}

/// The questions that the alert rows can answer and that do not answer themselves.
///
/// # Errors
/// If the list is not there or a line of it is none.
pub fn questions(root: &Path) -> Result<Vec<Listed>, Error> {
    let path = root.join("excytin/offline_questions_dev.jsonl");
    let mut listed = Vec::new();
    for (index, line) in
        std::io::BufReader::new(fs_err::File::open(&path).map_err(Error::Io)?).lines().enumerate()
    {
        let line = line.map_err(Error::Io)?;
        let question: Listed = serde_json::from_str(&line).map_err(|reason| {
            Error::Scenario(scenario::Error::Line { path: path.clone(), line: index + 1, reason })
        })?;
        if question.answer_in_alert_rows && !question.answer_in_question {
            listed.push(question);
        }
    }
    Ok(listed)
}

/// Answers every question and counts the exact matches. A model, where one is given, picks among the candidates of
/// so many questions, spread evenly over all.
///
/// # Errors
/// If a file of the benchmark cannot be read, or a store fails.
pub fn run(
    root: &Path,
    listed: &[Listed],
    tools: &Tools,
    picks: Option<(&Model, usize)>,
    progress: &mut dyn FnMut(),
) -> Result<Value, Error> {
    let mut incidents: BTreeMap<&str, Incident> = BTreeMap::new();
    let mut files: BTreeMap<&Path, Vec<Asked>> = BTreeMap::new();
    let mut tally = Tally::default();
    for (index, question) in listed.iter().enumerate() {
        if !incidents.contains_key(question.incident.as_str()) {
            incidents.insert(&question.incident, Incident::build(root, &question.incident, tools)?);
        }
        if !files.contains_key(question.file.as_path()) {
            files.insert(&question.file, read(&root.join(&question.file))?);
        }
        let asked = files.get(question.file.as_path()).and_then(|all| all.get(question.index));
        let (Some(incident), Some(asked)) = (incidents.get(question.incident.as_str()), asked) else {
            let reason = format!("there is no question {}", question.index);
            return Err(Error::Case { path: question.file.clone(), reason });
        };
        let rows = incident.rank(asked)?;
        let candidates = incident.candidates(asked, &rows);
        tally.add(question, asked, &candidates);
        if let Some((model, count)) = picks
            && is_picked(index, count, listed.len())
        {
            let texts: Vec<String> = rows.iter().take(PICK_ROWS).map(|(row, _)| row.text()).collect();
            let names: Vec<&str> = candidates.iter().map(|(text, _)| text.as_str()).collect();
            let asking = format!("{} {}", asked.context, asked.question);
            let picked = pick::pick(model, &texts, &asking, &names)?;
            tally.add_pick(asked, &candidates, picked.as_deref());
        }
        progress();
    }
    Ok(tally.document())
}

/// Whether question `index` of `n` is one of `count` spread evenly.
fn is_picked(index: usize, count: usize, n: usize) -> bool {
    (index + 1) * count / n > index * count / n
}

fn read(path: &Path) -> Result<Vec<Asked>, Error> {
    let bytes = fs_err::read(path).map_err(Error::Io)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Case { path: path.to_owned(), reason: error.to_string() })
}

/// The alert rows of one incident in a store of their own.
struct Incident {
    pipeline: Pipeline,
    rows: BTreeMap<EventId, Row>,
    /// How many rows hold a value.
    held: BTreeMap<String, usize>,
    _dir: TempDir,
}

impl Incident {
    fn build(root: &Path, incident: &str, tools: &Tools) -> Result<Self, Error> {
        let path = root.join(format!("excytin/SecRL/alerts_incident_{incident}.csv"));
        let rows = rows::read(&fs_err::read_to_string(&path).map_err(Error::Io)?)
            .map_err(|reason| Error::Case { path: path.clone(), reason })?;
        let dir = tempfile::tempdir().map_err(Error::Io)?;
        let rules = Arc::clone(&tools.rules);
        let pipeline = Pipeline::open_shared(dir.path(), rules, None, Limits::default())?;
        let lines: String = rows.iter().map(|row| format!("{}\n", row.line())).collect();
        let mut ids = Vec::new();
        let mut sink = |mut batch: Batch| -> Result<(), SinkError> {
            batch.progress = None;
            ids.extend(pipeline.store().append_unsynced(&batch)?);
            Ok(())
        };
        casemate_ingest::read_stream("log", lines.as_bytes(), &pipeline.ingest_options(), None, &mut sink)?;
        if ids.len() != rows.len() {
            let reason = format!("{} rows became {} events", rows.len(), ids.len());
            return Err(Error::Case { path, reason });
        }
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for row in &rows {
            let own: BTreeSet<&str> = row.values.iter().map(|value| value.text.as_str()).collect();
            own.into_iter().for_each(|text| *held.entry(text.to_owned()).or_default() += 1);
        }
        let rows = ids.into_iter().map(EventId).zip(rows).collect();
        Ok(Self { pipeline, rows, held, _dir: dir })
    }

    /// Possible answers, the best first.
    fn candidates(&self, asked: &Asked, rows: &[(&Row, f64)]) -> Vec<(String, f64)> {
        let said = format!("{} {}", asked.context, asked.question).to_lowercase();
        let wanted = question::wanted(&asked.question);
        let best = rows.first().map_or(1.0, |(_, score)| *score);
        let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
        for (row, score) in rows.iter().take(ROWS) {
            let mut seen = BTreeSet::new();
            for value in &row.values {
                let Some(place) = wanted.iter().position(|field| field.is(value)) else { continue };
                // What the question says is not what it asks for.
                if said.contains(&value.text) || !seen.insert(value.text.as_str()) {
                    continue;
                }
                let counts = (score / best).powi(STEEPNESS) * NEXT_FIELD.powi(place as i32);
                *scores.entry(&value.text).or_default() += counts;
            }
        }
        let rarity = |text: &str| {
            let held = self.held.get(text).copied().unwrap_or(1) as f64;
            (1.0 + self.rows.len() as f64 / held).ln()
        };
        let mut candidates: Vec<(String, f64)> =
            scores.into_iter().map(|(text, score)| (text.to_owned(), score * rarity(text))).collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        candidates
    }

    /// Rows by how many seldom words of question and context they hold.
    fn rank(&self, asked: &Asked) -> Result<Vec<(&Row, f64)>, Error> {
        let clues = |text: &str| Clues {
            clues: question::words(text).into_iter().map(Clue::Word).collect(),
            each: self.rows.len(),
        };
        let within = Query { limit: self.rows.len(), ..Query::default() };
        let ranked = self.pipeline.store().rank(&within, &[clues(&asked.question), clues(&asked.context)])?;
        let mut scores: BTreeMap<EventId, f64> = BTreeMap::new();
        for (set, weight) in ranked.iter().zip([1.0, CONTEXT]) {
            for found in set {
                *scores.entry(found.stored.id).or_default() += weight * found.score;
            }
        }
        let mut rows: Vec<(EventId, f64)> = scores.into_iter().collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(rows.into_iter().filter_map(|(id, score)| Some((self.rows.get(&id)?, score))).collect())
    }
}

/// Answers counted.
#[derive(Default)]
struct Tally {
    all: Count,
    by_incident: BTreeMap<String, Count>,
    by_field: BTreeMap<&'static str, Count>,
    /// Questions that a model picked for, as it answered and as retrieval alone did.
    picked: Count,
    unpicked: Count,
}

#[derive(Default, Clone, Copy)]
struct Count {
    exact: usize,
    among: usize,
    n: usize,
}

impl Tally {
    fn add(&mut self, question: &Listed, asked: &Asked, candidates: &[(String, f64)]) {
        let best = candidates.first().map(|(text, _)| text.as_str());
        let field = question::noun(&asked.question);
        let counts = [
            &mut self.all,
            self.by_incident.entry(question.incident.clone()).or_default(),
            self.by_field.entry(field).or_default(),
        ];
        counts.into_iter().for_each(|count| count.add(asked, candidates, best));
    }

    fn add_pick(&mut self, asked: &Asked, candidates: &[(String, f64)], picked: Option<&str>) {
        self.picked.add(asked, candidates, picked);
        self.unpicked.add(asked, candidates, candidates.first().map(|(text, _)| text.as_str()));
    }

    fn document(&self) -> Value {
        let group = |name: &str, count: &Count| (name.to_owned(), count.document());
        let by_incident = self.by_incident.iter().map(|(name, count)| group(name, count));
        let by_field = self.by_field.iter().map(|(name, count)| group(name, count));
        let picks = (self.picked.n > 0)
            .then(|| json!({"model": self.picked.document(), "retrieval": self.unpicked.document()}));
        json!({
            "name": "excytin",
            "retrieval": self.all.document(),
            "picks": picks,
            "by_incident": by_incident.collect::<serde_json::Map<_, _>>(),
            "by_field_asked": by_field.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Count {
    fn add(&mut self, asked: &Asked, candidates: &[(String, f64)], given: Option<&str>) {
        let answer = match &asked.answer {
            Value::String(text) => text.trim().to_lowercase(),
            other => other.to_string(),
        };
        self.n += 1;
        self.exact += usize::from(given.is_some_and(|given| given == answer));
        self.among += usize::from(candidates.iter().any(|(text, _)| *text == answer));
    }

    fn document(self) -> Value {
        let share = |hits: usize| {
            let rate = hits as f64 / self.n.max(1) as f64;
            let rounded = |value: f64| (value * 1e6).round() / 1e6;
            (rounded(rate), wilson(rate, self.n).map(rounded))
        };
        let ((exact, exact_ci), (among, _)) = (share(self.exact), share(self.among));
        json!({"exact": exact, "exact_ci": exact_ci, "among_candidates": among, "n": self.n})
    }
}
