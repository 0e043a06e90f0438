//! How are the terms of a segment read? From verified bytes of its file, which are checked all the same.

use super::dictionary::{Dictionary, Place};
use super::posting;
use super::{PlaceColumn, TermSource};
use crate::Result;
use roaring::RoaringBitmap;

/// Terms inside a segment's file.
pub(crate) struct SealedTerms<'a> {
    pub(crate) rows: u32,
    pub(crate) dictionary: Dictionary<'a>,
    /// Identity of the template at each place, eight bytes each, least first.
    pub(crate) templates: &'a [u8],
    /// Gives verified bytes of the postings.
    pub(crate) postings: &'a dyn Fn(std::ops::Range<usize>) -> Result<&'a [u8]>,
    /// Gives the place of each row, verified.
    pub(crate) places: &'a dyn Fn() -> Result<&'a [u8]>,
    /// Makes an error that names the file.
    pub(crate) damaged: &'a dyn Fn(&str) -> crate::Error,
}

impl SealedTerms<'_> {
    fn bitmap(&self, place: &Place) -> Result<RoaringBitmap> {
        let all = self.rows.max((self.templates.len() / 8) as u32);
        let rows = match place {
            Place::Row(row) => (*row < all).then(|| RoaringBitmap::from_iter([*row])),
            Place::Posting(_, range) => posting::decode((self.postings)(range.clone())?, all),
        };
        rows.ok_or_else(|| (self.damaged)("the rows of a term do not decode"))
    }
}

impl TermSource for SealedTerms<'_> {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn postings(&self, key: &[u8]) -> Result<RoaringBitmap> {
        let found = self.dictionary.find(key).ok_or_else(|| (self.damaged)("its terms do not decode"))?;
        found.map_or_else(|| Ok(RoaringBitmap::new()), |place| self.bitmap(&place))
    }

    fn union(&self, prefix: &[u8], wanted: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<RoaringBitmap> {
        let mut places = Vec::new();
        let read = self.dictionary.each_from(prefix, &mut |key, place| {
            let Some(token) = key.strip_prefix(prefix) else { return false };
            if wanted(token, place.count()) {
                places.push(place);
            }
            true
        });
        read.ok_or_else(|| (self.damaged)("its terms do not decode"))?;
        let mut union = RoaringBitmap::new();
        let mut single: Vec<u32> = Vec::new();
        for place in &places {
            match place {
                Place::Row(row) if *row < self.rows => single.push(*row),
                place => union |= self.bitmap(place)?,
            }
        }
        single.sort_unstable();
        single.dedup();
        union |= single.into_iter().collect::<RoaringBitmap>();
        Ok(union)
    }

    fn place(&self, template: u64) -> Option<u32> {
        let (templates, _) = self.templates.as_chunks::<8>();
        let wanted = template.to_le_bytes();
        templates.iter().position(|id| *id == wanted).map(|place| place as u32)
    }

    fn place_column(&self) -> Result<PlaceColumn<'_>> {
        (self.places)().map(PlaceColumn::Written)
    }
}
