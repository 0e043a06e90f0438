//! Does a text fit a pattern with `*` and `?`?

/// A pattern in lower case; `*` stands for any run of characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    pieces: Vec<Piece>,
    /// The longest run of characters that stand for themselves: what it matches holds that.
    longest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    One(char),
    Any,
    Run,
}

impl Piece {
    fn literal(&self) -> Option<char> {
        match self {
            Self::One(character) => Some(*character),
            Self::Any | Self::Run => None,
        }
    }
}

impl Glob {
    /// Reads a pattern from characters, of which `is_wild` says whether they are meant as themselves.
    pub(crate) fn new(characters: &[(char, bool)]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for &(character, is_wild) in characters {
            match (character, is_wild) {
                ('*', true) if pieces.last() == Some(&Piece::Run) => {}
                ('*', true) => pieces.push(Piece::Run),
                ('?', true) => pieces.push(Piece::Any),
                _ => pieces.extend(character.to_lowercase().map(Piece::One)),
            }
        }
        let literals = pieces.split(|piece| !matches!(piece, Piece::One(_)));
        let literals = literals.map(|run| run.iter().filter_map(Piece::literal).collect::<String>());
        let longest = literals.max_by_key(String::len).unwrap_or_default();
        Self { pieces, longest }
    }

    /// What does as [`matches`](Self::matches) for many texts, and for bytes that may be none.
    pub(crate) fn matcher(&self) -> impl Fn(&[u8]) -> bool {
        let longest = memchr::memmem::Finder::new(&self.longest);
        // What holds it is all there is to `*this*`.
        let is_all = match self.pieces.as_slice() {
            [Piece::Run, inner @ .., Piece::Run] => inner.iter().all(|piece| piece.literal().is_some()),
            _ => false,
        };
        move |text| {
            longest.find(text).is_some()
                && (is_all || std::str::from_utf8(text).is_ok_and(|text| self.matches(text)))
        }
    }

    /// Whether it is `*` alone.
    pub(crate) fn is_everything(&self) -> bool {
        self.pieces == [Piece::Run]
    }

    /// Characters before the first wildcard.
    pub(crate) fn prefix(&self) -> String {
        self.pieces.iter().map_while(Piece::literal).collect()
    }

    /// Runs of letters and digits in it: text that it matches has words that hold each of them.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec![String::new()];
        for piece in &self.pieces {
            match piece {
                Piece::One(c) if c.is_alphanumeric() => {
                    if let Some(word) = words.last_mut() {
                        word.push(*c);
                    }
                }
                _ => words.push(String::new()),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// Whether it matches the whole of `text`, which is in lower case.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0, 0);
        // Where to go on when what follows the last run does not fit.
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.pieces.get(piece) {
                Some(Piece::Run) => {
                    retry = Some((piece + 1, at));
                    piece += 1;
                }
                Some(Piece::Any) => (at, piece) = (at + 1, piece + 1),
                Some(Piece::One(c)) if *c == text[at] => (at, piece) = (at + 1, piece + 1),
                _ => match retry {
                    Some((after, from)) => {
                        (at, piece) = (from + 1, after);
                        retry = Some((after, from + 1));
                    }
                    None => return false,
                },
            }
        }
        self.pieces[piece.min(self.pieces.len())..].iter().all(|rest| *rest == Piece::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        Glob::new(&pattern.chars().map(|c| (c, true)).collect::<Vec<_>>())
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "x", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*enc*", "-enc", true),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab ab", true),
            ("a", "a", true),
            ("", "", true),
            ("", "a", false),
            ("É*", "éa", true),
        ] {
            assert_eq!(glob(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        assert!(!glob(&"*a".repeat(50)).matches(&"b".repeat(10_000)));
    }
}
