//! What is one log record, whichever way it was encoded?

use crate::api::framed::{Beside, Told};
use crate::api::ingest::MAX_BODY_BYTES;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Longer records are not looked into; they are kept in pieces, in quarantine.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;
const MAX_RECORDS: usize = 250_000;
/// Bytes of records with everything beside them: the resource is repeated for each.
const MAX_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed(&'static str),
    TooMuch,
}

/// Attributes, with values as JSON.
pub(super) type Attributes = Vec<(String, Value)>;

/// What is said once for many records: their resource and their scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    host: Option<String>,
    native: Vec<(String, String)>,
}

impl Around {
    pub(super) fn resource(attributes: Attributes) -> Self {
        let host = attributes.iter().find(|(name, _)| name == "host.name");
        let host = host.and_then(|(_, value)| value.as_str()).map(str::to_owned);
        Self { host, native: named("otlp.resource.", attributes) }
    }

    pub(super) fn with_scope(&self, name: String, version: String, attributes: Attributes) -> Self {
        let mut all = self.clone();
        all.keep("otlp.scope.name", name);
        all.keep("otlp.scope.version", version);
        all.native.extend(named("otlp.scope.attributes.", attributes));
        all
    }

    fn keep(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.native.push((name.to_owned(), value));
        }
    }
}

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Nanoseconds since 1970; 0 where not stated.
    pub(super) time: u64,
    pub(super) observed: u64,
    pub(super) severity: u64,
    pub(super) severity_text: String,
    pub(super) body: Value,
    pub(super) attributes: Attributes,
    /// In hex.
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) event_name: String,
}

/// The records of a request.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) told: Vec<Told>,
    /// Records with nothing in them.
    pub(super) rejected: u64,
    bytes: usize,
}

impl Gathered {
    /// Adds a record.
    pub(super) fn add(&mut self, around: &Around, record: Record) -> Result<(), Fault> {
        let raw = raw(&record);
        if raw.iter().all(u8::is_ascii_whitespace) {
            self.rejected += 1;
            return Ok(());
        }
        let mut all = around.clone();
        let time = [record.time, record.observed].into_iter().find(|time| *time > 0);
        let time = time.and_then(|time| Timestamp::from_nanosecond(i128::from(time)).ok());
        if record.severity > 0 {
            all.keep("otlp.severity", record.severity.to_string());
        }
        all.keep("otlp.severity_text", record.severity_text);
        all.keep("otlp.trace_id", record.trace_id);
        all.keep("otlp.span_id", record.span_id);
        all.keep("otlp.event_name", record.event_name);
        all.native.extend(named("otlp.attributes.", record.attributes));
        self.push(raw, Beside { time, host: all.host, native: all.native })
    }

    /// Adds a record too long to be looked into, as it was sent.
    pub(super) fn add_long(&mut self, around: &Around, raw: &[u8]) -> Result<(), Fault> {
        let beside = Beside { host: around.host.clone(), native: around.native.clone(), ..Beside::default() };
        self.push(raw.to_vec(), beside)
    }

    fn push(&mut self, raw: Vec<u8>, beside: Beside) -> Result<(), Fault> {
        let said: usize = beside.native.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.bytes += raw.len() + said;
        self.told.push((raw, beside));
        let fits = self.bytes <= MAX_BYTES && self.told.len() <= MAX_RECORDS;
        if fits { Ok(()) } else { Err(Fault::TooMuch) }
    }
}

/// What is kept as the record itself: its text, or JSON where it has structure.
fn raw(record: &Record) -> Vec<u8> {
    match &record.body {
        Value::String(text) if !text.trim().is_empty() => text.trim_end_matches(['\n', '\r']).into(),
        Value::Null | Value::String(_) if record.attributes.is_empty() && record.event_name.is_empty() => {
            Vec::new()
        }
        Value::Null | Value::String(_) => {
            let name = Some(("event.name".to_owned(), Value::from(record.event_name.as_str())));
            let name = name.filter(|_| !record.event_name.is_empty());
            let object: Map<_, _> = name.into_iter().chain(record.attributes.iter().cloned()).collect();
            Value::Object(object).to_string().into_bytes()
        }
        body => body.to_string().into_bytes(),
    }
}

fn named(prefix: &str, attributes: Attributes) -> Vec<(String, String)> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    attributes.into_iter().map(|(name, value)| (format!("{prefix}{name}"), text(value))).collect()
}
