//! How is a redb file opened so that damage is noticed before anything is read from it?

use crate::guard::guarded;
use crate::{Error, Result};
use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, Value};
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
        if !path.exists() {
            create(path)?;
        } else if fs_err::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
            // redb takes an empty file for a new one.
            return Err(OpenError::Damaged("it is empty".to_owned()));
        }
        let opened = guarded(|| {
            let mut database = Database::builder().set_cache_size(CACHE_BYTES).open(path)?;
            let clean = database.check_integrity()?;
            Ok::<_, redb::DatabaseError>((database, clean))
        });
        match opened {
            Some(Ok((database, true))) => Ok(Self { database, path: path.to_owned() }),
            Some(Ok((_, false))) => Err(OpenError::Damaged("pages do not match their checksums".to_owned())),
            Some(Err(error)) => Err(classify(path, error)),
            None => Err(OpenError::Damaged("its structure is inconsistent".to_owned())),
        }
    }

    /// Whether `table` has never been made.
    pub(crate) fn is_new<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<bool> {
        let read = self.database.begin_read().map_err(self.error("read"))?;
        match read.open_table(table) {
            Ok(_) => Ok(false),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
            Err(error) => Err(self.error("read")(error)),
        }
    }

    /// Makes the file at `path` with the tables that `copy` copies, all as of one moment.
    pub(crate) fn copy_to(
        &self,
        path: &Path,
        copy: impl FnOnce(&redb::ReadTransaction, &redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let run = || -> Result<(), redb::Error> {
            let read = self.database.begin_read()?;
            let target = Database::create(path)?;
            let write = target.begin_write()?;
            copy(&read, &write)?;
            write.commit()?;
            Ok(())
        };
        run().map_err(|error| Error::Table {
            action: "write",
            path: path.to_owned(),
            source: Box::new(error),
        })
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

/// Copies one table.
pub(crate) fn copy_table<K: Key + 'static, V: Value + 'static>(
    read: &redb::ReadTransaction,
    write: &redb::WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let mut target = write.open_table(table)?;
    for row in read.open_table(table)?.iter()? {
        let (key, value) = row?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Makes an empty file of tables under another name first, so that a crash leaves none or a whole one.
fn create(path: &Path) -> Result<(), OpenError> {
    let unfinished = path.with_extension("new");
    let failed = |error: redb::Error| {
        OpenError::Failed(Error::Table { action: "create", path: path.to_owned(), source: Box::new(error) })
    };
    drop(fs_err::remove_file(&unfinished));
    drop(Database::create(&unfinished).map_err(|error| failed(error.into()))?);
    fs_err::rename(&unfinished, path).map_err(|error| failed(error.into()))
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
