//! How are the files a site writes read? TOML and CSV, each entry with its line.
//!
//! The columns of a CSV file are the keys of the same table in TOML; several values in one cell stand with a bar
//! between them. Spreadsheets save commas, semicolons or tabs between cells, all are taken.

use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor};
use std::fmt;
use toml::Spanned;

/// Largest file, in bytes, and most entries in all.
pub(super) const MAX_BYTES: u64 = 8 << 20;
pub(super) const MAX_ENTRIES: usize = 200_000;

/// Where an entry was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Line it begins on, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something with the line it was written on.
pub(super) type Lined<T> = (usize, T);

/// Entries of a TOML table with their lines.
pub(super) fn lined<T>(text: &str, entries: Vec<Spanned<T>>) -> Vec<Lined<T>> {
    entries
        .into_iter()
        .map(|entry| {
            let before = text.get(..entry.span().start).unwrap_or_default();
            (before.bytes().filter(|byte| *byte == b'\n').count() + 1, entry.into_inner())
        })
        .collect()
}

/// Rows of a CSV file whose first line names the columns. Lines that begin with `#` are comments.
///
/// # Errors
/// The line, the column and what is wrong.
pub(super) fn rows<T: DeserializeOwned>(text: &str) -> Result<Vec<Lined<T>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| reason(&error, text))?.clone();
    let mut place = (0, 1);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| reason(&error, text))?;
        place = line_of(text, place, record.position());
        let line = place.1;
        let cells = head.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let row: toml::Table =
            cells.map(|(name, cell)| (name.to_owned(), toml::Value::String(cell.to_owned()))).collect();
        // A spreadsheet saves rows that were emptied.
        if row.is_empty() {
            continue;
        }
        let row = T::deserialize(row)
            .map_err(|error| format!("line {line}: {}", error.to_string().trim_end().replace('\n', ", ")))?;
        rows.push((line, row));
    }
    Ok(rows)
}

/// What stands between the names of the columns.
fn delimiter(text: &str) -> u8 {
    let head = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let count = |delimiter: u8| head.bytes().filter(|byte| *byte == delimiter).count();
    [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|delimiter| (count(*delimiter), *delimiter == b','))
        .unwrap_or(b',')
}

/// Offset and line of the record at `position`, counted on from an earlier one: the reader counts from the end of the
/// record before, and comments and empty lines may lie between.
fn line_of(text: &str, known: (usize, usize), position: Option<&csv::Position>) -> (usize, usize) {
    let bytes = text.as_bytes();
    let mut at = position.map_or(0, |position| position.byte() as usize).max(known.0).min(bytes.len());
    while let Some(byte @ (b'\r' | b'\n' | b'#')) = bytes.get(at) {
        let skipped =
            if *byte == b'#' { bytes[at..].iter().position(|byte| *byte == b'\n') } else { Some(0) };
        at = skipped.map_or(bytes.len(), |skipped| at + skipped + 1);
    }
    (at, known.1 + bytes[known.0..at].iter().filter(|byte| **byte == b'\n').count())
}

fn reason(error: &csv::Error, text: &str) -> String {
    let (_, line) = line_of(text, (0, 1), error.position());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!(
            "line {line}: it has {len} cells and the first line names {expected_len} columns; put a value that \
             contains the delimiter in double quotes"
        ),
        _ => format!("line {line}: {error}"),
    }
}

/// Several values: a list in TOML, a cell with bars between them in CSV.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list, or values with | between them")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            let values = text.split('|').map(str::trim).filter(|value| !value.is_empty());
            Ok(values.map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<String>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = entries.next_element::<String>()? {
                values.push(value);
            }
            Ok(values)
        }
    }
    deserializer.deserialize_any(List)
}

/// `true` or `false` in TOML, and in CSV `yes` or `no` as well.
pub(super) fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct YesOrNo;
    impl Visitor<'_> for YesOrNo {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("yes or no")
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
            match text.to_lowercase().as_str() {
                "yes" | "true" | "x" => Ok(true),
                "no" | "false" | "" => Ok(false),
                other => Err(E::custom(format!("{other:?} is neither yes nor no"))),
            }
        }
    }
    deserializer.deserialize_any(YesOrNo)
}
