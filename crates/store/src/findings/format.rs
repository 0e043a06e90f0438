//! Which version has the file, and how does one of an older version become one of this?
//!
//! | version | what is new in it |
//! |---|---|
//! | none | tables as they came: cases, opinions, work, evidence |
//! | 1 | the version itself; heads of investigations; what products said of their alerts |

use super::{
    ALERTS, FOLDS, Findings, INVESTIGATIONS, LATEST, TAKEN, WATERMARKS, again, cases, evidence, heads,
    opinions, work,
};
use crate::table::copy_table;
use crate::{Error, Result};
use redb::{ReadTransaction, TableDefinition, WriteTransaction};

/// Raise when tables change their meaning, with a step in [`Findings::upgrade`].
pub(super) const VERSION: u64 = 1;

/// `version` to the version of the file.
const FORMAT: TableDefinition<&str, u64> = TableDefinition::new("format");

pub(super) fn copy_tables(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(read, write, FORMAT)
}

impl Findings {
    /// Makes the file one of this version: a new one, or one of a version before. Does nothing to one that is.
    ///
    /// # Errors
    /// A file of a newer version, which stays as it is.
    pub(super) fn upgrade(&self) -> Result<()> {
        let found = match self.tables.is_new(FORMAT)? {
            true => 0,
            false => self.read(|read| {
                let version = read.open_table(FORMAT)?.get("version")?.map(|version| version.value());
                version
                    .ok_or_else(|| redb::Error::Corrupted("it does not say which version it has".to_owned()))
            })?,
        };
        if found > VERSION {
            let path = self.tables.path.clone();
            return Err(Error::Newer { path, found, supported: VERSION });
        }
        if found == VERSION {
            return Ok(());
        }
        let knew_cases = !self.tables.is_new(cases::CASES)?;
        self.write(|write| {
            create_tables(write)?;
            if !knew_cases {
                // Alerts join cases now, in order.
                cases::join_all(write)?;
            }
            heads::make_all(write)?;
            write.open_table(FORMAT)?.insert("version", VERSION)?;
            Ok(())
        })
    }
}

/// Makes the tables that are not there.
fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(ALERTS)?;
    write.open_table(FOLDS)?;
    write.open_table(LATEST)?;
    write.open_table(TAKEN)?;
    write.open_table(INVESTIGATIONS)?;
    write.open_table(WATERMARKS)?;
    again::create_tables(write)?;
    heads::create_tables(write)?;
    cases::create_tables(write)?;
    opinions::create_tables(write)?;
    work::create_tables(write)?;
    evidence::create_tables(write)
}
