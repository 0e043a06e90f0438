//! How is text that an attacker may have written shown? So that nothing of it hides and no line grows without end.

use std::borrow::Cow;

/// Most characters of one value in a report or in a file for a tool.
pub(crate) const MAX_CHARS: usize = 8_000;

/// `text` with control characters, bidirectional overrides (which make `gpj.exe` read `exe.jpg`), zero-width and other
/// formatting characters written as `‹U+202E›`. Line feeds and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().fold(String::with_capacity(text.len() + 16), |mut shown, character| {
        if is_hidden(character) {
            shown.push_str(&format!("‹U+{:04X}›", u32::from(character)));
        } else {
            shown.push(character);
        }
        shown
    });
    Cow::Owned(shown)
}

/// Characters that change how others look, or show nothing.
pub fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        _ if character.is_control() => true,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' => true,
        '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' => true,
        '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' => true,
        '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' => true,
        '\u{E0000}'..='\u{E0FFF}' => true,
        _ => false,
    }
}

/// The first `most` characters, and how many are left out.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{} … ({} more)", &text[..end], text[end..].chars().count())),
    }
}

/// As [`visible`], on one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    let shown = cut(text.trim(), MAX_CHARS);
    visible(&shown).replace(['\n', '\t'], " ")
}

/// A value for a tool: as it was logged, of bounded length.
pub(crate) fn value(text: &str) -> String {
    cut(text, MAX_CHARS).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("<b>\u{202E}", "<b>‹U+202E›");
        check("a\0\n\tb", "a‹U+0000›\n\tb");
        assert_eq!(line("a\nb\u{200b}"), "a b‹U+200B›");
    }

    #[test]
    fn long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äöü … (1 more)");
    }
}
