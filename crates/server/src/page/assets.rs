//! The pages' styles and scripts: compiled in, and sent inside each page, so that a browser has one answer to wait for.
//!
//! The policy that goes with every answer names them by their hash. Nothing else that stands in a page is ever run or applied,
//! and nothing can be loaded besides: not even from here.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

// `CASEMATE_*` goes with each page; a page's own are named like it.
pub(crate) const ASK_CSS: &str = include_str!("../../assets/ask.css");
pub(crate) const CASEMATE_CSS: &str = include_str!("../../assets/casemate.css");
pub(crate) const INVESTIGATION_CSS: &str = include_str!("../../assets/investigation.css");
pub(crate) const KNOWLEDGE_CSS: &str = include_str!("../../assets/knowledge.css");
pub(crate) const QUEUE_CSS: &str = include_str!("../../assets/queue.css");
pub(crate) const SEARCH_CSS: &str = include_str!("../../assets/search.css");
pub(crate) const SYSTEM_CSS: &str = include_str!("../../assets/system.css");
pub(crate) const ASK_JS: &str = include_str!("../../assets/ask.js");
pub(crate) const CASEMATE_JS: &str = include_str!("../../assets/casemate.js");
pub(crate) const INVESTIGATION_JS: &str = include_str!("../../assets/investigation.js");
pub(crate) const KNOWLEDGE_JS: &str = include_str!("../../assets/knowledge.js");
pub(crate) const QUEUE_JS: &str = include_str!("../../assets/queue.js");
pub(crate) const SEARCH_JS: &str = include_str!("../../assets/search.js");

const STYLES: [&str; 7] =
    [ASK_CSS, CASEMATE_CSS, INVESTIGATION_CSS, KNOWLEDGE_CSS, QUEUE_CSS, SEARCH_CSS, SYSTEM_CSS];
/// What stands in the one script of a page: a browser that has run a first one lays out what it has before it runs a second.
static SCRIPTS: LazyLock<[String; 6]> = LazyLock::new(|| {
    ["", ASK_JS, INVESTIGATION_JS, KNOWLEDGE_JS, QUEUE_JS, SEARCH_JS].map(|own| [CASEMATE_JS, own].concat())
});

/// Our styles and scripts by their hash and no other, nothing from elsewhere, no framing.
pub(crate) static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    fn hashes<T: AsRef<[u8]>>(texts: &[T]) -> String {
        let hash = |text: &T| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        texts.iter().map(hash).collect::<Vec<_>>().join(" ")
    }
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        hashes(&STYLES),
        hashes(&*SCRIPTS)
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Whether this is one of our styles or scripts, whole.
pub(crate) fn is_ours(text: &str) -> bool {
    STYLES.contains(&text) || SCRIPTS.iter().any(|ours| ours == text)
}

/// `GET /assets/icon.svg`
pub(crate) async fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    (headers, include_str!("../../assets/icon.svg")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_reads_them_to_their_end() {
        for text in STYLES.into_iter().chain(SCRIPTS.iter().map(String::as_str)) {
            let lower = text.to_ascii_lowercase();
            let ends = ["</style", "</script", "<!--", "\r", "\0"];
            assert!(ends.iter().all(|end| !lower.contains(end)), "{text}");
        }
        assert!(
            CONTENT_SECURITY_POLICY.to_str().is_ok_and(|policy| policy.matches("'sha256-").count() == 13)
        );
    }
}
