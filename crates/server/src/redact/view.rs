//! What does a piece of an answer mean, and where in the answer does each part of that stand?
//!
//! Patterns are written for what people mean (`O'Neil`), answers hold how it is written (`O&#39;Neil`). A [`View`] is the
//! meaning with the place of each part in its source, so that what matches is masked where it stands, and nothing else has
//! to be written anew.

use std::borrow::Cow;
use std::ops::Range;

/// What stands where something was masked: it needs no escaping in any format.
pub(super) const MASK: &str = "█████";
/// The same where only a string may stand.
pub(super) const QUOTED: &str = "\"█████\"";

/// A text as it is meant.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// Where it begins in the text.
    at: usize,
    source: Range<usize>,
    /// Whether it is written otherwise than it reads, and so masked as a whole or not at all.
    is_whole: bool,
}

impl View {
    /// Adds what stands at `source` as it is written there.
    pub(super) fn plain(&mut self, written: &str, source: Range<usize>) {
        if !source.is_empty() {
            self.add(&written[source.clone()], source, false);
        }
    }

    /// Adds what is written otherwise than it reads.
    pub(super) fn escape(&mut self, meant: char, source: Range<usize>) {
        self.add(meant.encode_utf8(&mut [0; 4]), source, true);
    }

    /// Adds what stands nowhere in the source.
    pub(super) fn glue(&mut self, text: &str) {
        self.add(text, 0..0, true);
    }

    fn add(&mut self, text: &str, source: Range<usize>, is_whole: bool) {
        self.pieces.push(Piece { at: self.text.len(), source, is_whole });
        self.text.push_str(text);
    }

    /// Adds the places in the source of `found` in the text.
    pub(super) fn places(&self, found: &Range<usize>, places: &mut Vec<Range<usize>>) {
        let first = self.pieces.partition_point(|piece| piece.at <= found.start).saturating_sub(1);
        for (index, piece) in self.pieces.iter().enumerate().skip(first) {
            if piece.at >= found.end {
                break;
            }
            let end = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.at);
            let place = if piece.is_whole {
                piece.source.clone()
            } else {
                let (from, to) = (found.start.max(piece.at), found.end.min(end));
                piece.source.start + (from - piece.at)..piece.source.start + (to.max(from) - piece.at)
            };
            if !place.is_empty() && end > found.start {
                places.push(place);
            }
        }
    }
}

/// `source` with what stands at `places` replaced: each with its own mask, those that touch with one.
pub(super) fn masked<'a>(source: &'a str, mut places: Vec<(Range<usize>, &'static str)>) -> Cow<'a, str> {
    if places.is_empty() {
        return Cow::Borrowed(source);
    }
    places.sort_by_key(|(place, _)| (place.start, place.end));
    let mut masked = String::with_capacity(source.len());
    let mut kept_from = 0;
    let mut is_first = true;
    for (place, mask) in places {
        if is_first || place.start > kept_from {
            masked.push_str(&source[kept_from..place.start]);
            masked.push_str(mask);
        }
        is_first = false;
        kept_from = kept_from.max(place.end);
    }
    masked.push_str(&source[kept_from..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_masked_where_it_stands() {
        let source = "a&amp;b c";
        let mut view = View::default();
        view.plain(source, 0..1);
        view.escape('&', 1..6);
        view.plain(source, 6..9);
        assert_eq!(view.text, "a&b c");
        for (found, expected) in [
            (0..1, "█████&amp;b c"),
            (1..2, "a█████b c"),
            (2..4, "a&amp;█████c"),
            (0..5, MASK),
            (4..5, "a&amp;b █████"),
        ] {
            let mut places = Vec::new();
            view.places(&found, &mut places);
            let places = places.into_iter().map(|place| (place, MASK)).collect();
            assert_eq!(masked(source, places), expected, "{found:?}");
        }
    }

    #[test]
    fn places_that_touch_or_overlap_are_masked_once() {
        let at = |places: &[Range<usize>]| {
            masked("abcdef", places.iter().map(|place| (place.clone(), MASK)).collect())
        };
        assert_eq!(at(&[0..2, 2..3, 1..2]), "█████def");
        assert_eq!(at(&[4..6, 0..1]), "█████bcd█████");
        assert_eq!(at(&[]), "abcdef");
    }
}
