//! How is a file replaced so that a reader or a crash sees the old or the new one, never half of it?

use crate::{Error, Result};
use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Who may read and write a file, as the system's mask allows; and the owner alone.
pub(crate) const SHARED: u32 = 0o666;
const PRIVATE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// Writes `path` through a temporary file beside it: write, fsync, rename, fsync of the directory.
///
/// After an error the old file, if any, is untouched and the temporary file is gone.
///
/// # Errors
/// What `write` returned, or the system's refusal, as [`Error::Full`], [`Error::ReadOnly`] or [`Error::Io`].
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    replace(path, SHARED, buffered(write))
}

/// As [`write_atomic`], for secrets: nobody but the owner can read the file, from its first byte on. Where root writes,
/// that is the owner of the directory, so that a service can read what its administrator changed.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_private(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    replace(path, PRIVATE, |file| {
        give_to_owner(file, parent(path))?;
        buffered(write)(file)
    })
}

/// Opens `path`, created empty for the owner alone, as [`write_private`] does, if it is not there. For locks.
///
/// # Errors
/// [`Error::ReadOnly`] or [`Error::Io`], as the system refused.
pub fn open_private(path: &Path) -> Result<File> {
    let failed = |e| Error::write(path, "open file", e);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).mode(PRIVATE).open(path) {
        Ok(file) => give_to_owner(&file, parent(path)).map(|()| file).map_err(failed),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => options.open(path).map_err(failed),
        Err(e) => Err(failed(e)),
    }
}

/// Makes a directory for its owner alone, with those above it, if it is not there; where root makes it, for the owner of
/// the one above.
///
/// # Errors
/// [`Error::ReadOnly`] or [`Error::Io`], as the system refused.
pub fn create_private_dir(path: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let above = parent(path);
        fs_err::create_dir_all(above)?;
        match std::fs::DirBuilder::new().mode(PRIVATE_DIR).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        give_to_owner(&File::open(path)?, above)
    };
    make().map_err(|e| Error::write(path, "make directory", e))
}

/// Where root made the file, gives it to the owner of `dir`.
fn give_to_owner(file: &File, dir: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs_err::metadata(dir)?;
    std::os::unix::fs::fchown(file.file(), Some(owner.uid()), Some(owner.gid()))
}

fn buffered(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> impl FnOnce(&mut File) -> io::Result<()> {
    |file| {
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        write(&mut writer)?;
        writer.flush()
    }
}

/// As [`write_atomic`], with the file itself, so that a header can be filled in afterwards.
pub(crate) fn replace(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let temporary = temporary_path(path);
    let result = write_and_rename(path, &temporary, mode, write);
    if result.is_err() {
        // Best effort: the error that matters is the one already in hand.
        drop(fs_err::remove_file(&temporary));
    }
    result.map_err(|e| Error::write(path, "write file", e))
}

fn write_and_rename(
    path: &Path,
    temporary: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(temporary)?;
    write(&mut file)?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(temporary, path)?;
    sync_dir(parent(path))
}

/// Makes renames and creations in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Directory that holds `path`; `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary_path(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".tmp-{}-{unique}", std::process::id()));
    parent(path).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs_err::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, |out| out.write_all(b"one")).unwrap();
        write_atomic(&path, |out| out.write_all(b"two")).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn secrets_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_private(&path, |out| out.write_all(b"secret")).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let own = dir.path().join("a/b");
        create_private_dir(&own).unwrap();
        create_private_dir(&own).unwrap();
        assert_eq!(fs_err::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_lock_file_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let first = open_private(&path).unwrap().metadata().unwrap();
        assert_eq!(first.mode() & 0o777, 0o600);
        assert_eq!(open_private(&path).unwrap().metadata().unwrap().ino(), first.ino());
    }

    /// Root alone can give files away; what others write is theirs.
    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let owner = if is_root { 12_345 } else { fs_err::metadata(dir.path()).unwrap().uid() };
        std::os::unix::fs::chown(dir.path(), Some(owner), None).unwrap();
        let (file, lock) = (dir.path().join("f"), dir.path().join("l"));
        write_private(&file, |out| out.write_all(b"x")).unwrap();
        drop(open_private(&lock).unwrap());
        for path in [file, lock] {
            assert_eq!(fs_err::metadata(&path).unwrap().uid(), owner, "{}", path.display());
        }
    }

    #[test]
    fn failure_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, |out| out.write_all(b"one")).unwrap();
        let failed = write_atomic(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(failed, Err(Error::Full { .. })), "{failed:?}");
        assert_eq!(fs_err::read(&path).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["f"]);
    }

    #[test]
    fn missing_directory_is_named() {
        let error = write_atomic(Path::new("/proc/none/f"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("/proc/none"), "{error}");
    }
}
