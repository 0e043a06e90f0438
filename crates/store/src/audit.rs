//! Who did what? The store keeps the audit record of its data directory.
//!
//! What changes tables notes its row in the same commit, and the record takes the row over right after it, or when the
//! store is opened again. Everything else is written to the record alone.

use crate::findings::Findings;
use crate::retention::Deleted;
use crate::store::{Inner, Store, lock};
use crate::{Error, Result};
use casemate_audit::{Chain, Entry, Head, Line};
use std::path::{Path, PathBuf};

/// Rows taken over at once.
const ROWS_AT_ONCE: usize = 1000;

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
    take_over(&mut chain, findings)?;
    Ok(chain)
}

/// Takes over the rows that decisions left in the tables.
fn take_over(chain: &mut Chain, findings: &Findings) -> Result<()> {
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

impl Inner {
    /// Has the record take over what a change has just noted in the tables. It stays there if that fails: the next
    /// change, or the next opening, tries again.
    pub(crate) fn audited<T>(&self, changed: Result<T>) -> Result<T> {
        if changed.is_ok()
            && let Err(error) = take_over(&mut lock(&self.audit), &self.findings)
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
        take_over(&mut chain, &self.findings)?;
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
        Ok(lock(&self.inner.audit).lines(before, most)?)
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
