//! What do they not get to see, who may look but not at everything?
//!
//! Rules of the site (`redaction.toml` in the configuration) are patterns; what they match is masked in every answer to
//! a principal that sees masked data, whatever the page or endpoint: in the text as it leaves, so that no way around it
//! can be forgotten. Where a pattern has a group named `secret`, that group alone is masked.

use crate::problem::Problem;
use crate::state::App;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest answer that is masked; a longer one is refused.
const MAX_BYTES: usize = 64 << 20;
/// Most memory of one compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
const MASK: &str = "█████";

/// Patterns, in the order they are applied.
#[derive(Debug, Default)]
pub struct Redaction(Vec<Regex>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    rule: Vec<WrittenRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    /// What it is for, for people.
    name: String,
    pattern: String,
}

/// The rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct RedactionError {
    path: PathBuf,
    why: String,
}

impl Redaction {
    /// Reads the rules in `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or a rule that is none, by its name.
    pub fn load(path: &Path) -> Result<Self, RedactionError> {
        let failed = |why: String| RedactionError { path: path.to_owned(), why };
        let text = fs_err::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let compile = |rule: &WrittenRule| {
            let compiled = RegexBuilder::new(&rule.pattern).size_limit(MAX_PATTERN).build();
            compiled.map_err(|error| format!("rule {:?}: {error}", rule.name))
        };
        written.rule.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// `text` with what the rules match masked.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.0 {
            if let Cow::Owned(masked) = rule.replace_all(&text, mask) {
                text = Cow::Owned(masked);
            }
        }
        if let Cow::Owned(masked) = self.apply_encoded(&text) {
            text = Cow::Owned(masked);
        }
        text
    }

    /// Masks each address in `text` that, decoded, holds what the rules match.
    fn apply_encoded<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() || !text.contains('%') {
            return Cow::Borrowed(text);
        }
        let is_end = |c: char| c.is_whitespace() || "\"'<>".contains(c);
        let mut masked = String::with_capacity(text.len());
        for part in text.split_inclusive(is_end) {
            let address = part.trim_end_matches(is_end);
            let decoded = decoded(address);
            let is_masked = decoded != address && self.0.iter().any(|rule| rule.is_match(&decoded));
            masked.push_str(if is_masked { MASK } else { address });
            masked.push_str(&part[address.len()..]);
        }
        Cow::Owned(masked)
    }
}

/// `address` with its percent-encoded bytes as they are meant.
fn decoded(address: &str) -> Cow<'_, str> {
    if !address.contains('%') {
        return Cow::Borrowed(address);
    }
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| first == b'%').and_then(|two| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(two[0])? * 16 + digit(two[1])?).ok()
        });
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn mask(found: &Captures<'_>) -> String {
    let Some(whole) = found.get(0) else { return String::new() };
    match found.name("secret") {
        None => MASK.to_owned(),
        Some(secret) => {
            let (before, after) = (secret.start() - whole.start(), secret.end() - whole.start());
            format!("{}{MASK}{}", &whole.as_str()[..before], &whole.as_str()[after..])
        }
    }
}

/// Goes with an answer in which everything was masked before it was rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masked;

/// An answer with its text masked, unless its handler did that.
pub(crate) async fn response(app: &Arc<App>, response: Response) -> Response {
    if response.extensions().get::<Masked>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A redirect names what was asked for: where that is masked, the way is not told.
    let location = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if location.is_some_and(|location| app.redaction.apply(location) != location) {
        parts.headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if kind.starts_with("text/event-stream") {
        // Sent as it comes: whole events, which hold no line of another.
        let app = Arc::clone(app);
        let masked = tokio_stream::StreamExt::map(body.into_data_stream(), move |chunk| {
            chunk.map(|chunk| match std::str::from_utf8(&chunk) {
                Ok(text) => app.redaction.apply(text).into_owned().into_bytes(),
                Err(_) => Vec::new(),
            })
        });
        return Response::from_parts(parts, Body::from_stream(masked));
    }
    let Ok(bytes) = axum::body::to_bytes(body, MAX_BYTES).await else {
        let detail = "the answer is too long to be masked; ask for less";
        return Problem::unprocessable(detail).into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let masked = app.redaction.apply(&String::from_utf8_lossy(&bytes)).into_owned();
    Response::from_parts(parts, Body::from(masked))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(rules: &str, text: &str, expected: &str) {
        assert_eq!(Redaction::parse(rules).unwrap().apply(text), expected);
    }

    #[test]
    fn what_matches_is_masked() {
        let mail = "[[rule]]\nname = \"mail\"\npattern = '''[\\w.]+@[\\w.]+'''\n";
        check(mail, "from ann@plant.example to bob@x.y", "from █████ to █████");
        let password = "[[rule]]\nname = \"p\"\npattern = '(?i)password[=:] ?(?<secret>\\S+)'\n";
        check(password, "Password: hunter2 and password=x", "Password: █████ and password=█████");
        check("", "as it is", "as it is");
        // Also where an address holds it.
        check(
            mail,
            "<a href=\"/entities/user/ann%40plant.example?x=1\">100%25 sure, /search?q=a%20b",
            "<a href=\"█████\">100%25 sure, /search?q=a%20b",
        );
    }

    #[test]
    fn rules_that_are_none_are_refused_by_name() {
        for (rules, said) in [
            ("[[rule]]\nname = \"broken\"\npattern = '('", "broken"),
            ("[[rule]]\nname = \"x\"\npattern = 'a'\nwhen = 1", "when"),
            ("[[rule]]\nname = \"huge\"\npattern = '(a{1000}){1000}'", "huge"),
        ] {
            let error = Redaction::parse(rules).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
