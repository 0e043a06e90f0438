//! What do the named groups of a regular expression match? Linear in the line: the `regex` crate does not
//! backtrack.

use super::{Carried, add};
use casemate_event::Fields;
use regex::{Captures, Regex, RegexBuilder};
use std::collections::HashMap;

/// Longest part of a line that is matched.
const MATCHED_BYTES: usize = 32 << 10;
/// Most memory one compiled expression may take.
const COMPILED_BYTES: usize = 4 << 20;

/// Expressions of one format.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// The first that matches counts.
    pub(crate) whole: Vec<Regex>,
    pub(crate) detail: Option<Detail>,
}

/// Expressions for the text of one kind of message.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// Group whose value says which kind it is.
    pub(crate) key: String,
    /// Group that the further expressions are matched with.
    pub(crate) text: String,
    /// By the value of `key`, `*` for those not listed. The first that matches counts; where none does, the record keeps its other groups.
    pub(crate) by_key: HashMap<String, Vec<Regex>>,
}

/// Compiles an expression of a mapping file.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(COMPILED_BYTES).build().map_err(|error| error.to_string())
}

impl Pattern {
    pub(super) fn read(&self, line: &str) -> Option<Carried> {
        let line = line.get(..line.floor_char_boundary(MATCHED_BYTES))?;
        let (regex, captures) = first(&self.whole, line)?;
        let start = captures.get(0)?.start();
        let mut native = Fields::default();
        take(&mut native, regex, &captures);
        if let Some(detail) = &self.detail
            && let Some(regexes) = captures.name(&detail.key).and_then(|key| detail.of(key.as_str()))
            && let Some(text) = captures.name(&detail.text)
            && let Some((regex, captures)) = first(regexes, text.as_str())
        {
            take(&mut native, regex, &captures);
        }
        Some(Carried { start, native })
    }
}

impl Detail {
    fn of(&self, key: &str) -> Option<&Vec<Regex>> {
        self.by_key.get(key).or_else(|| self.by_key.get("*"))
    }
}

fn first<'r, 't>(regexes: &'r [Regex], text: &'t str) -> Option<(&'r Regex, Captures<'t>)> {
    regexes.iter().find_map(|regex| Some((regex, regex.captures(text)?)))
}

fn take(native: &mut Fields, regex: &Regex, captures: &Captures<'_>) {
    for name in regex.capture_names().flatten() {
        if let Some(value) = captures.name(name) {
            add(native, name, value.as_str());
        }
    }
}
