//! `POST /v1/embeddings`: what does this text mean, as a vector?
//!
//! The site's own embedder, the one that search by meaning uses. It reads 128 tokens at once: of a longer text each
//! stretch is embedded, and the vector is their mean, weighted by their tokens. Nothing is cut off in silence.

use super::asked::{Asker, missing};
use super::error::{Failure, Result};
use super::fields::{Fields, receive, wrong_type};
use super::models::slug;
use crate::problem::Problem;
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use casemate_inference::{Embedder, Tokens};
use serde_json::{Value, json};
use std::sync::Arc;

const PATH: &str = "/v1/embeddings";
/// Texts of one request, tokens of one text, and of all of them, as OpenAI has it.
const MAX_INPUTS: usize = 2048;
const MAX_TOKENS: usize = 8192;
const MAX_ALL_TOKENS: usize = 300_000;
/// Stretches embedded before it is looked whether somebody still waits.
const AT_ONCE: usize = 64;

/// `POST /v1/embeddings`
pub(crate) async fn create(State(app): State<Arc<App>>, asker: Asker, body: Body) -> Result<Json<Value>> {
    let body = receive(body).await?;
    let mut fields = Fields::parse(&body)?;
    let wanted = fields.required_text("model")?;
    let Some(embedder) = app.pipeline.embedder().cloned() else {
        return Err(missing(&wanted, "there is no embedding model here"));
    };
    let id = slug(embedder.name());
    if ![id.as_str(), embedder.name(), "default"].contains(&wanted.as_str()) {
        return Err(missing(&wanted, &format!("{id:?} makes embeddings")));
    }
    let inputs = inputs(fields.required("input")?)?;
    let as_base64 = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Failure::value("encoding_format", "Supported are 'float' and 'base64'.")),
    };
    let dimension = embedder.dimension();
    if fields.count("dimensions", 1..=1 << 20)?.is_some_and(|wanted| wanted != dimension) {
        let message = format!("This model has {dimension} dimensions and cannot be shortened.");
        return Err(Failure::parameter("dimensions", "unsupported_value", message));
    }
    fields.ignore(&["user"]);
    fields.finish()?;
    asker.note(&app, PATH, &body, &id, false).await;

    let inside = app.embedding.enter().await;
    let inside = inside.map_err(|full| {
        Failure::busy(
            format!("{} requests wait for the embedder already; ask again later", full.waiting),
            full.seconds,
        )
    })?;
    let stretches = blocking(&app, {
        let embedder = Arc::clone(&embedder);
        move |_| {
            Ok(inputs
                .iter()
                .enumerate()
                .map(|(index, input)| input.stretches(&embedder, index))
                .collect::<Result<Vec<_>>>())
        }
    })
    .await??;
    let tokens: usize = stretches.iter().flatten().map(Vec::len).sum();
    if tokens > MAX_ALL_TOKENS {
        let message = format!("Requested {tokens} tokens, max {MAX_ALL_TOKENS} tokens per request");
        return Err(Failure::parameter("input", "max_tokens_per_request", message));
    }
    let vectors = embed(&app, &embedder, stretches).await?;
    drop(inside);
    let data = vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = if as_base64 { json!(encoded(vector)) } else { json!(vector) };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    Ok(Json(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": id,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

/// A text to be embedded.
#[derive(Debug)]
enum Input {
    Text(String),
    /// In tokens of the embedder's own vocabulary, without those that begin and end a text.
    Tokens(Tokens),
}

fn inputs(value: Value) -> Result<Vec<Input>> {
    let expected = "a string, an array of strings, an array of tokens or an array of arrays of tokens";
    let list = match value {
        Value::String(text) => vec![Value::String(text)],
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_number) => {
            vec![Value::Array(list)]
        }
        Value::Array(list) => list,
        other => return Err(wrong_type("input", expected, &other)),
    };
    if !(1..=MAX_INPUTS).contains(&list.len()) {
        let message = format!("Invalid 'input': {} texts; 1 to {MAX_INPUTS} may be given.", list.len());
        return Err(Failure::value("input", message));
    }
    list.into_iter()
        .map(|input| match input {
            Value::String(text) if text.is_empty() => {
                Err(Failure::value("input", "Invalid 'input': input cannot be an empty string."))
            }
            Value::String(text) => Ok(Input::Text(text)),
            Value::Array(tokens) if tokens.is_empty() => {
                Err(Failure::value("input", "Invalid 'input': input cannot be an empty array."))
            }
            Value::Array(tokens) => {
                let token = |value: Value| {
                    let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
                    token.ok_or_else(|| wrong_type("input", expected, &value))
                };
                tokens.into_iter().map(token).collect::<Result<_>>().map(Input::Tokens)
            }
            other => Err(wrong_type("input", expected, &other)),
        })
        .collect()
}

impl Input {
    /// What the embedder reads at once, one after the other.
    fn stretches(&self, embedder: &Embedder, index: usize) -> Result<Vec<Tokens>> {
        let stretches = match self {
            Self::Text(text) => embedder.stretches(text),
            Self::Tokens(tokens) => embedder.stretches_of(tokens),
        };
        let stretches = stretches.map_err(|error| {
            let said = format!(
                "Invalid 'input[{index}]': {error}. Token numbers are of this model's own vocabulary: \
                send text (LangChain: check_embedding_ctx_length=False)."
            );
            Failure::value("input", said)
        })?;
        let tokens: usize = stretches.iter().map(Vec::len).sum();
        if tokens > MAX_TOKENS {
            let message = format!(
                "Invalid 'input[{index}]': maximum input length is {MAX_TOKENS} tokens, this has {tokens}."
            );
            return Err(Failure::parameter("input", "context_length_exceeded", message));
        }
        Ok(stretches)
    }
}

/// A vector for each text.
async fn embed(app: &Arc<App>, embedder: &Arc<Embedder>, texts: Vec<Vec<Tokens>>) -> Result<Vec<Vec<f32>>> {
    let mut rest: Vec<Tokens> = texts.iter().flatten().cloned().collect();
    let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(rest.len());
    // Between two runs whoever does not wait any more is noticed: this future is gone then.
    while !rest.is_empty() {
        let next = rest.split_off(rest.len().min(AT_ONCE));
        let now = std::mem::replace(&mut rest, next);
        let embedder = Arc::clone(embedder);
        let embedded = blocking(app, move |_| {
            embedder.embed_tokens(&now).map_err(|error| Problem::internal("embedding", &error))
        });
        vectors.extend(embedded.await?);
    }
    let mut vectors = vectors.into_iter();
    Ok(texts.iter().map(|text| mean(text, &mut vectors, embedder.dimension())).collect())
}

/// The vectors of a text's stretches, put together.
fn mean(text: &[Tokens], vectors: &mut impl Iterator<Item = Vec<f32>>, dimension: usize) -> Vec<f32> {
    if let [_] = text {
        return vectors.next().unwrap_or_default();
    }
    let mut sum = vec![0.0; dimension];
    for (stretch, vector) in text.iter().zip(vectors) {
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x * stretch.len() as f32);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        sum.iter_mut().for_each(|x| *x /= norm);
    }
    sum
}

