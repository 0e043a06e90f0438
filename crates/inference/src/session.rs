//! What has been read so far, and what follows from it? Reading, scoring and generating on one cache.
//!
//! A session is a list of tokens and the cache of their keys and values. Questions are scored in slots
//! behind the tokens and forgotten again. Decoding is greedy: the same inputs give the same tokens.

use crate::attention::Visible;
use crate::cache::{BLOCK_SLOTS, KvCache};
use crate::decoder::Row;
use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::matrix::Matrix;
use crate::model::Model;
use crate::simd;
use crate::tokenizer::Tokens;

/// Rows computed at once. Longer chunks bring no speed, only larger buffers.
const CHUNK_ROWS: usize = 512;
/// Slots kept for the rows of questions beyond the session's capacity; more questions take more passes.
/// Memory becomes resident only as they are used.
const QUESTION_SLOTS: usize = 4096;
/// Rows whose scores over the whole vocabulary are held at once (0.6 MB each for 152k tokens).
const LOGIT_ROWS: usize = 64;

/// Words that may follow what was read, and the answers to weigh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// Follows the session's tokens.
    pub suffix: Tokens,
    /// Possible continuations after the suffix, none of them empty.
    pub candidates: Vec<Tokens>,
}

/// Tokens read into one preallocated cache.
pub struct Session<'m> {
    model: &'m Model,
    cache: KvCache,
    tokens: Tokens,
    capacity: usize,
    /// Normalised hidden state of the last token, if it was computed by the last read.
    last_hidden: Option<Matrix>,
}

impl<'m> Session<'m> {
    pub(crate) fn new(model: &'m Model, capacity: usize) -> Result<Self> {
        let limit = model.decoder.context_length();
        if capacity > limit {
            return Err(Error::ContextLength { needed: capacity, limit });
        }
        let cache = model.decoder.new_cache(capacity + QUESTION_SLOTS)?;
        Ok(Self { model, cache, tokens: Tokens::new(), capacity, last_hidden: None })
    }

    /// Number of tokens read.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether nothing has been read.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Number of tokens there is room for in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The tokens read.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Forgets all tokens but the first `len`; costs nothing.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if fewer have been read.
    pub fn rewind(&mut self, len: usize) -> Result<()> {
        if len > self.len() {
            return Err(Error::BadRequest(format!("cannot rewind to {len} of {} tokens", self.len())));
        }
        if len < self.len() {
            self.tokens.truncate(len);
            self.last_hidden = None;
        }
        Ok(())
    }

    /// Reads tokens, in chunks; `progress` hears how many of them are done after each.
    ///
    /// # Errors
    /// [`Error::ContextLength`] if they do not fit; nothing is read then.
    pub fn read(&mut self, tokens: &[u32], progress: &mut dyn FnMut(usize)) -> Result<()> {
        let needed = self.len() + tokens.len();
        if needed > self.capacity {
            return Err(Error::ContextLength { needed, limit: self.capacity });
        }
        self.check_tokens(tokens)?;
        let mut done = 0;
        for chunk in tokens.chunks(CHUNK_ROWS) {
            done += chunk.len();
            self.extend(chunk, done == tokens.len())?;
            progress(done);
        }
        Ok(())
    }

    /// Scores of every token of the vocabulary as the next one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if nothing has been read.
    pub fn logits(&mut self) -> Result<Vec<f32>> {
        if self.last_hidden.is_none() {
            let Some(last) = self.tokens.pop() else {
                return Err(Error::BadRequest("nothing has been read that anything could follow".to_owned()));
            };
            self.extend(&[last], true)?;
        }
        match &self.last_hidden {
            Some(hidden) => {
                let logits = self.model.decoder.logits(hidden)?.row(0).to_vec();
                log_total(&logits)?;
                Ok(logits)
            }
            None => Err(Error::BadRequest("the last token was not computed".to_owned())),
        }
    }

