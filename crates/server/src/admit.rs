//! Who asks, may they, and what does the audit record say of it?
//!
//! Every route says what it needs ([`Rule`]); nothing is answered before that is known. Where no proof is asked for
//! (`--no-auth`, loopback alone) whoever asks is `local` and may do everything.

use crate::background::rest_for_page;
use crate::hub::lock;
use crate::listen::Peer;
use crate::page::is_page;
use crate::problem::{Problem, Result};
use crate::redact;
use crate::state::{App, blocking};
use crate::streams;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use casemate_access::{Access, Answer, Credential, Denied, Kind, Principal, Scope, token_of};
use casemate_audit::Entry;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Header of what a page asks by itself.
const UNASKED: &str = "x-casemate-unasked";
/// Name of the cookie of a session.
const COOKIE: &str = "casemate";
/// Longest answer time of a request that brings no log data.
const ANSWER: Duration = Duration::from_secs(120);
/// Characters of an address that are put on record.
const MAX_RECORDED: usize = 500;

/// What a route needs, and whether the audit record tells of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    needs: Needs,
    record: Option<Recorded>,
    /// Whether a request may take as long as it does.
    patient: bool,
    /// Whether an answer is made of what was sent alone: nothing of it is masked.
    own: bool,
    /// Whether making an answer ends when whoever asked hangs up. That they asked is on record all the same.
    ends: bool,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Anybody: nothing of what is stored is told.
    Nothing,
    /// Whoever shows who they are.
    Somebody,
    Scope(Scope),
}

/// How requests are put on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// Who looked at what.
    Look,
    /// Who took what away, or changed what: durable before it is answered.
    Act(&'static str),
}

impl Rule {
    const fn new(scope: Scope, record: Option<Recorded>) -> Self {
        Self { needs: Needs::Scope(scope), record, patient: false, own: false, ends: false }
    }

    /// For anybody: says nothing of what is stored.
    pub(crate) const OPEN: Self = Self { needs: Needs::Nothing, ..Self::STATE };
    /// For whoever may do anything at all.
    pub(crate) const GREET: Self = Self { needs: Needs::Somebody, ..Self::STATE };
    /// For whoever may do anything at all; what is called by it has rules of its own, and may take its time.
    pub(crate) const TALK: Self = Self { patient: true, ..Self::GREET };
    /// Log data comes in; the counters of its source tell of that.
    pub(crate) const INGEST: Self = Self { patient: true, ..Self::new(Scope::Ingest, None) };
    /// How the program itself is doing, asked for again and again.
    pub(crate) const STATE: Self = Self::new(Scope::Read, None);
    pub(crate) const LOOK: Self = Self::new(Scope::Read, Some(Recorded::Look));
    pub(crate) const EXPORT: Self = Self::new(Scope::Read, Some(Recorded::Act("export")));
    /// Decisions: their rows stand in the record with what was decided.
    pub(crate) const DECIDE: Self = Self::new(Scope::Investigate, None);
    /// A text is looked at or tried: its row in the record tells its hash.
    pub(crate) const TRY: Self = Self::new(Scope::Investigate, None);
    pub(crate) const ASK: Self = Self::new(Scope::Investigate, Some(Recorded::Act("ask")));
    /// Questions: the entry says what was asked and what answered it. A model may take its time.
    pub(crate) const QUESTION: Self =
        Self { patient: true, ends: true, ..Self::new(Scope::Investigate, None) };
    /// The model is asked; the handler puts on record who asked, with the hash of what.
    pub(crate) const MODEL: Self = Self { own: true, ..Self::QUESTION };
    /// Text is embedded; the handler puts that on record.
    pub(crate) const EMBED: Self =
        Self { patient: true, own: true, ends: true, ..Self::new(Scope::Read, None) };
    pub(crate) const BACK_UP: Self =
        Self { patient: true, ..Self::new(Scope::Manage, Some(Recorded::Act("backup"))) };
    pub(crate) const RETRY: Self =
        Self { patient: true, ..Self::new(Scope::Manage, Some(Recorded::Act("retry quarantine"))) };
    pub(crate) const AUDIT: Self = Self::new(Scope::Audit, Some(Recorded::Act("read the record")));

    /// Whether `who` may do `what`; who may not is put on record.
    pub(crate) async fn check(&self, app: &Arc<App>, who: &Principal, what: &str) -> Result<()> {
        let Needs::Scope(needs) = self.needs else { return Ok(()) };
        let allowed = may(who, needs);
        if allowed.is_err() {
            let entry = Entry::new(&who.to_string(), "refused", in_short(what), json!({ "needs": needs }));
            record(app, entry, false).await;
        }
        allowed
    }

