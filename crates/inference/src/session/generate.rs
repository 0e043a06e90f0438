//! What is written after what was read, token by token, for several sessions at once?

use super::{CHUNK_ROWS, Session};
use crate::error::{Error, Result};
use crate::grammar::{Constraint, TokenMask};
use crate::matmul::Precision;
use crate::model::{Model, State};
use crate::sampling::Sampler;
use crate::tokenizer::Tokens;

/// A token as it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The token.
    pub token: u32,
    /// The natural-log probability that the model gave it, before temperature, `top_p` and constraint; none where
    /// nobody asked for it.
    pub logprob: Option<f32>,
    /// The most probable tokens at this place with their log-probabilities, the best first.
    pub top: Vec<(u32, f32)>,
}

/// Hears of each token as it is chosen. It is called while nothing else can compute: it may not wait.
pub struct Watch<'a> {
    /// Whether log-probabilities are wanted, and of how many alternatives. Tokens that leave no choice are computed
    /// too then.
    pub top: Option<usize>,
    /// Called for each token, the end token apart; whether to go on.
    pub each: &'a mut dyn FnMut(&Chosen) -> bool,
}

/// One of several texts to be continued together.
pub struct Request<'a, 'm> {
    /// What has been read; what is written is appended.
    pub session: &'a mut Session<'m>,
    /// What may be written.
    pub constraint: &'a mut dyn Constraint,
    /// Which of the tokens allowed is chosen.
    pub sampler: Sampler,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Who hears of each token, if anybody does.
    pub watch: Option<Watch<'a>>,
}

/// Why nothing more was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The model ended its turn.
    Turn,
    /// The constraint was satisfied.
    Satisfied,
    /// Who watched had enough.
    Stopped,
    /// As many tokens were written as may be.
    #[default]
    Length,
}

/// What one session wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Without the end token.
    pub tokens: Tokens,
    /// Why it ended.
    pub ending: Ending,
}

/// Continues several sessions of one model together, a token of each at a time, so that the weights and
/// what the sessions share are read from memory once for all of them. Returns what each wrote, without the
/// end token; a session writes the same whatever is written beside it.
///
/// # Errors
/// As [`Session::generate`] for the first session that cannot go on, and [`Error::BadRequest`] if they are
/// not of one model.
pub fn generate_batch(requests: &mut [Request<'_, '_>]) -> Result<Vec<Generated>> {
    let Some(model) = requests.first().map(|request| request.session.model) else { return Ok(Vec::new()) };
    for request in requests.iter_mut() {
        if !std::ptr::eq(request.session.model, model) {
            return Err(Error::BadRequest(
                "sessions of different models cannot be continued together".to_owned(),
            ));
        }
        request.session.check_room(request.max_tokens)?;
        request.session.compute_last()?;
    }
    let mut writers: Vec<Writer> = requests.iter().map(|_| Writer::default()).collect();
    loop {
        let mut waiting = Vec::new();
        for (index, (request, writer)) in requests.iter_mut().zip(&mut writers).enumerate() {
            writer.skip_forced(request)?;
            if !writer.finished {
                waiting.push(index);
            }
        }
        if waiting.is_empty() {
            break;
        }
        step(model, requests, &mut writers, &waiting)?;
    }
    for (request, writer) in requests.iter_mut().zip(&mut writers) {
        // The last tokens were chosen but not computed.
        request.session.write(&std::mem::take(&mut writer.pending))?;
    }
    let generated = |writer: Writer| Generated { tokens: writer.written, ending: writer.ending };
    Ok(writers.into_iter().map(generated).collect())
}

/// What one session of a batch has written.
#[derive(Default)]
struct Writer {
    written: Tokens,
    /// Of those, the ones at the end that were not computed yet.
    pending: Tokens,
    mask: Option<TokenMask>,
    finished: bool,
    ending: Ending,
}

