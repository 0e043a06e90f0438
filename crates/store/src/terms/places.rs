//! Which template is each row folded to? A column of places, one per row.

use super::Bits;
use roaring::RoaringBitmap;

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

    /// Rows at any of `places`.
    pub(crate) fn rows_at(&self, places: &RoaringBitmap) -> RoaringBitmap {
        let mut wanted = vec![0_u64; places.max().map_or(0, |last| last as usize / 64 + 1)];
        for place in places {
            wanted[place as usize / 64] |= 1 << (place % 64);
        }
        match self {
            Self::Plain(column) => rows(column.iter().copied(), &wanted),
            Self::Written(bytes) => {
                let (column, _) = bytes.as_chunks::<4>();
                rows(column.iter().map(|place| u32::from_le_bytes(*place)), &wanted)
            }
        }
    }
}

fn rows(column: impl ExactSizeIterator<Item = u32>, wanted: &[u64]) -> RoaringBitmap {
    let is_wanted =
        |place: u32| wanted.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1);
    Bits::of(column.map(is_wanted)).into_rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_places() {
        let column = [0, 3, 1, 3, 200, 0];
        let written: Vec<u8> = column.iter().flat_map(|place: &u32| place.to_le_bytes()).collect();
        for column in [PlaceColumn::Plain(&column), PlaceColumn::Written(&written)] {
            assert_eq!((column.get(4), column.get(6)), (Some(200), None));
            let rows = |places: &[u32]| column.rows_at(&places.iter().copied().collect());
            assert_eq!(rows(&[3, 200]).iter().collect::<Vec<_>>(), [1, 3, 4]);
            assert!(rows(&[7]).is_empty() && rows(&[]).is_empty());
        }
    }
}
