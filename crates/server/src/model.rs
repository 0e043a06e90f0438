//! Who asks the model beside the investigations, and how do they share it?
//!
//! [`App::model`](crate::state::App::model) is the one loaded model, used by requests and by the investigation worker
//! at the same time: passes take turns, those of people before the backlog's, but never more than a few in a row. Only
//! so many are answered at once and only so many wait; one more is told when to come back. Whoever drops an
//! [`Answering`] ends its work before the next pass, and so does the end of the server.
//!
//! ```ignore
//! let model = app.model.as_ref().ok_or_else(|| model::absent(&app))?;
//! let turns = vec![Turn::text(Role::System, "…"), Turn { role: Role::User, parts: vec![Part::Data(log_text)] }];
//! let mut answering = model.ask(Ask::chat(turns).under(lark).at_most(300)).await?; // a `Refused` is a `Problem`
//! while let Some(piece) = answering.next().await {
//!     match piece? {
//!         Piece::Written(written) => send(written.text),
//!         Piece::End { ending, .. } => break,
//!     }
//! }
//! ```
//!
//! Deliberately absent: what is asked, and how an answer is worded for whom.

use crate::problem::Problem;
use crate::serve::is_stopping;
use crate::state::App;
use crate::turnstile::{Full, Turnstile};
use axum::http::StatusCode;
use casemate_inference::{
    Cancel, Chosen, Constraint, Ending, Error, Grammar, Model, Priority, Request, Sampler, Session, Spoken,
    Ticket, Tokens, Turn, Watch, generate_batch,
};
use casemate_investigate::LoadedModel;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Requests answered at once: their passes take turns.
const AT_ONCE: usize = 4;
/// Requests that may wait for that.
const MAX_WAITING: usize = 32;
const COMPILED_AT_ONCE: usize = 2;
/// About how long an answer takes, before one was measured.
const SECONDS_EACH: f64 = 5.0;
/// Longest time from asking to the last token. What was written until then is the answer.
const PATIENCE: Duration = Duration::from_secs(600);
/// Tokens written at most where nobody says how many.
const USUAL_TOKENS: usize = 4096;
/// A grammar with somebody else's schema in it may nest deeply.
const STACK: usize = 16 << 20;

/// The model, as requests use it.
pub(crate) struct SharedModel {
    loaded: LoadedModel,
    /// Since when it is in memory.
    since: Timestamp,
    turnstile: Arc<Turnstile>,
    /// Grammars compiled at once beside the requests'.
    compiling: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// What is asked.
pub(crate) struct Ask {
    prompt: Prompt,
    /// What may be written, in llguidance's dialect of Lark; anything, if nothing is said. Special tokens that it names
    /// appear in the text by their names.
    lark: Option<String>,
    /// One for each answer wanted.
    samplers: Vec<Sampler>,
    max_tokens: Option<usize>,
    top: Option<usize>,
    /// Whether the tokens of the prompt are weighed as well.
    weigh_prompt: bool,
    priority: Priority,
}

enum Prompt {
    Chat(Vec<Turn>),
    Text(String),
    Tokens(Tokens),
}

impl Ask {
    /// The assistant's next words in a conversation: one answer, the most probable, of a person who waits.
    pub(crate) fn chat(turns: Vec<Turn>) -> Self {
        Self::new(Prompt::Chat(turns))
    }

    /// What follows this text, which is data.
    pub(crate) fn text(text: String) -> Self {
        Self::new(Prompt::Text(text))
    }

    /// What follows these tokens.
    pub(crate) fn tokens(tokens: Tokens) -> Self {
        Self::new(Prompt::Tokens(tokens))
    }

    fn new(prompt: Prompt) -> Self {
        let (samplers, priority) = (vec![Sampler::Greedy], Priority::Interactive);
        Self { prompt, lark: None, samplers, max_tokens: None, top: None, weigh_prompt: false, priority }
    }

