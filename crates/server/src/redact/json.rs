//! What does a JSON text say, and where? Names, strings and numbers as they are meant; also in several documents, one after
//! another, and in what is none.

use super::view::View;
use std::ops::Range;

/// A part of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The name of a member, without its quotes.
    Name(Range<usize>),
    /// A string, without its quotes, and the name of its member if it is one.
    Text { name: Option<Range<usize>>, value: Range<usize> },
    /// A number, and the name of its member.
    Number { name: Option<Range<usize>>, value: Range<usize> },
    /// From here on it is no JSON.
    Other(Range<usize>),
}

/// Gives `each` every part of `json`.
pub(super) fn parts(json: &str, mut each: impl FnMut(Part)) {
    let bytes = json.as_bytes();
    let mut name: Option<Range<usize>> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => at += 1,
            b'{' | b'}' | b'[' | b']' | b',' => {
                name = None;
                at += 1;
            }
            b'"' => {
                let Some(end) = string_end(bytes, at + 1) else { break };
                let text = at + 1..end;
                at = end + 1;
                let next = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                if next == Some(&b':') && name.is_none() {
                    each(Part::Name(text.clone()));
                    name = Some(text);
                } else {
                    each(Part::Text { name: name.take(), value: text });
                }
            }
            b'-' | b'0'..=b'9' => {
                let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = at + bytes[at..].iter().take_while(|byte| of_number(byte)).count();
                each(Part::Number { name: name.take(), value: at..end });
                at = end;
            }
            b't' | b'f' | b'n' => {
                let words = ["true", "false", "null"];
                let Some(word) = words.into_iter().find(|word| json[at..].starts_with(word)) else { break };
                name = None;
                at += word.len();
            }
            _ => break,
        }
    }
    if at < json.len() {
        each(Part::Other(at..json.len()));
    }
}

/// Where the string that begins at `at` ends.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Adds what stands at `place`, its escapes undone (RFC 8259, section 7). What is no escape stays as it is.
pub(super) fn decode(json: &str, place: Range<usize>, view: &mut View) {
    let mut plain_from = place.start;
    let mut at = place.start;
    while let Some(found) = json[at..place.end].find('\\') {
        let start = at + found;
        let Some((meant, length)) = escape(&json[start..place.end]) else {
            at = start + 1;
            continue;
        };
        view.plain(json, plain_from..start);
        at = start + length;
        if let Some(meant) = meant {
            view.escape(meant, start..at);
        }
        plain_from = at;
    }
    view.plain(json, plain_from..place.end);
}

/// What the escape that `written` begins with means, and its length; of one that was cut, nothing.
fn escape(written: &str) -> Option<(Option<char>, usize)> {
    let meant = match written.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(written),
        _ => return None,
    };
    Some((Some(meant), 2))
}

fn unicode(written: &str) -> Option<(Option<char>, usize)> {
    let unit = |at: usize| {
        let digits =
            written.get(at..at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(2) else {
        let digits = written[2..].bytes().take_while(u8::is_ascii_hexdigit).count().min(3);
        return written[2 + digits..].starts_with(super::cut::CUT).then_some((None, 2 + digits));
    };
    if !(0xD800..0xDC00).contains(&first) {
        return Some((Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)), 6));
    }
    let second =
        unit(8).filter(|second| written[6..].starts_with("\\u") && (0xDC00..0xE000).contains(second));
    let pair =
        second.and_then(|second| char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)));
    match pair {
        Some(pair) => Some((Some(pair), 12)),
        None => Some((Some(char::REPLACEMENT_CHARACTER), 6)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn told(json: &str) -> Vec<String> {
        let mut told = Vec::new();
        let of = |name: Option<Range<usize>>| name.map_or("", |name| &json[name]);
        parts(json, |part| {
            told.push(match part {
                Part::Name(place) => format!("name {}", &json[place]),
                Part::Text { name, value } => format!("text {}={}", of(name), &json[value]),
                Part::Number { name, value } => format!("number {}={}", of(name), &json[value]),
                Part::Other(place) => format!("other {}", &json[place]),
            });
        });
        told
    }

    #[test]
    fn documents_are_taken_apart() {
        let json = "{\"a\": \"x\\\"y\", \"b\":[-1.5e3,true,\"z\"],\"c\":null}\n{\"d\":7}";
        assert_eq!(
            told(json),
            [
                "name a",
                "text a=x\\\"y",
                "name b",
                "number =-1.5e3",
                "text =z",
                "name c",
                "name d",
                "number d=7"
            ]
        );
        assert_eq!(told("[DONE]"), ["other DONE]"]);
        assert_eq!(told("{\"a\":\"open"), ["name a", "other \"open"]);
        assert_eq!(told("no JSON"), ["other no JSON"]);
        assert_eq!(told(""), Vec::<String>::new());
    }

    #[track_caller]
    fn check(written: &str, expected: &str) {
        let mut view = View::default();
        decode(written, 0..written.len(), &mut view);
        assert_eq!(view.text, expected, "{written}");
    }

    #[test]
    fn escapes_are_undone() {
        check(r#"a\"b\\c\u00e9\n\ud83d\ude00"#, "a\"b\\cé\n😀");
        check(r"C:\users\x \ud83d \", "C:\\users\\x \u{FFFD} \\");
        check(r"caf\u00…", "caf…");
        check(r"é\u12é\uéé", r"é\u12é\uéé");
    }

    proptest! {
        #[test]
        fn strings_read_as_they_were_written(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let mut view = View::default();
            decode(&written, 1..written.len() - 1, &mut view);
            prop_assert_eq!(&view.text, &text);
        }

        #[test]
        fn any_text_is_read(json in "(\\{|\\}|\\[|\\]|:|,|\"|\\\\|u|d83d|true|1|é| |\n){0,40}") {
            let mut end = 0;
            parts(&json, |part| {
                let (Part::Name(place) | Part::Other(place) | Part::Text { value: place, .. } | Part::Number { value: place, .. }) = part;
                assert!(place.start >= end);
                end = place.end;
                let mut view = View::default();
                decode(&json, place, &mut view);
            });
        }
    }
}
