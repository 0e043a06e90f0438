//! `POST /v1/chat/completions`: what does the assistant say next?

use super::answer::{Choice, Delta};
use super::asked::{self, Asker, Choosing, fingerprint, new_id, usage};
use super::error::{Failure, Result};
use super::fields::{Fields, receive};
use super::form::{CALL_OPEN, Choice as Calls, Form};
use super::messages;
use super::scan::{Part, Scan};
use super::stream::{Events, events};
use crate::model::{Answering, Ask, Piece, SharedModel};
use crate::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const PATH: &str = "/v1/chat/completions";
const MAX_TOP_LOGPROBS: u64 = 20;

/// `POST /v1/chat/completions`
pub(crate) async fn create(State(app): State<Arc<App>>, asker: Asker, body: Body) -> Result<Response> {
    let body = receive(body).await?;
    let Asked { model, ask, form, choosing, logprobs } = Asked::parse(&app, &body)?;
    asker.note(&app, PATH, &body, &super::models::id_of(&model), true).await;
    let answering = model.ask(ask).await?;
    let writing = Writing::new(&model, answering, form, &choosing, logprobs);
    if choosing.stream { Ok(writing.stream(choosing.include_usage)) } else { writing.whole().await }
}

/// A request, understood.
struct Asked {
    model: Arc<SharedModel>,
    ask: Ask,
    form: Form,
    choosing: Choosing,
    logprobs: bool,
}

impl Asked {
    fn parse(app: &Arc<App>, body: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(body)?;
        let model = asked::decoder(app, &mut fields)?;
        let mut turns = messages::turns(fields.required("messages")?)?;
        let choosing = Choosing::take(&mut fields)?;
        let form = Form::take(&mut fields)?;
        let logprobs = fields.flag("logprobs")?.unwrap_or(false);
        let top = fields.count("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
        if top.is_some() && !logprobs {
            let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
            return Err(Failure::value("top_logprobs", message));
        }
        fields.only("store", &[json!(false)])?;
        fields.only("modalities", &[json!(["text"])])?;
        // Old names of tools, and what this model cannot do.
        for name in [
            "functions",
            "function_call",
            "audio",
            "prediction",
            "web_search_options",
            "reasoning_effort",
            "verbosity",
        ] {
            fields.only(name, &[])?;
        }
        fields.ignore(&["metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"]);
        fields.finish()?;
        messages::instruct(&mut turns, form.instructions());
        let mut ask = Ask::chat(turns).sampled(choosing.samplers.clone()).of(choosing.priority);
        if let Some(max_tokens) = choosing.max_tokens {
            ask = ask.at_most(max_tokens.max(1));
        }
        if let Some(lark) = form.lark(model.model()) {
            ask = ask.under(lark);
        }
        if logprobs {
            ask = ask.with_logprobs(top.unwrap_or(0));
        }
        Ok(Self { model, ask, form, choosing, logprobs })
    }
}

/// Answers as they are written.
struct Writing {
    model: Arc<SharedModel>,
    answering: Answering,
    choices: Vec<Choice>,
    form: Form,
    logprobs: bool,
    /// What every document and chunk says.
    id: String,
    created: i64,
    tier: &'static str,
}

impl Writing {
    fn new(
        model: &Arc<SharedModel>,
        answering: Answering,
        form: Form,
        choosing: &Choosing,
        logprobs: bool,
    ) -> Self {
        let marked = model.model().has_special(CALL_OPEN);
        let may_call = form.choice != Calls::None;
        // A document that must conform is not cut in its middle.
        let stops = if form.is_json() { &[] } else { choosing.stops.as_slice() };
        let named = matches!(form.choice, Calls::Named(_));
        let scan = || {
            let scan = Scan::new(stops.to_vec(), may_call, marked);
            if form.choice == Calls::Auto && !form.is_json() { scan.leaning() } else { scan }
        };
        let choices = choosing.samplers.iter().map(|_| Choice::new(scan(), logprobs, named)).collect();
        Self {
            model: Arc::clone(model),
            answering,
            choices,
            form,
            logprobs,
            id: new_id("chatcmpl-"),
            created: Timestamp::now().as_second(),
            tier: choosing.tier,
        }
    }

    /// What comes next of which choice; nothing once all ended.
    async fn next(&mut self) -> Option<Result<(usize, Delta)>> {
        let piece = match self.answering.next().await? {
            Ok(piece) => piece,
            Err(refused) => return Some(Err(refused.into())),
        };
        let (number, delta) = match piece {
            Piece::Written(written) => {
                let choice = self.choices.get_mut(written.choice)?;
                let delta = choice.push(self.model.model(), &written);
                if choice.scan.stopped {
                    self.answering.enough_of(written.choice);
                }
                (written.choice, delta)
            }
            Piece::End { choice, ending } => {
                let held = match self.choices.get_mut(choice)?.scan.take_held() {
                    None => None,
                    Some(text) => match self.form.called(&self.model, &text).await {
                        Ok(call) => Some(call.ok_or(text)),
                        Err(refused) => return Some(Err(refused.into())),
                    },
                };
                (choice, self.choices.get_mut(choice)?.end(ending, held))
            }
        };
        Some(Ok((number, delta)))
    }

