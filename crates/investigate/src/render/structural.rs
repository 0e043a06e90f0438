//! How does an event read when nothing an attacker wrote is left in it?
//!
//! The same line as [`line`](super::line), of the same fields, but every value is typed: an address, a number,
//! a member of a list of our own (programs, folders, registry places, kinds of client, marks of commands), or
//! a tag that says only whether two names are the same. A verdict that needs more than this to be benign was
//! talked into it.

use super::lists::{CLIENTS, EXTENSIONS, MARKS, PROGRAMS, REGISTRY, URL_MARKS};
use super::{LAYOUTS, Value, first_of, mask_of};
use crate::decode;
use crate::hash;
use crate::taint::{self, Writer};
use crate::view::{View, base_name};
use casemate_event::{Entity, EntityKind, Event, field};
use std::net::IpAddr;

/// Most of a command that is searched for marks, in bytes.
const MAX_SEARCHED: usize = 64 * 1024;
/// Most marks named in one value.
const MAX_MARKS: usize = 10;

/// One line for an event, without its label and without free text.
///
/// Whatever is appended to a field of [`Writer::Anyone`], no word of it appears: only members of fixed lists,
/// rounded lengths, addresses and tags.
pub fn structural(event: &Event) -> String {
    let view = View(event);
    let mut line = event.time.strftime("%H:%M:%SZ").to_string();
    let host = view.host();
    line.push_str(&if host.is_empty() { " -".to_owned() } else { format!(" {}", tag("host", &host)) });
    if let Some(user) = view.user() {
        line.push_str(&format!(" {}", account(&user)));
    }
    line.push_str(": ");
    let Some(layout) = LAYOUTS.iter().find(|layout| layout.class == event.class) else {
        line.push_str("event");
        append(&mut line, "text", marks(&event.message));
        return line;
    };
    line.push_str(layout.verb);
    if let Some(activity) = event.field(field::ACTIVITY).filter(|activity| is_word(activity)) {
        line.push_str(&format!(" {}", activity.to_lowercase()));
    }
    for (key, value) in layout.values {
        append(&mut line, key, form(view, value));
    }
    line
}

fn append(line: &mut String, key: &str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        line.push_str(&format!(" {key} \"{value}\""));
    }
}

fn form(view: View<'_>, value: &Value) -> Option<String> {
    match value {
        Value::Field(name) => view.0.field(name).and_then(|value| typed(name, value)),
        Value::Path(names) => first_of(view, names).map(path),
        Value::Command(names) => first_of(view, names).and_then(marks),
        Value::JobCommand => marks(view.job_command()),
        Value::Mask(names) => mask_of(view, names),
    }
}

fn typed(name: &str, value: &str) -> Option<String> {
    match name {
        field::SRC_IP | field::DST_IP => value.parse::<IpAddr>().ok().map(|ip| ip.to_string()),
        field::DST_PORT | field::LOGON_TYPE => value.parse::<u32>().ok().map(|number| number.to_string()),
        field::USER | field::ACTOR_USER => Some(account(&Entity::new(EntityKind::User, value).value)),
        field::SRC_HOSTNAME | field::DST_HOSTNAME => {
            Some(tag("host", &Entity::new(EntityKind::Host, value).value))
        }
        field::QUERY_HOSTNAME => Some(domain(value)),
        field::URL => Some(url(value)),
        field::USER_AGENT => Some(client(value).to_owned()),
        field::REGISTRY_KEY => Some(registry(value).to_owned()),
        field::SERVICE_NAME | field::JOB_NAME => Some(service(value)),
        field::STATUS_DETAIL => reason(value),
        field::FINDING_TITLE => Some(super::clean(value, super::MAX_VALUE_CHARS)),
        _ => (taint::normalised(name) != Writer::Anyone && is_word(value)).then(|| value.to_owned()),
    }
}

/// Something of one word, as products name their operations and outcomes.
fn is_word(value: &str) -> bool {
    value.len() <= 64
        && value.split(' ').count() <= 3
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-' | '/' | ' '))
}

/// A name that says only whether it is the same as another: `host-3fa`.
fn tag(kind: &str, value: &str) -> String {
    let digest = hash::sha256_hex(value.to_lowercase().as_bytes());
    format!("{kind}-{}", digest.get(..3).unwrap_or_default())
}

