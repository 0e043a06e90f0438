//! `POST /v1/completions`: what follows this text?
//!
//! Texts are data, as messages are. Prompts of token numbers are of the model's own vocabulary and may hold no special
//! token either: who makes them of log text cannot make a turn of it.

use super::answer::{Choice, Delta, shown, token_logprob};
use super::asked::{self, Asker, Choosing, fingerprint, new_id, usage};
use super::error::{Failure, Result};
use super::fields::{Fields, receive, wrong_type};
use super::scan::{Part, Scan};
use super::stream::{Events, events};
use crate::model::{Answering, Ask, Piece, Refused, SharedModel, Written};
use crate::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use casemate_inference::{Model, Tokens};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const PATH: &str = "/v1/completions";
const MAX_PROMPTS: usize = 16;
/// Tokens written where nothing is said, as OpenAI has it.
const USUAL_TOKENS: usize = 16;
const MAX_LOGPROBS: u64 = 5;

/// `POST /v1/completions`
pub(crate) async fn create(State(app): State<Arc<App>>, asker: Asker, body: Body) -> Result<Response> {
    let body = receive(body).await?;
    let asked = Asked::parse(&app, &body)?;
    asker.note(&app, PATH, &body, &super::models::id_of(&asked.model), true).await;
    let mut writing = Writing::new(asked);
    // The first prompt is read before anything is answered: what is wrong is a status then.
    let first = writing.ask(0).await?;
    if writing.asked.choosing.stream {
        Ok(events(move |events| writing.send(first, events)))
    } else {
        writing.whole(first).await
    }
}

/// What is to be continued.
enum Prompt {
    /// Its tokens are found in the model's turn: that of a long text takes a while.
    Text(String),
    Tokens(Tokens),
}

/// A request, understood.
struct Asked {
    model: Arc<SharedModel>,
    prompts: Vec<Prompt>,
    choosing: Choosing,
    echo: bool,
    logprobs: Option<usize>,
}

impl Asked {
    fn parse(app: &Arc<App>, body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(body)?;
        let model = asked::decoder(app, &mut fields)?;
        let prompts = prompts(model.model(), fields.required("prompt")?)?;
        let choosing = Choosing::take(&mut fields)?;
        let echo = fields.flag("echo")?.unwrap_or(false);
        let logprobs = fields.count("logprobs", 0..=MAX_LOGPROBS)?;
        if fields.value("suffix").is_some() {
            let message = "This model writes on from a prompt and fills no gaps: 'suffix' is not supported.";
            return Err(Failure::parameter("suffix", "unsupported_parameter", message));
        }
        fields.only("best_of", &[json!(1), json!(choosing.samplers.len())])?;
        fields.finish()?;
        Ok(Self { model, prompts, choosing, echo, logprobs })
    }
}

fn prompts(model: &Model, value: Value) -> Result<Vec<Prompt>> {
    let expected = "a string, an array of strings, an array of tokens or an array of arrays of tokens";
    let list = match value {
        Value::String(text) => return Ok(vec![Prompt::Text(text)]),
        Value::Array(list) if list.is_empty() => {
            return Err(Failure::parameter("prompt", "empty_array", "Invalid 'prompt': it is empty."));
        }
        Value::Array(list) => list,
        other => return Err(wrong_type("prompt", expected, &other)),
    };
    if list.iter().all(Value::is_number) {
        return Ok(vec![of_numbers(model, &list)?]);
    }
    if list.len() > MAX_PROMPTS {
        let message = format!("Invalid 'prompt': {} prompts are more than {MAX_PROMPTS}.", list.len());
        return Err(Failure::value("prompt", message));
    }
    list.into_iter()
        .map(|prompt| match prompt {
            Value::String(text) => Ok(Prompt::Text(text)),
            Value::Array(numbers) => of_numbers(model, &numbers),
            other => Err(wrong_type("prompt", expected, &other)),
        })
        .collect()
}

fn of_numbers(model: &Model, numbers: &[Value]) -> Result<Prompt> {
    let token = |value: &Value| {
        let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
        let token = token.filter(|token| (*token as usize) < model.info().vocabulary);
        let token = token.ok_or_else(|| {
            let said = format!(
                "Invalid 'prompt': {value} is no token of this model, which has {}.",
                model.info().vocabulary
            );
            Failure::value("prompt", said)
        })?;
        match model.special_name(token).filter(|_| Some(token) != model.begin_token()) {
            Some(name) => Err(Failure::value(
                "prompt",
                format!(
                    "Invalid 'prompt': token {token} is {name}, which no prompt may hold; POST /v1/chat/completions makes turns."
                ),
            )),
            None => Ok(token),
        }
    };
    numbers.iter().map(token).collect::<Result<_>>().map(Prompt::Tokens)
}

