//! How are sorted keys kept so that one is found fast and they take little room?
//!
//! Blocks of [`BLOCK`] keys, each key without what it shares with the one before. A block starts with where
//! its postings start (LEB128). An entry is: bytes shared, bytes of its own, those, number of rows; then the
//! row itself if it is one, else the length of its posting. Behind the blocks stands where each starts (4
//! bytes each), and how many they are (4 bytes).

use super::posting;
use crate::varint::{self, Reader};
use std::ops::Range;

const BLOCK: usize = 32;
/// Longest key; longer means damage. Names of sources are keys whole.
const MAX_KEY: usize = 1 << 24;

/// Writes a dictionary and its postings.
pub(crate) struct Writer {
    rows: u32,
    dictionary: Vec<u8>,
    postings: Vec<u8>,
    starts: Vec<u32>,
    last: Vec<u8>,
    entries: usize,
}

/// The rows of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Row(u32),
    /// Number of rows, and where they are in the postings.
    Posting(u32, Range<usize>),
}

impl Place {
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Row(_) => 1,
            Self::Posting(count, _) => *count,
        }
    }
}

impl Writer {
    pub(crate) fn new(rows: u32) -> Self {
        Self {
            rows,
            dictionary: Vec::new(),
            postings: Vec::new(),
            starts: Vec::new(),
            last: Vec::new(),
            entries: 0,
        }
    }

    /// Adds a key, larger than the last, with its rows, ascending and not none. Rows of templates are places.
    pub(crate) fn add(&mut self, key: &[u8], rows: &[u32]) {
        if self.entries.is_multiple_of(BLOCK) {
            self.starts.push(self.dictionary.len() as u32);
            varint::put(&mut self.dictionary, self.postings.len() as u64);
            self.last.clear();
        }
        self.entries += 1;
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        varint::put(&mut self.dictionary, shared as u64);
        varint::put_bytes(&mut self.dictionary, &key[shared..]);
        varint::put(&mut self.dictionary, rows.len() as u64);
        if let [row] = rows {
            varint::put(&mut self.dictionary, (*row).into());
        } else {
            let start = self.postings.len();
            posting::encode(rows, self.rows, &mut self.postings);
            varint::put(&mut self.dictionary, (self.postings.len() - start) as u64);
        }
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    /// Dictionary and postings.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        for start in &self.starts {
            self.dictionary.extend(start.to_le_bytes());
        }
        self.dictionary.extend((self.starts.len() as u32).to_le_bytes());
        (self.dictionary, self.postings)
    }
}

/// A dictionary as written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dictionary<'a> {
    blocks: &'a [u8],
    starts: &'a [u8],
}

impl<'a> Dictionary<'a> {
    /// `None` if the bytes are no dictionary.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Self> {
        let (rest, count) = bytes.split_last_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (blocks, starts) = rest.split_at_checked(rest.len().checked_sub(count.checked_mul(4)?)?)?;
        Some(Self { blocks, starts })
    }

    /// Where the rows of `key` are. The outer `None` stands for damage.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Option<Place>> {
        let mut found = None;
        self.each_from(key, &mut |at, place| {
            if at == key {
                found = Some(place);
            }
            false
        })?;
        Some(found)
    }

    /// Hands over the entries whose keys are not below `from`, in order, while told to go on. `None` stands for
    /// damage.
    pub(crate) fn each_from(&self, from: &[u8], next: &mut dyn FnMut(&[u8], Place) -> bool) -> Option<()> {
        let count = self.starts.len() / 4;
        // The last block whose first key is not above `from`.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if self.first_key(middle)? <= from { low = middle + 1 } else { high = middle }
        }
        let mut key = Vec::new();
        for block in low.saturating_sub(1)..count {
            let mut reader = Reader(self.block(block)?);
            let mut posting = reader.index()?;
            key.clear();
            while !reader.0.is_empty() {
                let shared = reader.index().filter(|shared| *shared <= key.len())?;
                key.truncate(shared);
                key.extend_from_slice(reader.bytes()?);
                if key.len() > MAX_KEY {
                    return None;
                }
                let rows = u32::try_from(reader.number()?).ok()?;
                let number = reader.index()?;
                let place = if rows == 1 {
                    Place::Row(u32::try_from(number).ok()?)
                } else {
                    let start = posting;
                    posting = start.checked_add(number)?;
                    Place::Posting(rows, start..posting)
                };
                if key.as_slice() >= from && !next(&key, place) {
                    return Some(());
                }
            }
        }
        Some(())
    }

    fn first_key(&self, block: usize) -> Option<&'a [u8]> {
        let mut reader = Reader(self.block(block)?);
        reader.number()?;
        reader.number().filter(|shared| *shared == 0)?;
        reader.bytes()
    }

    fn block(&self, block: usize) -> Option<&'a [u8]> {
        let start = |block: usize| {
            let bytes = self.starts.get(block * 4..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let end = start(block + 1).unwrap_or(self.blocks.len());
        self.blocks.get(start(block)?..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Terms = BTreeMap<Vec<u8>, Vec<u32>>;

    fn written(terms: &Terms) -> (Vec<u8>, Vec<u8>) {
        let mut writer = Writer::new(100);
        terms.iter().for_each(|(key, rows)| writer.add(key, rows));
        writer.finish()
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let rows = prop::collection::btree_set(0_u32..100, 1..20).prop_map(|rows| rows.into_iter().collect());
        prop::collection::btree_map(prop::collection::vec(0_u8..4, 0..6), rows, 0..200)
    }

    proptest! {
        #[test]
        fn keys_are_found(terms in terms(), other in prop::collection::vec(0_u8..4, 0..6)) {
            let (dictionary, postings) = written(&terms);
            let opened = Dictionary::open(&dictionary).unwrap();
            let rows = |place: Place| match place {
                Place::Row(row) => vec![row],
                Place::Posting(count, range) => {
                    let rows: Vec<u32> = posting::decode(&postings[range], 100, count).unwrap().iter().collect();
                    assert_eq!(rows.len(), count as usize);
                    rows
                }
            };
            for (key, expected) in &terms {
                let found = opened.find(key).unwrap().map(rows);
                prop_assert_eq!(found.as_ref(), Some(expected));
            }
            prop_assert_eq!(opened.find(&other).unwrap().is_some(), terms.contains_key(&other));
            let mut from = Vec::new();
            opened.each_from(&other, &mut |key, place| { from.push((key.to_vec(), rows(place))); true }).unwrap();
            let expected: Vec<_> = terms.range(other..).map(|(key, rows)| (key.clone(), rows.clone())).collect();
            prop_assert_eq!(from, expected);
        }

        #[test]
        fn damage_is_refused_or_harmless(terms in terms(), place in any::<prop::sample::Index>(), bit in 0..8) {
            let (mut dictionary, _) = written(&terms);
            let at = place.index(dictionary.len());
            dictionary[at] ^= 1_u8 << bit;
            if let Some(opened) = Dictionary::open(&dictionary) {
                let mut left = 10_000;
                opened.each_from(b"", &mut |_, _| { left -= 1; left > 0 });
                opened.find(b"\x01\x02");
            }
        }
    }
}
