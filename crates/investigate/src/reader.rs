//! The model at work: evidence read once per order, all questions of all wordings scored at once, and the
//! narrative written under its grammar.

use crate::Error;
use crate::budget::Meter;
use crate::narrative::{self, Draft};
use crate::playbook::Question;
use crate::progress::Progress;
use crate::prompt::{self, ORDERS};
use crate::report::{Evidence, Variant};
use casemate_inference::{Grammar, Model, Session, Tokens};
use sha2::{Digest, Sha256};
use std::time::Instant;

/// Most tokens of evidence lines: at some 100 tokens/s of prefill this is what two orders may cost.
const MAX_EVIDENCE_TOKENS: usize = 520;
/// Fewest lines kept whatever their length.
const MIN_LINES: usize = 4;
/// Most tokens of the narrative: decoding is an order of magnitude slower than reading.
const MAX_NARRATIVE_TOKENS: usize = 100;

/// What the model said.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Probability of the raising answers in each variant, by question.
    pub(crate) variants: Vec<Vec<Variant>>,
    /// Mean log-probability of each answer, by question.
    pub(crate) scores: Vec<Vec<f64>>,
    pub(crate) drafts: Vec<Draft>,
    /// SHA-256 over all tokens that were read.
    pub(crate) prompt_sha256: Option<String>,
    pub(crate) prompt_tokens: u64,
    pub(crate) generated_tokens: u64,
    /// Seconds reading, asking and narrating.
    pub(crate) seconds: [f64; 3],
}

/// How many of these lines, most useful first, fit the token budget.
pub(crate) fn fitting(model: &Model, lines: &[String]) -> Result<usize, Error> {
    let mut tokens = 0;
    for (index, line) in lines.iter().enumerate() {
        // The label and the line end.
        tokens += model.tokens_of_data(line)?.len() + 6;
        if tokens > MAX_EVIDENCE_TOKENS && index >= MIN_LINES {
            return Ok(index);
        }
    }
    Ok(lines.len())
}

/// Reads the evidence in every order, asks everything, and writes the narrative.
pub(crate) fn read(
    model: &Model,
    evidence: &[Evidence],
    alert: &str,
    questions: &[Question],
    meter: &mut Meter,
    progress: &mut dyn FnMut(Progress),
) -> Result<Reading, Error> {
    let mut reading = Reading {
        variants: vec![Vec::new(); questions.len()],
        scores: questions.iter().map(|question| vec![0.0; question.answers.len()]).collect(),
        ..Reading::default()
    };
    // By time last: the narrative goes on from there.
    let orders = orders(questions);
    let mut prompt = Sha256::new();
    for order in (0..orders).rev() {
        let (asked, story) = texts_of(model, evidence, alert, questions, order)?;
        meter.spend((asked.prefix.len() + asked.suffix_tokens()) as u64)?;
        let capacity = asked.prefix.len().max(story.len()) + MAX_NARRATIVE_TOKENS + 8;
        let mut session = model.session_with(capacity.min(model.info().context_length), meter.ticket())?;
        progress(Progress::Reading { order, tokens: asked.prefix.len() });
        asked.texts().chain([&story]).for_each(|tokens| hash(&mut prompt, tokens));
        let started = Instant::now();
        session.read(&asked.prefix, &mut |_| {})?;
        reading.seconds[0] += started.elapsed().as_secs_f64();
        let started = Instant::now();
        let scores = session.score(&asked.questions)?;
        reading.prompt_tokens += (asked.prefix.len() + asked.suffix_tokens()) as u64;
        asked.note(order, questions, &scores, &mut reading);
        reading.seconds[1] += started.elapsed().as_secs_f64();
        if order == 0 {
            meter.spend(MAX_NARRATIVE_TOKENS as u64)?;
            let started = Instant::now();
            progress(Progress::Stage { name: "narrate" });
            write(model, &mut session, &story, evidence, &mut reading)?;
            reading.seconds[2] += started.elapsed().as_secs_f64();
        }
    }
    reading.prompt_sha256 = Some(crate::hash::hex(&prompt.finalize()));
    // Reported in the order of the report, not of the reading.
    for variants in &mut reading.variants {
        variants.sort_by_key(|variant| (variant.wording, variant.order));
    }
    Ok(reading)
}

