//! What is in this model file? Decoder, tokenizer and chat template together.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::cache::{Cache, PageId};
use crate::config::Config;
use crate::decoder::{Decoder, Workspace};
use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::grammar::TokenEnvironment;
use crate::kernel::Isa;
use crate::matmul::Compute;
use crate::pool::Pool;
use crate::session::Session;
use crate::simd;
use crate::template::{ChatTemplate, Turn};
use crate::tokenizer::{Tokenizer, Tokens};
use crate::turns::{self, Ticket, Turns};
use crate::weights::Weights;

/// How a model is run; what is left out is chosen by the machine.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Instruction set; the fastest at hand.
    pub isa: Option<Isa>,
    /// Threads that compute; one per core. Results do not depend on it.
    pub threads: Option<usize>,
    /// Most bytes of keys and values kept, of sessions at work and of what was read before; 2 GiB. Memory
    /// is used only as tokens are read.
    pub cache_bytes: Option<usize>,
    /// Sessions that may wait for their turn to compute before others are turned away; 64.
    pub queue: Option<usize>,
}

const CACHE_BYTES: usize = 2 << 30;
const QUEUE: usize = 64;

/// What a model file says about itself.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModelInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `general.architecture`, such as `qwen2`.
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
    pub(crate) compute: Compute,
    state: Turns<State>,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    environment: OnceLock<TokenEnvironment>,
}

/// What passes change; used by one at a time.
pub(crate) struct State {
    pub(crate) cache: Cache,
    pub(crate) workspace: Workspace,
    pub(crate) logits: Vec<f32>,
}

impl Model {
    /// Loads a GGUF file of a supported architecture, to be run as is fastest here.
    ///
    /// # Errors
    /// As [`Model::load_with`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, &LoadOptions::default())
    }

    /// Loads a GGUF file of a supported architecture.
    ///
    /// Packs the weights for the kernels; memory is then little more than the file's size.
    ///
    /// # Errors
    /// Says what is wrong with the file, where, and what to do about it. Never panics on a hostile file.
    pub fn load_with(path: &Path, options: &LoadOptions) -> Result<Self> {
        let isa = options.isa.unwrap_or_else(Isa::best);
        if !isa.is_available() {
            return Err(Error::BadRequest(format!(
                "this machine has no {isa}: leave it out for the fastest it has"
            )));
        }
        let gguf = Arc::new(Gguf::open(path)?);
        let config = Config::read(&gguf)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(cores).clamp(1, 256);
        let compute = Compute { pool: Pool::new(threads).that_rests(), isa };
        // The vocabulary takes one core about as long as the weights take the others.
        let (tokenizer, weights) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| Tokenizer::from_gguf(&gguf));
            let weights = Weights::load(&gguf, &config, &compute);
            let failed = |_| Err(Error::Tokenizer("reading it failed".to_owned()));
            (tokenizer.join().unwrap_or_else(failed), weights)
        });
        let (tokenizer, weights) = (tokenizer?, weights?);
        let name = |id: Option<u32>| id.and_then(|id| tokenizer.special_name(id)).unwrap_or_default();
        let template = match gguf.text("tokenizer.chat_template") {
            Some(source) => Some(ChatTemplate::new(source, name(tokenizer.bos), name(Some(tokenizer.end)))?),
            None => None,
        };
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
        tracing::info!(name = info.name, architecture = info.architecture, isa = %compute.isa, "model loaded");
        let decoder = Decoder::new(config, weights);
        let cache = Cache::new(decoder.sizes(), options.cache_bytes.unwrap_or(CACHE_BYTES));
        let state = State { cache, workspace: Workspace::default(), logits: Vec::new() };
        let state = Turns::new(state, options.queue.unwrap_or(QUEUE));
        Ok(Self { info, decoder, compute, state, tokenizer, template, environment: OnceLock::new() })
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

    /// The bytes a token stands for: a piece of a character where it ends inside one; none for special tokens.
    pub fn bytes_of(&self, token: u32) -> &[u8] {
        self.tokenizer.bytes(token)
    }

    /// The name of a special token, such as `<|im_end|>`; none of those that text is made of.
    pub fn special_name(&self, token: u32) -> Option<&str> {
        self.tokenizer.special_name(token)
    }

    /// Whether there is a special token of this name.
    pub fn has_special(&self, name: &str) -> bool {
        self.tokenizer.has_special(name)
    }

    /// The token that texts begin with, for models that were trained so.
    pub fn begin_token(&self) -> Option<u32> {
        self.tokenizer.bos.filter(|_| self.tokenizer.add_bos)
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

    /// The instruction set its kernels use.
    pub fn isa(&self) -> Isa {
        self.compute.isa
    }

    /// Opens a session with room for `capacity` tokens (and, beside them, for the rows of questions), whose
    /// work belongs to the backlog.
    ///
    /// # Errors
    /// [`Error::ContextLength`] if the model cannot read that many.
    pub fn session(&self, capacity: usize) -> Result<Session<'_>> {
        self.session_with(capacity, Ticket::default())
    }

    /// As [`Model::session`], with its own priority, deadline and way to be cancelled.
    ///
    /// # Errors
    /// [`Error::ContextLength`] if the model cannot read that many.
    pub fn session_with(&self, capacity: usize, ticket: Ticket) -> Result<Session<'_>> {
        Session::new(self, capacity, ticket)
    }

    /// Forgets what was read before and no session holds, so that the same text is computed again.
    pub fn forget(&self) {
        self.state.lock().cache.forget();
    }

    /// Waits for a turn to compute.
    pub(crate) fn state(&self, ticket: &Ticket) -> Result<turns::Turn<'_, State>> {
        self.state.take(ticket)
    }

    /// Gives back pages of a session.
    pub(crate) fn release(&self, pages: &[PageId]) {
        if !pages.is_empty() {
            let mut state = self.state.lock();
            pages.iter().for_each(|page| state.cache.release(*page));
        }
    }

    /// The logarithm that turns scores into log-probabilities.
    pub(crate) fn log_total(&self, logits: &[f32]) -> Result<f32> {
        let total = simd::log_sum_exp(self.compute.isa, logits);
        if total.is_finite() { Ok(total) } else { Err(Error::NotFinite) }
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
