//! What does a record say? One module per vendor or encoding; this one tells them apart.

mod auditd;
mod cloudtrail;
pub(crate) mod evtx;
mod generic;
mod linux;
mod suricata;
mod syslog;
mod windows;
mod windows_map;
mod windows_shapes;
mod zeek;

use crate::Result;
use crate::framing::documents::{Documents, End, Shape};
use crate::intake::{Intake, Origin};
use crate::json::{Json, Object};
use crate::sniff;
use crate::text::base_name;
use crate::time::Dated;
use casemate_event::{Class, Fields, Format, QuarantineReason, field};
use jiff::Timestamp;

/// Longest value shown in a message, in characters.
pub(crate) const SHOWN_CHARS: usize = 300;

/// A decoded record, without where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) time: Option<Dated>,
    pub(crate) format: Format,
    pub(crate) class: Class,
    pub(crate) message: String,
    /// Leading bytes of the message that its template keeps as they are.
    pub(crate) fixed: usize,
    pub(crate) fields: Fields,
    pub(crate) native: Fields,
}

impl Draft {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            time: None,
            format,
            class: Class::BaseEvent,
            message: String::new(),
            fixed: 0,
            fields: Fields::default(),
            native: Fields::default(),
        }
    }

    /// Sets a normalised field.
    pub(crate) fn set(&mut self, field: &'static str, value: &str) {
        self.fields.set(field, value);
    }

    /// Sets a normalised field from the first vendor field present.
    pub(crate) fn copy(&mut self, field: &'static str, native: &[&str]) {
        if let Some(value) = native.iter().find_map(|name| self.native.get(name)) {
            let value = normal(field, value);
            self.fields.set(field, value);
        }
    }

    pub(crate) fn native(&self, name: &str) -> &str {
        self.native.get(name).unwrap_or_default()
    }

    /// Fills in base names of paths.
    pub(crate) fn finished(mut self) -> Self {
        const NAMES: [(&str, &str); 3] = [
            (field::PROCESS_PATH, field::PROCESS_NAME),
            (field::ACTOR_PROCESS_PATH, field::ACTOR_PROCESS_NAME),
            (field::PARENT_PROCESS_PATH, field::PARENT_PROCESS_NAME),
        ];
        for (path, name) in NAMES {
            if self.fields.get(name).is_none()
                && let Some(base) = self.fields.get(path).map(|path| base_name(path).to_owned())
            {
                self.fields.set(name, base);
            }
        }
        self
    }
}

/// Canonical form of a value for a normalised field: addresses that are none are dropped, users lose their
/// domain, process ids are decimal.
pub(crate) fn normal(name: &str, value: &str) -> String {
    match name {
        field::SRC_IP | field::DST_IP | field::DEVICE_IP => crate::text::ip(value).unwrap_or_default(),
        field::ACTOR_USER | field::USER => value.rsplit('\\').next().unwrap_or_default().trim().to_owned(),
        field::PROCESS_PID | field::PARENT_PROCESS_PID | field::ACTOR_PROCESS_PID => {
            crate::text::decimal(value)
        }
        field::SRC_PORT | field::DST_PORT if value == "0" => String::new(),
        _ => value.to_owned(),
    }
}

/// Decodes the records of one stream, line by line or value by value.
pub(crate) struct Decoder {
    hint: Option<Format>,
    arrival: Timestamp,
    zeek: zeek::Columns,
}

impl Decoder {
    pub(crate) fn new(intake: &Intake<'_>) -> Self {
        Self { hint: intake.hint, arrival: intake.options.arrival, zeek: zeek::Columns::default() }
    }

    /// Takes one line that is not blank.
    pub(crate) fn line(&mut self, intake: &mut Intake<'_>, origin: Origin<'_>, raw: Vec<u8>) -> Result<()> {
        let text = match std::str::from_utf8(&raw) {
            Ok(text) => text,
            Err(error) => return invalid_encoding(intake, origin, &raw, error),
        };
        if self.hint == Some(Format::Text) {
            let draft = generic::text(text);
            return intake.event(origin, draft, raw);
        }
        let trimmed = text.trim_start();
        if trimmed.starts_with('{') {
            if sniff::envelope(trimmed.as_bytes()).is_some() {
                return self.packed_line(intake, origin, &raw);
            }
            return self.json_line(intake, origin, raw);
        }
        if let Some(rest) = trimmed.strip_prefix('[')
            && let Some(rest) = rest.trim_start().strip_prefix('{')
            && looks_like_members(rest)
        {
            return self.packed_line(intake, origin, &raw);
        }
        if self.zeek.header(text) {
            intake.header();
            return Ok(());
        }
        if self.zeek.is_open() {
            return match self.zeek.record(text) {
                Ok(draft) => intake.event(origin, draft, raw),
                Err(detail) => intake.quarantine(origin, QuarantineReason::MalformedColumns, &detail, &raw),
            };
        }
        let draft = self.text(text);
        intake.event(origin, draft, raw)
    }

