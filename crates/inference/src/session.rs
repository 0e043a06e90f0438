//! What has been read so far, and what follows from it? Reading, scoring and generating over shared pages.
//!
//! A session is a list of tokens and the pages of the cache that hold their keys and values. Pages of the
//! same beginning are shared with every other session of the model and with those before it. Questions are
//! scored in pages of their own and forgotten again. The same inputs give the same bits, whoever else
//! reads, is scored or generates at the same time and however many threads compute.

mod generate;

use std::ops::Range;

use crate::cache::{Cache, PAGE, PageId, Slot};
use crate::decoder::{Batch, Observer, Row, Workspace};
use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::matmul::Precision;
use crate::model::{Model, State};
use crate::sampling::Sampler;
use crate::tokenizer::Tokens;
use crate::turns::Ticket;

pub use generate::{Chosen, Ending, Generated, Request, Watch, generate_batch};

/// Rows computed at once. Longer chunks bring little speed, larger buffers and longer turns.
const CHUNK_ROWS: usize = 512;
/// Rows whose scores over the whole vocabulary are held at once (0.6 MB each for 152k tokens).
const LOGIT_ROWS: usize = 32;

/// Words that may follow what was read, and the answers to weigh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// Follows the session's tokens.
    pub suffix: Tokens,
    /// Possible continuations after the suffix, none of them empty.
    pub candidates: Vec<Tokens>,
}

/// Hidden states of a stretch of tokens after one layer, pooled over its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooled {
    /// Layer, from 0; the state is the one it leaves behind, not normalised.
    pub layer: usize,
    /// The tokens, counted from the session's beginning.
    pub tokens: Range<usize>,
    /// Mean of each dimension.
    pub mean: Vec<f32>,
    /// Largest value of each dimension.
    pub max: Vec<f32>,
}

/// Tokens read into pages of the model's cache.
pub struct Session<'m> {
    model: &'m Model,
    /// One for each 64 tokens; the last may have room.
    pages: Vec<PageId>,
    tokens: Tokens,
    capacity: usize,
    /// Tokens that were not computed, as they had been read before.
    known: usize,
    /// Tokens from here on were computed as they were generated, not read: their pages are not shared.
    written_from: usize,
    /// Normalised hidden state of the last token, if it was computed.
    last_hidden: Option<Vec<f32>>,
    ticket: Ticket,
}

impl<'m> Session<'m> {
    pub(crate) fn new(model: &'m Model, capacity: usize, ticket: Ticket) -> Result<Self> {
        let limit = model.decoder.context_length();
        if capacity > limit {
            return Err(Error::ContextLength { needed: capacity, limit });
        }
        Ok(Self {
            model,
            pages: Vec::new(),
            tokens: Tokens::new(),
            capacity,
            known: 0,
            written_from: usize::MAX,
            last_hidden: None,
            ticket,
        })
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

    /// How many of the tokens read had been read before, by any session, and were not computed again.
    pub fn known(&self) -> usize {
        self.known
    }

    /// The tokens read.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// A second session that has read the same; costs nothing until they differ.
    ///
    /// # Errors
    /// [`Error::Busy`] and its kin while waiting for a turn.
    pub fn fork(&self) -> Result<Self> {
        let mut state = self.model.state(&self.ticket)?;
        self.pages.iter().for_each(|page| state.cache.hold(*page));
        drop(state);
        Ok(Self {
            model: self.model,
            pages: self.pages.clone(),
            tokens: self.tokens.clone(),
            capacity: self.capacity,
            known: self.known,
            written_from: self.written_from,
            last_hidden: self.last_hidden.clone(),
            ticket: self.ticket.clone(),
        })
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
            let dropped = self.pages.split_off(len.div_ceil(PAGE));
            self.model.release(&dropped);
            self.tokens.truncate(len);
            self.last_hidden = None;
            if len <= self.written_from {
                self.written_from = usize::MAX;
            }
        }
        Ok(())
    }

    /// Reads tokens, in chunks; `progress` hears how many of them are done after each. What any session of
    /// this model has read before, from the beginning, is not computed again while its pages last.
    ///
    /// # Errors
    /// [`Error::ContextLength`] if they do not fit; nothing is read then. [`Error::CacheFull`] and the kin of
    /// [`Error::Busy`] between chunks; those before are read then.
    pub fn read(&mut self, tokens: &[u32], progress: &mut dyn FnMut(usize)) -> Result<()> {
        self.check_room(tokens.len())?;
        self.check_tokens(tokens)?;
        let mut done = self.read_known(tokens)?;
        if done > 0 {
            progress(done);
        }
        while done < tokens.len() {
            let chunk = &tokens[done..tokens.len().min(done + CHUNK_ROWS)];
            done += chunk.len();
            self.extend(chunk, done == tokens.len(), None)?;
            progress(done);
        }
        Ok(())
    }

