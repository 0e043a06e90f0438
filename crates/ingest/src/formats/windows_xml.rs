//! A Windows event as XML, as `wevtutil qe /f:xml`, event forwarding and Event Viewer write it.
//!
//! Only elements and attributes are read: no document type, no entities but the five of XML and numbers.

use super::windows_shapes::WindowsEvent;
use crate::time;
use casemate_event::Fields;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};

/// Deepest nesting followed.
const MAX_DEPTH: usize = 16;

/// Reads one `<Event>`.
///
/// # Errors
/// What is wrong, in words: no XML, or no Windows event.
pub(crate) fn decode(text: &str) -> Result<WindowsEvent, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut found = Found::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("not valid XML at byte {}: {error}", reader.error_position()))?;
        match event {
            Xml::Start(start) => {
                if path.len() >= MAX_DEPTH {
                    return Err(format!("elements nested more than {MAX_DEPTH} deep"));
                }
                path.push(name(start.local_name().as_ref()));
                found.open(&path, &start)?;
            }
            Xml::Empty(start) => {
                path.push(name(start.local_name().as_ref()));
                found.open(&path, &start)?;
                found.close(&path);
                path.pop();
            }
            Xml::End(_) => {
                found.close(&path);
                path.pop();
            }
            Xml::Text(text) => {
                let text = text.unescape().map_err(|error| format!("not valid XML: {error}"))?;
                found.text.push_str(&text);
            }
            Xml::CData(text) => found.text.push_str(&String::from_utf8_lossy(&text)),
            Xml::Eof => break,
            Xml::Decl(_) | Xml::Comment(_) | Xml::PI(_) | Xml::DocType(_) => {}
        }
    }
    if !path.is_empty() {
        return Err("the event is cut short".to_owned());
    }
    found.finish().ok_or_else(|| "no Event with a System part and an EventID".to_owned())
}

fn name(local: &[u8]) -> String {
    String::from_utf8_lossy(local).into_owned()
}

/// What has been read so far.
#[derive(Default)]
struct Found {
    /// Of the innermost element.
    text: String,
    /// Name of the `Data` element that is open.
    data_name: Option<String>,
    unnamed: Vec<String>,
    system: Fields,
    data: Fields,
    message: String,
    time: String,
}

impl Found {
    fn open(&mut self, path: &[String], start: &BytesStart<'_>) -> Result<(), String> {
        self.text.clear();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let attribute = |wanted: &str| -> Result<Option<String>, String> {
            for attribute in start.attributes() {
                let attribute = attribute.map_err(|error| format!("not valid XML: {error}"))?;
                if attribute.key.local_name().as_ref() == wanted.as_bytes() {
                    let value =
                        attribute.unescape_value().map_err(|error| format!("not valid XML: {error}"))?;
                    return Ok(Some(value.into_owned()));
                }
            }
            Ok(None)
        };
        match path.as_slice() {
            ["Event", "System", element] => {
                const ATTRIBUTES: [(&str, &str, &str); 5] = [
                    ("Provider", "Name", "Provider_Name"),
                    ("Provider", "Guid", "ProviderGuid"),
                    ("Execution", "ProcessID", "ExecutionProcessID"),
                    ("Execution", "ThreadID", "ExecutionThreadID"),
                    ("Security", "UserID", "UserID"),
                ];
                for (_, from, to) in ATTRIBUTES.iter().filter(|(of, ..)| of == element) {
                    self.system.set(*to, attribute(from)?.unwrap_or_default());
                }
                if *element == "TimeCreated" {
                    self.time = attribute("SystemTime")?.unwrap_or_default();
                }
            }
            ["Event", "EventData", ..] => self.data_name = attribute("Name")?,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, path: &[String]) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let text = std::mem::take(&mut self.text);
        match path.as_slice() {
            ["Event", "System", element] => {
                const TEXTS: [&str; 8] = [
                    "EventID",
                    "Channel",
                    "Computer",
                    "EventRecordID",
                    "Level",
                    "Task",
                    "Opcode",
                    "Keywords",
                ];
                if TEXTS.contains(element) {
                    self.system.set(element, text.trim());
                }
            }
            ["Event", "EventData", "Data"] => match self.data_name.take() {
                Some(name) => self.data.set(name, text),
                None => self.unnamed.push(text),
            },
            ["Event", "EventData" | "ProcessingErrorData", element] if !text.trim().is_empty() => {
                self.data.set(element, text.trim());
            }
            ["Event", "UserData", .., element] if path.len() > 3 && !text.trim().is_empty() => {
                self.data.set(element, text.trim());
            }
            ["Event", "RenderingInfo", "Message"] => self.message = text,
            _ => {}
        }
    }

    fn finish(mut self) -> Option<WindowsEvent> {
        let id = self.system.get("EventID")?.parse().ok()?;
        if !self.unnamed.is_empty() {
            self.data.set("Data", self.unnamed.join("\n"));
        }
        // System names last: event data must not pass for them.
        let mut native = self.data;
        for (name, value) in self.system.iter() {
            native.set(name, value);
        }
        // SystemTime is UTC by definition, with or without its `Z`.
        let time = native.get("UtcTime").and_then(time::iso_utc).or_else(|| time::iso_utc(&self.time));
        Some(WindowsEvent { id, time, message: self.message, native })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event() {
        let text = r#"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{5}'/>
            <EventID Qualifiers="0">4688</EventID><TimeCreated SystemTime='2026-02-02T10:00:00.5Z'/><Execution ProcessID='4' ThreadID='8'/><Channel>Security</Channel>
            <Computer>WS5.lab.test</Computer></System><EventData><Data Name='NewProcessName'>C:\a &amp; b.exe</Data><Data Name="CommandLine"><![CDATA[a <b> "c"]]></Data>
            <Data Name='Empty'/><Data>one</Data><Data>two &#x41;</Data></EventData><RenderingInfo Culture='en-US'><Message>text</Message></RenderingInfo></Event>"#;
        let event = decode(text).unwrap();
        let expected = [
            ("Channel", "Security"),
            ("CommandLine", "a <b> \"c\""),
            ("Computer", "WS5.lab.test"),
            ("Data", "one\ntwo A"),
            ("EventID", "4688"),
            ("ExecutionProcessID", "4"),
            ("ExecutionThreadID", "8"),
            ("NewProcessName", "C:\\a & b.exe"),
            ("ProviderGuid", "{5}"),
            ("Provider_Name", "Microsoft-Windows-Security-Auditing"),
        ];
        assert_eq!(event.native.iter().collect::<Vec<_>>(), expected);
        assert_eq!((event.id, event.message.as_str()), (4688, "text"));
        assert_eq!(event.time.unwrap().0.to_string(), "2026-02-02T10:00:00.5Z");
    }

    #[test]
    fn user_data_and_damage() {
        let system = "<System><EventID>104</EventID></System>";
        let event =
            decode(&format!("<Event>{system}<UserData><X xmlns='y'><Name>n</Name></X></UserData></Event>"))
                .unwrap();
        assert_eq!(event.native.get("Name"), Some("n"));
        let deep = "<a>".repeat(100_000);
        for (text, part) in [
            ("<Event>", "cut short"),
            ("<Event></System>", "not valid XML"),
            ("<Event/>", "no Event with"),
            ("<Event><System><EventID>x</EventID></System></Event>", "no Event with"),
            ("<Event a='&bad;'><System><Provider Name='&bad;'/></System></Event>", "not valid XML"),
            (deep.as_str(), "nested"),
        ] {
            let error = decode(text).err().unwrap();
            assert!(error.contains(part), "{text:.40}: {error}");
        }
    }
}
