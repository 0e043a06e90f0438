//! What does a text of a rule stand for? Rewrites items that rsigma 0.23 takes otherwise than the
//! specification, before a rule is compiled.
//!
//! - `*` and `?` stand for line breaks too; rsigma's do not, so a script of two lines got by. Wildcards at the
//!   ends become `contains`, `startswith` and `endswith`, which are also found faster; others a regular
//!   expression.
//! - Keywords under `|all` may each be in another field; rsigma wants them in one.
//! - `wide`, `utf16` and `utf16be` without `base64` encode the text; rsigma drops them.
//! - Parts of a time are read of `2026-11-05 23:07:59.123` too, as Sysmon writes it.
//! - `null` among other values matches an absent field; rsigma's does only alone. Events do not keep fields whose
//!   value is empty or `-` (see [`Fields::set`](casemate_event::Fields::set)), so these match there as well.

use crate::view::TIME;
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{Detection, DetectionItem, FieldSpec, Modifier, SigmaString, SigmaValue};
use std::collections::BTreeMap;

/// Rewrites every item of `detection`.
pub(crate) fn rewrite(detection: &mut Detection) {
    visit(detection, false);
}

/// Inside an array's block an item without a name is the member itself, not a keyword.
fn visit(detection: &mut Detection, is_member: bool) {
    match detection {
        Detection::AllOf(items) => {
            let mut required = Required::default();
            for item in items.drain(..) {
                required.item(item, is_member);
            }
            *detection = required.into_detection();
        }
        Detection::Keywords(values) if !is_member => {
            let field = FieldSpec { name: None, modifiers: vec![Modifier::Contains] };
            let (wild, plain): (Vec<_>, Vec<_>) = std::mem::take(values).into_iter().partition(has_wildcard);
            let mut any: Vec<Detection> =
                by_operator(&DetectionItem { field, values: wild }).into_iter().map(keyword_item).collect();
            any.extend((!plain.is_empty()).then_some(Detection::Keywords(plain)));
            *detection = one_or(any, Detection::AnyOf);
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().for_each(|part| visit(part, is_member));
        }
        Detection::ArrayMatch { body, .. } => visit(body, true),
        Detection::Conditional { named, .. } => named.values_mut().for_each(|part| visit(part, is_member)),
        Detection::Keywords(_) => {}
    }
}

/// A keyword is looked for anywhere in a value, which needs no modifier.
fn keyword_item(item: DetectionItem) -> Detection {
    if item.field.modifiers == [Modifier::Contains] {
        return Detection::Keywords(item.values);
    }
    Detection::AllOf(vec![item])
}

/// What a mapping requires: items, and alternatives that are none.
#[derive(Default)]
struct Required {
    items: Vec<DetectionItem>,
    others: Vec<Detection>,
}

impl Required {
    fn item(&mut self, mut item: DetectionItem, is_member: bool) {
        let all = item.field.has_modifier(Modifier::All);
        if item.field.name.is_none() && all && !is_member {
            item.field.modifiers.retain(|modifier| *modifier != Modifier::All);
            for value in item.values {
                let mut one = match item.field.modifiers.is_empty() {
                    true => Detection::Keywords(vec![value]),
                    false => Detection::AllOf(vec![DetectionItem {
                        field: item.field.clone(),
                        values: vec![value],
                    }]),
                };
                visit(&mut one, is_member);
                self.others.push(one);
            }
            return;
        }
        encode(&mut item);
        mark_time(&mut item.field);
        if let Some(absent) = absent_too(&mut item) {
            if item.values.is_empty() {
                return self.items.push(absent);
            }
            let mut present = Required::default();
            present.compare(item);
            let alternatives = vec![present.into_detection(), Detection::AllOf(vec![absent])];
            return self.others.push(Detection::AnyOf(alternatives));
        }
        self.compare(item);
    }

