//! How is an event said in the Elastic Common Schema? Version 8.17, for tools that read nothing else.

use crate::{Class, Entity, EntityKind, Event, Stored, entities, field};
use serde_json::{Map, Value, json};

/// Version of the Elastic Common Schema that [`ecs`] writes.
pub const ECS_VERSION: &str = "8.17.0";

/// An event as one ECS document: nested objects, absent fields left out.
///
/// Normalised fields that ECS has no place for are under `labels`, their dots replaced by underscores. The record as
/// received is `event.original`, with U+FFFD for what is not UTF-8; the vendor's own fields are in it.
pub fn ecs(stored: &Stored) -> Value {
    let event = &stored.event;
    let mut root = Map::new();
    let mut put = |path: &str, value: Value| set(&mut root, path, value);
    put("@timestamp", json!(event.time));
    put("ecs.version", json!(ECS_VERSION));
    put("message", json!(event.message));
    put("event.id", json!(stored.id.to_string()));
    put("event.kind", json!(if event.class == Class::DetectionFinding { "alert" } else { "event" }));
    put("event.dataset", json!(event.format.name()));
    put("event.original", json!(String::from_utf8_lossy(&event.raw)));
    put("event.outcome", json!(outcome(event)));
    put("event.type", json!([kind(event)]));
    let categories = categories(event.class);
    if !categories.is_empty() {
        put("event.category", json!(categories));
    }
    put("log.file.path", json!(event.source));
    let roles = Roles::of(event);
    for (name, value) in event.fields.iter() {
        if name == field::STATUS {
            continue;
        }
        let value = match name {
            field::PROCESS_PID
            | field::PARENT_PROCESS_PID
            | field::ACTOR_PROCESS_PID
            | field::SRC_PORT
            | field::DST_PORT => value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)),
            field::REGISTRY_VALUE => json!([value]),
            field::PROTOCOL => json!(value.to_lowercase()),
            _ => json!(value),
        };
        match roles.path(name) {
            Some(path) => put(&path, value),
            None => put(&format!("labels.{}", name.replace('.', "_")), value),
        }
    }
    let found = entities(&event.fields);
    let related = [
        ("related.hosts", EntityKind::Host),
        ("related.user", EntityKind::User),
        ("related.ip", EntityKind::Ip),
        ("related.hash", EntityKind::Hash),
    ];
    for (path, wanted) in related {
        let values: Vec<&str> = found
            .iter()
            .filter(|entity| entity.kind == wanted)
            .map(|Entity { value, .. }| value.as_str())
            .collect();
        if !values.is_empty() {
            put(path, json!(values));
        }
    }
    Value::Object(root)
}

