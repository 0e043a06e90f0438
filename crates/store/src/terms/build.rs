//! How are terms gathered while events come in? Every term once in one buffer, and per term a chain of rows.

use super::dictionary::Writer;
use super::{Bits, Kind, MAX_ENTITY, MAX_VALUE, PlaceColumn, TermSource};
use crate::Result;
use crate::query::{MAX_WORD, class_name, each_word};
use casemate_event::{Class, EntityKind, Event, Format, entities};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use roaring::RoaringBitmap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

const NONE: u32 = u32::MAX;
/// Most words of a template that are told from those of its messages.
const MAX_TEMPLATE_WORDS: usize = 128;

/// Terms of the rows added so far.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    hasher: DefaultHashBuilder,
    /// Keys of all terms, one after the other, and where each ends.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    by_key: HashTable<u32>,
    /// For each term the last link of its chain.
    tails: Vec<u32>,
    counts: Vec<u32>,
    links: Vec<Link>,
    rows: u32,
    templates: HashMap<u64, Template>,
    /// Identities of templates by place.
    template_ids: Vec<u64>,
    /// Place of the template of each row.
    places: Vec<u32>,
    fields: HashMap<String, Field>,
    classes: HashMap<Class, u32>,
    formats: HashMap<Format, u32>,
    source: Option<(Arc<str>, u32)>,
    scratch: Vec<u8>,
}

/// A row of a term, and the link before it.
#[derive(Debug, Clone, Copy)]
struct Link {
    row: u32,
    before: u32,
    term: u32,
}

#[derive(Debug)]
struct Template {
    place: u32,
    /// Term of its rows.
    rows: u32,
    /// Hashes of the words that its text shares with its messages.
    words: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    exists: u32,
    long: Option<u32>,
    cut: Option<u32>,
}

impl Builder {
    /// Adds the next row. `template_text` may be empty.
    pub(crate) fn add(&mut self, event: &Event, template_text: &str) {
        let row = self.rows;
        self.rows += 1;
        self.message(row, event, template_text);
        for (name, value) in event.fields.iter() {
            self.field(row, name, value);
        }
        for entity in entities(&event.fields) {
            self.entity(row, entity.kind, &entity.value);
        }
        let class = self.classes.get(&event.class).copied().unwrap_or_else(|| {
            let token = format!("{}\0{}", class_name(event.class), event.class.uid());
            let term = self.term(Kind::Class, &[token.as_bytes()]);
            self.classes.insert(event.class, term);
            term
        });
        self.push(class, row);
        let format = self.formats.get(&event.format).copied().unwrap_or_else(|| {
            let term = self.term(Kind::Format, &[event.format.name().as_bytes()]);
            self.formats.insert(event.format, term);
            term
        });
        self.push(format, row);
        let source = match &self.source {
            Some((name, term)) if **name == *event.source => *term,
            _ => {
                let term = self.term(Kind::Source, &[event.source.as_bytes()]);
                self.source = Some((Arc::from(&*event.source), term));
                term
            }
        };
        self.push(source, row);
    }

    fn message(&mut self, row: u32, event: &Event, template_text: &str) {
        if !self.templates.contains_key(&event.template.0) {
            self.template(event, template_text);
        }
        let Some(template) = self.templates.get_mut(&event.template.0) else { return };
        let (rows, shared) = (template.rows, std::mem::take(&mut template.words));
        self.places.push(template.place);
        self.push(rows, row);
        let mut seen = 0_u128;
        each_word(&event.message, &mut |word| {
            let hash = self.hasher.hash_one(word);
            match shared.iter().position(|known| *known == hash) {
                Some(place) => seen |= 1 << place,
                None => {
                    let term = self.term(Kind::Word, &[word]);
                    self.push(term, row);
                }
            }
        });
        if seen.count_ones() as usize != shared.len() {
            let term = self.term(Kind::Irregular, &[]);
            self.push(term, row);
            each_word(&event.message, &mut |word| {
                let term = self.term(Kind::Word, &[word]);
                self.push(term, row);
            });
        }
        if let Some(template) = self.templates.get_mut(&event.template.0) {
            template.words = shared;
        }
    }

    /// Notes a template: the words that its text shares with this message of it.
    fn template(&mut self, event: &Event, text: &str) {
        let place = self.template_ids.len() as u32;
        self.template_ids.push(event.template.0);
        let mut in_message = Vec::new();
        each_word(&event.message, &mut |word| in_message.push(self.hasher.hash_one(word)));
        let mut words = Vec::new();
        each_word(text, &mut |word| {
            let hash = self.hasher.hash_one(word);
            if words.len() < MAX_TEMPLATE_WORDS && in_message.contains(&hash) && !words.contains(&hash) {
                words.push(hash);
                let term = self.term(Kind::TemplateWord, &[word]);
                self.push(term, place);
            }
        });
        let rows = self.term(Kind::Place, &[&place.to_be_bytes()]);
        self.templates.insert(event.template.0, Template { place, rows, words });
    }

