//! Entries of the systemd journal, as `journalctl -o json` and `-o export` write them.

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

/// Decodes an entry of the export format: lines `NAME=value`, or `NAME`, eight bytes of length (little endian), the
/// value and a line end. `None` if it is not of that form.
pub(crate) fn decode_export(entry: &[u8]) -> Option<Draft> {
    let mut native = Fields::default();
    let mut rest = entry;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let after = after.get(1..).unwrap_or_default();
        if line.trim_ascii().is_empty() {
            // The end of the entry.
            rest = after;
            continue;
        }
        match memchr::memchr(b'=', line) {
            Some(equals) => {
                let (name, value) = (line.get(..equals)?, line.get(equals + 1..)?);
                add(&mut native, name, value);
                rest = after;
            }
            None => {
                let length = usize::try_from(u64::from_le_bytes(*after.first_chunk()?)).ok()?;
                let value = after.get(8..)?.get(..length)?;
                add(&mut native, line, value);
                rest = after.get(8 + length..)?.strip_prefix(b"\n").unwrap_or_default();
            }
        }
    }
    native.get("__REALTIME_TIMESTAMP")?;
    Some(normalise(native))
}

/// Fields may come more than once.
fn add(native: &mut Fields, name: &[u8], value: &[u8]) {
    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    match native.get(&name).map(|before| format!("{before}, {value}")) {
        Some(both) => native.set(name, both),
        None => native.set(name, value),
    }
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

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1770026400123456","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"sshd","_PID":"7","_EXE":"/usr/sbin/sshd","MESSAGE":[70,97,105,108,101,100,32,112,97,115,115,119,111,114,100,32,102,111,114,32,98,111,98,32,102,114,111,109,32,49,48,46,48,46,48,46,49,32,112,111,114,116,32,53,32,115,115,104,50]}"#;
        let text = "Failed password for bob from 10.0.0.1 port 5 ssh2";
        let mut export = b"__REALTIME_TIMESTAMP=1770026400123456\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER=sshd\n_PID=7\n_EXE=/usr/sbin/sshd\nMESSAGE\n".to_vec();
        export.extend((text.len() as u64).to_le_bytes());
        export.extend(text.bytes());
        export.push(b'\n');
        let from_json = decode(&serde_json::from_str(json).unwrap()).unwrap();
        let from_export = decode_export(&export).unwrap();
        assert_eq!(from_json.fields, from_export.fields);
        assert_eq!(from_json.native, from_export.native);
        assert_eq!(from_json.fields.get(field::SRC_IP), Some("10.0.0.1"));
        assert_eq!(from_json.fields.get(field::ACTOR_PROCESS_PATH), Some("/usr/sbin/sshd"));
        assert_eq!(from_json.time.unwrap().0.to_string(), "2026-02-02T10:00:00.123456Z");
    }

    #[test]
    fn damaged_entries_are_refused() {
        let mut lying = b"__REALTIME_TIMESTAMP=1\nMESSAGE\n".to_vec();
        lying.extend(u64::MAX.to_le_bytes());
        for entry in [b"MESSAGE=x\n".as_slice(), b"MESSAGE\nabc", lying.as_slice(), b"\n"] {
            assert!(decode_export(entry).is_none());
        }
    }
}
