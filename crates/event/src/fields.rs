use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Field names to values, ordered by name. Values are text; numbers are written in decimal.
///
/// All text lies in one buffer, so that an event costs a few allocations and not one per field. Names known to
/// the program are not copied.
#[derive(Clone, Default)]
pub struct Fields {
    text: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the name, which tell most names apart.
    start: u64,
    name: Name,
    value: Span,
}

#[derive(Clone, Copy)]
enum Name {
    Known(&'static str),
    Own(Span),
}

/// Part of the buffer.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Fields {
    /// Value of `name`, if present.
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.place(name).ok()?;
        Some(self.slice(self.entries[place].value))
    }

    /// Value of `name` regardless of ASCII case: for vendor fields, whose case varies by shipper.
    pub fn get_ignore_case(&self, name: &str) -> Option<&str> {
        self.get(name)
            .or_else(|| self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    /// Sets `name` to `value`; an empty value or one that means "absent" (`-`) is not stored, nor one with
    /// which all text together would pass 4 GiB.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) {
        let name = name.as_ref();
        self.put(name, value.as_ref(), |fields| fields.push(name).map(Name::Own));
    }

    /// As [`set`](Self::set), for a name that need not be copied.
    pub fn set_known(&mut self, name: &'static str, value: &str) {
        self.put(name, value, |_| Some(Name::Known(name)));
    }

    /// All fields in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (self.name(entry), self.slice(entry.value)))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes room for this many more fields, and bytes of their text.
    pub fn reserve(&mut self, fields: usize, bytes: usize) {
        self.entries.reserve(fields);
        self.text.reserve(bytes);
    }

    /// Sets `name` to `value`; `keep` keeps a name that is new.
    fn put(&mut self, name: &str, value: &str, keep: impl FnOnce(&mut Self) -> Option<Name>) {
        if is_absent(value) {
            return;
        }
        match self.place(name) {
            Ok(place) => {
                if let Some(value) = self.push(value) {
                    self.entries[place].value = value;
                }
            }
            Err(place) => {
                let start = first_bytes(name);
                if let (Some(name), Some(value)) = (keep(self), self.push(value)) {
                    self.entries.insert(place, Entry { start, name, value });
                }
            }
        }
    }

    /// Place of the entry `name`, or where it would be. Decoders set fields mostly in order.
    fn place(&self, name: &str) -> Result<usize, usize> {
        let start = first_bytes(name);
        let order = |entry: &Entry| entry.start.cmp(&start).then_with(|| self.name(entry).cmp(name));
        match self.entries.last() {
            None => return Err(0),
            Some(last) if order(last).is_lt() => return Err(self.entries.len()),
            Some(_) => {}
        }
        self.entries.binary_search_by(order)
    }

    fn push(&mut self, text: &str) -> Option<Span> {
        let start = u32::try_from(self.text.len()).ok()?;
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        self.text.push_str(text);
        Some(Span { start, end })
    }

    fn name<'a>(&'a self, entry: &'a Entry) -> &'a str {
        match entry.name {
            Name::Known(name) => name,
            Name::Own(span) => self.slice(span),
        }
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }
}

/// The first eight bytes of a name, such that their order is that of names.
fn first_bytes(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match bytes.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(padded)
        }
    }
}

fn is_absent(value: &str) -> bool {
    matches!(value, "" | "-")
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut fields = Self::default();
        for (key, value) in iter {
            fields.set(key, value);
        }
        fields
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("field names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    fields.set(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_as_a_map(pairs in prop::collection::vec(("[a-d.]{0,3}", "[x-z-]{0,3}"), 0..20)) {
            let mut fields = Fields::default();
            let mut map = BTreeMap::new();
            for (name, value) in &pairs {
                if name == "a.b" { fields.set_known("a.b", value) } else { fields.set(name, value) }
                if !is_absent(value) {
                    map.insert(name.as_str(), value.as_str());
                }
            }
            prop_assert_eq!(fields.iter().collect::<Vec<_>>(), map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!((fields.len(), fields.is_empty()), (map.len(), map.is_empty()));
            for name in ["", "a", "a.b", "d"] {
                prop_assert_eq!(fields.get(name), map.get(name).copied());
            }
            prop_assert_eq!(&fields, &map.into_iter().collect::<Fields>());
            let json = serde_json::to_string(&fields).unwrap();
            prop_assert_eq!(serde_json::from_str::<Fields>(&json).unwrap(), fields);
        }
    }

    #[test]
    fn case_is_ignored_when_asked() {
        let fields: Fields = [("EventID", "1")].into_iter().collect();
        assert_eq!(fields.get("eventid"), None);
        assert_eq!(fields.get_ignore_case("eventid"), Some("1"));
    }
}
