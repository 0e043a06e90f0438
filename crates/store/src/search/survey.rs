//! What does a person see first of a search? Its first events, and what the events that match are made of, as far as that
//! can be counted in the time given: the newest are counted first, and what was not counted is said.

use super::aggregate::{Tokens, count_facets};
use super::{Part, Search, compile};
use crate::head::nanoseconds;
use crate::query::{Expr, Order, Query};
use crate::terms::{Candidates, Kind, key};
use crate::{Facet, Result, Store};
use casemate_event::{Entity, EntityKind, EventId, Stored};
use jiff::Timestamp;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Events read only to be counted, where the index alone cannot say whether they match.
const MAX_CHECKED: u64 = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// Which events, how many of them and in which order of time.
    pub query: &'a Query,
    /// What the events that match are counted by.
    pub facets: &'a [Facet],
    /// Values of each facet.
    pub most: usize,
    /// Intervals of time to count in, at most; none for 0.
    pub buckets: usize,
    /// How long it may take; to the end without.
    pub budget: Option<Budget>,
}

/// How long a survey may take. Checked between parts of the store, each of which is counted in some milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Time for counting: no part is begun that would end later, going by the one before; the first always is.
    pub counting: Duration,
    /// Time for finding the first events, where they are few and far between.
    pub finding: Duration,
}

/// What was found in the time given.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// The first events that match, in the order asked for.
    pub hits: Vec<Stored>,
    /// Events that match among those looked through.
    pub total: u64,
    /// Whether each of them is known to match; if not, counts are the most they can be.
    pub certain: bool,
    /// Whether the total is that of all events.
    pub is_total: bool,
    /// Whether facets and histogram are of all events that match, or of those among the `looked` first ones.
    pub complete: bool,
    /// Events looked through for facets and histogram.
    pub looked: u64,
    /// Events there are.
    pub of: u64,
    /// Where finding was given up: the hits are all there is up to here.
    pub given_up_at: Option<Timestamp>,
    /// For each facet its most frequent values and how many events have them.
    pub facets: Vec<Vec<(String, u64)>>,
    /// Length of an interval, in seconds.
    pub width: i64,
    /// Events over time: the start of each interval, in order.
    pub histogram: Vec<(Timestamp, u64)>,
    counted: Vec<(Part, RoaringBitmap)>,
}

/// What a part adds.
struct Added {
    candidates: Candidates,
    facets: Vec<Tokens>,
    /// Earliest and latest time of the rows, in nanoseconds since 1970.
    span: (i64, i64),
}

impl Store {
    /// Finds the first events of a query, and counts those that match as far as the budget goes.
    ///
    /// # Errors
    /// As [`search`](Store::search).
    pub fn survey(&self, asked: &Survey<'_>) -> Result<Surveyed> {
        let _looking = self.inner.looking();
        let expr = compile(asked.query)?;
        self.noticing(self.surveyed(asked, &expr))
    }

