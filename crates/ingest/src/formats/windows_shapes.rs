//! In which shapes do shippers write a Windows event as JSON? Brings each to flat names.

use crate::json::{Json, Object};
use crate::time::{self, Dated};
use casemate_event::{Fields, TimeQuality};
use std::borrow::Cow;

/// Names that say how a record travelled and nothing about the event; the record as received keeps them.
const TRANSPORT: [&str; 7] =
    ["@version", "EventReceivedTime", "SourceModuleName", "SourceModuleType", "host", "port", "tags"];

/// A Windows event with flat names.
pub(crate) struct WindowsEvent {
    pub(crate) id: u32,
    pub(crate) time: Option<Dated>,
    /// The long text for people; it repeats the data, so it becomes a field only where there is no data.
    pub(crate) message: String,
    pub(crate) native: Fields,
}

fn number(value: &Json<'_>) -> Option<u32> {
    match value {
        Json::Object(object) => number(object.get("#text").or_else(|| object.get("Value"))?),
        scalar => scalar.text()?.trim().parse().ok(),
    }
}

/// An XML attribute, under the names that XML-to-JSON tools give it.
fn attribute<'a>(object: &'a Object<'_>, element: &str, name: &str) -> Option<Cow<'a, str>> {
    let element = object.object(element)?;
    if let Some(attributes) = element.object("#attributes") {
        return attributes.text(name);
    }
    element.text(name).or_else(|| element.text(&format!("@{name}")))
}

/// A flat object, as NXLog writes it.
pub(crate) fn flat(object: &Object<'_>) -> Option<WindowsEvent> {
    let id = number(object.get("EventID")?)?;
    // A hit of Hayabusa, which tells of an event and is none.
    if object.has("RuleTitle") {
        return None;
    }
    const MARKS: [&str; 6] =
        ["Channel", "SourceName", "Provider_Name", "ProviderName", "ProviderGuid", "Computer"];
    if !MARKS.iter().any(|mark| object.has(mark)) {
        return None;
    }
    let mut native = Fields::default();
    for (key, value) in &object.0 {
        if key == "Message" || TRANSPORT.contains(&key.as_ref()) {
            continue;
        }
        match value {
            Json::Object(_) | Json::Array(_) => {
                let nested = Object(vec![(Cow::Borrowed(key.as_ref()), value.clone())]);
                nested.flatten().iter().for_each(|(key, value)| native.set(key, value));
            }
            scalar => {
                if let Some(text) = scalar.text() {
                    native.set(key.as_ref(), text);
                }
            }
        }
    }
    native.set("EventID", id.to_string());
    for (name, shipped) in
        [("Provider_Name", "SourceName"), ("Computer", "Hostname"), ("EventRecordID", "RecordNumber")]
    {
        if native.get(name).is_none()
            && let Some(value) = object.text(shipped)
        {
            native.set(name, value);
        }
    }
    let message = object.text("Message").unwrap_or_default().into_owned();
    Some(WindowsEvent { id, time: flat_time(object), message, native })
}

/// The shipper states the event's time without a zone (`EventTime`), and the time it received the event
/// both without (`EventReceivedTime`) and with one (`@timestamp`): the difference of the latter two is the
/// zone of the former.
fn flat_time(object: &Object<'_>) -> Option<Dated> {
    if let Some(utc) = object.text("UtcTime").and_then(|text| time::iso_utc(&text)) {
        return Some(utc);
    }
    let read = |name: &str| object.text(name).and_then(|text| time::iso(&text));
    let stated = |dated: &Dated| dated.1 == TimeQuality::Stated;
    let event = read("EventTime").or_else(|| read("TimeCreated")).or_else(|| read("SystemTime"));
    if let Some(event) = event.filter(stated) {
        return Some(event);
    }
    let shipped = read("@timestamp");
    if let (Some((event, _)), Some((received, _)), Some((shipped, _))) =
        (event, read("EventReceivedTime"), shipped)
    {
        const QUARTER_HOUR: i64 = 900;
        let difference = shipped.as_second() - received.as_second();
        let zone = (difference + QUARTER_HOUR / 2).div_euclid(QUARTER_HOUR) * QUARTER_HOUR;
        if (difference - zone).abs() < 60
            && let Ok(time) = event.checked_add(jiff::SignedDuration::from_secs(zone))
        {
            return Some((time, TimeQuality::Stated));
        }
    }
    shipped.or(event)
}