    fn field(&mut self, row: u32, name: &str, value: &str) {
        let mut field = match self.fields.get(name) {
            Some(field) => *field,
            None => {
                let exists = self.term(Kind::Exists, &[name.as_bytes(), &[0]]);
                Field { exists, long: None, cut: None }
            }
        };
        self.push(field.exists, row);
        let lower = lower(value);
        let whole = lower.len() <= MAX_VALUE;
        if whole {
            let term = self.term(Kind::Value, &[name.as_bytes(), &[0], lower.as_bytes()]);
            self.push(term, row);
        } else {
            let long = *field.long.get_or_insert_with(|| self.term(Kind::Long, &[name.as_bytes(), &[0]]));
            self.push(long, row);
        }
        let mut cut = false;
        each_word(&lower, &mut |word| {
            // A word is cut between characters, of which the longest has four bytes.
            cut |= word.len() > MAX_WORD - 4;
            if !whole || word != lower.as_bytes() {
                let term = self.term(Kind::ValueWord, &[name.as_bytes(), &[0], word]);
                self.push(term, row);
            }
        });
        if cut {
            let cut = *field.cut.get_or_insert_with(|| self.term(Kind::Cut, &[name.as_bytes(), &[0]]));
            self.push(cut, row);
        }
        match self.fields.get_mut(name) {
            Some(known) => *known = field,
            None => drop(self.fields.insert(name.to_owned(), field)),
        }
    }

    fn entity(&mut self, row: u32, kind: EntityKind, value: &str) {
        if value.len() <= MAX_ENTITY {
            let term = self.term(Kind::Entity, &[kind.name().as_bytes(), b":", value.as_bytes()]);
            self.push(term, row);
        } else {
            let term = self.term(Kind::LongEntity, &[]);
            self.push(term, row);
        }
        if !kind.has_words() {
            return;
        }
        each_word(value, &mut |word| {
            if word != value.as_bytes() {
                let term = self.term(Kind::EntityWord, &[word]);
                self.push(term, row);
            }
        });
    }

    /// Number of the term whose token is `parts` put together.
    fn term(&mut self, kind: Kind, parts: &[&[u8]]) -> u32 {
        self.scratch.clear();
        self.scratch.push(kind as u8);
        parts.iter().for_each(|part| self.scratch.extend_from_slice(part));
        let hash = hash_of(&self.hasher, &self.scratch);
        let (keys, ends) = (&self.keys, &self.key_ends);
        if let Some(term) = self.by_key.find(hash, |term| key_at(keys, ends, *term) == self.scratch) {
            return *term;
        }
        let term = self.tails.len() as u32;
        self.keys.extend_from_slice(&self.scratch);
        self.key_ends.push(self.keys.len());
        self.tails.push(NONE);
        self.counts.push(0);
        let (keys, ends, hasher) = (&self.keys, &self.key_ends, &self.hasher);
        self.by_key.insert_unique(hash, term, |term| hash_of(hasher, key_at(keys, ends, *term)));
        term
    }

    fn push(&mut self, term: u32, row: u32) {
        let tail = self.tails[term as usize];
        if tail != NONE && self.links[tail as usize].row == row {
            return;
        }
        self.tails[term as usize] = self.links.len() as u32;
        self.counts[term as usize] += 1;
        self.links.push(Link { row, before: tail, term });
    }

    /// Rows of a term, ascending, put into `rows`.
    fn chain(&self, term: u32, rows: &mut Vec<u32>) {
        rows.clear();
        rows.extend(self.links_of(term));
        rows.reverse();
    }

    /// Rows of a term, the last one first.
    fn links_of(&self, term: u32) -> impl Iterator<Item = u32> {
        let mut at = self.tails[term as usize];
        std::iter::from_fn(move || {
            let link = *self.links.get(at as usize).filter(|_| at != NONE)?;
            at = link.before;
            Some(link.row)
        })
    }

    /// Rows of all terms, those of a term together and ascending, and where those of each end.
    fn all_rows(&self) -> (Vec<u32>, Vec<usize>) {
        let mut next = 0;
        let mut ends: Vec<usize> = Vec::with_capacity(self.counts.len());
        for count in &self.counts {
            ends.push(next);
            next += *count as usize;
        }
        let mut rows = vec![0; self.links.len()];
        for link in &self.links {
            let end = &mut ends[link.term as usize];
            rows[*end] = link.row;
            *end += 1;
        }
        (rows, ends)
    }

