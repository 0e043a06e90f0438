//! What does a record of a vendor say, as its mapping file tells it?
//!
//! A mapping file (TOML, `config/mappings/NAME.toml`) names the members by which a JSON record is recognised
//! and says which of them go to which normalised field. Mappings are looked up by the name of the first
//! member they require, so a record is tried only against those that could be meant.

mod file;

use crate::formats::Draft;
use crate::json::{Json, Object};
use crate::text::push_clean;
use crate::time::{self, Dated};
use casemate_event::{Class, Format, field};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Longest value shown in a message, in characters.
const SHOWN_CHARS: usize = 160;

const BUILT_IN: [(&str, &str); 5] = [
    ("gcp_audit", include_str!("../../../../config/mappings/gcp_audit.toml")),
    ("kubernetes_audit", include_str!("../../../../config/mappings/kubernetes_audit.toml")),
    ("okta", include_str!("../../../../config/mappings/okta.toml")),
    ("office_365", include_str!("../../../../config/mappings/office_365.toml")),
    ("entra_sign_in", include_str!("../../../../config/mappings/entra_sign_in.toml")),
];

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
}

#[derive(Debug)]
struct Mapping {
    format: Format,
    product: String,
    when: Vec<Condition>,
    class: Class,
    classes: Vec<(Condition, Class)>,
    time: Vec<String>,
    fields: Vec<(&'static str, Vec<String>)>,
    values: Vec<Translation>,
    message: Vec<Piece>,
}

/// What a member of the record must be.
#[derive(Debug)]
struct Condition {
    member: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Equals(String),
    Prefix(String),
}

/// Value of a normalised field by the value of a member.
#[derive(Debug)]
struct Translation {
    field: &'static str,
    member: String,
    values: HashMap<String, String>,
    otherwise: Option<String>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Member(String),
}

impl Mappings {
    /// The mappings of the program alone.
    ///
    /// # Errors
    /// None but those of the program's own files, which its tests rule out.
    pub fn built_in() -> Result<Self, MappingError> {
        let mut mappings = Self::default();
        for (name, text) in BUILT_IN {
            mappings.add(Path::new(&format!("{name}.toml")), text)?;
        }
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
            mappings.add(&path, &text)?;
        }
        Ok(mappings)
    }

    /// Adds the mapping of one file; `path` is named in errors, and its stem names the format.
    ///
    /// # Errors
    /// Says what is wrong with the file and where.
    pub fn add(&mut self, path: &Path, text: &str) -> Result<(), MappingError> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let mapping =
            file::compile(stem, text).map_err(|reason| MappingError { file: path.to_owned(), reason })?;
        self.all.retain(|present| present.format != mapping.format);
        self.all.push(Arc::new(mapping));
        self.by_member.clear();
        for (place, mapping) in self.all.iter().enumerate() {
            if let Some(first) = mapping.when.first() {
                let outer = first.member.split('.').next().unwrap_or_default();
                self.by_member.entry(outer.to_owned()).or_default().push(place);
            }
        }
        Ok(())
    }

    /// Decodes an object that one of the mappings recognises.
    pub(crate) fn decode(&self, object: &Object<'_>) -> Option<Draft> {
        let mapping = object.0.iter().find_map(|(name, _)| {
            let places = self.by_member.get(name.as_ref())?;
            let mut candidates = places.iter().filter_map(|place| self.all.get(*place));
            candidates.find(|mapping| mapping.when.iter().all(|when| when.holds(object)))
        })?;
        Some(mapping.decode(object))
    }
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

impl Condition {
    fn holds(&self, object: &Object<'_>) -> bool {
        let Some(value) = at(object, &self.member) else { return false };
        match &self.test {
            Test::Present => *value != Json::Null,
            Test::Equals(text) => value.text().is_some_and(|value| value == text.as_str()),
            Test::Prefix(text) => value.text().is_some_and(|value| value.starts_with(text.as_str())),
        }
    }
}

impl Mapping {
    fn decode(&self, object: &Object<'_>) -> Draft {
        let mut draft = Draft::new(self.format);
        draft.native = object.flatten();
        draft.time = self.time.iter().find_map(|member| stated(at(object, member)?));
        let class = self.classes.iter().find(|(when, _)| when.holds(object));
        draft.class = class.map_or(self.class, |(_, class)| *class);
        draft.set(field::PRODUCT, &self.product);
        for (name, members) in &self.fields {
            let value = members.iter().find_map(|member| draft.native.get(member));
            let value = value.map(|value| crate::formats::normal(name, value));
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                draft.set(name, &value);
            }
        }
        for translation in &self.values {
            let stated = draft.native.get(&translation.member);
            let value = stated.and_then(|stated| translation.values.get(stated));
            let value = value.or(translation.otherwise.as_ref().filter(|_| stated.is_some()));
            if let Some(value) = value {
                draft.fields.set(translation.field, value);
            }
        }
        for piece in &self.message {
            match piece {
                Piece::Literal(text) => draft.message.push_str(text),
                Piece::Member(name) => match draft.native.get(name) {
                    Some(value) => push_clean(&mut draft.message, value, SHOWN_CHARS),
                    None => draft.message.push('-'),
                },
            }
        }
        draft.finished()
    }
}

/// Member of the dotted name, inside objects.
fn at<'a, 'b>(object: &'a Object<'b>, member: &str) -> Option<&'a Json<'b>> {
    if let Some(value) = object.get(member) {
        return Some(value);
    }
    let (outer, inner) = member.split_once('.')?;
    at(object.object(outer)?, inner)
}

fn stated(value: &Json<'_>) -> Option<Dated> {
    let text = value.text()?;
    time::iso(&text).or_else(|| time::epoch(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let draft = mappings.decode(&serde_json::from_str(record).unwrap()).unwrap();
        assert_eq!((draft.format.name(), draft.class), ("door", Class::Authentication));
        assert_eq!(draft.message, "door door.open by 7");
        assert_eq!(draft.fields.get(field::USER), Some("ann"));
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
        assert!(draft.time.is_some());
        let other = r#"{"kind":"gate.open","badge":{"id":7}}"#;
        assert!(mappings.decode(&serde_json::from_str(other).unwrap()).is_none());
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        refused(&DOOR.replace("product", "produkt"), "line 2");
        refused(&DOOR.replace("user.name", "user.nam"), "line 8");
        refused(&DOOR.replace("by {badge.id}", "by {badge"), "message");
        refused("", "product");
    }
}
