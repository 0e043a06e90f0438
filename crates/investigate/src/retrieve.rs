//! Which events may bear on this alert? Candidates, from the store.
//!
//! The host's window nearest the alert on both sides, the playbook's entity pivots, the process's parents
//! however long ago they started, and events that resemble what the playbook looks for. Every query is
//! bounded, so a busy host costs no more than a quiet one. What comes back is judged elsewhere.

use crate::Error;
use crate::baseline::{Baseline, HISTORY_DAYS};
use crate::context::Context;
use crate::facts::{Hit, Past};
use crate::playbook::Playbook;
use crate::relate::{self, INTERPRETERS, is_loopback};
use crate::view::View;
use casemate_event::{Alert, AlertOrigin, Entity, EntityKind, EventId, Stored, TemplateId};
use casemate_pipeline::Pipeline;
use casemate_store::{Order, Query, Store};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Most events from each side of the alert on its host, and for each pivot.
const MAX_NEAR: usize = 400;
const MAX_PIVOT: usize = 150;
/// Most of the alert's own events looked at.
const MAX_SUBJECTS: usize = 32;
/// Templates asked of the semantic search, and events taken of each.
const SIMILAR_TEMPLATES: usize = 8;
const EVENTS_PER_TEMPLATE: usize = 2;
const MAX_GENERATIONS: usize = 4;
/// Most earlier events that are looked at for the same thing.
const MAX_PAST: usize = 400;

/// Everything an investigation may look at.
pub(crate) struct Candidates {
    /// The alert's own events, oldest first.
    pub(crate) subjects: Vec<Stored>,
    /// All candidates, the alert's own among them, oldest first.
    pub(crate) events: Vec<Stored>,
    /// Rules that match each of `events`, the alert's own left out.
    pub(crate) detections: Vec<Vec<Hit>>,
    /// Rank in the semantic search of the templates found by it.
    pub(crate) likeness: BTreeMap<TemplateId, usize>,
    /// How often each template was seen at this site.
    pub(crate) template_counts: BTreeMap<TemplateId, u64>,
    pub(crate) past: Past,
    /// What is known of the site about the alert; empty until facts were found.
    pub(crate) context: Context,
    /// Whether the semantic search could be used.
    pub(crate) semantic: bool,
}

/// Reads the alert's own events.
pub(crate) fn subjects(store: &Store, alert: &Alert) -> Result<Vec<Stored>, Error> {
    let mut subjects = Vec::new();
    for id in alert.events.iter().take(MAX_SUBJECTS) {
        subjects.extend(store.get(*id)?);
    }
    if subjects.is_empty() {
        return Err(Error::NoEvents { alert: alert.id });
    }
    subjects.sort_by_key(|stored| (stored.event.time, stored.id));
    Ok(subjects)
}

/// Collects the candidates for an alert with these own events.
pub(crate) fn candidates(
    pipeline: &Pipeline,
    alert: &Alert,
    subjects: Vec<Stored>,
    playbook: &Playbook,
) -> Result<Candidates, Error> {
    let store = pipeline.store();
    let mut found: BTreeMap<EventId, Stored> =
        subjects.iter().map(|stored| (stored.id, stored.clone())).collect();
    let mut keep = |hits: Vec<Stored>| found.extend(hits.into_iter().map(|stored| (stored.id, stored)));
    let span = Span::of(&subjects, playbook);

    for host in entities(&subjects, EntityKind::Host) {
        keep(span.around(store, host, MAX_NEAR)?);
    }
    for kind in playbook.retrieval.pivots.iter().filter(|kind| **kind != EntityKind::Host) {
        for entity in entities(&subjects, *kind).into_iter().take(4) {
            keep(span.around(store, entity, MAX_PIVOT)?);
        }
    }
    let hosts = subjects.iter().map(|stored| View(&stored.event).host()).collect();
    let near: Vec<Stored> = found.values().cloned().collect();
    for address in relate::addresses(&hosts, &near) {
        let hits = span.around(store, Entity { kind: EntityKind::Ip, value: address }, MAX_PIVOT)?;
        found.extend(hits.into_iter().map(|stored| (stored.id, stored)));
    }
    let mut keep = |hits: Vec<Stored>| found.extend(hits.into_iter().map(|stored| (stored.id, stored)));
    for subject in subjects.iter().take(4) {
        // They may lie days before the window.
        keep(store.ancestors(subject, MAX_GENERATIONS)?);
    }
    let (likeness, semantic) = similar(pipeline, playbook)?;
    for template in likeness.keys() {
        let query = Query { templates: vec![*template], limit: EVENTS_PER_TEMPLATE, ..span.query() };
        keep(store.search(&query)?.hits);
    }

    let mut events: Vec<Stored> = found.into_values().collect();
    events.sort_by_key(|stored| (stored.event.time, stored.id));
    let detections = detections(pipeline, alert, &events);
    let mut template_counts = BTreeMap::new();
    for template in events.iter().map(|stored| stored.event.template).collect::<BTreeSet<_>>() {
        let count = store.template(template)?.map_or(0, |template| template.count);
        template_counts.insert(template, count);
    }
    let past =
        Past { same: same_before(store, &subjects)?, baseline: Baseline::learn(store, alert, &subjects)? };
    Ok(Candidates {
        subjects,
        events,
        detections,
        likeness,
        template_counts,
        past,
        context: Context::default(),
        semantic,
    })
}

/// Rules that match each of `events`, the alert's own left out.
pub(crate) fn detections(pipeline: &Pipeline, alert: &Alert, events: &[Stored]) -> Vec<Vec<Hit>> {
    let own_rule = match &alert.origin {
        AlertOrigin::Rule(id) => Some(id.as_str()),
        AlertOrigin::Product(_) => None,
    };
    events.iter().map(|stored| hits(pipeline, stored, own_rule)).collect()
}

