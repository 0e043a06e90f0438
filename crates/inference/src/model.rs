//! What is in this model file? Decoder, tokenizer and chat template together.

use std::path::Path;
use std::sync::OnceLock;

use crate::config::Config;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::grammar::TokenEnvironment;
use crate::session::Session;
use crate::template::{ChatTemplate, Turn};
use crate::tokenizer::{Tokenizer, Tokens};
use crate::weights::Weights;

/// What a model file says about itself.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModelInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `llama` or `qwen2`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// The quantisation of most weights, such as `Q4_K`.
    pub quantisation: String,
    /// Most tokens the model can read.
    pub context_length: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// Decoder layers.
    pub layers: usize,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
}

/// A model in memory, shared by any number of sessions.
pub struct Model {
    info: ModelInfo,
    pub(crate) decoder: Decoder,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    environment: OnceLock<TokenEnvironment>,
}

impl Model {
    /// Loads a GGUF file of a supported architecture.
    ///
    /// Reads the whole file and repacks the weights for this processor; memory is then about 2.5 times
    /// the file.
    ///
    /// # Errors
    /// Says what is wrong with the file, where, and what to do about it. Never panics on a hostile file.
    pub fn load(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let config = Config::read(&gguf)?;
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let name = |id: Option<u32>| id.and_then(|id| tokenizer.special_name(id)).unwrap_or_default();
        let template = match gguf.text("tokenizer.chat_template") {
            Some(source) => Some(ChatTemplate::new(source, name(tokenizer.bos), name(Some(tokenizer.end)))?),
            None => None,
        };
        let weights = Weights::load(&gguf, &config)?;
        if tokenizer.len() > weights.vocabulary {
            let what = format!("{} tokens named but {} embedded", tokenizer.len(), weights.vocabulary);
            return Err(gguf.incomplete(what));
        }
        let info = ModelInfo {
            name: gguf.text("general.name").map_or_else(|| file_name(path), str::to_owned),
            architecture: config.architecture.clone(),
            parameters: gguf.parameters(),
            quantisation: gguf.quantisation(),
            context_length: config.context_length,
            file_bytes: gguf.file_bytes,
            layers: config.layers,
            vocabulary: weights.vocabulary,
        };
        tracing::info!(name = info.name, architecture = info.architecture, "model loaded");
        let decoder = Decoder::new(config, weights);
        Ok(Self { info, decoder, tokenizer, template, environment: OnceLock::new() })
    }

    /// What the file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Encodes text from anywhere; special tokens can never form.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the file's splitting rules fail on the text.
    pub fn tokens_of_data(&self, text: &str) -> Result<Tokens> {
        self.tokenizer.encode(text)
    }

    /// The text of tokens; special ones are left out.
    pub fn text_of(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens)
    }

    /// The token that ends the assistant's turn.
    pub fn end_token(&self) -> u32 {
        self.tokenizer.end
    }

    /// Encodes a conversation with the model's own chat template, ready for the assistant's words when
    /// `open_assistant`.
    ///
    /// # Errors
    /// [`Error::Template`] if the file has no template or it does not take these roles in this order.
    pub fn render_chat(&self, turns: &[Turn], open_assistant: bool) -> Result<Tokens> {
        let Some(template) = &self.template else {
            return Err(Error::Template("the file has none: use an instruction-tuned model".to_owned()));
        };
        template.encode(&self.tokenizer, turns, open_assistant)
    }

    /// Opens a session with room for `capacity` tokens (and, beside them, for the rows of questions).
    ///
    /// # Errors
    /// [`Error::ContextLength`] if the model cannot read that many.
    pub fn session(&self, capacity: usize) -> Result<Session<'_>> {
        Session::new(self, capacity)
    }

    pub(crate) fn environment(&self) -> Result<&TokenEnvironment> {
        if let Some(environment) = self.environment.get() {
            return Ok(environment);
        }
        let built = TokenEnvironment::new(&self.tokenizer, self.info.vocabulary)?;
        Ok(self.environment.get_or_init(|| built))
    }
}

fn file_name(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
