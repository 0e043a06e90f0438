//! Who may write in this directory? One process at a time.

use crate::{Error, Result};
use fs_err::{File, OpenOptions};
use std::fs::TryLockError;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Exclusive lock on a directory, held until dropped or the process dies.
///
/// An advisory lock on a file `LOCK` in it, which also holds the process id for people and error messages.
/// The file stays when the lock is given back: removing it would race with the next holder.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl DirLock {
    /// Takes the lock or says who has it; never waits. Creates the directory if it is not there.
    ///
    /// # Errors
    /// [`Error::Locked`] naming the process that holds it, [`Error::ReadOnly`] if the directory cannot be
    /// written.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        let failed = |e| Error::write(dir, "lock directory", e);
        fs_err::create_dir_all(dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    /// Given back by name: closing the file would not do while a process that was just started still holds it.
    fn drop(&mut self) {
        // Where that is refused, closing has to do.
        let _ = self.file.file().unlock();
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path()).unwrap();
        let error = DirLock::acquire(dir.path()).unwrap_err();
        assert!(
            matches!(error, Error::Locked { pid: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(first);
        DirLock::acquire(dir.path()).unwrap();
    }
}