/// Floats in the order of their bytes that OpenAI's clients expect.
fn encoded(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_in_four_shapes() {
        let count = |value: Value| inputs(value).map(|inputs| inputs.len()).ok();
        assert_eq!(count(json!("a")), Some(1));
        assert_eq!(count(json!(["a", "b"])), Some(2));
        assert_eq!(count(json!([1, 2, 3])), Some(1));
        assert_eq!(count(json!([[1, 2], [3]])), Some(2));
        for wrong in [
            json!(""),
            json!([]),
            json!([[]]),
            json!([["a"]]),
            json!([1, "a"]),
            json!([-1]),
            json!({}),
            json!([""]),
        ] {
            assert_eq!(count(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(count(json!(vec!["a"; MAX_INPUTS + 1])), None);
    }

    #[test]
    fn long_texts_are_the_mean_of_their_stretches() {
        let mut vectors = [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.6, 0.8]].into_iter();
        let long = mean(&[vec![1; 3], vec![1; 4]], &mut vectors, 2);
        assert!((long[0] - 0.6).abs() < 1e-6 && (long[1] - 0.8).abs() < 1e-6, "{long:?}");
        assert_eq!(mean(&[vec![1]], &mut vectors, 2), [0.6, 0.8]);
        assert_eq!(encoded(&[1.0]), "AACAPw==");
    }
}