    /// Reads tokens and returns the hidden states of `ranges` of them, counted from the session's
    /// beginning, after each of `layers`: for each layer, each range.
    ///
    /// # Errors
    /// As [`Session::read`], and [`Error::BadRequest`] for a layer that does not exist or a range that is
    /// empty or not within the tokens read now.
    pub fn read_pooled(
        &mut self,
        tokens: &[u32],
        layers: &[usize],
        ranges: &[Range<usize>],
    ) -> Result<Vec<Pooled>> {
        self.check_room(tokens.len())?;
        self.check_tokens(tokens)?;
        let (start, end) = (self.len(), self.len() + tokens.len());
        if let Some(range) = ranges.iter().find(|r| r.start >= r.end || r.start < start || r.end > end) {
            return Err(Error::BadRequest(format!("tokens {range:?} are not among {start}..{end}")));
        }
        if let Some(layer) = layers.iter().find(|layer| **layer >= self.model.info().layers) {
            return Err(Error::BadRequest(format!("no layer {layer} of {}", self.model.info().layers)));
        }
        let mut pool = Pool::new(layers, ranges, self.model.decoder.embedding());
        let mut done = 0;
        for chunk in tokens.chunks(CHUNK_ROWS) {
            pool.first = self.len();
            done += chunk.len();
            self.extend(chunk, done == tokens.len(), Some(&mut pool))?;
        }
        Ok(pool.finish())
    }

    /// Scores of every token of the vocabulary as the next one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if nothing has been read.
    pub fn logits(&mut self) -> Result<Vec<f32>> {
        self.compute_last()?;
        let Some(hidden) = self.last_hidden.as_deref() else {
            return Err(Error::BadRequest("the last token was not computed".to_owned()));
        };
        let mut state = self.model.state(&self.ticket)?;
        let State { workspace, logits, .. } = &mut *state;
        workspace.input.reset(1, hidden.len()).copy_from_slice(hidden);
        workspace.input.round(&self.model.compute, Precision::Few);
        self.model.decoder.logits(&self.model.compute, &workspace.input, logits);
        let logits = logits[..self.model.info().vocabulary].to_vec();
        self.model.log_total(&logits)?;
        Ok(logits)
    }

