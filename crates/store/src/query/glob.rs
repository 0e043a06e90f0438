//! Does a text fit a pattern with `*` and `?`?

/// A pattern in lower case; `*` stands for any run of characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    One(char),
    Any,
    Run,
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
        Self(pieces)
    }

    /// Whether it is `*` alone.
    pub(crate) fn is_everything(&self) -> bool {
        self.0 == [Piece::Run]
    }

    /// Characters before the first wildcard.
    pub(crate) fn prefix(&self) -> String {
        self.0.iter().map_while(|piece| if let Piece::One(c) = piece { Some(*c) } else { None }).collect()
    }

    /// Runs of letters and digits in it: text that it matches has words that hold each of them.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec![String::new()];
        for piece in &self.0 {
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
            match self.0.get(piece) {
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
        self.0[piece.min(self.0.len())..].iter().all(|rest| *rest == Piece::Run)
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
