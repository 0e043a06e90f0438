//! What is inside an encoded command?
//!
//! Base64 (of UTF-16, UTF-8, gzip or deflate), hexadecimal and percent encoding, character codes, and strings
//! taken apart and put together again, within each other to a small depth. Nothing is run: what only an
//! interpreter could tell stays as it is. Every size is bounded, and the same text gives the same answer.

use flate2::read::{DeflateDecoder, GzDecoder};
use regex::{Captures, Regex};
use std::io::Read;
use std::sync::LazyLock;

/// Most characters kept of one layer.
pub const MAX_DECODED_CHARS: usize = 4096;
/// Most base64 characters decoded: 64 KiB of text.
const MAX_ENCODED_CHARS: usize = 128 * 1024;
/// Most bytes unpacked from a compressed blob.
const MAX_UNPACKED: u64 = 64 * 1024;
/// Encodings within each other that are undone.
const MAX_LAYERS: usize = 4;
/// Most encoded runs of one text that are tried.
const MAX_RUNS: usize = 16;
/// Shortest runs of base64 and hexadecimal that are taken for an encoding where nothing says so.
const MIN_BASE64: usize = 24;
const MIN_HEX: usize = 16;
/// Fewest character codes that make a text.
const MIN_CODES: usize = 5;

/// `-e`, `-enc`, `-EncodedCommand` … of PowerShell, `FromBase64String('…')`, `echo … | base64 -d`, and what
/// scripting languages call it.
static ENCODED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)(?:[-/]e(?:c|n|nc|nco|ncod|ncode|ncoded|ncodedc|ncodedco|ncodedcom|ncodedcomm|ncodedcomma|ncodedcomman|ncodedcommand)?\s+["']?|frombase64string\(\s*\\?["']|(?:b64decode|base64_decode|decode64|atob)\(\s*b?["']|echo\s+(?:-n\s+)?["']?|<<<\s*["']?)([A-Za-z0-9+/]{16,}={0,2})"#,
    )
    .ok()
});
static BASE64_RUN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/_-]{24,}={0,2}").ok());
static HEX_RUN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:\\x[0-9a-f]{2}){5,}|(?:0x[0-9a-f]{2}\s*,\s*){5,}0x[0-9a-f]{2}|[0-9a-f]{16,}").ok()
});
/// Numbers in a row, as `fromCharCode(73,69)` and `73,69,88|%{[char]$_}` have them.
static CODES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:\d{1,3}\s*[,;]\s*){4,}\d{1,3}").ok());
/// One character by its code: `[char]73`, `[char]0x49`, `chr(73)`, each with what joins it to the next.
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:\[char\]\s*(?:\(\s*(0x[0-9a-f]{1,4}|\d{1,5})\s*\)|(0x[0-9a-f]{1,4}|\d{1,5}))|\bchrw?\(\s*(0x[0-9a-f]{1,4}|\d{1,5})\s*\))(?:\s*[+&.]\s*)?",
    )
    .ok()
});
/// `'a' + 'b'`, with or without the same quotes.
static JOINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"['"]\s*[+&]\s*['"]"#).ok());
/// `"{1}{0}" -f 'b','a'`.
static FORMAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)\(?\s*["']((?:\{\d{1,2}\}){2,32})["']\s*-f\s*((?:["'][^"']{0,64}["']\s*,\s*){0,31}["'][^"']{0,64}["'])\s*\)?"#).ok()
});

/// Text of the first encoded command in a command line, cut to a few thousand characters.
pub(crate) fn encoded_command(command: &str) -> Option<String> {
    let captures = ENCODED.as_ref()?.captures_iter(command).take(MAX_RUNS);
    captures.filter_map(|found| found.get(1)).find_map(|run| text_in_base64(run.as_str()))
}

