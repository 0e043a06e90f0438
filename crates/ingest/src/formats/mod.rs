//! What does a record say? One module per vendor or encoding; this one tells them apart.

pub(crate) mod auditd;
mod cloudtrail;
pub(crate) mod evtx;
mod fast_log;
mod generic;
mod journald;
mod linux;
mod suricata;
mod syslog;
mod syslog_header;
mod windows;
mod windows_map;
mod windows_shapes;
mod windows_xml;
mod zeek;
mod zeek_ot;

pub(crate) use generic::pairs;

use crate::carrier::table::{Kind, Table};
use crate::fault;
use crate::framing::documents::{Documents, End, Shape};
use crate::intake::Intake;
use crate::json::{Json, Object};
use crate::mapping::Mappings;
use crate::record::{Finisher, Malformed, Record};
use crate::sniff;
use crate::text::base_name;
use crate::time::Dated;
use casemate_event::{Class, Fields, Format, QuarantineReason, field};
use jiff::Timestamp;
use std::sync::Arc;

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
        self.fields.set_known(field, value);
    }

    /// Sets a normalised field from the first vendor field present.
    pub(crate) fn copy(&mut self, field: &'static str, native: &[&str]) {
        if let Some(value) = native.iter().find_map(|name| self.native.get(name)) {
            let value = normal(field, value);
            self.fields.set_known(field, &value);
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
    mappings: Arc<Mappings>,
    finisher: Finisher,
    zeek: zeek::Columns,
    /// Columns that a header names, of a format that mapping files describe.
    table: Option<Table>,
    /// Where records are gathered, kept for its room.
    records: Records,
}

/// What a decoder makes of one record: one event as a rule, several of what is packed into a line.
type Records = Vec<Record>;

impl Decoder {
    pub(crate) fn new(intake: &Intake<'_>) -> Self {
        Self::with(intake.hint, intake.options.arrival, Arc::clone(&intake.options.mappings))
    }

    fn with(hint: Option<Format>, arrival: Timestamp, mappings: Arc<Mappings>) -> Self {
        let finisher = Finisher::new(arrival);
        let (zeek, records) = (zeek::Columns::default(), Vec::new());
        Self { hint, arrival, mappings, finisher, zeek, table: None, records }
    }

    /// Looks at the beginning of a file for a line that names its columns. The line is still to be given.
    pub(crate) fn opens_with(&mut self, head: &[u8]) {
        if self.hint != Some(Format::Text) {
            self.table = Table::opened_by(head);
        }
    }

    /// A decoder for parts of the same stream that [need no turn](Self::needs_turn).
    pub(crate) fn apart(&self) -> Self {
        let mut apart = Self::with(self.hint, self.arrival, Arc::clone(&self.mappings));
        apart.table.clone_from(&self.table);
        apart
    }

    /// Whether what these lines say depends on the lines before them, or they say what those after mean.
    pub(crate) fn needs_turn(&self, lines: &[u8]) -> bool {
        let is_w3c = self.table.as_ref().is_some_and(|table| table.kind == Kind::W3c);
        self.zeek.is_open()
            || is_w3c
            || lines.starts_with(b"#")
            || memchr::memmem::find(lines, b"\n#").is_some()
    }

    /// Takes a line that may name the columns of what follows, and is no record.
    pub(crate) fn header(&mut self, line: &[u8]) {
        if let Ok(text) = std::str::from_utf8(line)
            && !self.zeek.header(text)
            && !Table::directive(&mut self.table, text)
        {
            self.table = Table::named(text);
        }
    }

    /// Takes one line that is not blank.
    pub(crate) fn line(&mut self, raw: &[u8]) -> impl Iterator<Item = Record> {
        self.unless_it_faults(raw, Self::read_line)
    }

    /// Takes an event as XML.
    pub(crate) fn xml(&mut self, raw: &[u8]) -> impl Iterator<Item = Record> {
        self.unless_it_faults(raw, |decoder, raw, records| {
            let malformed = |detail: String| Malformed::new(QuarantineReason::MalformedXml, detail);
            let draft = windows::decode_xml(utf8(raw)?).map_err(malformed)?;
            records.push(decoder.event(draft, raw));
            Ok(())
        })
    }

    /// Takes an entry of the journal's export format.
    pub(crate) fn journal_entry(&mut self, raw: &[u8]) -> impl Iterator<Item = Record> {
        self.unless_it_faults(raw, |decoder, raw, records| {
            let what = "not an entry of the journal's export format";
            let draft = journald::decode_export(raw);
            let draft = draft.ok_or_else(|| Malformed::new(QuarantineReason::DamagedRecord, what))?;
            records.push(decoder.event(draft, raw));
            Ok(())
        })
    }

    /// Takes one value of a JSON document.
    pub(crate) fn value(&mut self, raw: &[u8]) -> impl Iterator<Item = Record> {
        self.unless_it_faults(raw, |decoder, raw, records| {
            records.push(decoder.read_value(raw)?);
            Ok(())
        })
    }

    /// What `read` makes of a record; the record itself in quarantine should a decoder fault on it.
    fn unless_it_faults(
        &mut self,
        raw: &[u8],
        read: impl FnOnce(&mut Self, &[u8], &mut Records) -> Result<(), Malformed>,
    ) -> impl Iterator<Item = Record> {
        let mut records = std::mem::take(&mut self.records);
        let outcome = fault::caught(|| read(self, raw, &mut records)).unwrap_or_else(|detail| {
            // Half of a packed line is not what was received.
            records.clear();
            Err(Malformed::new(QuarantineReason::DecoderFault, detail))
        });
        records.extend(outcome.err().map(|why| why.keeping(raw)));
        self.records = records;
        self.records.drain(..)
    }

    fn read_line(&mut self, raw: &[u8], records: &mut Records) -> Result<(), Malformed> {
        let text = utf8(raw)?;
        if self.hint == Some(Format::Text) {
            records.push(self.event(generic::text(text), raw));
            return Ok(());
        }
        let trimmed = text.trim_start();
        if trimmed.starts_with('{') {
            if sniff::envelope(trimmed.as_bytes()).is_some() {
                return self.read_packed(raw, records);
            }
            records.push(self.read_json(text, raw)?);
            return Ok(());
        }
        if let Some(rest) = trimmed.strip_prefix('[')
            && let Some(rest) = rest.trim_start().strip_prefix('{')
            && looks_like_members(rest)
        {
            return self.read_packed(raw, records);
        }
        records.push(self.read_text(text, raw)?);
        Ok(())
    }

    fn read_text(&mut self, text: &str, raw: &[u8]) -> Result<Record, Malformed> {
        if self.zeek.header(text) {
            return Ok(Record::Header);
        }
        if self.zeek.is_open() {
            let malformed = |detail: String| Malformed::new(QuarantineReason::MalformedColumns, detail);
            let draft = self.zeek.record(text).map_err(malformed)?;
            return Ok(self.event(draft, raw));
        }
        if text.starts_with('#') && Table::directive(&mut self.table, text) {
            return Ok(Record::Header);
        }
        if let Some(table) = &self.table {
            if table.is_header(text) {
                return Ok(Record::Header);
            }
            if let Some(draft) = self.mappings.row(table, text, self.arrival) {
                return Ok(self.event(draft, raw));
            }
        }
        let draft = self.text(text);
        Ok(self.event(draft, raw))
    }

    fn read_value(&mut self, raw: &[u8]) -> Result<Record, Malformed> {
        let draft = match serde_json::from_str::<Json<'_>>(utf8(raw)?) {
            Ok(Json::Object(object)) => self.object(&object),
            Ok(value) => generic::scalar(&value),
            Err(error) => return Err(malformed_json(&error)),
        };
        Ok(self.event(draft, raw))
    }

    fn read_json(&mut self, text: &str, raw: &[u8]) -> Result<Record, Malformed> {
        let draft = match serde_json::from_str::<Object<'_>>(text) {
            Ok(object) => self.object(&object),
            Err(error) => {
                let members = text.trim_start().get(1..).unwrap_or_default();
                if looks_like_members(members) {
                    return Err(malformed_json(&error));
                }
                self.text(text)
            }
        };
        Ok(self.event(draft, raw))
    }

    /// Takes a line that holds several records: an array or an envelope. All or nothing: a damaged line is
    /// quarantined whole.
    fn read_packed(&mut self, raw: &[u8], records: &mut Records) -> Result<(), Malformed> {
        let mut values = Vec::new();
        let mut documents = Documents::new(raw, raw.len());
        let end = loop {
            match documents.next() {
                Ok(Ok((Shape::Whole, value))) => values.push(value.to_vec()),
                Ok(Err(end)) => break end,
                Ok(Ok(_)) | Err(_) => break End::Broken,
            }
        };
        if end != End::Clean || values.is_empty() {
            serde_json::from_slice::<serde::de::IgnoredAny>(raw).map_err(|error| malformed_json(&error))?;
            records.push(self.read_value(raw)?);
            return Ok(());
        }
        for value in values {
            records.push(self.read_value(&value).unwrap_or_else(|why| why.keeping(&value)));
        }
        Ok(())
    }

    fn event(&mut self, draft: Draft, raw: &[u8]) -> Record {
        Record::Event(self.finisher.event(draft, raw))
    }

    fn object(&self, object: &Object<'_>) -> Draft {
        // A document as searches and exports of Elastic and OpenSearch hand it out.
        let inner = object.object("_source").filter(|_| object.has("_index"));
        self.known(object).or_else(|| self.known(inner?)).unwrap_or_else(|| generic::object(object))
    }

    /// Decodes an object of a known vendor.
    fn known(&self, object: &Object<'_>) -> Option<Draft> {
        if self.hint == Some(Format::JsonLines) {
            return None;
        }
        windows::decode(object)
            .or_else(|| cloudtrail::decode(object))
            .or_else(|| suricata::decode(object))
            .or_else(|| zeek::decode_json(object))
            .or_else(|| journald::decode(object))
            .or_else(|| self.mappings.object(object, self.arrival))
    }

    /// What a syslog line carries, if that is an object of a known vendor.
    fn carried(&self, syslog: &Draft) -> Option<Draft> {
        let text = syslog.native("message").trim();
        let text = text.strip_prefix("@cee:").unwrap_or(text).trim_start();
        if !text.starts_with('{') {
            return None;
        }
        let mut draft = self.known(&serde_json::from_str::<Object<'_>>(text).ok()?)?;
        draft.time = draft.time.or(syslog.time);
        for name in [field::DEVICE_HOSTNAME, field::DEVICE_IP] {
            if let Some(value) = syslog.fields.get(name).filter(|_| draft.fields.get(name).is_none()) {
                draft.set(name, value);
            }
        }
        Some(draft)
    }

    fn text(&self, text: &str) -> Draft {
        auditd::decode(text)
            .or_else(|| fast_log::decode(text, self.arrival))
            .or_else(|| self.mappings.line(text, self.arrival))
            .or_else(|| {
                let draft = syslog::decode(text, self.arrival)?;
                if let Some(carried) = self.carried(&draft) {
                    return Some(carried);
                }
                let pairs = may_be_pairs(&draft).then(|| self.mappings.pairs(text, self.arrival)).flatten();
                Some(pairs.unwrap_or(draft))
            })
            .or_else(|| self.mappings.pairs(text, self.arrival))
            .unwrap_or_else(|| generic::text(text))
    }
}

