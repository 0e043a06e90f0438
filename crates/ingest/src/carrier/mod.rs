//! How does a line become names and values?
//!
//! One module per way of writing them. Each reads a whole line and says where in it its part begins: what
//! stands before must be a syslog header ([`header`]) or nothing, so that no text inside another record passes
//! for a record of its own. What the names mean is for the mapping files to say.
//!
//! Every carrier takes time in proportion to the line, keeps at most [`MAX_PAIRS`] pairs, and gives `None` for
//! what it cannot read.

mod cef;
pub(crate) mod header;
mod key_value;
mod leef;
mod pattern;
mod separated;
pub(crate) mod table;
pub(crate) mod times;

use casemate_event::Fields;
use std::borrow::Cow;

pub(crate) use key_value::KeyValue;
pub(crate) use pattern::{Detail, Pattern, compile as compile_pattern};
pub(crate) use separated::Separated;

/// Most pairs taken from one line; the line as received keeps the rest.
const MAX_PAIRS: usize = 1000;
/// Longest value that a name given twice is joined to.
const MAX_JOINED_BYTES: usize = 4096;

/// A way of writing names and values in a line of its own.
#[derive(Debug, Clone)]
pub(crate) enum Carrier {
    /// ArcSight Common Event Format.
    Cef,
    /// IBM Log Event Extended Format, 1.0 and 2.0.
    Leef,
    /// `name=value name="value"`.
    KeyValue(KeyValue),
    /// Values separated by a character, their names known beforehand.
    Separated(Separated),
    /// A regular expression with named groups.
    Pattern(Box<Pattern>),
    /// Columns that a header line of the same file names.
    Table(table::Kind),
}

/// What a carrier read.
#[derive(Debug)]
pub(crate) struct Carried {
    /// Where in the line it begins.
    pub(crate) start: usize,
    /// Names and values, as the vendor wrote them.
    pub(crate) native: Fields,
}

impl Carrier {
    /// Reads `line`, which has no white space around it.
    pub(crate) fn read(&self, line: &str) -> Option<Carried> {
        match self {
            Self::Cef => cef::read(line),
            Self::Leef => leef::read(line),
            Self::KeyValue(key_value) => key_value.read(line),
            Self::Separated(separated) => separated.read(line),
            Self::Pattern(pattern) => pattern.read(line),
            Self::Table(_) => None,
        }
    }

    /// Text that is in every record, where the carrier itself states one.
    pub(crate) fn mark(&self) -> Option<&'static str> {
        match self {
            Self::Cef => Some("CEF:"),
            Self::Leef => Some("LEEF:"),
            _ => None,
        }
    }
}

/// Adds a pair. A name given twice gets both values, unless they are the same or too long.
fn add(native: &mut Fields, name: &str, value: &str) {
    let joined = match native.get(name) {
        None if native.len() >= MAX_PAIRS => return,
        None => return native.set(name, value),
        Some(present) if present == value || value.is_empty() => return,
        Some(present) if present.len() + value.len() > MAX_JOINED_BYTES => return,
        Some(present) => format!("{present}, {value}"),
    };
    native.set(name, joined);
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@')
}

/// Where the name before `at` begins, not before `from`.
fn name_start(bytes: &[u8], from: usize, at: usize, is_part: fn(u8) -> bool) -> usize {
    let before = bytes.get(from..at).unwrap_or_default();
    at - before.iter().rev().take_while(|byte| is_part(**byte)).count()
}

/// Whether the byte at `at` stands behind an odd number of backslashes.
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Text with its escapes resolved: `\n` and `\r` are line ends, a backslash before one of `escaped` is left out.
fn unescape<'a>(text: &'a str, escaped: &[char]) -> Cow<'a, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next();
        match next {
            Some('n' | 'r') if c == '\\' && escaped.contains(&'n') => {
                plain.push('\n');
                rest.next();
            }
            Some(next) if c == '\\' && escaped.contains(&next) => {
                plain.push(next);
                rest.next();
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// A value without the quotes around it, where there is no other quote in it.
fn unquote(value: &str) -> &str {
    match value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => inner,
        _ => value,
    }
}

/// Pairs of which each value runs to the next name: ` name=some words name=…` (CEF, and LEEF with spaces).
fn spaced_pairs<'a>(text: &'a str, take: &mut dyn FnMut(&'a str, &'a str)) {
    let bytes = text.as_bytes();
    // Where the pair whose value is not complete yet has its name and its value.
    let mut open: Option<(&str, usize)> = None;
    let mut from = 0;
    let mut pairs = 0;
    // Elements of a list have their place in their name.
    let is_part = |byte| is_name_byte(byte) || matches!(byte, b'[' | b']');
    for at in memchr::memchr_iter(b'=', bytes) {
        let start = name_start(bytes, from, at, is_part);
        from = at + 1;
        let is_apart = start == 0 || bytes.get(start - 1).is_some_and(u8::is_ascii_whitespace);
        // An escaped sign has a backslash before it, which is in no name.
        if start == at || !is_apart {
            continue;
        }
        if let Some((name, value)) = open.replace((text.get(start..at).unwrap_or_default(), at + 1)) {
            take(name, text.get(value..start).unwrap_or_default().trim());
        }
        pairs += 1;
        if pairs > MAX_PAIRS {
            return;
        }
    }
    if let Some((name, value)) = open {
        take(name, text.get(value..).unwrap_or_default().trim());
    }
}

#[cfg(test)]
mod tests;