    /// Reads tokens and hands on, for each of them, its place among them and the scores of every token of
    /// the vocabulary as the one after it: for measuring a model on given text.
    ///
    /// They are read as prompts are, many at a time, or one by one as those generated (`stepwise`): the two
    /// round differently where the processor has kernels for each.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub fn read_logits(
        &mut self,
        tokens: &[u32],
        stepwise: bool,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.check_room(tokens.len())?;
        self.check_tokens(tokens)?;
        let (rows, precision) = if stepwise { (1, Precision::Few) } else { (CHUNK_ROWS, Precision::Many) };
        let mut done = 0;
        for chunk in tokens.chunks(rows) {
            let mut state = self.model.state(&self.ticket)?;
            let State { cache, workspace, logits } = &mut *state;
            workspace.batch.clear();
            self.written_from = self.written_from.min(self.len());
            self.append(cache, chunk, &mut workspace.batch)?;
            workspace.batch.wanted.extend(0..chunk.len());
            let Model { decoder, compute, .. } = self.model;
            decoder.forward(compute, &mut cache.memory, workspace, precision, None);
            let hidden = workspace.input.values[..chunk.len() * decoder.embedding()].to_vec();
            self.model.each_logits(&hidden, workspace, logits, |row, logits| {
                each(done + row, logits);
                Ok(())
            })?;
            done += chunk.len();
        }
        Ok(())
    }

    /// Natural-log probability of each candidate of each question, as a continuation of the tokens read
    /// and the question's suffix.
    ///
    /// All questions run in one pass: each sees the tokens read and its own words, not the others. The
    /// session is the same afterwards. A question gives the same bits whatever is asked beside it.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if a candidate is empty or there is nothing to continue,
    /// [`Error::ContextLength`] if a question is too long, [`Error::CacheFull`] if its pages do not fit.
    pub fn score(&mut self, questions: &[Question]) -> Result<Vec<Vec<f32>>> {
        questions.iter().try_for_each(|question| self.check_question(question))?;
        let mut answers = Vec::with_capacity(questions.len());
        let mut rest = questions;
        while !rest.is_empty() {
            let mut rows = 0;
            let fits = |question: &&Question| {
                rows += rows_of(question);
                rows <= CHUNK_ROWS
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (group, after) = rest.split_at(count);
            answers.extend(self.score_group(group)?);
            rest = after;
        }
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
        let request =
            Request { session: self, constraint, sampler: Sampler::Greedy, max_tokens, watch: None };
        Ok(generate_batch(&mut [request])?.pop().map(|generated| generated.tokens).unwrap_or_default())
    }

    /// Takes known pages for as many of the tokens as it can, leaving at least one to compute.
    fn read_known(&mut self, tokens: &[u32]) -> Result<usize> {
        let mut done = 0;
        if !self.len().is_multiple_of(PAGE) || self.written_from < self.len() || tokens.len() <= PAGE {
            return Ok(0);
        }
        let mut state = self.model.state(&self.ticket)?;
        while tokens.len() - done > PAGE {
            let next = &tokens[done..done + PAGE];
            let Some(page) = state.cache.find(self.pages.last().copied(), next) else { break };
            self.pages.push(page);
            self.tokens.extend_from_slice(next);
            self.last_hidden = None;
            done += PAGE;
        }
        self.known += done;
        Ok(done)
    }

    /// Computes the last token once more if its hidden state is not at hand, as after a rewind.
    fn compute_last(&mut self) -> Result<()> {
        if self.last_hidden.is_some() {
            return Ok(());
        }
        let Some(last) = self.tokens.pop() else {
            return Err(Error::BadRequest("nothing has been read that anything could follow".to_owned()));
        };
        let computed = self.extend(&[last], true, None);
        if computed.is_err() {
            // Nothing was written: its key and value are as they were.
            self.tokens.push(last);
        }
        computed
    }

    /// Computes one chunk.
    fn extend(&mut self, tokens: &[u32], want_last: bool, observer: Option<&mut Pool<'_>>) -> Result<()> {
        let mut state = self.model.state(&self.ticket)?;
        let State { cache, workspace, .. } = &mut *state;
        workspace.batch.clear();
        self.append(cache, tokens, &mut workspace.batch)?;
        if want_last {
            workspace.batch.wanted.push(workspace.batch.rows.len() - 1);
        }
        let observer = observer.map(|observer| observer as &mut dyn Observer);
        let Model { decoder, compute, .. } = self.model;
        decoder.forward(compute, &mut cache.memory, workspace, Precision::Many, observer);
        self.publish(cache, tokens.len());
        self.last_hidden = want_last.then(|| workspace.input.row(0).to_vec());
        Ok(())
    }

    /// Makes room for tokens and adds their rows to a batch; they count as read from now on.
    fn append(&mut self, cache: &mut Cache, tokens: &[u32], batch: &mut Batch) -> Result<()> {
        let start = self.len();
        if let Some(page) = self.pages.get_mut(start / PAGE) {
            *page = cache.own(*page)?;
        }
        let needed = (start + tokens.len()).div_ceil(PAGE);
        let held = self.pages.len();
        while self.pages.len() < needed {
            match cache.take() {
                Ok(page) => self.pages.push(page),
                Err(error) => {
                    self.pages.drain(held..).for_each(|page| cache.release(page));
                    return Err(error);
                }
            }
        }
        for (position, token) in (start..).zip(tokens) {
            let slot = Slot { page: self.pages[position / PAGE], slot: position % PAGE };
            batch.rows.push(Row { token: *token, position, slot });
            batch.sight.push(seen(&self.pages, 0..position + 1));
        }
        self.tokens.extend_from_slice(tokens);
        self.last_hidden = None;
        Ok(())
    }

    /// Takes back what was appended but not computed.
    fn retreat(&mut self, cache: &mut Cache, length: usize) {
        self.tokens.truncate(length);
        self.pages.drain(length.div_ceil(PAGE)..).for_each(|page| cache.release(page));
        self.last_hidden = None;
    }

    /// Lets others find the pages that the last `count` tokens have filled.
    fn publish(&self, cache: &mut Cache, count: usize) {
        for index in (self.len() - count) / PAGE..self.len() / PAGE {
            let end = (index + 1) * PAGE;
            if end <= self.written_from {
                let parent = index.checked_sub(1).map(|before| self.pages[before]);
                cache.publish(self.pages[index], parent, &self.tokens[index * PAGE..end]);
            }
        }
    }

    fn check_room(&self, count: usize) -> Result<()> {
        let needed = self.len() + count;
        if needed > self.capacity {
            return Err(Error::ContextLength { needed, limit: self.capacity });
        }
        Ok(())
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocabulary = self.model.info().vocabulary;
        match tokens.iter().find(|token| **token as usize >= vocabulary) {
            Some(token) => {
                Err(Error::BadRequest(format!("no token {token} in a vocabulary of {vocabulary}")))
            }
            None => Ok(()),
        }
    }

    fn check_question(&self, question: &Question) -> Result<()> {
        if question.candidates.iter().any(Vec::is_empty) {
            return Err(Error::BadRequest("an empty candidate has no probability".to_owned()));
        }
        if question.suffix.is_empty() && self.is_empty() {
            return Err(Error::BadRequest("nothing has been read that anything could follow".to_owned()));
        }
        let longest = question.candidates.iter().map(Vec::len).max().unwrap_or(0);
        let needed = self.len() + question.suffix.len() + longest;
        let limit = self.model.decoder.context_length();
        if needed > limit {
            return Err(Error::ContextLength { needed, limit });
        }
        question.candidates.iter().chain([&question.suffix]).try_for_each(|tokens| self.check_tokens(tokens))
    }

    fn score_group(&self, questions: &[Question]) -> Result<Vec<Vec<f32>>> {
        let mut state = self.model.state(&self.ticket)?;
        let State { cache, workspace, logits } = &mut *state;
        workspace.batch.clear();
        let mut plan = Plan { targets: Vec::new(), pages: Vec::new() };
        let planned = questions
            .iter()
            .enumerate()
            .try_for_each(|(index, question)| plan.add(self, index, question, cache, &mut workspace.batch));
        if let Err(error) = planned {
            plan.pages.iter().for_each(|page| cache.release(*page));
            return Err(error);
        }
        let mut wanted: Vec<usize> = plan.targets.iter().map(|target| target.row).collect();
        wanted.sort_unstable();
        wanted.dedup();
        workspace.batch.wanted.clone_from(&wanted);
        let Model { decoder, compute, .. } = self.model;
        decoder.forward(compute, &mut cache.memory, workspace, Precision::Many, None);
        plan.pages.iter().for_each(|page| cache.release(*page));

        let hidden = workspace.input.values[..wanted.len() * decoder.embedding()].to_vec();
        let mut answers: Vec<Vec<f32>> = questions.iter().map(|q| vec![0.0; q.candidates.len()]).collect();
        self.model.each_logits(&hidden, workspace, logits, |row, logits| {
            let total = self.model.log_total(logits)?;
            for target in plan.targets.iter().filter(|target| target.row == wanted[row]) {
                answers[target.question][target.candidate] += logits[target.token as usize] - total;
            }
            Ok(())
        })?;
        Ok(answers)
    }
}

