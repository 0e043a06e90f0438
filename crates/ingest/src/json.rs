//! A JSON value that borrows from its text, and how nested names become flat ones.

use casemate_event::Fields;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Most fields flattened from one record; the record as received keeps the rest.
const MAX_FIELDS: usize = 1000;
/// Longest flat name; values below it are kept as JSON text.
const MAX_PATH_BYTES: usize = 256;

/// A JSON value. Strings without escapes borrow from the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// Members of a JSON object, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Text of a scalar member; empty text, `null`, objects and arrays are `None`.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Self> {
        self.get(name)?.object()
    }

    /// Members with nested names joined by dots. Arrays of one name are joined with `, `, whether of
    /// scalars or of objects.
    pub(crate) fn flatten(&self) -> Fields {
        let mut flat = BTreeMap::new();
        let mut path = String::new();
        flatten_object(self, &mut path, &mut flat);
        flat.into_iter().collect()
    }
}

impl<'a> Json<'a> {
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bool(true) => Some(Cow::Borrowed("true")),
            Self::Bool(false) => Some(Cow::Borrowed("false")),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Null | Self::Array(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// Flattens `value` under `path` into `flat`; see [`Object::flatten`].
fn flatten_value(value: &Json<'_>, path: &mut String, flat: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(object) if path.len() < MAX_PATH_BYTES => flatten_object(object, path, flat),
        Json::Array(items) if path.len() < MAX_PATH_BYTES => {
            for item in items {
                flatten_value(item, path, flat);
            }
        }
        Json::Object(_) | Json::Array(_) => append(flat, path, &value.to_string()),
        scalar => {
            if let Some(text) = scalar.text() {
                append(flat, path, &text);
            }
        }
    }
}

fn flatten_object(object: &Object<'_>, path: &mut String, flat: &mut BTreeMap<String, String>) {
    for (key, value) in &object.0 {
        let parent = path.len();
        if parent > 0 {
            path.push('.');
        }
        path.push_str(key);
        flatten_value(value, path, flat);
        path.truncate(parent);
    }
}

fn append(flat: &mut BTreeMap<String, String>, path: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(present) = flat.get_mut(path) {
        present.push_str(", ");
        present.push_str(text);
    } else if flat.len() < MAX_FIELDS {
        let end = path.floor_char_boundary(2 * MAX_PATH_BYTES);
        flat.insert(path.get(..end).unwrap_or(path).to_owned(), text.to_owned());
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(text) => write_quoted(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(object) => {
                f.write_str("{")?;
                for (index, (key, value)) in object.0.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write_quoted(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Object(object) => Ok(object),
            _ => Err(serde::de::Error::custom("not a JSON object")),
        }
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::with_capacity(members.size_hint().unwrap_or(32).min(64));
        while let Some((Key(key), value)) = members.next_entry::<Key<'de>, Json<'de>>()? {
            object.push((key, value));
        }
        Ok(Json::Object(Object(object)))
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        let fields = object.flatten();
        assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nested_names_are_joined() {
        check(
            r#"{"a":{"b":1,"c":null},"d":["x","y"],"e":[{"f":"1"},{"f":"2"}]}"#,
            &[("a.b", "1"), ("d", "x, y"), ("e.f", "1, 2")],
        );
    }

    #[test]
    fn deep_names_are_bounded() {
        let key = "k".repeat(300);
        let text = format!("{{\"{key}\":{{\"{key}\":[1,{{\"q\\\"\":true}}]}}}}");
        let object: Object<'_> = serde_json::from_str(&text).unwrap();
        let fields = object.flatten();
        assert_eq!(fields.len(), 1);
        assert_eq!(fields.get(&key).unwrap(), format!("{{\"{key}\":[1,{{\"q\\\"\":true}}]}}"));
    }

    #[test]
    fn many_fields_are_bounded() {
        let members: Vec<String> = (0..5000).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let object: Object<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(object.flatten().len(), MAX_FIELDS);
    }
}