/// What a command says layer by layer, the outermost encoding first; empty if it encodes nothing. The last is
/// what is run.
pub fn layers(command: &str) -> Vec<String> {
    let mut layers: Vec<String> = Vec::new();
    let mut text = command.to_owned();
    while layers.len() < MAX_LAYERS {
        let inner = encoded_command(&text)
            .or_else(|| packed(&text))
            .or_else(|| character_codes(&text))
            .or_else(|| put_together(&text));
        match inner {
            Some(inner) if inner != text && !layers.contains(&inner) => {
                layers.push(inner.clone());
                text = inner;
            }
            _ => break,
        }
    }
    layers
}

/// Readable texts of the base64 and hexadecimal runs in a text.
pub(crate) fn blobs(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let runs = |regex: &'static LazyLock<Option<Regex>>| {
        regex
            .as_ref()
            .into_iter()
            .flat_map(|regex| regex.find_iter(text).take(MAX_RUNS))
            .map(|run| run.as_str())
    };
    found.extend(runs(&BASE64_RUN).filter(|run| run.len() >= MIN_BASE64).filter_map(text_in_base64));
    found.extend(runs(&HEX_RUN).filter(|run| run.len() >= MIN_HEX).filter_map(text_in_hex));
    found
}

/// A text with its percent encoding undone, if it has any; `+` stands for a space then.
pub(crate) fn percent(text: &str) -> Option<String> {
    let head = &text.as_bytes()[..text.len().min(MAX_ENCODED_CHARS)];
    let mut bytes = Vec::with_capacity(head.len());
    let (mut at, mut undone) = (0, 0);
    while let Some(&byte) = head.get(at) {
        let pair = head.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) if byte == b'%' => {
                bytes.push(value);
                undone += 1;
                at += 3;
            }
            _ => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    (undone > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Compressed base64 that the text unpacks, whatever surrounds it.
fn packed(text: &str) -> Option<String> {
    let runs = BASE64_RUN.as_ref()?.find_iter(text).take(MAX_RUNS);
    let says_so = {
        let lower = text.to_ascii_lowercase();
        ["gzip", "deflate", "decompress", "base64", "b64"].iter().any(|word| lower.contains(word))
    };
    runs.map(|run| run.as_str())
        .filter(|run| says_so || run.starts_with("H4sI"))
        .find_map(|run| {
            let bytes = base64(run)?;
            unpacked(&bytes).or_else(|| text_of(&bytes))
        })
        .map(cut)
}

fn unpacked(bytes: &[u8]) -> Option<String> {
    let mut plain = Vec::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).take(MAX_UNPACKED).read_to_end(&mut plain)
    } else {
        DeflateDecoder::new(bytes).take(MAX_UNPACKED).read_to_end(&mut plain)
    };
    // A stream that breaks off has still said something.
    (read.is_ok() || plain.len() >= 16).then(|| text_of(&plain)).flatten()
}

/// A text made of character codes.
fn character_codes(text: &str) -> Option<String> {
    if !text.to_ascii_lowercase().contains("char") {
        return None;
    }
    let found = CODES.as_ref()?.find_iter(text).take(MAX_RUNS).find_map(|run| {
        let codes = run.as_str().split([',', ';']).map(|code| code.trim().parse::<u8>().ok());
        text_of(&codes.collect::<Option<Vec<u8>>>()?)
    })?;
    (found.chars().count() >= MIN_CODES).then(|| cut(found))
}

/// A text with its strings put together: joints, format operators, single characters by code, and the marks
/// that shells ignore inside words. `None` if there was nothing of the kind.
fn put_together(text: &str) -> Option<String> {
    let head = &text[..text.floor_char_boundary(MAX_ENCODED_CHARS)];
    let with_codes = CODE.as_ref()?.replace_all(head, |found: &Captures<'_>| {
        let code = (1..=3).find_map(|group| found.get(group)).map_or("", |code| code.as_str());
        let value = match code.strip_prefix("0x").or_else(|| code.strip_prefix("0X")) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => code.parse().ok(),
        };
        value
            .and_then(char::from_u32)
            .filter(|c| !c.is_control())
            .map_or_else(|| found[0].to_owned(), String::from)
    });
    let formatted = FORMAT.as_ref()?.replace_all(&with_codes, |found: &Captures<'_>| {
        let parts: Vec<&str> =
            found[2].split(',').map(|part| part.trim().trim_matches(['"', '\''])).collect();
        let order =
            found[1].split('}').filter_map(|place| place.trim_start_matches('{').parse::<usize>().ok());
        order.filter_map(|place| parts.get(place).copied()).collect::<String>()
    });
    let joined = JOINT.as_ref()?.replace_all(&formatted, "");
    (joined.len() + 2 < head.len()).then(|| cut(joined.into_owned()))
}

