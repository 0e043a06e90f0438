//! What of a text is content, and what is a call? Piece by piece, as it is written.
//!
//! The grammar says how calls look, so this only looks for where they begin and end. Content ends before the first stop
//! sequence; what may be the beginning of one, or of a call's end, waits for what follows.

use super::form::{CALL_ARGUMENTS, CALL_CLOSE, CALL_NAME, CALL_OPEN};

/// What came of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Content(String),
    /// A call of this number of this function.
    Call(usize, String),
    /// More of the arguments of the call with this number.
    Arguments(usize, String),
}

#[derive(Debug)]
enum Place {
    Content,
    /// Before the function's name is known.
    Head(String),
    /// `held` may be the end of the call; `whole` is everything so far.
    Arguments {
        held: String,
        whole: String,
    },
    /// After the arguments.
    Tail(String),
}

/// One answer, as far as it is written.
#[derive(Debug)]
pub(super) struct Scan {
    place: Place,
    /// Whether calls begin with a token of their own, or with its name as text at the very beginning.
    marked: bool,
    calls: usize,
    stops: Vec<String>,
    /// Content that waits.
    held: String,
    /// Whether a stop sequence was found.
    pub(super) stopped: bool,
    begun: bool,
    may_call: bool,
    /// Whether content that may be a call by itself waits until it is whole.
    lean: bool,
}

impl Scan {
    pub(super) fn new(stops: Vec<String>, may_call: bool, marked: bool) -> Self {
        Self {
            place: Place::Content,
            marked,
            calls: 0,
            stops,
            held: String::new(),
            stopped: false,
            begun: false,
            may_call,
            lean: false,
        }
    }

    /// Has content that begins as the object of a call wait until it is whole.
    pub(super) fn leaning(self) -> Self {
        Self { lean: true, ..self }
    }

    /// What waited as content and is a call after all.
    pub(super) fn take_held(&mut self) -> Option<String> {
        let held = self.lean && !self.stopped && self.calls == 0 && !self.held.is_empty();
        held.then(|| std::mem::take(&mut self.held))
    }

    /// A whole call that was not marked as one.
    pub(super) fn call(&mut self, name: String, arguments: String, out: &mut Vec<Part>) {
        out.push(Part::Call(self.calls, name));
        out.push(Part::Arguments(self.calls, arguments));
        self.calls += 1;
    }

    /// Content after all.
    pub(super) fn give_back(&mut self, held: String) {
        self.held = held;
    }

    /// Calls begun.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Takes a piece in; `special` if it is a special token, by its name.
    pub(super) fn push(&mut self, piece: &str, special: bool, out: &mut Vec<Part>) {
        if self.stopped {
            return;
        }
        let mut rest = piece.to_owned();
        while !rest.is_empty() {
            rest = match std::mem::replace(&mut self.place, Place::Content) {
                Place::Content => self.content(&rest, special, out),
                Place::Head(head) => self.head(head + &rest, out),
                Place::Arguments { held, whole } => self.arguments(&(held + &rest), whole, out),
                Place::Tail(tail) => self.tail(tail + &rest),
            };
        }
    }

    /// The end: what waited is content, or belongs to the arguments if they are not whole without it.
    pub(super) fn finish(&mut self, out: &mut Vec<Part>) {
        match std::mem::replace(&mut self.place, Place::Content) {
            Place::Arguments { held, whole } if !held.is_empty() && !is_json(&whole) => {
                out.push(Part::Arguments(self.calls - 1, held));
            }
            _ => {}
        }
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() && !self.stopped {
            out.push(Part::Content(held));
        }
    }