    /// Natural-log probability of each candidate of each question, as a continuation of the tokens read
    /// and the question's suffix.
    ///
    /// All questions run in one pass: each sees the tokens read and its own words, not the others. The
    /// session is the same afterwards. A question gives the same bits whatever is asked beside it, except
    /// in models small enough to be computed in 32-bit floats, where it does within 1e-3.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if a candidate is empty or there is nothing to continue,
    /// [`Error::ContextLength`] if a question is too long.
    pub fn score(&mut self, questions: &[Question]) -> Result<Vec<Vec<f32>>> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut plan = Plan::new(self.len());
        for question in questions {
            self.check_question(question)?;
            if plan.end_with(question) > self.cache.slots() {
                answers.extend(self.run(&plan)?);
                plan = Plan::new(self.len());
            }
            let needed = plan.end_with(question);
            if needed > self.cache.slots() {
                return Err(Error::ContextLength { needed, limit: self.cache.slots() });
            }
            plan.add(question, &self.tokens)?;
        }
        answers.extend(self.run(&plan)?);
        Ok(answers)
    }

    /// Appends the most probable tokens that `constraint` allows, until it is satisfied, the model ends
    /// its turn, or `max_tokens` were written. Returns them, without the end token.
    ///
    /// Tokens that leave no choice are not computed one by one but together with the next that does.
    ///
    /// # Errors
    /// As the constraint's, and [`Error::ContextLength`] if there is no room for `max_tokens`.
    pub fn generate(&mut self, constraint: &mut dyn Constraint, max_tokens: usize) -> Result<Vec<u32>> {
        let needed = self.len() + max_tokens;
        if needed > self.capacity {
            return Err(Error::ContextLength { needed, limit: self.capacity });
        }
        let mut written = Tokens::new();
        let mut pending = Tokens::new();
        while written.len() < max_tokens {
            let mask = constraint.allowed()?;
            let token = match mask.only() {
                Some(token) => token,
                None => {
                    self.read(&pending, &mut |_| {})?;
                    pending.clear();
                    let logits = self.logits()?;
                    mask.best(&logits).ok_or_else(|| Error::Grammar("no token may follow".to_owned()))?
                }
            };
            let finished = constraint.accept(token)?;
            if token == self.model.end_token() {
                break;
            }
            written.push(token);
            pending.push(token);
            if finished {
                break;
            }
        }
        self.read(&pending, &mut |_| {})?;
        Ok(written)
    }

    fn extend(&mut self, tokens: &[u32], want_last: bool) -> Result<()> {
        let start = self.len();
        let row = |(i, token): (usize, &u32)| {
            let slot = start + i;
            Row { token: *token, position: slot, slot, visible: Visible::up_to(slot + 1) }
        };
        let rows: Vec<Row> = tokens.iter().enumerate().map(row).collect();
        let wanted = if want_last && !rows.is_empty() { vec![rows.len() - 1] } else { Vec::new() };
        self.last_hidden = None;
        let hidden = self.model.decoder.forward(&mut self.cache, &rows, &wanted)?;
        self.tokens.extend_from_slice(tokens);
        if !wanted.is_empty() {
            self.last_hidden = Some(hidden);
        }
        Ok(())
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocabulary = self.model.info().vocabulary;
        match tokens.iter().find(|token| **token as usize >= vocabulary) {
            Some(token) => {
                Err(Error::BadRequest(format!("token {token} is not among the model's {vocabulary}")))
            }
            None => Ok(()),
        }
    }

    fn check_question(&self, question: &Question) -> Result<()> {
        if question.candidates.iter().any(Vec::is_empty) {
            return Err(Error::BadRequest("an empty candidate has no probability".to_owned()));
        }
        let longest = question.candidates.iter().map(Vec::len).max().unwrap_or(0);
        let needed = self.len() + question.suffix.len() + longest;
        let limit = self.model.decoder.context_length();
        if needed > limit {
            return Err(Error::ContextLength { needed, limit });
        }
        question.candidates.iter().chain([&question.suffix]).try_for_each(|tokens| self.check_tokens(tokens))
    }

    fn run(&mut self, plan: &Plan) -> Result<Vec<Vec<f32>>> {
        let mut answers: Vec<Vec<f32>> = plan.candidates.iter().map(|count| vec![0.0; *count]).collect();
        let mut targets = plan.targets.iter().peekable();
        for (chunk, rows) in plan.rows.chunks(CHUNK_ROWS).enumerate() {
            let first = chunk * CHUNK_ROWS;
            let here = std::iter::from_fn(|| targets.next_if(|target| target.row < first + rows.len()));
            let here: Vec<&Target> = here.collect();
            let mut wanted: Vec<usize> = here.iter().map(|target| target.row - first).collect();
            wanted.dedup();
            let hidden =
                self.model.decoder.forward(&mut self.cache, &at_least_two(rows), &at_least_two(&wanted))?;
            for (part, rows) in wanted.chunks(LOGIT_ROWS).enumerate() {
                let part: Vec<usize> = (part * LOGIT_ROWS..).take(rows.len()).collect();
                let logits = self.model.decoder.logits(&hidden.gather(&at_least_two(&part)))?;
                for (i, row) in rows.iter().enumerate() {
                    let logits = logits.row(i);
                    let total = log_total(logits)?;
                    for target in here.iter().filter(|target| target.row - first == *row) {
                        answers[target.question][target.candidate] += logits[target.token as usize] - total;
                    }
                }
            }
        }
        Ok(answers)
    }
}