fn account(user: &str) -> String {
    const KNOWN: [&str; 15] = [
        "system",
        "local service",
        "network service",
        "anonymous logon",
        "administrator",
        "admin",
        "root",
        "guest",
        "krbtgt",
        "www-data",
        "apache",
        "nginx",
        "nobody",
        "postgres",
        "mysql",
    ];
    match user.to_lowercase() {
        known if KNOWN.contains(&known.as_str()) => known,
        machine if machine.ends_with('$') => tag("machine", &machine),
        other => tag("user", &other),
    }
}

/// A program or file: its folder's kind, and its name where it is one of those that are everywhere.
fn path(value: &str) -> String {
    let lower = value.trim_matches(['"', '\'']).to_lowercase();
    let name = base_name(&lower);
    let shown = match PROGRAMS.binary_search(&name.as_str()) {
        Ok(place) => PROGRAMS[place].to_owned(),
        Err(_) => {
            let extension = name.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default();
            let known = EXTENSIONS.iter().find(|known| **known == extension);
            known.map_or_else(|| "other file".to_owned(), |known| format!("other .{known}"))
        }
    };
    match folder(&lower) {
        "" | "system" if PROGRAMS.binary_search(&name.as_str()).is_ok() => shown,
        "" => shown,
        folder => format!("{shown} in {folder}"),
    }
}

