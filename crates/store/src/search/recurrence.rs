//! How regularly did something happen, and what kinds of events were there? Counted from the index: events are read
//! only where a value is too long to be indexed whole.

use super::{Part, compile};
use crate::head::nanoseconds;
use crate::query::{Expr, Query};
use crate::{Result, Store};
use casemate_event::{EventId, TemplateId};
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// Most events of a part that are read to be sure of a value too long to be indexed whole.
const MAX_CHECKED: usize = 500;
/// Most events that are read to tell values apart. Looking each value of a field up would cost more the more there are.
const MAX_SAMPLE: u64 = 32;

/// How often events matched, interval by interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// Events that match.
    pub total: u64,
    /// Whether each is known to match; if not, counts are the most they can be.
    pub counted: bool,
    /// Events in each interval that has any, by its number: 0 begins at the origin, -1 ends there.
    pub intervals: BTreeMap<i64, u64>,
    /// Distinct values of the field asked about among 32 of them, taken evenly: there are at least so many.
    pub spread: u64,
}

/// Which distinct values a [`Recurrence`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread<'a> {
    /// Normalised field.
    pub field: &'a str,
    /// Only among events before this.
    pub before: Timestamp,
}

impl Store {
    /// Counts the events that match `query` in intervals of `width` (a second at least), counted from `origin` both
    /// ways. Limit and order of the query do not matter. Costs a few nanoseconds for each event that matches.
    ///
    /// # Errors
    /// As [`search`](Store::search).
    pub fn recurrence(
        &self,
        query: &Query,
        origin: Timestamp,
        width: SignedDuration,
        spread: Option<Spread<'_>>,
    ) -> Result<Recurrence> {
        let _looking = self.inner.looking();
        let (expr, parts) = (compile(query)?, self.parts());
        let grid = Grid { origin: nanoseconds(origin), width: width.as_nanos().max(SECOND) as i64 };
        let of_parts: Vec<Option<Counted>> = parts
            .par_iter()
            .map(|part| self.count_part(part, &expr, &grid, spread))
            .collect::<Result<_>>()
            .or_else(|error| self.noticing(Err(error)))?;
        let mut all = Recurrence { counted: true, ..Recurrence::default() };
        let mut rows: Vec<(&Part, RoaringBitmap)> = Vec::new();
        for (part, counted) in parts.iter().zip(of_parts) {
            let Some(counted) = counted else { continue };
            all.counted &= counted.counted;
            for (interval, count) in counted.intervals {
                all.total += count;
                *all.intervals.entry(interval).or_default() += count;
            }
            rows.extend(counted.rows.map(|rows| (part, rows)));
        }
        if let Some(spread) = spread {
            all.spread = self.noticing(self.spread(&rows, spread.field))?;
        }
        Ok(all)
    }

    /// Templates of the events that match `query`, with how many of them each has. Limit and order of the query do not
    /// matter.
    ///
    /// # Errors
    /// As [`search`](Store::search).
    pub fn templates_of(&self, query: &Query) -> Result<BTreeMap<TemplateId, u64>> {
        let _looking = self.inner.looking();
        let (expr, parts) = (compile(query)?, self.parts());
        let mut templates = BTreeMap::new();
        for part in &parts {
            let Some((rows, _)) = self.noticing(self.checked_rows(part, &expr))? else { continue };
            let mut places: BTreeMap<u32, u64> = BTreeMap::new();
            part.with_terms(|terms| {
                let column = terms.place_column()?;
                for place in rows.iter().filter_map(|row| column.get(row)) {
                    *places.entry(place).or_default() += 1;
                }
                for (place, count) in &places {
                    if let Some(id) = terms.template_at(*place) {
                        *templates.entry(TemplateId(id)).or_default() += count;
                    }
                }
                Ok(())
            })?;
        }
        Ok(templates)
    }

    fn count_part(
        &self,
        part: &Part,
        expr: &Expr,
        grid: &Grid,
        spread: Option<Spread<'_>>,
    ) -> Result<Option<Counted>> {
        let Some((rows, counted)) = self.checked_rows(part, expr)? else { return Ok(None) };
        let mut intervals: BTreeMap<i64, u64> = BTreeMap::new();
        let add = |interval, count| *intervals.entry(interval).or_default() += count;
        let times = part.times()?;
        times.count(&rows, |time| grid.interval(time), add);
        let Some(spread) = spread else { return Ok(Some(Counted { intervals, counted, rows: None })) };
        let before = nanoseconds(spread.before);
        let (first, latest) = part.time_range();
        let rows = if latest < before {
            rows
        } else if first >= before {
            RoaringBitmap::new()
        } else {
            rows & times.between(i64::MIN, before.saturating_sub(1))
        };
        Ok(Some(Counted { intervals, counted, rows: Some(rows) }))
    }

    /// Distinct values of a field in a sample of rows, taken evenly.
    fn spread(&self, found: &[(&Part, RoaringBitmap)], field: &str) -> Result<u64> {
        let all: u64 = found.iter().map(|(_, rows)| rows.len()).sum();
        let step = all.div_ceil(MAX_SAMPLE).max(1) as usize;
        let mut values = BTreeSet::new();
        let rows = found.iter().flat_map(|(part, rows)| rows.iter().map(move |row| (part, row)));
        for (part, row) in rows.step_by(step) {
            values.extend(part.event(row, self)?.event.field(field).map(str::to_lowercase));
        }
        Ok(values.len() as u64)
    }

    /// Rows that match, and whether that is certain of each.
    fn checked_rows(&self, part: &Part, expr: &Expr) -> Result<Option<(RoaringBitmap, bool)>> {
        let Some(found) = part.find(expr)?.filter(|found| !found.rows.is_empty()) else { return Ok(None) };
        if found.exact {
            return Ok(Some((found.rows, true)));
        }
        let mut rows = found.rows.clone();
        for row in found.rows.iter().take(MAX_CHECKED) {
            if !expr.matches(&part.event(row, self)?.event, EventId(part.first_id() + u64::from(row))) {
                rows.remove(row);
            }
        }
        Ok(Some((rows, found.rows.len() <= MAX_CHECKED as u64)))
    }
}

/// What a part adds.
struct Counted {
    intervals: BTreeMap<i64, u64>,
    counted: bool,
    /// Those whose values are to be told apart.
    rows: Option<RoaringBitmap>,
}

/// Intervals, in nanoseconds since 1970.
struct Grid {
    origin: i64,
    width: i64,
}

impl Grid {
    fn interval(&self, time: i64) -> i64 {
        time.saturating_sub(self.origin).div_euclid(self.width)
    }
}

const SECOND: i128 = 1_000_000_000;
