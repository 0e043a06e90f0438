//! What does `|expand` stand for? Puts a site's own lists in place of `%placeholders%`.
//!
//! Sigma leaves the values of `%domain_admins%` to the site. A file named `placeholders.yml` (or
//! `placeholders.yaml`) in a directory of rules gives them, a list under each name; rsigma instead reads them
//! from fields of the event. A rule with a placeholder that no list names is a problem of that rule.

use rsigma_parser::value::StringPart;
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaString, SigmaValue};
use std::collections::BTreeMap;
use std::path::Path;

/// Most values one value may become.
const MAX_EXPANSION: usize = 10_000;

/// Lists of values by name.
#[derive(Debug, Default)]
pub(crate) struct Placeholders(BTreeMap<String, Vec<String>>);

impl Placeholders {
    /// Whether a file is a list of placeholders rather than a rule.
    pub(crate) fn is_list(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "placeholders.yml" || name == "placeholders.yaml")
    }

    /// Adds the lists of a file: names to lists of text or numbers.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), String> {
        const SHAPE: &str = "write a list of values under each name";
        let value: yaml_serde::Value = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
        let lists = value.as_mapping().ok_or_else(|| SHAPE.to_owned())?;
        for (name, list) in lists {
            let name = name.as_str().ok_or_else(|| SHAPE.to_owned())?;
            let values = list.as_sequence().ok_or_else(|| format!("{name}: {SHAPE}"))?;
            let values = values.iter().map(|value| match value {
                yaml_serde::Value::String(text) => Ok(text.clone()),
                yaml_serde::Value::Number(number) => Ok(number.to_string()),
                _ => Err(format!("{name}: {SHAPE}")),
            });
            self.0.entry(name.to_owned()).or_default().extend(values.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(())
    }

    /// Rewrites every `expand` item of `detection`.
    pub(crate) fn fill(&self, detection: &mut Detection) -> Result<(), String> {
        match detection {
            Detection::AllOf(items) => items.iter_mut().try_for_each(|item| self.fill_item(item)),
            Detection::AnyOf(parts) | Detection::And(parts) => {
                parts.iter_mut().try_for_each(|part| self.fill(part))
            }
            Detection::ArrayMatch { body, .. } => self.fill(body),
            Detection::Conditional { named, .. } => named.values_mut().try_for_each(|part| self.fill(part)),
            Detection::Keywords(_) => Ok(()),
        }
    }

    fn fill_item(&self, item: &mut DetectionItem) -> Result<(), String> {
        if !item.field.has_modifier(Modifier::Expand) {
            return Ok(());
        }
        item.field.modifiers.retain(|modifier| *modifier != Modifier::Expand);
        let mut filled = Vec::new();
        for value in &item.values {
            match value {
                SigmaValue::String(text) => {
                    filled.extend(self.values(text)?.into_iter().map(SigmaValue::String));
                }
                other => filled.push(other.clone()),
            }
        }
        item.values = filled;
        Ok(())
    }

    /// Every value that `text` stands for. Values of lists are taken as they are, wildcards included.
    fn values(&self, text: &SigmaString) -> Result<Vec<SigmaString>, String> {
        // As written: a backslash before a percent sign says that it begins no name.
        let whole = |parts| SigmaString { original: text.original.clone(), parts: joined(parts) };
        Ok(self.choices(&text.original)?.into_iter().map(whole).collect())
    }

    fn choices(&self, text: &str) -> Result<Vec<Vec<StringPart>>, String> {
        let mut choices: Vec<Vec<StringPart>> = vec![Vec::new()];
        for piece in pieces(text) {
            let values = match piece {
                Piece::Text(plain) => vec![SigmaString::new(&plain).parts],
                Piece::Name(name) => {
                    let values = self.0.get(name).ok_or_else(|| {
                        format!("expand: nothing says what %{name}% is; list its values in placeholders.yml beside the rules")
                    })?;
                    values.iter().map(|value| SigmaString::new(value).parts).collect()
                }
            };
            if choices.len().saturating_mul(values.len()) > MAX_EXPANSION {
                return Err(format!("expand: {text:?} stands for more than {MAX_EXPANSION} values"));
            }
            choices = choices
                .iter()
                .flat_map(|start| values.iter().map(move |value| [start.as_slice(), value].concat()))
                .collect();
        }
        Ok(choices)
    }
}

enum Piece<'a> {
    Text(String),
    Name(&'a str),
}

/// Text as written and the names of placeholders in it; `\%` is a plain percent sign, `\\%` is not.
fn pieces(written: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), written);
    while let Some((before, after)) = rest.split_once('%') {
        let backslashes = before.bytes().rev().take_while(|&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            text.push_str(&before[..before.len() - 1]);
            text.push('%');
            rest = after;
            continue;
        }
        let Some((name, after)) = after.split_once('%') else { break };
        text.push_str(before);
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(Piece::Name(name));
        rest = after;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

/// Neighbouring text as one part.
fn joined(parts: Vec<StringPart>) -> Vec<StringPart> {
    let mut joined: Vec<StringPart> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(StringPart::Plain(before)), StringPart::Plain(more)) => before.push_str(&more),
            (_, part) => joined.push(part),
        }
    }
    joined
}