/// Log-probabilities as this address has them.
#[derive(Default)]
struct Weighed {
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<usize>,
    /// Characters so far.
    offset: usize,
}

impl Weighed {
    fn push(&mut self, entry: &Value) {
        let token = entry["token"].as_str().unwrap_or_default();
        self.tokens.push(entry["token"].clone());
        self.token_logprobs.push(entry["logprob"].clone());
        let top: Map<String, Value> = entry["top_logprobs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| (one["token"].as_str().unwrap_or_default().to_owned(), one["logprob"].clone()))
            .collect();
        self.top_logprobs.push(if entry["logprob"].is_null() { Value::Null } else { json!(top) });
        self.text_offset.push(self.offset);
        self.offset += token.chars().count();
    }

    /// What was added, as JSON.
    fn take(&mut self) -> Value {
        json!({
            "tokens": std::mem::take(&mut self.tokens),
            "token_logprobs": std::mem::take(&mut self.token_logprobs),
            "top_logprobs": std::mem::take(&mut self.top_logprobs),
            "text_offset": std::mem::take(&mut self.text_offset),
        })
    }
}

/// Completions of one prompt after the other.
struct Writing {
    asked: Asked,
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    id: String,
    created: i64,
}

/// Completions of one prompt.
struct Running {
    answering: Answering,
    /// Text that is given back first.
    echoed: String,
    choices: Vec<Choice>,
    weighed: Vec<Weighed>,
}

/// A piece of a completion.
struct Next {
    choice: usize,
    text: String,
    logprobs: Value,
    reason: Option<&'static str>,
}

impl Writing {
    fn new(asked: Asked) -> Self {
        Self {
            asked,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            id: new_id("cmpl-"),
            created: Timestamp::now().as_second(),
        }
    }

    /// Has prompt `number` read.
    async fn ask(&mut self, number: usize) -> Result<Running> {
        let Asked { model, prompts, choosing, echo, logprobs } = &self.asked;
        let ask = match &prompts[number] {
            Prompt::Text(text) => Ask::text(text.clone()),
            Prompt::Tokens(tokens) => Ask::tokens(tokens.clone()),
        };
        let mut ask = ask
            .sampled(choosing.samplers.clone())
            .of(choosing.priority)
            .at_most(choosing.max_tokens.unwrap_or(USUAL_TOKENS));
        if let Some(top) = logprobs {
            ask = ask.with_logprobs(*top);
            if *echo {
                ask = ask.weighing_the_prompt();
            }
        }
        let answering = model.ask(ask).await.map_err(|refused| match refused {
            Refused::Prompt(why) => Failure::value("prompt", format!("Invalid 'prompt': {why}.")),
            other => other.into(),
        })?;
        self.prompt_tokens += answering.prompt.len();
        self.cached_tokens += answering.cached_tokens;
        let choice =
            |_| Choice::new(Scan::new(choosing.stops.clone(), false, false), logprobs.is_some(), false);
        let text = model.model().text_of(&answering.prompt);
        let mut weighed = Weighed::default();
        if logprobs.is_some() && *echo {
            let first = json!({ "token": shown(model.model(), answering.prompt[0]), "logprob": null, "top_logprobs": [] });
            weighed.push(&first);
            for chosen in &answering.weighed {
                let written = Written { choice: 0, chosen: chosen.clone(), text: String::new() };
                weighed.push(&token_logprob(model.model(), &written));
            }
        }
        // Places are counted from the beginning of the prompt, given back or not.
        weighed.offset = text.chars().count();
        let mut all = vec![weighed];
        for _ in 1..choosing.samplers.len() {
            let Weighed { tokens, token_logprobs, top_logprobs, text_offset, offset } = &all[0];
            all.push(Weighed {
                tokens: tokens.clone(),
                token_logprobs: token_logprobs.clone(),
                top_logprobs: top_logprobs.clone(),
                text_offset: text_offset.clone(),
                offset: *offset,
            });
        }
        Ok(Running {
            answering,
            echoed: if *echo { text } else { String::new() },
            choices: choosing.samplers.iter().map(choice).collect(),
            weighed: all,
        })
    }

