//! When was each row of a part? A column of times, and what each zone of it spans, so that most rows need not be looked at.
//!
//! Events mostly come in order of time: a zone then lies within one interval of a histogram, within or outside of what is asked
//! for, and only zones at the ends hold the first and the last.

use crate::terms::Bits;
use roaring::RoaringBitmap;
use std::borrow::Cow;
use std::ops::Range;

/// Rows of a zone. A multiple of 64.
const ZONE: usize = 1024;
/// Rows of a zone below which looking at each is sooner done than looking at zones.
const FEW: u64 = 8;

/// Earliest and latest of some times, in nanoseconds since 1970.
pub(crate) type Span = (i64, i64);

/// Spans nothing.
const NOTHING: Span = (i64::MAX, i64::MIN);

/// Time of each row of a part, in nanoseconds since 1970.
#[derive(Debug)]
pub(crate) struct Times<'a> {
    column: Column<'a>,
    zones: Cow<'a, [Span]>,
}

#[derive(Debug)]
enum Column<'a> {
    /// Least byte first.
    Written(&'a [[u8; 8]]),
    Copied(Vec<i64>),
}

/// What each zone of a written column spans.
pub(crate) fn zones_of(written: &[[u8; 8]]) -> Vec<Span> {
    zones(written, |time| i64::from_le_bytes(*time))
}

fn zones<T>(column: &[T], time: impl Fn(&T) -> i64) -> Vec<Span> {
    let span = |zone: &[T]| zone.iter().map(&time).fold(NOTHING, widened);
    column.chunks(ZONE).map(span).collect()
}

fn widened((first, last): Span, time: i64) -> Span {
    (first.min(time), last.max(time))
}

impl<'a> Times<'a> {
    /// Of a written column; `zones` are [`zones_of`] it.
    pub(crate) fn written(column: &'a [[u8; 8]], zones: &'a [Span]) -> Self {
        Self { column: Column::Written(column), zones: Cow::Borrowed(zones) }
    }

    pub(crate) fn copied(column: Vec<i64>) -> Self {
        let zones = zones(&column, |time| *time);
        Self { column: Column::Copied(column), zones: Cow::Owned(zones) }
    }

    /// Time of one row.
    pub(crate) fn get(&self, row: u32) -> i64 {
        match &self.column {
            Column::Written(times) => times.get(row as usize).map_or(0, |time| i64::from_le_bytes(*time)),
            Column::Copied(times) => times.get(row as usize).copied().unwrap_or_default(),
        }
    }

    /// Rows of each zone, and what they span.
    pub(crate) fn zones(&self) -> impl DoubleEndedIterator<Item = (Range<u32>, Span)> {
        let rows = |zone: usize| (zone * ZONE) as u32..((zone + 1) * ZONE).min(self.len()) as u32;
        self.zones.iter().enumerate().map(move |(zone, span)| (rows(zone), *span))
    }

    fn len(&self) -> usize {
        match &self.column {
            Column::Written(times) => times.len(),
            Column::Copied(times) => times.len(),
        }
    }

    /// Rows whose times lie within the bounds, both included.
    pub(crate) fn between(&self, from: i64, to: i64) -> RoaringBitmap {
        let mut bits = Bits::new(self.len() as u32);
        for (rows, (first, last)) in self.zones() {
            if from <= first && last <= to {
                bits.add_rows(rows);
            } else if first <= to && last >= from {
                for row in rows.filter(|row| (from..=to).contains(&self.get(*row))) {
                    bits.add_rows(row..row + 1);
                }
            }
        }
        bits.into_rows()
    }

    /// Earliest and latest of some rows; `None` of none.
    pub(crate) fn span(&self, rows: &RoaringBitmap) -> Option<Span> {
        if rows.is_empty() {
            return None;
        }
        if self.are_few(rows) {
            return Some(rows.iter().map(|row| self.get(row)).fold(NOTHING, widened));
        }
        let within = |zone: Range<u32>, span| rows.range(zone).map(|row| self.get(row)).fold(span, widened);
        let mut span = NOTHING;
        for (zone, (first, _)) in self.zones() {
            if first < span.0 {
                span = within(zone, span);
            }
        }
        for (zone, (_, last)) in self.zones().rev() {
            if last > span.1 {
                span = within(zone, span);
            }
        }
        Some(span)
    }

    /// Hands over intervals and how many of `rows` fall into each, an interval perhaps more than once. `interval` says which
    /// one a time falls into, and may not fall as time goes on.
    pub(crate) fn count<I: Copy + PartialEq>(
        &self,
        rows: &RoaringBitmap,
        interval: impl Fn(i64) -> I,
        mut add: impl FnMut(I, u64),
    ) {
        if self.are_few(rows) {
            rows.iter().for_each(|row| add(interval(self.get(row)), 1));
            return;
        }
        for (zone, (first, last)) in self.zones() {
            let only = interval(first);
            if only == interval(last) {
                match rows.range_cardinality(zone) {
                    0 => {}
                    count => add(only, count),
                }
            } else {
                rows.range(zone).for_each(|row| add(interval(self.get(row)), 1));
            }
        }
    }

    fn are_few(&self, rows: &RoaringBitmap) -> bool {
        rows.len() < FEW * self.zones.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Mostly in order, as logs are.
        #[test]
        fn zones_change_no_answer(
            late in prop::collection::vec((0_usize..5000, -20_000_i64..20_000), 0..20),
            count in 1_usize..5000,
            stride in 1_usize..40,
            bounds in (-1000_i64..6000, 0_i64..3000),
        ) {
            let mut times: Vec<i64> = (0..count as i64).collect();
            for (row, time) in late {
                if let Some(late) = times.get_mut(row) {
                    *late = time;
                }
            }
            let written: Vec<[u8; 8]> = times.iter().map(|time| time.to_le_bytes()).collect();
            let zones = zones_of(&written);
            let rows: RoaringBitmap = (0..count as u32).step_by(stride).collect();
            let of = |row: u32| times[row as usize];
            let (from, to) = (bounds.0, bounds.0 + bounds.1);
            let mut counted: BTreeMap<i64, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *counted.entry(of(row).div_euclid(700)).or_default() += 1);
            for column in [Times::written(&written, &zones), Times::copied(times.clone())] {
                prop_assert_eq!(column.span(&rows), Some(rows.iter().map(of).fold(NOTHING, widened)));
                let within: RoaringBitmap = (0..count as u32).filter(|row| (from..=to).contains(&of(*row))).collect();
                prop_assert_eq!(column.between(from, to), within);
                let mut found: BTreeMap<i64, u64> = BTreeMap::new();
                column.count(&rows, |time| time.div_euclid(700), |interval, count| *found.entry(interval).or_default() += count);
                prop_assert_eq!(&found, &counted);
            }
        }
    }

    #[test]
    fn of_no_rows_nothing_is_said() {
        let none = Times::copied(Vec::new());
        assert_eq!((none.span(&RoaringBitmap::new()), none.get(3)), (None, 0));
        assert!(none.between(i64::MIN, i64::MAX).is_empty() && none.zones().next().is_none());
    }
}
