//! How is damage to tantivy's small files noticed? They get a checksum, as its large ones have already.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

/// A directory on disk whose atomically written files (`meta.json`, `.managed.json`) end with a CRC-32.
#[derive(Debug, Clone)]
pub(crate) struct SummedDirectory(MmapDirectory);

impl SummedDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenDirectoryError> {
        MmapDirectory::open(path).map(Self)
    }
}

impl Directory for SummedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.0.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.0.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.0.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.0.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let mut bytes = self.0.atomic_read(path)?;
        let Some((content, sum)) = bytes.split_last_chunk() else {
            return Err(damaged(path, "it is too short"));
        };
        if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
            return Err(damaged(path, "it does not match its checksum"));
        }
        bytes.truncate(bytes.len() - sum.len());
        Ok(bytes)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let mut bytes = data.to_vec();
        bytes.extend(crc32fast::hash(data).to_le_bytes());
        self.0.atomic_write(path, &bytes)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.0.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.0.watch(callback)
    }
}

fn damaged(path: &Path, what: &str) -> OpenReadError {
    OpenReadError::wrap_io_error(io::Error::new(io::ErrorKind::InvalidData, what), PathBuf::from(path))
}