    /// Puts it on record that `who` did `what`, and what came of it, if this is put on record at all.
    pub(crate) async fn note(&self, app: &Arc<App>, who: &Principal, what: &str, said: Value) {
        let entry = |action| Entry::new(&who.to_string(), action, in_short(what), said);
        match self.record {
            None => {}
            Some(Recorded::Look) => record(app, entry("look"), false).await,
            Some(Recorded::Act(action)) => record(app, entry(action), true).await,
        }
    }

    /// What it needs, for the OpenAPI document; `None` for what anybody may ask.
    pub(crate) fn described(&self) -> Option<String> {
        match self.needs {
            Needs::Nothing => None,
            Needs::Somebody => Some("any right".to_owned()),
            Needs::Scope(scope) => Some(format!("the right {scope:?}")),
        }
    }
}

/// Why somebody was not let in.
enum Refusal {
    /// They showed nothing.
    Nothing,
    /// They showed this, and it was not enough.
    Denied { claims: String, why: Denied },
}

/// Lets a request through to its handler if whoever sent it may do that.
pub(crate) async fn admit(
    State((app, rule)): State<(Arc<App>, Rule)>,
    request: Request,
    next: Next,
) -> Response {
    if rule.needs == Needs::Nothing {
        return answer(rule, next, request).await;
    }
    let (mut parts, body) = request.into_parts();
    let what = format!("{} {}", parts.method, shown_uri(&parts));
    let shown = Shown::of(&parts);
    let is_asked_for = is_asked_for(&parts);
    let who = match shown.identify(&app, is_asked_for).await {
        Ok(who) => who,
        Err(refusal) => {
            drain(body).await;
            return refuse(&app, &parts, what, refusal).await;
        }
    };
    if let Err(problem) = rule.check(&app, &who, &what).await {
        drain(body).await;
        return problem.into_response();
    }
    if is_asked_for && parts.method == Method::GET && is_page(parts.uri.path()) {
        rest_for_page(&shown.peer.source);
    }
    parts.extensions.insert(who.clone());
    let is_masked = who.redacted && !rule.own;
    let from = shown.peer.source.clone();
    let answering = {
        let app = Arc::clone(&app);
        async move {
            let response = answer(rule, next, Request::from_parts(parts, body)).await;
            let response = streams::kept(&app, &who, shown, response);
            let said = json!({ "status": response.status().as_u16(), "from": from });
            rule.note(&app, &who, &what, said).await;
            response
        }
    };
    let response = if rule.ends { answering.await } else { to_its_end(answering).await };
    if is_masked { redact::response(&app, response).await } else { response }
}

/// What comes of `answering`, which goes on where whoever asked hangs up, so that it stands in the record.
async fn to_its_end(answering: impl Future<Output = Response> + Send + 'static) -> Response {
    let answered = tokio::spawn(answering).await;
    answered.unwrap_or_else(|error| Problem::internal("answering the request", &error).into_response())
}

/// Reads a body that nobody wants, if it is short: a connection closed over unread bytes is reset, and the answer lost on
/// its way.
pub(crate) async fn drain(body: Body) {
    const SHORT: usize = 1 << 20;
    const SOON: Duration = Duration::from_secs(1);
    // Longer or slower than that, it is cut off.
    drop(tokio::time::timeout(SOON, axum::body::to_bytes(body, SHORT)).await);
}

/// Whether `who` has this right.
pub(crate) fn may(who: &Principal, needs: Scope) -> Result<()> {
    if who.scopes.contains(needs) {
        return Ok(());
    }
    let detail = format!("{who} may {}; this needs {needs}", who.scopes);
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// The handler's answer, in time. One that fails inside fails alone.
async fn answer(rule: Rule, next: Next, request: Request) -> Response {
    let answering = async {
        // A task of its own catches what goes wrong in it.
        let mut task = Ended { task: tokio::spawn(next.run(request)), with_whoever_waits: rule.ends };
        let answered = (&mut task.task).await;
        answered.unwrap_or_else(|error| Problem::internal("answering the request", &error).into_response())
    };
    if rule.patient {
        return answering.await;
    }
    match tokio::time::timeout(ANSWER, answering).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("no answer came about within {} s; ask for less", ANSWER.as_secs());
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}

/// A task that may end when nobody waits for it any more.
struct Ended {
    task: tokio::task::JoinHandle<Response>,
    with_whoever_waits: bool,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.with_whoever_waits {
            self.task.abort();
        }
    }
}

/// Whether somebody asked, and not a page that was left open: what it does by itself (streams it reads, and begins again when
/// they end; rows that it renews) keeps no session.
fn is_asked_for(parts: &Parts) -> bool {
    let is_stream = parts.method == Method::GET
        && parts.headers.get(header::ACCEPT).is_some_and(|kind| kind.as_bytes() == b"text/event-stream");
    !is_stream && !parts.headers.contains_key(UNASKED)
}