    fn surveyed(&self, asked: &Survey<'_>, expr: &Expr) -> Result<Surveyed> {
        let rank: fn(i64) -> i64 = match asked.query.order {
            Order::OldestFirst => |time| !time,
            Order::NewestFirst | Order::Relevance => |time| time,
        };
        let mut search = Search::new(self, expr, asked.query.limit, rank);
        search.max_checked = MAX_CHECKED;
        let mut parts = self.parts();
        search.sort(&mut parts);
        let mut found = Surveyed { of: self.event_count(), ..Surveyed::default() };
        let mut counts: Vec<HashMap<Vec<u8>, u64>> = vec![HashMap::new(); asked.facets.len()];
        let mut spans = Vec::new();
        let (began, mut at, mut counted) = (Instant::now(), 0, 0);
        let within =
            |time: fn(&Budget) -> Duration| asked.budget.is_none_or(|budget| began.elapsed() < time(&budget));
        // Parts are of one size: what the last took the next will take.
        let (mut since, mut last) = (began, Duration::ZERO);
        while at < parts.len() {
            let would_end = began.elapsed() + last;
            let counts_on =
                at == 0 || counted == at && asked.budget.is_none_or(|budget| would_end < budget.counting);
            if !counts_on && !search.would_take_of(search.best_of(&parts[at])) {
                break;
            }
            if at > 0 && !within(|budget| budget.finding) {
                found.given_up_at = Some(at_nanosecond(rank(search.best_of(&parts[at]))));
                break;
            }
            let chunk = at..(at + rayon::current_num_threads().max(2)).min(parts.len());
            let facets = if counts_on { asked.facets } else { &[] };
            let added: Vec<Option<Added>> = parts[chunk.clone()]
                .par_iter()
                .map(|part| add(self, part, expr, facets))
                .collect::<Result<_>>()?;
            for (place, added) in chunk.clone().zip(added) {
                let part = &parts[place];
                found.looked += if counts_on { part.rows() } else { 0 };
                let Some(added) = added else { continue };
                search.take(place, part, &added.candidates)?;
                if !counts_on {
                    continue;
                }
                search.counted &= added.candidates.exact;
                for (sums, of_facet) in counts.iter_mut().zip(added.facets) {
                    of_facet.into_iter().for_each(|(token, count)| *sums.entry(token).or_default() += count);
                }
                spans.push(added.span);
                found.counted.push((part.clone(), added.candidates.rows));
            }
            at = chunk.end;
            counted = if counts_on { at } else { counted };
            (since, last) = (Instant::now(), since.elapsed());
        }
        (found.total, found.certain) = (search.total, search.counted);
        (found.is_total, found.complete) = (at == parts.len(), counted == parts.len());
        found.hits = search.hits(&parts)?;
        if let Some(given_up) = found.given_up_at {
            // What lies further on is found when the search goes on there.
            let reached = rank(nanoseconds(given_up));
            found.hits.retain(|hit| rank(nanoseconds(hit.event.time)) > reached);
        }
        found.facets = asked
            .facets
            .iter()
            .zip(counts)
            .map(|(facet, counts)| facet.most_of(counts, asked.most))
            .collect();
        found.over_time(asked, &spans)?;
        Ok(found)
    }

