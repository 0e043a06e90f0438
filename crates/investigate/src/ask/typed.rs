//! What does the store say, exactly? Counts, values, first and last, with the query and the events.
//!
//! Where there are few enough events they are read, and each is held against what was asked once more; where
//! there are more, the index counts them. No model takes part, and the same question in other words is the same
//! query.

use super::answer::{Answer, Counted, How, Line, Told};
use super::kinds::{Slot, Twice};
use super::query;
use super::time::Span;
use super::understand::{Constraint, End, Form, Understood};
use crate::Error;
use crate::render;
use casemate_event::{Entity, EntityKind, Event, Stored, field};
use casemate_store::{Facet, Order, Query, Store};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most events that are read to be held against the question once more.
const MAX_READ: usize = 4000;
/// Most values and most events that an answer lists.
const MAX_VALUES: usize = 25;
const MAX_LISTED: usize = 15;
/// Most characters of a value in an answer.
const MAX_VALUE_CHARS: usize = 200;
/// Between two logs' records of the same, in milliseconds.
const SAME_MS: i64 = 2000;

/// Events that match.
struct Matching {
    /// All of them, oldest first, if there are few enough.
    read: Option<Vec<Stored>>,
    total: u64,
    exact: bool,
}

/// Answers from the store. `scope` is a query that narrows everything (a case, a role), empty for none.
pub(super) fn answer(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    scope: &str,
) -> Result<Answer, Error> {
    let kind = asked.kind();
    let constraints: Vec<String> =
        asked.constraints.iter().map(|constraint| constraint.query.clone()).collect();
    let span = asked.span.map(query::within).unwrap_or_default();
    let text =
        query::all(&[&[kind.query.to_owned()], constraints.as_slice(), &[scope.to_owned(), span]].concat());
    let found = matching(store, &text, &asked.constraints)?;
    answer.looked_for.push(described(asked));
    answer.query = Some(text.clone());
    answer.total = Some(found.total);
    answer.exact = found.exact;
    if found.total == 0 {
        return nothing(answer, asked, store, &constraints);
    }
    match &asked.form {
        Form::Which { slots, top } => which(answer, asked, store, &text, &found, slots, *top),
        Form::When => when(answer, asked, store, &text, &found),
        Form::HowMany(slots) if slots.is_empty() => Ok(count(answer, asked, store, &text, &found)?),
        Form::HowMany(slots) => {
            let answer = which(answer, asked, store, &text, &found, slots, false)?;
            Ok(many(answer, slots))
        }
        Form::List => list(answer, asked, store, &text, &found),
        Form::Whether => whether(answer, asked, store, &text, &found),
    }
}

fn matching(store: &Store, text: &str, constraints: &[Constraint]) -> Result<Matching, Error> {
    let query = Query { text: text.to_owned(), limit: MAX_READ, ..Query::default() };
    let found = store.search(&query)?;
    if found.total > MAX_READ as u64 {
        return Ok(Matching { read: None, total: found.total, exact: found.counted });
    }
    let hits: Vec<Stored> = found
        .hits
        .into_iter()
        .filter(|stored| constraints.iter().all(|constraint| holds(constraint, &stored.event)))
        .collect();
    Ok(Matching { total: hits.len() as u64, read: Some(hits), exact: true })
}

/// Whether an event has one of the named in one of the parts it may play.
fn holds(constraint: &Constraint, event: &Event) -> bool {
    constraint.known.is_empty()
        || constraint.known.iter().any(|(entity, slots)| {
            let fields = slots.iter().flat_map(|slot| slot.fields());
            fields
                .filter_map(|name| event.field(name))
                .any(|value| Entity::new(entity.kind, value).value == entity.value)
        })
}

/// What is asked for in words: what was understood, for whoever checks it.
pub(super) fn described(asked: &Understood) -> String {
    let kind = asked.kind();
    let mut text = kind.many.to_owned();
    for constraint in &asked.constraints {
        let mut parts: Vec<&str> =
            constraint.known.iter().flat_map(|(_, slots)| slots).map(|slot| slot.noun(false)).collect();
        parts.dedup();
        match parts.as_slice() {
            [] => text.push_str(&format!(" that mention {}", constraint.written)),
            parts => text.push_str(&format!(" with {} as {}", constraint.written, parts.join(" or "))),
        }
    }
    if let Some(span) = asked.span {
        text.push(' ');
        text.push_str(&said(span));
    }
    text
}

