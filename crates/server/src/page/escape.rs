//! How is text that an attacker may have written put on a page? So that it is neither markup nor invisible.
//!
//! Control characters, bidirectional overrides (which make `gpj.exe` read `exe.jpg`), zero-width characters and
//! other formatting characters are written as `‹U+202E›`. Line feeds and tabs stay.

use askama::filters::Escaper;
use casemate_export::text::is_hidden;
use std::fmt::{self, Write};

/// The escaper of every template (see `askama.toml`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut plain_from = 0;
        for (index, character) in string.char_indices() {
            let html = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                _ if is_hidden(character) => "",
                _ => continue,
            };
            dest.write_str(&string[plain_from..index])?;
            if html.is_empty() {
                write!(dest, "‹U+{:04X}›", u32::from(character))?;
            } else {
                dest.write_str(html)?;
            }
            plain_from = index + character.len_utf8();
        }
        dest.write_str(&string[plain_from..])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn escape(input: &str) -> String {
        let mut output = String::new();
        Visible.write_escaped_str(&mut output, input).unwrap();
        output
    }

    fn check(input: &str, expected: &str) {
        assert_eq!(escape(input), expected, "{input:?}");
    }

    #[test]
    fn markup_is_text() {
        check("<script>alert('&\"')</script>", "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;");
        check("plain – ünïcode 漢字", "plain – ünïcode 漢字");
        check("", "");
    }

    #[test]
    fn what_hides_is_shown() {
        check("invoice\u{202E}gpj.exe", "invoice‹U+202E›gpj.exe");
        check("a\u{200B}b\u{FEFF}", "a‹U+200B›b‹U+FEFF›");
        check("a\0b\u{1b}[31m\r\n\tc", "a‹U+0000›b‹U+001B›[31m‹U+000D›\n\tc");
        check("tag\u{E0041}", "tag‹U+E0041›");
    }

    proptest! {
        #[test]
        fn nothing_escapes(input in any::<String>()) {
            let output = escape(&input);
            prop_assert!(!output.contains(['<', '>', '"', '\'']));
            prop_assert!(!output.chars().any(is_hidden));
        }
    }
}
