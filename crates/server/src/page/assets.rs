//! The page's style, script and icon: compiled in, revalidated by their hash.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::hash::{DefaultHasher, Hash, Hasher};

/// `GET /assets/casemate.css`
pub(crate) async fn css(headers: HeaderMap) -> Response {
    asset(&headers, "text/css; charset=utf-8", include_str!("../../assets/casemate.css"))
}

/// `GET /assets/casemate.js`
pub(crate) async fn js(headers: HeaderMap) -> Response {
    asset(&headers, "text/javascript; charset=utf-8", include_str!("../../assets/casemate.js"))
}

/// `GET /assets/icon.svg`
pub(crate) async fn icon(headers: HeaderMap) -> Response {
    asset(&headers, "image/svg+xml", include_str!("../../assets/icon.svg"))
}

fn asset(headers: &HeaderMap, media: &'static str, body: &'static str) -> Response {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let cached = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    (cached, [(header::CONTENT_TYPE, media)], body).into_response()
}
