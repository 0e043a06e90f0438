//! What is remembered of sources over a restart?
//!
//! Counters, rhythm and silence of each source, in one file of the data directory that is replaced as a whole
//! every few seconds and at the end. After a crash the counters are that much behind; records never are. A
//! damaged or foreign file is left aside and counting starts anew.

use crate::sources::SourceCounts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    /// When it was written: until then this program was receiving.
    pub saved_at: Timestamp,
    /// By name.
    pub sources: BTreeMap<String, SavedSource>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedSource {
    /// What it has sent since it was first seen.
    #[serde(flatten)]
    pub counts: SourceCounts,
    /// Its longest usual gap.
    pub usual_seconds: f64,
    /// From the first record to the last.
    pub known_seconds: f64,
}

impl Saved {
    pub(crate) fn new(sources: BTreeMap<String, SavedSource>) -> Self {
        Self { version: VERSION, saved_at: Timestamp::now(), sources }
    }

    /// What was saved in `data_dir`; `None` if nothing was, or it cannot be read, which is logged.
    pub fn read(data_dir: &Path) -> Option<Self> {
        let path = path(data_dir);
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "what was known of sources cannot be read; they are counted anew");
                return None;
            }
        };
        let why = match serde_json::from_slice::<Self>(&text) {
            Ok(saved) if saved.version != VERSION => format!("it has version {}", saved.version),
            Ok(saved) if saved.sources.values().all(SavedSource::is_sane) => return Some(saved),
            Ok(_) => "its counts contradict themselves".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %path.display(), why, "damaged or of another version; sources are counted anew");
        None
    }

    pub(crate) fn write(&self, data_dir: &Path) -> casemate_disk::Result<()> {
        casemate_disk::write_atomic(&path(data_dir), |file| {
            serde_json::to_writer(&mut *file, self).map_err(std::io::Error::from)
        })
    }
}

impl SavedSource {
    fn is_sane(&self) -> bool {
        let is_sane = |seconds: f64| (0.0..1e10).contains(&seconds);
        is_sane(self.usual_seconds) && is_sane(self.known_seconds)
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("sources.json")
}
