//! Which matches say most? BM25 over the words of messages.

use super::Part;
use crate::query::{Expr, SearchResult, words};
use crate::terms::{Rows, evaluate};
use crate::{Result, Store};
use casemate_event::{EventId, Stored};
use std::collections::BTreeMap;

/// Events whose words are looked at, at least and per event asked for; chosen by which words they have.
const MIN_READ: usize = 200;
const READ_PER_HIT: usize = 4;

/// The usual parameters: how soon repeats stop counting, and how much long messages count for less.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Words of a message of usual length.
const USUAL_WORDS: f64 = 20.0;

pub(super) fn search(store: &Store, parts: &[Part], expr: &Expr, limit: usize) -> Result<SearchResult> {
    let mut wanted = Vec::new();
    positive_words(expr, &mut wanted);
    wanted.sort();
    wanted.dedup();

    // How rare each word is, and which rows of which part may match.
    let mut rows = 0_u64;
    let mut with_word: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let Some(part_found) = part.find(expr)? else { continue };
        let of_words = part.with_terms(|terms, _| {
            rows += u64::from(terms.rows());
            let one = |word: &String| Ok(evaluate(&Expr::Phrase(vec![word.clone()]), terms, &NoRows)?.rows);
            wanted.iter().map(one).collect::<Result<Vec<_>>>()
        })?;
        for (word, rows) in wanted.iter().zip(&of_words) {
            *with_word.entry(word).or_default() += rows.len();
        }
        found.push((place, part_found, of_words));
    }
    let rarity = |word: &str| {
        let with = with_word.get(word).copied().unwrap_or_default() as f64;
        (1.0 + (rows as f64 - with + 0.5) / (with + 0.5)).ln()
    };

    let mut total = 0;
    let mut counted = true;
    let mut coarse: Vec<(f64, u64, usize)> = Vec::new();
    for (place, part_found, of_words) in &found {
        total += part_found.candidates.rows.len();
        counted &= part_found.candidates.exact;
        let first_id = parts[*place].first_id();
        for row in &part_found.candidates.rows {
            let words = wanted.iter().zip(of_words).filter(|(_, rows)| rows.contains(row));
            let score = words.map(|(word, _)| rarity(word)).sum();
            coarse.push((score, first_id + u64::from(row), *place));
        }
    }
    let keep = limit.saturating_mul(READ_PER_HIT).max(MIN_READ);
    let by_score = |a: &(f64, u64, usize), b: &(f64, u64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if coarse.len() > keep {
        coarse.select_nth_unstable_by(keep, by_score);
        coarse.truncate(keep);
    }
    coarse.sort_by(by_score);

    let mut scored: Vec<(f64, Stored)> = Vec::new();
    for (_, id, place) in coarse {
        let part = &parts[place];
        let stored = part.event((id - part.first_id()) as u32, store)?;
        if expr.matches(&stored.event, EventId(id)) {
            scored.push((bm25(&stored, &wanted, &rarity), stored));
        } else {
            total -= 1;
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
    scored.truncate(limit);
    Ok(SearchResult { total, counted, hits: scored.into_iter().map(|(_, stored)| stored).collect() })
}

fn bm25(stored: &Stored, wanted: &[String], rarity: &dyn Fn(&str) -> f64) -> f64 {
    let mut words = words(&stored.event.message);
    for entity in stored.event.entities().into_iter().filter(|entity| entity.kind.has_words()) {
        words.extend(crate::query::words(&entity.value));
    }
    let length = 1.0 - B + B * words.len() as f64 / USUAL_WORDS;
    let score = |word: &String| {
        let times = words.iter().filter(|other| *other == word).count() as f64;
        rarity(word) * times * (K1 + 1.0) / (times + K1 * length)
    };
    wanted.iter().map(score).sum()
}

/// Words that a match is better for having.
fn positive_words(expr: &Expr, words: &mut Vec<String>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| positive_words(part, words)),
        Expr::Phrase(phrase) | Expr::Message(phrase) => words.extend(phrase.iter().cloned()),
        _ => {}
    }
}

/// Words need neither times nor numbers.
struct NoRows;

impl Rows for NoRows {
    fn first_id(&self) -> u64 {
        1
    }

    fn between(
        &self,
        _: Option<jiff::Timestamp>,
        _: Option<jiff::Timestamp>,
    ) -> Result<roaring::RoaringBitmap> {
        Ok(roaring::RoaringBitmap::new())
    }
}
