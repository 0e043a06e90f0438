//! Which pieces is this text? SentencePiece's byte-pair encoding by scores.
//!
//! Of all neighbours whose concatenation is a piece, those of the highest score are joined, the leftmost of
//! equals, until none are left; characters that are no piece become their UTF-8 bytes. Written out rather
//! than handed to the `tokenizers` crate: that one ranks pairs instead of pieces, so it breaks the ties of
//! repeated characters (runs of spaces, rules of `=`) another way, and would need a merge for every split
//! of every piece. Deliberately absent: normalisation (the models of this kind have none) and pieces that
//! may not form in texts, which are not handed over.
//!
//! Algorithm: Kudo and Richardson, "SentencePiece", 2018, section 3.2.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::error::{Error, Result};

/// Stands for a space within pieces.
pub(crate) const SPACE: char = '\u{2581}';
/// Longer pieces do not occur and would not form.
const MAX_PIECE_BYTES: usize = 512;

pub(crate) struct SentencePiece {
    pieces: HashMap<String, Piece>,
    longest: usize,
    /// Runs of white space, which are taken whole before anything is joined.
    runs: HashMap<String, u32>,
    longest_run: usize,
    /// The token of each byte.
    bytes: Box<[u32; 256]>,
}

#[derive(Clone, Copy)]
struct Piece {
    token: u32,
    score: f32,
}

/// A stretch of the text that is one token so far.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    /// Empty once joined to the one before.
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that could be joined.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both: another length means that one has changed since.
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl SentencePiece {
    /// `pieces` are those that texts may form, with their scores, and `runs` those of white space that are
    /// taken whole. Spaces may be written either way.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no token for some byte: some texts would have no tokens.
    pub(crate) fn new<'v>(
        pieces: impl Iterator<Item = (&'v str, u32, f32)>,
        runs: impl Iterator<Item = (&'v str, u32)>,
        byte: impl Fn(u8) -> Option<u32>,
    ) -> Result<Self> {
        let mut bytes = Box::new([0; 256]);
        for (value, token) in (0..=255).zip(bytes.iter_mut()) {
            *token = byte(value).ok_or_else(|| {
                Error::Tokenizer(format!("the vocabulary has no <0x{value:02X}>: use another model file"))
            })?;
        }
        let mut built =
            Self { pieces: HashMap::new(), longest: 0, runs: HashMap::new(), longest_run: 0, bytes };
        for (text, token, score) in pieces.filter(|(text, ..)| usable(text)) {
            built.longest = built.longest.max(text.len());
            // Of a piece named twice the first counts.
            built.pieces.entry(text.to_owned()).or_insert(Piece { token, score });
        }
        for (text, token) in runs {
            let text = escape(text);
            if usable(&text) {
                built.longest_run = built.longest_run.max(text.len());
                built.runs.entry(text).or_insert(token);
            }
        }
        Ok(built)
    }

    /// Appends the tokens of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        // The stand-in for a space would come back as a space: it goes by its bytes.
        for (index, part) in text.split(SPACE).enumerate() {
            if index > 0 {
                self.encode_bytes(SPACE.encode_utf8(&mut [0; 4]), out);
            }
            self.encode_escaped(&escape(part), out);
        }
    }

    fn encode_escaped(&self, text: &str, out: &mut Vec<u32>) {
        let mut start = 0;
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            match self.run_at(&text[at..]) {
                Some((length, token)) => {
                    self.join(&text[start..at], out);
                    out.push(token);
                    at += length;
                    start = at;
                }
                None => at += c.len_utf8(),
            }
        }
        self.join(&text[start..], out);
    }

    /// The longest run of white space that begins here and is a token.
    fn run_at(&self, text: &str) -> Option<(usize, u32)> {
        if self.runs.is_empty() || !text.starts_with(is_space) {
            return None;
        }
        let ends = text.char_indices().take_while(|(_, c)| is_space(*c)).map(|(at, c)| at + c.len_utf8());
        let ends: Vec<usize> = ends.take_while(|end| *end <= self.longest_run).collect();
        ends.into_iter().rev().find_map(|end| Some((end, *self.runs.get(&text[..end])?)))
    }

    fn join(&self, text: &str, out: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        for (index, (start, c)) in text.char_indices().enumerate() {
            let end = start + c.len_utf8();
            let next = (end < text.len()).then_some(index + 1);
            symbols.push(Symbol { start, end, previous: index.checked_sub(1), next });
        }
        let mut pairs = BinaryHeap::new();
        for left in 0..symbols.len() {
            self.consider(text, &symbols, Some(left), &mut pairs);
        }
        while let Some(pair) = pairs.pop() {
            let (left, right) = (symbols[pair.left], symbols[pair.right]);
            let whole = left.start < left.end && right.start < right.end;
            if !whole || right.end - left.start != pair.length {
                continue;
            }
            symbols[pair.left] = Symbol { end: right.end, next: right.next, ..left };
            symbols[pair.right].end = right.start;
            if let Some(next) = right.next {
                symbols[next].previous = Some(pair.left);
            }
            self.consider(text, &symbols, left.previous, &mut pairs);
            self.consider(text, &symbols, Some(pair.left), &mut pairs);
        }
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            let text = &text[symbol.start..symbol.end];
            match self.pieces.get(text) {
                Some(piece) => out.push(piece.token),
                None => self.encode_bytes(text, out),
            }
        }
    }

    /// Adds this symbol and the next, if they are a piece together.
    fn consider(&self, text: &str, symbols: &[Symbol], left: Option<usize>, pairs: &mut BinaryHeap<Pair>) {
        let Some(left) = left else { return };
        let Some(right) = symbols[left].next else { return };
        let range = symbols[left].start..symbols[right].end;
        let length = range.len();
        if length > self.longest {
            return;
        }
        if let Some(piece) = self.pieces.get(&text[range]) {
            pairs.push(Pair { score: piece.score, left, right, length });
        }
    }

    fn encode_bytes(&self, text: &str, out: &mut Vec<u32>) {
        out.extend(text.bytes().map(|byte| self.bytes[usize::from(byte)]));
    }
}

