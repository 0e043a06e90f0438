//! What are the words of a text? Runs of letters and digits, in lower case; an IPv4 address is one word.

/// Longest word in bytes; of longer runs the beginning counts.
pub(crate) const MAX_WORD: usize = 64;

/// Calls `found` with each word of `text`, in order.
pub(crate) fn each_word(text: &str, found: &mut dyn FnMut(&[u8])) {
    let bytes = text.as_bytes();
    let mut word = [0_u8; MAX_WORD];
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let after_number = at > 1 && bytes[at - 1] == b'.' && bytes[at - 2].is_ascii_digit();
        if byte.is_ascii_digit()
            && !after_number
            && let Some(length) = ipv4(&bytes[at..])
        {
            found(&bytes[at..at + length]);
            at += length;
        } else if byte.is_ascii_alphanumeric() {
            at += take(text, at, &mut word, found);
        } else if byte < 0x80 {
            at += 1;
        } else {
            let letter = text[at..].chars().next().unwrap_or(' ');
            at += if letter.is_alphanumeric() { take(text, at, &mut word, found) } else { letter.len_utf8() };
        }
    }
}

/// Words of a text, as owned strings.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, &mut |word| words.push(String::from_utf8_lossy(word).into_owned()));
    words
}

/// Hands over the run that starts at `at`, in lower case; returns its length.
fn take(text: &str, at: usize, word: &mut [u8; MAX_WORD], found: &mut dyn FnMut(&[u8])) -> usize {
    let bytes = &text.as_bytes()[at..];
    let mut length = 0;
    while length < bytes.len() && bytes[length].is_ascii_alphanumeric() {
        if length < MAX_WORD {
            word[length] = bytes[length].to_ascii_lowercase();
        }
        length += 1;
    }
    if bytes.get(length).is_none_or(u8::is_ascii) {
        found(&word[..length.min(MAX_WORD)]);
        return length;
    }
    let run: &str = text[at..].split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut lower = run.to_lowercase();
    lower.truncate(lower.floor_char_boundary(MAX_WORD));
    found(lower.as_bytes());
    run.len()
}

/// Length of a dotted IPv4 address that no letter, digit or further number follows.
fn ipv4(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        let digits = bytes[at..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) {
            return None;
        }
        at += digits;
        if part < 3 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    let next = bytes.get(at);
    let goes_on = next.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        || next == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    (!goes_on).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text), expected, "{text}");
    }

    #[test]
    fn runs_of_letters_and_digits() {
        check("", &[]);
        check(
            "Failed password for Ann from 10.0.0.1 port 22",
            &["failed", "password", "for", "ann", "from", "10.0.0.1", "port", "22"],
        );
        check(
            r"C:\Windows\System32\cmd.exe /c run-42",
            &["c", "windows", "system32", "cmd", "exe", "c", "run", "42"],
        );
        check("10.0.0.1:443,1.2.3.4.5 1.2.3", &["10.0.0.1", "443", "1", "2", "3", "4", "5", "1", "2", "3"]);
        check("Größe日本 ΑΒΓ", &["größe日本", "αβγ"]);
        check("a\u{301}é—x", &["a", "é", "x"]);
    }

    #[test]
    fn long_runs_keep_their_beginning() {
        check(&"A".repeat(100), &[&"a".repeat(MAX_WORD)]);
        assert!(words(&"é".repeat(100))[0].len() <= MAX_WORD);
    }
}