    /// What was counted, told apart by some entities of a kind: for each the events in each interval of the histogram.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn split(&self, surveyed: &Surveyed, kind: EntityKind, values: &[String]) -> Result<Vec<Vec<u64>>> {
        let _looking = self.inner.looking();
        let grid = surveyed.grid();
        let mut split = vec![vec![0; surveyed.histogram.len()]; values.len()];
        for (part, rows) in &surveyed.counted {
            let own = part.with_terms(|terms| {
                let of = |value: &String| {
                    let with =
                        terms.postings(&key(Kind::Entity, format!("{}:{value}", kind.name()).as_bytes()));
                    with.map(|with| with & rows)
                };
                values.iter().map(of).collect::<Result<Vec<RoaringBitmap>>>()
            });
            for (counts, rows) in split.iter_mut().zip(self.noticing(own)?) {
                grid.count(part, &rows, part.time_range(), counts)?;
            }
        }
        Ok(split)
    }

    /// The first event about each entity, by arrival, among those that are kept; `None` where there is none, or where the
    /// name is too long to be indexed. Cheap: what is usual is found in the oldest part at once.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn first_events(&self, entities: &[Entity]) -> Result<Vec<Option<(EventId, Timestamp)>>> {
        let _looking = self.inner.looking();
        let mut first = vec![None; entities.len()];
        let mut missing: Vec<usize> = (0..entities.len()).collect();
        for part in self.parts() {
            if missing.is_empty() {
                break;
            }
            let rows = part.with_terms(|terms| {
                let row =
                    |place: &usize| terms.first(&key(Kind::Entity, entities[*place].to_string().as_bytes()));
                missing.iter().map(row).collect::<Result<Vec<Option<u32>>>>()
            });
            let rows = self.noticing(rows)?;
            if rows.iter().any(Option::is_some) {
                let times = part.times()?;
                for (place, row) in missing.iter().zip(&rows) {
                    let found = row.map(|row| {
                        (EventId(part.first_id() + u64::from(row)), at_nanosecond(times.get(row)))
                    });
                    first[*place] = found;
                }
            }
            missing.retain(|place| first[*place].is_none());
        }
        Ok(first)
    }

    /// Names of entities of a kind that begin with `beginning` (in lower case), the most frequent first, with how many events
    /// were looked at that name them. Looks at the newest events for as long as `within`.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn names(
        &self,
        kind: EntityKind,
        beginning: &str,
        most: usize,
        within: Duration,
    ) -> Result<Vec<(String, u64)>> {
        /// Names looked at in one part.
        const LOOKED_AT: usize = 20_000;
        let _looking = self.inner.looking();
        let prefix = key(Kind::Entity, format!("{}:{beginning}", kind.name()).as_bytes());
        let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
        let began = Instant::now();
        for part in self.parts().iter().rev() {
            let mut looked_at = 0;
            let mut add = |rest: &[u8], count: u32| {
                looked_at += 1;
                *counts.entry(rest.to_vec()).or_default() += u64::from(count);
                looked_at < LOOKED_AT
            };
            self.noticing(part.with_terms(|terms| terms.names(&prefix, &mut add)))?;
            if began.elapsed() > within {
                break;
            }
        }
        let whole =
            |(rest, count): (Vec<u8>, u64)| (format!("{beginning}{}", String::from_utf8_lossy(&rest)), count);
        let mut names: Vec<(String, u64)> = counts.into_iter().map(whole).collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        names.truncate(most);
        Ok(names)
    }

    /// How many entities of a kind there are, among the events that are kept, and whether that is all: counting ends at
    /// `most` and after `within`.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn distinct(&self, kind: EntityKind, most: usize, within: Duration) -> Result<(u64, bool)> {
        let _looking = self.inner.looking();
        let prefix = key(Kind::Entity, format!("{}:", kind.name()).as_bytes());
        let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
        let began = Instant::now();
        for part in self.parts().iter().rev() {
            if began.elapsed() > within {
                return Ok((names.len() as u64, false));
            }
            let mut add = |name: &[u8], _: u32| {
                if !names.contains(name) {
                    names.insert(name.to_vec());
                }
                names.len() < most
            };
            self.noticing(part.with_terms(|terms| terms.names(&prefix, &mut add)))?;
            if names.len() >= most {
                return Ok((names.len() as u64, false));
            }
        }
        Ok((names.len() as u64, true))
    }
}

impl Surveyed {
    /// Whether an event is among those that were counted.
    pub fn has(&self, id: EventId) -> bool {
        let in_part = |part: &Part, rows: &RoaringBitmap| {
            let row = id.0.checked_sub(part.first_id()).and_then(|row| u32::try_from(row).ok());
            row.is_some_and(|row| u64::from(row) < part.rows() && rows.contains(row))
        };
        self.counted.iter().any(|(part, rows)| in_part(part, rows))
    }

    fn grid(&self) -> Grid {
        let start = self.histogram.first().map_or(0, |(start, _)| start.as_second());
        Grid { start, width: self.width.max(1) }
    }

