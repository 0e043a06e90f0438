//! What do the three signed documents say, and is that something a release may be made of?
//!
//! Bytes come here only after their signatures were verified. Unknown members, a wrong role and anything that does
//! not add up are refused all the same: a signature says who wrote it, not that it is sound.

use crate::key::{Key, KeyId, Sha256};
use crate::{Error, Result, paths};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Longest `root/N.root.json`.
pub(crate) const MAX_ROOT: u64 = 64 << 10;
/// Longest `snapshot.json`.
pub(crate) const MAX_SNAPSHOT: u64 = 16 << 10;
/// Longest `targets.json`: some fifty thousand files.
pub(crate) const MAX_TARGETS: u64 = 16 << 20;
/// Longest part.
pub(crate) const MAX_PART: u64 = 1 << 30;
const MAX_FILES: usize = 100_000;
const MAX_PARTS: usize = 100_000;
const MAX_KEYS: usize = 64;
const MAX_TEXT: usize = 64 << 10;
/// Everything a bundle describes together.
const MAX_BYTES: u64 = 1 << 44;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Which keys there are, and what each may sign.
    Root,
    /// Which `targets.json` is the newest.
    Snapshot,
    /// Which files there are.
    Targets,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        })
    }
}

/// Who may sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signers {
    /// Ids of the keys.
    pub keys: BTreeSet<KeyId>,
    /// Signatures by different keys that are needed.
    pub threshold: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    root: Signers,
    snapshot: Signers,
    targets: Signers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFile {
    format: u64,
    role: Role,
    version: u64,
    expires: Timestamp,
    /// Second lines of `minisign.pub` files.
    keys: Vec<String>,
    roles: Roles,
}

/// `N.root.json`, checked.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) keys: BTreeMap<KeyId, Key>,
    pub(crate) root: Signers,
    pub(crate) snapshot: Signers,
    pub(crate) targets: Signers,
}

/// `snapshot.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    format: u64,
    role: Role,
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    /// Version of the root that the bundle was made under.
    pub(crate) root: u64,
    pub(crate) targets: Pinned,
}

/// What the snapshot says of `targets.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    pub(crate) version: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// `targets.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    format: u64,
    role: Role,
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) notes: String,
    /// Oldest version of the program that will do.
    #[serde(default)]
    pub(crate) requires: Option<String>,
    /// Components that are replaced; one without files is removed.
    pub(crate) components: BTreeSet<String>,
    pub(crate) files: Vec<File>,
}

/// One file of `targets.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
    /// In order; none for an empty file.
    pub(crate) parts: Vec<Part>,
}

/// A piece of a file, stored in a volume under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

impl Root {
    pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let file: RootFile = parse(bytes, what)?;
        let wrong = |reason: String| Error::metadata(what, reason);
        check_head(what, (file.format, file.role, file.version), Role::Root)?;
        if file.keys.len() > MAX_KEYS {
            return Err(too_large(format!("{what}, keys"), file.keys.len(), MAX_KEYS));
        }
        let mut keys = BTreeMap::new();
        let mut raw = BTreeSet::new();
        for text in &file.keys {
            let key = Key::parse(text).map_err(|reason| wrong(format!("{text:?} {reason}")))?;
            let id = key.id.clone();
            if !raw.insert(key.raw) || keys.insert(id.clone(), key).is_some() {
                return Err(wrong(format!("key {id} is listed twice, and would count as two signers")));
            }
        }
        let Roles { root, snapshot, targets } = file.roles;
        for (role, signers) in [(Role::Root, &root), (Role::Snapshot, &snapshot), (Role::Targets, &targets)] {
            if let Some(unknown) = signers.keys.iter().find(|id| !keys.contains_key(*id)) {
                return Err(wrong(format!("role {role} names key {unknown}, which is not listed")));
            }
            if signers.threshold == 0 || signers.threshold > signers.keys.len() {
                let (threshold, count) = (signers.threshold, signers.keys.len());
                return Err(wrong(format!("role {role} asks for {threshold} signatures of {count} keys")));
            }
        }
        Ok(Self { version: file.version, expires: file.expires, keys, root, snapshot, targets })
    }

    pub(crate) fn signers(&self, role: Role) -> &Signers {
        match role {
            Role::Root => &self.root,
            Role::Snapshot => &self.snapshot,
            Role::Targets => &self.targets,
        }
    }
}

