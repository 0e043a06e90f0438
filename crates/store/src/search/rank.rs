//! Which events do the most, and the rarest, of some clues lead to?
//!
//! Rows that the same clues lead to are one class. Classes are split off one clue at a time, the best of what is
//! left first, so that of ten million rows only those few are looked at that can be among the best.

use super::{Part, compile};
use crate::query::{Expr, Query, Test};
use crate::terms::{Rows, evaluate_each};
use crate::{Result, Store};
use casemate_event::{Entity, Stored, TemplateId};
use jiff::Timestamp;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

/// Clues that are followed: the rarest.
const MAX_CLUES: usize = 16;
/// Classes looked at before what was found is good enough.
const MAX_STEPS: usize = 2048;

/// Something that makes an event worth finding.
#[derive(Debug, Clone, PartialEq)]
pub enum Clue {
    /// A word of its message, or an entity or a word of its name.
    Word(String),
    /// An entity that it is about.
    Entity(Entity),
    /// The template that it is folded to, and what that counts instead of how seldom it is.
    Template(TemplateId, f64),
}

/// Clues that are followed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Clues {
    /// The clues.
    pub clues: Vec<Clue>,
    /// Most events that the same of them lead to.
    pub each: usize,
}

/// An event and what led to it.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// The event.
    pub stored: Stored,
    /// Sum of what the clues that led to it count.
    pub score: f64,
    /// Places of the clues that led to it.
    pub clues: Vec<usize>,
}

impl Store {
    /// For each of several sets of clues, the events among those that match `within` that they lead to, at most
    /// `within.limit`, the best first: each clue counts the logarithm of how seldom it is. Of those that the same
    /// clues lead to, the latest `each` are returned.
    ///
    /// # Errors
    /// As [`search`](Store::search).
    pub fn rank(&self, within: &Query, sets: &[Clues]) -> Result<Vec<Vec<Ranked>>> {
        let _looking = self.inner.looking();
        let (expr, parts) = (compile(within)?, self.parts());
        let wanted: Vec<Expr> = sets.iter().flat_map(|set| set.clues.iter().map(Clue::expr)).collect();
        let mut ranking = self.noticing(Ranking::new(&parts, &expr, &wanted))?;
        let all = sets.iter().flat_map(|set| &set.clues);
        for (rarity, clue) in ranking.rarity.iter_mut().zip(all) {
            if let Clue::Template(_, counts) = clue {
                *rarity = *counts;
            }
        }
        let mut read: BTreeMap<(usize, u32), Stored> = BTreeMap::new();
        let mut found = Vec::new();
        let mut first = 0;
        for set in sets {
            let of_set = first..first + set.clues.len();
            first = of_set.end;
            let mut ranked = Vec::new();
            for class in ranking.best(of_set.clone(), within.limit, set.each, Ties::LatestFirst) {
                if class.clues.is_empty() {
                    break;
                }
                let clues: Vec<usize> = class.clues.iter().map(|clue| clue - of_set.start).collect();
                for (place, row) in class.rows {
                    let stored = match read.get(&(place, row)) {
                        Some(stored) => stored.clone(),
                        None => {
                            let stored = parts[place].event(row, self)?;
                            read.insert((place, row), stored.clone());
                            stored
                        }
                    };
                    if expr.matches(&stored.event, stored.id) {
                        ranked.push(Ranked { stored, score: class.score, clues: clues.clone() });
                    }
                }
            }
            found.push(ranked);
        }
        Ok(found)
    }
}

impl Clue {
    fn expr(&self) -> Expr {
        match self {
            Self::Word(word) => Expr::Phrase(crate::query::words(word)),
            Self::Entity(entity) => Expr::Entity(entity.kind, Test::Is(entity.value.clone())),
            Self::Template(id, _) => Expr::Template(*id),
        }
    }
}

/// Which of equals come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ties {
    EarliestFirst,
    LatestFirst,
}

/// Place of a part, its candidates, and those of them that each clue leads to.
type OfPart = (usize, RoaringBitmap, Vec<RoaringBitmap>);

/// What may match in each part, and what each clue leads to there.
pub(super) struct Ranking {
    parts: Vec<OfPart>,
    /// Candidates in all parts, and whether they all match.
    pub(super) total: u64,
    pub(super) exact: bool,
    /// Rarity of each clue.
    pub(super) rarity: Vec<f64>,
}

/// Rows that the same clues lead to.
pub(super) struct Ranks {
    pub(super) score: f64,
    pub(super) clues: Vec<usize>,
    /// Place of the part, and row.
    pub(super) rows: Vec<(usize, u32)>,
}

