//! What do they not get to see, who may look but not at everything?
//!
//! Rules of the site (`redaction.toml` in the configuration) are patterns; what they match is masked in every answer to
//! a principal that sees masked data, whatever the page or endpoint: as it leaves, so that no way around it can be
//! forgotten. Where a pattern has a group named `secret`, that group alone is masked.
//!
//! Patterns are held against what an answer means, not against how it is written: texts of a page without escapes and
//! joined over what marks a part of a line ([`html`]), names and values of JSON ([`json`]), addresses without
//! percent-encoding, JSON within texts. Where a text was cut, what may be a part of a match is masked as well ([`cut`]).

pub(crate) mod cut;
mod html;
mod json;
mod sse;
mod view;

use self::cut::Parts;
use self::json::Part;
use self::view::{MASK, QUOTED, View, masked};
use crate::problem::Problem;
use crate::state::App;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest answer that is masked; a longer one is refused.
const MAX_BYTES: usize = 64 << 20;
/// Longest answer that is masked between others.
const MAX_AT_ONCE: usize = 256 << 10;
/// Most memory of one compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
/// Texts of a page so short are remembered where nothing in them is masked.
const SHORT: usize = 64;
/// How often a text is decoded that is encoded within another.
const MAX_DEPTH: usize = 3;
/// The member in which bytes are told that are no text: patterns cannot be held against it.
const BYTES: &str = "raw_hex";

/// Rules; what any of them matches is masked.
#[derive(Debug, Default)]
pub struct Redaction(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    /// The group that is masked alone.
    secret: Option<usize>,
    parts: Parts,
}

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

impl Rule {
    fn new(written: &WrittenRule) -> Result<Self, String> {
        let named = |why: String| format!("rule {:?}: {why}", written.name);
        let pattern = RegexBuilder::new(&written.pattern).size_limit(MAX_PATTERN).build();
        let pattern = pattern.map_err(|error| named(error.to_string()))?;
        let secret = pattern.capture_names().position(|name| name == Some("secret"));
        let parts = Parts::of(&written.pattern).map_err(named)?;
        Ok(Self { pattern, secret, parts })
    }

    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        match self.secret {
            None => found.extend(self.pattern.find_iter(text).map(|whole| whole.range())),
            Some(secret) => {
                let secrets = self.pattern.captures_iter(text).filter_map(|groups| groups.get(secret));
                found.extend(secrets.map(|secret| secret.range()));
            }
        }
    }
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
        written.rule.iter().map(Rule::new).collect::<Result<_, _>>().map(Self)
    }

    /// A text of any kind with what the rules match masked.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text, MAX_DEPTH);
        masked(text, found.into_iter().map(|place| (place, MASK)).collect())
    }

    /// A page, or a part of one.
    fn html<'a>(&self, html: &'a str) -> Cow<'a, str> {
        let mut places = Vec::new();
        if !self.0.is_empty() {
            // A page says the same short things over and over.
            let mut clean: HashSet<String> = HashSet::new();
            html::views(html, |view| {
                if clean.contains(&view.text) {
                    return;
                }
                let before = places.len();
                self.find_in(view, MAX_DEPTH, &mut places);
                if places.len() == before && view.text.len() <= SHORT {
                    clean.insert(view.text.clone());
                }
            });
        }
        masked(html, places.into_iter().map(|place| (place, MASK)).collect())
    }

    /// JSON texts, one after another.
    pub(crate) fn json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        let mut places = Vec::new();
        if !self.0.is_empty() {
            json::parts(json, |part| self.find_in_part(json, part, MAX_DEPTH, &mut places));
        }
        masked(json, places)
    }

    fn find_in_part(
        &self,
        json: &str,
        part: Part,
        depth: usize,
        places: &mut Vec<(Range<usize>, &'static str)>,
    ) {
        let mut found = Vec::new();
        let (name, value) = match part {
            Part::Other(rest) => {
                let in_rest = self.find(&json[rest.clone()], depth).into_iter();
                places.extend(in_rest.map(|place| (rest.start + place.start..rest.start + place.end, MASK)));
                return;
            }
            Part::Name(name) => {
                let mut view = View::default();
                json::decode(json, name, &mut view);
                self.find_in(&view, depth, &mut found);
                places.extend(found.into_iter().map(|place| (place, MASK)));
                return;
            }
            Part::Text { ref name, ref value } | Part::Number { ref name, ref value } => (name, value),
        };
        let is_number = matches!(part, Part::Number { .. });
        let mut alone = View::default();
        json::decode(json, value.clone(), &mut alone);
        self.find_in(&alone, depth, &mut found);
        if depth > 0 && alone.text.trim_start().starts_with(['{', '[']) {
            // A document within this one, its members as this one's.
            let mut within = Vec::new();
            json::parts(&alone.text, |part| self.find_in_part(&alone.text, part, depth - 1, &mut within));
            within.iter().for_each(|(place, _)| alone.places(place, &mut found));
        }
        if let Some(name) = name {
            if json[name.clone()] == *BYTES && !value.is_empty() {
                found.push(value.clone());
            }
            // A rule may be about the value of a name.
            let mut member = View::default();
            member.glue("\"");
            json::decode(json, name.clone(), &mut member);
            member.glue(if is_number { "\":" } else { "\":\"" });
            json::decode(json, value.clone(), &mut member);
            member.glue(if is_number { "" } else { "\"" });
            let mut matches = Vec::new();
            self.0.iter().for_each(|rule| rule.find(&member.text, &mut matches));
            matches.iter().for_each(|place| member.places(place, &mut found));
        }
        if is_number {
            // Of a number no part can be masked.
            let is_masked = found.iter().any(|place| place.start < value.end && value.start < place.end);
            found.retain(|place| place.end <= value.start);
            places.extend(is_masked.then(|| (value.clone(), QUOTED)));
        }
        places.extend(found.into_iter().map(|place| (place, MASK)));
    }

    fn find_in(&self, view: &View, depth: usize, places: &mut Vec<Range<usize>>) {
        for found in self.find(&view.text, depth) {
            view.places(&found, places);
        }
    }

    /// Where something in `text` is masked, in no order.
    fn find(&self, text: &str, depth: usize) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for rule in &self.0 {
            rule.find(text, &mut found);
        }
        if self.0.is_empty() {
            return found;
        }
        if text.contains(cut::CUT) {
            self.0.iter().for_each(|rule| rule.parts.find(text, &mut found));
        }
        if depth > 0 && text.contains('%') {
            self.find_encoded(text, depth - 1, &mut found);
        }
        if depth > 0 && text.contains('\\') {
            let mut view = View::default();
            json::decode(text, 0..text.len(), &mut view);
            if view.text != text {
                self.find_in(&view, depth - 1, &mut found);
            }
        }
        found.retain(|place| !place.is_empty());
        found
    }

    /// Each address that, decoded, holds something that is masked: it is masked as a whole.
    fn find_encoded(&self, text: &str, depth: usize, found: &mut Vec<Range<usize>>) {
        let is_end = |c: char| c.is_whitespace() || "\"'<>".contains(c);
        let mut from = 0;
        for address in text.split(is_end) {
            let place = from..from + address.len();
            from = place.end + text[place.end..].chars().next().map_or(0, char::len_utf8);
            let decoded = decoded(address);
            if decoded != address {
                // As forms write blanks.
                let spaced = decoded.contains('+').then(|| decoded.replace('+', " "));
                let meanings = [Some(&*decoded), spaced.as_deref()];
                if meanings.into_iter().flatten().any(|meant| !self.find(meant, depth).is_empty()) {
                    found.push(place);
                }
            }
        }
    }
}

