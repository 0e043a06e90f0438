//! What is a client told when a request fails? OpenAI's envelope, from which its clients make their exceptions.

use crate::model::Refused;
use crate::problem::Problem;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A failed request, as OpenAI words it.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    /// The parameter at fault.
    param: Option<String>,
    /// A word for programs.
    code: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, headers: Vec::new() }
    }

    /// A parameter that cannot be used as it is.
    pub(super) fn parameter(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        let failure = Self::new(StatusCode::BAD_REQUEST, message);
        Self { param: Some(param.to_owned()), code: Some(code), ..failure }
    }

    /// A value that is none of those taken.
    pub(super) fn value(param: &str, message: impl Into<String>) -> Self {
        Self::parameter(param, "invalid_value", message)
    }

    /// There is no such model.
    pub(super) fn no_model(message: impl Into<String>) -> Self {
        let failure = Self::new(StatusCode::NOT_FOUND, message);
        Self { param: Some("model".to_owned()), code: Some("model_not_found"), ..failure }
    }

    /// Too many ask at once.
    pub(super) fn busy(message: impl Into<String>, seconds: u32) -> Self {
        Problem::too_many(message, seconds).into()
    }

    /// The envelope.
    pub(super) fn to_json(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = match problem.status {
            StatusCode::UNAUTHORIZED => Some("invalid_api_key"),
            StatusCode::FORBIDDEN => Some("insufficient_permissions"),
            StatusCode::TOO_MANY_REQUESTS => Some("rate_limit_exceeded"),
            _ => None,
        };
        let headers = problem.headers().collect();
        Self { status: problem.status, message: problem.detail, param: None, code, headers }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLong { prompt, wanted, limit } => {
                let message = format!(
                    "This model's maximum context length is {limit} tokens. However, you requested {} tokens ({prompt} \
                     in the messages, {wanted} in the completion). Please reduce the length of the messages or \
                     completion.",
                    prompt + wanted
                );
                Self::parameter("messages", "context_length_exceeded", message)
            }
            Refused::Prompt(why) => Self::value("messages", why),
            Refused::Grammar(why) => {
                Self::parameter("response_format", "invalid_json_schema", format!("Invalid schema: {why}"))
            }
            other => Problem::from(other).into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let media = (header::CONTENT_TYPE, "application/json");
        let mut response = (self.status, [media], self.to_json().to_string()).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Gives a problem that arose before a request reached its handler OpenAI's envelope; other responses stay.
pub(crate) fn for_clients(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => Failure::from(problem).into_response(),
        None => response,
    }
}
