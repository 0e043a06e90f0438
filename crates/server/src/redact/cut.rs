//! What is left of a secret where a text was cut?
//!
//! Lists show the beginning of long texts and end them with `…`. Of what a pattern matches, only the beginning may then be
//! there, which the pattern does not match. So of each pattern three more are made: what its matches begin with, what they
//! end with, and what stands inside of them. What could go on beyond a cut to become a match is masked up to the cut; so is
//! now and then what would not have become one.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition};
use std::ops::Range;

/// The sign of a cut.
pub(crate) const CUT: char = '…';
/// Most memory of a pattern made here; in place of a larger one, everything next to a cut is masked.
const MAX_PATTERN: usize = 8 << 20;
/// How deeply a pattern made here may nest.
const MAX_NESTED: u32 = 2000;
/// Bytes after a cut that are looked at.
const MAX_AFTER: usize = 4096;

/// What a pattern's matches are made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Matches a beginning at the end of a text.
    begun: Regex,
    /// Matches an end, written backwards, at the end of a text.
    ended: Regex,
    /// Matches a whole text that is a middle.
    inside: Regex,
}

impl Parts {
    /// # Errors
    /// A pattern that is none.
    pub(super) fn of(pattern: &str) -> Result<Self, String> {
        let whole = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
        let end = Hir::look(regex_syntax::hir::Look::End);
        let start = Hir::look(regex_syntax::hir::Look::Start);
        Ok(Self {
            begun: compiled(&Hir::concat(vec![beginning(&whole), end.clone()]))?,
            ended: compiled(&Hir::concat(vec![beginning(&backwards(&whole)), end.clone()]))?,
            inside: compiled(&Hir::concat(vec![start, middle(&whole), end]))?,
        })
    }

    /// Adds what may be left of a match next to the cuts in `text`.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let mut from = 0;
        let mut is_after_cut = false;
        for part in text.split(CUT) {
            let to = from + part.len();
            let is_before_cut = to < text.len();
            if is_before_cut && let Some(begun) = self.begun.find(part.trim_end()) {
                found.push(from + begun.start()..from + begun.end());
            }
            if is_after_cut {
                let after = part.trim_start();
                let skipped = part.len() - after.len();
                let after = &after[..after.floor_char_boundary(MAX_AFTER)];
                let reversed: String = after.chars().rev().collect();
                if let Some(ended) = self.ended.find(&reversed) {
                    found.push(from + skipped..from + skipped + ended.len());
                }
                if is_before_cut && self.inside.is_match(part.trim()) {
                    found.push(from..to);
                }
            }
            is_after_cut = true;
            from = to + CUT.len_utf8();
        }
        found.retain(|place| !place.is_empty());
    }
}

/// The pattern, or one that matches everything if it is too large.
fn compiled(hir: &Hir) -> Result<Regex, String> {
    let build =
        |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_PATTERN).nest_limit(MAX_NESTED).build();
    build(&hir.to_string()).or_else(|_| build("(?s).*")).map_err(|error| error.to_string())
}

/// The same without what it demands of its surroundings, which a cut has taken away.
fn anywhere(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(anywhere).collect();
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Capture(group) => anywhere(&group.sub),
        HirKind::Repetition(repeated) => repetition(repeated.min, repeated.max, anywhere(&repeated.sub)),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

/// What its matches begin with, from nothing to all of them.
fn beginning(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => {
            let one = |c: char| Hir::literal(c.to_string().into_bytes());
            let text = String::from_utf8_lossy(&literal.0);
            let nested = |rest: Hir, c: char| optional(Hir::concat(vec![one(c), rest]));
            text.chars().rev().fold(Hir::empty(), nested)
        }
        HirKind::Class(_) => optional(hir.clone()),
        HirKind::Capture(group) => beginning(&group.sub),
        HirKind::Repetition(repeated) => {
            if repeated.max == Some(0) {
                return Hir::empty();
            }
            let before = repetition(0, repeated.max.map(|max| max - 1), anywhere(&repeated.sub));
            Hir::concat(vec![before, beginning(&repeated.sub)])
        }
        HirKind::Concat(parts) => parts.iter().rev().fold(Hir::empty(), |rest, part| {
            Hir::alternation(vec![Hir::concat(vec![anywhere(part), rest]), beginning(part)])
        }),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(beginning).collect()),
    }
}

