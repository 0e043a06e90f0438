//! How much memory may the pages of segments take that searches have looked into?
//!
//! They are pages of files: the kernel can take them back whenever it needs to, and has them at hand when they are looked
//! into again. Yet who watches the memory of the process sees it grow with all that was ever stored. So once they take more
//! than a bound, they are let go after the search that looked into them.

use crate::store::Inner;
use casemate_disk::mapped_bytes;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of mapped files beyond those that were there when pages were last let go.
const MOST: u64 = 96 << 20;

/// Mapped bytes when pages were last let go, or before the first search; 0 before that.
#[derive(Debug, Default)]
pub(crate) struct Resident(AtomicU64);

/// A search that is going on.
pub(crate) struct Looking<'a>(&'a Inner);

impl Inner {
    /// To be held while segments are looked into.
    pub(crate) fn looking(&self) -> Looking<'_> {
        let base = &self.resident.0;
        if base.load(Ordering::Relaxed) == 0
            && let Some(mapped) = mapped_bytes()
        {
            base.store(mapped, Ordering::Relaxed);
        }
        Looking(self)
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let Some(mapped) = mapped_bytes() else { return };
        let base = &self.0.resident.0;
        if mapped <= base.load(Ordering::Relaxed) + MOST {
            return;
        }
        for segment in self.0.view().open_segments() {
            segment.release();
        }
        // What is left is not ours to let go: models, the program itself.
        base.store(mapped_bytes().unwrap_or(mapped), Ordering::Relaxed);
    }
}