    fn usage(&self) -> Value {
        let completion = self.choices.iter().map(|choice| choice.tokens).sum();
        usage(self.answering.prompt.len(), self.answering.cached_tokens, completion)
    }

    fn document(&self, object: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": super::models::id_of(&self.model),
            "system_fingerprint": fingerprint(&self.model),
            "service_tier": self.tier,
            "choices": choices,
        })
    }

    /// One document.
    async fn whole(mut self) -> Result<Response> {
        let mut messages: Vec<Message> = self.choices.iter().map(|_| Message::default()).collect();
        while let Some(next) = self.next().await {
            let (number, delta) = next?;
            messages[number].take(delta);
        }
        let logprobs = self.logprobs;
        let choices = messages.into_iter().zip(&self.choices).enumerate().map(|(index, (message, choice))| {
            json!({
                "index": index,
                "logprobs": if logprobs { json!({ "content": message.logprobs, "refusal": null }) } else { Value::Null },
                "finish_reason": choice.reason,
                "message": message.into_json(),
            })
        });
        let choices: Vec<Value> = choices.collect();
        let mut document = self.document("chat.completion", &json!(choices));
        document["usage"] = self.usage();
        Ok(Json(document).into_response())
    }

    /// Chunks, as they come.
    fn stream(self, include_usage: bool) -> Response {
        events(move |events| self.send(include_usage, events))
    }

    async fn send(mut self, include_usage: bool, events: Events) {
        let chunk = |writing: &Self, choices: &Value| {
            let mut chunk = writing.document("chat.completion.chunk", choices);
            if include_usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        for index in 0..self.choices.len() {
            let delta = json!({ "role": "assistant", "content": "", "refusal": null });
            let first = json!([{ "index": index, "delta": delta, "logprobs": null, "finish_reason": null }]);
            if !events.send(&chunk(&self, &first)).await {
                return;
            }
        }
        loop {
            let next = tokio::select! {
                next = self.next() => next,
                () = events.closed() => return,
            };
            let (number, delta) = match next {
                None => break,
                Some(Ok(next)) => next,
                Some(Err(failure)) => return events.fail(&failure.to_json()).await,
            };
            let mut logprobs = delta.logprobs;
            for part in delta.parts {
                let mut choice = json!({ "index": number, "delta": delta_of(part), "logprobs": null, "finish_reason": null });
                if self.logprobs && choice["delta"].get("content").is_some() {
                    choice["logprobs"] = json!({ "content": std::mem::take(&mut logprobs), "refusal": null });
                }
                if !events.send(&chunk(&self, &json!([choice]))).await {
                    return;
                }
            }
            if let Some(reason) = self.choices[number].reason {
                let last =
                    json!([{ "index": number, "delta": {}, "logprobs": null, "finish_reason": reason }]);
                if !events.send(&chunk(&self, &last)).await {
                    return;
                }
            }
        }
        if include_usage {
            let mut last = chunk(&self, &json!([]));
            last["usage"] = self.usage();
            if !events.send(&last).await {
                return;
            }
        }
        events.done().await;
    }
}

fn delta_of(part: Part) -> Value {
    match part {
        Part::Content(text) => json!({ "content": text }),
        Part::Call(index, name) => json!({ "tool_calls": [{
            "index": index, "id": new_id("call_"), "type": "function", "function": { "name": name, "arguments": "" },
        }] }),
        Part::Arguments(index, text) => {
            json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] })
        }
    }
}

/// A message as it comes together.
#[derive(Default)]
struct Message {
    content: String,
    calls: Vec<(String, String)>,
    logprobs: Vec<Value>,
}

impl Message {
    fn take(&mut self, delta: Delta) {
        self.logprobs.extend(delta.logprobs);
        for part in delta.parts {
            match part {
                Part::Content(text) => self.content.push_str(&text),
                Part::Call(_, name) => self.calls.push((name, String::new())),
                Part::Arguments(index, text) => {
                    if let Some((_, arguments)) = self.calls.get_mut(index) {
                        arguments.push_str(&text);
                    }
                }
            }
        }
    }

    fn into_json(self) -> Value {
        let mut message =
            json!({ "role": "assistant", "content": self.content, "refusal": null, "annotations": [] });
        if !self.calls.is_empty() {
            if self.content.is_empty() {
                message["content"] = Value::Null;
            }
            let call = |(name, arguments): (String, String)| json!({ "id": new_id("call_"), "type": "function", "function": { "name": name, "arguments": arguments } });
            message["tool_calls"] = self.calls.into_iter().map(call).collect();
        }
        message
    }
}