/// `address` with its percent-encoded bytes as they are meant; without one that was cut.
fn decoded(address: &str) -> Cow<'_, str> {
    if !address.contains('%') {
        return Cow::Borrowed(address);
    }
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        let two = (first == b'%').then(|| (digit(after.first()), digit(after.get(1))));
        match two {
            Some((Some(high), Some(low))) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = &after[2..];
                continue;
            }
            Some((high, _)) if after[usize::from(high.is_some())..].starts_with(CUT_BYTES) => {
                rest = &after[usize::from(high.is_some())..];
                continue;
            }
            _ => {}
        }
        bytes.push(first);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

const CUT_BYTES: &[u8] = "…".as_bytes();

/// Goes with an answer in which everything was masked before it was rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masked;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Page,
    Json,
    Text,
}

impl Kind {
    fn of(media_type: &str) -> Self {
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*media_type {
            "text/event-stream" => Self::Events,
            "text/html" | "application/xhtml+xml" => Self::Page,
            kind if kind.ends_with("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

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
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = Kind::of(kind.unwrap_or_default());
    if kind == Kind::Events {
        let mut masking = sse::Masking::new(Arc::clone(&app.redaction));
        let masked = tokio_stream::StreamExt::map(body.into_data_stream(), move |chunk| {
            chunk.map(|chunk| masking.pass(&chunk))
        });
        return Response::from_parts(parts, Body::from_stream(masked));
    }
    let Ok(bytes) = axum::body::to_bytes(body, MAX_BYTES).await else {
        let detail = "the answer is too long to be masked; ask for less";
        return Problem::unprocessable(detail).into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let rules = Arc::clone(&app.redaction);
    let is_long = bytes.len() > MAX_AT_ONCE;
    let mask = move || {
        let text = String::from_utf8_lossy(&bytes);
        let masked = match kind {
            Kind::Page => rules.html(&text),
            Kind::Json => rules.json(&text),
            Kind::Text | Kind::Events => rules.apply(&text),
        };
        masked.into_owned()
    };
    let masked = if is_long { tokio::task::spawn_blocking(mask).await } else { Ok(mask()) };
    match masked {
        Ok(masked) => Response::from_parts(parts, Body::from(masked)),
        Err(error) => Problem::internal("masking the answer", &error).into_response(),
    }
}

#[cfg(test)]
mod tests;