    /// Only what this grammar allows, in llguidance's dialect of Lark; JSON schemas stand in it as `%json { … }`.
    pub(crate) fn under(self, lark: String) -> Self {
        Self { lark: Some(lark), ..self }
    }

    /// As many answers as samplers.
    pub(crate) fn sampled(self, samplers: Vec<Sampler>) -> Self {
        Self { samplers, ..self }
    }

    /// Most tokens of each answer.
    pub(crate) fn at_most(self, max_tokens: usize) -> Self {
        Self { max_tokens: Some(max_tokens), ..self }
    }

    /// With log-probabilities, and those of so many alternatives.
    pub(crate) fn with_logprobs(self, top: usize) -> Self {
        Self { top: Some(top), ..self }
    }

    /// With the log-probabilities of the prompt's own tokens; what was read before is computed again for that.
    pub(crate) fn weighing_the_prompt(self) -> Self {
        Self { weigh_prompt: true, ..self }
    }

    /// Before whom its passes come.
    pub(crate) fn of(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }
}

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    Written(Written),
    /// The answer with this number is whole.
    End {
        choice: usize,
        ending: Ending,
    },
}

/// A token of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Number of the answer, from 0.
    pub(crate) choice: usize,
    pub(crate) chosen: Chosen,
    /// The characters that are whole with it; none where it ends inside one.
    pub(crate) text: String,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{waiting} requests wait for the model already; ask again in {seconds} s")]
    Busy { waiting: usize, seconds: u32 },
    #[error(
        "the prompt is {prompt} tokens and {wanted} more are wanted; the model reads and writes {limit} in all"
    )]
    TooLong { prompt: usize, wanted: usize, limit: usize },
    #[error("the conversation cannot be written for this model: {0}")]
    Prompt(String),
    #[error("{0}")]
    Grammar(String),
    #[error("the model had no turn for this in {} s", PATIENCE.as_secs())]
    Late,
    #[error("casemate is ending; ask again once it is back")]
    Ending,
    #[error("the model failed; the log says why")]
    Failed,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let said = refused.to_string();
        match refused {
            Refused::Busy { seconds, .. } => Self::too_many(said, seconds),
            Refused::TooLong { .. } | Refused::Prompt(_) | Refused::Grammar(_) => Self::unprocessable(said),
            Refused::Late | Refused::Ending => Self::busy(said, 5),
            Refused::Failed => Self::new(StatusCode::INTERNAL_SERVER_ERROR, said),
        }
    }
}

/// Why there is no model to ask.
pub(crate) fn absent(app: &App) -> Problem {
    let why = app.queue.held().unwrap_or("casemate was started without a model (--model none)");
    Problem::busy(format!("there is no model to ask: {why}"), 60)
}

/// An answer as it is written. Dropped, it ends.
pub(crate) struct Answering {
    /// What was read.
    pub(crate) prompt: Tokens,
    /// How many of those had been read before and were not computed again.
    pub(crate) cached_tokens: usize,
    /// The prompt's tokens after the first, if they were to be weighed.
    pub(crate) weighed: Vec<Chosen>,
    pieces: mpsc::UnboundedReceiver<Result<Piece, Refused>>,
    enough: Arc<[AtomicBool]>,
    _leash: Leash,
}

impl Answering {
    /// What was written next; nothing once all answers ended.
    pub(crate) async fn next(&mut self) -> Option<Result<Piece, Refused>> {
        self.pieces.recv().await
    }

    /// No more of the answer with this number is wanted; the others go on.
    pub(crate) fn enough_of(&self, choice: usize) {
        if let Some(enough) = self.enough.get(choice) {
            enough.store(true, Ordering::Relaxed);
        }
    }
}

/// Ends the work when it is dropped or the server ends.
struct Leash {
    cancel: Cancel,
    watching: JoinHandle<()>,
}