/// Path and query, in short.
fn shown_uri(parts: &Parts) -> String {
    let whole = parts.uri.path_and_query().map_or("/", |whole| whole.as_str());
    in_short(whole)
}

fn in_short(what: &str) -> String {
    crate::page::parts::shorten(what, MAX_RECORDED)
}

fn peer(parts: &Parts) -> Peer {
    parts.extensions.get::<Peer>().cloned().unwrap_or_default()
}

/// What a request shows of who sent it.
pub(crate) struct Shown {
    /// Empty where the header for it holds none.
    token: Option<String>,
    /// The cookie of a session.
    cookie: Option<String>,
    peer: Peer,
}

impl Shown {
    fn of(parts: &Parts) -> Self {
        let header = parts.headers.get(header::AUTHORIZATION);
        Self {
            token: header.map(|value| value.to_str().ok().and_then(token_of).unwrap_or_default()),
            cookie: cookie(&parts.headers),
            peer: peer(parts),
        }
    }

    /// Whether it lets `who` in as it did before, with the same rights. No use of a session.
    pub(crate) async fn still_is(&self, app: &Arc<App>, who: &Principal) -> bool {
        self.identify(app, false).await.is_ok_and(|now| now == *who)
    }

    /// Who sent it; `used` if that counts as use of a session.
    async fn identify(&self, app: &Arc<App>, used: bool) -> std::result::Result<Principal, Refusal> {
        let Some(access) = &app.access else { return Ok(Principal::local("local")) };
        if let Some(token) = &self.token {
            return by_token(app, access, token.clone(), self.peer.source.clone()).await;
        }
        let now = Timestamp::now();
        if let Some(cookie) = &self.cookie {
            let sessions = &app.sessions;
            let found =
                if used { sessions.find(access, cookie, now) } else { sessions.look(access, cookie, now) };
            if let Some(who) = found {
                return Ok(who);
            }
        }
        let shown = match (&self.peer.certificate, self.peer.process) {
            (Some(der), _) => Credential::Certificate(der),
            (None, Some((uid, gid))) => Credential::Peer { uid, gid, groups: &[] },
            (None, None) => return Err(Refusal::Nothing),
        };
        access
            .authenticate(shown, &self.peer.source, now)
            .map_err(|why| Refusal::Denied { claims: shown.claims(), why })
    }
}

async fn by_token(
    app: &Arc<App>,
    access: &Arc<Access>,
    token: String,
    source: String,
) -> std::result::Result<Principal, Refusal> {
    let access = Arc::clone(access);
    let claims = Credential::Token(&token).claims();
    // A token that is new costs a hash that is meant to cost; only so many at once.
    let permit = Arc::clone(&app.verifying).acquire_owned().await;
    let look = move || {
        let _permit = permit;
        access.authenticate(Credential::Token(&token), &source, Timestamp::now())
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(who)) => Ok(who),
        Ok(Err(why)) => Err(Refusal::Denied { claims, why }),
        Err(error) => Err(Refusal::Denied { claims, why: Denied::Unavailable(error.to_string()) }),
    }
}

/// The cookie of a session, if one came.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}

/// The header that sets the cookie of a session, or takes it back.
pub(crate) fn set_cookie(app: &App, value: Option<&str>) -> HeaderValue {
    let secure = if app.front == crate::listen::Front::Tls { "; Secure" } else { "" };
    let rest = format!("Path=/; HttpOnly; SameSite=Strict{secure}");
    let line = match value {
        Some(value) => format!("{COOKIE}={value}; {rest}"),
        None => format!("{COOKIE}=; Max-Age=0; {rest}"),
    };
    HeaderValue::from_str(&line).unwrap_or_else(|_| HeaderValue::from_static(""))
}

async fn refuse(app: &Arc<App>, parts: &Parts, what: String, refusal: Refusal) -> Response {
    let is_page = is_page(parts.uri.path());
    if let Refusal::Denied { claims, why } = &refusal {
        note_denied(app, claims, why, what, &peer(parts).source).await;
    }
    if is_page && matches!(refusal, Refusal::Nothing) && parts.method == Method::GET {
        let next = parts.uri.path_and_query().map_or("/", |whole| whole.as_str());
        return Redirect::to(&format!("/login?next={}", crate::page::parts::url_encode(next)))
            .into_response();
    }
    let why = match refusal {
        Refusal::Nothing => None,
        Refusal::Denied { why, .. } => Some(why),
    };
    problem(why.as_ref()).into_response()
}

