//! Where do the keys and values of tokens already read lie, and who shares them?
//!
//! In pages of 64 tokens, taken from one pool of a fixed size. A page whose tokens are all known stays
//! after its reader is gone, found by its tokens and all before them, until the pool needs the room: the
//! page longest unused goes first; beyond 256 MiB of such pages it goes before the pool takes more memory. So a prefix is read once whoever asks, and pages begin at the same
//! tokens whoever reads them, which keeps results the same to the bit.
#![allow(unsafe_code)]

use std::collections::HashMap;

use half::f16;
use half::slice::HalfBitsSliceExt;

use crate::error::{Error, Result};
use crate::matmul::Shared;
use crate::pool::Pool;

/// Rows whose keys and values one thread notes before the next.
const ROWS_AT_ONCE: usize = 32;

/// Bytes of pages that nobody holds, kept to be found again.
const KEPT_BYTES: usize = 256 << 20;

/// Tokens of a page.
pub(crate) const PAGE: usize = 64;

/// Keys are stored in groups of sixteen tokens, dimension by dimension, so that one vector load brings the
/// same dimension of neighbouring keys.
pub(crate) const GROUP: usize = 16;

pub(crate) type PageId = u32;

/// The place of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) page: PageId,
    /// Below [`PAGE`].
    pub(crate) slot: usize,
}

/// Sizes of the keys and values of one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Sizes {
    /// Bytes of one page, keys and values of all layers.
    pub(crate) fn page_bytes(&self) -> usize {
        self.layers * self.kv_heads * self.head_dim * PAGE * 2 * size_of::<f16>()
    }

    /// Values of one head of one page of one layer.
    fn head_size(&self) -> usize {
        self.head_dim * PAGE
    }
}

/// The pool's memory, as bits of half-precision floats. Allocated as zeros at once, which costs nothing: a
/// page's bytes become resident when it is first written.
pub(crate) struct Memory {
    sizes: Sizes,
    /// By layer: `[page][kv_head][token / 16][head_dim][token % 16]`
    keys: Vec<Vec<u16>>,
    /// By layer: `[page][kv_head][token][head_dim]`
    values: Vec<Vec<u16>>,
}

impl Memory {
    fn new(sizes: Sizes, pages: usize) -> Self {
        let size = pages * sizes.kv_heads * sizes.head_size();
        let buffers = || (0..sizes.layers).map(|_| vec![0; size]).collect();
        Self { sizes, keys: buffers(), values: buffers() }
    }

    /// Notes the keys and values of rows, `[row][kv_head][head_dim]` each, one slot for each row.
    pub(crate) fn write(
        &mut self,
        pool: &Pool,
        layer: usize,
        slots: impl Fn(usize) -> Slot + Sync,
        keys: &[f32],
        values: &[f32],
    ) {
        let Sizes { kv_heads, head_dim, .. } = self.sizes;
        let head_size = self.sizes.head_size();
        let key_cells = Shared::new(&mut self.keys[layer]);
        let value_cells = Shared::new(&mut self.values[layer]);
        let width = kv_heads * head_dim;
        pool.for_each(keys.len() / width, ROWS_AT_ONCE, |row| {
            let Slot { page, slot } = slots(row);
            for kv_head in 0..kv_heads {
                let from = row * width + kv_head * head_dim..row * width + (kv_head + 1) * head_dim;
                let head = (page as usize * kv_heads + kv_head) * head_size;
                let at = head + slot / GROUP * GROUP * head_dim + slot % GROUP;
                for (i, x) in keys[from.clone()].iter().enumerate() {
                    // SAFETY: rows have slots of their own, hence cells.
                    let cell = unsafe { key_cells.slice(at + i * GROUP..at + i * GROUP + 1) };
                    cell.fill(finite(*x).to_bits());
                }
                let at = head + slot * head_dim;
                // SAFETY: as above.
                let cells = unsafe { value_cells.slice(at..at + head_dim) };
                cells.iter_mut().zip(&values[from]).for_each(|(cell, x)| *cell = finite(*x).to_bits());
            }
        });
    }

    /// Keys and values of one head of a page.
    pub(crate) fn head(&self, layer: usize, page: PageId, kv_head: usize) -> (&[f16], &[f16]) {
        let start = self.head_at(page, kv_head);
        let range = start..start + self.sizes.head_size();
        (self.keys[layer][range.clone()].reinterpret_cast(), self.values[layer][range].reinterpret_cast())
    }

