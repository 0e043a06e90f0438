//! Which files make up the store? One small file, replaced as a whole.

use crate::Result;
use casemate_disk::{open_checked, write_checked};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"CMMANIF\0";
const VERSION: u32 = 1;
const NAME: &str = "MANIFEST";

/// The segments in order of their events, and the logs behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) segments: Vec<SegmentEntry>,
    /// Number of the first log that no segment holds.
    pub(crate) first_log: u64,
    /// How far the newest log was acknowledged when this was written: its number and its mark.
    pub(crate) mark: Option<(u64, String)>,
}

/// What is known of a segment without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) number: u64,
    pub(crate) first_id: u64,
    pub(crate) events: u32,
    /// Number of the first quarantined record, and how many there are.
    pub(crate) first_quarantined: u64,
    pub(crate) quarantined: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// When it was written, in seconds since 1970: ages count from here, not from what logs claim.
    pub(crate) sealed_at: i64,
}

impl SegmentEntry {
    /// Number behind the last event.
    pub(crate) fn end_id(&self) -> u64 {
        self.first_id + u64::from(self.events)
    }
}

impl Manifest {
    /// Reads the manifest in `dir`; `None` if there is none or it is damaged, which is logged.
    ///
    /// # Errors
    /// A manifest of another version, or the system's refusal.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        if !path.exists() {
            return Ok(None);
        }
        let decoded = match open_checked(&path, MAGIC, VERSION) {
            Ok(bytes) => postcard::from_bytes(&bytes).map_err(|error| error.to_string()),
            Err(error @ (casemate_disk::Error::Damaged { .. } | casemate_disk::Error::Foreign { .. })) => {
                Err(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        Ok(decoded
            .inspect_err(|why| tracing::warn!(path = %path.display(), why, "the list of segments is damaged; it is made anew from what is there"))
            .ok())
    }

    /// Puts this in place of the manifest in `dir`, durably.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let bytes = postcard::to_stdvec(self)
            .map_err(|error| crate::Error::Encode { what: "manifest", reason: error.to_string() })?;
        Ok(write_checked(&dir.join(NAME), MAGIC, VERSION, |out| out.write_all(&bytes))?)
    }
}

/// File of a segment.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.segment"))
}

/// File of a log.
pub(crate) fn log_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// Numbers of the files in `dir` with this ending, ascending.
pub(crate) fn numbers(dir: &Path, ending: &str) -> Result<Vec<u64>> {
    let failed = |source| crate::Error::Directory { path: dir.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in fs_err::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
