//! How is the text of a query read? A small language in the manner of KQL and Lucene.
//!
//! Words all have to occur; `AND`, `OR`, `NOT` (`&&`, `||`, `!`, `-`), parentheses, `"phrases"`, `*` and `?`,
//! `field:value`, `field:(a OR b)`, `field:*`, `field:[a TO b]`, `field>=5`, `ip:10.0.0.0/8`, `earliest=-24h`,
//! `latest=2024-05-01T08:00Z`. A backslash takes the next character as itself where it would mean something.

use super::expr::{Bound, Expr, Test};
use super::glob::Glob;
use super::time;
use super::words::words;
use crate::{Error, Result};
use casemate_event::{Entity, EntityKind, TemplateId};
use jiff::Timestamp;
use std::net::IpAddr;

/// Longest query text, in bytes.
const MAX_TEXT: usize = 4096;
/// Deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 16;
/// Most clauses, and most of them with wildcards.
const MAX_CLAUSES: usize = 256;
const MAX_PATTERNS: usize = 32;

const FIELDS: &str = "fields are message, host, user, ip, process, file, hash, domain, registry, asset, process_id, entity, class, \
                      format, template, source, id, time, raw, native.NAME and normalised names such as process.cmd_line; \
                      put a value that contains a colon in double quotes";
const QUOTES: &str = "put values with spaces, colons or brackets in double quotes, as in process:\"a b.exe\"";
const TIMES: &str = "write times as 2024-01-31T08:00:00Z, -15m, -24h, -7d, now or -1d@d";

/// Normalised fields whose names have no dot.
const UNDOTTED: [&str; 4] = ["activity_name", "status", "status_detail", "logon_type_id"];

/// Reads a query; times relative to `now`. Empty text asks for every event.
///
/// # Errors
/// [`Error::Query`] with the column and what to write instead.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Expr> {
    let mut parser = Parser { text, rest: text, now, depth: 0, clauses: 0, patterns: 0 };
    if text.len() > MAX_TEXT {
        let reason = format!("it is {} bytes long and the limit is {MAX_TEXT}", text.len());
        return Err(parser.refused(&reason, "search for fewer words at once"));
    }
    parser.space();
    if parser.rest.is_empty() {
        return Ok(Expr::All);
    }
    let expr = parser.any_of(None)?;
    if !parser.rest.is_empty() {
        return Err(parser.refused("there is a closing parenthesis too many", QUOTES));
    }
    Ok(expr)
}

/// What a person typed into a box that takes queries and plain words alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: every event.
    Everything,
    /// Words without any operator, field or pattern, and how many.
    Words(usize),
    /// A query.
    Query,
}

/// Says what `text` is read as.
///
/// # Errors
/// [`Error::Query`] with the place and what to write instead.
pub fn read(text: &str) -> Result<Reading> {
    // The end of a question stands for no character.
    let question =
        text.trim_end().strip_suffix('?').filter(|question| question.contains(char::is_whitespace));
    let text = question.unwrap_or(text);
    let expr = parse(text, Timestamp::UNIX_EPOCH)?;
    let is_word = |expr: &Expr| matches!(expr, Expr::Phrase(_) | Expr::All);
    let words = match &expr {
        Expr::And(parts) if parts.iter().all(is_word) => parts.len(),
        Expr::Phrase(_) => 1,
        Expr::All if text.trim().is_empty() => return Ok(Reading::Everything),
        _ => return Ok(Reading::Query),
    };
    // What is in quotes is meant as it stands, and so is what is joined by hand.
    let joined = text.split_whitespace().any(|word| matches!(word, "AND" | "&&") || word.starts_with('+'));
    Ok(if joined || text.contains(['"', '(', '*']) { Reading::Query } else { Reading::Words(words) })
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    now: Timestamp,
    depth: usize,
    /// Clauses so far, and those with wildcards, each of which looks through all words.
    clauses: usize,
    patterns: usize,
}

/// Characters with whether they may stand for others.
type Characters = Vec<(char, bool)>;

