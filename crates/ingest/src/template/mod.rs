//! Which messages say the same thing? Masks what varies from event to event, so that messages of one kind
//! become one text.
//!
//! One pass over the bytes, no regular expressions: this runs for every event. Nothing is learned from the
//! messages, so a message has the same template on every machine and at any time.

mod path;

use casemate_event::TemplateId;
use sha2::{Digest, Sha256};

/// Most bytes of a message that a template keeps; long scripts share their beginnings.
const MAX_BYTES: usize = 160;
/// A word of only letters and digits longer than this is no word.
const MAX_WORD: usize = 40;

/// Identity of a template text: the first 8 bytes of its SHA-256, little endian.
pub fn id(text: &str) -> TemplateId {
    let hash = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.iter()) {
        *to = *from;
    }
    TemplateId(u64::from_le_bytes(first))
}

/// `message` with identifiers, numbers, addresses, times and names of users masked.
pub fn mask(message: &str) -> String {
    mask_after(message, 0)
}

/// As [`mask`], but the first `fixed` bytes stay as they are: products' own numbers for what happened.
pub(crate) fn mask_after(message: &str, fixed: usize) -> String {
    let (head, tail) = message.split_at_checked(fixed).unwrap_or(("", message));
    let mut masked = String::with_capacity(message.len().min(MAX_BYTES) + 16);
    masked.push_str(head);
    mask_into(tail, &mut masked, true);
    masked
}

/// A path component: paths inside it are none.
fn mask_component(text: &str, masked: &mut String) {
    mask_into(text, masked, false);
}

fn mask_into(text: &str, masked: &mut String, paths: bool) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && masked.len() < MAX_BYTES {
        let starts = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if paths
            && starts
            && (bytes[at].is_ascii_alphabetic() || bytes[at] == b'\\')
            && let Some(length) = path::shorten(&text[at..], masked, mask_component)
        {
            at += length;
            continue;
        }
        let (mask, length) = token(bytes, at);
        match mask {
            Some(mask) => push_mask(masked, mask),
            None => masked.push_str(&text[at..at + length]),
        }
        at += length;
    }
}

/// Appends a mask, once where several follow each other with only separators between.
fn push_mask(masked: &mut String, mask: &str) {
    let tail = masked.trim_end_matches([',', '.', ':', '/', '-', '_']);
    if mask == "<num>" && tail.ends_with("<num>") && masked.len() - tail.len() <= 1 {
        let keep = tail.len();
        masked.truncate(keep);
        return;
    }
    masked.push_str(mask);
}

/// The token at `at`: what to mask it with, if anything, and its length in bytes (a character boundary).
fn token(bytes: &[u8], at: usize) -> (Option<&'static str>, usize) {
    let rest = &bytes[at..];
    let first = rest[0];
    match first {
        b'{' => match guid(&rest[1..]) {
            Some(length) if rest.get(1 + length) == Some(&b'}') => (Some("<guid>"), length + 2),
            _ => (None, 1),
        },
        b'S' if rest.starts_with(b"S-1-") => match sid(rest) {
            Some(length) => (Some("<sid>"), length),
            None => word(rest),
        },
        b'\\' | b'/' => match user_folder(rest) {
            Some((mask, length)) => (Some(mask), length),
            None => (None, 1),
        },
        b':' if rest.starts_with(b"::") => match ipv6(rest) {
            Some(length) => (Some("<ip>"), length),
            None => (None, 1),
        },
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => word(rest),
        0x80.. => (None, rest.iter().take_while(|byte| **byte >= 0x80).count()),
        _ => (None, 1),
    }
}

/// A token that starts with a letter or digit.
fn word(rest: &[u8]) -> (Option<&'static str>, usize) {
    let first = rest[0];
    if first.is_ascii_hexdigit() {
        if let Some(length) = guid(rest) {
            return (Some("<guid>"), length);
        }
        if let Some(length) = ipv6(rest) {
            return (Some("<ip>"), length);
        }
    }
    if first.is_ascii_digit() {
        if let Some(length) = date_time(rest) {
            return (Some("<time>"), length);
        }
        if let Some(length) = ipv4(rest) {
            return (Some("<ip>"), length);
        }
        if rest.starts_with(b"0x") {
            let digits = rest[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if digits > 0 {
                return (Some("<hex>"), 2 + digits);
            }
        }
    }
    let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let text = &rest[..length];
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == length {
        return (Some("<num>"), length);
    }
    if let Some(long) = base64(rest) {
        return (Some("<base64>"), long);
    }
    if digits > 0 && length >= 8 && text.iter().all(u8::is_ascii_hexdigit) {
        let mask = if matches!(length, 32 | 40 | 64 | 96 | 128) { "<hash>" } else { "<hex>" };
        return (Some(mask), length);
    }
    if length > MAX_WORD || (digits >= 4 && length >= 8) || changes(text) >= 4 {
        return (Some("<id>"), length);
    }
    (None, length)
}

/// How often letters and digits alternate: random names do so, words and product names hardly.
fn changes(text: &[u8]) -> usize {
    text.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count()
}

/// Length of a GUID without braces.
fn guid(rest: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let text = rest.get(..LENGTH)?;
    let shaped = text.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (shaped && !rest.get(LENGTH).is_some_and(u8::is_ascii_alphanumeric)).then_some(LENGTH)
}

/// Length of a Windows security identifier.
fn sid(rest: &[u8]) -> Option<usize> {
    let length = rest[2..].iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
    (length > 3).then_some(2 + length)
}

/// Length of an IPv4 address with or without a port.
fn ipv4(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        let digits = rest[at..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 3 {
            return None;
        }
        at += digits;
        if part < 3 {
            if rest.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    if rest.get(at) == Some(&b':') {
        let port = rest[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if port > 0 {
            at += 1 + port;
        }
    }
    Some(at)
}

/// Length of an IPv6 address.
fn ipv6(rest: &[u8]) -> Option<usize> {
    let length =
        rest.iter().take(46).take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let text = std::str::from_utf8(&rest[..length]).ok()?.trim_end_matches([':', '.']);
    let colons = text.bytes().filter(|b| *b == b':').count();
    (colons >= 2 && text.parse::<std::net::Ipv6Addr>().is_ok()).then_some(text.len())
}

/// Length of `YYYY-MM-DD`, with a time of day if one follows.
fn date_time(rest: &[u8]) -> Option<usize> {
    let digit = |index: usize| rest.get(index).is_some_and(u8::is_ascii_digit);
    let dash = |index: usize| matches!(rest.get(index), Some(b'-' | b'/'));
    let is_date = (0..4).all(digit) && dash(4) && digit(5) && digit(6) && dash(7) && digit(8) && digit(9);
    if !is_date {
        return None;
    }
    let is_time =
        matches!(rest.get(10), Some(b'T' | b' ')) && digit(11) && digit(12) && rest.get(13) == Some(&b':');
    if !is_time {
        return Some(10);
    }
    let clock =
        rest[11..].iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b',')).count();
    let zone = usize::from(rest.get(11 + clock) == Some(&b'Z'));
    Some(11 + clock + zone)
}

/// Length of a base64 run: long, of its alphabet, with upper case, lower case and digits mixed.
fn base64(rest: &[u8]) -> Option<usize> {
    const SHORTEST: usize = 40;
    let run =
        rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).count();
    if run < SHORTEST {
        return None;
    }
    let text = &rest[..run];
    let mixed = text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_uppercase)
        && text.iter().any(u8::is_ascii_lowercase);
    // A path has slashes every few letters; base64 hardly any.
    let slashes = text.iter().filter(|b| **b == b'/').count();
    (mixed && slashes * 12 < run).then_some(run)
}

