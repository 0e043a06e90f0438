//! Which rows may match a query, and is that certain?

use super::{Kind, MAX_ENTITY, MAX_VALUE, TermSource, field_key, key};
use crate::Result;
use crate::query::{Bound, Expr, Glob, Test, words};
use casemate_event::{Entity, EntityKind};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

/// Rows that may match. If `exact`, they do; else each has to be checked. None is missing.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    pub(crate) rows: RoaringBitmap,
    pub(crate) exact: bool,
}

/// What is known of rows besides their terms.
pub(crate) trait Rows {
    /// Number of the event in row 0.
    fn first_id(&self) -> u64;

    /// Rows whose times lie within the bounds, both included; `None` for all.
    fn between(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Option<RoaringBitmap>>;
}

/// Finds the rows that may match `expr`.
pub(crate) fn evaluate(expr: &Expr, terms: &dyn TermSource, rows: &dyn Rows) -> Result<Candidates> {
    Evaluation::new(std::slice::from_ref(expr), terms, rows).expr(expr)
}

/// As [`evaluate`], for each of several: what they share is looked up once.
pub(crate) fn evaluate_each(
    exprs: &[Expr],
    terms: &dyn TermSource,
    rows: &dyn Rows,
) -> Result<Vec<Candidates>> {
    let evaluation = Evaluation::new(exprs, terms, rows);
    exprs.iter().map(|expr| evaluation.expr(expr)).collect()
}

/// Rows of the column of places that are looked through in the time that one term takes to be looked up.
const ROWS_PER_LOOKUP: u64 = 2000;

struct Evaluation<'a> {
    exprs: &'a [Expr],
    terms: &'a dyn TermSource,
    rows: &'a dyn Rows,
    /// Of words of the expressions, once the column of places was read for them.
    by_column: OnceCell<HashMap<&'a str, RoaringBitmap>>,
    irregular: OnceCell<RoaringBitmap>,
}

impl<'a> Evaluation<'a> {
    fn new(exprs: &'a [Expr], terms: &'a dyn TermSource, rows: &'a dyn Rows) -> Self {
        Self { exprs, terms, rows, by_column: OnceCell::new(), irregular: OnceCell::new() }
    }

    fn expr(&self, expr: &Expr) -> Result<Candidates> {
        match expr {
            Expr::All => Ok(exact(self.all())),
            Expr::And(parts) => {
                let mut found = exact(self.all());
                for part in parts {
                    if found.rows.is_empty() {
                        return Ok(exact(found.rows));
                    }
                    let part = self.expr(part)?;
                    found = Candidates { rows: found.rows & part.rows, exact: found.exact && part.exact };
                }
                Ok(found)
            }
            Expr::Or(parts) => {
                let mut found = exact(RoaringBitmap::new());
                for part in parts {
                    found = either(found, self.expr(part)?);
                }
                Ok(found)
            }
            Expr::Not(part) => {
                let part = self.expr(part)?;
                if part.exact {
                    return Ok(exact(self.all() - part.rows));
                }
                Ok(Candidates { rows: self.all(), exact: false })
            }
            Expr::Phrase(phrase) => {
                let message = self.every(phrase, |word| self.word(word))?;
                let entity = self.every(phrase, |word| self.entity_word(word))?;
                let whole = Candidates { rows: self.whole_entity(phrase)?, exact: true };
                Ok(either(either(message, entity), whole))
            }
            Expr::Message(phrase) => self.every(phrase, |word| self.word(word)),
            Expr::MessagePattern(glob) => self.message_pattern(glob).map(exact),
            Expr::Pattern(glob) => {
                let mut rows = self.message_pattern(glob)?;
                let fits = glob.matcher();
                rows |= self.terms.union(&key(Kind::EntityWord, b""), &mut |word, _| fits(word))?;
                for kind in EntityKind::ALL.into_iter().filter(|kind| kind.has_words()) {
                    let prefix = format!("{}:", kind.name());
                    rows |= self
                        .terms
                        .union(&key(Kind::Entity, prefix.as_bytes()), &mut |value, _| fits(value))?;
                }
                self.with_long_entities(exact(rows))
            }
            Expr::Entity(kind, test) => self.entity(*kind, test),
            Expr::Field(name, test) => self.field(name, test),
            Expr::Whole(name, value) => self.whole_value(name, &value.to_lowercase()),
            Expr::Native(..) | Expr::Raw(_) => Ok(Candidates { rows: self.all(), exact: false }),
            Expr::Source(test) => self.named(Kind::Source, |name| test.holds(name)),
            Expr::Format(test) => self.named(Kind::Format, |name| test.holds(name)),
            Expr::Class(test) => {
                self.named(Kind::Class, |name| name.split('\0').any(|name| test.holds(name)))
            }
            Expr::Template(id) => self.of_places(&self.terms.place(id.0).into_iter().collect()).map(exact),
            Expr::Id(test) => Ok(exact(self.numbered(test))),
            Expr::Time(from, to) => Ok(exact(self.rows.between(*from, *to)?.unwrap_or_else(|| self.all()))),
        }
    }

    fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.terms.rows());
        all
    }

    /// Rows that have each of the words; certain for one word only, as several have to stand in a row.
    fn every(&self, phrase: &[String], rows: impl Fn(&str) -> Result<RoaringBitmap>) -> Result<Candidates> {
        let mut found: Option<RoaringBitmap> = None;
        for word in phrase {
            let rows = rows(word)?;
            found = Some(found.map_or_else(|| rows.clone(), |found| found & &rows));
        }
        Ok(Candidates { rows: found.unwrap_or_default(), exact: phrase.len() <= 1 })
    }

    /// Rows whose message has this word.
    fn word(&self, word: &str) -> Result<RoaringBitmap> {
        let own = self.terms.postings(&key(Kind::Word, word.as_bytes()))?;
        if let Some(rows) = self.by_column()?.get(word) {
            return Ok(own | self.regular(rows)?);
        }
        let places = self.terms.postings(&key(Kind::TemplateWord, word.as_bytes()))?;
        Ok(own | self.regular(&self.of_places(&places)?)?)
    }

    /// Those of these rows whose messages have all words of their template.
    fn regular(&self, rows: &RoaringBitmap) -> Result<RoaringBitmap> {
        if rows.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        if self.irregular.get().is_none() {
            let _ = self.irregular.set(self.terms.postings(&key(Kind::Irregular, b""))?);
        }
        Ok(self.irregular.get().map_or_else(|| rows.clone(), |irregular| rows - irregular))
    }

    /// Rows of the templates that hold a word, for each word of the expressions, if there are so many of these templates that
    /// reading the column of places once finds their rows sooner.
    fn by_column(&self) -> Result<&HashMap<&'a str, RoaringBitmap>> {
        if let Some(found) = self.by_column.get() {
            return Ok(found);
        }
        let mut words = BTreeSet::new();
        self.exprs.iter().for_each(|expr| words_in(expr, &mut words));
        let (mut found, mut places) = (Vec::new(), Vec::new());
        for word in words {
            let of_word = self.terms.postings(&key(Kind::TemplateWord, word.as_bytes()))?;
            if !of_word.is_empty() {
                found.push(word);
                places.push(of_word);
            }
        }
        if !self.are_many(places.iter().map(RoaringBitmap::len).sum()) {
            return Ok(self.by_column.get_or_init(HashMap::new));
        }
        let rows = self.terms.place_column()?.rows_at(&places);
        Ok(self.by_column.get_or_init(|| found.into_iter().zip(rows).collect()))
    }

    /// Whether reading the column of places finds rows sooner than looking up so many templates.
    fn are_many(&self, templates: u64) -> bool {
        templates > u64::from(self.terms.rows()) / ROWS_PER_LOOKUP
    }

    /// Rows of the templates at these places.
    fn of_places(&self, places: &RoaringBitmap) -> Result<RoaringBitmap> {
        if self.are_many(places.len()) {
            let rows = self.terms.place_column()?.rows_at(std::slice::from_ref(places));
            return Ok(rows.into_iter().next().unwrap_or_default());
        }
        self.terms.postings_of_any(&mut places.iter().map(|place| key(Kind::Place, &place.to_be_bytes())))
    }

    fn message_pattern(&self, glob: &Glob) -> Result<RoaringBitmap> {
        let prefix = glob.prefix();
        let matches = glob.matcher();
        let fits = |rest: &[u8]| match prefix.as_bytes() {
            [] => matches(rest),
            prefix => matches(&[prefix, rest].concat()),
        };
        let own = self.terms.union(&key(Kind::Word, prefix.as_bytes()), &mut |rest, _| fits(rest))?;
        let places =
            self.terms.union(&key(Kind::TemplateWord, prefix.as_bytes()), &mut |rest, _| fits(rest))?;
        Ok(own | self.regular(&self.of_places(&places)?)?)
    }

    /// Rows with an entity whose name has this word among others.
    fn entity_word(&self, word: &str) -> Result<RoaringBitmap> {
        self.terms.postings(&key(Kind::EntityWord, word.as_bytes()))
    }

    /// Rows with an entity whose name is this word.
    fn whole_entity(&self, phrase: &[String]) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        if let [word] = phrase {
            for kind in EntityKind::ALL.into_iter().filter(|kind| kind.has_words()) {
                rows |=
                    self.terms.postings(&key(Kind::Entity, format!("{}:{word}", kind.name()).as_bytes()))?;
            }
        }
        Ok(rows)
    }

    fn entity(&self, kind: EntityKind, test: &Test) -> Result<Candidates> {
        let prefix = format!("{}:", kind.name());
        if let Test::Is(value) = test {
            let value = Entity::new(kind, value).value;
            let rows = self.terms.postings(&key(Kind::Entity, format!("{prefix}{value}").as_bytes()))?;
            return if value.len() > MAX_ENTITY {
                self.with_long_entities(exact(rows))
            } else {
                Ok(exact(rows))
            };
        }
        let rows = self.terms.union(&key(Kind::Entity, prefix.as_bytes()), &mut |value, _| {
            std::str::from_utf8(value).is_ok_and(|value| test.holds(value))
        })?;
        self.with_long_entities(exact(rows))
    }

    fn with_long_entities(&self, found: Candidates) -> Result<Candidates> {
        let long = self.terms.postings(&key(Kind::LongEntity, b""))?;
        let exact = found.exact && long.is_empty();
        Ok(Candidates { rows: found.rows | long, exact })
    }

    fn field(&self, name: &str, test: &Test) -> Result<Candidates> {
        match test {
            Test::Exists => return self.terms.postings(&field_key(Kind::Exists, name, b"")).map(exact),
            Test::Is(value) => return self.field_is(name, value),
            Test::Like(_) | Test::Between(..) | Test::In(..) => {}
        }
        let rows = self.terms.union(&field_key(Kind::Value, name, b""), &mut |value, _| {
            std::str::from_utf8(value).is_ok_and(|value| test.holds(value))
        })?;
        let mut long = self.terms.postings(&field_key(Kind::Long, name, b""))?;
        if let Test::Like(glob) = test
            && !long.is_empty()
        {
            let cut = self.terms.postings(&field_key(Kind::Cut, name, b""))?;
            for piece in glob.words() {
                let with = self.terms.union(&field_key(Kind::ValueWord, name, b""), &mut |word, _| {
                    memchr::memmem::find(word, piece.as_bytes()).is_some()
                })?;
                long &= with | &cut;
            }
        }
        let exact = long.is_empty();
        Ok(Candidates { rows: rows | long, exact })
    }

    fn field_is(&self, name: &str, value: &str) -> Result<Candidates> {
        let lower = value.to_lowercase();
        let phrase = words(&lower);
        let mut found = exact(self.terms.postings(&field_key(Kind::Value, name, lower.as_bytes()))?);
        if let [word] = phrase.as_slice() {
            found.rows |= self.terms.postings(&field_key(Kind::Value, name, word.as_bytes()))?;
        }
        if !phrase.is_empty() {
            let every = self.every(&phrase, |word| {
                self.terms.postings(&field_key(Kind::ValueWord, name, word.as_bytes()))
            })?;
            let certain = every.exact || every.rows.is_subset(&found.rows);
            found = either(found, Candidates { exact: certain, ..every });
        }
        // A long value without words has no term of its own.
        if lower.len() > MAX_VALUE && phrase.is_empty() {
            let long = self.terms.postings(&field_key(Kind::Long, name, b""))?;
            found = either(found, Candidates { exact: long.is_empty(), rows: long });
        }
        Ok(found)
    }

    /// Rows whose field is `value`, in lower case, and nothing but that. Long values are indexed by their words.
    fn whole_value(&self, name: &str, value: &str) -> Result<Candidates> {
        if value.len() <= MAX_VALUE {
            return self.terms.postings(&field_key(Kind::Value, name, value.as_bytes())).map(exact);
        }
        let mut rows = self.terms.postings(&field_key(Kind::Long, name, b""))?;
        for word in words(value) {
            rows &= self.terms.postings(&field_key(Kind::ValueWord, name, word.as_bytes()))?;
        }
        Ok(Candidates { exact: rows.is_empty(), rows })
    }

    fn named(&self, kind: Kind, wanted: impl Fn(&str) -> bool) -> Result<Candidates> {
        let rows =
            self.terms.union(&key(kind, b""), &mut |name, _| std::str::from_utf8(name).is_ok_and(&wanted))?;
        Ok(exact(rows))
    }

    fn numbered(&self, test: &Test) -> RoaringBitmap {
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let (low, high) = match test {
            Test::Is(text) => (number(text), number(text)),
            Test::Between(low, high) => {
                let low = match low {
                    Bound::Open => 0,
                    Bound::Included(text) => number(text),
                    Bound::Excluded(text) => number(text).saturating_add(1),
                };
                let high = match high {
                    Bound::Open => u64::MAX,
                    Bound::Included(text) => number(text),
                    Bound::Excluded(text) => number(text).saturating_sub(1),
                };
                (low, high)
            }
            Test::Exists | Test::Like(_) | Test::In(..) => (0, u64::MAX),
        };
        let row = |id: u64| u32::try_from(id).unwrap_or(u32::MAX).min(self.terms.rows());
        let first = self.rows.first_id();
        let mut rows = RoaringBitmap::new();
        if high >= first && low <= high {
            rows.insert_range(row(low.saturating_sub(first))..row((high - first).saturating_add(1)));
        }
        rows
    }
}

/// Words that are looked for in messages.
fn words_in<'a>(expr: &'a Expr, words: &mut BTreeSet<&'a str>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| words_in(part, words)),
        Expr::Not(part) => words_in(part, words),
        Expr::Phrase(phrase) | Expr::Message(phrase) => words.extend(phrase.iter().map(String::as_str)),
        _ => {}
    }
}

fn exact(rows: RoaringBitmap) -> Candidates {
    Candidates { rows, exact: true }
}

fn either(a: Candidates, b: Candidates) -> Candidates {
    // What is uncertain only adds what is certain already: then all is certain.
    let exact = (a.exact || a.rows.is_subset(&b.rows) && b.exact)
        && (b.exact || b.rows.is_subset(&a.rows) && a.exact);
    Candidates { rows: a.rows | b.rows, exact }
}
