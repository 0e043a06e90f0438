//! Which lines of the followed files are new?
//!
//! A file is known by device, inode and the hash of its first line, so that it stays itself when it is renamed
//! and is another one when it is truncated and written anew. How far it has been read is committed in the same
//! append as the lines: after a crash each line is there exactly once. A last line without its end waits until
//! it is complete, or until the file has been moved away and lies still.
//!
//! Looks four times a second instead of using inotify: that also works on network file systems, and its cost
//! is bounded by the number of files. Compressed, UTF-16 and other binary files are left to `casemate ingest`.

mod followed;
mod past;

use crate::intake::{Intake, is_stopping};
use followed::{Followed, Memory, Step};
use past::Past;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const POLL: Duration = Duration::from_millis(250);
/// Pause after a failed append.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Files followed at once; further ones are warned about.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: u32 = 8;
/// Truncated files whose copy may still turn up.
const MAX_REMEMBERED: usize = 64;
/// A file moved away is done once it has lain still for this long.
const STILL: Duration = Duration::from_secs(5);

/// Device and inode.
type Identity = (u64, u64);

/// Follows `roots` until `stopping`.
pub(crate) async fn follow(roots: Vec<PathBuf>, intake: Arc<Intake>, mut stopping: watch::Receiver<bool>) {
    let mut tail = Tail::new(roots, intake.pipeline().data_dir());
    loop {
        let intake = Arc::clone(&intake);
        let looked = tokio::task::spawn_blocking(move || {
            let found = tail.look(&intake);
            (tail, found)
        });
        let pause = match looked.await {
            Ok((back, found)) => {
                tail = back;
                match found {
                    Found::More => Duration::ZERO,
                    Found::Nothing => POLL,
                    Found::Failed => RETRY_AFTER,
                }
            }
            Err(error) => {
                tracing::error!(%error, "following files ended by a fault");
                return;
            }
        };
        tokio::select! {
            () = is_stopping(&mut stopping) => {
                let saving = tokio::task::spawn_blocking(move || tail.save());
                if let Err(error) = saving.await {
                    tracing::error!(%error, "saving which files are followed failed");
                }
                return;
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    More,
    Nothing,
    Failed,
}

/// The files followed now.
pub(crate) struct Tail {
    roots: Vec<PathBuf>,
    files: HashMap<Identity, Followed>,
    /// Files that are not text, or too many.
    refused: HashSet<Identity>,
    memory: Memory,
}

impl Tail {
    /// `data_dir` is where it is kept which files are followed.
    pub(crate) fn new(roots: Vec<PathBuf>, data_dir: &Path) -> Self {
        let memory = Memory { remembered: VecDeque::new(), past: Past::read(data_dir) };
        Self { roots, files: HashMap::new(), refused: HashSet::new(), memory }
    }

    /// Keeps which files are followed, for the next run.
    pub(crate) fn save(&mut self) {
        let files = self.files.values().filter_map(Followed::to_save).collect();
        self.memory.past.save(files);
    }

    /// Takes in what is new. Blocks on the disk.
    pub(crate) fn look(&mut self, intake: &Intake) -> Found {
        self.scan();
        let mut found = Found::Nothing;
        let mut identities: Vec<Identity> = self.files.keys().copied().collect();
        // Files read before come first: a new one may be a copy of one of them.
        identities.sort_by_key(|identity| (self.files.get(identity).is_none_or(Followed::is_new), *identity));
        for identity in identities {
            let Some(mut file) = self.files.remove(&identity) else { continue };
            let step = file.step(intake, &self.files, &mut self.memory);
            self.memory.remembered.truncate(MAX_REMEMBERED);
            match step {
                Ok(Step::More) => found = if found == Found::Failed { found } else { Found::More },
                Ok(Step::Nothing) => {}
                Ok(Step::Done) => continue,
                Ok(Step::NotText(what)) => {
                    let path = file.path().display();
                    tracing::warn!(%path, "not followed: {what}; take it in with `casemate ingest`");
                    self.refused.insert(identity);
                    continue;
                }
                Err(error) => {
                    tracing::error!(path = %file.path().display(), %error, "cannot take in new lines; trying again");
                    found = Found::Failed;
                }
            }
            self.files.insert(identity, file);
        }
        self.report_lost(intake);
        if self.memory.past.is_due() {
            self.save();
        }
        found
    }

    /// Makes an event of each file of an earlier run of which lines may be lost.
    fn report_lost(&mut self, intake: &Intake) {
        let store = intake.pipeline().store();
        let lost = self.memory.past.lost(|key| Some(store.source_progress(key).ok()??.position));
        if lost.is_empty() {
            return;
        }
        lost.iter().for_each(|event| tracing::warn!("{}", event.message));
        if let Err(error) = intake.note(lost) {
            tracing::error!(%error, "that lines may be lost could not be stored");
        }
    }

    /// Finds files that are new, renamed or gone.
    fn scan(&mut self) {
        let mut seen = HashSet::new();
        for root in self.roots.clone() {
            self.scan_path(&root, 0, &mut seen);
        }
        for (identity, file) in &mut self.files {
            if !seen.contains(identity) {
                file.moved_away(Instant::now());
            }
        }
        self.refused.retain(|identity| seen.contains(identity));
    }

    fn scan_path(&mut self, path: &Path, depth: u32, seen: &mut HashSet<Identity>) {
        // Only a root may be a link.
        let metadata = if depth == 0 { fs_err::metadata(path) } else { fs_err::symlink_metadata(path) };
        // What vanished since it was listed is found under its new name.
        let Ok(metadata) = metadata else { return };
        if metadata.is_dir() && depth < MAX_DEPTH {
            let Ok(entries) = fs_err::read_dir(path) else { return };
            for entry in entries.flatten() {
                self.scan_path(&entry.path(), depth + 1, seen);
            }
        }
        if !metadata.is_file() {
            return;
        }
        let identity = (metadata.dev(), metadata.ino());
        seen.insert(identity);
        if let Some(file) = self.files.get_mut(&identity) {
            file.is_at(path);
        } else if !self.refused.contains(&identity) && metadata.len() > 0 {
            self.begin(identity, path);
        }
    }

    fn begin(&mut self, identity: Identity, path: &Path) {
        if self.files.len() >= MAX_FILES {
            tracing::warn!(path = %path.display(), "not followed: {MAX_FILES} files are followed already");
            self.refused.insert(identity);
            return;
        }
        match fs_err::File::open(path) {
            Ok(file) => {
                self.files.insert(identity, Followed::new(file, identity, path));
            }
            Err(error) => {
                tracing::warn!(%error, "not followed");
                self.refused.insert(identity);
            }
        }
    }
}

#[cfg(test)]
mod tests;
