//! What does a page of ours say, and where? Texts as they read, joined over the elements that only mark a part of a line,
//! and the values of attributes; in any text, also one that is no HTML.

use super::view::View;
use crate::page::assets::is_ours;
use std::ops::Range;

/// Elements that stand within a line of text.
const INLINE: [&str; 30] = [
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd",
    "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tspan", "u", "var",
    "wbr",
];

/// Attributes that lay a page out and hold nothing that was logged; a graph has thousands.
const LAYOUT: [&str; 24] = [
    "class",
    "cx",
    "cy",
    "d",
    "dominant-baseline",
    "fill",
    "height",
    "points",
    "r",
    "role",
    "rx",
    "ry",
    "scope",
    "tabindex",
    "text-anchor",
    "transform",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

/// Gives `each` every text and every value that `html` shows.
pub(super) fn views(html: &str, each: impl FnMut(&View)) {
    let mut reader = Reader { html, line: Vec::new(), each };
    reader.read();
    reader.end_line();
}

struct Reader<'a, F> {
    html: &'a str,
    /// Pieces of text since the last element that ends a line.
    line: Vec<Range<usize>>,
    each: F,
}

impl<F: FnMut(&View)> Reader<'_, F> {
    fn read(&mut self) {
        let html = self.html;
        let mut at = 0;
        while let Some(found) = html[at..].find('<') {
            let open = at + found;
            self.text(at..open);
            let rest = &html[open + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                let from = open + 4;
                let to = comment.find("-->").map_or(html.len(), |end| from + end);
                self.verbatim(from..to);
                at = (to + 3).min(html.len());
                continue;
            }
            let is_tag = rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
            let Some(tag) = is_tag.then(|| self.tag(open)).flatten() else {
                // Of no tag, the sign is text.
                self.text(open..open + 1);
                at = open + 1;
                continue;
            };
            at = tag.end;
            if !tag.is_end && matches!(&*tag.name, "script" | "style") {
                let end = closing(&html[at..], &tag.name).map_or(html.len(), |end| at + end);
                // What goes with every page tells nothing.
                if !is_ours(&html[at..end]) {
                    self.verbatim(at..end);
                }
                at = end;
            }
        }
        self.text(at..html.len());
    }

    fn text(&mut self, place: Range<usize>) {
        if !place.is_empty() {
            self.line.push(place);
        }
    }

    /// What is not escaped.
    fn verbatim(&mut self, place: Range<usize>) {
        let mut view = View::default();
        view.plain(self.html, place);
        (self.each)(&view);
    }

    /// Reads the tag that begins at `open`, if one does: its values are told, and the line ends unless it goes on.
    fn tag(&mut self, open: usize) -> Option<Tag> {
        let html = self.html;
        let bytes = html.as_bytes();
        let is_end = bytes.get(open + 1) == Some(&b'/');
        let start = open + 1 + usize::from(is_end);
        let name_ends = |c: char| c.is_ascii_whitespace() || c == '/' || c == '>';
        let name_end = start + html[start..].find(name_ends)?;
        let name = html[start..name_end].to_ascii_lowercase();
        let mut values = Vec::new();
        let mut at = name_end;
        loop {
            at += html[at..].find(|c: char| !c.is_ascii_whitespace() && c != '/')?;
            if bytes[at] == b'>' {
                break;
            }
            // A name, or what stands for one.
            let named = at;
            at += html[at..].find(|c: char| c.is_ascii_whitespace() || "=>/".contains(c))?;
            let is_layout = LAYOUT.contains(&&html[named..at]);
            let after = at + html[at..].find(|c: char| !c.is_ascii_whitespace())?;
            if bytes[after] != b'=' {
                continue;
            }
            at = after + 1;
            at += html[at..].find(|c: char| !c.is_ascii_whitespace())?;
            let quote = bytes[at];
            let value = if quote == b'"' || quote == b'\'' {
                at + 1..at + 1 + html[at + 1..].find(char::from(quote))?
            } else {
                at..at + html[at..].find(|c: char| c.is_ascii_whitespace() || c == '>')?
            };
            at = value.end + usize::from(quote == b'"' || quote == b'\'');
            if !is_layout {
                values.push(value);
            }
        }
        match &*name {
            "br" => self.line.push(open..open),
            name if INLINE.contains(&name) => {}
            _ => self.end_line(),
        }
        for value in values {
            let mut view = View::default();
            decode(html, value, &mut view);
            (self.each)(&view);
        }
        Some(Tag { name, is_end, end: at + 1 })
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_blank = |place: &Range<usize>| self.html[place.clone()].trim().is_empty();
        if line.iter().all(is_blank) {
            return;
        }
        let mut joined = View::default();
        for piece in &line {
            match piece.is_empty() {
                true => joined.glue("\n"),
                false => decode(self.html, piece.clone(), &mut joined),
            }
        }
        (self.each)(&joined);
        if line.len() > 1 {
            // What is marked may be meant for itself.
            for piece in line.into_iter().filter(|piece| !self.html[piece.clone()].trim().is_empty()) {
                let mut view = View::default();
                decode(self.html, piece, &mut view);
                (self.each)(&view);
            }
        }
    }
}