    /// Requires an item with a field, its wildcards as operators.
    fn compare(&mut self, item: DetectionItem) {
        let all = item.field.has_modifier(Modifier::All);
        let compares_text = item.field.modifiers.iter().all(|modifier| {
            use Modifier::{All, Cased, Contains, EndsWith, StartsWith};
            matches!(modifier, All | Cased | Contains | EndsWith | StartsWith)
        });
        if !compares_text || !item.values.iter().any(has_wildcard) {
            return self.items.push(item);
        }
        let mut alternatives = by_operator(&item);
        if all || alternatives.len() == 1 {
            self.items.append(&mut alternatives);
        } else {
            let parts = alternatives.into_iter().map(|item| Detection::AllOf(vec![item])).collect();
            self.others.push(Detection::AnyOf(parts));
        }
    }

    fn into_detection(mut self) -> Detection {
        if self.others.is_empty() {
            return Detection::AllOf(self.items);
        }
        if !self.items.is_empty() {
            self.others.push(Detection::AllOf(self.items));
        }
        one_or(self.others, Detection::And)
    }
}

/// Has the view bring a field whose minute or year is asked for to the notation that rsigma reads.
fn mark_time(field: &mut FieldSpec) {
    use Modifier::{Day, Hour, Minute, Month, Week, Year};
    let is_part = |modifier: &Modifier| matches!(modifier, Minute | Hour | Day | Week | Month | Year);
    if let Some(name) = field.name.as_mut().filter(|_| field.modifiers.iter().any(is_part)) {
        name.insert_str(0, TIME);
    }
}

/// The alternative that a field is absent, of an item that takes it among others: `null`, which is taken out, an
/// empty value or a dash.
fn absent_too(item: &mut DetectionItem) -> Option<DetectionItem> {
    use Modifier::{Cased, Contains, EndsWith, StartsWith};
    let modifiers = &item.field.modifiers;
    let compares = |modifier: &Modifier| matches!(modifier, Cased | Contains | EndsWith | StartsWith);
    if item.field.name.is_none() || !modifiers.iter().all(compares) {
        return None;
    }
    // Any text contains the empty one: with such a modifier it asks for a field that is there.
    let empty_is_absent = modifiers.iter().all(|modifier| *modifier == Cased);
    let is_absent = |value: &SigmaValue| match value {
        SigmaValue::Null => true,
        SigmaValue::String(text) => {
            let text = text.as_plain();
            text.is_some_and(|text| text == "-" || (text.is_empty() && empty_is_absent))
        }
        _ => false,
    };
    if !item.values.iter().any(is_absent) {
        return None;
    }
    item.values.retain(|value| !matches!(value, SigmaValue::Null));
    let field = FieldSpec { name: item.field.name.clone(), modifiers: Vec::new() };
    Some(DetectionItem { field, values: vec![SigmaValue::Null] })
}

fn one_or(mut parts: Vec<Detection>, many: impl Fn(Vec<Detection>) -> Detection) -> Detection {
    match parts.pop() {
        Some(part) if parts.is_empty() => part,
        Some(part) => {
            parts.push(part);
            many(parts)
        }
        None => many(parts),
    }
}

fn has_wildcard(value: &SigmaValue) -> bool {
    matches!(value, SigmaValue::String(text) if text.parts.iter().any(|part| matches!(part, StringPart::Special(_))))
}

/// How a text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    AsWritten,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
}

/// The item's values by how they are compared, an item each.
fn by_operator(item: &DetectionItem) -> Vec<DetectionItem> {
    let has = |modifier| item.field.has_modifier(modifier);
    let mut values: BTreeMap<Operator, Vec<SigmaValue>> = BTreeMap::new();
    for value in &item.values {
        let (operator, value) = match value {
            SigmaValue::String(text) if has_wildcard(value) => {
                let start_is_open = has(Modifier::Contains) || has(Modifier::EndsWith);
                let end_is_open = has(Modifier::Contains) || has(Modifier::StartsWith);
                let (operator, text) = operator(text, start_is_open, end_is_open);
                (operator, SigmaValue::String(text))
            }
            other => (Operator::AsWritten, other.clone()),
        };
        values.entry(operator).or_default().push(value);
    }
    let modifiers = |operator| match operator {
        Operator::AsWritten => item.field.modifiers.clone(),
        Operator::Contains => kept(&item.field, &[Modifier::Contains]),
        Operator::StartsWith => kept(&item.field, &[Modifier::StartsWith]),
        Operator::EndsWith => kept(&item.field, &[Modifier::EndsWith]),
        Operator::Regex if has(Modifier::Cased) => vec![Modifier::Re, Modifier::DotAll],
        Operator::Regex => vec![Modifier::Re, Modifier::IgnoreCase, Modifier::DotAll],
    };
    values
        .into_iter()
        .map(|(operator, values)| {
            let mut modifiers = modifiers(operator);
            // All of one is that one, which rsigma refuses to be told.
            modifiers.retain(|modifier| *modifier != Modifier::All);
            if has(Modifier::All) && values.len() > 1 {
                modifiers.push(Modifier::All);
            }
            DetectionItem { field: FieldSpec { name: item.field.name.clone(), modifiers }, values }
        })
        .collect()
}