/// `Event.System` with `EventData` or `UserData`, as tools print an event's XML.
pub(crate) fn nested(object: &Object<'_>) -> Option<WindowsEvent> {
    let event = object.object("Event").unwrap_or(object);
    let system = event.object("System")?;
    let id = number(system.get("EventID")?)?;
    let mut native = Fields::default();
    // System names last: event data must not pass for them.
    for part in ["EventData", "UserData", "ProcessingErrorData"] {
        if let Some(data) = event.get(part) {
            event_data(data, part != "EventData", &mut native, 0);
        }
    }
    native.set("EventID", id.to_string());
    for name in ["Channel", "Computer", "EventRecordID", "Level", "Task", "Opcode", "Keywords"] {
        if let Some(text) = system.text(name) {
            native.set(name, text);
        }
    }
    const ATTRIBUTES: [(&str, &str, &str); 5] = [
        ("Provider_Name", "Provider", "Name"),
        ("ProviderGuid", "Provider", "Guid"),
        ("ExecutionProcessID", "Execution", "ProcessID"),
        ("ExecutionThreadID", "Execution", "ThreadID"),
        ("UserID", "Security", "UserID"),
    ];
    for (name, element, attr) in ATTRIBUTES {
        if let Some(text) = attribute(system, element, attr) {
            native.set(name, text);
        }
    }
    let written = attribute(system, "TimeCreated", "SystemTime").or_else(|| system.text("TimeCreated"));
    // SystemTime is UTC by definition, with or without its `Z`.
    let written = written.and_then(|text| time::iso_utc(&text));
    let time = native.get("UtcTime").and_then(time::iso_utc).or(written);
    Some(WindowsEvent { id, time, message: String::new(), native })
}

/// Takes in the values below `EventData` or `UserData`; `deep` keeps only the last part of nested names.
fn event_data(value: &Json<'_>, deep: bool, native: &mut Fields, depth: u32) {
    let Json::Object(object) = value else {
        data_list("Data", value, native);
        return;
    };
    for (key, value) in &object.0 {
        match value {
            _ if key.starts_with('#') || key.starts_with("xmlns") => {}
            Json::Object(_) if deep && depth < 8 => event_data(value, deep, native, depth + 1),
            Json::Object(_) | Json::Array(_) => data_list(key, value, native),
            scalar => {
                if let Some(text) = scalar.text() {
                    native.set(key.as_ref(), text);
                }
            }
        }
    }
}

/// `Data` elements: named ones under their names, the others joined by line ends under `key`.
fn data_list(key: &str, value: &Json<'_>, native: &mut Fields) {
    let mut joined = String::new();
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Json::Array(items) => pending.extend(items.iter().rev()),
            Json::Object(object) => {
                let text = object.get("#text").or_else(|| object.get("Value"));
                let name = object
                    .object("#attributes")
                    .and_then(|a| a.text("Name"))
                    .or_else(|| object.text("@Name"));
                match (name, text) {
                    (Some(name), Some(text)) => {
                        native.set(name, text.text().unwrap_or_default());
                    }
                    (None, Some(text)) => pending.push(text),
                    (_, None) => {
                        object
                            .flatten()
                            .iter()
                            .for_each(|(inner, value)| native.set(format!("{key}.{inner}"), value));
                    }
                }
            }
            scalar => {
                let text = scalar.text().unwrap_or_default();
                if !joined.is_empty() {
                    joined.push('\n');
                }
                joined.push_str(&text);
            }
        }
    }
    native.set(key, joined);
}

/// `winlog` with `event_data`, as winlogbeat and the Elastic agent write it.
pub(crate) fn winlogbeat(object: &Object<'_>) -> Option<WindowsEvent> {
    let winlog = object.object("winlog")?;
    let id = number(winlog.get("event_id")?)?;
    let mut native = Fields::default();
    for part in ["event_data", "user_data"] {
        if let Some(data) = winlog.get(part) {
            event_data(data, false, &mut native, 0);
        }
    }
    native.set("EventID", id.to_string());
    const NAMES: [(&str, &str); 7] = [
        ("Channel", "channel"),
        ("Provider_Name", "provider_name"),
        ("ProviderGuid", "provider_guid"),
        ("Computer", "computer_name"),
        ("EventRecordID", "record_id"),
        ("Task", "task"),
        ("Opcode", "opcode"),
    ];
    for (name, shipped) in NAMES {
        if let Some(text) = winlog.text(shipped) {
            native.set(name, text);
        }
    }
    if let Some(user) = winlog.object("user") {
        native.set("UserID", user.text("identifier").unwrap_or_default());
        native.set("AccountName", user.text("name").unwrap_or_default());
    }
    let shipped = object.text("@timestamp").and_then(|text| time::iso(&text));
    let time = native.get("UtcTime").and_then(time::iso_utc).or(shipped);
    let message = object.text("message").unwrap_or_default().into_owned();
    Some(WindowsEvent { id, time, message, native })
}
