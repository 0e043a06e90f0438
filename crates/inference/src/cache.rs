//! Where do the keys and values of tokens already read lie?
//!
//! One buffer per layer, allocated once for a fixed number of slots. Memory becomes resident as slots are
//! written. Which slot a token may see is the caller's business.

use crate::error::{Error, Result};

/// Keys are stored in groups of sixteen slots, dimension by dimension, so that one vector load brings the
/// same dimension of neighbouring keys.
pub(crate) const GROUP: usize = 16;

/// Slots are visited in blocks of this many.
pub(crate) const BLOCK_SLOTS: usize = 64;

/// Bytes of keys and values beyond which a session is refused rather than left to the out-of-memory killer.
const MAX_BYTES: usize = 64 << 30;

pub(crate) struct LayerCache {
    /// `[kv_head][slot / 16][head_dim][slot % 16]`
    keys: Vec<f32>,
    /// `[kv_head][slot][head_dim]`
    values: Vec<f32>,
    slots: usize,
    head_dim: usize,
}

pub(crate) struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    slots: usize,
}

impl KvCache {
    pub(crate) fn new(layers: usize, kv_heads: usize, head_dim: usize, slots: usize) -> Result<Self> {
        let slots = slots.next_multiple_of(BLOCK_SLOTS);
        let slot_bytes = layers * kv_heads * head_dim * 2 * size_of::<f32>();
        let limit = MAX_BYTES / slot_bytes.max(1);
        if slots > limit {
            return Err(Error::ContextLength { needed: slots, limit });
        }
        let size = kv_heads * slots * head_dim;
        let layer = || LayerCache { keys: vec![0.0; size], values: vec![0.0; size], slots, head_dim };
        Ok(Self { layers: (0..layers).map(|_| layer()).collect(), slots })
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }
}

impl LayerCache {
    pub(crate) fn write(&mut self, kv_head: usize, slot: usize, key: &[f32], value: &[f32]) {
        let at = self.head_at(kv_head) + slot / GROUP * GROUP * self.head_dim + slot % GROUP;
        for (target, x) in self.keys[at..].iter_mut().step_by(GROUP).zip(key) {
            *target = *x;
        }
        let at = self.head_at(kv_head) + slot * self.head_dim;
        self.values[at..at + self.head_dim].copy_from_slice(value);
    }

    /// Keys and values of one head.
    pub(crate) fn head(&self, kv_head: usize) -> (&[f32], &[f32]) {
        let range = self.head_at(kv_head)..self.head_at(kv_head + 1);
        (&self.keys[range.clone()], &self.values[range])
    }

    fn head_at(&self, kv_head: usize) -> usize {
        kv_head * self.slots * self.head_dim
    }
}