/// A span of time in words.
pub(super) fn said(span: Span) -> String {
    match (span.from, span.to) {
        (Some(from), Some(to)) => format!("between {} and {}", moment(from), moment(to)),
        (Some(from), None) => format!("after {}", moment(from)),
        (None, Some(to)) => format!("before {}", moment(to)),
        (None, None) => String::new(),
    }
}

fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Nothing matches: a count of none where such things are logged, and not known where they are not.
fn nothing(
    answer: Answer,
    asked: &Understood,
    store: &Store,
    constraints: &[String],
) -> Result<Answer, Error> {
    let kind = asked.kind();
    let first = |text: &str, order: Order| -> Result<Option<Stored>, Error> {
        Ok(store
            .search(&Query { text: text.to_owned(), limit: 1, order, ..Query::default() })?
            .hits
            .into_iter()
            .next())
    };
    if let Some(span) = asked.span {
        let of_time = query::within(span);
        if first(&of_time, Order::OldestFirst)?.is_none() {
            let (oldest, newest) = (first("", Order::OldestFirst)?, first("", Order::NewestFirst)?);
            let covered = match (oldest, newest) {
                (Some(oldest), Some(newest)) => format!(
                    "the store holds events from {} to {}",
                    moment(oldest.event.time),
                    moment(newest.event.time)
                ),
                _ => "the store is empty".to_owned(),
            };
            let missing = vec![format!("events {}", said(span))];
            return Ok(answer.unknown(&format!("there are no events {}; {covered}", said(span)), missing));
        }
    }
    // Hosts are what logs come from: of one that logs no such thing, silence says nothing.
    let hosts: Vec<String> = asked
        .constraints
        .iter()
        .filter(|constraint| constraint.known.iter().all(|(_, slots)| slots.contains(&Slot::Host)))
        .filter(|constraint| !constraint.known.is_empty())
        .map(|constraint| constraint.query.clone())
        .collect();
    let logged = query::all(&[&[kind.logged.to_owned()], hosts.as_slice()].concat());
    if !logged.is_empty() && first(&logged, Order::OldestFirst)?.is_none() {
        let from = asked
            .constraints
            .iter()
            .map(|constraint| constraint.written.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let from = if hosts.is_empty() { "no log here".to_owned() } else { format!("no log from {from}") };
        let missing = vec![format!("a log that records {}", kind.many)];
        return Ok(answer.unknown(&format!("{from} records {}", kind.many), missing));
    }
    let span = asked.span.map(query::within).unwrap_or_default();
    let near = query::all(&[&[kind.near.to_owned()], constraints, &[span]].concat());
    if !kind.near.is_empty()
        && let Some(stored) = first(&near, Order::OldestFirst)?
    {
        let mut answer = answer;
        cite(&mut answer, &stored);
        let why =
            format!("there are no {}, and events so like them that none can be ruled out", described(asked));
        return Ok(answer.unknown(&why, vec![described(asked)]));
    }
    // Logs may name a machine by its address where the question names it by name.
    let by_name = asked
        .constraints
        .iter()
        .flat_map(|constraint| &constraint.known)
        .any(|(entity, slots)| entity.kind == EntityKind::Host && !slots.contains(&Slot::Host));
    if by_name {
        let why = format!("no event names it so; looked for {}", described(asked));
        return Ok(answer.unknown(&why, vec!["the address of the host, to ask by".to_owned()]));
    }
    let why = format!("no event says so; looked for {}", described(asked));
    match asked.form {
        Form::HowMany(_) | Form::Whether => {
            let text = match asked.form {
                Form::HowMany(_) => format!("None: there are no {}.", described(asked)),
                _ => format!("No: there are no {}, though such events are logged.", described(asked)),
            };
            let mut answer = answer;
            answer.sentences.push(Told { text, citations: Vec::new() });
            Ok(answer.said(How::Counted))
        }
        _ if constraints.is_empty() && asked.span.is_none() => {
            Ok(answer.unknown(&format!("the store has no {}", kind.many), vec![kind.many.to_owned()]))
        }
        _ => Ok(answer.unknown(&why, vec![described(asked)])),
    }
}

/// Adds an event to the evidence, and returns its label.
fn cite(answer: &mut Answer, stored: &Stored) -> String {
    if let Some(line) = answer.evidence.iter().find(|line| line.event == stored.id) {
        return line.label.clone();
    }
    let label = format!("E{}", answer.evidence.len() + 1);
    answer.evidence.push(Line {
        label: label.clone(),
        event: stored.id,
        time: stored.event.time,
        line: render::line(&stored.event),
    });
    label
}

/// The first or last event, from those read or by asking the store.
fn end_of(store: &Store, text: &str, found: &Matching, end: End) -> Result<Option<Stored>, Error> {
    if let Some(read) = &found.read {
        return Ok(match end {
            End::First => read.first().cloned(),
            End::Last => read.last().cloned(),
        });
    }
    let order = match end {
        End::First => Order::OldestFirst,
        End::Last => Order::NewestFirst,
    };
    Ok(store
        .search(&Query { text: text.to_owned(), limit: 1, order, ..Query::default() })?
        .hits
        .into_iter()
        .next())
}

/// The value that plays one of the parts, as logged; entities in their canonical form.
fn value_of(event: &Event, slots: &[Slot]) -> Option<String> {
    use EntityKind::{Host, Process, User};
    let slot = *slots.iter().find(|slot| slot.fields().iter().any(|name| event.field(name).is_some()))?;
    let value = slot.fields().iter().find_map(|name| event.field(name))?;
    let value = match slot {
        Slot::Actor | Slot::Account => Entity::new(User, value).value,
        Slot::Host => Entity::new(Host, value).value,
        Slot::Program | Slot::Parent | Slot::By => Entity::new(Process, value).value,
        _ => value.trim().to_owned(),
    };
    (!value.is_empty() && value != "-").then_some(value)
}

fn which(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    text: &str,
    found: &Matching,
    slots: &[Slot],
    top: bool,
) -> Result<Answer, Error> {
    let mut counted: BTreeMap<String, (u64, Option<Stored>)> = BTreeMap::new();
    // Of many events those that name such a thing may be few enough to be read.
    let naming = match &found.read {
        Some(_) => None,
        None => {
            let fields = slots.iter().flat_map(|slot| slot.fields()).map(|name| format!("fields.{name}:*"));
            let text = query::all(&[text.to_owned(), query::any(fields.collect())]);
            Some(matching(store, &text, &asked.constraints)?)
        }
    };
    let found = naming.as_ref().unwrap_or(found);
    if let Some(end) = asked.end {
        let Some(stored) = end_of(store, text, found, end)? else { return Ok(answer) };
        if let Some(value) = value_of(&stored.event, slots) {
            counted.insert(value, (1, Some(stored)));
        }
    } else if let Some(read) = &found.read {
        for stored in read {
            if let Some(value) = value_of(&stored.event, slots) {
                let entry = counted.entry(value).or_insert_with(|| (0, Some(stored.clone())));
                entry.0 += 1;
            }
        }
    } else {
        let fields: Vec<Facet> = slots
            .iter()
            .flat_map(|slot| slot.fields())
            .map(|name| Facet::Field((*name).to_owned()))
            .collect();
        let query = Query { text: text.to_owned(), ..Query::default() };
        let all = store.aggregate(&query, &fields, MAX_VALUES + 1, 0)?;
        // Values too long to be indexed whole are not among them.
        answer.exact &= all.counted && !slots.iter().any(|slot| slot.is_long());
        // The first part that has any: parts are alternatives, in order.
        let values = all.facets.into_iter().find(|values| !values.is_empty()).unwrap_or_default();
        counted.extend(values.into_iter().map(|(value, events)| (value, (events, None))));
    }
    let mut values: Vec<(String, u64, Option<Stored>)> =
        counted.into_iter().map(|(value, (events, first))| (value, events, first)).collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if values.is_empty() {
        let noun = slots.first().map_or("value", |slot| slot.noun(false));
        let why =
            format!("{} {} match, and none names a {noun}", found.total, asked.kind().noun(found.total));
        return Ok(answer.unknown(&why, vec![format!("events of this kind that name a {noun}")]));
    }
    let all = values.len();
    if top {
        let most = values[0].1;
        values.retain(|(_, events, _)| *events == most);
    }
    let noun = slots.first().map_or("value", |slot| slot.noun(all != 1));
    let mut citations = Vec::new();
    let mut shown = Vec::new();
    for (place, (value, events, first)) in values.iter().enumerate() {
        answer.values.push(Counted { value: value.clone(), events: *events });
        if place >= MAX_VALUES {
            continue;
        }
        if let Some(first) = first {
            citations.push(cite(&mut answer, first));
        }
        let value = render::clean(value, MAX_VALUE_CHARS);
        shown.push(if *events > 1 { format!("{value} ({events} events)") } else { value });
    }
    if citations.is_empty()
        && let Some(stored) = end_of(store, text, found, End::First)?
    {
        citations.push(cite(&mut answer, &stored));
    }
    let more = if values.len() > shown.len() {
        format!(" and {} more", values.len() - shown.len())
    } else {
        String::new()
    };
    let what = described(asked);
    let text = match (asked.end, top) {
        (Some(end), _) => {
            let (which, time) = (if end == End::First { "first" } else { "last" }, answer.evidence[0].time);
            format!("{}: the {which} of {what}, at {}.", shown.join(", "), moment(time))
        }
        (None, true) => format!("{}: the most among {all} {noun} in {what}.", shown.join(", ")),
        (None, false) if !answer.exact => format!("{}{more}: among the {noun} in {what}.", shown.join(", ")),
        (None, false) => format!("{}{more}: {all} {noun} in {what}.", shown.join(", ")),
    };
    answer.sentences.push(Told { text, citations });
    Ok(answer.said(How::Counted))
}

/// The same answer as a number.
fn many(mut answer: Answer, slots: &[Slot]) -> Answer {
    let count = answer.values.len();
    let noun = slots.first().map_or("value", |slot| slot.noun(count != 1));
    if let Some(told) = answer.sentences.first_mut() {
        let more = if answer.exact { "" } else { "about " };
        let at_least = if count > MAX_VALUES && answer.total.is_some_and(|total| total > MAX_READ as u64) {
            "more than "
        } else {
            more
        };
        let shown = count.min(if at_least == "more than " { MAX_VALUES } else { count });
        told.text = format!("{at_least}{shown} {noun}: {}", told.text);
        answer.answer = told.text.clone();
    }
    answer
}

/// How many there are when what two logs record of the same counts once.
fn distinct(twice: Twice, read: &[Stored]) -> u64 {
    let key = |event: &Event| -> Option<String> {
        let host = event.field(field::DEVICE_HOSTNAME).map(|host| Entity::new(EntityKind::Host, host).value);
        let parts = match twice {
            Twice::Never => return None,
            Twice::Process => vec![
                host?,
                event.field(field::PROCESS_CMD_LINE).or(event.field(field::PROCESS_PATH))?.to_owned(),
            ],
            Twice::Service => vec![host?, event.field(field::SERVICE_NAME)?.to_owned()],
            Twice::Connection => [field::SRC_IP, field::SRC_PORT, field::DST_IP, field::DST_PORT]
                .into_iter()
                .map(|name| event.field(name).map(str::to_owned))
                .collect::<Option<Vec<String>>>()?,
        };
        Some(parts.join("\n").to_lowercase())
    };
    // Of the same log two are two; the second log's record of one is the same one.
    let mut latest: BTreeMap<String, Vec<(i64, String, bool)>> = BTreeMap::new();
    let mut count = 0;
    for stored in read {
        let Some(key) = key(&stored.event) else {
            count += 1;
            continue;
        };
        let log = format!(
            "{} {}",
            stored.event.field(field::PRODUCT).unwrap_or_default(),
            stored.event.field(field::EVENT_CODE).unwrap_or_default()
        );
        let time = stored.event.time.as_millisecond();
        let seen = latest.entry(key).or_default();
        if twice == Twice::Connection {
            count += u64::from(seen.is_empty());
            seen.push((time, log, false));
            continue;
        }
        seen.retain(|(at, ..)| time.saturating_sub(*at) <= SAME_MS);
        let same = seen.iter_mut().find(|(_, other, paired)| *other != log && !*paired);
        if let Some(same) = same {
            same.2 = !is_audit(&log);
        } else {
            count += 1;
            seen.push((time, log, false));
        }
    }
    count
}

/// The audit daemon and sudo record one command three times over.
fn is_audit(log: &str) -> bool {
    log.starts_with("auditd")
}

fn count(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    text: &str,
    found: &Matching,
) -> Result<Answer, Error> {
    let kind = asked.kind();
    let things =
        found.read.as_ref().filter(|_| kind.twice != Twice::Never).map(|read| distinct(kind.twice, read));
    let count = things.unwrap_or(found.total);
    let mut citations = Vec::new();
    for end in [End::First, End::Last] {
        if let Some(stored) = end_of(store, text, found, end)? {
            citations.push(cite(&mut answer, &stored));
        }
    }
    citations.dedup();
    let at_most = if found.exact { "" } else { "At most " };
    let mut sentence = format!("{at_most}{count}: {}", described(asked));
    if count != found.total {
        sentence.push_str(&format!(
            " ({} events; what two logs record of the same is counted once)",
            found.total
        ));
    }
    let times: Vec<Timestamp> = answer.evidence.iter().map(|line| line.time).collect();
    match times.as_slice() {
        [first, last] => {
            sentence.push_str(&format!(", the first at {}, the last at {}", moment(*first), moment(*last)));
        }
        [only] => sentence.push_str(&format!(", at {}", moment(*only))),
        _ => {}
    }
    sentence.push('.');
    answer.values = vec![Counted { value: count.to_string(), events: found.total }];
    answer.sentences.push(Told { text: sentence, citations });
    Ok(answer.said(How::Counted))
}

/// How many events match, and whether that is certain.
fn how_many(found: &Matching) -> String {
    let at_most = if found.exact { "" } else { "at most " };
    format!("{at_most}{}", found.total)
}

fn when(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    text: &str,
    found: &Matching,
) -> Result<Answer, Error> {
    let ends: &[End] = match asked.end {
        Some(End::First) => &[End::First],
        Some(End::Last) => &[End::Last],
        None => &[End::First, End::Last],
    };
    let mut citations = Vec::new();
    for end in ends {
        if let Some(stored) = end_of(store, text, found, *end)? {
            citations.push(cite(&mut answer, &stored));
        }
    }
    citations.dedup();
    let times: BTreeSet<Timestamp> = answer.evidence.iter().map(|line| line.time).collect();
    let what = described(asked);
    let total = how_many(found);
    let times: Vec<String> = times.into_iter().map(moment).collect();
    let sentence = match (times.as_slice(), asked.end) {
        ([only], None) if found.total == 1 => format!("{only}: one event, {what}."),
        ([only], None) => format!("{only}: {total} events, {what}."),
        ([only], Some(End::First)) => format!("{only}: the first of {total}, {what}."),
        ([only], Some(End::Last)) => format!("{only}: the last of {total}, {what}."),
        ([first, last], _) => format!("First at {first}, last at {last}: {total} events, {what}."),
        _ => return Ok(answer),
    };
    answer.values = times.into_iter().map(|value| Counted { value, events: 1 }).collect();
    answer.sentences.push(Told { text: sentence, citations });
    Ok(answer.said(How::Counted))
}

/// The events themselves; of many, what they are and the first of them.
fn list(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    text: &str,
    found: &Matching,
) -> Result<Answer, Error> {
    let what = described(asked);
    if let Some(end) = asked.end {
        let Some(stored) = end_of(store, text, found, end)? else { return Ok(answer) };
        let label = cite(&mut answer, &stored);
        let which = if end == End::First { "first" } else { "last" };
        let sentence =
            format!("The {which} of {}, {what}: {}.", how_many(found), render::line(&stored.event));
        answer.sentences.push(Told { text: sentence, citations: vec![label] });
        return Ok(answer.said(How::Counted));
    }
    let hits = match &found.read {
        Some(read) => read.iter().take(MAX_LISTED).cloned().collect(),
        None => {
            let query = Query { text: text.to_owned(), limit: MAX_LISTED, ..Query::default() };
            store.search(&query)?.hits
        }
    };
    let shown = if found.total > hits.len() as u64 {
        format!("; the first {} are", hits.len())
    } else {
        String::new()
    };
    let lead =
        format!("{} {}: {what}{shown}:", how_many(found), if found.total == 1 { "event" } else { "events" });
    answer.sentences.push(Told {
        text: crate::narrative::sentence_case(&lead).trim_end_matches('.').to_owned(),
        citations: Vec::new(),
    });
    for stored in &hits {
        let label = cite(&mut answer, stored);
        answer
            .sentences
            .push(Told { text: format!("{}.", render::line(&stored.event)), citations: vec![label] });
    }
    Ok(answer.said(How::Counted))
}

fn whether(
    mut answer: Answer,
    asked: &Understood,
    store: &Store,
    text: &str,
    found: &Matching,
) -> Result<Answer, Error> {
    let end = asked.end.unwrap_or(End::First);
    let Some(stored) = end_of(store, text, found, end)? else { return Ok(answer) };
    let label = cite(&mut answer, &stored);
    let what = described(asked);
    let which = if end == End::First { "the first" } else { "the last" };
    let sentence = match found.total {
        1 => format!("Yes, one event: {what}, at {}.", moment(stored.event.time)),
        _ => format!("Yes, {} events: {what}, {which} at {}.", how_many(found), moment(stored.event.time)),
    };
    answer.sentences.push(Told { text: sentence, citations: vec![label] });
    Ok(answer.said(How::Counted))
}
