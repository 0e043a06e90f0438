//! What does a CEF record say? `CEF:0|Vendor|Product|Version|Class|Name|Severity|name=value …`, after the
//! ArcSight Common Event Format, revision 25, with the liberties that products take.

use super::{Carried, add, is_escaped, spaced_pairs, unescape, unquote};
use casemate_event::Fields;
use std::collections::{HashMap, HashSet};

/// Names of the header's columns.
const HEADER: [&str; 6] =
    ["deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"];
/// Most names that labels give.
const MAX_LABELS: usize = 64;

pub(super) fn read(line: &str) -> Option<Carried> {
    let start = memchr::memmem::find(line.as_bytes(), b"CEF:")?;
    let version = line.get(start + 4..)?.trim_start();
    let digits = version.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let mut rest = version.get(digits..)?.strip_prefix('|').filter(|_| digits > 0)?;
    let mut header = [""; HEADER.len()];
    for (place, column) in header.iter_mut().enumerate() {
        let bytes = rest.as_bytes();
        let end = memchr::memchr_iter(b'|', bytes).find(|at| !is_escaped(bytes, *at));
        // Nothing need follow the severity.
        let end = if place + 1 == HEADER.len() { end.unwrap_or(rest.len()) } else { end? };
        *column = rest.get(..end)?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let mut native = Fields::default();
    extension(&mut native, rest);
    for (name, value) in HEADER.into_iter().zip(header) {
        native.set(name, unescape(value.trim(), &['|', '\\']));
    }
    Some(Carried { start, native })
}

/// The pairs; `cs1Label=Policy cs1=x` is `Policy=x`, unless there is a field of that name already.
fn extension(native: &mut Fields, text: &str) {
    let mut pairs = Vec::new();
    spaced_pairs(text, &mut |name, value| pairs.push((name, value)));
    let labels = labels(&pairs);
    for (name, value) in &pairs {
        let is_label = name.strip_suffix("Label").is_some_and(|base| labels.contains_key(base));
        if !is_label {
            add(native, labels.get(name).map_or(name, String::as_str), &value_of(value));
        }
    }
}

/// What labels call the names that they are for.
fn labels<'a>(pairs: &[(&'a str, &str)]) -> HashMap<&'a str, String> {
    let mut labels = HashMap::new();
    let mut given = HashSet::new();
    let stated =
        pairs.iter().filter_map(|(name, value)| Some((name.strip_suffix("Label")?, value_of(value))));
    for (base, label) in stated.take(MAX_LABELS) {
        let is_free = !HEADER.contains(&label.as_str()) && pairs.iter().all(|(name, _)| *name != label);
        let is_used = pairs.iter().any(|(name, _)| *name == base);
        if !label.is_empty() && is_free && is_used && given.insert(label.clone()) {
            labels.insert(base, label);
        }
    }
    labels
}

fn value_of(value: &str) -> String {
    unescape(unquote(value), &['=', '\\', '|', 'n']).into_owned()
}
