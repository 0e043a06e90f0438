//! How are the rows of a term written? As gaps, as runs or as bits, whichever is shortest.

use crate::varint::{self, Reader};
use roaring::RoaringBitmap;
use std::ops::Range;

const GAPS: u8 = 0;
const RUNS: u8 = 1;
const BITS: u8 = 2;

/// Appends `rows`, which ascend and lie below `all`.
pub(crate) fn encode(rows: &[u32], all: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(RUNS);
    let mut next = 0;
    let mut at = 0;
    while at < rows.len() {
        let run = rows[at..].iter().zip(rows[at]..).take_while(|(row, expected)| *row == expected).count();
        varint::put(out, u64::from(rows[at] - next));
        varint::put(out, run as u64 - 1);
        next = rows[at] + run as u32;
        at += run;
    }
    let bits = (all as usize).div_ceil(8);
    if out.len() - start > rows.len() {
        // Runs are short: perhaps gaps alone are shorter.
        let mut gaps = Vec::with_capacity(rows.len() + 8);
        gaps.push(GAPS);
        let mut next = 0;
        for row in rows {
            varint::put(&mut gaps, u64::from(row - next));
            next = row + 1;
        }
        if gaps.len() < out.len() - start {
            out.truncate(start);
            out.extend(gaps);
        }
    }
    if bits + 1 < out.len() - start {
        out.truncate(start);
        out.push(BITS);
        let first = out.len();
        out.resize(first + bits, 0);
        for row in rows {
            out[first + *row as usize / 8] |= 1 << (row % 8);
        }
    }
}

/// Reads `count` rows back; `None` if they do not lie below `all`, or are not so many.
pub(crate) fn decode(bytes: &[u8], all: u32, count: u32) -> Option<RoaringBitmap> {
    // Many rows are put together as bits, which bitmaps are made of then; few as numbers.
    if count > all / 64 {
        let mut bits = Bits::new(all);
        bits.add(bytes)?;
        let rows = bits.into_rows();
        return (rows.len() == u64::from(count)).then_some(rows);
    }
    let mut rows: Vec<u32> = Vec::with_capacity(count as usize);
    let take = |first: u32, end: u32| {
        let fits = rows.len() + (end - first) as usize <= count as usize;
        if fits {
            rows.extend(first..end);
        }
        fits.then_some(())
    };
    each_run(bytes, all, take)?;
    (rows.len() == count as usize).then_some(())?;
    RoaringBitmap::from_sorted_iter(rows).ok()
}

/// Rows as bits, to put those of many terms together.
pub(crate) struct Bits {
    all: u32,
    bytes: Vec<u8>,
}

/// How many bits are set in both, as far as both go.
fn ones_of_both(a: &[u8], b: &[u8]) -> u64 {
    let both = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..both].as_chunks::<8>(), b[..both].as_chunks::<8>());
    let words = a.iter().zip(b).map(|(a, b)| u64::from_le_bytes(*a) & u64::from_le_bytes(*b));
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| u64::from(a & b));
    words.chain(rest).map(|word| u64::from(word.count_ones())).sum()
}

impl Bits {
    /// None of `all` rows.
    pub(crate) fn new(all: u32) -> Self {
        Self { all, bytes: vec![0; (all as usize).div_ceil(8)] }
    }

    /// These rows, of which there are `all` at most.
    pub(crate) fn of_rows(rows: &RoaringBitmap, all: u32) -> Self {
        let mut bits = Self::new(all);
        rows.iter().filter(|row| *row < all).for_each(|row| bits.bytes[row as usize / 8] |= 1 << (row % 8));
        bits
    }

    /// Whether each row is in it.
    pub(crate) fn is_full(&self) -> bool {
        self.len() == u64::from(self.all)
    }