impl Leash {
    fn new(cancel: Cancel, stopping: watch::Receiver<bool>) -> Self {
        let of_task = cancel.clone();
        let watching = tokio::spawn(async move {
            is_stopping(stopping).await;
            of_task.cancel();
        });
        Self { cancel, watching }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.watching.abort();
    }
}

impl SharedModel {
    pub(crate) fn new(loaded: LoadedModel, stopping: watch::Receiver<bool>) -> Self {
        Self {
            loaded,
            since: Timestamp::now(),
            turnstile: Turnstile::new(AT_ONCE, MAX_WAITING, SECONDS_EACH),
            compiling: Arc::new(Semaphore::new(COMPILED_AT_ONCE)),
            stopping,
        }
    }

    /// The model itself: for counting tokens and the like. What computes goes through [`ask`](Self::ask).
    pub(crate) fn model(&self) -> &Arc<Model> {
        &self.loaded.model
    }

    /// SHA-256 of its file.
    pub(crate) fn sha256(&self) -> &str {
        &self.loaded.sha256
    }

    /// Since when it is in memory.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Requests that are answered, and that wait for that.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.turnstile.inside(), self.turnstile.waiting())
    }

    /// Ready once the prompt is read and the grammar compiled; what is written comes as it is written.
    ///
    /// # Errors
    /// [`Refused`], before anything is written.
    pub(crate) async fn ask(self: &Arc<Self>, ask: Ask) -> Result<Answering, Refused> {
        let begun = Instant::now();
        let ticket =
            Ticket { priority: ask.priority, deadline: Some(begun + PATIENCE), cancel: Cancel::default() };
        let leash = Leash::new(ticket.cancel.clone(), self.stopping.clone());
        let inside = tokio::select! {
            inside = tokio::time::timeout(PATIENCE, self.turnstile.enter()) => {
                inside.map_err(|_| Refused::Late)?.map_err(busy)?
            }
            () = is_stopping(self.stopping.clone()) => return Err(Refused::Ending),
        };
        let (begin, began) = oneshot::channel();
        let (sender, pieces) = mpsc::unbounded_channel();
        let shared = Arc::clone(self);
        let enough: Arc<[AtomicBool]> = ask.samplers.iter().map(|_| AtomicBool::new(false)).collect();
        let told_enough = Arc::clone(&enough);
        let work = move || {
            let _inside = inside;
            Writing { shared: &shared, ask: &ask, ticket, pieces: &sender, enough: &told_enough }.run(begin);
        };
        thread("ask", work)?;
        // The thread is gone without a word only if it panicked.
        let Begun { prompt, cached_tokens, weighed } = began.await.unwrap_or(Err(Refused::Failed))?;
        Ok(Answering { prompt, cached_tokens, weighed, pieces, enough, _leash: leash })
    }

    /// Whether `text` is what this grammar of somebody else describes, whole. Computes no pass.
    ///
    /// # Errors
    /// [`Refused::Failed`] if it cannot be told.
    pub(crate) async fn conforms(&self, lark: String, text: String) -> Result<bool, Refused> {
        // It is never closed.
        let permit = Arc::clone(&self.compiling).acquire_owned().await.map_err(|_| Refused::Failed)?;
        let (tell, told) = oneshot::channel();
        let model = Arc::clone(self.model());
        thread("conforms", move || {
            let _permit = permit;
            let conforms = Grammar::foreign(&model, &lark).and_then(|grammar| grammar.matches(&model, &text));
            let conforms = conforms.unwrap_or_else(|error| {
                tracing::debug!(%error, "a text could not be held against its schema");
                false
            });
            gone(tell.send(conforms).is_err());
        })?;
        told.await.map_err(|_| Refused::Failed)
    }

    /// How a failure is told; what is nobody's fault but ours is logged.
    fn refused(&self, error: Error) -> Refused {
        match error {
            Error::Busy { .. } | Error::CacheFull { .. } => busy(self.turnstile.full()),
            Error::ContextLength { needed, limit } => Refused::TooLong { prompt: needed, wanted: 0, limit },
            Error::Template(why) | Error::BadRequest(why) => Refused::Prompt(why),
            Error::Grammar(why) => Refused::Grammar(why),
            Error::Deadline => Refused::Late,
            Error::Cancelled => Refused::Ending,
            error => {
                tracing::error!(%error, "a request to the model failed");
                Refused::Failed
            }
        }
    }
}

