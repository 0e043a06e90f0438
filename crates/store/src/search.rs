//! Which events match? Each part of the store finds its candidates; the best of all are read.

use crate::head::{Head, nanoseconds};
use crate::query::{Bound, Expr, Order, Query, SearchResult, Test, parse};
use crate::segment::Segment;
use crate::terms::{Candidates, Rows, TermSource, evaluate};
use crate::times::Times;
use crate::{Result, Store};
use casemate_event::{EventId, Stored};
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod aggregate;
#[cfg(test)]
mod agree;
mod rank;
mod recurrence;
mod relevance;
mod survey;

pub use aggregate::{Aggregation, Facet, Seen};
pub use rank::{Clue, Clues, Ranked};
pub use recurrence::{Recurrence, Spread};
pub use survey::{Budget, Survey, Surveyed};

/// Longest time spent reading events that the index alone cannot decide on.
const MAX_READING: Duration = Duration::from_secs(20);
/// Events read only to be counted, where the index alone cannot say whether they match.
const MAX_CHECKED: u64 = 5000;

impl Store {
    /// Events that match `query`.
    ///
    /// # Errors
    /// [`Error::Query`](crate::Error::Query) if its text does not parse; damage, naming the file.
    pub fn search(&self, query: &Query) -> Result<SearchResult> {
        let _looking = self.inner.looking();
        let (expr, parts) = (compile(query)?, self.parts());
        self.noticing(match query.order {
            Order::Relevance => relevance::search(self, &parts, &expr, query.limit),
            Order::OldestFirst => Search::new(self, &expr, query.limit, |time| !time).run(parts),
            Order::NewestFirst => Search::new(self, &expr, query.limit, |time| time).run(parts),
        })
    }

    /// The segments and heads of now, in order of their events.
    fn parts(&self) -> Vec<Part> {
        let view = self.inner.view();
        let segments = view.open_segments().map(|segment| Part::Segment(Arc::clone(segment)));
        segments.chain(view.heads.iter().map(|head| Part::Head(Arc::clone(head)))).collect()
    }
}

/// The whole of a query as one expression.
pub(crate) fn compile(query: &Query) -> Result<Expr> {
    let now = Timestamp::now();
    let mut all = vec![parse(&query.text, now)?];
    if !query.filter.is_empty() {
        all.push(parse(&query.filter, now)?);
    }
    if query.after.is_some() || query.before.is_some() {
        all.push(Expr::Time(query.after, query.before));
    }
    let entities =
        query.entities.iter().map(|entity| Expr::Entity(entity.kind, Test::Is(entity.value.clone())));
    let templates = query.templates.iter().map(|id| Expr::Template(*id));
    let classes = query.classes.iter().map(|class| Expr::Class(Test::Is(class.uid().to_string())));
    let ids = query.ids.iter().map(|id| Expr::Id(Test::Is(id.to_string())));
    let sets: [Vec<Expr>; 4] = [entities.collect(), templates.collect(), classes.collect(), ids.collect()];
    if query.newer_than.is_some() || query.up_to.is_some() {
        let low = query.newer_than.map_or(Bound::Open, |id| Bound::Excluded(id.to_string()));
        let high = query.up_to.map_or(Bound::Open, |id| Bound::Included(id.to_string()));
        all.push(Expr::Id(Test::Between(low, high)));
    }
    if let Some((time, id)) = query.behind {
        all.extend(behind(query.order, time, id));
    }
    all.extend(query.values.iter().map(|(name, value)| Expr::Whole(name.clone(), value.clone())));
    all.extend(sets.into_iter().filter(|set| !set.is_empty()).map(Expr::Or));
    Ok(Expr::And(all))
}

/// What follows the event with this time and number: of the same time those with higher numbers, whichever way time goes.
fn behind(order: Order, time: Timestamp, id: EventId) -> [Expr; 2] {
    let moment = SignedDuration::from_nanos(1);
    let further = match order {
        Order::OldestFirst => Expr::Time(time.checked_add(moment).ok(), None),
        Order::NewestFirst | Order::Relevance => Expr::Time(None, time.checked_sub(moment).ok()),
    };
    let within = match order {
        Order::OldestFirst => Expr::Time(Some(time), None),
        Order::NewestFirst | Order::Relevance => Expr::Time(None, Some(time)),
    };
    let later = Expr::Id(Test::Between(Bound::Excluded(id.to_string()), Bound::Open));
    [within, Expr::Or(vec![further, later])]
}

/// A segment or head.
#[derive(Debug, Clone)]
enum Part {
    Segment(Arc<Segment>),
    Head(Arc<Head>),
}