    fn head_at(&self, page: PageId, kv_head: usize) -> usize {
        (page as usize * self.sizes.kv_heads + kv_head) * self.sizes.head_size()
    }

    fn copy(&mut self, from: PageId, to: PageId) {
        let size = self.sizes.kv_heads * self.sizes.head_size();
        for buffer in self.keys.iter_mut().chain(&mut self.values) {
            let start = from as usize * size;
            buffer.copy_within(start..start + size, to as usize * size);
        }
    }
}

/// The nearest finite half-precision float: what lies in a page must never turn a weight of zero, by which
/// others skip it, into what is not a number.
fn finite(x: f32) -> f16 {
    f16::from_f32(x.max(f16::MIN.to_f32()).min(f16::MAX.to_f32()))
}

/// What a page of a known prefix is found by: the page before it, and its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    /// Serial number of the page before; 0 at the beginning.
    parent: u64,
    tokens: Box<[u32]>,
}

#[derive(Clone, Debug, Default)]
struct Page {
    /// Readers that hold it.
    holders: u32,
    /// Distinguishes contents: a page reused gets a new one.
    serial: u64,
    name: Option<Name>,
    last_use: u64,
}

/// The pages of one model.
pub(crate) struct Cache {
    pub(crate) memory: Memory,
    pages: Vec<Page>,
    limit: usize,
    /// Pages that nobody holds from which on one of them is used again rather than a new one.
    kept: usize,
    free: Vec<PageId>,
    known: HashMap<Name, PageId>,
    clock: u64,
    serial: u64,
}

impl Cache {
    /// A pool of at most `bytes`, nothing of it in use.
    pub(crate) fn new(sizes: Sizes, bytes: usize) -> Self {
        let limit = (bytes / sizes.page_bytes().max(1)).clamp(1, PageId::MAX as usize);
        Self {
            memory: Memory::new(sizes, limit),
            pages: Vec::new(),
            limit,
            kept: (KEPT_BYTES / sizes.page_bytes().max(1)).max(1),
            free: Vec::new(),
            known: HashMap::new(),
            clock: 0,
            serial: 0,
        }
    }

    /// Most tokens that fit.
    pub(crate) fn capacity(&self) -> usize {
        self.limit * PAGE
    }

    /// A page nobody else holds; its contents are whatever was there.
    pub(crate) fn take(&mut self) -> Result<PageId> {
        let id = match self.free.pop() {
            Some(id) => id,
            None if self.pages.len() < self.limit && self.unheld() < self.kept => {
                self.pages.push(Page::default());
                (self.pages.len() - 1) as PageId
            }
            None => self.evict()?,
        };
        self.serial += 1;
        let page = &mut self.pages[id as usize];
        *page = Page { holders: 1, serial: self.serial, name: None, last_use: self.clock };
        Ok(id)
    }

    fn unheld(&self) -> usize {
        self.pages.iter().filter(|page| page.holders == 0).count()
    }

    /// Frees the page that nobody holds and that was used longest ago.
    fn evict(&mut self) -> Result<PageId> {
        let unheld = self.pages.iter().zip(0..).filter(|(page, _)| page.holders == 0);
        let Some((_, id)) = unheld.min_by_key(|(page, _)| page.last_use) else {
            return Err(Error::CacheFull { limit: self.capacity() });
        };
        if let Some(name) = self.pages[id as usize].name.take() {
            self.known.remove(&name);
        }
        Ok(id)
    }

    /// The page with these 64 tokens after page `parent`, if it is known; held from now on.
    pub(crate) fn find(&mut self, parent: Option<PageId>, tokens: &[u32]) -> Option<PageId> {
        let name = Name { parent: self.serial_of(parent), tokens: tokens.into() };
        let id = *self.known.get(&name)?;
        self.hold(id);
        Some(id)
    }

    /// Makes a page findable: it holds these 64 tokens, after page `parent`, and will not change.
    pub(crate) fn publish(&mut self, id: PageId, parent: Option<PageId>, tokens: &[u32]) {
        let name = Name { parent: self.serial_of(parent), tokens: tokens.into() };
        if self.pages[id as usize].name.is_none() && !self.known.contains_key(&name) {
            self.known.insert(name.clone(), id);
            self.pages[id as usize].name = Some(name);
        }
    }

    fn serial_of(&self, parent: Option<PageId>) -> u64 {
        parent.map_or(0, |id| self.pages[id as usize].serial)
    }

    pub(crate) fn hold(&mut self, id: PageId) {
        self.clock += 1;
        let page = &mut self.pages[id as usize];
        page.holders += 1;
        page.last_use = self.clock;
    }