/// What is known once a prompt is read.
struct Begun {
    prompt: Tokens,
    cached_tokens: usize,
    weighed: Vec<Chosen>,
}

/// A prompt that was read, and what may follow it, for each answer.
struct Prepared<'m> {
    prompt: Tokens,
    session: Session<'m>,
    weighed: Vec<Chosen>,
    max_tokens: usize,
    constraints: Vec<Box<dyn Constraint + 'm>>,
}

/// One request on its thread.
struct Writing<'a> {
    shared: &'a SharedModel,
    ask: &'a Ask,
    ticket: Ticket,
    pieces: &'a mpsc::UnboundedSender<Result<Piece, Refused>>,
    enough: &'a [AtomicBool],
}

impl Writing<'_> {
    /// Says through `begin` how many tokens were read and known, or why not, and then writes.
    fn run(&self, begin: oneshot::Sender<Result<Begun, Refused>>) {
        let mut prepared = match self.prepare() {
            Ok(prepared) => prepared,
            Err(refused) => return gone(begin.send(Err(refused)).is_err()),
        };
        let begun = Begun {
            prompt: std::mem::take(&mut prepared.prompt),
            cached_tokens: prepared.session.known(),
            weighed: std::mem::take(&mut prepared.weighed),
        };
        if begin.send(Ok(begun)).is_err() {
            return gone(true);
        }
        if let Err(error) = self.write(prepared) {
            gone(self.pieces.send(Err(self.shared.refused(error))).is_err());
        }
    }

    /// The prompt, read.
    fn prepare(&self) -> Result<Prepared<'_>, Refused> {
        let model = self.model();
        let failed = |error| self.shared.refused(error);
        let prompt = match &self.ask.prompt {
            Prompt::Chat(turns) => model.render_chat(turns, true).map_err(failed)?,
            Prompt::Text(text) => {
                let tokens = model.tokens_of_data(text);
                begun(model, tokens.map_err(|error| Refused::Prompt(error.to_string()))?)?
            }
            Prompt::Tokens(tokens) => begun(model, tokens.clone())?,
        };
        let limit = model.info().context_length;
        let room = limit.saturating_sub(prompt.len());
        let max_tokens = self.ask.max_tokens.unwrap_or_else(|| room.clamp(1, USUAL_TOKENS));
        if max_tokens > room {
            return Err(Refused::TooLong { prompt: prompt.len(), wanted: max_tokens, limit });
        }
        let constraint = |_| -> Result<Box<dyn Constraint>, Refused> {
            Ok(match &self.ask.lark {
                Some(lark) => Box::new(Grammar::foreign(model, lark).map_err(failed)?),
                None => Box::new(Spoken(model)),
            })
        };
        let constraints = self.ask.samplers.iter().map(constraint).collect::<Result<Vec<_>, _>>()?;
        let mut session =
            model.session_with(prompt.len() + max_tokens, self.ticket.clone()).map_err(failed)?;
        let weighed = match self.ask.top.filter(|_| self.ask.weigh_prompt) {
            Some(top) => session.read_weighed(&prompt, top).map_err(failed)?,
            None => {
                session.read(&prompt, &mut |_| {}).map_err(failed)?;
                Vec::new()
            }
        };
        Ok(Prepared { prompt, session, weighed, max_tokens, constraints })
    }

    /// Writes all answers together.
    fn write(&self, prepared: Prepared<'_>) -> casemate_inference::Result<()> {
        let Prepared { session, max_tokens, mut constraints, .. } = prepared;
        let mut sessions = Vec::with_capacity(constraints.len());
        for _ in 1..constraints.len() {
            sessions.push(session.fork()?);
        }
        sessions.push(session);
        let mut told: Vec<_> = (0..sessions.len()).map(|choice| self.teller(choice)).collect();
        let mut requests: Vec<Request<'_, '_>> = sessions
            .iter_mut()
            .zip(&mut constraints)
            .zip(&mut told)
            .zip(&self.ask.samplers)
            .map(|(((session, constraint), each), sampler)| Request {
                session,
                constraint: constraint.as_mut(),
                sampler: sampler.clone(),
                max_tokens,
                watch: Some(Watch { top: self.ask.top, each }),
            })
            .collect();
        let endings: Vec<Ending> = match generate_batch(&mut requests) {
            Ok(generated) => generated.into_iter().map(|generated| generated.ending).collect(),
            // What was written in time is the answer.
            Err(Error::Deadline) => vec![Ending::Length; requests.len()],
            Err(error) => return Err(error),
        };
        for (choice, ending) in endings.into_iter().enumerate() {
            gone(self.pieces.send(Ok(Piece::End { choice, ending })).is_err());
        }
        Ok(())
    }

    /// Sends on what one answer gets, as long as somebody takes it.
    fn teller(&self, choice: usize) -> impl FnMut(&Chosen) -> bool {
        let mut bytes = Vec::new();
        move |chosen: &Chosen| {
            match self.model().special_name(chosen.token).filter(|_| self.ask.lark.is_some()) {
                Some(name) => bytes.extend_from_slice(name.as_bytes()),
                None => bytes.extend_from_slice(self.model().bytes_of(chosen.token)),
            }
            let written = Written { choice, chosen: chosen.clone(), text: take_whole(&mut bytes) };
            let wanted = self.enough.get(choice).is_none_or(|enough| !enough.load(Ordering::Relaxed));
            self.pieces.send(Ok(Piece::Written(written))).is_ok() && wanted
        }
    }

    fn model(&self) -> &Model {
        self.shared.model()
    }
}

