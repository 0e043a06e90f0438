//! What does a LEEF record say? `LEEF:1.0|Vendor|Product|Version|EventID|` and pairs between tabs; in 2.0 a
//! further column may name another separator, as a character or as `x5E`.

use super::{Carried, MAX_PAIRS, add, spaced_pairs};
use casemate_event::Fields;

const HEADER: [&str; 4] = ["deviceVendor", "deviceProduct", "deviceVersion", "eventId"];
/// A tab as rsyslog writes it unless told otherwise.
const ESCAPED_TAB: &str = "#011";

pub(super) fn read(line: &str) -> Option<Carried> {
    let start = memchr::memmem::find(line.as_bytes(), b"LEEF:")?;
    let mut columns = line.get(start + 5..)?.trim_start().splitn(6, '|');
    let version = columns.next()?.trim();
    let mut native = Fields::default();
    for name in HEADER {
        native.set(name, columns.next()?.trim());
    }
    let rest = columns.next().unwrap_or_default();
    let (stated, pairs) = match rest.split_once('|') {
        Some((column, pairs)) if version.starts_with('2') => match separator(column) {
            Some(separator) => (separator, pairs),
            None => (None, rest),
        },
        _ => (None, rest),
    };
    let usual = ["\t", ESCAPED_TAB].into_iter().find(|tab| pairs.contains(tab));
    // Some products separate by the character that separates the header.
    let usual = usual.or_else(|| pairs.contains('|').then_some("|"));
    let own = stated.map(String::from);
    match own.as_deref().or(usual) {
        Some(separator) => {
            for pair in pairs.split(separator).take(MAX_PAIRS) {
                if let Some((name, value)) = pair.split_once('=') {
                    add(&mut native, name.trim(), value.trim());
                }
            }
        }
        None => spaced_pairs(pairs, &mut |name, value| add(&mut native, name, value)),
    }
    let whole = HEADER.iter().any(|name| native.get(name).is_some());
    whole.then_some(Carried { start, native })
}

/// The separator that a column of LEEF 2.0 names, `Some(None)` where it is left empty, `None` where the column
/// is no such thing.
fn separator(column: &str) -> Option<Option<char>> {
    let hex = column.strip_prefix("0x").or_else(|| column.strip_prefix('x')).filter(|hex| !hex.is_empty());
    if let Some(code) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        return Some(Some(char::from(code)));
    }
    let mut chars = column.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Some(first),
        _ => None,
    }
}
