//! How much is kept where? Set once, when a store is opened.

use crate::Retention;

/// Limits of a store. They bound memory and the time to open, and, only if asked to, what is kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events in the log before it is written as a segment.
    pub segment_events: u64,
    /// Bytes of the log before it is written as a segment.
    pub segment_bytes: u64,
    /// Events in the log from which on it is written as a segment when the store is closed; fewer are
    /// replayed when it is opened.
    pub seal_on_close: u64,
    /// Bytes of events held uncompressed before they are compressed.
    pub plain_bytes: usize,
    /// What is kept at most. Looked after when a segment is written, when the store is opened, and now and then.
    pub retention: Retention,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_events: 250_000,
            segment_bytes: 256 << 20,
            seal_on_close: 10_000,
            plain_bytes: 4 << 20,
            retention: Retention::default(),
        }
    }
}
