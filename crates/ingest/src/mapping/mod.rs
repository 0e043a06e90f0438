//! What does a record of a vendor say, as its mapping file tells it?
//!
//! A mapping file (TOML, `config/mappings/NAME.toml`) says how a record is recognised and which of its members
//! go to which normalised field. JSON records are recognised by their members, and looked up by the name of the
//! first that a mapping requires. Lines are read by a [carrier](crate::carrier); one search for the texts that
//! mapping files say are in their lines tells whether any could be meant, so that other lines cost next to
//! nothing.

mod built_in;
mod decode;
mod file;
mod pick;

use crate::carrier::table::Table;
use crate::carrier::{Carried, Carrier, header};
use crate::formats::Draft;
use crate::json::Object;
use casemate_event::{Format, LogSource};
use decode::Mapping;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A line is told by what stands in this many bytes of it.
const HEAD_BYTES: usize = 512;

/// A mapping file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mapping {}: {reason}", file.display())]
pub struct MappingError {
    file: PathBuf,
    reason: String,
}

/// Mapping files, compiled: those of the program and those of the site.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    all: Vec<Arc<Mapping>>,
    /// Places in `all` by the name of the outermost member that the first condition looks at.
    by_member: HashMap<String, Vec<usize>>,
    lines: Lines,
}

/// Places of the mappings of lines, those that ask for most first, and of equals the one added last.
#[derive(Debug, Clone, Default)]
struct Lines {
    /// Finds a mark of any of `marked`; none if there are none.
    marks: Option<regex::bytes::Regex>,
    marked: Vec<usize>,
    /// Recognised by nothing but being pairs throughout.
    pairs: Vec<usize>,
    tables: Vec<usize>,
}

impl Mappings {
    /// The mappings of the program alone.
    ///
    /// # Errors
    /// None but those of the program's own files, which its tests rule out.
    pub fn built_in() -> Result<Self, MappingError> {
        let mut mappings = Self::default();
        for (name, text) in built_in::FILES {
            mappings.insert(Path::new(&format!("{name}.toml")), text)?;
        }
        mappings.index()?;
        Ok(mappings)
    }

    /// Those of the program and every `*.toml` of `directory`, in the order of their names. A file of the
    /// name of an earlier mapping takes its place.
    ///
    /// # Errors
    /// The first file that cannot be read, with the line that is wrong and why.
    pub fn with_directory(directory: &Path) -> Result<Self, MappingError> {
        let fail = |error: std::io::Error| MappingError {
            file: directory.to_owned(),
            reason: format!("{error}; name a directory of mapping files"),
        };
        let mut files = Vec::new();
        for entry in fs_err::read_dir(directory).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut mappings = Self::built_in()?;
        for path in files {
            let text = fs_err::read_to_string(&path)
                .map_err(|error| MappingError { file: path.clone(), reason: error.to_string() })?;
            mappings.insert(&path, &text)?;
        }
        mappings.index()?;
        Ok(mappings)
    }

    /// Adds the mapping of one file; `path` is named in errors, and its stem names the format.
    ///
    /// # Errors
    /// Says what is wrong with the file and where.
    pub fn add(&mut self, path: &Path, text: &str) -> Result<(), MappingError> {
        self.insert(path, text)?;
        self.index()
    }

    /// Where Sigma places the formats whose mapping says so.
    pub fn log_sources(&self) -> impl Iterator<Item = (Format, &LogSource)> {
        self.all.iter().filter_map(|mapping| Some((mapping.format, mapping.log_source.as_ref()?)))
    }