impl Part {
    fn first_id(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.entry.first_id,
            Self::Head(head) => head.first_id,
        }
    }

    /// Events in it.
    fn rows(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.entry.events.into(),
            Self::Head(head) => head.events(),
        }
    }

    /// Earliest and latest time in it.
    fn time_range(&self) -> (i64, i64) {
        match self {
            Self::Segment(segment) => segment.time_range(),
            Self::Head(head) => {
                let index = head.index();
                let (first, last) = (index.stats.first_time, index.stats.last_time);
                (first.map_or(i64::MAX, nanoseconds), last.map_or(i64::MIN, nanoseconds))
            }
        }
    }

    /// Finds candidates. `None` if its times rule out that there are any.
    fn find(&self, expr: &Expr) -> Result<Option<Candidates>> {
        let (first, last) = self.time_range();
        let (from, to) = bounds(expr);
        let (lowest, highest) = numbers(expr);
        let missed = self.first_id() > highest || self.first_id().saturating_add(self.rows()) <= lowest;
        if missed
            || first > last
            || from.is_some_and(|from| last < nanoseconds(from))
            || to.is_some_and(|to| first > nanoseconds(to))
        {
            return Ok(None);
        }
        self.with_terms(|terms| evaluate(expr, terms, &Within { part: self, range: (first, last) })).map(Some)
    }

    /// Calls `search` with the terms.
    fn with_terms<T>(&self, search: impl FnOnce(&dyn TermSource) -> Result<T>) -> Result<T> {
        match self {
            Self::Segment(segment) => segment.with_terms(search),
            Self::Head(head) => search(&head.index().terms),
        }
    }

    fn times(&self) -> Result<Times<'_>> {
        Ok(match self {
            Self::Segment(segment) => segment.times()?,
            Self::Head(head) => Times::copied(head.index().times.clone()),
        })
    }

    fn event(&self, row: u32, store: &Store) -> Result<Stored> {
        let cache = &store.inner.cache;
        match self {
            Self::Segment(segment) => segment.event(row, cache),
            Self::Head(head) => {
                let id = head.first_id + u64::from(row);
                let mut events = head.scan(id..id + 1, cache)?;
                events.pop().ok_or_else(|| crate::Error::Damaged {
                    path: store.inner.dir.clone(),
                    what: format!("event {id} is missing from the log in memory"),
                })
            }
        }
    }
}

/// Times that an expression cannot match outside of.
fn bounds(expr: &Expr) -> (Option<Timestamp>, Option<Timestamp>) {
    match expr {
        Expr::Time(from, to) => (*from, *to),
        Expr::And(parts) => {
            parts.iter().map(bounds).fold((None, None), |(from, to), (other_from, other_to)| {
                (from.into_iter().chain(other_from).max(), to.into_iter().chain(other_to).min())
            })
        }
        _ => (None, None),
    }
}

/// Numbers of events that an expression cannot match outside of.
fn numbers(expr: &Expr) -> (u64, u64) {
    let number = |bound: &Bound, open| match bound {
        Bound::Open => open,
        Bound::Included(text) | Bound::Excluded(text) => text.parse().unwrap_or(open),
    };
    match expr {
        Expr::Id(Test::Between(low, high)) => (number(low, 0), number(high, u64::MAX)),
        Expr::Id(Test::Is(text)) => text.parse().map_or((0, u64::MAX), |id| (id, id)),
        Expr::And(parts) => {
            let both =
                |(low, high): (u64, u64), (other_low, other_high)| (low.max(other_low), high.min(other_high));
            parts.iter().map(numbers).fold((0, u64::MAX), both)
        }
        Expr::Or(parts) if !parts.is_empty() => {
            let either =
                |(low, high): (u64, u64), (other_low, other_high)| (low.min(other_low), high.max(other_high));
            parts.iter().map(numbers).fold((u64::MAX, 0), either)
        }
        _ => (0, u64::MAX),
    }
}

struct Within<'a> {
    part: &'a Part,
    range: (i64, i64),
}

impl Rows for Within<'_> {
    fn first_id(&self) -> u64 {
        self.part.first_id()
    }

    fn between(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Option<RoaringBitmap>> {
        let from = from.map_or(i64::MIN, nanoseconds);
        let to = to.map_or(i64::MAX, nanoseconds);
        if from <= self.range.0 && self.range.1 <= to {
            return Ok(None);
        }
        self.part.times().map(|times| Some(times.between(from, to)))
    }
}

/// A search in order of time: the `limit` best by `rank` of their time, the lower number first where they tie.
struct Search<'a, F> {
    store: &'a Store,
    expr: &'a Expr,
    limit: usize,
    rank: F,
    /// The worst of the best on top.
    best: BinaryHeap<Reverse<Hit>>,
    total: u64,
    counted: bool,
    checked: u64,
    /// Events read only to be counted.
    max_checked: u64,
    /// When reading has taken too long.
    until: Instant,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    rank: i64,
    id: Reverse<u64>,
    part: usize,
}