/// In how many orders the evidence is read. Without questions there is nothing that an order could change.
pub(crate) fn orders(questions: &[Question]) -> usize {
    if questions.is_empty() { 1 } else { ORDERS }
}

/// What is asked over one order of the evidence, and the narrative's own prompt where it is written after that.
fn texts_of(
    model: &Model,
    evidence: &[Evidence],
    alert: &str,
    questions: &[Question],
    order: usize,
) -> Result<(Asked, Tokens), Error> {
    let lines = prompt::lines(evidence, order);
    let asked = Asked::new(model, &lines, alert, questions)?;
    let story =
        if order == 0 { model.render_chat(&prompt::narrative(&lines, alert), true)? } else { Tokens::new() };
    Ok((asked, story))
}

/// SHA-256 over all tokens that [`read`] would read. Needs the tokenizer alone: nothing is computed.
pub(crate) fn prompt_sha256(
    model: &Model,
    evidence: &[Evidence],
    alert: &str,
    questions: &[Question],
) -> Result<String, Error> {
    let mut prompt = Sha256::new();
    for order in (0..orders(questions)).rev() {
        let (asked, story) = texts_of(model, evidence, alert, questions, order)?;
        asked.texts().chain([&story]).for_each(|tokens| hash(&mut prompt, tokens));
    }
    Ok(crate::hash::hex(&prompt.finalize()))
}

/// Adds tokens, and how many there are.
fn hash(hasher: &mut Sha256, tokens: &[u32]) {
    hasher.update((tokens.len() as u64).to_le_bytes());
    tokens.iter().for_each(|token| hasher.update(token.to_le_bytes()));
}

/// Asks about one order of the evidence only, without a narrative.
#[cfg(test)]
pub(crate) fn ask_once(
    model: &Model,
    evidence: &[Evidence],
    alert: &str,
    questions: &[Question],
) -> Result<Vec<Vec<Variant>>, Error> {
    let asked = Asked::new(model, &prompt::lines(evidence, 0), alert, questions)?;
    let mut session = model.session(asked.prefix.len())?;
    session.read(&asked.prefix, &mut |_| {})?;
    let mut reading = Reading {
        variants: vec![Vec::new(); questions.len()],
        scores: questions.iter().map(|question| vec![0.0; question.answers.len()]).collect(),
        ..Reading::default()
    };
    asked.note(0, questions, &session.score(&asked.questions)?, &mut reading);
    Ok(reading.variants)
}

/// All questions in all wordings over one order of the evidence, as a shared prefix and suffixes.
struct Asked {
    prefix: Tokens,
    questions: Vec<casemate_inference::Question>,
    /// Question and wording of each of `questions`.
    index: Vec<(usize, usize)>,
}

