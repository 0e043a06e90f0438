//! `GET /events/{id}`: what exactly was logged?

use super::evidence::{Offered, open_cases};
use super::feedback::asks_name;
use super::parts::{Badge, EntityLink, When, entity_links, fit, severity, shorten, when};
use super::render;
use crate::api::events::event;
use crate::api::investigations::start;
use crate::problem::{Problem, Result};
use crate::redact::cut::CUT;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, Redirect};
use casemate_access::Principal;
use casemate_event::{Class, Event, Fields, Stored, TimeQuality, field};
use casemate_investigate::taint::{self, Writer};
use casemate_investigate::{MAX_DECODED_CHARS, decoded_layers, injection};
use std::fmt::Write;
use std::sync::Arc;

/// Bytes of HTML for the raw record, for the message, for one value, for all values of a table, and for what was decoded:
/// whatever is logged, the page stays one that a phone loads. The API gives all.
const RAW_BYTES: usize = 32 * 1024;
const MESSAGE_BYTES: usize = 4 * 1024;
const VALUE_BYTES: usize = 2 * 1024;
const TABLE_BYTES: usize = 24 * 1024;
const DECODED_BYTES: usize = 12 * 1024;
/// Bytes shown where a record is no text.
const DUMPED: usize = 4 * 1024;
/// Generations of parents shown, and characters of each command.
const GENERATIONS: usize = 4;
const COMMAND_CHARS: usize = 300;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    id: u64,
    time: When,
    time_note: Option<&'static str>,
    message: String,
    format: &'static str,
    class: String,
    class_uid: u32,
    source: String,
    position: u64,
    template: String,
    entities: Vec<EntityLink>,
    cases: Vec<Offered>,
    asks_name: bool,
    /// Rules that match it, as they are now.
    rules: Vec<(Badge, String)>,
    /// The processes that led to it, the oldest first: event, and what was run.
    chain: Vec<(u64, String)>,
    /// What its command says once undone, the outermost encoding first.
    decoded: Vec<String>,
    /// Text in it that talks to its reader: field, what it does, the text.
    talks: Option<(String, &'static str, String)>,
    fields: Vec<Row>,
    native: Vec<Row>,
    raw: String,
    raw_bytes: usize,
    raw_note: Option<&'static str>,
    previous: Option<u64>,
    next: Option<u64>,
}

/// A field.
struct Row {
    name: String,
    value: String,
    /// Whether anybody who reaches a service or starts a program can write it.
    by_anyone: bool,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let stored = event(app, &id)?;
        let store = app.pipeline.store();
        let template =
            store.template(stored.event.template)?.map(|template| template.text).unwrap_or_default();
        let event = &stored.event;
        let (raw, raw_note) = raw_text(&event.raw, who.redacted);
        render(&EventPage {
            id: stored.id.0,
            time: when(event.time),
            time_note: time_note(event.time_quality),
            message: fit(&event.message, MESSAGE_BYTES),
            format: event.format.name(),
            class: words(&format!("{:?}", event.class)),
            class_uid: event.class.uid(),
            source: event.source.clone(),
            position: event.position,
            template,
            entities: entity_links(&event.entities()),
            cases: open_cases(app)?,
            asks_name: asks_name(&who),
            rules: app
                .pipeline
                .rules()
                .matches(event)
                .iter()
                .map(|rule| (severity(rule.severity), rule.title.clone()))
                .collect(),
            chain: chain(app, &stored)?,
            decoded: decoded(event),
            talks: injection::find(event).map(|found| (found.field, found.sign.describe(), found.text)),
            fields: rows(&event.fields, taint::normalised),
            native: rows(&event.native, taint::vendor),
            raw_bytes: event.raw.len(),
            raw,
            raw_note,
            previous: stored.id.0.checked_sub(1).filter(|id| *id > 0),
            next: Some(stored.id.0 + 1).filter(|id| *id <= store.last_id().0),
        })
    })
    .await
}