/// Whether a syslog line of no other meaning begins with a pair.
fn may_be_pairs(draft: &Draft) -> bool {
    let text = draft.native("message").as_bytes();
    let first = text.iter().find(|byte| matches!(byte, b'=' | b' '));
    draft.class == Class::BaseEvent && first == Some(&b'=')
}

/// Whether what follows an opening brace looks like the members of a JSON object.
fn looks_like_members(rest: &str) -> bool {
    matches!(rest.trim_start().as_bytes().first(), None | Some(b'"' | b'}'))
}

fn malformed_json(error: &serde_json::Error) -> Malformed {
    Malformed::new(QuarantineReason::MalformedJson, format!("not valid JSON: {error}"))
}

fn utf8(raw: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(raw).map_err(|error| {
        let detail = format!("byte {} is not valid UTF-8", error.valid_up_to() + 1);
        Malformed::new(QuarantineReason::InvalidEncoding, detail)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use casemate_event::Event;

    #[test]
    fn a_decoder_that_faults_costs_one_record_and_keeps_it() {
        let arrival = Timestamp::from_second(1_700_000_000).unwrap();
        let mut decoder = Decoder::with(None, arrival, crate::mapping::standard());
        let faulty = b"{\"half\": 1}";
        let made: Vec<Record> = decoder
            .unless_it_faults(faulty, |decoder, raw, records| {
                records.push(decoder.read_value(raw)?);
                panic!("no such column: {}", records.len());
            })
            .collect();
        let [Record::Quarantined { reason: QuarantineReason::DecoderFault, detail, raw }] = made.as_slice()
        else {
            panic!("{made:?}");
        };
        assert!(detail.contains("no such column: 1"), "{detail}");
        assert_eq!(raw, faulty);
        let next: Vec<Record> = decoder.line(b"Mar  2 09:00:00 h su: one").collect();
        assert!(
            matches!(next.as_slice(), [Record::Event(Event { format: Format::SyslogRfc3164, .. })]),
            "{next:?}"
        );
    }
}
