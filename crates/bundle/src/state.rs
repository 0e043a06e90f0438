//! What does this directory remember? Trusted roots, the highest versions seen, which release is active.

use crate::key::Sha256;
use crate::metadata::MAX_ROOT;
use crate::trust::{Seen, Trusted, self_signed};
use crate::volume::Signed;
use crate::{Error, Result};
use casemate_disk::write_atomic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where everything is. See the table in the crate's documentation.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

/// Which release is active, and which were before it, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activated {
    pub(crate) release: Option<u64>,
    pub(crate) earlier: Vec<u64>,
}

impl Layout {
    pub(crate) fn trusted(&self) -> PathBuf {
        self.dir.join("trusted")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.dir.join("releases")
    }

    pub(crate) fn file(&self, sha256: &Sha256) -> PathBuf {
        self.files().join(sha256.as_ref())
    }

    pub(crate) fn partial(&self, sha256: &Sha256) -> PathBuf {
        self.files().join(format!("{sha256}.partial"))
    }

    /// Which parts of a partial file are there.
    pub(crate) fn journal(&self, sha256: &Sha256) -> PathBuf {
        self.files().join(format!("{sha256}.journal"))
    }

    /// Files of the bundle that is being staged.
    pub(crate) fn staging(&self) -> PathBuf {
        self.dir.join("staging.json")
    }

    fn seen(&self) -> PathBuf {
        self.dir.join("seen.json")
    }

    fn active(&self) -> PathBuf {
        self.dir.join("active.json")
    }

    pub(crate) fn release(&self, number: u64) -> PathBuf {
        self.releases().join(format!("{number:06}"))
    }

    fn root(&self, version: u64) -> PathBuf {
        self.trusted().join(format!("{version}.root.json"))
    }

    /// What is trusted here.
    ///
    /// # Errors
    /// [`Error::NotTrusted`] before a root was pinned; [`Error::State`] if a root is missing or does not sign itself.
    pub(crate) fn load_trusted(&self) -> Result<Trusted> {
        let mut roots = BTreeMap::new();
        for name in names(&self.trusted())? {
            let Some(version) = name.strip_suffix(".root.json").and_then(|number| number.parse().ok()) else {
                continue;
            };
            let path = self.root(version);
            let signed = read_signed(&path, MAX_ROOT)?;
            let damaged = |error: Error| Error::State { path: path.clone(), reason: error.to_string() };
            let root = self_signed(Some(version), &signed).map_err(damaged)?;
            roots.insert(version, (root, Sha256::of(&signed.bytes)));
        }
        let Some((&newest, _)) = roots.last_key_value() else { return Err(Error::NotTrusted) };
        if let Some((&pinned, _)) = roots.first_key_value()
            && newest - pinned + 1 != roots.len() as u64
        {
            let reason = format!("a root between {pinned} and {newest} is missing");
            return Err(Error::State { path: self.trusted(), reason });
        }
        let seen: Seen = read_json(&self.seen())?.unwrap_or_default();
        Ok(Trusted { roots, seen })
    }

    /// Keeps a root and its signatures; the root last, so that it is there only with them.
    pub(crate) fn save_root(&self, version: u64, signed: &Signed) -> Result<()> {
        save_signed(&self.trusted(), &format!("{version}.root.json"), signed)
    }

    pub(crate) fn save_seen(&self, seen: &Seen) -> Result<()> {
        write_json(&self.seen(), seen)
    }

    pub(crate) fn load_active(&self) -> Result<Activated> {
        Ok(read_json(&self.active())?.unwrap_or_default())
    }

    pub(crate) fn save_active(&self, active: &Activated) -> Result<()> {
        write_json(&self.active(), active)
    }

    /// Numbers of the releases that are there whole.
    pub(crate) fn release_numbers(&self) -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = names(&self.releases())?
            .iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter_map(|name| name.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Names in a directory; none if it is not there. Ours are ASCII, others are passed over.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs_err::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list directory")(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list directory"))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Reads a document of at most `limit` bytes, and the `.KEYID.minisig` files beside it.
pub(crate) fn read_signed(path: &Path, limit: u64) -> Result<Signed> {
    let read = |path: &Path, limit: u64| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs_err::File::open(path).map_err(Error::io("read document"))?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read document"))?;
        let found = bytes.len() as u64;
        if found > limit {
            return Err(Error::TooLarge { what: path.display().to_string(), found, limit });
        }
        Ok(bytes)
    };
    let bytes = read(path, limit)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut signatures = Vec::new();
    for sibling in names(dir)? {
        let id =
            sibling.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".minisig"));
        if let Some(id) = id.and_then(|id| crate::KeyId::try_from(id.to_owned()).ok()) {
            signatures.push((id, read(&dir.join(&sibling), MAX_ROOT)?));
        }
    }
    Ok(Signed { name, bytes, signatures })
}

/// Writes a document and its signatures beside it, the document last.
pub(crate) fn save_signed(dir: &Path, name: &str, signed: &Signed) -> Result<()> {
    fs_err::create_dir_all(dir).map_err(Error::io("make directory"))?;
    for (id, signature) in &signed.signatures {
        write_atomic(&dir.join(format!("{name}.{id}.minisig")), |out| out.write_all(signature))?;
    }
    write_atomic(&dir.join(name), |out| out.write_all(&signed.bytes))?;
    Ok(())
}

/// Reads one of our own JSON files; `None` if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read state")(e)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::State { path: path.to_owned(), reason: error.to_string() })
}

pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir).map_err(Error::io("make directory"))?;
    }
    write_atomic(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })?;
    Ok(())
}

/// Removes a file that may not be there.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs_err::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove file")(e)),
        _ => Ok(()),
    }
}

/// Removes a directory that may not be there.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove directory")(e)),
        _ => Ok(()),
    }
}