/// Puts `value` at a dotted path. A path through what is no object is not followed: ours are not of that kind.
fn set(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// Which user and process of an event are `user` and `process`: ECS has one of each that acts.
struct Roles {
    /// The user acted upon is the one that the event is about.
    user_is_object: bool,
    /// The same of the process.
    process_is_object: bool,
    class: Class,
}

impl Roles {
    fn of(event: &Event) -> Self {
        let has = |name| event.field(name).is_some();
        let acts =
            has(field::ACTOR_PROCESS_PATH) || has(field::ACTOR_PROCESS_NAME) || has(field::ACTOR_PROCESS_PID);
        let launch = event.field(field::ACTIVITY) == Some("Launch");
        Self {
            user_is_object: event.class == Class::Authentication && has(field::USER)
                || !has(field::ACTOR_USER),
            process_is_object: launch || !acts,
            class: event.class,
        }
    }

    /// Where a normalised field goes; `None` if ECS has no place for it.
    fn path(&self, name: &str) -> Option<String> {
        if let Some(rest) = name.strip_prefix("process.parent_process.") {
            return process(rest).map(|rest| format!("process.parent.{rest}"));
        }
        if let Some(rest) = name.strip_prefix("process.") {
            let base = if self.process_is_object { "process" } else { "Target.process" };
            return process(rest).map(|rest| format!("{base}.{rest}"));
        }
        if let Some(rest) = name.strip_prefix("actor.process.") {
            // Beside the process that was started, ECS knows its parent alone.
            return process(rest).filter(|_| !self.process_is_object).map(|rest| format!("process.{rest}"));
        }
        let acting = if self.user_is_object { "user.effective" } else { "user" };
        let object = if self.user_is_object { "user" } else { "user.target" };
        let path = match name {
            field::ACTOR_USER => return Some(format!("{acting}.name")),
            field::ACTOR_USER_UID => return Some(format!("{acting}.id")),
            field::USER => return Some(format!("{object}.name")),
            field::USER_DOMAIN => return Some(format!("{object}.domain")),
            field::DEVICE_HOSTNAME => "host.name",
            field::DEVICE_IP => "host.ip",
            field::SRC_IP => "source.ip",
            field::SRC_PORT => "source.port",
            field::SRC_HOSTNAME => "source.domain",
            field::DST_IP => "destination.ip",
            field::DST_PORT => "destination.port",
            field::DST_HOSTNAME => "destination.domain",
            field::QUERY_HOSTNAME if self.class == Class::DnsActivity => "dns.question.name",
            field::QUERY_HOSTNAME => "tls.client.server_name",
            field::URL => "url.original",
            field::USER_AGENT => "user_agent.original",
            field::PROTOCOL => "network.protocol",
            field::FILE_PATH => "file.path",
            field::FILE_SHA256 => "file.hash.sha256",
            field::MODULE_PATH => "dll.path",
            field::REGISTRY_KEY => "registry.path",
            field::REGISTRY_VALUE => "registry.data.strings",
            field::SERVICE_NAME => "service.name",
            field::ACTIVITY => "event.action",
            field::STATUS_DETAIL => "event.reason",
            field::EVENT_CODE => "event.code",
            field::PRODUCT => "event.provider",
            field::FINDING_TITLE => "rule.name",
            field::FINDING_ATTACKS => "threat.technique.id",
            field::FINDING_LINK => "event.url",
            field::FINDING_UID => "event.id",
            field::CLOUD_ACCOUNT => "cloud.account.id",
            field::API_SERVICE => "cloud.service.name",
            _ => return None,
        };
        Some(path.to_owned())
    }
}

/// Names within a process.
fn process(name: &str) -> Option<&'static str> {
    Some(match name {
        "file.path" => "executable",
        "name" => "name",
        "cmd_line" => "command_line",
        "pid" => "pid",
        "uid" => "entity_id",
        "file.hashes.sha256" => "hash.sha256",
        _ => return None,
    })
}

fn outcome(event: &Event) -> &'static str {
    match event.field(field::STATUS) {
        Some("Success") => "success",
        Some("Failure") => "failure",
        _ => "unknown",
    }
}

fn categories(class: Class) -> &'static [&'static str] {
    match class {
        Class::BaseEvent => &[],
        Class::FileSystemActivity => &["file"],
        Class::ModuleActivity => &["library"],
        Class::ScheduledJobActivity | Class::WindowsServiceActivity => &["configuration"],
        Class::ProcessActivity | Class::ScriptActivity => &["process"],
        Class::RegistryKeyActivity => &["registry"],
        Class::DetectionFinding => &["intrusion_detection"],
        Class::AccountChange => &["iam"],
        Class::Authentication => &["authentication"],
        Class::NetworkActivity | Class::DnsActivity => &["network"],
        Class::HttpActivity => &["network", "web"],
        Class::ApiActivity => &["api"],
    }
}