    /// What comes next of which choice; nothing once all ended.
    async fn next(&mut self, running: &mut Running) -> Option<Result<Next>> {
        let piece = match running.answering.next().await? {
            Ok(piece) => piece,
            Err(refused) => return Some(Err(refused.into())),
        };
        let (number, delta) = match piece {
            Piece::Written(written) => {
                let choice = running.choices.get_mut(written.choice)?;
                let delta = choice.push(self.asked.model.model(), &written);
                if choice.scan.stopped {
                    running.answering.enough_of(written.choice);
                }
                self.completion_tokens += 1;
                (written.choice, delta)
            }
            Piece::End { choice, ending } => (choice, running.choices.get_mut(choice)?.end(ending, None)),
        };
        let Delta { parts, logprobs } = delta;
        let weighed = running.weighed.get_mut(number)?;
        logprobs.iter().for_each(|entry| weighed.push(entry));
        let text = parts.into_iter().filter_map(|part| match part {
            Part::Content(text) => Some(text),
            Part::Call(..) | Part::Arguments(..) => None,
        });
        Some(Ok(Next {
            choice: number,
            text: text.collect(),
            logprobs: if self.asked.logprobs.is_some() { weighed.take() } else { Value::Null },
            reason: running.choices.get(number)?.reason,
        }))
    }

    fn document(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": super::models::id_of(&self.asked.model),
            "system_fingerprint": fingerprint(&self.asked.model),
            "choices": choices,
        })
    }

    fn usage(&self) -> Value {
        usage(self.prompt_tokens, self.cached_tokens, self.completion_tokens)
    }

    /// One document.
    async fn whole(mut self, first: Running) -> Result<Response> {
        let mut choices = Vec::new();
        let mut first = Some(first);
        for number in 0..self.asked.prompts.len() {
            let mut running = match first.take() {
                Some(first) => first,
                None => self.ask(number).await?,
            };
            let base = choices.len();
            for index in 0..running.choices.len() {
                choices.push(json!({
                    "index": base + index, "text": running.echoed.clone(), "logprobs": null, "finish_reason": null,
                }));
            }
            while let Some(next) = self.next(&mut running).await {
                let next = next?;
                let choice = &mut choices[base + next.choice];
                let text = choice["text"].as_str().unwrap_or_default().to_owned() + &next.text;
                choice["text"] = json!(text);
                join(&mut choice["logprobs"], next.logprobs);
                choice["finish_reason"] = json!(next.reason);
            }
        }
        let mut document = self.document(&json!(choices));
        document["usage"] = self.usage();
        Ok(Json(document).into_response())
    }

    /// Chunks, as they come.
    async fn send(mut self, first: Running, events: Events) {
        let include_usage = self.asked.choosing.include_usage;
        let mut first = Some(first);
        for number in 0..self.asked.prompts.len() {
            let running = match first.take() {
                Some(first) => Ok(first),
                None => self.ask(number).await,
            };
            let mut running = match running {
                Ok(running) => running,
                Err(failure) => return events.fail(&failure.to_json()).await,
            };
            let base = number * running.choices.len();
            let mut echoed = vec![std::mem::take(&mut running.echoed); running.choices.len()];
            loop {
                let next = tokio::select! {
                    next = self.next(&mut running) => next,
                    () = events.closed() => return,
                };
                let next = match next {
                    None => break,
                    Some(Ok(next)) => next,
                    Some(Err(failure)) => return events.fail(&failure.to_json()).await,
                };
                let text = std::mem::take(&mut echoed[next.choice]) + &next.text;
                if text.is_empty() && next.reason.is_none() {
                    continue;
                }
                let choice = json!([{
                    "index": base + next.choice, "text": text, "logprobs": next.logprobs, "finish_reason": next.reason,
                }]);
                let mut chunk = self.document(&choice);
                if include_usage {
                    chunk["usage"] = Value::Null;
                }
                if !events.send(&chunk).await {
                    return;
                }
            }
        }
        if include_usage {
            let mut last = self.document(&json!([]));
            last["usage"] = self.usage();
            if !events.send(&last).await {
                return;
            }
        }
        events.done().await;
    }
}

/// Adds the lists of `more` to those of `all`.
fn join(all: &mut Value, more: Value) {
    match (all.as_object_mut(), more) {
        (_, Value::Null) => {}
        (None, more) => *all = more,
        (Some(all), Value::Object(more)) => {
            for (key, list) in more {
                if let (Some(Value::Array(before)), Value::Array(list)) = (all.get_mut(&key), list) {
                    before.extend(list);
                }
            }
        }
        (Some(_), _) => {}
    }
}
