//! What was a record recognised as? Formats known to the program, and those that mapping files name.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Most names of mapping-defined formats in one process.
const MAX_NAMES: usize = 4096;
/// Longest name of a format, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Name of a format that a mapping file defines, kept once per process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingName(&'static str);

impl MappingName {
    /// The name `text`: 1 to 64 of `a-z`, `0-9` and `_`, and not the name of a format in
    /// [`Format::ALL`]. `None` otherwise, or when a process holds 4,096 names already.
    pub fn new(text: &str) -> Option<Self> {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let sound = (1..=MAX_NAME_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && Format::ALL.iter().all(|format| format.name() != text);
        if !sound {
            return None;
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(text) {
            return Some(Self(name));
        }
        if names.len() >= MAX_NAMES {
            return None;
        }
        let name: &'static str = Box::leak(Box::from(text));
        names.insert(name);
        Some(Self(name))
    }
}

impl Serialize for MappingName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for MappingName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        Self::new(&name).ok_or_else(|| D::Error::custom(format!("no name of a format: {name:?}")))
    }
}

/// Encoding a record was recognised as, by content.
///
/// Written as its name in text forms and by number in binary ones: variants are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Windows event as JSON: flat (NXLog, OTRF) or nested (winlogbeat, `Event.System`).
    WindowsJson,
    /// Windows binary event log.
    Evtx,
    /// Syslog of RFC 3164.
    SyslogRfc3164,
    /// Syslog of RFC 5424.
    SyslogRfc5424,
    /// Linux audit daemon record (`type=… msg=audit(…)`), bare or inside syslog.
    Auditd,
    /// Zeek log with a `#fields` header.
    ZeekTsv,
    /// Zeek log as JSON lines.
    ZeekJson,
    /// Suricata EVE JSON.
    SuricataEve,
    /// AWS CloudTrail record.
    CloudTrail,
    /// Any other JSON object per line.
    JsonLines,
    /// Any other text line.
    Text,
    /// Format that a mapping file defines.
    Mapped(MappingName),
    /// Alert of Suricata or Snort as a line (`fast.log`).
    SuricataFast,
    /// Entry of the systemd journal as JSON.
    Journald,
    /// Windows event as XML.
    WindowsXml,
}

impl Format {
    /// Every format that needs no mapping file, in the order of declaration.
    pub const ALL: [Self; 14] = [
        Self::WindowsJson,
        Self::Evtx,
        Self::SyslogRfc3164,
        Self::SyslogRfc5424,
        Self::Auditd,
        Self::ZeekTsv,
        Self::ZeekJson,
        Self::SuricataEve,
        Self::CloudTrail,
        Self::JsonLines,
        Self::Text,
        Self::SuricataFast,
        Self::Journald,
        Self::WindowsXml,
    ];

    /// Name used in summaries, searches and API paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::WindowsJson => "windows_json",
            Self::Evtx => "evtx",
            Self::SyslogRfc3164 => "syslog_rfc3164",
            Self::SyslogRfc5424 => "syslog_rfc5424",
            Self::Auditd => "auditd",
            Self::ZeekTsv => "zeek_tsv",
            Self::ZeekJson => "zeek_json",
            Self::SuricataEve => "suricata_eve",
            Self::CloudTrail => "cloud_trail",
            Self::JsonLines => "json_lines",
            Self::Text => "text",
            Self::Mapped(name) => name.0,
            Self::SuricataFast => "suricata_fast",
            Self::Journald => "journald",
            Self::WindowsXml => "windows_xml",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(self.name());
        }
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Self::deserialize(deserializer);
        }
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .or_else(|| MappingName::new(&name).map(Self::Mapped))
            .ok_or_else(|| D::Error::custom(format!("no name of a format: {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_the_name() {
        let mapped = Format::Mapped(MappingName::new("okta").unwrap());
        for format in Format::ALL.into_iter().chain([mapped]) {
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(text, format!("\"{}\"", format.name()));
            assert_eq!(serde_json::from_str::<Format>(&text).unwrap(), format);
        }
        assert!(serde_json::from_str::<Format>("\"No name\"").is_err());
    }

    #[test]
    fn names_are_kept_once() {
        assert_eq!(MappingName::new("okta"), MappingName::new("okta"));
        assert_eq!(MappingName::new("text"), None);
        assert_eq!(MappingName::new(""), None);
    }
}
