//! What do pairs like `name=value name="some words"` say?

use super::{Carried, MAX_PAIRS, add, is_name_byte, name_start, unescape};
use casemate_event::Fields;
use std::ops::Range;

/// How pairs are written.
#[derive(Debug, Clone)]
pub(crate) struct KeyValue {
    /// Between name and value.
    pub(crate) assign: u8,
    /// Between pairs; white space where none is stated.
    pub(crate) separator: Option<u8>,
    /// Whether the line must hold nothing else, and at least this many pairs: for lines that nothing else tells
    /// from others.
    pub(crate) strict: Option<usize>,
}

impl KeyValue {
    pub(super) fn read(&self, line: &str) -> Option<Carried> {
        let bytes = line.as_bytes();
        let start = self.start(bytes)?;
        let mut native = Fields::default();
        let (mut pairs, mut other) = (0, 0);
        let mut place = start;
        let mut unclosed = false;
        while place < bytes.len() && pairs < MAX_PAIRS {
            let byte = bytes.get(place).copied().unwrap_or_default();
            let is_bracket = matches!(byte, b'[' | b']') && self.strict.is_none();
            if byte.is_ascii_whitespace() || Some(byte) == self.separator || is_bracket {
                place += 1;
                continue;
            }
            let name = bytes.get(place..)?.iter().take_while(|byte| is_name_byte(**byte)).count();
            let value = place + name + 1;
            if name > 0 && bytes.get(place + name) == Some(&self.assign) {
                let end = self.value(&mut native, line, place..place + name, value, &mut unclosed);
                pairs += 1;
                place = end;
            } else {
                other += 1;
                place = self.unquoted_end(bytes, place + 1);
            }
        }
        let sound = self.strict.is_none_or(|least| pairs >= least && other == 0);
        (sound && pairs > 0).then_some(Carried { start, native })
    }

    /// Where the first name begins: not the time of a header, nor a tag, which end in the same sign.
    fn start(&self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        memchr::memchr_iter(self.assign, bytes).find_map(|at| {
            let start = name_start(bytes, from, at, is_name_byte);
            from = at + 1;
            let is_name = bytes.get(start).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
            let before = start.checked_sub(1).and_then(|place| bytes.get(place));
            let is_apart =
                before.is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'['));
            let is_tag = self.assign == b':' && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace);
            (start < at && is_name && is_apart && !is_tag).then_some(start)
        })
    }

    /// Adds the pair whose value begins at `start`; gives where it ends. Once a quote is not closed, none is
    /// looked for any more: that would take time in the square of the line.
    fn value(
        &self,
        native: &mut Fields,
        line: &str,
        name: Range<usize>,
        start: usize,
        unclosed: &mut bool,
    ) -> usize {
        let name = line.get(name).unwrap_or_default();
        let bytes = line.as_bytes();
        let quote = bytes.get(start).copied().filter(|byte| !*unclosed && matches!(byte, b'"' | b'\''));
        let end = quote.and_then(|quote| self.quoted_end(bytes, start + 1, quote));
        *unclosed |= quote.is_some() && end.is_none();
        if let Some(end) = end {
            let value = line.get(start + 1..end).unwrap_or_default();
            add(native, name, &unescape(value, &['"', '\'', '\\']));
            return end + 1;
        }
        let end = self.unquoted_end(bytes, start);
        let value = line.get(start..end).unwrap_or_default().trim();
        add(native, name, &unescape(value, &['=', '\\', '|', '"']));
        end
    }

    /// Place of the closing quote: the first that is not escaped and that a pair could end with.
    fn quoted_end(&self, bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
        let mut escaped = false;
        for (offset, &byte) in bytes.get(start..)?.iter().enumerate() {
            let is_end = byte == quote && !escaped;
            escaped = byte == b'\\' && !escaped;
            if !is_end {
                continue;
            }
            let after = bytes.get(start + offset + 1).copied();
            let ends = |byte: u8| {
                byte.is_ascii_whitespace()
                    || Some(byte) == self.separator
                    || matches!(byte, b']' | b',' | b';')
            };
            if after.is_none_or(ends) {
                return Some(start + offset);
            }
        }
        None
    }

    fn unquoted_end(&self, bytes: &[u8], start: usize) -> usize {
        let mut escaped = false;
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|&byte| {
            let ends = match self.separator {
                Some(separator) => byte == separator && !escaped,
                None => byte.is_ascii_whitespace(),
            };
            escaped = byte == b'\\' && !escaped;
            ends
        });
        start + length.unwrap_or(rest.len())
    }
}
