//! Does a log field talk to its reader?
//!
//! No log has a reason to give orders to whoever reads it, to state the verdict about itself, or to hold the
//! delimiters of a chat. Text that does is a finding that raises an alert, whatever it says. It is looked for
//! in every field that an outsider can write ([`taint`]), as written and as it reads once look-alike letters,
//! zero-width characters, spaced letters, digits for letters, base64, hexadecimal and percent encoding are
//! undone. All of it is bounded, and linear in the text.

mod reading;
mod signs;

use crate::taint::{self, Writer};
use casemate_event::Event;
pub use signs::Sign;

/// Most of one value that is read, from its beginning and from its end, in bytes.
const MAX_HALF: usize = 64 * 1024;
/// Shortest value that can hold a sign.
const MIN_BYTES: usize = 5;

/// Text that talks to its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// What it does.
    pub sign: Sign,
    /// The part that shows it, as read: decoded, in lower case.
    pub text: String,
    /// Field it stands in; `message` for the event's own line.
    pub field: String,
}

/// The first such text in an event's fields: the normalised ones, then the vendor's, then the message.
pub fn find(event: &Event) -> Option<Injection> {
    let open = |writer| writer == Writer::Anyone;
    let normalised = event.fields.iter().filter(|(name, _)| open(taint::normalised(name)));
    let vendor = event.native.iter().filter(|(name, _)| open(taint::vendor(name)));
    let message = std::iter::once(("message", event.message.as_str()));
    // Vendors repeat what is normalised, and messages both; one reading of each text is enough.
    let mut read: Vec<&str> = Vec::new();
    for (field, value) in normalised.chain(vendor).chain(message) {
        if value.len() < MIN_BYTES || read.contains(&value) {
            continue;
        }
        read.push(value);
        if let Some((sign, text)) = in_text(value) {
            return Some(Injection { sign, text, field: field.to_owned() });
        }
    }
    None
}

/// What a text does to its reader, and the part that shows it.
pub fn in_text(value: &str) -> Option<(Sign, String)> {
    if value.len() <= 2 * MAX_HALF {
        return in_part(value, 0);
    }
    let head = &value[..value.floor_char_boundary(MAX_HALF)];
    let tail = &value[value.ceil_char_boundary(value.len() - MAX_HALF)..];
    in_part(head, 0).or_else(|| in_part(tail, 0))
}

/// Reads a text, and what it encodes, to a small depth.
fn in_part(text: &str, depth: usize) -> Option<(Sign, String)> {
    /// Encodings within each other that are undone.
    const MAX_DEPTH: usize = 2;
    signs::marks(&text.to_lowercase())
        .or_else(|| reading::of(text).iter().find_map(|words| signs::phrases(words)))
        .or_else(|| {
            if depth == MAX_DEPTH {
                return None;
            }
            reading::decoded(text).iter().find_map(|inner| in_part(inner, depth + 1))
        })
}

#[cfg(test)]
mod tests;