fn text_in_base64(run: &str) -> Option<String> {
    let bytes = base64(run.get(..run.len().min(MAX_ENCODED_CHARS))?)?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) { unpacked(&bytes) } else { text_of(&bytes) };
    text.map(cut)
}

fn text_in_hex(run: &str) -> Option<String> {
    let lower = run.to_ascii_lowercase().replace("\\x", "").replace("0x", "");
    let digits: Vec<u8> = lower.bytes().filter(u8::is_ascii_hexdigit).take(MAX_ENCODED_CHARS).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    text_of(&bytes?).map(cut)
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_DECODED_CHARS) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

/// Decodes standard and URL-safe base64; trailing bits that make no byte are dropped, as shells do.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().take_while(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
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
    fn layers_come_off_one_by_one() {
        let check = |command: &str, expected: &[&str]| assert_eq!(layers(command), expected, "{command}");
        check("whoami /all", &[]);
        check(
            "powershell -enc cABvAHcAZQByAHMAaABlAGwAbAAgAC0AZQBuAGMAIABkAHcAQgBvAEEARwA4AEEAWQBRAEIAdABBAEcAawBBAEkAQQBBAHYAQQBHAEUAQQBiAEEAQgBzAEEAQQA9AD0A",
            &["powershell -enc dwBoAG8AYQBtAGkAIAAvAGEAbABsAA==", "whoami /all"],
        );
        // gzip of "whoami /priv; net user" in base64, as PowerShell's GzipStream reads it.
        check(
            "IEX (New-Object IO.Compression.GzipStream([IO.MemoryStream][Convert]::FromBase64String('H4sIAAAAAAACAyvPyE/MzVTQLyjKLLNWyEstUSgtTi0CAHYquiIWAAAA'),0))",
            &["whoami /priv; net user"],
        );
        check("iex ('Down'+'loadStr'+'ing')", &["iex ('DownloadString')"]);
        check("& (\"{1}{0}\" -f 'ami','who') /all", &["& whoami /all"]);
        check("iex ([char]119+[char]104+[char]0x6f+[char]97+[char]109+[char]105)", &["iex (whoami)"]);
        check("String.fromCharCode(119,104,111,97,109,105)", &["whoami"]);
    }

    #[test]
    fn blobs_and_percent_encoding_are_read() {
        assert_eq!(blobs("x=77686f616d69202f616c6c"), ["whoami /all"]);
        assert_eq!(blobs("agent d2hvYW1pIC0tYWxsIHwgc2ggLWM="), ["whoami --all | sh -c"]);
        assert_eq!(blobs("9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"), [""; 0]);
        assert_eq!(percent("a%20b+c%zz").as_deref(), Some("a b c%zz"));
        assert_eq!(percent("plain text"), None);
    }

    #[test]
    fn a_bomb_is_bounded() {
        // One MiB of zeros and then more: nothing readable, and quickly so.
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b'a'; 8 << 20]).unwrap();
        let bytes = packer.finish().unwrap();
        assert!(unpacked(&bytes).is_some_and(|text| text.len() as u64 <= MAX_UNPACKED));
    }

    #[test]
    fn long_ones_are_cut() {
        let command = format!("powershell -e {}", "dwBoAG8AYQBtAGkAIAAvAGEA".repeat(4000));
        assert!(encoded_command(&command).is_some_and(|text| text.chars().count() <= MAX_DECODED_CHARS));
    }
}
