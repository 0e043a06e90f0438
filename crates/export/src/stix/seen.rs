//! Which observables of STIX are in an event? Addresses, names, accounts, files, processes, connections, registry keys;
//! where there is none of these, the record itself.

use super::objects::Bundle;
use crate::observe::{base_name, is_domain, is_sha256};
use crate::text::value;
use base64::Engine;
use casemate_event::{Event, field};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Most bytes of a record that stands for itself.
const MAX_RAW: usize = 8_192;
/// Protocols by the names that IANA registers.
const PROTOCOLS: [&str; 14] = [
    "tcp", "udp", "icmp", "http", "https", "ssh", "ftp", "smtp", "ldap", "ldaps", "kerberos", "telnet",
    "snmp", "ntp",
];

/// Adds the observables of `event`; at least one. Returns their ids, each once.
pub(super) fn objects(out: &mut Bundle, event: &Event) -> Vec<String> {
    let mut refs = Vec::new();
    let user = [field::ACTOR_USER, field::USER].map(|name| event.field(name).map(|user| account(out, user)));
    let source = event.field(field::SRC_IP).and_then(|ip| address(out, ip));
    let destination = event.field(field::DST_IP).and_then(|ip| address(out, ip));
    refs.extend(user.iter().flatten().cloned());
    refs.extend(source.iter().chain(&destination).cloned());
    refs.extend(event.field(field::DEVICE_IP).and_then(|ip| address(out, ip)));
    for name in [field::QUERY_HOSTNAME, field::DST_HOSTNAME] {
        let domain = event.field(name).map(str::to_lowercase).filter(|domain| is_domain(domain));
        refs.extend(
            domain.map(|domain| out.observable("domain-name", &json!({ "value": domain }), json!({}))),
        );
    }
    refs.extend(
        event
            .field(field::URL)
            .filter(|url| is_url(url))
            .map(|url| out.observable("url", &json!({ "value": url }), json!({}))),
    );
    refs.extend(traffic(out, event, source.as_deref(), destination.as_deref()));
    let whole = [(field::FILE_PATH, field::FILE_SHA256), (field::MODULE_PATH, "")];
    for (path, hash) in whole {
        refs.extend(file(out, event.field(path), event.field(hash)));
    }
    refs.extend(processes(out, event, user[0].as_deref()));
    refs.extend(event.field(field::REGISTRY_KEY).and_then(|key| registry(out, key)));
    if refs.is_empty() {
        refs.push(record(out, event));
    }
    let mut seen = std::collections::BTreeSet::new();
    refs.retain(|id| seen.insert(id.clone()));
    refs
}

fn account(out: &mut Bundle, user: &str) -> String {
    out.observable("user-account", &json!({ "account_login": value(user) }), json!({}))
}

fn address(out: &mut Bundle, ip: &str) -> Option<String> {
    let ip: IpAddr = ip.parse().ok()?;
    let kind = if ip.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    Some(out.observable(kind, &json!({ "value": ip.to_string() }), json!({})))
}

/// `http` or `https`, and nothing that RFC 3986 does not have.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte);
    rest.is_some_and(|rest| {
        !rest.starts_with('/') && rest.len() < 2_000 && !rest.is_empty() && rest.bytes().all(allowed)
    })
}

fn traffic(
    out: &mut Bundle,
    event: &Event,
    source: Option<&str>,
    destination: Option<&str>,
) -> Option<String> {
    let port = |name| event.field(name).and_then(|port| port.parse::<u16>().ok());
    let (from, to) = (port(field::SRC_PORT)?, port(field::DST_PORT)?);
    let stated = ["proto", "protocol", "transport"];
    let native = stated.iter().filter_map(|name| event.native.get_ignore_case(name));
    let named = native.chain(event.field(field::PROTOCOL)).map(str::to_lowercase);
    let mut protocols: Vec<String> = named.filter(|name| PROTOCOLS.contains(&name.as_str())).collect();
    protocols.dedup();
    if protocols.is_empty() || source.or(destination).is_none() {
        return None;
    }
    let mut makes = json!({ "src_port": from, "dst_port": to, "protocols": protocols });
    for (name, end) in [("src_ref", source), ("dst_ref", destination)] {
        if let Some(end) = end {
            makes[name] = json!(end);
        }
    }
    Some(out.observable("network-traffic", &makes, json!({})))
}