impl Model {
    /// Calls `each` with the scores of the whole vocabulary for each row of normalised hidden states.
    fn each_logits(
        &self,
        hidden: &[f32],
        workspace: &mut Workspace,
        logits: &mut Vec<f32>,
        mut each: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let width = self.decoder.embedding();
        for (group, hidden) in hidden.chunks(LOGIT_ROWS * width).enumerate() {
            workspace.input.reset(hidden.len() / width, width).copy_from_slice(hidden);
            workspace.input.round(&self.compute, Precision::Few);
            self.decoder.logits(&self.compute, &workspace.input, logits);
            let rows = logits.chunks_exact(self.info().vocabulary).take(hidden.len() / width);
            for (row, logits) in rows.enumerate() {
                each(group * LOGIT_ROWS + row, logits)?;
            }
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.model.release(&self.pages);
    }
}

/// Pages and bits of the tokens at places `range` of a list of pages.
fn seen(pages: &[PageId], range: Range<usize>) -> impl Iterator<Item = (PageId, u64)> {
    let pages = pages.iter().enumerate().take(range.end.div_ceil(PAGE)).skip(range.start / PAGE);
    pages.map(move |(index, page)| {
        let from = range.start.saturating_sub(index * PAGE).min(PAGE);
        let to = range.end.saturating_sub(index * PAGE).min(PAGE);
        let below = |bit: usize| if bit == PAGE { u64::MAX } else { (1 << bit) - 1 };
        (*page, below(to) & !below(from))
    })
}

/// Rows that a question takes: a candidate's last token needs none, for nothing is asked after it.
fn rows_of(question: &Question) -> usize {
    let candidates: usize = question.candidates.iter().map(|tokens| tokens.len().saturating_sub(1)).sum();
    question.suffix.len().max(1) + candidates
}

/// Which predictions count for which candidate, and the pages taken to compute them.
struct Plan {
    targets: Vec<Target>,
    pages: Vec<PageId>,
}

/// "The prediction of `row` for `token` counts for this candidate."
struct Target {
    row: usize,
    token: u32,
    question: usize,
    candidate: usize,
}

impl Plan {
    fn add(
        &mut self,
        session: &Session<'_>,
        index: usize,
        question: &Question,
        cache: &mut Cache,
        batch: &mut Batch,
    ) -> Result<()> {
        // A question begins a page of its own, so that it adds up alike whatever is asked beside it.
        let first = self.pages.len();
        for _ in 0..rows_of(question).div_ceil(PAGE) {
            self.pages.push(cache.take()?);
        }
        let pages = &self.pages[first..];
        // Without a suffix the last token read is computed once more, in the question's own page.
        let (suffix, read) = match (question.suffix.as_slice(), session.tokens.split_last()) {
            ([], Some((last, before))) => (std::slice::from_ref(last), before.len()),
            (suffix, _) => (suffix, session.len()),
        };
        let mut used = 0;
        let mut push = |token: u32, position: usize, own: [Range<usize>; 2]| {
            let slot = Slot { page: pages[used / PAGE], slot: used % PAGE };
            batch.rows.push(Row { token, position, slot });
            let [question, candidate] = own;
            let own = merged(seen(pages, question), seen(pages, candidate));
            batch.sight.push(seen(&session.pages, 0..read).chain(own));
            used += 1;
            batch.rows.len() - 1
        };
        let mut asked = 0;
        for (i, token) in suffix.iter().enumerate() {
            asked = push(*token, read + i, [0..i + 1, 0..0]);
        }
        let mut own = suffix.len();
        for (candidate, tokens) in question.candidates.iter().enumerate() {
            let mut row = asked;
            for (i, token) in tokens.iter().enumerate() {
                self.targets.push(Target { row, token: *token, question: index, candidate });
                if i + 1 < tokens.len() {
                    row = push(*token, read + suffix.len() + i, [0..suffix.len(), own..own + i + 1]);
                }
            }
            own += tokens.len().saturating_sub(1);
        }
        Ok(())
    }
}

/// Two stretches of the same pages, the second after the first: the page they share comes once.
fn merged(
    first: impl Iterator<Item = (PageId, u64)>,
    second: impl Iterator<Item = (PageId, u64)>,
) -> impl Iterator<Item = (PageId, u64)> {
    let mut pages: Vec<(PageId, u64)> = first.collect();
    for (page, mask) in second {
        match pages.last_mut() {
            Some((last, seen)) if *last == page => *seen |= mask,
            _ => pages.push((page, mask)),
        }
    }
    pages.into_iter()
}

/// Pools hidden states as they are computed.
struct Pool<'a> {
    layers: &'a [usize],
    pooled: Vec<Pooled>,
    width: usize,
    /// Place of the pass's first row among the session's tokens.
    first: usize,
}