    fn insert(&mut self, path: &Path, text: &str) -> Result<(), MappingError> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let mapping =
            file::compile(stem, text).map_err(|reason| MappingError { file: path.to_owned(), reason })?;
        self.all.retain(|present| present.format != mapping.format);
        self.all.push(Arc::new(mapping));
        Ok(())
    }

    fn index(&mut self) -> Result<(), MappingError> {
        self.by_member.clear();
        self.lines = Lines::default();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|place| (Reverse(self.all.get(*place).map(|one| one.when.len())), Reverse(*place)));
        let mut marks = Vec::new();
        for place in order {
            let Some(mapping) = self.all.get(place) else { continue };
            match &mapping.carrier {
                None => {
                    let first = mapping.when.first().map(|when| when.member.as_str()).unwrap_or_default();
                    // Members may be nested, or stand under their whole name.
                    let outer = first.split('.').next().unwrap_or_default();
                    self.by_member.entry(outer.to_owned()).or_default().push(place);
                    if outer != first {
                        self.by_member.entry(first.to_owned()).or_default().push(place);
                    }
                }
                Some(Carrier::Table(_)) => self.lines.tables.push(place),
                Some(_) if mapping.marks.is_empty() => self.lines.pairs.push(place),
                Some(_) => {
                    self.lines.marked.push(place);
                    let of_mapping = mapping.marks.iter().map(|mark| regex::escape(rarest(mark)));
                    marks.extend(of_mapping);
                }
            }
        }
        if !marks.is_empty() {
            // Of nothing but literals: searched for with vector instructions.
            let marks = regex::bytes::Regex::new(&marks.join("|")).map_err(|error| MappingError {
                file: PathBuf::from("*.toml"),
                reason: format!("the texts of `contains` of all files together: {error}; give fewer"),
            })?;
            self.lines.marks = Some(marks);
        }
        Ok(())
    }

    /// Decodes an object that one of the mappings recognises.
    pub(crate) fn object(&self, object: &Object<'_>, arrival: Timestamp) -> Option<Draft> {
        let mapping = object.0.iter().find_map(|(name, _)| {
            let places = self.by_member.get(name.as_ref())?;
            self.at(places).find(|mapping| mapping.when.iter().all(|when| when.holds(object)))
        })?;
        Some(mapping.object(object, arrival))
    }

    /// Decodes a line, bare or behind a syslog header, that one of the mappings recognises by a text in it.
    pub(crate) fn line(&self, line: &str, arrival: Timestamp) -> Option<Draft> {
        let marks = self.lines.marks.as_ref()?;
        let head = line.as_bytes().get(..line.len().min(HEAD_BYTES))?;
        if !marks.is_match(head) {
            return None;
        }
        let may_be = |mapping: &&Mapping| {
            mapping.marks.iter().any(|mark| memchr::memmem::find(head, mark.as_bytes()).is_some())
        };
        let line = line.trim();
        self.at(&self.lines.marked).filter(may_be).find_map(|mapping| carried(mapping, line, arrival))
    }

    /// Decodes a line that is pairs throughout, bare or behind a syslog header.
    pub(crate) fn pairs(&self, line: &str, arrival: Timestamp) -> Option<Draft> {
        let line = line.trim();
        self.at(&self.lines.pairs).find_map(|mapping| carried(mapping, line, arrival))
    }

    /// Decodes a record below a header that names its columns.
    pub(crate) fn row(&self, table: &Table, line: &str, arrival: Timestamp) -> Option<Draft> {
        let native = table.read(line)?;
        let fits = |mapping: &&Mapping| {
            matches!(mapping.carrier, Some(Carrier::Table(kind)) if kind == table.kind)
                && mapping.when.iter().all(|when| when.holds_of(&native))
        };
        let mapping = self.at(&self.lines.tables).find(fits)?;
        Some(mapping.carried(&header::Header::default(), native, line, arrival))
    }

    fn at<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a Mapping> {
        places.iter().filter_map(|place| self.all.get(*place).map(Arc::as_ref))
    }
}

/// What `mapping` makes of a line, if it is one of its own.
fn carried(mapping: &Mapping, line: &str, arrival: Timestamp) -> Option<Draft> {
    let Carried { start, native } = mapping.carrier.as_ref()?.read(line)?;
    if !mapping.when.iter().all(|when| when.holds_of(&native)) {
        return None;
    }
    let (before, text) = line.split_at_checked(start)?;
    let header = header::read(before, arrival)?;
    Some(mapping.carried(&header, native, text, arrival))
}

/// The four bytes of a mark that are least to be expected in other lines: the first search is for these, and
/// whatever it stops at for nothing costs time.
fn rarest(mark: &str) -> &str {
    let rarity = |part: &str| -> u32 {
        let of_byte = |byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b' ' | b'.' => 0,
            b':' | b'[' | b']' | b'(' | b')' | b'-' | b'/' => 1,
            _ => 2,
        };
        part.bytes().map(of_byte).sum()
    };
    let parts = (0..mark.len()).filter_map(|start| mark.get(start..start + 4));
    parts.min_by_key(|part| Reverse(rarity(part))).unwrap_or(mark)
}

/// Mappings of the program, compiled once.
pub(crate) fn standard() -> Arc<Mappings> {
    static STANDARD: LazyLock<Arc<Mappings>> = LazyLock::new(|| {
        Arc::new(Mappings::built_in().unwrap_or_else(|error| {
            tracing::error!(%error, "built-in mappings are not used");
            Mappings::default()
        }))
    });
    Arc::clone(&STANDARD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::{Class, field};

    const DOOR: &str = r#"
product = "Door"
when = [{ member = "badge.id" }, { member = "kind", prefix = "door." }]
class = "authentication"
time = ["at"]
message = "door {kind} by {badge.id}"
[fields]
"user.name" = ["badge.owner"]
[[values]]
field = "status"
member = "granted"
values = { true = "Success", false = "Failure" }
"#;

    fn refused(text: &str, part: &str) {
        let error = Mappings::default().add(Path::new("door.toml"), text).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("door.toml"), "{error}");
    }

    #[test]
    fn a_mapping_of_a_site_decodes_its_records() {
        let mut mappings = Mappings::built_in().unwrap();
        mappings.add(Path::new("site/door.toml"), DOOR).unwrap();
        let record = r#"{"at":"2026-01-02T03:04:05Z","kind":"door.open","granted":false,"badge":{"id":7,"owner":"ann"}}"#;
        let draft = mappings.object(&serde_json::from_str(record).unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((draft.format.name(), draft.class), ("door", Class::Authentication));
        assert_eq!(draft.message, "door door.open by 7");
        assert_eq!(draft.fields.get(field::USER), Some("ann"));
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
        assert!(draft.time.is_some());
        let other = r#"{"kind":"gate.open","badge":{"id":7}}"#;
        assert!(mappings.object(&serde_json::from_str(other).unwrap(), Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn the_program_brings_all_files_along() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/mappings");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect();
        files.sort();
        let names: Vec<&str> = built_in::FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
        assert_eq!(Mappings::built_in().unwrap().all.len(), names.len());
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        refused(&DOOR.replace("product", "produkt"), "line 2");
        refused(&DOOR.replace("user.name", "user.nam"), "line 8");
        refused(&DOOR.replace("by {badge.id}", "by {badge"), "line 6");
        refused("", "product");
    }
}
