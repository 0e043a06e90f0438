//! Which names in the data give the answer away? Lab hosts, lab domains and marks of tools, renamed before
//! anything is stored.
//!
//! A name is replaced wherever it stands, whatever its case, by one of the same kind, so that events still join.

use casemate_event::{Event, Fields};
use regex::{Captures, Regex};

/// Marks and what stands for them.
const MARKS: [(&str, &str); 34] = [
    ("theshire", "example"),
    ("mordordc", "dc01"),
    ("mordor", "corp"),
    ("pgustavo", "pmiller"),
    ("wardog", "wharris"),
    ("sbeavers", "sbell"),
    ("lgomez", "lgreen"),
    ("msedgewin10", "ws-1017"),
    ("iewin7", "ws-0707"),
    ("ieuser", "jsmith"),
    ("ie10win7", "ws-0710"),
    ("ie8win7", "ws-0708"),
    ("atc.local", "ad.local"),
    ("offsec.lan", "office.lan"),
    ("offsec", "office"),
    ("threebeesco", "example"),
    ("3b.local", "ad2.local"),
    ("insecurebank", "examplebank"),
    ("pandalab", "branch"),
    ("galactica.cc", "site.example"),
    ("valkyrie", "ws-0420"),
    ("sec504student", "ws-0504"),
    ("sans-tbt570", "ws-0570"),
    ("sec511", "ws-0511"),
    ("stratus-red-team", "infra-tool"),
    ("stratusredteam", "infratool"),
    ("stratus", "infra"),
    ("detonation", "session"),
    ("dmevals", "example"),
    ("hacker", "mhacks"),
    ("fs03vuln", "fs03"),
    ("attackrange", "range"),
    ("atomicredteam", "admintools"),
    ("atomic-red-team", "admin-tools"),
];

/// Replaces the marks.
pub(crate) struct Renamer {
    marks: Regex,
}

impl Renamer {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let any: Vec<String> = MARKS.iter().map(|(mark, _)| regex::escape(mark)).collect();
        Ok(Self { marks: Regex::new(&format!("(?i){}", any.join("|")))? })
    }

    /// Renames in every text of the event, and forgets which file it came from.
    pub(crate) fn apply(&self, event: &mut Event) {
        "log".clone_into(&mut event.source);
        let before = event.template_text.clone();
        for text in [&mut event.message, &mut event.template_text] {
            if let Some(renamed) = self.renamed(text) {
                *text = renamed;
            }
        }
        if event.template_text != before {
            event.template = casemate_ingest::template::id(&event.template_text);
        }
        for fields in [&mut event.fields, &mut event.native] {
            if fields.iter().any(|(_, value)| self.marks.is_match(value)) {
                let mut renamed = Fields::default();
                for (name, value) in fields.iter() {
                    renamed.set(name, self.renamed(value).as_deref().unwrap_or(value));
                }
                *fields = renamed;
            }
        }
        let raw = String::from_utf8_lossy(&event.raw);
        if let Some(renamed) = self.renamed(&raw) {
            event.raw = renamed.into_bytes();
        }
    }

    fn renamed(&self, text: &str) -> Option<String> {
        self.marks.is_match(text).then(|| self.marks.replace_all(text, replacement).into_owned())
    }
}

/// In capitals where the mark was.
fn replacement(found: &Captures<'_>) -> String {
    let found = &found[0];
    let lower = found.to_lowercase();
    let name = MARKS.iter().find(|(mark, _)| *mark == lower).map_or("name", |(_, name)| name);
    if found.chars().any(char::is_lowercase) { name.to_owned() } else { name.to_uppercase() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::{Class, Format, TemplateId, TimeQuality, field};

    #[test]
    fn marks_go_everywhere_and_events_still_join() {
        let mut event = Event {
            time: jiff::Timestamp::UNIX_EPOCH,
            time_quality: TimeQuality::Stated,
            format: Format::Text,
            class: Class::BaseEvent,
            source: "attack/mimikatz.evtx".to_owned(),
            position: 1,
            message: "logon on MORDORDC.theshire.local".to_owned(),
            fields: Fields::default(),
            native: Fields::default(),
            raw: b"MORDORDC".to_vec(),
            template: TemplateId(1),
            template_text: "logon on MORDORDC".to_owned(),
        };
        event.fields.set(field::DEVICE_HOSTNAME, "MordorDC.TheShire.local");
        event.native.set("Computer", "MORDORDC.theshire.local");
        Renamer::new().unwrap().apply(&mut event);
        assert_eq!(event.source, "log");
        assert_eq!(event.message, "logon on DC01.example.local");
        assert_eq!(event.field(field::DEVICE_HOSTNAME), Some("dc01.example.local"));
        assert_eq!(event.native.get("Computer"), Some("DC01.example.local"));
        assert_eq!(event.raw, b"DC01");
        assert_ne!(event.template, TemplateId(1));
    }
}
