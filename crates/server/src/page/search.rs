//! `GET /search`: which events match, what are they made of, and where does one go from there?
//!
//! One box takes queries and plain words; the page says which it took the text for ([`asked`]). What is counted is bounded by
//! time: the newest events first, and the page says how far that went ([`overview`]).

mod asked;
pub(crate) mod overview;
mod ranked;
mod rows;
pub(crate) mod tail;

use self::asked::{Chip, Choice, How, Mistake, PAGE_SIZE, PageParams};
use self::overview::{BUCKETS, FACETS, FacetView, Histogram, VALUES, detections, facets, histogram};
use self::rows::{Known, Row};
use super::parts::when;
use super::render;
use crate::params::{Mode, Params};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use casemate_event::{EventId, TemplateId};
use casemate_store::{Budget, Error, Facet, Query, Survey, Surveyed};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a page is made before it is sent as far as it is. `count=all` asks for everything.
const BUDGET: Budget = Budget { counting: Duration::from_millis(20), finding: Duration::from_millis(1500) };
/// Alerts looked through for detections among the events.
const ALERTS: usize = 200;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    params: PageParams,
    can_semantic: bool,
    choice: Option<Choice>,
    mistake: Option<Mistake>,
    problem: Option<String>,
    chips: Vec<Chip>,
    /// The search without any of them.
    cleared: String,
    presets: Vec<Preset>,
    heading: String,
    /// What was not looked at, in words; empty if everything was.
    partly: String,
    all_href: String,
    histogram: Option<Histogram>,
    facets: Vec<FacetView>,
    templates: Vec<TemplateRow>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Of a list by rank: what it holds, and where the rest is.
    ranked: Option<Ranked>,
    /// Next page, and the first one where this is another.
    next: String,
    first: String,
    /// Empty where the order is not one of time.
    order_href: String,
    oldest_first: bool,
    tail_href: String,
}

/// A span of time to choose.
struct Preset {
    name: &'static str,
    href: String,
    is_chosen: bool,
}

struct Column {
    name: String,
    without: String,
}

struct TemplateRow {
    similarity: String,
    text: String,
    count: u64,
    href: String,
}

/// What a list by rank says of itself.
struct Ranked {
    said: String,
    /// The search for everything with any of the words; empty where there are none, or too many.
    all_href: String,
}

/// What a search of any kind came to.
#[derive(Default)]
struct Outcome {
    rows: Vec<Row>,
    heading: String,
    partly: String,
    is_partly: bool,
    histogram: Option<Histogram>,
    facets: Vec<FacetView>,
    templates: Vec<TemplateRow>,
    ranked: Option<Ranked>,
    next: String,
    tail: bool,
    last: u64,
}

/// `GET /search`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Result<Response> {
    if let Some(entity) = params.only_entity() {
        return Ok(Redirect::to(&super::parts::EntityLink::from(&entity).href).into_response());
    }
    blocking(&app, move |app| {
        let columns = params.columns()?;
        let choice = params.choose(app.pipeline.has_embedder());
        let (status, choice, outcome, mistake, problem) = match choice {
            Err(problem) => (problem.status, None, Outcome::default(), None, Some(problem.detail)),
            Ok(Err(mistake)) => (StatusCode::BAD_REQUEST, None, Outcome::default(), Some(*mistake), None),
            Ok(Ok(choice)) => match search(app, &params, choice.how, &columns) {
                Ok(outcome) => (StatusCode::OK, Some(choice), outcome, None, None),
                Err(problem) if problem.status.is_server_error() => return Err(problem),
                // What was typed stays in the form, next to what is wrong with it.
                Err(problem) => {
                    (problem.status, Some(choice), Outcome::default(), None, Some(problem.detail))
                }
            },
        };
        let view = view(app, params, (choice, outcome), &columns, (mistake, problem));
        Ok((status, render(&view)?).into_response())
    })
    .await
}

fn search(app: &App, params: &PageParams, how: How, columns: &[String]) -> Result<Outcome> {
    let alert_events = match params.alert()? {
        None => Vec::new(),
        // No event has this number.
        Some(id) => app.pipeline.store().alert(id)?.map_or(vec![EventId(0)], |alert| alert.events),
    };
    match how {
        How::Query => surveyed(app, params, &params.to_query(params.text(), alert_events)?, columns),
        How::Hybrid | How::Semantic => {
            let mode = if how == How::Hybrid { Mode::Hybrid } else { Mode::Semantic };
            ranked::alike(app, params, mode, columns)
        }
    }
}

/// A search by a query: its first events in order of time, and what all of them are made of.
fn surveyed(app: &App, params: &PageParams, query: &Query, columns: &[String]) -> Result<Outcome> {
    let store = app.pipeline.store();
    let last = query.up_to.unwrap_or_else(|| store.last_id());
    // What arrives while pages are turned is on none of them.
    let query = Query { up_to: Some(last), ..query.clone() };
    // What everything is made of stands on the first page.
    let is_first = !params.is_later_page();
    let kinds: Vec<Facet> = FACETS.into_iter().filter(|_| is_first).map(|(facet, ..)| facet).collect();
    let buckets = if is_first { BUCKETS } else { 0 };
    let everything = params.count == "all";
    let budget = (!everything).then_some(BUDGET);
    let asked = Survey { query: &query, facets: &kinds, most: VALUES, buckets, budget };
    let found = store.survey(&asked).map_err(|error| filter_problem(error, params))?;
    let known = Known::of(store, &found.hits)?;
    let narrowest = params.is_linkable();
    let link = |from: &str, until: &str| {
        if narrowest { params.href(&[("after", from), ("before", until)]) } else { String::new() }
    };
    let alerts = store.latest_alerts(ALERTS)?;
    let mut views = facets(params, &found.facets, &texts(app, &found)?);
    views.extend(detections(params, &alerts, &found));
    let behind = match (found.given_up_at, found.hits.last()) {
        // No event has number 0: all of that moment are still to come.
        (Some(time), _) => Some((time, EventId(0))),
        (None, Some(hit)) if found.hits.len() == PAGE_SIZE => Some((hit.event.time, hit.id)),
        _ => None,
    };
    let next = behind.map_or_else(String::new, |(time, id)| {
        params.href(&[("behind", &format!("{time}_{id}")), ("upto", &last.to_string())])
    });
    Ok(Outcome {
        rows: found.hits.iter().map(|hit| known.row(hit, columns)).collect(),
        heading: if is_first { heading(&found) } else { format!("{} from here on", heading(&found)) },
        partly: if is_first { partly(&found) } else { String::new() },
        is_partly: is_first && (!found.complete || !found.is_total),
        histogram: histogram(&found.histogram, found.width, link),
        facets: views,
        next,
        tail: true,
        last: last.0,
        ..Outcome::default()
    })
}