impl<'a> Pool<'a> {
    fn new(layers: &'a [usize], ranges: &[Range<usize>], width: usize) -> Self {
        let of = |layer: usize, tokens: &Range<usize>| Pooled {
            layer,
            tokens: tokens.clone(),
            mean: vec![0.0; width],
            max: vec![f32::NEG_INFINITY; width],
        };
        let pooled = layers.iter().flat_map(|layer| ranges.iter().map(move |range| of(*layer, range)));
        Self { layers, pooled: pooled.collect(), width, first: 0 }
    }

    fn finish(mut self) -> Vec<Pooled> {
        for pooled in &mut self.pooled {
            let count = pooled.tokens.len() as f32;
            pooled.mean.iter_mut().for_each(|x| *x /= count);
        }
        self.pooled
    }
}

impl Observer for Pool<'_> {
    fn layer(&mut self, layer: usize, hidden: &[f32]) {
        if !self.layers.contains(&layer) {
            return;
        }
        for pooled in self.pooled.iter_mut().filter(|pooled| pooled.layer == layer) {
            for (token, hidden) in (self.first..).zip(hidden.chunks_exact(self.width)) {
                if pooled.tokens.contains(&token) {
                    pooled.mean.iter_mut().zip(hidden).for_each(|(mean, x)| *mean += x);
                    pooled.max.iter_mut().zip(hidden).for_each(|(max, x)| *max = max.max(*x));
                }
            }
        }
    }
}