impl Asked {
    fn new(model: &Model, lines: &str, alert: &str, questions: &[Question]) -> Result<Self, Error> {
        let lead = model.tokens_of_data(prompt::LEAD)?;
        let mut prompts = Vec::new();
        let mut candidates = Vec::new();
        let mut index = Vec::new();
        for (number, question) in questions.iter().enumerate() {
            let answers: Result<Vec<Tokens>, _> =
                question.answers.iter().map(|answer| model.tokens_of_data(&format!(" {answer}"))).collect();
            let answers = answers?;
            for (wording, text) in question.wordings.iter().enumerate() {
                let mut tokens = model.render_chat(&prompt::question(lines, alert, question, text), true)?;
                tokens.extend_from_slice(&lead);
                prompts.push(tokens);
                candidates.push(answers.clone());
                index.push((number, wording));
            }
        }
        // Of a playbook without questions the narrative's own prefix is all there is to read.
        if prompts.is_empty() {
            prompts.push(model.render_chat(&prompt::narrative(lines, alert), true)?);
            let shared = prompts.pop().unwrap_or_default();
            return Ok(Self { prefix: shared, questions: Vec::new(), index });
        }
        let shared = common_prefix(&prompts);
        let prefix: Tokens = prompts.first().map(|prompt| prompt[..shared].to_vec()).unwrap_or_default();
        let questions = prompts
            .into_iter()
            .zip(candidates)
            .map(|(prompt, candidates)| casemate_inference::Question {
                suffix: prompt[shared..].to_vec(),
                candidates,
            })
            .collect();
        Ok(Self { prefix, questions, index })
    }

    /// Everything that is read.
    fn texts(&self) -> impl Iterator<Item = &Tokens> {
        let each = self.questions.iter();
        let each = each.flat_map(|question| std::iter::once(&question.suffix).chain(&question.candidates));
        std::iter::once(&self.prefix).chain(each)
    }

    fn suffix_tokens(&self) -> usize {
        self.questions.iter().map(|question| question.suffix.len() + question.candidates.len()).sum()
    }

    /// Notes the probability of the raising answers, normalised over the allowed ones.
    fn note(&self, order: usize, questions: &[Question], scores: &[Vec<f32>], reading: &mut Reading) {
        for ((number, wording), scores) in self.index.iter().zip(scores) {
            let question = &questions[*number];
            let scores: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
            let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = scores.iter().map(|score| (score - best).exp()).collect();
            let all: f64 = shares.iter().sum();
            let raising: f64 = shares
                .iter()
                .zip(&question.raises)
                .filter(|(_, raises)| **raises)
                .map(|(share, _)| share)
                .sum();
            reading.variants[*number].push(Variant { wording: *wording, order, probability: raising / all });
            let n = (question.wordings.len() * ORDERS) as f64;
            for (sum, score) in reading.scores[*number].iter_mut().zip(&scores) {
                *sum += score / n;
            }
        }
    }
}

/// Length of the longest beginning that all have in common, one token short of the shortest.
pub(crate) fn common_prefix(prompts: &[Tokens]) -> usize {
    let Some((first, rest)) = prompts.split_first() else { return 0 };
    let shared = rest.iter().fold(first.len(), |shared, prompt| {
        first.iter().zip(prompt).take(shared).take_while(|(a, b)| a == b).count()
    });
    let shortest = prompts.iter().map(Vec::len).min().unwrap_or_default();
    shared.min(shortest.saturating_sub(1))
}

/// Writes the narrative, going on from what the session has read.
fn write(
    model: &Model,
    session: &mut Session<'_>,
    story: &[u32],
    evidence: &[Evidence],
    reading: &mut Reading,
) -> Result<(), Error> {
    let shared = session.tokens().iter().zip(story).take_while(|(a, b)| a == b).count();
    session.rewind(shared)?;
    session.read(&story[shared..], &mut |_| {})?;
    reading.prompt_tokens += (story.len() - shared) as u64;
    let mut grammar = Grammar::new(model, &narrative::grammar(evidence))?;
    let written = session.generate(&mut grammar, MAX_NARRATIVE_TOKENS)?;
    reading.generated_tokens += written.len() as u64;
    reading.drafts = narrative::parse(&model.text_of(&written));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_shared_but_never_whole() {
        let check = |prompts: &[&[u32]], expected| {
            let prompts: Vec<Tokens> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
            assert_eq!(common_prefix(&prompts), expected);
        };
        check(&[&[1, 2, 3], &[1, 2, 4]], 2);
        check(&[&[1, 2, 3]], 2);
        check(&[&[1, 2], &[1, 2, 3]], 1);
        check(&[], 0);
    }
}
