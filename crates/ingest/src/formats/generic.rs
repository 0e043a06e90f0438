//! JSON of no known vendor, and text of no known format: time, and fields under common names, where stated.

use super::{Draft, SHOWN_CHARS};
use crate::json::{Json, Object};
use crate::text::{clean, push_clean};
use crate::time::{self, Dated};
use casemate_event::{Fields, Format, field};

/// Names under which products state the time of an event, the most specific first.
const TIME_NAMES: [&str; 21] = [
    "@timestamp",
    "timestamp",
    "eventTime",
    "event_time",
    "EventTime",
    "TimeGenerated",
    "TimeCreated",
    "CreationTime",
    "createdDateTime",
    "activityDateTime",
    "datetime",
    "published",
    "time",
    "Time",
    "_time",
    "ts",
    "date",
    "Timestamp",
    "timeCreated",
    "requestReceivedTimestamp",
    "stageTimestamp",
];

/// ECS, OCSF and widespread plain names for normalised fields.
const NAMES: [(&str, &[&str]); 25] = [
    (
        field::DEVICE_HOSTNAME,
        &[
            "host.name",
            "host.hostname",
            "device.hostname",
            "hostname",
            "host",
            "Computer",
            "computer_name",
            "DeviceName",
        ],
    ),
    (
        field::ACTOR_USER,
        &[
            "actor.user.name",
            "user.name",
            "initiatingProcessAccountName",
            "InitiatingProcessAccountName",
            "UserId",
            "userPrincipalName",
            "username",
            "user",
        ],
    ),
    (field::USER, &["user.target.name", "target.user.name"]),
    (
        field::SRC_IP,
        &[
            "source.ip",
            "src_endpoint.ip",
            "src_ip",
            "srcip",
            "source_ip",
            "ClientIP",
            "ipAddress",
            "IpAddress",
            "client_ip",
            "clientIp",
            "LocalIP",
        ],
    ),
    (field::SRC_PORT, &["source.port", "src_endpoint.port", "src_port", "srcport"]),
    (field::DST_IP, &["destination.ip", "dst_endpoint.ip", "dest_ip", "dst_ip", "dstip", "RemoteIP"]),
    (
        field::DST_PORT,
        &["destination.port", "dst_endpoint.port", "dest_port", "dst_port", "dstport", "RemotePort"],
    ),
    (field::DST_HOSTNAME, &["destination.domain", "dst_endpoint.hostname"]),
    (field::PROCESS_PATH, &["process.executable", "process.file.path"]),
    (field::PROCESS_NAME, &["process.name", "ImageFileName", "FileName"]),
    (
        field::PROCESS_CMD_LINE,
        &[
            "process.command_line",
            "process.cmd_line",
            "ProcessCommandLine",
            "CommandLine",
            "command_line",
            "cmdline",
        ],
    ),
    (field::PROCESS_PID, &["process.pid", "ProcessId", "pid"]),
    (field::PARENT_PROCESS_PATH, &["process.parent.executable"]),
    (field::PARENT_PROCESS_NAME, &["process.parent.name", "InitiatingProcessFileName", "ParentBaseFileName"]),
    (field::PARENT_PROCESS_CMD_LINE, &["process.parent.command_line", "InitiatingProcessCommandLine"]),
    (field::FILE_PATH, &["file.path", "TargetFileName"]),
    (field::FILE_SHA256, &["file.hash.sha256", "SHA256", "sha256"]),
    (field::REGISTRY_KEY, &["registry.path", "RegistryKey"]),
    (field::QUERY_HOSTNAME, &["dns.question.name", "query.hostname", "DomainName"]),
    (field::URL, &["url.original", "url.full"]),
    (field::USER_AGENT, &["user_agent.original", "userAgent", "user_agent"]),
    (
        field::API_OPERATION,
        &["Operation", "operationName", "api.operation", "methodName", "protoPayload.methodName"],
    ),
    (field::ACTIVITY, &["event.action", "activity_name", "action"]),
    (field::EVENT_CODE, &["event.code", "metadata.event_code"]),
    (field::PRODUCT, &["event.module", "metadata.product.name", "product"]),
];

/// Names under which products put one readable line.
const MESSAGE_NAMES: [&str; 8] =
    ["message", "msg", "Message", "event.original", "summary", "description", "MESSAGE", "log"];

/// Decodes a JSON object of no known vendor.
pub(crate) fn object(object: &Object<'_>) -> Draft {
    let mut draft = Draft::new(Format::JsonLines);
    draft.native = object.flatten();
    draft.time = stated_time(object);
    for (name, native) in NAMES {
        draft.copy(name, native);
    }
    let message = MESSAGE_NAMES.iter().find_map(|name| draft.native.get(name));
    draft.message = match message {
        Some(message) => clean(message, 2 * SHOWN_CHARS),
        None => pairs(&draft.native),
    };
    draft.finished()
}

/// Time stated by an object under one of the usual names.
pub(crate) fn stated_time(object: &Object<'_>) -> Option<Dated> {
    TIME_NAMES.iter().find_map(|name| match object.get(name)? {
        Json::Text(text) => time::iso(text).or_else(|| time::leading(text)).or_else(|| plausible_epoch(text)),
        Json::Number(number) => plausible_epoch(&number.to_string()),
        _ => None,
    })
}

/// Seconds since 1970, if they are not a small number that means something else.
fn plausible_epoch(text: &str) -> Option<Dated> {
    const YEAR_1980: i64 = 315_532_800;
    time::epoch(text).filter(|(time, _)| time.as_second() > YEAR_1980)
}

/// The first few fields as `name=value`.
pub(crate) fn pairs(native: &Fields) -> String {
    const SHOWN_PAIRS: usize = 12;
    let mut line = String::new();
    let shown = native.iter().filter(|(name, _)| !TIME_NAMES.contains(name)).take(SHOWN_PAIRS);
    for (name, value) in shown {
        if !line.is_empty() {
            line.push(' ');
        }
        push_clean(&mut line, name, 64);
        line.push('=');
        push_clean(&mut line, value, 64);
    }
    if line.is_empty() {
        line.push_str("record without values");
    }
    line
}

/// Takes a JSON value that is no object (an element of an array).
pub(crate) fn scalar(value: &Json<'_>) -> Draft {
    let mut draft = Draft::new(Format::JsonLines);
    let text = value.text().map_or_else(|| value.to_string(), |text| text.into_owned());
    draft.time = time::leading(&text);
    draft.message = clean(&text, 2 * SHOWN_CHARS);
    draft.native.set("message", text);
    draft
}

/// Takes a text line of no known format.
pub(crate) fn text(line: &str) -> Draft {
    let mut draft = Draft::new(Format::Text);
    draft.time = time::leading(line);
    draft.message = clean(line, 4 * SHOWN_CHARS);
    draft.native.set("message", line);
    draft
}
