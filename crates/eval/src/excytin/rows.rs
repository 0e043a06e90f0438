//! The alert rows of an incident: CSV with U+2756 between columns and JSON entities in one of them.

use serde_json::{Value, json};

const SEPARATOR: char = '\u{2756}';
/// Longest value indexed: beyond are whole scripts.
const MAX_VALUE_CHARS: usize = 200;

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    name: String,
    description: String,
    time: String,
    /// What its entities hold.
    pub(super) values: Vec<EntityValue>,
}

/// A value of a field of an entity, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntityValue {
    of: String,
    field: String,
    pub(super) text: String,
}

/// A field of a kind of entity; of any, if that is empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
}

impl Field {
    pub(super) fn is(&self, value: &EntityValue) -> bool {
        value.field == self.name && (self.of.is_empty() || self.of == value.of)
    }
}

impl Row {
    /// The row as a line of JSON, as a collector would send it.
    pub(super) fn line(&self) -> String {
        json!({"timestamp": self.time, "message": self.text()}).to_string()
    }

    /// What the row says, in one line.
    pub(super) fn text(&self) -> String {
        let values: Vec<&str> = self
            .values
            .iter()
            .filter(|value| value.text.chars().count() < MAX_VALUE_CHARS)
            .map(|value| value.text.as_str())
            .collect();
        let text = format!("{}: {} {}", self.name, self.description, values.join(" "));
        text.replace(['\n', '\r'], " ")
    }
}

/// Reads the rows of a file.
pub(super) fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut records = records(text).into_iter();
    let header = records.next().ok_or("the file is empty")?;
    let column = |name: &str| {
        header.iter().position(|own| own == name).ok_or_else(|| format!("there is no column {name}"))
    };
    let (name, description) = (column("AlertName")?, column("Description")?);
    let (time, entities) = (column("TimeGenerated")?, column("Entities")?);
    records
        .enumerate()
        .map(|(index, record)| {
            let cell = |column: usize| record.get(column).cloned().unwrap_or_default();
            let mut values = Vec::new();
            let written = cell(entities);
            if !written.is_empty() {
                let parsed: Value = serde_json::from_str(&written)
                    .map_err(|error| format!("entities of row {}: {error}", index + 2))?;
                collect(&parsed, &mut values);
            }
            Ok(Row { name: cell(name), description: cell(description), time: cell(time), values })
        })
        .collect()
}

/// Every plain value of every entity, however deep.
fn collect(value: &Value, values: &mut Vec<EntityValue>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(fields) => {
            let of = fields.get("Type").and_then(Value::as_str).unwrap_or_default();
            for (field, value) in fields {
                let text = match value {
                    Value::String(text) => text.to_lowercase(),
                    Value::Number(number) => number.to_string(),
                    other => {
                        collect(other, values);
                        continue;
                    }
                };
                if !field.starts_with('$') && !text.is_empty() {
                    values.push(EntityValue { of: of.to_owned(), field: field.clone(), text });
                }
            }
        }
        _ => {}
    }
}

/// Records of cells. Cells in double quotes may hold anything; two of them are one.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            SEPARATOR if !quoted => record.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_entities() {
        let text = "TimeGenerated❖AlertName❖Description❖Entities\n2024-07-04❖Odd❖\"two\nlines \"\"quoted\"\"\"❖\
                    \"[{\"\"$id\"\":\"\"2\"\",\"\"Type\"\":\"\"account\"\",\"\"Name\"\":\"\"Ann\"\",\"\"Host\"\":\
                    {\"\"Type\"\":\"\"host\"\",\"\"HostName\"\":\"\"pc1\"\"}}]\"\nx❖y❖z❖\n";
        let rows = read(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].description, "two\nlines \"quoted\"");
        let found: Vec<(&str, &str, &str)> = rows[0]
            .values
            .iter()
            .map(|value| (value.of.as_str(), value.field.as_str(), value.text.as_str()))
            .collect();
        let expected = [
            ("account", "Type", "account"),
            ("account", "Name", "ann"),
            ("host", "Type", "host"),
            ("host", "HostName", "pc1"),
        ];
        assert_eq!(found, expected);
        assert!(rows[0].line().contains("Odd: two lines"), "{}", rows[0].line());
        assert!(read("a❖b\n").unwrap_err().contains("AlertName"));
    }
}
