//! How do bytes get on disk safely?
//!
//! Atomic replacement of whole files, files with a checksummed and versioned header, sealed files whose pages are checked when touched, an append-only log of
//! checksummed frames, read-only memory maps (the one home of `mmap` in Casemate) and a lock on a directory.
//! Knows nothing of events, indexes or models: payloads are bytes.

mod atomic;
mod checked;
mod error;
mod hash;
mod lock;
mod log;
mod map;
mod pages;
mod room;
mod sealed;

pub use atomic::{create_private_dir, open_private, write_atomic, write_private};
pub use checked::{Checked, open_checked, write_checked};
pub use error::{Error, Result};
pub use hash::sha256_file;
pub use lock::DirLock;
pub use log::{Frame, FrameOffset, Frames, Log, LogFollower, MAX_FRAME, Mark, PendingSync, Recovery, Torn};
pub use map::{Map, mapped_bytes};
pub use pages::{few_arenas, give_memory_back, prefer_huge_pages};
pub use room::{Room, room};
pub use sealed::{Sealed, write_sealed};