impl Snapshot {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let snapshot: Self = parse(bytes, "snapshot.json")?;
        let head = (snapshot.format, snapshot.role, snapshot.version);
        check_head("snapshot.json", head, Role::Snapshot)?;
        Ok(snapshot)
    }
}

impl Targets {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "targets.json";
        let targets: Self = parse(bytes, WHAT)?;
        check_head(WHAT, (targets.format, targets.role, targets.version), Role::Targets)?;
        for (what, text) in [("name", &targets.name), ("notes", &targets.notes)] {
            if text.len() > MAX_TEXT || text.chars().any(|c| c.is_control() && c != '\n') {
                return Err(Error::metadata(WHAT, format!("{what} is too long or has control characters")));
            }
        }
        if targets.requires.as_deref().is_some_and(|version| version_of(version).is_none()) {
            return Err(Error::metadata(WHAT, "`requires` must be a version such as 0.2.0"));
        }
        if targets.files.len() > MAX_FILES {
            return Err(too_large("targets.json, files".into(), targets.files.len(), MAX_FILES));
        }
        paths::check(&targets.components, targets.files.iter().map(|file| file.path.as_str()))?;
        targets.check_parts()?;
        Ok(targets)
    }

    /// Sizes add up, and one hash means one content.
    fn check_parts(&self) -> Result<()> {
        let wrong = |path: &str, reason: &str| Error::metadata(format!("targets.json, {path:?}"), reason);
        let mut parts: BTreeMap<&Sha256, u64> = BTreeMap::new();
        let mut files: BTreeMap<&Sha256, &File> = BTreeMap::new();
        let (mut total, mut count) = (0_u64, 0);
        for file in &self.files {
            let mut sum = 0_u64;
            for part in &file.parts {
                if part.bytes == 0 || part.bytes > MAX_PART {
                    return Err(wrong(&file.path, "a part must have between 1 byte and 1 GiB"));
                }
                if *parts.entry(&part.sha256).or_insert(part.bytes) != part.bytes {
                    return Err(wrong(&file.path, "a part of it has two lengths"));
                }
                sum = sum.saturating_add(part.bytes);
            }
            if sum != file.bytes {
                return Err(wrong(&file.path, "its parts do not add up to its size"));
            }
            if let [only] = file.parts.as_slice()
                && only.sha256 != file.sha256
            {
                return Err(wrong(&file.path, "its only part has another hash than itself"));
            }
            if file.parts.is_empty() && file.sha256 != Sha256::of(b"") {
                return Err(wrong(&file.path, "it is empty and has the hash of something else"));
            }
            let first = files.entry(&file.sha256).or_insert(file);
            if first.parts != file.parts {
                return Err(wrong(&file.path, "another file has its hash and other parts"));
            }
            count += file.parts.len();
            total = total.saturating_add(file.bytes);
        }
        if count > MAX_PARTS {
            return Err(too_large("targets.json, parts".into(), count, MAX_PARTS));
        }
        if total > MAX_BYTES {
            return Err(Error::TooLarge { what: "the bundle".into(), found: total, limit: MAX_BYTES });
        }
        Ok(())
    }

    /// Fails if the program is older than `requires`.
    pub(crate) fn check_program(&self, have: &str) -> Result<()> {
        let Some(requires) = &self.requires else { return Ok(()) };
        if version_of(have) >= version_of(requires) {
            return Ok(());
        }
        Err(Error::Program { requires: requires.clone(), have: have.to_owned() })
    }
}