impl Ranking {
    pub(super) fn new(parts: &[Part], expr: &Expr, clues: &[Expr]) -> Result<Self> {
        let mut ranking = Self { parts: Vec::new(), total: 0, exact: true, rarity: Vec::new() };
        let (mut rows, mut with_clue) = (0_u64, vec![0_u64; clues.len()]);
        let of_parts: Vec<_> = parts
            .par_iter()
            .map(|part| {
                let Some(found) = part.find(expr)? else { return Ok(None) };
                let of_clues = part.with_terms(|terms| evaluate_each(clues, terms, &NoRows))?;
                let mut of_clues: Vec<RoaringBitmap> = of_clues.into_iter().map(|found| found.rows).collect();
                let counts: Vec<u64> = of_clues.iter().map(RoaringBitmap::len).collect();
                if found.rows.len() < part.rows() {
                    of_clues.iter_mut().for_each(|rows| *rows &= &found.rows);
                }
                Ok(Some((found, of_clues, counts)))
            })
            .collect::<Result<_>>()?;
        for (place, of_part) in of_parts.into_iter().enumerate() {
            let Some((found, of_clues, counts)) = of_part else { continue };
            rows += parts[place].rows();
            ranking.total += found.rows.len();
            ranking.exact &= found.exact;
            with_clue.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            ranking.parts.push((place, found.rows, of_clues));
        }
        let rarity = |with: u64| (1.0 + (rows as f64 - with as f64 + 0.5) / (with as f64 + 0.5)).ln();
        ranking.rarity = with_clue.into_iter().map(rarity).collect();
        Ok(ranking)
    }

    /// The best classes by some of the clues, best first, and of each up to `each` rows, until they have `wanted`
    /// rows together.
    pub(super) fn best(&self, clues: Range<usize>, wanted: usize, each: usize, ties: Ties) -> Vec<Ranks> {
        let leads = |clue: &usize| self.parts.iter().any(|(_, _, of_clues)| !of_clues[*clue].is_empty());
        let mut order: Vec<usize> = clues.filter(leads).collect();
        order.sort_by(|a, b| self.rarity[*b].total_cmp(&self.rarity[*a]).then(a.cmp(b)));
        order.truncate(MAX_CLUES);
        let mut open = BinaryHeap::new();
        let bound = order.iter().map(|clue| self.rarity[*clue]).sum();
        open.push(Open { bound, next: 0, clues: Vec::new(), rows: None });
        let (mut best, mut left) = (Vec::new(), wanted);
        for _ in 0..MAX_STEPS {
            if left == 0 {
                break;
            }
            let Some(class) = open.pop() else { break };
            let Some(&clue) = order.get(class.next) else {
                let rows = class.rows.unwrap_or_else(|| self.without(&order));
                let rows = self.first(&rows, left.min(each), ties);
                left -= rows.len();
                best.push(Ranks { score: class.bound, clues: class.clues, rows });
                continue;
            };
            let next = class.next + 1;
            let with: Vec<RoaringBitmap> = match &class.rows {
                Some(rows) => rows.iter().zip(&self.parts).map(|(rows, part)| rows & &part.2[clue]).collect(),
                None => {
                    self.parts.iter().map(|part| less(&part.2[clue], part, &order[..class.next])).collect()
                }
            };
            let mut without = class.rows;
            if with.iter().any(|rows| !rows.is_empty()) {
                if let Some(rows) = &mut without {
                    rows.iter_mut().zip(&with).for_each(|(rows, with)| *rows -= with);
                }
                let clues = class.clues.iter().copied().chain([clue]).collect();
                open.push(Open { bound: class.bound, next, clues, rows: Some(with) });
            }
            if without.as_ref().is_none_or(|rows| rows.iter().any(|rows| !rows.is_empty())) {
                let bound = class.bound - self.rarity[clue];
                open.push(Open { bound, next, clues: class.clues, rows: without });
            }
        }
        best
    }

    /// What none of some clues leads to.
    fn without(&self, clues: &[usize]) -> Vec<RoaringBitmap> {
        self.parts.iter().map(|part| less(&part.1, part, clues)).collect()
    }

    /// The first `count` rows of a class.
    fn first(&self, rows: &[RoaringBitmap], count: usize, ties: Ties) -> Vec<(usize, u32)> {
        let places = self.parts.iter().map(|(place, ..)| *place).zip(rows);
        match ties {
            Ties::EarliestFirst => places
                .flat_map(|(place, rows)| rows.iter().map(move |row| (place, row)))
                .take(count)
                .collect(),
            Ties::LatestFirst => places
                .rev()
                .flat_map(|(place, rows)| rows.iter().rev().map(move |row| (place, row)))
                .take(count)
                .collect(),
        }
    }
}

/// A class not split by all clues yet.
struct Open {
    /// Most that a row of it may score.
    bound: f64,
    /// Clues it has been split by.
    next: usize,
    /// Those of them that lead to it.
    clues: Vec<usize>,
    /// Its rows in each part. `None` for what no clue leads to so far, which is nearly everything, and seldom looked at.
    rows: Option<Vec<RoaringBitmap>>,
}

/// Those of `rows` of a part that none of some clues leads to.
fn less(rows: &RoaringBitmap, (.., of_clues): &OfPart, clues: &[usize]) -> RoaringBitmap {
    let mut rows = rows.clone();
    // Single rows are taken out of bits; out of runs each would cost all runs behind it.
    rows.remove_run_compression();
    clues.iter().for_each(|clue| rows -= &of_clues[*clue]);
    rows
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of equals the one split furthest, so that one is finished before another is begun.
        let furthest = self.next.cmp(&other.next);
        self.bound.total_cmp(&other.bound).then(furthest).then_with(|| other.clues.cmp(&self.clues))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Open {}

/// Clues need neither times nor numbers.
struct NoRows;

impl Rows for NoRows {
    fn first_id(&self) -> u64 {
        1
    }

    fn between(&self, _: Option<Timestamp>, _: Option<Timestamp>) -> Result<Option<RoaringBitmap>> {
        Ok(None)
    }
}
