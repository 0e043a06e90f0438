//! How is a store copied while it is in use? What is immutable is linked, the rest is copied as of one moment.

use crate::manifest::{log_path, segment_path};
use crate::store::{Store, lock};
use crate::{Error, Result};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Backup {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events, up to the last one acknowledged before the backup began.
    pub events: u64,
}

impl Store {
    /// Writes a data directory to `to` that opens as this one was when the copy began: events, alerts,
    /// investigations. Taking in and searching go on meanwhile; segments wait to be sealed. On the same file
    /// system segments are linked, so that a backup costs next to nothing until it is moved elsewhere.
    ///
    /// # Errors
    /// A directory that is not empty, or the system's refusal; a backup that was begun is then not whole.
    pub fn backup(&self, to: &Path) -> Result<Backup> {
        let inner = &self.inner;
        let target = to.join("store");
        let failed = |source| Error::Directory { path: target.clone(), source };
        if target.exists() {
            let what = "it is there already; give a directory that holds no store".to_owned();
            return Err(Error::Damaged { path: target, what });
        }
        fs_err::create_dir_all(&target).map_err(failed)?;
        // First, so that nothing found refers to events that were not copied.
        self.copy_findings(to, &target)?;
        // While this is held no log becomes a segment and nothing is deleted.
        let manifest = lock(&inner.manifest);
        self.sync()?;
        inner.meta.copy_to(&target.join("meta.redb"))?;
        let mut events = 0;
        for entry in &manifest.segments {
            let path = segment_path(&inner.dir, entry.number);
            if path.exists() {
                link_or_copy(&path, &segment_path(&target, entry.number)).map_err(failed)?;
                events += u64::from(entry.events);
            }
        }
        for head in inner.view().heads.iter() {
            if head.number >= manifest.first_log {
                let (from, to) = (log_path(&inner.dir, head.number), log_path(&target, head.number));
                // What was written since is not acknowledged as part of the backup.
                let end = head.end();
                events += head.events();
                copy_beginning(&from, &to, end.0).map_err(failed)?;
            }
        }
        crate::manifest::Manifest { mark: None, ..manifest.clone() }.write(&target)?;
        drop(manifest);
        let (files, bytes) = measure(&target).map_err(failed)?;
        Ok(Backup { files, bytes, events })
    }

    /// Makes `data_dir` what it was when the backup in `from` was made, and opens it.
    ///
    /// # Errors
    /// A data directory that is not empty, a backup that is damaged (each problem is in the message), or the
    /// system's refusal.
    pub fn restore(from: &Path, data_dir: &Path) -> Result<Self> {
        let (source, target) = (from.join("store"), data_dir.join("store"));
        let failed = |error| Error::Directory { path: target.clone(), source: error };
        if target.exists() {
            let what = "it is there already; restore into an empty data directory".to_owned();
            return Err(Error::Damaged { path: target, what });
        }
        fs_err::create_dir_all(&target).map_err(failed)?;
        for path in
            files(&source).map_err(|error| Error::Directory { path: source.clone(), source: error })?
        {
            if let Some(name) = path.file_name().filter(|name| *name != "LOCK") {
                link_or_copy(&path, &target.join(name)).map_err(failed)?;
            }
        }
        casemate_audit::copy(&from.join("audit"), &data_dir.join("audit"))?;
        let store = Self::open(data_dir)?;
        match store.verify()?.as_slice() {
            [] => Ok(store),
            problems => Err(Error::Damaged { path: source, what: problems.join("; ") }),
        }
    }
}

/// Segments never change, so that a second name for one is as good as a copy; logs and tables do.
fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.extension().is_some_and(|extension| extension == "segment") && fs_err::hard_link(from, to).is_ok()
    {
        return Ok(());
    }
    copy_beginning(from, to, u64::MAX)
}

fn copy_beginning(from: &Path, to: &Path, length: u64) -> std::io::Result<()> {
    let mut reader = fs_err::File::open(from)?.take(length);
    let mut writer = fs_err::File::create(to)?;
    std::io::copy(&mut reader, &mut writer)?;
    writer.flush()?;
    writer.sync_all()
}

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs_err::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn measure(dir: &Path) -> std::io::Result<(u64, u64)> {
    let files = files(dir)?;
    let bytes = files
        .iter()
        .map(|path| fs_err::metadata(path).map(|metadata| metadata.len()))
        .sum::<std::io::Result<u64>>()?;
    Ok((files.len() as u64, bytes))
}
