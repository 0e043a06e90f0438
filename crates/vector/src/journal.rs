//! How do vectors added since the file was written survive a restart? As frames of a log beside it.
//!
//! A log is begun anew when a merge begins, and those before it are deleted once the new file is there. What
//! a crash in between leaves is read again and found to be in the file already.

use crate::Result;
use casemate_disk::{FrameOffset, Log};
use half::f16;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"CMVHEAD\0";
const VERSION: u32 = 1;

const ADD: u8 = 1;
const JOIN: u8 = 2;
const REMOVE: u8 = 3;

/// What happened to an id.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    /// It has this vector.
    Add(u64, Vec<f16>),
    /// It shares the vector of another.
    Join(u64, u64),
    /// It is gone.
    Remove(u64),
}

#[derive(Debug)]
pub(crate) struct Journal {
    log: Log,
    index: PathBuf,
    number: u64,
}

impl Journal {
    /// Opens the logs beside the index at `index` and gives `replay` what they hold, oldest first. A damaged
    /// log is dropped with a warning: its vectors are computed again.
    pub(crate) fn open(index: &Path, replay: &mut dyn FnMut(Entry)) -> Result<Self> {
        let numbers = numbers(index)?;
        let number = numbers.last().copied().unwrap_or(0);
        let mut newest = None;
        for &number in &numbers {
            newest = Some(read(&path(index, number), replay)?);
        }
        let log = match newest.flatten() {
            Some(log) => log,
            None => Log::open(&path(index, number), MAGIC, VERSION)?.0,
        };
        Ok(Self { log, index: index.to_owned(), number })
    }

    /// Appends entries, durable when [`sync`](Self::sync) returns.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let mut frame = Vec::new();
        for entry in entries {
            write(entry, &mut frame);
        }
        self.log.append(&frame)?;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        Ok(self.log.sync()?)
    }

    /// Begins a new log. Returns its number, to be given to [`drop_before`](Self::drop_before).
    pub(crate) fn rotate(&mut self) -> Result<u64> {
        self.log.sync()?;
        let number = self.number + 1;
        self.log = Log::open(&path(&self.index, number), MAGIC, VERSION)?.0;
        self.number = number;
        Ok(number)
    }

    /// Deletes the logs before `number`.
    pub(crate) fn drop_before(&self, number: u64) -> Result<()> {
        for old in numbers(&self.index)?.into_iter().filter(|&old| old < number) {
            remove(&path(&self.index, old));
        }
        Ok(())
    }
}

/// Deletes every log beside the index at `index`.
pub(crate) fn discard(index: &Path) -> Result<()> {
    numbers(index)?.into_iter().for_each(|number| remove(&path(index, number)));
    Ok(())
}

fn path(index: &Path, number: u64) -> PathBuf {
    index.with_extension(format!("head-{number}"))
}

fn remove(path: &Path) {
    if let Err(error) = fs_err::remove_file(path) {
        tracing::warn!(%error, "a log of vectors that is no longer needed stays");
    }
}

/// Numbers of the logs beside the index at `index`, ascending.
fn numbers(index: &Path) -> Result<Vec<u64>> {
    let Some((directory, stem)) = index.parent().zip(index.file_stem()) else { return Ok(Vec::new()) };
    let prefix = format!("{}.head-", stem.to_string_lossy());
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut numbers = Vec::new();
    for entry in fs_err::read_dir(directory).map_err(crate::Error::Io)? {
        let name = entry.map_err(crate::Error::Io)?.file_name();
        numbers.extend(name.to_string_lossy().strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads one log; `None` if it is damaged and now gone.
fn read(path: &Path, replay: &mut dyn FnMut(Entry)) -> Result<Option<Log>> {
    let opened = match Log::open(path, MAGIC, VERSION) {
        Ok((log, _)) => log,
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "a log of vectors is damaged, they will be computed again");
            remove(path);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    for frame in opened.frames(FrameOffset::FIRST) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "the rest of a log of vectors is damaged, they will be computed again");
                remove(path);
                return Ok(None);
            }
        };
        let mut rest: &[u8] = &frame;
        while let Some(entry) = take(&mut rest) {
            replay(entry);
        }
    }
    Ok(Some(opened))
}

fn write(entry: &Entry, out: &mut Vec<u8>) {
    let mut head = |kind: u8, id: u64| {
        out.push(kind);
        out.extend_from_slice(&id.to_le_bytes());
    };
    match entry {
        Entry::Add(id, vector) => {
            head(ADD, *id);
            out.extend_from_slice(&(vector.len() as u32).to_le_bytes());
            vector.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
        }
        Entry::Join(id, other) => {
            head(JOIN, *id);
            out.extend_from_slice(&other.to_le_bytes());
        }
        Entry::Remove(id) => head(REMOVE, *id),
    }
}

/// The next entry of a frame; `None` at its end, or where it says nothing that [`write`] says.
fn take(rest: &mut &[u8]) -> Option<Entry> {
    fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (number, after) = rest.split_first_chunk::<N>()?;
        *rest = after;
        Some(*number)
    }
    let [kind] = number(rest)?;
    let id = u64::from_le_bytes(number(rest)?);
    match kind {
        ADD => {
            let count = u32::from_le_bytes(number(rest)?) as usize;
            let (bytes, after) = rest.split_at_checked(count.checked_mul(2)?)?;
            *rest = after;
            let halves = bytes.chunks_exact(2).map(|half| f16::from_le_bytes([half[0], half[1]]));
            Some(Entry::Add(id, halves.collect()))
        }
        JOIN => Some(Entry::Join(id, u64::from_le_bytes(number(rest)?))),
        REMOVE => Some(Entry::Remove(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(index: &Path) -> (Journal, Vec<Entry>) {
        let mut entries = Vec::new();
        let journal = Journal::open(index, &mut |entry| entries.push(entry)).unwrap();
        (journal, entries)
    }

    #[test]
    fn what_was_appended_is_replayed_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("x.hnsw");
        let (mut journal, entries) = replayed(&index);
        assert_eq!(entries, []);
        let first = || vec![Entry::Add(7, vec![f16::ONE, f16::ZERO]), Entry::Join(8, 7)];
        journal.append(&first()).unwrap();
        let number = journal.rotate().unwrap();
        journal.append(&[Entry::Remove(7)]).unwrap();
        journal.sync().unwrap();
        drop(journal);
        let (journal, entries) = replayed(&index);
        assert_eq!(entries[..2], first());
        assert_eq!(entries[2..], [Entry::Remove(7)]);
        journal.drop_before(number).unwrap();
        drop(journal);
        assert_eq!(replayed(&index).1, [Entry::Remove(7)]);
    }

    #[test]
    fn a_damaged_log_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("x.hnsw");
        fs_err::write(path(&index, 3), b"not a log of vectors, but long enough for one").unwrap();
        assert_eq!(replayed(&index).1, []);
        assert_eq!(replayed(&index).1, []);
    }
}