impl<'a, F: Fn(i64) -> i64 + Copy> Search<'a, F> {
    fn new(store: &'a Store, expr: &'a Expr, limit: usize, rank: F) -> Self {
        Self {
            store,
            expr,
            limit,
            rank,
            best: BinaryHeap::new(),
            total: 0,
            counted: true,
            checked: 0,
            max_checked: MAX_CHECKED,
            until: Instant::now() + MAX_READING,
        }
    }

    fn run(mut self, mut parts: Vec<Part>) -> Result<SearchResult> {
        self.sort(&mut parts);
        let expr = self.expr;
        let found: Vec<Option<Candidates>> =
            parts.par_iter().map(|part| part.find(expr)).collect::<Result<_>>()?;
        for ((place, part), found) in parts.iter().enumerate().zip(found) {
            if let Some(found) = found {
                self.take(place, part, &found)?;
            }
        }
        Ok(SearchResult { total: self.total, counted: self.counted, hits: self.hits(&parts)? })
    }

    /// Sorts parts so that those that may hold the best come first and the others need not be looked through.
    fn sort(&self, parts: &mut [Part]) {
        parts.sort_by_cached_key(|part| Reverse(self.best_of(part)));
    }

    /// The best rank that an event of a part may have.
    fn best_of(&self, part: &Part) -> i64 {
        let (first, last) = part.time_range();
        if first > last { i64::MIN } else { (self.rank)(first).max((self.rank)(last)) }
    }

    /// Counts what was found in a part and takes the best of it.
    fn take(&mut self, place: usize, part: &Part, found: &Candidates) -> Result<()> {
        if !found.exact {
            return self.take_checked(place, part, found);
        }
        self.total += found.rows.len();
        if self.limit > 0 && self.would_take_of(self.best_of(part)) {
            self.take_all(place, part, found)?;
        }
        Ok(())
    }

    /// The best so far, read.
    fn hits(self, parts: &[Part]) -> Result<Vec<Stored>> {
        let hits = self.best.into_sorted_vec();
        let hits = hits.into_iter().map(|Reverse(hit)| {
            let part = &parts[hit.part];
            part.event((hit.id.0 - part.first_id()) as u32, self.store)
        });
        hits.collect()
    }

    fn take_all(&mut self, place: usize, part: &Part, found: &Candidates) -> Result<()> {
        let times = part.times()?;
        let (Some(first), Some(last)) = (found.rows.min(), found.rows.max()) else { return Ok(()) };
        let better_last = (self.rank)(times.get(first)) < (self.rank)(times.get(last));
        // From the end that is likely to hold the best: most zones further on then hold none.
        let mut zones = times.zones();
        while let Some((zone, (from, to))) = if better_last { zones.next_back() } else { zones.next() } {
            if self.would_take_of((self.rank)(from).max((self.rank)(to))) {
                for row in found.rows.range(zone) {
                    self.offer(self.hit(place, part, row, &times));
                }
            }
        }
        Ok(())
    }

    /// As [`take_all`](Self::take_all), reading each event to see whether it matches: the best first, until no
    /// more can be among the best and enough have been counted.
    fn take_checked(&mut self, place: usize, part: &Part, found: &Candidates) -> Result<()> {
        let times = part.times()?;
        let mut hits: Vec<Hit> = found.rows.iter().map(|row| self.hit(place, part, row, &times)).collect();
        hits.sort_unstable_by(|a, b| b.cmp(a));
        let count = hits.len() as u64;
        for (looked_at, hit) in (0..).zip(hits) {
            if self.checked >= self.max_checked && !self.would_take(&hit) {
                self.total += count - looked_at;
                self.counted = false;
                return Ok(());
            }
            self.checked += 1;
            if self.checked.is_multiple_of(256) && Instant::now() > self.until {
                return Err(crate::Error::TooLong { read: self.checked, seconds: MAX_READING.as_secs() });
            }
            let row = (hit.id.0 - part.first_id()) as u32;
            let stored = part.event(row, self.store)?;
            if self.expr.matches(&stored.event, EventId(hit.id.0)) {
                self.total += 1;
                self.offer(hit);
            }
        }
        Ok(())
    }

    fn hit(&self, part_place: usize, part: &Part, row: u32, times: &Times<'_>) -> Hit {
        let rank = (self.rank)(times.get(row));
        Hit { rank, id: Reverse(part.first_id() + u64::from(row)), part: part_place }
    }

    /// Whether a hit may be taken whose rank is no better than `best`.
    fn would_take_of(&self, best: i64) -> bool {
        self.best.len() < self.limit || self.best.peek().is_some_and(|worst| best >= worst.0.rank)
    }

    fn would_take(&self, hit: &Hit) -> bool {
        self.best.len() < self.limit || self.best.peek().is_some_and(|worst| *hit > worst.0)
    }

    fn offer(&mut self, hit: Hit) {
        if self.limit == 0 || !self.would_take(&hit) {
            return;
        }
        self.best.push(Reverse(hit));
        if self.best.len() > self.limit {
            self.best.pop();
        }
    }
}
