//! How are the rows of a term written? As gaps, as runs or as bits, whichever is shortest.

use crate::varint::{self, Reader};
use roaring::RoaringBitmap;

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

/// Reads rows back; `None` if they do not lie below `all`.
pub(crate) fn decode(bytes: &[u8], all: u32) -> Option<RoaringBitmap> {
    let (tag, rest) = bytes.split_first()?;
    let mut reader = Reader(rest);
    let mut next = 0_u64;
    let mut ascending: Vec<u32> = Vec::new();
    match *tag {
        GAPS => {
            while !reader.0.is_empty() {
                let row = next.checked_add(reader.number()?).filter(|row| *row < all.into())?;
                ascending.push(row as u32);
                next = row + 1;
            }
        }
        RUNS => {
            let mut rows = RoaringBitmap::new();
            while !reader.0.is_empty() {
                let start = next.checked_add(reader.number()?)?;
                next =
                    start.checked_add(reader.number()?)?.checked_add(1).filter(|end| *end <= all.into())?;
                rows.insert_range(start as u32..next as u32);
            }
            return Some(rows);
        }
        BITS => {
            if rest.len() > (all as usize).div_ceil(8) {
                return None;
            }
            let rows = RoaringBitmap::from_lsb0_bytes(0, rest);
            return rows.max().is_none_or(|last| last < all).then_some(rows);
        }
        _ => return None,
    }
    RoaringBitmap::from_sorted_iter(ascending).ok()
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
            let decoded = decode(&out[1..], 3000).unwrap();
            prop_assert_eq!(decoded.iter().collect::<Vec<_>>(), rows.clone());
            prop_assert!(out.len() <= 2 + 375);
            if let Some(last) = rows.last() {
                prop_assert!(decode(&out[1..], *last).is_none());
            }
        }

        #[test]
        fn any_bytes_are_rows_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(rows) = decode(&bytes, 1000) {
                prop_assert!(rows.max().is_none_or(|row| row < 1000));
            }
        }
    }
}
