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

    /// Hands over what follows `prefix` in the keys that begin with it, while told to go on.
    fn each(&self, prefix: &[u8], next: &mut dyn FnMut(&[u8], &Place) -> bool) -> Result<()> {
        let read = self.dictionary.each_from(prefix, &mut |key, place| match key.strip_prefix(prefix) {
            Some(token) => next(token, &place),
            None => false,
        });
        read.ok_or_else(|| (self.damaged)("its terms do not decode"))
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
        self.each(prefix, &mut |token, place| {
            if wanted(token, place.count()) {
                places.push(place.clone());
            }
            true
        })?;
        self.any_of(&places)
    }

    fn count(&self, prefix: &[u8], rows: &Bits, found: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
        let (full, all) = (rows.is_full(), self.all());
        let mut failed = None;
        self.each(prefix, &mut |token, place| {
            let count = match place {
                place if full => Some(place.count().into()),
                Place::Row(row) => Some(u64::from(rows.contains(*row))),
                Place::Posting(_, range) => match (self.postings)(range.clone()) {
                    Ok(bytes) => rows.count(bytes, all),
                    Err(error) => {
                        failed = Some(error);
                        return false;
                    }
                },
            };
            match count {
                Some(0) => {}
                Some(count) => found(token, count),
                None => failed = Some(self.undecodable()),
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn names(&self, prefix: &[u8], next: &mut dyn FnMut(&[u8], u32) -> bool) -> Result<()> {
        self.each(prefix, &mut |token, place| next(token, place.count()))
    }

    fn first(&self, key: &[u8]) -> Result<Option<u32>> {
        Ok(match self.find(key)? {
            None => None,
            Some(Place::Row(row)) => Some(row),
            Some(place) => self.bitmap(&place)?.min(),
        })
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
