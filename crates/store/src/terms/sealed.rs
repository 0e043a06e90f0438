//! How are the terms of a segment read? From verified bytes of its file, which are checked all the same.

use super::dictionary::{Dictionary, Place};
use super::posting::{self, Bits};
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
        let all = self.all();
        let rows = match place {
            Place::Row(row) => (*row < all).then(|| RoaringBitmap::from_iter([*row])),
            Place::Posting(count, range) => posting::decode((self.postings)(range.clone())?, all, *count),
        };
        rows.ok_or_else(|| self.undecodable())
    }

    /// Rows of any of these terms.
    fn any_of(&self, places: &[Place]) -> Result<RoaringBitmap> {
        match places {
            [] => return Ok(RoaringBitmap::new()),
            [place] => return self.bitmap(place),
            _ => {}
        }
        let mut bits = Bits::new(self.all());
        for place in places {
            let added = match place {
                Place::Row(row) => bits.add_row(*row),
                Place::Posting(_, range) => bits.add((self.postings)(range.clone())?),
            };
            added.ok_or_else(|| self.undecodable())?;
        }
        Ok(bits.into_rows())
    }

    fn find(&self, key: &[u8]) -> Result<Option<Place>> {
        self.dictionary.find(key).ok_or_else(|| (self.damaged)("its terms do not decode"))
    }

    /// What rows, and places of templates, lie below.
    fn all(&self) -> u32 {
        self.rows.max((self.templates.len() / 8) as u32)
    }

    fn undecodable(&self) -> crate::Error {
        (self.damaged)("the rows of a term do not decode")
    }
}

impl TermSource for SealedTerms<'_> {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn postings(&self, key: &[u8]) -> Result<RoaringBitmap> {
        self.find(key)?.map_or_else(|| Ok(RoaringBitmap::new()), |place| self.bitmap(&place))
    }

    fn postings_of_any(&self, keys: &mut dyn Iterator<Item = Vec<u8>>) -> Result<RoaringBitmap> {
        let places = keys.filter_map(|key| self.find(&key).transpose());
        self.any_of(&places.collect::<Result<Vec<Place>>>()?)
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
        self.any_of(&places)
    }

    fn count(&self, prefix: &[u8], rows: &RoaringBitmap, found: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
        let mut failed = None;
        let read = self.dictionary.each_from(prefix, &mut |key, place| {
            let Some(token) = key.strip_prefix(prefix) else { return false };
            let count = match &place {
                Place::Row(row) => Ok(u64::from(rows.contains(*row))),
                place => self.bitmap(place).map(|with| with.intersection_len(rows)),
            };
            match count {
                Ok(0) => true,
                Ok(count) => {
                    found(token, count);
                    true
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        match failed {
            Some(error) => Err(error),
            None => read.ok_or_else(|| (self.damaged)("its terms do not decode")),
        }
    }

    fn place(&self, template: u64) -> Option<u32> {
        let (templates, _) = self.templates.as_chunks::<8>();
        let wanted = template.to_le_bytes();
        templates.iter().position(|id| *id == wanted).map(|place| place as u32)
    }

    fn template_at(&self, place: u32) -> Option<u64> {
        let (templates, _) = self.templates.as_chunks::<8>();
        templates.get(place as usize).map(|id| u64::from_le_bytes(*id))
    }

    fn place_column(&self) -> Result<PlaceColumn<'_>> {
        (self.places)().map(PlaceColumn::Written)
    }
}