/// A path component that names a user: `\Users\NAME`, `/home/NAME`.
fn user_folder(rest: &[u8]) -> Option<(&'static str, usize)> {
    const FOLDERS: [(&[u8], &str); 4] = [
        (b"\\users\\", "\\Users\\<user>"),
        (b"\\documents and settings\\", "\\Users\\<user>"),
        (b"/home/", "/home/<user>"),
        (b"/users/", "/Users/<user>"),
    ];
    for (folder, mask) in FOLDERS {
        if rest.get(..folder.len()).is_some_and(|head| head.eq_ignore_ascii_case(folder)) {
            let name = rest[folder.len()..]
                .iter()
                .take_while(|b| !matches!(b, b'\\' | b'/' | b'"' | b'\'' | b':' | b';' | b',' | b' '))
                .count();
            return (name > 0).then_some((mask, folder.len() + name));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(message: &str, expected: &str) {
        assert_eq!(mask(message), expected);
    }

    #[test]
    fn what_varies_is_masked() {
        check("id {6a910b9d-498a-5ee0-c903-000000000400} x", "id <guid> x");
        check("id 6a910b9d-498a-5ee0-c903-000000000400", "id <guid>");
        check("user S-1-5-21-526538150-889687948-186688817-1106", "user <sid>");
        check("from 10.0.0.1:443 to fe80::1 and ::1", "from <ip> to <ip> and <ip>");
        check("at 2020-06-10 02:50:54.631 took 1,234 ms", "at <time> took <num> ms");
        check("access 0x1410", "access <hex>");
        check("sha AA097FD0386A42779F2B6CA23BDAEBBCA99C589B477E0C7AC63C2678214D242E", "sha <hash>");
        check(r"C:\Users\ann\AppData\x.exe", r"C:\Users\<user>\AppData\x.exe");
        check(r"D:\Users\ann bee\AppData\Local\Temp\x.exe -k", r"D:\Users\<user>\AppData\…\x.exe -k");
        check(r"C:\Windows\System32\ntdll.dll by a.exe", r"C:\Windows\System32\*.dll by a.exe");
        check(r"C:\Program Files\A\b.exe /c dir \x", r"C:\Program Files\A\b.exe /c dir \x");
        check(
            r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run\Updater = C:\x.exe",
            r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run\* = C:\x.exe",
        );
        check(r"HKU\S-1-5-21-1-2-3\Software", r"HKU\<sid>\Software");
        check("/home/ann/.ssh/id_rsa", "/home/<user>/.ssh/id_rsa");
        check("-enc SQBmACgAJABQAFMAVgBlAHIAUwBJAG8ATgBUAGEAYgBMAGUALgBQAFMA", "-enc <base64>");
        check("version 10.0.17763.1217", "version <num>");
        check("tmp a1b2c3d4.tmp", "tmp <hex>.tmp");
    }

    #[test]
    fn words_stay() {
        for text in [
            r"C:\Windows\System32\rundll32.exe by svchost.exe",
            "Sysmon process create: kernel32.dll x64 ntdll",
            "schöne Grüße 日本",
            "std::io c:d",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn ids_are_stable() {
        // SHA-256 of "a" starts with ca978112ca1bbdca.
        assert_eq!(id("a"), TemplateId(u64::from_le_bytes([0xca, 0x97, 0x81, 0x12, 0xca, 0x1b, 0xbd, 0xca])));
    }

    proptest! {
        #[test]
        fn any_text_is_masked_without_panic(text in ".*") {
            let masked = mask(&text);
            prop_assert!(masked.len() <= MAX_BYTES + text.len() + 16);
        }
    }
}