/// The one `event.type` that fits.
fn kind(event: &Event) -> &'static str {
    let activity = event.field(field::ACTIVITY).unwrap_or_default().to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| activity.starts_with(word));
    match event.class {
        Class::NetworkActivity => "connection",
        Class::DnsActivity => "protocol",
        Class::HttpActivity => "access",
        _ if begins(&["launch", "logon", "start"]) => "start",
        _ if begins(&["terminate", "logoff", "stop"]) => "end",
        _ if begins(&["create"]) => "creation",
        _ if begins(&["delete", "remove"]) => "deletion",
        _ if begins(&["update", "modify", "set", "rename", "write", "change", "enable", "disable"]) => {
            "change"
        }
        _ if begins(&["open", "access", "read"]) => "access",
        _ => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Format, TemplateId, TimeQuality};

    fn document(class: Class, fields: &[(&str, &str)]) -> Value {
        let event = Event {
            time: "2026-02-02T08:00:00Z".parse().unwrap(),
            time_quality: TimeQuality::Stated,
            format: Format::WindowsJson,
            class,
            source: "a.json".to_owned(),
            position: 1,
            message: "m".to_owned(),
            fields: fields.iter().copied().collect(),
            native: crate::Fields::default(),
            raw: b"r\xff".to_vec(),
            template: TemplateId(0),
            template_text: String::new(),
        };
        ecs(&Stored { id: EventId(7), event })
    }

    #[test]
    fn a_launch_is_a_process_with_its_parent() {
        let found = document(
            Class::ProcessActivity,
            &[
                (field::ACTIVITY, "Launch"),
                (field::PROCESS_PATH, "C:\\a.exe"),
                (field::PROCESS_PID, "12"),
                (field::PROCESS_UID, "{G}"),
                (field::PARENT_PROCESS_NAME, "b.exe"),
                (field::ACTOR_USER, "ann"),
                (field::STATUS, "Success"),
                (field::DEVICE_HOSTNAME, "WS5.lab.test"),
                (field::LOGON_TYPE, "3"),
            ],
        );
        let expected = json!({
            "@timestamp": "2026-02-02T08:00:00Z",
            "ecs": { "version": "8.17.0" },
            "message": "m",
            "event": {
                "id": "7", "kind": "event", "category": ["process"], "type": ["start"], "action": "Launch",
                "outcome": "success", "dataset": "windows_json", "original": "r\u{fffd}",
            },
            "log": { "file": { "path": "a.json" } },
            "host": { "name": "WS5.lab.test" },
            "user": { "name": "ann" },
            "process": { "executable": "C:\\a.exe", "pid": 12, "entity_id": "{G}", "parent": { "name": "b.exe" } },
            "labels": { "logon_type_id": "3" },
            "related": { "hosts": ["ws5"], "user": ["ann"] },
        });
        assert_eq!(found, expected);
    }

    fn check(class: Class, fields: &[(&str, &str)], pointer: &str, expected: &str) {
        assert_eq!(document(class, fields).pointer(pointer), Some(&json!(expected)), "{pointer}");
    }

    #[test]
    fn who_acts_is_the_user_and_the_process() {
        let logon = [(field::USER, "bob"), (field::ACTOR_USER, "svc")];
        check(Class::Authentication, &logon, "/user/name", "bob");
        check(Class::Authentication, &logon, "/user/effective/name", "svc");
        check(Class::AccountChange, &logon, "/user/name", "svc");
        check(Class::AccountChange, &logon, "/user/target/name", "bob");
        let open =
            [(field::ACTOR_PROCESS_NAME, "a"), (field::PROCESS_NAME, "lsass.exe"), (field::ACTIVITY, "Open")];
        check(Class::ProcessActivity, &open, "/process/name", "a");
        check(Class::ProcessActivity, &open, "/Target/process/name", "lsass.exe");
        check(Class::DnsActivity, &[(field::QUERY_HOSTNAME, "x.test")], "/dns/question/name", "x.test");
        check(Class::DetectionFinding, &[(field::FINDING_TITLE, "t")], "/event/kind", "alert");
        check(Class::NetworkActivity, &[(field::ASSET, "10.0.0.5/1")], "/labels/ot_asset", "10.0.0.5/1");
    }

    #[test]
    fn every_normalised_field_has_a_place() {
        for name in field::ALL {
            let found = document(Class::BaseEvent, &[(name, "Success")]);
            assert!(found.to_string().to_lowercase().matches("success").count() > 0, "{name}");
        }
    }
}
