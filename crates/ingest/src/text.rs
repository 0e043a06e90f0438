//! How is a value shown in one line? And small readings of values that several formats share.

use std::net::IpAddr;

/// Appends `value` to `line` without control characters or runs of white space, at most `limit` characters.
pub(crate) fn push_clean(line: &mut String, value: &str, limit: usize) {
    if value.len() <= limit && is_clean(value.as_bytes()) {
        line.push_str(value);
        return;
    }
    let mut space = false;
    let mut started = false;
    for (count, c) in value.chars().enumerate() {
        if count >= limit {
            line.push('…');
            return;
        }
        if c.is_whitespace() || c.is_control() {
            space = started;
            continue;
        }
        if space {
            line.push(' ');
            space = false;
        }
        line.push(c);
        started = true;
    }
}

/// Whether this is words of printable ASCII with one space between them: most text is.
fn is_clean(value: &[u8]) -> bool {
    let mut space = true;
    for &byte in value {
        if !byte.is_ascii_graphic() && (byte != b' ' || space) {
            return false;
        }
        space = byte == b' ';
    }
    !space || value.is_empty()
}

/// `value` in one line of at most `limit` characters.
pub(crate) fn clean(value: &str, limit: usize) -> String {
    let mut line = String::with_capacity(value.len().min(limit + 3));
    push_clean(&mut line, value, limit);
    line
}

/// Last component of a Windows or Unix path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// Canonical form of an address, or `None` for what is no address (`-`, `LOCAL`, a host name).
pub(crate) fn ip(value: &str) -> Option<String> {
    let value = value.trim().trim_start_matches('[').trim_end_matches(']');
    let value = value.split('%').next().unwrap_or(value);
    match value.parse::<IpAddr>().ok()? {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(v4) => Some(v4.to_string()),
            None => Some(address.to_string()),
        },
        IpAddr::V4(address) => Some(address.to_string()),
    }
}

/// A number written in decimal or as `0x…`, in decimal; other text as it is.
pub(crate) fn decimal(value: &str) -> String {
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).map_or_else(|_| value.to_owned(), |n| n.to_string()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_one_line() {
        assert_eq!(clean("  a\r\n\tb\u{0}c ", 80), "a b c");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(
            (clean("a b", 3), clean("a  b", 9), clean(" a ", 9)),
            ("a b".into(), "a b".into(), "a".into())
        );
        assert_eq!(base_name(r"C:\a\b.exe"), "b.exe");
        assert_eq!(base_name("/usr/bin/id"), "id");
    }

    #[test]
    fn addresses_are_canonical() {
        assert_eq!(ip("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(ip("fe80::1%5").as_deref(), Some("fe80::1"));
        assert_eq!(ip("LOCAL"), None);
        assert_eq!(decimal("0x1f4"), "500");
        assert_eq!(decimal("77"), "77");
    }
}
