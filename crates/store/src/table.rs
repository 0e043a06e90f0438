//! How is a redb file opened so that damage is noticed before anything is read from it?

use crate::{Error, Result};
use redb::Database;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Tables in one file, and the path for error messages.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) database: Database,
    pub(crate) path: PathBuf,
}

/// Memory for pages kept from reading and writing.
const CACHE_BYTES: usize = 64 << 20;

/// Why tables could not be opened.
pub(crate) enum OpenError {
    /// The content is not what was written.
    Damaged(String),
    /// The system refused.
    Failed(Error),
}

impl Tables {
    /// Opens or creates the file at `path` and verifies every page of it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // redb asserts on some kinds of damage where assertions are compiled in.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
            let clean = database.check_integrity()?;
            Ok::<_, redb::DatabaseError>((database, clean))
        }));
        match opened {
            Ok(Ok((database, true))) => Ok(Self { database, path: path.to_owned() }),
            Ok(Ok((_, false))) => Err(OpenError::Damaged("pages do not match their checksums".to_owned())),
            Ok(Err(error)) => Err(classify(path, error)),
            Err(_) => Err(OpenError::Damaged("its structure is inconsistent".to_owned())),
        }
    }

    /// Wraps what redb said about `action`.
    pub(crate) fn error<E: Into<redb::Error>>(&self, action: &'static str) -> impl Fn(E) -> Error + use<E> {
        let path = self.path.clone();
        move |error| Error::Table { action, path: path.clone(), source: Box::new(error.into()) }
    }

    /// A value in the tables that does not decode.
    pub(crate) fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }
}

fn classify(path: &Path, error: redb::DatabaseError) -> OpenError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let damaged = match &error {
        redb::DatabaseError::Storage(redb::StorageError::Io(e)) => {
            matches!(e.kind(), InvalidData | InvalidInput | UnexpectedEof)
        }
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(_)) => true,
        redb::DatabaseError::UpgradeRequired(_) | redb::DatabaseError::RepairAborted => true,
        _ => false,
    };
    if damaged {
        return OpenError::Damaged(error.to_string());
    }
    let source = Box::new(error.into());
    OpenError::Failed(Error::Table { action: "open", path: path.to_owned(), source })
}
