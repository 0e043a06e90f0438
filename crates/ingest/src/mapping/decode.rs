//! What does a record say, going by its mapping?

use super::pick::pick;
use crate::carrier::header::Header;
use crate::carrier::{Carrier, times};
use crate::formats::{Draft, SHOWN_CHARS, normal};
use crate::json::{Json, Object};
use crate::text::{clean, ip, push_clean};
use casemate_event::{Class, Fields, Format, LogSource, field};
use jiff::Timestamp;
use std::collections::HashMap;

/// Longest value shown in a message, in characters.
const SHOWN_VALUE_CHARS: usize = 160;

/// A mapping file, compiled.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) format: Format,
    pub(super) product: String,
    /// How a line becomes names and values; none for records that are JSON.
    pub(super) carrier: Option<Carrier>,
    /// One of these is near the beginning of every line of this format, where there are any.
    pub(super) marks: Vec<String>,
    pub(super) when: Vec<Condition>,
    pub(super) class: Class,
    pub(super) classes: Vec<(Condition, Class)>,
    pub(super) time: Vec<Vec<Piece>>,
    pub(super) fields: Vec<(&'static str, Vec<String>)>,
    pub(super) values: Vec<Translation>,
    /// Empty: the record itself, or its first fields, are the message.
    pub(super) message: Vec<Piece>,
    /// Members named above that are elements of lists.
    pub(super) picked: Vec<String>,
    pub(super) log_source: Option<LogSource>,
}

/// What a member of the record must be.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) member: String,
    pub(super) test: Test,
}

#[derive(Debug)]
pub(super) enum Test {
    Present,
    Equals(String),
    Prefix(String),
}

/// Value of a normalised field by the value of a member.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) field: &'static str,
    pub(super) member: String,
    pub(super) values: HashMap<String, String>,
    pub(super) otherwise: Option<String>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Literal(String),
    Member(String),
}

impl Condition {
    /// Whether it holds of a JSON object.
    pub(super) fn holds(&self, object: &Object<'_>) -> bool {
        let Some(value) = at(object, &self.member) else { return false };
        match self.test {
            Test::Present => *value != Json::Null,
            Test::Equals(_) | Test::Prefix(_) => value.text().is_some_and(|text| self.test.is_met(&text)),
        }
    }

    /// Whether it holds of names and values.
    pub(super) fn holds_of(&self, native: &Fields) -> bool {
        native.get(&self.member).is_some_and(|value| self.test.is_met(value))
    }
}

impl Test {
    fn is_met(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Equals(text) => value == text,
            Self::Prefix(text) => value.starts_with(text.as_str()),
        }
    }
}

impl Mapping {
    /// Decodes a JSON object.
    pub(super) fn object(&self, object: &Object<'_>, arrival: Timestamp) -> Draft {
        let mut draft = Draft::new(self.format);
        draft.native = object.flatten();
        for name in &self.picked {
            if let Some(value) = pick(object, name) {
                draft.native.set(name, value);
            }
        }
        self.fill(&mut draft, arrival);
        draft.finished()
    }

    /// Decodes what a carrier read behind `header`; `text` is its part of the line.
    pub(super) fn carried(
        &self,
        header: &Header<'_>,
        native: Fields,
        text: &str,
        arrival: Timestamp,
    ) -> Draft {
        let mut draft = Draft::new(self.format);
        draft.native = native;
        self.fill(&mut draft, arrival);
        draft.time = draft.time.or(header.time);
        // After the vendor's own, which may have these names and mean something else.
        let (facility, severity) = header.priority.map_or((None, None), syslog_loose::decompose_pri);
        let said = [
            ("facility", facility.map_or("", |facility| facility.as_str())),
            ("hostname", header.host),
            ("pid", header.pid),
            ("program", header.program),
            ("severity", severity.map_or("", |severity| severity.as_str())),
        ];
        for (name, value) in said {
            if draft.native.get(name).is_none() {
                draft.native.set_known(name, value);
            }
        }
        if draft.fields.get(field::DEVICE_HOSTNAME).is_none() {
            draft.set(field::DEVICE_HOSTNAME, header.host);
        }
        if draft.fields.get(field::DEVICE_IP).is_none() {
            draft.set(field::DEVICE_IP, &ip(header.host).unwrap_or_default());
        }
        if self.message.is_empty() {
            draft.message = match self.carrier {
                Some(Carrier::Table(_) | Carrier::Separated(_)) => crate::formats::pairs(&draft.native),
                _ => clean(text, 4 * SHOWN_CHARS),
            };
        }
        draft.finished()
    }

    fn fill(&self, draft: &mut Draft, arrival: Timestamp) {
        draft.time =
            self.time.iter().find_map(|pieces| times::read(&rendered(pieces, &draft.native), arrival));
        let class = self.classes.iter().find(|(when, _)| when.holds_of(&draft.native));
        draft.class = class.map_or(self.class, |(_, class)| *class);
        draft.set(field::PRODUCT, &self.product);
        for (name, members) in &self.fields {
            let values = members.iter().filter_map(|member| draft.native.get(member));
            let values = values.map(|value| first_of(name, value));
            let is_hostname = matches!(*name, field::SRC_HOSTNAME | field::DST_HOSTNAME);
            // Where an address or a name may stand, an address is no name.
            let values = values.filter(|value| !is_hostname || ip(value).is_none());
            let value = values.map(|value| normal(name, value)).find(|value| !value.is_empty());
            if let Some(value) = value {
                draft.set(name, &value);
            }
        }
        for translation in &self.values {
            let stated = draft.native.get(&translation.member);
            let value = stated.and_then(|stated| translation.values.get(stated));
            let value = value.or(translation.otherwise.as_ref().filter(|_| stated.is_some()));
            if let Some(value) = value {
                draft.fields.set_known(translation.field, value);
            }
        }
        for piece in &self.message {
            match piece {
                Piece::Literal(text) => draft.message.push_str(text),
                Piece::Member(name) => match draft.native.get(name) {
                    Some(value) => push_clean(&mut draft.message, value, SHOWN_VALUE_CHARS),
                    None => draft.message.push('-'),
                },
            }
        }
    }
}

/// Pieces in a row; members that are absent are nothing.
fn rendered(pieces: &[Piece], native: &Fields) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Member(name) => native.get(name).unwrap_or_default().to_owned(),
    };
    pieces.iter().map(text).collect()
}

/// Of a list, its first, where one thing is meant.
fn first_of<'a>(name: &str, value: &'a str) -> &'a str {
    const ONE: [&str; 12] = [
        field::DEVICE_HOSTNAME,
        field::DEVICE_IP,
        field::SRC_IP,
        field::DST_IP,
        field::SRC_HOSTNAME,
        field::DST_HOSTNAME,
        field::ACTOR_USER,
        field::USER,
        field::FILE_SHA256,
        field::PROCESS_SHA256,
        field::PROCESS_PID,
        field::QUERY_HOSTNAME,
    ];
    match value.split_once(", ") {
        Some((first, _)) if ONE.contains(&name) => first,
        _ => value,
    }
}

/// Member of the dotted name, inside objects.
pub(super) fn at<'a, 'b>(object: &'a Object<'b>, member: &str) -> Option<&'a Json<'b>> {
    if let Some(value) = object.get(member) {
        return Some(value);
    }
    let (outer, inner) = member.split_once('.')?;
    at(object.object(outer)?, inner)
}