impl<'a> Parser<'a> {
    /// Alternatives; of one field if they stand in its parentheses.
    fn any_of(&mut self, field: Option<&str>) -> Result<Expr> {
        let mut parts = vec![self.all_of(field)?];
        while self.keyword(&["OR", "||"]) {
            parts.push(self.all_of(field)?);
        }
        Ok(single(parts, Expr::Or))
    }

    fn all_of(&mut self, field: Option<&str>) -> Result<Expr> {
        let mut parts = vec![self.one(field)?];
        loop {
            let joined = self.keyword(&["AND", "&&"]);
            let ends = self.rest.is_empty() || self.rest.starts_with(')') || self.at_keyword(&["OR", "||"]);
            if ends && joined {
                return Err(self.refused("something is missing after AND", QUOTES));
            }
            if ends {
                return Ok(single(parts, Expr::And));
            }
            parts.push(self.one(field)?);
        }
    }

    fn one(&mut self, field: Option<&str>) -> Result<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("its parentheses nest deeper than {MAX_DEPTH}");
            return Err(self.refused(&reason, "use fewer, or put literal parentheses in double quotes"));
        }
        let expr = self.unbounded_one(field)?;
        self.depth -= 1;
        self.space();
        Ok(expr)
    }

    fn unbounded_one(&mut self, field: Option<&str>) -> Result<Expr> {
        if self.keyword(&["NOT"]) || self.sign('-') || self.sign('!') {
            return Ok(Expr::Not(Box::new(self.one(field)?)));
        }
        self.sign('+');
        if self.rest.is_empty() {
            return Err(self.refused(
                "it ends where something to look for is expected",
                "add something to look for, or leave out the operator",
            ));
        }
        if let Some(inner) = self.rest.strip_prefix('(') {
            self.rest = inner;
            self.space();
            let expr = self.any_of(field)?;
            return self.closed(expr);
        }
        self.clauses += 1;
        let expr = match field {
            Some(name) => self.value(name),
            None => self.clause(),
        }?;
        self.patterns += usize::from(matches!(
            expr,
            Expr::Pattern(_)
                | Expr::MessagePattern(_)
                | Expr::Field(_, Test::Like(_))
                | Expr::Entity(_, Test::Like(_))
        ));
        if self.clauses > MAX_CLAUSES || self.patterns > MAX_PATTERNS {
            let reason =
                format!("it has more than {MAX_CLAUSES} parts, or more than {MAX_PATTERNS} with wildcards");
            return Err(self.refused(&reason, "search for fewer words at once"));
        }
        Ok(expr)
    }

    fn closed(&mut self, expr: Expr) -> Result<Expr> {
        match self.rest.strip_prefix(')') {
            Some(rest) => {
                self.rest = rest;
                Ok(expr)
            }
            None => Err(self.refused("a parenthesis is not closed", QUOTES)),
        }
    }

    fn clause(&mut self) -> Result<Expr> {
        let length = self
            .rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_.@-".contains(byte))
            .count();
        let (name, after) = self.rest.split_at(length);
        let known = is_known(name);
        if let Some(rest) = after.strip_prefix('=').filter(|_| matches!(name, "earliest" | "latest")) {
            self.rest = rest;
            return self.bound(name == "earliest");
        }
        if let Some(rest) = after.strip_prefix(':').filter(|rest| is_name(name) && !rest.starts_with('\\')) {
            if !known {
                let meant =
                    nearest(name).map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
                return Err(self.refused(&format!("there is no field {name:?}{meant}"), FIELDS));
            }
            self.rest = rest;
            return self.value(name);
        }
        if known && after.starts_with(['<', '>', '=']) {
            self.rest = after.strip_prefix('=').unwrap_or(after);
            return self.value(name);
        }
        if self.rest.starts_with('"') {
            let text = self.quoted()?;
            return Ok(phrase(&text, Expr::Phrase));
        }
        let characters = self.bare();
        if characters.is_empty() {
            return Err(self.refused("something to look for is missing", QUOTES));
        }
        if !characters.iter().any(|(_, wild)| *wild) {
            return Ok(phrase(&text_of(&characters), Expr::Phrase));
        }
        let glob = Glob::new(&characters);
        Ok(if glob.is_everything() { Expr::All } else { Expr::Pattern(glob) })
    }

    /// What follows `field:` or `field` and an operator.
    fn value(&mut self, name: &str) -> Result<Expr> {
        if let Some(inner) = self.rest.strip_prefix('(') {
            self.rest = inner;
            self.space();
            let expr = self.any_of(Some(name))?;
            return self.closed(expr);
        }
        let start = self.rest;
        let test = self.test()?;
        // What is wrong with a value is told of where it starts.
        let behind = std::mem::replace(&mut self.rest, start);
        let expr = self.about(name, test)?;
        self.rest = behind;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Test> {
        for (sign, from, included) in
            [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                self.space();
                let value = self.plain()?;
                let bound = if included { Bound::Included(value) } else { Bound::Excluded(value) };
                return Ok(if from {
                    Test::Between(bound, Bound::Open)
                } else {
                    Test::Between(Bound::Open, bound)
                });
            }
        }
        if self.rest.starts_with(['[', '{']) {
            return self.range();
        }
        if self.rest.starts_with('"') {
            return Ok(Test::Is(self.quoted()?));
        }
        let characters = self.bare();
        if characters.is_empty() {
            return Err(self.refused("a value is missing", QUOTES));
        }
        if !characters.iter().any(|(_, wild)| *wild) {
            let text = text_of(&characters);
            return Ok(network(&text).unwrap_or(Test::Is(text)));
        }
        let glob = Glob::new(&characters);
        Ok(if glob.is_everything() { Test::Exists } else { Test::Like(glob) })
    }

    /// `[a TO b]`; curly where an end is excluded, `*` where it is open.
    fn range(&mut self) -> Result<Test> {
        let low_included = self.rest.starts_with('[');
        let Some(end) = self.rest.find([']', '}']) else {
            return Err(self
                .refused("a range is not closed", "write ranges as [1 TO 5], or {1 TO 5} without its ends"));
        };
        let (inner, rest) = (&self.rest[1..end], &self.rest[end..]);
        let Some((low, high)) = inner.split_once(" TO ") else {
            return Err(self.refused("a range has no TO", "write ranges as [1 TO 5], with * for an open end"));
        };
        let high_included = rest.starts_with(']');
        self.rest = &rest[1..];
        let bound = |text: &str, included: bool| match (text.trim().trim_matches('"'), included) {
            ("*" | "", _) => Bound::Open,
            (text, true) => Bound::Included(text.to_owned()),
            (text, false) => Bound::Excluded(text.to_owned()),
        };
        Ok(Test::Between(bound(low, low_included), bound(high, high_included)))
    }

    /// The clause that says `test` of the field `name`.
    fn about(&self, name: &str, test: Test) -> Result<Expr> {
        if let Some(kind) = entity_kind(name) {
            return Ok(Expr::Entity(kind, test));
        }
        Ok(match name {
            "message" => match test {
                Test::Is(text) => phrase(&text, Expr::Message),
                Test::Exists => Expr::All,
                Test::Like(glob) => Expr::MessagePattern(glob),
                _ => return Err(self.refused("messages have no order", QUOTES)),
            },
            "entity" => {
                let Test::Is(text) = test else {
                    return Err(self.refused("an entity is one of a kind", "write entity:\"user:alice\""));
                };
                let entity: Entity =
                    text.parse().map_err(|why: String| self.refused(&why, "write entity:\"user:alice\""))?;
                Expr::Entity(entity.kind, Test::Is(entity.value))
            }
            "template" => {
                let text = if let Test::Is(text) = &test { text } else { "" };
                let id = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
                Expr::Template(TemplateId(id.ok_or_else(|| {
                    self.refused("a template is named by 16 hexadecimal digits", "copy it from an event")
                })?))
            }
            "time" => self.time(&test)?,
            "id" => Expr::Id(self.number(test)?),
            "raw" => Expr::Raw(test),
            "source" => Expr::Source(test),
            "format" => Expr::Format(test),
            "class" => Expr::Class(test),
            name => match name.strip_prefix("native.") {
                Some(native) => Expr::Native(native.to_owned(), test),
                None => Expr::Field(name.strip_prefix("fields.").unwrap_or(name).to_owned(), test),
            },
        })
    }

    /// A test of the number of an event, its numbers as they are written plainly.
    fn number(&self, test: Test) -> Result<Test> {
        let plain = |text: &str| {
            let number: Option<u64> = text.parse().ok();
            number
                .map(|number| number.to_string())
                .ok_or_else(|| self.refused("an event is numbered", "write id:7 or id:[7 TO 9]"))
        };
        let bound = |bound: Bound| -> Result<Bound> {
            Ok(match bound {
                Bound::Open => Bound::Open,
                Bound::Included(text) => Bound::Included(plain(&text)?),
                Bound::Excluded(text) => Bound::Excluded(plain(&text)?),
            })
        };
        match test {
            Test::Exists => Ok(Test::Exists),
            Test::Is(text) => plain(&text).map(Test::Is),
            Test::Between(low, high) => Ok(Test::Between(bound(low)?, bound(high)?)),
            Test::Like(_) | Test::In(..) => plain("").map(Test::Is),
        }
    }

    fn time(&self, test: &Test) -> Result<Expr> {
        let at = |text: &str| {
            time::parse(text, self.now).ok_or_else(|| self.refused(&format!("{text:?} is no time"), TIMES))
        };
        let end = |bound: &Bound| match bound {
            Bound::Open => Ok(None),
            Bound::Included(text) | Bound::Excluded(text) => at(text).map(Some),
        };
        match test {
            Test::Is(text) => at(text).map(|time| Expr::Time(Some(time), Some(time))),
            Test::Between(low, high) => Ok(Expr::Time(end(low)?, end(high)?)),
            Test::Exists => Ok(Expr::All),
            _ => Err(self.refused("a time has no pattern", TIMES)),
        }
    }

    /// What follows `earliest=` or `latest=`.
    fn bound(&mut self, earliest: bool) -> Result<Expr> {
        let start = self.rest;
        let text = self.plain()?;
        let Some(time) = time::parse(&text, self.now) else {
            self.rest = start;
            return Err(self.refused(&format!("{text:?} is no time"), TIMES));
        };
        Ok(if earliest { Expr::Time(Some(time), None) } else { Expr::Time(None, Some(time)) })
    }

    fn plain(&mut self) -> Result<String> {
        let text = if self.rest.starts_with('"') { self.quoted()? } else { text_of(&self.bare()) };
        if text.is_empty() { Err(self.refused("a value is missing", QUOTES)) } else { Ok(text) }
    }

    /// Up to white space or a closing parenthesis.
    fn bare(&mut self) -> Characters {
        let mut characters = Vec::new();
        let mut rest = self.rest.chars();
        loop {
            let before = rest.as_str();
            let Some(character) = rest.next() else { break };
            match character {
                '\\' => {
                    let next = rest.clone().next();
                    if next.is_some_and(|next| "\\\"*?:()[]{}+-!<>= ".contains(next)) {
                        rest.next();
                    }
                    let itself = next.filter(|next| "\\\"*?:()[]{}+-!<>= ".contains(*next));
                    characters.push((itself.unwrap_or('\\'), false));
                }
                ')' => {
                    self.rest = before;
                    return characters;
                }
                _ if character.is_whitespace() => {
                    self.rest = before;
                    return characters;
                }
                _ => characters.push((character, matches!(character, '*' | '?'))),
            }
        }
        self.rest = "";
        characters
    }

    fn quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        let mut rest = self.rest.chars();
        rest.next();
        while let Some(character) = rest.next() {
            match character {
                '"' => {
                    self.rest = rest.as_str();
                    return Ok(text);
                }
                '\\' => match rest.clone().next() {
                    Some(next @ ('"' | '\\')) => {
                        rest.next();
                        text.push(next);
                    }
                    _ => text.push('\\'),
                },
                _ => text.push(character),
            }
        }
        Err(self.refused("a double quote is not closed", QUOTES))
    }

    fn sign(&mut self, sign: char) -> bool {
        let follows = self
            .rest
            .strip_prefix(sign)
            .filter(|rest| !rest.starts_with(char::is_whitespace) && !rest.is_empty());
        if let Some(rest) = follows {
            self.rest = rest;
        }
        follows.is_some()
    }

    fn at_keyword(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            self.rest.strip_prefix(word).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '(')
            })
        })
    }

    fn keyword(&mut self, words: &[&str]) -> bool {
        if !self.at_keyword(words) {
            return false;
        }
        let word = words.iter().find(|word| self.rest.starts_with(**word));
        self.rest = &self.rest[word.map_or(0, |word| word.len())..];
        self.space();
        true
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn refused(&self, reason: &str, hint: &'static str) -> Error {
        let column = self.text[..self.text.len() - self.rest.len()].chars().count() + 1;
        let text = self.text.chars().take(200).collect();
        Error::Query { text, reason: reason.to_owned(), column, hint }
    }
}