/// White space as the vocabulary writes it.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, SPACE | '\n' | '\t' | '\r')
}

fn usable(text: &str) -> bool {
    (1..=MAX_PIECE_BYTES).contains(&text.len())
}

fn escape(text: &str) -> String {
    text.replace(' ', "\u{2581}")
}

/// The bytes that a piece stands for.
pub(crate) fn bytes_of(piece: &str) -> Vec<u8> {
    piece.replace(SPACE, " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces in the order of their scores, from token 256 on; bytes are tokens 0 to 255.
    fn pieces(words: &[&str]) -> SentencePiece {
        let pieces = words.iter().zip(256..).map(|(word, token)| (*word, token, -(token as f32)));
        SentencePiece::new(pieces, [("  ", 1000), ("\u{2581}\u{2581}\u{2581}", 1001)].into_iter(), |byte| {
            Some(u32::from(byte))
        })
        .unwrap()
    }

    fn check(words: &[&str], text: &str, expected: &[u32]) {
        let mut tokens = Vec::new();
        pieces(words).encode(text, &mut tokens);
        assert_eq!(tokens, expected, "{text:?}");
    }

    #[test]
    fn the_highest_score_joins_first() {
        check(&["bc", "ab", "abc", "a", "b", "c"], "abc", &[258]);
        check(&["bc", "ab", "a", "b", "c"], "abc", &[258, 256]);
        check(&["ab", "bc", "a", "b", "c"], "abc", &[256, 260]);
        // Equal scores: the leftmost first.
        check(&["aa", "a"], "aaa", &[256, 257]);
        check(&["aa", "aaa", "a"], "aaaaa", &[256, 257]);
        check(&[], "", &[]);
    }

    #[test]
    fn what_is_no_piece_goes_by_bytes() {
        check(&["a"], "aé", &[256, 0xc3, 0xa9]);
        check(&["\u{2581}"], "\u{2581} ", &[0xe2, 0x96, 0x81, 256]);
        check(&["a"], "<0x41>", &[b'<', b'0', b'x', b'4', b'1', b'>'].map(u32::from));
    }

    #[test]
    fn runs_of_space_are_whole() {
        check(&["\u{2581}", "a"], "a     a", &[257, 1001, 1000, 257]);
        check(&["\u{2581}", "\u{2581}a", "a"], " a", &[257]);
        check(&["\u{2581}", "a"], "a ", &[257, 256]);
    }

    #[test]
    fn every_byte_needs_a_token() {
        let missing = SentencePiece::new([].into_iter(), [].into_iter(), |byte| (byte != 7).then_some(1));
        assert!(missing.err().unwrap().to_string().contains("<0x07>"));
    }

    #[test]
    fn long_runs_take_no_longer_than_they_are() {
        let vocabulary = pieces(&["a", "aa", "aaaa", "aaaaaaaa", "ab", "ba", "abab"]);
        for unit in ["a", "ab", "aab", "日", " ", "\u{2581}"] {
            let mut tokens = Vec::new();
            vocabulary.encode(&unit.repeat(300_000 / unit.len()), &mut tokens);
            assert!(!tokens.is_empty());
        }
    }
}