    fn content(&mut self, piece: &str, special: bool, out: &mut Vec<Part>) -> String {
        if self.may_call && self.marked && special && piece == CALL_OPEN {
            self.place = Place::Head(String::new());
            self.flush(out);
            return String::new();
        }
        if self.may_call && !self.marked && !self.begun {
            // The grammar lets nothing else begin so.
            self.held.push_str(piece);
            if let Some(rest) = self.held.strip_prefix(CALL_OPEN) {
                let rest = rest.to_owned();
                self.held.clear();
                self.place = Place::Head(String::new());
                return rest;
            }
            if CALL_OPEN.starts_with(&self.held) {
                return String::new();
            }
            self.begun = true;
        } else {
            self.held.push_str(piece);
        }
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = found {
            self.held.truncate(at);
            self.flush(out);
            self.stopped = true;
            return String::new();
        }
        self.lean = self.lean && may_be_call(&self.held);
        if self.lean {
            return String::new();
        }
        let wait = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let ready = self.held.len() - wait;
        if ready > 0 {
            let rest = self.held.split_off(ready);
            out.push(Part::Content(std::mem::replace(&mut self.held, rest)));
        }
        String::new()
    }

    fn flush(&mut self, out: &mut Vec<Part>) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            out.push(Part::Content(held));
        }
    }

    fn head(&mut self, head: String, out: &mut Vec<Part>) -> String {
        let named = head.strip_prefix(CALL_NAME).and_then(|rest| rest.split_once(CALL_ARGUMENTS));
        let Some((name, rest)) = named else {
            self.place = Place::Head(head);
            return String::new();
        };
        out.push(Part::Call(self.calls, name.to_owned()));
        self.calls += 1;
        self.place = Place::Arguments { held: String::new(), whole: String::new() };
        rest.to_owned()
    }

    fn arguments(&mut self, text: &str, mut whole: String, out: &mut Vec<Part>) -> String {
        let call = self.calls - 1;
        // Arguments are on one line: what breaks it is the end of the call's own object.
        let (arguments, held, rest) = match text.split_once('\n') {
            Some((line, rest)) => (line.strip_suffix('}').unwrap_or(line), None, rest),
            None => match text.strip_suffix('}') {
                Some(before) => (before, Some("}"), ""),
                None => (text, Some(""), ""),
            },
        };
        if !arguments.is_empty() {
            whole.push_str(arguments);
            out.push(Part::Arguments(call, arguments.to_owned()));
        }
        self.place = match held {
            Some(held) => Place::Arguments { held: held.to_owned(), whole },
            None => Place::Tail(String::new()),
        };
        rest.to_owned()
    }

    /// Up to the end of the call and the line break before the next.
    fn tail(&mut self, tail: String) -> String {
        let after = tail.strip_prefix(CALL_CLOSE).map(|rest| rest.trim_start_matches('\n').to_owned());
        match after {
            Some(rest) if rest.is_empty() => {
                self.place = Place::Tail(tail);
                String::new()
            }
            Some(rest) => match rest.strip_prefix(CALL_OPEN) {
                Some(rest) => {
                    self.place = Place::Head(String::new());
                    rest.to_owned()
                }
                None => {
                    self.place = Place::Tail(tail);
                    String::new()
                }
            },
            None => {
                self.place = Place::Tail(tail);
                String::new()
            }
        }
    }
}