fn single(mut parts: Vec<Expr>, join: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}

/// A phrase of the words of `text`; text without words asks for nothing in particular.
fn phrase(text: &str, join: impl Fn(Vec<String>) -> Expr) -> Expr {
    let words = words(text);
    if words.is_empty() { Expr::All } else { join(words) }
}

fn text_of(characters: &Characters) -> String {
    characters.iter().map(|(character, _)| character).collect()
}

fn network(text: &str) -> Option<Test> {
    let (base, bits) = text.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if base.is_ipv4() { 32 } else { 128 }).then_some(Test::In(base, bits))
}

fn entity_kind(name: &str) -> Option<EntityKind> {
    format!("{name}:x").parse::<Entity>().ok().map(|entity| entity.kind)
}

/// Whether this could be the name of a field: an address before a port could not.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')
}

/// Fields that are neither entities nor normalised.
const OWN: [&str; 11] =
    ["message", "entity", "template", "time", "id", "raw", "source", "format", "class", "earliest", "latest"];

/// The name of a field that `name` may be a slip of.
fn nearest(name: &str) -> Option<&'static str> {
    let kinds = EntityKind::ALL.into_iter().map(EntityKind::name);
    let all = kinds.chain(OWN).chain(casemate_event::field::ALL);
    let near = all.map(|known| (distance(&name.to_lowercase(), known), known));
    near.min()
        .filter(|(distance, known)| *distance <= 2 && *distance * 2 <= known.len())
        .map(|(_, known)| known)
}

