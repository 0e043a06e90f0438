//! Which tokens may come next? Masks, and grammars compiled by llguidance.

use std::sync::Arc;

use llguidance::api::{GrammarInit, ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Logger, Matcher, ParserFactory};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokenizer::Tokenizer;

/// Decides token by token what may be generated.
pub trait Constraint {
    /// The tokens that may come next.
    ///
    /// # Errors
    /// [`Error::Grammar`] if none can.
    fn allowed(&mut self) -> Result<TokenMask>;

    /// Takes note of the token chosen; true when nothing more is to be generated.
    ///
    /// # Errors
    /// [`Error::Grammar`] if the token was not allowed.
    fn accept(&mut self, token: u32) -> Result<bool>;
}

/// A set of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMask {
    /// One bit per token; empty means all.
    words: Vec<u32>,
}

impl TokenMask {
    /// Every token of the vocabulary.
    pub fn all() -> Self {
        Self { words: Vec::new() }
    }

    /// Only the tokens given.
    pub fn of(tokens: impl IntoIterator<Item = u32>) -> Self {
        let mut words = vec![0];
        for token in tokens {
            let word = token as usize / 32;
            if word >= words.len() {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (token % 32);
        }
        Self { words }
    }

    /// Whether a token is in the set.
    pub fn contains(&self, token: u32) -> bool {
        self.words.is_empty()
            || self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// The token that is alone in the set.
    pub(crate) fn only(&self) -> Option<u32> {
        let mut words = self.words.iter().zip(0u32..).filter(|(word, _)| **word != 0);
        let (word, index) = words.next()?;
        let alone = word.count_ones() == 1 && words.next().is_none();
        alone.then(|| index * 32 + word.trailing_zeros())
    }

    /// The token with the highest score; the first of equals.
    pub(crate) fn best(&self, logits: &[f32]) -> Option<u32> {
        let mut best: Option<(f32, u32)> = None;
        for (logit, token) in logits.iter().zip(0u32..) {
            if !logit.is_nan() && self.contains(token) && best.is_none_or(|(highest, _)| *logit > highest) {
                best = Some((*logit, token));
            }
        }
        best.map(|(_, token)| token)
    }
}

/// No constraint: the model ends its turn when it will.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconstrained;

impl Constraint for Unconstrained {
    fn allowed(&mut self) -> Result<TokenMask> {
        Ok(TokenMask::all())
    }

    fn accept(&mut self, _: u32) -> Result<bool> {
        Ok(false)
    }
}

/// Anything that is text: whichever special token the model writes first ends it.
pub struct Spoken<'m>(pub &'m Model);

impl Constraint for Spoken<'_> {
    fn allowed(&mut self) -> Result<TokenMask> {
        Ok(TokenMask::all())
    }

    fn accept(&mut self, token: u32) -> Result<bool> {
        Ok(self.0.special_name(token).is_some())
    }
}

/// The vocabulary as llguidance takes it, and what it precomputes from it.
pub(crate) struct TokenEnvironment {
    factory: ParserFactory,
}

/// A grammar in llguidance's dialect of Lark, and how far it has been matched.
pub struct Grammar {
    matcher: Matcher,
}

/// Bounds of a grammar that somebody else wrote, or a part of it: most states of its lexer (some 2 kB each; the library
/// takes 250,000), size in symbols (500,000) and work to build the lexer (1,000,000, at 50,000 in a millisecond).
const MAX_FOREIGN_STATES: usize = 20_000;
const MAX_FOREIGN_SIZE: usize = 100_000;
const MAX_FOREIGN_FUEL: u64 = 1_000_000;

