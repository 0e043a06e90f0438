//! Where does this text point to? Labels of evidence in square brackets become links.

use std::collections::BTreeMap;

/// A link to a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cite {
    /// `E3`, which is also the anchor of its row.
    pub(crate) label: String,
    /// The event, for evidence that is one.
    pub(crate) event: Option<u64>,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Cites(Vec<Cite>),
}

/// What labels stand for in one investigation.
#[derive(Debug, Default)]
pub(crate) struct Labels(BTreeMap<String, Option<u64>>);

impl Labels {
    pub(crate) fn new(labels: impl Iterator<Item = (String, Option<u64>)>) -> Self {
        Self(labels.collect())
    }

    /// Links to these labels; one that is not there links to nothing and is left out.
    pub(crate) fn cites<'a>(&self, labels: impl IntoIterator<Item = &'a String>) -> Vec<Cite> {
        labels.into_iter().filter_map(|label| self.cite(label)).collect()
    }

    fn cite(&self, label: &str) -> Option<Cite> {
        self.0.get(label).map(|event| Cite { label: label.to_owned(), event: *event })
    }

    /// `text` with its citations (`[E3, S1]`) as links. Brackets that hold anything else are text.
    pub(crate) fn pieces(&self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            let (before, from) = rest.split_at(open);
            plain.push_str(before);
            if !from.contains(']') {
                rest = from;
                break;
            }
            let inside = from.find(']').map(|close| (&from[1..close], &from[close + 1..]));
            let cites = inside.and_then(|(inside, after)| {
                let cites: Option<Vec<Cite>> =
                    inside.split(',').map(|label| self.cite(label.trim())).collect();
                cites.map(|cites| (cites, after))
            });
            match cites {
                Some((cites, after)) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Cites(cites));
                    rest = after;
                }
                None => {
                    plain.push('[');
                    rest = &from[1..];
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let labels = Labels::new([("E1".to_owned(), Some(7)), ("S2".to_owned(), None)].into_iter());
        let shown = |piece: Piece| match piece {
            Piece::Text(text) => text,
            Piece::Cites(cites) => {
                let each = cites.iter().map(|cite| format!("{}={:?}", cite.label, cite.event));
                format!("<{}>", each.collect::<Vec<_>>().join(" "))
            }
        };
        let pieces: Vec<String> = labels.pieces(text).into_iter().map(shown).collect();
        assert_eq!(pieces.join("|"), expected);
    }

    #[test]
    fn known_labels_become_links_and_nothing_else_does() {
        check("a [E1], b [E1, S2].", "a |<E1=Some(7)>|, b |<E1=Some(7) S2=None>|.");
        check("[E9] [x [E1] ä] [", "[E9] [x |<E1=Some(7)>| ä] [");
        check("", "");
        check("[E1, ]", "[E1, ]");
    }
}
