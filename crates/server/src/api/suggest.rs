//! How could a query go on? Names of fields, and names of entities as the store has them.

use crate::params::Params;
use crate::problem::Result;
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::State;
use casemate_event::{EntityKind, Format, field};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Suggestions of one answer.
const MOST: usize = 12;
/// How long names are looked for.
const WITHIN: Duration = Duration::from_millis(15);
/// Longest beginning of a name that is looked for.
const MAX_BEGINNING: usize = 200;
/// Fields of the query language that are neither entities nor normalised.
const OWN: [&str; 9] =
    ["message", "format", "source", "class", "template", "time", "id", "earliest=", "latest="];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestParams {
    /// What is typed so far.
    #[serde(default)]
    q: String,
}

/// How the last word of a query could go on.
#[derive(Debug, PartialEq, Eq)]
struct Suggestion {
    /// The word, whole.
    word: String,
    /// Events that have it, among those looked at; 0 for names of fields.
    events: u64,
}

/// `GET /v1/suggest`
pub(crate) async fn suggest(
    State(app): State<Arc<App>>,
    Params(params): Params<SuggestParams>,
) -> Result<Json<Value>> {
    let (before, word) = last_word(&params.q);
    let (before, word) = (before.to_owned(), word.to_owned());
    let found = blocking(&app, move |app| words(app, &word)).await?;
    let rows: Vec<Value> = found
        .into_iter()
        .map(|found| json!({ "text": format!("{before}{}", found.word), "word": found.word, "events": found.events }))
        .collect();
    Ok(Json(json!({ "suggestions": rows })))
}

/// What stands before the word being typed, and that word: up to white space or a parenthesis outside of quotes.
fn last_word(text: &str) -> (&str, &str) {
    let (mut start, mut quoted) = (0, false);
    for (place, character) in text.char_indices() {
        if character == '"' {
            quoted = !quoted;
        } else if !quoted && (character.is_whitespace() || character == '(') {
            start = place + character.len_utf8();
        }
    }
    // A sign for what is not to be there belongs to what stands before.
    let word = &text[start..];
    let signs = word.len() - word.trim_start_matches(['-', '!', '+']).len();
    text.split_at(start + signs)
}

fn words(app: &App, word: &str) -> Result<Vec<Suggestion>> {
    let Some((name, beginning)) = word.split_once(':') else { return Ok(fields(word)) };
    let beginning = beginning.trim_start_matches('"').to_lowercase();
    if beginning.len() > MAX_BEGINNING {
        return Ok(Vec::new());
    }
    if name == "format" {
        let names =
            Format::ALL.iter().map(|format| format.name()).filter(|name| name.starts_with(&*beginning));
        return Ok(names
            .take(MOST)
            .map(|value| Suggestion { word: clause(name, value), events: 0 })
            .collect());
    }
    let Some(kind) = EntityKind::ALL.into_iter().find(|kind| kind.name() == name) else {
        return Ok(Vec::new());
    };
    let found = app.pipeline.store().names(kind, &beginning, MOST, WITHIN)?;
    Ok(found.into_iter().map(|(value, events)| Suggestion { word: clause(name, &value), events }).collect())
}

fn fields(word: &str) -> Vec<Suggestion> {
    if word.is_empty() {
        return Vec::new();
    }
    let word = word.to_lowercase();
    let kinds = EntityKind::ALL.into_iter().map(EntityKind::name);
    let all = kinds.chain(OWN).chain(field::ALL).filter(|name| name.starts_with(&word));
    let with_colon = |name: &str| if name.ends_with('=') { name.to_owned() } else { format!("{name}:") };
    all.take(MOST).map(|name| Suggestion { word: with_colon(name), events: 0 }).collect()
}

/// `name:"value"`, as the query language reads it back.
pub(crate) fn clause(name: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-@".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) && !value.starts_with('-') {
        return format!("{name}:{value}");
    }
    format!("{name}:\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_word(text: &str, before: &str, word: &str) {
        assert_eq!(last_word(text), (before, word), "{text:?}");
    }

    #[test]
    fn the_last_word_goes_on() {
        check_word("", "", "");
        check_word("whoami us", "whoami ", "us");
        check_word("a AND (user:\"j d", "a AND (", "user:\"j d");
        check_word("x -host:w", "x -", "host:w");
        check_word("ä ", "ä ", "");
    }

    #[test]
    fn names_are_completed() {
        let words = |word: &str| fields(word).into_iter().map(|found| found.word).collect::<Vec<_>>();
        assert_eq!(words("ho"), ["host:"]);
        assert_eq!(words("earl"), ["earliest="]);
        assert!(words("process").contains(&"process.cmd_line:".to_owned()));
        assert!(words("").is_empty() && words("zzz").is_empty());
    }

    #[test]
    fn values_are_written_so_that_they_are_read_back() {
        for (value, expected) in [
            ("ws5", "host:ws5"),
            ("", "host:\"\""),
            ("a b", "host:\"a b\""),
            (r#"c:\x "y""#, r#"host:"c:\\x \"y\"""#),
            ("10.0.0.0/8", "host:\"10.0.0.0/8\""),
            ("-x", "host:\"-x\""),
        ] {
            assert_eq!(clause("host", value), expected);
        }
    }
}
