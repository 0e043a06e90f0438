//! How many streams are open, for how long, and is whoever reads one still let in?
//!
//! Every answer that is sent as things happen (`text/event-stream`) passes here, whichever route it is of. There are so many
//! at once, and so many of one principal; each ends after half an hour, and within seconds once what let its reader in
//! does so no more, or with other rights. Browsers ask again by themselves, and are then told why.
//!
//! Deliberately absent: what is sent. Whoever makes it notices the end by a channel that nobody reads.

use crate::admit::Shown;
use crate::hub::lock;
use crate::problem::{Problem, Result};
use crate::state::App;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use casemate_access::{Kind, Principal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Streams at once, and of one principal. Where no proof is asked for, everybody is the same one.
const MOST: usize = 256;
const MOST_OF_ONE: usize = 16;
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How often it is looked whether its reader is still let in.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// When it is worth asking again, in seconds.
const LATER: u32 = 30;

/// Streams that are open, by principal.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<String, usize>>);

/// A place among them, given back when dropped.
#[derive(Debug)]
struct Place {
    streams: Arc<Streams>,
    who: String,
}

impl Streams {
    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        lock(&self.0).values().sum()
    }

    fn enter(self: &Arc<Self>, who: &Principal) -> Result<Place> {
        let mut open = lock(&self.0);
        if open.values().sum::<usize>() >= MOST {
            let detail = format!("{MOST} streams are open already; ask again later");
            return Err(Problem::too_many(detail, LATER));
        }
        let most = if who.kind == Kind::Local { MOST } else { MOST_OF_ONE };
        let own = open.entry(who.to_string()).or_default();
        if *own >= most {
            let detail =
                format!("{who} has {most} streams open already; end one of them, or ask again later");
            return Err(Problem::too_many(detail, LATER));
        }
        *own += 1;
        Ok(Place { streams: Arc::clone(self), who: who.to_string() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.0);
        if let Some(own) = open.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.who);
            }
        }
    }
}

/// `response`, which is held to the bounds of streams if it is one: in its place where there are too many, a problem.
pub(crate) fn kept(app: &Arc<App>, who: &Principal, shown: Shown, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let place = match app.streams.enter(who) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let (app, who) = (Arc::clone(app), who.clone());
    let over = async move {
        tokio::select! {
            () = tokio::time::sleep(LONGEST) => {}
            () = is_let_in_no_more(&app, &shown, &who) => {}
        }
    };
    response.map(|body| passed(body, place, over))
}

/// `body`, until it ends, nobody reads it, or it is `over`.
fn passed(body: Body, place: Place, over: impl Future<Output = ()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    // A task of its own: whoever is slow to read what is sent holds a place no longer than others.
    tokio::spawn(async move {
        let _place = place;
        let mut chunks = body.into_data_stream();
        let passing = async {
            while let Some(chunk) = chunks.next().await {
                if sender.send(chunk).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = passing => {}
            () = sender.closed() => {}
            () = over => {}
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

/// Ready once what `who` showed lets them in no more as it did.
async fn is_let_in_no_more(app: &Arc<App>, shown: &Shown, who: &Principal) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !shown.still_is(app, who).await {
            tracing::info!(%who, "a stream ends: its reader is not let in any more as before");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::convert::Infallible;
    use tokio::sync::oneshot;

    #[test]
    fn streams_are_bounded_for_each_and_for_all() {
        let streams = Arc::new(Streams::default());
        let token = |name: &str| Principal { kind: Kind::Token, ..Principal::local(name) };
        let mut open: Vec<Place> = (0..MOST_OF_ONE).map(|_| streams.enter(&token("a")).unwrap()).collect();
        let refused = streams.enter(&token("a")).unwrap_err();
        assert!(refused.status == 429 && refused.detail.contains("token:a"), "{refused:?}");
        open.pop();
        open.push(streams.enter(&token("a")).unwrap());
        while open.len() < MOST {
            open.push(streams.enter(&Principal::local("local")).unwrap());
        }
        assert!(streams.enter(&token("b")).is_err());
        drop(open);
        assert!(lock(&streams.0).is_empty());
    }

    #[tokio::test]
    async fn whoever_reads_nothing_holds_a_place_no_longer() {
        let streams = Arc::new(Streams::default());
        let place = streams.enter(&Principal::local("local")).unwrap();
        let endless = tokio_stream::iter(std::iter::repeat_with(|| Ok::<_, Infallible>("data: x\n\n")));
        let (end, ended) = oneshot::channel::<()>();
        let body = passed(Body::from_stream(endless), place, async { drop(ended.await) });
        tokio::task::yield_now().await;
        assert_eq!(streams.open(), 1);
        end.send(()).unwrap();
        while streams.open() > 0 {
            tokio::task::yield_now().await;
        }
        let left = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        assert_eq!(&left[..], b"data: x\n\n");
    }

    #[tokio::test]
    async fn what_nobody_reads_any_more_or_has_ended_holds_no_place() {
        let streams = Arc::new(Streams::default());
        let enter = || streams.enter(&Principal::local("local")).unwrap();
        let waiting = Body::from_stream(tokio_stream::pending::<std::result::Result<&str, Infallible>>());
        drop(passed(waiting, enter(), std::future::pending()));
        let whole = passed(Body::from("data: x\n\n"), enter(), std::future::pending());
        assert_eq!(axum::body::to_bytes(whole, 1 << 20).await.unwrap().len(), 9);
        while streams.open() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