    /// Identities of templates by place, and the place of each row.
    pub(crate) fn templates(&self) -> (&[u64], &[u32]) {
        (&self.template_ids, &self.places)
    }

    /// All terms as a dictionary and its postings.
    pub(crate) fn seal(&self) -> (Vec<u8>, Vec<u8>) {
        let mut order: Vec<u32> =
            (0..self.tails.len() as u32).filter(|term| self.counts[*term as usize] > 0).collect();
        order.sort_unstable_by(|a, b| {
            key_at(&self.keys, &self.key_ends, *a).cmp(key_at(&self.keys, &self.key_ends, *b))
        });
        let mut writer = Writer::new(self.rows.max(self.template_ids.len() as u32));
        let (rows, ends) = self.all_rows();
        for term in order {
            let end = ends[term as usize];
            let rows = &rows[end - self.counts[term as usize] as usize..end];
            writer.add(key_at(&self.keys, &self.key_ends, term), rows);
        }
        writer.finish()
    }
}

impl TermSource for Builder {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn postings(&self, key: &[u8]) -> Result<RoaringBitmap> {
        let hash = hash_of(&self.hasher, key);
        let found = self.by_key.find(hash, |term| key_at(&self.keys, &self.key_ends, *term) == key);
        Ok(found.map_or_else(RoaringBitmap::new, |term| self.bitmap(*term)))
    }

    fn postings_of_any(&self, keys: &mut dyn Iterator<Item = Vec<u8>>) -> Result<RoaringBitmap> {
        let mut all = RoaringBitmap::new();
        for key in keys {
            all |= self.postings(&key)?;
        }
        Ok(all)
    }

    fn union(&self, prefix: &[u8], wanted: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<RoaringBitmap> {
        let mut union = RoaringBitmap::new();
        for term in 0..self.tails.len() as u32 {
            let count = self.counts[term as usize];
            let token = key_at(&self.keys, &self.key_ends, term).strip_prefix(prefix);
            if let Some(token) = token.filter(|_| count > 0)
                && wanted(token, count)
            {
                union |= self.bitmap(term);
            }
        }
        Ok(union)
    }

    fn count(&self, prefix: &[u8], rows: &Bits, found: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
        let full = rows.is_full();
        for term in 0..self.tails.len() as u32 {
            if let Some(token) = key_at(&self.keys, &self.key_ends, term).strip_prefix(prefix) {
                let count = if full {
                    self.counts[term as usize].into()
                } else {
                    self.links_of(term).filter(|row| rows.contains(*row)).count() as u64
                };
                if count > 0 {
                    found(token, count);
                }
            }
        }
        Ok(())
    }

    fn names(&self, prefix: &[u8], next: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<()> {
        for term in 0..self.tails.len() as u32 {
            let count = self.counts[term as usize];
            let token = key_at(&self.keys, &self.key_ends, term).strip_prefix(prefix);
            if let Some(token) = token.filter(|_| count > 0)
                && !next(token, count)
            {
                break;
            }
        }
        Ok(())
    }

    fn first(&self, key: &[u8]) -> Result<Option<u32>> {
        let hash = hash_of(&self.hasher, key);
        let found = self.by_key.find(hash, |term| key_at(&self.keys, &self.key_ends, *term) == key);
        Ok(found.and_then(|term| self.links_of(*term).last()))
    }

    fn place(&self, template: u64) -> Option<u32> {
        self.templates.get(&template).map(|template| template.place)
    }

    fn template_at(&self, place: u32) -> Option<u64> {
        self.template_ids.get(place as usize).copied()
    }

    fn place_column(&self) -> Result<PlaceColumn<'_>> {
        Ok(PlaceColumn::Plain(&self.places))
    }
}

impl Builder {
    fn bitmap(&self, term: u32) -> RoaringBitmap {
        let mut rows = Vec::new();
        self.chain(term, &mut rows);
        RoaringBitmap::from_sorted_iter(rows).unwrap_or_default()
    }
}

fn hash_of(hasher: &DefaultHashBuilder, key: &[u8]) -> u64 {
    struct Bytes<'a>(&'a [u8]);
    impl Hash for Bytes<'_> {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write(self.0);
        }
    }
    hasher.hash_one(Bytes(key))
}

fn key_at<'a>(keys: &'a [u8], ends: &[usize], term: u32) -> &'a [u8] {
    let term = term as usize;
    let start = if term == 0 { 0 } else { ends[term - 1] };
    &keys[start..ends[term]]
}

/// Lower case, without copying what is in lower case already.
fn lower(value: &str) -> std::borrow::Cow<'_, str> {
    if value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        value.into()
    } else {
        value.to_lowercase().into()
    }
}
