//! `GET /rules` and `/rules/{rule}`: which Sigma rules are in use, and what came of their matches?

use super::super::parts::{Badge, When, severity, url_encode, verdict, when};
use super::super::render;
use super::short;
use crate::api::rules::{self, Filter, Row, Sort, Whole};
use crate::params::Params;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use std::sync::Arc;

const PAGE_SIZE: usize = 30;

#[derive(Template)]
#[template(path = "knowledge_rules.html")]
struct ListPage {
    filter: Filter,
    by_alerts: bool,
    total: usize,
    loaded: usize,
    first: usize,
    rows: Vec<Shown>,
    previous: Option<String>,
    next: Option<String>,
}

struct Shown {
    row: Row,
    href: String,
    level: Badge,
}

#[derive(Template)]
#[template(path = "knowledge_rule.html")]
struct OnePage {
    short: String,
    level: Badge,
    draft: String,
    days: Vec<Day>,
    verdicts: Vec<(Badge, usize)>,
    alerts: Vec<Past>,
    it: Whole,
}

/// Alerts of a day, as a bar.
struct Day {
    name: String,
    count: usize,
    /// Of 100.
    width: usize,
}

struct Past {
    id: u64,
    time: When,
    events: u64,
    verdict: Option<Badge>,
    closed: Option<Badge>,
}

/// `GET /rules`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(filter): Params<Filter>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let filter = Filter { limit: Some(PAGE_SIZE), ..filter };
        let found = rules::listed(app, &filter)?;
        let (shown, skip) = (found.rules.len(), filter.skip);
        let at = |skip: usize| {
            let sort = if filter.sort == Sort::Alerts { "alerts" } else { "title" };
            format!(
                "/rules?q={}&technique={}&level={}&sort={sort}&skip={skip}",
                url_encode(&filter.q),
                url_encode(&filter.technique),
                url_encode(&filter.level)
            )
        };
        let rows = found.rules.into_iter().map(|row| Shown {
            href: format!("/rules/{}", url_encode(&row.id)),
            level: severity(row.level),
            row,
        });
        render(&ListPage {
            total: found.total,
            loaded: found.loaded,
            first: if shown == 0 { 0 } else { skip + 1 },
            rows: rows.collect(),
            previous: (skip > 0).then(|| at(skip.saturating_sub(PAGE_SIZE))),
            next: (skip.saturating_add(shown) < found.total && shown > 0).then(|| at(skip + shown)),
            by_alerts: filter.sort == Sort::Alerts,
            filter,
        })
    })
    .await
}

/// `GET /rules/{rule}`
pub(crate) async fn page(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let it = rules::whole(app, &id)?;
        let history = &it.history;
        let most = history.days.values().copied().max().unwrap_or(1).max(1);
        let days = history.days.iter().rev().take(14).map(|(name, count)| Day {
            name: name.clone(),
            count: *count,
            width: (count * 100).div_ceil(most),
        });
        let alerts = history.alerts.iter().map(|past| Past {
            id: past.id,
            time: when(past.last_time),
            events: past.events,
            verdict: past.verdict.as_deref().map(verdict),
            closed: past.closed.map(|closed| verdict(closed.name())),
        });
        render(&OnePage {
            short: short(&it.sha256),
            level: severity(it.row.level),
            draft: format!("/drafts/rule?of={}", url_encode(&it.row.id)),
            days: days.collect(),
            verdicts: history.verdicts.iter().map(|(name, count)| (verdict(name), *count)).collect(),
            alerts: alerts.collect(),
            it,
        })
    })
    .await
}
