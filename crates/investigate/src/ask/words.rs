//! Which words does a question consist of, and which of them are accounted for?
//!
//! A question is only answered by counting where every word that could change its meaning was understood:
//! each reader of the words marks what it took, and what nobody took is left over.

/// Most words of a question that are read.
const MAX_WORDS: usize = 120;

/// One word of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As written, without the punctuation around it.
    pub(super) written: String,
    /// In lower case.
    pub(super) lower: String,
    /// Whether it stood in double quotes: then it is a value and no word of the language.
    pub(super) quoted: bool,
    /// Whether somebody took it for something.
    pub(super) taken: bool,
}

/// The words of a question, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(pub(super) Vec<Word>);

impl Words {
    pub(super) fn of(question: &str) -> Self {
        let mut words = Vec::new();
        // Every other part stands in quotes; one that is not closed does not.
        let parts: Vec<&str> = question.split(['"', '“', '”']).collect();
        for (place, part) in parts.iter().enumerate() {
            let quoted = place % 2 == 1 && place + 1 < parts.len();
            if quoted {
                words.extend(word(part.trim(), true));
            } else {
                words.extend(part.split_whitespace().filter_map(|piece| word(piece, false)));
            }
        }
        words.truncate(MAX_WORDS);
        Self(words)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The word at a place in lower case; empty past the end, and for one in quotes.
    pub(super) fn at(&self, place: usize) -> &str {
        self.0.get(place).filter(|word| !word.quoted).map_or("", |word| &word.lower)
    }

    /// The word before a place that is no article.
    pub(super) fn before(&self, place: usize) -> &str {
        let mut words = (0..place).rev().map(|place| self.at(place));
        words.find(|word| !ARTICLES.contains(word)).unwrap_or_default()
    }

    pub(super) fn take(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place) {
            word.taken = true;
        }
    }

    /// Place of the first word at or after `from` that is one of `alternatives`.
    pub(super) fn find(&self, from: usize, alternatives: &[&str]) -> Option<usize> {
        (from..self.len()).find(|place| alternatives.contains(&self.at(*place)))
    }

    /// Words that nobody took and that are not mere grammar.
    pub(super) fn left_over(&self) -> Vec<&str> {
        let left = self.0.iter().filter(|word| !word.taken && (word.quoted || !is_grammar(&word.lower)));
        left.map(|word| word.written.as_str()).collect()
    }
}

pub(super) const ARTICLES: [&str; 9] = ["the", "a", "an", "this", "that", "these", "those", "any", "all"];

/// Words that hold a sentence together and narrow nothing.
const GRAMMAR: [&str; 58] = [
    "the", "a", "an", "this", "that", "these", "those", "any", "all", "of", "is", "was", "were", "are", "be",
    "been", "being", "did", "do", "does", "has", "have", "had", "there", "on", "in", "at", "to", "from",
    "by", "for", "with", "via", "using", "as", "and", "it", "its", "ever", "please", "me", "us", "you",
    "can", "could", "tell", "exactly", "so", "far", "into", "onto", "during", "within", "about", "over",
    "our", "which", "get",
];

pub(super) fn is_grammar(lower: &str) -> bool {
    GRAMMAR.contains(&lower)
}

fn word(piece: &str, quoted: bool) -> Option<Word> {
    let trimmed = if quoted { piece } else { trim(piece) };
    if trimmed.is_empty() {
        return None;
    }
    Some(Word { written: trimmed.to_owned(), lower: trimmed.to_lowercase(), quoted, taken: false })
}

/// A word without what surrounds it; paths keep their slashes, machine accounts their dollar.
fn trim(piece: &str) -> &str {
    let piece = piece
        .trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '\\' | '/' | '$' | '%' | ':'));
    let piece =
        piece.trim_end_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '\\' | '/' | '$' | '%'));
    let piece = piece.trim_start_matches(':');
    piece.strip_suffix("'s").or_else(|| piece.strip_suffix("’s")).unwrap_or(piece)
}

/// Whether a word looks like the name of something: an address, a path, a file, an account, a numbered host.
pub(super) fn is_name(word: &str) -> bool {
    let has_letter = word.chars().any(char::is_alphabetic);
    let inner_dot = word.split('.').filter(|part| !part.is_empty()).count() > 1;
    word.contains(['\\', '/', '@', '$', '_', '%', '='])
        || inner_dot
        || word.matches(':').count() > 1
        || has_letter && word.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_names_hold() {
        let written = |question: &str| -> Vec<String> {
            Words::of(question).0.into_iter().map(|word| word.written).collect()
        };
        assert_eq!(
            written("Who ran \"net user\" on WS5's disk (C:\\Temp\\a.exe)? By ann@x.y, 10.0.0.5."),
            ["Who", "ran", "net user", "on", "WS5", "disk", "C:\\Temp\\a.exe", "By", "ann@x.y", "10.0.0.5"]
        );
        assert_eq!(written("an \"open quote"), ["an", "open", "quote"]);
        assert_eq!(written("PRD01$ …"), ["PRD01$"]);
    }

    #[test]
    fn names_are_told_from_words() {
        for name in ["10.0.0.5", "ws5", "a.exe", "corp\\ann", "svc_backup", "fe80::1"] {
            assert!(is_name(name), "{name}");
        }
        for word in ["logons", "mimikatz", "failed", "17", "15:57"] {
            assert!(!is_name(word), "{word}");
        }
    }
}
