//! Who did what? The store keeps the audit record of its data directory.
//!
//! What changes tables notes its row in the same commit, and the record takes the row over right after it, or when the
//! store is opened again. Everything else is written to the record alone.

use crate::findings::Findings;
use crate::retention::Deleted;
use crate::store::{Inner, Store, lock};
use crate::{Error, Result};
use casemate_audit::{Chain, Entry, Head, Line};
use casemate_disk::{create_private_dir, write_private};
use std::path::{Path, PathBuf};

/// Rows taken over at once.
const ROWS_AT_ONCE: usize = 1000;

/// Where entries lie that another process hands over.
const BESIDE: &str = "beside";

/// Directory of the record of the store whose files are in `dir`.
fn audit_dir(dir: &Path) -> PathBuf {
    dir.with_file_name("audit")
}

/// Opens the record beside the store, and says what was wrong with it.
pub(crate) fn open(dir: &Path, findings: &Findings) -> Result<Chain> {
    let (mut chain, opened) = Chain::open(&audit_dir(dir), findings.audited()?)?;
    for problem in opened.problems {
        tracing::error!(problem, "the audit record is not as it was left; `casemate audit verify` says more");
    }
    take_over(&mut chain, findings, &audit_dir(dir))?;
    Ok(chain)
}

/// Hands an entry to the audit record of `data_dir` while another process has that open, which takes it over within ten
/// minutes, or when it writes the next one; else the next process that opens it does.
///
/// # Errors
/// The system's refusal.
pub fn record_beside(data_dir: &Path, entry: &Entry) -> Result<()> {
    let record = data_dir.join("audit");
    let dir = record.join(BESIDE);
    create_private_dir(data_dir)?;
    create_private_dir(&record)?;
    create_private_dir(&dir)?;
    let json = serde_json::to_vec(entry)
        .map_err(|error| Error::Encode { what: "an audit entry", reason: error.to_string() })?;
    let name = format!("{:020}-{}.json", entry.at.as_nanosecond(), std::process::id());
    Ok(write_private(&dir.join(name), |out| out.write_all(&json))?)
}

/// Takes over the rows that decisions left in the tables, and what others handed over.
fn take_over(chain: &mut Chain, findings: &Findings, dir: &Path) -> Result<()> {
    take_over_beside(chain, &dir.join(BESIDE))?;
    loop {
        let rows = findings.audit_rows(chain.last_row(), ROWS_AT_ONCE)?;
        for (n, row) in &rows {
            chain.append(row, Some(*n))?;
        }
        if rows.len() < ROWS_AT_ONCE {
            chain.sync()?;
            return Ok(());
        }
    }
}

/// Takes over entries that lie beside. One that is no entry stays, and is said.
fn take_over_beside(chain: &mut Chain, dir: &Path) -> Result<()> {
    let failed = |source| Error::Directory { path: dir.to_owned(), source };
    if !dir.is_dir() {
        return Ok(());
    }
    let listed: std::io::Result<Vec<PathBuf>> =
        fs_err::read_dir(dir).map_err(failed)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = listed.map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        let bytes = fs_err::read(&path).map_err(failed)?;
        match serde_json::from_slice::<Entry>(&bytes) {
            Ok(entry) => {
                chain.append(&entry, None)?;
                chain.sync()?;
                fs_err::remove_file(&path).map_err(failed)?;
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "no entry for the audit record");
                fs_err::rename(&path, path.with_extension("refused")).map_err(failed)?;
            }
        }
    }
    Ok(())
}

impl Inner {
    /// Has the record take over what a change has just noted in the tables. It stays there if that fails: the next
    /// change, or the next opening, tries again.
    pub(crate) fn audited<T>(&self, changed: Result<T>) -> Result<T> {
        if changed.is_ok()
            && let Err(error) = take_over(&mut lock(&self.audit), &self.findings, &audit_dir(&self.dir))
        {
            tracing::error!(%error, "a decision is stored and stands in no audit record yet");
        }
        changed
    }

    /// Notes that events were deleted because they had to go.
    pub(crate) fn note_deleted(&self, deleted: &Deleted) -> Result<()> {
        let entry = Entry::new("casemate", "retention", "events", serde_json::json!(deleted));
        lock(&self.audit).append(&entry, None)?;
        Ok(())
    }

    /// Signs the record as it is and notes how far it goes.
    pub(crate) fn settle_audit(&self) -> Result<Head> {
        let mut chain = lock(&self.audit);
        take_over(&mut chain, &self.findings, &audit_dir(&self.dir))?;
        let signed = chain.checkpoint()?;
        let (row, lines) = (chain.last_row(), chain.head().n);
        if self.findings.audited()? != lines {
            self.findings.settle_audit(row, lines)?;
        }
        Ok(signed)
    }
}

impl Store {
    /// Adds an entry to the audit record, durable when it returns.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record(&self, entry: &Entry) -> Result<()> {
        let mut chain = lock(&self.inner.audit);
        take_over(&mut chain, &self.inner.findings, &self.audit_dir())?;
        chain.append(entry, None)?;
        Ok(chain.sync()?)
    }

    /// As [`record`](Self::record), without waiting for the device: for what is only looked at. Durable with the next
    /// entry that is, within ten minutes, or when the store is closed; a kill of the process loses nothing.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record_unsynced(&self, entry: &Entry) -> Result<()> {
        lock(&self.inner.audit).append(entry, None)?;
        Ok(())
    }

    /// Up to `most` lines of the audit record numbered below `before`, newest first.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn audit(&self, before: u64, most: usize) -> Result<Vec<Line>> {
        let mut chain = lock(&self.inner.audit);
        take_over(&mut chain, &self.inner.findings, &self.audit_dir())?;
        Ok(chain.lines(before, most)?)
    }

    /// Signs the audit record as far as it goes, durably; what it returns is worth keeping elsewhere.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn checkpoint(&self) -> Result<Head> {
        self.inner.settle_audit()
    }

    /// Has a new key sign the audit record from here on.
    ///
    /// # Errors
    /// The key or the record cannot be written.
    pub fn rotate_audit_key(&self, by: &str) -> Result<()> {
        Ok(lock(&self.inner.audit).rotate_key(by)?)
    }

    /// Where the audit record is.
    pub fn audit_dir(&self) -> PathBuf {
        audit_dir(&self.inner.dir)
    }

    /// Copies what was found and the audit record, signed as far as it goes, to a data directory at `to`, whose store
    /// is `target`.
    pub(crate) fn copy_findings(&self, to: &Path, target: &Path) -> Result<()> {
        self.inner.settle_audit()?;
        // While it is held no row is taken over: the copy of the record has none that the copy of the tables has not.
        let _chain = lock(&self.inner.audit);
        self.inner.findings.copy_to(&target.join("findings.redb"))?;
        casemate_audit::copy(&self.audit_dir(), &to.join("audit")).map_err(Error::from)
    }
}