/// The same for texts written backwards.
fn backwards(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => {
            let reversed: String = String::from_utf8_lossy(&literal.0).chars().rev().collect();
            Hir::literal(reversed.into_bytes())
        }
        HirKind::Class(_) => hir.clone(),
        HirKind::Capture(group) => backwards(&group.sub),
        HirKind::Repetition(repeated) => repetition(repeated.min, repeated.max, backwards(&repeated.sub)),
        HirKind::Concat(parts) => Hir::concat(parts.iter().rev().map(backwards).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(backwards).collect()),
    }
}

/// What stands inside its matches, or a little more.
fn middle(hir: &Hir) -> Hir {
    let ending = |hir: &Hir| backwards(&beginning(&backwards(hir)));
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            let ranges = text.chars().map(|c| ClassUnicodeRange::new(c, c));
            repetition(0, None, Hir::class(Class::Unicode(ClassUnicode::new(ranges))))
        }
        HirKind::Class(_) => optional(hir.clone()),
        HirKind::Capture(group) => middle(&group.sub),
        HirKind::Repetition(repeated) => {
            let sub = &repeated.sub;
            let several = vec![ending(sub), repetition(0, None, anywhere(sub)), beginning(sub)];
            Hir::alternation(vec![middle(sub), Hir::concat(several)])
        }
        HirKind::Concat(parts) => {
            let mut all: Vec<Hir> = parts.iter().map(middle).collect();
            for (index, part) in parts.iter().enumerate() {
                let rest = Hir::concat(parts[index + 1..].to_vec());
                all.push(Hir::concat(vec![ending(part), beginning(&rest)]));
            }
            Hir::alternation(all)
        }
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(middle).collect()),
    }
}

fn optional(hir: Hir) -> Hir {
    repetition(0, Some(1), hir)
}

fn repetition(min: u32, max: Option<u32>, sub: Hir) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(sub) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::view::{MASK, masked};
    use super::*;
    use proptest::prelude::*;

    fn cut(pattern: &str, text: &str) -> String {
        let mut found = Vec::new();
        Parts::of(pattern).unwrap().find(text, &mut found);
        masked(text, found.into_iter().map(|place| (place, MASK)).collect()).into_owned()
    }

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: &str) {
        assert_eq!(cut(pattern, text), expected, "{pattern} {text}");
    }

    #[test]
    fn what_may_go_on_beyond_a_cut_is_masked() {
        let mail = r"[\w.]+@[\w.]+";
        check(mail, "from ann.s… (12 more)", "from █████… (12 more)");
        check(mail, "from ann@pl…", "from █████…");
        check(mail, "…nt.example, and", "…█████, and");
        check(mail, "from: …", "from: …");
        check(mail, "nothing is cut", "nothing is cut");
        check("(?i)lopez", "user LOP…, host …ez ok …ope… x", "user █████…, host …█████ ok …█████… x");
        check(r"(?i)\blopez\b", "user lo…", "user █████…");
        check(r"card (?<secret>\d{4}( \d{4}){3})", "card 4111 11…", "█████…");
        check("(?s)BEGIN.*?END", "x BEGIN abc\ndef…", "x █████…");
        check("^(a|bc)+$", "xbcab…", "x█████…");
    }

    #[test]
    fn what_is_too_large_to_be_told_masks_everything_next_to_a_cut() {
        let large = r"(\w{40}[\pL\pN]{40}\w{40}){3}";
        check(large, "a b c…d e f", "█████…█████");
    }

    proptest! {
        /// However a match is cut, no part of it is left.
        #[test]
        fn nothing_of_a_match_is_left(
            secret in "[a-c]{2,6}-[x-z]{1,4}(é|ß){1,2}", before in "[ (]{0,3}", from in 0..14usize, to in 0..14usize,
        ) {
            let pattern = "[a-c]{2,6}-[x-z]+(?:é|ß)*";
            let chars: Vec<char> = secret.chars().collect();
            let (from, to) = (from.min(chars.len()), to.min(chars.len()));
            prop_assume!(from < to);
            let kept: String = chars[from..to].iter().collect();
            let lead = if from > 0 { "…" } else { before.as_str() };
            let rest = if to < chars.len() { "…" } else { " )" };
            let text = cut(pattern, &format!("{lead}{kept}{rest}"));
            let whole = Regex::new(pattern).unwrap();
            prop_assert!(from == 0 && whole.is_match(&kept) || !text.contains(&kept), "{text}");
        }
    }
}
