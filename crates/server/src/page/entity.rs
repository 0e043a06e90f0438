//! `GET /entities/{kind}/{value}`: what is known about a host, a user, an address, a process …? Since when, how rare, what it
//! did over time, what it is seen with, and what was found about it.

use super::parts::{Badge, EntityLink, EventRow, When, event_row, severity, shorten, url_encode, when};
use super::render;
use super::search::grouped;
use super::search::overview::{BUCKETS, Histogram, histogram, roughly};
use crate::api::suggest::clause;
use crate::board::Row;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use casemate_event::{Class, Entity, EntityKind, Event, ProcessRole, Stored, process_of};
use casemate_store::{Budget, Facet, Order, Query, Seen, Store, Survey, Surveyed};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const BUDGET: Budget = Budget { counting: Duration::from_millis(12), finding: Duration::from_millis(300) };
/// How long hosts of the site are counted, and up to how many.
const HOSTS_WITHIN: Duration = Duration::from_millis(5);
const MOST_HOSTS: usize = 10_000;
/// Values counted of each kind, and shown.
const COUNTED: usize = 1000;
const SHOWN: usize = 8;
const LANES: usize = 6;
const EVENTS: usize = 20;
/// Alerts shown.
const ALERTS_SHOWN: usize = 20;
/// Starts of processes looked through for a tree, and generations before it.
const STARTS: usize = 200;
const GENERATIONS: usize = 8;
const CHILDREN: usize = 40;
const VALUE_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 160;

/// What it may be seen with.
const WITH: [EntityKind; 5] =
    [EntityKind::Host, EntityKind::User, EntityKind::Process, EntityKind::Ip, EntityKind::Domain];

#[derive(Template)]
#[template(path = "entity.html")]
struct EntityPage {
    kind: &'static str,
    value: String,
    events: String,
    first: When,
    last: When,
    rarity: String,
    partly: String,
    search: String,
    drawn: Option<Histogram>,
    by: &'static str,
    lanes: Vec<Lane>,
    together: Vec<Together>,
    alerts: Vec<AlertRow>,
    tree: Option<Tree>,
    rows: Vec<EventRow>,
}

/// Activity of one host (or user) over the same time as the others.
struct Lane {
    name: String,
    href: String,
    count: u64,
    width: u64,
    bars: Vec<LaneBar>,
}

struct LaneBar {
    x: u64,
    y: u64,
    height: u64,
}

struct Together {
    kind: &'static str,
    values: Vec<(EntityLink, String)>,
    /// How many there are besides.
    others: usize,
}

struct AlertRow {
    id: u64,
    title: String,
    severity: Badge,
    last: When,
    case: u64,
}

/// A process among those that it comes from and those that it started.
struct Tree {
    ancestors: Vec<Node>,
    own: Option<Node>,
    children: Vec<Node>,
}

struct Node {
    event: u64,
    time: When,
    text: String,
    /// The page of the process.
    href: String,
}

/// `GET /entities/{kind}/{value}`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path((kind, value)): Path<(String, String)>,
) -> Result<Html<String>> {
    let Some(kind) = EntityKind::ALL.into_iter().find(|known| known.name() == kind) else {
        let kinds: Vec<&str> = EntityKind::ALL.iter().map(|kind| kind.name()).collect();
        return Err(Problem::not_found(format!("there are no such things; there are {}", kinds.join(", "))));
    };
    blocking(&app, move |app| render(&view(app, &Entity::new(kind, &value))?)).await
}

fn view(app: &App, entity: &Entity) -> Result<EntityPage> {
    let store = app.pipeline.store();
    let shown: String = shorten(&entity.to_string(), 200);
    let seen = store.seen(entity)?;
    let seen = seen.ok_or_else(|| Problem::not_found(format!("no event that is kept names {shown}")))?;
    let query = Query {
        entities: vec![entity.clone()],
        limit: EVENTS,
        order: Order::NewestFirst,
        ..Query::default()
    };
    let facets: Vec<Facet> = WITH.into_iter().map(Facet::Entity).collect();
    let asked =
        Survey { query: &query, facets: &facets, most: COUNTED, buckets: BUCKETS, budget: Some(BUDGET) };
    let found = store.survey(&asked)?;
    let own = clause(entity.kind.name(), &entity.value);
    let search = format!("/search?q={}", url_encode(&own));
    let link =
        |from: &str, until: &str| format!("{search}&after={}&before={}", url_encode(from), url_encode(until));
    let (by, lanes) = lanes(store, entity, &found)?;
    let drawn = histogram(&found.histogram, found.width, link);
    Ok(EntityPage {
        kind: entity.kind.name(),
        value: shorten(&entity.value, 500),
        events: grouped(seen.events),
        first: when(seen.first),
        last: when(seen.last),
        rarity: rarity(store, entity, &seen, &found)?,
        partly: if found.complete {
            String::new()
        } else {
            format!("Counted among the newest {} of {} events.", grouped(found.looked), grouped(found.of))
        },
        drawn,
        by,
        lanes,
        together: together(entity, &found),
        alerts: alerts(app, entity)?,
        tree: tree(store, entity)?,
        rows: found.hits.iter().map(event_row).collect(),
        search,
    })
}

