//! What does a person see when a request fails? The same problem as a page.

use crate::problem::Problem;
use askama::Template;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
}

/// Replaces the body of a problem by a page; other responses stay.
pub(crate) fn for_people(mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let page =
        ProblemPage { status: problem.status.as_u16(), title: problem.title(), detail: &problem.detail };
    let Ok(html) = page.render() else { return response };
    let mut page = (problem.status, Html(html)).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}