/// With the token that texts begin with, where the model knows one.
fn begun(model: &Model, mut tokens: Tokens) -> Result<Tokens, Refused> {
    if let Some(begin) = model.begin_token()
        && tokens.first() != Some(&begin)
    {
        tokens.insert(0, begin);
    }
    if tokens.is_empty() {
        return Err(Refused::Prompt("an empty text has no continuation".to_owned()));
    }
    Ok(tokens)
}

/// A thread with room for a grammar that nests deeply.
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
    let started = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(|| {
        crate::give_way();
        work();
    });
    started.map(drop).map_err(|error| {
        tracing::error!(%error, "a thread for a request could not be started");
        Refused::Failed
    })
}

fn busy(full: Full) -> Refused {
    Refused::Busy { waiting: full.waiting, seconds: full.seconds }
}

fn gone(gone: bool) {
    if gone {
        tracing::debug!("whoever asked the model is gone");
    }
}

/// Takes the characters out that are whole; what is no UTF-8 becomes U+FFFD.
fn take_whole(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(whole) => {
                text.push_str(whole);
                bytes.clear();
                return text;
            }
            Err(error) => {
                let (whole, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(whole));
                let rest = match error.error_len() {
                    Some(wrong) => {
                        text.push(char::REPLACEMENT_CHARACTER);
                        rest[wrong..].to_vec()
                    }
                    None => {
                        *bytes = rest.to_vec();
                        return text;
                    }
                };
                *bytes = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_whole() {
        let mut bytes = "a\u{20ac}".as_bytes()[..3].to_vec();
        assert_eq!(take_whole(&mut bytes), "a");
        bytes.push(0xac);
        assert_eq!(take_whole(&mut bytes), "\u{20ac}");
        bytes.extend([b'x', 0xff, b'y', 0xf0, 0x9f]);
        assert_eq!(take_whole(&mut bytes), "x\u{fffd}y");
        assert_eq!(bytes, [0xf0, 0x9f]);
    }
}