/// Characters to be added, removed or changed to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (place, one) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, other) in b.chars().enumerate() {
            let changed = diagonal + usize::from(one != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}

fn is_known(name: &str) -> bool {
    OWN[..9].contains(&name)
        || UNDOTTED.contains(&name)
        || entity_kind(name).is_some()
        || is_name(name) && name.trim_end_matches('.').contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Expr {
        parse(text, Timestamp::from_second(1_706_659_200).unwrap()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn word(text: &str) -> Expr {
        Expr::Phrase(words(text))
    }

    fn is(name: &str, value: &str) -> Expr {
        Expr::Field(name.into(), Test::Is(value.into()))
    }

    #[test]
    fn operators_and_their_order() {
        assert_eq!(parsed("  "), Expr::All);
        assert_eq!(parsed("*"), Expr::All);
        assert_eq!(parsed("a b"), Expr::And(vec![word("a"), word("b")]));
        assert_eq!(parsed("a AND b"), parsed("a && b"));
        assert_eq!(parsed("a b OR c"), Expr::Or(vec![Expr::And(vec![word("a"), word("b")]), word("c")]));
        assert_eq!(parsed("a -b"), Expr::And(vec![word("a"), Expr::Not(Box::new(word("b")))]));
        assert_eq!(parsed("NOT (a || b)"), Expr::Not(Box::new(Expr::Or(vec![word("a"), word("b")]))));
        assert_eq!(parsed("+a run-42"), Expr::And(vec![word("a"), word("run 42")]));
        assert_eq!(parsed("(a)(b)"), Expr::And(vec![word("a"), word("b")]));
    }

    #[test]
    fn fields_and_values() {
        assert_eq!(parsed("user:alice"), Expr::Entity(EntityKind::User, Test::Is("alice".into())));
        assert_eq!(parsed("process.name:cmd.exe"), is("process.name", "cmd.exe"));
        assert_eq!(parsed("fields.process.name:\"a b\""), is("process.name", "a b"));
        assert_eq!(parsed("status=Failure"), is("status", "Failure"));
        assert_eq!(
            parsed("metadata.event_code:(4624 OR 4625)"),
            Expr::Or(vec![is("metadata.event_code", "4624"), is("metadata.event_code", "4625")])
        );
        assert_eq!(
            parsed("file:C:\\Windows\\x.exe"),
            Expr::Entity(EntityKind::File, Test::Is("C:\\Windows\\x.exe".into()))
        );
        assert_eq!(
            parsed("logon_type_id>=3"),
            Expr::Field("logon_type_id".into(), Test::Between(Bound::Included("3".into()), Bound::Open))
        );
        assert_eq!(
            parsed("a.b:{1 TO *]"),
            Expr::Field("a.b".into(), Test::Between(Bound::Excluded("1".into()), Bound::Open))
        );
        assert_eq!(
            parsed("ip:10.0.0.0/8"),
            Expr::Entity(EntityKind::Ip, Test::In("10.0.0.0".parse().unwrap(), 8))
        );
        assert_eq!(parsed("native.EventID:*"), Expr::Native("EventID".into(), Test::Exists));
        assert!(matches!(parsed("process.cmd_line:*enc*"), Expr::Field(_, Test::Like(_))));
        assert!(matches!(parsed("power*"), Expr::Pattern(_)));
        assert_eq!(parsed("a\\*b"), word("a b"));
    }

    #[test]
    fn times() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        assert_eq!(parsed("earliest=-24h"), Expr::Time(at("2024-01-30T00:00:00Z"), None));
        assert_eq!(parsed("latest=2024-05-01T08:00Z"), Expr::Time(None, at("2024-05-01T08:00:00Z")));
        assert_eq!(parsed("time:[2024-01-01T00:00:00Z TO *]"), Expr::Time(at("2024-01-01T00:00:00Z"), None));
    }

    #[test]
    fn what_looks_like_a_field_need_not_be_one() {
        assert_eq!(parsed("10.0.0.1:443"), word("10.0.0.1 443"));
        assert_eq!(parsed("a - b"), Expr::And(vec![word("a"), Expr::All, word("b")]));
        assert_eq!(parsed("id:007"), Expr::Id(Test::Is("7".into())));
        for text in ["id:2*", "id:10.0.0.0/8", &"*a ".repeat(33), &"a ".repeat(300)] {
            assert!(parse(text, Timestamp::UNIX_EPOCH).is_err(), "{text}");
        }
    }

    #[test]
    fn plain_words_are_told_from_queries() {
        for (text, expected) in [
            ("  ", Reading::Everything),
            ("whoami", Reading::Words(1)),
            ("10.0.0.1:443", Reading::Words(1)),
            ("who dumped lsass - and why?", Reading::Words(6)),
            ("who AND what", Reading::Query),
            ("\"who what\"", Reading::Query),
            ("user:alice", Reading::Query),
            ("who -what", Reading::Query),
            ("who*", Reading::Query),
            ("*", Reading::Query),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        assert!(read("colour:red").is_err());
        let error = read("hots:ws5").unwrap_err().to_string();
        assert!(error.contains("did you mean host?"), "{error}");
    }

    #[test]
    fn mistakes_say_where() {
        for (text, column) in [
            ("a (b", 5),
            ("colour:red", 1),
            ("a \"b", 3),
            ("a AND", 6),
            ("a)", 2),
            ("host:", 6),
            ("earliest=x", 10),
            ("a template:x b", 12),
        ] {
            let error = parse(text, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
            assert!(error.contains(&format!("at column {column}")), "{text}: {error}");
        }
    }
}
