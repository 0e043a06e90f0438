//! What do programs get that speak OpenAI's API? The site's own model and embedder, by the names and shapes they know.
//!
//! `POST /v1/chat/completions`, `/v1/completions` and `/v1/embeddings`, and `GET /v1/models`. What changes an answer and
//! cannot be honoured is refused, never ignored; errors have OpenAI's envelope, so that clients make their exceptions.
//! Requests take turns with investigations ([`model`](crate::model)), a person's before the backlog's; those of
//! `service_tier: flex` are of the backlog.
//!
//! | what happens | what the client is told |
//! |---|---|
//! | too many at once | 429 with `Retry-After`; 4 are answered at a time and 32 wait |
//! | a prompt longer than the window, or one that leaves no room for `max_tokens` | 400 `context_length_exceeded` |
//! | a body over 4 MiB | 413 |
//! | a schema that is too large, does not compile or takes too much work | 400 `invalid_json_schema` |
//! | the client hangs up | nothing: writing ends before the next token |
//! | ten minutes passed | `finish_reason: length` with what was written, or 503 if that is nothing |
//! | the server ends | 503; a stream ends with an error and without `[DONE]` |
//! | the model that should be there is not | 503 that says why; with `--model none` 404 `model_not_found` |
//!
//! Deliberately absent: images, audio, files, assistants, batches, the Responses API, penalties and biases of tokens.

mod answer;
mod asked;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod described;
pub(crate) mod embeddings;
mod error;
mod fields;
mod form;
mod messages;
pub(crate) mod models;
mod scan;
mod stream;

pub(crate) use error::for_clients;

/// Whether problems at this path are told in OpenAI's envelope.
pub(crate) fn is_its(path: &str) -> bool {
    matches!(path, "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/models")
        || path.starts_with("/v1/models/")
}