    pub(crate) fn release(&mut self, id: PageId) {
        self.clock += 1;
        let page = &mut self.pages[id as usize];
        page.holders = page.holders.saturating_sub(1);
        page.last_use = self.clock;
        if page.holders == 0 && page.name.is_none() {
            self.free.push(id);
        }
    }

    /// Forgets all pages that nobody holds.
    pub(crate) fn forget(&mut self) {
        for (page, id) in self.pages.iter_mut().zip(0..).filter(|(page, _)| page.holders == 0) {
            if let Some(name) = page.name.take() {
                self.known.remove(&name);
                self.free.push(id);
            }
        }
    }

    /// A page with the same contents that only the caller holds: the page itself, or a copy in its stead.
    pub(crate) fn own(&mut self, id: PageId) -> Result<PageId> {
        let page = &self.pages[id as usize];
        if page.holders == 1 && page.name.is_none() {
            return Ok(id);
        }
        let copy = self.take()?;
        self.memory.copy(id, copy);
        self.release(id);
        Ok(copy)
    }

    #[cfg(test)]
    fn in_use(&self) -> usize {
        self.pages.iter().filter(|page| page.holders > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { layers: 2, kv_heads: 1, head_dim: 16 };

    fn tokens(first: u32) -> Vec<u32> {
        (first..first + PAGE as u32).collect()
    }

    #[test]
    fn pages_are_found_by_their_whole_past() {
        let mut cache = Cache::new(SIZES, 10 * SIZES.page_bytes());
        let (a, b, c) = (cache.take().unwrap(), cache.take().unwrap(), cache.take().unwrap());
        cache.publish(a, None, &tokens(0));
        cache.publish(b, Some(a), &tokens(100));
        assert_eq!(cache.find(None, &tokens(0)), Some(a));
        assert_eq!(cache.find(Some(a), &tokens(100)), Some(b));
        assert_eq!(cache.find(None, &tokens(100)), None);
        assert_eq!(cache.find(Some(c), &tokens(100)), None);
        assert_eq!(cache.in_use(), 3);
    }

    #[test]
    fn the_longest_unused_goes_and_what_is_held_stays() {
        let mut cache = Cache::new(SIZES, 3 * SIZES.page_bytes());
        assert_eq!(cache.capacity(), 192);
        let ids = [0, 1, 2].map(|_| cache.take().unwrap());
        for (id, first) in ids.into_iter().zip([0, 100, 200]) {
            cache.publish(id, None, &tokens(first));
        }
        assert!(matches!(cache.take(), Err(Error::CacheFull { limit: 192 })));
        ids.into_iter().for_each(|id| cache.release(id));
        assert_eq!(cache.find(None, &tokens(0)), Some(ids[0]));
        // The first is held, the second unused for longest.
        assert_eq!(cache.take().unwrap(), ids[1]);
        assert_eq!(cache.find(None, &tokens(100)), None);
        assert_eq!(cache.find(None, &tokens(200)), Some(ids[2]));
    }

    #[test]
    fn a_shared_page_is_copied_before_it_changes() {
        let mut cache = Cache::new(SIZES, 10 * SIZES.page_bytes());
        let id = cache.take().unwrap();
        let pool = Pool::new(1);
        cache.memory.write(&pool, 1, |_| Slot { page: id, slot: 63 }, &[2.0; 16], &[3.0; 16]);
        assert_eq!(cache.own(id).unwrap(), id);
        cache.hold(id);
        let copy = cache.own(id).unwrap();
        assert_ne!(copy, id);
        assert_eq!(cache.memory.head(1, copy, 0), cache.memory.head(1, id, 0));
        assert_eq!(cache.memory.head(1, copy, 0).1[63 * 16].to_f32(), 3.0);
    }

    #[test]
    fn what_is_kept_for_later_is_bounded_and_what_is_held_is_not() {
        let mut cache = Cache::new(SIZES, 20 * SIZES.page_bytes());
        cache.kept = 4;
        for number in 0..10 {
            let page = cache.take().unwrap();
            cache.publish(page, None, &tokens(1000 * number));
            cache.release(page);
        }
        assert_eq!(cache.pages.len(), 4, "the fifth took the place of the first");
        assert!(cache.find(None, &tokens(9000)).is_some() && cache.find(None, &tokens(0)).is_none());
        let held: Vec<_> = (0..18).map(|_| cache.take().unwrap()).collect();
        assert_eq!((held.len(), cache.in_use()), (18, 19));
    }
}