/// How unusual it is at this site, in one sentence.
fn rarity(store: &Store, entity: &Entity, seen: &Seen, found: &Surveyed) -> Result<String> {
    let mut said = Vec::new();
    if entity.kind != EntityKind::Host {
        let on = found.facets.first().map_or(0, Vec::len);
        let (all, is_all) = store.distinct(EntityKind::Host, MOST_HOSTS, HOSTS_WITHIN)?;
        let (least, more) = (
            if found.complete && on < COUNTED { "" } else { "at least " },
            if is_all { "" } else { " or more" },
        );
        let all = all.max(on as u64);
        if on > 0 {
            said.push(format!("seen on {least}{on} of {}{more} hosts", grouped(all)));
        }
    }
    let since = store.span().map_or(seen.first, |(since, _)| since);
    let now = Timestamp::now();
    said.push(if seen.events == 1 {
        "seen once".to_owned()
    } else if now.duration_since(seen.first).as_hours() < 24 && seen.first <= now {
        "first seen within the last 24 hours".to_owned()
    } else if seen.first.duration_since(since).as_secs() < 3600 {
        "known for as long as there are logs".to_owned()
    } else {
        let into = roughly(seen.first.duration_since(since).as_secs());
        let then = roughly(seen.last.duration_since(seen.first).as_secs());
        format!("first seen {into} into the logs, then for {then}")
    });
    let mut sentence = said.join(", ");
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Ok(sentence + ".")
}

/// Activity over time by host; of a host, by user.
fn lanes(store: &Store, entity: &Entity, found: &Surveyed) -> Result<(&'static str, Vec<Lane>)> {
    const WIDTH: u64 = 10;
    const HEIGHT: u64 = 22;
    let (kind, place) =
        if entity.kind == EntityKind::Host { (EntityKind::User, 1) } else { (EntityKind::Host, 0) };
    let top: Vec<(String, u64)> =
        found.facets.get(place).into_iter().flatten().take(LANES).cloned().collect();
    let names: Vec<String> = top.iter().map(|(name, _)| name.clone()).collect();
    let split = store.split(found, kind, &names)?;
    let most = split.iter().flatten().copied().max().unwrap_or(0).max(1);
    let lane = |((name, count), counts): ((String, u64), Vec<u64>)| {
        let bars = (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(place, count)| {
            let height = (count * HEIGHT / most).max(2);
            LaneBar { x: place * WIDTH, y: HEIGHT - height, height }
        });
        Lane {
            href: EntityLink::from(&Entity::new(kind, &name)).href,
            name: shorten(&name, VALUE_CHARS),
            count,
            width: (counts.len() as u64 * WIDTH).max(1),
            bars: bars.collect(),
        }
    };
    Ok((kind.name(), top.into_iter().zip(split).map(lane).collect()))
}

fn together(entity: &Entity, found: &Surveyed) -> Vec<Together> {
    let of_kind = |(kind, values): (EntityKind, &Vec<(String, u64)>)| {
        let others: Vec<&(String, u64)> =
            values.iter().filter(|(value, _)| kind != entity.kind || *value != entity.value).collect();
        let link = |(value, count): &&(String, u64)| {
            let mut link = EntityLink::from(&Entity { kind, value: value.clone() });
            link.value = shorten(&link.value, VALUE_CHARS);
            (link, grouped(*count))
        };
        Together {
            kind: kind.name(),
            values: others.iter().take(SHOWN).map(link).collect(),
            others: others.len().saturating_sub(SHOWN),
        }
    };
    let all = WITH.into_iter().zip(&found.facets).map(of_kind);
    all.filter(|together| !together.values.is_empty()).collect()
}

/// The latest alerts about it.
fn alerts(app: &App, entity: &Entity) -> Result<Vec<AlertRow>> {
    let lists = app.board.now(app.pipeline.store(), &app.headlines, &app.live)?;
    let Some(number) = lists.names.find(&entity.to_string()) else { return Ok(Vec::new()) };
    let about = lists.alerts.values().rev().filter(|alert| alert.entities.contains(&number));
    let row = |alert: &Row| AlertRow {
        id: alert.id.0,
        case: alert.case.map_or(0, |case| case.0),
        title: shorten(lists.names.name(alert.title), MESSAGE_CHARS),
        severity: severity(alert.severity),
        last: when(alert.last_time),
    };
    Ok(about.take(ALERTS_SHOWN).map(row).collect())
}

/// The tree around one run of a program; other kinds have none.
fn tree(store: &Store, entity: &Entity) -> Result<Option<Tree>> {
    if entity.kind != EntityKind::ProcessId {
        return Ok(None);
    }
    let starts = Query {
        entities: vec![entity.clone()],
        classes: vec![Class::ProcessActivity],
        limit: STARTS,
        ..Query::default()
    };
    let starts = store.search(&starts)?.hits;
    let is = |event: &Event, role| process_of(&event.fields, role).is_some_and(|process| process == *entity);
    let own = starts.iter().find(|stored| is(&stored.event, ProcessRole::Object));
    let children = starts.iter().filter(|stored| is(&stored.event, ProcessRole::Parent));
    let mut ancestors = match own {
        Some(own) => store.ancestors(own, GENERATIONS)?,
        None => Vec::new(),
    };
    ancestors.reverse();
    let tree = Tree {
        ancestors: ancestors.iter().map(node).collect(),
        own: own.map(node),
        children: children.take(CHILDREN).map(node).collect(),
    };
    Ok((tree.own.is_some() || !tree.children.is_empty()).then_some(tree))
}

fn node(stored: &Stored) -> Node {
    let event = &stored.event;
    let text = event.field(casemate_event::field::PROCESS_CMD_LINE).unwrap_or(&event.message);
    let process = process_of(&event.fields, ProcessRole::Object);
    Node {
        event: stored.id.0,
        time: when(event.time),
        text: shorten(text, MESSAGE_CHARS),
        href: process.map_or_else(String::new, |process| EntityLink::from(&process).href),
    }
}
