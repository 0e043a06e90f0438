//! Which files are the components of a bundle, what are their hashes, and where are they cut?

use crate::error::Error;
use crate::place::hex;
use crate::progress::Progress;
use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

const CONFIG: [&str; 5] = ["heads", "mappings", "playbooks", "rules", "suite"];

/// One file of `targets.json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) parts: Vec<Part>,
    /// Where it is here.
    #[serde(skip)]
    pub(super) source: PathBuf,
}

/// A piece of a file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Part {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Directories that components come from.
pub(super) struct Sources {
    pub(super) models: PathBuf,
    pub(super) config: PathBuf,
}

impl Sources {
    /// Files of `component`, by path in the bundle; not hashed yet.
    pub(super) fn files_of(&self, component: &str) -> Result<Vec<(String, PathBuf)>> {
        check_component(component)?;
        let source = match component.split_once('/') {
            Some(("models", name)) => self.models.join(name),
            Some((_, name)) => self.config.join(name),
            None => return Err(Error::Usage("--evaluation names the files of evaluation".into()).into()),
        };
        let mut found = Vec::new();
        walk(component, &source, &mut found).with_context(|| format!("component {component}"))?;
        if found.is_empty() {
            let text = format!("{} has no files; --remove {component} removes a component", source.display());
            return Err(Error::Usage(text).into());
        }
        found.sort();
        Ok(found)
    }
}

/// Fails unless `name` is a component that a bundle may replace.
pub(super) fn check_component(name: &str) -> Result<()> {
    let fits = match name.split_once('/') {
        Some(("models", model)) => is_plain(model),
        Some(("config", directory)) => CONFIG.contains(&directory),
        Some(_) => false,
        None => name == "evaluation",
    };
    if fits {
        return Ok(());
    }
    let known = CONFIG.map(|name| format!("config/{name}")).join(", ");
    Err(Error::Usage(format!("{name} is no component; they are models/NAME, {known}, evaluation")).into())
}

/// Names that every file system and shell takes as they are.
pub(super) fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
    !name.is_empty() && name.bytes().all(fits) && !name.starts_with(['.', '-'])
}

fn walk(path: &str, source: &Path, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let kind = fs_err::symlink_metadata(source)?.file_type();
    if kind.is_file() {
        found.push((path.to_owned(), source.to_owned()));
        return Ok(());
    }
    if !kind.is_dir() {
        let text = format!("{} is neither file nor directory; put the file itself there", source.display());
        return Err(Error::Usage(text).into());
    }
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_plain(name)) else {
            if name.as_encoded_bytes().starts_with(b".") {
                eprintln!("left out: {} (hidden)", entry.path().display());
                continue;
            }
            let text = format!("{}: names have ASCII letters, digits and ._-+ only", entry.path().display());
            return Err(Error::Usage(text).into());
        };
        walk(&format!("{path}/{name}"), &entry.path(), found)?;
    }
    Ok(())
}

/// Hashes a file, as a whole and in parts of `part_bytes`.
pub(super) fn hash(path: &str, source: &Path, part_bytes: u64) -> Result<File> {
    let mut file = fs_err::File::open(source)?;
    let length = file.metadata()?.len();
    let progress = Progress::start(&format!("hashing {path}"), length);
    let mut whole = Sha256::new();
    let mut parts = Vec::new();
    let (mut part, mut in_part, mut bytes) = (Sha256::new(), 0, 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let room = usize::try_from(part_bytes - in_part).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read(&mut buffer[..room])?;
        whole.update(&buffer[..count]);
        part.update(&buffer[..count]);
        in_part += count as u64;
        bytes += count as u64;
        progress.set(bytes);
        if in_part == part_bytes || (count == 0 && in_part > 0) {
            let sha256 = hex(std::mem::take(&mut part));
            parts.push(Part { bytes: std::mem::take(&mut in_part), sha256 });
        }
        if count == 0 {
            break;
        }
    }
    Ok(File { path: path.to_owned(), bytes, sha256: hex(whole), parts, source: source.to_owned() })
}
