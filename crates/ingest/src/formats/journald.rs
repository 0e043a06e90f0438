//! Entries of the systemd journal, as `journalctl -o json` writes them.

use super::{Draft, syslog};
use crate::json::{Json, Object};
use casemate_event::{Fields, Format, TimeQuality, field};
use jiff::Timestamp;

/// Decodes a JSON object if it is an entry.
pub(crate) fn decode(object: &Object<'_>) -> Option<Draft> {
    if !object.has("__REALTIME_TIMESTAMP")
        || !["MESSAGE", "_BOOT_ID", "__CURSOR"].iter().any(|name| object.has(name))
    {
        return None;
    }
    let mut native = object.flatten();
    for (name, value) in &object.0 {
        // What is not UTF-8 comes as an array of bytes.
        if let Some(text) = bytes(value) {
            native.set(name.as_ref(), text);
        }
    }
    Some(normalise(native))
}

fn bytes(value: &Json<'_>) -> Option<String> {
    let Json::Array(items) = value else { return None };
    let bytes: Option<Vec<u8>> = items.iter().map(|item| item.text()?.parse().ok()).collect();
    bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn normalise(native: Fields) -> Draft {
    let mut draft = Draft::new(Format::Journald);
    let first =
        |names: &[&str]| names.iter().find_map(|name| native.get(name)).unwrap_or_default().to_owned();
    let host = first(&["_HOSTNAME"]);
    let program = first(&["SYSLOG_IDENTIFIER", "_COMM"]);
    let pid = first(&["_PID", "SYSLOG_PID"]);
    let text = first(&["MESSAGE"]);
    // The time that the sender states, else that of the journal.
    let stamp = first(&["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"]);
    syslog::add_text(&mut draft, &host, &program, &pid, &text);
    let own = std::mem::replace(&mut draft.native, native);
    for (name, value) in own.iter() {
        if draft.native.get(name).is_none() {
            draft.native.set(name, value);
        }
    }
    draft.format = Format::Journald;
    draft.time = stamp
        .parse::<i64>()
        .ok()
        .and_then(|micros| Some((Timestamp::from_microsecond(micros).ok()?, TimeQuality::Stated)));
    for (name, of) in [
        (field::ACTOR_PROCESS_PATH, "_EXE"),
        (field::ACTOR_PROCESS_CMD_LINE, "_CMDLINE"),
        (field::ACTOR_USER_UID, "_UID"),
    ] {
        if draft.fields.get(name).is_none() {
            draft.copy(name, &[of]);
        }
    }
    draft.finished()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_message_that_is_not_utf8() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1770026400123456","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"app","_PID":"7",
            "_EXE":"/usr/bin/app","_CMDLINE":"app -v","MESSAGE":[104,105,32,255]}"#;
        let draft = decode(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(draft.message, "app: hi \u{fffd}");
        assert_eq!(draft.native.get("MESSAGE"), Some("hi \u{fffd}"));
        assert_eq!(draft.fields.get(field::ACTOR_PROCESS_PATH), Some("/usr/bin/app"));
        assert_eq!(draft.fields.get(field::DEVICE_HOSTNAME), Some("web1"));
        assert_eq!(draft.time.unwrap().0.to_string(), "2026-02-02T10:00:00.123456Z");
    }

    #[test]
    fn sshd_says_what_it_says_in_syslog() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1","_BOOT_ID":"b","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"Failed password for bob from 10.0.0.1 port 5 ssh2"}"#;
        let draft = decode(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(draft.fields.get(field::SRC_IP), Some("10.0.0.1"));
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
        let other = serde_json::from_str(r#"{"__REALTIME_TIMESTAMP":"1","a":2}"#).unwrap();
        assert!(decode(&other).is_none());
    }
}
