//! `casemate search`: events by words, entity and time; templates by meaning; what was quarantined.

use crate::cli::{Global, SearchArgs};
use crate::commands::tail;
use crate::failure::{Failure, Outcome};
use crate::output::{self, printable};
use crate::setup;
use anyhow::anyhow;
use casemate_event::{Entity, EventId, Format, Stored, TemplateId};
use casemate_pipeline::Pipeline;
use casemate_store::{Order, QuarantineId, Query, StoredQuarantined};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct EventLine {
    id: EventId,
    time: jiff::Timestamp,
    format: Format,
    message: String,
    entities: Vec<Entity>,
    /// For a hybrid search, how it was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    found_by: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Events {
    total: u64,
    /// Whether there are so many; else at most.
    counted: bool,
    events: Vec<EventLine>,
}

#[derive(Debug, Serialize)]
struct TemplateLine {
    id: TemplateId,
    similarity: f32,
    text: String,
    events: u64,
}

#[derive(Debug, Serialize)]
struct Templates {
    templates: Vec<TemplateLine>,
}

#[derive(Debug, Serialize)]
struct QuarantineLine {
    id: QuarantineId,
    source: String,
    position: u64,
    reason: casemate_event::QuarantineReason,
    detail: String,
    bytes: usize,
    start: String,
}

#[derive(Debug, Serialize)]
struct Quarantine {
    quarantined: Vec<QuarantineLine>,
}

pub(crate) fn run(global: &Global, args: &SearchArgs) -> Outcome {
    let started = Instant::now();
    if args.tail {
        return tail::run(global, args, &query(args)?);
    }
    let pipeline = setup::pipeline(global)?;
    let limit = args.limit as usize;
    if args.quarantine {
        let quarantined = quarantined(&pipeline, &args.query, limit)?;
        return print(global, started, &Quarantine { quarantined }, Quarantine::print);
    }
    if args.semantic {
        return print(global, started, &semantic(&pipeline, &args.query, limit)?, Templates::print);
    }
    let query = query(args)?;
    if args.hybrid {
        let found = pipeline.find(&args.query, &query).map_err(|error| match error {
            casemate_pipeline::Error::Store(error) if error.is_bad_input() => Failure::input(error),
            error => error.into(),
        })?;
        let total = found.len() as u64;
        let events = found.into_iter().map(|found| EventLine {
            found_by: found.by.iter().map(ToString::to_string).collect(),
            ..EventLine::from(found.stored)
        });
        let events = Events { total, counted: true, events: events.collect() };
        return print(global, started, &events, Events::print);
    }
    let found = match pipeline.store().search(&query) {
        Ok(found) => found,
        Err(error) if error.is_bad_input() => return Err(Failure::input(error)),
        Err(error) => return Err(error.into()),
    };
    if args.ecs {
        for stored in &found.hits {
            output::line(&casemate_event::ecs(stored).to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let events = found.hits.into_iter().map(EventLine::from).collect();
    print(global, started, &Events { total: found.total, counted: found.counted, events }, Events::print)
}

/// What is asked for.
fn query(args: &SearchArgs) -> Outcome<Query> {
    let entities = args.entity.iter().map(|text| text.parse::<Entity>());
    Ok(Query {
        text: if args.hybrid { args.filter.clone() } else { args.query.clone() },
        after: args.after,
        before: args.before,
        entities: entities.collect::<Result<_, _>>().map_err(|error| Failure::input(anyhow!(error)))?,
        limit: args.limit as usize,
        order: Order::OldestFirst,
        ..Query::default()
    })
}

/// The latest quarantined records that hold `text`, or come from a source that does.
fn quarantined(pipeline: &Pipeline, text: &str, limit: usize) -> Outcome<Vec<QuarantineLine>> {
    let wanted = text.to_lowercase();
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < limit {
        let page = pipeline.store().quarantined(before, 500)?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        let meant = page.into_iter().filter(|stored| {
            let record = &stored.record;
            let holds = |text: &str| text.to_lowercase().contains(&wanted);
            wanted.is_empty() || holds(&record.source) || holds(&String::from_utf8_lossy(&record.raw))
        });
        found.extend(meant.map(QuarantineLine::from));
    }
    found.truncate(limit);
    Ok(found)
}

fn semantic(pipeline: &Pipeline, text: &str, limit: usize) -> Outcome<Templates> {
    let mut templates = Vec::new();
    for (id, similarity) in pipeline.similar(text, limit)? {
        if let Some(template) = pipeline.store().template(id)? {
            templates.push(TemplateLine { id, similarity, text: template.text, events: template.count });
        }
    }
    Ok(Templates { templates })
}

fn print<T: Serialize>(
    global: &Global,
    started: Instant,
    result: &T,
    as_text: impl Fn(&T) -> std::io::Result<()>,
) -> Outcome {
    if global.json {
        output::json(result, started)?;
    } else {
        as_text(result)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Events {
    fn print(&self) -> std::io::Result<()> {
        for event in &self.events {
            output::line(&output::event_line(event.id, event.time, &event.message))?;
            if !event.found_by.is_empty() {
                output::line(&format!("          by {}", printable(&event.found_by.join("; "))))?;
            }
        }
        let at_most = if self.counted { "" } else { "at most " };
        output::line(&format!("{} of {at_most}{} events", self.events.len(), self.total))
    }
}

impl Templates {
    fn print(&self) -> std::io::Result<()> {
        for template in &self.templates {
            let text = printable(&template.text);
            output::line(&format!("{:.3}  {:>7} events  {text}", template.similarity, template.events))?;
        }
        output::line(&format!("{} templates", self.templates.len()))
    }
}

impl Quarantine {
    fn print(&self) -> std::io::Result<()> {
        for record in &self.quarantined {
            output::line(&format!(
                "{}:{}  {}  {} ({} bytes)  {}",
                record.source,
                record.position,
                record.reason,
                record.detail,
                record.bytes,
                printable(&record.start)
            ))?;
        }
        output::line(&format!("{} records", self.quarantined.len()))
    }
}

impl From<Stored> for EventLine {
    fn from(stored: Stored) -> Self {
        let entities = stored.event.entities();
        let Stored { id, event } = stored;
        Self {
            id,
            time: event.time,
            format: event.format,
            message: event.message,
            entities,
            found_by: Vec::new(),
        }
    }
}

impl From<StoredQuarantined> for QuarantineLine {
    fn from(stored: StoredQuarantined) -> Self {
        let StoredQuarantined { id, record } = stored;
        let start = &record.raw[..record.raw.len().min(80)];
        Self {
            id,
            source: record.source,
            position: record.position,
            reason: record.reason,
            detail: record.detail,
            bytes: record.raw.len(),
            start: String::from_utf8_lossy(start).into_owned(),
        }
    }
}
