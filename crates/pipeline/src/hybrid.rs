//! Which events answer this, whichever way they are found? By words, by entities and by meaning, put together by
//! reciprocal rank, and each says how it was found.

use crate::{Pipeline, Result};
use casemate_event::{Entity, EntityKind, Stored, TemplateId};
use casemate_store::{Clue, Clues, Query, Ranked};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Events that each way contributes.
const DEPTH: usize = 100;
/// Words of a question that are looked for.
const MAX_WORDS: usize = 64;
/// Templates near in meaning that are considered, and the latest events of each.
const TEMPLATES: usize = 16;
const EACH: usize = 4;
/// Cosine below which texts have nothing to do with each other.
const MIN_SIMILARITY: f32 = 0.3;
/// The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009).
const RANK: f64 = 60.0;

/// An event and how it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The event.
    pub stored: Stored,
    /// Sum over the ways it was found of 1 / (60 + rank).
    pub score: f64,
    /// The ways, in the order words, entities, meaning; none twice.
    pub by: Vec<Way>,
}

/// One way an event was found, with its rank there, 1 for the best.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// By words of the question.
    Words {
        /// Place among what was found this way.
        rank: usize,
        /// The words.
        words: Vec<String>,
    },
    /// By entities that the question names.
    Entities {
        /// Place among what was found this way.
        rank: usize,
        /// The entities.
        entities: Vec<Entity>,
    },
    /// By resemblance of its template.
    Meaning {
        /// Place among what was found this way.
        rank: usize,
        /// The template.
        template: TemplateId,
        /// Cosine of question and template.
        similarity: f32,
    },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { words, .. } => write!(f, "words {}", words.join(", "))?,
            Self::Entities { entities, .. } => {
                let names: Vec<String> = entities.iter().map(Entity::to_string).collect();
                write!(f, "entities {}", names.join(", "))?;
            }
            Self::Meaning { similarity, .. } => write!(f, "meaning {similarity:.2}")?,
        }
        write!(f, " (rank {})", self.rank())
    }
}

impl Way {
    /// Place among what was found this way.
    pub fn rank(&self) -> usize {
        match self {
            Self::Words { rank, .. } | Self::Entities { rank, .. } | Self::Meaning { rank, .. } => *rank,
        }
    }
}

impl Pipeline {
    /// The events that answer `question` best, at most `within.limit` of those that match `within`.
    ///
    /// The question is plain text: words, names and addresses, a sentence or a line of a log. Without an
    /// embedding model words and entities decide alone.
    ///
    /// # Errors
    /// If the store or the template index fails, or the text of `within` does not parse.
    pub fn find(&self, question: &str, within: &Query) -> Result<Vec<Found>> {
        let deep = Query { limit: DEPTH.max(within.limit), ..within.clone() };
        let words = words_of(question);
        let mut fused = Fused::default();

        let entities: Vec<Entity> = words.iter().flat_map(|word| entities_of(word)).collect();
        let mut near = Vec::new();
        if self.embedder.is_some() && !words.is_empty() {
            near = self.similar(question, TEMPLATES)?;
            near.retain(|(_, similarity)| *similarity >= MIN_SIMILARITY);
        }
        let set = |clues: Vec<Clue>, each| Clues { clues, each };
        let sets = [
            set(words.iter().map(|word| Clue::Word(word.clone())).collect(), deep.limit),
            set(entities.iter().cloned().map(Clue::Entity).collect(), deep.limit),
            set(near.iter().map(|(id, cosine)| Clue::Template(*id, f64::from(*cosine))).collect(), EACH),
        ];
        let mut ranked = self.store.rank(&deep, &sets)?.into_iter();
        fused.add(ranked.next(), |rank, clues| Way::Words {
            rank,
            words: clues.iter().map(|clue| words[*clue].clone()).collect(),
        });
        fused.add(ranked.next(), |rank, clues| Way::Entities {
            rank,
            entities: clues.iter().map(|clue| entities[*clue].clone()).collect(),
        });
        fused.add(ranked.next(), |rank, clues| {
            let (template, similarity) = clues.first().map_or((TemplateId(0), 0.0), |clue| near[*clue]);
            Way::Meaning { rank, template, similarity }
        });
        Ok(fused.best(within.limit))
    }
}

/// Events found so far, by number.
#[derive(Default)]
struct Fused(BTreeMap<u64, Found>);

impl Fused {
    fn add(&mut self, ranked: Option<Vec<Ranked>>, way: impl Fn(usize, &[usize]) -> Way) {
        for (rank, Ranked { stored, clues, .. }) in (1..).zip(ranked.into_iter().flatten()) {
            let found = self.0.entry(stored.id.0).or_insert(Found { stored, score: 0.0, by: Vec::new() });
            found.score += 1.0 / (RANK + rank as f64);
            found.by.push(way(rank, &clues));
        }
    }

    /// The `limit` best; of equals the latest first.
    fn best(self, limit: usize) -> Vec<Found> {
        let mut found: Vec<Found> = self.0.into_values().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.stored.id.cmp(&a.stored.id)));
        found.truncate(limit);
        found
    }
}

/// Words that a question is taken for: as they stand in it, without the punctuation around them, none twice.
pub fn words_of(question: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let pieces = question.split(|c: char| c.is_whitespace() || "()[]{}<>\"',;=|".contains(c));
    for piece in pieces.map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()) {
        if !piece.is_empty() && !words.contains(&piece) && words.len() < MAX_WORDS {
            words.push(piece);
        }
    }
    words
}

/// What a word may be the name of.
fn entities_of(word: &str) -> Vec<Entity> {
    use EntityKind::{Domain, File, Hash, Host, Ip, Process, Registry, User};
    let address = word.rsplit_once(':').map_or(word, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) && host.matches(':').count() == 0 {
            host
        } else {
            word
        }
    });
    let kinds: &[EntityKind] = if address.parse::<IpAddr>().is_ok() {
        return vec![Entity::new(Ip, address)];
    } else if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        &[Hash]
    } else if word.starts_with("hk") && word.contains('\\') {
        &[Registry]
    } else if word.contains(['/', '\\']) {
        // `DOMAIN\user` is a user; a path has more.
        &[File, User]
    } else {
        &[Host, User, Process, Domain]
    };
    kinds.iter().map(|kind| Entity::new(*kind, word)).filter(|entity| !entity.value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_taken_apart() {
        assert_eq!(
            words_of("Who logged on to WS5.example.local (10.0.0.5) as EXAMPLE\\alice, alice?"),
            ["who", "logged", "on", "to", "ws5.example.local", "10.0.0.5", "as", "example\\alice", "alice"]
        );
        let names = |word: &str| entities_of(word).iter().map(Entity::to_string).collect::<Vec<_>>();
        assert_eq!(names("10.0.0.5:443"), ["ip:10.0.0.5"]);
        assert_eq!(names("fe80::1"), ["ip:fe80::1"]);
        assert_eq!(names("example\\alice"), ["file:example\\alice", "user:alice"]);
        assert_eq!(names("ws5.example.local")[0], "host:ws5");
        assert_eq!(names(&"ab".repeat(32)).len(), 1);
    }
}
