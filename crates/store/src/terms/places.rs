//! Which template is each row folded to? A column of places, one per row.

use roaring::RoaringBitmap;

/// Rows that are looked at together: what is noted of them stays in the nearest cache. A multiple of 8.
const BLOCK: usize = 4096;

/// The place of each row, as held in memory or as written: four bytes each, least first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PlaceColumn<'a> {
    Plain(&'a [u32]),
    Written(&'a [u8]),
}

impl PlaceColumn<'_> {
    /// Place of one row.
    pub(crate) fn get(&self, row: u32) -> Option<u32> {
        match self {
            Self::Plain(column) => column.get(row as usize).copied(),
            Self::Written(bytes) => {
                let (column, _) = bytes.as_chunks::<4>();
                column.get(row as usize).map(|place| u32::from_le_bytes(*place))
            }
        }
    }

    /// For each of some sets of places, the rows at any of them. The column is read once for every eight sets.
    pub(crate) fn rows_at(&self, sets: &[RoaringBitmap]) -> Vec<RoaringBitmap> {
        let of_eight = |sets: &[RoaringBitmap]| match self {
            Self::Plain(column) => rows(column, |place| *place, sets),
            Self::Written(bytes) => {
                let (column, _) = bytes.as_chunks::<4>();
                rows(column, |place| u32::from_le_bytes(*place), sets)
            }
        };
        sets.chunks(8).flat_map(of_eight).collect()
    }
}

/// Rows of at most eight sets of places.
fn rows<T>(column: &[T], place: impl Fn(&T) -> u32, sets: &[RoaringBitmap]) -> Vec<RoaringBitmap> {
    let last = sets.iter().filter_map(RoaringBitmap::max).max();
    // For each place a bit for each set that has it.
    let mut members = vec![0_u8; last.map_or(0, |last| last as usize + 1)];
    for (set, places) in sets.iter().enumerate() {
        for place in places {
            members[place as usize] |= 1 << set;
        }
    }
    let mut bits: Vec<Vec<u8>> = sets.iter().map(|_| Vec::with_capacity(column.len().div_ceil(8))).collect();
    let mut of_rows = [0_u8; BLOCK];
    for rows in column.chunks(BLOCK) {
        of_rows[rows.len()..].fill(0);
        for (member, row) in of_rows.iter_mut().zip(rows) {
            *member = members.get(place(row) as usize).copied().unwrap_or(0);
        }
        let (eights, _) = of_rows[..rows.len().next_multiple_of(8)].as_chunks::<8>();
        for (set, bits) in bits.iter_mut().enumerate() {
            bits.extend(eights.iter().map(|eight| {
                // The lowest bit of each byte; multiplied, they stand side by side in the highest byte.
                let flags = u64::from_le_bytes(*eight) >> set & 0x0101_0101_0101_0101;
                (flags.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
            }));
        }
    }
    bits.iter().map(|bits| RoaringBitmap::from_lsb0_bytes(0, bits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_those_at_the_places(
            column in prop::collection::vec(0_u32..300, 0..5000),
            sets in prop::collection::vec(prop::collection::btree_set(0_u32..310, 0..20), 0..20),
        ) {
            let written: Vec<u8> = column.iter().flat_map(|place| place.to_le_bytes()).collect();
            let sets: Vec<RoaringBitmap> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
            let rows_at = |set: &RoaringBitmap| (0_u32..).zip(&column).filter(|(_, at)| set.contains(**at)).map(|(row, _)| row).collect();
            let expected: Vec<RoaringBitmap> = sets.iter().map(rows_at).collect();
            prop_assert_eq!(&PlaceColumn::Plain(&column).rows_at(&sets), &expected);
            prop_assert_eq!(&PlaceColumn::Written(&written).rows_at(&sets), &expected);
        }
    }

    #[test]
    fn place_of_a_row() {
        let column = [0, 3, 1, 3, 200, 0];
        let written: Vec<u8> = column.iter().flat_map(|place: &u32| place.to_le_bytes()).collect();
        for column in [PlaceColumn::Plain(&column), PlaceColumn::Written(&written)] {
            assert_eq!((column.get(4), column.get(6)), (Some(200), None));
        }
    }
}
