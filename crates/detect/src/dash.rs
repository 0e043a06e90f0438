//! What does `|windash` stand for? Rewrites the modifier into plain values before a rule is compiled.
//!
//! Windows programs take `-option`, `/option` and several Unicode dashes alike. The Sigma specification lets
//! `windash` vary a dash or slash that begins a word (pySigma: `\B[-/]\b`). rsigma 0.23 varies every `-`
//! instead, never a `/`, refuses values with more than eight of them, and takes `*` in such a value
//! literally, so the expansion is done here.

use rsigma_parser::value::StringPart;
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaString, SigmaValue};

const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Most values one value may become: two options in one value are 25.
const MAX_EXPANSION: usize = 3125;

/// Rewrites every `windash` item of `detection`; the reason, where a value would expand without bound.
pub(crate) fn expand(detection: &mut Detection) -> Result<(), String> {
    match detection {
        Detection::AllOf(items) => {
            let mut expanded = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                expand_item(item, &mut expanded)?;
            }
            *items = expanded;
            Ok(())
        }
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter_mut().try_for_each(expand),
        Detection::ArrayMatch { body, .. } => expand(body),
        Detection::Conditional { named, .. } => named.values_mut().try_for_each(expand),
        Detection::Keywords(_) => Ok(()),
    }
}

/// With `all`, each value must match in one of its spellings: an item per value, since items of one mapping
/// are all required.
fn expand_item(mut item: DetectionItem, out: &mut Vec<DetectionItem>) -> Result<(), String> {
    if !item.field.has_modifier(Modifier::WindAsh) {
        out.push(item);
        return Ok(());
    }
    let all = item.field.has_modifier(Modifier::All);
    item.field.modifiers.retain(|modifier| !matches!(modifier, Modifier::WindAsh | Modifier::All));
    let mut spellings = Vec::new();
    for value in &item.values {
        spellings.push(match value {
            SigmaValue::String(text) => spell(text)?.into_iter().map(SigmaValue::String).collect(),
            other => vec![other.clone()],
        });
    }
    if all {
        let field = &item.field;
        out.extend(spellings.into_iter().map(|values| DetectionItem { field: field.clone(), values }));
    } else {
        out.push(DetectionItem { values: spellings.concat(), ..item });
    }
    Ok(())
}

/// Every spelling of `text`.
fn spell(text: &SigmaString) -> Result<Vec<SigmaString>, String> {
    let mut spellings: Vec<Vec<StringPart>> = vec![Vec::new()];
    // A wildcard stands for any text, so what follows it does not begin a word for certain.
    let mut before: Option<char> = None;
    for part in &text.parts {
        let variants = match part {
            StringPart::Plain(plain) => {
                let variants = spell_plain(plain, before)?;
                before = plain.chars().last();
                variants.into_iter().map(StringPart::Plain).collect()
            }
            special @ StringPart::Special(_) => {
                before = None;
                vec![special.clone()]
            }
        };
        if spellings.len().saturating_mul(variants.len()) > MAX_EXPANSION {
            return Err(too_many(&text.original));
        }
        spellings = spellings
            .iter()
            .flat_map(|start| {
                variants.iter().map(move |variant| [start.as_slice(), std::slice::from_ref(variant)].concat())
            })
            .collect();
    }
    Ok(spellings.into_iter().map(|parts| SigmaString { original: text.original.clone(), parts }).collect())
}

fn spell_plain(plain: &str, mut before: Option<char>) -> Result<Vec<String>, String> {
    let mut spellings = vec![String::with_capacity(plain.len())];
    let mut rest = plain.chars().peekable();
    while let Some(c) = rest.next() {
        let begins_word = matches!(c, '-' | '/')
            && before.is_none_or(|c| !is_word(c))
            && rest.peek().is_some_and(|&next| is_word(next));
        if begins_word {
            if spellings.len() * DASHES.len() > MAX_EXPANSION {
                return Err(too_many(plain));
            }
            spellings = spellings
                .iter()
                .flat_map(|start| DASHES.iter().map(move |dash| format!("{start}{dash}")))
                .collect();
        } else {
            spellings.iter_mut().for_each(|text| text.push(c));
        }
        before = Some(c);
    }
    Ok(spellings)
}

/// `\w` of the specification's pattern.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn too_many(value: &str) -> String {
    format!("windash: {value:?} has too many options for one value; split it into several")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, count: usize, holds: &[&str]) {
        let spelled: Vec<String> = spell(&SigmaString::new(value))
            .unwrap()
            .iter()
            .map(|text| {
                text.parts
                    .iter()
                    .map(|part| match part {
                        StringPart::Plain(plain) => plain.clone(),
                        StringPart::Special(_) => "*".to_owned(),
                    })
                    .collect()
            })
            .collect();
        assert_eq!(spelled.len(), count, "{value}: {spelled:?}");
        for wanted in holds {
            assert!(spelled.iter().any(|text| text == wanted), "{value} lacks {wanted}: {spelled:?}");
        }
    }

    #[test]
    fn dashes_that_begin_a_word_vary() {
        check(" -enc ", 5, &[" -enc ", " /enc ", " \u{2013}enc "]);
        check("/c", 5, &["-c"]);
        check("Invoke-Mimikatz", 1, &["Invoke-Mimikatz"]);
        check(" -ma *-mp", 25, &[" /ma */mp"]);
        check("--flag", 5, &["-/flag"]);
        check("nothing", 1, &["nothing"]);
        check("", 1, &[""]);
    }

    #[test]
    fn expansion_is_bounded() {
        let many = " -a".repeat(20);
        assert!(spell(&SigmaString::new(&many)).is_err());
    }
}