    /// How many rows are in it.
    pub(crate) fn len(&self) -> u64 {
        let (words, rest) = self.bytes.as_chunks::<8>();
        let ones = words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones()));
        ones.chain(rest.iter().map(|byte| u64::from(byte.count_ones()))).sum()
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.bytes.get(row as usize / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    /// How many of the rows that `bytes` are (below `all`) are in it; `None` stands for damage.
    pub(crate) fn count(&self, bytes: &[u8], all: u32) -> Option<u64> {
        if let [BITS, rest @ ..] = bytes {
            return Some(ones_of_both(&self.bytes, rest));
        }
        let mut count = 0;
        each_run(bytes, all, |first, end| {
            count += if end - first > 16 {
                self.count_between(first, end)
            } else {
                (first..end).filter(|row| self.contains(*row)).count() as u64
            };
            Some(())
        })?;
        Some(count)
    }

    fn count_between(&self, first: u32, end: u32) -> u64 {
        let (inner, outer) = (first.next_multiple_of(8), end / 8 * 8);
        let whole = self.bytes.get(inner as usize / 8..outer as usize / 8).unwrap_or_default();
        let ones = ones_of_both(whole, whole);
        let ends = (first..inner).chain(outer..end);
        ones + ends.filter(|row| self.contains(*row)).count() as u64
    }

    /// Adds rows, which lie below the number of all.
    pub(crate) fn add_rows(&mut self, rows: Range<u32>) {
        if rows.start < rows.end && rows.end <= self.all {
            set(&mut self.bytes, rows.start as usize, rows.end as usize);
        }
    }

    /// Adds the rows that `bytes` are; `None` if they do not lie below the number of all.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Option<()> {
        let (all, bits) = (self.all, &mut self.bytes);
        if let [BITS, rest @ ..] = bytes {
            let beyond = rest.len() > bits.len()
                || rest.len() == bits.len()
                    && all % 8 != 0
                    && rest.last().is_some_and(|last| last >> (all % 8) != 0);
            if beyond {
                return None;
            }
            bits.iter_mut().zip(rest).for_each(|(byte, more)| *byte |= more);
            return Some(());
        }
        each_run(bytes, all, |first, end| {
            if end - first == 1 {
                bits[first as usize / 8] |= 1 << (first % 8);
            } else {
                set(bits, first as usize, end as usize);
            }
            Some(())
        })
    }

    /// Adds one row.
    pub(crate) fn add_row(&mut self, row: u32) -> Option<()> {
        (row < self.all).then(|| set(&mut self.bytes, row as usize, row as usize + 1))
    }

    pub(crate) fn into_rows(self) -> RoaringBitmap {
        RoaringBitmap::from_lsb0_bytes(0, &self.bytes)
    }
}

/// Sets the bits from `first` to before `end`.
fn set(bits: &mut [u8], first: usize, end: usize) {
    let (head, tail) = (first / 8, end / 8);
    let (from, to) = (0xff_u8 << (first % 8), !(0xff_u8 << (end % 8)));
    if head == tail {
        bits[head] |= from & to;
        return;
    }
    bits[head] |= from;
    bits[head + 1..tail].fill(0xff);
    if to != 0 {
        bits[tail] |= to;
    }
}

/// Hands over the rows that `bytes` are as runs, ascending, until told to stop, which counts as damage.
fn each_run(bytes: &[u8], all: u32, mut take: impl FnMut(u32, u32) -> Option<()>) -> Option<()> {
    let (tag, rest) = bytes.split_first()?;
    let mut reader = Reader(rest);
    let mut next = 0_u64;
    match *tag {
        GAPS => {
            while !reader.0.is_empty() {
                let row = next.checked_add(reader.number()?).filter(|row| *row < all.into())?;
                next = row + 1;
                take(row as u32, next as u32)?;
            }
        }
        RUNS => {
            while !reader.0.is_empty() {
                let start = next.checked_add(reader.number()?)?;
                next =
                    start.checked_add(reader.number()?)?.checked_add(1).filter(|end| *end <= all.into())?;
                take(start as u32, next as u32)?;
            }
        }
        BITS => {
            for (place, byte) in rest.iter().enumerate() {
                let mut byte = *byte;
                while byte != 0 {
                    let row = u32::try_from(place * 8).ok()? + byte.trailing_zeros();
                    if row >= all {
                        return None;
                    }
                    take(row, row + 1)?;
                    byte &= byte - 1;
                }
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back(rows in prop::collection::btree_set(0_u32..3000, 0..2000), dense in any::<bool>()) {
            let rows: Vec<u32> = if dense { rows.iter().map(|row| row / 3).collect::<std::collections::BTreeSet<_>>().into_iter().collect() } else { rows.into_iter().collect() };
            let mut out = vec![7];
            encode(&rows, 3000, &mut out);
            let decoded = decode(&out[1..], 3000, rows.len() as u32).unwrap();
            let mut bits = Bits::new(3000);
            bits.add(&out[1..]).unwrap();
            let some: RoaringBitmap = (0..3000).filter(|row| row % 3 != 1 && row / 100 != 7).collect();
            let some = Bits::of_rows(&some, 3000);
            let expected = rows.iter().filter(|row| some.contains(**row)).count() as u64;
            prop_assert_eq!(some.count(&out[1..], 3000), Some(expected));
            prop_assert_eq!(bits.len(), rows.len() as u64);
            prop_assert_eq!(&bits.into_rows(), &decoded);
            prop_assert!(decode(&out[1..], 3000, rows.len() as u32 + 1).is_none());
            prop_assert_eq!(decoded.iter().collect::<Vec<_>>(), rows.clone());
            prop_assert!(out.len() <= 2 + 375);
            if let Some(last) = rows.last() {
                prop_assert!(decode(&out[1..], *last, rows.len() as u32).is_none());
            }
        }

        #[test]
        fn any_bytes_are_rows_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..140), count in 0_u32..1200) {
            if let Some(rows) = decode(&bytes, 1000, count) {
                prop_assert!(rows.max().is_none_or(|row| row < 1000) && rows.len() == u64::from(count));
            }
            let mut bits = Bits::new(1000);
            if bits.add(&bytes).is_some() {
                prop_assert!(bits.into_rows().max().is_none_or(|row| row < 1000));
            }
        }
    }
}