fn folder(lower: &str) -> &'static str {
    // The first that fits.
    const FOLDERS: [(&str, &str); 33] = [
        (r"\admin$\", "administrative share"),
        (r"\c$\", "administrative share"),
        (r"\ipc$\", "administrative share"),
        (r"\start menu\programs\startup\", "startup folder"),
        (r"\windows\temp\", "temporary folder"),
        (r"\appdata\local\temp\", "temporary folder"),
        (r"\appdata\", "application data of a user"),
        (r"\downloads\", "downloads"),
        (r"\desktop\", "desktop"),
        (r"\users\public\", "public folder"),
        (r"\users\", "folder of a user"),
        (r"\programdata\", "program data"),
        (r"\perflogs\", "unusual system folder"),
        (r"\$recycle.bin\", "unusual system folder"),
        (r"\windows\tasks\", "tasks folder"),
        (r"\system32\tasks\", "tasks folder"),
        (r"\windows\system32\", "system"),
        (r"\windows\syswow64\", "system"),
        (r"\windows\", "windows"),
        (r"\program files", "program files"),
        (r"\device\namedpipe", "named pipe"),
        ("/tmp/", "temporary folder"),
        ("/dev/shm/", "temporary folder"),
        ("/etc/cron", "cron folder"),
        ("/.ssh/", "ssh folder"),
        ("/etc/", "configuration"),
        ("/var/www/", "web root"),
        ("/var/log/", "logs"),
        ("/home/", "folder of a user"),
        ("/root/", "folder of root"),
        ("/usr/", "system"),
        ("/bin/", "system"),
        ("/sbin/", "system"),
    ];
    if lower.starts_with(r"\\") && !lower.contains('$') && !lower.starts_with(r"\\?\") {
        return "network share";
    }
    let system = lower.starts_with(r"\systemroot\") || lower.starts_with(r"%systemroot%\");
    FOLDERS
        .iter()
        .find(|(part, _)| lower.contains(part))
        .map_or(if system { "windows" } else { "" }, |(_, name)| name)
}

/// What a command or script is known to do, in the order it says so, with its length and how often it is
/// wrapped up.
fn marks(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let mut lower: String = text[..text.floor_char_boundary(MAX_SEARCHED)].to_lowercase();
    let layers = decode::layers(text);
    for layer in &layers {
        lower.push(' ');
        lower.push_str(&layer.to_lowercase());
    }
    // What shells ignore.
    lower.retain(|c| !matches!(c, '^' | '`' | '"' | '\''));
    let mut found: Vec<(usize, &str)> =
        MARKS.iter().filter_map(|mark| lower.find(mark).map(|at| (at, mark.trim()))).collect();
    found.sort_unstable();
    let mut parts: Vec<String> = found.iter().take(MAX_MARKS).map(|(_, mark)| (*mark).to_owned()).collect();
    if !layers.is_empty() {
        parts.push(format!("encoded {} deep", layers.len()));
    }
    parts.push(format!("about {} characters", rounded(text.chars().count())));
    Some(parts.join(", "))
}

/// To a power of two: enough to tell a script from a switch.
fn rounded(n: usize) -> usize {
    n.next_power_of_two()
}

fn url(value: &str) -> String {
    let lower = value[..value.floor_char_boundary(MAX_SEARCHED)].to_lowercase();
    let mut parts: Vec<String> = URL_MARKS
        .iter()
        .filter(|(mark, _)| lower.contains(mark))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    parts.dedup();
    let (path, query) = lower.split_once('?').unwrap_or((&lower, ""));
    let extension = path.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.')).map(|(_, e)| e);
    if let Some(known) = extension.and_then(|extension| EXTENSIONS.iter().find(|known| **known == extension))
    {
        parts.push(format!(".{known}"));
    }
    let parameters = query.split('&').filter(|part| !part.is_empty()).count();
    if parameters > 0 {
        parts.push(format!("{} parameters", parameters.min(16)));
    }
    parts.push(format!("about {} characters", rounded(value.chars().count())));
    parts.join(", ")
}

fn client(value: &str) -> &'static str {
    let lower = value.to_lowercase();
    CLIENTS.iter().find(|(mark, _)| lower.contains(mark)).map_or("other client", |(_, name)| name)
}

/// A name asked for, by its shape: tunnels and generated names are long, many-labelled or full of digits.
fn domain(value: &str) -> String {
    let labels = value.split('.').filter(|label| !label.is_empty()).count();
    let longest = value.split('.').map(|label| label.chars().count()).max().unwrap_or_default();
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let share = if value.is_empty() { 0 } else { digits * 10 / value.chars().count().max(1) * 10 };
    format!("{labels} labels, longest about {}, {share} % digits", rounded(longest))
}

fn registry(value: &str) -> &'static str {
    let lower = value.to_lowercase();
    REGISTRY.iter().find(|(part, _)| lower.contains(part)).map_or("other key", |(_, name)| name)
}

fn service(value: &str) -> String {
    const REMOTE: [&str; 6] = ["psexesvc", "paexec", "remcom", "csexec", "winexesvc", "smbexec"];
    let lower = value.to_lowercase();
    match REMOTE.iter().find(|name| lower.contains(**name)) {
        Some(name) => format!("remote execution service {name}"),
        None => tag("name", &lower),
    }
}

/// Codes only, as `0xc000006a` or `AccessDenied`.
fn reason(value: &str) -> Option<String> {
    let code =
        value.starts_with("0x") && value.len() <= 12 && value[2..].chars().all(|c| c.is_ascii_hexdigit());
    code.then(|| value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taint;
    use crate::testing::event;
    use casemate_event::Class;
    use proptest::prelude::*;

    #[test]
    fn lists_that_are_searched_are_in_order() {
        assert!(PROGRAMS.is_sorted());
    }

    #[test]
    fn a_process_start_keeps_its_shape() {
        let event = event(
            Class::ProcessActivity,
            &[
                (field::DEVICE_HOSTNAME, "WS5.corp.example"),
                (field::ACTOR_USER, "CORP\\alice"),
                (field::ACTIVITY, "Launch"),
                (field::PROCESS_PATH, r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"),
                (field::PROCESS_CMD_LINE, "powershell -w hidden -enc dwBoAG8AYQBtAGkAIAAvAGEAbABsAA=="),
                (field::PARENT_PROCESS_PATH, r"C:\Users\alice\AppData\Roaming\approved by IT.exe"),
            ],
        );
        assert_eq!(
            structural(&event),
            "14:02:11Z host-1ae user-2bd: process launch process \"powershell.exe\" command \"-w hidden, -enc, \
             encoded 1 deep, about 64 characters\" parent \"other .exe in application data of a user\""
        );
    }

    /// Words that only an attacker's text holds.
    const SECRET: &str = "zqx";

    proptest! {
        #[test]
        fn no_word_of_anyones_text_is_left(class in 0..LAYOUTS.len(), text in "[a-z \\.\\\\/:?&=]{0,20}") {
            let text = format!("{text}{SECRET}{text}");
            let mut event = event(LAYOUTS[class].class, &[(field::DEVICE_HOSTNAME, "ws1")]);
            event.message = text.clone();
            for name in field::ALL.into_iter().filter(|name| taint::normalised(name) == Writer::Anyone) {
                event.fields.set(name, &text);
            }
            event.native.set("ImagePath", &text);
            prop_assert!(!structural(&event).contains(SECRET), "{}", structural(&event));
        }
    }
}