/// What is wrong with the filter is said of the filter: its place is not one in the text of the search.
fn filter_problem(error: Error, params: &PageParams) -> Problem {
    let of_filter = !params.filter.trim().is_empty() && casemate_store::read(params.filter.trim()).is_err();
    match error {
        Error::Query { reason, column, hint, .. } if of_filter => Problem::bad_request(format!(
            "what narrows the search is no query: {reason}, at column {column}; {hint}"
        )),
        error => error.into(),
    }
}

/// What the templates counted say, by how they are named.
fn texts(app: &App, found: &Surveyed) -> Result<BTreeMap<String, casemate_store::Template>> {
    let mut texts = BTreeMap::new();
    for (name, _) in found.facets.last().into_iter().flatten() {
        if let Ok(id) = u64::from_str_radix(name, 16)
            && let Some(template) = app.pipeline.store().template(TemplateId(id))?
        {
            texts.insert(name.clone(), template);
        }
    }
    Ok(texts)
}

fn heading(found: &Surveyed) -> String {
    let s = if found.total == 1 { "" } else { "s" };
    let how_many = match (found.is_total, found.certain) {
        (true, true) => "",
        (true, false) => "up to ",
        (false, _) => "at least ",
    };
    // What may be fewer and may be more is neither.
    let how_many = if !found.is_total && !found.certain { "about " } else { how_many };
    format!("{how_many}{} event{s}", grouped(found.total))
}

fn partly(found: &Surveyed) -> String {
    let mut said = String::new();
    if let Some(time) = found.given_up_at {
        said = format!("Looked back to {} for events; older ones are on the next page. ", when(time).shown);
    }
    if !found.complete {
        said +=
            &format!("Counted among the first {} of {} events.", grouped(found.looked), grouped(found.of));
    }
    said
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn presets(params: &PageParams) -> Vec<Preset> {
    const SPANS: [(&str, &str); 5] =
        [("15 min", "-15m"), ("1 hour", "-1h"), ("24 hours", "-24h"), ("7 days", "-7d"), ("all", "")];
    let preset = |(name, after): (&'static str, &str)| Preset {
        name,
        href: params.href(&[("after", after), ("before", "")]),
        is_chosen: params.after.trim() == after && params.before.trim().is_empty(),
    };
    if params.is_linkable() { SPANS.into_iter().map(preset).collect() } else { Vec::new() }
}

fn view(
    app: &App,
    params: PageParams,
    (choice, outcome): (Option<Choice>, Outcome),
    columns: &[String],
    (mistake, problem): (Option<Mistake>, Option<String>),
) -> SearchPage {
    let column = |name: &String| {
        let others: Vec<&str> = columns.iter().filter(|other| *other != name).map(String::as_str).collect();
        Column { name: name.clone(), without: params.href(&[("cols", &others.join(","))]) }
    };
    let order = if params.is_oldest_first() { "" } else { "oldest" };
    let newer = outcome.last.to_string();
    let follow = [
        ("newer", newer.as_str()),
        ("q", params.q.trim()),
        ("filter", params.filter.trim()),
        ("entity", params.entity.trim()),
    ];
    let follow = follow.iter().filter(|(_, value)| !value.is_empty());
    let follow: Vec<String> =
        follow.map(|(name, value)| format!("{name}={}", super::parts::url_encode(value))).collect();
    let on_first = !params.is_later_page();
    let can_follow = outcome.tail
        && on_first
        && !params.is_oldest_first()
        && params.alert.trim().is_empty()
        && params.is_linkable()
        && params.before.trim().is_empty()
        && columns.is_empty();
    SearchPage {
        cleared: params.cleared(),
        can_semantic: app.pipeline.has_embedder(),
        choice,
        mistake,
        problem,
        chips: params.chips(),
        presets: presets(&params),
        heading: outcome.heading,
        partly: outcome.partly,
        all_href: if outcome.is_partly { params.href(&[("count", "all")]) } else { String::new() },
        histogram: outcome.histogram,
        facets: outcome.facets,
        templates: outcome.templates,
        columns: columns.iter().map(column).collect(),
        rows: outcome.rows,
        order_href: match outcome.ranked {
            None => params.href(&[("order", order)]),
            Some(_) => String::new(),
        },
        ranked: outcome.ranked,
        next: outcome.next,
        first: if on_first { String::new() } else { params.href(&[]) },
        oldest_first: params.is_oldest_first(),
        tail_href: if can_follow { format!("/search/tail?{}", follow.join("&")) } else { String::new() },
        params,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (10_234_567, "10,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
