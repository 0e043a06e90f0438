//! What do the values of one line say, separated by a character? Quoted values may hold it (RFC 4180).

use super::{Carried, MAX_PAIRS, add};
use casemate_event::Fields;
use std::borrow::Cow;

/// Values in an order that the mapping file knows.
#[derive(Debug, Clone)]
pub(crate) struct Separated {
    pub(crate) delimiter: u8,
    /// Names of the columns. A column without a name, and those beyond, are `column_N`, from 1.
    pub(crate) columns: Vec<String>,
}

impl Separated {
    pub(super) fn read(&self, line: &str) -> Option<Carried> {
        let first = memchr::memchr(self.delimiter, line.as_bytes())?;
        let before = line.get(..first)?;
        let start = before.rfind(|c: char| c.is_ascii_whitespace()).map_or(0, |place| place + 1);
        // `<134>1,…` has no white space before the first value.
        let start = if start == 0 && before.starts_with('<') { before.find('>')? + 1 } else { start };
        let mut native = Fields::default();
        for (place, value) in split(line.get(start..)?, self.delimiter).take(MAX_PAIRS).enumerate() {
            match self.columns.get(place).map(String::as_str) {
                Some(name) if !name.is_empty() => add(&mut native, name, value.trim()),
                _ => native.set(format!("column_{}", place + 1), value.trim()),
            }
        }
        Some(Carried { start, native })
    }
}

/// The values of `line`, without their quotes.
pub(super) fn split(line: &str, delimiter: u8) -> Split<'_> {
    Split { rest: Some(line), delimiter }
}

pub(super) struct Split<'a> {
    rest: Option<&'a str>,
    delimiter: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let text = self.rest?;
        let quoted = text.strip_prefix('"').and_then(|inner| {
            let end = closing_quote(inner.as_bytes())?;
            let after = inner.get(end + 1..)?;
            // Text goes on behind the quote: then it is none.
            let is_end = after.is_empty() || after.as_bytes().first() == Some(&self.delimiter);
            is_end.then_some((inner.get(..end)?, after))
        });
        if let Some((value, after)) = quoted {
            self.rest = after.get(1..);
            return Some(if value.contains('"') { value.replace("\"\"", "\"").into() } else { value.into() });
        }
        let end = memchr::memchr(self.delimiter, text.as_bytes());
        self.rest = end.and_then(|end| text.get(end + 1..));
        Some(text.get(..end.unwrap_or(text.len())).unwrap_or_default().into())
    }
}

/// Place of the first quote that is not doubled.
fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut places = memchr::memchr_iter(b'"', bytes).peekable();
    while let Some(place) = places.next() {
        if places.peek() != Some(&(place + 1)) {
            return Some(place);
        }
        places.next();
    }
    None
}
