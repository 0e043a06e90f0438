//! How well are questions in plain words answered? Questions with what a right answer says, over one store.

use crate::error::Error;
use casemate_investigate::ask::{Answer, Asker, How, Question, Ticket};
use casemate_store::{Query, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A question with what a right answer says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The question.
    pub q: String,
    /// Its sort: `typed`, `free`, `unknown`, `injected`.
    pub sort: String,
    /// What the answer has to say, in any case.
    #[serde(default)]
    pub has: Vec<String>,
    /// What it must not say.
    #[serde(default, rename = "not")]
    pub not: Vec<String>,
    /// Questions of the same mark have to have the same values.
    #[serde(default)]
    pub same: Option<String>,
    /// Whether there is an answer.
    #[serde(default = "yes")]
    pub known: bool,
    /// Whether "I don't know" is right too.
    #[serde(default)]
    pub either: bool,
}

fn yes() -> bool {
    true
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Answered rightly.
    Right,
    /// Rightly not known.
    RightlyUnknown,
    /// Answered, and wrongly.
    Wrong,
    /// Not known where there is an answer.
    Missed,
}

/// A question with its answer and grade.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The question.
    pub question: String,
    /// Its sort.
    pub sort: String,
    /// What became of it.
    pub grade: Grade,
    /// How it was answered.
    pub how: How,
    /// The answer.
    pub answer: String,
    /// How sure the model was that the evidence answers it.
    pub answerable: Option<f64>,
    /// Seconds.
    pub seconds: f64,
}

/// Figures of one sort of questions.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Figures {
    /// Questions.
    pub n: u64,
    /// Answered rightly.
    pub right: u64,
    /// Rightly not known.
    pub rightly_unknown: u64,
    /// Answered wrongly.
    pub wrong: u64,
    /// Not known where there is an answer.
    pub missed: u64,
}

/// Figures over all questions.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// By sort.
    pub by_sort: BTreeMap<String, Figures>,
    /// Citations in answers, those of events that exist, and those that match the query they were counted by.
    pub citations: u64,
    /// Citations of events that are in the store.
    pub citations_exist: u64,
    /// Citations that what was searched, or the gate, bears out.
    pub citations_support: u64,
    /// Marks whose questions had different values.
    pub differing: Vec<String>,
    /// Sentences of the model that were left out.
    pub removed: u64,
    /// Seconds of all questions.
    pub seconds: f64,
    /// Each question.
    pub rows: Vec<Row>,
}

/// Reads the questions of a file, a JSON object a line.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Case`] naming the line that is no question.
pub fn load(path: &Path) -> Result<Vec<Case>, Error> {
    let text = fs_err::read_to_string(path).map_err(Error::Io)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(place, line)| {
            serde_json::from_str(line).map_err(|error| Error::Case {
                path: path.to_owned(),
                reason: format!("line {}: {error}", place + 1),
            })
        })
        .collect()
}

/// Asks every question, `now` being what "today" is told from.
///
/// # Errors
/// If a question cannot be answered at all: an unreadable store, a failing model.
pub fn run(
    asker: &Asker,
    store: &Store,
    cases: &[Case],
    now: Timestamp,
    each: &mut dyn FnMut(&Row),
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut same: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for case in cases {
        let question = Question {
            text: case.q.clone(),
            about: None,
            after: None,
            before: None,
            now,
            ticket: Ticket::default(),
        };
        let answer = asker.ask(&question, &mut |_| {})?;
        let grade = grade(case, &answer);
        let figures = report.by_sort.entry(case.sort.clone()).or_default();
        figures.n += 1;
        match grade {
            Grade::Right => figures.right += 1,
            Grade::RightlyUnknown => figures.rightly_unknown += 1,
            Grade::Wrong => figures.wrong += 1,
            Grade::Missed => figures.missed += 1,
        }
        if let Some(mark) = &case.same {
            let mut values: Vec<String> = answer.values.iter().map(|value| value.value.clone()).collect();
            values.sort();
            same.entry(mark).or_default().push(values);
        }
        cited(&mut report, store, &answer)?;
        report.removed += answer.removed;
        let seconds = answer.seconds.get("total").copied().unwrap_or_default();
        report.seconds += seconds;
        let row = Row {
            question: case.q.clone(),
            sort: case.sort.clone(),
            grade,
            how: answer.how,
            answer: answer.answer,
            answerable: answer.answerable,
            seconds,
        };
        each(&row);
        report.rows.push(row);
    }
    let differ = |values: &Vec<Vec<String>>| values.windows(2).any(|pair| pair[0] != pair[1]);
    report.differing =
        same.into_iter().filter(|(_, values)| differ(values)).map(|(mark, _)| mark.to_owned()).collect();
    Ok(report)
}

/// Holds an answer against what is known to be right.
pub fn grade(case: &Case, answer: &Answer) -> Grade {
    let text = answer.answer.to_lowercase();
    let says = |part: &String| holds(&text, &part.to_lowercase());
    if !answer.known {
        return if case.known && !case.either { Grade::Missed } else { Grade::RightlyUnknown };
    }
    let right = (case.known || case.either) && case.has.iter().all(says) && !case.not.iter().any(says);
    if right { Grade::Right } else { Grade::Wrong }
}

/// Whether a text holds a part that no letter or digit goes on from.
fn holds(text: &str, part: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let starts = part.chars().next().is_some_and(char::is_alphanumeric);
    let number = part.bytes().all(|byte| byte.is_ascii_digit());
    text.match_indices(part).any(|(at, _)| {
        let before = starts && inside(text[..at].chars().next_back());
        let after = number && inside(text[at + part.len()..].chars().next());
        !before && !after
    })
}

/// Counts what an answer cites: the events exist, and what was searched finds them.
fn cited(report: &mut Report, store: &Store, answer: &Answer) -> Result<(), Error> {
    for label in answer.sentences.iter().flat_map(|told| &told.citations) {
        report.citations += 1;
        let Some(line) = answer.evidence.iter().find(|line| line.label == *label) else { continue };
        let Some(stored) = store.get(line.event)? else { continue };
        report.citations_exist += 1;
        let text = match (&answer.query, answer.how) {
            // The same bounds, the same events: the event is one of those that were counted.
            (Some(query), How::Counted) => format!("({query}) AND id:{}", stored.id),
            _ => format!("id:{}", stored.id),
        };
        let found = store.search(&Query { text, limit: 1, ..Query::default() })?;
        report.citations_support += u64::from(found.hits.first().is_some_and(|hit| hit.id == stored.id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_as_whole_numbers_and_beginnings_of_words() {
        assert!(holds("5: failed logons", "5") && holds("at 15:53:15 utc.", "15:53:15"));
        assert!(
            !holds("45 starts", "5") && !holds("5678", "5") && holds("lsass memory dumped", "lsass memory")
        );
    }
}
