//! What does a mapping file say? Reads and checks its text; errors name the line and what to do.

use super::decode::{Condition, Mapping, Piece, Test, Translation};
use super::pick::is_picked;
use crate::carrier::table::Kind;
use crate::carrier::{Carrier, Detail, KeyValue, Pattern, Separated, compile_pattern};
use casemate_event::{Class, Format, LogSource, MappingName, field};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Fewest pairs in a line that nothing but its pairs tells from other text.
const FEWEST_PAIRS: usize = 3;
/// Shortest text that tells a line from others.
const SHORTEST_MARK: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    product: String,
    carrier: Option<CarrierTable>,
    #[serde(default)]
    when: Vec<When>,
    class: Class,
    #[serde(default)]
    classes: Vec<ClassWhen>,
    #[serde(default)]
    time: Vec<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    values: Vec<Values>,
    logsource: Option<LogSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CarrierTable {
    kind: KindName,
    #[serde(default)]
    contains: Vec<String>,
    assign: Option<String>,
    separator: Option<String>,
    delimiter: Option<String>,
    columns: Option<Vec<String>>,
    patterns: Option<Vec<String>>,
    key: Option<String>,
    text: Option<String>,
    by_key: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Cef,
    Leef,
    KeyValue,
    Csv,
    W3c,
    Regex,
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
    let source = Source(text);
    if file.carrier.is_none() && file.when.is_empty() {
        return Err(
            "line 1: `when` is empty; name at least one member that tells these records from others, or \
                    a [carrier] for lines that are not JSON"
                .into(),
        );
    }
    if file.carrier.is_none() && file.message.is_empty() {
        return Err("line 1: `message` is missing; write the line that a person is to read".into());
    }
    let (carrier, marks) = match file.carrier {
        Some(table) => source.carrier(table)?,
        None => (None, Vec::new()),
    };
    let mut fields = Vec::with_capacity(file.fields.len());
    for (name, members) in file.fields {
        fields.push((source.known(&name)?, members));
    }
    let mut values = Vec::with_capacity(file.values.len());
    for Values { field, member, values: table, otherwise } in file.values {
        values.push(Translation { field: source.known(&field)?, member, values: table, otherwise });
    }
    let mut classes = Vec::with_capacity(file.classes.len());
    for ClassWhen { when, class } in file.classes {
        classes.push((source.condition(when)?, class));
    }
    let mut time = Vec::with_capacity(file.time.len());
    for text in &file.time {
        let is_template = text.contains('{');
        time.push(if is_template { source.pieces(text)? } else { vec![Piece::Member(text.clone())] });
    }
    let message = source.pieces(&file.message)?;
    let of_pieces = time.iter().flatten().chain(&message).filter_map(|piece| match piece {
        Piece::Member(name) => Some(name),
        Piece::Literal(_) => None,
    });
    let of_fields = fields.iter().flat_map(|(_, members): &(&str, Vec<String>)| members);
    let of_values = values.iter().map(|translation: &Translation| &translation.member);
    let mut picked: Vec<String> =
        of_pieces.chain(of_fields).chain(of_values).filter(|name| is_picked(name)).cloned().collect();
    picked.sort();
    picked.dedup();
    Ok(Mapping {
        format,
        product: file.product,
        carrier,
        marks,
        when: file.when.into_iter().map(|when| source.condition(when)).collect::<Result<_, _>>()?,
        class: file.class,
        classes,
        time,
        fields,
        values,
        message,
        picked,
        log_source: file.logsource,
    })
}

/// The text of a file, for the places of what is wrong with it.
struct Source<'a>(&'a str);