impl Grammar {
    /// Compiles `lark`, whose start symbol is `start`. JSON schemas stand in it as `%json { … }`.
    ///
    /// # Errors
    /// [`Error::Grammar`] if it does not compile; the message says where.
    pub fn new(model: &Model, lark: &str) -> Result<Self> {
        let factory = &model.environment()?.factory;
        Self::checked(Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(lark.to_owned()))))
    }

    /// As [`new`](Self::new), with less memory and time, for a grammar that holds what somebody else wrote, such as a
    /// schema from a request.
    ///
    /// # Errors
    /// [`Error::Grammar`] if it does not compile or is too large.
    pub fn foreign(model: &Model, lark: &str) -> Result<Self> {
        let factory = &model.environment()?.factory;
        let limits = ParserLimits {
            max_lexer_states: MAX_FOREIGN_STATES,
            max_grammar_size: MAX_FOREIGN_SIZE,
            initial_lexer_fuel: MAX_FOREIGN_FUEL,
            verbose_errors: false,
            ..factory.limits().clone()
        };
        let written = GrammarInit::Serialized(TopLevelGrammar::from_lark(lark.to_owned()));
        let (capabilities, quiet) = (InferenceCapabilities::default(), Logger::new(0, 0));
        Self::checked(Matcher::new(factory.create_parser_from_init_ext(written, quiet, capabilities, limits)))
    }

    /// Whether `text` is what the grammar describes, whole.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the text cannot be encoded.
    pub fn matches(mut self, model: &Model, text: &str) -> Result<bool> {
        for token in model.tokens_of_data(text)? {
            if self.matcher.is_stopped() || self.matcher.consume_token(token).is_err() {
                return Ok(false);
            }
        }
        Ok(self.matcher.is_accepting().unwrap_or(false))
    }

    fn checked(mut matcher: Matcher) -> Result<Self> {
        match matcher.get_error() {
            Some(error) => Err(Error::Grammar(error)),
            None => {
                for warning in matcher.grammar_warnings() {
                    tracing::warn!(warning, "grammar");
                }
                Ok(Self { matcher })
            }
        }
    }
}

impl Constraint for Grammar {
    fn allowed(&mut self) -> Result<TokenMask> {
        let mask = self.matcher.compute_mask_or_eos().map_err(|error| Error::Grammar(error.to_string()))?;
        if mask.is_zero() {
            return Err(Error::Grammar("no token may follow".to_owned()));
        }
        Ok(TokenMask { words: mask.as_slice().to_vec() })
    }

    fn accept(&mut self, token: u32) -> Result<bool> {
        if self.matcher.is_stopped() {
            return Ok(true);
        }
        self.matcher.consume_token(token).map_err(|error| Error::Grammar(error.to_string()))?;
        Ok(self.matcher.is_stopped())
    }
}

/// Longest token, in bytes, and total size that llguidance's trie can hold.
const MAX_TOKEN_BYTES: usize = 1000;
const MAX_TRIE_BYTES: usize = 4_000_000;

impl TokenEnvironment {
    pub(crate) fn new(tokenizer: &Tokenizer, vocabulary: usize) -> Result<Self> {
        let mut words: Vec<Vec<u8>> = Vec::with_capacity(vocabulary);
        for token in 0..vocabulary as u32 {
            words.push(match tokenizer.special_name(token) {
                Some(name) if name.len() < MAX_TOKEN_BYTES => {
                    let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                    word.extend_from_slice(name.as_bytes());
                    word
                }
                _ => Some(tokenizer.bytes(token))
                    .filter(|b| b.len() < MAX_TOKEN_BYTES)
                    .unwrap_or_default()
                    .to_vec(),
            });
        }
        if words.iter().map(Vec::len).sum::<usize>() > MAX_TRIE_BYTES {
            return Err(Error::Tokenizer("the vocabulary is too large for grammars".to_owned()));
        }
        let trie = TokTrie::from(&TokRxInfo::new(vocabulary as u32, tokenizer.end), &words);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory =
            ParserFactory::new_simple(&environment).map_err(|error| Error::Grammar(error.to_string()))?;
        factory.quiet();
        Ok(Self { factory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let mask = TokenMask::of([3, 70]);
        assert!(mask.contains(3) && mask.contains(70) && !mask.contains(4) && !mask.contains(700));
        assert_eq!(mask.only(), None);
        assert_eq!(TokenMask::of([70]).only(), Some(70));
        assert_eq!(TokenMask::all().only(), None);
        assert!(TokenMask::all().contains(9));
        assert_eq!(TokenMask::of([1, 2]).best(&[9.0, 1.0, 1.0]), Some(1));
        assert_eq!(TokenMask::all().best(&[9.0, 1.0, 10.0]), Some(2));
        assert_eq!(TokenMask::of([5]).best(&[9.0]), None);
    }
}