struct Tag {
    name: String,
    is_end: bool,
    /// Where what follows begins.
    end: usize,
}

/// Where the tag that closes `name` begins.
fn closing(html: &str, name: &str) -> Option<usize> {
    let is_it = |at: &usize| {
        let rest = &html.as_bytes()[at + 2..];
        rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    };
    html.match_indices("</").map(|(at, _)| at).find(is_it)
}

/// Adds what stands at `place`, its escapes undone: character references, and hidden characters as
/// [`crate::page::escape`] writes them.
fn decode(html: &str, place: Range<usize>, view: &mut View) {
    /// Characters of the longest escape.
    const LONGEST: usize = 14;
    let mut plain_from = place.start;
    let mut at = place.start;
    while let Some(found) = html[at..place.end].find(['&', '‹']) {
        let start = at + found;
        let written = &html[start..place.end];
        let last = if written.starts_with('&') { ';' } else { '›' };
        let end = written.char_indices().take(LONGEST).find(|(_, c)| *c == last);
        let escape = end.map(|(end, _)| &written[..end + last.len_utf8()]);
        let Some((escape, meant)) = escape.and_then(|escape| Some((escape, meaning(escape)?))) else {
            at = start + written.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        view.plain(html, plain_from..start);
        at = start + escape.len();
        match meant {
            // The page's own sign for "more follows": no cut.
            Meant::Ellipsis => "...".chars().for_each(|dot| view.escape(dot, start..at)),
            Meant::Char(meant) => view.escape(meant, start..at),
        }
        plain_from = at;
    }
    view.plain(html, plain_from..place.end);
}

enum Meant {
    Char(char),
    Ellipsis,
}

fn meaning(escape: &str) -> Option<Meant> {
    let from = |digits: &str, radix: u32| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    if let Some(hidden) = escape.strip_prefix("‹U+") {
        return from(hidden.strip_suffix('›')?, 16).map(Meant::Char);
    }
    let name = escape.strip_prefix('&')?.strip_suffix(';')?;
    let meant = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "hellip" => return Some(Meant::Ellipsis),
        _ => {
            let digits = name.strip_prefix('#')?;
            match digits.strip_prefix(['x', 'X']) {
                Some(digits) => from(digits, 16)?,
                None => from(digits, 10)?,
            }
        }
    };
    Some(Meant::Char(meant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(html: &str, expected: &[&str]) {
        let mut found = Vec::new();
        views(html, |view| found.push(view.text.clone()));
        assert_eq!(found, expected, "{html}");
    }

    #[test]
    fn texts_read_as_they_are_shown() {
        check("<p>a&amp;b &#39;c&#x27; &quot;&lt;&gt;</p>", &["a&b 'c' \"<>"]);
        check("<p>a &unknown; & b &#x110000;", &["a &unknown; & b &#x110000;"]);
        check("<td>a</td><td>b</td>", &["a", "b"]);
        check("<p>lo<mark id=x class=y>pe</mark>z<br>x</p>", &["x", "lopez\nx", "lo", "pe", "z", "x"]);
        check("<p>a‹U+202E›b Save&hellip; ‹x›", &["a\u{202E}b Save... ‹x›"]);
        check("<a href='/x?a=1&amp;b=2' title = \"t>\" data-x=y>z</a>", &["/x?a=1&b=2", "t>", "y", "z"]);
        check("1 < 2 <3 <é", &["1 < 2 <3 <é", "1 ", "<", " 2 ", "<", "3 ", "<", "é"]);
        check("<!-- a&amp; --><script>\"<p>\"</script>x", &[" a&amp; ", "\"<p>\"", "x"]);
        check("<script>a", &["a"]);
        check("<p title=\"open", &["<p title=\"open", "<", "p title=\"open"]);
        check("", &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(html in "(<|>|/|=|\"|'|&|;|#|!|-|a|br|script|p|é|‹|›| |\n|[[:ascii:]]){0,60}") {
            views(&html, |view| {
                let mut places = Vec::new();
                view.places(&(0..view.text.len()), &mut places);
                for place in places {
                    assert!(html.is_char_boundary(place.start) && html.is_char_boundary(place.end));
                }
            });
        }
    }
}