impl Source<'_> {
    /// An error about the first line that holds `part`.
    fn wrong(&self, part: &str, reason: &str) -> String {
        let line = self.0.lines().position(|line| line.contains(part)).map_or(1, |line| line + 1);
        format!("line {line}: {reason}")
    }

    /// The constant of a normalised field, or which line names one that is none.
    fn known(&self, name: &str) -> Result<&'static str, String> {
        field::known(name).ok_or_else(|| {
            let reason =
                format!("no normalised field is named {name:?}; see the list in casemate_event::field");
            self.wrong(name, &reason)
        })
    }

    fn condition(&self, When { member, equals, prefix }: When) -> Result<Condition, String> {
        let test = match (equals, prefix) {
            (None, None) => Test::Present,
            (Some(text), None) => Test::Equals(text),
            (None, Some(text)) => Test::Prefix(text),
            (Some(_), Some(_)) => {
                let reason = format!("member {member:?} has both `equals` and `prefix`; keep one");
                return Err(self.wrong(&member, &reason));
            }
        };
        Ok(Condition { member, test })
    }

    /// Splits `text {member} text`.
    fn pieces(&self, template: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (member, after) = after.split_once('}').ok_or_else(|| {
                self.wrong(template, &format!("{template:?} has a {{ without its }}; add it"))
            })?;
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

    /// The carrier, and texts of which one is in each of its lines.
    fn carrier(&self, table: CarrierTable) -> Result<(Option<Carrier>, Vec<String>), String> {
        self.only_what_fits(&table)?;
        let mut marks = table.contains.clone();
        if let Some(mark) = marks.iter().find(|mark| mark.len() < SHORTEST_MARK) {
            let reason = format!(
                "{mark:?} in `contains` is in too many lines; give {SHORTEST_MARK} characters or more"
            );
            return Err(self.wrong("contains", &reason));
        }
        let needs_mark = |what: &str| {
            let reason = format!(
                "{what} needs `contains`: a text near the beginning of each of its lines, by which they are told \
                 from others cheaply"
            );
            if marks.is_empty() { Err(self.wrong("[carrier]", &reason)) } else { Ok(()) }
        };
        let carrier = match table.kind {
            KindName::Cef => Carrier::Cef,
            KindName::Leef => Carrier::Leef,
            KindName::W3c => Carrier::Table(Kind::W3c),
            KindName::KeyValue => Carrier::KeyValue(KeyValue {
                assign: self.byte("assign", table.assign.as_deref())?.unwrap_or(b'='),
                separator: self.byte("separator", table.separator.as_deref())?,
                strict: marks.is_empty().then_some(FEWEST_PAIRS),
            }),
            KindName::Csv => match table.columns {
                None => Carrier::Table(Kind::Named),
                Some(columns) => {
                    needs_mark("kind \"csv\" with `columns`")?;
                    let delimiter = self.byte("delimiter", table.delimiter.as_deref())?.unwrap_or(b',');
                    Carrier::Separated(Separated { delimiter, columns })
                }
            },
            KindName::Regex => {
                needs_mark("kind \"regex\"")?;
                Carrier::Pattern(Box::new(self.pattern(table)?))
            }
        };
        if let (Some(mark), true) = (carrier.mark(), marks.is_empty()) {
            marks.push(mark.to_owned());
        }
        Ok((Some(carrier), marks))
    }

    /// Refuses keys that the kind of carrier does not know.
    fn only_what_fits(&self, table: &CarrierTable) -> Result<(), String> {
        use KindName::{Csv, KeyValue, Regex};
        let given = [
            ("assign", table.assign.is_some(), KeyValue, "key_value"),
            ("separator", table.separator.is_some(), KeyValue, "key_value"),
            ("delimiter", table.delimiter.is_some(), Csv, "csv"),
            ("columns", table.columns.is_some(), Csv, "csv"),
            ("patterns", table.patterns.is_some(), Regex, "regex"),
            ("key", table.key.is_some(), Regex, "regex"),
            ("text", table.text.is_some(), Regex, "regex"),
            ("by_key", table.by_key.is_some(), Regex, "regex"),
        ];
        for (name, is_given, kind, kind_name) in given {
            if is_given && table.kind != kind {
                let reason =
                    format!("`{name}` is for carriers of kind {kind_name:?}; leave it out or change `kind`");
                return Err(self.wrong(name, &reason));
            }
        }
        if table.delimiter.is_some() && table.columns.is_none() {
            let reason = "`delimiter` is found in the header line; leave it out, or name the `columns`";
            return Err(self.wrong("delimiter", reason));
        }
        Ok(())
    }

    /// A setting that is one ASCII character.
    fn byte(&self, name: &str, text: Option<&str>) -> Result<Option<u8>, String> {
        match text.map(str::as_bytes) {
            None => Ok(None),
            Some(&[byte]) if byte.is_ascii() => Ok(Some(byte)),
            Some(_) => Err(self.wrong(name, &format!("`{name}` must be one ASCII character"))),
        }
    }

    fn pattern(&self, table: CarrierTable) -> Result<Pattern, String> {
        let patterns = table.patterns.unwrap_or_default();
        if patterns.is_empty() {
            return Err(self.wrong("[carrier]", "kind \"regex\" needs `patterns`; give at least one"));
        }
        let whole = self.compiled(&patterns)?;
        let detail = match (table.key, table.text, table.by_key) {
            (None, None, None) => None,
            (Some(key), Some(text), Some(by_key)) => {
                for name in [&key, &text] {
                    let is_group =
                        |regex: &regex::Regex| regex.capture_names().flatten().any(|group| group == name);
                    if !whole.iter().any(is_group) {
                        let reason =
                            format!("no group of `patterns` is named {name:?}; write (?<{name}>…) in one");
                        return Err(self.wrong("by_key", &reason));
                    }
                }
                let mut compiled = HashMap::with_capacity(by_key.len());
                for (value, patterns) in by_key {
                    let patterns = self.compiled(&patterns)?;
                    compiled.insert(value, patterns);
                }
                Some(Detail { key, text, by_key: compiled })
            }
            _ => {
                return Err(
                    self.wrong("[carrier]", "`key`, `text` and `by_key` belong together; give all three")
                );
            }
        };
        Ok(Pattern { whole, detail })
    }

    fn compiled(&self, patterns: &[String]) -> Result<Vec<regex::Regex>, String> {
        let compile = |text: &String| {
            compile_pattern(text).map_err(|error| self.wrong(text, &format!("no valid expression: {error}")))
        };
        patterns.iter().map(compile).collect()
    }
}