    /// Counts over time: within the bounds asked for where everything was counted, else from the first to the last that was.
    fn over_time(&mut self, asked: &Survey<'_>, spans: &[(i64, i64)]) -> Result<()> {
        let first = spans.iter().map(|(first, _)| *first).min();
        let last = spans.iter().map(|(_, last)| *last).max();
        let (Some(mut first), Some(mut last)) = (first, last) else { return Ok(()) };
        if asked.buckets == 0 {
            return Ok(());
        }
        let everything = self.counted.iter().map(|(part, _)| part.time_range());
        let (earliest, latest) =
            everything.fold((first, last), |(low, high), (from, to)| (low.min(from), high.max(to)));
        if let Some(after) = asked.query.after.filter(|_| self.complete) {
            first = first.min(nanoseconds(after).max(earliest));
        }
        if let Some(before) = asked.query.before {
            last = last.max(nanoseconds(before).min(latest));
        }
        let (first, last) = (first.div_euclid(SECOND), last.div_euclid(SECOND));
        let width = width(last - first + 1, asked.buckets as i64);
        let grid = Grid { start: first.div_euclid(width) * width, width };
        let intervals = (last - grid.start) / width + 1;
        let of_parts: Vec<Vec<u64>> = self
            .counted
            .par_iter()
            .zip(spans)
            .map(|((part, rows), span)| {
                let mut counts = vec![0; intervals as usize];
                grid.count(part, rows, *span, &mut counts)?;
                Ok(counts)
            })
            .collect::<Result<_>>()?;
        self.width = width;
        self.histogram = (0..intervals)
            .map(|interval| {
                let start = Timestamp::from_second(grid.start + interval * width).unwrap_or(Timestamp::MAX);
                (start, of_parts.iter().map(|counts| counts[interval as usize]).sum())
            })
            .collect();
        Ok(())
    }
}

/// Finds and counts in one part.
fn add(store: &Store, part: &Part, expr: &Expr, facets: &[Facet]) -> Result<Option<Added>> {
    let Some(mut candidates) = part.find(expr)? else { return Ok(None) };
    if !candidates.exact && candidates.rows.len() <= MAX_CHECKED {
        // Few enough to read them all.
        let mut rows = RoaringBitmap::new();
        for row in &candidates.rows {
            let stored = part.event(row, store)?;
            if expr.matches(&stored.event, stored.id) {
                rows.insert(row);
            }
        }
        candidates = Candidates { rows, exact: true };
    }
    if candidates.rows.is_empty() {
        return Ok(None);
    }
    let facets = count_facets(part, &candidates.rows, facets)?;
    let span = if candidates.rows.len() == part.rows() {
        part.time_range()
    } else {
        part.times()?.span(&candidates.rows).unwrap_or(part.time_range())
    };
    Ok(Some(Added { candidates, facets, span }))
}

/// Intervals of `width` seconds from `start`, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Grid {
    start: i64,
    width: i64,
}

impl Grid {
    fn interval(&self, time: i64) -> usize {
        usize::try_from((time.div_euclid(SECOND) - self.start).div_euclid(self.width)).unwrap_or(usize::MAX)
    }

    /// Adds rows whose times lie within `span`.
    fn count(&self, part: &Part, rows: &RoaringBitmap, span: (i64, i64), counts: &mut [u64]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (first, last) = (self.interval(span.0), self.interval(span.1));
        if first == last {
            if let Some(count) = counts.get_mut(first) {
                *count += rows.len();
            }
            return Ok(());
        }
        part.times()?.count(
            rows,
            |time| self.interval(time),
            |interval, count| {
                if let Some(sum) = counts.get_mut(interval) {
                    *sum += count;
                }
            },
        );
        Ok(())
    }
}

/// The shortest length of an interval, of those that people count in, that cuts `span` seconds into `most` at most.
fn width(span: i64, most: i64) -> i64 {
    const USUAL: [i64; 17] =
        [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800, 2_592_000];
    // One more is needed where the first interval begins before the first event.
    let fits = |width: &i64| span / width + 1 < most.max(2);
    let days = span / (most - 1).max(1) / DAY + 1;
    USUAL.into_iter().find(fits).unwrap_or(days * DAY)
}

fn at_nanosecond(time: i64) -> Timestamp {
    Timestamp::from_nanosecond(time.into()).unwrap_or_default()
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_people() {
        for (span, expected) in
            [(1, 1), (30, 1), (60, 2), (900, 30), (3600, 120), (86_400, 1800), (604_800, 21_600)]
        {
            assert_eq!(width(span, 50), expected, "{span}");
        }
        for span in [i64::from(u32::MAX), 9_000_000_000] {
            let width = width(span, 50);
            assert!(span / width < 50 && width % DAY == 0, "{span} {width}");
        }
    }
}