/// `first` and those modifiers of a field that say nothing of where a text is looked for.
fn kept(field: &FieldSpec, first: &[Modifier]) -> Vec<Modifier> {
    let others =
        field.modifiers.iter().filter(|modifier| matches!(modifier, Modifier::Cased | Modifier::All));
    first.iter().chain(others).copied().collect()
}

/// A text with wildcards, as an operator and what it takes.
fn operator(text: &SigmaString, mut start_is_open: bool, mut end_is_open: bool) -> (Operator, SigmaString) {
    const ANY: StringPart = StringPart::Special(SpecialChar::WildcardMulti);
    let mut parts = text.parts.as_slice();
    while let Some((first, rest)) = parts.split_first()
        && *first == ANY
    {
        (parts, start_is_open) = (rest, true);
    }
    while let Some((last, rest)) = parts.split_last()
        && *last == ANY
    {
        (parts, end_is_open) = (rest, true);
    }
    if let [StringPart::Plain(_)] = parts {
        let operator = match (start_is_open, end_is_open) {
            (true, true) => Operator::Contains,
            (false, true) => Operator::StartsWith,
            (true, false) => Operator::EndsWith,
            (false, false) => Operator::AsWritten,
        };
        return (operator, SigmaString { original: text.original.clone(), parts: parts.to_vec() });
    }
    let mut pattern = String::from(if start_is_open { "" } else { "^" });
    for part in parts {
        match part {
            StringPart::Plain(plain) => push_escaped(&mut pattern, plain),
            StringPart::Special(SpecialChar::WildcardMulti) => pattern.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => pattern.push('.'),
        }
    }
    pattern.push_str(if end_is_open { "" } else { "$" });
    (Operator::Regex, SigmaString::from_raw(&pattern))
}

/// Escapes what means something in a pattern, and nothing else: `\<` and `\>` are the bounds of words.
fn push_escaped(pattern: &mut String, plain: &str) {
    for c in plain.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
}

/// Applies encodings that no `base64` follows. Values are text, so bytes that are none cannot match anyway.
fn encode(item: &mut DetectionItem) {
    let has = |modifier| item.field.has_modifier(modifier);
    let is_encoding =
        |modifier: &Modifier| matches!(modifier, Modifier::Wide | Modifier::Utf16 | Modifier::Utf16be);
    if has(Modifier::Base64) || has(Modifier::Base64Offset) || !item.field.modifiers.iter().any(is_encoding) {
        return;
    }
    let is_big_endian = has(Modifier::Utf16be);
    let has_mark = has(Modifier::Utf16);
    item.field.modifiers.retain(|modifier| !is_encoding(modifier));
    for value in &mut item.values {
        let SigmaValue::String(text) = value else { continue };
        for part in &mut text.parts {
            let StringPart::Plain(plain) = part else { continue };
            let units = plain.encode_utf16();
            let bytes: Vec<u8> = units
                .flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            // A byte a character, as text that was decoded byte by byte has it.
            *plain = bytes.iter().map(|&byte| char::from(byte)).collect();
        }
        if has_mark {
            text.parts.insert(0, StringPart::Plain("\u{ff}\u{fe}".to_owned()));
        }
    }
}
