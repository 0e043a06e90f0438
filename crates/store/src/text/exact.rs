//! How is a name made one term, the same when indexed and when asked for?

use casemate_event::{Entity, EntityKind};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The whole text as one token in canonical form.
#[derive(Debug, Clone)]
pub(super) struct ExactTokenizer {
    kind: Option<EntityKind>,
    token: Token,
}

impl ExactTokenizer {
    /// Canonical form of `kind`; lower case without one.
    pub(super) fn new(kind: Option<EntityKind>) -> Self {
        Self { kind, token: Token::default() }
    }
}

impl Tokenizer for ExactTokenizer {
    type TokenStream<'a> = Once<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Once<'a> {
        self.token.reset();
        self.token.position = 0;
        self.token.offset_to = text.len();
        self.token.text = match self.kind {
            Some(kind) => Entity::new(kind, text).value,
            None => text.trim().to_lowercase(),
        };
        Once { token: &mut self.token, done: false }
    }
}

/// Stream of one token.
#[derive(Debug)]
pub(super) struct Once<'a> {
    token: &'a mut Token,
    done: bool,
}

impl TokenStream for Once<'_> {
    fn advance(&mut self) -> bool {
        !std::mem::replace(&mut self.done, true)
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
