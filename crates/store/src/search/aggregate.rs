//! What are the events that match made of? Counts by value and over time, from the index, without reading events.

use super::{Part, compile};
use crate::query::{Expr, Query, Test};
use crate::terms::{Bits, Candidates, Kind, field_key, key};
use crate::{Result, Store};
use casemate_event::{Entity, EntityKind, EventId};
use jiff::Timestamp;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::collections::HashMap;

/// What events are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facet {
    /// Entities of a kind.
    Entity(EntityKind),
    /// Values of a normalised field, in lower case, up to 64 bytes long.
    Field(String),
    /// OCSF class, by name.
    Class,
    /// Format, by name.
    Format,
    /// Where records came from.
    Source,
    /// Template, by identity.
    Template,
}

/// When and how often something was seen, among the events that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Events about it.
    pub events: u64,
    /// Time of the earliest of them.
    pub first: Timestamp,
    /// Time of the latest of them.
    pub last: Timestamp,
}

/// What the events that match are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregation {
    /// Events that match.
    pub total: u64,
    /// Whether each is known to match. Where events would have to be read to be sure (phrases, patterns over
    /// several words), counts are the most they can be.
    pub counted: bool,
    /// For each facet its most frequent values and how many events have them.
    pub facets: Vec<Vec<(String, u64)>>,
    /// Events over time: the start of each interval, of the same length all, from the earliest match on.
    pub histogram: Vec<(Timestamp, u64)>,
}

impl Store {
    /// When and how often an entity was seen; `None` if no event that is kept names it.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn seen(&self, entity: &Entity) -> Result<Option<Seen>> {
        let expr = Expr::Entity(entity.kind, Test::Is(entity.value.clone()));
        let _looking = self.inner.looking();
        let (mut events, mut first, mut last) = (0, i64::MAX, i64::MIN);
        for part in &self.parts() {
            let Some(found) = self.noticing(part.find(&expr))? else { continue };
            let (earliest, latest) = part.time_range();
            if found.exact && (found.rows.is_empty() || first <= earliest && latest <= last) {
                // Nothing in it is earlier or later than what is known.
                events += found.rows.len();
                continue;
            }
            let mut rows = found.rows;
            if !found.exact {
                // Names too long to be indexed whole are told apart by reading.
                let mut about = RoaringBitmap::new();
                for row in rows {
                    if expr.matches(&part.event(row, self)?.event, EventId(0)) {
                        about.insert(row);
                    }
                }
                rows = about;
            }
            events += rows.len();
            if let Some((from, to)) = part.times()?.span(&rows) {
                (first, last) = (first.min(from), last.max(to));
            }
        }
        let at = |time: i64| Timestamp::from_nanosecond(time.into()).unwrap_or_default();
        Ok((events > 0).then(|| Seen { events, first: at(first), last: at(last) }))
    }

    /// Counts the events that match `query` by each facet, `most` values of each, and over `buckets` intervals of
    /// time. Limit and order of the query do not matter.
    ///
    /// # Errors
    /// As [`search`](Store::search).
    pub fn aggregate(
        &self,
        query: &Query,
        facets: &[Facet],
        most: usize,
        buckets: usize,
    ) -> Result<Aggregation> {
        let _looking = self.inner.looking();
        let (expr, parts) = (compile(query)?, self.parts());
        let of_parts: Vec<Option<Counted>> = parts
            .par_iter()
            .map(|part| count_part(part, &expr, facets))
            .collect::<Result<_>>()
            .or_else(|error| self.noticing(Err(error)))?;
        let mut aggregation = Aggregation { counted: true, ..Aggregation::default() };
        let mut counts: Vec<HashMap<Vec<u8>, u64>> = vec![HashMap::new(); facets.len()];
        let mut found: Vec<(&Part, RoaringBitmap)> = Vec::new();
        for (part, of_part) in parts.iter().zip(of_parts) {
            let Some(of_part) = of_part else { continue };
            aggregation.total += of_part.candidates.rows.len();
            aggregation.counted &= of_part.candidates.exact;
            for (sums, of_facet) in counts.iter_mut().zip(of_part.facets) {
                of_facet.into_iter().for_each(|(token, count)| *sums.entry(token).or_default() += count);
            }
            found.push((part, of_part.candidates.rows));
        }
        aggregation.facets =
            facets.iter().zip(counts).map(|(facet, counts)| facet.most_of(counts, most)).collect();
        aggregation.histogram = histogram(&found, buckets)?;
        Ok(aggregation)
    }
}