/// `POST /events/{id}/investigate`: an event that no rule made an alert of.
pub(crate) async fn investigate(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Redirect> {
    let alert = blocking(&app, move |app| {
        let stored = event(app, &id)?;
        let raised = app.pipeline.store().raise_by_hand(std::slice::from_ref(&stored))?;
        raised.ok_or_else(|| Problem::unprocessable("the event cannot be made an alert of"))
    })
    .await?;
    start(&app, alert.id).await?;
    Ok(Redirect::to(&format!("/investigations/{}", alert.id)))
}

fn rows(fields: &Fields, writer: fn(&str) -> Writer) -> Vec<Row> {
    // Around each value.
    const ROW_BYTES: usize = 60;
    let mut left = TABLE_BYTES;
    let mut rows = Vec::new();
    for (name, value) in fields.iter() {
        let value = fit(value, VALUE_BYTES.min(left));
        left = left.saturating_sub(name.len() + value.len() + ROW_BYTES);
        rows.push(Row { name: fit(name, VALUE_BYTES), value, by_anyone: writer(name) == Writer::Anyone });
        if left == 0 {
            break;
        }
    }
    rows
}

/// What was started before what.
fn chain(app: &App, stored: &Stored) -> Result<Vec<(u64, String)>> {
    if stored.event.class != Class::ProcessActivity && stored.event.field(field::ACTOR_PROCESS_PID).is_none()
    {
        return Ok(Vec::new());
    }
    let starts = app.pipeline.store().ancestors(stored, GENERATIONS)?;
    let what = |start: &Stored| {
        let event = &start.event;
        let text = event.field(field::PROCESS_CMD_LINE).or(event.field(field::PROCESS_PATH));
        (start.id.0, shorten(text.unwrap_or(&event.message), COMMAND_CHARS))
    };
    Ok(starts.iter().rev().map(what).collect())
}

fn decoded(event: &Event) -> Vec<String> {
    let names = [field::PROCESS_CMD_LINE, field::SCRIPT, field::ACTOR_PROCESS_CMD_LINE];
    let text = names.iter().find_map(|name| event.field(name));
    let mut layers = text.map(decoded_layers).unwrap_or_default();
    for layer in layers.iter_mut().filter(|layer| layer.chars().count() >= MAX_DECODED_CHARS) {
        layer.push(CUT);
    }
    let each = DECODED_BYTES / layers.len().max(1);
    layers.iter().map(|layer| fit(layer, each)).collect()
}

fn time_note(quality: TimeQuality) -> Option<&'static str> {
    match quality {
        TimeQuality::Stated => None,
        TimeQuality::YearAssumed => Some("the source gave no year"),
        TimeQuality::ZoneAssumed => Some("the source gave no zone; UTC was taken"),
        TimeQuality::Arrival => Some("the source gave no time; this is when it arrived"),
    }
}

/// `ProcessActivity` as `Process Activity`.
fn words(name: &str) -> String {
    name.chars().enumerate().fold(String::new(), |mut text, (index, character)| {
        if index > 0 && character.is_uppercase() {
            text.push(' ');
        }
        text.push(character);
        text
    })
}

/// The record as text, or as a hex dump where it is none; whoever sees data masked sees no bytes, which no rule can mask.
fn raw_text(raw: &[u8], is_masked: bool) -> (String, Option<&'static str>) {
    match std::str::from_utf8(raw) {
        Ok(text) => {
            let shown = fit(text, RAW_BYTES);
            let note = (shown.len() < text.len()).then_some("only its beginning is shown; the API gives all");
            (shown, note)
        }
        Err(_) if is_masked => {
            (String::new(), Some("not UTF-8: such bytes are not shown where personal data is masked"))
        }
        Err(_) => (hex_dump(&raw[..raw.len().min(DUMPED)]), Some("not UTF-8: shown as bytes, at most 4 KiB")),
    }
}

fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let hex: String = chunk.iter().map(|byte| format!("{byte:02x} ")).collect();
        let text: String =
            chunk.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(dump, "{:06x}  {hex:<48} {text}", row * 16);
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_dumped() {
        let (text, note) = raw_text(b"ab\xff\0", false);
        assert!(text.starts_with("000000  61 62 ff 00 ") && text.ends_with("ab..\n"), "{text:?}");
        assert!(note.is_some());
        assert_eq!(raw_text("ä".as_bytes(), true), ("ä".to_owned(), None));
        let long = "ä".repeat(RAW_BYTES);
        let (text, note) = raw_text(long.as_bytes(), true);
        assert!(text.len() == RAW_BYTES + CUT.len_utf8() && text.ends_with(CUT) && note.is_some());
        assert!(raw_text(b"ab\xff\0", true).0.is_empty());
    }

    #[test]
    fn class_names_are_words() {
        assert_eq!(words("ProcessActivity"), "Process Activity");
    }
}
