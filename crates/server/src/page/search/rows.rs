//! What does a row of the results say? The event in the columns asked for, how rare its kind is at this site, and who in it
//! is new here.

use crate::page::parts::{EntityLink, When, shorten, when};
use crate::problem::Result;
use casemate_event::{Entity, EventId, Stored, TemplateId};
use casemate_store::{Store, Template};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

const ENTITIES_PER_ROW: usize = 6;
const MESSAGE_CHARS: usize = 300;
const CELL_CHARS: usize = 120;
const ENTITY_CHARS: usize = 60;
/// Up to so many events of a kind are called rare.
const RARE: u64 = 10;
/// Something is new on the day after it was first seen…
const NEW_FOR: SignedDuration = SignedDuration::from_hours(24);
/// … if logs were kept for so long before that.
const WATCHED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// What is first seen in this very event is told after a shorter while.
const WATCHED_FOR_FIRST: SignedDuration = SignedDuration::from_hours(1);

/// An event as results show it.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) time: When,
    pub(super) format: &'static str,
    pub(super) message: String,
    pub(super) entities: Vec<RowEntity>,
    /// How often its kind was seen, in words.
    pub(super) rarity: String,
    pub(super) is_rare: bool,
    /// How a search found it, where that is worth saying.
    pub(super) found_by: String,
    /// Values of the columns asked for.
    pub(super) cells: Vec<String>,
}

pub(super) struct RowEntity {
    pub(super) link: EntityLink,
    /// Since when it is known, if it is new.
    pub(super) new: String,
}

/// What is looked up once for all rows of a page.
pub(super) struct Known {
    templates: BTreeMap<TemplateId, Template>,
    first: HashMap<Entity, (EventId, Timestamp)>,
    /// Time of the earliest event that is kept.
    since: Timestamp,
}

impl Known {
    pub(super) fn of(store: &Store, events: &[Stored]) -> Result<Self> {
        let mut templates = BTreeMap::new();
        let mut entities: Vec<Entity> = Vec::new();
        for stored in events {
            let id = stored.event.template;
            if !templates.contains_key(&id)
                && let Some(template) = store.template(id)?
            {
                templates.insert(id, template);
            }
            entities.extend(stored.event.entities().into_iter().take(ENTITIES_PER_ROW));
        }
        entities.sort();
        entities.dedup();
        let first = store.first_events(&entities)?;
        let first =
            entities.into_iter().zip(first).filter_map(|(entity, first)| Some((entity, first?))).collect();
        let since = store.span().map_or(Timestamp::MAX, |(first, _)| first);
        Ok(Self { templates, first, since })
    }

    /// How often the kind of an event was seen, in words, and whether that is rarely.
    fn rarity(&self, stored: &Stored) -> (String, bool) {
        let Some(template) = self.templates.get(&stored.event.template) else {
            return (String::new(), false);
        };
        let hosts = match template.hosts {
            0 => String::new(),
            1 => " on 1 host".to_owned(),
            Template::MAX_HOSTS.. => format!(" on {}+ hosts", Template::MAX_HOSTS),
            hosts => format!(" on {hosts} hosts"),
        };
        match template.count {
            1 => ("the only one of its kind".to_owned(), true),
            count @ 2..=RARE => {
                let since = when(template.first_seen).shown;
                (format!("rare: {count} of its kind{hosts}, first {since}"), true)
            }
            count => (format!("{count} of its kind{hosts}"), false),
        }
    }

    fn entity(&self, entity: &Entity, stored: &Stored) -> RowEntity {
        let mut link = EntityLink::from(entity);
        link.value = shorten(&link.value, ENTITY_CHARS);
        let first = self.first.get(entity).copied();
        let new = first.filter(|first| is_new(*first, stored, self.since));
        RowEntity { link, new: new.map_or_else(String::new, |(_, time)| when(time).shown) }
    }

    pub(super) fn row(&self, stored: &Stored, columns: &[String]) -> Row {
        let event = &stored.event;
        let (rarity, is_rare) = self.rarity(stored);
        let entities = event.entities();
        Row {
            id: stored.id.0,
            time: when(event.time),
            format: event.format.name(),
            message: shorten(&event.message, MESSAGE_CHARS),
            entities: entities
                .iter()
                .take(ENTITIES_PER_ROW)
                .map(|entity| self.entity(entity, stored))
                .collect(),
            rarity,
            is_rare,
            found_by: String::new(),
            cells: columns.iter().map(|column| cell(stored, &entities, column)).collect(),
        }
    }
}

/// Whether what was first seen then was new when the event happened.
fn is_new(first: (EventId, Timestamp), stored: &Stored, since: Timestamp) -> bool {
    let watched = first.1.duration_since(since);
    if first.0 == stored.id {
        return watched >= WATCHED_FOR_FIRST;
    }
    let age = stored.event.time.duration_since(first.1);
    watched >= WATCHED_FOR && age <= NEW_FOR
}

/// The value of a column: a kind of entity, a part of the event, a normalised field, or one as the source named it.
fn cell(stored: &Stored, entities: &[Entity], column: &str) -> String {
    let event = &stored.event;
    let of_kind: Vec<&str> =
        entities.iter().filter(|entity| entity.kind.name() == column).map(|entity| &*entity.value).collect();
    let value = match column {
        _ if !of_kind.is_empty() => of_kind.join(", "),
        "message" => event.message.clone(),
        "format" => event.format.name().to_owned(),
        "source" => event.source.clone(),
        "template" => event.template.to_string(),
        "class" => format!("{:?}", event.class),
        name => {
            let native = name.strip_prefix("native.").unwrap_or(name);
            event.field(name).or_else(|| event.native.get_ignore_case(native)).unwrap_or_default().to_owned()
        }
    };
    shorten(&value, CELL_CHARS)
}
