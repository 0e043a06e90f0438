//! The pages' styles, scripts and icon: compiled in, revalidated by their hash.

use crate::problem::Problem;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::hash::{DefaultHasher, Hash, Hasher};

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file that pages link to. `casemate.*` goes with each page; a page's own style and script are named like it.
const FILES: [(&str, &str, &str); 14] = [
    ("ask.css", CSS, include_str!("../../assets/ask.css")),
    ("ask.js", JS, include_str!("../../assets/ask.js")),
    ("casemate.css", CSS, include_str!("../../assets/casemate.css")),
    ("casemate.js", JS, include_str!("../../assets/casemate.js")),
    ("investigation.css", CSS, include_str!("../../assets/investigation.css")),
    ("investigation.js", JS, include_str!("../../assets/investigation.js")),
    ("knowledge.css", CSS, include_str!("../../assets/knowledge.css")),
    ("knowledge.js", JS, include_str!("../../assets/knowledge.js")),
    ("search.css", CSS, include_str!("../../assets/search.css")),
    ("search.js", JS, include_str!("../../assets/search.js")),
    ("queue.css", CSS, include_str!("../../assets/queue.css")),
    ("queue.js", JS, include_str!("../../assets/queue.js")),
    ("system.css", CSS, include_str!("../../assets/system.css")),
    ("icon.svg", SVG, include_str!("../../assets/icon.svg")),
];

/// `GET /assets/{name}`
pub(crate) async fn file(headers: HeaderMap, Path(name): Path<String>) -> Result<Response, Problem> {
    let Some((_, media, body)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return Err(Problem::not_found(format!("no page links to a file {name:?}")));
    };
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let cached = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    Ok((cached, [(header::CONTENT_TYPE, *media)], *body).into_response())
}