/// What a part adds.
struct Counted {
    candidates: Candidates,
    facets: Vec<Tokens>,
}

fn count_part(part: &Part, expr: &Expr, facets: &[Facet]) -> Result<Option<Counted>> {
    let Some(candidates) = part.find(expr)?.filter(|found| !found.rows.is_empty()) else { return Ok(None) };
    let facets = count_facets(part, &candidates.rows, facets)?;
    Ok(Some(Counted { candidates, facets }))
}

/// Tokens of a facet, and how many rows have each.
pub(super) type Tokens = Vec<(Vec<u8>, u64)>;

/// What rows of a part are made of, facet by facet.
pub(super) fn count_facets(part: &Part, rows: &RoaringBitmap, facets: &[Facet]) -> Result<Vec<Tokens>> {
    if facets.is_empty() {
        return Ok(Vec::new());
    }
    part.with_terms(|terms| {
        let bits = Bits::of_rows(rows, terms.rows());
        let count = |facet: &Facet| {
            let mut counts = Tokens::new();
            if *facet == Facet::Template {
                let column = terms.place_column()?;
                let mut places: Vec<u64> = Vec::new();
                for place in rows.iter().filter_map(|row| column.get(row)) {
                    // A place without a template is damage, and would take any memory.
                    if place as usize >= places.len() && terms.template_at(place).is_some() {
                        places.resize(place as usize + 1, 0);
                    }
                    if let Some(count) = places.get_mut(place as usize) {
                        *count += 1;
                    }
                }
                let found = (0..).zip(places).filter(|(_, count)| *count > 0);
                let token = |place| Some(terms.template_at(place)?.to_be_bytes().to_vec());
                counts.extend(found.filter_map(|(place, count)| Some((token(place)?, count))));
                return Ok(counts);
            }
            let mut add = |token: &[u8], count: u64| counts.push((token.to_vec(), count));
            terms.count(&facet.prefix(), &bits, &mut add)?;
            Ok(counts)
        };
        facets.iter().map(count).collect()
    })
}

impl Facet {
    /// The most frequent values by name; of equals the first by name.
    pub(super) fn most_of(&self, counts: HashMap<Vec<u8>, u64>, most: usize) -> Vec<(String, u64)> {
        let mut values: Vec<(String, u64)> =
            counts.into_iter().map(|(token, count)| (self.name_of(&token), count)).collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        values.truncate(most);
        values
    }

    /// What the keys of its terms begin with; templates have a column instead.
    fn prefix(&self) -> Vec<u8> {
        match self {
            Self::Entity(kind) => key(Kind::Entity, format!("{}:", kind.name()).as_bytes()),
            Self::Field(name) => field_key(Kind::Value, name, b""),
            Self::Class => key(Kind::Class, b""),
            Self::Format => key(Kind::Format, b""),
            Self::Source => key(Kind::Source, b""),
            Self::Template => key(Kind::Place, b""),
        }
    }

    fn name_of(&self, token: &[u8]) -> String {
        let text = String::from_utf8_lossy(token);
        match self {
            Self::Template => token.iter().fold(String::new(), |name, byte| name + &format!("{byte:02x}")),
            // A class is indexed by name and number.
            Self::Class => text.split('\0').next().unwrap_or_default().to_owned(),
            _ => text.into_owned(),
        }
    }
}

fn histogram(found: &[(&Part, RoaringBitmap)], buckets: usize) -> Result<Vec<(Timestamp, u64)>> {
    if buckets == 0 || found.is_empty() {
        return Ok(Vec::new());
    }
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for (part, rows) in found {
        if let Some((from, to)) = part.times()?.span(rows) {
            (first, last) = (first.min(from), last.max(to));
        }
    }
    // Whole seconds, so that intervals can be asked for.
    let start = first.div_euclid(SECOND);
    let span = last.div_euclid(SECOND) - start + 1;
    let width = (span as u64).div_ceil(buckets as u64).max(1) as i64;
    let mut counts = vec![0_u64; (span as u64).div_ceil(width as u64) as usize];
    for (part, rows) in found {
        let bucket = |time: i64| (time.div_euclid(SECOND) - start) / width;
        part.times()?.count(rows, bucket, |bucket, count| {
            if let Some(sum) = counts.get_mut(bucket as usize) {
                *sum += count;
            }
        });
    }
    let at = |bucket: usize| Timestamp::from_second(start + bucket as i64 * width).unwrap_or(Timestamp::MAX);
    Ok(counts.into_iter().enumerate().map(|(bucket, count)| (at(bucket), count)).collect())
}

const SECOND: i64 = 1_000_000_000;