/// `1.2.3`, with what follows a `-` or `+` left out; `None` if it is no version.
fn version_of(text: &str) -> Option<(u64, u64, u64)> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>());
    let version = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some(version)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::metadata(what, error.to_string()))
}

fn check_head(what: &str, (format, role, version): (u64, Role, u64), expected: Role) -> Result<()> {
    if role != expected {
        return Err(Error::metadata(what, format!("it is signed as {role}, not as {expected}")));
    }
    if format != 1 {
        return Err(Error::metadata(what, format!("it has format {format}, this program reads format 1")));
    }
    if version == 0 {
        return Err(Error::metadata(what, "versions start at 1"));
    }
    Ok(())
}

fn too_large(what: String, found: usize, limit: usize) -> Error {
    Error::TooLarge { what, found: found as u64, limit: limit as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(files: &str) -> Result<Targets> {
        let text = format!(
            r#"{{"format":1,"role":"targets","version":1,"expires":"2030-01-01T00:00:00Z","name":"n",
            "components":["config/rules"],"files":[{files}]}}"#
        );
        Targets::parse(text.as_bytes())
    }

    fn file(path: &str, bytes: u64, sha256: &str, parts: &[(u64, &str)]) -> String {
        let parts: Vec<_> = parts
            .iter()
            .map(|(bytes, sha256)| format!(r#"{{"bytes":{bytes},"sha256":"{}"}}"#, sha256.repeat(64)))
            .collect();
        let (sha256, parts) = (sha256.repeat(64), parts.join(","));
        format!(r#"{{"path":"config/rules/{path}","bytes":{bytes},"sha256":"{sha256}","parts":[{parts}]}}"#)
    }

    fn check(files: &[String], expected: &str) {
        let error = targets(&files.join(",")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn sizes_and_hashes_must_add_up() {
        targets(&[file("a", 2, "a", &[(2, "a")]), file("b", 2, "a", &[(2, "a")])].join(",")).unwrap();
        check(&[file("a", 3, "a", &[(2, "a")])], "add up");
        check(&[file("a", 2, "a", &[(2, "b")])], "another hash than itself");
        check(&[file("a", 0, "a", &[])], "something else");
        check(&[file("a", 2, "a", &[(0, "a"), (2, "b")])], "between 1 byte");
        check(&[file("a", 1 << 31, "a", &[(1 << 31, "a")])], "between 1 byte");
        check(
            &[file("a", 2, "c", &[(1, "a"), (1, "b")]), file("b", 3, "d", &[(2, "a"), (1, "b")])],
            "two lengths",
        );
        check(
            &[file("a", 2, "c", &[(1, "a"), (1, "b")]), file("b", 2, "c", &[(1, "b"), (1, "a")])],
            "other parts",
        );
        let huge = file("a", u64::MAX, "a", &[(1 << 30, "a"), (u64::MAX, "b")]);
        check(&[huge], "between 1 byte");
    }

    #[test]
    fn documents_are_read_strictly() {
        assert!(Targets::parse(&[b"[".repeat(100_000), b"]".repeat(100_000)].concat()).is_err());
        assert!(Targets::parse(b"\xff{}").is_err());
        assert!(Snapshot::parse(br#"{"format":1,"role":"snapshot","version":1,"version":2}"#).is_err());
        let unknown = file("a", 2, "a", &[(2, "a")]).replacen("{", r#"{"run":"sh","#, 1);
        check(&[unknown], "unknown field");
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version_of("0.10.0") > version_of("0.9.9"));
        assert_eq!(version_of("1.2.3-rc1"), Some((1, 2, 3)));
        for wrong in ["1.2", "1.2.3.4", "a.b.c", "", "1.2.-3"] {
            assert_eq!(version_of(wrong), None, "{wrong}");
        }
    }
}
