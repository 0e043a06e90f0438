//! Which alerts would a site see in these events?
//!
//! What its rules say of raw logs, true or false; where they say nothing, the events of the kinds that
//! products alarm on, rarest first, as a monitoring product of less learning would. For groups of other
//! products' alerts, those alerts. The same for every case: nothing here looks at a label.

use crate::Error;
use crate::isolate::{Ground, Row, is_alert_group, time_of};
use crate::scenario::Scenario;
use casemate_event::{Alert, AlertId, AlertOrigin, Class, EventId, Severity, Stored, TemplateId, field};
use casemate_store::Store;
use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Most alerts of one case that are investigated.
const MAX_ALERTS: usize = 3;
/// Most events looked at for alerts where no rule matched.
const MAX_UNRULED: usize = 50_000;
/// How far from the chosen row of an alert others of the same name and host fold into it.
const FOLD: SignedDuration = SignedDuration::from_mins(30);

/// The alerts of a case, those to look at first in front.
pub(crate) fn alerts(scenario: &Scenario, ground: &Ground) -> Result<Vec<Alert>, Error> {
    let store = ground.pipeline.store();
    if is_alert_group(scenario) {
        return of_rows(scenario, ground);
    }
    let mut alerts = store.alerts()?;
    alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.event_count, alert.id));
    let mut seen = BTreeSet::new();
    alerts.retain(|alert| seen.insert(alert.title.clone()));
    alerts.truncate(MAX_ALERTS);
    if alerts.is_empty() { unruled(store) } else { Ok(alerts) }
}

/// Alerts of other products within the case: the names least seen before, each on the host it was raised on most.
fn of_rows(scenario: &Scenario, ground: &Ground) -> Result<Vec<Alert>, Error> {
    let bound = |text: &Option<String>| text.as_deref().and_then(time_of);
    let (Some(start), Some(end)) = (bound(&scenario.start), bound(&scenario.end)) else {
        return Ok(Vec::new());
    };
    // A group either is one name, or every name within a window that lists them.
    let one = scenario.key_events.is_empty().then_some(scenario.suggested_alert.as_deref()).flatten();
    let within = |row: &&Row| {
        (start..=end).contains(&row.time) && one.is_none_or(|name| row.outside && row.name == name)
    };
    let mut folds: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in ground.rows.iter().filter(within) {
        folds.entry((&row.name, &row.host)).or_default().push(row);
    }
    let mut busiest: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for ((name, _), rows) in folds {
        let known = busiest.entry(name).or_default();
        if rows.len() > known.len() {
            *known = rows;
        }
    }
    let mut chosen: Vec<(usize, Vec<&Row>)> = Vec::new();
    for (name, rows) in busiest {
        let anchor = rows[seed(&scenario.id) % rows.len()];
        let near = |row: &&&Row| row.time.duration_since(anchor.time).abs() <= FOLD;
        let fold: Vec<&Row> = rows.iter().filter(near).copied().collect();
        let before = ground.rows.iter().filter(|row| row.name == name && row.time < start.max(fold[0].time));
        chosen.push((before.count(), fold));
    }
    chosen.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1[0].name.cmp(&b.1[0].name)));
    chosen.truncate(MAX_ALERTS);
    chosen
        .into_iter()
        .map(|(_, rows)| {
            let ids: Vec<EventId> = rows.iter().map(|row| row.event).collect();
            raise(ground.pipeline.store(), &rows[0].name, &ids)
        })
        .collect()
}

/// A number that depends on the name of the case alone: which of its rows is looked at.
fn seed(id: &str) -> usize {
    let hash = Sha256::digest(id.as_bytes());
    usize::from(u16::from_le_bytes([hash[0], hash[1]]))
}

/// Alerts for events that products alarm on, rarest first, of different templates.
fn unruled(store: &Store) -> Result<Vec<Alert>, Error> {
    let mut counts: BTreeMap<TemplateId, usize> = BTreeMap::new();
    let mut firsts: BTreeMap<TemplateId, (u32, EventId)> = BTreeMap::new();
    let mut from = EventId(1);
    let mut looked = 0;
    loop {
        let events = store.scan(from, 2000)?;
        let Some(last) = events.last().map(|stored| stored.id) else { break };
        for stored in &events {
            *counts.entry(stored.event.template).or_default() += 1;
            let own = (interest(stored), stored.id);
            let best = firsts.entry(stored.event.template).or_insert(own);
            if own.0 > best.0 {
                *best = own;
            }
        }
        looked += events.len();
        if looked >= MAX_UNRULED {
            break;
        }
        from = EventId(last.0 + 1);
    }
    let mut order: Vec<(u32, usize, EventId)> =
        firsts.into_iter().map(|(template, (interest, id))| (interest, counts[&template], id)).collect();
    order.sort_by_key(|(interest, count, id)| (Reverse(*interest), *count, *id));
    order.truncate(MAX_ALERTS);
    order.into_iter().map(|(_, _, id)| raise(store, "Unusual activity", &[id])).collect()
}

/// How often products alarm on events like this one.
fn interest(stored: &Stored) -> u32 {
    let event = &stored.event;
    match event.class {
        Class::DetectionFinding => 6,
        Class::AccountChange | Class::ScheduledJobActivity | Class::WindowsServiceActivity => 5,
        Class::ScriptActivity | Class::ProcessActivity => 4,
        Class::Authentication if event.field(field::STATUS).is_some_and(|status| status == "Failure") => 4,
        Class::RegistryKeyActivity | Class::FileSystemActivity | Class::ApiActivity => 3,
        Class::Authentication | Class::ModuleActivity | Class::HttpActivity => 2,
        Class::NetworkActivity | Class::DnsActivity => 1,
        _ => 0,
    }
}

fn raise(store: &Store, title: &str, ids: &[EventId]) -> Result<Alert, Error> {
    let mut events = Vec::new();
    for id in ids.iter().take(Alert::MAX_EVENTS) {
        events.extend(store.get(*id)?);
    }
    let times = || events.iter().map(|stored: &Stored| stored.event.time);
    let (Some(first_time), Some(last_time)) = (times().min(), times().max()) else {
        return Err(Error::Missing(ids.first().copied().unwrap_or(EventId(0))));
    };
    let mut entities: Vec<_> = events.iter().flat_map(|stored| stored.event.entities()).collect();
    entities.sort();
    entities.dedup();
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product("monitoring".to_owned()),
        title: title.to_owned(),
        severity: Severity::Medium,
        techniques: Vec::new(),
        first_time,
        last_time,
        events: events.iter().map(|stored| stored.id).collect(),
        event_count: ids.len() as u64,
        entities,
    };
    let key = format!("monitoring:{title}:{}", ids.first().map_or(0, |id| id.0));
    Ok(store.raise(alert, &key, SignedDuration::ZERO)?)
}