/// Whether a text, as far as it goes, may be the object of a call, in a block of JSON or not.
fn may_be_call(text: &str) -> bool {
    const BEGINNINGS: [&str; 3] = ["{\"name\":\"", "```json{\"name\":\"", "```{\"name\":\""];
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).take(24).collect();
    BEGINNINGS.iter().any(|beginning| compact.starts_with(beginning) || beginning.starts_with(&compact))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// How many bytes at the end of `text` are a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let most = stop.len().saturating_sub(1).min(text.len());
    let begins = |length: &usize| {
        text.is_char_boundary(text.len() - length) && stop.starts_with(&text[text.len() - length..])
    };
    (1..=most).rev().find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of every size give the same content and calls.
    fn check(text: &str, stops: &[&str], marked: bool, expected: &[Part]) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        for size in [1, 2, 3, 7, 1000] {
            let mut scan = Scan::new(stops.clone(), true, marked);
            let mut out = Vec::new();
            let mut rest = text;
            while !rest.is_empty() {
                let marker =
                    [CALL_OPEN, CALL_CLOSE].into_iter().find(|name| marked && rest.starts_with(name));
                let end = marker.map_or_else(
                    || {
                        let next = [CALL_OPEN, CALL_CLOSE].iter().filter_map(|name| rest.find(name)).min();
                        let limit = next.filter(|_| marked).unwrap_or(rest.len());
                        (1..=limit).filter(|at| rest.is_char_boundary(*at)).nth(size - 1).unwrap_or(limit)
                    },
                    str::len,
                );
                scan.push(&rest[..end], marker.is_some(), &mut out);
                rest = &rest[end..];
            }
            scan.finish(&mut out);
            assert_eq!(joined(&out), expected, "{text} in pieces of {size}");
        }
    }

    fn joined(parts: &[Part]) -> Vec<Part> {
        let mut all: Vec<Part> = Vec::new();
        for part in parts {
            match (all.last_mut(), part) {
                (Some(Part::Content(before)), Part::Content(more)) => before.push_str(more),
                (Some(Part::Arguments(_, before)), Part::Arguments(_, more)) => before.push_str(more),
                _ => all.push(part.clone()),
            }
        }
        all
    }

    fn content(text: &str) -> Part {
        Part::Content(text.to_owned())
    }

    fn call(number: usize, name: &str, arguments: &str) -> [Part; 2] {
        [Part::Call(number, name.to_owned()), Part::Arguments(number, arguments.to_owned())]
    }

    #[test]
    fn content_ends_before_a_stop() {
        check("one two END three", &["END"], true, &[content("one two ")]);
        check("one \u{20ac}", &["\u{20ac}\u{20ac}"], false, &[content("one \u{20ac}")]);
        check("aab", &["ab", "aac"], true, &[content("a")]);
        check("<b>", &[], false, &[content("<b>")]);
        check("<tool", &[], false, &[content("<tool")]);
    }

    #[test]
    fn what_may_be_a_call_by_itself_waits() {
        for (text, waits) in [
            ("{\"name\": \"f\", \"arguments\": {}}", true),
            ("```json\n{\n  \"name\": \"f\"", true),
            ("", true),
            ("{\"host\": 1}", false),
            ("```python\nx", false),
            ("Well", false),
        ] {
            assert_eq!(may_be_call(text), waits, "{text}");
            let (mut scan, mut out) = (Scan::new(Vec::new(), true, true).leaning(), Vec::new());
            text.chars().for_each(|c| scan.push(&c.to_string(), false, &mut out));
            assert_eq!(out.is_empty(), waits, "{text}");
            scan.finish(&mut out);
            assert_eq!(joined(&out).first(), Some(&content(text)).filter(|_| !text.is_empty()), "{text}");
        }
    }

    #[test]
    fn calls_are_told_from_content() {
        let two = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": {\"b\": \"}\\n\"}}}\n</tool_call>\n\
                   <tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
        let [f, fa] = call(0, "f", "{\"a\": {\"b\": \"}\\n\"}}");
        let [g, ga] = call(1, "g", "{}");
        check(two, &["f"], false, &[f.clone(), fa.clone(), g.clone(), ga.clone()]);
        check(&format!("well {two}"), &[], true, &[content("well "), f, fa, g, ga]);
    }

    #[test]
    fn what_is_cut_off_keeps_what_belongs_to_it() {
        let cut = |arguments: &str, expected: &str| {
            let text = format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}");
            check(&text, &[], true, &call(0, "f", expected));
        };
        cut("{\"a\": {}}", "{\"a\": {}}");
        cut("{\"a\": {}}}", "{\"a\": {}}");
        cut("{\"a\": {}", "{\"a\": {}");
        cut("{\"a\": 1", "{\"a\": 1");
    }
}
