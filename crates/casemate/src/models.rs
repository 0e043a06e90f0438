//! Which model files are meant, are they there, and are they what the catalogue says?
//!
//! The catalogue is the same file `casemate-stage` fetches by; this side only reads names, sizes and hashes.

use crate::failure::{Failure, Outcome};
use crate::machine;
use anyhow::{Context, anyhow};
use casemate_inference::{Embedder, Model};
use casemate_investigate::LoadedModel;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

const CATALOG: &str = include_str!("../../../models/catalog.toml");

/// One model the catalogue knows. Keys that only fetching needs are not read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) role: String,
    #[serde(rename = "file")]
    pub(crate) files: Vec<FileEntry>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FileEntry {
    /// Path under the models directory.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

#[derive(Debug, Deserialize)]
struct Catalog {
    #[serde(rename = "model")]
    models: Vec<Entry>,
}

/// The models the catalogue lists, in its order.
pub(crate) fn catalog() -> anyhow::Result<Vec<Entry>> {
    let catalog: Catalog =
        toml::from_str(CATALOG).context("models/catalog.toml, compiled in, is not valid")?;
    Ok(catalog.models)
}

/// Resolves what was typed for `--model` to a file; `None` for `none`.
fn resolve(wanted: &str, models: &[PathBuf]) -> Outcome<Option<Resolved>> {
    let role = match wanted {
        "none" => return Ok(None),
        "default" => "investigator",
        other => other,
    };
    let from_catalog = catalog()?.into_iter().find(|entry| entry.role == role || entry.name == role);
    let path = match from_catalog.as_ref().and_then(|entry| entry.files.first()) {
        Some(file) => find(models, &file.path),
        None => Some(find(models, Path::new(wanted)))
            .filter(|path| path.is_file())
            .unwrap_or_else(|| PathBuf::from(wanted)),
    };
    if path.is_file() {
        let sha256 = from_catalog.and_then(|entry| entry.files.into_iter().next()).map(|file| file.sha256);
        return Ok(Some(Resolved { path, sha256 }));
    }
    Err(Failure::input(match from_catalog {
        Some(entry) => anyhow!(
            "model {wanted:?} is not at {}; fetch it on a connected machine with `casemate-stage fetch --only {}`, \
             give its directory with --models, or use --model none for a report from rules and facts alone",
            path.display(),
            entry.name
        ),
        None => anyhow!(
            "no model {wanted:?}: it is no file and no name in the catalogue; give default, small, tiny, none or \
             the path of a GGUF file"
        ),
    }))
}

/// A file of a model.
struct Resolved {
    path: PathBuf,
    /// Its hash, if the catalogue names one.
    sha256: Option<String>,
}

/// Where a file of the models directories is, or would be.
pub(crate) fn find(models: &[PathBuf], path: &Path) -> PathBuf {
    let places = models.iter().map(|dir| dir.join(path));
    let last = models.last().map_or_else(PathBuf::new, |dir| dir.join(path));
    places.into_iter().find(|place| place.exists()).unwrap_or(last)
}

/// The file of a decoder named in the catalogue or by its path.
pub(crate) fn decoder_path(wanted: &str, models: &[PathBuf]) -> Outcome<PathBuf> {
    let resolved =
        resolve(wanted, models)?.ok_or_else(|| Failure::input(anyhow!("`none` cannot be measured")))?;
    Ok(resolved.path)
}

/// Loads the investigator named by `--model`, hashing its file meanwhile; `None` for `none`.
pub(crate) fn load_investigator(wanted: &str, models: &[PathBuf]) -> Outcome<Option<LoadedModel>> {
    let Some(Resolved { path, sha256: expected }) = resolve(wanted, models)? else { return Ok(None) };
    check_memory(&path)?;
    let (model, sha256) = thread::scope(|scope| {
        let hash = scope.spawn(|| casemate_disk::sha256_file(&path, |_| {}));
        let model = Model::load(&path);
        (model, hash.join())
    });
    let model = model.map_err(Failure::input)?;
    let sha256 = sha256.map_err(|_| anyhow!("hashing {} was interrupted", path.display()))??;
    if let Some(expected) = expected.filter(|expected| *expected != sha256) {
        return Err(Failure::input(anyhow!(
            "{} is not the file the catalogue names: its SHA-256 is {sha256}, not {expected}; get it again",
            path.display()
        )));
    }
    Ok(Some(LoadedModel { model: Arc::new(model), sha256 }))
}

/// Refuses a model that there is no memory for, before the system ends the process for it.
fn check_memory(path: &Path) -> Outcome<()> {
    let bytes = fs_err::metadata(path).map_err(Failure::input)?.len();
    let needed = bytes + bytes / 4;
    match machine::available_bytes() {
        Some(available) if available < needed => Err(Failure::input(anyhow!(
            "{} needs some {} MB of memory and {} MB are left for this process; free some, raise its limit, or take a \
             smaller model (--model small, tiny)",
            path.display(),
            needed >> 20,
            available >> 20
        ))),
        _ => Ok(()),
    }
}

/// The model whose file has this hash: `loaded` if it is that one, else the one of the catalogue, if it is there.
pub(crate) fn load_by_hash(
    sha256: &str,
    models: &[PathBuf],
    loaded: Option<&LoadedModel>,
) -> Outcome<Option<LoadedModel>> {
    if let Some(loaded) = loaded.filter(|loaded| loaded.sha256 == sha256) {
        return Ok(Some(loaded.clone()));
    }
    let named = |entry: &Entry| entry.files.iter().any(|file| file.sha256 == sha256);
    let Some(entry) = catalog()?.into_iter().find(named) else { return Ok(None) };
    let Some(path) = entry.files.first().map(|file| find(models, &file.path)) else { return Ok(None) };
    if path.is_file() { load_investigator(&entry.name, models) } else { Ok(None) }
}

/// A loaded model as the API lists it.
pub(crate) fn listing(loaded: &LoadedModel) -> Value {
    let info = loaded.model.info();
    json!({
        "role": "investigator",
        "name": info.name,
        "architecture": info.architecture,
        "context_length": info.context_length,
        "file_bytes": info.file_bytes,
        "sha256": loaded.sha256,
    })
}

/// Where the embedding model lives under `models`.
pub(crate) fn embedder_dir(models: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let entry = catalog()?
        .into_iter()
        .find(|entry| entry.role == "embedder")
        .context("models/catalog.toml names no embedder")?;
    let file = entry.files.first().context("the embedder in models/catalog.toml has no files")?;
    let parent = file.path.parent().unwrap_or(Path::new(""));
    Ok(find(models, parent))
}

/// Loads the embedding model; `None`, with a warning on stderr, where it is not there.
pub(crate) fn load_embedder(models: &[PathBuf]) -> Outcome<Option<Embedder>> {
    let dir = embedder_dir(models)?;
    if !dir.is_dir() {
        tracing::warn!(
            "no embedding model at {}: search by meaning is off until it is there (`casemate-stage fetch`)",
            dir.display()
        );
        return Ok(None);
    }
    Ok(Some(Embedder::load(&dir).map_err(Failure::input)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_names_the_three_roles_of_an_investigator_and_the_embedder() {
        let catalog = catalog().unwrap();
        for role in ["investigator", "small", "tiny", "embedder"] {
            assert!(catalog.iter().any(|entry| entry.role == role), "{role}");
        }
        for file in catalog.iter().flat_map(|entry| &entry.files) {
            assert_eq!(file.sha256.len(), 64, "{}", file.path.display());
            assert!(file.bytes > 0 && file.path.is_relative());
        }
    }

    #[test]
    fn an_absent_model_is_said_with_what_to_do() {
        let models = tempfile::tempdir().unwrap();
        for (wanted, expected) in [("default", "casemate-stage fetch"), ("gpt-9", "no model \"gpt-9\"")] {
            let Err(failure) = resolve(wanted, &[models.path().to_owned()]) else {
                panic!("{wanted} was found")
            };
            assert!(format!("{failure:?}").contains(expected), "{failure:?}");
        }
        assert!(resolve("none", &[models.path().to_owned()]).is_ok_and(|path| path.is_none()));
    }
}
