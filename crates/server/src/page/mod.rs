//! What does a person at a browser see? Server-rendered pages that read without JavaScript.
//!
//! Handlers gather a view (plain strings and numbers, ready to print); templates lay it out. Every value a
//! template prints passes [`escape::Visible`], so log text can neither become markup nor hide in control
//! characters.

pub(crate) mod alert;
pub(crate) mod ask;
pub(crate) mod assets;
mod attempts;
pub(crate) mod bars;
pub(crate) mod case;
mod cited;
pub(crate) mod entity;
pub(crate) mod escape;
pub(crate) mod event;
pub(crate) mod evidence;
mod exhibits;
pub(crate) mod feedback;
pub(crate) mod filter;
mod graph;
pub(crate) mod investigation;
pub(crate) mod knowledge;
mod matrix;
pub(crate) mod parts;
pub(crate) mod problem;
pub(crate) mod prompt;
pub(crate) mod queue;
pub(crate) mod running;
pub(crate) mod search;
pub(crate) mod session;
mod spread;
pub(crate) mod system;
pub(crate) mod ticks;
pub(crate) mod timeline;

use crate::problem::{Problem, Result};
use askama::Template;
use axum::response::Html;

/// Whether a path is for people: problems there are shown as a page.
pub(crate) fn is_page(path: &str) -> bool {
    const FOR_PROGRAMS: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/mcp"];
    // Shippers of Elastic's kind speak to `/_bulk` and the like, Splunk's to `/services/collector`.
    let for_shippers = path.starts_with("/services/") || path.split('/').any(|part| part.starts_with('_'));
    !path.starts_with("/v1/")
        && !path.starts_with("/assets/")
        && !FOR_PROGRAMS.contains(&path)
        && !for_shippers
}

/// Whether a path takes a form of the page, which cannot send JSON.
pub(crate) fn is_form(path: &str) -> bool {
    let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    matches!(path, "/login" | "/logout" | "/ask" | "/drafts/playbook" | "/drafts/rule")
        || path.starts_with("/alerts/") && ends(&["/investigate", "/close", "/reopen", "/feedback"])
        || path.starts_with("/tries/") && ends(&["/stop"])
        || path.starts_with("/cases/") && ends(&["/close", "/reopen", "/feedback", "/remove"])
        || path.starts_with("/events/") && ends(&["/save", "/investigate"])
}

/// Renders a template.
pub(crate) fn render(template: &impl Template) -> Result<Html<String>> {
    template.render().map(Html).map_err(|error| Problem::internal("rendering the page", &error))
}
