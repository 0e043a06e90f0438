//! What did the client ask for? Query strings, path segments and JSON bodies, checked, with errors in words.

use crate::problem::{Problem, Result};
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use casemate_event::{Entity, EventId};
use casemate_store::{Order, Query as StoreQuery, parse_time};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest JSON body taken; log data goes to `/v1/ingest`, which takes more.
const MAX_JSON_BYTES: usize = 1 << 20;
/// Longest form taken where nothing else is said: what encodes the longest reason.
const MAX_FORM_BYTES: usize = 48 << 10;
/// Characters of a time that is none that are said back.
const MAX_SHOWN_CHARS: usize = 60;

/// Query string as `T`, refused with a problem that names the parameter.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Query::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|error| {
            Problem::bad_request(format!("{}; /openapi.json lists the parameters", error.body_text()))
        })
    }
}

/// A path segment that is a number.
pub(crate) fn number(segment: &str, what: &str) -> Result<u64> {
    segment.parse().map_err(|_| Problem::bad_request(format!("{segment:?} is not the number of an {what}")))
}

/// A small JSON body as `T`.
pub(crate) async fn json_body<T: DeserializeOwned>(body: Body) -> Result<T> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the body is cut short or longer than {MAX_JSON_BYTES} bytes; log data goes to /v1/ingest/auto"
            ),
        )
    };
    // What announces too much is refused before it is sent.
    if body.size_hint().lower() > MAX_JSON_BYTES as u64 {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, MAX_JSON_BYTES).await.map_err(|_| too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("the body is not the JSON expected here: {error}; /openapi.json describes it");
        match error.classify() {
            serde_json::error::Category::Data => Problem::unprocessable(detail),
            _ => Problem::bad_request(detail),
        }
    })
}

/// The fields of a form of the page.
pub(crate) async fn form_body<T: DeserializeOwned>(body: Body) -> Result<T> {
    long_form_body(body, MAX_FORM_BYTES).await
}

/// As [`form_body`], for one of at most so many bytes.
pub(crate) async fn long_form_body<T: DeserializeOwned>(body: Body, most: usize) -> Result<T> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the form says more than it may");
    let bytes = axum::body::to_bytes(body, most).await.map_err(|_| too_large())?;
    serde_urlencoded::from_bytes(&bytes).map_err(|error| Problem::unprocessable(error.to_string()))
}

/// The fields of a form of the page that may come more than once, in order.
pub(crate) async fn form_pairs(body: Body) -> Result<Vec<(String, String)>> {
    form_body(body).await
}

/// The media type of a request, without its parameters, in lower case.
pub(crate) fn media_type(headers: &axum::http::HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// What `/v1/events`, `/v1/search` and the search page take.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchParams {
    #[serde(default)]
    pub(crate) q: String,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// What narrows the search, in the query language.
    #[serde(default)]
    pub(crate) filter: String,
    #[serde(default)]
    pub(crate) after: String,
    #[serde(default)]
    pub(crate) before: String,
    #[serde(default)]
    pub(crate) entity: String,
    pub(crate) limit: Option<usize>,
    pub(crate) order: Option<OrderParam>,
    /// Only events that arrived after the one with this number.
    pub(crate) newer: Option<u64>,
    /// Only events up to the one with this number.
    #[serde(skip)]
    pub(crate) up_to: Option<EventId>,
}

/// How to search.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Text,
    Semantic,
    Hybrid,
}

/// [`Order`] as written in a query string.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OrderParam {
    Oldest,
    Newest,
    Relevance,
}

impl SearchParams {
    pub(crate) const DEFAULT_LIMIT: usize = 100;
    pub(crate) const MAX_LIMIT: usize = 1000;

    /// The limit, checked.
    pub(crate) fn limit(&self) -> Result<usize> {
        let limit = self.limit.unwrap_or(Self::DEFAULT_LIMIT);
        if (1..=Self::MAX_LIMIT).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::bad_request(format!("limit is {limit}; it can be 1 to {}", Self::MAX_LIMIT)))
        }
    }

    /// The query the store answers; `text` apart, so that a semantic search can leave it out.
    pub(crate) fn to_query(&self, text: &str, default: Order) -> Result<StoreQuery> {
        let order = match self.order {
            None => default,
            Some(OrderParam::Oldest) => Order::OldestFirst,
            Some(OrderParam::Newest) => Order::NewestFirst,
            Some(OrderParam::Relevance) => Order::Relevance,
        };
        Ok(StoreQuery {
            text: text.to_owned(),
            filter: self.filter.trim().to_owned(),
            newer_than: self.newer.map(EventId),
            up_to: self.up_to,
            after: time("after", &self.after)?,
            before: time("before", &self.before)?,
            entities: entities(&self.entity)?,
            limit: self.limit()?,
            order,
            ..StoreQuery::default()
        })
    }
}

/// Entities separated by commas, or one whose name holds commas (a path may).
fn entities(text: &str) -> Result<Vec<Entity>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let listed: std::result::Result<Vec<Entity>, String> =
        text.split(',').map(|part| part.trim().parse()).collect();
    listed.or_else(|_| text.parse().map(|entity| vec![entity])).map_err(Problem::bad_request)
}

/// A time: RFC 3339, without a zone (as browsers send `datetime-local`) in UTC, a date, or one relative to now (`-15m`).
pub(crate) fn time(name: &str, text: &str) -> Result<Option<Timestamp>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    parse_time(text, Timestamp::now()).map(Some).ok_or_else(|| {
        Problem::bad_request(format!(
            "{name} is {shown:?}, which is no time; write 2026-01-31T09:30:00Z (UTC where no zone is given), or -15m, \
             -24h, -7d for so long ago"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_time(text: &str, expected: Option<&str>) {
        let parsed = time("after", text).ok().flatten().map(|time| time.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        check_time("2026-01-31T09:30:00Z", Some("2026-01-31T09:30:00Z"));
        check_time("2026-01-31T09:30:00+02:00", Some("2026-01-31T07:30:00Z"));
        check_time("2026-01-31T09:30", Some("2026-01-31T09:30:00Z"));
        check_time("2026-01-31", Some("2026-01-31T00:00:00Z"));
        check_time("yesterday", None);
        assert!(time("after", "-15m").is_ok_and(|time| time.is_some()));
        assert!(time("after", "yesterday").is_err());
        assert!(matches!(time("after", " "), Ok(None)));
    }

    #[test]
    fn entities_are_a_list() {
        let found = entities("host:WS5, user:EXAMPLE\\alice").unwrap_or_default();
        let names: Vec<String> = found.iter().map(Entity::to_string).collect();
        assert_eq!(names, ["host:ws5", "user:alice"]);
        assert!(entities("ws5").is_err() && entities(" ").is_ok_and(|found| found.is_empty()));
        assert_eq!(entities(r"file:C:\a,b.txt").unwrap_or_default().len(), 1);
    }

    #[test]
    fn limits_are_bounded() {
        let with = |limit| SearchParams { limit: Some(limit), ..SearchParams::default() }.limit().is_ok();
        assert!(with(1) && with(1000) && !with(0) && !with(1001));
    }
}
