//! What is a client told when a request fails? RFC 9457 problem details, with a `detail` that says what to do.
//!
//! Faults of the request (4xx) are explained to the sender. Faults of the service (5xx) are logged in full and
//! only named to the sender: their text may hold paths and log content.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt;

/// A failed request. Its response carries a copy as an extension, for a rendering of another kind.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Result of a request handler.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: Vec::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// Too much at once; the client is told when to come back.
    pub(crate) fn busy(detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        problem.headers.push((header::RETRY_AFTER, HeaderValue::from(retry_after_seconds)));
        problem
    }

    /// More than may wait was asked for; the client is told when to come back.
    pub(crate) fn too_many(detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        problem.with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// A fault of ours: logged here in full, hidden from the client.
    pub(crate) fn internal(what: &str, error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "{what} failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!(
                "{what} failed inside casemate; its log says why, `casemate doctor` checks the data directory"
            ),
        )
    }

    /// Records that could not be stored; what was acknowledged before stays.
    ///
    /// Always 503, for a full disk too: 507 is taken by senders as a reason to give the records up.
    pub(crate) fn not_stored(error: &casemate_store::Error) -> Self {
        tracing::error!(%error, "received records could not be stored");
        if error.is_full() {
            let detail = "the disk of the data directory is full, and nothing of this is acknowledged; what was \
                          acknowledged before stays. Free space there; senders are to try again";
            return Self::busy(detail, 30);
        }
        Self::busy("the records could not be stored and are not acknowledged; send them again", 5)
    }

    /// Adds a response header, such as `Allow`.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().cloned()
    }

    /// Its headers but the one that has a browser ask for a password by itself.
    pub(crate) fn headers_without_challenge(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().filter(|(name, _)| name != header::WWW_AUTHENTICATE).cloned()
    }

    pub(crate) fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }
}

impl From<casemate_store::Error> for Problem {
    fn from(error: casemate_store::Error) -> Self {
        if error.is_bad_input() {
            Self::bad_request(error.to_string())
        } else {
            Self::internal("reading the store", &error)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "title": self.title(), "status": self.status.as_u16(), "detail": self.detail });
        let content_type = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (self.status, [content_type], body.to_string()).into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}
