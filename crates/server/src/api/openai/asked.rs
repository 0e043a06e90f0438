//! Which model is meant, how are tokens to be chosen, and who asks? What chat and completions have in common.

use super::error::{Failure, Result};
use super::fields::Fields;
use crate::admit::record;
use crate::listen::Peer;
use crate::model::{SharedModel, absent};
use crate::problem::Problem;
use crate::state::App;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use casemate_access::Principal;
use casemate_audit::Entry;
use casemate_inference::{Ending, Priority, Sampler};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Answers to one request.
pub(super) const MAX_CHOICES: u64 = 8;
const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 1000;

/// Who asks, and from where.
pub(crate) struct Asker {
    who: Principal,
    from: String,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Problem> {
        let who = parts.extensions.get::<Principal>().cloned().unwrap_or_else(|| Principal::local("local"));
        let from = parts.extensions.get::<Peer>().cloned().unwrap_or_default().source;
        Ok(Self { who, from })
    }
}

impl Asker {
    /// Puts it on record that the model is asked: the hash of the body, and never what it says. Before it is, so that who
    /// hangs up is on record too.
    pub(super) async fn note(&self, app: &Arc<App>, path: &str, body: &[u8], model: &str, durable: bool) {
        let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        let said =
            json!({ "body_sha256": hash, "body_bytes": body.len(), "model": model, "from": self.from });
        let entry = Entry::new(&self.who.to_string(), "ask the model", format!("POST {path}"), said);
        record(app, entry, durable).await;
    }
}

/// The decoder that a request names.
pub(super) fn decoder(app: &Arc<App>, fields: &mut Fields) -> Result<Arc<SharedModel>> {
    let wanted = fields.required_text("model")?;
    let Some(model) = &app.model else {
        return Err(match app.queue.held() {
            Some(_) => absent(app).into(),
            None => missing(&wanted, "casemate was started without a model (--model none)"),
        });
    };
    let id = super::models::id_of(model);
    let is_it =
        [id.as_str(), &model.model().info().name, model.sha256(), "default"].contains(&wanted.as_str());
    if is_it { Ok(Arc::clone(model)) } else { Err(missing(&wanted, &format!("{id:?} is what is loaded"))) }
}

/// There is no model of this name, and what there is.
pub(super) fn missing(wanted: &str, instead: &str) -> Failure {
    let wanted: String = wanted.chars().take(100).collect();
    Failure::no_model(format!("The model '{wanted}' does not exist here or cannot do this: {instead}."))
}

/// How tokens are chosen and how many.
pub(super) struct Choosing {
    pub(super) samplers: Vec<Sampler>,
    pub(super) max_tokens: Option<usize>,
    pub(super) stops: Vec<String>,
    pub(super) priority: Priority,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) tier: &'static str,
}

impl Choosing {
    pub(super) fn take(fields: &mut Fields) -> Result<Self> {
        let temperature = fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0) as f32;
        let top_p = fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0) as f32;
        let seed = seed(fields)?;
        let count = fields.count("n", 1..=MAX_CHOICES)?.unwrap_or(1);
        let sampler = |index: u64| match temperature {
            0.0 => Sampler::Greedy,
            _ => Sampler::random(seed.wrapping_add(index.wrapping_mul(0x9e37_79b9)), temperature, top_p),
        };
        let samplers = (0..count as u64).map(sampler).collect();
        let old = fields.count("max_tokens", 0..=u64::from(u32::MAX))?;
        let max_tokens = fields.count("max_completion_tokens", 1..=u64::from(u32::MAX))?.or(old);
        let stops = stops(fields)?;
        let stream = fields.flag("stream")?.unwrap_or(false);
        let include_usage = stream_options(fields, stream)?;
        let (priority, tier) = match fields.text("service_tier")?.as_deref() {
            None | Some("auto" | "default" | "priority") => (Priority::Interactive, "default"),
            Some("flex") => (Priority::Backlog, "flex"),
            Some(_) => {
                return Err(Failure::value("service_tier", "Supported are 'auto', 'default' and 'flex'."));
            }
        };
        for name in ["frequency_penalty", "presence_penalty"] {
            fields.only(name, &[json!(0), json!(0.0)])?;
        }
        fields.only("logit_bias", &[json!({})])?;
        fields.ignore(&["user"]);
        Ok(Self { samplers, max_tokens, stops, priority, stream, include_usage, tier })
    }
}

/// The seed given, or a new one each time.
fn seed(fields: &mut Fields) -> Result<u64> {
    match fields.value("seed") {
        None => Ok(random()),
        Some(value) => {
            let seed = value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
            seed.ok_or_else(|| super::fields::wrong_type("seed", "an integer", &value))
        }
    }
}

fn stops(fields: &mut Fields) -> Result<Vec<String>> {
    let wrong = |what: String| Failure::value("stop", format!("Invalid 'stop': {what}."));
    let stops = match fields.value("stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(super::fields::wrong_type("stop", "an array of strings", &other)),
            })
            .collect::<Result<_>>()?,
        Some(other) => {
            return Err(super::fields::wrong_type("stop", "a string or an array of strings", &other));
        }
    };
    if stops.len() > MAX_STOPS {
        return Err(wrong(format!("{} sequences are more than {MAX_STOPS}", stops.len())));
    }
    match stops.iter().find(|stop| !(1..=MAX_STOP_BYTES).contains(&stop.len())) {
        Some(stop) => Err(wrong(format!("{} bytes; a sequence has 1 to {MAX_STOP_BYTES}", stop.len()))),
        None => Ok(stops),
    }
}

fn stream_options(fields: &mut Fields, stream: bool) -> Result<bool> {
    let Some(mut options) = fields.object("stream_options")? else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Failure::value("stream_options", message));
    }
    let include = options.flag("include_usage")?.unwrap_or(false);
    // Padding against those who listen in: loopback or TLS.
    options.ignore(&["include_obfuscation"]);
    options.finish()?;
    Ok(include)
}

/// Why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Turn | Ending::Satisfied | Ending::Stopped => "stop",
        Ending::Length => "length",
    }
}

/// An id that no other answer has.
pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}{:016x}{:016x}", random(), random())
}

/// What identifies the very model file.
pub(super) fn fingerprint(model: &SharedModel) -> String {
    format!("fp_{}", model.sha256().get(..12).unwrap_or_default())
}

/// From the system, by way of the standard library's keys.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Tokens of a request, in OpenAI's words.
pub(super) fn usage(prompt: usize, cached: usize, completion: usize) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": cached, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0 },
    })
}