/// The time the playbook looks at.
struct Span {
    from: Timestamp,
    first: Timestamp,
    last: Timestamp,
    to: Timestamp,
}

impl Span {
    fn of(subjects: &[Stored], playbook: &Playbook) -> Self {
        let first = subjects.first().map_or(Timestamp::UNIX_EPOCH, |stored| stored.event.time);
        let last = subjects.last().map_or(first, |stored| stored.event.time);
        let from = first.checked_sub(playbook.retrieval.before).unwrap_or(first);
        let to = last.checked_add(playbook.retrieval.after).unwrap_or(last);
        Self { from, first, last, to }
    }

    fn query(&self) -> Query {
        Query { after: Some(self.from), before: Some(self.to), ..Query::default() }
    }

    /// Events about an entity, those nearest the alert first on either side.
    fn around(&self, store: &Store, entity: Entity, most: usize) -> Result<Vec<Stored>, Error> {
        let about = Query { entities: vec![entity], limit: most, ..self.query() };
        let before = Query { before: Some(self.first), order: Order::NewestFirst, ..about.clone() };
        let after = Query { after: Some(self.first), order: Order::OldestFirst, ..about.clone() };
        let mut hits = store.search(&before)?.hits;
        hits.extend(store.search(&after)?.hits);
        // An alert folded over an hour has two ends.
        if self.last.duration_since(self.first) > SignedDuration::from_secs(60) {
            let end = Query { after: Some(self.last), ..about };
            hits.extend(store.search(&end)?.hits);
        }
        Ok(hits)
    }
}

/// Entities of this kind that the events are about and that do not join everything.
fn entities(subjects: &[Stored], kind: EntityKind) -> Vec<Entity> {
    let mut found: Vec<Entity> = subjects
        .iter()
        .flat_map(|stored| {
            let view = View(&stored.event);
            let acting = match kind {
                EntityKind::Host => vec![view.host()],
                EntityKind::User => view.person().into_iter().collect(),
                EntityKind::Ip => view.source_ip().filter(|ip| !is_loopback(ip)).into_iter().collect(),
                EntityKind::Process => [view.process_name(), view.actor_name()]
                    .into_iter()
                    .filter(|name| !name.is_empty() && !INTERPRETERS.contains(&name.as_str()))
                    .filter(|name| {
                        !matches!(
                            name.as_str(),
                            "svchost.exe" | "services.exe" | "lsass.exe" | "explorer.exe"
                        )
                    })
                    .collect(),
                _ => {
                    stored.event.entities().into_iter().filter(|e| e.kind == kind).map(|e| e.value).collect()
                }
            };
            acting.into_iter().filter(|value| !value.is_empty()).map(|value| Entity { kind, value })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn similar(pipeline: &Pipeline, playbook: &Playbook) -> Result<(BTreeMap<TemplateId, usize>, bool), Error> {
    match pipeline.similar(&playbook.retrieval.semantic, SIMILAR_TEMPLATES) {
        Ok(found) => {
            Ok((found.into_iter().enumerate().map(|(rank, (template, _))| (template, rank)).collect(), true))
        }
        Err(casemate_pipeline::Error::NoEmbedder) => Ok((BTreeMap::new(), false)),
        Err(error) => Err(error.into()),
    }
}

fn hits(pipeline: &Pipeline, stored: &Stored, own_rule: Option<&str>) -> Vec<Hit> {
    let mut hits: Vec<Hit> = pipeline
        .rules()
        .matches(&stored.event)
        .into_iter()
        .filter(|rule| Some(rule.id.as_str()) != own_rule)
        .map(|rule| Hit {
            severity: rule.severity,
            rule: rule.id.clone(),
            title: rule.title.clone(),
            techniques: rule.techniques.clone(),
        })
        .collect();
    hits.sort();
    hits
}

/// Earlier events that say the same as the alert's first one.
fn same_before(store: &Store, subjects: &[Stored]) -> Result<Vec<Timestamp>, Error> {
    let Some(first) = subjects.first() else { return Ok(Vec::new()) };
    let host = View(&first.event).host();
    let host = (!host.is_empty()).then_some(Entity { kind: EntityKind::Host, value: host });
    let query = Query {
        entities: host.into_iter().collect(),
        templates: vec![first.event.template],
        classes: vec![first.event.class],
        after: first.event.time.checked_sub(SignedDuration::from_hours(24 * HISTORY_DAYS)).ok(),
        before: first.event.time.checked_sub(SignedDuration::from_secs(1)).ok(),
        limit: MAX_PAST,
        order: Order::NewestFirst,
        ..Query::default()
    };
    let own = signature(first);
    let mut same: Vec<Timestamp> = store
        .search(&query)?
        .hits
        .iter()
        .filter(|stored| signature(stored) == own)
        .map(|stored| stored.event.time)
        .collect();
    same.sort();
    Ok(same)
}

/// What makes two events the same thing said again: program, parent, account, source, and the command with
/// its numbers masked. A template alone would let any command of a known program pass.
pub(crate) fn signature(
    stored: &Stored,
) -> (String, String, Option<String>, Option<String>, Option<String>, String) {
    let view = View(&stored.event);
    let mask =
        |text: &str| -> String { text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect() };
    (
        view.process_path().unwrap_or_default().to_lowercase(),
        view.parent_path().unwrap_or_default().to_lowercase(),
        view.user(),
        view.source_ip(),
        stored.event.field(casemate_event::field::ACTIVITY).map(str::to_owned),
        mask(if view.command().is_empty() { &stored.event.message } else { view.command() }),
    )
}
