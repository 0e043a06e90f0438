//! How does a mapping file name one element of a list? `list[0].member`, or `list[key=value].member`: the first whose
//! member `key` is that.

use super::decode::at;
use crate::json::{Json, Object};

/// What stands at such a name, as text. A list may be written as a text that is JSON, as tables keep it.
pub(super) fn pick(object: &Object<'_>, name: &str) -> Option<String> {
    let (list, rest) = name.split_once('[')?;
    let (which, rest) = rest.split_once(']')?;
    let rest = rest.strip_prefix('.')?;
    match at(object, list)? {
        Json::Array(list) => pick_of(list, which, rest),
        Json::Text(text) if text.starts_with('[') => {
            pick_of(&serde_json::from_str::<Vec<Json<'_>>>(text).ok()?, which, rest)
        }
        _ => None,
    }
}

fn pick_of(list: &[Json<'_>], which: &str, rest: &str) -> Option<String> {
    let element = match which.split_once('=') {
        None => list.get(which.parse::<usize>().ok()?)?.object()?,
        Some((key, value)) => {
            let is_it = |element: &&Object<'_>| {
                let found = at(element, key).and_then(Json::text);
                found.is_some_and(|found| found.eq_ignore_ascii_case(value))
            };
            list.iter().filter_map(Json::object).find(is_it)?
        }
    };
    at(element, rest)?.text().filter(|text| !text.is_empty()).map(|text| text.into_owned())
}

/// Whether a member is named in this way.
pub(super) fn is_picked(name: &str) -> bool {
    name.contains('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_picked_by_place_and_by_member() {
        let text = r#"{"a":{"l":[{"k":"x","v":1},{"k":{"n":"Y"},"v":{"w":"two"}},7]},"s":[1],"t":"[{\"k\":\"x\",\"v\":3}]","b":"[{"}"#;
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        for (name, expected) in [
            ("a.l[0].v", Some("1")),
            ("a.l[k=x].v", Some("1")),
            ("a.l[k.n=y].v.w", Some("two")),
            ("a.l[k=z].v", None),
            ("t[k=x].v", Some("3")),
            ("b[0].v", None),
            ("a.l[9].v", None),
            ("a.l[x].v", None),
            ("a.l[0]", None),
            ("a.l[0", None),
            ("s[0].v", None),
            ("a.k[0].v", None),
        ] {
            assert_eq!(pick(&object, name).as_deref(), expected, "{name}");
        }
    }
}
