//! What do the columns say that a header line of the same file names? W3C extended logs (`#Fields:`), and
//! values separated by commas, semicolons, tabs or bars below a line of names.

use super::separated::split;
use super::{MAX_PAIRS, add};
use casemate_event::Fields;
use std::collections::HashSet;

/// Delimiters looked for in a line of names; the one that gives most columns counts.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// Fewest columns of a header: prose has commas too.
const MIN_COLUMNS: usize = 3;
const MAX_NAME_BYTES: usize = 64;

/// Which kind of header names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `#Fields: date time …`, values separated by spaces.
    W3c,
    /// A first line of names.
    Named,
}

/// Columns stated by the header seen last.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) kind: Kind,
    delimiter: u8,
    names: Vec<String>,
    /// The line of names, if it is one: it may come again where files are joined.
    header: String,
    /// What the last `#Date:` says: for logs whose records state only the time of day.
    date: String,
}

impl Table {
    /// The table that the beginning of a file opens with a line of names.
    ///
    /// The second line must have as many values, one of them with a digit or empty, or not be there.
    pub(crate) fn opened_by(head: &[u8]) -> Option<Self> {
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        let table = Self::named(text(lines.next()?)?)?;
        let count = table.names.len();
        let second = lines.find_map(|line| text(line).filter(|line| !line.trim().is_empty()))?;
        let values: Vec<_> = split(second, table.delimiter).take(count + 1).collect();
        let is_record = values.len() == count
            && values.iter().any(|value| value.is_empty() || value.bytes().any(|byte| byte.is_ascii_digit()));
        is_record.then_some(table)
    }

    /// The table of a line of names.
    pub(crate) fn named(first: &str) -> Option<Self> {
        let delimiter = DELIMITERS.into_iter().max_by_key(|delimiter| {
            let count = memchr::memchr_iter(*delimiter, first.as_bytes()).count();
            // Of equals the first.
            (count, std::cmp::Reverse(DELIMITERS.iter().position(|other| other == delimiter)))
        })?;
        let names: Vec<String> =
            split(first, delimiter).take(MAX_PAIRS + 1).map(|name| name.trim().to_owned()).collect();
        let distinct: HashSet<&str> = names.iter().map(String::as_str).collect();
        let are_names = (MIN_COLUMNS..=MAX_PAIRS).contains(&names.len())
            && distinct.len() == names.len()
            && names.iter().all(|name| is_name(name));
        let header = first.to_owned();
        are_names.then_some(Self { kind: Kind::Named, delimiter, names, header, date: String::new() })
    }

    /// Takes a directive of a W3C extended log; whether it was one.
    pub(crate) fn directive(open: &mut Option<Self>, line: &str) -> bool {
        const OTHERS: [&str; 5] = ["#Software:", "#Version:", "#Start-Date:", "#End-Date:", "#Time Format:"];
        let is_w3c = |table: &Self| table.kind == Kind::W3c;
        if let Some(names) = line.strip_prefix("#Fields:") {
            let names: Vec<String> =
                names.split_ascii_whitespace().take(MAX_PAIRS).map(str::to_owned).collect();
            let date = open.take().filter(is_w3c).map(|table| table.date).unwrap_or_default();
            *open = Some(Self::w3c(names, date));
            return true;
        }
        if let Some(date) = line.strip_prefix("#Date:") {
            let date = date.split_ascii_whitespace().next().unwrap_or_default().to_owned();
            match open.as_mut().filter(|table| is_w3c(table)) {
                Some(table) => table.date = date,
                None => *open = Some(Self::w3c(Vec::new(), date)),
            }
            return true;
        }
        OTHERS.iter().any(|directive| line.starts_with(directive))
    }

    fn w3c(names: Vec<String>, date: String) -> Self {
        Self { kind: Kind::W3c, delimiter: b' ', names, header: String::new(), date }
    }

    /// Whether this is the line that names the columns.
    pub(crate) fn is_header(&self, line: &str) -> bool {
        self.kind == Kind::Named && line.trim_end_matches('\r') == self.header
    }

    /// Names and values of a record; `None` if it has not the columns of the header.
    pub(crate) fn read(&self, line: &str) -> Option<Fields> {
        let mut native = Fields::default();
        let count = self.names.len();
        match self.kind {
            Kind::Named => {
                let values: Vec<_> = split(line, self.delimiter).take(count + 1).collect();
                // Some writers end each record with a delimiter.
                let is_whole = values.len() == count
                    || values.len() == count + 1 && values.last().is_some_and(|value| value.is_empty());
                if !is_whole {
                    return None;
                }
                for (name, value) in self.names.iter().zip(&values) {
                    add(&mut native, name, value.trim());
                }
            }
            Kind::W3c => {
                let line = line.trim_end();
                if line.split(' ').take(count + 1).count() == count {
                    self.take(&mut native, line.split(' '));
                } else if line.split_ascii_whitespace().take(count + 1).count() == count {
                    self.take(&mut native, line.split_ascii_whitespace());
                } else {
                    return None;
                }
                if !self.date.is_empty() && native.get("date").is_none() {
                    native.set("date", &self.date);
                }
            }
        }
        (!native.is_empty()).then_some(native)
    }

    fn take<'a>(&self, native: &mut Fields, values: impl Iterator<Item = &'a str>) {
        for (name, value) in self.names.iter().zip(values) {
            add(native, name, value);
        }
    }
}

/// A line without its end, if it is text.
fn text(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(line).ok().map(|line| line.trim_end_matches(['\n', '\r']))
}

/// Whether this is what a column may be called: `src_ip`, `Source IP`, `cs(User-Agent)`, `@timestamp`.
fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@' | '#'));
    let is_plain = |c: char| c.is_alphanumeric() || " _-./()#@:%[]?&".contains(c);
    let words = name.split(' ').count();
    starts && name.len() <= MAX_NAME_BYTES && words <= 5 && name.chars().all(is_plain)
}
