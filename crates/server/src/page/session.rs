//! `GET /login`, `POST /login`, `GET /session`, `POST /logout`: who is at this browser?

use super::render;
use crate::admit::{cookie, described, note_denied, problem, record, set_cookie};
use crate::listen::Peer;
use crate::params::{Params, form_body};
use crate::problem::{Problem, Result};
use crate::state::App;
use askama::Template;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use casemate_access::{Credential, Denied, Principal};
use casemate_audit::Entry;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    next: &'a str,
    /// Why the last attempt failed.
    failed: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    name: String,
    kind: &'static str,
    scopes: String,
    redacted: bool,
    is_session: bool,
}

/// Where a login leads to.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// A page of ours, and nothing that another site could have put there.
pub(crate) fn own(next: &str) -> &str {
    let is_own = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if is_own && !next.chars().any(char::is_control) { next } else { "/" }
}

/// `GET /login`
pub(crate) async fn form(State(app): State<Arc<App>>, Params(asked): Params<Next>) -> Result<Response> {
    if app.access.is_none() {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(render(&LoginPage { next: own(&asked.next), failed: None })?.into_response())
}

/// `POST /login`
pub(crate) async fn log_in(
    State(app): State<Arc<App>>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Response> {
    let login: Login = form_body(body).await?;
    let Some(access) = app.access.clone() else { return Ok(Redirect::to("/").into_response()) };
    let from = peer.map(|Extension(peer)| peer.source).unwrap_or_default();
    let next = own(&login.next).to_owned();
    let (claims, looked) = {
        let permit = Arc::clone(&app.verifying).acquire_owned().await;
        let (app, source) = (Arc::clone(&app), from.clone());
        let look = move || {
            let _permit = permit;
            let Login { user, password, .. } = &login;
            // A token can be given in place of a password, without a name.
            let shown = match user.trim() {
                "" => Credential::Token(password.trim()),
                user => Credential::Password { user, password },
            };
            let now = Timestamp::now();
            let begun = access
                .authenticate(shown, &source, now)
                .and_then(|who| app.sessions.begin(&access, &who, now).map(|cookie| (who, cookie)));
            (shown.claims(), begun)
        };
        tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| Problem::internal("looking at a login", &error))?
    };
    match looked {
        Ok((who, cookie)) => {
            let entry = Entry::new(&who.to_string(), "login", "session", json!({ "from": from }));
            record(&app, entry, true).await;
            let mut response = Redirect::to(&next).into_response();
            response.headers_mut().insert(header::SET_COOKIE, set_cookie(&app, Some(&cookie)));
            Ok(response)
        }
        Err(why) => {
            note_denied(&app, &claims, &why, "POST /login".to_owned(), &from).await;
            failed(&next, &why)
        }
    }
}

/// The form again, with why; whether the name or the password was wrong is not said.
fn failed(next: &str, why: &Denied) -> Result<Response> {
    let told = problem(Some(why));
    let said = match told.status {
        StatusCode::UNAUTHORIZED => "That name and password let nobody in.",
        _ => told.detail.as_str(),
    };
    let page = render(&LoginPage { next, failed: Some(said) })?;
    let mut response = (told.status, page).into_response();
    response.headers_mut().extend(told.headers_without_challenge());
    Ok(response)
}

/// `POST /logout`
pub(crate) async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(who) = cookie(&headers).and_then(|cookie| app.sessions.end(&cookie)) {
        record(&app, Entry::new(&who.to_string(), "logout", "session", Value::Null), true).await;
    }
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&app, None));
    response
}

/// `GET /session`
pub(crate) async fn page(Extension(who): Extension<Principal>, headers: HeaderMap) -> Result<Html<String>> {
    render(&SessionPage {
        name: who.name,
        kind: who.kind.name(),
        scopes: who.scopes.to_string(),
        redacted: who.redacted,
        is_session: cookie(&headers).is_some(),
    })
}

/// `GET /v1/session`
pub(crate) async fn described_as_json(Extension(who): Extension<Principal>) -> Json<Value> {
    Json(described(&who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_alone() {
        for (next, expected) in [
            ("/cases/3?x=1", "/cases/3?x=1"),
            ("//evil.example/", "/"),
            ("https://evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(own(next), expected, "{next:?}");
        }
    }
}
