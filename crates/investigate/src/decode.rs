//! What is inside an encoded command? Base64 of UTF-16 or UTF-8, bounded.

use regex::Regex;
use std::sync::LazyLock;

/// Most decoded characters kept.
const MAX_DECODED_CHARS: usize = 400;
/// Most base64 characters decoded: 64 KiB of text.
const MAX_ENCODED_CHARS: usize = 128 * 1024;

/// `-e`, `-enc`, `-EncodedCommand` … of PowerShell, `FromBase64String('…')`, `echo … | base64 -d`.
static ENCODED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)(?:[-/]e(?:c|n|nc|nco|ncod|ncode|ncoded|ncodedc|ncodedco|ncodedcom|ncodedcomm|ncodedcomma|ncodedcomman|ncodedcommand)?\s+["']?|frombase64string\(\s*["']|echo\s+(?:-n\s+)?["']?)([A-Za-z0-9+/]{16,}={0,2})"#,
    )
    .ok()
});

/// Text of the first encoded command in a command line, cut to a few hundred characters.
pub(crate) fn encoded_command(command: &str) -> Option<String> {
    ENCODED.as_ref()?.captures_iter(command).find_map(|found| {
        let encoded = found.get(1)?.as_str();
        let bytes = base64(encoded.get(..encoded.len().min(MAX_ENCODED_CHARS))?)?;
        let text = text_of(&bytes)?;
        Some(text.chars().take(MAX_DECODED_CHARS).collect())
    })
}

/// Decodes standard base64; trailing bits that make no byte are dropped, as shells do.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().take_while(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// UTF-16 little endian if every other byte is mostly zero, else UTF-8; `None` unless it is readable.
fn text_of(bytes: &[u8]) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let zeros = pairs.iter().filter(|pair| pair[1] == 0).count();
    let text = if !pairs.is_empty() && zeros * 10 >= pairs.len() * 7 {
        let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8(bytes.to_vec()).ok()?
    };
    let readable = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).count();
    let total = text.chars().count();
    (total >= 4 && readable * 10 >= total * 9).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expected: Option<&str>) {
        assert_eq!(encoded_command(command).as_deref(), expected, "{command}");
    }

    #[test]
    fn commands_are_decoded() {
        check("powershell -NoP -enc dwBoAG8AYQBtAGkAIAAvAGEAbABsAA==", Some("whoami /all"));
        check("powershell.exe -EncodedCommand \"dwBoAG8AYQBtAGkAIAAvAGEAbABsAA==\"", Some("whoami /all"));
        check("echo d2hvYW1pIC0tYWxsIHwgc2g= | base64 -d | sh", Some("whoami --all | sh"));
        check("powershell -ExecutionPolicy Bypass -File C:\\scripts\\run.ps1", None);
        check("tool -e AAAAAAAAAAAAAAAAAAAAAAAA", None);
        check("", None);
    }

    #[test]
    fn long_ones_are_cut() {
        let command = format!("powershell -e {}", "dwBoAG8AYQBtAGkAIAAvAGEA".repeat(4000));
        assert!(encoded_command(&command).is_some_and(|text| text.chars().count() <= MAX_DECODED_CHARS));
    }
}
