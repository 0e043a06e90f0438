//! Which rows hold this word, value or entity? Exact, for a head in memory and for a sealed segment alike.
//!
//! A term is a kind, for some kinds the name of a field, and a token. Words that a message shares with its
//! template are indexed once per template, not per event: a row holds a word if it is among its own or, unless
//! the row is irregular (its message lacks a word of its template), among those of its template. So repeats of
//! a template cost next to nothing. Templates are numbered by place; the place of each row is a column beside.

mod build;
mod dictionary;
mod evaluate;
mod places;
mod posting;
mod sealed;

pub(crate) use build::Builder;
pub(crate) use dictionary::Dictionary;
pub(crate) use evaluate::{Candidates, Rows, evaluate, evaluate_each};
pub(crate) use places::PlaceColumn;
pub(crate) use posting::Bits;
pub(crate) use sealed::SealedTerms;

use crate::Result;
use roaring::RoaringBitmap;

/// Values up to this many bytes are indexed whole; longer ones by their words.
pub(crate) const MAX_VALUE: usize = 64;
/// Entities up to this many bytes are indexed whole.
pub(crate) const MAX_ENTITY: usize = 256;

/// What a term says of a row; the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Class = b'c',
    Entity = b'e',
    Format = b'f',
    /// Rows whose message lacks a word of their template.
    Irregular = b'i',
    /// Rows with a value of this field too long to be indexed whole.
    Long = b'l',
    /// Rows with an entity too long to be indexed whole.
    LongEntity = b'm',
    /// Word of an entity's name that is not all of it.
    EntityWord = b'n',
    /// Word of a field's value that is not all of it.
    ValueWord = b'p',
    Source = b's',
    /// Rows folded to the template at a place.
    Place = b'r',
    /// Places of templates that hold a word.
    TemplateWord = b't',
    /// Rows with a word in this field of which only the beginning is indexed.
    Cut = b'u',
    /// Whole value of a field.
    Value = b'v',
    /// Word of the message that is not in its template.
    Word = b'w',
    /// Rows that have a field.
    Exists = b'x',
}

/// Key of a term.
pub(crate) fn key(kind: Kind, token: &[u8]) -> Vec<u8> {
    [&[kind as u8], token].concat()
}

/// Key of a term about a field.
pub(crate) fn field_key(kind: Kind, name: &str, token: &[u8]) -> Vec<u8> {
    [&[kind as u8], name.as_bytes(), &[0], token].concat()
}

/// Terms and the rows that have them.
pub(crate) trait TermSource {
    /// Number of rows.
    fn rows(&self) -> u32;

    /// Rows of the term with this key.
    fn postings(&self, key: &[u8]) -> Result<RoaringBitmap>;

    /// Rows of any of the terms with these keys.
    fn postings_of_any(&self, keys: &mut dyn Iterator<Item = Vec<u8>>) -> Result<RoaringBitmap>;

    /// Hands over each term whose key begins with `prefix`, in order of keys for sealed ones: what follows the
    /// prefix, and how many rows it has. Rows of those for which it says so are put together.
    fn union(&self, prefix: &[u8], wanted: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<RoaringBitmap>;

    /// Hands over each term whose key begins with `prefix` and that any of `rows` has: what follows the prefix, and
    /// how many of them have it.
    fn count(&self, prefix: &[u8], rows: &Bits, found: &mut dyn FnMut(&[u8], u64)) -> Result<()>;

    /// Hands over each term whose key begins with `prefix`, in order of keys for sealed ones, while told to go on: what
    /// follows the prefix, and how many rows it has.
    fn names(&self, prefix: &[u8], next: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<()>;

    /// The first row of the term with this key.
    fn first(&self, key: &[u8]) -> Result<Option<u32>>;

    /// Place of the template with this identity.
    fn place(&self, template: u64) -> Option<u32>;

    /// Identity of the template at this place.
    fn template_at(&self, place: u32) -> Option<u64>;

    /// The place of each row.
    fn place_column(&self) -> Result<PlaceColumn<'_>>;
}