fn file(out: &mut Bundle, path: Option<&str>, hash: Option<&str>) -> Option<String> {
    let path = path.map(str::trim).filter(|path| !path.is_empty())?;
    let name = value(base_name(path));
    let dir =
        path.get(..path.len() - base_name(path).len()).unwrap_or_default().trim_end_matches(['\\', '/']);
    let mut makes = json!({});
    if !name.is_empty() {
        makes["name"] = json!(name);
    }
    if let Some(hash) = hash.map(str::to_lowercase).filter(|hash| is_sha256(hash)) {
        makes["hashes"] = json!({ "SHA-256": hash });
    }
    if !dir.is_empty() {
        let dir = out.observable("directory", &json!({ "path": value(dir) }), json!({}));
        if makes.as_object().is_none_or(serde_json::Map::is_empty) {
            return Some(dir);
        }
        makes["parent_directory_ref"] = json!(dir);
    }
    (makes != json!({})).then(|| out.observable("file", &makes, json!({})))
}

/// The process that the event is about, with its parent; and the one that acted.
fn processes(out: &mut Bundle, event: &Event, user: Option<&str>) -> Vec<String> {
    const OWN: [&str; 5] = [
        field::PROCESS_PID,
        field::PROCESS_UID,
        field::PROCESS_CMD_LINE,
        field::PROCESS_PATH,
        field::PROCESS_SHA256,
    ];
    const PARENT: [&str; 5] = [
        field::PARENT_PROCESS_PID,
        field::PARENT_PROCESS_UID,
        field::PARENT_PROCESS_CMD_LINE,
        field::PARENT_PROCESS_PATH,
        "",
    ];
    const ACTOR: [&str; 5] = [
        field::ACTOR_PROCESS_PID,
        field::ACTOR_PROCESS_UID,
        field::ACTOR_PROCESS_CMD_LINE,
        field::ACTOR_PROCESS_PATH,
        "",
    ];
    let mut refs = Vec::new();
    let parent = process(out, event, PARENT, None, user);
    refs.extend(parent.iter().cloned());
    refs.extend(process(out, event, OWN, parent.as_deref(), user));
    refs.extend(process(out, event, ACTOR, None, user));
    refs
}

fn process(
    out: &mut Bundle,
    event: &Event,
    [pid, uid, command, path, hash]: [&str; 5],
    parent: Option<&str>,
    user: Option<&str>,
) -> Option<String> {
    let found = |name: &str| event.field(name).filter(|text| !text.trim().is_empty());
    let (pid, uid, command) = (found(pid), found(uid), found(command));
    let image = file(out, found(path), found(hash));
    let mut fields = json!({});
    if let Some(number) = pid.and_then(|pid| pid.parse::<u32>().ok()) {
        fields["pid"] = json!(number);
    }
    if let Some(command) = command {
        fields["command_line"] = json!(value(command));
    }
    if let Some(image) = &image {
        fields["image_ref"] = json!(image);
    }
    if fields == json!({}) {
        return None;
    }
    if let Some(parent) = parent {
        fields["parent_ref"] = json!(parent);
    }
    if let Some(user) = user {
        fields["creator_user_ref"] = json!(user);
    }
    let host = event.field(field::DEVICE_HOSTNAME).unwrap_or_default();
    // Where there is no unique id, numbers are used again after a while: what runs is part of the key.
    let key = match uid {
        Some(uid) => format!("{host} {uid} {fields}"),
        None => format!("{host} {} {fields}", event.time.as_second() / 86_400),
    };
    Some(out.nameless("process", &key, fields))
}

/// Hives are written out.
fn registry(out: &mut Bundle, key: &str) -> Option<String> {
    const HIVES: [(&str, &str); 8] = [
        ("HKLM\\", "HKEY_LOCAL_MACHINE\\"),
        ("HKU\\", "HKEY_USERS\\"),
        ("HKCU\\", "HKEY_CURRENT_USER\\"),
        ("HKCR\\", "HKEY_CLASSES_ROOT\\"),
        ("\\REGISTRY\\MACHINE\\", "HKEY_LOCAL_MACHINE\\"),
        ("\\REGISTRY\\USER\\", "HKEY_USERS\\"),
        ("HKEY_LOCAL_MACHINE\\", "HKEY_LOCAL_MACHINE\\"),
        ("HKEY_USERS\\", "HKEY_USERS\\"),
    ];
    let upper = key.to_uppercase();
    let (short, long) = HIVES.iter().find(|(short, _)| upper.starts_with(short))?;
    let rest = key.get(short.len()..).filter(|rest| !rest.trim().is_empty())?;
    let makes = json!({ "key": value(&format!("{long}{rest}")) });
    Some(out.observable("windows-registry-key", &makes, json!({})))
}

/// The record as it came.
fn record(out: &mut Bundle, event: &Event) -> String {
    let bytes = if event.raw.is_empty() { event.message.as_bytes() } else { &event.raw };
    let bytes = &bytes[..bytes.len().min(MAX_RAW)];
    let packed = base64::engine::general_purpose::STANDARD.encode(bytes);
    let makes: Value = json!({ "payload_bin": packed });
    out.observable("artifact", &makes, json!({ "mime_type": "text/plain" }))
}
