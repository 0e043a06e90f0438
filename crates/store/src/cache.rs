//! Which chunks were unpacked lately? Reading neighbouring events unpacks their chunk once.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes kept.
const CAPACITY: usize = 48 << 20;

/// Unpacked chunks by the number of their first event, the least recently used forgotten first.
#[derive(Debug, Default)]
pub(crate) struct ChunkCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    chunks: HashMap<u64, (Arc<[u8]>, u64)>,
    bytes: usize,
    clock: u64,
}

impl ChunkCache {
    /// The chunk that begins with event `first_id`, unpacked by `unpack` if it is not here.
    pub(crate) fn get<E>(
        &self,
        first_id: u64,
        unpack: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<[u8]>, E> {
        {
            let mut entries = self.entries();
            entries.clock += 1;
            let clock = entries.clock;
            if let Some((bytes, used)) = entries.chunks.get_mut(&first_id) {
                *used = clock;
                return Ok(Arc::clone(bytes));
            }
        }
        let bytes = unpack()?;
        let mut entries = self.entries();
        let clock = entries.clock;
        if entries.chunks.insert(first_id, (Arc::clone(&bytes), clock)).is_none() {
            entries.bytes += bytes.len();
        }
        while entries.bytes > CAPACITY && entries.chunks.len() > 1 {
            let Some((&oldest, _)) = entries.chunks.iter().min_by_key(|(_, (_, used))| *used) else { break };
            let removed = entries.chunks.remove(&oldest);
            entries.bytes -= removed.map_or(0, |(bytes, _)| bytes.len());
        }
        Ok(bytes)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