impl Writer {
    /// Takes tokens as long as there is no choice.
    fn skip_forced(&mut self, request: &mut Request<'_, '_>) -> Result<()> {
        while !self.finished {
            if self.written.len() >= request.max_tokens {
                self.finished = true;
                break;
            }
            let mask = request.constraint.allowed()?;
            // What it would have been is asked for as well: it is computed.
            let weighed = request.watch.as_ref().is_some_and(|watch| watch.top.is_some());
            let Some(token) = mask.only().filter(|_| !weighed) else {
                self.mask = Some(mask);
                break;
            };
            self.accept(Chosen { token, logprob: None, top: Vec::new() }, request)?;
        }
        Ok(())
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is what became of the choice")]
    fn accept(&mut self, chosen: Chosen, request: &mut Request<'_, '_>) -> Result<()> {
        let token = chosen.token;
        let satisfied = request.constraint.accept(token)?;
        if token == request.session.model.end_token() {
            (self.finished, self.ending) = (true, Ending::Turn);
            return Ok(());
        }
        self.written.push(token);
        self.pending.push(token);
        let goes_on = request.watch.as_mut().is_none_or(|watch| (watch.each)(&chosen));
        self.finished = satisfied || !goes_on;
        if self.finished {
            self.ending = if satisfied { Ending::Satisfied } else { Ending::Stopped };
        }
        Ok(())
    }
}

/// Computes what is pending of the sessions that wait for a choice, and chooses for each.
fn step(
    model: &Model,
    requests: &mut [Request<'_, '_>],
    writers: &mut [Writer],
    waiting: &[usize],
) -> Result<()> {
    let ticket = requests[waiting[0]].session.ticket.clone();
    let mut state = model.state(&ticket)?;
    let State { cache, workspace, logits } = &mut *state;
    let width = model.decoder.embedding();
    workspace.batch.clear();
    let mut computed: Vec<(usize, usize)> = Vec::new();
    for index in waiting {
        let (session, writer) = (&mut *requests[*index].session, &mut writers[*index]);
        if !writer.pending.is_empty() {
            let length = session.len();
            if let Err(error) = session.append(cache, &writer.pending, &mut workspace.batch) {
                // Those before it are not computed either.
                for (index, length) in computed {
                    requests[index].session.retreat(cache, length);
                }
                return Err(error);
            }
            session.written_from = session.written_from.min(length);
            writer.pending.clear();
            workspace.batch.wanted.push(workspace.batch.rows.len() - 1);
            computed.push((*index, length));
        }
    }
    if !computed.is_empty() {
        model.decoder.forward(&model.compute, &mut cache.memory, workspace, Precision::Few, None);
        for (row, (index, _)) in computed.iter().enumerate() {
            requests[*index].session.last_hidden = Some(workspace.input.row(row).to_vec());
        }
    }
    let input = workspace.input.reset(waiting.len(), width);
    for (index, row) in waiting.iter().zip(input.chunks_exact_mut(width)) {
        row.copy_from_slice(requests[*index].session.last_hidden.as_deref().unwrap_or_default());
    }
    workspace.input.round(&model.compute, Precision::Few);
    model.decoder.logits(&model.compute, &workspace.input, logits);
    for (index, logits) in waiting.iter().zip(logits.chunks_exact(model.info().vocabulary)) {
        let total = model.log_total(logits)?;
        let (request, writer) = (&mut requests[*index], &mut writers[*index]);
        let mask = writer.mask.take().unwrap_or_else(TokenMask::all);
        let choice = request.sampler.choose(logits, &mask);
        let token = choice.ok_or_else(|| Error::Grammar("no token may follow".to_owned()))?;
        let chosen = match request.watch.as_ref().and_then(|watch| watch.top) {
            Some(count) => weighed(token, count, logits, total),
            None => Chosen { token, logprob: None, top: Vec::new() },
        };
        writer.accept(chosen, request)?;
    }
    Ok(())
}

/// A token with its log-probability and those of the `count` most probable ones.
fn weighed(token: u32, count: usize, logits: &[f32], total: f32) -> Chosen {
    let logprob = logits.get(token as usize).map(|logit| logit - total);
    Chosen { token, logprob, top: most_probable(count, logits, total) }
}

/// The `count` most probable tokens with their log-probabilities, the best first; of equals the first.
pub(super) fn most_probable(count: usize, logits: &[f32], total: f32) -> Vec<(u32, f32)> {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (token, logit) in (0..).zip(logits) {
        if top.len() == count && top.last().is_none_or(|(_, least)| logit - total <= *least) {
            continue;
        }
        let logprob = logit - total;
        let at = top.partition_point(|(_, better)| *better >= logprob);
        top.insert(at, (token, logprob));
        top.truncate(count);
    }
    top
}

impl Session<'_> {
    /// Reads tokens and weighs each after the first: how probable it was, and what the `count` most probable ones were.
    ///
    /// # Errors
    /// As [`Session::read`], and [`Error::NotFinite`].
    pub fn read_weighed(&mut self, tokens: &[u32], count: usize) -> Result<Vec<Chosen>> {
        let model = self.model;
        let (mut read, mut failed) = (Vec::new(), None);
        self.read_logits(tokens, false, &mut |place, logits| {
            let Some(next) = tokens.get(place + 1) else { return };
            match model.log_total(logits) {
                Ok(total) => read.push(weighed(*next, count, logits, total)),
                Err(error) => failed = Some(error),
            }
        })?;
        failed.map_or(Ok(read), Err)
    }

    /// Computes tokens that were written, without asking what follows.
    fn write(&mut self, tokens: &[u32]) -> Result<()> {
        for chunk in tokens.chunks(CHUNK_ROWS) {
            let mut state = self.model.state(&self.ticket)?;
            let State { cache, workspace, .. } = &mut *state;
            workspace.batch.clear();
            self.written_from = self.written_from.min(self.len());
            self.append(cache, chunk, &mut workspace.batch)?;
            workspace.batch.wanted.push(chunk.len() - 1);
            let Model { decoder, compute, .. } = self.model;
            decoder.forward(compute, &mut cache.memory, workspace, Precision::Few, None);
            self.last_hidden = Some(workspace.input.row(0).to_vec());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_come_first() {
        let logits = [1.0, 3.0, -2.0, 3.0, 2.0];
        assert_eq!(most_probable(3, &logits, 3.0), [(1, 0.0), (3, 0.0), (4, -1.0)]);
        assert_eq!(most_probable(0, &logits, 0.0), []);
        assert_eq!(most_probable(9, &logits, 0.0).len(), 5);
    }
}
