//! Events from JSON, by the shortest way: flat names as Sigma expects, a host and a user.

use casemate_event::{Class, Event, Fields, Format, TemplateId, TimeQuality, field};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn starter_rules() -> PathBuf {
    repository().join("config/rules")
}

/// A folder of the shared data beside the checkout, where there is one.
pub(crate) fn shared_data(folder: &str) -> Option<PathBuf> {
    let path = repository().join("../shared/data").join(folder);
    if !path.is_dir() {
        eprintln!("skipped: no {} here", path.display());
        return None;
    }
    Some(path)
}

pub(crate) fn event(format: Format, native: &[(&str, &str)]) -> Event {
    with_native(format, native.iter().copied().collect())
}

pub(crate) fn windows(channel: &str, id: u32, native: &[(&str, &str)]) -> Event {
    let id = id.to_string();
    let head = [("Channel", channel), ("EventID", id.as_str())];
    with_native(Format::WindowsJson, head.iter().chain(native).copied().collect())
}

pub(crate) fn sysmon(id: u32, native: &[(&str, &str)]) -> Event {
    windows("Microsoft-Windows-Sysmon/Operational", id, native)
}

pub(crate) fn with_native(format: Format, native: Fields) -> Event {
    let mut event = Event {
        time: Timestamp::UNIX_EPOCH,
        time_quality: TimeQuality::Stated,
        format,
        class: Class::BaseEvent,
        source: String::new(),
        position: 1,
        message: String::new(),
        fields: Fields::default(),
        native,
        raw: Vec::new(),
        template: TemplateId(0),
        template_text: String::new(),
    };
    for (name, sources) in [
        (field::DEVICE_HOSTNAME, &["Hostname", "Computer", "hostname"][..]),
        (field::ACTOR_USER, &["User", "SourceUser", "SubjectUserName"][..]),
        (field::USER, &["TargetUserName"][..]),
        (field::SERVICE_NAME, &["ServiceName"][..]),
        (field::SRC_IP, &["id.orig_h"][..]),
    ] {
        if let Some(value) = sources.iter().find_map(|source| event.native.get(source)) {
            let value = value.to_owned();
            event.fields.set(name, value);
        }
    }
    if matches!(event.native.get("EventID"), Some("7045" | "4697")) {
        event.class = Class::WindowsServiceActivity;
    }
    event
}

/// Windows events as JSON lines, flat.
pub(crate) fn windows_json(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in text.lines() {
        let record: Map<String, Value> = serde_json::from_str(line).unwrap();
        let mut native = Fields::default();
        flatten("", &record, &mut native);
        let time = native.get("@timestamp").and_then(|time| time.parse().ok());
        let mut event = with_native(Format::WindowsJson, native);
        event.time = time.unwrap_or(Timestamp::UNIX_EPOCH);
        events.push(event);
    }
    events
}

/// A Windows event as `evtx` renders it: `Event.System` and `Event.EventData`.
pub(crate) fn rendered_event(record: &Value) -> Event {
    let mut native = Fields::default();
    let system = &record["Event"]["System"];
    native.set("Provider_Name", system["Provider"]["#attributes"]["Name"].as_str().unwrap_or_default());
    for name in ["Channel", "Computer", "Level"] {
        native.set(name, text(&system[name]));
    }
    let id = &system["EventID"];
    native.set("EventID", text(if id.is_object() { &id["#text"] } else { id }));
    for section in ["EventData", "UserData"] {
        if let Some(data) = record["Event"][section].as_object() {
            flatten("", data, &mut native);
        }
    }
    with_native(Format::Evtx, native)
}

pub(crate) fn flatten(prefix: &str, record: &Map<String, Value>, out: &mut Fields) {
    for (key, value) in record {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&name, inner, out),
            other => out.set(name, text(other)),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

pub(crate) fn unzip(path: &Path) -> Vec<(String, String)> {
    let mut archive = zip::ZipArchive::new(fs_err::File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            (member.name().unwrap().to_string(), String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

pub(crate) fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs_err::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// A Zeek log in TSV.
pub(crate) fn zeek_tsv(text: &str) -> Vec<Event> {
    let (mut path, mut columns) = ("", Vec::new());
    let mut events = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("#path\t") {
            path = name;
        } else if let Some(names) = line.strip_prefix("#fields\t") {
            columns = names.split('\t').collect();
        } else if !line.starts_with('#') {
            let mut native: Fields = columns.iter().copied().zip(line.split('\t')).collect();
            native.set("_path", path);
            events.push(with_native(Format::ZeekTsv, native));
        }
    }
    events
}
