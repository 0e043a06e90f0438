//! Which matches say most? BM25 over the words of messages.

use super::Part;
use super::rank::{Ranking, Ties};
use crate::query::{Expr, SearchResult, words};
use crate::{Result, Store};
use casemate_event::Stored;
use std::collections::BTreeMap;

/// Events whose words are looked at, at least and per event asked for; chosen by which words they have.
const MIN_READ: usize = 100;
const READ_PER_HIT: usize = 2;

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
    let clues: Vec<Expr> = wanted.iter().map(|word| Expr::Phrase(vec![word.clone()])).collect();
    let ranking = Ranking::new(parts, expr, &clues)?;
    let rarity: BTreeMap<&str, f64> =
        wanted.iter().map(String::as_str).zip(ranking.rarity.iter().copied()).collect();

    let (mut total, mut read) = (ranking.total, 0);
    let mut scored: Vec<(f64, Stored)> = Vec::new();
    let keep = limit.saturating_mul(READ_PER_HIT).max(MIN_READ);
    let rows = ranking
        .best(0..clues.len(), keep, keep, Ties::EarliestFirst)
        .into_iter()
        .flat_map(|class| class.rows);
    for (place, row) in rows {
        let stored = parts[place].event(row, store)?;
        read += 1;
        if expr.matches(&stored.event, stored.id) {
            scored.push((bm25(&stored, &rarity), stored));
        } else {
            total -= 1;
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
    scored.truncate(limit);
    let hits = scored.into_iter().map(|(_, stored)| stored).collect();
    // Where everything that may match was read, that is certain, too.
    Ok(SearchResult { total, counted: ranking.exact || read == ranking.total, hits })
}

fn bm25(stored: &Stored, rarity: &BTreeMap<&str, f64>) -> f64 {
    let mut words = words(&stored.event.message);
    for entity in stored.event.entities().into_iter().filter(|entity| entity.kind.has_words()) {
        words.extend(crate::query::words(&entity.value));
    }
    let length = 1.0 - B + B * words.len() as f64 / USUAL_WORDS;
    let score = |(word, rarity): (&&str, &f64)| {
        let times = words.iter().filter(|other| other == word).count() as f64;
        rarity * times * (K1 + 1.0) / (times + K1 * length)
    };
    rarity.iter().map(score).sum()
}

/// Words that a match is better for having.
fn positive_words(expr: &Expr, words: &mut Vec<String>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| positive_words(part, words)),
        Expr::Phrase(phrase) | Expr::Message(phrase) => words.extend(phrase.iter().cloned()),
        _ => {}
    }
}