/// Puts it on record that somebody was not let in. Those who are kept waiting are not counted one by one.
pub(crate) async fn note_denied(app: &Arc<App>, claims: &str, why: &Denied, what: String, from: &str) {
    if matches!(why, Denied::Throttled { .. }) {
        return;
    }
    let Noted { entry, unnoted } = app.denials.note(Timestamp::now());
    if unnoted > 0 {
        let more = Entry::new("casemate", "denied", format!("{unnoted} more in a minute"), Value::Null);
        record(app, more, false).await;
    }
    if entry {
        tracing::warn!(claims, from, %why, "not let in");
        let entry = Entry::new(claims, "denied", what, json!({ "why": why.to_string(), "from": from }));
        record(app, entry, false).await;
    }
}

/// How many were not let in: whoever knocks on and on fills neither log nor record.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    count: u64,
    all: u64,
}

/// What becomes of one who was not let in.
struct Noted {
    /// Whether it is put on record by itself.
    entry: bool,
    /// How many of the minute before were not.
    unnoted: u64,
}

impl Denials {
    /// Put on record one by one in a minute, at most.
    const MOST: u64 = 60;

    fn note(&self, now: Timestamp) -> Noted {
        let mut minute = lock(&self.0);
        let number = now.as_second() / 60;
        let mut unnoted = 0;
        if number != minute.number {
            unnoted = minute.count.saturating_sub(Self::MOST);
            (minute.number, minute.count) = (number, 0);
        }
        minute.count += 1;
        minute.all += 1;
        Noted { entry: minute.count <= Self::MOST, unnoted }
    }

    /// How many there were since the start.
    pub(crate) fn all(&self) -> u64 {
        lock(&self.0).all
    }
}

/// What the client is told.
pub(crate) fn problem(why: Option<&Denied>) -> Problem {
    match why.map(Denied::answer) {
        None | Some(Answer::Unauthenticated) => {
            let detail = if why.is_none() {
                "show who you are: a token as `Authorization: Bearer TOKEN`, or log in at /login"
            } else {
                "what was shown lets nobody in; `casemate token list` and `casemate user list` say who is"
            };
            Problem::new(StatusCode::UNAUTHORIZED, detail)
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"casemate\""))
        }
        Some(Answer::Throttled { retry_after }) => {
            let seconds = retry_after.as_secs().max(1);
            let detail = format!("too many failures; nothing is looked at for {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        }
        Some(Answer::Unavailable) => {
            Problem::busy("who may do what cannot be told just now; the log says why", 5)
        }
    }
}

/// Adds to the audit record. A record that cannot be written keeps nobody from working: it is said and counted.
pub(crate) async fn record(app: &Arc<App>, entry: Entry, durable: bool) {
    let written = blocking(app, move |app| {
        let store = app.pipeline.store();
        let written = if durable { store.record(&entry) } else { store.record_unsynced(&entry) };
        Ok(written?)
    });
    if let Err(problem) = written.await {
        app.unrecorded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::error!(why = problem.detail, "the audit record could not be written");
    }
}

/// Whose name stands under a decision. Who is known by name does not sign with another; a program may say for whom it
/// acts.
pub(crate) fn signature(who: &Principal, given: &str) -> Result<String> {
    match who.kind {
        Kind::Local if given.is_empty() => Err(Problem::unprocessable("say who you are, in \"by\"")),
        Kind::Local => Ok(given.to_owned()),
        Kind::Token if !given.is_empty() => Ok(format!("{given} by {who}")),
        Kind::Token => Ok(who.to_string()),
        Kind::User | Kind::Certificate | Kind::Peer | Kind::Oidc => Ok(who.name.clone()),
    }
}

/// What `/v1/session` says of whoever asks.
pub(crate) fn described(who: &Principal) -> Value {
    json!({ "name": who.name, "kind": who.kind, "scopes": who.scopes, "redacted": who.redacted, "until": who.until })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_left_open_keeps_no_session() {
        let is_asked_for = |method: Method, name: &str, value: &str| {
            let request = Request::builder().method(method).header(name, value).body(()).unwrap();
            is_asked_for(&request.into_parts().0)
        };
        assert!(!is_asked_for(Method::GET, "accept", "text/event-stream"));
        assert!(!is_asked_for(Method::GET, UNASKED, "1"));
        assert!(is_asked_for(Method::GET, "accept", "text/html"));
        // A question, answered as a stream.
        assert!(is_asked_for(Method::POST, "accept", "text/event-stream"));
    }

    #[test]
    fn knocking_on_and_on_is_noted_in_short() {
        let denials = Denials::default();
        let at = |second| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second);
        let noted = (0..100).filter(|_| denials.note(at(60)).entry).count();
        assert_eq!(noted, 60);
        let next = denials.note(at(125));
        assert_eq!((next.entry, next.unnoted, denials.all()), (true, 40, 101));
    }
}
