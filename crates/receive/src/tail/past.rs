//! Which files were followed when this program last ran, and what of them may be lost?
//!
//! Beside the progress in the store, which says how far a file was read, one small file in the data directory
//! lists which files those were. A file that is then another one, shorter, or gone, and of which no copy is found,
//! may have held lines that nobody read: that becomes an event.

use super::Identity;
use crate::intake::telemetry_event;
use casemate_event::Event;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "followed.json";
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Looks in which files and copies are to be found again.
const LOOKS: u32 = 3;

/// A file as it was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub(crate) identity: Identity,
    /// Under which its progress is stored.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// How far it had been read when this was written; the store may know of more.
    pub(crate) offset: u64,
    /// How far, where its progress in the store now speaks of what took its place.
    #[serde(default)]
    pub(crate) read_to: Option<u64>,
    /// Bytes before `offset`, and their hash.
    pub(crate) recent_bytes: usize,
    pub(crate) recent: String,
}

/// Reads as many bytes at an offset of a file.
pub(crate) type ReadAt<'a> = dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a;

/// What is known of an earlier run.
pub(crate) struct Past {
    file: PathBuf,
    previous: Vec<Previous>,
    looks: u32,
    saved: Option<(Vec<Previous>, Instant)>,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    saved_at: Timestamp,
    files: Vec<Previous>,
}

impl Past {
    pub(crate) fn read(data_dir: &Path) -> Self {
        let file = data_dir.join(NAME);
        let saved = fs_err::read(&file).ok().and_then(|text| serde_json::from_slice::<Saved>(&text).ok());
        let (since, previous) =
            saved.map_or_else(|| (Timestamp::now(), Vec::new()), |saved| (saved.saved_at, saved.files));
        Self { file, previous, looks: 0, saved: None, since }
    }

    /// Whether the file with this identity and first line, which had been read up to `position`, still holds what
    /// had been read of it; it is then found.
    pub(crate) fn is_still(
        &mut self,
        (identity, key): (Identity, &str),
        (position, length): (u64, u64),
        read_at: &ReadAt<'_>,
    ) -> bool {
        let is_it = |previous: &Previous| previous.identity == identity && previous.key == key;
        let fits = position <= length;
        let Some(place) = self.previous.iter().position(is_it) else { return fits };
        let Some(previous) = self.previous.get_mut(place) else { return fits };
        let holds = fits && previous.is_in(read_at);
        if holds {
            self.previous.remove(place);
        } else {
            previous.read_to = Some(position);
        }
        holds
    }

    /// The file that another one is a copy of, by its first line and by the bytes before the place last read; it
    /// is then found. `key_of` is the key that a file of this first line has.
    pub(crate) fn copied(
        &mut self,
        key_of: &dyn Fn(Identity) -> String,
        read_at: &ReadAt<'_>,
    ) -> Option<Previous> {
        let is_copy = |previous: &Previous| {
            previous.offset > 0 && previous.key == key_of(previous.identity) && previous.is_in(read_at)
        };
        let place = self.previous.iter().position(is_copy)?;
        Some(self.previous.remove(place))
    }

    /// Called after each look: files that were followed before and have not been found again, once. `position`
    /// says how far the file with a key has been read.
    pub(crate) fn lost(&mut self, position: impl Fn(&str) -> Option<u64>) -> Vec<Event> {
        self.looks += 1;
        if self.looks != LOOKS {
            return Vec::new();
        }
        // What is reported is to be forgotten at once.
        self.saved = None;
        let since = self.since;
        let lost = std::mem::take(&mut self.previous);
        lost.iter()
            .map(|previous| lost_event(previous, previous.read_to.or_else(|| position(&previous.key)), since))
            .collect()
    }

    /// Whether it is time to [`save`](Self::save).
    pub(crate) fn is_due(&self) -> bool {
        self.saved.as_ref().is_none_or(|(_, when)| when.elapsed() >= SAVE_EVERY)
    }

    /// Writes which files are followed now, if that has changed.
    pub(crate) fn save(&mut self, mut files: Vec<Previous>) {
        files.sort_by_key(|file| file.identity);
        // Until they are found or reported, those of before are not forgotten.
        files.extend(self.previous.iter().cloned());
        if let Some((saved, when)) = &mut self.saved
            && *saved == files
        {
            *when = Instant::now();
            return;
        }
        let saved = (files.clone(), Instant::now());
        let whole = Saved { saved_at: Timestamp::now(), files };
        let written = casemate_disk::write_atomic(&self.file, |file| {
            serde_json::to_writer(&mut *file, &whole).map_err(std::io::Error::from)
        });
        match written {
            Ok(()) => self.saved = Some(saved),
            Err(error) => tracing::warn!(%error, "which files are followed is not saved; trying again"),
        }
    }
}

impl Previous {
    /// Whether a file holds what had been read of this one last.
    fn is_in(&self, read_at: &ReadAt<'_>) -> bool {
        let start = self.offset.checked_sub(self.recent_bytes as u64);
        let recent = start.and_then(|start| read_at(start, self.recent_bytes));
        recent.is_some_and(|recent| hash(&recent) == self.recent)
    }
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lost_event(previous: &Previous, position: Option<u64>, since: Timestamp) -> Event {
    let source = previous.path.display().to_string();
    let offset = position.unwrap_or(previous.offset);
    let lasted = Timestamp::now().duration_since(since).max(SignedDuration::ZERO);
    let message = format!(
        "Lines of a followed file may be lost: {source} was truncated, replaced or removed while casemate was not \
         running; it had been read up to byte {offset}; if there is a copy, take it in with `casemate ingest`"
    );
    let mut event = telemetry_event("truncation", &source, since, lasted, message);
    event.native.set("casemate.offset", offset.to_string());
    event
}
