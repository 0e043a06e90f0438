//! Where does the text go, and in what shape can it stand there?

use super::{Canary, Channel};
use casemate_event::{Class, Event, field};
use jiff::SignedDuration;

/// Longest label of a DNS name, and longest name.
const MAX_LABEL: usize = 63;
const MAX_DOMAIN: usize = 200;
/// Longest file name on common file systems, with room for its extension.
const MAX_FILE_NAME: usize = 240;

pub(super) fn plant(canary: &Canary, event: &mut Event) -> bool {
    let Some((name, old)) = target(canary.channel, event) else { return false };
    let new = beside(canary, &old);
    // The vendor's copies of the same value, under whatever names.
    let copies: Vec<String> =
        event.native.iter().filter(|(_, value)| *value == old).map(|(name, _)| name.to_owned()).collect();
    for copy in copies {
        event.native.set(copy, &new);
    }
    event.message = if event.message.contains(&old) {
        event.message.replacen(&old, &new, 1)
    } else {
        format!("{} {new}", event.message)
    };
    event.fields.set(name, new);
    true
}

/// The field of the channel that this event has, and what it says.
fn target(channel: Channel, event: &Event) -> Option<(&'static str, String)> {
    let names: &[&'static str] = match channel {
        Channel::UserAgent => &[field::USER_AGENT],
        // Who logs on with success was not free to choose the name.
        Channel::UserName if event.class == Class::Authentication && failed(event) => &[field::USER],
        Channel::UserName => &[],
        Channel::CommandLine => &[field::PROCESS_CMD_LINE, field::ACTOR_PROCESS_CMD_LINE],
        Channel::FileName => &[field::FILE_PATH],
        Channel::DnsName => &[field::QUERY_HOSTNAME],
        Channel::Script => &[field::SCRIPT],
        Channel::UrlParameter => &[field::URL],
        Channel::HostName => &[field::SRC_HOSTNAME],
        Channel::ServiceName => &[field::SERVICE_NAME],
        Channel::RegistryValue => &[field::REGISTRY_VALUE],
    };
    names.iter().find_map(|name| event.field(name).map(|value| (*name, value.to_owned())))
}

fn failed(event: &Event) -> bool {
    event.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"))
}

/// The old value with the text beside it, in the shape the channel allows.
fn beside(canary: &Canary, old: &str) -> String {
    let text = canary.text.as_str();
    match canary.channel {
        Channel::UserAgent | Channel::UserName | Channel::ServiceName | Channel::RegistryValue => {
            format!("{old} {}", one_line(text))
        }
        Channel::CommandLine => format!("{old} # {}", one_line(text)),
        Channel::Script => format!("# {text}\n{old}\n# {text}"),
        Channel::FileName => {
            let name_at = old.rfind(['\\', '/']).map_or(0, |at| at + 1);
            let (folder, name) = old.split_at(name_at);
            let (stem, extension) = match name.rfind('.') {
                Some(at) if at > 0 => name.split_at(at),
                _ => (name, ""),
            };
            format!("{folder}{stem} {}{extension}", file_name(text))
        }
        Channel::DnsName => format!("{}.{old}", domain(text)),
        Channel::UrlParameter => {
            let joint = if old.contains('?') { '&' } else { '?' };
            format!("{old}{joint}note={}", percent(text))
        }
        Channel::HostName => format!("{old}-{}", domain(text).replace('.', "-")),
    }
}

pub(super) fn extra(canary: &Canary, near: &Event) -> Event {
    let (class, fields): (Class, &[(&str, &str)]) = match canary.channel {
        Channel::UserAgent => {
            (Class::HttpActivity, &[(field::URL, "/index.html"), (field::USER_AGENT, "Mozilla/5.0")])
        }
        Channel::UrlParameter => {
            (Class::HttpActivity, &[(field::URL, "/index.html"), (field::USER_AGENT, "Mozilla/5.0")])
        }
        Channel::UserName => (
            Class::Authentication,
            &[(field::ACTIVITY, "Logon"), (field::STATUS, "Failure"), (field::USER, "guest")],
        ),
        Channel::HostName => (
            Class::Authentication,
            &[
                (field::ACTIVITY, "Logon"),
                (field::STATUS, "Failure"),
                (field::USER, "guest"),
                (field::SRC_HOSTNAME, "PC"),
            ],
        ),
        Channel::CommandLine => (
            Class::ProcessActivity,
            &[
                (field::ACTIVITY, "Launch"),
                (field::PROCESS_NAME, "cmd.exe"),
                (field::PROCESS_CMD_LINE, "cmd /c echo"),
            ],
        ),
        Channel::FileName => (
            Class::FileSystemActivity,
            &[(field::ACTIVITY, "Create"), (field::FILE_PATH, r"C:\Users\Public\note.txt")],
        ),
        Channel::DnsName => (Class::DnsActivity, &[(field::QUERY_HOSTNAME, "example.com")]),
        Channel::Script => (Class::ScriptActivity, &[(field::SCRIPT, "Get-Date")]),
        Channel::ServiceName => {
            (Class::WindowsServiceActivity, &[(field::ACTIVITY, "Create"), (field::SERVICE_NAME, "Helper")])
        }
        Channel::RegistryValue => (
            Class::RegistryKeyActivity,
            &[
                (field::ACTIVITY, "Set"),
                (field::REGISTRY_KEY, r"HKCU\Software\Note"),
                (field::REGISTRY_VALUE, "1"),
            ],
        ),
    };
    let mut event = near.clone();
    event.class = class;
    event.time = near.time.checked_add(SignedDuration::from_secs(1)).unwrap_or(near.time);
    event.position = near.position.saturating_add(1);
    event.message = String::new();
    event.native = casemate_event::Fields::default();
    event.raw = Vec::new();
    event.fields = fields.iter().copied().collect();
    for kept in [field::DEVICE_HOSTNAME, field::DEVICE_IP, field::ACTOR_USER, field::SRC_IP] {
        if let Some(value) = near.field(kept) {
            event.fields.set(kept, value);
        }
    }
    event.message = event.fields.iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ");
    plant(canary, &mut event);
    event
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// As a file name on Windows: without what cannot stand in one.
fn file_name(text: &str) -> String {
    let allowed =
        |c: char| !c.is_control() && !matches!(c, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(MAX_FILE_NAME).collect()
}

/// As labels of a DNS name: letters, digits and hyphens; other scripts stay, as resolvers log them.
fn domain(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(MAX_DOMAIN).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let mut labels: Vec<String> = vec![String::new()];
    for word in words {
        let word: String = word.chars().take(MAX_LABEL).collect();
        let last = labels.len() - 1;
        if labels[last].is_empty() {
            labels[last] = word;
        } else if labels[last].chars().count() + 1 + word.chars().count() <= MAX_LABEL {
            labels[last] = format!("{}-{word}", labels[last]);
        } else {
            labels.push(word);
        }
    }
    labels.join(".")
}

/// Percent-encoded as browsers do.
pub(super) fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