    /// Takes one value of a JSON document.
    pub(crate) fn value(&mut self, intake: &mut Intake<'_>, origin: Origin<'_>, raw: Vec<u8>) -> Result<()> {
        let text = match std::str::from_utf8(&raw) {
            Ok(text) => text,
            Err(error) => return invalid_encoding(intake, origin, &raw, error),
        };
        match serde_json::from_str::<Json<'_>>(text) {
            Ok(Json::Object(object)) => {
                let draft = self.object(&object);
                intake.event(origin, draft, raw)
            }
            Ok(value) => {
                let draft = generic::scalar(&value);
                intake.event(origin, draft, raw)
            }
            Err(error) => malformed_json(intake, origin, &error, &raw),
        }
    }

    fn json_line(&mut self, intake: &mut Intake<'_>, origin: Origin<'_>, raw: Vec<u8>) -> Result<()> {
        let text = std::str::from_utf8(&raw).unwrap_or_default();
        match serde_json::from_str::<Object<'_>>(text) {
            Ok(object) => {
                let draft = self.object(&object);
                intake.event(origin, draft, raw)
            }
            Err(error) => {
                let members = text.trim_start().get(1..).unwrap_or_default();
                if looks_like_members(members) {
                    return malformed_json(intake, origin, &error, &raw);
                }
                let draft = self.text(text);
                intake.event(origin, draft, raw)
            }
        }
    }

    /// Takes a line that holds several records: an array or an envelope. All or nothing: a damaged line is
    /// quarantined whole.
    fn packed_line(&mut self, intake: &mut Intake<'_>, origin: Origin<'_>, raw: &[u8]) -> Result<()> {
        let mut records = Vec::new();
        let mut documents = Documents::new(raw, raw.len());
        let end = loop {
            match documents.next() {
                Ok(Ok((Shape::Whole, value))) => records.push(value.to_vec()),
                Ok(Err(end)) => break end,
                Ok(Ok(_)) | Err(_) => break End::Broken,
            }
        };
        if end != End::Clean || records.is_empty() {
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(raw);
            return match whole {
                Ok(_) => self.value(intake, origin, raw.to_vec()),
                Err(error) => malformed_json(intake, origin, &error, raw),
            };
        }
        for record in records {
            self.value(intake, origin, record)?;
        }
        Ok(())
    }

    fn object(&self, object: &Object<'_>) -> Draft {
        if self.hint == Some(Format::JsonLines) {
            return generic::object(object);
        }
        windows::decode(object)
            .or_else(|| cloudtrail::decode(object))
            .or_else(|| suricata::decode(object))
            .or_else(|| zeek::decode_json(object))
            .unwrap_or_else(|| generic::object(object))
    }

    fn text(&self, text: &str) -> Draft {
        auditd::decode(text)
            .or_else(|| syslog::decode(text, self.arrival))
            .unwrap_or_else(|| generic::text(text))
    }
}

/// Whether what follows an opening brace looks like the members of a JSON object.
fn looks_like_members(rest: &str) -> bool {
    matches!(rest.trim_start().as_bytes().first(), None | Some(b'"' | b'}'))
}

fn malformed_json(
    intake: &mut Intake<'_>,
    origin: Origin<'_>,
    error: &serde_json::Error,
    raw: &[u8],
) -> Result<()> {
    let detail = format!("not valid JSON: {error}");
    intake.quarantine(origin, QuarantineReason::MalformedJson, &detail, raw)
}

fn invalid_encoding(
    intake: &mut Intake<'_>,
    origin: Origin<'_>,
    raw: &[u8],
    error: std::str::Utf8Error,
) -> Result<()> {
    let detail = format!("byte {} is not valid UTF-8", error.valid_up_to() + 1);
    intake.quarantine(origin, QuarantineReason::InvalidEncoding, &detail, raw)
}
