//! How does an answer become deltas with their log-probabilities? One for each choice, as it is written.

use super::asked::finish_reason;
use super::scan::{Part, Scan};
use crate::model::Written;
use casemate_inference::{Ending, Model};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// One choice as it is written.
pub(super) struct Choice {
    pub(super) scan: Scan,
    /// Tokens whose text is not handed on yet: where it ends in the text of content.
    waiting: VecDeque<(usize, Value)>,
    /// Bytes of content written, and handed on.
    written: usize,
    told: usize,
    weighed: bool,
    pub(super) tokens: usize,
    /// Why it ended, once it did.
    pub(super) reason: Option<&'static str>,
    /// Whether calls end an answer as any other end does, as OpenAI has it where the function was named.
    named: bool,
}

/// A piece of a choice, ready to be handed on.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) parts: Vec<Part>,
    /// Of the tokens whose text is in it.
    pub(super) logprobs: Vec<Value>,
}

impl Choice {
    pub(super) fn new(scan: Scan, weighed: bool, named: bool) -> Self {
        let waiting = VecDeque::new();
        Self { scan, waiting, written: 0, told: 0, weighed, tokens: 0, reason: None, named }
    }

    /// Takes a token in.
    pub(super) fn push(&mut self, model: &Model, written: &Written) -> Delta {
        let special = model.special_name(written.chosen.token).is_some();
        let mut parts = Vec::new();
        self.tokens += 1;
        self.scan.push(&written.text, special, &mut parts);
        if self.weighed && self.scan.calls() == 0 && !special {
            self.written += written.text.len();
            self.waiting.push_back((self.written, token_logprob(model, written)));
        }
        self.told(parts)
    }

    /// Ends it; what waited in its scan was a call, of this function and with these arguments, or is given back as a text.
    pub(super) fn end(&mut self, ending: Ending, held: Option<Result<(String, String), String>>) -> Delta {
        let mut parts = Vec::new();
        match held {
            None => {}
            Some(Ok((name, arguments))) => {
                self.scan.call(name, arguments, &mut parts);
                self.waiting.clear();
            }
            Some(Err(text)) => self.scan.give_back(text),
        }
        self.scan.finish(&mut parts);
        let reason = match ending {
            Ending::Length if !self.scan.stopped => "length",
            _ if self.scan.calls() > 0 && !self.named => "tool_calls",
            ending => finish_reason(if self.scan.stopped { Ending::Stopped } else { ending }),
        };
        self.reason = Some(reason);
        self.told(parts)
    }

    fn told(&mut self, parts: Vec<Part>) -> Delta {
        for part in &parts {
            if let Part::Content(text) = part {
                self.told += text.len();
            }
        }
        let ready = self.waiting.iter().take_while(|(end, _)| *end <= self.told).count();
        Delta { parts, logprobs: self.waiting.drain(..ready).map(|(_, value)| value).collect() }
    }
}

/// A token with its log-probability and the alternatives, in OpenAI's words.
pub(super) fn token_logprob(model: &Model, written: &Written) -> Value {
    let mut entry = one(model, written.chosen.token, written.chosen.logprob.unwrap_or_default());
    let top: Vec<Value> =
        written.chosen.top.iter().map(|(token, logprob)| one(model, *token, *logprob)).collect();
    entry["top_logprobs"] = json!(top);
    entry
}

fn one(model: &Model, token: u32, logprob: f32) -> Value {
    json!({ "token": shown(model, token), "logprob": logprob, "bytes": bytes(model, token) })
}

/// A token as text: special ones by name, pieces of characters as U+FFFD.
pub(super) fn shown(model: &Model, token: u32) -> String {
    match model.special_name(token) {
        Some(name) => name.to_owned(),
        None => String::from_utf8_lossy(model.bytes_of(token)).into_owned(),
    }
}

fn bytes(model: &Model, token: u32) -> &[u8] {
    match model.special_name(token) {
        Some(name) => name.as_bytes(),
        None => model.bytes_of(token),
    }
}
