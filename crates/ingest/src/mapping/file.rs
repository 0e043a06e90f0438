//! What does a mapping file say? Reads and checks its text.

use super::{Condition, Mapping, Piece, Test, Translation};
use casemate_event::{Class, Format, MappingName, field};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    product: String,
    when: Vec<When>,
    class: Class,
    #[serde(default)]
    classes: Vec<ClassWhen>,
    time: Vec<String>,
    message: String,
    fields: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    values: Vec<Values>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    member: String,
    equals: Option<String>,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassWhen {
    when: When,
    class: Class,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    field: String,
    member: String,
    values: HashMap<String, String>,
    otherwise: Option<String>,
}

/// Compiles the text of the mapping file of format `name`.
pub(super) fn compile(name: &str, text: &str) -> Result<Mapping, String> {
    let format = MappingName::new(name).map(Format::Mapped).ok_or_else(|| {
        format!("{name:?} cannot name a format; use a-z, 0-9 and _ and no name of a built-in format")
    })?;
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.when.is_empty() {
        return Err("`when` is empty; name at least one member that tells these records from others".into());
    }
    let mut fields = Vec::with_capacity(file.fields.len());
    for (name, members) in file.fields {
        fields.push((known(&name, text)?, members));
    }
    let mut values = Vec::with_capacity(file.values.len());
    for Values { field, member, values: table, otherwise } in file.values {
        values.push(Translation { field: known(&field, text)?, member, values: table, otherwise });
    }
    let mut classes = Vec::with_capacity(file.classes.len());
    for ClassWhen { when, class } in file.classes {
        classes.push((condition(when)?, class));
    }
    Ok(Mapping {
        format,
        product: file.product,
        when: file.when.into_iter().map(condition).collect::<Result<_, _>>()?,
        class: file.class,
        classes,
        time: file.time,
        fields,
        values,
        message: pieces(&file.message)?,
    })
}

/// The constant of a normalised field, or which line names one that is none.
fn known(name: &str, text: &str) -> Result<&'static str, String> {
    field::known(name).ok_or_else(|| {
        let line = text.lines().position(|line| line.contains(name)).map_or(1, |line| line + 1);
        format!("line {line}: no normalised field is named {name:?}; see the list in casemate_event::field")
    })
}

fn condition(When { member, equals, prefix }: When) -> Result<Condition, String> {
    let test = match (equals, prefix) {
        (None, None) => Test::Present,
        (Some(text), None) => Test::Equals(text),
        (None, Some(text)) => Test::Prefix(text),
        (Some(_), Some(_)) => {
            return Err(format!("member {member:?} has both `equals` and `prefix`; keep one"));
        }
    };
    Ok(Condition { member, test })
}

/// Splits `text {member} text`.
fn pieces(message: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once('{') {
        let (member, after) =
            after.split_once('}').ok_or_else(|| format!("`message` has {{ without }}: {message:?}"))?;
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        pieces.push(Piece::Member(member.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}