/// The logarithm that turns scores into log-probabilities.
fn log_total(logits: &[f32]) -> Result<f32> {
    let total = simd::log_sum_exp(logits);
    if total.is_finite() { Ok(total) } else { Err(Error::NotFinite) }
}

/// Candle computes one row with another kernel than several; a second copy keeps a question's figures the
/// same whether it is asked alone or among others.
fn at_least_two<T: Copy>(rows: &[T]) -> Vec<T> {
    match rows {
        [row] => vec![*row, *row],
        rows => rows.to_vec(),
    }
}

/// The rows of one scoring pass, and which of their predictions count for which candidate.
#[derive(Clone)]
struct Plan {
    /// Tokens read.
    prefix: usize,
    /// One past the last slot in use.
    end: usize,
    rows: Vec<Row>,
    /// Ascending by row within a question's suffix and each of its candidates.
    targets: Vec<Target>,
    /// Number of candidates of each question.
    candidates: Vec<usize>,
}

/// "The prediction of `row` for `token` counts for this candidate."
#[derive(Clone, Copy)]
struct Target {
    row: usize,
    token: u32,
    question: usize,
    candidate: usize,
}

impl Plan {
    fn new(prefix: usize) -> Self {
        Self { prefix, end: prefix, rows: Vec::new(), targets: Vec::new(), candidates: Vec::new() }
    }

    /// Where the slots would end with one question more.
    fn end_with(&self, question: &Question) -> usize {
        let candidates: usize = question.candidates.iter().map(|tokens| tokens.len().saturating_sub(1)).sum();
        self.end.next_multiple_of(BLOCK_SLOTS) + question.suffix.len().max(1) + candidates
    }

    fn add(&mut self, question: &Question, read: &[u32]) -> Result<()> {
        let index = self.candidates.len();
        self.candidates.push(question.candidates.len());
        // Without a suffix the last token read is computed once more, in the question's own slot.
        let (suffix, seen) = match (question.suffix.as_slice(), read.split_last()) {
            ([], Some((last, before))) => (std::slice::from_ref(last), before.len()),
            ([], None) => {
                return Err(Error::BadRequest("nothing has been read that anything could follow".to_owned()));
            }
            (suffix, _) => (suffix, self.prefix),
        };
        // Attention adds up in blocks of slots: beginning at a block, every question adds up alike.
        let start = self.end.next_multiple_of(BLOCK_SLOTS);
        self.end = start;
        for (i, token) in suffix.iter().enumerate() {
            let visible = Visible([(0, seen), (start, self.end + 1), (0, 0)]);
            self.push(*token, seen + i, visible);
        }
        let suffix_end = self.end;
        let asked = self.rows.len().saturating_sub(1);
        for (candidate, tokens) in question.candidates.iter().enumerate() {
            if let Some(token) = tokens.first() {
                self.targets.push(Target { row: asked, token: *token, question: index, candidate });
            }
        }
        // A candidate's last token needs no row: nothing is asked after it.
        for (candidate, tokens) in question.candidates.iter().enumerate() {
            let own = self.end;
            for (i, pair) in tokens.windows(2).enumerate() {
                let [token, next] = pair else { continue };
                self.targets.push(Target { row: self.rows.len(), token: *next, question: index, candidate });
                let visible = Visible([(0, seen), (start, suffix_end), (own, self.end + 1)]);
                self.push(*token, seen + suffix.len() + i, visible);
            }
        }
        Ok(())
    }

    fn push(&mut self, token: u32, position: usize, visible: Visible) {
        self.rows.push(Row { token, position, slot: self.end, visible });
        self.end += 1;
    }
}
